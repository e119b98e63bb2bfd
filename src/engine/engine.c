#include "engine/engine.h"

#include <string.h>

#include "base/checked.h"

enum { VERSION = 2, OLDEST = 1, HEADER = 64, ALIGN = 64, MAX_NESTING = 16 };
static const char magic[8] = {'H', 'O', 'N', 'E', '\r', '\n', 0x1a, '\n'};

bool hn_engine_probe(const void *data, size_t size) {
  return size >= sizeof magic && memcmp(data, magic, sizeof magic) == 0;
}

/* ------------------------------------------------------------------------------------------- writing */

/* The graph section grows in memory while the data section's offsets are handed out; the bytes of tensors are
   written after the header, in the order of their offsets, and the graph section last. */
typedef struct sink {
  hone_context *cx;
  hn_str text;
  HN_VEC(const hn_tensor *) tensors;
  HN_VEC(uint64_t) offsets;
  uint64_t end; /* of the data section so far */
} sink;

static void put_u64(sink *s, uint64_t v) {
  unsigned char b[8];
  for (int i = 0; i < 8; i++) b[i] = (unsigned char)(v >> (8 * i));
  hn_str_addn(&s->text, (const char *)b, 8);
}
static void put_u32(sink *s, uint32_t v) {
  unsigned char b[4];
  for (int i = 0; i < 4; i++) b[i] = (unsigned char)(v >> (8 * i));
  hn_str_addn(&s->text, (const char *)b, 4);
}
static void put_f64(sink *s, double v) {
  uint64_t u;
  memcpy(&u, &v, 8);
  put_u64(s, u);
}
static void put_text(sink *s, const char *t) {
  size_t n = t ? strlen(t) : 0;
  put_u32(s, (uint32_t)n);
  hn_str_addn(&s->text, t ? t : "", n);
}

static hone_status put_tensor(sink *s, const hn_tensor *t) {
  if (t->dtype == HONE_DTYPE_STRING)
    return hn_fail(s->cx, HONE_UNSUPPORTED, "a tensor of strings cannot be stored in an engine");
  uint64_t at = HN_NONE;
  size_t i = 0;
  while (i < s->tensors.n && s->tensors.p[i] != t) i++;
  if (i < s->tensors.n) {
    at = s->offsets.p[i]; /* shared weights are stored once */
  } else {
    at = (s->end + ALIGN - 1) / ALIGN * ALIGN;
    s->end = at + t->bytes;
    if (!hn_push(&s->tensors, t) || !hn_push(&s->offsets, at)) return hn_nomem(s->cx);
  }
  put_u32(s, (uint32_t)t->dtype);
  put_u32(s, (uint32_t)t->rank);
  for (int32_t k = 0; k < t->rank; k++) put_u64(s, (uint64_t)t->dims[k]);
  put_u64(s, at);
  return HONE_OK;
}

static void put_dim(sink *s, hn_dims *dims, hn_dim d) {
  put_u64(s, hn_dim_fixed(d) ? (uint64_t)d : UINT64_MAX);
  if (!hn_dim_fixed(d)) put_text(s, hn_dim_text(dims, d));
}

static hone_status put_graph(sink *s, const hn_graph *g);

static hone_status put_attr(sink *s, const hn_attr *a) {
  put_text(s, a->name);
  put_u32(s, (uint32_t)a->type);
  switch (a->type) {
    case HN_ATTR_INT: put_u64(s, (uint64_t)a->v.i); break;
    case HN_ATTR_FLOAT: put_f64(s, a->v.f); break;
    case HN_ATTR_STRING: put_text(s, a->v.s); break;
    case HN_ATTR_INTS:
      put_u32(s, a->n);
      for (uint32_t i = 0; i < a->n; i++) put_u64(s, (uint64_t)a->v.ints[i]);
      break;
    case HN_ATTR_FLOATS:
      put_u32(s, a->n);
      for (uint32_t i = 0; i < a->n; i++) put_f64(s, a->v.floats[i]);
      break;
    case HN_ATTR_TENSOR: return put_tensor(s, a->v.tensor);
    case HN_ATTR_GRAPH: return put_graph(s, a->v.graph);
  }
  return HONE_OK;
}

/* Values in use get new numbers in the order inputs, constants, outputs of nodes in execution order. */
static hone_status put_values(sink *s, const hn_graph *g, const hn_id *order, uint32_t n, uint32_t *number) {
  HN_VEC(hn_id) list = {0};
  bool ok = true;
  memset(number, 0xff, sizeof *number * g->values.n);
  for (size_t i = 0; ok && i < g->inputs.n; i++) ok = hn_push(&list, g->inputs.p[i]);
  for (size_t i = 0; ok && i < g->values.n; i++)
    if (g->values.p[i].data && (g->values.p[i].n_users || hn_is_output(g, (hn_id)i))) ok = hn_push(&list, (hn_id)i);
  for (uint32_t i = 0; ok && i < n; i++) {
    const hn_node *node = hn_node_at(g, order[i]);
    for (uint32_t k = 0; ok && k < node->n_out; k++)
      if (node->out[k] != HN_NONE) ok = hn_push(&list, node->out[k]);
  }
  hone_status st = ok ? HONE_OK : hn_nomem(s->cx);
  put_u32(s, (uint32_t)list.n);
  for (size_t i = 0; i < list.n && !st; i++) {
    const hn_value *v = hn_value_at(g, list.p[i]);
    number[list.p[i]] = (uint32_t)i;
    put_text(s, v->name);
    put_u32(s, (uint32_t)v->dtype);
    put_u32(s, (uint32_t)v->shape.rank);
    for (int32_t k = 0; k < v->shape.rank; k++) put_dim(s, g->dims, v->shape.d[k]);
    put_u32(s, v->data != NULL);
    if (v->data) st = put_tensor(s, v->data);
  }
  hn_vec_free(&list);
  return st;
}

static hone_status put_node(sink *s, const hn_node *n, const uint32_t *number) {
  put_text(s, hn_op_name(n->op));
  put_text(s, n->name);
  put_text(s, n->source);
  put_u32(s, n->n_in);
  put_u32(s, n->n_main);
  for (uint32_t i = 0; i < n->n_in; i++) put_u32(s, n->in[i] == HN_NONE ? HN_NONE : number[n->in[i]]);
  put_u32(s, n->n_out);
  for (uint32_t i = 0; i < n->n_out; i++) put_u32(s, n->out[i] == HN_NONE ? HN_NONE : number[n->out[i]]);
  put_u32(s, n->n_post);
  for (uint32_t i = 0; i < n->n_post; i++) {
    const hn_step *p = &n->post[i];
    put_text(s, hn_op_name(p->op));
    put_u32(s, p->swapped);
    put_u32(s, p->operand);
    put_f64(s, (double)p->alpha);
    put_f64(s, (double)p->beta);
  }
  put_u32(s, n->n_attr);
  for (uint32_t i = 0; i < n->n_attr; i++) HN_TRY(put_attr(s, &n->attr[i]));
  put_text(s, n->tactic);
  put_f64(s, n->tactic_ms);
  return HONE_OK;
}

static hone_status put_graph(sink *s, const hn_graph *g) {
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  uint32_t *number = hn_calloc(g->values.n, sizeof *number);
  put_text(s, g->name);
  put_u32(s, (uint32_t)g->meta.n);
  for (size_t i = 0; i < g->meta.n; i++) {
    put_text(s, g->meta.p[i].key);
    put_text(s, g->meta.p[i].value);
  }
  put_u32(s, (uint32_t)g->inputs.n);
  hone_status st = number ? put_values(s, g, order, n, number) : hn_nomem(s->cx);
  put_u32(s, n);
  for (uint32_t i = 0; i < n && !st; i++) st = put_node(s, hn_node_at(g, order[i]), number);
  put_u32(s, (uint32_t)g->outputs.n);
  for (size_t i = 0; i < g->outputs.n && !st; i++) {
    put_text(s, g->outputs.p[i].name);
    put_u32(s, number[g->outputs.p[i].value]);
  }
  hn_free(number);
  hn_free(order);
  return st ? st : s->text.failed ? hn_nomem(s->cx) : HONE_OK;
}

static hone_status pad_to(hn_writer *w, uint64_t to) {
  static const char zeros[ALIGN] = {0};
  return hn_writer_put(w, zeros, (size_t)(to - hn_writer_position(w)));
}

static hone_status write_file(sink *s, hn_writer *w) {
  sink head = {.cx = s->cx};
  uint64_t graph_at = (s->end + ALIGN - 1) / ALIGN * ALIGN;
  hn_str_addn(&head.text, magic, sizeof magic);
  put_u32(&head, VERSION);
  put_u32(&head, 0);
  put_u64(&head, graph_at);
  put_u64(&head, s->text.n);
  put_u64(&head, hn_hash(s->text.p, s->text.n, VERSION));
  put_u64(&head, graph_at + s->text.n);
  hone_status st = head.text.failed ? hn_nomem(s->cx) : hn_writer_put(w, head.text.p, head.text.n);
  hn_str_free(&head.text);
  for (size_t i = 0; i < s->tensors.n && !st; i++) {
    st = pad_to(w, s->offsets.p[i]);
    if (!st) st = hn_writer_put(w, s->tensors.p[i]->data, s->tensors.p[i]->bytes);
  }
  if (!st) st = pad_to(w, graph_at);
  return st ? st : hn_writer_put(w, s->text.p, s->text.n);
}

hone_status hn_engine_write(const hn_graph *g, const char *path) {
  sink s = {.cx = g->cx, .end = HEADER};
  hn_writer *w = NULL;
  hone_status st = put_graph(&s, g);
  if (!st) st = hn_writer_open(g->cx, path, &w);
  if (!st) st = write_file(&s, w);
  if (!st) st = hn_writer_commit(&w);
  else if (w) hn_writer_abort(&w);
  hn_str_free(&s.text);
  hn_vec_free(&s.tensors);
  hn_vec_free(&s.offsets);
  return st;
}

/* ------------------------------------------------------------------------------------------- reading */

/* A cursor over the graph section: past the end it stays failed and yields zeros. */
typedef struct source {
  hone_context *cx;
  const char *path;
  const unsigned char *p;
  size_t n, at;
  bool failed;
  const unsigned char *file;
  size_t file_size;
  hn_mapping *mapping;
  int nesting;
  uint32_t version;
} source;

static const unsigned char *take(source *s, size_t n) {
  if (s->failed || n > s->n - s->at) {
    s->failed = true;
    return NULL;
  }
  const unsigned char *p = s->p + s->at;
  s->at += n;
  return p;
}

static uint64_t get(source *s, size_t n) {
  const unsigned char *p = take(s, n);
  uint64_t v = 0;
  for (size_t i = 0; p && i < n; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}
static uint32_t get_u32(source *s) { return (uint32_t)get(s, 4); }
static double get_f64(source *s) {
  uint64_t u = get(s, 8);
  double v;
  memcpy(&v, &u, 8);
  return v;
}

/* A count of things of at least `each` bytes: never more than the section can hold. */
static uint32_t get_count(source *s, size_t each) {
  uint32_t n = get_u32(s);
  if (n > (s->n - s->at) / each) s->failed = true;
  return s->failed ? 0 : n;
}

static const char *get_text(source *s, hn_graph *g) {
  uint32_t n = get_count(s, 1);
  const unsigned char *p = take(s, n);
  const char *t = p ? hn_arena_strndup(g->arena, (const char *)p, n) : "";
  if (!t) g->oom = true;
  return t ? t : "";
}

static hone_status bad(const source *s, const char *what) {
  return hn_fail(s->cx, HONE_BAD_FORMAT, "%s: damaged engine: %s; make it anew with hone optimize", s->path, what);
}

static hone_status get_tensor(source *s, hn_tensor **out) {
  uint32_t dtype = get_u32(s), rank = get_u32(s);
  if (s->failed || !hn_dtype_known(dtype) || rank > HN_MAX_RANK) return bad(s, "a tensor of unknown type or rank");
  int64_t dims[HN_MAX_RANK];
  for (uint32_t k = 0; k < rank; k++) dims[k] = (int64_t)get(s, 8);
  uint64_t at = get(s, 8);
  if (s->failed || at > s->file_size) return bad(s, "tensor data outside the file");
  if (s->mapping) {
    hone_status st = hn_tensor_map(s->cx, (hn_dtype)dtype, (int32_t)rank, dims, s->mapping, (size_t)at, out);
    return st ? hn_fail_within(s->cx, HONE_BAD_FORMAT, "%s", s->path) : HONE_OK;
  }
  int64_t count = 1;
  size_t bytes;
  for (uint32_t k = 0; k < rank; k++)
    if (dims[k] < 0 || !hn_mul_i64(count, dims[k], &count)) return bad(s, "a tensor's dimensions");
  if (!hn_dtype_bytes((hn_dtype)dtype, (uint64_t)count, &bytes) || bytes > s->file_size - at)
    return bad(s, "tensor data outside the file");
  HN_TRY(hn_tensor_create(s->cx, (hn_dtype)dtype, (int32_t)rank, dims, out));
  if (bytes) memcpy((*out)->data, s->file + at, bytes);
  return HONE_OK;
}

static hone_status get_shape(source *s, hn_graph *g, hn_shape *shape) {
  int32_t rank = (int32_t)get_u32(s);
  if (rank < -1 || rank > HN_MAX_RANK) return bad(s, "a tensor's rank");
  shape->rank = rank;
  for (int32_t k = 0; k < rank; k++) {
    uint64_t d = get(s, 8);
    shape->d[k] = (int64_t)d;
    if (d != UINT64_MAX) {
      if (d > INT64_MAX) return bad(s, "a dimension");
      continue;
    }
    shape->d[k] = hn_dim_parse(g->dims, get_text(s, g));
    if (shape->d[k] == HN_DIM_BAD) return bad(s, "a symbolic dimension");
  }
  return HONE_OK;
}

static hone_status get_graph(source *s, hn_graph *g);

static hone_status get_attr(source *s, hn_graph *g, hn_id node) {
  const char *name = get_text(s, g);
  uint32_t type = get_u32(s), n;
  if (s->failed) return bad(s, "an attribute is cut short");
  switch (type) {
    case HN_ATTR_INT: hn_set_i(g, node, name, (int64_t)get(s, 8)); return HONE_OK;
    case HN_ATTR_FLOAT: hn_set_f(g, node, name, get_f64(s)); return HONE_OK;
    case HN_ATTR_STRING: hn_set_s(g, node, name, get_text(s, g)); return HONE_OK;
    case HN_ATTR_INTS:
    case HN_ATTR_FLOATS: {
      n = get_count(s, 8);
      uint64_t *raw = hn_arena_alloc(g->arena, sizeof *raw * n);
      if (!raw) return hn_nomem(s->cx);
      for (uint32_t i = 0; i < n; i++) raw[i] = get(s, 8);
      if (type == HN_ATTR_INTS) hn_set_ints(g, node, name, (const int64_t *)(const void *)raw, n);
      else hn_set_floats(g, node, name, (const double *)(const void *)raw, n);
      return HONE_OK;
    }
    case HN_ATTR_TENSOR: {
      hn_tensor *t;
      HN_TRY(get_tensor(s, &t));
      hn_set_tensor(g, node, name, t);
      hn_tensor_unref(t);
      return HONE_OK;
    }
    case HN_ATTR_GRAPH: {
      if (++s->nesting > MAX_NESTING) return bad(s, "graphs are nested too deeply");
      hn_graph *sub = hn_graph_create_nested(g, "");
      if (!sub) return hn_nomem(s->cx);
      hone_status st = get_graph(s, sub);
      s->nesting--;
      if (st) hn_graph_destroy(sub);
      else hn_set_graph(g, node, name, sub);
      return st;
    }
    default: return bad(s, "an attribute of unknown type");
  }
}

/* Values that nodes produce exist only once their node does: their records wait here. */
typedef struct pending {
  const char *name;
  hn_dtype dtype;
  hn_shape shape;
  hn_id id; /* HN_NONE until made */
} pending;

static hone_status get_values(source *s, hn_graph *g, uint32_t n_inputs, pending **out, uint32_t *n_out) {
  uint32_t n = get_count(s, 16);
  pending *all = hn_arena_alloc(g->arena, sizeof *all * n);
  if (!all) return hn_nomem(s->cx);
  for (uint32_t i = 0; i < n; i++) {
    pending *v = &all[i];
    v->name = get_text(s, g);
    uint32_t dtype = get_u32(s);
    if (s->failed || (dtype && !hn_dtype_known(dtype))) return bad(s, "a tensor's type");
    v->dtype = (hn_dtype)dtype;
    v->id = HN_NONE;
    HN_TRY(get_shape(s, g, &v->shape));
    uint32_t constant = get_u32(s), taken;
    if (s->failed) return bad(s, "a tensor is cut short");
    if (hn_map_get(&g->names, v->name, &taken)) return bad(s, "two tensors of one name");
    if (i < n_inputs) {
      v->id = hn_graph_add_input(g, v->name, v->dtype, &v->shape);
    } else if (constant) {
      hn_tensor *t;
      HN_TRY(get_tensor(s, &t));
      v->id = hn_graph_add_constant(g, v->name, t);
    }
  }
  if (n_inputs > n) return bad(s, "fewer tensors than inputs");
  *out = all;
  *n_out = n;
  return HONE_OK;
}

static hone_status get_node(source *s, hn_graph *g, pending *values, uint32_t n_values) {
  hn_op op = hn_op_parse(get_text(s, g));
  const char *name = get_text(s, g), *from = get_text(s, g);
  uint32_t n_in = get_count(s, 4), n_main = get_u32(s);
  if (s->failed || op == HN_OP_NONE || n_main > n_in) return bad(s, "a layer of unknown operator");
  hn_id *in = hn_arena_alloc(g->arena, sizeof *in * n_in);
  if (!in) return hn_nomem(s->cx);
  for (uint32_t i = 0; i < n_in; i++) {
    uint32_t v = get_u32(s);
    if (v != HN_NONE && (v >= n_values || values[v].id == HN_NONE)) return bad(s, "a layer reads a tensor before it is made");
    in[i] = v == HN_NONE ? HN_NONE : values[v].id;
  }
  uint32_t n_out = get_count(s, 4);
  hn_id id = hn_graph_add_node(g, op, name, in, n_main, n_out);
  if (id == HN_NONE) return hn_nomem(s->cx);
  if (*from) hn_node_at(g, id)->source = from;
  for (uint32_t i = 0; i < n_out; i++) {
    uint32_t v = get_u32(s);
    hn_id made = hn_node_at(g, id)->out[i];
    if (v == HN_NONE) continue;
    if (v >= n_values || values[v].id != HN_NONE) return bad(s, "a tensor is made twice");
    values[v].id = made;
    hn_value_rename(g, made, values[v].name);
    hn_value_at(g, made)->dtype = values[v].dtype;
    hn_value_at(g, made)->shape = values[v].shape;
  }
  uint32_t n_post = get_count(s, 20);
  for (uint32_t i = 0; i < n_post; i++) {
    hn_op step = hn_op_parse(get_text(s, g));
    bool swapped = get_u32(s) != 0;
    uint32_t operand = get_u32(s);
    double alpha = get_f64(s), beta = get_f64(s);
    if (s->failed || !(step == HN_Clip || hn_op_is(step, HN_OP_UNARY | HN_OP_BINARY | HN_OP_VARIADIC)))
      return bad(s, "an epilogue of unknown operator");
    if (operand != HN_NONE && operand != hn_node_at(g, id)->n_in) return bad(s, "an epilogue operand out of order");
    if (operand != HN_NONE && operand >= n_in) return bad(s, "an epilogue operand that is not there");
    if (operand != HN_NONE && in[operand] == HN_NONE) return bad(s, "an epilogue operand that is absent");
    hn_add_post(g, id, step, operand == HN_NONE ? HN_NONE : in[operand], swapped, (float)alpha, (float)beta);
  }
  uint32_t n_attr = get_count(s, 8);
  for (uint32_t i = 0; i < n_attr; i++) HN_TRY(get_attr(s, g, id));
  if (s->version >= 2) {
    const char *tactic = get_text(s, g);
    hn_node_at(g, id)->tactic = *tactic ? tactic : NULL;
    hn_node_at(g, id)->tactic_ms = get_f64(s);
  }
  return s->failed ? bad(s, "a layer is cut short") : HONE_OK;
}

static hone_status get_graph(source *s, hn_graph *g) {
  g->name = get_text(s, g);
  uint32_t n_meta = get_count(s, 8);
  for (uint32_t i = 0; i < n_meta; i++) {
    const char *key = get_text(s, g), *value = get_text(s, g);
    hn_meta_set(g, key, value);
  }
  uint32_t n_inputs = get_u32(s), n_values = 0;
  pending *values = NULL;
  if (s->failed) return bad(s, "it is cut short");
  HN_TRY(get_values(s, g, n_inputs, &values, &n_values));
  uint32_t n_nodes = get_count(s, 16);
  for (uint32_t i = 0; i < n_nodes; i++) HN_TRY(get_node(s, g, values, n_values));
  uint32_t n_outputs = get_count(s, 8);
  for (uint32_t i = 0; i < n_outputs; i++) {
    const char *name = get_text(s, g);
    uint32_t v = get_u32(s);
    if (s->failed || v >= n_values || values[v].id == HN_NONE) return bad(s, "an output that nothing makes");
    hn_graph_add_output(g, name, values[v].id);
  }
  if (s->failed) return bad(s, "it is cut short");
  return g->oom ? hn_nomem(s->cx) : HONE_OK;
}

hone_status hn_engine_read(hone_context *cx, const char *path, const void *data, size_t size, hn_mapping *m,
                           hn_graph **out) {
  source head = {.cx = cx, .path = path ? path : "(memory)", .p = data, .n = size, .at = sizeof magic};
  if (!hn_engine_probe(data, size) || size < HEADER) return bad(&head, "the header is cut short");
  uint32_t version = get_u32(&head), flags = get_u32(&head);
  uint64_t at = get(&head, 8), n = get(&head, 8), hash = get(&head, 8), whole = get(&head, 8);
  if (version < OLDEST || version > VERSION || flags)
    return hn_fail(cx, HONE_UNSUPPORTED, "%s: engine version %u; this build reads versions %d to %d: make it anew from the "
                   "model", head.path, version, OLDEST, VERSION);
  if (whole != size) return bad(&head, "its size is not what its header says; it is cut short");
  if (at > size || n > size - at) return bad(&head, "the graph section is outside the file");
  source s = head;
  s.p = (const unsigned char *)data + at;
  s.n = (size_t)n;
  s.at = 0;
  s.version = version;
  s.file = data;
  s.file_size = size;
  s.mapping = m;
  if (hn_hash(s.p, s.n, version) != hash) return bad(&head, "the checksum of the graph does not match");
  hn_graph *g = hn_graph_create(cx, "");
  if (!g) return hn_nomem(cx);
  hone_status st = get_graph(&s, g);
  if (!st) {
    hn_meta_set(g, "container", "hone engine");
    st = hn_graph_verify(g);
    if (st) st = hn_fail_within(cx, HONE_BAD_FORMAT, "%s: damaged engine", head.path);
  }
  if (st) {
    hn_graph_destroy(g);
    return st;
  }
  *out = g;
  return HONE_OK;
}
