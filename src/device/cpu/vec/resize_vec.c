/* resize_vec.c - Resize of the spatial dimensions with channels last: every output pixel is a weighted sum of input
   pixels, one axis after the other; with one tap of weight 1 it is a copy. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/resize_task.h"

typedef struct stage {
  hn_taps taps;
  int64_t outer, in, out, inner;
} stage;

typedef struct resize_state {
  int n;
  int64_t largest; /* elements of the largest result */
  stage stages[HN_MAX_RANK];
} resize_state;

bool resize_vec_supports(const hn_task *t) {
  hn_resample r;
  const hn_arg *in = &t->in[0];
  if (!t->device || in->dtype != HONE_DTYPE_F32 || in->rank < 3 || in->rank > 5 || !hn_resize_resolve(t, &r)) return false;
  if (hn_streq(hn_attr_s(t->node, "coordinate_transformation_mode", ""), "tf_crop_and_resize")) return false;
  for (int32_t i = 0; i < r.rank; i++)
    if (r.out[i] == 0) return false;
  return hn_resample_keeps(&r, 0) && hn_resample_keeps(&r, 1);
}

hone_status resize_vec_plan(hn_task *t) {
  hn_resample r;
  if (!hn_resize_resolve(t, &r)) return HONE_UNSUPPORTED;
  resize_state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
  int64_t dims[HN_MAX_RANK], largest = 0;
  memcpy(dims, r.in, sizeof dims);
  for (int32_t a = r.rank - 1; a >= 2; a--) { /* the last axis first: its rows are the shortest */
    if (hn_resample_keeps(&r, a)) continue;
    stage *g = &s->stages[s->n];
    *g = (stage){.outer = dims[0], .in = r.in[a], .out = r.out[a], .inner = dims[1]};
    for (int32_t i = 2; i < r.rank; i++) *(i < a ? &g->outer : &g->inner) *= i == a ? 1 : dims[i];
    HN_TRY(hn_resample_taps(t->cx, t->node, &r, a, &g->taps));
    s->n++;
    dims[a] = r.out[a];
    int64_t size = g->outer * g->out * g->inner;
    if (size > largest) largest = size;
  }
  s->largest = largest;
  if (s->n > 1) t->scratch = sizeof(float) * (size_t)largest * (s->n > 2 ? 2 : 1);
  return HONE_OK;
}

typedef struct stage_run {
  const stage *g;
  const hn_vec *vec;
  const float *from;
  float *to;
} stage_run;

static void run_rows(void *arg, int64_t begin, int64_t end) {
  const stage_run *r = arg;
  const stage *g = r->g;
  size_t n = (size_t)g->inner;
  for (int64_t p = begin; p < end; p++) {
    int64_t o = p / g->out, i = p % g->out;
    const float *from = r->from + (size_t)(o * g->in) * n;
    float *d = r->to + (size_t)p * n;
    bool first = true;
    for (int64_t k = 0; k < g->taps.n; k++) {
      const float *row = from + (size_t)g->taps.at[i * g->taps.n + k] * n;
      float w = (float)g->taps.weight[i * g->taps.n + k];
      if (w == 0 && (k + 1 < g->taps.n || !first)) continue;
      if (first && w == 1) memcpy(d, row, sizeof *d * n);
      else if (first) r->vec->right[HN_Mul](d, row, w, n);
      else r->vec->add_scaled(d, row, w, n);
      first = false;
    }
  }
}

hone_status resize_vec_run(hn_exec *x) {
  const resize_state *s = x->task->state;
  const float *from = x->in[0].data;
  float *half = x->scratch;
  for (int i = 0; i < s->n; i++) {
    const stage *g = &s->stages[i];
    float *to = i == s->n - 1 ? x->out[0].data : half + (i & 1 ? (size_t)s->largest : 0);
    stage_run r = {g, x->task->device->vec, from, to};
    hn_parallel_for(x->threads, g->outer * g->out, 16384 / (g->inner + 1) + 1, run_rows, &r);
    from = to;
  }
  if (!s->n) memcpy(x->out[0].data, from, sizeof *from * (size_t)x->out[0].count);
  return HONE_OK;
}

void resize_vec_destroy(hn_task *t) {
  resize_state *s = t->state;
  for (int i = 0; s && i < HN_MAX_RANK; i++) hn_taps_free(&s->stages[i].taps);
  hn_free(s);
  t->state = NULL;
}
