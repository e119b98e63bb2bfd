/* keras_help.c - what lowerings share: layouts, weights, main nodes, errors. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/keras/keras.h"

hone_status kr_fail(const kr_call *c, hone_status st, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return hn_fail(c->k->cx, st, "layer '%s' (%s): %s", c->l->full, c->l->kind, text);
}

void kr_begin_at_zero(const kr_call *c, const json_t *config) {
  if (kj_bool(config, "stateful", false))
    hn_log(c->k->cx, HONE_LOG_WARNING, "layer '%s' (%s): stateful=True: each run begins at a state of zeros, as Keras' first does and those "
           "after reset_states(); to go on from a state, give it as initial_state and take it by return_state", c->l->full, c->l->kind);
}

int32_t kr_rank(const kr_call *c, hn_id v) { return v == HN_NONE ? -1 : hn_value_at(c->k->g, v)->shape.rank; }

int64_t kr_dim(const kr_call *c, hn_id v, int32_t axis) {
  const hn_shape *s = v == HN_NONE ? NULL : &hn_value_at(c->k->g, v)->shape;
  if (s && axis < 0) axis += s->rank;
  return s && axis >= 0 && axis < s->rank && hn_dim_fixed(s->d[axis]) ? s->d[axis] : -1;
}

hn_id kr_main(kr_call *c, hn_op op, const hn_id *in, uint32_t n_in, uint32_t n_out) {
  if (c->m.st) return HN_NONE;
  hn_id node = hn_graph_add_node(c->k->g, op, c->m.name, in, n_in, n_out);
  if (node == HN_NONE) c->m.st = hn_nomem(c->k->cx);
  return node;
}

hone_status kr_result(kr_call *c, hn_id v) {
  c->out[0] = v;
  c->n_out = 1;
  return c->m.st;
}

hn_id kr_named(kr_call *c, const char *name) {
  for (uint32_t i = 0; i < c->n_named; i++)
    if (strcmp(c->named[i], name) == 0) return c->heeded |= 1U << i, c->named_value[i];
  return HN_NONE;
}

hn_id kr_dims_of(kr_call *c, hn_id x, int64_t start, int64_t end) {
  hn_id node = hn_make_node(&c->m, HN_Shape, &x, 1, 1);
  if (c->m.st) return HN_NONE;
  hn_set_i(c->k->g, node, "start", start);
  hn_set_i(c->k->g, node, "end", end);
  return hn_make_done(&c->m, node);
}

/* ---- layouts */

bool kr_channels_first(const kr_call *c) { return hn_streq(kj_text(c->config, "data_format", "channels_last"), "channels_first"); }

hn_id kr_to_first(kr_call *c, hn_id x) {
  int32_t rank = kr_rank(c, x);
  int64_t perm[HN_MAX_RANK] = {0, rank - 1};
  if (kr_channels_first(c) || rank < 3 || c->m.st) return x;
  for (int32_t i = 2; i < rank; i++) perm[i] = i - 1;
  return hn_make_transpose(&c->m, x, perm, (size_t)rank);
}

hn_id kr_to_last(kr_call *c, hn_id x) {
  int32_t rank = kr_rank(c, x);
  int64_t perm[HN_MAX_RANK] = {0};
  if (kr_channels_first(c) || rank < 3 || c->m.st) return x;
  for (int32_t i = 1; i < rank - 1; i++) perm[i] = i + 1;
  perm[rank - 1] = 1;
  return hn_make_transpose(&c->m, x, perm, (size_t)rank);
}

/* ---- weights */

hone_status kr_expect(kr_call *c, uint32_t i, const char *name, int32_t rank, const int64_t *dims) {
  const hn_tensor *t = c->l->w[i];
  if (!t) return HONE_OK;
  bool fits = t->rank == rank && hone_dtype_size(t->dtype) > 0;
  hn_str is = {0}, want = {0};
  for (int32_t k = 0; fits && k < rank; k++) fits = dims[k] < 0 || dims[k] == t->dims[k];
  if (fits) return HONE_OK;
  for (int32_t k = 0; k < t->rank; k++) hn_str_printf(&is, "%s%lld", k ? "x" : "", (long long)t->dims[k]);
  for (int32_t k = 0; k < rank; k++) {
    if (dims[k] < 0) hn_str_printf(&want, "%s?", k ? "x" : "");
    else hn_str_printf(&want, "%s%lld", k ? "x" : "", (long long)dims[k]);
  }
  hone_status st = kr_fail(c, HONE_BAD_GRAPH, "weight '%s' is %s %s; it should be %s", name, hone_dtype_name(t->dtype), is.p ? is.p : "a scalar", want.p ? want.p : "a scalar");
  hn_str_free(&is);
  hn_str_free(&want);
  return st;
}

/* The tensor with its dimensions in another order. */
static hone_status permuted(hone_context *cx, const hn_tensor *t, const int64_t *perm, hn_tensor **out) {
  int64_t dims[HN_MAX_RANK], step[HN_MAX_RANK], at[HN_MAX_RANK] = {0};
  size_t size = hone_dtype_size(t->dtype);
  hn_tensor *r;
  for (int32_t i = 0; i < t->rank; i++) {
    dims[i] = t->dims[perm[i]];
    step[i] = 1;
    for (int32_t k = (int32_t)perm[i] + 1; k < t->rank; k++) step[i] *= t->dims[k];
  }
  HN_TRY(hn_tensor_create(cx, t->dtype, t->rank, dims, &r));
  for (int64_t i = 0, from = 0; i < t->count; i++) {
    memcpy((char *)r->data + (size_t)i * size, (const char *)t->data + (size_t)from * size, size);
    for (int32_t k = t->rank - 1; k >= 0; k--) {
      from += step[k];
      if (++at[k] < dims[k]) break;
      from -= step[k] * dims[k];
      at[k] = 0;
    }
  }
  *out = r;
  return HONE_OK;
}

hn_id kr_weight(kr_call *c, uint32_t i, const int64_t *perm) {
  hn_tensor *t = c->l->w[i];
  if (!t || c->m.st) return HN_NONE;
  if (!perm) return hn_make_constant(&c->m, hn_tensor_ref(t));
  hn_tensor *turned = NULL;
  c->m.st = permuted(c->k->cx, t, perm, &turned);
  return hn_make_constant(&c->m, turned);
}

hn_id kr_weight_as(kr_call *c, uint32_t i, int32_t rank, const int64_t *dims) {
  const hn_tensor *t = c->l->w[i];
  hn_tensor *r = NULL;
  if (!t || c->m.st) return HN_NONE;
  c->m.st = hn_tensor_create(c->k->cx, t->dtype, rank, dims, &r);
  if (!c->m.st && r->bytes != t->bytes) {
    hn_tensor_unref(r);
    c->m.st = kr_fail(c, HONE_BAD_GRAPH, "a weight has %lld elements; its place has another number", (long long)t->count);
    return HN_NONE;
  }
  if (!c->m.st && r->bytes) memcpy(r->data, t->data, t->bytes);
  return hn_make_constant(&c->m, r);
}
