/* emit.c - what replacements build with. */
#include <string.h>

#include "base/checked.h"
#include "rewrite/rewrite.h"

static hn_id remember(hn_match *m, hn_id node) {
  if (node == HN_NONE) return HN_NONE;
  if (m->n_fresh == HN_MATCH_FRESH) m->g->oom = true;
  else m->fresh[m->n_fresh++] = node;
  return node;
}

hn_id hn_emit(hn_match *m, hn_op op, const hn_id *in, uint32_t n_in) {
  return remember(m, hn_graph_add_node(m->g, op, "", in, n_in, 1));
}

hn_id hn_emit_copy(hn_match *m, hn_id node) {
  if (node == HN_NONE) return HN_NONE;
  hn_node old = *hn_node_at(m->g, node);
  hn_id copy = remember(m, hn_graph_add_node(m->g, old.op, "", old.in, old.n_main, old.n_out));
  if (copy == HN_NONE) return HN_NONE;
  hn_attr_copy_all(m->g, copy, &old);
  for (uint32_t i = 0; i < old.n_post; i++) {
    hn_step s = old.post[i];
    hn_add_post(m->g, copy, s.op, s.operand == HN_NONE ? HN_NONE : old.in[s.operand], s.swapped, s.alpha, s.beta);
  }
  return copy;
}

hn_id hn_first(const hn_match *m, hn_id node) { return node == HN_NONE ? HN_NONE : hn_out(hn_node_at(m->g, node), 0); }

hn_id hn_emit1(hn_match *m, hn_op op, hn_id a) {
  return a == HN_NONE ? HN_NONE : hn_first(m, hn_emit(m, op, &a, 1));
}

hn_id hn_emit2(hn_match *m, hn_op op, hn_id a, hn_id b) {
  hn_id in[2] = {a, b};
  return a == HN_NONE || b == HN_NONE ? HN_NONE : hn_first(m, hn_emit(m, op, in, 2));
}

hn_id hn_emit_tensor(hn_match *m, hn_tensor *t) { return hn_graph_add_constant(m->g, NULL, t); }

hn_id hn_emit_ints(hn_match *m, const int64_t *v, size_t n) {
  hn_tensor *t = NULL;
  hn_tensor_ints(m->g->cx, v, n, &t);
  return hn_emit_tensor(m, t);
}

hn_id hn_emit_scalar(hn_match *m, hn_dtype dtype, double v) {
  hn_tensor *t = NULL;
  hn_tensor_scalar_f(m->g->cx, dtype, v, &t);
  return hn_emit_tensor(m, t);
}

hn_id hn_emit_vector(hn_match *m, hn_dtype dtype, const double *v, size_t n) {
  hn_tensor *t = NULL;
  if (!hn_tensor_create(m->g->cx, dtype, 1, &(int64_t){(int64_t)n}, &t))
    for (size_t i = 0; i < n; i++) hn_store_f64(dtype, t->data, i, v[i]);
  return hn_emit_tensor(m, t);
}

hn_id hn_emit_scaled(hn_match *m, const hn_tensor *w, int32_t axis, const double *s) {
  hn_tensor *t = NULL;
  if (hn_tensor_create(m->g->cx, w->dtype, w->rank, w->dims, &t)) return hn_emit_tensor(m, NULL);
  size_t inner = 1, n = (size_t)w->dims[axis];
  for (int32_t i = axis + 1; i < w->rank; i++) inner *= (size_t)w->dims[i];
  for (size_t i = 0; i < (size_t)w->count; i++)
    hn_store_f64(t->dtype, t->data, i, hn_tensor_f(w, i) * s[i / inner % n]);
  return hn_emit_tensor(m, t);
}

/* Other dimensions over the same bytes, kept alive by a reference. */
static void release_view(hn_tensor *t) { hn_tensor_unref(t->owner); }

hn_id hn_emit_reshaped(hn_match *m, hn_tensor *t, int32_t rank, const int64_t *dims) {
  int64_t count = 1;
  for (int32_t i = 0; i < rank; i++)
    if (!hn_mul_i64(count, dims[i], &count)) return HN_NONE;
  hn_tensor *r = count == t->count && rank <= HN_MAX_RANK ? hn_calloc(1, sizeof *r) : NULL;
  if (!r) return hn_emit_tensor(m, NULL);
  *r = (hn_tensor){.dtype = t->dtype, .rank = rank, .count = count, .bytes = t->bytes, .data = t->data,
                   .release = release_view, .owner = hn_tensor_ref(t), .refs = 1};
  if (rank) memcpy(r->dims, dims, sizeof *dims * (size_t)rank);
  return hn_emit_tensor(m, r);
}

hn_id hn_emit_transpose(hn_match *m, hn_id x, const int64_t *perm, size_t rank) {
  if (x == HN_NONE) return HN_NONE;
  hn_id n = hn_emit(m, HN_Transpose, &x, 1);
  hn_set_ints(m->g, n, "perm", perm, rank);
  return hn_first(m, n);
}

void hn_transpose_perm(const hn_node *n, int32_t rank, int64_t perm[HN_MAX_RANK]) {
  const int64_t *v;
  bool given = hn_attr_ints(n, "perm", &v) == (uint32_t)rank;
  for (int32_t i = 0; i < rank; i++) perm[i] = given ? v[i] : rank - 1 - i;
}
