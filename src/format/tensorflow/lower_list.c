/* lower_list.c - lists of tensors: TensorList as a value, TensorArray as a handle whose contents flow beside it. Both are
   a tensor with one more dimension. Where the size of an element is not declared, it begins with dimensions of 1, which
   the first element that is put in broadcasts to its own. */
#include <string.h>

#include "format/tensorflow/tf_lower.h"

static hn_id in64(tf_lower *x, uint32_t i) { return hn_tf_i64(x, hn_tf_in(x, i)); }

/* The number of the list that this node makes; what is known of it stays over readings of the graph. */
static uint32_t list_of(tf_lower *x, hn_dtype dtype) {
  tf_import *im = x->s->im;
  uint32_t i = 0;
  while (i < im->lists.n && strcmp(im->lists.p[i].name, x->m.name) != 0) i++;
  if (i < im->lists.n) return i;
  tf_list l = {.name = x->m.name, .dtype = dtype, .element = hn_shape_unknown()};
  if (!hn_push(&im->lists, l)) x->m.st = hn_nomem(im->cx);
  return i;
}

static tf_list *list_at(tf_lower *x, uint32_t input) {
  tf_import *im = x->s->im;
  if (x->m.st) return NULL;
  if (input < x->n_in && (x->in[input].kind == TF_LIST || x->in[input].kind == TF_HANDLE) && x->in[input].what < im->lists.n)
    return &im->lists.p[x->in[input].what];
  hn_tf_fail(x, HONE_UNSUPPORTED, "input %u is not a list of tensors", input);
  return NULL;
}

/* The shape of an element, as far as a constant or attribute says; -1: open. */
static void declare(tf_list *l, const int64_t *dims, uint32_t n) {
  if (l->element.rank >= 0 || n > HN_MAX_RANK - 1) return;
  l->element.rank = (int32_t)n;
  for (uint32_t i = 0; i < n; i++) l->element.d[i] = dims[i] < 0 ? -1 : dims[i];
}

/* What is put in tells of the others: their rank is then known when the graph is read again, at once, since what was made of
   the list so far is of no use. */
static void read_again(tf_lower *x) {
  x->s->im->again = true;
  hn_tf_fail(x, HONE_UNSUPPORTED, "what the list holds was not known");
}

static void learn(tf_lower *x, tf_list *l, hn_id item) {
  hn_shape s = hn_tf_shape_of(x, item);
  if (!l || x->m.st || l->element.rank >= 0) return;
  if (s.rank < 0) {
    hn_tf_fail(x, HONE_UNSUPPORTED, "the number of dimensions of what is put into the list '%s' is not known", l->name);
    return;
  }
  l->element.rank = s.rank;
  for (int32_t i = 0; i < s.rank; i++) l->element.d[i] = hn_dim_fixed(s.d[i]) ? s.d[i] : -1;
  read_again(x);
}

static void out_list(tf_lower *x, uint32_t port, uint32_t list, hn_id id) {
  if (!x->m.st && id == HN_NONE) x->m.st = hn_nomem(x->s->im->cx);
  hn_tf_out_value(x, port, (tf_value){TF_LIST, id, list, NULL});
}

/* n elements of zeros. */
static hn_id zeros(tf_lower *x, const tf_list *l, hn_id n) {
  int64_t dims[HN_MAX_RANK];
  int32_t rank = l->element.rank < 0 ? 0 : l->element.rank;
  hn_dtype type = l->dtype ? l->dtype : HONE_DTYPE_F32;
  for (int32_t i = 0; i < rank; i++) dims[i] = l->element.d[i] < 0 ? 1 : l->element.d[i];
  const int64_t *v;
  uint32_t count;
  hn_id first = hn_tf_ints(x, n, &v, &count) && count == 1 ? hn_make_ints(&x->m, v, 1) : hn_make_reshape(&x->m, n, (const int64_t[]){1}, 1);
  hn_id shape = rank ? hn_tf_concat(x, (hn_id[]){first, hn_make_ints(&x->m, dims, (size_t)rank)}, 2, 0) : first;
  return hn_make2(&x->m, HN_Expand, hn_make_scalar(&x->m, type, 0), shape);
}

static bool fixed(const tf_list *l) {
  for (int32_t i = 0; i < l->element.rank; i++)
    if (l->element.d[i] < 0) return false;
  return l->element.rank >= 0;
}

/* The list with element(s) `item` at `index` ([k]). */
static hn_id put(tf_lower *x, const tf_list *l, hn_id list, hn_id index, hn_id items, hn_id item_shape) {
  hn_maker *m = &x->m;
  if (!l->whole && !fixed(l)) {
    hn_id shape = hn_tf_concat(x, (hn_id[]){hn_tf_shape_op(x, list, 0, 1), item_shape}, 2, 0);
    list = hn_make2(m, HN_Expand, list, shape);
  }
  return hn_make_done(m, hn_make_node(m, HN_ScatterND, (hn_id[]){list, hn_tf_unsqueeze(x, index, -1), items}, 3, 1));
}

static hn_id put_one(tf_lower *x, const tf_list *l, hn_id list, hn_id index, hn_id item) {
  tf_put p = {.before = list, .index = index, .item = item, .first = x->m.g->nodes.n};
  p.after = put(x, l, list, hn_make_reshape(&x->m, index, (const int64_t[]){1}, 1), hn_tf_unsqueeze(x, item, 0), hn_tf_shape_op(x, item, 0, INT64_MAX));
  p.end = x->m.g->nodes.n;
  if (!x->m.st && !hn_push(&x->s->nest->puts, p)) x->m.st = hn_nomem(x->s->im->cx);
  return p.after;
}

static hn_id length(tf_lower *x, hn_id list) {
  hn_id n = hn_make_reshape(&x->m, hn_tf_shape_op(x, list, 0, 1), (const int64_t[]){0}, 0);
  return hn_make_cast(&x->m, n, HONE_DTYPE_I32);
}

/* ---- TensorList */

void hn_tf_lower_list_from_tensor(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0);
  uint32_t i = list_of(x, hn_make_type(&x->m, v));
  hn_shape s = hn_tf_shape_of(x, v);
  int64_t dims[HN_MAX_RANK];
  if (s.rank < 1) hn_tf_fail(x, HONE_UNSUPPORTED, "the number of dimensions of its input is not known");
  if (x->m.st) return;
  for (int32_t k = 1; k < s.rank; k++) dims[k - 1] = hn_dim_fixed(s.d[k]) ? s.d[k] : -1;
  declare(&x->s->im->lists.p[i], dims, (uint32_t)s.rank - 1);
  x->s->im->lists.p[i].whole = true;
  out_list(x, 0, i, v);
}

void hn_tf_lower_list_reserve(tf_lower *x) {
  hn_dtype type = hn_tf_attr_type(x, "element_dtype");
  uint32_t i = list_of(x, type), n;
  const int64_t *v;
  hn_id shape = hn_tf_in(x, 0);
  if (x->m.st) return;
  if (hn_tf_shape_of(x, shape).rank == 1 && hn_tf_ints(x, shape, &v, &n)) declare(&x->s->im->lists.p[i], v, n);
  else if (hn_tf_shape_of(x, shape).rank == 1 && hn_value_at(x->m.g, shape)->sym) { /* computed: what is not fixed is open */
    const hn_value *value = hn_value_at(x->m.g, shape);
    declare(&x->s->im->lists.p[i], value->sym, value->n_sym);
  }
  out_list(x, 0, i, zeros(x, &x->s->im->lists.p[i], in64(x, 1)));
}

void hn_tf_lower_list_empty(tf_lower *x) {
  uint32_t i = list_of(x, hn_tf_attr_type(x, "element_dtype")), n;
  const int64_t *v;
  hn_id shape = hn_tf_in(x, 0);
  if (x->m.st) return;
  if (hn_tf_shape_of(x, shape).rank == 1 && hn_tf_ints(x, shape, &v, &n)) declare(&x->s->im->lists.p[i], v, n);
  out_list(x, 0, i, zeros(x, &x->s->im->lists.p[i], hn_tf_const_i(x, HONE_DTYPE_I64, 0)));
}

void hn_tf_lower_list_get(tf_lower *x) {
  list_at(x, 0);
  hn_tf_out(x, 0, hn_tf_gather(x, hn_tf_in(x, 0), hn_tf_in(x, 1), 0));
}

void hn_tf_lower_list_set(tf_lower *x) {
  tf_list *l = list_at(x, 0);
  hn_id item = hn_tf_in(x, 2);
  learn(x, l, item);
  if (x->m.st) return;
  out_list(x, 0, x->in[0].what, put_one(x, l, hn_tf_in(x, 0), in64(x, 1), item));
}

void hn_tf_lower_list_push(tf_lower *x) {
  tf_list *l = list_at(x, 0);
  hn_id item = hn_tf_in(x, 1), list = hn_tf_in(x, 0);
  learn(x, l, item);
  if (x->m.st) return;
  if (!l->whole && !fixed(l)) {
    hn_id shape = hn_tf_concat(x, (hn_id[]){hn_tf_shape_op(x, list, 0, 1), hn_tf_shape_op(x, item, 0, INT64_MAX)}, 2, 0);
    list = hn_make2(&x->m, HN_Expand, list, shape);
  }
  out_list(x, 0, x->in[0].what, hn_tf_concat(x, (hn_id[]){list, hn_tf_unsqueeze(x, item, 0)}, 2, 0));
}

void hn_tf_lower_list_stack(tf_lower *x) {
  list_at(x, 0);
  hn_tf_out(x, 0, hn_make1(&x->m, HN_Identity, hn_tf_in(x, 0)));
}

void hn_tf_lower_list_gather(tf_lower *x) {
  list_at(x, 0);
  hn_tf_out(x, 0, hn_tf_gather(x, hn_tf_in(x, 0), hn_tf_in(x, 1), 0));
}

void hn_tf_lower_list_length(tf_lower *x) {
  list_at(x, 0);
  hn_tf_out(x, 0, length(x, hn_tf_in(x, 0)));
}

void hn_tf_lower_list_element_shape(tf_lower *x) {
  hn_dtype type = hn_tf_attr_type(x, "shape_type");
  list_at(x, 0);
  hn_tf_out(x, 0, hn_make_cast(&x->m, hn_tf_shape_op(x, hn_tf_in(x, 0), 1, INT64_MAX), type ? type : HONE_DTYPE_I32));
}

/* Cut off, or zeros added. */
void hn_tf_lower_list_resize(tf_lower *x) {
  tf_list *l = list_at(x, 0);
  hn_id list = hn_tf_in(x, 0), n = hn_make_reshape(&x->m, in64(x, 1), (const int64_t[]){1}, 1);
  if (x->m.st) return;
  hn_id have = hn_tf_shape_op(x, list, 0, 1), zero = hn_make_ints(&x->m, (const int64_t[]){0}, 1);
  hn_id more = hn_make2(&x->m, HN_Max, hn_make2(&x->m, HN_Sub, n, have), zero);
  hn_id cut = hn_make_done(&x->m, hn_make_node(&x->m, HN_Slice, (hn_id[]){list, zero, n, zero}, 4, 1));
  int32_t rank = l->element.rank < 0 ? 0 : l->element.rank;
  int64_t none[2 * HN_MAX_RANK] = {0};
  hn_id before = hn_make_ints(&x->m, none, (size_t)rank + 1), part[3] = {before, more, hn_make_ints(&x->m, none, (size_t)rank)};
  hn_id pads = hn_tf_concat(x, part, rank ? 3 : 2, 0);
  out_list(x, 0, x->in[0].what, hn_make2(&x->m, HN_Pad, cut, pads));
}

/* ---- TensorArray: (handle, index, value, flow) */

void hn_tf_lower_array(tf_lower *x) {
  const tf_attr *a = hn_tf_attr(x->s, x->n, "element_shape");
  uint32_t i = list_of(x, hn_tf_attr_type(x, "dtype"));
  int64_t dims[HN_MAX_RANK];
  if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_SHAPE && !a->shape->unknown_rank && a->shape->n_dim && a->shape->n_dim < HN_MAX_RANK) {
    for (size_t k = 0; k < a->shape->n_dim; k++) dims[k] = a->shape->dim[k]->size;
    if (!x->m.st) declare(&x->s->im->lists.p[i], dims, (uint32_t)a->shape->n_dim);
  }
  if (x->m.st) return;
  hn_tf_out_value(x, 0, (tf_value){TF_HANDLE, HN_NONE, i, NULL});
  out_list(x, 1, i, zeros(x, &x->s->im->lists.p[i], in64(x, 0)));
}

/* The contents that flow beside a handle. */
static hn_id flow(tf_lower *x, uint32_t input) {
  list_at(x, 0);
  if (!x->m.st && (input >= x->n_in || x->in[input].kind != TF_LIST)) hn_tf_fail(x, HONE_UNSUPPORTED, "its flow is not that of a list");
  return hn_tf_in(x, input);
}

void hn_tf_lower_array_read(tf_lower *x) { hn_tf_out(x, 0, hn_tf_gather(x, flow(x, 2), hn_tf_in(x, 1), 0)); }

void hn_tf_lower_array_gather(tf_lower *x) { hn_tf_out(x, 0, hn_tf_gather(x, flow(x, 2), hn_tf_in(x, 1), 0)); }

void hn_tf_lower_array_write(tf_lower *x) {
  tf_list *l = list_at(x, 0);
  hn_id item = hn_tf_in(x, 2), list = flow(x, 3);
  learn(x, l, item);
  if (x->m.st) return;
  out_list(x, 0, x->in[0].what, put_one(x, l, list, in64(x, 1), item));
}

/* Elements at given places; all of them as a rule: then the list is what is put in. */
void hn_tf_lower_array_scatter(tf_lower *x) {
  tf_list *l = list_at(x, 0);
  hn_id items = hn_tf_in(x, 2), list = flow(x, 3);
  hn_shape s = hn_tf_shape_of(x, items);
  if (!x->m.st && s.rank < 1) hn_tf_fail(x, HONE_UNSUPPORTED, "the number of dimensions of its value is not known");
  if (x->m.st) return;
  if (l->element.rank < 0) {
    l->element.rank = s.rank - 1;
    for (int32_t i = 1; i < s.rank; i++) l->element.d[i - 1] = hn_dim_fixed(s.d[i]) ? s.d[i] : -1;
    read_again(x);
    return;
  }
  out_list(x, 0, x->in[0].what, put(x, l, list, in64(x, 1), items, hn_tf_shape_op(x, items, 1, INT64_MAX)));
}

void hn_tf_lower_array_size(tf_lower *x) { hn_tf_out(x, 0, length(x, flow(x, 1))); }
