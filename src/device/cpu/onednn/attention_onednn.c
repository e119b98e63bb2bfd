/* attention_onednn.c - scaled dot-product attention: for each head one product Q K^T, the softmax of its rows, and
   one product with V, while the scores of the head are in the cache. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/onednn/dnnl_util.h"
#include "device/cpu/vec/float_runs.h"

typedef struct attention_state {
  int64_t batch, heads, per, nq, nk, size, size_v;
  int64_t stride[3][2], row[3], out_stride[2], out_row; /* batch and head strides, row strides of Q, K, V */
  float scale;
  int64_t mask_stride[4]; /* batch, head, query, key; 0 where broadcast */
  bool mask;
} attention_state;

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

static bool open_mask(const hn_task *t, attention_state *s) {
  const hn_arg *m = &t->in[3];
  int64_t want[4] = {s->batch, s->heads, s->nq, s->nk}, step = 1;
  if (m->dtype != HONE_DTYPE_F32 || m->rank < 1 || m->rank > 4) return false;
  for (int32_t i = m->rank - 1; i >= 0; i--) {
    int32_t k = 4 - m->rank + i;
    if (m->dims[i] != 1 && m->dims[i] != want[k]) return false;
    s->mask_stride[k] = m->dims[i] == 1 ? 0 : step;
    step *= m->dims[i];
  }
  return s->mask = true;
}

static bool describe(const hn_task *t, attention_state *s) {
  const hn_node *n = t->node;
  int64_t hk, hv, nv;
  *s = (attention_state){.batch = t->in[0].dims[0]};
  for (uint32_t i = 0; i < 3; i++)
    if (t->in[i].dtype != HONE_DTYPE_F32 || t->in[i].rank != t->in[0].rank) return false;
  for (uint32_t i = 4; i < n->n_main; i++)
    if (t->in[i].present) return false;
  for (uint32_t i = 1; i < t->n_out; i++)
    if (t->out[i].present) return false;
  if (hn_attr_i(n, "is_causal", 0) || hn_attr_f(n, "softcap", 0) != 0) return false;
  int64_t nk = hn_attr_i(n, "kv_num_heads", 0);
  if (!open_heads(&t->in[0], hn_attr_i(n, "q_num_heads", 0), &s->heads, &s->nq, &s->size, s->stride[0], &s->row[0]) ||
      !open_heads(&t->in[1], nk, &hk, &s->nk, &s->size, s->stride[1], &s->row[1]) ||
      !open_heads(&t->in[2], nk, &hv, &nv, &s->size_v, s->stride[2], &s->row[2]))
    return false;
  if (hk < 1 || hk != hv || nv != s->nk || s->heads % hk || s->nk < 1 || s->nq < 1 || s->size < 1 || s->size_v < 1) return false;
  s->per = s->heads / hk;
  s->scale = (float)hn_attr_f(n, "scale", 1 / sqrt((double)s->size));
  bool flat = t->in[0].rank == 3;
  s->out_row = flat ? s->heads * s->size_v : s->size_v;
  s->out_stride[0] = s->heads * s->nq * s->size_v;
  s->out_stride[1] = flat ? s->size_v : s->nq * s->size_v;
  return n->n_main < 4 || !t->in[3].present || open_mask(t, s);
}

bool attention_onednn_supports(const hn_task *t) {
  attention_state s;
  return t->device && describe(t, &s);
}

static size_t scratch_of_head(const attention_state *s) { return (size_t)(s->nq * s->nk + 15) / 16 * 16 * sizeof(float); }

hone_status attention_onednn_plan(hn_task *t) {
  attention_state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!describe(t, s)) return HONE_UNSUPPORTED;
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  t->scratch = scratch_of_head(s) * (size_t)t->threads;
  return HONE_OK;
}

typedef struct attention_run {
  const attention_state *s;
  const hn_vec *vec;
  hn_exec *x;
  int64_t heads_each; /* a thread's share; its scratch is that of its number */
} attention_run;

static void mask_row(const attention_run *r, float *w, int64_t b, int64_t h, int64_t i) {
  const attention_state *s = r->s;
  const float *m = (const float *)r->x->in[3].data + b * s->mask_stride[0] + h * s->mask_stride[1] + i * s->mask_stride[2];
  if (s->mask_stride[3]) r->vec->binary[HN_Add](w, w, m, (size_t)s->nk);
  else r->vec->right[HN_Add](w, w, *m, (size_t)s->nk);
}

/* A row that the mask forbids altogether has no weights. */
static void soften(const attention_run *r, float *w) {
  size_t n = (size_t)r->s->nk;
  float largest = r->vec->max(w, n);
  if (largest == -INFINITY) {
    memset(w, 0, sizeof *w * n);
    return;
  }
  r->vec->right[HN_Mul](w, w, 1.0f / r->vec->exp_sum(w, w, n, largest), n);
}

static void run_heads(const attention_run *r, int64_t begin, int64_t end) {
  const attention_state *s = r->s;
  float *w = (float *)((unsigned char *)r->x->scratch + (size_t)(begin / r->heads_each) * scratch_of_head(s));
  const float *in[3];
  for (int64_t p = begin; p < end; p++) {
    int64_t b = p / s->heads, h = p % s->heads;
    for (int i = 0; i < 3; i++)
      in[i] = (const float *)r->x->in[i].data + b * s->stride[i][0] + (i ? h / s->per : h) * s->stride[i][1];
    float *out = (float *)r->x->out[0].data + b * s->out_stride[0] + h * s->out_stride[1];
    dnnl_sgemm('N', 'T', s->nq, s->nk, s->size, s->scale, in[0], s->row[0], in[1], s->row[1], 0, w, s->nk);
    for (int64_t i = 0; i < s->nq; i++) {
      if (s->mask) mask_row(r, w + i * s->nk, b, h, i);
      soften(r, w + i * s->nk);
    }
    dnnl_sgemm('N', 'N', s->nq, s->size_v, s->nk, 1, w, s->nk, in[2], s->row[2], 0, out, s->out_row);
  }
}

typedef struct share {
  const attention_run *r;
  int64_t all;
} share;

static void run_share(void *arg, int64_t begin, int64_t end) {
  const share *a = arg;
  for (int64_t k = begin; k < end; k++) {
    int64_t from = k * a->r->heads_each, to = from + a->r->heads_each;
    if (from < a->all) run_heads(a->r, from, to < a->all ? to : a->all);
  }
}

hone_status attention_onednn_run(hn_exec *x) {
  const attention_state *s = x->task->state;
  int64_t all = s->batch * s->heads, threads = x->task->threads < 1 ? 1 : x->task->threads;
  attention_run r = {s, x->task->device->vec, x, (all + threads - 1) / threads};
  share a = {&r, all};
  if (all > 0) hn_parallel_for((int)threads, threads, 1, run_share, &a);
  return HONE_OK;
}

void attention_onednn_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
