/* lower_arith.c - element by element: functions, arithmetic, comparisons, choices. */
#include <math.h>
#include <string.h>

#include "format/tensorflow/tf_lower.h"

static hn_id num(tf_lower *x, hn_id like, double v) { return hn_make_scalar(&x->m, hn_make_type(&x->m, like), v); }
static hn_id op1(tf_lower *x, hn_op op, hn_id a) { return hn_make1(&x->m, op, a); }
static hn_id op2(tf_lower *x, hn_op op, hn_id a, hn_id b) { return hn_make2(&x->m, op, a, b); }

void hn_tf_lower_unary(tf_lower *x) { hn_tf_out(x, 0, op1(x, x->op, hn_tf_in(x, 0))); }

void hn_tf_lower_cast(tf_lower *x) {
  hn_dtype to = hn_tf_attr_type(x, "DstT");
  if (!to || !hone_dtype_size(to)) hn_tf_fail(x, HONE_UNSUPPORTED, "it converts to a type that is not supported");
  hn_tf_out(x, 0, hn_make_cast(&x->m, hn_tf_in(x, 0), to));
}

void hn_tf_lower_erfc(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0);
  hn_tf_out(x, 0, op2(x, HN_Sub, num(x, a, 1), op1(x, HN_Erf, a)));
}

void hn_tf_lower_expm1(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0);
  hn_tf_out(x, 0, op2(x, HN_Sub, op1(x, HN_Exp, a), num(x, a, 1)));
}

void hn_tf_lower_log1p(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0);
  hn_tf_out(x, 0, op1(x, HN_Log, op2(x, HN_Add, a, num(x, a, 1))));
}

void hn_tf_lower_is_finite(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0);
  hn_tf_out(x, 0, op1(x, HN_Not, op2(x, HN_Or, op1(x, HN_IsInf, a), op1(x, HN_IsNaN, a))));
}

void hn_tf_lower_leaky_relu(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0), node = hn_make_node(&x->m, HN_LeakyRelu, &a, 1, 1);
  if (!x->m.st) hn_set_f(x->m.g, node, "alpha", hn_tf_attr_f(x, "alpha", 0.2f));
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

void hn_tf_lower_relu6(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0);
  hn_id in[3] = {a, num(x, a, 0), num(x, a, 6)};
  hn_tf_out(x, 0, hn_make_done(&x->m, hn_make_node(&x->m, HN_Clip, in, 3, 1)));
}

void hn_tf_lower_clip_by_value(tf_lower *x) {
  hn_id low = op2(x, HN_Min, hn_tf_in(x, 0), hn_tf_in(x, 2));
  hn_tf_out(x, 0, op2(x, HN_Max, low, hn_tf_in(x, 1)));
}

void hn_tf_lower_rsqrt(tf_lower *x) { hn_tf_out(x, 0, op1(x, HN_Reciprocal, op1(x, HN_Sqrt, hn_tf_in(x, 0)))); }

void hn_tf_lower_square(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0);
  hn_tf_out(x, 0, op2(x, HN_Mul, a, a));
}

void hn_tf_lower_softmax(tf_lower *x) { hn_tf_out(x, 0, hn_tf_node1(x, x->op, hn_tf_in(x, 0), "axis", -1)); }

void hn_tf_lower_like(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0);
  hn_id value = num(x, a, strcmp(x->n->op, "OnesLike") == 0);
  hn_tf_out(x, 0, op2(x, HN_Expand, value, hn_tf_shape_op(x, a, 0, INT64_MAX)));
}

void hn_tf_lower_binary(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0), b = hn_tf_in(x, 1);
  hn_tf_out(x, 0, op2(x, x->op, a, b));
}

void hn_tf_lower_sum_all(tf_lower *x) {
  hn_id *in = hn_arena_alloc(x->s->im->arena, sizeof *in * (x->n_in + 1));
  if (!in) x->m.st = hn_nomem(x->s->im->cx);
  for (uint32_t i = 0; i < x->n_in && !x->m.st; i++) in[i] = hn_tf_in(x, i);
  if (x->n_in == 1) hn_tf_out(x, 0, hn_tf_in(x, 0));
  else hn_tf_out(x, 0, hn_make_done(&x->m, hn_make_node(&x->m, HN_Sum, in, x->n_in, 1)));
}

void hn_tf_lower_bias_add(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0), b = hn_tf_in(x, 1);
  int32_t rank = hn_tf_shape_of(x, a).rank;
  if (!hn_tf_channels_last(x) && rank > 2) {
    int64_t dims[HN_MAX_RANK] = {-1, 1, 1, 1, 1, 1, 1, 1};
    b = hn_make_reshape(&x->m, b, dims, (size_t)rank - 1);
  }
  hn_tf_out(x, 0, op2(x, HN_Add, a, b));
}

void hn_tf_lower_no_nan(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0), b = hn_tf_in(x, 1), zero = num(x, b, 0);
  hn_tf_out(x, 0, hn_tf_where(x, op2(x, HN_Equal, b, zero), zero, op2(x, x->op, a, b)));
}

/* The remainder with the sign of the divisor. */
static hn_id floor_mod(tf_lower *x, hn_id a, hn_id b) {
  if (!hn_is_float(hn_make_type(&x->m, a))) return op2(x, HN_Mod, a, b);
  hn_id node = hn_make_node(&x->m, HN_Mod, (hn_id[]){a, b}, 2, 1);
  if (!x->m.st) hn_set_i(x->m.g, node, "fmod", 1);
  hn_id r = hn_make_done(&x->m, node), zero = num(x, a, 0);
  hn_id signs = op2(x, HN_Xor, op2(x, HN_Less, b, zero), op2(x, HN_Less, r, zero));
  hn_id wrong = op2(x, HN_And, op1(x, HN_Not, op2(x, HN_Equal, r, zero)), signs);
  return hn_tf_where(x, wrong, op2(x, HN_Add, r, b), r);
}

void hn_tf_lower_floor_mod(tf_lower *x) { hn_tf_out(x, 0, floor_mod(x, hn_tf_in(x, 0), hn_tf_in(x, 1))); }

void hn_tf_lower_truncate_mod(tf_lower *x) {
  hn_id in[2] = {hn_tf_in(x, 0), hn_tf_in(x, 1)}, node = hn_make_node(&x->m, HN_Mod, in, 2, 1);
  if (!x->m.st) hn_set_i(x->m.g, node, "fmod", 1);
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

void hn_tf_lower_floor_div(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0), b = hn_tf_in(x, 1);
  if (hn_is_float(hn_make_type(&x->m, a))) hn_tf_out(x, 0, op1(x, HN_Floor, op2(x, HN_Div, a, b)));
  else hn_tf_out(x, 0, op2(x, HN_Div, op2(x, HN_Sub, a, floor_mod(x, a, b)), b));
}

void hn_tf_lower_not_equal(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0), b = hn_tf_in(x, 1);
  hn_tf_out(x, 0, op1(x, HN_Not, op2(x, HN_Equal, a, b)));
}

void hn_tf_lower_squared_difference(tf_lower *x) {
  hn_id d = op2(x, HN_Sub, hn_tf_in(x, 0), hn_tf_in(x, 1));
  hn_tf_out(x, 0, op2(x, HN_Mul, d, d));
}

/* Select of version 1: a condition of one dimension chooses whole rows. */
void hn_tf_lower_select(tf_lower *x) {
  hn_id c = hn_tf_in(x, 0), a = hn_tf_in(x, 1), b = hn_tf_in(x, 2);
  int32_t rank = hn_tf_shape_of(x, a).rank;
  if (strcmp(x->n->op, "Select") == 0 && hn_tf_shape_of(x, c).rank == 1 && rank > 1) {
    int64_t dims[HN_MAX_RANK] = {-1, 1, 1, 1, 1, 1, 1, 1};
    c = hn_make_reshape(&x->m, c, dims, (size_t)rank);
  }
  hn_tf_out(x, 0, hn_tf_where(x, c, a, b));
}

/* Numbers as a quantized network would have them: nudged so that zero is one of them. In single precision, as TensorFlow does:
   ranges around zero put the zero between two steps, and rounding decides. */
static void quantize_range(float low, float high, int bits, bool narrow, double *scale, double *zero) {
  float least = narrow ? 1 : 0, most = (float)((1 << bits) - 1), step = (high - low) / (most - least), from_low = least - low / step;
  *scale = step;
  *zero = from_low < least ? least : from_low > most ? most : roundf(from_low);
}

static hn_tensor *floats(tf_lower *x, const double *v, int64_t n, int32_t rank) {
  hn_tensor *t = NULL;
  if (!x->m.st) x->m.st = hn_tensor_create(x->s->im->cx, HONE_DTYPE_F32, rank, &n, &t);
  for (int64_t i = 0; i < n && !x->m.st; i++) hn_store_f64(HONE_DTYPE_F32, t->data, (size_t)i, v[i]);
  return t;
}

/* Quantization aware training says with it what is to be computed in 8 bits: conversions to integers and back. With a narrow range
   signed ones, as weights are, the lowest of which is left out. */
static hn_id through_bytes(tf_lower *x, hn_id v, hn_id low, hn_tensor *scale, const double *zero, int64_t n, bool narrow) {
  hn_tensor *z = NULL;
  int32_t rank = n > 1;
  if (!x->m.st) x->m.st = hn_tensor_create(x->s->im->cx, narrow ? HONE_DTYPE_I8 : HONE_DTYPE_U8, rank, &n, &z);
  for (int64_t i = 0; i < n && !x->m.st; i++) hn_store_i64(z->dtype, z->data, (size_t)i, (int64_t)zero[i] - (narrow ? 128 : 0));
  hn_id in[3] = {narrow ? op2(x, HN_Max, v, low) : v, hn_make_constant(&x->m, scale), hn_make_constant(&x->m, z)};
  for (int back = 0; back < 2; back++) {
    hn_id node = hn_make_node(&x->m, back ? HN_DequantizeLinear : HN_QuantizeLinear, in, 3, 1);
    if (x->m.st) return HN_NONE;
    if (rank) hn_set_i(x->m.g, node, "axis", -1);
    in[0] = hn_make_done(&x->m, node);
  }
  return in[0];
}

void hn_tf_lower_fake_quant(tf_lower *x) {
  enum { LOW, HIGH, SCALE, ZERO };
  int64_t bits = hn_tf_attr_i(x, "num_bits", 8), n = 1;
  bool narrow = hn_tf_attr_b(x, "narrow_range", false), args = strstr(x->n->op, "Args") != NULL, empty = false;
  const hn_tensor *low = NULL, *high = NULL;
  hn_id v = hn_tf_in(x, 0);
  if (!args) {
    hn_id a = hn_tf_in(x, 1), b = hn_tf_in(x, 2);
    low = x->m.st ? NULL : hn_const(x->m.g, a);
    high = x->m.st ? NULL : hn_const(x->m.g, b);
    if (!low || !high || low->count != high->count) hn_tf_fail(x, HONE_UNSUPPORTED, "its range is not constant");
    else n = low->count;
  }
  if (bits < 2 || bits > 16) hn_tf_fail(x, HONE_UNSUPPORTED, "it quantizes to %lld bits", (long long)bits);
  double *p[4];
  for (int k = 0; k < 4; k++)
    if (!(p[k] = hn_arena_alloc(x->s->im->arena, sizeof **p * ((size_t)n + 1))) && !x->m.st) x->m.st = hn_nomem(x->s->im->cx);
  if (x->m.st) return;
  for (int64_t i = 0; i < n; i++) {
    double a = args ? hn_tf_attr_f(x, "min", -6) : hn_tensor_f(low, (size_t)i), b = args ? hn_tf_attr_f(x, "max", 6) : hn_tensor_f(high, (size_t)i);
    if (a == 0 && b == 0) { /* of a dead channel: TensorFlow makes zeros */
      p[SCALE][i] = 1;
      p[ZERO][i] = narrow ? 1 : 0;
      p[LOW][i] = p[HIGH][i] = 0;
      empty = true;
      continue;
    }
    float span = (float)(b - a);
    if (!(span > 1e-30f) || !isfinite(span)) {
      hn_tf_fail(x, HONE_BAD_FORMAT, "its range from %g to %g is empty or not finite", a, b);
      return;
    }
    quantize_range((float)a, (float)b, (int)bits, narrow, &p[SCALE][i], &p[ZERO][i]);
    p[LOW][i] = ((narrow ? 1 : 0) - p[ZERO][i]) * p[SCALE][i];
    p[HIGH][i] = ((double)((1 << bits) - 1) - p[ZERO][i]) * p[SCALE][i];
  }
  int32_t rank = n > 1;
  if (bits == 8 && hn_make_type(&x->m, v) == HONE_DTYPE_F32) {
    hn_id least = narrow || empty ? hn_make_constant(&x->m, floats(x, p[LOW], n, rank)) : HN_NONE;
    if (empty) v = op2(x, HN_Max, op2(x, HN_Min, v, hn_make_constant(&x->m, floats(x, p[HIGH], n, rank))), least);
    hn_tf_out(x, 0, through_bytes(x, v, least, floats(x, p[SCALE], n, rank), p[ZERO], n, narrow));
    return;
  }
  hn_id c[3];
  for (int k = 0; k < 3; k++) c[k] = hn_make_constant(&x->m, floats(x, p[k], n, rank));
  hn_id kept = op2(x, HN_Max, op2(x, HN_Min, v, c[HIGH]), c[LOW]);
  hn_id steps = op1(x, HN_Floor, op2(x, HN_Add, op2(x, HN_Div, op2(x, HN_Sub, kept, c[LOW]), c[SCALE]), num(x, v, 0.5)));
  hn_tf_out(x, 0, op2(x, HN_Add, op2(x, HN_Mul, steps, c[SCALE]), c[LOW]));
}
