/* select_early.c - a slice, or a gather of fixed indices, moves towards the inputs through layers that treat what it selects
   apart, until it stands before a product: of that only the rows and columns are computed that are used later. */
#include "pass/pass.h"

enum { MAX_PICKED = 4096, DEPTH = 8, BUDGET = 256 }; /* layers looked at */

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }

/* What a node selects along one axis: `count` of n. */
typedef struct selection {
  int32_t axis;
  int64_t count, n;
  bool drops; /* one index, given as a number: the axis goes */
} selection;

static bool one_int(const hn_graph *g, const hn_node *n, uint32_t i, int64_t *v) {
  uint32_t k;
  return hn_const(g, hn_in(n, i)) && hn_ints_of(g, hn_in(n, i), v, 1, &k) && k == 1;
}

static bool selection_of(const hn_graph *g, const hn_node *n, selection *s) {
  hn_shape in = hn_shape_of_value(g, hn_in(n, 0)), out = hn_shape_of_value(g, hn_out(n, 0));
  int64_t axis = 0, v, from[MAX_PICKED];
  uint32_t k;
  s->drops = n->op == HN_Gather && hn_rank_of(g, hn_in(n, 1)) == 0;
  if (in.rank < 1 || out.rank != in.rank - s->drops || n->n_post) return false;
  if (n->op == HN_Gather) {
    axis = hn_attr_i(n, "axis", 0);
    if (hn_rank_of(g, hn_in(n, 1)) > 1 || !hn_const(g, hn_in(n, 1)) || !hn_ints_of(g, hn_in(n, 1), from, MAX_PICKED, &k)) return false;
  } else {
    if (!one_int(g, n, 1, &v) || !one_int(g, n, 2, &v)) return false;
    if (hn_in(n, 3) != HN_NONE && !one_int(g, n, 3, &axis)) return false;
    if (hn_in(n, 4) != HN_NONE && !one_int(g, n, 4, &v)) return false;
  }
  s->axis = (int32_t)(axis < 0 ? axis + in.rank : axis);
  if (s->axis < 0 || s->axis >= in.rank || !hn_dim_fixed(in.d[s->axis])) return false;
  s->n = in.d[s->axis];
  s->count = s->drops ? 1 : out.d[s->axis];
  return s->count > 0 && s->count < s->n;
}

/* Along which axis of its input i a selection along `axis` of the node's output is made; -1: the input stays whole. false: it
   cannot move. */
static bool axis_in(const hn_graph *g, const hn_node *n, uint32_t i, int32_t axis, int32_t *in_axis) {
  hn_shape out = hn_shape_of_value(g, hn_out(n, 0)), in = hn_shape_of_value(g, hn_in(n, i));
  int64_t perm[HN_MAX_RANK];
  *in_axis = -1;
  if (in.rank < 0) return false;
  if (hn_op_is(n->op, HN_OP_UNARY)) {
    if (!i) *in_axis = axis;
    return i == 0 || n->op == HN_Clip;
  }
  if (hn_op_is(n->op, HN_OP_BINARY)) {
    int32_t at = axis - (out.rank - in.rank);
    if (at >= 0 && !hn_dim_fixed(in.d[at])) return false;
    if (at >= 0 && in.d[at] != 1) *in_axis = at;
    return true;
  }
  switch (n->op) {
    case HN_LayerNormalization:
      if (!i) *in_axis = axis;
      return axis < hn_axis_of(n, -1, out.rank) && n->n_out == 1;
    case HN_Transpose:
      hn_transpose_perm(n, out.rank, perm);
      *in_axis = (int32_t)perm[axis];
      return true;
    case HN_MatMul: { /* rows of the left, or columns of constant weights on the right */
      hn_shape b = hn_shape_of_value(g, hn_in(n, 1));
      bool columns = axis == out.rank - 1;
      if (b.rank != 2 || hn_rank_of(g, hn_in(n, 0)) < 2 || (columns && !hn_const(g, hn_in(n, 1)))) return false;
      if (columns == (i == 1)) *in_axis = i ? 1 : axis;
      return true;
    }
    case HN_Gemm: {
      bool turned = hn_attr_i(n, "transB", 0) != 0;
      if (hn_attr_i(n, "transA", 0) || (axis == 1 && !hn_const(g, hn_in(n, 1)))) return false;
      if (i < 2 && axis == (int32_t)i) *in_axis = i ? !turned : 0;
      if (i == 2 && in.rank > 1 - axis && in.d[in.rank - 2 + axis] != 1) *in_axis = in.rank - 2 + axis;
      return true;
    }
    case HN_Attention: /* some of the queries */
      if (n->n_main != 3 || n->n_out != 1 || hn_attr_i(n, "is_causal", 0) || axis != out.rank - 2) return false;
      if (!i) *in_axis = axis;
      return true;
    default: return false;
  }
}

/* How much of a value selections along one axis of it take in all, those that could move before its readers too; more than
   there can be if it is read in another way. */
static int64_t count_selected(const hn_graph *g, hn_id v, int32_t axis, int *budget) {
  const hn_value *val = hn_value_at(g, v);
  const int64_t whole = INT64_MAX / 64;
  int64_t all = 0;
  if (hn_is_output(g, v) || --*budget < 0) return whole;
  for (uint32_t i = 0; i < val->n_users && all < whole; i++) {
    const hn_node *user = hn_node_at(g, val->users[i]);
    selection s;
    if ((user->op == HN_Gather || user->op == HN_Slice) && hn_in(user, 0) == v && selection_of(g, user, &s) && s.axis == axis) {
      all += s.count;
      continue;
    }
    int32_t rank = hn_rank_of(g, hn_out(user, 0)), at = 0, from = -1;
    uint32_t k = 0;
    while (k < user->n_main && user->in[k] != v) k++;
    for (; at < rank && k < user->n_main && !user->n_post && from != axis; at++)
      if (!axis_in(g, user, k, at, &from)) from = -1;
    all = from == axis ? all + count_selected(g, hn_out(user, 0), at - 1, budget) : whole;
  }
  return all;
}

static bool is_product(hn_op op) { return op == HN_MatMul || op == HN_Gemm || op == HN_Attention; }

/* Does a selection of v along the axis come to stand before a product, which then has no more to do than before? Elsewhere it
   would only be in the way of fusion. */
static bool pays(const hn_graph *g, hn_id v, int32_t axis, int depth) {
  hn_id p = hn_producer(g, v);
  const hn_node *n = p == HN_NONE ? NULL : hn_node_at(g, p);
  int32_t at;
  bool any = false;
  int budget = BUDGET;
  if (!n || depth == 0 || n->n_post || hn_value_at(g, v)->producer_out) return false;
  if (count_selected(g, v, axis, &budget) > hn_value_at(g, v)->shape.d[axis]) return false;
  for (uint32_t i = 0; i < n->n_main; i++) {
    if (n->in[i] == HN_NONE) continue;
    if (!axis_in(g, n, i, axis, &at)) return false;
    any = any || is_product(n->op) || (at >= 0 && pays(g, n->in[i], at, depth - 1));
  }
  return any;
}

static bool can_move(hn_match *m) {
  selection s;
  hn_id x = hn_in(root(m), 0);
  if (!selection_of(m->g, root(m), &s) || s.drops || !pays(m->g, x, s.axis, DEPTH)) return false;
  m->keep = hn_producer(m->g, x);
  m->nodes[m->n_nodes++] = m->keep;
  m->ints[0] = s.axis;
  return true;
}

/* What the root selects, of another value. */
static hn_id select_of(hn_match *m, hn_id x, int32_t axis) {
  const hn_node old = *root(m);
  hn_id in[5] = {x, hn_in(&old, 1), HN_NONE, HN_NONE, HN_NONE};
  if (old.op == HN_Slice) {
    in[2] = hn_in(&old, 2);
    in[3] = hn_emit_ints(m, &(int64_t){axis}, 1);
    in[4] = hn_in(&old, 4);
  }
  hn_id n = hn_emit(m, old.op, in, old.op == HN_Gather ? 2 : in[4] == HN_NONE ? 4 : 5);
  if (n != HN_NONE && old.op == HN_Gather) hn_set_i(m->g, n, "axis", axis);
  return hn_first(m, n);
}

static hn_id move_up(hn_match *m) {
  hn_id p = hn_producer(m->g, hn_in(root(m), 0)), copy = hn_emit_copy(m, p);
  if (copy == HN_NONE) return HN_NONE;
  for (uint32_t i = 0; i < hn_node_at(m->g, p)->n_main; i++) {
    hn_id x = hn_node_at(m->g, p)->in[i];
    int32_t at;
    if (x == HN_NONE || !axis_in(m->g, hn_node_at(m->g, p), i, (int32_t)m->ints[0], &at) || at < 0) continue;
    hn_id part = select_of(m, x, at);
    if (part == HN_NONE) return HN_NONE;
    hn_set_input(m->g, copy, i, part);
  }
  return hn_first(m, copy);
}

/* A gather of one index given as a number, which drops the axis: so that it can move, the axis is kept and dropped behind. */
static bool can_move_one(hn_match *m) {
  selection s;
  int64_t from;
  uint32_t k;
  if (!selection_of(m->g, root(m), &s) || !s.drops || !hn_ints_of(m->g, m->value[2], &from, 1, &k) || k != 1) return false;
  m->ints[0] = s.axis;
  m->ints[1] = from;
  return pays(m->g, m->value[1], s.axis, DEPTH);
}

static hn_id keep_axis(hn_match *m) {
  hn_id in[2] = {m->value[1], hn_emit_ints(m, &m->ints[1], 1)}, n = hn_emit(m, HN_Gather, in, 2);
  if (n == HN_NONE) return HN_NONE;
  hn_set_i(m->g, n, "axis", m->ints[0]);
  return hn_emit2(m, HN_Squeeze, hn_first(m, n), hn_emit_ints(m, m->ints, 1));
}

static const hn_op selections[] = {HN_Gather, HN_Slice, HN_OP_NONE};

const hn_rule hn_rules_select_early[] = {
    {"early", "a selection before the layer whose result it selects of", true, P_ONE_OF(0, 0, selections), can_move, move_up},
    {"one", "one index as a selection that can move", true, P_OP(0, Gather, P_ANY(1), P_CONST(2)), can_move_one, keep_axis},
};
const uint32_t hn_rules_select_early_count = sizeof hn_rules_select_early / sizeof *hn_rules_select_early;
