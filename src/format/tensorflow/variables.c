#include "format/tensorflow/variables.h"

#include <stdlib.h>
#include <string.h>

typedef Tensorflow__TrackableObjectGraph ObjectGraph;

/* What the saver of the graph restores: this variable from that key, or from a slice of it. */
typedef struct restored {
  const char *variable, *key, *slice;
} restored;

struct tf_variables {
  const tf_container *c;
  hn_bundle *bundle;
  ObjectGraph *objects; /* of the checkpoint; NULL: it has none */
  hn_map nodes;         /* of the graph */
  HN_VEC(restored) rows;
};

/* -------------------------------------------------------------------- what the graph says of restoring */

typedef struct nodes { /* of the graph or a function */
  tf_node **p;
  const hn_map *index;
  const Tensorflow__FunctionDef *function;
  const tf_node *call; /* of the function in the graph */
} nodes;

static const tf_node *node_of(const tf_variables *v, const nodes *g, const char *input, uint32_t *port) {
  const char *colon = strrchr(input, ':');
  size_t size = strcspn(input, ":");
  uint32_t i;
  *port = colon ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
  char *name = hn_arena_strndup(v->c->arena, input, size);
  return name && hn_map_get(g->index, name, &i) ? g->p[i] : NULL;
}

/* The variable an input means: a node of the graph, or an argument that a call gives. */
static const char *variable_name(const tf_variables *v, const nodes *g, const char *input) {
  uint32_t port;
  const tf_node *n = node_of(v, g, input, &port);
  if (n) return g->function ? NULL : n->name;
  const Tensorflow__OpDef *sig = g->function ? g->function->signature : NULL;
  for (size_t i = 0; sig && i < sig->n_input_arg && g->call && i < g->call->n_input; i++)
    if (strcmp(sig->input_arg[i]->name, input) == 0) {
      nodes main = {v->c->graph->node, &v->nodes, NULL, NULL};
      n = node_of(v, &main, g->call->input[i], &port);
      return n ? n->name : NULL;
    }
  return NULL;
}

static const Tensorflow__TensorProto *strings_of(const tf_variables *v, const nodes *g, const char *input) {
  uint32_t port;
  const tf_node *n = node_of(v, g, input, &port);
  for (size_t i = 0; n && i < n->n_attr; i++)
    if (strcmp(n->attr[i]->key, "value") == 0 && n->attr[i]->value && n->attr[i]->value->value_case == TENSORFLOW__ATTR_VALUE__VALUE_TENSOR)
      return n->attr[i]->value->tensor;
  return NULL;
}

static const char *string_at(const tf_variables *v, const Tensorflow__TensorProto *t, size_t i) {
  if (!t || !t->n_string_val) return NULL;
  if (i >= t->n_string_val) i = t->n_string_val - 1; /* the last is repeated */
  return hn_arena_strndup(v->c->arena, (const char *)t->string_val[i].data, t->string_val[i].len);
}

static bool is_restore(const tf_node *n) {
  return strcmp(n->op, "RestoreV2") == 0 || strcmp(n->op, "RestoreSlice") == 0 || strcmp(n->op, "Restore") == 0;
}

/* Assign(variable, ... RestoreV2:k), or Restore and RestoreSlice, which give one each: file, name and, but for Restore, slice. */
static hone_status note_assign(tf_variables *v, const nodes *g, const tf_node *assign) {
  uint32_t port = 0;
  const tf_node *from = assign->n_input > 1 ? node_of(v, g, assign->input[1], &port) : NULL;
  for (int steps = 0; from && steps < 8 && !is_restore(from); steps++)
    from = from->n_input && strcmp(from->op, "Identity") == 0 ? node_of(v, g, from->input[0], &port) : NULL;
  if (!from || !is_restore(from) || from->n_input < 2) return HONE_OK;
  restored r = {variable_name(v, g, assign->input[0]), string_at(v, strings_of(v, g, from->input[1]), port),
                from->n_input > 2 ? string_at(v, strings_of(v, g, from->input[2]), port) : NULL};
  return !r.variable || !r.key || hn_push(&v->rows, r) ? HONE_OK : hn_nomem(v->c->cx);
}

static hone_status note_assigns(tf_variables *v, const nodes *g, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(g->p[i]->op, "Assign") == 0 || strcmp(g->p[i]->op, "AssignVariableOp") == 0) HN_TRY(note_assign(v, g, g->p[i]));
  return HONE_OK;
}

static bool restores(const Tensorflow__FunctionDef *f) {
  for (size_t i = 0; i < f->n_node_def; i++)
    if (is_restore(f->node_def[i])) return true;
  return false;
}

static const tf_node *call_of(const tf_variables *v, const char *function) {
  const Tensorflow__GraphDef *graph = v->c->graph;
  for (size_t i = 0; i < graph->n_node; i++)
    for (size_t k = 0; k < graph->node[i]->n_attr; k++) {
      const tf_attr *a = graph->node[i]->attr[k]->value;
      if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC && strcmp(a->func->name, function) == 0) return graph->node[i];
    }
  return NULL;
}

static hone_status note_functions(tf_variables *v) {
  const Tensorflow__FunctionDefLibrary *lib = v->c->graph->library;
  for (size_t i = 0; lib && i < lib->n_function; i++) {
    const Tensorflow__FunctionDef *f = lib->function[i];
    if (!f->signature || !restores(f)) continue;
    hn_map index = {0};
    hone_status st = HONE_OK;
    for (size_t k = 0; k < f->n_node_def && !st; k++)
      if (!hn_map_put(&index, f->node_def[k]->name, (uint32_t)k)) st = hn_nomem(v->c->cx);
    nodes g = {f->node_def, &index, f, call_of(v, f->signature->name)};
    if (!st) st = note_assigns(v, &g, f->n_node_def);
    hn_map_free(&index);
    HN_TRY(st);
  }
  return HONE_OK;
}

hone_status hn_tf_variables_open(const tf_container *c, tf_variables **out) {
  tf_variables *v = hn_calloc(1, sizeof *v);
  if (!v) return hn_nomem(c->cx);
  v->c = c;
  hone_status st = HONE_OK;
  for (size_t i = 0; i < c->graph->n_node && !st; i++)
    if (!hn_map_put(&v->nodes, c->graph->node[i]->name, (uint32_t)i)) st = hn_nomem(c->cx);
  nodes main = {c->graph->node, &v->nodes, NULL, NULL};
  if (!st) st = note_assigns(v, &main, c->graph->n_node);
  if (!st) st = note_functions(v);
  if (st) hn_tf_variables_close(&v);
  else *out = v;
  return st;
}

void hn_tf_variables_close(tf_variables **pv) {
  tf_variables *v = *pv;
  if (!v) return;
  hn_bundle_close(&v->bundle);
  tensorflow__trackable_object_graph__free_unpacked(v->objects, NULL);
  hn_map_free(&v->nodes);
  hn_vec_free(&v->rows);
  hn_free(v);
  *pv = NULL;
}

/* ----------------------------------------------------------------------------------- finding and cutting */

static hone_status open_bundle(tf_variables *v, const tf_node *node) {
  static const char objects[] = "_CHECKPOINTABLE_OBJECT_GRAPH";
  const void *data;
  size_t size;
  if (v->bundle) return HONE_OK;
  if (!v->c->checkpoint)
    return hn_fail(v->c->cx, HONE_UNSUPPORTED, "'%s' is a variable, and there is no checkpoint with its value: give the SavedModel's directory or "
                   "the checkpoint's .meta, or freeze the graph", node->name);
  hone_status st = hn_bundle_open(v->c->cx, v->c->checkpoint, &v->bundle);
  if (st) return hn_fail_within(v->c->cx, st, "variable '%s'", node->name);
  if (hn_bundle_has(v->bundle, objects) && hn_bundle_string(v->bundle, objects, &data, &size) == HONE_OK)
    v->objects = tensorflow__trackable_object_graph__unpack(NULL, size, data);
  return HONE_OK;
}

static const char *object_key(const tf_variables *v, const char *name) {
  for (size_t i = 0; v->objects && i < v->objects->n_nodes; i++)
    for (size_t k = 0; k < v->objects->nodes[i]->n_attributes; k++) {
      const Tensorflow__TrackableObjectGraph__TrackableObject__SerializedTensor *t = v->objects->nodes[i]->attributes[k];
      if (strcmp(t->full_name, name) == 0) return t->checkpoint_key;
    }
  return NULL;
}

static const char *shared_name(const tf_variables *v, const tf_node *node) {
  for (size_t i = 0; i < node->n_attr; i++) {
    const tf_attr *a = node->attr[i]->value;
    if (strcmp(node->attr[i]->key, "shared_name") == 0 && a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_S && a->s.len)
      return hn_arena_strndup(v->c->arena, (const char *)a->s.data, a->s.len);
  }
  return node->name;
}

/* "10 20 0,5:-": the shape of the whole, then start and length of each dimension, "-" for all of it. */
static hone_status cut(const tf_variables *v, const char *name, const char *spec, hn_tensor **t) {
  int64_t start[HN_MAX_RANK], dims[HN_MAX_RANK], stride[HN_MAX_RANK], at[HN_MAX_RANK] = {0};
  const hn_tensor *whole = *t;
  const char *p = strrchr(spec, ' ');
  hn_tensor *part;
  p = p ? p + 1 : spec;
  for (int32_t i = 0; i < whole->rank; i++) {
    char *end;
    start[i] = 0;
    dims[i] = whole->dims[i];
    if (*p == '-') p++;
    else {
      start[i] = strtoll(p, &end, 10);
      if (end == p || *end != ',') return hn_fail(v->c->cx, HONE_BAD_FORMAT, "variable '%s': slice '%s' is none", name, spec);
      dims[i] = strtoll(end + 1, &end, 10);
      p = end;
    }
    if (start[i] < 0 || dims[i] < 0 || start[i] > whole->dims[i] || dims[i] > whole->dims[i] - start[i])
      return hn_fail(v->c->cx, HONE_BAD_FORMAT, "variable '%s': slice '%s' lies outside of the whole", name, spec);
    if (*p == ':') p++;
  }
  HN_TRY(hn_tensor_create(v->c->cx, whole->dtype, whole->rank, dims, &part));
  size_t size = hone_dtype_size(whole->dtype);
  for (int32_t i = whole->rank - 1; i >= 0; i--) stride[i] = i == whole->rank - 1 ? 1 : stride[i + 1] * whole->dims[i + 1];
  for (int64_t k = 0; k < part->count; k++) {
    int64_t from = 0;
    for (int32_t i = 0; i < whole->rank; i++) from += (start[i] + at[i]) * stride[i];
    memcpy((char *)part->data + (size_t)k * size, (const char *)whole->data + (size_t)from * size, size);
    for (int32_t i = whole->rank - 1; i >= 0 && ++at[i] == dims[i]; i--) at[i] = 0;
  }
  hn_tensor_unref(*t);
  *t = part;
  return HONE_OK;
}

hone_status hn_tf_variable(void *variables, const tf_node *node, hn_tensor **out) {
  tf_variables *v = variables;
  const char *key = NULL, *slice = NULL, *shared = shared_name(v, node);
  HN_TRY(open_bundle(v, node));
  for (size_t i = 0; i < v->rows.n && !key; i++)
    if (strcmp(v->rows.p[i].variable, node->name) == 0 && hn_bundle_has(v->bundle, v->rows.p[i].key)) {
      key = v->rows.p[i].key;
      slice = v->rows.p[i].slice;
    }
  if (!key && shared) key = object_key(v, shared);
  if (!key) key = hn_bundle_has(v->bundle, node->name) || !shared ? node->name : shared;
  hn_tensor *t;
  HN_TRY(hn_bundle_tensor(v->bundle, key, &t));
  hone_status st = slice && *slice ? cut(v, node->name, slice, &t) : HONE_OK;
  if (st) hn_tensor_unref(t);
  else *out = t;
  return st;
}
