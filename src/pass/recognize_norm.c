/* recognize_norm.c - normalizations that exporters spell out in pieces. */
#include <math.h>

#include "pass/pass.h"

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }
static hn_id root_out(const hn_match *m) { return hn_out(root(m), 0); }

/* slots: 1 x, 2 mean, 3 x - mean, 4 variance, 5 epsilon, 6 scale, 7 shift, 8 type of the arithmetic */
static int32_t same_tail(const hn_match *m, uint32_t a, uint32_t b) {
  int32_t first = hn_reduces_tail(m->g, hn_node_at(m->g, m->node[a]));
  return b && hn_reduces_tail(m->g, hn_node_at(m->g, m->node[b])) != first ? -1 : first;
}

/* A constant of exactly the dimensions [first, rank) of x, leading ones aside. */
static bool covers_tail(const hn_match *m, hn_id c, int32_t first) {
  hn_shape x = hn_shape_of_value(m->g, m->value[1]), s = hn_shape_of_value(m->g, c);
  const hn_tensor *t = hn_const(m->g, c);
  if (!t || x.rank < 0 || s.rank < x.rank - first || s.rank > x.rank) return false;
  for (int32_t i = 0; i < s.rank; i++) {
    int32_t at = i + x.rank - s.rank;
    if (s.d[i] != (at < first ? 1 : x.d[at])) return false;
  }
  return true;
}

static hn_id tail_constant(hn_match *m, hn_id c, int32_t first, hn_dtype t) {
  hn_tensor *old = hn_const(m->g, c);
  hn_shape x = hn_shape_of_value(m->g, m->value[1]);
  hn_id v = hn_emit_reshaped(m, old, x.rank - first, x.d + first);
  if (v == HN_NONE || old->dtype == t) return v;
  hn_id cast = hn_emit(m, HN_Cast, &v, 1);
  hn_set_i(m->g, cast, "to", t);
  return hn_first(m, cast);
}

static hn_id ones_like_tail(hn_match *m, int32_t first, hn_dtype type) {
  hn_tensor *t = NULL;
  hn_shape x = hn_shape_of_value(m->g, m->value[1]);
  if (!hn_tensor_create(m->g->cx, type, x.rank - first, x.d + first, &t))
    for (int64_t i = 0; i < t->count; i++) hn_store_f64(type, t->data, (size_t)i, 1);
  return hn_emit_tensor(m, t);
}

static bool tail_fixed(const hn_match *m, int32_t first) {
  hn_shape x = hn_shape_of_value(m->g, m->value[1]);
  for (int32_t i = first; i < x.rank; i++)
    if (x.d[i] <= 0) return false;
  return true;
}

static bool plain_core(hn_match *m, bool has_mean) {
  int32_t first = same_tail(m, 4, has_mean ? 2 : 0);
  if (first < 0 || !hn_scalar_of(m->g, m->value[5], &m->num[0]) || !(m->num[0] >= 0)) return false;
  if (!tail_fixed(m, first) || !hn_is_float(hn_dtype_of(m->g, m->value[1]))) return false;
  m->ints[0] = first;
  return hn_same_shape(m->g, m->value[1], root_out(m));
}

static bool layer_norm_bare(hn_match *m) { return plain_core(m, true); }
static bool rms_norm_full(hn_match *m) { return plain_core(m, false) && covers_tail(m, m->value[6], (int32_t)m->ints[0]); }

static hn_id emit_norm(hn_match *m, hn_op op) {
  hn_dtype t = hn_dtype_of(m->g, m->value[1]);
  int32_t first = (int32_t)m->ints[0];
  hn_id in[3] = {m->value[1], HN_NONE, HN_NONE};
  in[1] = m->value[6] == HN_NONE ? ones_like_tail(m, first, t) : tail_constant(m, m->value[6], first, t);
  uint32_t n = 2;
  if (m->value[7] != HN_NONE) in[n++] = tail_constant(m, m->value[7], first, t);
  hn_id node = hn_emit(m, op, in, n);
  hn_set_i(m->g, node, "axis", first - hn_rank_of(m->g, m->value[1]));
  hn_set_f(m->g, node, "epsilon", m->num[0]);
  return hn_first(m, node);
}

static hn_id as_layer_norm(hn_match *m) { return emit_norm(m, HN_LayerNormalization); }
static hn_id as_rms_norm(hn_match *m) { return emit_norm(m, HN_RMSNormalization); }

/* The affine part behind a LayerNormalization with scale 1 and no shift. */
static bool bare_then_affine(hn_match *m) {
  const hn_node *n = hn_node_at(m->g, m->node[2]);
  const hn_tensor *ones = hn_const(m->g, hn_in(n, 1));
  if (!ones || hn_in(n, 2) != HN_NONE || n->n_out > 1) return false;
  for (int64_t i = 0; i < ones->count; i++)
    if (hn_tensor_f(ones, (size_t)i) != 1) return false;
  m->num[0] = hn_attr_f(n, "epsilon", 1e-5);
  m->ints[0] = hn_axis_of(n, -1, hn_rank_of(m->g, m->value[1]));
  return m->ints[0] >= 0 && covers_tail(m, m->value[6], (int32_t)m->ints[0]) &&
         (m->value[7] == HN_NONE || covers_tail(m, m->value[7], (int32_t)m->ints[0])) &&
         hn_same_shape(m->g, m->value[1], root_out(m));
}

/* A LayerNormalization between casts (the arithmetic in f32, the data in half precision): normalizes in f32 itself. */
static bool cast_back(hn_match *m) {
  const hn_node *n = hn_node_at(m->g, m->node[2]);
  hn_dtype t = hn_dtype_of(m->g, m->value[1]);
  return n->n_out == 1 && hn_dtype_of(m->g, m->value[2]) == HONE_DTYPE_F32 && (t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16) &&
         hn_dtype_of(m->g, root_out(m)) == t && hn_attr_i(n, "stash_type", 1) == 1;
}

static hn_id norm_in_half(hn_match *m) {
  const hn_node old = *hn_node_at(m->g, m->node[2]);
  hn_id copy = hn_emit_copy(m, m->node[2]);
  if (copy == HN_NONE) return HN_NONE;
  hn_set_input(m->g, copy, 0, m->value[1]);
  for (uint32_t i = 1; i < old.n_main; i++) {
    if (old.in[i] == HN_NONE) continue;
    hn_id cast = hn_emit(m, HN_Cast, &old.in[i], 1);
    hn_set_i(m->g, cast, "to", hn_dtype_of(m->g, m->value[1]));
    if (cast != HN_NONE) hn_set_input(m->g, copy, i, hn_first(m, cast));
  }
  /* casts come first in time but were made after the copy: the driver infers in order of making */
  for (uint32_t i = 0; i + 1 < m->n_fresh; i++) m->fresh[i] = m->fresh[i + 1];
  m->fresh[m->n_fresh - 1] = copy;
  return hn_first(m, copy);
}

/* ---- the core, in pieces */
#define MEAN P_SHARED(2, ReduceMean, P_ANY(1), P_CONST_MAYBE(9))
#define CENTERED P_OP(3, Sub, P_ANY(1), MEAN)
#define SQUARE_POW P_OP(0, Pow, CENTERED, P_NUM(2))
#define SQUARE_MUL P_OP(0, Mul, CENTERED, CENTERED)
#define DEVIATION(square) \
  P_OP(0, Sqrt, P_OP(0, Add, P_OP(4, ReduceMean, square, P_CONST_MAYBE(10)), P_SCALAR(5)))
#define NORMALIZED(square) P_OP(0, Div, CENTERED, DEVIATION(square))
#define NORMALIZED_INVERSE(square) P_OP(0, Mul, CENTERED, P_OP(0, Reciprocal, DEVIATION(square)))
#define RMS(square) P_OP(0, Sqrt, P_OP(0, Add, P_OP(4, ReduceMean, square, P_CONST_MAYBE(10)), P_SCALAR(5)))
#define X_POW P_OP(0, Pow, P_ANY(1), P_NUM(2))
#define X_MUL P_OP(0, Mul, P_ANY(1), P_ANY(1))
#define LN_DOC "(x - mean) / sqrt(variance + epsilon) over the last dimensions"
#define RMS_DOC "x / sqrt(mean(x^2) + epsilon) * scale over the last dimensions"

const hn_rule hn_rules_recognize_norm[] = {
    {"layer-norm", LN_DOC, false, NORMALIZED(SQUARE_POW), layer_norm_bare, as_layer_norm},
    {"layer-norm", LN_DOC, false, NORMALIZED(SQUARE_MUL), layer_norm_bare, as_layer_norm},
    {"layer-norm", LN_DOC, false, NORMALIZED_INVERSE(SQUARE_POW), layer_norm_bare, as_layer_norm},
    {"layer-norm", LN_DOC, false, NORMALIZED_INVERSE(SQUARE_MUL), layer_norm_bare, as_layer_norm},
    {"layer-norm-affine", "the scale and shift behind a LayerNormalization become its own", false,
     P_OP(0, Add, P_OP(0, Mul, P_OP(2, LayerNormalization, P_ANY(1), P_CONST(9)), P_CONST(6)), P_CONST(7)), bare_then_affine,
     as_layer_norm},
    {"layer-norm-cast", "a LayerNormalization in f32 between casts from and to half precision", false,
     P_OP(0, Cast, P_OP(2, LayerNormalization, P_SHARED(0, Cast, P_ANY(1)), P_CONST(6), P_CONST_MAYBE(7))), cast_back,
     norm_in_half},
    {"rms-norm", RMS_DOC, false, P_OP(0, Mul, P_OP(0, Div, P_ANY(1), RMS(X_POW)), P_CONST(6)), rms_norm_full, as_rms_norm},
    {"rms-norm", RMS_DOC, false, P_OP(0, Mul, P_OP(0, Div, P_ANY(1), RMS(X_MUL)), P_CONST(6)), rms_norm_full, as_rms_norm},
    {"rms-norm", RMS_DOC, false, P_OP(0, Mul, P_OP(0, Mul, P_ANY(1), P_OP(0, Reciprocal, RMS(X_POW))), P_CONST(6)),
     rms_norm_full, as_rms_norm},
    {"rms-norm", RMS_DOC, false, P_OP(0, Mul, P_OP(0, Mul, P_ANY(1), P_OP(0, Reciprocal, RMS(X_MUL))), P_CONST(6)),
     rms_norm_full, as_rms_norm},
};
const uint32_t hn_rules_recognize_norm_count = sizeof hn_rules_recognize_norm / sizeof *hn_rules_recognize_norm;
