/* softmax_vec.c - Softmax and LogSoftmax along the axis whose elements lie next to one another. */
#include <math.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "op/infer.h"

enum { GRAIN = 8192 };

/* The axis is the innermost of the layout, but for dimensions of one element. */
static bool innermost(hn_layout l, const hn_arg *a, int32_t axis) {
  if (l == HN_LAYOUT_NHWC) return axis == 1;
  for (int32_t i = axis + 1; i < a->rank; i++)
    if (a->dims[i] != 1) return false;
  return l == HN_LAYOUT_PLAIN;
}

static bool axis_of(const hn_task *t, int32_t *axis) { return hn_axis(hn_attr_i(t->node, "axis", -1), t->in[0].rank, axis); }

bool softmax_vec_supports(const hn_task *t) {
  const hn_arg *a = &t->in[0];
  int32_t axis;
  return t->device && a->dtype == HONE_DTYPE_F32 && a->rank > 0 && axis_of(t, &axis) &&
         (innermost(a->layout, a, axis) || innermost(HN_LAYOUT_PLAIN, a, axis) || (axis == 1 && a->rank > 2 && a->rank < 6));
}

hone_status softmax_vec_plan(hn_task *t) {
  hn_arg *a = &t->in[0];
  int32_t axis;
  if (!axis_of(t, &axis)) return HONE_UNSUPPORTED;
  hn_layout l = innermost(a->layout, a, axis) ? a->layout : innermost(HN_LAYOUT_PLAIN, a, axis) ? HN_LAYOUT_PLAIN : HN_LAYOUT_NHWC;
  a->layout = t->out[0].layout = l;
  if (a->may_overwrite) t->inplace = 0;
  return HONE_OK;
}

typedef struct rows {
  const hn_vec *vec;
  const float *in;
  float *out;
  size_t n;
  bool logarithm;
} rows;

static void run_rows(void *arg, int64_t begin, int64_t end) {
  const rows *r = arg;
  for (int64_t i = begin; i < end; i++) {
    const float *x = r->in + (size_t)i * r->n;
    float *d = r->out + (size_t)i * r->n, largest = r->vec->max(x, r->n);
    if (!r->logarithm) {
      float sum = r->vec->exp_sum(d, x, r->n, largest);
      r->vec->right[HN_Mul](d, d, 1.0f / sum, r->n);
      continue;
    }
    double sum = 0;
    for (size_t k = 0; k < r->n; k++) sum += exp((double)(x[k] - largest));
    r->vec->right[HN_Sub](d, x, largest, r->n);
    r->vec->right[HN_Sub](d, d, (float)log(sum), r->n);
  }
}

hone_status softmax_vec_run(hn_exec *x) {
  const hn_task *t = x->task;
  int32_t axis;
  if (!axis_of(t, &axis)) return hn_xfail(x, HONE_BAD_GRAPH, "axis out of range");
  int64_t n = t->in[0].dims[axis];
  rows r = {t->device->vec, x->in[0].data, x->out[0].data, (size_t)n, t->node->op == HN_LogSoftmax};
  if (n > 0) hn_parallel_for(x->threads, x->out[0].count / n, GRAIN / n + 1, run_rows, &r);
  return HONE_OK;
}

void softmax_vec_destroy(hn_task *t) { (void)t; }
