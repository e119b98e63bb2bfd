/* nest.c - nodes with nested graphs: what the graphs capture becomes the last inputs of the node and of each graph. */
#include <string.h>

#include "format/tensorflow/tf_import.h"

/* Gives a nested graph all captures, in one order, after its formal inputs. */
static hone_status align(tf_nest *n, size_t formals, const hn_graph *outer, const hn_id *all, uint32_t n_all) {
  hn_graph *g = n->g;
  hn_id *inner = hn_arena_alloc(g->arena, sizeof *inner * (n_all + 1));
  if (!inner) return hn_nomem(g->cx);
  for (uint32_t i = 0; i < n_all; i++) {
    inner[i] = HN_NONE;
    for (size_t c = 0; c < n->captures.n; c++)
      if (n->captures.p[c].outer == all[i]) inner[i] = n->captures.p[c].inner;
    const hn_value *v = hn_value_at(outer, all[i]);
    if (inner[i] == HN_NONE) inner[i] = hn_graph_add_input(g, hn_fresh_name(g, "unused"), v->dtype, &v->shape);
    if (inner[i] == HN_NONE) return hn_nomem(g->cx);
  }
  for (uint32_t i = 0; i < n_all; i++) g->inputs.p[formals + i] = inner[i];
  return HONE_OK;
}

hone_status hn_tf_add_nested(tf_scope *s, hn_op op, const char *name, const hn_id *in, uint32_t n_in, tf_nest *nests,
                             const char *const *attrs, const size_t *formals, uint32_t n_nests, uint32_t n_out, hn_id *node) {
  hn_graph *g = s->nest->g;
  uint32_t n_all = 0;
  size_t room = n_in;
  for (uint32_t k = 0; k < n_nests; k++) room += nests[k].captures.n;
  hn_id *inputs = hn_arena_alloc(g->arena, sizeof *inputs * (room + 1)), *all = inputs + n_in;
  if (!inputs) return hn_nomem(g->cx);
  memcpy(inputs, in, sizeof *in * n_in);
  for (uint32_t k = 0; k < n_nests; k++)
    for (size_t i = 0; i < nests[k].captures.n; i++) {
      hn_id outer = nests[k].captures.p[i].outer;
      uint32_t j = 0;
      if (hn_value_at(g, outer)->data) continue; /* constants are shared */
      while (j < n_all && all[j] != outer) j++;
      if (j == n_all) all[n_all++] = outer;
    }
  for (uint32_t k = 0; k < n_nests; k++) HN_TRY(align(&nests[k], formals[k], g, all, n_all));
  *node = hn_graph_add_node(g, op, name, inputs, n_in + n_all, n_out);
  if (*node == HN_NONE) return hn_nomem(g->cx);
  hn_set_i(g, *node, "captures", n_all);
  for (uint32_t k = 0; k < n_nests; k++) {
    hn_set_graph(g, *node, attrs[k], nests[k].g);
    nests[k].g = NULL;
  }
  return hn_infer_node(g, *node);
}
