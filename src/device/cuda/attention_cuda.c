/* attention_cuda.c - Attention, with past keys and values put in front, and RotaryEmbedding. */
#include <math.h>

#include "device/cuda/cuda_kernel.h"

/* ---- Attention */

typedef struct heads {
  int64_t batch, heads, n, size;
} heads;

static bool heads_of(const hn_arg *a, int64_t count, heads *h, hn_gpu_rows *r) {
  if (a->rank == 4) *h = (heads){a->dims[0], a->dims[1], a->dims[2], a->dims[3]};
  else if (a->rank == 3 && count > 0 && a->dims[2] % count == 0) *h = (heads){a->dims[0], count, a->dims[1], a->dims[2] / count};
  else return false;
  r->batch = (uint32_t)(h->heads * h->n * h->size);
  r->head = (uint32_t)(a->rank == 4 ? h->n * h->size : h->size);
  r->row = (uint32_t)(a->rank == 4 ? h->size : h->heads * h->size);
  return true;
}

typedef struct plan {
  hn_gpu_attention a;
  hn_gpu_copy join[4]; /* past and new keys, past and new values */
  int64_t to[4];       /* offsets in bytes */
  bool joins;
  size_t scratch[2];   /* where the joined keys and values lie in it; SIZE_MAX: in the output */
  size_t bytes;
} plan;

static void rows_joined(hn_gpu_rows *r, const heads *h, int64_t total) {
  r->batch = (uint32_t)(h->heads * total * h->size);
  r->head = (uint32_t)(total * h->size);
  r->row = (uint32_t)h->size;
}

/* Copies past rows, and the new ones behind them, to (batch, heads, total, size). */
static bool plan_join(const hn_task *t, plan *p, int which, const heads *h, const hn_gpu_rows *now, int64_t total) {
  const hn_arg *past = &t->in[4 + which];
  bool has = hn_cuda_given(t, 4 + (uint32_t)which);
  int64_t before = has ? past->dims[2] : 0, size = (int64_t)hone_dtype_size(t->in[0].dtype);
  if (has && (past->rank != 4 || past->dims[0] != h->batch || past->dims[1] != h->heads || past->dims[3] != h->size || past->dtype != t->in[0].dtype)) return false;
  int64_t out[4] = {h->heads * total * h->size, total * h->size, h->size, 1};
  int64_t from[4] = {h->heads * before * h->size, before * h->size, h->size, 1}, rows[4] = {h->batch, h->heads, before, h->size};
  p->to[2 * which] = 0;
  if (!hn_cuda_plan_copy(&p->join[2 * which], 4, rows, from, out, size, 0, 0)) return false;
  int64_t own[4] = {now->batch, now->head, now->row, 1}, new_rows[4] = {h->batch, h->heads, h->n, h->size}, at = before * h->size;
  p->to[2 * which + 1] = at * size;
  if (!hn_cuda_plan_copy(&p->join[2 * which + 1], 4, new_rows, own, out, size, 0, at)) return false;
  p->scratch[which] = SIZE_MAX;
  if (hn_cuda_wants(t, 1 + (uint32_t)which)) return true;
  p->scratch[which] = p->bytes;
  p->bytes += ((size_t)(h->batch * h->heads * total * h->size * size) + 255) / 256 * 256;
  return true;
}

static bool mask_of(const hn_task *t, hn_gpu_attention *a) {
  const hn_arg *m = &t->in[3];
  if (!hn_cuda_given(t, 3)) return true;
  if (m->rank > 4 || (m->dtype != HONE_DTYPE_BOOL && !hn_cuda_float(m))) return false;
  uint32_t s = 1;
  for (int32_t i = 3; i >= 0; i--) {
    int32_t k = i - (4 - m->rank);
    a->mask_dim[i] = k >= 0 ? (int32_t)m->dims[k] : 1;
    a->mask_stride[i] = s;
    s *= (uint32_t)a->mask_dim[i];
  }
  a->mask_dtype = (int32_t)m->dtype;
  return (a->mask_dim[0] == 1 || a->mask_dim[0] == (int32_t)a->batches) && (a->mask_dim[1] == 1 || a->mask_dim[1] == (int32_t)a->heads) &&
         (a->mask_dim[2] == 1 || a->mask_dim[2] == a->nq);
}

static bool attention_of(const hn_task *t, plan *p) {
  const hn_node *n = t->node;
  heads q, k, v;
  int64_t nq = hn_attr_i(n, "q_num_heads", 0), nk = hn_attr_i(n, "kv_num_heads", 0);
  hn_gpu_attention *a = &p->a;
  *p = (plan){.bytes = 0};
  if (!heads_of(&t->in[0], nq, &q, &a->q) || !heads_of(&t->in[1], nk, &k, &a->k) || !heads_of(&t->in[2], nk, &v, &a->v)) return false;
  if (k.heads < 1 || q.heads % k.heads || v.heads != k.heads || q.size != k.size || k.n != v.n || q.batch != k.batch || v.batch != k.batch) return false;
  if (q.size < 1 || v.size < 1 || q.size > HN_GPU_HEAD || v.size > HN_GPU_HEAD || hn_cuda_given(t, 6) || hn_cuda_wants(t, 3) || q.heads > 65535) return false;
  bool has = hn_cuda_given(t, 4);
  if (has != hn_cuda_given(t, 5)) return false;
  int64_t past = has && t->in[4].rank == 4 ? t->in[4].dims[2] : 0;
  p->joins = has || hn_cuda_wants(t, 1) || hn_cuda_wants(t, 2);
  if (p->joins) {
    if (has && (t->in[5].rank != 4 || t->in[5].dims[2] != past)) return false;
    if (!plan_join(t, p, 0, &k, &a->k, past + k.n) || !plan_join(t, p, 1, &v, &a->v, past + k.n)) return false;
    rows_joined(&a->k, &k, past + k.n);
    rows_joined(&a->v, &v, past + k.n);
  }
  a->batches = (uint32_t)q.batch, a->heads = (uint32_t)q.heads, a->per = (uint32_t)(q.heads / k.heads);
  a->nq = (int32_t)q.n, a->nk = (int32_t)(past + k.n), a->past = (int32_t)past;
  a->size = (int32_t)q.size, a->value_size = (int32_t)v.size, a->dtype = (int32_t)t->in[0].dtype;
  a->scale = (float)hn_attr_f(n, "scale", 1 / sqrt((double)q.size));
  a->softcap = (float)hn_attr_f(n, "softcap", 0);
  a->causal = hn_attr_i(n, "is_causal", 0) != 0;
  bool flat = t->in[0].rank == 3;
  a->out.batch = (uint32_t)(q.heads * q.n * v.size);
  a->out.head = (uint32_t)(flat ? v.size : q.n * v.size);
  a->out.row = (uint32_t)(flat ? q.heads * v.size : v.size);
  return mask_of(t, a);
}

bool attention_cuda_supports(const hn_task *t) {
  plan p;
  return hn_cuda_floats(t, 3) && attention_of(t, &p) && p.bytes <= hn_cuda_of(t)->workspace;
}

hone_status attention_cuda_plan(hn_task *t) {
  plan *p;
  hn_cuda_plain(t);
  HN_TRY(hn_cuda_state(t, sizeof *p, &p));
  if (!attention_of(t, p)) return HONE_UNSUPPORTED;
  t->scratch = p->bytes;
  return HONE_OK;
}

static char *joined_at(const hn_exec *x, const plan *p, int which) {
  return p->scratch[which] == SIZE_MAX ? x->out[1 + which].data : (char *)x->scratch + p->scratch[which];
}

hone_status attention_cuda_run(hn_exec *x) {
  const plan *p = x->task->state;
  hn_gpu_attention a = p->a;
  a.q.p = x->in[0].data;
  a.k.p = x->in[1].data;
  a.v.p = x->in[2].data;
  a.out.p = x->out[0].data;
  a.mask = hn_xhas(x, 3) ? x->in[3].data : NULL;
  for (int i = 0; i < 4 && p->joins; i++)
    if (p->join[i].n) hn_cuda_run_copy(x, p->join[i], i % 2 ? x->in[1 + i / 2].data : x->in[4 + i / 2].data, joined_at(x, p, i / 2) + p->to[i]);
  if (p->joins) {
    a.k.p = joined_at(x, p, 0);
    a.v.p = joined_at(x, p, 1);
  }
  hn_gpu_attention_run(hn_cuda_stream(x), &a);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(attention_cuda)

/* ---- RotaryEmbedding */

static bool rotary_of(const hn_task *t, hn_gpu_rotary *r) {
  const hn_arg *in = &t->in[0], *c = &t->in[1];
  int64_t num = hn_attr_i(t->node, "num_heads", 0), part = hn_attr_i(t->node, "rotary_embedding_dim", 0), b, s, h, size;
  bool positions = hn_cuda_given(t, 3);
  *r = (hn_gpu_rotary){.dtype = (int32_t)in->dtype, .interleaved = hn_attr_i(t->node, "interleaved", 0) != 0};
  if (in->rank == 4) {
    b = in->dims[0], h = in->dims[1], s = in->dims[2], size = in->dims[3];
    r->stride_b = (uint32_t)(h * s * size), r->stride_s = (uint32_t)size, r->stride_h = (uint32_t)(s * size);
  } else {
    if (in->rank != 3 || num < 1 || in->dims[2] % num) return false;
    b = in->dims[0], s = in->dims[1], h = num, size = in->dims[2] / num;
    r->stride_b = (uint32_t)(s * in->dims[2]), r->stride_s = (uint32_t)in->dims[2], r->stride_h = (uint32_t)size;
  }
  int64_t half = (part > 0 ? part : size) / 2, rows = half ? hn_cuda_count(c) / half : 0;
  if (half < 1 || 2 * half > size || c->rank < 1 || c->dims[c->rank - 1] != half || hn_cuda_count(c) != hn_cuda_count(&t->in[2])) return false;
  if (positions ? hn_cuda_count(&t->in[3]) != b * s || (t->in[3].dtype != HONE_DTYPE_I64 && t->in[3].dtype != HONE_DTYPE_I32) : rows != b * s) return false;
  r->half = (uint32_t)half, r->rows = (uint32_t)rows;
  r->size = hn_gpu_div_of(size - half), r->heads = hn_gpu_div_of(h), r->sequence = hn_gpu_div_of(s);
  r->n = (uint32_t)(b * s * h * (size - half));
  r->position_dtype = positions ? (int32_t)t->in[3].dtype : 0;
  return true;
}

HN_CUDA_PLAIN(rotary_cuda, hn_gpu_rotary, 3, rotary_of)

hone_status rotary_cuda_run(hn_exec *x) {
  hn_gpu_rotary r = *(const hn_gpu_rotary *)x->task->state;
  r.in = x->in[0].data;
  r.cosine = x->in[1].data;
  r.sine = x->in[2].data;
  r.positions = hn_xhas(x, 3) ? x->in[3].data : NULL;
  r.out = x->out[0].data;
  r.fault = hn_cuda_fault(x);
  hn_gpu_rotary_run(hn_cuda_stream(x), &r);
  return hn_cuda_launched(x);
}
