/* layers_merge.c - layers of several inputs. */
#include "format/keras/layers.h"

/* Inputs of fewer dimensions get more behind the batch. */
static hn_id raised(kr_call *c, hn_id x, int32_t rank) {
  int32_t have = kr_rank(c, x);
  int64_t axes[HN_MAX_RANK];
  if (have < 1 || have >= rank) return x;
  for (int32_t i = 0; i < rank - have; i++) axes[i] = i + 1;
  return hn_make2(&c->m, HN_Unsqueeze, x, hn_make_ints(&c->m, axes, (size_t)(rank - have)));
}

hone_status kr_lower_merge(kr_call *c, int variant) {
  int32_t rank = 0;
  hn_op op = (hn_op)variant;
  for (uint32_t i = 0; i < c->n_in; i++)
    if (kr_rank(c, c->in[i]) > rank) rank = kr_rank(c, c->in[i]);
  for (uint32_t i = 0; i < c->n_in; i++) c->in[i] = raised(c, c->in[i], rank);
  if (c->n_in < 2) return kr_fail(c, HONE_BAD_GRAPH, "it takes two inputs or more");
  if (op == HN_Sub && c->n_in != 2) return kr_fail(c, HONE_BAD_GRAPH, "it takes two inputs");
  if (hn_op_is(op, HN_OP_VARIADIC)) return kr_result(c, hn_make_done(&c->m, kr_main(c, op, c->in, c->n_in, 1)));
  hn_id y = c->in[0];
  for (uint32_t i = 1; i + 1 < c->n_in; i++) y = hn_make2(&c->m, op, y, c->in[i]);
  return kr_result(c, hn_make_done(&c->m, kr_main(c, op, (hn_id[]){y, c->in[c->n_in - 1]}, 2, 1)));
}

hone_status kr_lower_concatenate(kr_call *c, int variant) {
  hn_id node = kr_main(c, HN_Concat, c->in, c->n_in, 1);
  (void)variant;
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", kj_int(c->config, "axis", -1));
  return kr_result(c, hn_make_done(&c->m, node));
}

static hn_id normalized(kr_call *c, hn_id x, int64_t axis) {
  hn_id sum = hn_make_reduce(&c->m, HN_ReduceSum, hn_make2(&c->m, HN_Mul, x, x), &axis, 1, true);
  hn_id root = hn_make1(&c->m, HN_Sqrt, hn_make2(&c->m, HN_Max, sum, hn_make_scalar(&c->m, hn_make_type(&c->m, x), 1e-12)));
  return hn_make2(&c->m, HN_Div, x, root);
}

/* With axis `axis` of three dimensions moved to `to`. */
static hn_id moved(kr_call *c, hn_id x, int32_t axis, int32_t to) {
  return axis == to ? x : hn_make_transpose(&c->m, x, (int64_t[]){0, 2, 1}, 3);
}

/* Matrices: a batch of products. Vectors: scalar products, kept as one column. */
hone_status kr_lower_dot(kr_call *c, int variant) {
  int64_t axes[2];
  int32_t a, b;
  (void)variant;
  if (c->n_in != 2) return kr_fail(c, HONE_BAD_GRAPH, "it takes two inputs");
  int32_t rank = kr_rank(c, c->in[0]), other = kr_rank(c, c->in[1]);
  if (!kj_ints_n(c->config, "axes", axes, 2, -1) || !hn_axis(axes[0], rank, &a) || !hn_axis(axes[1], other, &b) || !a || !b)
    return kr_fail(c, HONE_BAD_GRAPH, "its axes do not fit its inputs");
  hn_id x = c->in[0], y = c->in[1];
  if (kj_bool(c->config, "normalize", false)) x = normalized(c, x, a), y = normalized(c, y, b);
  if (rank == 2 && other == 2)
    return kr_result(c, hn_make_reduce(&c->m, HN_ReduceSum, hn_make2(&c->m, HN_Mul, x, y), (int64_t[]){1}, 1, true));
  if (rank > 3 || other > 3) return kr_fail(c, HONE_UNSUPPORTED, "inputs of %d and %d dimensions are not supported", rank, other);
  if (rank == 3) x = moved(c, x, a, 2);
  else x = hn_make2(&c->m, HN_Unsqueeze, x, hn_make_ints(&c->m, (int64_t[]){1}, 1));
  if (other == 3) y = moved(c, y, b, 1);
  else y = hn_make2(&c->m, HN_Unsqueeze, y, hn_make_ints(&c->m, (int64_t[]){2}, 1));
  x = hn_make_done(&c->m, kr_main(c, HN_MatMul, (hn_id[]){x, y}, 2, 1));
  if (rank == 2) x = hn_make2(&c->m, HN_Squeeze, x, hn_make_ints(&c->m, (int64_t[]){1}, 1));
  if (other == 2) x = hn_make2(&c->m, HN_Squeeze, x, hn_make_ints(&c->m, (int64_t[]){rank == 2 ? 1 : 2}, 1));
  return kr_result(c, x);
}
