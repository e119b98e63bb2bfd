/* engine_read.c - reading a .hone file: nothing in it is trusted. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "device/kernel.h"
#include "engine/container.h"
#include "engine/engine.h"

enum { MAX_NESTING = 16 };

bool hn_engine_probe(const void *data, size_t size) {
  return size >= HN_ENGINE_MAGIC_SIZE && memcmp(data, HN_ENGINE_MAGIC, HN_ENGINE_MAGIC_SIZE) == 0;
}

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
  uint64_t digest = s->version >= 3 ? get(s, 8) : 0;
  if (s->failed || at > s->file_size) return bad(s, "tensor data outside the file");
  if (s->mapping) {
    hone_status st = hn_tensor_map(s->cx, (hn_dtype)dtype, (int32_t)rank, dims, s->mapping, (size_t)at, out);
    if (st) return hn_fail_within(s->cx, HONE_BAD_FORMAT, "%s", s->path);
    (*out)->hash = digest;
    return HONE_OK;
  }
  int64_t count = 1;
  size_t bytes;
  for (uint32_t k = 0; k < rank; k++)
    if (dims[k] < 0 || !hn_mul_i64(count, dims[k], &count)) return bad(s, "a tensor's dimensions");
  if (!hn_dtype_bytes((hn_dtype)dtype, (uint64_t)count, &bytes) || bytes > s->file_size - at)
    return bad(s, "tensor data outside the file");
  HN_TRY(hn_tensor_create(s->cx, (hn_dtype)dtype, (int32_t)rank, dims, out));
  if (bytes) memcpy((*out)->data, s->file + at, bytes);
  (*out)->hash = digest;
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
  const char *kind = get_text(s, g);
  hn_op op = hn_op_parse(kind);
  const char *name = get_text(s, g), *from = get_text(s, g);
  uint32_t n_in = get_count(s, 4), n_main = get_u32(s);
  if (!s->failed && op == HN_OP_NONE)
    return hn_fail(s->cx, HONE_UNSUPPORTED, "%s: layer '%s' is a %s, which this build does not know; use the one that made "
                   "the engine, or a newer one", s->path, name, kind);
  if (s->failed || n_main > n_in) return bad(s, "a layer's inputs");
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
  if (s->version >= 3) {
    const char *layout = get_text(s, g);
    hn_node_at(g, id)->tactic_layout = *layout ? layout : NULL;
  }
  if (s->version >= 4) {
    hn_node_at(g, id)->fork = get_u32(s);
    hn_node_at(g, id)->branch = get_u32(s);
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

/* ------------------------------------------------------------------------------------ the plan's section */

static hone_status get_packs(source *s, hn_graph *g, bool fit, uint32_t *count, uint64_t *total) {
  uint32_t n = *count = get_count(s, 32);
  *total = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint64_t key = get(s, 8), bytes = get(s, 8), at = get(s, 8), digest = get(s, 8);
    if (s->failed || at > s->file_size || bytes > s->file_size - at || at % HN_ENGINE_ALIGN)
      return bad(s, "packed weights outside the file");
    *total += bytes;
    if (fit && !hn_store_lend(g->store, key, (size_t)bytes, s->file + at, digest, s->mapping)) return hn_nomem(s->cx);
  }
  return HONE_OK;
}

/* Packed weights are used where this machine and these kernels are those they were made for; else they are left alone
   and the portable weights are packed anew when a session is made. */
static hone_status get_plan(source *s, hn_graph *g) {
  const char *cpu = get_text(s, g), *kernels = get_text(s, g), *isa = get_text(s, g);
  uint32_t threads = get_u32(s), n = 0;
  uint64_t bytes = 0;
  get(s, 8); /* the arena, which planning computes again */
  hn_str what = {0};
  hn_str_printf(&what, "%s, %s, %u thread%s", cpu, isa, threads, threads == 1 ? "" : "s");
  uint32_t n_inputs = get_count(s, 8);
  for (uint32_t i = 0; i < n_inputs && !s->failed; i++) {
    hn_str_printf(&what, ", %s ", get_text(s, g));
    uint32_t rank = get_u32(s);
    for (uint32_t k = 0; k < rank && !s->failed; k++) hn_str_printf(&what, "%s%lld", k ? "x" : "", (long long)get(s, 8));
  }
  const char *reason = !s->mapping                              ? "not used: the engine is not mapped"
                       : strcmp(kernels, hn_kernels_id) != 0    ? "not used: made by the kernels of another build"
                       : strcmp(isa, hn_isa_name(hn_isa_best())) ? "not used: made for another instruction set"
                                                                 : NULL;
  hone_status st = what.failed ? hn_nomem(s->cx) : get_packs(s, g, !reason, &n, &bytes);
  if (!st && s->failed) st = bad(s, "the plan is cut short");
  if (!st) {
    hn_meta_set(g, HN_META_PACKED_FOR, what.p);
    what.n = 0;
    hn_str_printf(&what, "%u, %.1f MiB, %s", n, (double)bytes / 1048576, reason ? reason : "used");
    hn_meta_set(g, HN_META_PACKS, what.p);
    if (reason)
      hn_log(s->cx, HONE_LOG_INFO, "%s: packed weights %s: packed anew at each start; hone optimize makes an engine that fits",
             s->path, reason);
  }
  hn_str_free(&what);
  return st;
}

/* ---------------------------------------------------------------------------------------------- the file */

/* One of the sections behind the data. */
static hone_status open_section(const source *head, const char *what, uint64_t at, uint64_t n, uint64_t hash, source *s) {
  char detail[64];
  *s = *head;
  s->at = 0;
  if (at > head->file_size || n > head->file_size - at) {
    snprintf(detail, sizeof detail, "the %s is outside the file", what);
    return bad(head, detail);
  }
  s->p = head->file + at;
  s->n = (size_t)n;
  snprintf(detail, sizeof detail, "the checksum of the %s does not match", what);
  return hn_hash(s->p, s->n, head->version) == hash ? HONE_OK : bad(head, detail);
}

hone_status hn_engine_read(hone_context *cx, const char *path, const void *data, size_t size, hn_mapping *m,
                           hn_graph **out) {
  source head = {.cx = cx, .path = path ? path : "(memory)", .p = data, .n = size, .at = HN_ENGINE_MAGIC_SIZE,
                 .file = data, .file_size = size, .mapping = m};
  if (!hn_engine_probe(data, size) || size < HN_ENGINE_HEADER) return bad(&head, "the header is cut short");
  head.version = get_u32(&head);
  uint32_t plan_n = get_u32(&head);
  uint64_t at = get(&head, 8), n = get(&head, 8), hash = get(&head, 8), whole = get(&head, 8);
  uint64_t plan_at = get(&head, 8), plan_hash = get(&head, 8);
  if (head.version < HN_ENGINE_OLDEST || head.version > HN_ENGINE_VERSION || (head.version < 3 && plan_n))
    return hn_fail(cx, HONE_UNSUPPORTED, "%s: engine version %u; this build reads versions %d to %d: use the build that made it, "
                   "a newer one, or make it anew from the model", head.path, head.version, HN_ENGINE_OLDEST, HN_ENGINE_VERSION);
  if (whole != size) return bad(&head, "its size is not what its header says; it is cut short");
  source s, plan;
  HN_TRY(open_section(&head, "graph", at, n, hash, &s));
  if (plan_n) HN_TRY(open_section(&head, "plan", plan_at, plan_n, plan_hash, &plan));
  hn_graph *g = hn_graph_create(cx, "");
  if (!g) return hn_nomem(cx);
  g->store = hn_store_create();
  hone_status st = g->store ? get_graph(&s, g) : hn_nomem(cx);
  if (!st) {
    hn_meta_set(g, HN_META_CONTAINER, "hone engine");
    st = hn_graph_verify(g);
    if (st) st = hn_fail_within(cx, HONE_BAD_FORMAT, "%s: damaged engine", head.path);
  }
  if (!st && plan_n) st = get_plan(&plan, g);
  if (!st && g->oom) st = hn_nomem(cx);
  if (st) {
    hn_graph_destroy(g);
    return st;
  }
  *out = g;
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- checksums */

static hone_status check_tensor(const hn_graph *g, const char *name, const hn_tensor *t, uint64_t *bytes) {
  if (t->dtype == HONE_DTYPE_STRING || !t->hash) return HONE_OK;
  *bytes += t->bytes;
  if (hn_tensor_digest(t) == t->hash) return HONE_OK;
  return hn_fail(g->cx, HONE_BAD_FORMAT, "the weights of '%s' do not match their checksum: the file is damaged; copy it or "
                 "make it anew", name);
}

static hone_status check_graph(const hn_graph *g, uint64_t *bytes) {
  for (size_t i = 0; i < g->values.n; i++)
    if (g->values.p[i].data) HN_TRY(check_tensor(g, g->values.p[i].name, g->values.p[i].data, bytes));
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    for (uint32_t k = 0; k < n->n_attr; k++) {
      if (n->attr[k].type == HN_ATTR_TENSOR) HN_TRY(check_tensor(g, n->name, n->attr[k].v.tensor, bytes));
      if (n->attr[k].type == HN_ATTR_GRAPH) HN_TRY(check_graph(n->attr[k].v.graph, bytes));
    }
  }
  return HONE_OK;
}

hone_status hn_engine_check(const hn_graph *g, uint64_t *weights, uint64_t *packs) {
  *weights = *packs = 0;
  HN_TRY(check_graph(g, weights));
  if (!g->store || hn_store_check(g->store, packs)) return HONE_OK;
  return hn_fail(g->cx, HONE_BAD_FORMAT, "packed weights do not match their checksum: the file is damaged; 'hone optimize ENGINE "
                 "-o NEW.hone' packs the portable weights anew");
}
