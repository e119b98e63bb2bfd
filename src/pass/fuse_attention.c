/* fuse_attention.c - scaled dot-product attention, softmax(Q K^T * scale + mask) V, as one layer. */
#include <math.h>

#include "pass/pass.h"

/* slots: 2 softmax, 3 masked scores, 4 scaled scores, 5 Q K^T, 6 Q, 7 K transposed, 8 factor, 9 mask, 10 V, 11 what is selected in its place */

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }
static hn_id root_out(const hn_match *m) { return hn_out(root(m), 0); }

/* value = other * factor or other / factor, by a node whose result only this reads. */
static bool scaled_by(const hn_graph *g, hn_id value, hn_id *other, double *factor) {
  hn_id p = hn_producer(g, value);
  const hn_node *n = p == HN_NONE ? NULL : hn_node_at(g, p);
  if (!n || (n->op != HN_Mul && n->op != HN_Div) || n->n_post || !hn_used_once(g, value)) return false;
  for (uint32_t i = 0; i < (n->op == HN_Mul ? 2u : 1u); i++) {
    double c;
    if (!hn_scalar_of(g, n->in[1 - i], &c) || c == 0 || !hn_same_shape(g, n->in[i], value)) continue;
    *other = n->in[i];
    *factor *= n->op == HN_Mul ? c : 1 / c;
    return true;
  }
  return false;
}

/* Q and K with factors taken off; the product of the factors. */
static void peel(const hn_match *m, hn_id *q, hn_id *kt, double *factor) {
  double c;
  *q = m->value[6];
  *kt = m->value[7];
  *factor = 1;
  if (m->value[8] != HN_NONE && hn_scalar_of(m->g, m->value[8], &c))
    *factor = hn_node_at(m->g, m->node[4])->op == HN_Mul ? c : 1 / c;
  while (scaled_by(m->g, *q, q, factor)) continue;
  while (scaled_by(m->g, *kt, kt, factor)) continue;
}

/* Is it minus infinity that is selected where the mask says so (or says not)? */
static bool selects_none(const hn_match *m) {
  double c;
  return hn_scalar_of(m->g, m->value[11], &c) && c == -INFINITY;
}

static bool leading_equal(const hn_shape *a, const hn_shape *b) {
  for (int32_t i = 0; i < a->rank - 2; i++)
    if (a->d[i] != b->d[i]) return false;
  return true;
}

static bool is_attention(hn_match *m) {
  hn_shape q = hn_shape_of_value(m->g, m->value[6]), k = hn_shape_of_value(m->g, m->value[7]);
  hn_shape v = hn_shape_of_value(m->g, m->value[10]), s = hn_shape_of_value(m->g, m->value[5]);
  hn_dtype t = hn_dtype_of(m->g, root_out(m));
  double factor;
  hn_id qv, kv;
  if ((q.rank != 3 && q.rank != 4) || k.rank != q.rank || v.rank != q.rank || !hn_is_float(t)) return false;
  if (!leading_equal(&q, &k) || !leading_equal(&q, &v)) return false;
  if (hn_const(m->g, m->value[6]) || hn_const(m->g, m->value[7])) return false;
  if (hn_axis_of(hn_node_at(m->g, m->node[2]), -1, s.rank) != s.rank - 1) return false;
  if (!hn_same_shape(m->g, m->value[2], m->value[5])) return false;
  if (m->value[9] != HN_NONE &&
      (hn_dtype_of(m->g, m->value[9]) != (m->value[11] == HN_NONE ? t : HONE_DTYPE_BOOL) || !hn_broadcasts_into(m->g, m->value[9], m->value[5])))
    return false;
  peel(m, &qv, &kv, &factor);
  m->num[0] = factor;
  return isfinite(factor) && factor > 0;
}

static bool is_selected_attention(hn_match *m) { return selects_none(m) && is_attention(m); }

/* The mask as Attention has it: true where a key is seen. */
static hn_id seen_mask(hn_match *m) {
  hn_id mask = m->value[9];
  bool hides = m->value[11] != HN_NONE && hn_node_at(m->g, m->node[3])->in[1] == m->value[11];
  return hides ? hn_first(m, hn_emit(m, HN_Not, &mask, 1)) : mask;
}

/* K from K transposed: the last two dimensions exchanged, within the transpose that made it if there is one. */
static hn_id untransposed(hn_match *m, hn_id kt) {
  int32_t rank = hn_rank_of(m->g, kt);
  int64_t perm[HN_MAX_RANK];
  hn_id p = hn_producer(m->g, kt), from = kt;
  for (int32_t i = 0; i < rank; i++) perm[i] = i;
  if (p != HN_NONE && hn_node_at(m->g, p)->op == HN_Transpose && !hn_node_at(m->g, p)->n_post) {
    from = hn_node_at(m->g, p)->in[0];
    hn_transpose_perm(hn_node_at(m->g, p), rank, perm);
  }
  int64_t swap = perm[rank - 1];
  perm[rank - 1] = perm[rank - 2];
  perm[rank - 2] = swap;
  return hn_emit_transpose(m, from, perm, (size_t)rank);
}

static hn_id with_batch(hn_match *m, hn_id x, bool wanted) {
  return wanted ? hn_emit2(m, HN_Unsqueeze, x, hn_emit_ints(m, &(int64_t){0}, 1)) : x;
}

static hn_id as_attention(hn_match *m) {
  hn_id q, kt;
  double factor;
  peel(m, &q, &kt, &factor);
  bool flat = hn_rank_of(m->g, m->value[6]) == 3; /* batch and heads in one dimension: a batch of 1 */
  hn_id mask = seen_mask(m);
  hn_id in[4] = {with_batch(m, q, flat), with_batch(m, untransposed(m, kt), flat), with_batch(m, m->value[10], flat), mask};
  if (mask != HN_NONE && flat && hn_rank_of(m->g, mask) == 3) in[3] = with_batch(m, mask, true);
  hn_id n = hn_emit(m, HN_Attention, in, mask == HN_NONE ? 3 : 4);
  hn_set_f(m->g, n, "scale", m->num[0]);
  hn_id y = hn_first(m, n);
  return flat ? hn_emit2(m, HN_Squeeze, y, hn_emit_ints(m, &(int64_t){0}, 1)) : y;
}

/* ---- heads side by side in the last dimension, as products leave them, in place of copies with a dimension for them */

static bool swaps(const hn_graph *g, const hn_node *n, int32_t rank) { /* the heads and the sequence, the two before the last */
  int64_t perm[HN_MAX_RANK];
  hn_transpose_perm(n, rank, perm);
  for (int32_t i = 0; i < rank; i++)
    if (perm[i] != (i == rank - 3 ? rank - 2 : i == rank - 2 ? rank - 3 : i)) return false;
  (void)g;
  return true;
}

static const hn_node *made_by(const hn_graph *g, hn_id v, hn_op op) {
  hn_id p = hn_producer(g, v);
  const hn_node *n = p == HN_NONE ? NULL : hn_node_at(g, p);
  return n && n->op == op && !n->n_post ? n : NULL;
}

/* Q, K or V of 4 dimensions from one of 3. With a batch: Transpose(Reshape(x, [batch, sequence, heads, size])); `flat`, with
   batch and heads in one dimension: Unsqueeze(Transpose(Reshape(x, [sequence, batch heads, size]))). */
static bool side_by_side(const hn_graph *g, hn_id v, bool flat, hn_id *x, int64_t *heads) {
  const hn_node *n;
  if (flat) {
    if (!(n = made_by(g, v, HN_Unsqueeze)) || hn_shape_of_value(g, v).d[0] != 1) return false;
    v = n->in[0];
  }
  if (!(n = made_by(g, v, HN_Transpose)) || !swaps(g, n, flat ? 3 : 4) || !(n = made_by(g, n->in[0], HN_Reshape))) return false;
  hn_shape to = hn_shape_of_value(g, n->out[0]), from = hn_shape_of_value(g, n->in[0]);
  int64_t size = to.d[to.rank - 1], all = from.rank == 3 ? from.d[2] : HN_DIM_BAD;
  if (from.rank != 3 || to.rank != (flat ? 3 : 4) || to.d[0] != from.d[0] || !hn_dim_fixed(size) || !hn_dim_fixed(all) || size < 1 || all % size)
    return false;
  if (!flat && (to.d[1] != from.d[1] || to.d[2] != all / size)) return false;
  *heads = all / size;
  *x = n->in[0];
  return true;
}

/* slots: 2 transpose, 3 attention, 4 squeeze (flat), 5 the wanted shape */
static bool heads_apart(hn_match *m) {
  const hn_node *n = hn_node_at(m->g, m->node[3]);
  bool flat = m->node[4] != HN_NONE;
  hn_shape y = hn_shape_of_value(m->g, m->value[3]), out = hn_shape_of_value(m->g, root_out(m));
  hn_id x[3];
  if (n->n_main != 3 || n->n_out != 1 || y.rank != 4 || !swaps(m->g, hn_node_at(m->g, m->node[2]), flat ? 3 : 4)) return false;
  for (uint32_t i = 0; i < 3; i++)
    if (!side_by_side(m->g, n->in[i], flat, &x[i], &m->ints[i])) return false;
  if (m->ints[1] != m->ints[2] || !hn_dim_fixed(y.d[3]) || (flat && m->ints[0] != m->ints[1])) return false;
  int32_t last = out.rank - 1;
  if (last < 1 || out.d[last] != m->ints[0] * y.d[3]) return false;
  return flat || (last == 2 && out.d[0] == y.d[0] && out.d[1] == y.d[2]);
}

static hn_id heads_together(hn_match *m) {
  const hn_node old = *hn_node_at(m->g, m->node[3]);
  static const int64_t swap[] = {1, 0, 2};
  bool flat = m->node[4] != HN_NONE;
  hn_id in[3];
  for (uint32_t i = 0; i < 3; i++) {
    int64_t heads;
    if (!side_by_side(m->g, old.in[i], flat, &in[i], &heads)) return HN_NONE;
    if (flat) in[i] = hn_emit_transpose(m, in[i], swap, 3);
  }
  hn_id n = hn_emit(m, HN_Attention, in, 3);
  if (n == HN_NONE) return HN_NONE;
  hn_attr_copy_all(m->g, n, &old);
  hn_set_i(m->g, n, "q_num_heads", m->ints[0]);
  hn_set_i(m->g, n, "kv_num_heads", m->ints[1]);
  m->keep = m->node[3];
  if (!flat) return hn_first(m, n);
  return hn_emit2(m, HN_Reshape, hn_emit_transpose(m, hn_first(m, n), swap, 3), m->value[5]);
}

static const hn_op scalings[] = {HN_Mul, HN_Div, HN_OP_NONE};
#define SCORES P_OP(5, MatMul, P_ANY(6), P_ANY(7))
#define SCALED P_SET(HN_PATTERN_SKIP, 4, scalings, SCORES, P_SCALAR(8))
#define MASKED P_SKIP(3, Add, SCALED, P_ANY(9))
#define ATTENTION(scores) P_OP(0, MatMul, P_OP(2, Softmax, scores), P_ANY(10))

const hn_rule hn_rules_fuse_attention[] = {
    {"attention", "softmax(Q K^T * scale + mask) V", false, ATTENTION(MASKED), is_attention, as_attention},
    {"attention-hide", "softmax(Q K^T * scale, or -inf where a mask says so) V", false, ATTENTION(P_OP(3, Where, P_ANY(9), P_SCALAR(11), SCALED)),
     is_selected_attention, as_attention},
    {"attention-show", "softmax(Q K^T * scale where a mask says so, or -inf) V", false, ATTENTION(P_OP(3, Where, P_ANY(9), SCALED, P_SCALAR(11))),
     is_selected_attention, as_attention},
    {"heads", "heads stay side by side", true, P_OP(0, Reshape, P_OP(2, Transpose, P_NODE(0, 3, Attention)), P_ANY(5)), heads_apart, heads_together},
    {"heads-flat", "heads stay side by side, those of the batch too", true,
     P_OP(0, Reshape, P_OP(2, Transpose, P_OP(4, Squeeze, P_NODE(0, 3, Attention), P_ANY(6))), P_ANY(5)), heads_apart, heads_together},
};
const uint32_t hn_rules_fuse_attention_count = sizeof hn_rules_fuse_attention / sizeof *hn_rules_fuse_attention;
