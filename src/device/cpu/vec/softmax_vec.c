/* softmax_vec.c - Softmax and LogSoftmax: along rows, where the axis' elements lie next to one another, else of columns side by side. */
#include <math.h>
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/row_floats.h"
#include "op/infer.h"

enum { GRAIN = 8192, PIECE = 1024 };

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
  if (!t->device || !a->present || a->rank < 1 || !axis_of(t, &axis)) return false;
  if (a->dtype == HONE_DTYPE_F32 && t->out[0].dtype == HONE_DTYPE_F32) return true;
  return !a->dynamic && innermost(HN_LAYOUT_PLAIN, a, axis) && hn_rows_are_floats(t, a->dims[axis]);
}

hone_status softmax_vec_plan(hn_task *t) {
  hn_arg *a = &t->in[0];
  int32_t axis;
  if (!axis_of(t, &axis)) return HONE_UNSUPPORTED;
  a->layout = t->out[0].layout = a->dtype == t->out[0].dtype && innermost(a->layout, a, axis) ? a->layout : HN_LAYOUT_PLAIN;
  if (a->may_overwrite && a->dtype == t->out[0].dtype) t->inplace = 0;
  return HONE_OK;
}

typedef struct rows {
  const hn_vec *vec;
  hn_row_form from, to;
  const void *in;
  void *out;
  size_t n;
  bool logarithm;
  int64_t inner, pieces; /* of columns: how many lie side by side, and the pieces they are cut in */
} rows;

static void run_rows(void *arg, int64_t begin, int64_t end) {
  const rows *r = arg;
  float room[HN_ROW_MOST], e[PIECE];
  for (int64_t i = begin; i < end; i++) {
    const float *x = hn_row_read(&r->from, r->in, (size_t)i, r->n, room);
    float *d = hn_row_begin(&r->to, r->out, (size_t)i, r->n, room), largest = r->vec->max(x, r->n), sum = 0;
    if (!r->logarithm) {
      sum = r->vec->exp_sum(d, x, r->n, largest);
      r->vec->right[HN_Mul](d, d, 1.0f / sum, r->n);
      hn_row_end(&r->to, r->out, (size_t)i, r->n, room);
      continue;
    }
    for (size_t at = 0; at < r->n; at += PIECE) sum += r->vec->exp_sum(e, x + at, r->n - at < PIECE ? r->n - at : PIECE, largest);
    r->vec->right[HN_Sub](d, x, largest, r->n);
    r->vec->right[HN_Sub](d, d, logf(sum), r->n);
    hn_row_end(&r->to, r->out, (size_t)i, r->n, room);
  }
}

static void run_piece(const rows *r, const float *x, float *d, size_t n) {
  float largest[PIECE], sum[PIECE] = {0}, e[PIECE];
  memcpy(largest, x, sizeof *x * n);
  for (size_t k = 1; k < r->n; k++) r->vec->binary[HN_Max](largest, largest, x + (int64_t)k * r->inner, n);
  for (size_t k = 0; k < r->n; k++) {
    float *to = d + (int64_t)k * r->inner, *power = r->logarithm ? e : to;
    r->vec->binary[HN_Sub](to, x + (int64_t)k * r->inner, largest, n);
    r->vec->unary[HN_Exp](power, to, n, 0, 0);
    r->vec->accumulate(sum, power, n);
  }
  r->vec->unary[r->logarithm ? HN_Log : HN_Reciprocal](sum, sum, n, 0, 0);
  for (size_t k = 0; k < r->n; k++) {
    float *to = d + (int64_t)k * r->inner;
    r->vec->binary[r->logarithm ? HN_Sub : HN_Mul](to, to, sum, n);
  }
}

static void run_columns(void *arg, int64_t begin, int64_t end) {
  const rows *r = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t column = i % r->pieces * PIECE, at = i / r->pieces * (int64_t)r->n * r->inner + column;
    run_piece(r, (const float *)r->in + at, (float *)r->out + at, (size_t)hn_smaller(PIECE, r->inner - column));
  }
}

hone_status softmax_vec_run(hn_exec *x) {
  const hn_task *t = x->task;
  int32_t axis;
  if (!axis_of(t, &axis)) return hn_xfail(x, HONE_BAD_GRAPH, "axis out of range");
  int64_t n = t->in[0].dims[axis];
  rows r = {.vec = t->device->vec, .from = hn_row_form_of(t, &t->in[0]), .to = hn_row_form_of(t, &t->out[0]), .in = x->in[0].data,
            .out = x->out[0].data, .n = (size_t)n, .logarithm = t->node->op == HN_LogSoftmax, .inner = 1, .pieces = 1};
  if (n < 1 || !x->out[0].count) return HONE_OK;
  for (int32_t i = axis + 1; i < t->in[0].rank && t->in[0].layout == HN_LAYOUT_PLAIN; i++) r.inner *= t->in[0].dims[i];
  r.pieces = hn_ceil_div(r.inner, PIECE);
  if (r.inner == 1) hn_parallel_for(x->threads, x->out[0].count / n, GRAIN / n + 1, run_rows, &r);
  else hn_parallel_for(x->threads, x->out[0].count / n / r.inner * r.pieces, GRAIN / (n * hn_smaller(r.inner, PIECE)) + 1, run_columns, &r);
  return HONE_OK;
}

void softmax_vec_destroy(hn_task *t) { (void)t; }
