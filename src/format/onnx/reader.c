/* reader.c - the graph of an ONNX model, node by node, brought to the IR's one version of each operator. */
#include "format/onnx/reader.h"

#include <stdio.h>
#include <string.h>

#include "format/onnx/tensor_onnx.h"
#include "format/onnx/upgrade.h"
#include "op/infer.h"

enum { MAX_NESTING = 100 };

bool hn_onnx_probe(const void *data, size_t size) {
  /* A model begins with ir_version (field 1, varint) or one of the other early fields of ModelProto. */
  const unsigned char *p = data;
  return size >= 2 && (p[0] == 0x08 || p[0] == 0x12 || p[0] == 0x1a || p[0] == 0x22 || p[0] == 0x3a || p[0] == 0x42);
}

/* ------------------------------------------------------------------------------ nesting before unpacking */

static bool varint(const unsigned char *p, size_t n, size_t *at, uint64_t *v) {
  *v = 0;
  for (int shift = 0; shift < 64 && *at < n; shift += 7) {
    unsigned char b = p[(*at)++];
    *v |= (uint64_t)(b & 127) << shift;
    if (!(b & 128)) return true;
  }
  return false;
}

/* How deep the messages nest that the unpacker would recurse into: graph -> node -> attribute -> graph ... Only
   the fields that lead to a graph are followed (7 model/graph, 1 node, 5 attribute, 6 and 11 graph, 25 functions). */
static int nesting(const unsigned char *p, size_t n, int kind, int depth) {
  enum { MODEL, GRAPH, NODE, ATTRIBUTE, FUNCTION };
  static const struct { int kind, field, to; } ways[] = {
      {MODEL, 7, GRAPH}, {MODEL, 25, FUNCTION}, {GRAPH, 1, NODE}, {FUNCTION, 7, NODE}, {FUNCTION, 11, ATTRIBUTE},
      {NODE, 5, ATTRIBUTE}, {ATTRIBUTE, 6, GRAPH}, {ATTRIBUTE, 11, GRAPH}};
  int deepest = depth;
  if (depth > MAX_NESTING) return depth;
  for (size_t at = 0; at < n;) {
    uint64_t key, len;
    if (!varint(p, n, &at, &key)) return -1;
    switch (key & 7) {
      case 0:
        if (!varint(p, n, &at, &len)) return -1;
        continue;
      case 1: len = 8; break;
      case 5: len = 4; break;
      case 2:
        if (!varint(p, n, &at, &len)) return -1;
        break;
      default: return -1;
    }
    if (len > n - at) return -1;
    for (size_t i = 0; (key & 7) == 2 && i < sizeof ways / sizeof *ways; i++)
      if (ways[i].kind == kind && (uint64_t)ways[i].field == key >> 3) {
        int d = nesting(p + at, (size_t)len, ways[i].to, depth + 1);
        if (d < 0) return d;
        if (d > deepest) deepest = d;
      }
    at += (size_t)len;
  }
  return deepest;
}

/* ----------------------------------------------------------------------------------------- the reader */

typedef struct missing { /* operators that nothing here knows */
  const char *op, *domain, *node;
  uint32_t count;
} missing;

typedef struct reader {
  hone_context *cx;
  const char *path;
  char *dir; /* NULL from memory */
  const Onnx__ModelProto *model;
  HN_VEC(missing) missing;
} reader;

/* A graph being read. */
typedef struct scope {
  reader *r;
  hn_graph *g;
  hn_map names; /* name in the file -> value */
} scope;

static int64_t opset_of(const reader *r, const char *domain) {
  for (size_t i = 0; i < r->model->n_opset_import; i++) {
    const char *d = r->model->opset_import[i]->domain;
    bool standard = !d || !*d || strcmp(d, "ai.onnx") == 0;
    if (*domain ? d && strcmp(d, domain) == 0 : standard) return r->model->opset_import[i]->version;
  }
  return 0;
}

static hone_status define(scope *s, const char *name, hn_id v) {
  uint32_t taken;
  if (hn_map_get(&s->names, name, &taken))
    return hn_fail(s->r->cx, HONE_BAD_GRAPH, "two tensors are named '%s'", name);
  const char *own = hn_arena_strdup(s->g->arena, name);
  return v != HN_NONE && own && hn_map_put(&s->names, own, v) ? HONE_OK : hn_nomem(s->r->cx);
}

/* The value of a name; HN_NONE if there is none. */
static hn_id lookup(const scope *s, const char *name) {
  hn_id v;
  return hn_map_get(&s->names, name, &v) ? v : HN_NONE;
}

static hone_status read_type(reader *r, hn_graph *g, const Onnx__ValueInfoProto *v, hn_dtype *dtype, hn_shape *shape) {
  *dtype = HONE_DTYPE_UNDEFINED;
  *shape = hn_shape_unknown();
  const char *name = v->name ? v->name : "";
  if (!v->type) return HONE_OK;
  if (!v->type->tensor_type)
    return v->type->sequence_type || v->type->map_type || v->type->optional_type || v->type->sparse_tensor_type
               ? hn_fail(r->cx, HONE_UNSUPPORTED, "'%s' is a sequence, map, optional or sparse tensor; only dense tensors are supported", name)
               : HONE_OK;
  const Onnx__TypeProto__Tensor *t = v->type->tensor_type;
  if (t->elem_type && !hn_dtype_known(t->elem_type))
    return hn_fail(r->cx, HONE_UNSUPPORTED, "'%s': element type %d is not known", name, t->elem_type);
  *dtype = (hn_dtype)t->elem_type;
  if (!t->shape) return HONE_OK;
  if (t->shape->n_dim > HN_MAX_RANK)
    return hn_fail(r->cx, HONE_UNSUPPORTED, "'%s' has %zu dimensions; at most %d", name, t->shape->n_dim, HN_MAX_RANK);
  shape->rank = (int32_t)t->shape->n_dim;
  for (size_t i = 0; i < t->shape->n_dim; i++) {
    const Onnx__TensorShapeProto__Dimension *d = t->shape->dim[i];
    if (d->has_dim_value && d->dim_value < 0 && d->dim_value != -1)
      return hn_fail(r->cx, HONE_BAD_GRAPH, "'%s': dimension %zu is %lld", name, i, (long long)d->dim_value);
    if (d->has_dim_value && d->dim_value >= 0) shape->d[i] = d->dim_value;
    else shape->d[i] = d->dim_param && *d->dim_param ? hn_dim_symbol(g->dims, d->dim_param) : hn_dim_unknown(g->dims);
    if (shape->d[i] == HN_DIM_BAD) return hn_nomem(r->cx);
  }
  return HONE_OK;
}

static char *text_of(hn_graph *g, const ProtobufCBinaryData *b) {
  return hn_arena_strndup(g->arena, b->data ? (const char *)b->data : "", b->data ? b->len : 0);
}

/* Attributes other than graphs. */
static hone_status read_attr(scope *s, hn_id node, const Onnx__AttributeProto *a) {
  hn_graph *g = s->g;
  const char *name = a->name ? a->name : "";
  if (strcmp(name, "consumed_inputs") == 0) return HONE_OK; /* a hint of opset 1 on memory */
  if (a->has_type && a->type == 1) hn_set_f(g, node, name, (double)a->f);
  else if (a->type == 2 || (!a->has_type && a->has_i)) hn_set_i(g, node, name, a->i);
  else if (a->type == 3 || (!a->has_type && a->has_s)) {
    char *t = text_of(g, &a->s);
    if (t) hn_set_s(g, node, name, t);
  } else if (a->type == 4 || (!a->has_type && a->t)) {
    hn_tensor *t;
    if (!a->t) return hn_fail(s->r->cx, HONE_BAD_FORMAT, "attribute '%s' is a tensor without content", name);
    HN_TRY(hn_onnx_tensor(s->r->cx, s->r->dir, a->t, &t));
    hn_set_tensor(g, node, name, t);
    hn_tensor_unref(t);
  } else if (a->type == 6 || (!a->has_type && a->n_floats)) {
    double *v = hn_arena_alloc(g->arena, sizeof *v * a->n_floats);
    for (size_t i = 0; v && i < a->n_floats; i++) v[i] = (double)a->floats[i];
    if (v) hn_set_floats(g, node, name, v, a->n_floats);
  } else if (a->type == 7 || (!a->has_type && a->n_ints)) {
    hn_set_ints(g, node, name, a->ints, a->n_ints);
  } else if (a->type == 8 || (!a->has_type && a->n_strings)) {
    hn_str joined = {0};
    for (size_t i = 0; i < a->n_strings; i++) {
      if (i) hn_str_add(&joined, ",");
      hn_str_addn(&joined, (const char *)a->strings[i].data, a->strings[i].len);
    }
    if (!joined.failed) hn_set_s(g, node, name, joined.p ? joined.p : "");
    hn_str_free(&joined);
  } else if (!a->has_type && a->has_f) {
    hn_set_f(g, node, name, (double)a->f);
  } else {
    return hn_fail(s->r->cx, HONE_UNSUPPORTED, "attribute '%s' has type %d, which is not supported", name, a->type);
  }
  return g->oom ? hn_nomem(s->r->cx) : HONE_OK;
}

static hone_status note_missing(reader *r, const Onnx__NodeProto *p) {
  const char *domain = p->domain ? p->domain : "";
  for (size_t i = 0; i < r->missing.n; i++)
    if (hn_streq(r->missing.p[i].op, p->op_type) && hn_streq(r->missing.p[i].domain, domain)) {
      r->missing.p[i].count++;
      return HONE_OK;
    }
  missing m = {p->op_type ? p->op_type : "", domain, p->name ? p->name : "", 1};
  return hn_push(&r->missing, m) ? HONE_OK : hn_nomem(r->cx);
}


static hone_status read_constant(scope *s, const Onnx__NodeProto *p) {
  const Onnx__AttributeProto *a = p->n_attribute == 1 ? p->attribute[0] : NULL;
  hn_tensor *t = NULL;
  const char *kind = a && a->name ? a->name : "";
  if (p->n_output != 1) return hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s' (Constant) has %zu outputs", p->name ? p->name : "", p->n_output);
  if (strcmp(kind, "value") == 0 && a->t) HN_TRY(hn_onnx_tensor(s->r->cx, s->r->dir, a->t, &t));
  else if (strcmp(kind, "value_int") == 0) HN_TRY(hn_tensor_scalar_i(s->r->cx, HONE_DTYPE_I64, a->i, &t));
  else if (strcmp(kind, "value_float") == 0) HN_TRY(hn_tensor_scalar_f(s->r->cx, HONE_DTYPE_F32, (double)a->f, &t));
  else if (strcmp(kind, "value_ints") == 0) HN_TRY(hn_tensor_ints(s->r->cx, a->ints, a->n_ints, &t));
  else if (strcmp(kind, "value_floats") == 0) {
    HN_TRY(hn_tensor_create(s->r->cx, HONE_DTYPE_F32, 1, &(int64_t){(int64_t)a->n_floats}, &t));
    if (a->n_floats) memcpy(t->data, a->floats, t->bytes);
  } else {
    return hn_fail(s->r->cx, HONE_UNSUPPORTED, "node '%s' (Constant): attribute '%s' is not supported", p->name ? p->name : "", kind);
  }
  return define(s, p->output[0], hn_graph_add_constant(s->g, p->output[0], t));
}

static hone_status check_node(scope *s, const Onnx__NodeProto *p) {
  if (p->n_input <= 1u << 16 && p->n_output <= 1u << 16) return HONE_OK;
  return hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s' (%s) has %zu inputs and %zu outputs", p->name ? p->name : "", p->op_type,
                 p->n_input, p->n_output);
}

static hone_status read_node(scope *s, const Onnx__NodeProto *p) {
  reader *r = s->r;
  const char *name = p->name ? p->name : "", *domain = p->domain && strcmp(p->domain, "ai.onnx") != 0 ? p->domain : "";
  if (!p->op_type) return hn_fail(r->cx, HONE_BAD_FORMAT, "node '%s' has no operator", name);
  if (!*domain && strcmp(p->op_type, "Constant") == 0) return read_constant(s, p);
  hn_op op = *domain ? HN_OP_NONE : hn_upgrade_op(p->op_type, opset_of(r, ""));
  if (op == HN_OP_NONE || !hn_infer_knows(op) || hn_op_is(op, HN_OP_CONTROL)) return note_missing(r, p);
  HN_TRY(check_node(s, p));
  hn_id *in = hn_arena_alloc(s->g->arena, sizeof *in * p->n_input);
  if (!in) return hn_nomem(r->cx);
  for (size_t i = 0; i < p->n_input; i++) {
    in[i] = HN_NONE;
    if (!p->input[i] || !*p->input[i]) continue;
    in[i] = lookup(s, p->input[i]);
    if (in[i] == HN_NONE)
      return r->missing.n ? HONE_OK : hn_fail(r->cx, HONE_BAD_GRAPH, "node '%s' (%s): nothing produces its input '%s'", name, p->op_type, p->input[i]);
  }
  size_t n_in = p->n_input;
  while (n_in && in[n_in - 1] == HN_NONE) n_in--;
  hn_id node = hn_graph_add_node(s->g, op, name, in, (uint32_t)n_in, (uint32_t)p->n_output);
  if (node == HN_NONE) return hn_nomem(r->cx);
  hn_id *outs = hn_arena_alloc(s->g->arena, sizeof *outs * (p->n_output ? p->n_output : 1));
  if (!outs) return hn_nomem(r->cx);
  for (size_t i = 0; i < p->n_output; i++) outs[i] = hn_node_at(s->g, node)->out[i];
  for (size_t i = 0; i < p->n_attribute; i++) HN_TRY(read_attr(s, node, p->attribute[i]));
  hone_status st = hn_upgrade_node(s->g, node, p->op_type, opset_of(r, ""), outs);
  if (!st) st = hn_infer_node(s->g, node);
  if (st) return st;
  for (size_t i = 0; i < p->n_output; i++) {
    hn_id v = outs[i];
    if (!p->output[i] || !*p->output[i]) continue;
    hn_value_rename(s->g, v, p->output[i]);
    HN_TRY(define(s, p->output[i], v));
  }
  return s->g->oom ? hn_nomem(r->cx) : HONE_OK;
}

static hone_status read_graph(scope *s, const Onnx__GraphProto *p) {
  reader *r = s->r;
  for (size_t i = 0; i < p->n_initializer; i++) {
    hn_tensor *t;
    const char *name = p->initializer[i]->name ? p->initializer[i]->name : "";
    HN_TRY(hn_onnx_tensor(r->cx, r->dir, p->initializer[i], &t));
    HN_TRY(define(s, name, hn_graph_add_constant(s->g, name, t)));
  }
  if (p->n_sparse_initializer) return hn_fail(r->cx, HONE_UNSUPPORTED, "sparse initializers are not supported");
  for (size_t i = 0; i < p->n_input; i++) {
    hn_dtype dtype;
    hn_shape shape;
    uint32_t known;
    const char *name = p->input[i]->name ? p->input[i]->name : "";
    HN_TRY(read_type(r, s->g, p->input[i], &dtype, &shape));
    if (hn_map_get(&s->names, name, &known)) continue; /* an input with a default: a constant */
    HN_TRY(define(s, name, hn_graph_add_input(s->g, name, dtype, &shape)));
  }
  for (size_t i = 0; i < p->n_node; i++) HN_TRY(read_node(s, p->node[i]));
  for (size_t i = 0; i < p->n_output && !r->missing.n; i++) {
    const char *name = p->output[i]->name ? p->output[i]->name : "";
    hn_id v = lookup(s, name);
    if (v == HN_NONE) return hn_fail(r->cx, HONE_BAD_GRAPH, "nothing produces the output '%s'", name);
    hn_graph_add_output(s->g, name, v);
  }
  if (!p->n_output) return hn_fail(r->cx, HONE_BAD_GRAPH, "the graph has no outputs");
  return s->g->oom ? hn_nomem(r->cx) : HONE_OK;
}

static void read_meta(reader *r, hn_graph *g) {
  const Onnx__ModelProto *m = r->model;
  char number[32];
  hn_str opsets = {0};
  hn_meta_set(g, "format", "ONNX");
  if (m->producer_name) hn_meta_set(g, "producer", m->producer_name);
  if (m->producer_version) hn_meta_set(g, "producer_version", m->producer_version);
  if (m->domain) hn_meta_set(g, "domain", m->domain);
  if (m->doc_string) hn_meta_set(g, "doc", m->doc_string);
  if (m->graph->name) hn_meta_set(g, "graph", m->graph->name);
  snprintf(number, sizeof number, "%lld", (long long)m->ir_version);
  hn_meta_set(g, "ir_version", number);
  snprintf(number, sizeof number, "%lld", (long long)m->model_version);
  hn_meta_set(g, "model_version", number);
  for (size_t i = 0; i < m->n_opset_import; i++) {
    const char *d = m->opset_import[i]->domain;
    hn_str_printf(&opsets, "%s%s %lld", i ? ", " : "", d && *d ? d : "ai.onnx", (long long)m->opset_import[i]->version);
  }
  hn_meta_set(g, "opset", opsets.p ? opsets.p : "");
  hn_str_free(&opsets);
  for (size_t i = 0; i < m->n_metadata_props; i++)
    if (m->metadata_props[i]->key && m->metadata_props[i]->value) hn_meta_set(g, m->metadata_props[i]->key, m->metadata_props[i]->value);
}

static hone_status report_missing(reader *r) {
  hn_str s = {0};
  for (size_t i = 0; i < r->missing.n; i++) {
    const missing *m = &r->missing.p[i];
    hn_str_printf(&s, "%s%s%s%s (%u, first node '%s')", i ? ", " : "", m->domain, *m->domain ? "." : "", m->op, m->count, m->node);
  }
  hone_status st = hn_fail(r->cx, HONE_UNSUPPORTED, "unsupported operators: %s", s.p ? s.p : "");
  hn_str_free(&s);
  return st;
}

static hone_status read_model(reader *r, hn_graph **out) {
  int64_t opset = opset_of(r, "");
  if (!r->model->graph) return hn_fail(r->cx, HONE_BAD_FORMAT, "there is no graph in it; is this an ONNX model?");
  if (opset < 1 || opset > 26)
    return hn_fail(r->cx, HONE_UNSUPPORTED, "opset %lld; this build reads 1 to 26: convert the model", (long long)opset);
  hn_graph *g = hn_graph_create(r->cx, r->model->graph->name);
  if (!g) return hn_nomem(r->cx);
  scope s = {.r = r, .g = g};
  read_meta(r, g);
  hone_status st = read_graph(&s, r->model->graph);
  if (r->missing.n && (!st || st == HONE_BAD_GRAPH)) st = report_missing(r);
  hn_map_free(&s.names);
  if (!st) st = hn_graph_verify(g);
  if (st) hn_graph_destroy(g);
  else *out = g;
  return st;
}

hone_status hn_onnx_read(hone_context *cx, const char *path, const void *data, size_t size, hn_mapping *m, hn_graph **out) {
  int depth = nesting(data, size, 0, 0);
  if (depth < 0) return hn_fail(cx, HONE_BAD_FORMAT, "%s: not a readable ONNX model: it is truncated or damaged", path);
  if (depth > MAX_NESTING) return hn_fail(cx, HONE_BAD_FORMAT, "%s: graphs are nested more than %d deep", path, MAX_NESTING);
  Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, data);
  if (!model) return hn_fail(cx, HONE_BAD_FORMAT, "%s: not a readable ONNX model: it is truncated or damaged", path);
  reader r = {.cx = cx, .path = path, .model = model};
  hn_arena *a = hn_arena_create();
  const char *slash = strrchr(path, '/');
  if (a && m) r.dir = slash ? hn_arena_strndup(a, path, (size_t)(slash - path) + (slash == path)) : hn_arena_strdup(a, ".");
  hone_status st = a ? read_model(&r, out) : hn_nomem(cx);
  if (st) hn_fail_within(cx, st, "%s", path);
  hn_vec_free(&r.missing);
  hn_arena_destroy(a);
  onnx__model_proto__free_unpacked(model, NULL);
  return st;
}
