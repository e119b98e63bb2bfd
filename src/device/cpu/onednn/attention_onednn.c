/* attention_onednn.c - scaled dot-product attention: for each head one product Q K^T, the softmax of its rows, and
   one product with V, while the scores of the head are in the cache. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/gemm/attention_heads.h"
#include "device/cpu/onednn/dnnl_util.h"
#include "device/cpu/vec/float_runs.h"

/* No causal mask, no soft cap, no mask of booleans. */
static bool describe(const hn_task *t, hn_heads *s) {
  return hn_heads_of(t, s) && !s->bytes && !s->causal && s->softcap == 0 && !(s->mask && s->mask_bool);
}

bool attention_onednn_supports(const hn_task *t) {
  hn_heads s;
  return t->device && describe(t, &s);
}

static size_t scratch_of_head(const hn_heads *s) { return (size_t)(s->nq * s->nk + 15) / 16 * 16 * sizeof(float); }

hone_status attention_onednn_plan(hn_task *t) {
  HN_TRY(hn_dnnl_open(t));
  hn_heads *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!describe(t, s)) return HONE_UNSUPPORTED;
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  t->scratch = scratch_of_head(s) * (size_t)t->threads;
  return HONE_OK;
}

typedef struct attention_run {
  const hn_heads *s;
  const hn_vec *vec;
  hn_exec *x;
  int64_t heads_each; /* a thread's share; its scratch is that of its number */
} attention_run;

static void mask_row(const attention_run *r, float *w, int64_t b, int64_t h, int64_t i) {
  const hn_heads *s = r->s;
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
  const hn_heads *s = r->s;
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
  const hn_heads *s = x->task->state;
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
