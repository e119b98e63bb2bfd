/* reader.c - the graph of an ONNX model, node by node, brought to the IR's one version of each operator. */
#include "format/onnx/reader.h"

#include <stdio.h>
#include <string.h>

#include "format/onnx/contrib.h"
#include "format/onnx/tensor_onnx.h"
#include "format/onnx/upgrade.h"
#include "format/wire/nesting.h"
#include "op/infer.h"

enum {
  MAX_NESTING = 200,
  MAX_CALLS = 64,             /* functions within functions */
  ABSENT = (int)(HN_NONE - 1) /* the value of a function's input that the call leaves out */
};

bool hn_onnx_probe(const hn_source *s) {
  /* A model begins with ir_version (field 1, varint) or one of the other early fields of ModelProto. */
  const unsigned char *p = s->data;
  return !s->directory && s->size >= 2 && (p[0] == 0x08 || p[0] == 0x12 || p[0] == 0x1a || p[0] == 0x22 || p[0] == 0x3a || p[0] == 0x42);
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

/* A value of an enclosing graph that a nested one reads: it becomes an input of both the node and the graph. */
typedef struct capture {
  hn_id outer, inner;
} capture;

/* Where names mean something: a graph, a graph nested in it, or the body of a function, which is read into the graph
   that calls it. */
typedef struct scope {
  reader *r;
  hn_graph *g;
  hn_map names;        /* name in the file -> value of g, or ABSENT */
  struct scope *outer; /* of a nested graph: what encloses it; NULL otherwise */
  HN_VEC(capture) captures;
  size_t n_opsets;     /* the model's or the function's */
  Onnx__OperatorSetIdProto **opsets;
  const Onnx__FunctionProto *function; /* being read, and the node that calls it; NULL outside of functions */
  const Onnx__NodeProto *call;
  const char *prefix;  /* of node names */
  int calls;           /* how many functions deep */
} scope;

static int64_t opset_of(const scope *s, const char *domain) {
  for (size_t i = 0; i < s->n_opsets; i++) {
    const char *d = s->opsets[i]->domain;
    bool standard = !d || !*d || strcmp(d, "ai.onnx") == 0;
    if (*domain ? d && strcmp(d, domain) == 0 : standard) return s->opsets[i]->version;
  }
  return 0;
}

static void close_scope(scope *s) {
  hn_map_free(&s->names);
  hn_vec_free(&s->captures);
}

static hone_status define(scope *s, const char *name, hn_id v) {
  uint32_t taken;
  if (hn_map_get(&s->names, name, &taken))
    return hn_fail(s->r->cx, HONE_BAD_GRAPH, "two tensors are named '%s'", name);
  const char *own = hn_arena_strdup(s->g->arena, name);
  return v != HN_NONE && own && hn_map_put(&s->names, own, v) ? HONE_OK : hn_nomem(s->r->cx);
}

/* A value of the enclosing graph as a value of this one: a constant is shared, anything else becomes an input. */
static hn_id captured(scope *s, const char *name, hn_id outer) {
  const hn_value *v = hn_value_at(s->outer->g, outer);
  capture c = {outer, HN_NONE};
  if (v->data) {
    c.inner = hn_graph_add_constant(s->g, name, hn_tensor_ref(v->data));
  } else {
    c.inner = hn_graph_add_input(s->g, name, v->dtype, &v->shape);
    if (c.inner == HN_NONE || !hn_push(&s->captures, c)) return HN_NONE;
  }
  return c.inner == HN_NONE || define(s, name, c.inner) ? HN_NONE : c.inner;
}

/* The value of a name, here or in an enclosing graph; HN_NONE if there is none. */
static hn_id lookup(scope *s, const char *name) {
  hn_id v;
  if (hn_map_get(&s->names, name, &v)) return v;
  if (!s->outer) return HN_NONE;
  v = lookup(s->outer, name);
  return v == HN_NONE || v == (hn_id)ABSENT ? v : captured(s, name, v);
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
/* What an attribute of the function being read stands for: the call's, or the function's default; NULL: neither. */
static const Onnx__AttributeProto *referred(const scope *s, const char *name) {
  while (s && !s->function) s = s->outer;
  for (size_t i = 0; s && i < s->call->n_attribute; i++)
    if (hn_streq(s->call->attribute[i]->name ? s->call->attribute[i]->name : "", name)) return s->call->attribute[i];
  for (size_t i = 0; s && i < s->function->n_attribute_proto; i++)
    if (hn_streq(s->function->attribute_proto[i]->name ? s->function->attribute_proto[i]->name : "", name))
      return s->function->attribute_proto[i];
  return NULL;
}

static hone_status read_attr(scope *s, hn_id node, const Onnx__AttributeProto *a) {
  hn_graph *g = s->g;
  const char *name = a->name ? a->name : "";
  if (strcmp(name, "consumed_inputs") == 0) return HONE_OK; /* a hint of opset 1 on memory */
  if (a->ref_attr_name && *a->ref_attr_name) {
    const Onnx__AttributeProto *given = referred(s, a->ref_attr_name);
    if (!given) return HONE_OK;
    Onnx__AttributeProto renamed = *given; /* shares the content */
    renamed.name = a->name;
    renamed.ref_attr_name = NULL;
    return read_attr(s, node, &renamed);
  }
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

/* A node's name, or that of what it makes. */
static const char *called(const Onnx__NodeProto *p) {
  if (p->name && *p->name) return p->name;
  for (size_t i = 0; i < p->n_output; i++)
    if (p->output[i] && *p->output[i]) return p->output[i];
  return "";
}

static hone_status note_missing(reader *r, const Onnx__NodeProto *p) {
  const char *domain = p->domain ? p->domain : "";
  for (size_t i = 0; i < r->missing.n; i++)
    if (hn_streq(r->missing.p[i].op, p->op_type) && hn_streq(r->missing.p[i].domain, domain)) {
      r->missing.p[i].count++;
      return HONE_OK;
    }
  missing m = {p->op_type ? p->op_type : "", domain, called(p), 1};
  return hn_push(&r->missing, m) ? HONE_OK : hn_nomem(r->cx);
}


static hone_status read_constant(scope *s, const Onnx__NodeProto *p) {
  const Onnx__AttributeProto *a = p->n_attribute == 1 ? p->attribute[0] : NULL;
  hn_tensor *t = NULL;
  const char *kind = a && a->name ? a->name : "";
  if (a && a->ref_attr_name && *a->ref_attr_name) a = referred(s, a->ref_attr_name);
  if (!a) return hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s' (Constant) has no value", called(p));
  if (p->n_output != 1) return hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s' (Constant) has %zu outputs", called(p), p->n_output);
  if (strcmp(kind, "value") == 0 && a->t) HN_TRY(hn_onnx_tensor(s->r->cx, s->r->dir, a->t, &t));
  else if (strcmp(kind, "sparse_value") == 0 && a->sparse_tensor) HN_TRY(hn_onnx_sparse_tensor(s->r->cx, s->r->dir, a->sparse_tensor, &t));
  else if (strcmp(kind, "value_int") == 0) HN_TRY(hn_tensor_scalar_i(s->r->cx, HONE_DTYPE_I64, a->i, &t));
  else if (strcmp(kind, "value_float") == 0) HN_TRY(hn_tensor_scalar_f(s->r->cx, HONE_DTYPE_F32, (double)a->f, &t));
  else if (strcmp(kind, "value_ints") == 0) HN_TRY(hn_tensor_ints(s->r->cx, a->ints, a->n_ints, &t));
  else if (strcmp(kind, "value_floats") == 0) {
    HN_TRY(hn_tensor_create(s->r->cx, HONE_DTYPE_F32, 1, &(int64_t){(int64_t)a->n_floats}, &t));
    if (a->n_floats) memcpy(t->data, a->floats, t->bytes);
  } else {
    return hn_fail(s->r->cx, HONE_UNSUPPORTED, "node '%s' (Constant): attribute '%s' is not supported", called(p), kind);
  }
  return define(s, p->output[0], hn_graph_add_constant(s->g, p->output[0], t));
}

static hone_status check_node(scope *s, const Onnx__NodeProto *p) {
  if (p->n_input <= 1u << 16 && p->n_output <= 1u << 16) return HONE_OK;
  return hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s' (%s) has %zu inputs and %zu outputs", called(p), p->op_type,
                 p->n_input, p->n_output);
}

static hone_status read_graph(scope *s, const Onnx__GraphProto *p);
static hone_status read_node(scope *s, const Onnx__NodeProto *p);

/* The values of a node's inputs, absent ones HN_NONE, with room for `more`; trailing absent ones are not counted. */
static hone_status read_inputs(scope *s, const Onnx__NodeProto *p, size_t more, hn_id **out, uint32_t *n) {
  reader *r = s->r;
  hn_id *in = hn_arena_alloc(s->g->arena, sizeof *in * (p->n_input + more + 1));
  if (!in) return hn_nomem(r->cx);
  *n = 0;
  for (size_t i = 0; i < p->n_input; i++) {
    in[i] = HN_NONE;
    if (!p->input[i] || !*p->input[i]) continue;
    in[i] = lookup(s, p->input[i]);
    if (in[i] == HN_NONE && !r->missing.n)
      return hn_fail(r->cx, HONE_BAD_GRAPH, "node '%s' (%s): nothing produces its input '%s'", called(p), p->op_type, p->input[i]);
    if (in[i] == (hn_id)ABSENT) in[i] = HN_NONE;
    if (in[i] != HN_NONE) *n = (uint32_t)i + 1;
  }
  *out = in;
  return HONE_OK;
}

static hone_status name_outputs(scope *s, const Onnx__NodeProto *p, const hn_id *outs) {
  for (size_t i = 0; i < p->n_output; i++) {
    if (!p->output[i] || !*p->output[i]) continue;
    hn_value_rename(s->g, outs[i], p->output[i]);
    HN_TRY(define(s, p->output[i], outs[i]));
  }
  return s->g->oom ? hn_nomem(s->r->cx) : HONE_OK;
}

static const char *node_name(scope *s, const Onnx__NodeProto *p) {
  const char *name = called(p);
  hn_str full = {0};
  if (!s->prefix || !*name) return name;
  hn_str_printf(&full, "%s/%s", s->prefix, name);
  const char *copy = full.p ? hn_arena_strdup(s->g->arena, full.p) : name;
  hn_str_free(&full);
  return copy ? copy : name;
}

/* ---- If, Loop, Scan */

/* Gives all nested graphs of a node the same captures, in the same order, after their formal inputs. */
static hone_status align_captures(scope *s, scope *subs, uint32_t n, const size_t *formals, hn_id *all, uint32_t n_all) {
  for (uint32_t k = 0; k < n; k++) {
    hn_graph *g = subs[k].g;
    hn_id *inner = hn_arena_alloc(g->arena, sizeof *inner * (n_all + 1));
    if (!inner) return hn_nomem(s->r->cx);
    for (uint32_t i = 0; i < n_all; i++) {
      inner[i] = HN_NONE;
      for (size_t c = 0; c < subs[k].captures.n; c++)
        if (subs[k].captures.p[c].outer == all[i]) inner[i] = subs[k].captures.p[c].inner;
      const hn_value *v = hn_value_at(s->g, all[i]);
      if (inner[i] == HN_NONE) inner[i] = hn_graph_add_input(g, hn_fresh_name(g, "unused"), v->dtype, &v->shape);
      if (inner[i] == HN_NONE) return hn_nomem(s->r->cx);
    }
    for (uint32_t i = 0; i < n_all; i++) g->inputs.p[formals[k] + i] = inner[i];
  }
  return HONE_OK;
}

enum { MAX_NESTED = 2 };

typedef struct control {
  scope subs[MAX_NESTED];
  const char *attr[MAX_NESTED];
  size_t formals[MAX_NESTED];
  uint32_t n;
} control;

static hone_status read_nested(scope *s, const Onnx__AttributeProto *a, control *c) {
  scope *sub = &c->subs[c->n];
  *sub = (scope){.r = s->r, .outer = s, .n_opsets = s->n_opsets, .opsets = s->opsets, .prefix = s->prefix, .calls = s->calls};
  sub->g = hn_graph_create_nested(s->g, a->g->name ? a->g->name : a->name);
  if (!sub->g) return hn_nomem(s->r->cx);
  c->attr[c->n] = a->name;
  c->formals[c->n] = a->g->n_input;
  c->n++;
  HN_TRY(read_graph(sub, a->g));
  if (sub->g->inputs.n - sub->captures.n != a->g->n_input)
    return hn_fail(s->r->cx, HONE_UNSUPPORTED, "nested graph '%s' has inputs with defaults", sub->g->name);
  return HONE_OK;
}

static hone_status add_control(scope *s, const Onnx__NodeProto *p, hn_op op, control *c) {
  reader *r = s->r;
  uint32_t n_in, n_all = 0;
  size_t room = 0;
  hn_id *in;
  for (uint32_t k = 0; k < c->n; k++) room += c->subs[k].captures.n;
  HN_TRY(read_inputs(s, p, room, &in, &n_in));
  for (; n_in < p->n_input && (op == HN_Loop || op == HN_Scan); n_in++) continue; /* positions count: captures follow */
  hn_id *all = in + n_in;
  for (uint32_t k = 0; k < c->n; k++)
    for (size_t i = 0; i < c->subs[k].captures.n; i++) {
      uint32_t j = 0;
      while (j < n_all && all[j] != c->subs[k].captures.p[i].outer) j++;
      if (j == n_all) all[n_all++] = c->subs[k].captures.p[i].outer;
    }
  HN_TRY(align_captures(s, c->subs, c->n, c->formals, all, n_all));
  hn_id node = hn_graph_add_node(s->g, op, node_name(s, p), in, n_in + n_all, (uint32_t)p->n_output);
  if (node == HN_NONE) return hn_nomem(r->cx);
  hn_set_i(s->g, node, "captures", n_all);
  for (uint32_t k = 0; k < c->n; k++) {
    hn_set_graph(s->g, node, c->attr[k], c->subs[k].g);
    c->subs[k].g = NULL;
  }
  for (size_t i = 0; i < p->n_attribute; i++)
    if (!p->attribute[i]->g) HN_TRY(read_attr(s, node, p->attribute[i]));
  HN_TRY(hn_infer_node(s->g, node));
  return name_outputs(s, p, hn_node_at(s->g, node)->out);
}

static hone_status read_control(scope *s, const Onnx__NodeProto *p, hn_op op) {
  static const char *const graphs[][MAX_NESTED] = {{"then_branch", "else_branch"}, {"body", NULL}};
  const char *const *want = graphs[op != HN_If];
  control c = {.n = 0};
  hone_status st = HONE_OK;
  if (op == HN_Scan && opset_of(s, "") < 9)
    return hn_fail(s->r->cx, HONE_UNSUPPORTED, "node '%s' (Scan): the form of opset 8, with a batch dimension, is not supported",
                   called(p));
  for (int k = 0; k < MAX_NESTED && want[k] && !st; k++) {
    const Onnx__AttributeProto *a = NULL;
    for (size_t i = 0; i < p->n_attribute; i++)
      if (p->attribute[i]->g && hn_streq(p->attribute[i]->name ? p->attribute[i]->name : "", want[k])) a = p->attribute[i];
    if (!a) st = hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s' (%s) has no graph '%s'", called(p), p->op_type, want[k]);
    else st = read_nested(s, a, &c);
  }
  if (!st && !s->r->missing.n) st = add_control(s, p, op, &c);
  for (uint32_t k = 0; k < c.n; k++) {
    hn_graph_destroy(c.subs[k].g);
    close_scope(&c.subs[k]);
  }
  return st;
}

/* ---- functions of the model: read into the graph that calls them */

static const Onnx__FunctionProto *function_of(const reader *r, const Onnx__NodeProto *p) {
  const char *domain = p->domain ? p->domain : "";
  for (size_t i = 0; i < r->model->n_functions; i++) {
    const Onnx__FunctionProto *f = r->model->functions[i];
    if (hn_streq(f->name ? f->name : "", p->op_type) && hn_streq(f->domain ? f->domain : "", domain)) return f;
  }
  return NULL;
}

static hone_status bind_call(scope *s, scope *body, const Onnx__NodeProto *p, const Onnx__FunctionProto *f) {
  hn_id *in;
  uint32_t n;
  HN_TRY(read_inputs(s, p, 0, &in, &n));
  if (n > f->n_input || p->n_output > f->n_output)
    return hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s': function %s takes %zu inputs and gives %zu outputs", called(p),
                   p->op_type, f->n_input, f->n_output);
  for (size_t i = 0; i < f->n_input; i++)
    HN_TRY(define(body, f->input[i], i < n && in[i] != HN_NONE ? in[i] : (hn_id)ABSENT));
  for (size_t i = 0; i < f->n_node; i++) HN_TRY(read_node(body, f->node[i]));
  for (size_t i = 0; i < p->n_output && !s->r->missing.n; i++) {
    if (!p->output[i] || !*p->output[i]) continue;
    hn_id v = lookup(body, f->output[i]);
    if (v == HN_NONE || v == (hn_id)ABSENT)
      return hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s': nothing produces output '%s' of function %s", called(p), f->output[i], p->op_type);
    hn_value *value = hn_value_at(s->g, v);
    if (value->producer != HN_NONE) hn_value_rename(s->g, v, p->output[i]);
    HN_TRY(define(s, p->output[i], v));
  }
  return HONE_OK;
}

static hone_status read_call(scope *s, const Onnx__NodeProto *p, const Onnx__FunctionProto *f) {
  if (s->calls >= MAX_CALLS)
    return hn_fail(s->r->cx, HONE_BAD_GRAPH, "node '%s': functions call one another more than %d deep, or in a circle",
                   called(p), MAX_CALLS);
  const char *name = node_name(s, p);
  scope body = {.r = s->r, .g = s->g, .n_opsets = f->n_opset_import, .opsets = f->opset_import, .function = f, .call = p,
                .prefix = *name ? name : s->prefix, .calls = s->calls + 1};
  if (!f->n_opset_import) body.n_opsets = s->n_opsets, body.opsets = s->opsets;
  hone_status st = bind_call(s, &body, p, f);
  close_scope(&body);
  return st;
}

static hone_status read_node(scope *s, const Onnx__NodeProto *p) {
  reader *r = s->r;
  const char *name = called(p), *domain = p->domain && strcmp(p->domain, "ai.onnx") != 0 ? p->domain : "";
  if (!p->op_type) return hn_fail(r->cx, HONE_BAD_FORMAT, "node '%s' has no operator", name);
  HN_TRY(check_node(s, p));
  const Onnx__FunctionProto *function = function_of(r, p);
  if (function) return read_call(s, p, function);
  if (!*domain && strcmp(p->op_type, "Constant") == 0) return read_constant(s, p);
  const bool standard = !*domain;
  hn_op op = standard ? hn_upgrade_op(p->op_type, opset_of(s, "")) : hn_contrib_op(domain, p->op_type);
  if (op == HN_OP_NONE || !hn_infer_knows(op)) return note_missing(r, p);
  if (hn_op_is(op, HN_OP_CONTROL)) return read_control(s, p, op);
  hn_id *in, *outs;
  uint32_t n_in;
  HN_TRY(read_inputs(s, p, HN_CONTRIB_ROOM, &in, &n_in));
  if (r->missing.n) return HONE_OK; /* only what else is missing counts now */
  hn_id node = hn_graph_add_node(s->g, op, node_name(s, p), in, standard ? n_in : 0, (uint32_t)p->n_output);
  if (node == HN_NONE || !(outs = hn_arena_alloc(s->g->arena, sizeof *outs * (p->n_output + 1)))) return hn_nomem(r->cx);
  for (size_t i = 0; i < p->n_output; i++) outs[i] = hn_node_at(s->g, node)->out[i];
  for (size_t i = 0; i < p->n_attribute; i++) HN_TRY(read_attr(s, node, p->attribute[i]));
  hn_contrib c = {.op = p->op_type, .name = node_name(s, p), .in = in, .n = n_in, .node = node, .make = {.g = s->g, .name = node_name(s, p)}};
  hone_status st = standard ? hn_upgrade_node(s->g, node, p->op_type, opset_of(s, ""), outs) : hn_contrib_lower(&c);
  if (!st) st = hn_infer_node(s->g, node);
  if (!st && !standard) st = hn_contrib_result(&c, outs);
  return st ? st : name_outputs(s, p, outs);
}

static hone_status read_graph(scope *s, const Onnx__GraphProto *p) {
  reader *r = s->r;
  for (size_t i = 0; i < p->n_initializer; i++) {
    hn_tensor *t;
    const char *name = p->initializer[i]->name ? p->initializer[i]->name : "";
    HN_TRY(hn_onnx_tensor(r->cx, r->dir, p->initializer[i], &t));
    HN_TRY(define(s, name, hn_graph_add_constant(s->g, name, t)));
  }
  for (size_t i = 0; i < p->n_sparse_initializer; i++) {
    hn_tensor *t;
    const Onnx__SparseTensorProto *sparse = p->sparse_initializer[i];
    const char *name = sparse->values && sparse->values->name ? sparse->values->name : "";
    HN_TRY(hn_onnx_sparse_tensor(r->cx, r->dir, sparse, &t));
    HN_TRY(define(s, name, hn_graph_add_constant(s->g, name, t)));
  }
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
    if (v == HN_NONE || v == (hn_id)ABSENT) return hn_fail(r->cx, HONE_BAD_GRAPH, "nothing produces the output '%s'", name);
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
  if (!r->model->graph) return hn_fail(r->cx, HONE_BAD_FORMAT, "there is no graph in it; is this an ONNX model?");
  scope s = {.r = r, .n_opsets = r->model->n_opset_import, .opsets = r->model->opset_import};
  int64_t opset = opset_of(&s, "");
  if (opset < 1 || opset > 26)
    return hn_fail(r->cx, HONE_UNSUPPORTED, "opset %lld; this build reads 1 to 26: convert the model", (long long)opset);
  hn_graph *g = hn_graph_create(r->cx, r->model->graph->name);
  if (!g) return hn_nomem(r->cx);
  s.g = g;
  read_meta(r, g);
  hone_status st = read_graph(&s, r->model->graph);
  if (r->missing.n && (!st || st == HONE_BAD_GRAPH)) st = report_missing(r);
  close_scope(&s);
  if (!st) st = hn_graph_verify(g);
  if (st) hn_graph_destroy(g);
  else *out = g;
  return st;
}

hone_status hn_onnx_read(hone_context *cx, const hn_source *s, hn_graph **out) {
  const char *path = s->path;
  int depth = hn_wire_nesting(&onnx__model_proto__descriptor, s->data, s->size, MAX_NESTING);
  if (depth < 0) return hn_fail(cx, HONE_BAD_FORMAT, "%s: not a readable ONNX model: it is truncated or damaged", path);
  if (depth > MAX_NESTING) return hn_fail(cx, HONE_BAD_FORMAT, "%s: graphs are nested more than %d deep", path, MAX_NESTING);
  Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, s->size, s->data);
  if (!model) return hn_fail(cx, HONE_BAD_FORMAT, "%s: not a readable ONNX model: it is truncated or damaged", path);
  reader r = {.cx = cx, .path = path, .model = model};
  hn_arena *a = hn_arena_create();
  const char *slash = strrchr(path, '/');
  if (a && s->m) r.dir = slash ? hn_arena_strndup(a, path, (size_t)(slash - path) + (slash == path)) : hn_arena_strdup(a, ".");
  hone_status st = a ? read_model(&r, out) : hn_nomem(cx);
  if (st) hn_fail_within(cx, st, "%s", path);
  hn_vec_free(&r.missing);
  hn_arena_destroy(a);
  onnx__model_proto__free_unpacked(model, NULL);
  return st;
}
