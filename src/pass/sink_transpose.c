/* sink_transpose.c - transposes move towards the outputs, through layers that treat all positions alike, until they
   meet another transpose and merge or cancel. */
#include <string.h>

#include "pass/pass.h"

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }
static hn_id root_out(const hn_match *m) { return hn_out(root(m), 0); }

/* Permutation of the Transpose in slot 2; its rank, or -1. */
static int32_t perm_of(const hn_match *m, int64_t perm[HN_MAX_RANK]) {
  int32_t rank = hn_rank_of(m->g, m->value[2]);
  if (rank >= 1) hn_transpose_perm(hn_node_at(m->g, m->node[2]), rank, perm);
  return rank;
}

static bool known(hn_match *m) { return hn_rank_of(m->g, m->value[2]) >= 1 && hn_rank_of(m->g, root_out(m)) == hn_rank_of(m->g, m->value[2]); }

/* The root over what the transpose read, then the transpose. */
static hn_id below(hn_match *m, hn_id copy) {
  int64_t perm[HN_MAX_RANK];
  int32_t rank = perm_of(m, perm);
  return hn_emit_transpose(m, hn_first(m, copy), perm, (size_t)rank);
}

static hn_id through_unary(hn_match *m) {
  hn_id copy = hn_emit_copy(m, m->root);
  if (copy == HN_NONE) return HN_NONE;
  hn_set_input(m->g, copy, 0, m->value[1]);
  return below(m, copy);
}

/* ---- two operands: a constant, or another transpose of the same kind */

static bool constant_fits(hn_match *m) {
  const hn_tensor *c = hn_const(m->g, m->value[3]);
  return known(m) && c->rank <= hn_rank_of(m->g, m->value[2]) && (c->count == 1 || c->count <= (1 << 16)) &&
         hn_same_shape(m->g, m->value[2], root_out(m)) && hone_dtype_size(c->dtype);
}

/* The constant in the order of dimensions that holds above the transpose. */
static hn_id permuted_constant(hn_match *m, const int64_t *perm, int32_t rank) {
  hn_tensor *c = hn_const(m->g, m->value[3]);
  int64_t dims[HN_MAX_RANK], back[HN_MAX_RANK];
  if (c->count == 1 && c->rank == 0) return m->value[3];
  for (int32_t i = 0; i < rank; i++) {
    dims[i] = i < rank - c->rank ? 1 : c->dims[i - (rank - c->rank)];
    back[perm[i]] = i;
  }
  return hn_emit_transpose(m, hn_emit_reshaped(m, c, rank, dims), back, (size_t)rank);
}

static hn_id with_constant(hn_match *m, bool left) {
  int64_t perm[HN_MAX_RANK];
  int32_t rank = perm_of(m, perm);
  hn_id c = permuted_constant(m, perm, rank);
  hn_id in[2] = {left ? c : m->value[1], left ? m->value[1] : c};
  if (c == HN_NONE) return HN_NONE;
  hn_id n = hn_emit(m, root(m)->op, in, 2);
  if (n != HN_NONE) hn_attr_copy_all(m->g, n, root(m));
  return below(m, n);
}
static hn_id through_constant(hn_match *m) { return with_constant(m, false); }
static hn_id through_constant_left(hn_match *m) { return with_constant(m, true); }

static bool same_perms(hn_match *m) {
  int64_t a[HN_MAX_RANK], b[HN_MAX_RANK];
  int32_t rank = perm_of(m, a);
  if (!known(m) || hn_rank_of(m->g, m->value[4]) != rank) return false;
  hn_transpose_perm(hn_node_at(m->g, m->node[4]), rank, b);
  return memcmp(a, b, sizeof *a * (size_t)rank) == 0;
}

static hn_id through_both(hn_match *m) {
  hn_id in[2] = {m->value[1], m->value[3]};
  hn_id n = hn_emit(m, root(m)->op, in, 2);
  if (n != HN_NONE) hn_attr_copy_all(m->g, n, root(m));
  return below(m, n);
}

/* ---- along an axis */

static hn_id through_softmax(hn_match *m) {
  int64_t perm[HN_MAX_RANK];
  int32_t rank = perm_of(m, perm), axis = hn_axis_of(root(m), -1, rank);
  hn_id copy = axis < 0 ? HN_NONE : hn_emit_copy(m, m->root);
  if (copy == HN_NONE) return HN_NONE;
  hn_set_input(m->g, copy, 0, m->value[1]);
  hn_set_i(m->g, copy, "axis", perm[axis]);
  return below(m, copy);
}

static bool reduces_known(hn_match *m) {
  bool axes[HN_MAX_RANK], keep;
  return hn_rank_of(m->g, m->value[2]) >= 1 && hn_reduced_axes(m->g, root(m), axes, &keep);
}

static hn_id through_reduce(hn_match *m) {
  int64_t perm[HN_MAX_RANK], moved[HN_MAX_RANK], rest[HN_MAX_RANK], left[HN_MAX_RANK];
  bool axes[HN_MAX_RANK], keep;
  int32_t rank = perm_of(m, perm);
  size_t n = 0, kept = 0;
  hn_reduced_axes(m->g, root(m), axes, &keep);
  for (int32_t i = 0; i < rank; i++) {
    if (axes[i]) moved[n++] = perm[i];
    else rest[kept++] = perm[i];
  }
  if (!n) return HN_NONE;
  hn_id in[2] = {m->value[1], hn_emit_ints(m, moved, n)};
  hn_id node = hn_emit(m, root(m)->op, in, 2);
  hn_set_i(m->g, node, "keepdims", keep);
  if (keep) return below(m, node);
  for (size_t i = 0; i < kept; i++) { /* the dimensions that are left, renumbered */
    left[i] = 0;
    for (size_t k = 0; k < kept; k++) left[i] += rest[k] < rest[i];
  }
  bool ordered = true;
  for (size_t i = 0; i < kept; i++) ordered = ordered && left[i] == (int64_t)i;
  return ordered ? hn_first(m, node) : hn_emit_transpose(m, hn_first(m, node), left, kept);
}

/* All inputs of the Concat are transposes of one kind that only it reads. */
static bool concat_of_transposes(hn_match *m) {
  const hn_node *n = root(m);
  int32_t rank = hn_rank_of(m->g, root_out(m));
  int64_t first[HN_MAX_RANK], perm[HN_MAX_RANK];
  if (rank < 1 || n->n_main < 2 || n->n_main > 64) return false;
  for (uint32_t i = 0; i < n->n_main; i++) {
    hn_id p = hn_producer(m->g, n->in[i]);
    if (p == HN_NONE || hn_node_at(m->g, p)->op != HN_Transpose || !hn_used_once(m->g, n->in[i])) return false;
    hn_transpose_perm(hn_node_at(m->g, p), rank, i ? perm : first);
    if (i && memcmp(perm, first, sizeof *perm * (size_t)rank) != 0) return false;
  }
  int32_t axis = hn_axis_of(n, 0, rank);
  if (axis < 0) return false;
  memcpy(m->ints, first, sizeof *first * (size_t)rank);
  m->ints[HN_MAX_RANK] = first[axis];
  return true;
}

static hn_id through_concat(hn_match *m) {
  hn_id in[64];
  uint32_t n_in = root(m)->n_main;
  for (uint32_t i = 0; i < n_in; i++) in[i] = hn_node_at(m->g, hn_producer(m->g, root(m)->in[i]))->in[0];
  hn_id n = hn_emit(m, HN_Concat, in, n_in);
  hn_set_i(m->g, n, "axis", m->ints[HN_MAX_RANK]);
  return hn_emit_transpose(m, hn_first(m, n), m->ints, (size_t)hn_rank_of(m->g, root_out(m)));
}

static const hn_op unary[] = {HN_Relu, HN_Sigmoid, HN_Tanh, HN_HardSwish, HN_HardSigmoid, HN_LeakyRelu, HN_Gelu, HN_Elu,
                              HN_Swish, HN_Mish, HN_Selu, HN_Celu, HN_Softplus, HN_Softsign, HN_Abs, HN_Neg, HN_Exp, HN_Log,
                              HN_Sqrt, HN_Erf, HN_Round, HN_Floor, HN_Ceil, HN_Reciprocal, HN_Cast, HN_OP_NONE};
static const hn_op binary[] = {HN_Add, HN_Mul, HN_Sub, HN_Div, HN_Pow, HN_OP_NONE};
static const hn_op ordered[] = {HN_Sub, HN_Div, HN_Pow, HN_OP_NONE};
static const hn_op softmaxes[] = {HN_Softmax, HN_LogSoftmax, HN_OP_NONE};
static const hn_op reductions[] = {HN_ReduceSum, HN_ReduceMean, HN_ReduceMax, HN_ReduceMin, HN_ReduceProd, HN_ReduceL1,
                                   HN_ReduceL2, HN_ReduceLogSum, HN_ReduceLogSumExp, HN_ReduceSumSquare, HN_OP_NONE};
#define TRANSPOSE P_OP(2, Transpose, P_ANY(1))

const hn_rule hn_rules_sink_transpose[] = {
    {"unary", "through a function of one operand", true, P_SET(0, 0, unary, TRANSPOSE), known, through_unary},
    {"clip", "through a limit", true, P_OP(0, Clip, TRANSPOSE, P_CONST_MAYBE(3), P_CONST_MAYBE(4)), known, through_unary},
    {"constant", "through arithmetic with a constant", true, P_SET(0, 0, binary, TRANSPOSE, P_CONST(3)), constant_fits,
     through_constant},
    {"constant-left", "through arithmetic with a constant on the left", true, P_SET(0, 0, ordered, P_CONST(3), TRANSPOSE),
     constant_fits, through_constant_left},
    {"both", "through arithmetic of two that are transposed alike", true,
     P_SET(0, 0, binary, TRANSPOSE, P_OP(4, Transpose, P_ANY(3))), same_perms, through_both},
    {"softmax", "through Softmax along another axis", true, P_SET(0, 0, softmaxes, TRANSPOSE), known, through_softmax},
    {"reduction", "through a reduction over other axes", false, P_SET(0, 0, reductions, TRANSPOSE, P_MAYBE(3)), reduces_known,
     through_reduce},
    {"concat", "through a Concat of tensors transposed alike", true, P_NODE(0, 0, Concat), concat_of_transposes, through_concat},
};
const uint32_t hn_rules_sink_transpose_count = sizeof hn_rules_sink_transpose / sizeof *hn_rules_sink_transpose;
