/* attention_ref.c - Attention (ONNX 23), row by row in double. */
#include <math.h>
#include <string.h>

#include "device/cpu/ref/broadcast.h"

/* A tensor of (batch, heads, sequence, size), whichever way it lies. */
typedef struct heads_of {
  const hn_view *v;
  int64_t batch, heads, n, size, stride[3];
} heads_of;

static bool open_heads(const hn_view *v, int64_t heads, heads_of *h) {
  *h = (heads_of){.v = v, .batch = v->dims[0]};
  if (v->rank == 4) {
    h->heads = v->dims[1], h->n = v->dims[2], h->size = v->dims[3];
    h->stride[0] = h->heads * h->n * h->size, h->stride[1] = h->n * h->size, h->stride[2] = h->size;
    return true;
  }
  if (v->rank != 3 || heads < 1 || v->dims[2] % heads) return false;
  h->heads = heads, h->n = v->dims[1], h->size = v->dims[2] / heads;
  h->stride[0] = h->n * v->dims[2], h->stride[1] = h->size, h->stride[2] = v->dims[2];
  return true;
}

static double at(const heads_of *h, int64_t b, int64_t head, int64_t i, int64_t k) {
  return hn_load_f64(h->v->dtype, h->v->data, (size_t)(b * h->stride[0] + head * h->stride[1] + i * h->stride[2] + k));
}

/* Past and new rows as one sequence, written as output o where that is asked for. */
static hone_status joined(hn_exec *x, uint32_t past, const heads_of *now, uint32_t o, double **rows, int64_t *total) {
  bool has = hn_xhas(x, past) && past < hn_xnode(x)->n_main;
  const hn_view *p = &x->in[past];
  if (has && (p->rank != 4 || p->dims[0] != now->batch || p->dims[1] != now->heads || p->dims[3] != now->size))
    return hn_xfail(x, HONE_BAD_GRAPH, "input %u does not fit the new keys or values", past);
  int64_t before = has ? p->dims[2] : 0, n = before + now->n, count = now->batch * now->heads * n * now->size;
  double *r = hn_calloc((size_t)count + 1, sizeof *r), *d = r;
  if (!r) return hn_nomem(x->cx);
  for (int64_t b = 0; b < now->batch; b++)
    for (int64_t h = 0; h < now->heads; h++)
      for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < now->size; k++)
          *d++ = i < before ? hn_load_f64(p->dtype, p->data, (size_t)(((b * now->heads + h) * before + i) * now->size + k))
                            : at(now, b, h, i - before, k);
  *rows = r;
  *total = n;
  if (!hn_xwants(x, o)) return HONE_OK;
  hone_status st = hn_xout(x, o, now->v->dtype, 4, (int64_t[]){now->batch, now->heads, n, now->size});
  if (!st) hn_write_f64(now->v->dtype, x->out[o].data, 0, 1, count, r);
  return st;
}

typedef struct scores {
  double scale, softcap;
  bool causal;
  int mode;            /* what output 3 shows: 0 the products, 1 with the mask, 2 capped too, 3 after softmax */
  const hn_view *mask; /* NULL: none */
  int64_t past;
} scores;

/* What is added to the score of query i and key j; -inf: not allowed. */
static double mask_of(const scores *s, int64_t b, int64_t h, int64_t i, int64_t j) {
  double add = s->causal && j > i + s->past ? -INFINITY : 0;
  if (!s->mask) return add;
  int64_t index[4] = {b, h, i, j}, offset = 0;
  for (int32_t k = 0; k < s->mask->rank; k++) {
    int64_t at_k = index[4 - s->mask->rank + k];
    if (s->mask->dims[k] == 1) at_k = 0;
    if (at_k >= s->mask->dims[k]) return -INFINITY; /* a mask shorter than the keys: the rest is padding */
    offset = offset * s->mask->dims[k] + at_k;
  }
  if (s->mask->dtype == HONE_DTYPE_BOOL) return hn_load_i64(s->mask->dtype, s->mask->data, (size_t)offset) ? add : -INFINITY;
  return add + hn_load_f64(s->mask->dtype, s->mask->data, (size_t)offset);
}

static void show(hn_exec *x, int64_t row, int64_t n, const double *v) {
  if (hn_xwants(x, 3)) hn_write_f64(x->out[3].dtype, x->out[3].data, row * n, 1, n, v);
}

/* v: the products of one query with all keys, made into weights. */
static void weights(hn_exec *x, const scores *s, double *v, int64_t n, int64_t b, int64_t h, int64_t i, int64_t row) {
  double largest = -INFINITY, sum = 0;
  if (s->mode == 0) show(x, row, n, v);
  for (int64_t j = 0; j < n; j++) v[j] += mask_of(s, b, h, i, j);
  if (s->mode == 1) show(x, row, n, v);
  for (int64_t j = 0; j < n && s->softcap > 0; j++) v[j] = s->softcap * tanh(v[j] / s->softcap);
  if (s->mode == 2) show(x, row, n, v);
  for (int64_t j = 0; j < n; j++) largest = v[j] > largest ? v[j] : largest;
  for (int64_t j = 0; j < n; j++) sum += v[j] = largest == -INFINITY ? 0 : exp(v[j] - largest);
  for (int64_t j = 0; j < n && sum != 0; j++) v[j] /= sum;
  if (s->mode == 3) show(x, row, n, v);
}

static hone_status attend(hn_exec *x, const heads_of *q, const heads_of *k, const heads_of *v, const double *keys,
                          const double *values, int64_t n, const scores *s) {
  double *w = hn_calloc((size_t)n + 1, sizeof *w);
  if (!w) return hn_nomem(x->cx);
  int64_t per = q->heads / k->heads, flat = q->heads * v->size;
  for (int64_t b = 0; b < q->batch; b++)
    for (int64_t h = 0; h < q->heads; h++)
      for (int64_t i = 0; i < q->n; i++) {
        const double *kh = keys + (b * k->heads + h / per) * n * k->size, *vh = values + (b * v->heads + h / per) * n * v->size;
        for (int64_t j = 0; j < n; j++) {
          double sum = 0;
          for (int64_t e = 0; e < q->size; e++) sum += at(q, b, h, i, e) * kh[j * k->size + e];
          w[j] = sum * s->scale;
        }
        int64_t row = (b * q->heads + h) * q->n + i;
        weights(x, s, w, n, b, h, i, row);
        for (int64_t e = 0; e < v->size; e++) {
          double sum = 0;
          for (int64_t j = 0; j < n; j++) sum += w[j] * vh[j * v->size + e];
          int64_t to = q->v->rank == 4 ? row * v->size + e : (b * q->n + i) * flat + h * v->size + e;
          hn_store_f64(x->out[0].dtype, x->out[0].data, (size_t)to, sum);
        }
      }
  hn_free(w);
  return HONE_OK;
}

hone_status hk_attention_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  heads_of q, k, v;
  double *keys = NULL, *values = NULL;
  int64_t total = 0, total_v = 0;
  int64_t nq = hn_attr_i(n, "q_num_heads", 0), nk = hn_attr_i(n, "kv_num_heads", 0);
  if (!hn_is_float(x->in[0].dtype)) return hn_xbad_dtype(x, x->in[0].dtype);
  if (!open_heads(&x->in[0], nq, &q) || !open_heads(&x->in[1], nk, &k) || !open_heads(&x->in[2], nk, &v) || k.heads < 1 ||
      q.heads % k.heads || v.heads != k.heads || q.size != k.size || k.n != v.n || q.batch != k.batch || v.batch != k.batch)
    return hn_xfail(x, HONE_BAD_GRAPH, "Q, K and V do not fit together");
  if (n->n_main > 6 && hn_xhas(x, 6)) return hn_xfail(x, HONE_UNSUPPORTED, "nonpad_kv_seqlen is not supported");
  bool flat = q.v->rank == 3;
  scores s = {.scale = hn_attr_f(n, "scale", 1 / sqrt((double)q.size)), .softcap = hn_attr_f(n, "softcap", 0),
              .causal = hn_attr_i(n, "is_causal", 0) != 0, .mode = (int)hn_attr_i(n, "qk_matmul_output_mode", 0)};
  if (n->n_main > 3 && hn_xhas(x, 3)) s.mask = &x->in[3];
  if (s.mask && s.mask->rank > 4) return hn_xfail(x, HONE_BAD_GRAPH, "the mask has %d dimensions", s.mask->rank);
  hone_status st = joined(x, 4, &k, 1, &keys, &total);
  if (!st) st = joined(x, 5, &v, 2, &values, &total_v);
  s.past = total - k.n;
  if (!st && total != total_v) st = hn_xfail(x, HONE_BAD_GRAPH, "there are %lld keys and %lld values", (long long)total, (long long)total_v);
  if (!st && flat) st = hn_xout(x, 0, q.v->dtype, 3, (int64_t[]){q.batch, q.n, q.heads * v.size});
  if (!st && !flat) st = hn_xout(x, 0, q.v->dtype, 4, (int64_t[]){q.batch, q.heads, q.n, v.size});
  if (!st && hn_xwants(x, 3)) st = hn_xout(x, 3, q.v->dtype, 4, (int64_t[]){q.batch, q.heads, q.n, total});
  if (!st) st = attend(x, &q, &k, &v, keys, values, total, &s);
  hn_free(keys);
  hn_free(values);
  return st;
}
