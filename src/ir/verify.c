/* verify.c - is this graph legal? The first fault, naming where it is. */
#include <string.h>

#include "ir/graph.h"

static hone_status fault(const hn_graph *g, const hn_node *n, const char *what, const char *detail) {
  return hn_fail(g->cx, HONE_BAD_GRAPH, "node '%s' (%s): %s%s", n->name, hn_op_name(n->op), what, detail);
}

static char attr_letter(const hn_attr *a) { return "ifsIFtg"[a->type]; }

static hone_status check_attrs(const hn_graph *g, const hn_node *n) {
  for (uint32_t i = 0; i < n->n_attr; i++) {
    const hn_attr *a = &n->attr[i];
    char want = hn_op_attr_type(n->op, a->name);
    if (!want) return fault(g, n, "unknown attribute ", a->name);
    if (want == '*') want = 's';
    if (want != attr_letter(a)) return fault(g, n, "wrong type of attribute ", a->name);
    if (a->type == HN_ATTR_GRAPH) HN_TRY(hn_graph_verify(a->v.graph));
  }
  return HONE_OK;
}

static uint32_t slots_reading(const hn_node *n, hn_id value) {
  uint32_t k = 0;
  for (uint32_t i = 0; i < n->n_in; i++) k += n->in[i] == value;
  return k;
}

static hone_status check_inputs(const hn_graph *g, hn_id id, const hn_node *n) {
  const hn_op_row *row = hn_op_info(n->op);
  if (n->n_main > n->n_in || n->n_main < row->min_in || (row->max_in != 255 && n->n_main > row->max_in))
    return fault(g, n, "wrong number of inputs", "");
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (n->in[i] == HN_NONE) {
      if (i < row->min_in || i >= n->n_main) return fault(g, n, "a required input is missing", "");
      continue;
    }
    if (n->in[i] >= g->values.n) return fault(g, n, "an input that does not exist", "");
    const hn_value *v = hn_value_at(g, n->in[i]);
    uint32_t listed = 0;
    for (uint32_t k = 0; k < v->n_users; k++) listed += v->users[k] == id;
    if (listed != slots_reading(n, n->in[i])) return fault(g, n, "use list out of step with input ", v->name);
    if (v->producer == HN_NONE && !v->data && !v->is_input) return fault(g, n, "nothing produces its input ", v->name);
  }
  for (uint32_t i = 0; i < n->n_post; i++)
    if (n->post[i].operand != HN_NONE && (n->post[i].operand < n->n_main || n->post[i].operand >= n->n_in))
      return fault(g, n, "an epilogue operand that is not there", "");
  return HONE_OK;
}

static hone_status check_outputs(const hn_graph *g, hn_id id, const hn_node *n) {
  const hn_op_row *row = hn_op_info(n->op);
  if (n->n_out < row->min_out || (row->max_out != 255 && n->n_out > row->max_out))
    return fault(g, n, "wrong number of outputs", "");
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (n->out[i] == HN_NONE) continue;
    if (n->out[i] >= g->values.n) return fault(g, n, "an output that does not exist", "");
    const hn_value *v = hn_value_at(g, n->out[i]);
    if (v->producer != id || v->producer_out != i) return fault(g, n, "does not own its output ", v->name);
    if (v->data) return fault(g, n, "its output is a constant: ", v->name);
  }
  return HONE_OK;
}

static hone_status check_values(const hn_graph *g) {
  for (size_t i = 0; i < g->values.n; i++) {
    const hn_value *v = &g->values.p[i];
    uint32_t id;
    if (!hn_map_get(&g->names, v->name, &id) || id != i)
      return hn_fail(g->cx, HONE_BAD_GRAPH, "tensor '%s': its name is not its own", v->name);
    if (v->data && (v->data->dtype != v->dtype || v->shape.rank != v->data->rank))
      return hn_fail(g->cx, HONE_BAD_GRAPH, "constant '%s': its type or rank is not that of its data", v->name);
  }
  for (size_t i = 0; i < g->outputs.n; i++) {
    hn_id id = g->outputs.p[i].value;
    if (id >= g->values.n || (g->values.p[id].producer == HN_NONE && !g->values.p[id].data && !g->values.p[id].is_input))
      return hn_fail(g->cx, HONE_BAD_GRAPH, "output '%s': nothing produces it", g->outputs.p[i].name);
  }
  return HONE_OK;
}

hone_status hn_graph_verify(const hn_graph *g) {
  HN_TRY(check_values(g));
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    if (n->dead) continue;
    HN_TRY(check_inputs(g, (hn_id)i, n));
    HN_TRY(check_outputs(g, (hn_id)i, n));
    HN_TRY(check_attrs(g, n));
  }
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  hn_free(order);
  return HONE_OK;
}
