/* spell_math.c - element-wise operators, reductions, softmax: all of them work in either form of their operands. */
#include <math.h>
#include <string.h>

#include "format/tensorflow/spell.h"

static const struct {
  hn_op op;
  tg_spell spell;
  const char *tf;
} rows[] = {
#define SPELL(Op, spelling, tf_op) {HN_##Op, tg_spell_##spelling, tf_op},
#include "format/tensorflow/tf_spell.def"
#undef SPELL
};

tg_spell tg_spelling(hn_op op, const char **tf_op) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].op == op) {
      *tf_op = rows[i].tf;
      return rows[i].spell;
    }
  return NULL;
}

/* ---- the form of the result: channels last if an operand is there in that form alone, and the others can be */

static bool fits_last(const tg *t, hn_id v, int32_t rank) {
  const hn_value *value = hn_value_at(t->g, v);
  return value->shape.rank == rank || (value->data && value->data->rank <= rank) || value->shape.rank == 0;
}

static bool choose_last(const tg *t, const hn_node *n, uint32_t n_in) {
  int32_t rank = tg_shape_of(t, n->out[0])->rank;
  bool any = false;
  if (rank < 3) return false;
  for (uint32_t i = 0; i < n_in; i++) {
    if (n->in[i] == HN_NONE) continue;
    if (!fits_last(t, n->in[i], rank)) return false;
    any = any || (tg_prefers_last(t, n->in[i]) && tg_shape_of(t, n->in[i])->rank == rank);
  }
  return any;
}

/* A constant of fewer dimensions, which count from the right, with channels last. */
static const char *const_raised(tg *t, const hn_tensor *c, int32_t rank) {
  int64_t dims[HN_MAX_RANK], moved[HN_MAX_RANK];
  hn_tensor *r = NULL;
  int32_t wide = 0;
  for (int32_t i = 0; i < rank; i++) {
    dims[i] = i < rank - c->rank ? 1 : c->dims[i - (rank - c->rank)];
    wide += dims[i] != 1;
  }
  for (int32_t i = 0; i < rank; i++) moved[tg_last_axis(i, rank)] = dims[i];
  if (wide > 1 && !t->st) { /* elements move: by TensorFlow */
    int64_t perm[HN_MAX_RANK];
    if (!t->st) t->st = hn_tensor_create(t->cx, c->dtype, rank, dims, &r);
    if (r) memcpy(r->data, c->data, c->bytes);
    for (int32_t i = 0; i < rank; i++) perm[tg_last_axis(i, rank)] = i;
    return tg_transpose(t, c->dtype, tg_const(t, r), perm, (size_t)rank);
  }
  if (!t->st) t->st = hn_tensor_create(t->cx, c->dtype, rank, moved, &r);
  if (r) memcpy(r->data, c->data, c->bytes);
  return tg_const(t, r);
}

static const char *operand(tg *t, hn_id v, bool last, int32_t rank) {
  if (v == HN_NONE) return NULL;
  const hn_tensor *c = hn_const(t->g, v);
  if (!last || tg_shape_of(t, v)->rank == 0) return tg_plain(t, v);
  return c && c->rank < rank ? const_raised(t, c, rank) : tg_last(t, v);
}

static void finish(tg *t, const hn_node *n, bool last, const char *y) {
  if (last) tg_set_last(t, n->out[0], y);
  else tg_set_plain(t, n->out[0], y);
}

typedef struct operands {
  bool last;
  hn_dtype type;
  const char *v[3];
} operands;

static operands read_operands(tg *t, const hn_node *n, uint32_t n_in) {
  operands o = {.last = choose_last(t, n, n_in), .type = tg_dtype(t, n->in[n->op == HN_Where ? 1 : 0])};
  for (uint32_t i = 0; i < n_in && i < 3; i++) o.v[i] = operand(t, n->in[i], o.last, tg_shape_of(t, n->out[0])->rank);
  return o;
}

void tg_spell_unary(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 1);
  finish(t, n, o.last, tg1(t, op, o.type, o.v[0]));
}

void tg_spell_binary(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 2);
  finish(t, n, o.last, tg2(t, op, o.type, o.v[0], o.v[1]));
}

/* Operators of truth values have no type. */
void tg_spell_logical(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, n->n_main);
  tg_node *node = tg_add(t, op, NULL);
  for (uint32_t i = 0; i < n->n_main; i++) tg_input(t, node, o.v[i]);
  finish(t, n, o.last, tg_out(t, node, 0));
}

void tg_spell_divide(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 2);
  finish(t, n, o.last, tg2(t, hn_is_float(o.type) ? op : "TruncateDiv", o.type, o.v[0], o.v[1]));
}

void tg_spell_modulo(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 2);
  finish(t, n, o.last, tg2(t, hn_attr_i(n, "fmod", 0) ? "Mod" : op, o.type, o.v[0], o.v[1]));
}

void tg_spell_fold(tg *t, const hn_node *n, const char *op) {
  bool last = choose_last(t, n, n->n_main);
  int32_t rank = tg_shape_of(t, n->out[0])->rank;
  hn_dtype type = tg_dtype(t, n->in[0]);
  const char *y = operand(t, n->in[0], last, rank);
  for (uint32_t i = 1; i < n->n_main; i++) y = tg2(t, op, type, y, operand(t, n->in[i], last, rank));
  if (n->op == HN_Mean) y = tg2(t, "Mul", type, y, tg_scalar(t, type, 1.0 / n->n_main));
  else if (n->n_main == 1) y = tg1(t, "Identity", type, y);
  finish(t, n, last, y);
}

void tg_spell_select(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 3);
  tg_node *node = tg_add(t, op, NULL);
  for (int i = 0; i < 3; i++) tg_input(t, node, o.v[i]);
  tg_type(t, node, "T", o.type);
  finish(t, n, o.last, tg_out(t, node, 0));
}

static const char *cast(tg *t, const char *x, hn_dtype from, hn_dtype to) {
  if (from == to) return x;
  tg_node *node = tg_add(t, "Cast", NULL);
  tg_input(t, node, x);
  tg_type(t, node, "SrcT", from);
  tg_type(t, node, "DstT", to);
  return tg_out(t, node, 0);
}

void tg_spell_cast(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 1);
  (void)op;
  finish(t, n, o.last, cast(t, o.v[0], o.type, tg_dtype(t, n->out[0])));
}

/* ---- activations */

static const char *clipped(tg *t, hn_dtype type, const char *x, double lo, double hi) {
  if (lo == 0 && hi == 6) return tg1(t, "Relu6", type, x);
  x = lo == 0 ? tg1(t, "Relu", type, x) : lo > -INFINITY ? tg2(t, "Maximum", type, x, tg_scalar(t, type, lo)) : x;
  return hi < INFINITY ? tg2(t, "Minimum", type, x, tg_scalar(t, type, hi)) : x;
}

static const char *affine(tg *t, hn_dtype type, const char *x, double a, double b) {
  if (a != 1) x = tg2(t, "Mul", type, x, tg_scalar(t, type, a));
  return b != 0 ? tg2(t, "AddV2", type, x, tg_scalar(t, type, b)) : x;
}

/* exp(x) - 1 below 0, times a, of x / b. */
static const char *elu(tg *t, hn_dtype type, const char *x, double a, double b) {
  const char *below = tg1(t, "Expm1", type, affine(t, type, tg2(t, "Minimum", type, x, tg_scalar(t, type, 0)), 1 / b, 0));
  return tg2(t, "AddV2", type, tg1(t, "Relu", type, x), affine(t, type, below, a, 0));
}

void tg_spell_activation(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 1);
  hn_dtype type = o.type;
  const char *x = o.v[0], *y = NULL;
  double alpha = hn_attr_f(n, "alpha", (double)hn_default_alpha(n->op)), beta = hn_attr_f(n, "beta", (double)hn_default_beta(n->op));
  switch (n->op) {
    case HN_Elu: y = alpha == 1 ? tg1(t, op, type, x) : elu(t, type, x, alpha, 1); break;
    case HN_Celu: y = elu(t, type, x, alpha, alpha); break;
    case HN_Selu: {
      double gamma = hn_attr_f(n, "gamma", (double)hn_default_beta(n->op));
      bool usual = fabs(alpha - 1.6732632423543772) < 1e-6 && fabs(gamma - 1.0507009873554805) < 1e-6;
      y = usual ? tg1(t, op, type, x) : affine(t, type, elu(t, type, x, alpha, 1), gamma, 0);
      break;
    }
    case HN_LeakyRelu: {
      tg_node *node = tg_add(t, op, NULL);
      tg_input(t, node, x);
      tg_type(t, node, "T", type);
      tg_float(t, node, "alpha", alpha);
      y = tg_out(t, node, 0);
      break;
    }
    case HN_HardSigmoid: y = clipped(t, type, affine(t, type, x, alpha, beta), 0, 1); break;
    case HN_HardSwish: y = tg2(t, "Mul", type, x, affine(t, type, tg1(t, "Relu6", type, affine(t, type, x, 1, 3)), 1.0 / 6, 0)); break;
    case HN_Mish: y = tg2(t, "Mul", type, x, tg1(t, "Tanh", type, tg1(t, "Softplus", type, x))); break;
    default: { /* ThresholdedRelu */
      tg_node *node;
      const char *above = tg2(t, "Greater", type, x, tg_scalar(t, type, alpha)), *zero = tg_scalar(t, type, 0);
      node = tg_add(t, "SelectV2", NULL);
      tg_input(t, node, above);
      tg_input(t, node, x);
      tg_input(t, node, zero);
      tg_type(t, node, "T", type);
      y = tg_out(t, node, 0);
    }
  }
  finish(t, n, o.last, y);
}

void tg_spell_prelu(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 2);
  const char *below = tg2(t, "Minimum", o.type, o.v[0], tg_scalar(t, o.type, 0));
  (void)op;
  finish(t, n, o.last, tg2(t, "AddV2", o.type, tg1(t, "Relu", o.type, o.v[0]), tg2(t, "Mul", o.type, o.v[1], below)));
}

void tg_spell_clip(tg *t, const hn_node *n, const char *op) {
  operands o = read_operands(t, n, 1);
  const hn_tensor *lo = hn_const(t->g, hn_in(n, 1)), *hi = hn_const(t->g, hn_in(n, 2));
  const char *x = o.v[0];
  (void)op;
  if (hn_is_float(o.type) && (!lo == (hn_in(n, 1) == HN_NONE)) && (!hi == (hn_in(n, 2) == HN_NONE))) {
    x = clipped(t, o.type, x, lo ? hn_tensor_f(lo, 0) : -INFINITY, hi ? hn_tensor_f(hi, 0) : INFINITY);
  } else {
    if (hn_in(n, 1) != HN_NONE) x = tg2(t, "Maximum", o.type, x, tg_plain(t, n->in[1]));
    if (hn_in(n, 2) != HN_NONE) x = tg2(t, "Minimum", o.type, x, tg_plain(t, n->in[2]));
  }
  finish(t, n, o.last, x);
}

/* ---- along axes */

static bool reduced(tg *t, const hn_node *n, int64_t *axes, size_t *count) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank, a;
  const hn_tensor *c = hn_const(t->g, hn_in(n, 1));
  *count = 0;
  if (rank < 0 || (hn_in(n, 1) != HN_NONE && !c)) {
    tg_refuse(t, "its axes are not known");
    return false;
  }
  for (int64_t i = 0; c && i < c->count && *count < HN_MAX_RANK; i++) {
    if (!hn_axis(hn_tensor_i(c, (size_t)i), rank, &a)) return false;
    axes[(*count)++] = a;
  }
  if (!*count && !hn_attr_i(n, "noop_with_empty_axes", 0))
    for (int32_t i = 0; i < rank; i++) axes[(*count)++] = i;
  return true;
}

void tg_spell_reduce(tg *t, const hn_node *n, const char *op) {
  int64_t axes[HN_MAX_RANK];
  size_t count;
  hn_id v = n->in[0];
  hn_dtype type = tg_dtype(t, v);
  int32_t rank = tg_shape_of(t, v)->rank;
  bool keep = hn_attr_i(n, "keepdims", 1) != 0, spatial = true, last = tg_prefers_last(t, v);
  if (!reduced(t, n, axes, &count)) return;
  for (size_t i = 0; i < count; i++) spatial = spatial && axes[i] != 1;
  /* without the dimensions that go, what is left must lie in the order it had: so where only channels are left, or none */
  last = last && (keep || (spatial && count + 2 >= (size_t)rank) || count + 1 >= (size_t)rank);
  const char *x = last ? tg_last(t, v) : tg_plain(t, v);
  for (size_t i = 0; i < count && last; i++) axes[i] = tg_last_axis(axes[i], rank);
  if (n->op == HN_ReduceL1) x = tg1(t, "Abs", type, x);
  if (n->op == HN_ReduceL2 || n->op == HN_ReduceSumSquare) x = tg1(t, "Square", type, x);
  const char *most = NULL;
  if (n->op == HN_ReduceLogSumExp) {
    most = tg_reduce(t, "Max", type, x, axes, count, true);
    x = tg1(t, "Exp", type, tg2(t, "Sub", type, x, most));
  }
  const char *y = tg_reduce(t, op, type, x, axes, count, keep);
  if (n->op == HN_ReduceL2) y = tg1(t, "Sqrt", type, y);
  if (n->op == HN_ReduceLogSum || most) y = tg1(t, "Log", type, y);
  if (most) y = tg2(t, "AddV2", type, y, keep ? most : tg_reduce(t, "Max", type, last ? tg_last(t, v) : tg_plain(t, v), axes, count, false));
  if (last && keep) tg_set_last(t, n->out[0], y);
  else tg_set_plain(t, n->out[0], y);
}

void tg_spell_global_pool(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  int64_t axes[HN_MAX_RANK];
  for (int32_t i = 1; i < rank - 1; i++) axes[i - 1] = i;
  if (rank < 3) tg_refuse(t, "the rank of its input is not known");
  else tg_set_last(t, n->out[0], tg_reduce(t, op, tg_dtype(t, n->in[0]), tg_last(t, n->in[0]), axes, (size_t)rank - 2, true));
}

void tg_spell_arg_reduce(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank, axis;
  if (rank < 1 || !hn_axis(hn_attr_i(n, "axis", 0), rank, &axis) || hn_attr_i(n, "select_last_index", 0)) {
    tg_refuse(t, "its form has no spelling in TensorFlow");
    return;
  }
  const char *x = tg_plain(t, n->in[0]), *where = tg_number(t, axis);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, where);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tidx", HONE_DTYPE_I32);
  tg_type(t, node, "output_type", HONE_DTYPE_I64);
  const char *y = tg_out(t, node, 0);
  if (hn_attr_i(n, "keepdims", 1)) {
    where = tg_number(t, axis);
    node = tg_add(t, "ExpandDims", NULL);
    tg_input(t, node, y);
    tg_input(t, node, where);
    tg_type(t, node, "T", HONE_DTYPE_I64);
    tg_type(t, node, "Tdim", HONE_DTYPE_I32);
    y = tg_out(t, node, 0);
  }
  tg_set_plain(t, n->out[0], y);
}

void tg_spell_cumulative(tg *t, const hn_node *n, const char *op) {
  const char *x = tg_plain(t, n->in[0]), *axis = tg_plain(t, n->in[1]);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, axis);
  tg_bool(t, node, "exclusive", hn_attr_i(n, "exclusive", 0) != 0);
  tg_bool(t, node, "reverse", hn_attr_i(n, "reverse", 0) != 0);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tidx", tg_dtype(t, n->in[1]));
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

/* TensorFlow's is over the last dimension. */
void tg_spell_softmax(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank, axis;
  hn_dtype type = tg_dtype(t, n->in[0]);
  int64_t perm[HN_MAX_RANK];
  if (rank < 1 || !hn_axis(hn_attr_i(n, "axis", -1), rank, &axis)) {
    tg_refuse(t, "the rank of its input is not known");
    return;
  }
  tg_node *node;
  const char *x = rank > 2 && axis == 1 ? tg_last(t, n->in[0]) : tg_plain(t, n->in[0]);
  bool swapped = axis != rank - 1 && !(rank > 2 && axis == 1);
  for (int32_t i = 0; i < rank; i++) perm[i] = i == axis ? rank - 1 : i == rank - 1 ? axis : i;
  if (swapped) x = tg_transpose(t, type, x, perm, (size_t)rank);
  node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_type(t, node, "T", type);
  x = tg_out(t, node, 0);
  if (swapped) x = tg_transpose(t, type, x, perm, (size_t)rank);
  if (rank > 2 && axis == 1) tg_set_last(t, n->out[0], x);
  else tg_set_plain(t, n->out[0], x);
}
