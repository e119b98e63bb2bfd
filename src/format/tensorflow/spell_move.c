/* spell_move.c - shapes, order, joining and cutting, indices. */
#include <string.h>

#include "format/tensorflow/spell.h"

static const char *shape_tensor(tg *t, hn_id v) {
  const char *x = tg_plain(t, v);
  tg_node *node = tg_add(t, "Shape", NULL);
  tg_input(t, node, x);
  tg_type(t, node, "T", tg_dtype(t, v));
  tg_type(t, node, "out_type", HONE_DTYPE_I64);
  return tg_out(t, node, 0);
}

/* x[start:end:step] of a vector of 64-bit numbers. */
static const char *vector_slice(tg *t, const char *x, int64_t start, int64_t end) {
  const char *from = tg_numbers(t, &start, 1), *to = tg_numbers(t, &end, 1), *by = tg_numbers(t, (int64_t[]){1}, 1);
  tg_node *node = tg_add(t, "StridedSlice", NULL);
  tg_input(t, node, x);
  tg_input(t, node, from);
  tg_input(t, node, to);
  tg_input(t, node, by);
  tg_type(t, node, "T", HONE_DTYPE_I64);
  tg_type(t, node, "Index", HONE_DTYPE_I32);
  return tg_out(t, node, 0);
}

/* The dimensions of the output as a tensor, each of which is fixed or one of x's. NULL: it is not so. */
static const char *dims_from(tg *t, hn_id x, const hn_shape *out) {
  const hn_shape *in = tg_shape_of(t, x);
  const char *parts[HN_MAX_RANK], *shape = NULL;
  for (int32_t i = 0; i < out->rank; i++) {
    if (hn_dim_fixed(out->d[i])) {
      hn_tensor *one = NULL;
      if (!t->st) t->st = hn_tensor_ints(t->cx, &out->d[i], 1, &one);
      parts[i] = tg_const(t, one);
      continue;
    }
    int32_t k = 0;
    while (k < in->rank && in->d[k] != out->d[i]) k++;
    if (k == in->rank) return NULL;
    if (!shape) shape = shape_tensor(t, x);
    parts[i] = vector_slice(t, shape, k, k + 1);
  }
  return out->rank > 0 ? tg_concat(t, HONE_DTYPE_I64, parts, (size_t)out->rank, tg_number(t, 0)) : NULL;
}

static int open_dims(const hn_shape *s) {
  int n = 0;
  for (int32_t i = 0; i < s->rank; i++) n += !hn_dim_fixed(s->d[i]);
  return s->rank < 0 ? HN_MAX_RANK : n;
}

/* Reshape, Flatten, Squeeze, Unsqueeze: by the shape that inference found, or by the tensor that says it. */
void tg_spell_reshape(tg *t, const hn_node *n, const char *op) {
  const hn_shape *out = tg_shape_of(t, n->out[0]);
  const char *dims = NULL;
  (void)op;
  if (open_dims(out) > 1) {
    dims = out->rank >= 0 ? dims_from(t, n->in[0], out) : NULL;
    if (!dims && n->op == HN_Reshape && !hn_const(t->g, n->in[1])) dims = tg_plain(t, n->in[1]);
  }
  tg_set_plain(t, n->out[0], tg_reshape(t, tg_dtype(t, n->in[0]), tg_plain(t, n->in[0]), out, dims));
}

/* One that only changes between the two forms is not written at all. */
void tg_spell_transpose(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  const int64_t *given;
  int64_t perm[HN_MAX_RANK];
  uint32_t count = hn_attr_ints(n, "perm", &given);
  bool to_last = rank > 2, to_first = rank > 2;
  (void)op;
  if (rank < 0) {
    tg_refuse(t, "the rank of its input is not known");
    return;
  }
  for (int32_t i = 0; i < rank; i++) {
    perm[i] = count ? given[i] : rank - 1 - i;
    to_last = to_last && perm[i] == (i == 0 ? 0 : i == rank - 1 ? 1 : i + 1);
    to_first = to_first && perm[i] == (i == 0 ? 0 : i == 1 ? rank - 1 : i - 1);
  }
  if (to_first) tg_set_last(t, n->out[0], tg_plain(t, n->in[0]));
  else if (to_last) tg_set_plain(t, n->out[0], tg_last(t, n->in[0]));
  else tg_set_plain(t, n->out[0], tg_transpose(t, tg_dtype(t, n->in[0]), tg_plain(t, n->in[0]), perm, (size_t)rank));
}

/* ---- joining and cutting */

static bool axis_of(tg *t, const hn_node *n, int64_t otherwise, int32_t *axis) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  if (rank >= 0 && hn_axis(hn_attr_i(n, "axis", otherwise), rank, axis)) return true;
  tg_refuse(t, "the rank of its input is not known");
  return false;
}

void tg_spell_concat(tg *t, const hn_node *n, const char *op) {
  int32_t axis, rank = tg_shape_of(t, n->in[0])->rank;
  bool last = false;
  const char **parts = hn_arena_alloc(t->arena, sizeof *parts * n->n_main);
  (void)op;
  if (!parts || !axis_of(t, n, 0, &axis)) return;
  for (uint32_t i = 0; i < n->n_main && rank > 2; i++) last = last || tg_prefers_last(t, n->in[i]);
  for (uint32_t i = 0; i < n->n_main; i++) parts[i] = last ? tg_last(t, n->in[i]) : tg_plain(t, n->in[i]);
  const char *y = n->n_main == 1 ? tg1(t, "Identity", tg_dtype(t, n->in[0]), parts[0])
                                 : tg_concat(t, tg_dtype(t, n->in[0]), parts, n->n_main, tg_number(t, last ? tg_last_axis(axis, rank) : axis));
  if (last) tg_set_last(t, n->out[0], y);
  else tg_set_plain(t, n->out[0], y);
}

void tg_spell_split(tg *t, const hn_node *n, const char *op) {
  int32_t axis, rank = tg_shape_of(t, n->in[0])->rank;
  bool last = rank > 2 && tg_prefers_last(t, n->in[0]);
  int64_t *sizes = hn_arena_alloc(t->arena, sizeof *sizes * n->n_out);
  bool known = true;
  if (!sizes || !axis_of(t, n, 0, &axis)) return;
  for (uint32_t i = 0; i < n->n_out; i++) {
    const hn_shape *s = n->out[i] == HN_NONE ? NULL : tg_shape_of(t, n->out[i]);
    const hn_tensor *given = hn_const(t->g, hn_in(n, 1));
    sizes[i] = given ? hn_tensor_i(given, i) : s && s->rank == rank && hn_dim_fixed(s->d[axis]) ? s->d[axis] : -1;
    known = known && sizes[i] >= 0;
  }
  if (!known && hn_in(n, 1) != HN_NONE) tg_refuse(t, "the sizes of its parts are not known");
  if (!known) { /* equal ones */
    const char *of = tg_plain(t, n->in[0]), *along = tg_number(t, axis);
    tg_node *even = tg_add(t, "Split", NULL);
    tg_input(t, even, along);
    tg_input(t, even, of);
    tg_int(t, even, "num_split", n->n_out);
    tg_type(t, even, "T", tg_dtype(t, n->in[0]));
    for (uint32_t i = 0; i < n->n_out; i++) tg_set_plain(t, n->out[i], tg_out(t, even, i));
    return;
  }
  const char *x = last ? tg_last(t, n->in[0]) : tg_plain(t, n->in[0]), *cut = tg_numbers(t, sizes, n->n_out);
  const char *where = tg_number(t, last ? tg_last_axis(axis, rank) : axis);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, cut);
  tg_input(t, node, where);
  tg_int(t, node, "num_split", n->n_out);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tlen", HONE_DTYPE_I32);
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (last) tg_set_last(t, n->out[i], tg_out(t, node, i));
    else tg_set_plain(t, n->out[i], tg_out(t, node, i));
  }
}

/* Elements of a constant vector input; false: it is absent. */
static bool known_vector(tg *t, const hn_node *n, uint32_t i, const hn_tensor **c) {
  *c = hn_const(t->g, hn_in(n, i));
  if (hn_in(n, i) != HN_NONE && !*c) tg_refuse(t, "its bounds are computed, not constant");
  return *c != NULL;
}

/* Bounds that are computed: of the first dimensions, in order. */
static void computed_slice(tg *t, const hn_node *n, const char *op) {
  hn_dtype type = tg_dtype(t, n->in[1]);
  const hn_shape *s = tg_shape_of(t, n->in[1]);
  const hn_tensor *axes;
  known_vector(t, n, 3, &axes);
  bool first = s->rank == 1 && hn_dim_fixed(s->d[0]) && s->d[0] <= HN_MAX_RANK;
  for (int64_t i = 0; axes && first && i < axes->count; i++) first = hn_tensor_i(axes, (size_t)i) == i;
  if (!first) tg_refuse(t, "computed bounds of other than the first dimensions have no spelling in TensorFlow");
  if (t->st) return;
  const char *in[4] = {tg_plain(t, n->in[0]), tg_plain(t, n->in[1]), tg_plain(t, n->in[2]), hn_in(n, 4) == HN_NONE ? NULL : tg_plain(t, n->in[4])};
  if (!in[3]) {
    hn_tensor *ones = NULL;
    if (!t->st) t->st = hn_tensor_create(t->cx, type, 1, s->d, &ones);
    for (int64_t i = 0; ones && i < s->d[0]; i++) hn_store_i64(type, ones->data, (size_t)i, 1);
    in[3] = tg_const(t, ones);
  }
  tg_node *node = tg_add(t, op, NULL);
  for (int i = 0; i < 4; i++) tg_input(t, node, in[i]);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Index", type);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_slice(tg *t, const hn_node *n, const char *op) {
  if (!hn_const(t->g, hn_in(n, 1)) || !hn_const(t->g, hn_in(n, 2))) {
    computed_slice(t, n, op);
    return;
  }
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  bool last = rank > 2 && tg_prefers_last(t, n->in[0]);
  int64_t from[HN_MAX_RANK] = {0}, to[HN_MAX_RANK] = {0}, by[HN_MAX_RANK], open_from = 0, open_to = 0;
  const hn_tensor *starts, *ends, *axes, *steps;
  if (rank < 1 || !known_vector(t, n, 1, &starts) || !known_vector(t, n, 2, &ends)) {
    tg_refuse(t, "the rank of its input is not known");
    return;
  }
  known_vector(t, n, 3, &axes);
  known_vector(t, n, 4, &steps);
  for (int32_t i = 0; i < rank; i++) by[i] = 1;
  open_from = open_to = ((int64_t)1 << rank) - 1;
  for (int64_t i = 0; i < starts->count && !t->st; i++) {
    int32_t axis;
    if (!hn_axis(axes ? hn_tensor_i(axes, (size_t)i) : i, rank, &axis)) continue;
    int64_t at = last ? tg_last_axis(axis, rank) : axis, s = hn_tensor_i(starts, (size_t)i), e = hn_tensor_i(ends, (size_t)i);
    by[at] = steps ? hn_tensor_i(steps, (size_t)i) : 1;
    from[at] = s;
    to[at] = e;
    open_from &= ~((int64_t)1 << at);
    if (e < INT32_MAX && e > INT32_MIN) open_to &= ~((int64_t)1 << at); /* beyond: to the very end */
  }
  const char *x = last ? tg_last(t, n->in[0]) : tg_plain(t, n->in[0]);
  const char *a = tg_numbers(t, from, (size_t)rank), *b = tg_numbers(t, to, (size_t)rank), *c = tg_numbers(t, by, (size_t)rank);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, a);
  tg_input(t, node, b);
  tg_input(t, node, c);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Index", HONE_DTYPE_I32);
  tg_int(t, node, "begin_mask", open_from);
  tg_int(t, node, "end_mask", open_to);
  if (last) tg_set_last(t, n->out[0], tg_out(t, node, 0));
  else tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

/* Edges that are computed: all that come before, then all that come behind, as pairs. */
static void computed_pad(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  hn_dtype type = tg_dtype(t, n->in[1]);
  const char *mode = hn_attr_s(n, "mode", "constant");
  bool mirror = strcmp(mode, "reflect") == 0;
  if (rank < 1 || hn_in(n, 3) != HN_NONE || (!mirror && strcmp(mode, "constant") != 0)) tg_refuse(t, "its computed edges have no spelling in TensorFlow");
  hn_shape two = hn_shape_of(2, (int64_t[]){2, rank});
  const char *x = tg_plain(t, n->in[0]), *value = !mirror && hn_in(n, 2) != HN_NONE ? tg_plain(t, n->in[2]) : NULL;
  const char *pairs = tg_transpose(t, type, tg_reshape(t, type, tg_plain(t, n->in[1]), &two, NULL), (int64_t[]){1, 0}, 2);
  tg_node *node = tg_add(t, mirror ? "MirrorPad" : value ? op : "Pad", NULL);
  tg_input(t, node, x);
  tg_input(t, node, pairs);
  if (value) tg_input(t, node, value);
  if (mirror) tg_text(t, node, "mode", "REFLECT");
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tpaddings", type);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_pad(tg *t, const hn_node *n, const char *op) {
  if (hn_in(n, 1) != HN_NONE && !hn_const(t->g, n->in[1])) {
    computed_pad(t, n, op);
    return;
  }
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  bool last = rank > 2 && tg_prefers_last(t, n->in[0]);
  const char *mode = hn_attr_s(n, "mode", "constant");
  bool mirror = strcmp(mode, "reflect") == 0;
  hn_dtype type = tg_dtype(t, n->in[0]);
  const hn_tensor *pads, *axes;
  hn_tensor *edges = NULL;
  if (rank < 1 || !known_vector(t, n, 1, &pads)) {
    tg_refuse(t, "its edges are not known");
    return;
  }
  known_vector(t, n, 3, &axes);
  if (!mirror && strcmp(mode, "constant") != 0) tg_refuse(t, "mode %s has no spelling in TensorFlow", mode);
  if (!t->st) t->st = hn_tensor_create(t->cx, HONE_DTYPE_I32, 2, (int64_t[]){rank, 2}, &edges);
  int64_t count = pads->count / 2;
  for (int64_t i = 0; i < count && edges; i++) {
    int32_t axis;
    if (!hn_axis(axes ? hn_tensor_i(axes, (size_t)i) : i, rank, &axis)) continue;
    size_t at = (size_t)(last ? tg_last_axis(axis, rank) : axis);
    for (int64_t k = 0; k < 2; k++) {
      int64_t v = hn_tensor_i(pads, (size_t)(i + k * count));
      if (v < 0) tg_refuse(t, "negative edges have no spelling in TensorFlow");
      hn_store_i64(HONE_DTYPE_I32, edges->data, at * 2 + (size_t)k, v);
    }
  }
  const char *x = last ? tg_last(t, n->in[0]) : tg_plain(t, n->in[0]), *p = tg_const(t, edges), *value = NULL;
  if (!mirror) value = hn_in(n, 2) != HN_NONE ? tg_plain(t, n->in[2]) : NULL;
  tg_node *node = tg_add(t, mirror ? "MirrorPad" : value ? op : "Pad", NULL);
  tg_input(t, node, x);
  tg_input(t, node, p);
  if (value) tg_input(t, node, value);
  tg_type(t, node, "T", type);
  tg_type(t, node, "Tpaddings", HONE_DTYPE_I32);
  if (mirror) tg_text(t, node, "mode", "REFLECT");
  if (last) tg_set_last(t, n->out[0], tg_out(t, node, 0));
  else tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

/* To what the two shapes broadcast to. */
void tg_spell_expand(tg *t, const hn_node *n, const char *op) {
  const hn_shape *out = tg_shape_of(t, n->out[0]);
  const char *x = tg_plain(t, n->in[0]), *dims;
  hn_dtype index = HONE_DTYPE_I64;
  if (open_dims(out) == 0) {
    dims = tg_numbers(t, out->d, (size_t)out->rank);
    index = HONE_DTYPE_I32;
  } else {
    const char *shape = shape_tensor(t, n->in[0]), *want = tg_plain(t, n->in[1]);
    dims = tg2(t, "BroadcastArgs", HONE_DTYPE_I64, shape, want);
  }
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, dims);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tidx", index);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

/* op(plain inputs), with types by attribute. */
static tg_node *with_inputs(tg *t, const hn_node *n, const char *op, uint32_t count) {
  const char *in[8];
  for (uint32_t i = 0; i < count; i++) in[i] = tg_plain(t, n->in[i]);
  tg_node *node = tg_add(t, op, NULL);
  for (uint32_t i = 0; i < count; i++) tg_input(t, node, in[i]);
  return node;
}

void tg_spell_tile(tg *t, const hn_node *n, const char *op) {
  tg_node *node = with_inputs(t, n, op, 2);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tmultiples", tg_dtype(t, n->in[1]));
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

/* ---- indices. ONNX counts negative ones from the end, TensorFlow does not have them. */

/* `of` and `axis`: the dimension that is counted, where its size is open (-1). HN_NONE: there is none to ask. */
static const char *counted_from_0(tg *t, hn_id v, int64_t size, hn_id of, int32_t axis) {
  const hn_tensor *c = hn_const(t->g, v);
  hn_dtype type = tg_dtype(t, v);
  bool may = c == NULL && t->counts_back;
  for (int64_t i = 0; c && i < c->count; i++) may = may || hn_tensor_i(c, (size_t)i) < 0;
  const char *x = tg_plain(t, v);
  if (!may) return x;
  if (size >= 0) return tg2(t, "FloorMod", type, x, tg_scalar(t, type, (double)size));
  if (of == HN_NONE || (type != HONE_DTYPE_I64 && type != HONE_DTYPE_I32)) tg_refuse(t, "its indices may be negative and the size of the dimension is open");
  if (t->st) return NULL;
  hn_shape one = hn_shape_of(1, (int64_t[]){1});
  const char *n = tg_reshape(t, HONE_DTYPE_I64, vector_slice(t, shape_tensor(t, of), axis, axis + 1), &one, NULL);
  if (type == HONE_DTYPE_I32) {
    tg_node *narrow = tg_add(t, "Cast", NULL);
    tg_input(t, narrow, n);
    tg_type(t, narrow, "SrcT", HONE_DTYPE_I64);
    tg_type(t, narrow, "DstT", HONE_DTYPE_I32);
    n = tg_out(t, narrow, 0);
  }
  hn_shape none = hn_shape_of(0, NULL);
  return tg2(t, "FloorMod", type, x, tg_reshape(t, type, n, &none, NULL));
}

static void gather(tg *t, const hn_node *n, const char *x, const char *index, const char *axis, int64_t batch) {
  tg_node *node = tg_add(t, "GatherV2", NULL);
  tg_input(t, node, x);
  tg_input(t, node, index);
  tg_input(t, node, axis);
  tg_type(t, node, "Tparams", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tindices", tg_dtype(t, n->in[1]));
  tg_type(t, node, "Taxis", HONE_DTYPE_I32);
  tg_int(t, node, "batch_dims", batch);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_gather(tg *t, const hn_node *n, const char *op) {
  int32_t axis;
  const hn_shape *s = tg_shape_of(t, n->in[0]);
  if (!axis_of(t, n, 0, &axis)) return;
  const char *x = tg_plain(t, n->in[0]), *i = counted_from_0(t, n->in[1], hn_dim_fixed(s->d[axis]) ? s->d[axis] : -1, n->in[0], axis), *where = tg_number(t, axis);
  (void)op;
  gather(t, n, x, i, where, 0);
}

void tg_spell_gather_nd(tg *t, const hn_node *n, const char *op) {
  const hn_shape *index = tg_shape_of(t, n->in[1]);
  int64_t batch = hn_attr_i(n, "batch_dims", 0);
  if (batch && index->rank > 0 && index->d[index->rank - 1] == 1) { /* one index: a gather */
    hn_shape less = *index;
    less.rank--;
    const char *x = tg_plain(t, n->in[0]), *i = tg_reshape(t, tg_dtype(t, n->in[1]), tg_plain(t, n->in[1]), &less, NULL), *axis = tg_number(t, batch);
    gather(t, n, x, i, axis, batch);
    return;
  }
  if (batch) tg_refuse(t, "batch_dims with more than one index have no spelling in TensorFlow");
  tg_node *node = with_inputs(t, n, op, 2);
  tg_type(t, node, "Tparams", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tindices", tg_dtype(t, n->in[1]));
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_scatter_nd(tg *t, const hn_node *n, const char *op) {
  const char *how = hn_attr_s(n, "reduction", "none");
  const char *tf = strcmp(how, "none") == 0 ? op : strcmp(how, "add") == 0 ? "TensorScatterAdd" : strcmp(how, "max") == 0 ? "TensorScatterMax" : strcmp(how, "min") == 0 ? "TensorScatterMin" : NULL;
  if (!tf) {
    tg_refuse(t, "reduction %s has no spelling in TensorFlow", how);
    return;
  }
  tg_node *node = with_inputs(t, n, tf, 3);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tindices", tg_dtype(t, n->in[1]));
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

/* A 32-bit scalar. */
static const char *computed_depth(tg *t, hn_id v) {
  hn_shape none = hn_shape_of(0, NULL);
  tg_node *node = tg_add(t, "Cast", NULL);
  tg_input(t, node, tg_plain(t, v));
  tg_type(t, node, "SrcT", tg_dtype(t, v));
  tg_type(t, node, "DstT", HONE_DTYPE_I32);
  return tg_reshape(t, HONE_DTYPE_I32, tg_out(t, node, 0), &none, NULL);
}

void tg_spell_one_hot(tg *t, const hn_node *n, const char *op) {
  hn_dtype type = tg_dtype(t, n->in[2]), index = tg_dtype(t, n->in[0]);
  const hn_tensor *depth = hn_const(t->g, n->in[1]), *values = hn_const(t->g, n->in[2]);
  if (!values || values->count != 2 || (index != HONE_DTYPE_I32 && index != HONE_DTYPE_I64)) {
    tg_refuse(t, "its values are not constant, or its indices are no integers");
    return;
  }
  const char *i = counted_from_0(t, n->in[0], depth ? hn_tensor_i(depth, 0) : -1, HN_NONE, 0), *d = depth ? tg_number(t, hn_tensor_i(depth, 0)) : computed_depth(t, n->in[1]);
  const char *on = tg_scalar(t, type, hn_tensor_f(values, 1)), *off = tg_scalar(t, type, hn_tensor_f(values, 0));
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, i);
  tg_input(t, node, d);
  tg_input(t, node, on);
  tg_input(t, node, off);
  tg_int(t, node, "axis", hn_attr_i(n, "axis", -1));
  tg_type(t, node, "T", type);
  tg_type(t, node, "TI", index);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_non_zero(tg *t, const hn_node *n, const char *op) {
  tg_node *node = with_inputs(t, n, op, 1);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_set_plain(t, n->out[0], tg_transpose(t, HONE_DTYPE_I64, tg_out(t, node, 0), (int64_t[]){1, 0}, 2));
}

/* TensorFlow's is over the last dimension, for the largest, with a 32-bit k. */
void tg_spell_top_k(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank, axis;
  hn_dtype type = tg_dtype(t, n->in[0]);
  const hn_tensor *k = hn_const(t->g, n->in[1]);
  if (!axis_of(t, n, -1, &axis)) return;
  if (axis != rank - 1 || !hn_attr_i(n, "largest", 1)) {
    tg_refuse(t, "only the largest along the last dimension have a spelling in TensorFlow");
    return;
  }
  const char *x = tg_plain(t, n->in[0]), *count = k ? tg_number(t, hn_tensor_i(k, 0)) : computed_depth(t, n->in[1]);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, count);
  tg_bool(t, node, "sorted", hn_attr_i(n, "sorted", 1) != 0);
  tg_type(t, node, "T", type);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
  tg_node *wide = tg_add(t, "Cast", NULL);
  tg_input(t, wide, tg_out(t, node, 1));
  tg_type(t, wide, "SrcT", HONE_DTYPE_I32);
  tg_type(t, wide, "DstT", HONE_DTYPE_I64);
  tg_set_plain(t, n->out[1], tg_out(t, wide, 0));
}

/* ---- shapes as data */

void tg_spell_shape(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  int64_t start = hn_attr_i(n, "start", 0), end = hn_attr_i(n, "end", INT64_MAX);
  const char *s = shape_tensor(t, n->in[0]);
  (void)op;
  if (rank < 0 && (start || end != INT64_MAX)) tg_refuse(t, "the rank of its input is not known");
  if (start < 0) start += rank;
  if (end < 0) end += rank;
  if (start > 0 || end < rank) s = vector_slice(t, s, start < 0 ? 0 : start, end > rank ? rank : end);
  tg_set_plain(t, n->out[0], s);
}

void tg_spell_size(tg *t, const hn_node *n, const char *op) {
  tg_node *node = with_inputs(t, n, op, 1);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "out_type", HONE_DTYPE_I64);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_fill(tg *t, const hn_node *n, const char *op) {
  hn_dtype type = tg_dtype(t, n->out[0]);
  hn_tensor *value = hn_attr_tensor(n, "value");
  const char *dims = tg_plain(t, n->in[0]), *v = tg_scalar(t, type, value ? hn_tensor_f(value, 0) : 0);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, dims);
  tg_input(t, node, v);
  tg_type(t, node, "T", type);
  tg_type(t, node, "index_type", tg_dtype(t, n->in[0]));
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_range(tg *t, const hn_node *n, const char *op) {
  tg_node *node = with_inputs(t, n, op, 3);
  tg_type(t, node, "Tidx", tg_dtype(t, n->in[0]));
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}
