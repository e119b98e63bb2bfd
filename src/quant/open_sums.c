#include "quant/open_sums.h"

#include "rewrite/rewrite.h"

/* The Cast to floats that alone reads the sums; HN_NONE: there is none, or it has nothing to do behind. */
static hn_id opener_of(const hn_graph *g, const hn_node *product) {
  if (product->op != HN_MatMulInteger || product->n_post || !hn_used_once(g, product->out[0])) return HN_NONE;
  hn_id id = hn_value_at(g, product->out[0])->users[0];
  const hn_node *n = hn_node_at(g, id);
  return n->op == HN_Cast && hn_attr_i(n, "to", 0) == HONE_DTYPE_F32 && n->n_post ? id : HN_NONE;
}

/* Is the factor scales of rows times scales of columns? It has as many numbers as the product, and is multiplied by in two steps. */
static bool of_rows_and_columns(const hn_graph *g, hn_id factor, hn_id product, hn_id parts[2]) {
  hn_id from = hn_producer(g, factor);
  const hn_node *n = from == HN_NONE ? NULL : hn_node_at(g, from);
  if (!n || n->op != HN_Mul || n->n_post || !hn_same_shape(g, factor, product)) return false;
  hn_shape rows = hn_shape_of_value(g, n->in[0]), columns = hn_shape_of_value(g, n->in[1]);
  parts[0] = n->in[0], parts[1] = n->in[1];
  return rows.rank > 0 && rows.d[rows.rank - 1] == 1 && columns.rank == 1;
}

static void take_step(hn_graph *g, hn_id id, hn_id cast, uint32_t i) {
  hn_step s = hn_node_at(g, cast)->post[i];
  hn_id operand = s.operand == HN_NONE ? HN_NONE : hn_node_at(g, cast)->in[s.operand], parts[2];
  if (i == 0 && s.op == HN_Mul && operand != HN_NONE && of_rows_and_columns(g, operand, hn_node_at(g, id)->out[0], parts)) {
    hn_add_post(g, id, HN_Mul, parts[0], false, 0, 0);
    hn_add_post(g, id, HN_Mul, parts[1], false, 0, 0);
    return;
  }
  hn_add_post(g, id, s.op, operand, s.swapped, s.alpha, s.beta);
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
    for (uint32_t i = 0; i < hn_node_at(g, cast)->n_post; i++) take_step(g, id, cast, i);
    hn_replace_uses(g, hn_node_at(g, cast)->out[0], sums);
    hn_remove_node(g, cast);
  }
  hn_remove_dead(g);
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}
