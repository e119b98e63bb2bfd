/* make.h - building graphs node by node, types and shapes inferred at once. The first failure sticks: what is asked for
   after it is HN_NONE, so that only the end needs a check. */
#ifndef HN_MAKE_H
#define HN_MAKE_H
#include "op/infer.h"

typedef struct hn_maker {
  hn_graph *g;
  const char *name; /* nodes are named after it: "name/Transpose_0" */
  int count;
  hone_status st;
} hn_maker;

/* A node whose outputs are not inferred yet, so that attributes can be set; hn_make_done() then gives output 0. */
hn_id hn_make_node(hn_maker *m, hn_op op, const hn_id *in, uint32_t n_in, uint32_t n_out);
hn_id hn_make_done(hn_maker *m, hn_id node);
/* Output i of a node. */
hn_id hn_make_out(const hn_maker *m, hn_id node, uint32_t i);
hn_id hn_make1(hn_maker *m, hn_op op, hn_id a);
hn_id hn_make2(hn_maker *m, hn_op op, hn_id a, hn_id b);
hn_id hn_make_scalar(hn_maker *m, hn_dtype t, double v);
hn_id hn_make_ints(hn_maker *m, const int64_t *v, size_t n);
hn_id hn_make_constant(hn_maker *m, hn_tensor *t); /* takes the reference; NULL: HN_NONE */
hn_id hn_make_transpose(hn_maker *m, hn_id x, const int64_t *perm, size_t n);
hn_id hn_make_reshape(hn_maker *m, hn_id x, const int64_t *dims, size_t n); /* 0: as it is, -1: what is left */
hn_id hn_make_cast(hn_maker *m, hn_id x, hn_dtype to);                      /* x itself where it has the type */
hn_id hn_make_reduce(hn_maker *m, hn_op op, hn_id x, const int64_t *axes, size_t n, bool keepdims);
hn_id hn_make_slice(hn_maker *m, hn_id x, int64_t axis, int64_t start, int64_t end, int64_t step);
static inline hn_dtype hn_make_type(const hn_maker *m, hn_id v) {
  return v == HN_NONE ? HONE_DTYPE_UNDEFINED : hn_value_at(m->g, v)->dtype;
}
#endif
