/* merge_equal.c - common subexpressions: nodes with the same operator, attributes, epilogue and inputs; constants
   with the same content. A hash puts candidates side by side, a comparison decides. */
#include <string.h>

#include "pass/pass.h"

typedef struct table { /* open addressing: hash -> id + 1 */
  uint64_t *hash;
  hn_id *id;
  size_t cap;
} table;

static bool table_make(table *t, size_t n) {
  for (t->cap = 16; t->cap < 2 * n; t->cap *= 2) continue;
  t->hash = hn_calloc(t->cap, sizeof *t->hash);
  t->id = hn_calloc(t->cap, sizeof *t->id);
  return t->hash && t->id;
}

static void table_free(table *t) {
  hn_free(t->hash);
  hn_free(t->id);
}

/* The id of an equal entry, or the entry is put in and HN_NONE returned. */
static hn_id table_find(table *t, hn_graph *g, uint64_t hash, hn_id id, bool (*same)(hn_graph *, hn_id, hn_id)) {
  for (size_t k = hash & (t->cap - 1);; k = (k + 1) & (t->cap - 1)) {
    if (!t->id[k]) {
      t->hash[k] = hash;
      t->id[k] = id + 1;
      return HN_NONE;
    }
    if (t->hash[k] == hash && same(g, t->id[k] - 1, id)) return t->id[k] - 1;
  }
}

static bool same_constant(hn_graph *g, hn_id a, hn_id b) {
  return hn_tensor_equal(hn_value_at(g, a)->data, hn_value_at(g, b)->data);
}

static bool same_attr(const hn_attr *a, const hn_attr *b) {
  if (a->type != b->type || a->n != b->n) return false;
  switch (a->type) {
    case HN_ATTR_INT: return a->v.i == b->v.i;
    case HN_ATTR_FLOAT: return memcmp(&a->v.f, &b->v.f, sizeof a->v.f) == 0;
    case HN_ATTR_STRING: return strcmp(a->v.s, b->v.s) == 0;
    case HN_ATTR_INTS: return memcmp(a->v.ints, b->v.ints, a->n * sizeof *a->v.ints) == 0;
    case HN_ATTR_FLOATS: return memcmp(a->v.floats, b->v.floats, a->n * sizeof *a->v.floats) == 0;
    case HN_ATTR_TENSOR: return hn_tensor_equal(a->v.tensor, b->v.tensor);
    case HN_ATTR_GRAPH: return false;
  }
  return false;
}

static bool same_step(const hn_step *a, const hn_step *b) {
  return a->op == b->op && a->swapped == b->swapped && a->operand == b->operand &&
         memcmp(&a->alpha, &b->alpha, sizeof a->alpha) == 0 && memcmp(&a->beta, &b->beta, sizeof a->beta) == 0;
}

static bool same_node(hn_graph *g, hn_id ia, hn_id ib) {
  const hn_node *a = hn_node_at(g, ia), *b = hn_node_at(g, ib);
  if (a->op != b->op || a->n_in != b->n_in || a->n_main != b->n_main || a->n_out != b->n_out || a->n_attr != b->n_attr ||
      a->n_post != b->n_post || memcmp(a->in, b->in, a->n_in * sizeof *a->in) != 0)
    return false;
  for (uint32_t i = 0; i < a->n_out; i++)
    if ((a->out[i] == HN_NONE) != (b->out[i] == HN_NONE)) return false;
  for (uint32_t i = 0; i < a->n_attr; i++) {
    const hn_attr *other = hn_attr_find(b, a->attr[i].name);
    if (!other || !same_attr(&a->attr[i], other)) return false;
  }
  for (uint32_t i = 0; i < a->n_post; i++)
    if (!same_step(&a->post[i], &b->post[i])) return false;
  return true;
}

static hone_status merge_constants(hn_graph *g, uint32_t *hits) {
  table t = {0};
  hone_status st = table_make(&t, g->values.n) ? HONE_OK : hn_nomem(g->cx);
  for (hn_id i = 0; i < g->values.n && !st; i++) {
    hn_value *v = hn_value_at(g, i);
    if (!v->data || v->dtype == HONE_DTYPE_STRING || !v->n_users) continue;
    hn_id first = table_find(&t, g, hn_tensor_hash(v->data), i, same_constant);
    if (first == HN_NONE || hn_is_output(g, i)) continue;
    hn_replace_uses(g, i, first);
    (*hits)++;
  }
  table_free(&t);
  return st;
}

static hone_status merge_nodes(hn_graph *g, uint32_t *hits) {
  table t = {0};
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  hone_status st = table_make(&t, n) ? HONE_OK : hn_nomem(g->cx);
  for (uint32_t i = 0; i < n && !st; i++) {
    const hn_node *node = hn_node_at(g, order[i]);
    if (hn_op_is(node->op, HN_OP_RANDOM | HN_OP_CONTROL)) continue;
    uint64_t hash = hn_hash(node->in, node->n_in * sizeof *node->in, (uint64_t)node->op);
    hn_id first = table_find(&t, g, hash, order[i], same_node);
    if (first == HN_NONE) continue;
    for (uint32_t k = 0; k < node->n_out; k++)
      if (node->out[k] != HN_NONE) hn_replace_uses(g, node->out[k], hn_node_at(g, first)->out[k]);
    hn_remove_node(g, order[i]);
    (*hits)++;
  }
  table_free(&t);
  hn_free(order);
  return st;
}

static hone_status merge_graph(hn_pass *p, hn_graph *g) {
  uint32_t constants = 0, nodes = 0;
  HN_TRY(merge_constants(g, &constants));
  HN_TRY(merge_nodes(g, &nodes));
  HN_TRY(hn_pass_note(p, "equal-constants", "constants with the same content", constants, true));
  return hn_pass_note(p, "equal-layers", "layers that compute the same from the same", nodes, true);
}

hone_status hn_pass_merge_equal(hn_pass *p, hn_graph *g);
hone_status hn_pass_merge_equal(hn_pass *p, hn_graph *g) { return hn_pass_each_graph(p, g, merge_graph); }
