#include "quant/short_floats.h"

#include "op/infer.h"
#include "quant/assign.h"
#include "rewrite/rewrite.h"

/* A constant in another type of floats. */
static hn_id converted(hn_graph *g, const hn_tensor *t, hn_dtype type) {
  hn_tensor *r = NULL;
  if (hn_tensor_create(g->cx, type, t->rank, t->dims, &r)) {
    g->oom = true;
    return HN_NONE;
  }
  for (int64_t i = 0; i < t->count; i++) hn_store_f64(type, r->data, (size_t)i, hn_tensor_f(t, (size_t)i));
  return hn_graph_add_constant(g, NULL, r);
}

static hone_status cast(hn_graph *g, hn_id v, hn_dtype type, hn_id *out) {
  const hn_tensor *t = hn_const(g, v);
  if (t) {
    *out = converted(g, t, type);
    return *out == HN_NONE ? hn_nomem(g->cx) : HONE_OK;
  }
  hn_id node = hn_graph_add_node(g, HN_Cast, "", &v, 1, 1);
  if (node == HN_NONE) return hn_nomem(g->cx);
  hn_set_i(g, node, "to", type);
  HN_TRY(hn_infer_node(g, node));
  *out = hn_node_at(g, node)->out[0];
  return HONE_OK;
}

/* Inputs of type `from` are read as `to`; `known` holds what was made of each value already. */
static hone_status convert_inputs(hn_graph *g, hn_id id, hn_dtype from, hn_dtype to, hn_id *known, size_t n_known) {
  for (uint32_t i = 0; i < hn_node_at(g, id)->n_in; i++) {
    hn_id v = hn_node_at(g, id)->in[i], w;
    if (hn_dtype_of(g, v) != from || v >= n_known) continue;
    if (known[v] == HN_NONE) HN_TRY(cast(g, v, to, &known[v]));
    w = known[v];
    hn_set_input(g, id, i, w);
  }
  return HONE_OK;
}

/* Output o, which is of type `type` now, is read as `wanted` by all but nodes of `set` (NULL: by all). */
static hone_status convert_output(hn_graph *g, hn_id v, hn_dtype type, hn_dtype wanted, const hn_low_set *set, size_t n_nodes) {
  bool outside = hn_is_output(g, v);
  for (uint32_t u = 0; u < hn_value_at(g, v)->n_users && !outside; u++) {
    hn_id user = hn_value_at(g, v)->users[u];
    outside = !set || user >= n_nodes || !hn_is_low(set, user);
  }
  hn_value_at(g, v)->dtype = type;
  if (!outside) return HONE_OK;
  hn_id w, node;
  HN_TRY(cast(g, v, wanted, &w));
  node = hn_value_at(g, w)->producer;
  hn_replace_uses(g, v, w);
  hn_set_input(g, node, 0, v);
  for (hn_id id = 0; set && id < n_nodes; id++) {
    if (hn_node_at(g, id)->dead || !hn_is_low(set, id)) continue;
    for (uint32_t i = 0; i < hn_node_at(g, id)->n_in; i++)
      if (hn_node_at(g, id)->in[i] == w) hn_set_input(g, id, i, v);
  }
  return HONE_OK;
}

static hone_status lower(hn_graph *g, hn_dtype type, const hn_low_set *s) {
  size_t n_nodes = g->nodes.n, n_values = g->values.n;
  hn_id *known = hn_calloc(n_values, sizeof *known);
  if (!known) return hn_nomem(g->cx);
  for (size_t v = 0; v < n_values; v++) known[v] = HN_NONE;
  hone_status st = HONE_OK;
  for (hn_id id = 0; id < n_nodes && !st; id++)
    for (uint32_t o = 0; hn_is_low(s, id) && o < hn_node_at(g, id)->n_out && !st; o++)
      if (hn_is_real(g, hn_node_at(g, id)->out[o])) st = convert_output(g, hn_node_at(g, id)->out[o], type, HONE_DTYPE_F32, s, n_nodes);
  for (hn_id id = 0; id < n_nodes && !st; id++)
    if (hn_is_low(s, id)) st = convert_inputs(g, id, HONE_DTYPE_F32, type, known, n_values);
  hn_free(known);
  if (!st) hn_remove_dead(g);
  return st ? st : g->oom ? hn_nomem(g->cx) : hn_infer_graph(g);
}

hone_status hn_quantize_half(hn_graph *g, hn_dtype type, const bool *keep, hone_quantize_result *result) {
  hn_low_set s = {0};
  *result = (hone_quantize_result){0};
  HN_TRY(hn_low_create(g, &s));
  for (hn_id id = 0; id < g->nodes.n; id++) {
    const hn_node *n = hn_node_at(g, id);
    if (n->dead || !(hn_is_product(g, n) || hn_is_deconvolution(g, n))) continue;
    result->candidates++;
    if (!keep || !keep[id]) s.low[id] = ++result->layers;
  }
  hone_status st = hn_low_between(g, &s);
  if (!st) st = lower(g, type, &s);
  hn_low_free(&s);
  return st;
}

/* ---------------------------------------------------------------------------------------------- widening */

/* Element-wise layers and movements of 16-bit floats are what they are of others: their kernels convert, or copy. */
static bool works_as_it_is(const hn_node *n) {
  if (hn_op_is(n->op, HN_OP_UNARY | HN_OP_BINARY | HN_OP_VARIADIC | HN_OP_MOVE | HN_OP_RANDOM | HN_OP_CONTROL)) return true;
  switch (n->op) {
    case HN_Cast:
    case HN_CastLike:
    case HN_Where:
    case HN_Shape:
    case HN_Size:
    case HN_QuantizeLinear:
    case HN_DequantizeLinear: return true;
    default: return false;
  }
}

static hone_status widen_node(hn_graph *g, hn_id id, hn_id *known, size_t n_known) {
  for (uint32_t o = 0; o < hn_node_at(g, id)->n_out; o++) {
    hn_id v = hn_node_at(g, id)->out[o];
    hn_dtype t = hn_dtype_of(g, v);
    if (hn_is_half(t)) HN_TRY(convert_output(g, v, HONE_DTYPE_F32, t, NULL, 0));
  }
  HN_TRY(convert_inputs(g, id, HONE_DTYPE_F16, HONE_DTYPE_F32, known, n_known));
  return convert_inputs(g, id, HONE_DTYPE_BF16, HONE_DTYPE_F32, known, n_known);
}

hone_status hn_quant_widen(hn_graph *g, hn_takes_node takes, const void *user, const bool *elsewhere) {
  size_t n_nodes = g->nodes.n, n_known = 0;
  hn_id *known = NULL;
  hone_status st = HONE_OK;
  for (hn_id id = 0; id < n_nodes && !st; id++) {
    const hn_node *n = hn_node_at(g, id);
    bool half = false;
    for (uint32_t i = 0; i < n->n_in; i++) half = half || hn_is_half(hn_dtype_of(g, n->in[i]));
    if (n->dead || !half || (elsewhere && elsewhere[id]) || works_as_it_is(n) || takes(user, g, id)) continue;
    if (known && n_known < g->values.n) { /* values made meanwhile are read by later nodes */
      hn_id *more = hn_realloc(known, g->values.n * sizeof *known);
      if (!more) st = hn_nomem(g->cx);
      else known = more;
    } else if (!known) {
      known = hn_calloc(g->values.n, sizeof *known);
      if (!known) st = hn_nomem(g->cx);
    }
    for (; !st && n_known < g->values.n; n_known++) known[n_known] = HN_NONE;
    if (!st) st = widen_node(g, id, known, n_known);
  }
  hn_free(known);
  return st ? st : g->oom ? hn_nomem(g->cx) : HONE_OK;
}
