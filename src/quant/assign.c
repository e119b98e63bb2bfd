/* assign.c - which nodes a lower precision is for. */
#include "quant/assign.h"

#include "rewrite/rewrite.h"

hone_status hn_low_create(hn_graph *g, hn_low_set *s) {
  s->low = hn_calloc(g->nodes.n, sizeof *s->low);
  s->between = hn_calloc(g->nodes.n, sizeof *s->between);
  if (s->low && s->between) return HONE_OK;
  hn_low_free(s);
  return hn_nomem(g->cx);
}

void hn_low_free(hn_low_set *s) {
  hn_free(s->low);
  hn_free(s->between);
  *s = (hn_low_set){0};
}

bool hn_is_product(const hn_graph *g, const hn_node *n) {
  if (n->op != HN_Conv && n->op != HN_MatMul && n->op != HN_Gemm) return false;
  const hn_tensor *w = hn_const(g, hn_in(n, 1)), *b = hn_const(g, hn_in(n, 2));
  if (!w || w->dtype != HONE_DTYPE_F32 || hn_dtype_of(g, n->in[0]) != HONE_DTYPE_F32 || hn_const(g, n->in[0])) return false;
  if (hn_in(n, 2) != HN_NONE && !b) return false;
  if (n->op == HN_MatMul) return w->rank == 2;
  if (n->op == HN_Conv) return true;
  return !hn_attr_i(n, "transA", 0) && hn_attr_f(n, "alpha", 1) == 1 && (!b || (hn_attr_f(n, "beta", 1) == 1 && b->count == w->dims[hn_attr_i(n, "transB", 0) ? 0 : 1]));
}

bool hn_is_deconvolution(const hn_graph *g, const hn_node *n) {
  if (n->op != HN_ConvTranspose || hn_attr_i(n, "group", 1) != 1) return false;
  const hn_tensor *w = hn_const(g, hn_in(n, 1)), *b = hn_const(g, hn_in(n, 2));
  return w && w->dtype == HONE_DTYPE_F32 && hn_dtype_of(g, n->in[0]) == HONE_DTYPE_F32 && !hn_const(g, n->in[0]) && (hn_in(n, 2) == HN_NONE || b);
}

uint32_t hn_bias_input(const hn_graph *g, const hn_node *n, int64_t channels) {
  bool added = n->op == HN_MatMul && n->n_post && n->post[0].op == HN_Add && n->post[0].operand != HN_NONE;
  uint32_t i = hn_in(n, 2) != HN_NONE ? 2 : added ? n->post[0].operand : 0;
  const hn_tensor *b = i ? hn_const(g, n->in[i]) : NULL;
  if (!b || b->dtype != HONE_DTYPE_F32 || b->count != channels) return 0;
  return added && (!b->rank || b->dims[b->rank - 1] != channels) ? 0 : i;
}

bool hn_keeps_scale(hn_op op) {
  switch (op) {
    case HN_MaxPool:
    case HN_AveragePool:
    case HN_GlobalMaxPool:
    case HN_Concat:
    case HN_Split:
    case HN_Slice:
    case HN_Pad:
    case HN_Resize:
    case HN_Expand:
    case HN_Tile:
    case HN_Gather:
    case HN_DepthToSpace:
    case HN_SpaceToDepth:
    case HN_Transpose:
    case HN_Reshape:
    case HN_Flatten:
    case HN_Squeeze:
    case HN_Unsqueeze: return true;
    default: return false;
  }
}

/* What for floats would be no gain. A Softmax is no such: its small results are not told by steps alike. */
static bool takes_bytes(const hn_node *n) {
  switch (n->op) {
    case HN_Attention: return n->n_main <= 4 && n->n_out == 1 && hn_attr_f(n, "softcap", 0) == 0;
    case HN_LayerNormalization:
    case HN_RMSNormalization:
    case HN_InstanceNormalization:
    case HN_GroupNormalization: return n->n_out == 1;
    default: return false;
  }
}

static bool passes(const hn_low_set *s, const hn_node *n) {
  if (hn_keeps_scale(n->op)) return !n->n_post;
  if (s->bytes && takes_bytes(n)) return !n->n_post;
  if (n->op == HN_GlobalAveragePool) return !n->n_post;
  if (n->op == HN_Cast || n->op == HN_IsInf || n->op == HN_IsNaN || n->op == HN_Not) return false;
  return hn_op_is(n->op, HN_OP_UNARY | HN_OP_BINARY | HN_OP_VARIADIC);
}

uint32_t hn_data_inputs(const hn_node *n) {
  if (n->op == HN_Attention) return 3;
  if (takes_bytes(n)) return 1;
  return hn_keeps_scale(n->op) && n->op != HN_Concat ? 1 : n->n_in;
}

bool hn_is_real(const hn_graph *g, hn_id v) { return v != HN_NONE && hn_dtype_of(g, v) == HONE_DTYPE_F32; }

hone_status hn_low_between(hn_graph *g, hn_low_set *p) {
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  bool *after = hn_calloc(g->nodes.n, sizeof *after);
  if (!after) {
    hn_free(order);
    return hn_nomem(g->cx);
  }
  for (uint32_t i = 0; i < n; i++) {
    const hn_node *x = hn_node_at(g, order[i]);
    if (!passes(p, x)) continue;
    for (uint32_t k = 0; k < hn_data_inputs(x); k++) {
      hn_id from = hn_is_real(g, x->in[k]) ? hn_producer(g, x->in[k]) : HN_NONE;
      if (from != HN_NONE && (p->low[from] || after[from])) after[order[i]] = true;
    }
  }
  for (uint32_t i = n; i-- > 0;) {
    const hn_node *x = hn_node_at(g, order[i]);
    for (uint32_t o = 0; after[order[i]] && o < x->n_out; o++) {
      const hn_value *v = x->out[o] == HN_NONE ? NULL : hn_value_at(g, x->out[o]);
      for (uint32_t u = 0; v && u < v->n_users; u++)
        if (p->low[v->users[u]] || p->between[v->users[u]]) p->between[order[i]] = true;
    }
  }
  hn_free(after);
  hn_free(order);
  return HONE_OK;
}
