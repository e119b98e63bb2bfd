/* reduce_vec.c - reductions over axes that lie together in memory: a tensor is outer x reduced x inner. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "op/infer.h"

enum { GRAIN = 8192 };

typedef struct extent {
  int64_t outer, n, inner;
} extent;

/* The reduced axes as one; false if they are not constant or others lie between them. */
static bool extent_of(const hn_task *t, extent *e) {
  const hn_arg *in = &t->in[0];
  bool reduced[HN_MAX_RANK] = {false};
  bool given = t->node->n_main > 1 && t->in[1].present;
  const hn_tensor *axes = given ? t->in[1].constant : NULL;
  if (given && !axes) return false;
  if (!given || axes->count == 0) {
    if (hn_attr_i(t->node, "noop_with_empty_axes", 0)) return false;
    for (int32_t i = 0; i < in->rank; i++) reduced[i] = true;
  } else {
    for (int64_t i = 0; i < axes->count; i++) {
      int32_t a;
      if (!hn_axis(hn_tensor_i(axes, (size_t)i), in->rank, &a)) return false;
      reduced[a] = true;
    }
  }
  int32_t i = 0;
  *e = (extent){1, 1, 1};
  for (; i < in->rank && (!reduced[i] || in->dims[i] == 1); i++) e->outer *= in->dims[i];
  for (; i < in->rank && (reduced[i] || in->dims[i] == 1); i++) e->n *= in->dims[i];
  for (; i < in->rank && (!reduced[i] || in->dims[i] == 1); i++) e->inner *= in->dims[i];
  return i == in->rank && e->n > 0;
}

bool reduce_vec_supports(const hn_task *t) {
  extent e;
  return t->device && t->in[0].dtype == HONE_DTYPE_F32 && extent_of(t, &e);
}

hone_status reduce_vec_plan(hn_task *t) {
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_PLAIN;
  if (t->node->n_main > 1) t->in[1].unused = true;
  return HONE_OK;
}

typedef struct reduction {
  const hn_vec *vec;
  const float *in;
  float *out;
  extent e;
  hn_op op;
} reduction;

/* Rows of `inner` elements, one on top of the other. */
static void reduce_columns(const reduction *r, const float *x, float *d) {
  size_t inner = (size_t)r->e.inner;
  memcpy(d, x, sizeof *d * inner);
  for (int64_t k = 1; k < r->e.n; k++) {
    const float *row = x + (size_t)k * inner;
    if (r->op == HN_ReduceMax) r->vec->binary[HN_Max](d, d, row, inner);
    else r->vec->accumulate(d, row, inner);
  }
  if (r->op == HN_ReduceMean) r->vec->right[HN_Mul](d, d, 1.0f / (float)r->e.n, inner);
}

static float reduce_run(const reduction *r, const float *x) {
  size_t n = (size_t)r->e.n;
  switch (r->op) {
    case HN_ReduceMax: return r->vec->max(x, n);
    case HN_ReduceMean: return r->vec->sum(x, n) / (float)r->e.n;
    default: return r->vec->sum(x, n);
  }
}

static void run_outer(void *arg, int64_t begin, int64_t end) {
  const reduction *r = arg;
  for (int64_t o = begin; o < end; o++) {
    const float *x = r->in + (size_t)(o * r->e.n * r->e.inner);
    if (r->e.inner == 1) r->out[o] = reduce_run(r, x);
    else reduce_columns(r, x, r->out + (size_t)(o * r->e.inner));
  }
}

hone_status reduce_vec_run(hn_exec *x) {
  const hn_task *t = x->task;
  reduction r = {.vec = t->device->vec, .in = x->in[0].data, .out = x->out[0].data, .op = t->node->op};
  if (!extent_of(t, &r.e)) return hn_xfail(x, HONE_BAD_GRAPH, "its axes changed");
  if (r.e.inner > 0) hn_parallel_for(x->threads, r.e.outer, GRAIN / (r.e.n * r.e.inner) + 1, run_outer, &r);
  return HONE_OK;
}

void reduce_vec_destroy(hn_task *t) { (void)t; }
