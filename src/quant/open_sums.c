#include "quant/open_sums.h"

#include "rewrite/rewrite.h"

/* The Cast to floats that alone reads the sums; HN_NONE: there is none, or it has nothing to do behind. */
static hn_id opener_of(const hn_graph *g, const hn_node *product) {
  if (product->op != HN_MatMulInteger || product->n_post || !hn_used_once(g, product->out[0])) return HN_NONE;
  hn_id id = hn_value_at(g, product->out[0])->users[0];
  const hn_node *n = hn_node_at(g, id);
  return n->op == HN_Cast && hn_attr_i(n, "to", 0) == HONE_DTYPE_F32 && n->n_post ? id : HN_NONE;
}

hone_status hn_quant_open_sums(hn_graph *g, hn_takes_node takes, const void *user) {
  for (hn_id id = 0; id < g->nodes.n; id++) {
    hn_id cast = hn_node_at(g, id)->dead ? HN_NONE : opener_of(g, hn_node_at(g, id)), sums = hn_node_at(g, id)->n_out ? hn_node_at(g, id)->out[0] : HN_NONE;
    if (cast == HN_NONE) continue;
    hn_value_at(g, sums)->dtype = HONE_DTYPE_F32;
    if (!takes(user, g, id)) {
      hn_value_at(g, sums)->dtype = HONE_DTYPE_I32;
      continue;
    }
    for (uint32_t i = 0; i < hn_node_at(g, cast)->n_post; i++) {
      hn_step s = hn_node_at(g, cast)->post[i];
      hn_add_post(g, id, s.op, s.operand == HN_NONE ? HN_NONE : hn_node_at(g, cast)->in[s.operand], s.swapped, s.alpha, s.beta);
    }
    hn_replace_uses(g, hn_node_at(g, cast)->out[0], sums);
    hn_remove_node(g, cast);
  }
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}
