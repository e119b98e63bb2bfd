#include "format/onnx/writer.h"

#include <stdio.h>
#include <string.h>

#include "format/lower.h"
#include "format/onnx/suppress.h"
#include "onnx.pb-c.h"

enum { LEAST_OPSET = 18, EXTERNAL_FROM = 1024 };
#define EXTERNAL_ABOVE ((uint64_t)1500 << 20) /* bytes of weights: protobuf messages end at 2 GiB */

static const struct {
  hn_op op;
  int opset;
} since[] = {
#define SINCE(op, opset) {HN_##op, opset},
#define SINCE_ATTR(op, attr, opset, otherwise)
#define SINCE_TYPE(op, type, opset)
#include "format/onnx/spelling.def"
#undef SINCE
#undef SINCE_ATTR
#undef SINCE_TYPE
};

static const struct {
  hn_op op;
  const char *attr;
  int opset;
  int64_t otherwise;
} since_attr[] = {
#define SINCE(op, opset)
#define SINCE_ATTR(op, attr, opset, otherwise) {HN_##op, #attr, opset, otherwise},
#define SINCE_TYPE(op, type, opset)
#include "format/onnx/spelling.def"
#undef SINCE
#undef SINCE_ATTR
#undef SINCE_TYPE
};

static const struct {
  hn_op op;
  hn_dtype type;
  int opset;
} since_type[] = {
#define SINCE(op, opset)
#define SINCE_ATTR(op, attr, opset, otherwise)
#define SINCE_TYPE(op, type, opset) {HN_##op, HONE_DTYPE_##type, opset},
#include "format/onnx/spelling.def"
#undef SINCE
#undef SINCE_ATTR
#undef SINCE_TYPE
};

typedef struct writer {
  hone_context *cx;
  const char *path, *data_name; /* the name external data is referred to by; NULL: all weights inside */
  hn_writer *data;
  hn_arena *arena;
  hn_map used; /* names of values in the whole model: nested graphs may not reuse one */
  bool oom;
} writer;

static void *take(writer *w, size_t size) {
  void *p = hn_arena_alloc(w->arena, size ? size : 1);
  if (!p) w->oom = true;
  return p;
}

static char *text(writer *w, const char *s) {
  char *t = hn_arena_strdup(w->arena, s ? s : "");
  if (!t) w->oom = true;
  return t;
}

/* Is the attribute left out? Only where leaving it out says the same, or nothing else can be said. */
static bool omitted(const hn_node *n, const hn_attr *a, int *opset) {
  for (size_t i = 0; i < sizeof since_attr / sizeof *since_attr; i++) {
    if (since_attr[i].op != n->op || strcmp(since_attr[i].attr, a->name) != 0) continue;
    if (!since_attr[i].opset || (a->type == HN_ATTR_INT && a->v.i == since_attr[i].otherwise)) return true;
    if (a->type == HN_ATTR_INTS) {
      bool ones = true;
      for (uint32_t k = 0; k < a->n; k++) ones = ones && a->v.ints[k] == 1;
      if (ones) return true;
    }
    if (since_attr[i].opset > *opset) *opset = since_attr[i].opset;
  }
  return false;
}

static bool has_type(const hn_graph *g, const hn_node *n, hn_dtype type) {
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i] != HN_NONE && hn_value_at(g, n->in[i])->dtype == type) return true;
  for (uint32_t i = 0; i < n->n_out; i++)
    if (n->out[i] != HN_NONE && hn_value_at(g, n->out[i])->dtype == type) return true;
  return false;
}

/* The least opset that has all the graph needs. */
static int opset_for(const hn_graph *g) {
  int opset = LEAST_OPSET;
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    if (n->dead) continue;
    for (size_t k = 0; k < sizeof since / sizeof *since; k++)
      if (since[k].op == n->op && since[k].opset > opset) opset = since[k].opset;
    for (size_t k = 0; k < sizeof since_type / sizeof *since_type; k++)
      if (since_type[k].op == n->op && since_type[k].opset > opset && has_type(g, n, since_type[k].type)) opset = since_type[k].opset;
    if (n->op == HN_Pad && hn_streq(hn_attr_s(n, "mode", ""), "wrap") && opset < 19) opset = 19;
    if (n->op == HN_Resize && hn_streq(hn_attr_s(n, "coordinate_transformation_mode", ""), "half_pixel_symmetric") && opset < 19) opset = 19;
    for (uint32_t k = 0; k < n->n_attr; k++) {
      omitted(n, &n->attr[k], &opset);
      int nested = n->attr[k].type == HN_ATTR_GRAPH ? opset_for(n->attr[k].v.graph) : 0;
      if (nested > opset) opset = nested;
    }
  }
  for (size_t i = 0; i < g->values.n; i++) { /* element types that came later */
    hn_dtype t = g->values.p[i].dtype;
    if ((t == HONE_DTYPE_U4 || t == HONE_DTYPE_I4) && opset < 21) opset = 21;
    if (t >= HONE_DTYPE_F8E4M3FN && t <= HONE_DTYPE_F8E5M2FNUZ && opset < 19) opset = 19;
  }
  return opset;
}

static int64_t ir_version_for(int opset) { return opset <= 18 ? 8 : opset <= 20 ? 9 : opset <= 22 ? 10 : 11; }

/* ---- names */

/* `wanted`, or that with a number after it if it is taken. */
static const char *free_name(writer *w, const char *wanted) {
  uint32_t n;
  const char *name = text(w, *wanted ? wanted : "tensor");
  for (int i = 1; name && hn_map_get(&w->used, name, &n); i++)
    if (!(name = hn_arena_printf(w->arena, "%s_%d", *wanted ? wanted : "tensor", i))) w->oom = true;
  if (name && !hn_map_put(&w->used, name, 1)) w->oom = true;
  return name ? name : "";
}

/* A name for every value of a graph. Captured inputs (the last ones) have their outer names; outputs theirs. */
static const char **name_values(writer *w, const hn_graph *g, const char *const *outer, uint32_t captures) {
  const char **names = take(w, sizeof *names * g->values.n);
  if (!names) return NULL;
  for (uint32_t i = 0; i < captures; i++) names[g->inputs.p[g->inputs.n - captures + i]] = outer[i];
  for (size_t i = 0; i + captures < g->inputs.n; i++) names[g->inputs.p[i]] = free_name(w, hn_value_at(g, g->inputs.p[i])->name);
  for (size_t i = 0; i < g->outputs.n; i++) {
    hn_id v = g->outputs.p[i].value;
    if (hn_producer(g, v) != HN_NONE && !names[v]) names[v] = free_name(w, g->outputs.p[i].name);
  }
  for (size_t i = 0; i < g->values.n; i++) {
    const hn_value *v = &g->values.p[i];
    bool live = v->data ? v->n_users > 0 || hn_is_output(g, (hn_id)i) : v->producer != HN_NONE && !hn_node_at(g, v->producer)->dead;
    if (!names[i] && live) names[i] = free_name(w, v->name);
  }
  return names;
}

/* ---- pieces */

static hone_status write_tensor(writer *w, const hn_tensor *t, const char *name, Onnx__TensorProto **out) {
  Onnx__TensorProto *p = take(w, sizeof *p);
  if (!p) return hn_nomem(w->cx);
  onnx__tensor_proto__init(p);
  p->name = (char *)(uintptr_t)name;
  p->has_data_type = 1;
  p->data_type = (int32_t)t->dtype;
  p->n_dims = (size_t)t->rank;
  p->dims = take(w, sizeof *p->dims * (size_t)t->rank);
  if (!p->dims) return hn_nomem(w->cx);
  memcpy(p->dims, t->dims, sizeof *p->dims * (size_t)t->rank);
  *out = p;
  if (!w->data || t->bytes < EXTERNAL_FROM) {
    p->has_raw_data = 1;
    p->raw_data = (ProtobufCBinaryData){t->bytes, t->data};
    return HONE_OK;
  }
  static const char zeros[64] = {0};
  uint64_t at = hn_writer_position(w->data);
  HN_TRY(hn_writer_put(w->data, zeros, (size_t)(-at & 63)));
  at = hn_writer_position(w->data);
  HN_TRY(hn_writer_put(w->data, t->data, t->bytes));
  const char *pairs[3][2] = {{"location", w->data_name}, {"offset", hn_arena_printf(w->arena, "%llu", (unsigned long long)at)},
                             {"length", hn_arena_printf(w->arena, "%zu", t->bytes)}};
  p->has_data_location = 1;
  p->data_location = 1;
  p->n_external_data = 3;
  p->external_data = take(w, sizeof *p->external_data * 3);
  for (int i = 0; i < 3 && p->external_data; i++) {
    Onnx__StringStringEntryProto *e = p->external_data[i] = take(w, sizeof *e);
    if (!e) return hn_nomem(w->cx);
    onnx__string_string_entry_proto__init(e);
    e->key = text(w, pairs[i][0]);
    e->value = text(w, pairs[i][1]);
  }
  return p->external_data ? HONE_OK : hn_nomem(w->cx);
}

static Onnx__ValueInfoProto *value_info(writer *w, const hn_graph *g, hn_id id, const char *name) {
  const hn_value *v = hn_value_at(g, id);
  Onnx__ValueInfoProto *p = take(w, sizeof *p);
  Onnx__TypeProto *type = take(w, sizeof *type);
  Onnx__TypeProto__Tensor *tensor = take(w, sizeof *tensor);
  Onnx__TensorShapeProto *shape = take(w, sizeof *shape);
  if (!p || !type || !tensor || !shape) return NULL;
  onnx__value_info_proto__init(p);
  onnx__type_proto__init(type);
  onnx__type_proto__tensor__init(tensor);
  onnx__tensor_shape_proto__init(shape);
  p->name = (char *)(uintptr_t)name;
  p->type = type;
  type->tensor_type = tensor;
  tensor->has_elem_type = 1;
  tensor->elem_type = (int32_t)v->dtype;
  if (v->shape.rank < 0) return p;
  tensor->shape = shape;
  shape->n_dim = (size_t)v->shape.rank;
  shape->dim = take(w, sizeof *shape->dim * shape->n_dim);
  for (size_t i = 0; i < shape->n_dim && shape->dim; i++) {
    Onnx__TensorShapeProto__Dimension *d = shape->dim[i] = take(w, sizeof *d);
    if (!d) return NULL;
    onnx__tensor_shape_proto__dimension__init(d);
    if (hn_dim_fixed(v->shape.d[i])) {
      d->has_dim_value = 1;
      d->dim_value = v->shape.d[i];
    } else if (!hn_dim_anonymous(g->dims, v->shape.d[i])) {
      d->dim_param = text(w, hn_dim_text(g->dims, v->shape.d[i]));
    }
  }
  return shape->dim ? p : NULL;
}

static hone_status write_graph(writer *w, const hn_graph *g, const char *const *outer, uint32_t captures, Onnx__GraphProto **out);

static ProtobufCBinaryData bytes_of(writer *w, const char *s, size_t n) {
  char *copy = hn_arena_strndup(w->arena, s, n);
  if (!copy) w->oom = true;
  return (ProtobufCBinaryData){copy ? n : 0, (uint8_t *)copy};
}

/* "Relu,Tanh" as a list of strings. */
static void write_strings(writer *w, const char *s, Onnx__AttributeProto *p) {
  size_t n = *s != 0;
  for (const char *c = s; *c; c++) n += *c == ',';
  p->strings = take(w, sizeof *p->strings * n);
  p->type = 8;
  for (; p->strings && p->n_strings < n; s += s[strcspn(s, ",")] ? strcspn(s, ",") + 1 : strcspn(s, ","))
    p->strings[p->n_strings++] = bytes_of(w, s, strcspn(s, ","));
}

static hone_status write_attr(writer *w, const hn_node *n, const hn_attr *a, const char *const *captured, uint32_t captures,
                              Onnx__AttributeProto **out) {
  Onnx__AttributeProto *p = take(w, sizeof *p);
  if (!p) return hn_nomem(w->cx);
  onnx__attribute_proto__init(p);
  p->name = text(w, a->name);
  p->has_type = 1;
  *out = p;
  switch (a->type) {
    case HN_ATTR_INT: p->type = 2, p->has_i = 1, p->i = a->v.i; break;
    case HN_ATTR_FLOAT: p->type = 1, p->has_f = 1, p->f = (float)a->v.f; break;
    case HN_ATTR_STRING:
      if (hn_op_attr_type(n->op, a->name) == '*') write_strings(w, a->v.s, p);
      else p->type = 3, p->has_s = 1, p->s = bytes_of(w, a->v.s, strlen(a->v.s));
      break;
    case HN_ATTR_INTS:
      p->type = 7, p->n_ints = a->n, p->ints = take(w, sizeof *p->ints * a->n);
      if (p->ints) memcpy(p->ints, a->v.ints, sizeof *p->ints * a->n);
      break;
    case HN_ATTR_FLOATS:
      p->type = 6, p->n_floats = a->n, p->floats = take(w, sizeof *p->floats * a->n);
      for (uint32_t i = 0; p->floats && i < a->n; i++) p->floats[i] = (float)a->v.floats[i];
      break;
    case HN_ATTR_TENSOR: p->type = 4; return write_tensor(w, a->v.tensor, "", &p->t);
    case HN_ATTR_GRAPH: p->type = 5; return write_graph(w, a->v.graph, captured, captures, &p->g);
  }
  return w->oom ? hn_nomem(w->cx) : HONE_OK;
}

static hone_status add_int(writer *w, const char *name, int64_t v, Onnx__AttributeProto **out) {
  hn_attr a = {.name = name, .type = HN_ATTR_INT, .v.i = v};
  hn_node none = {.op = HN_OP_NONE};
  return write_attr(w, &none, &a, NULL, 0, out);
}

static hone_status write_node(writer *w, const hn_node *n, const char *const *names, Onnx__NodeProto **out) {
  Onnx__NodeProto *p = take(w, sizeof *p);
  uint32_t captures = hn_op_is(n->op, HN_OP_CONTROL) ? (uint32_t)hn_attr_i(n, "captures", 0) : 0, n_in = n->n_main - captures;
  int unused = 0;
  if (!p) return hn_nomem(w->cx);
  onnx__node_proto__init(p);
  p->name = text(w, n->name);
  p->op_type = text(w, hn_op_name(n->op));
  p->input = take(w, sizeof *p->input * n->n_main);
  p->output = take(w, sizeof *p->output * n->n_out);
  p->attribute = take(w, sizeof *p->attribute * (n->n_attr + 1));
  const char **captured = take(w, sizeof *captured * captures);
  if (w->oom) return hn_nomem(w->cx);
  for (uint32_t i = 0; i < n_in; i++) p->input[p->n_input++] = (char *)(uintptr_t)(n->in[i] == HN_NONE ? "" : names[n->in[i]]);
  while (p->n_input && !*p->input[p->n_input - 1] && p->n_input > hn_op_info(n->op)->min_in) p->n_input--;
  for (uint32_t i = 0; i < captures; i++) captured[i] = names[n->in[n_in + i]];
  for (uint32_t i = 0; i < n->n_out; i++) p->output[p->n_output++] = (char *)(uintptr_t)(n->out[i] == HN_NONE ? "" : names[n->out[i]]);
  for (uint32_t i = 0; i < n->n_attr; i++) {
    if (omitted(n, &n->attr[i], &unused) || strcmp(n->attr[i].name, "captures") == 0) continue;
    HN_TRY(write_attr(w, n, &n->attr[i], captured, captures, &p->attribute[p->n_attribute]));
    p->n_attribute++;
  }
  /* From opset 18 on a Split without sizes must say into how many. */
  if (n->op == HN_Split && hn_in(n, 1) == HN_NONE && !hn_attr_find(n, "num_outputs")) {
    HN_TRY(add_int(w, "num_outputs", n->n_out, &p->attribute[p->n_attribute]));
    p->n_attribute++;
  }
  *out = p;
  return w->oom ? hn_nomem(w->cx) : HONE_OK;
}

/* An output that no node of this graph produces under this name gets an Identity. */
static hone_status write_outputs(writer *w, const hn_graph *g, const char *const *names, bool nested, Onnx__GraphProto *p) {
  p->output = take(w, sizeof *p->output * g->outputs.n);
  if (!p->output) return hn_nomem(w->cx);
  for (size_t i = 0; i < g->outputs.n; i++) {
    hn_id v = g->outputs.p[i].value;
    const char *name = names[v];
    bool produced = hn_producer(g, v) != HN_NONE, again = false;
    for (size_t k = 0; k < i; k++) again = again || g->outputs.p[k].value == v;
    if (!produced || again || (!nested && strcmp(name, g->outputs.p[i].name) != 0)) {
      hn_id in = v;
      hn_node copy = {.op = HN_Identity, .name = "", .n_in = 1, .n_main = 1, .n_out = 1, .in = &in, .out = &in};
      name = free_name(w, g->outputs.p[i].name);
      HN_TRY(write_node(w, &copy, names, &p->node[p->n_node]));
      p->node[p->n_node++]->output[0] = (char *)(uintptr_t)name;
    }
    if (!(p->output[i] = value_info(w, g, v, name))) return hn_nomem(w->cx);
    p->n_output++;
  }
  return HONE_OK;
}

static hone_status write_graph(writer *w, const hn_graph *g, const char *const *outer, uint32_t captures, Onnx__GraphProto **out) {
  Onnx__GraphProto *p = take(w, sizeof *p);
  const char **names = name_values(w, g, outer, captures);
  hn_id *order;
  uint32_t n;
  if (!p || !names) return hn_nomem(w->cx);
  onnx__graph_proto__init(p);
  p->name = text(w, g->name && *g->name ? g->name : "graph");
  HN_TRY(hn_graph_order(g, &order, &n));
  p->node = take(w, sizeof *p->node * (n + g->outputs.n));
  p->initializer = take(w, sizeof *p->initializer * g->values.n);
  p->input = take(w, sizeof *p->input * g->inputs.n);
  p->value_info = take(w, sizeof *p->value_info * g->values.n);
  hone_status st = w->oom ? hn_nomem(w->cx) : HONE_OK;
  for (size_t i = 0; i < g->values.n && !st; i++) {
    const hn_value *v = &g->values.p[i];
    if (!v->data || !names[i]) continue;
    st = write_tensor(w, v->data, names[i], &p->initializer[p->n_initializer]);
    if (!st) p->n_initializer++;
  }
  for (size_t i = 0; i + captures < g->inputs.n && !st; i++) {
    hn_id v = g->inputs.p[i];
    if (!(p->input[p->n_input++] = value_info(w, g, v, names[v]))) st = hn_nomem(w->cx);
  }
  for (uint32_t i = 0; i < n && !st; i++) {
    st = write_node(w, hn_node_at(g, order[i]), names, &p->node[p->n_node]);
    if (!st) p->n_node++;
  }
  if (!st) st = write_outputs(w, g, names, outer != NULL, p);
  for (size_t i = 0; i < g->values.n && !st; i++) {
    const hn_value *v = &g->values.p[i];
    if (!names[i] || v->producer == HN_NONE || !v->dtype || v->shape.rank < 0 || hn_is_output(g, (hn_id)i)) continue;
    if (!(p->value_info[p->n_value_info++] = value_info(w, g, (hn_id)i, names[i]))) st = hn_nomem(w->cx);
  }
  hn_free(order);
  *out = p;
  return st;
}

/* ---- the model */

static uint64_t weight_bytes(const hn_graph *g) {
  uint64_t n = 0;
  for (size_t i = 0; i < g->values.n; i++)
    if (g->values.p[i].data) n += g->values.p[i].data->bytes;
  return n;
}

static void write_meta(writer *w, const hn_graph *g, Onnx__ModelProto *m) {
  static const char *const own[] = {"format", "producer", "producer_version", "domain", "doc", "graph", "ir_version", "model_version", "opset"};
  m->metadata_props = take(w, sizeof *m->metadata_props * g->meta.n);
  m->producer_name = text(w, "hone");
  m->producer_version = hn_arena_printf(w->arena, "%d.%d.%d", HONE_VERSION_MAJOR, HONE_VERSION_MINOR, HONE_VERSION_PATCH);
  m->doc_string = text(w, hn_meta_get(g, "doc"));
  for (size_t i = 0; i < g->meta.n && m->metadata_props; i++) {
    bool known = false;
    for (size_t k = 0; k < sizeof own / sizeof *own; k++) known = known || strcmp(own[k], g->meta.p[i].key) == 0;
    Onnx__StringStringEntryProto *e = known ? NULL : take(w, sizeof *e);
    if (!e) continue;
    onnx__string_string_entry_proto__init(e);
    e->key = text(w, g->meta.p[i].key);
    e->value = text(w, g->meta.p[i].value);
    m->metadata_props[m->n_metadata_props++] = e;
  }
}

static hone_status write_model(writer *w, const hn_graph *g) {
  Onnx__ModelProto model;
  Onnx__OperatorSetIdProto opset, *opsets[1] = {&opset};
  int version = opset_for(g);
  onnx__model_proto__init(&model);
  onnx__operator_set_id_proto__init(&opset);
  opset.domain = text(w, "");
  opset.has_version = 1;
  opset.version = version;
  model.n_opset_import = 1;
  model.opset_import = opsets;
  model.has_ir_version = 1;
  model.ir_version = ir_version_for(version);
  write_meta(w, g, &model);
  HN_TRY(write_graph(w, g, NULL, 0, &model.graph));
  if (w->oom) return hn_nomem(w->cx);
  size_t size = onnx__model_proto__get_packed_size(&model);
  uint8_t *bytes = hn_malloc(size);
  hn_writer *file = NULL;
  if (!bytes) return hn_fail(w->cx, HONE_NOMEM, "out of memory: %zu bytes for %s", size, w->path);
  onnx__model_proto__pack(&model, bytes);
  hone_status st = hn_writer_open(w->cx, w->path, &file);
  if (!st) st = hn_writer_put(file, bytes, size);
  bool beside = !st && w->data;
  if (beside) st = hn_writer_commit(&w->data);
  if (!st) st = hn_writer_commit(&file);
  if (st && beside) remove(hn_arena_printf(w->arena, "%s.data", w->path));
  hn_writer_abort(&file);
  hn_free(bytes);
  return st;
}

hone_status hn_onnx_write(const hn_graph *g, const char *path) {
  writer w = {.cx = g->cx, .path = path, .arena = hn_arena_create()};
  hn_graph *own = hn_graph_clone(g);
  hone_status st = own && w.arena ? hn_lower(own) : hn_nomem(g->cx);
  if (!st) st = hn_onnx_expand_suppression(own);
  if (!st && weight_bytes(own) > EXTERNAL_ABOVE) {
    const char *full = hn_arena_printf(w.arena, "%s.data", path), *slash = full ? strrchr(full, '/') : NULL;
    w.data_name = slash ? slash + 1 : full;
    st = full ? hn_writer_open(g->cx, full, &w.data) : hn_nomem(g->cx);
  }
  if (!st) st = write_model(&w, own);
  hn_writer_abort(&w.data);
  hn_map_free(&w.used);
  hn_arena_destroy(w.arena);
  hn_graph_destroy(own);
  return st;
}
