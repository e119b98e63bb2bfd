#include "quant/release.h"

#include "op/infer.h"
#include "rewrite/rewrite.h"

/* Operators that do the same to integers as to reals have references of their own; what recurrent layers do with small weights is theirs. */
static bool works_as_it_is(hn_op op) {
  if (hn_op_is(op, HN_OP_MOVE | HN_OP_CONTROL)) return true;
  switch (op) {
    case HN_QuantizeLinear:
    case HN_DequantizeLinear:
    case HN_MaxPool:
    case HN_GlobalMaxPool:
    case HN_RNN:
    case HN_GRU:
    case HN_LSTM: return true;
    default: return false;
  }
}

static hn_id number(hn_graph *g, hn_dtype type, double v) {
  hn_tensor *t = NULL;
  return hn_tensor_scalar_f(g->cx, type, v, &t) ? HN_NONE : hn_graph_add_constant(g, NULL, t);
}

/* A QuantizeLinear or DequantizeLinear by `q`, of integers of `type`. */
static hone_status convert(hn_graph *g, hn_op op, hn_id x, const hn_quant *q, hn_dtype type, hn_id *node) {
  hn_id in[3] = {x, q->scales ? hn_graph_add_constant(g, NULL, hn_tensor_ref(q->scales)) : number(g, HONE_DTYPE_F32, (double)q->scale), HN_NONE};
  bool zero = !q->scales && !q->block;
  if (zero) in[2] = number(g, type, q->zero);
  if (in[1] == HN_NONE || (zero && in[2] == HN_NONE)) return hn_nomem(g->cx);
  *node = hn_graph_add_node(g, op, "", in, zero ? 3 : 2, 1);
  if (*node == HN_NONE) return hn_nomem(g->cx);
  if (q->scales) hn_set_i(g, *node, "axis", q->axis);
  if (q->block) hn_set_i(g, *node, "block_size", q->block);
  return hn_infer_node(g, *node);
}

static hone_status release(hn_graph *g, hn_id id) {
  hn_id node;
  for (uint32_t i = 0; i < hn_node_at(g, id)->n_in; i++) {
    hn_id v = hn_node_at(g, id)->in[i];
    if (v == HN_NONE || !hn_value_at(g, v)->quant) continue;
    hn_quant q = *hn_value_at(g, v)->quant;
    HN_TRY(convert(g, HN_DequantizeLinear, v, &q, hn_dtype_of(g, v), &node));
    hn_set_input(g, id, i, hn_node_at(g, node)->out[0]);
  }
  hn_id v = hn_node_at(g, id)->out[0];
  if (!hn_value_at(g, v)->quant) return HONE_OK;
  hn_quant q = *hn_value_at(g, v)->quant;
  hn_dtype type = hn_dtype_of(g, v);
  hn_value_at(g, v)->dtype = HONE_DTYPE_F32;
  hn_value_at(g, v)->quant = NULL;
  HN_TRY(convert(g, HN_QuantizeLinear, v, &q, type, &node));
  hn_id whole = hn_node_at(g, node)->out[0];
  hn_quant *copy = hn_arena_memdup(g->arena, &q, sizeof q);
  if (!copy) return hn_nomem(g->cx);
  hn_value_at(g, whole)->quant = copy;
  hn_replace_uses(g, v, whole);
  hn_set_input(g, node, 0, v);
  return HONE_OK;
}

static bool has_integers(const hn_graph *g, const hn_node *n) {
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i] != HN_NONE && hn_value_at(g, n->in[i])->quant) return true;
  return n->n_out && n->out[0] != HN_NONE && hn_value_at(g, n->out[0])->quant;
}

hone_status hn_quant_release(hn_graph *g, hn_takes_node takes, const void *user, const bool *elsewhere) {
  hone_status st = HONE_OK;
  for (hn_id id = 0, n_nodes = (hn_id)g->nodes.n; id < n_nodes && !st; id++) {
    const hn_node *n = hn_node_at(g, id);
    if (n->dead || (elsewhere && elsewhere[id]) || works_as_it_is(n->op) || !has_integers(g, n) || takes(user, g, id)) continue;
    st = release(g, id);
  }
  return st ? st : g->oom ? hn_nomem(g->cx) : HONE_OK;
}
