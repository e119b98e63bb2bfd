#include "format/tensorflow/tf_graph.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- memory and names */

static void *take(tg *t, size_t size) {
  void *p = hn_arena_alloc(t->arena, size ? size : 1);
  if (!p && !t->st) t->st = hn_nomem(t->cx);
  return p;
}

static char *copy(tg *t, const char *s) {
  char *p = hn_arena_strdup(t->arena, s ? s : "");
  if (!p && !t->st) t->st = hn_nomem(t->cx);
  return p;
}

void tg_refuse(tg *t, const char *fmt, ...) {
  char text[600];
  va_list ap;
  if (t->st) return;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  t->st = hn_fail(t->cx, HONE_UNSUPPORTED, "node '%s' (%s): %s", t->at->name, hn_op_name(t->at->op), text);
}

/* TensorFlow's node names: letters, digits and . first, then also _ - / \ >. */
const char *tg_free_name(tg *t, const char *wanted) {
  char *base = copy(t, wanted && *wanted ? wanted : "node");
  const char *name = base;
  uint32_t taken;
  for (char *p = base; p && *p; p++)
    if (!isalnum((unsigned char)*p) && *p != '.' && (p == base || !strchr("_-/", *p))) *p = p == base ? 'n' : '_';
  for (int i = 1; name && hn_map_get(&t->used, name, &taken); i++) name = hn_arena_printf(t->arena, "%s_%d", base, i);
  if ((!name || !hn_map_put(&t->used, name, 1)) && !t->st) t->st = hn_nomem(t->cx);
  return name;
}

/* ---- nodes */

tg_node *tg_add(tg *t, const char *op, const char *name) {
  tg_node *n = t->st ? NULL : take(t, sizeof *n);
  if (!n) return NULL;
  tensorflow__node_def__init(n);
  if (!name) name = tg_free_name(t, t->at && *t->at->name ? hn_arena_printf(t->arena, "%s/%s", t->at->name, op) : op);
  n->name = copy(t, name);
  n->op = copy(t, op);
  if (!hn_push(&t->nodes, n) && !t->st) t->st = hn_nomem(t->cx);
  return t->st ? NULL : n;
}

void tg_input(tg *t, tg_node *n, const char *tensor) {
  if (!n || !tensor || t->st) return;
  char **grown = take(t, sizeof *grown * (n->n_input + 1));
  if (!grown) return;
  if (n->n_input) memcpy(grown, n->input, sizeof *grown * n->n_input);
  grown[n->n_input++] = (char *)(uintptr_t)tensor;
  n->input = grown;
}

static Tensorflow__AttrValue *attr(tg *t, tg_node *n, const char *key) {
  if (!n || t->st) return NULL;
  Tensorflow__AttrEntry **grown = take(t, sizeof *grown * (n->n_attr + 1)), *e = take(t, sizeof *e);
  Tensorflow__AttrValue *v = take(t, sizeof *v);
  if (!grown || !e || !v) return NULL;
  tensorflow__attr_entry__init(e);
  tensorflow__attr_value__init(v);
  e->key = copy(t, key);
  e->value = v;
  if (n->n_attr) memcpy(grown, n->attr, sizeof *grown * n->n_attr);
  grown[n->n_attr++] = e;
  n->attr = grown;
  return v;
}

void tg_type(tg *t, tg_node *n, const char *key, hn_dtype dtype) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  int tf = hn_tf_dtype_of(dtype);
  if (v && tf == TENSORFLOW__DATA_TYPE__DT_INVALID) {
    t->st = hn_fail(t->cx, HONE_UNSUPPORTED, "node '%s' (%s): TensorFlow has no element type %s", n->name, n->op, hone_dtype_name(dtype));
    return;
  }
  if (v) v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_TYPE, v->type = (Tensorflow__DataType)tf;
}

void tg_resource_type(tg *t, tg_node *n, const char *key) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  if (v) v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_TYPE, v->type = TENSORFLOW__DATA_TYPE__DT_RESOURCE;
}

void tg_int(tg *t, tg_node *n, const char *key, int64_t x) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  if (v) v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_I, v->i = x;
}

void tg_bool(tg *t, tg_node *n, const char *key, bool x) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  if (v) v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_B, v->b = x;
}

void tg_float(tg *t, tg_node *n, const char *key, double x) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  if (v) v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_F, v->f = (float)x;
}

void tg_text(tg *t, tg_node *n, const char *key, const char *x) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  char *own = v ? copy(t, x) : NULL;
  if (own) v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_S, v->s = (ProtobufCBinaryData){strlen(own), (uint8_t *)own};
}

void tg_ints(tg *t, tg_node *n, const char *key, const int64_t *x, size_t count) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  Tensorflow__AttrValue__ListValue *list = v ? take(t, sizeof *list) : NULL;
  if (!list) return;
  tensorflow__attr_value__list_value__init(list);
  list->n_i = count;
  list->i = take(t, sizeof *list->i * count);
  if (list->i) memcpy(list->i, x, sizeof *list->i * count);
  v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_LIST;
  v->list = list;
}

void tg_types(tg *t, tg_node *n, const char *key, const hn_dtype *x, size_t count) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  Tensorflow__AttrValue__ListValue *list = v ? take(t, sizeof *list) : NULL;
  if (!list) return;
  tensorflow__attr_value__list_value__init(list);
  list->type = take(t, sizeof *list->type * count);
  for (size_t i = 0; i < count && list->type; i++) list->type[list->n_type++] = (Tensorflow__DataType)hn_tf_dtype_of(x[i]);
  v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_LIST;
  v->list = list;
}

Tensorflow__TensorShapeProto *tg_shape_proto(tg *t, const hn_shape *s) {
  Tensorflow__TensorShapeProto *p = take(t, sizeof *p);
  if (!p) return NULL;
  tensorflow__tensor_shape_proto__init(p);
  p->unknown_rank = s->rank < 0;
  p->dim = s->rank > 0 ? take(t, sizeof *p->dim * (size_t)s->rank) : NULL;
  for (int32_t i = 0; i < s->rank && p->dim; i++) {
    Tensorflow__TensorShapeProto__Dim *d = p->dim[i] = take(t, sizeof *d);
    if (!d) return NULL;
    tensorflow__tensor_shape_proto__dim__init(d);
    d->size = hn_dim_fixed(s->d[i]) ? s->d[i] : -1;
    p->n_dim++;
  }
  return p;
}

void tg_shape(tg *t, tg_node *n, const char *key, const hn_shape *s) {
  Tensorflow__AttrValue *v = attr(t, n, key);
  if (v && (v->shape = tg_shape_proto(t, s))) v->value_case = TENSORFLOW__ATTR_VALUE__VALUE_SHAPE;
}

const char *tg_out(tg *t, const tg_node *n, uint32_t i) {
  if (!n || t->st) return NULL;
  return i ? hn_arena_printf(t->arena, "%s:%u", n->name, (unsigned)i) : n->name;
}

const char *tg1(tg *t, const char *op, hn_dtype type, const char *a) {
  tg_node *n = tg_add(t, op, NULL);
  tg_input(t, n, a);
  tg_type(t, n, "T", type);
  return tg_out(t, n, 0);
}

const char *tg2(tg *t, const char *op, hn_dtype type, const char *a, const char *b) {
  tg_node *n = tg_add(t, op, NULL);
  tg_input(t, n, a);
  tg_input(t, n, b);
  tg_type(t, n, "T", type);
  return tg_out(t, n, 0);
}

/* ---- constants */

/* An equal constant that is written already. */
static const char *same_const(tg *t, const hn_tensor *v, uint64_t digest) {
  for (size_t i = 0; i < t->consts.n; i++) {
    const hn_tensor *c = t->consts.p[i].data;
    if (t->consts.p[i].outside || t->consts.p[i].digest != digest || c->dtype != v->dtype || c->rank != v->rank || c->bytes != v->bytes) continue;
    if (memcmp(c->dims, v->dims, (size_t)v->rank * sizeof *v->dims) == 0 && memcmp(c->data, v->data, v->bytes) == 0) return t->consts.p[i].tensor;
  }
  return NULL;
}

static const char *write_const(tg *t, const hn_tensor *v, const char *wanted) {
  enum { LARGE = 256 };
  uint64_t digest = v->bytes < LARGE ? 0 : hn_digest(v->data, v->bytes, 0);
  const char *same = v->bytes < LARGE ? NULL : same_const(t, v, digest), *name = same || !wanted ? NULL : tg_free_name(t, wanted);
  if (same) return same;
  tg_node *n = tg_add(t, "Const", name);
  Tensorflow__AttrValue *a = attr(t, n, "value");
  Tensorflow__TensorProto *p = a ? take(t, sizeof *p) : NULL;
  hn_shape s = hn_tensor_shape(v);
  tg_type(t, n, "dtype", v->dtype);
  if (!p || t->st) return NULL;
  tensorflow__tensor_proto__init(p);
  p->dtype = (Tensorflow__DataType)hn_tf_dtype_of(v->dtype);
  p->tensor_shape = tg_shape_proto(t, &s);
  p->tensor_content = (ProtobufCBinaryData){v->bytes, v->data};
  a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_TENSOR;
  a->tensor = p;
  const char *out = tg_out(t, n, 0);
  if (v->bytes >= LARGE && !hn_push(&t->consts, ((tg_constant){digest, v, out, 0})) && !t->st) t->st = hn_nomem(t->cx);
  return out;
}

const char *tg_const(tg *t, hn_tensor *v) {
  if (!v) return NULL;
  if (t->st || !hn_push(&t->own, v)) {
    hn_tensor_unref(v);
    if (!t->st) t->st = hn_nomem(t->cx);
    return NULL;
  }
  return write_const(t, v, NULL);
}

const char *tg_scalar(tg *t, hn_dtype type, double x) {
  hn_tensor *v = NULL;
  if (!t->st) t->st = hn_tensor_scalar_f(t->cx, type, x, &v);
  return tg_const(t, v);
}

static int64_t narrow(int64_t v) { return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v; }

const char *tg_numbers(tg *t, const int64_t *x, size_t n) {
  hn_tensor *v = NULL;
  if (!t->st) t->st = hn_tensor_create(t->cx, HONE_DTYPE_I32, 1, &(int64_t){(int64_t)n}, &v);
  for (size_t i = 0; i < n && v; i++) hn_store_i64(HONE_DTYPE_I32, v->data, i, narrow(x[i]));
  return tg_const(t, v);
}

const char *tg_number(tg *t, int64_t x) {
  hn_tensor *v = NULL;
  if (!t->st) t->st = hn_tensor_scalar_i(t->cx, HONE_DTYPE_I32, narrow(x), &v);
  return tg_const(t, v);
}

const char *tg_concat(tg *t, hn_dtype type, const char *const *parts, size_t n, const char *axis) {
  tg_node *node = tg_add(t, "ConcatV2", NULL);
  for (size_t i = 0; i < n; i++) tg_input(t, node, parts[i]);
  tg_input(t, node, axis);
  tg_int(t, node, "N", (int64_t)n);
  tg_type(t, node, "T", type);
  tg_type(t, node, "Tidx", HONE_DTYPE_I32);
  return tg_out(t, node, 0);
}

const char *tg_reduce(tg *t, const char *op, hn_dtype type, const char *x, const int64_t *axes, size_t count, bool keep) {
  const char *where = tg_numbers(t, axes, count);
  tg_node *n = tg_add(t, op, NULL);
  tg_input(t, n, x);
  tg_input(t, n, where);
  tg_type(t, n, "T", type);
  tg_type(t, n, "Tidx", HONE_DTYPE_I32);
  tg_bool(t, n, "keep_dims", keep);
  return tg_out(t, n, 0);
}

const char *tg_transpose(tg *t, hn_dtype type, const char *x, const int64_t *perm, size_t count) {
  const char *order = tg_numbers(t, perm, count);
  tg_node *n = tg_add(t, "Transpose", NULL);
  tg_input(t, n, x);
  tg_input(t, n, order);
  tg_type(t, n, "T", type);
  tg_type(t, n, "Tperm", HONE_DTYPE_I32);
  return tg_out(t, n, 0);
}

const char *tg_reshape(tg *t, hn_dtype type, const char *x, const hn_shape *s, const char *dims) {
  int64_t v[HN_MAX_RANK];
  int open = 0;
  hn_dtype index = HONE_DTYPE_I64;
  for (int32_t i = 0; i < s->rank; i++) {
    v[i] = hn_dim_fixed(s->d[i]) ? s->d[i] : -1;
    open += v[i] < 0;
  }
  if (s->rank >= 0 && open <= 1) dims = tg_numbers(t, v, (size_t)s->rank), index = HONE_DTYPE_I32;
  else if (!dims) tg_refuse(t, "more than one dimension of its output is open; fix them with --shape");
  tg_node *n = tg_add(t, "Reshape", NULL);
  tg_input(t, n, x);
  tg_input(t, n, dims);
  tg_type(t, n, "T", type);
  tg_type(t, n, "Tshape", index);
  return tg_out(t, n, 0);
}

/* ---- values in their two forms */

static void last_perm(int32_t rank, bool back, int64_t perm[HN_MAX_RANK]) {
  perm[0] = 0;
  for (int32_t i = 1; i < rank; i++) {
    if (back) perm[i] = i == 1 ? rank - 1 : i - 1;
    else perm[i] = i == rank - 1 ? 1 : i + 1;
  }
}

bool tg_prefers_last(const tg *t, hn_id v) { return v != HN_NONE && t->values[v].last && !t->values[v].plain; }

const char *tg_plain(tg *t, hn_id v) {
  if (v == HN_NONE || t->st) return NULL;
  tg_value *p = &t->values[v];
  const hn_value *value = hn_value_at(t->g, v);
  int64_t perm[HN_MAX_RANK];
  if (p->plain) return p->plain;
  if (value->data) return p->plain = write_const(t, value->data, value->name ? value->name : "");
  if (!p->last) {
    tg_refuse(t, "its input '%s' is never computed", value->name);
    return NULL;
  }
  last_perm(value->shape.rank, true, perm);
  return p->plain = tg_transpose(t, value->dtype, p->last, perm, (size_t)value->shape.rank);
}

/* A constant with channels last. */
static const char *const_last(tg *t, const hn_tensor *c) {
  int64_t perm[HN_MAX_RANK], dims[HN_MAX_RANK], step[HN_MAX_RANK], at[HN_MAX_RANK] = {0};
  size_t size = hone_dtype_size(c->dtype);
  hn_tensor *r = NULL;
  last_perm(c->rank, false, perm);
  for (int32_t i = 0; i < c->rank; i++) {
    dims[i] = c->dims[perm[i]];
    step[i] = 1;
    for (int32_t k = (int32_t)perm[i] + 1; k < c->rank; k++) step[i] *= c->dims[k];
  }
  if (!t->st) t->st = hn_tensor_create(t->cx, c->dtype, c->rank, dims, &r);
  for (int64_t i = 0, from = 0; r && i < c->count; i++) {
    memcpy((char *)r->data + (size_t)i * size, (const char *)c->data + (size_t)from * size, size);
    for (int32_t k = c->rank - 1; k >= 0; k--) {
      from += step[k];
      if (++at[k] < dims[k]) break;
      from -= step[k] * dims[k];
      at[k] = 0;
    }
  }
  return tg_const(t, r);
}

const char *tg_last(tg *t, hn_id v) {
  if (v == HN_NONE || t->st) return NULL;
  tg_value *p = &t->values[v];
  const hn_value *value = hn_value_at(t->g, v);
  int64_t perm[HN_MAX_RANK];
  if (p->last) return p->last;
  if (value->shape.rank < 3) {
    tg_refuse(t, "its input '%s' has no spatial dimensions", value->name);
    return NULL;
  }
  if (value->data) return p->last = const_last(t, value->data);
  const char *x = tg_plain(t, v);
  last_perm(value->shape.rank, false, perm);
  return p->last = tg_transpose(t, value->dtype, x, perm, (size_t)value->shape.rank);
}

void tg_set_plain(tg *t, hn_id v, const char *tensor) {
  if (v != HN_NONE) t->values[v].plain = tensor;
}

void tg_set_last(tg *t, hn_id v, const char *tensor) {
  if (v != HN_NONE) t->values[v].last = tensor;
}
