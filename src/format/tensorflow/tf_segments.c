#include "format/tensorflow/tf_segments.h"

#include <stdlib.h>
#include <string.h>

#include "format/lower.h"
#include "format/tensorflow/tf_graph.h"
#include "format/tensorflow/tf_inline.h"

enum { MOST_TRIES = 400, MOST_NODES = 1 << 20, MOST_EXPANSIONS = 4096 };

static const tf_node *node_at(const tf_cut *c, uint32_t i) { return c->im.main.nodes[i]; }
static bool needed(const tf_cut *c, uint32_t i) { return c->fate[i] != TF_UNUSED; }
static bool op_is(const tf_node *n, const char *op) { return strcmp(n->op, op) == 0; }

static bool is_variable(const tf_node *n) {
  static const char *const ops[] = {"VarHandleOp", "Variable", "VariableV2", "AutoReloadVariable"};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    if (op_is(n, ops[i])) return true;
  return false;
}

/* Does a type attribute of the node say strings? */
static bool has_strings(const tf_node *n) {
  for (size_t i = 0; i < n->n_attr; i++) {
    const tf_attr *a = n->attr[i]->value;
    if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_TYPE && a->type % 100 == TENSORFLOW__DATA_TYPE__DT_STRING) return true;
  }
  return false;
}

static bool calls(const tf_node *n) {
  for (size_t i = 0; i < n->n_attr; i++)
    if (n->attr[i]->value && n->attr[i]->value->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC) return true;
  return false;
}

/* ---------------------------------------------------------------------------------------- the graph as edges */

static hone_status find_edges(tf_cut *c) {
  size_t total = 0;
  c->n = c->im.main.n;
  for (uint32_t i = 0; i < c->n; i++) total += node_at(c, i)->n_input;
  if (c->n > MOST_NODES || total > 16 * (size_t)MOST_NODES) return hn_fail(c->cx, HONE_UNSUPPORTED, "the graph has more than %d nodes", MOST_NODES);
  hn_arena_destroy(c->now);
  if (!(c->now = hn_arena_create())) return hn_nomem(c->cx);
  c->edges = hn_arena_alloc(c->now, sizeof *c->edges * (total + 1));
  c->first = hn_arena_alloc(c->now, sizeof *c->first * ((size_t)c->n + 2));
  c->fate = hn_arena_alloc(c->now, sizeof *c->fate * ((size_t)c->n + 1));
  c->why = hn_arena_alloc(c->now, sizeof *c->why * ((size_t)c->n + 1));
  c->copy = hn_arena_alloc(c->now, sizeof *c->copy * ((size_t)c->n + 1));
  c->context = hn_arena_alloc(c->now, sizeof *c->context * ((size_t)c->n + 1));
  c->group = hn_arena_alloc(c->now, sizeof *c->group * ((size_t)c->n + 1));
  c->segment = hn_arena_alloc(c->now, sizeof *c->segment * ((size_t)c->n + 1));
  if (!c->edges || !c->first || !c->fate || !c->why || !c->copy || !c->context || !c->group || !c->segment) return hn_nomem(c->cx);
  uint32_t k = 0;
  for (uint32_t i = 0; i < c->n; i++) {
    const tf_node *n = node_at(c, i);
    c->first[i] = k;
    c->group[i] = i;
    for (size_t j = 0; j < n->n_input; j++, k++) {
      tf_ref r;
      if (!hn_tf_find_ref(&c->im, &c->im.main, n->input[j], &r) || r.node >= c->n)
        return hn_fail(c->cx, HONE_BAD_GRAPH, "node '%s' (%s): nothing produces its input '%s'", n->name, n->op, n->input[j]);
      c->edges[k] = (tf_edge){r.node, r.port, *n->input[j] == '^'};
    }
  }
  c->first[c->n] = k;
  return HONE_OK;
}

static bool find_tensor(tf_cut *c, const char *tensor, tf_ref *r) {
  const char *name;
  return hn_tf_split_tensor(c->im.arena, tensor, &name, &r->port) && hn_map_get(&c->im.main.index, name, &r->node);
}

/* ------------------------------------------------------------------------------------------------ what is left */

static bool leave(tf_cut *c, uint32_t i, const char *why) {
  if (c->fate[i] != TF_TAKEN && c->fate[i] != TF_SOURCE) return false;
  c->fate[i] = TF_LEFT;
  c->why[i] = why ? why : "";
  return true;
}

static hone_status find_needed(tf_cut *c) {
  HN_VEC(uint32_t) stack = {0};
  hone_status st = HONE_OK;
  for (size_t i = 0; i < c->fetched.n && !st; i++) {
    tf_ref r;
    if (!find_tensor(c, c->fetched.p[i].tensor, &r))
      st = hn_fail(c->cx, HONE_BAD_GRAPH, "a signature's output is the tensor '%s', which the graph does not have", c->fetched.p[i].tensor);
    else if (!hn_push(&stack, r.node)) st = hn_nomem(c->cx);
  }
  while (stack.n && !st) {
    uint32_t at = stack.p[--stack.n];
    const tf_node *n = node_at(c, at);
    if (needed(c, at)) continue;
    c->fate[at] = (op_is(n, "Const") && !has_strings(n)) || is_variable(n) ? TF_SOURCE : TF_TAKEN;
    for (uint32_t k = c->first[at]; k < c->first[at + 1] && !st; k++)
      if (!c->edges[k].control && !hn_push(&stack, c->edges[k].node)) st = hn_nomem(c->cx);
  }
  hn_vec_free(&stack);
  return st;
}

/* What can be said of a node alone. */
static hone_status leave_unreadable(tf_cut *c) {
  for (uint32_t i = 0; i < c->n; i++) {
    const tf_node *n = node_at(c, i);
    const char *op = NULL;
    uint32_t reason;
    if (c->fate[i] == TF_UNUSED) continue;
    if (hn_map_get(&c->blamed, n->name, &reason)) leave(c, i, c->reasons.p[reason]);
    else if (c->fate[i] == TF_SOURCE) continue;
    else if (op_is(n, "Const") || op_is(n, "NoOp")) leave(c, i, "");
    else if (strncmp(n->op, "Placeholder", 11) == 0 && !op_is(n, "PlaceholderWithDefault")) leave(c, i, "");
    else if (strncmp(n->op, "ParseExample", 12) == 0 || op_is(n, "ParseSingleExample")) leave(c, i, "it parses serialized examples");
    else if (hn_tf_updates(n->op)) leave(c, i, "it updates a variable");
    else if (has_strings(n) && hn_tf_row(n->op)) leave(c, i, "it handles strings");
    else HN_TRY(hn_tf_missing(&c->im, n, &op));
    if (op) leave(c, i, strcmp(op, n->op) == 0 ? "hone has no such operator" : hn_arena_printf(c->now, "its function needs %s, which hone has not", op));
  }
  for (size_t i = 0; i < c->fed.n; i++) {
    tf_ref r;
    if (find_tensor(c, c->fed.p[i].tensor, &r) && needed(c, r.node)) leave(c, r.node, strncmp(node_at(c, r.node)->op, "Placeholder", 11) == 0 ? "" : "a signature feeds it");
  }
  return HONE_OK;
}

/* Runs an update of a variable whenever this node runs: for its data or before it. */
static hone_status leave_after_updates(tf_cut *c) {
  uint8_t *runs = hn_calloc((size_t)c->n + 1, 1);
  bool more = runs != NULL;
  if (!runs) return hn_nomem(c->cx);
  for (uint32_t i = 0; i < c->n; i++) runs[i] = hn_tf_updates(node_at(c, i)->op);
  while (more) { /* few rounds: graphs stand in order, loops turn back once */
    more = false;
    for (uint32_t i = 0; i < c->n; i++)
      for (uint32_t k = c->first[i]; k < c->first[i + 1] && !runs[i]; k++)
        if (runs[c->edges[k].node]) runs[i] = 1, more = true;
  }
  for (uint32_t i = 0; i < c->n; i++)
    for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++)
      if (c->edges[k].control && runs[c->edges[k].node]) leave(c, i, hn_arena_printf(c->now, "it waits for '%s', which updates variables", node_at(c, c->edges[k].node)->name));
  hn_free(runs);
  return HONE_OK;
}

/* Variables that what is left may change cannot be constants, so who reads them is left. Through identities of references. */
static bool leave_readers(tf_cut *c) {
  bool changed = false;
  for (uint32_t i = 0; i < c->n; i++) {
    const tf_node *n = node_at(c, i);
    if (c->fate[i] == TF_LEFT && (hn_tf_updates(n->op) || calls(n)))
      for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++)
        if (!c->edges[k].control && is_variable(node_at(c, c->edges[k].node))) changed = leave(c, c->edges[k].node, "it is changed while the model runs") || changed;
    for (uint32_t k = c->first[i]; k < c->first[i + 1] && c->fate[i] == TF_TAKEN; k++)
      if (!c->edges[k].control && c->fate[c->edges[k].node] == TF_LEFT && is_variable(node_at(c, c->edges[k].node)))
        changed = leave(c, i, hn_arena_printf(c->now, "it reads the variable '%s', which changes", node_at(c, c->edges[k].node)->name)) || changed;
  }
  return changed;
}

/* A loop or condition is taken as a whole or not at all. */
static hone_status leave_groups(tf_cut *c, bool *changed) {
  uint32_t *culprit = hn_calloc((size_t)c->n + 1, sizeof *culprit); /* of a group, plus 1 */
  if (!culprit) return hn_nomem(c->cx);
  for (uint32_t i = 0; i < c->n; i++)
    if (c->fate[i] == TF_LEFT && !culprit[c->group[i]]) culprit[c->group[i]] = i + 1;
  for (uint32_t i = 0; i < c->n; i++) {
    uint32_t of = culprit[c->group[i]];
    if (of && c->fate[i] == TF_TAKEN)
      *changed = leave(c, i, hn_arena_printf(c->now, "its loop or condition has '%s' (%s), which is left", node_at(c, of - 1)->name, node_at(c, of - 1)->op)) || *changed;
  }
  hn_free(culprit);
  return HONE_OK;
}

/* What is copied: all that is left and what it needs, up to what segments compute. */
static hone_status find_copies(tf_cut *c, bool *changed) {
  HN_VEC(uint32_t) stack = {0};
  hone_status st = HONE_OK;
  memset(c->copy, 0, c->n * sizeof *c->copy);
  for (uint32_t i = 0; i < c->n && !st; i++)
    if (c->fate[i] == TF_LEFT && !hn_push(&stack, i)) st = hn_nomem(c->cx);
  for (int round = 0; round < 2 && !st; round++) { /* then what restores and initializes, if there is state */
    for (size_t i = 0; i < c->kept.n && round && c->stateful && !st; i++) {
      tf_ref r;
      if (find_tensor(c, c->kept.p[i], &r) && !hn_push(&stack, r.node)) st = hn_nomem(c->cx);
    }
    while (stack.n && !st) {
      uint32_t at = stack.p[--stack.n];
      const tf_node *n = node_at(c, at);
      if (c->copy[at]) continue;
      if (c->fate[at] == TF_TAKEN) { /* a segment computes it; but nothing comes out of a loop but by its ends */
        if (c->context[at]) *changed = leave(c, at, "something outside of its loop or condition reads it") || *changed;
        continue;
      }
      c->copy[at] = true;
      c->stateful = c->stateful || is_variable(n) || strstr(n->op, "Table") || strstr(n->op, "Iterator") || strstr(n->op, "Queue");
      for (uint32_t k = c->first[at]; k < c->first[at + 1] && !st; k++)
        if (!hn_push(&stack, c->edges[k].node)) st = hn_nomem(c->cx);
    }
  }
  hn_vec_free(&stack);
  return st;
}

static hone_status settle(tf_cut *c) {
  HN_TRY(find_edges(c));
  HN_TRY(hn_tf_find_contexts(c));
  for (uint32_t i = 0; i < c->n; i++)
    while (c->group[i] != c->group[c->group[i]]) c->group[i] = c->group[c->group[i]];
  HN_TRY(find_needed(c));
  HN_TRY(leave_unreadable(c));
  HN_TRY(leave_after_updates(c));
  c->stateful = false;
  for (bool changed = true; changed;) {
    changed = leave_readers(c);
    HN_TRY(leave_groups(c, &changed));
    HN_TRY(find_copies(c, &changed));
  }
  return HONE_OK;
}

/* --------------------------------------------------------------------------------------------------- segments */

static hone_status blame(tf_cut *c, const char *node, const char *why) {
  const char *name = hn_arena_strdup(c->arena, node), *reason = hn_arena_strdup(c->arena, why);
  bool ok = name && reason && hn_map_put(&c->blamed, name, (uint32_t)c->reasons.n) && hn_push(&c->reasons, reason);
  return ok ? HONE_OK : hn_nomem(c->cx);
}

static uint32_t leader(uint32_t *group, uint32_t i) {
  while (group[i] != i) i = group[i] = group[group[i]];
  return i;
}

/* Connects what is taken. */
static hone_status connect(tf_cut *c) {
  uint32_t *g = hn_arena_alloc(c->now, sizeof *g * ((size_t)c->n + 1));
  if (!g) return hn_nomem(c->cx);
  memcpy(g, c->group, sizeof *g * c->n);
  for (uint32_t i = 0; i < c->n; i++)
    for (uint32_t k = c->first[i]; k < c->first[i + 1] && c->fate[i] == TF_TAKEN; k++)
      if (!c->edges[k].control && c->fate[c->edges[k].node] == TF_TAKEN) g[leader(g, i)] = leader(g, c->edges[k].node);
  uint32_t *first = hn_arena_alloc(c->now, sizeof *first * ((size_t)c->n + 1)); /* what is taken of each, plus 1 */
  if (!first) return hn_nomem(c->cx);
  for (uint32_t i = 0; i < c->n; i++) {
    uint32_t l = leader(g, i);
    if (c->fate[i] == TF_TAKEN && !first[l]) first[l] = i + 1;
  }
  for (uint32_t i = 0; i < c->n; i++) {
    uint32_t l = leader(g, i);
    c->segment[i] = first[l] ? first[l] - 1 : i;
  }
  return HONE_OK;
}

/* Nodes that compute something, those of functions included. */
static uint32_t weight_of(tf_cut *c, const tf_node *n, int depth) {
  uint32_t w = 0;
  const char *f = hn_tf_row(n->op) ? NULL : n->op;
  for (size_t i = 0; i < n->n_attr && !f; i++)
    if (n->attr[i]->value && n->attr[i]->value->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC) f = n->attr[i]->value->func->name;
  tf_body *b = f && depth < 16 ? hn_tf_function(&c->im, f) : NULL;
  if (!b) return !op_is(n, "Const") && !op_is(n, "NoOp") && !op_is(n, "Identity") && !op_is(n, "IdentityN") && !op_is(n, "ReadVariableOp") && !is_variable(n);
  for (uint32_t i = 0; i < b->n && w < 1000000; i++) w += weight_of(c, b->nodes[i], depth + 1);
  return w;
}

/* Pieces that are too small, and those that compute nothing, are left. */
static hone_status leave_small(tf_cut *c, bool *changed) {
  uint32_t *weight = hn_calloc((size_t)c->n + 1, sizeof *weight);
  if (!weight) return hn_nomem(c->cx);
  for (uint32_t i = 0; i < c->n; i++)
    if (c->fate[i] == TF_TAKEN) weight[c->segment[i]] += weight_of(c, node_at(c, i), 0);
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < c->n && !st; i++) {
    uint32_t w = weight[c->segment[i]];
    if (c->fate[i] != TF_TAKEN || (w && w >= c->minimum)) continue;
    const char *why = w ? hn_arena_printf(c->now, "its segment has %u node%s, fewer than %u", w, w == 1 ? "" : "s", c->minimum) : "";
    st = why ? blame(c, node_at(c, i)->name, why) : hn_nomem(c->cx);
    *changed = true;
  }
  hn_free(weight);
  return st;
}

static const tf_attr *attr_of(const tf_node *n, const char *name) {
  for (size_t i = 0; i < n->n_attr; i++)
    if (strcmp(n->attr[i]->key, name) == 0) return n->attr[i]->value;
  return NULL;
}

/* The type of an output of a node that is left, as its attributes say. */
static hn_dtype type_of(const tf_node *n, uint32_t port) {
  static const char *const names[] = {"Tout", "dtype", "DstT", "out_type", "Tparams", "T", "Tdense", "component_types", "output_types"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const tf_attr *a = attr_of(n, names[i]);
    if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_TYPE) return hn_tf_dtype((int)a->type);
    if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_LIST && port < a->list->n_type) return hn_tf_dtype((int)a->list->type[port]);
  }
  return HONE_DTYPE_UNDEFINED;
}

/* Its shape, where it is told; of what keeps its input's shape, that. */
static const Tensorflow__TensorShapeProto *shape_of(tf_cut *c, uint32_t node, uint32_t port, int depth) {
  static const char *const lists[] = {"_output_shapes", "output_shapes"};
  static const struct { const char *op; uint32_t input; } alike[] = {
    {"Identity", 0}, {"IdentityN", UINT32_MAX}, {"LookupTableFind", 1}, {"LookupTableFindV2", 1}, {"StringToHashBucketFast", 0}, {"StringToHashBucket", 0},
    {"StringToNumber", 0}, {"StringLower", 0}, {"StringStrip", 0}, {"AsString", 0}, {"RegexReplace", 0}, {"StaticRegexReplace", 0}, {"PlaceholderWithDefault", 0}};
  const tf_node *n = node_at(c, node);
  for (size_t i = 0; i < c->fed.n; i++) {
    tf_ref r;
    if (find_tensor(c, c->fed.p[i].tensor, &r) && r.node == node && r.port == port && c->fed.p[i].shape && !c->fed.p[i].shape->unknown_rank) return c->fed.p[i].shape;
  }
  for (size_t i = 0; i < 2; i++) {
    const tf_attr *a = attr_of(n, lists[i]);
    if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_LIST && port < a->list->n_shape && !a->list->shape[port]->unknown_rank) return a->list->shape[port];
  }
  for (size_t i = 0; i < sizeof alike / sizeof *alike && depth < 64; i++) {
    uint32_t k = c->first[node] + (alike[i].input == UINT32_MAX ? port : alike[i].input);
    if (op_is(n, alike[i].op) && k < c->first[node + 1] && !c->edges[k].control) return shape_of(c, c->edges[k].node, c->edges[k].port, depth + 1);
  }
  const tf_attr *a = attr_of(n, "shape"), *dense = attr_of(n, "dense_shapes");
  if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_SHAPE && !a->shape->unknown_rank && a->shape->n_dim) return a->shape;
  if (!dense || dense->value_case != TENSORFLOW__ATTR_VALUE__VALUE_LIST || port >= dense->list->n_shape) return NULL;
  const Tensorflow__TensorShapeProto *one = dense->list->shape[port]; /* of an example: before it stands the batch */
  Tensorflow__TensorShapeProto *all = hn_arena_alloc(c->arena, sizeof *all);
  Tensorflow__TensorShapeProto__Dim *batch = hn_arena_alloc(c->arena, sizeof *batch);
  if (!all || !batch || one->unknown_rank || op_is(n, "ParseSingleExample")) return op_is(n, "ParseSingleExample") ? one : NULL;
  tensorflow__tensor_shape_proto__init(all);
  tensorflow__tensor_shape_proto__dim__init(batch);
  batch->size = -1;
  if (!(all->dim = hn_arena_alloc(c->arena, sizeof *all->dim * (one->n_dim + 1)))) return NULL;
  all->dim[all->n_dim++] = batch;
  for (size_t i = 0; i < one->n_dim; i++) all->dim[all->n_dim++] = one->dim[i];
  return all;
}

typedef HN_VEC(tf_port) tf_ports;

static hone_status add_port(tf_cut *c, tf_ports *to, hn_map *known, uint32_t node, uint32_t port, bool in) {
  const char *name = hn_arena_printf(c->now, "%s:%u", node_at(c, node)->name, port);
  uint32_t have;
  if (!name) return hn_nomem(c->cx);
  if (hn_map_get(known, name, &have)) return HONE_OK;
  tf_port p = {.key = name, .tensor = name};
  if (in) {
    p.dtype = type_of(node_at(c, node), port);
    p.shape = shape_of(c, node, port, 0);
  }
  return hn_map_put(known, name, 1) && hn_push(to, p) ? HONE_OK : hn_nomem(c->cx);
}

/* The tensors that a segment shares with the rest. */
static hone_status find_borders(tf_cut *c, uint32_t segment, tf_ports *in, tf_ports *out) {
  hn_map ins = {0}, outs = {0};
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < c->n && !st; i++)
    for (uint32_t k = c->first[i]; k < c->first[i + 1] && !st; k++) {
      const tf_edge *e = &c->edges[k];
      bool inside = c->fate[i] == TF_TAKEN && c->segment[i] == segment, from = c->fate[e->node] == TF_TAKEN && c->segment[e->node] == segment;
      if (inside && !e->control && c->fate[e->node] == TF_LEFT) st = add_port(c, in, &ins, e->node, e->port, true);
      if (from && c->copy[i]) st = add_port(c, out, &outs, e->node, e->control ? 0 : e->port, false);
    }
  for (size_t i = 0; i < c->fetched.n && !st; i++) {
    tf_ref r;
    if (find_tensor(c, c->fetched.p[i].tensor, &r) && c->fate[r.node] == TF_TAKEN && c->segment[r.node] == segment) st = add_port(c, out, &outs, r.node, r.port, false);
  }
  hn_map_free(&ins);
  hn_map_free(&outs);
  return st;
}

/* "node 'NAME...' (Op): ..." says which node of ours cannot be read: the longest that NAME begins with. */
static uint32_t culprit(tf_cut *c, uint32_t segment, const char *error) {
  static const char start[] = "node '";
  const char *at = strstr(error, start), *end = at ? strchr(at + sizeof start - 1, '\'') : NULL;
  char *name = end ? hn_arena_strndup(c->now, at + sizeof start - 1, (size_t)(end - at) - (sizeof start - 1)) : NULL;
  for (char *slash = name; slash && *name; slash = strrchr(name, '/')) {
    uint32_t i;
    if (slash != name) *slash = 0;
    else if (*name == '/') break;
    if (hn_map_get(&c->im.main.index, name, &i) && c->fate[i] == TF_TAKEN && c->segment[i] == segment) return i;
    for (i = 0; i < c->n; i++) { /* or a call of the function that it is in */
      if (c->fate[i] != TF_TAKEN || c->segment[i] != segment) continue;
      const tf_attr *f = attr_of(node_at(c, i), "f");
      if (f && f->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC && strcmp(f->func->name, name) == 0) return i;
    }
    if (!strchr(name, '/')) break;
  }
  return UINT32_MAX;
}

/* What a segment that cannot be read as a whole is cut at: a call is written out, any other node is left. */
static hone_status cut_at(tf_cut *c, uint32_t segment, bool last_try, bool *expanded) {
  const char *error = hn_arena_strdup(c->arena, hone_context_error(c->cx));
  uint32_t at = error && !last_try ? culprit(c, segment, error) : UINT32_MAX;
  if (!error) return hn_nomem(c->cx);
  if (at != UINT32_MAX) {
    HN_TRY(hn_tf_inline(&c->im, c->arena, at, &c->graph.node, &c->graph.n_node, expanded));
    return *expanded ? HONE_OK : blame(c, node_at(c, at)->name, error);
  }
  for (uint32_t i = 0; i < c->n; i++)
    if (c->fate[i] == TF_TAKEN && c->segment[i] == segment) HN_TRY(blame(c, node_at(c, i)->name, error));
  return HONE_OK;
}

static void drop_segments(tf_cut *c) {
  for (size_t i = 0; i < c->segments.n; i++) hn_graph_destroy(c->segments.p[i].g);
  c->segments.n = 0;
}

/* What cannot be spelled again is better not taken. */
static hone_status try_spelling(const tf_cut *c, const hn_graph *g) {
  tg t = {.cx = c->cx, .arena = hn_arena_create()};
  hn_graph *own = hn_graph_clone(g);
  hone_status st = own && t.arena ? hn_lower(own) : hn_nomem(c->cx);
  if (!st) st = tg_write_segment(&t, own);
  tg_close(&t);
  hn_arena_destroy(t.arena);
  hn_graph_destroy(own);
  return st;
}

/* Reads all segments; *again: one could not be read, so that the graph is to be cut anew. */
static hone_status read_segments(tf_cut *c, bool last_try, bool *again, bool *expanded) {
  tf_ports in = {0}, out = {0};
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < c->n && !st && !*again; i++) {
    if (c->fate[i] != TF_TAKEN || c->segment[i] != i) continue;
    tf_segment s = {0};
    in.n = out.n = 0;
    for (uint32_t k = 0; k < c->n; k++)
      if (c->fate[k] == TF_TAKEN && c->segment[k] == i) s.nodes += weight_of(c, node_at(c, k), 0);
    st = find_borders(c, i, &in, &out);
    hone_status read = st || !out.n ? st : hn_tf_import_between(&c->im, in.p, in.n, out.p, out.n, &s.g);
    if (!read && s.g && (read = try_spelling(c, s.g))) hn_graph_destroy(s.g);
    if (read == HONE_NOMEM || read == HONE_IO) st = read;
    else if (read) *again = true, st = cut_at(c, i, last_try, expanded);
    else if (s.g && !hn_push(&c->segments, s)) st = hn_nomem(c->cx);
  }
  hn_vec_free(&in);
  hn_vec_free(&out);
  return st;
}

/* Calls of functions that cannot be read are written out, so that only what is in their way stays. */
static hone_status expand(tf_cut *c, bool *expanded) {
  for (uint32_t i = 0; i < c->n && !*expanded; i++)
    if (c->fate[i] == TF_LEFT && c->why[i] && *c->why[i] && (calls(node_at(c, i)) || hn_tf_function(&c->im, node_at(c, i)->op)))
      HN_TRY(hn_tf_inline(&c->im, c->arena, i, &c->graph.node, &c->graph.n_node, expanded));
  return HONE_OK;
}

static hone_status reopen(tf_cut *c) {
  hn_tf_import_close(&c->im);
  HN_TRY(hn_tf_import_open(c->cx, &c->graph, c->variable_of, c->variable_user, &c->im));
  c->im.parsers_stay = true;
  return HONE_OK;
}

hone_status hn_tf_cut(tf_cut *c) {
  HN_TRY(reopen(c));
  for (int tries = 0, expansions = 0;; tries++) {
    bool again = false, expanded = false;
    drop_segments(c);
    HN_TRY(settle(c));
    HN_TRY(expand(c, &expanded));
    if (!expanded) {
      HN_TRY(connect(c));
      HN_TRY(leave_small(c, &again));
      if (!again) HN_TRY(read_segments(c, tries > MOST_TRIES, &again, &expanded));
    }
    if (!again && !expanded) return HONE_OK;
    if (expanded) HN_TRY(reopen(c));
    if (expanded && expansions++ == MOST_EXPANSIONS) return hn_fail(c->cx, HONE_UNSUPPORTED, "more than %d calls of its functions would have to be written out", MOST_EXPANSIONS);
  }
}

void hn_tf_cut_close(tf_cut *c) {
  drop_segments(c);
  hn_vec_free(&c->segments);
  hn_vec_free(&c->fed);
  hn_vec_free(&c->fetched);
  hn_vec_free(&c->kept);
  hn_vec_free(&c->reasons);
  hn_map_free(&c->blamed);
  hn_tf_import_close(&c->im);
  hn_arena_destroy(c->now);
}
