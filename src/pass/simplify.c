/* simplify.c - bit-exact rules: layers that change nothing, and pairs that undo or repeat each other. */
#include <math.h>
#include <string.h>

#include "pass/pass.h"

static hn_id take_first(hn_match *m) { return m->value[1]; }

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }
static hn_id root_out(const hn_match *m) { return hn_out(root(m), 0); }

/* The root's result has the type and shape of slot 1. */
static bool keeps_first(hn_match *m) {
  return hn_dtype_of(m->g, m->value[1]) && hn_dtype_of(m->g, m->value[1]) == hn_dtype_of(m->g, root_out(m)) &&
         hn_same_shape(m->g, m->value[1], root_out(m));
}

/* ---- moving: reshapes */

static const hn_op reshapes[] = {HN_Reshape, HN_Flatten, HN_Squeeze, HN_Unsqueeze, HN_OP_NONE};

/* The target of a Reshape that gives `shape` from `in`: numbers, 0 where a dimension is kept in place, one -1. */
static bool reshape_target(const hn_graph *g, hn_id in, const hn_shape *shape, int64_t *target) {
  hn_shape from = hn_shape_of_value(g, in);
  bool rest = false;
  if (shape->rank < 0) return false;
  for (int32_t i = 0; i < shape->rank; i++) {
    if (shape->d[i] == 0) return false; /* 0 and -1 mean something else where tensors are empty */
    target[i] = shape->d[i];
    if (hn_dim_fixed(shape->d[i])) continue;
    if (from.rank > i && from.d[i] == shape->d[i]) target[i] = 0;
    else if (rest) return false;
    else target[i] = -1;
    rest = rest || target[i] == -1;
  }
  return true;
}

static hn_id emit_reshape(hn_match *m, hn_id x, const int64_t *target, int32_t rank) {
  return hn_emit2(m, HN_Reshape, x, hn_emit_ints(m, target, (size_t)rank));
}

static bool can_reshape_first(hn_match *m) {
  hn_shape s = hn_shape_of_value(m->g, root_out(m));
  return reshape_target(m->g, m->value[1], &s, m->ints);
}

static hn_id reshape_first(hn_match *m) { return emit_reshape(m, m->value[1], m->ints, hn_rank_of(m->g, root_out(m))); }

/* A Reshape whose target is computed, but could be constant. */
static bool target_could_be_constant(hn_match *m) {
  if (hn_const(m->g, m->value[2]) || hn_attr_i(root(m), "allowzero", 0)) return false;
  const hn_value *v = hn_value_at(m->g, m->value[2]);
  hn_shape s = hn_shape_of_value(m->g, root_out(m));
  if (v->sym && v->n_sym <= HN_MAX_RANK) { /* says more than the shape: which dimensions are equal */
    bool known = true;
    for (uint32_t i = 0; i < v->n_sym; i++) known = known && v->sym[i] != 0 && !hn_dim_anonymous(m->g->dims, v->sym[i]);
    if (known) s = hn_shape_of((int32_t)v->n_sym, v->sym);
  }
  return reshape_target(m->g, m->value[1], &s, m->ints);
}

/* ---- moving: transposes */

static bool identity_perm(hn_match *m) {
  int64_t perm[HN_MAX_RANK];
  int32_t rank = hn_rank_of(m->g, m->value[1]);
  if (rank < 0) return false;
  hn_transpose_perm(root(m), rank, perm);
  for (int32_t i = 0; i < rank; i++)
    if (perm[i] != i) return false;
  return true;
}

static bool known_rank(hn_match *m) { return hn_rank_of(m->g, m->value[1]) >= 0; }

static hn_id merge_transposes(hn_match *m) {
  int64_t inner[HN_MAX_RANK], outer[HN_MAX_RANK], both[HN_MAX_RANK];
  int32_t rank = hn_rank_of(m->g, m->value[1]);
  hn_transpose_perm(hn_node_at(m->g, m->node[2]), rank, inner);
  hn_transpose_perm(root(m), rank, outer);
  bool identity = true;
  for (int32_t i = 0; i < rank; i++) {
    both[i] = inner[outer[i]];
    identity = identity && both[i] == i;
  }
  return identity ? m->value[1] : hn_emit_transpose(m, m->value[1], both, (size_t)rank);
}

/* Only dimensions of size 1 change places. */
static bool moves_ones_only(hn_match *m) {
  int64_t perm[HN_MAX_RANK], last = -1;
  hn_shape in = hn_shape_of_value(m->g, m->value[1]);
  if (in.rank < 0) return false;
  hn_transpose_perm(root(m), in.rank, perm);
  for (int32_t i = 0; i < in.rank; i++) {
    if (in.d[perm[i]] == 1) continue;
    if (perm[i] < last) return false;
    last = perm[i];
  }
  return can_reshape_first(m);
}

/* ---- types */

/* Every value of `from` exists in `to`. */
static bool widens(hn_dtype from, hn_dtype to) {
  static const struct {
    hn_dtype from, to;
  } pairs[] = {{HONE_DTYPE_F16, HONE_DTYPE_F32}, {HONE_DTYPE_F16, HONE_DTYPE_F64}, {HONE_DTYPE_BF16, HONE_DTYPE_F32},
               {HONE_DTYPE_BF16, HONE_DTYPE_F64}, {HONE_DTYPE_F32, HONE_DTYPE_F64}, {HONE_DTYPE_I32, HONE_DTYPE_I64},
               {HONE_DTYPE_I16, HONE_DTYPE_I32}, {HONE_DTYPE_I16, HONE_DTYPE_I64}, {HONE_DTYPE_I8, HONE_DTYPE_I32},
               {HONE_DTYPE_I8, HONE_DTYPE_I64}, {HONE_DTYPE_U8, HONE_DTYPE_I32}, {HONE_DTYPE_U8, HONE_DTYPE_I64},
               {HONE_DTYPE_U8, HONE_DTYPE_F32}, {HONE_DTYPE_I8, HONE_DTYPE_F32}, {HONE_DTYPE_I32, HONE_DTYPE_F64}};
  if (from == to || from == HONE_DTYPE_BOOL) return true;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    if (pairs[i].from == from && pairs[i].to == to) return true;
  return false;
}

static bool inner_cast_widens(hn_match *m) {
  hn_dtype from = hn_dtype_of(m->g, m->value[1]), mid = hn_dtype_of(m->g, m->value[2]);
  hn_dtype to = hn_dtype_of(m->g, root_out(m));
  return from && mid && widens(from, mid) && (hn_dtype_class(from) != HN_CLASS_B || to != HONE_DTYPE_BOOL);
}

static hn_id cast_first(hn_match *m) {
  hn_dtype to = hn_dtype_of(m->g, root_out(m));
  hn_id n = hn_emit(m, HN_Cast, &m->value[1], 1);
  hn_set_i(m->g, n, "to", to);
  return hn_first(m, n);
}

/* ---- parts and wholes */

static bool pads_nothing(hn_match *m) {
  int64_t v[2 * HN_MAX_RANK];
  uint32_t n;
  if (!hn_ints_of(m->g, hn_in(root(m), 1), v, 2 * HN_MAX_RANK, &n)) return false;
  for (uint32_t i = 0; i < n; i++)
    if (v[i]) return false;
  return true;
}

static bool one_input(hn_match *m) { return root(m)->n_main == 1; }
static bool one_output(hn_match *m) { return root(m)->n_out == 1 && keeps_first(m); }
static hn_id input_0(hn_match *m) { return hn_in(root(m), 0); }

static bool steps_forward(hn_match *m) { /* a Slice of all of it that does not reverse */
  int64_t steps[HN_MAX_RANK];
  uint32_t n = 0;
  hn_id v = hn_in(root(m), 4);
  if (v != HN_NONE && !hn_ints_of(m->g, v, steps, HN_MAX_RANK, &n)) return false;
  for (uint32_t i = 0; i < n; i++)
    if (steps[i] < 0) return false;
  return keeps_first(m);
}

static bool resizes_nothing(hn_match *m) {
  const hn_node *n = root(m);
  if (strcmp(hn_attr_s(n, "coordinate_transformation_mode", "half_pixel"), "tf_crop_and_resize") == 0) return false;
  if (strcmp(hn_attr_s(n, "mode", "nearest"), "cubic") == 0) return false;
  const hn_tensor *scales = hn_const(m->g, hn_in(n, 2));
  for (int64_t i = 0; scales && i < scales->count; i++)
    if (hn_tensor_f(scales, (size_t)i) != 1) return false;
  return keeps_first(m);
}

/* A Concat some inputs of which are Concats along the same axis: one Concat of all. */
static bool concat_inside(hn_match *m) {
  const hn_node *n = root(m);
  uint32_t total = 0;
  bool found = false;
  int32_t axis = hn_axis_of(n, 0, hn_rank_of(m->g, root_out(m)));
  if (axis < 0) return false;
  for (uint32_t i = 0; i < n->n_main; i++) {
    hn_id p = hn_producer(m->g, n->in[i]);
    const hn_node *c = p == HN_NONE ? NULL : hn_node_at(m->g, p);
    bool joins = c && c->op == HN_Concat && !c->n_post && hn_used_once(m->g, n->in[i]) &&
                 hn_axis_of(c, 0, hn_rank_of(m->g, n->in[i])) == axis;
    total += joins ? c->n_main : 1;
    found = found || joins;
  }
  m->ints[0] = axis;
  return found && total <= 64;
}

static hn_id merge_concats(hn_match *m) {
  hn_id in[64];
  uint32_t k = 0;
  for (uint32_t i = 0; i < root(m)->n_main; i++) {
    hn_id v = root(m)->in[i], p = hn_producer(m->g, v);
    const hn_node *c = p == HN_NONE ? NULL : hn_node_at(m->g, p);
    bool joins = c && c->op == HN_Concat && !c->n_post && hn_used_once(m->g, v) &&
                 hn_axis_of(c, 0, hn_rank_of(m->g, v)) == m->ints[0];
    for (uint32_t j = 0; j < (joins ? c->n_main : 1); j++) in[k++] = joins ? c->in[j] : v;
  }
  hn_id n = hn_emit(m, HN_Concat, in, k);
  hn_set_i(m->g, n, "axis", m->ints[0]);
  return hn_first(m, n);
}

/* Concat(Split(x)) of all parts in order. */
static bool concat_of_split(hn_match *m) {
  const hn_node *n = root(m);
  hn_id split = hn_producer(m->g, n->in[0]);
  if (split == HN_NONE || hn_node_at(m->g, split)->op != HN_Split) return false;
  const hn_node *s = hn_node_at(m->g, split);
  int32_t rank = hn_rank_of(m->g, root_out(m));
  if (s->n_out != n->n_main || rank < 0 || hn_axis_of(s, 0, rank) != hn_axis_of(n, 0, rank)) return false;
  for (uint32_t i = 0; i < s->n_out; i++)
    if (s->out[i] != n->in[i]) return false;
  m->value[1] = s->in[0];
  return true;
}

/* Where with a constant condition, all true or all false. */
static bool where_decided(hn_match *m) {
  const hn_tensor *c = hn_const(m->g, m->value[1]);
  if (!c->count) return false;
  bool first = hn_tensor_i(c, 0) != 0;
  for (int64_t i = 1; i < c->count; i++)
    if ((hn_tensor_i(c, (size_t)i) != 0) != first) return false;
  m->value[1] = m->value[first ? 2 : 3];
  return keeps_first(m);
}

static bool window_is_one(hn_match *m) {
  static const char *const names[] = {"kernel_shape", "strides"};
  const int64_t *v;
  for (int k = 0; k < 2; k++)
    for (uint32_t i = 0, n = hn_attr_ints(root(m), names[k], &v); i < n; i++)
      if (v[i] != 1) return false;
  uint32_t n = hn_attr_ints(root(m), "pads", &v);
  for (uint32_t i = 0; i < n; i++)
    if (v[i]) return false;
  return root(m)->n_out == 1 && keeps_first(m);
}

/* ---- limits */

static const hn_op limits[] = {HN_Relu, HN_Clip, HN_OP_NONE};

static bool bounds(const hn_graph *g, const hn_node *n, double *lo, double *hi) {
  *lo = n->op == HN_Relu ? 0 : -INFINITY;
  *hi = INFINITY;
  if (n->op == HN_Relu) return true;
  return (hn_in(n, 1) == HN_NONE || hn_scalar_of(g, hn_in(n, 1), lo)) &&
         (hn_in(n, 2) == HN_NONE || hn_scalar_of(g, hn_in(n, 2), hi)) && *lo <= *hi;
}

static bool limits_merge(hn_match *m) {
  double a, b, c, d;
  if (!hn_is_float(hn_dtype_of(m->g, m->value[1]))) return false;
  if (!bounds(m->g, hn_node_at(m->g, m->node[2]), &a, &b) || !bounds(m->g, root(m), &c, &d)) return false;
  m->num[0] = fmin(fmax(a, c), d); /* clip(clip(x, a, b), c, d) where the ranges meet */
  m->num[1] = fmax(fmin(b, d), c);
  return a <= d && c <= b;
}

static hn_id merged_limit(hn_match *m) {
  if (m->num[0] == 0 && m->num[1] == INFINITY) return hn_emit1(m, HN_Relu, m->value[1]);
  hn_dtype t = hn_dtype_of(m->g, m->value[1]);
  hn_id in[3] = {m->value[1], HN_NONE, HN_NONE};
  if (m->num[0] > -INFINITY) in[1] = hn_emit_scalar(m, t, m->num[0]);
  if (m->num[1] < INFINITY) in[2] = hn_emit_scalar(m, t, m->num[1]);
  return hn_first(m, hn_emit(m, HN_Clip, in, 3));
}

static bool limits_nothing(hn_match *m) {
  double lo, hi;
  return hn_is_float(hn_dtype_of(m->g, m->value[1])) && bounds(m->g, root(m), &lo, &hi) && lo == -INFINITY && hi == INFINITY;
}

/* ---- arithmetic that is exact to the last bit */

static bool float_kept(hn_match *m) { return keeps_first(m) && hn_is_float(hn_dtype_of(m->g, m->value[1])); }
static bool any_kept(hn_match *m) { return keeps_first(m); }

static bool two_inputs(hn_match *m) { return root(m)->n_main == 2; }
static hn_id sum_as_add(hn_match *m) { return hn_emit2(m, HN_Add, root(m)->in[0], root(m)->in[1]); }

static const hn_op variadic[] = {HN_Concat, HN_Max, HN_Min, HN_Sum, HN_Mean, HN_OP_NONE};
static const hn_op pools[] = {HN_MaxPool, HN_AveragePool, HN_OP_NONE};

const hn_rule hn_rules_simplify[] = {
    {"identity", "a layer that only passes its input on", true, P_OP(0, Identity, P_ANY(1)), NULL, take_first},
    {"cast-nothing", "a cast to the type it has", true, P_OP(0, Cast, P_ANY(1)), keeps_first, take_first},
    {"cast-cast", "two casts, the first of which loses nothing", true,
     P_OP(0, Cast, P_SHARED(2, Cast, P_ANY(1))), inner_cast_widens, cast_first},
    {"reshape-nothing", "a reshape to the shape it has", true, P_SET(0, 0, reshapes, P_ANY(1), P_MAYBE(3)), keeps_first,
     take_first},
    {"reshape-reshape", "a reshape of a reshape", true,
     P_SET(0, 0, reshapes, P_SET(HN_PATTERN_SHARED, 2, reshapes, P_ANY(1), P_MAYBE(4)), P_MAYBE(3)), can_reshape_first,
     reshape_first},
    {"reshape-target", "a reshape to a computed shape that may as well be written down", true,
     P_OP(0, Reshape, P_ANY(1), P_ANY(2)), target_could_be_constant, reshape_first},
    {"transpose-nothing", "a transpose that keeps the order", true, P_OP(0, Transpose, P_ANY(1)), identity_perm, take_first},
    {"transpose-transpose", "a transpose of a transpose", true,
     P_OP(0, Transpose, P_SHARED(2, Transpose, P_ANY(1))), known_rank, merge_transposes},
    {"transpose-ones", "a transpose that moves only dimensions of size 1: a reshape", true,
     P_OP(0, Transpose, P_ANY(1)), moves_ones_only, reshape_first},
    {"expand-nothing", "a broadcast to the shape it has", true, P_OP(0, Expand, P_ANY(1), P_ANY(2)), keeps_first, take_first},
    {"tile-nothing", "a repetition once", true, P_OP(0, Tile, P_ANY(1), P_CONST(2)), keeps_first, take_first},
    {"slice-nothing", "a slice of the whole", true,
     P_OP(0, Slice, P_ANY(1), P_ANY(2), P_ANY(3), P_MAYBE(4), P_MAYBE(5)), steps_forward, take_first},
    {"pad-nothing", "a padding by zero elements", true, P_OP(0, Pad, P_ANY(1), P_ANY(2), P_MAYBE(3), P_MAYBE(4)),
     pads_nothing, take_first},
    {"resize-nothing", "a resampling to the size it has", true, P_OP(0, Resize, P_ANY(1), P_MAYBE(2), P_MAYBE(3), P_MAYBE(4)),
     resizes_nothing, take_first},
    {"pool-nothing", "a pooling of windows of one element", true, P_SET(0, 0, pools, P_ANY(1)), window_is_one, take_first},
    {"only-one", "a Concat, Max, Min, Sum or Mean of one input", true, P_ONE_OF(0, 0, variadic), one_input, input_0},
    {"split-nothing", "a split into one part", true, P_OP(0, Split, P_ANY(1), P_MAYBE(2)), one_output, take_first},
    {"concat-of-split", "parts joined again in order", true, P_NODE(0, 0, Concat), concat_of_split, take_first},
    {"concat-concat", "a Concat of Concats along the same axis", true, P_NODE(0, 0, Concat), concat_inside, merge_concats},
    {"where-decided", "a choice with a constant condition", true, P_OP(0, Where, P_CONST(1), P_ANY(2), P_ANY(3)),
     where_decided, take_first},
    {"clip-clip", "two limits, one after the other", true,
     P_SET(0, 0, limits, P_SET(0, 2, limits, P_ANY(1), P_MAYBE(3), P_MAYBE(4)), P_MAYBE(5), P_MAYBE(6)), limits_merge,
     merged_limit},
    {"clip-nothing", "a limit that limits nothing", true, P_OP(0, Clip, P_ANY(1), P_MAYBE(2), P_MAYBE(3)), limits_nothing,
     take_first},
    {"neg-neg", "negated twice", true, P_OP(0, Neg, P_SHARED(0, Neg, P_ANY(1))), NULL, take_first},
    {"not-not", "inverted twice", true, P_OP(0, Not, P_SHARED(0, Not, P_ANY(1))), NULL, take_first},
    {"mul-one", "multiplied by 1", true, P_OP(0, Mul, P_ANY(1), P_NUM(1)), any_kept, take_first},
    {"div-one", "divided by 1", true, P_OP(0, Div, P_ANY(1), P_NUM(1)), any_kept, take_first},
    {"pow-one", "to the power of 1", true, P_OP(0, Pow, P_ANY(1), P_NUM(1)), float_kept, take_first},
    {"sub-zero", "0 subtracted", true, P_OP(0, Sub, P_ANY(1), P_NUM(0)), any_kept, take_first},
    {"sum-of-two", "a Sum of two inputs: an Add", true, P_NODE(0, 0, Sum), two_inputs, sum_as_add},
};
const uint32_t hn_rules_simplify_count = sizeof hn_rules_simplify / sizeof *hn_rules_simplify;
