#include "op/make.h"

#include <stdio.h>

hn_id hn_make_node(hn_maker *m, hn_op op, const hn_id *in, uint32_t n_in, uint32_t n_out) {
  char name[512];
  if (m->st) return HN_NONE;
  snprintf(name, sizeof name, "%.400s/%s_%d", m->name, hn_op_name(op), m->count++);
  hn_id node = hn_graph_add_node(m->g, op, *m->name ? name : NULL, in, n_in, n_out);
  if (node == HN_NONE) m->st = hn_nomem(m->g->cx);
  return node;
}

hn_id hn_make_out(const hn_maker *m, hn_id node, uint32_t i) { return m->st || node == HN_NONE ? HN_NONE : hn_node_at(m->g, node)->out[i]; }

hn_id hn_make_done(hn_maker *m, hn_id node) {
  if (!m->st && m->g->oom) m->st = hn_nomem(m->g->cx);
  if (!m->st) m->st = hn_infer_node(m->g, node);
  return hn_make_out(m, node, 0);
}

hn_id hn_make1(hn_maker *m, hn_op op, hn_id a) { return hn_make_done(m, hn_make_node(m, op, &a, 1, 1)); }
hn_id hn_make2(hn_maker *m, hn_op op, hn_id a, hn_id b) { return hn_make_done(m, hn_make_node(m, op, (hn_id[]){a, b}, 2, 1)); }

hn_id hn_make_constant(hn_maker *m, hn_tensor *t) {
  if (m->st || !t) {
    hn_tensor_unref(t);
    return HN_NONE;
  }
  hn_id v = hn_graph_add_constant(m->g, NULL, t);
  if (v == HN_NONE) m->st = hn_nomem(m->g->cx);
  return v;
}

hn_id hn_make_scalar(hn_maker *m, hn_dtype t, double v) {
  hn_tensor *c = NULL;
  if (!m->st) m->st = hn_tensor_scalar_f(m->g->cx, t, v, &c);
  return hn_make_constant(m, c);
}

hn_id hn_make_ints(hn_maker *m, const int64_t *v, size_t n) {
  hn_tensor *c = NULL;
  if (!m->st) m->st = hn_tensor_ints(m->g->cx, v, n, &c);
  return hn_make_constant(m, c);
}

hn_id hn_make_transpose(hn_maker *m, hn_id x, const int64_t *perm, size_t n) {
  hn_id node = hn_make_node(m, HN_Transpose, &x, 1, 1);
  if (!m->st) hn_set_ints(m->g, node, "perm", perm, n);
  return hn_make_done(m, node);
}

hn_id hn_make_reshape(hn_maker *m, hn_id x, const int64_t *dims, size_t n) {
  return hn_make2(m, HN_Reshape, x, hn_make_ints(m, dims, n));
}

hn_id hn_make_cast(hn_maker *m, hn_id x, hn_dtype to) {
  if (m->st || hn_make_type(m, x) == to) return x;
  hn_id node = hn_make_node(m, HN_Cast, &x, 1, 1);
  if (!m->st) hn_set_i(m->g, node, "to", to);
  return hn_make_done(m, node);
}

hn_id hn_make_reduce(hn_maker *m, hn_op op, hn_id x, const int64_t *axes, size_t n, bool keepdims) {
  hn_id in[2] = {x, hn_make_ints(m, axes, n)}, node = hn_make_node(m, op, in, 2, 1);
  if (!m->st) hn_set_i(m->g, node, "keepdims", keepdims);
  return hn_make_done(m, node);
}

hn_id hn_make_slice(hn_maker *m, hn_id x, int64_t axis, int64_t start, int64_t end, int64_t step) {
  hn_id in[5] = {x, hn_make_ints(m, &start, 1), hn_make_ints(m, &end, 1), hn_make_ints(m, &axis, 1), hn_make_ints(m, &step, 1)};
  return hn_make_done(m, hn_make_node(m, HN_Slice, in, 5, 1));
}
