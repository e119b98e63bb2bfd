#include "device/cpu/gemm/attention_heads.h"

#include <math.h>

static bool open_heads(const hn_arg *a, int64_t heads, int64_t *h, int64_t *n, int64_t *size, int64_t *stride, int64_t *row) {
  if (a->rank == 4) {
    *h = a->dims[1], *n = a->dims[2], *size = a->dims[3];
    stride[0] = *h * *n * *size, stride[1] = *n * *size, *row = *size;
    return true;
  }
  if (a->rank != 3 || heads < 1 || a->dims[2] % heads) return false;
  *h = heads, *n = a->dims[1], *size = a->dims[2] / heads;
  stride[0] = *n * a->dims[2], stride[1] = *size, *row = a->dims[2];
  return true;
}

static bool open_mask(const hn_task *t, hn_heads *s) {
  const hn_arg *m = &t->in[3];
  int64_t want[4] = {s->batch, s->heads, s->nq, s->nk}, step = 1;
  s->mask_bool = m->dtype == HONE_DTYPE_BOOL;
  if ((m->dtype != HONE_DTYPE_F32 && !s->mask_bool) || m->rank < 1 || m->rank > 4) return false;
  for (int32_t i = m->rank - 1; i >= 0; i--) {
    int32_t k = 4 - m->rank + i;
    if (m->dims[i] != 1 && m->dims[i] != want[k]) return false;
    s->mask_stride[k] = m->dims[i] == 1 ? 0 : step;
    step *= m->dims[i];
  }
  return s->mask = true;
}

bool hn_heads_of(const hn_task *t, hn_heads *s) {
  const hn_node *n = t->node;
  int64_t hk, hv, nv, size_k, kv = hn_attr_i(n, "kv_num_heads", 0);
  *s = (hn_heads){.batch = t->in[0].dims[0]};
  s->bytes = hn_arg_is_bytes(&t->in[0]);
  for (uint32_t i = 0; i < 3; i++)
    if ((s->bytes ? !hn_arg_is_bytes(&t->in[i]) : t->in[i].dtype != HONE_DTYPE_F32) || t->in[i].rank != t->in[0].rank || t->in[i].dims[0] != s->batch) return false;
  if (t->out[0].dtype != HONE_DTYPE_F32 && !(s->bytes && hn_arg_is_bytes(&t->out[0]))) return false;
  for (uint32_t i = 4; i < n->n_main; i++)
    if (t->in[i].present) return false;
  for (uint32_t i = 1; i < t->n_out; i++)
    if (t->out[i].present) return false;
  if (!open_heads(&t->in[0], hn_attr_i(n, "q_num_heads", 0), &s->heads, &s->nq, &s->size, s->stride[0], &s->row[0]) ||
      !open_heads(&t->in[1], kv, &hk, &s->nk, &size_k, s->stride[1], &s->row[1]) ||
      !open_heads(&t->in[2], kv, &hv, &nv, &s->size_v, s->stride[2], &s->row[2]))
    return false;
  if (hk < 1 || hk != hv || nv != s->nk || s->heads % hk || size_k != s->size || s->nk < 1 || s->nq < 1 || s->size < 1 || s->size_v < 1)
    return false;
  s->per = s->heads / hk;
  s->scale = (float)hn_attr_f(n, "scale", 1 / sqrt((double)s->size));
  s->softcap = (float)hn_attr_f(n, "softcap", 0);
  s->causal = hn_attr_i(n, "is_causal", 0) != 0;
  bool flat = t->in[0].rank == 3;
  s->out_row = flat ? s->heads * s->size_v : s->size_v;
  s->out_stride[0] = s->heads * s->nq * s->size_v;
  s->out_stride[1] = flat ? s->size_v : s->nq * s->size_v;
  return n->n_main < 4 || !t->in[3].present || open_mask(t, s);
}

void hn_heads_mask(const hn_heads *s, const hn_vec *vec, const void *mask, float *scores, int64_t batch, int64_t head, int64_t query, int64_t from, int64_t n) {
  int64_t at = batch * s->mask_stride[0] + head * s->mask_stride[1] + query * s->mask_stride[2] + from * s->mask_stride[3];
  if (s->mask_bool) {
    const unsigned char *m = (const unsigned char *)mask + at;
    const float none = -INFINITY;
    if (s->mask_stride[3]) vec->select(scores, m, scores, &none, (size_t)n, true, false);
    else if (!*m) vec->right[HN_Add](scores, scores, none, (size_t)n);
  } else {
    const float *m = (const float *)mask + at;
    if (s->mask_stride[3]) vec->binary[HN_Add](scores, scores, m, (size_t)n);
    else vec->right[HN_Add](scores, scores, *m, (size_t)n);
  }
}
