/* reals_ref.c - the reference of a node whose inputs or output are integers in the place of real numbers: dequantized,
   computed by the reference of its operator and of its epilogue, quantized. */
#include <math.h>
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/cpu/ref/broadcast.h"

bool hn_takes_reals(const hn_task *t) {
  if (hn_op_is(t->node->op, HN_OP_MOVE) || t->node->op == HN_MaxPool || t->node->op == HN_GlobalMaxPool) return false;
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].present && t->in[i].quant) return true;
  return t->n_out && t->out[0].present && t->out[0].quant;
}

typedef struct reals {
  hn_exec *x;
  hn_view *in, out;
} reals;

static double scale_at(const hn_quant *q, const hn_view *v, int64_t i) {
  if (!q->scales) return (double)q->scale;
  int64_t inner = 1;
  for (int32_t k = q->axis + 1; k < v->rank; k++) inner *= v->dims[k];
  if (q->block) {
    int64_t n = v->dims[q->axis], groups = (n + q->block - 1) / q->block;
    return hn_tensor_f(q->scales, (size_t)((i / inner / n * groups + i / inner % n / q->block) * inner + i % inner));
  }
  return hn_tensor_f(q->scales, (size_t)(i / inner % v->dims[q->axis]));
}

static hone_status dequantize(const hn_exec *x, const hn_quant *q, const hn_view *from, hn_view *to) {
  *to = *from;
  to->dtype = HONE_DTYPE_F32;
  float *d = to->data = hn_malloc_aligned(sizeof(float) * (size_t)from->count);
  if (!d) return hn_nomem(x->cx);
  for (int64_t i = 0; i < from->count; i++)
    d[i] = (float)(hn_load_f64(from->dtype, from->data, (size_t)i) - q->zero) * (float)scale_at(q, from, i);
  return HONE_OK;
}

static void quantize(const hn_quant *q, const hn_view *from, const hn_view *to) {
  const float *v = from->data;
  double low = to->dtype == HONE_DTYPE_I8 ? -128 : 0, high = to->dtype == HONE_DTYPE_I8 ? 127 : 255;
  for (int64_t i = 0; i < from->count; i++) {
    double r = isnan(v[i]) ? q->zero : rint((double)(v[i] / q->scale)) + q->zero;
    hn_store_f64(to->dtype, to->data, (size_t)i, r < low ? low : r > high ? high : r);
  }
}

/* The output as the operator's reference sees it. */
static hone_status give_output(hn_exec *y, uint32_t i, hn_dtype dtype, int32_t rank, const int64_t *dims) {
  reals *r = y->user;
  const hn_arg *o = &r->x->task->out[i];
  if (!o->quant) {
    HN_TRY(r->x->output(r->x, i, dtype, rank, dims));
    y->out[i] = r->x->out[i];
    return HONE_OK;
  }
  HN_TRY(r->x->output(r->x, i, o->dtype, rank, dims));
  hn_free_aligned(r->out.data);
  r->out = r->x->out[i];
  r->out.dtype = HONE_DTYPE_F32;
  r->out.data = hn_malloc_aligned(sizeof(float) * (size_t)r->out.count);
  y->out[i] = r->out;
  return r->out.data ? HONE_OK : hn_nomem(y->cx);
}

static hone_status reals_plan(hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < t->n_out; i++) t->out[i].layout = HN_LAYOUT_PLAIN;
  t->fused = t->node->n_post;
  return HONE_OK;
}

static hone_status reals_run(hn_exec *x) {
  const hn_task *t = x->task;
  reals r = {.x = x};
  hn_exec y = *x;
  hn_view *views = hn_calloc((size_t)x->n_in + x->n_out, sizeof *views);
  if (!views) return hn_nomem(x->cx);
  y.in = r.in = views;
  y.out = views + x->n_in;
  y.output = give_output;
  y.user = &r;
  hone_status st = HONE_OK;
  memcpy(y.in, x->in, sizeof *y.in * x->n_in);
  for (uint32_t i = 0; i < x->n_in && !st; i++)
    if (t->in[i].present && t->in[i].quant) st = dequantize(x, t->in[i].quant, &x->in[i], &y.in[i]);
  if (!st) st = hn_kernel_ref(t->node->op)->run(&y);
  if (!st && t->node->n_post) st = hn_apply_epilogue_ref(&y);
  if (!st && t->out[0].quant) quantize(t->out[0].quant, &y.out[0], &x->out[0]);
  for (uint32_t i = 0; i < x->n_in; i++)
    if (t->in[i].present && t->in[i].quant && y.in[i].data != x->in[i].data) hn_free_aligned(y.in[i].data);
  hn_free_aligned(r.out.data);
  hn_free(views);
  return st;
}

const hn_kernel hn_reals_kernel = {.name = "hk_reals_ref", .op = HN_Identity, .plan = reals_plan, .run = reals_run};
