/* catalog_tf.c - tag sets, signatures, functions, assets and segments of a SavedModel as a list. */
#include <stdlib.h>
#include <string.h>

#include "format/tensorflow/tf_container.h"
#include "format/tensorflow/tf_reader.h"

typedef Tensorflow__SavedObjectGraph ObjectGraph;

typedef struct lister {
  tf_container c;
  hn_catalog *out;
  hone_status st;
} lister;

static const char *keep(lister *l, const char *text) {
  const char *s = hn_arena_strdup(l->out->arena, text ? text : "");
  if (!s && !l->st) l->st = hn_nomem(l->c.cx);
  return s ? s : "";
}

static void add(lister *l, hone_catalog_kind kind, const char *name, const char *tensor, const char *detail, int type,
                const Tensorflow__TensorShapeProto *shape) {
  hone_catalog_row r = {.kind = kind, .name = keep(l, name), .tensor = keep(l, tensor), .detail = keep(l, detail), .type = ""};
  bool typed = kind == HONE_CATALOG_INPUT || kind == HONE_CATALOG_OUTPUT || kind == HONE_CATALOG_ARGUMENT || kind == HONE_CATALOG_CAPTURE;
  r.info.name = r.name;
  r.info.rank = -1;
  if (typed) {
    r.type = keep(l, hn_tf_dtype_name(type));
    r.info.dtype = hn_tf_dtype(type);
    if (shape && !shape->unknown_rank && shape->n_dim <= HONE_MAX_RANK) r.info.rank = (int32_t)shape->n_dim;
    for (int32_t i = 0; i < r.info.rank; i++) {
      r.info.dims[i] = shape->dim[i]->size < 0 ? -1 : shape->dim[i]->size;
      r.info.dim_names[i] = "";
    }
  }
  if (!l->st && !hn_push(&l->out->rows, r)) l->st = hn_nomem(l->c.cx);
}

/* ---- signatures */

static int tensor_order(const void *a, const void *b) {
  return strcmp((*(Tensorflow__TensorInfoEntry *const *)a)->key, (*(Tensorflow__TensorInfoEntry *const *)b)->key);
}

static int signature_order(const void *a, const void *b) {
  return strcmp((*(Tensorflow__SignatureDefEntry *const *)a)->key, (*(Tensorflow__SignatureDefEntry *const *)b)->key);
}

static void add_tensors(lister *l, hone_catalog_kind kind, Tensorflow__TensorInfoEntry **e, size_t n) {
  if (n) qsort(e, n, sizeof *e, tensor_order);
  for (size_t i = 0; i < n; i++) {
    const Tensorflow__TensorInfo *t = e[i]->value;
    if (!t) continue;
    const char *name = t->encoding_case == TENSORFLOW__TENSOR_INFO__ENCODING_NAME         ? t->name
                       : t->encoding_case == TENSORFLOW__TENSOR_INFO__ENCODING_COO_SPARSE ? "(sparse)"
                                                                                          : "(composite)";
    add(l, kind, e[i]->key, name, "", (int)t->dtype, t->tensor_shape);
  }
}

static void add_signatures(lister *l, const Tensorflow__MetaGraphDef *m) {
  if (m->n_signature_def) qsort(m->signature_def, m->n_signature_def, sizeof *m->signature_def, signature_order);
  for (size_t i = 0; i < m->n_signature_def; i++) {
    const Tensorflow__SignatureDef *s = m->signature_def[i]->value;
    if (!s) continue;
    add(l, HONE_CATALOG_SIGNATURE, m->signature_def[i]->key, "", s->method_name, 0, NULL);
    add_tensors(l, HONE_CATALOG_INPUT, s->inputs, s->n_inputs);
    add_tensors(l, HONE_CATALOG_OUTPUT, s->outputs, s->n_outputs);
  }
}

/* ---- concrete functions of the model object, what they take and what they capture */

enum { MAX_STRUCTURE = 32 };

static void add_arguments(lister *l, const Tensorflow__StructuredValue *v, const char *name, int depth) {
  if (!v || depth > MAX_STRUCTURE) return;
  switch (v->kind_case) {
    case TENSORFLOW__STRUCTURED_VALUE__KIND_TENSOR_SPEC_VALUE:
      add(l, HONE_CATALOG_ARGUMENT, *v->tensor_spec_value->name ? v->tensor_spec_value->name : name, "", "",
          (int)v->tensor_spec_value->dtype, v->tensor_spec_value->shape);
      return;
    case TENSORFLOW__STRUCTURED_VALUE__KIND_LIST_VALUE:
      for (size_t i = 0; i < v->list_value->n_values; i++) add_arguments(l, v->list_value->values[i], name, depth + 1);
      return;
    case TENSORFLOW__STRUCTURED_VALUE__KIND_TUPLE_VALUE:
      for (size_t i = 0; i < v->tuple_value->n_values; i++) add_arguments(l, v->tuple_value->values[i], name, depth + 1);
      return;
    case TENSORFLOW__STRUCTURED_VALUE__KIND_DICT_VALUE:
      for (size_t i = 0; i < v->dict_value->n_fields; i++) add_arguments(l, v->dict_value->fields[i]->value, v->dict_value->fields[i]->key, depth + 1);
      return;
    case TENSORFLOW__STRUCTURED_VALUE__KIND_NAMED_TUPLE_VALUE:
      for (size_t i = 0; i < v->named_tuple_value->n_values; i++)
        add_arguments(l, v->named_tuple_value->values[i]->value, v->named_tuple_value->values[i]->key, depth + 1);
      return;
    default: return;
  }
}

static void add_concrete(lister *l, const ObjectGraph *g, const char *attribute, const char *concrete) {
  const Tensorflow__SavedConcreteFunction *f = NULL;
  for (size_t i = 0; i < g->n_concrete_functions; i++)
    if (strcmp(g->concrete_functions[i]->key, concrete) == 0) f = g->concrete_functions[i]->value;
  add(l, HONE_CATALOG_FUNCTION, attribute, concrete, "", 0, NULL);
  if (!f) return;
  add_arguments(l, f->canonicalized_input_signature, "", 0);
  for (size_t i = 0; i < f->n_bound_inputs; i++) {
    int32_t at = f->bound_inputs[i];
    const Tensorflow__SavedObject *o = at >= 0 && (size_t)at < g->n_nodes ? g->nodes[at] : NULL;
    if (o && o->kind_case == TENSORFLOW__SAVED_OBJECT__KIND_VARIABLE)
      add(l, HONE_CATALOG_CAPTURE, o->variable->name, "", "variable", (int)o->variable->dtype, o->variable->shape);
    else if (o && o->kind_case == TENSORFLOW__SAVED_OBJECT__KIND_CONSTANT)
      add(l, HONE_CATALOG_CAPTURE, o->constant->operation, "", "constant", 0, NULL);
    else add(l, HONE_CATALOG_CAPTURE, "", "", "resource", TENSORFLOW__DATA_TYPE__DT_RESOURCE, NULL);
  }
}

static void add_functions(lister *l, const ObjectGraph *g) {
  const Tensorflow__SavedObject *root = g && g->n_nodes ? g->nodes[0] : NULL;
  for (size_t i = 0; root && i < root->n_children; i++) {
    int32_t at = root->children[i]->node_id;
    const Tensorflow__SavedObject *o = at >= 0 && (size_t)at < g->n_nodes ? g->nodes[at] : NULL;
    if (o && o->kind_case == TENSORFLOW__SAVED_OBJECT__KIND_FUNCTION)
      for (size_t k = 0; k < o->function->n_concrete_functions; k++) add_concrete(l, g, root->children[i]->local_name, o->function->concrete_functions[k]);
    if (o && o->kind_case == TENSORFLOW__SAVED_OBJECT__KIND_BARE_CONCRETE_FUNCTION)
      add_concrete(l, g, root->children[i]->local_name, o->bare_concrete_function->concrete_function_name);
  }
}

/* ---- engines of TF-TRT */

static const tf_attr *attr_of(const tf_node *n, const char *name) {
  for (size_t i = 0; i < n->n_attr; i++)
    if (strcmp(n->attr[i]->key, name) == 0) return n->attr[i]->value;
  return NULL;
}

static void contents(const Tensorflow__FunctionDef *f, hn_str *s) {
  for (size_t i = 0, listed = 0; i < f->n_node_def; i++) {
    size_t n = 0, first = i;
    for (size_t k = 0; k < f->n_node_def; k++)
      if (strcmp(f->node_def[k]->op, f->node_def[i]->op) == 0) {
        n++;
        if (k < first) first = k;
      }
    if (first == i) hn_str_printf(s, "%s%zu %s", listed++ ? ", " : "", n, f->node_def[i]->op);
  }
}

static void add_segment(lister *l, const Tensorflow__GraphDef *g, const tf_node *n) {
  const tf_attr *f = attr_of(n, "segment_func"), *old = attr_of(n, "segment_funcdef_name"), *precision = attr_of(n, "precision_mode"),
                *fixed = attr_of(n, "static_engine"), *calibrated = attr_of(n, "use_calibration"), *space = attr_of(n, "workspace_size_bytes");
  hn_str text = {0}, name = {0};
  const Tensorflow__FunctionDef *segment = NULL;
  if (f && f->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC) hn_str_add(&name, f->func->name);
  else if (old && old->value_case == TENSORFLOW__ATTR_VALUE__VALUE_S) hn_str_addn(&name, (const char *)old->s.data, old->s.len);
  for (size_t i = 0; g->library && name.n && i < g->library->n_function; i++)
    if (g->library->function[i]->signature && strcmp(g->library->function[i]->signature->name, name.p) == 0) segment = g->library->function[i];
  if (precision && precision->value_case == TENSORFLOW__ATTR_VALUE__VALUE_S) {
    hn_str_addn(&text, (const char *)precision->s.data, precision->s.len);
    if (calibrated && calibrated->b) hn_str_add(&text, " calibrated");
  }
  hn_str_printf(&text, "%s%s", text.n ? ", " : "", fixed && fixed->b ? "static engine" : "engine built at run time");
  if (space && space->i) hn_str_printf(&text, ", workspace %lld bytes", (long long)space->i);
  if (segment) {
    hn_str_add(&text, "; native segment: ");
    contents(segment, &text);
  } else {
    hn_str_add(&text, "; no native segment: it cannot be run");
  }
  add(l, HONE_CATALOG_SEGMENT, n->name, name.p, text.p, 0, NULL);
  hn_str_free(&text);
  hn_str_free(&name);
}

static void add_segments(lister *l, const Tensorflow__GraphDef *g) {
  for (size_t i = 0; g && i < g->n_node; i++)
    if (strcmp(g->node[i]->op, "TRTEngineOp") == 0) add_segment(l, g, g->node[i]);
  for (size_t i = 0; g && g->library && i < g->library->n_function; i++)
    for (size_t k = 0; k < g->library->function[i]->n_node_def; k++)
      if (strcmp(g->library->function[i]->node_def[k]->op, "TRTEngineOp") == 0) add_segment(l, g, g->library->function[i]->node_def[k]);
}

static void add_meta(lister *l, const Tensorflow__MetaGraphDef *m) {
  if (l->c.model || m->n_signature_def)
    add(l, HONE_CATALOG_TAG_SET, hn_tf_tags(&l->c, m), "", m->meta_info_def ? m->meta_info_def->tensorflow_version : "", 0, NULL);
  add_signatures(l, m);
  for (size_t i = 0; i < m->n_asset_file_def; i++) {
    const Tensorflow__TensorInfo *t = m->asset_file_def[i]->tensor_info;
    bool named = t && t->encoding_case == TENSORFLOW__TENSOR_INFO__ENCODING_NAME;
    add(l, HONE_CATALOG_ASSET, m->asset_file_def[i]->filename, named ? t->name : "", "", 0, NULL);
  }
  add_functions(l, m->object_graph_def);
  add_segments(l, m->graph_def);
}

hone_status hn_tf_catalog(hone_context *cx, const hn_source *s, hn_catalog *c) {
  lister l = {.out = c};
  HN_TRY(hn_tf_container_open(cx, s, &l.c));
  for (size_t i = 0; l.c.model && i < l.c.model->n_meta_graphs; i++) add_meta(&l, l.c.model->meta_graphs[i]);
  if (l.c.only) add_meta(&l, l.c.only);
  if (l.c.frozen) add_segments(&l, l.c.frozen);
  hn_tf_container_close(&l.c);
  return l.st;
}
