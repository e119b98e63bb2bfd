/* infer.c - the driver of shape inference and what family functions use to talk to it. */
#include "op/infer.h"

#include <stdio.h>
#include <string.h>

typedef hone_status (*infer_fn)(hn_infer *x);

#define FAMILY(name) hone_status hn_infer_##name(hn_infer *x);
#include "op/families.def"
#undef FAMILY

static const struct {
  const char *name;
  infer_fn fn;
} families[] = {
#define FAMILY(name) {#name, hn_infer_##name},
#include "op/families.def"
#undef FAMILY
};

static const char *const family_names[] = {
    [HN_OP_NONE] = "",
#define OP(N, family, imin, imax, omin, omax, flags, attrs, doc) [HN_##N] = #family,
#include "ir/op.def"
#undef OP
};

static infer_fn family_of(hn_op op) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if (strcmp(families[i].name, family_names[op]) == 0) return families[i].fn;
  return NULL;
}

bool hn_infer_knows(hn_op op) { return family_of(op) != NULL; }

hone_status hn_ierror(const hn_infer *x, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  const hn_node *n = hn_ino(x);
  return hn_fail(x->cx, HONE_BAD_GRAPH, "node '%s' (%s): %s", n->name, hn_op_name(n->op), text);
}

bool hn_ihas(const hn_infer *x, uint32_t i) { return hn_in(hn_ino(x), i) != HN_NONE; }

static const hn_value *input(const hn_infer *x, uint32_t i) {
  hn_id v = hn_in(hn_ino(x), i);
  return v == HN_NONE ? NULL : hn_value_at(x->g, v);
}

hn_dtype hn_idtype(const hn_infer *x, uint32_t i) {
  const hn_value *v = input(x, i);
  return v ? v->dtype : HONE_DTYPE_UNDEFINED;
}

hn_shape hn_ishape(const hn_infer *x, uint32_t i) {
  const hn_value *v = input(x, i);
  return v ? v->shape : hn_shape_unknown();
}

const hn_tensor *hn_iconst(const hn_infer *x, uint32_t i) {
  const hn_value *v = input(x, i);
  return v ? v->data : NULL;
}

enum { MAX_SYM = 64 };

bool hn_isym(const hn_infer *x, uint32_t i, const hn_dim **d, uint32_t *n) {
  const hn_value *v = input(x, i);
  if (!v) return false;
  if (v->sym) {
    *d = v->sym;
    *n = v->n_sym;
    return true;
  }
  if (!v->data || v->data->rank > 1 || !hn_is_int(v->dtype) || v->data->count > MAX_SYM) return false;
  uint32_t count = (uint32_t)v->data->count;
  hn_dim *copy = hn_arena_alloc(x->g->arena, sizeof *copy * (count ? count : 1));
  if (!copy) return false;
  for (uint32_t k = 0; k < count; k++)
    if ((copy[k] = hn_tensor_i(v->data, k)) < 0) return false;
  *d = copy;
  *n = count;
  return true;
}

bool hn_iints(const hn_infer *x, uint32_t i, const int64_t **p, uint32_t *n) {
  const hn_value *v = input(x, i);
  if (!v) return false;
  if (!v->data) {
    if (!v->sym) return false;
    for (uint32_t k = 0; k < v->n_sym; k++)
      if (!hn_dim_fixed(v->sym[k])) return false;
    *p = v->sym;
    *n = v->n_sym;
    return true;
  }
  if (v->data->rank > 1 || !hn_is_int(v->dtype) || v->data->count > (1 << 20)) return false;
  uint32_t count = (uint32_t)v->data->count;
  int64_t *copy = hn_arena_alloc(x->g->arena, sizeof *copy * (count ? count : 1));
  if (!copy) return false;
  for (uint32_t k = 0; k < count; k++) copy[k] = hn_tensor_i(v->data, k);
  *p = copy;
  *n = count;
  return true;
}

/* The more precise of two dimensions that must be equal; false if they contradict. */
static bool merge_dim(hn_dims *t, hn_dim known, hn_dim found, hn_dim *out) {
  if (hn_dim_fixed(known) && hn_dim_fixed(found)) {
    *out = known;
    return known == found;
  }
  if (hn_dim_fixed(known)) *out = known;
  else if (hn_dim_fixed(found)) *out = found;
  else *out = hn_dim_anonymous(t, found) && !hn_dim_anonymous(t, known) ? known : found;
  return true;
}

hone_status hn_oset(hn_infer *x, uint32_t i, hn_dtype dtype, hn_shape shape) {
  hn_id id = hn_out(hn_ino(x), i);
  if (id == HN_NONE) return HONE_OK;
  hn_value *v = hn_value_at(x->g, id);
  if (v->dtype && dtype && v->dtype != dtype)
    return hn_ierror(x, "output %u is declared %s but computes to %s", i, hone_dtype_name(v->dtype),
                     hone_dtype_name(dtype));
  if (dtype) v->dtype = dtype;
  if (shape.rank < 0) return HONE_OK;
  for (int32_t k = 0; k < shape.rank; k++)
    if (shape.d[k] == HN_DIM_BAD) return hn_ierror(x, "output %u: dimension %d is too large", i, k);
  if (v->shape.rank < 0) {
    v->shape = shape;
    return HONE_OK;
  }
  hn_shape merged = shape;
  bool ok = v->shape.rank == shape.rank;
  for (int32_t k = 0; ok && k < shape.rank; k++) ok = merge_dim(x->g->dims, v->shape.d[k], shape.d[k], &merged.d[k]);
  if (!ok) {
    hn_str a = {0}, b = {0};
    hn_shape_text(x->g->dims, &v->shape, &a);
    hn_shape_text(x->g->dims, &shape, &b);
    hone_status st = hn_ierror(x, "output %u is declared %s but computes to %s", i, a.p ? a.p : "", b.p ? b.p : "");
    hn_str_free(&a);
    hn_str_free(&b);
    return st;
  }
  v->shape = merged;
  return HONE_OK;
}

void hn_osym(hn_infer *x, uint32_t i, const hn_dim *d, uint32_t n) {
  hn_id id = hn_out(hn_ino(x), i);
  if (id == HN_NONE || n > MAX_SYM) return;
  for (uint32_t k = 0; k < n; k++)
    if (d[k] == HN_DIM_BAD) return;
  hn_value *v = hn_value_at(x->g, id);
  hn_dim *copy = hn_arena_memdup(x->g->arena, d, sizeof *d * n);
  if (!copy) return;
  v->sym = copy;
  v->n_sym = n;
}

bool hn_axis(int64_t axis, int32_t rank, int32_t *out) {
  if (axis < -rank || axis >= rank) return false;
  *out = (int32_t)(axis < 0 ? axis + rank : axis);
  return true;
}

bool hn_broadcast(hn_dims *t, const hn_shape *a, const hn_shape *b, hn_shape *out) {
  if (a->rank < 0 || b->rank < 0) {
    *out = hn_shape_unknown();
    return true;
  }
  hn_shape s = {.rank = a->rank > b->rank ? a->rank : b->rank};
  for (int32_t i = 0; i < s.rank; i++) {
    int32_t ia = i - (s.rank - a->rank), ib = i - (s.rank - b->rank);
    hn_dim da = ia < 0 ? 1 : a->d[ia], db = ib < 0 ? 1 : b->d[ib];
    if (da == db || db == 1) s.d[i] = da;
    else if (da == 1) s.d[i] = db;
    else if (hn_dim_fixed(da) && hn_dim_fixed(db)) return false;
    else if (hn_dim_fixed(da)) s.d[i] = da; /* the other must be 1 or the same */
    else if (hn_dim_fixed(db)) s.d[i] = db;
    else s.d[i] = hn_dim_unknown(t);
  }
  *out = s;
  return true;
}

static hone_status check_arity(const hn_infer *x) {
  const hn_node *n = hn_ino(x);
  const hn_op_row *row = hn_op_info(n->op);
  if (n->n_main < row->min_in || (n->n_main > row->max_in && row->max_in != 255))
    return hn_ierror(x, "has %u inputs; takes %u to %u", n->n_main, row->min_in, row->max_in);
  for (uint32_t i = 0; i < row->min_in; i++)
    if (n->in[i] == HN_NONE) return hn_ierror(x, "required input %u is missing", i);
  if (n->n_out > row->max_out && row->max_out != 255)
    return hn_ierror(x, "has %u outputs; makes at most %u", n->n_out, row->max_out);
  return HONE_OK;
}

hone_status hn_infer_node(hn_graph *g, hn_id node) {
  if (node == HN_NONE || g->oom) return hn_nomem(g->cx);
  hn_infer x = {g->cx, g, node};
  HN_TRY(check_arity(&x));
  infer_fn family = family_of(hn_ino(&x)->op);
  if (!family)
    return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s': operator %s has no shape inference", hn_ino(&x)->name,
                   hn_op_name(hn_ino(&x)->op));
  HN_TRY(family(&x));
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}

hone_status hn_infer_graph(hn_graph *g) {
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < n && !st; i++) st = hn_infer_node(g, order[i]);
  hn_free(order);
  return st;
}

hone_status hn_infer_again(hn_graph *g) {
  for (size_t i = 0; i < g->values.n; i++) {
    hn_value *v = &g->values.p[i];
    if (v->data || v->is_input) continue;
    v->shape = hn_shape_unknown();
    v->sym = NULL;
    v->n_sym = 0;
  }
  return hn_infer_graph(g);
}

hone_status hn_bind_input(hn_graph *g, hn_id input, const hn_shape *shape) {
  hn_value *v = hn_value_at(g, input);
  if (v->shape.rank >= 0 && v->shape.rank != shape->rank)
    return hn_fail(g->cx, HONE_BAD_ARG, "input '%s' has %d dimensions, not %d", v->name, v->shape.rank, shape->rank);
  for (int32_t k = 0; k < v->shape.rank; k++) {
    hn_dim d = hn_dim_eval(g->dims, v->shape.d[k]);
    if (hn_dim_fixed(d) && d != shape->d[k])
      return hn_fail(g->cx, HONE_BAD_ARG, "input '%s': dimension %d is fixed at %lld, it cannot be %lld", v->name, k,
                     (long long)d, (long long)shape->d[k]);
    if (hn_dim_is_symbol(g->dims, d)) hn_dim_bind(g->dims, d, shape->d[k]);
  }
  v->shape = *shape;
  for (size_t i = 0; i < g->inputs.n; i++) { /* other inputs may share the symbols */
    hn_value *o = hn_value_at(g, g->inputs.p[i]);
    for (int32_t k = 0; k < o->shape.rank; k++) o->shape.d[k] = hn_dim_eval(g->dims, o->shape.d[k]);
  }
  return HONE_OK;
}
