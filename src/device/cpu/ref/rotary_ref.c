/* rotary_ref.c - RotaryEmbedding: pairs of each head's elements turned by an angle that depends on the position. */
#include "device/cpu/ref/broadcast.h"

/* The input as batch x sequence x heads x size, in strides, whichever of its two layouts it has. */
typedef struct heads {
  int64_t batch, sequence, heads, size, stride_b, stride_s, stride_h;
} heads;

static hone_status find_heads(const hn_exec *x, heads *h) {
  const hn_view *in = &x->in[0];
  int64_t num = hn_attr_i(hn_xnode(x), "num_heads", 0);
  if (in->rank == 4) {
    *h = (heads){in->dims[0], in->dims[2], in->dims[1], in->dims[3], 0, in->dims[3], in->dims[2] * in->dims[3]};
    h->stride_b = h->heads * h->stride_h;
    return HONE_OK;
  }
  if (in->rank != 3) return hn_xfail(x, HONE_BAD_GRAPH, "input of rank %d; takes 3 or 4", in->rank);
  if (num <= 0 || in->dims[2] % num)
    return hn_xfail(x, HONE_BAD_GRAPH, "%lld elements in num_heads=%lld heads", (long long)in->dims[2], (long long)num);
  *h = (heads){in->dims[0], in->dims[1], num, in->dims[2] / num, in->dims[1] * in->dims[2], in->dims[2], in->dims[2] / num};
  return HONE_OK;
}

/* Row of the caches for a batch and a place in the sequence. */
static hone_status cache_row(const hn_exec *x, const heads *h, int64_t b, int64_t s, int64_t rows, int64_t *row) {
  *row = b * h->sequence + s;
  if (!hn_xhas(x, 3)) return HONE_OK;
  *row = hn_load_i64(x->in[3].dtype, x->in[3].data, (size_t)*row);
  if (*row >= 0 && *row < rows) return HONE_OK;
  return hn_xfail(x, HONE_BAD_ARG, "position %lld with %lld rows in the cache", (long long)*row, (long long)rows);
}

static void turn_head(const hn_exec *x, int64_t at, int64_t size, int64_t half, int64_t row, bool interleaved) {
  const hn_view *in = &x->in[0], *cosine = &x->in[1], *sine = &x->in[2];
  hn_view *out = &x->out[0];
  for (int64_t i = 0; i < half; i++) {
    size_t i1 = (size_t)(at + (interleaved ? 2 * i : i)), i2 = (size_t)(at + (interleaved ? 2 * i + 1 : i + half));
    double c = hn_load_f64(cosine->dtype, cosine->data, (size_t)(row * half + i));
    double s = hn_load_f64(sine->dtype, sine->data, (size_t)(row * half + i));
    double a = hn_load_f64(in->dtype, in->data, i1), b = hn_load_f64(in->dtype, in->data, i2);
    hn_store_f64(out->dtype, out->data, i1, c * a - s * b);
    hn_store_f64(out->dtype, out->data, i2, s * a + c * b);
  }
  for (int64_t i = 2 * half; i < size; i++) /* the rest of the head stays */
    hn_store_f64(out->dtype, out->data, (size_t)(at + i), hn_load_f64(in->dtype, in->data, (size_t)(at + i)));
}

hone_status hk_rotary_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0], *cosine = &x->in[1];
  heads h = {0};
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(find_heads(x, &h));
  int64_t part = hn_attr_i(n, "rotary_embedding_dim", 0), half = (part > 0 ? part : h.size) / 2;
  int64_t rows = half ? cosine->count / half : 0;
  bool positions = hn_xhas(x, 3);
  if (2 * half > h.size || cosine->count != x->in[2].count || cosine->rank < 1 ||
      cosine->dims[cosine->rank - 1] != half || (!positions && rows != h.batch * h.sequence) ||
      (positions && x->in[3].count != h.batch * h.sequence))
    return hn_xfail(x, HONE_BAD_GRAPH, "caches or positions do not fit %lld positions of heads of size %lld",
                    (long long)(h.batch * h.sequence), (long long)h.size);
  HN_TRY(hn_xout_like(x, 0, in));
  bool interleaved = hn_attr_i(n, "interleaved", 0) != 0;
  for (int64_t b = 0; b < h.batch; b++)
    for (int64_t s = 0; s < h.sequence; s++) {
      int64_t row;
      HN_TRY(cache_row(x, &h, b, s, rows, &row));
      for (int64_t k = 0; k < h.heads; k++)
        turn_head(x, b * h.stride_b + s * h.stride_s + k * h.stride_h, h.size, half, row, interleaved);
    }
  return HONE_OK;
}
