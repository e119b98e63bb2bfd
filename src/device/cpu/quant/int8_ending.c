#include "device/cpu/quant/int8_ending.h"

#include <math.h>
#include <string.h>

#include "device/cpu/quant/int8_tail.h"
#include "op/scalar.h"

typedef struct chain {
  const hn_task *t;
  const hn_step *steps;
  uint32_t n;
  double scale;      /* of a step of the output */
  double low, high;  /* the output's limits in steps, less the zero point */
  double least, most; /* what the steps may be given, as reals */
} chain;

static bool is_bound(const hn_step *s) { return s->op == HN_Relu || s->op == HN_Clip; }

static double limited(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

/* A step whose operand is one number, known now: a function of one tensor too. */
static bool with_number(const hn_task *t, const hn_step *s, double *number) {
  const hn_tensor *v = s->operand == HN_NONE ? NULL : t->in[s->operand].constant;
  if (!v || v->count != 1 || v->dtype != HONE_DTYPE_F32 || v->rank > t->out[0].rank || (s->op != HN_Add && s->op != HN_Sub && s->op != HN_Mul)) return false;
  *number = hn_tensor_f(v, 0);
  return isfinite(*number);
}

static bool of_one_tensor(const hn_task *t, const hn_step *s) {
  double number;
  return s->operand == HN_NONE || with_number(t, s, &number);
}

static double step(const chain *c, const hn_step *s, double x) {
  double number;
  if (with_number(c->t, s, &number)) return hn_scalar_binary(s->op, s->swapped ? number : x, s->swapped ? x : number);
  return hn_scalar_unary(s->op, x, (double)s->alpha, (double)s->beta);
}

/* What the output is for a result x, in steps, before it is limited. */
static double value(const chain *c, double x) {
  for (uint32_t i = 0; i < c->n; i++) x = step(c, &c->steps[i], x);
  return x / c->scale;
}

static double output(const chain *c, double x) { return limited(value(c, x), c->low, c->high); }

/* Narrows the limits by the bounds among steps from `i` on; false if there is another step. */
static bool take_bounds(const chain *c, uint32_t i, hn_int8_ending *e) {
  double low = c->low, high = c->high;
  for (; i < c->n; i++) {
    if (!is_bound(&c->steps[i])) return false;
    double a = c->steps[i].op == HN_Relu ? 0 : (double)c->steps[i].alpha / c->scale;
    double b = c->steps[i].op == HN_Relu ? INFINITY : (double)c->steps[i].beta / c->scale;
    low = limited(low, a, b);
    high = limited(high, a, b);
  }
  e->lo = (float)low;
  e->hi = (float)high;
  return true;
}

const hn_arg *hn_int8_bias_of(const hn_task *t, uint32_t *steps) {
  const hn_node *n = t->node;
  const hn_arg *o = &t->out[0];
  *steps = 0;
  if (n->n_main > 2 && t->in[2].present) return &t->in[2];
  if (n->op != HN_MatMul || !n->n_post || n->post[0].op != HN_Add || n->post[0].operand == HN_NONE) return NULL;
  const hn_arg *a = &t->in[n->post[0].operand];
  if (!a->constant || a->dtype != HONE_DTYPE_F32 || a->rank > o->rank || a->constant->count < 2 || a->dims[a->rank - 1] != a->constant->count ||
      a->constant->count != o->dims[o->rank - 1])
    return NULL;
  *steps = 1;
  return a;
}

/* ---- the range of results */

static int32_t channel_axis(const hn_node *n) { return n->op == HN_Conv || (n->op == HN_Gemm && hn_attr_i(n, "transB", 0)) ? 0 : 1; }

/* Whatever the activations: the extremes over all channels. */
static hone_status find_reach(const hn_task *t, chain *c) {
  const hn_arg *x = &t->in[0], *w = &t->in[1];
  int32_t axis = channel_axis(t->node);
  int64_t n = w->dims[axis], inner = 1, first = (x->dtype == HONE_DTYPE_I8 ? -128 : 0) - x->quant->zero;
  uint32_t steps;
  const hn_arg *row = hn_int8_bias_of(t, &steps);
  const hn_tensor *bias = row ? row->constant : NULL;
  int64_t *low = hn_calloc((size_t)(2 * n), sizeof *low), *high = low + n;
  if (!low) return hn_nomem(t->cx);
  for (int32_t i = axis + 1; i < w->rank; i++) inner *= w->dims[i];
  for (int64_t i = 0; i < w->constant->count; i++) {
    int64_t v = ((const int8_t *)w->constant->data)[i], at = i / inner % n;
    low[at] += v * (v < 0 ? first + 255 : first);
    high[at] += v * (v < 0 ? first : first + 255);
  }
  c->least = INFINITY, c->most = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    double unit = (double)hn_int8_unit(t, i), b = bias ? hn_tensor_f(bias, bias->count > 1 ? (size_t)i : 0) : 0;
    c->least = fmin(c->least, (double)low[i] * unit + b);
    c->most = fmax(c->most, (double)high[i] * unit + b);
  }
  hn_free(low);
  return HONE_OK;
}

void hn_int8_range(const hn_arg *a, double *low, double *high) {
  bool bytes = hn_is_8bit(a->dtype) && a->quant && !a->quant->scales;
  *low = bytes ? ((a->dtype == HONE_DTYPE_I8 ? -128 : 0) - a->quant->zero) * (double)a->quant->scale : -INFINITY;
  *high = bytes ? *low + 255 * (double)a->quant->scale : INFINITY;
}

/* What is added beside. */
static void widen_reach(const hn_arg *a, chain *c) {
  double low, high;
  hn_int8_range(a, &low, &high);
  c->least += low;
  c->most += high;
}

/* ---- any smooth function, piece by piece */

/* From where on, going from 0 to `far`, the output is as good as it is there. */
static double settled(const chain *c, double far) {
  double last = output(c, far), from = far;
  for (int i = 1; i < 400 && fabs(output(c, from) - last) <= 1 / 64.0; i++) from = far * pow(0.955, i);
  return from / 0.955;
}

/* A quadratic through three points of each piece; d is told from the middle of the piece, which is 1 wide. */
static void fit_piece(const chain *c, double begin, double width, int i, hn_int8_ending *e) {
  const double at = 0.4330127; /* where the error is spread evenly */
  double y[3];
  for (int k = 0; k < 3; k++) y[k] = value(c, begin + (i + 0.5 + (k - 1) * at) * width);
  e->curve[0][i] = (float)y[1];
  e->curve[1][i] = (float)((y[2] - y[0]) / (2 * at));
  e->curve[2][i] = (float)((y[2] + y[0] - 2 * y[1]) / (2 * at * at));
}

static bool fits(const chain *c, double begin, double width, const hn_int8_ending *e) {
  enum { SAMPLES = 16 };
  const double allowed = 0.1; /* of a step */
  for (int i = 0; i < HN_INT8_PIECES * SAMPLES; i++) {
    double t = (i + 0.5) / SAMPLES - 0.5;
    int k = (int)rint(t) < HN_INT8_PIECES ? (int)rint(t) : HN_INT8_PIECES - 1;
    double d = t - k, y = ((double)e->curve[2][k] * d + (double)e->curve[1][k]) * d + (double)e->curve[0][k];
    if (!(fabs(limited(y, c->low, c->high) - output(c, begin + (t + 0.5) * width)) <= allowed)) return false;
  }
  return true;
}

/* Steps that floats do exactly: a curve, however near, would take a tie the other way. */
static bool exact(const chain *c) {
  for (uint32_t i = 0; i < c->n; i++)
    if (!is_bound(&c->steps[i]) && c->steps[i].operand == HN_NONE && c->steps[i].op != HN_Abs && c->steps[i].op != HN_Neg && c->steps[i].op != HN_LeakyRelu) return false;
  return true;
}

static bool curve(const chain *c, hn_int8_way_out *w) {
  const double far = 1e5;
  double begin = limited(settled(c, -far), c->least, c->most), end = limited(settled(c, far), c->least, c->most);
  double width = (end - begin) / HN_INT8_PIECES;
  hn_int8_ending *e = &w->ending;
  if (exact(c) || !(width > 0) || !isfinite(width)) return false;
  e->function = HN_INT8_CURVE;
  for (int i = 0; i < HN_INT8_PIECES; i++) fit_piece(c, begin, width, i, e);
  e->lo = -0.49f;
  e->hi = HN_INT8_PIECES - 0.51f;
  w->by = 1 / width;
  w->shift = -begin / width - 0.5;
  return fits(c, begin, width, e);
}

/* ---- the function of unary steps */

static bool only_bounds(const chain *c) {
  for (uint32_t i = 0; i < c->n; i++)
    if (!is_bound(&c->steps[i])) return false;
  return true;
}

/* Multiplied and added numbers from step i on, as result * by + plus; how many they are. */
static uint32_t take_numbers(const chain *c, uint32_t i, double *by, double *plus) {
  uint32_t first = i;
  *by = 1, *plus = 0;
  for (double zero, one; i < c->n && c->steps[i].operand != HN_NONE; i++) {
    zero = step(c, &c->steps[i], 0);
    one = step(c, &c->steps[i], 1);
    *plus = *plus * (one - zero) + zero;
    *by *= one - zero;
  }
  return i - first;
}

static bool function_of_rest(const chain *c, hn_int8_way_out *w) {
  hn_int8_ending *e = &w->ending;
  const hn_step *s = c->steps;
  double by, plus;
  w->by = 1 / c->scale;
  w->shift = 0;
  e->function = HN_INT8_BOUNDS;
  if (take_bounds(c, 0, e)) return true; /* it narrows the limits meanwhile; what follows starts over */
  uint32_t numbers = take_numbers(c, 1, &by, &plus);
  if (!take_bounds(c, 1 + numbers, e)) return curve(c, w);
  if (numbers && (s->op != HN_HardSwish || !(by > 0))) return curve(c, w);
  switch (s->op) {
    case HN_LeakyRelu:
      e->function = HN_INT8_LEAKY;
      e->a = s->alpha - 1;
      return true;
    case HN_HardSigmoid:
      e->lo = (float)limited((double)e->lo, 0, 1 / c->scale);
      e->hi = (float)limited((double)e->hi, 0, 1 / c->scale);
      w->by = (double)s->alpha / c->scale;
      w->shift = (double)s->beta / c->scale;
      return true;
    case HN_HardSwish:
      e->function = HN_INT8_HARDSWISH;
      w->by = 1;
      e->a = (float)(by / (6 * c->scale));
      e->b = (float)(by * 0.5 / c->scale);
      e->c = (float)(by / c->scale);
      e->d = (float)(plus / c->scale);
      return true;
    default: return curve(c, w);
  }
}

/* Numbers that come first scale what the function is given. */
static bool function_of(const chain *c, hn_int8_way_out *w) {
  chain rest = *c;
  double by, plus;
  uint32_t numbers = take_numbers(c, 0, &by, &plus);
  if (!numbers) return function_of_rest(c, w);
  if (by == 0) return false;
  rest.steps += numbers;
  rest.n -= numbers;
  rest.least = fmin(c->least * by, c->most * by) + plus;
  rest.most = fmax(c->least * by, c->most * by) + plus;
  if (!function_of_rest(&rest, w)) return false;
  w->shift += w->by * plus;
  w->by *= by;
  return true;
}

static bool take_residual(hn_task *t, const hn_step *s, hn_layout l, hn_int8_way_out *w) {
  if (s->op != HN_Add || s->operand == HN_NONE) return false;
  hn_arg *a = &t->in[s->operand];
  const hn_arg *o = &t->out[0];
  bool bytes = hn_arg_is_bytes(a);
  if (!a->present || a->dynamic || (!bytes && a->dtype != HONE_DTYPE_F32) || !hn_same_dims(a, o)) return false;
  w->residual = s->operand;
  w->residual_type = !bytes ? HN_INT8_RESIDUAL_F32 : a->dtype == HONE_DTYPE_I8 ? HN_INT8_RESIDUAL_I8 : HN_INT8_RESIDUAL_U8;
  w->residual_scale = bytes ? (double)a->quant->scale : 1;
  w->residual_zero = bytes ? a->quant->zero : 0;
  a->layout = l;
  if (a->may_overwrite && a->dtype == o->dtype) t->inplace = (int)s->operand;
  return true;
}

static chain begin(const hn_task *t, hn_int8_way_out *w) {
  const hn_quant *q = t->out[0].quant;
  bool is_signed = t->out[0].dtype == HONE_DTYPE_I8;
  *w = (hn_int8_way_out){.residual = HN_NONE, .by = 1, .ending = {.to_float = !q, .is_signed = is_signed, .zero = q ? q->zero : 0}};
  chain c = {.t = t, .scale = q ? (double)q->scale : 1, .low = -INFINITY, .high = INFINITY, .least = -INFINITY, .most = INFINITY};
  if (q) {
    c.low = (is_signed ? -128 : 0) - q->zero;
    c.high = c.low + 255;
  }
  return c;
}

bool hn_int8_function_of(const hn_task *t, const hn_step *steps, uint32_t n, double least, double most, hn_int8_way_out *w) {
  chain c = begin(t, w);
  c.steps = steps;
  c.n = n;
  c.least = least;
  c.most = most;
  for (uint32_t i = 0; i < n; i++)
    if (!of_one_tensor(t, &steps[i])) return false;
  return t->out[0].quant && function_of(&c, w);
}

bool hn_int8_way_out_take(hn_task *t, hn_layout l, bool residual, hn_int8_way_out *w) {
  const hn_quant *q = t->out[0].quant;
  const hn_node *n = t->node;
  chain c = begin(t, w);
  uint32_t bias, taken;
  (void)hn_int8_bias_of(t, &bias);
  bool added = n->n_post > bias && !of_one_tensor(t, &n->post[bias]);
  uint32_t first = bias + added;
  for (taken = first; taken < n->n_post && of_one_tensor(t, &n->post[taken]);) taken++;
  c.steps = n->post + first;
  c.n = taken - first;
  if (!q)
    for (c.n = 0; first + c.n < taken && is_bound(&c.steps[c.n]);) c.n++;
  if (q && taken < n->n_post) return false;
  if (!only_bounds(&c)) {
    if (find_reach(t, &c)) return false;
    if (added) widen_reach(&t->in[n->post[bias].operand], &c);
  }
  if (!function_of(&c, w)) return false;
  t->fused = first + c.n;
  if (added && !(residual && take_residual(t, &n->post[bias], l, w))) {
    if (q) return false;
    c.n = 0; /* what comes behind the operand waits, too */
    t->fused = bias;
    if (!function_of(&c, w)) return false;
  }
  for (uint32_t i = 0; i < t->fused; i++)
    if (n->post[i].operand != HN_NONE && n->post[i].operand != w->residual) t->in[n->post[i].operand].unused = true;
  return true;
}

void hn_int8_way_out_settle(hn_int8_way_out *w, const float *unit, const float *bias, int64_t n) {
  hn_int8_ending *e = &w->ending;
  const float low = (float)((e->is_signed ? -128 : 0) - e->zero);
  const double most = 1 << 29; /* of a sum of 32 bits times its unit, of the bias, of what is added: together they are below 2^31 */
  bool settled = e->function == HN_INT8_BOUNDS && !e->to_float && e->lo < low + 0.5F && e->hi > low + 254.5F;
  settled = settled && (w->residual == HN_NONE || (w->residual_type != HN_INT8_RESIDUAL_F32 && 255 * fabs(w->residual_scale * w->by) <= most));
  for (int64_t i = 0; i < n && settled; i++) settled = 2147483648.0 * fabs((double)unit[i]) <= most && fabs((double)bias[i]) <= most;
  if (settled) e->function = HN_INT8_BYTES;
}
