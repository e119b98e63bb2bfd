/* tf_lower.c - the table of operators, and what lowering functions share. */
#include "format/tensorflow/tf_lower.h"

#include <stdlib.h>
#include <string.h>

static const tf_row rows[] = {
#define TF(name, fn, to, outputs) {#name, hn_tf_lower_##fn, HN_##to, outputs},
#include "format/tensorflow/map.def"
#undef TF
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* The table is grouped by meaning, so that it is searched from end to end: graphs have thousands of nodes, not millions. */
const tf_row *hn_tf_row(const char *op) {
  for (int i = 0; i < N_ROWS; i++)
    if (strcmp(rows[i].op, op) == 0) return &rows[i];
  return NULL;
}

/* ---- attributes */

static const tf_attr *find_attr(const tf_node *n, const char *name) {
  for (size_t i = 0; i < n->n_attr; i++)
    if (strcmp(n->attr[i]->key, name) == 0) return n->attr[i]->value;
  return NULL;
}

const tf_attr *hn_tf_attr(const tf_scope *s, const tf_node *n, const char *name) {
  const tf_attr *a = find_attr(n, name);
  if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_PLACEHOLDER) a = s->call ? find_attr(s->call, a->placeholder) : NULL;
  return a;
}

static const tf_attr *of_case(const tf_lower *x, const char *name, int value_case) {
  const tf_attr *a = hn_tf_attr(x->s, x->n, name);
  return a && (int)a->value_case == value_case ? a : NULL;
}

int64_t hn_tf_attr_i(const tf_lower *x, const char *name, int64_t otherwise) {
  const tf_attr *a = of_case(x, name, TENSORFLOW__ATTR_VALUE__VALUE_I);
  return a ? a->i : otherwise;
}

double hn_tf_attr_f(const tf_lower *x, const char *name, double otherwise) {
  const tf_attr *a = of_case(x, name, TENSORFLOW__ATTR_VALUE__VALUE_F);
  return a ? (double)a->f : otherwise;
}

bool hn_tf_attr_b(const tf_lower *x, const char *name, bool otherwise) {
  const tf_attr *a = of_case(x, name, TENSORFLOW__ATTR_VALUE__VALUE_B);
  return a ? a->b != 0 : otherwise;
}

const char *hn_tf_attr_s(const tf_lower *x, const char *name, const char *otherwise) {
  const tf_attr *a = of_case(x, name, TENSORFLOW__ATTR_VALUE__VALUE_S);
  const char *s = a ? hn_arena_strndup(x->s->im->arena, a->s.data ? (const char *)a->s.data : "", a->s.len) : NULL;
  return s ? s : otherwise;
}

hn_dtype hn_tf_attr_type(const tf_lower *x, const char *name) {
  const tf_attr *a = of_case(x, name, TENSORFLOW__ATTR_VALUE__VALUE_TYPE);
  return a ? hn_tf_dtype((int)a->type) : HONE_DTYPE_UNDEFINED;
}

uint32_t hn_tf_attr_ints(const tf_lower *x, const char *name, const int64_t **v) {
  const tf_attr *a = of_case(x, name, TENSORFLOW__ATTR_VALUE__VALUE_LIST);
  if (!a || !a->list->n_i) return 0;
  *v = a->list->i;
  return (uint32_t)a->list->n_i;
}

const char *hn_tf_attr_func(const tf_lower *x, const char *name) {
  const tf_attr *a = of_case(x, name, TENSORFLOW__ATTR_VALUE__VALUE_FUNC);
  return a ? a->func->name : NULL;
}

/* ---- values */

void hn_tf_fail(tf_lower *x, hone_status st, const char *fmt, ...) {
  va_list ap;
  if (x->m.st) return;
  va_start(ap, fmt);
  x->m.st = hn_vfail(x->s->im->cx, st, fmt, ap);
  va_end(ap);
  x->m.st = hn_fail_within(x->s->im->cx, x->m.st, "node '%s' (%s)", x->m.name, x->n->op);
}

hn_id hn_tf_in(tf_lower *x, uint32_t i) {
  hn_id id = HN_NONE;
  if (x->m.st) return HN_NONE;
  if (i >= x->n_in) {
    hn_tf_fail(x, HONE_BAD_GRAPH, "input %u is missing", i);
    return HN_NONE;
  }
  switch (x->in[i].kind) {
    case TF_TENSOR:
    case TF_LIST: return x->in[i].id;
    case TF_VARIABLE: x->m.st = hn_tf_constant_of(x->s, x->in[i].what, &id); return x->m.st ? HN_NONE : id;
    case TF_STRING: hn_tf_fail(x, HONE_UNSUPPORTED, "input %u is a string; tensors of strings are not supported", i); return HN_NONE;
    default: hn_tf_fail(x, HONE_UNSUPPORTED, "input %u is not a tensor", i); return HN_NONE;
  }
}

void hn_tf_out_value(tf_lower *x, uint32_t port, tf_value v) {
  if (!x->m.st) x->m.st = hn_tf_set(x->s, x->index, port, v);
}

void hn_tf_out(tf_lower *x, uint32_t port, hn_id id) {
  if (!x->m.st && id == HN_NONE) x->m.st = hn_nomem(x->s->im->cx);
  hn_tf_out_value(x, port, (tf_value){TF_TENSOR, id, 0, NULL});
}

hn_shape hn_tf_shape_of(const tf_lower *x, hn_id v) { return x->m.st || v == HN_NONE ? hn_shape_unknown() : hn_value_at(x->m.g, v)->shape; }

int32_t hn_tf_rank(tf_lower *x, hn_id v, const char *what) {
  int32_t rank = hn_tf_shape_of(x, v).rank;
  if (rank < 0) hn_tf_fail(x, HONE_UNSUPPORTED, "the number of dimensions of %s is not known; fix the shape of the inputs in the model", what);
  return rank;
}

bool hn_tf_ints(tf_lower *x, hn_id v, const int64_t **p, uint32_t *n) {
  enum { MOST = 1 << 16 };
  if (x->m.st || v == HN_NONE) return false;
  const hn_value *value = hn_value_at(x->m.g, v);
  if (!value->data) {
    for (uint32_t k = 0; k < value->n_sym; k++)
      if (!hn_dim_fixed(value->sym[k])) return false;
    *p = value->sym;
    *n = value->n_sym;
    return value->sym != NULL;
  }
  if (!hn_is_int(value->dtype) || value->data->count > MOST) return false;
  int64_t *copy = hn_arena_alloc(x->s->im->arena, sizeof *copy * ((size_t)value->data->count + 1));
  if (!copy) return false;
  for (int64_t k = 0; k < value->data->count; k++) copy[k] = hn_tensor_i(value->data, (size_t)k);
  *p = copy;
  *n = (uint32_t)value->data->count;
  return true;
}

static hn_tensor *permuted(tf_lower *x, const hn_tensor *t, const int64_t *perm) {
  int64_t dims[HN_MAX_RANK], stride[HN_MAX_RANK], at[HN_MAX_RANK] = {0}, step = 1;
  size_t size = hone_dtype_size(t->dtype), from = 0;
  hn_tensor *out;
  for (int32_t i = t->rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= t->dims[i];
  }
  for (int32_t i = 0; i < t->rank; i++) dims[i] = t->dims[perm[i]];
  if ((x->m.st = hn_tensor_create(x->s->im->cx, t->dtype, t->rank, dims, &out))) return NULL;
  for (int64_t k = 0; k < t->count; k++) {
    memcpy((char *)out->data + (size_t)k * size, (const char *)t->data + from * size, size);
    for (int32_t i = t->rank - 1; i >= 0; i--) {
      from += (size_t)stride[perm[i]];
      if (++at[i] < dims[i]) break;
      from -= (size_t)(stride[perm[i]] * dims[i]);
      at[i] = 0;
    }
  }
  return out;
}

hn_id hn_tf_transpose(tf_lower *x, hn_id v, const int64_t *perm, size_t n) {
  const hn_tensor *t = x->m.st ? NULL : hn_const(x->m.g, v);
  if (t && t->rank == (int32_t)n && hone_dtype_size(t->dtype)) return hn_make_constant(&x->m, permuted(x, t, perm));
  return hn_make_transpose(&x->m, v, perm, n);
}

hn_id hn_tf_i64(tf_lower *x, hn_id v) { return hn_make_cast(&x->m, v, HONE_DTYPE_I64); }

hn_id hn_tf_const_i(tf_lower *x, hn_dtype type, int64_t v) {
  hn_tensor *t = NULL;
  if (!x->m.st) x->m.st = hn_tensor_scalar_i(x->s->im->cx, type, v, &t);
  return hn_make_constant(&x->m, t);
}

hn_id hn_tf_node1(tf_lower *x, hn_op op, hn_id a, const char *attr, int64_t v) {
  hn_id node = hn_make_node(&x->m, op, &a, 1, 1);
  if (!x->m.st) hn_set_i(x->m.g, node, attr, v);
  return hn_make_done(&x->m, node);
}

hn_id hn_tf_unsqueeze(tf_lower *x, hn_id v, int64_t axis) { return hn_make2(&x->m, HN_Unsqueeze, v, hn_make_ints(&x->m, &axis, 1)); }
hn_id hn_tf_squeeze(tf_lower *x, hn_id v, int64_t axis) { return hn_make2(&x->m, HN_Squeeze, v, hn_make_ints(&x->m, &axis, 1)); }

hn_id hn_tf_concat(tf_lower *x, const hn_id *v, uint32_t n, int64_t axis) {
  if (n == 1) return v[0];
  hn_id node = hn_make_node(&x->m, HN_Concat, v, n, 1);
  if (!x->m.st) hn_set_i(x->m.g, node, "axis", axis);
  return hn_make_done(&x->m, node);
}

hn_id hn_tf_gather(tf_lower *x, hn_id v, hn_id index, int64_t axis) {
  hn_id node = hn_make_node(&x->m, HN_Gather, (hn_id[]){v, index}, 2, 1);
  if (!x->m.st) hn_set_i(x->m.g, node, "axis", axis);
  return hn_make_done(&x->m, node);
}

hn_id hn_tf_where(tf_lower *x, hn_id c, hn_id a, hn_id b) {
  return hn_make_done(&x->m, hn_make_node(&x->m, HN_Where, (hn_id[]){c, a, b}, 3, 1));
}

hn_id hn_tf_shape_op(tf_lower *x, hn_id v, int64_t start, int64_t end) {
  hn_id node = hn_make_node(&x->m, HN_Shape, &v, 1, 1);
  if (!x->m.st && start) hn_set_i(x->m.g, node, "start", start);
  if (!x->m.st && end != INT64_MAX) hn_set_i(x->m.g, node, "end", end);
  return hn_make_done(&x->m, node);
}

/* ---- channels: TensorFlow's images have them last, the IR's first */

bool hn_tf_channels_last(const tf_lower *x) {
  const char *format = hn_tf_attr_s(x, "data_format", "NHWC");
  return strncmp(format, "NC", 2) != 0;
}

hn_id hn_tf_to_first(tf_lower *x, hn_id v) {
  int64_t perm[HN_MAX_RANK] = {0};
  int32_t rank = hn_tf_rank(x, v, "an image");
  if (rank < 3) return v;
  perm[1] = rank - 1;
  for (int32_t i = 2; i < rank; i++) perm[i] = i - 1;
  return hn_tf_transpose(x, v, perm, (size_t)rank);
}

hn_id hn_tf_to_last(tf_lower *x, hn_id v) {
  int64_t perm[HN_MAX_RANK] = {0};
  int32_t rank = hn_tf_rank(x, v, "an image");
  if (rank < 3) return v;
  for (int32_t i = 1; i < rank - 1; i++) perm[i] = i + 1;
  perm[rank - 1] = 1;
  return hn_tf_transpose(x, v, perm, (size_t)rank);
}
