#include "format/tensorflow/tf_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/tensorflow/variables.h"

typedef HN_VEC(tf_port) tf_ports;

typedef struct reader {
  tf_container c;
  const char *path;
  const hone_load_options *o;
  const Tensorflow__SignatureDefEntry *signature;
  tf_ports in, out;
} reader;

static int by_key(const void *a, const void *b) { return strcmp(((const tf_port *)a)->key, ((const tf_port *)b)->key); }

static hone_status add_signature(reader *r, Tensorflow__TensorInfoEntry **e, size_t n, const char *what, tf_ports *to) {
  for (size_t i = 0; i < n; i++) {
    const Tensorflow__TensorInfo *t = e[i]->value;
    if (!t || t->encoding_case != TENSORFLOW__TENSOR_INFO__ENCODING_NAME)
      return hn_fail(r->c.cx, HONE_UNSUPPORTED, "signature '%s': %s '%s' is a sparse or composite tensor, which is not supported", r->signature->key,
                     what, e[i]->key);
    tf_port p = {e[i]->key, t->name, hn_tf_dtype((int)t->dtype), t->tensor_shape};
    if (!hn_push(to, p)) return hn_nomem(r->c.cx);
  }
  if (n) qsort(to->p, to->n, sizeof *to->p, by_key);
  return HONE_OK;
}

/* "x:0,y": by the caller. A name without a port is its first. */
static hone_status add_named(reader *r, const char *list, tf_ports *to) {
  for (const char *p = list; *p;) {
    while (*p == ' ' || *p == ',') p++;
    size_t n = strcspn(p, ", ");
    char *tensor = hn_arena_strndup(r->c.arena, p, n), *key = hn_arena_strndup(r->c.arena, p, n);
    if (!tensor || !key) return hn_nomem(r->c.cx);
    p += n;
    if (!n) continue;
    if (n > 2 && strcmp(key + n - 2, ":0") == 0) key[n - 2] = 0;
    tf_port port = {key, tensor, HONE_DTYPE_UNDEFINED, NULL};
    for (size_t i = 0; r->signature && i < r->signature->value->n_inputs; i++) { /* the signature may know more of it */
      const Tensorflow__TensorInfoEntry *e = r->signature->value->inputs[i];
      const char *name = e->value && e->value->encoding_case == TENSORFLOW__TENSOR_INFO__ENCODING_NAME ? e->value->name : "";
      if (strcmp(name, tensor) != 0) continue;
      port.dtype = hn_tf_dtype((int)e->value->dtype);
      port.shape = e->value->tensor_shape;
    }
    if (!hn_push(to, port)) return hn_nomem(r->c.cx);
  }
  return to->n ? HONE_OK : hn_fail(r->c.cx, HONE_BAD_ARG, "a list of tensors is empty");
}

/* ---- inputs and outputs that nobody named */

static bool op_in(const tf_node *n, const char *const *ops) {
  for (; *ops; ops++)
    if (strcmp(n->op, *ops) == 0) return true;
  return false;
}

static hone_status index_nodes(reader *r, hn_map *index) {
  for (size_t i = 0; i < r->c.graph->n_node; i++)
    if (!hn_map_put(index, r->c.graph->node[i]->name, (uint32_t)i)) return hn_nomem(r->c.cx);
  return HONE_OK;
}

static uint32_t node_named(reader *r, const hn_map *index, const char *text) {
  const char *name;
  uint32_t port, i;
  return hn_tf_split_tensor(r->c.arena, text, &name, &port) && hn_map_get(index, name, &i) ? i : UINT32_MAX;
}

/* Placeholders that the outputs need, in the order of the graph. */
static hone_status find_inputs(reader *r, const hn_map *index) {
  const Tensorflow__GraphDef *g = r->c.graph;
  HN_VEC(uint32_t) stack = {0};
  uint8_t *seen = hn_calloc(g->n_node + 1, 1);
  hone_status st = seen ? HONE_OK : hn_nomem(r->c.cx);
  for (size_t i = 0; i < r->out.n && !st; i++)
    if (!hn_push(&stack, node_named(r, index, r->out.p[i].tensor))) st = hn_nomem(r->c.cx);
  while (stack.n && !st) {
    uint32_t at = stack.p[--stack.n];
    if (at == UINT32_MAX || seen[at]) continue;
    seen[at] = 1;
    for (uint32_t i = 0; i < hn_tf_data_inputs(g->node[at]) && !st; i++)
      if (!hn_push(&stack, node_named(r, index, g->node[at]->input[i]))) st = hn_nomem(r->c.cx);
  }
  for (size_t i = 0; i < g->n_node && !st; i++) {
    if (!seen[i] || (strcmp(g->node[i]->op, "Placeholder") != 0 && strcmp(g->node[i]->op, "PlaceholderV2") != 0)) continue;
    tf_port p = {g->node[i]->name, g->node[i]->name, HONE_DTYPE_UNDEFINED, NULL};
    if (!hn_push(&r->in, p)) st = hn_nomem(r->c.cx);
  }
  hn_free(seen);
  hn_vec_free(&stack);
  return st;
}

/* Marks what nodes read: data, or with `waits` also what they only wait for, as the sides of a condition do. */
static void mark_read(reader *r, const hn_map *index, bool waits, uint8_t *read) {
  const Tensorflow__GraphDef *g = r->c.graph;
  for (size_t i = 0; i < g->n_node; i++) {
    size_t n = waits ? g->node[i]->n_input : hn_tf_data_inputs(g->node[i]);
    for (size_t k = 0; k < n; k++) {
      uint32_t from = node_named(r, index, g->node[i]->input[k]);
      if (from != UINT32_MAX) read[from] = 1;
    }
  }
}

/* The value by which a condition or loop says which side runs: no result. */
static bool is_pivot(reader *r, const hn_map *index, const tf_node *n) {
  static const char *const gates[] = {"Switch", "RefSwitch", "NextIteration", "RefNextIteration", NULL};
  uint32_t from = strcmp(n->op, "Identity") == 0 && n->n_input ? node_named(r, index, n->input[0]) : UINT32_MAX;
  return op_in(n, gates) || (from != UINT32_MAX && op_in(r->c.graph->node[from], gates));
}

/* What nothing else reads or waits for, or if there is nothing of that kind, what nothing else reads. Of a graph with variables (for training) that is not what is wanted: then it must be said. */
static hone_status find_outputs(reader *r, const hn_map *index) {
  static const char *const none[] = {"NoOp", "Assert", "Const", "Placeholder", "PlaceholderV2", "Print", "SaveV2", "Assign", NULL};
  static const char *const variables[] = {"Variable", "VariableV2", "VarHandleOp", NULL};
  const Tensorflow__GraphDef *g = r->c.graph;
  hn_str names = {0};
  bool trains = false;
  uint8_t *read = hn_calloc(g->n_node + 1, 1);
  hone_status st = read ? HONE_OK : hn_nomem(r->c.cx);
  for (size_t i = 0; i < g->n_node; i++) trains = trains || op_in(g->node[i], variables);
  if (!st) mark_read(r, index, true, read);
  bool ends = false;
  for (size_t i = 0; i < g->n_node && !st; i++) ends = ends || (!read[i] && !op_in(g->node[i], none) && !is_pivot(r, index, g->node[i]));
  if (!st && !ends) memset(read, 0, g->n_node), mark_read(r, index, false, read);
  for (size_t i = 0, n = 0; i < g->n_node && !st; i++) {
    const tf_node *node = g->node[i];
    if (trains && n < 12 && !op_in(node, none) && !op_in(node, variables) && hn_tf_row(node->op) && strncmp(node->name, "gradients", 9) != 0 &&
        strncmp(node->name, "save/", 5) != 0 && node->n_input)
      hn_str_printf(&names, "%s%s", n++ ? ", " : "", node->name);
    if (read[i] || op_in(node, none) || is_pivot(r, index, node)) continue;
    tf_port p = {node->name, node->name, HONE_DTYPE_UNDEFINED, NULL};
    if (!hn_push(&r->out, p)) st = hn_nomem(r->c.cx);
  }
  if (!st && trains)
    st = hn_fail(r->c.cx, HONE_BAD_ARG, "the graph has variables but no signature: say with --outputs what to compute, as in --outputs=%s", names.p ? names.p : "NAME:0");
  else if (!st && !r->out.n) st = hn_fail(r->c.cx, HONE_BAD_GRAPH, "the graph computes nothing: give --outputs");
  hn_str_free(&names);
  hn_free(read);
  return st;
}

static hone_status find_ports(reader *r) {
  const Tensorflow__SignatureDef *s = r->signature ? r->signature->value : NULL;
  bool in_given = r->o->inputs != NULL, out_given = r->o->outputs != NULL;
  hn_map index = {0};
  hone_status st = index_nodes(r, &index);
  if (!st && out_given) st = add_named(r, r->o->outputs, &r->out);
  else if (!st && s) st = add_signature(r, s->outputs, s->n_outputs, "output", &r->out);
  else if (!st) st = find_outputs(r, &index);
  if (!st && in_given) st = add_named(r, r->o->inputs, &r->in);
  else if (!st && s && !out_given) st = add_signature(r, s->inputs, s->n_inputs, "input", &r->in);
  else if (!st) st = find_inputs(r, &index);
  hn_map_free(&index);
  return st;
}

/* ---- meta data */

static void note_ports(hn_graph *g, const char *what, const tf_ports *p) {
  for (size_t i = 0; i < p->n; i++) {
    hn_str key = {0};
    hn_str_printf(&key, "tf.%s.%s", what, p->p[i].key);
    if (key.p) hn_meta_set(g, key.p, p->p[i].tensor);
    hn_str_free(&key);
  }
}

static void note_meta(const reader *r, hn_graph *g) {
  char number[32];
  const Tensorflow__MetaGraphDef *m = r->c.meta;
  const Tensorflow__MetaGraphDef__MetaInfoDef *info = m ? m->meta_info_def : NULL;
  hn_meta_set(g, "format", r->c.kind);
  hn_meta_set(g, "producer", "TensorFlow");
  if (info && *info->tensorflow_version) {
    hn_meta_set(g, "producer_version", info->tensorflow_version);
    hn_meta_set(g, "tf.version", info->tensorflow_version);
  }
  if (r->c.graph->versions) {
    snprintf(number, sizeof number, "%d", r->c.graph->versions->producer);
    hn_meta_set(g, "tf.graph_version", number);
  }
  if (r->c.model && m) hn_meta_set(g, "tf.tag_set", hn_tf_tags(&r->c, m));
  if (r->signature) {
    hn_meta_set(g, "tf.signature", r->signature->key);
    hn_meta_set(g, "tf.method", r->signature->value->method_name);
  }
  note_ports(g, "input", &r->in);
  note_ports(g, "output", &r->out);
}

static hone_status read_model(reader *r, hn_graph **out) {
  tf_variables *v = NULL;
  hn_graph *g;
  HN_TRY(hn_tf_choose_meta(&r->c, r->path, r->o->tag_set));
  if (r->c.frozen && r->o->signature) return hn_fail(r->c.cx, HONE_BAD_ARG, "a GraphDef has no signatures to choose from; choose tensors with --inputs and --outputs");
  if (!r->o->outputs || r->o->signature) HN_TRY(hn_tf_choose_signature(&r->c, r->path, r->o->signature, &r->signature));
  HN_TRY(find_ports(r));
  HN_TRY(hn_tf_variables_open(&r->c, &v));
  hone_status st = hn_tf_import(r->c.cx, r->c.graph, r->in.p, r->in.n, r->out.p, r->out.n, hn_tf_variable, v, &g);
  hn_tf_variables_close(&v);
  HN_TRY(st);
  note_meta(r, g);
  if (g->oom) {
    hn_graph_destroy(g);
    return hn_nomem(r->c.cx);
  }
  *out = g;
  return HONE_OK;
}

hone_status hn_tf_read(hone_context *cx, const hn_source *s, hn_graph **out) {
  reader r = {.path = s->path, .o = s->options};
  HN_TRY(hn_tf_container_open(cx, s, &r.c));
  hone_status st = read_model(&r, out);
  if (st && strncmp(hone_context_error(cx), s->path, strlen(s->path)) != 0) hn_fail_within(cx, st, "%s", s->path);
  hn_vec_free(&r.in);
  hn_vec_free(&r.out);
  hn_tf_container_close(&r.c);
  return st;
}
