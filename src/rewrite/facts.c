/* facts.c - what guards ask about values. */
#include <string.h>

#include "rewrite/rewrite.h"

bool hn_scalar_of(const hn_graph *g, hn_id value, double *x) {
  const hn_tensor *t = hn_const(g, value);
  if (!t || t->count != 1 || !hone_dtype_size(t->dtype)) return false;
  hn_dclass c = hn_dtype_class(t->dtype);
  if (c == HN_CLASS_C || c == HN_CLASS_S || c == HN_CLASS_NONE) return false;
  *x = hn_tensor_f(t, 0);
  return true;
}

bool hn_ints_of(const hn_graph *g, hn_id value, int64_t *v, uint32_t max, uint32_t *n) {
  if (value == HN_NONE) return false;
  const hn_value *x = hn_value_at(g, value);
  if (x->data) {
    if (x->data->rank > 1 || !hn_is_int(x->dtype) || x->data->count > max) return false;
    *n = (uint32_t)x->data->count;
    for (uint32_t i = 0; i < *n; i++) v[i] = hn_tensor_i(x->data, i);
    return true;
  }
  if (!x->sym || x->n_sym > max) return false;
  for (uint32_t i = 0; i < x->n_sym; i++) {
    if (!hn_dim_fixed(x->sym[i])) return false;
    v[i] = x->sym[i];
  }
  *n = x->n_sym;
  return true;
}

bool hn_same_shape(const hn_graph *g, hn_id a, hn_id b) {
  hn_shape x = hn_shape_of_value(g, a), y = hn_shape_of_value(g, b);
  return a == b || hn_shape_equal(&x, &y);
}

bool hn_broadcasts_into(const hn_graph *g, hn_id a, hn_id b) {
  hn_shape x = hn_shape_of_value(g, a), y = hn_shape_of_value(g, b);
  if (x.rank < 0 || y.rank < 0 || x.rank > y.rank) return false;
  for (int32_t i = 0; i < x.rank; i++) {
    hn_dim d = x.d[i], e = y.d[i + y.rank - x.rank];
    if (d != 1 && d != e) return false;
  }
  return true;
}

double *hn_axis_values(const hn_graph *g, hn_id value, int32_t rank, int32_t axis, int64_t n) {
  const hn_tensor *t = hn_const(g, value);
  if (!t || !hn_is_float(t->dtype) || !hone_dtype_size(t->dtype) || t->rank > rank || n <= 0) return NULL;
  for (int32_t i = 0; i < t->rank; i++) {
    bool along = i + rank - t->rank == axis;
    if (t->dims[i] != 1 && !(along && t->dims[i] == n)) return NULL;
  }
  double *v = hn_calloc((size_t)n, sizeof *v);
  for (int64_t i = 0; v && i < n; i++) v[i] = hn_tensor_f(t, t->count == 1 ? 0 : (size_t)i);
  return v;
}

bool hn_used_once(const hn_graph *g, hn_id value) {
  return value != HN_NONE && hn_value_at(g, value)->n_users == 1 && !hn_is_output(g, value);
}

int32_t hn_axis_of(const hn_node *n, int64_t otherwise, int32_t rank) {
  int64_t a = hn_attr_i(n, "axis", otherwise);
  if (a < -rank || a >= rank || rank < 0) return -1;
  return (int32_t)(a < 0 ? a + rank : a);
}

bool hn_reduced_axes(const hn_graph *g, const hn_node *n, bool axes[HN_MAX_RANK], bool *keepdims) {
  int32_t rank = hn_rank_of(g, hn_in(n, 0));
  int64_t v[HN_MAX_RANK];
  uint32_t count = 0;
  if (rank < 0) return false;
  if (hn_in(n, 1) != HN_NONE && !hn_ints_of(g, hn_in(n, 1), v, HN_MAX_RANK, &count)) return false;
  *keepdims = hn_attr_i(n, "keepdims", 1) != 0;
  bool all = !count && !hn_attr_i(n, "noop_with_empty_axes", 0);
  for (int32_t i = 0; i < HN_MAX_RANK; i++) axes[i] = all && i < rank;
  for (uint32_t i = 0; i < count; i++) {
    int64_t a = v[i] < 0 ? v[i] + rank : v[i];
    if (a < 0 || a >= rank) return false;
    axes[a] = true;
  }
  return true;
}

int32_t hn_reduces_tail(const hn_graph *g, const hn_node *n) {
  bool axes[HN_MAX_RANK], keep;
  int32_t rank = hn_rank_of(g, hn_in(n, 0)), first;
  if (!hn_reduced_axes(g, n, axes, &keep) || !keep) return -1;
  for (first = 0; first < rank && !axes[first]; first++) continue;
  for (int32_t i = first; i < rank; i++)
    if (!axes[i]) return -1;
  return first < rank ? first : -1;
}
