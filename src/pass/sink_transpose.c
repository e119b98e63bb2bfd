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

/* A product with weights on the right leaves the dimensions before the last as they are. */
static bool is_product_of_rows(const hn_match *m, const hn_node *n, int slot) {
  const hn_tensor *w = n->op == HN_MatMul ? hn_const(m->g, hn_in(n, 1)) : NULL;
  int64_t perm[HN_MAX_RANK];
  int32_t rank = hn_rank_of(m->g, m->value[slot]);
  if (!w || w->rank != 2 || rank < 2 || n->in[0] != m->value[slot]) return false;
  hn_transpose_perm(hn_node_at(m->g, hn_producer(m->g, m->value[slot])), rank, perm);
  return perm[rank - 1] == rank - 1;
}

/* A transpose that several layers read goes when all of them are of the kinds that let one through. */
static bool goes(const hn_match *m, int slot) {
  static const uint32_t kinds = HN_OP_UNARY | HN_OP_BINARY | HN_OP_REDUCE;
  const hn_value *v = hn_value_at(m->g, m->value[slot]);
  if (hn_used_once(m->g, m->value[slot])) return true;
  if (hn_is_output(m->g, m->value[slot])) return false;
  for (uint32_t i = 0; i < v->n_users; i++) {
    hn_op op = hn_node_at(m->g, v->users[i])->op;
    if (is_product_of_rows(m, hn_node_at(m->g, v->users[i]), slot)) continue;
    if (!hn_op_is(op, kinds) && op != HN_Transpose && op != HN_Concat && op != HN_Softmax) return false;
  }
  return true;
}

static bool known(hn_match *m) {
  return goes(m, 2) && hn_rank_of(m->g, m->value[2]) >= 1 && hn_rank_of(m->g, root_out(m)) == hn_rank_of(m->g, m->value[2]);
}

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

/* ---- a product with weights */

static bool over_rows(hn_match *m) { return known(m) && is_product_of_rows(m, root(m), 2); }

static hn_id through_product(hn_match *m) {
  hn_id in[2] = {m->value[1], m->value[3]};
  return below(m, hn_emit(m, HN_MatMul, in, 2));
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
  if (!known(m) || !goes(m, 4) || hn_rank_of(m->g, m->value[4]) != rank) return false;
  hn_transpose_perm(hn_node_at(m->g, m->node[4]), rank, b);
  return memcmp(a, b, sizeof *a * (size_t)rank) == 0;
}

static hn_id through_both(hn_match *m) {
  hn_id in[2] = {m->value[1], m->value[3]};
  hn_id n = hn_emit(m, root(m)->op, in, 2);
  if (n != HN_NONE) hn_attr_copy_all(m->g, n, root(m));
  return below(m, n);
}

/* ---- the other operand is turned back for nothing: only dimensions of size 1 change places in it */

static bool moves_ones(const hn_shape *in, const int64_t *perm) {
  int64_t last = -1;
  for (int32_t i = 0; i < in->rank; i++) {
    if (in->d[perm[i]] == 1) continue;
    if (perm[i] < last) return false;
    last = perm[i];
  }
  return true;
}

/* The transpose itself moves more than that: otherwise it is a reshape, and the two could go on changing places. */
static bool turns_for_nothing(hn_match *m) {
  int64_t perm[HN_MAX_RANK], back[HN_MAX_RANK];
  hn_shape other = hn_shape_of_value(m->g, m->value[3]), in = hn_shape_of_value(m->g, m->value[1]);
  hn_id producer = hn_producer(m->g, m->value[3]);
  int32_t rank = perm_of(m, perm);
  if (!known(m) || other.rank != rank || in.rank != rank || hn_const(m->g, m->value[3]) || !hn_same_shape(m->g, m->value[2], root_out(m))) return false;
  if (producer != HN_NONE && hn_node_at(m->g, producer)->op == HN_Transpose) return false;
  for (int32_t i = 0; i < rank; i++) back[perm[i]] = i;
  return moves_ones(&other, back) && !moves_ones(&in, perm);
}

static hn_id with_turned(hn_match *m, bool left) {
  int64_t perm[HN_MAX_RANK], back[HN_MAX_RANK];
  int32_t rank = perm_of(m, perm);
  for (int32_t i = 0; i < rank; i++) back[perm[i]] = i;
  hn_id other = hn_emit_transpose(m, m->value[3], back, (size_t)rank), in[2] = {left ? other : m->value[1], left ? m->value[1] : other};
  hn_id n = hn_emit(m, root(m)->op, in, 2);
  if (n != HN_NONE) hn_attr_copy_all(m->g, n, root(m));
  return below(m, n);
}
static hn_id through_turned(hn_match *m) { return with_turned(m, false); }
static hn_id through_turned_left(hn_match *m) { return with_turned(m, true); }

/* A reshape behind a function of each element, so that it meets the next one (a transpose of ones became a reshape). */
static hn_id through_reshape(hn_match *m) {
  hn_id copy = hn_emit_copy(m, m->root), moved = copy == HN_NONE ? HN_NONE : hn_emit_copy(m, m->node[2]);
  if (moved == HN_NONE) return HN_NONE;
  hn_set_input(m->g, copy, 0, m->value[1]);
  hn_set_input(m->g, moved, 0, hn_first(m, copy));
  return hn_first(m, moved);
}

/* ---- into the weights behind a Flatten: the rows change places instead */

static bool flattened(hn_match *m) {
  const hn_node *n = root(m);
  hn_shape in = hn_shape_of_value(m->g, m->value[2]), flat = hn_shape_of_value(m->g, m->value[5]);
  const hn_tensor *w = hn_const(m->g, m->value[3]);
  int64_t perm[HN_MAX_RANK], rows = 1;
  if (perm_of(m, perm) < 3 || perm[0] != 0 || flat.rank != 2 || w->rank != 2 || n->n_post || !hone_dtype_size(w->dtype)) return false;
  if (n->op == HN_Gemm && hn_attr_i(n, "transA", 0)) return false;
  for (int32_t i = 1; i < in.rank; i++) {
    if (!hn_dim_fixed(in.d[i])) return false;
    rows *= in.d[i];
  }
  return in.d[0] == flat.d[0] && flat.d[1] == rows && rows == w->dims[n->op == HN_Gemm && hn_attr_i(n, "transB", 0)];
}

static hn_id into_weights(hn_match *m) {
  int64_t perm[HN_MAX_RANK], dims[HN_MAX_RANK + 1], back[HN_MAX_RANK + 1];
  int32_t rank = perm_of(m, perm);
  const hn_node *n = root(m);
  bool by_row = n->op == HN_Gemm && hn_attr_i(n, "transB", 0); /* [out, rows] */
  hn_tensor *w = hn_const(m->g, m->value[3]);
  hn_shape in = hn_shape_of_value(m->g, m->value[2]);
  if (rank >= HN_MAX_RANK) return HN_NONE;
  /* rows as the dimensions that they are, in the order they have above the transpose */
  for (int32_t i = 1; i < rank; i++) {
    dims[i - !by_row] = in.d[i];
    back[perm[i] - !by_row] = i - !by_row;
  }
  dims[by_row ? 0 : rank - 1] = w->dims[!by_row];
  back[by_row ? 0 : rank - 1] = by_row ? 0 : rank - 1;
  hn_id rows = hn_emit_transpose(m, hn_emit_reshaped(m, w, rank, dims), back, (size_t)rank);
  hn_id weights = hn_emit2(m, HN_Reshape, rows, hn_emit_ints(m, w->dims, 2)), flat = hn_emit_copy(m, m->node[5]), copy = hn_emit_copy(m, m->root);
  if (weights == HN_NONE || flat == HN_NONE || copy == HN_NONE) return HN_NONE;
  hn_set_input(m->g, flat, 0, m->value[1]);
  hn_set_input(m->g, copy, 0, hn_first(m, flat));
  hn_set_input(m->g, copy, 1, weights);
  return hn_first(m, copy);
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
  return goes(m, 2) && hn_rank_of(m->g, m->value[2]) >= 1 && hn_reduced_axes(m->g, root(m), axes, &keep);
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

/* All inputs of the Concat are transposes of one kind. */
static bool concat_of_transposes(hn_match *m) {
  const hn_node *n = root(m);
  int32_t rank = hn_rank_of(m->g, root_out(m));
  int64_t first[HN_MAX_RANK], perm[HN_MAX_RANK];
  if (rank < 1 || n->n_main < 2 || n->n_main > 64) return false;
  for (uint32_t i = 0; i < n->n_main; i++) {
    hn_id p = hn_producer(m->g, n->in[i]);
    if (p == HN_NONE || hn_node_at(m->g, p)->op != HN_Transpose || hn_is_output(m->g, n->in[i])) return false;
    m->value[2] = n->in[i];
    if (!goes(m, 2)) return false;
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
static const hn_op reshapes[] = {HN_Reshape, HN_Squeeze, HN_Unsqueeze, HN_OP_NONE};
static const hn_op flattens[] = {HN_Reshape, HN_Flatten, HN_OP_NONE};
#define TRANSPOSE P_SHARED(2, Transpose, P_ANY(1))
#define FLATTENED P_SET(0, 5, flattens, P_OP(2, Transpose, P_ANY(1)), P_MAYBE(6))

const hn_rule hn_rules_sink_transpose[] = {
    {"unary", "through a function of one operand", true, P_SET(0, 0, unary, TRANSPOSE), known, through_unary},
    {"clip", "through a limit", true, P_OP(0, Clip, TRANSPOSE, P_CONST_MAYBE(3), P_CONST_MAYBE(4)), known, through_unary},
    {"product", "through a product with weights", true, P_OP(0, MatMul, TRANSPOSE, P_CONST(3)), over_rows, through_product},
    {"constant", "through arithmetic with a constant", true, P_SET(0, 0, binary, TRANSPOSE, P_CONST(3)), constant_fits,
     through_constant},
    {"constant-left", "through arithmetic with a constant on the left", true, P_SET(0, 0, ordered, P_CONST(3), TRANSPOSE),
     constant_fits, through_constant_left},
    {"both", "through arithmetic of two that are transposed alike", true,
     P_SET(0, 0, binary, TRANSPOSE, P_SHARED(4, Transpose, P_ANY(3))), same_perms, through_both},
    {"turned", "through arithmetic with what is turned back by a reshape", true, P_SET(0, 0, binary, TRANSPOSE, P_ANY(3)),
     turns_for_nothing, through_turned},
    {"turned-left", "through arithmetic with that on the left", true, P_SET(0, 0, ordered, P_ANY(3), TRANSPOSE), turns_for_nothing,
     through_turned_left},
    {"reshape", "a reshape behind a function of one operand", true, P_SET(0, 0, unary, P_SET(0, 2, reshapes, P_ANY(1), P_ANY(4))), NULL,
     through_reshape},
    {"matmul-flatten", "into the rows of the weights behind a Flatten", false, P_OP(0, MatMul, FLATTENED, P_CONST(3)), flattened, into_weights},
    {"gemm-flatten", "into the rows of the weights behind a Flatten", false, P_OP(0, Gemm, FLATTENED, P_CONST(3), P_CONST_MAYBE(4)), flattened,
     into_weights},
    {"softmax", "through Softmax along another axis", true, P_SET(0, 0, softmaxes, TRANSPOSE), known, through_softmax},
    {"reduction", "through a reduction over other axes", false, P_SET(0, 0, reductions, TRANSPOSE, P_MAYBE(3)), reduces_known,
     through_reduce},
    {"concat", "through a Concat of tensors transposed alike", true, P_NODE(0, 0, Concat), concat_of_transposes, through_concat},
};
const uint32_t hn_rules_sink_transpose_count = sizeof hn_rules_sink_transpose / sizeof *hn_rules_sink_transpose;
