/* lower_shape.c - shapes, and what moves elements without looking at them. */
#include <string.h>

#include "base/checked.h"
#include "format/tensorflow/tf_lower.h"

static hn_id in64(tf_lower *x, uint32_t i) { return hn_tf_i64(x, hn_tf_in(x, i)); }

/* A constant axis among the inputs. */
static int64_t axis_in(tf_lower *x, uint32_t i) {
  const int64_t *v;
  uint32_t n;
  if (hn_tf_ints(x, hn_tf_in(x, i), &v, &n) && n == 1) return v[0];
  hn_tf_fail(x, HONE_UNSUPPORTED, "its axis is not constant");
  return 0;
}

static hn_id typed_size(tf_lower *x, hn_id v) { /* sizes are int32 unless asked for otherwise */
  hn_dtype t = hn_tf_attr_type(x, "out_type");
  return hn_make_cast(&x->m, v, t ? t : HONE_DTYPE_I32);
}

void hn_tf_lower_shape(tf_lower *x) {
  for (uint32_t i = 0; i < x->n_in; i++) hn_tf_out(x, i, typed_size(x, hn_tf_shape_op(x, hn_tf_in(x, i), 0, INT64_MAX)));
}

void hn_tf_lower_size(tf_lower *x) { hn_tf_out(x, 0, typed_size(x, hn_make1(&x->m, HN_Size, hn_tf_in(x, 0)))); }

void hn_tf_lower_rank_of(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0);
  int32_t rank = hn_tf_shape_of(x, v).rank;
  if (rank >= 0) hn_tf_out(x, 0, hn_tf_const_i(x, HONE_DTYPE_I32, rank));
  else hn_tf_out(x, 0, hn_make_cast(&x->m, hn_make1(&x->m, HN_Size, hn_tf_shape_op(x, v, 0, INT64_MAX)), HONE_DTYPE_I32));
}

void hn_tf_lower_reshape(tf_lower *x) {
  hn_id node = hn_make_node(&x->m, HN_Reshape, (hn_id[]){hn_tf_in(x, 0), in64(x, 1)}, 2, 1);
  const int64_t *v;
  uint32_t n;
  if (!x->m.st && hn_tf_ints(x, hn_node_at(x->m.g, node)->in[1], &v, &n))
    for (uint32_t i = 0; i < n; i++)
      if (v[i] == 0) hn_set_i(x->m.g, node, "allowzero", 1);
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

void hn_tf_lower_squeeze(tf_lower *x) {
  const int64_t *v;
  hn_id a = hn_tf_in(x, 0);
  uint32_t n = hn_tf_attr_ints(x, "squeeze_dims", &v);
  if (!n) n = hn_tf_attr_ints(x, "axis", &v);
  hn_tf_out(x, 0, n ? hn_make2(&x->m, HN_Squeeze, a, hn_make_ints(&x->m, v, n)) : hn_make1(&x->m, HN_Squeeze, a));
}

void hn_tf_lower_expand_dims(tf_lower *x) { hn_tf_out(x, 0, hn_tf_unsqueeze(x, hn_tf_in(x, 0), axis_in(x, 1))); }

void hn_tf_lower_transpose(tf_lower *x) {
  const int64_t *v;
  uint32_t n;
  hn_id a = hn_tf_in(x, 0);
  if (!hn_tf_ints(x, hn_tf_in(x, 1), &v, &n) || n > HN_MAX_RANK) {
    hn_tf_fail(x, HONE_UNSUPPORTED, "its permutation is not constant");
    return;
  }
  bool used[HN_MAX_RANK] = {false};
  for (uint32_t i = 0; i < n; i++) {
    if (v[i] < 0 || v[i] >= n || used[v[i]]) {
      hn_tf_fail(x, HONE_BAD_GRAPH, "its permutation is none");
      return;
    }
    used[v[i]] = true;
  }
  hn_tf_out(x, 0, n ? hn_tf_transpose(x, a, v, n) : a);
}

void hn_tf_lower_invert_permutation(tf_lower *x) {
  const int64_t *v;
  uint32_t n;
  hn_id a = hn_tf_in(x, 0);
  hn_tensor *t;
  int64_t count;
  if (!hn_tf_ints(x, a, &v, &n)) hn_tf_fail(x, HONE_UNSUPPORTED, "its input is not constant");
  if (x->m.st) return;
  count = n;
  if ((x->m.st = hn_tensor_create(x->s->im->cx, hn_make_type(&x->m, a), 1, &count, &t))) return;
  for (uint32_t i = 0; i < n; i++)
    if (v[i] >= 0 && v[i] < n) hn_store_i64(t->dtype, t->data, (size_t)v[i], i);
  hn_tf_out(x, 0, hn_make_constant(&x->m, t));
}

/* ---- joining and cutting */

void hn_tf_lower_concat(tf_lower *x) {
  bool first = strcmp(x->n->op, "Concat") == 0; /* where the axis is */
  uint32_t n = x->n_in ? x->n_in - 1 : 0;
  hn_id *in = hn_arena_alloc(x->s->im->arena, sizeof *in * (n + 1));
  if (!in || !n) hn_tf_fail(x, HONE_BAD_GRAPH, "it joins nothing");
  int64_t axis = axis_in(x, first ? 0 : n);
  for (uint32_t i = 0; i < n && !x->m.st; i++) in[i] = hn_tf_in(x, i + first);
  if (!x->m.st) hn_tf_out(x, 0, hn_tf_concat(x, in, n, axis));
}

void hn_tf_lower_parallel_concat(tf_lower *x) {
  hn_id *in = hn_arena_alloc(x->s->im->arena, sizeof *in * (x->n_in + 1));
  if (!in) x->m.st = hn_nomem(x->s->im->cx);
  for (uint32_t i = 0; i < x->n_in && !x->m.st; i++) in[i] = hn_tf_in(x, i);
  if (!x->m.st) hn_tf_out(x, 0, hn_tf_concat(x, in, x->n_in, 0));
}

void hn_tf_lower_pack(tf_lower *x) {
  int64_t axis = hn_tf_attr_i(x, "axis", 0);
  hn_id *in = hn_arena_alloc(x->s->im->arena, sizeof *in * (x->n_in + 1));
  if (!in || !x->n_in) hn_tf_fail(x, HONE_BAD_GRAPH, "it joins nothing");
  for (uint32_t i = 0; i < x->n_in && !x->m.st; i++) in[i] = hn_tf_unsqueeze(x, hn_tf_in(x, i), axis);
  if (!x->m.st) hn_tf_out(x, 0, hn_tf_concat(x, in, x->n_in, axis));
}

static hn_id split(tf_lower *x, hn_id v, hn_id sizes, int64_t axis, uint32_t n) {
  hn_id node = hn_make_node(&x->m, HN_Split, (hn_id[]){v, sizes}, sizes == HN_NONE ? 1 : 2, n);
  if (x->m.st) return HN_NONE;
  hn_set_i(x->m.g, node, "axis", axis);
  if (sizes == HN_NONE) hn_set_i(x->m.g, node, "num_outputs", n);
  hn_make_done(&x->m, node);
  return node;
}

static uint32_t parts(tf_lower *x, const char *attr) {
  int64_t n = hn_tf_attr_i(x, attr, 1);
  if (n < 1 || n > 1 << 16) hn_tf_fail(x, HONE_BAD_GRAPH, "it has %lld parts", (long long)n);
  return x->m.st ? 1 : (uint32_t)n;
}

void hn_tf_lower_split(tf_lower *x) {
  uint32_t n = parts(x, "num_split");
  hn_id node = split(x, hn_tf_in(x, 1), HN_NONE, axis_in(x, 0), n);
  for (uint32_t i = 0; i < n && !x->m.st; i++) hn_tf_out(x, i, hn_make_out(&x->m, node, i));
}

void hn_tf_lower_split_v(tf_lower *x) {
  const int64_t *v;
  uint32_t n;
  hn_id a = hn_tf_in(x, 0);
  int64_t axis = axis_in(x, 2), rest = -1, known = 0, *sizes;
  int32_t rank = hn_tf_rank(x, a, "its input"), at;
  if (!hn_tf_ints(x, hn_tf_in(x, 1), &v, &n)) hn_tf_fail(x, HONE_UNSUPPORTED, "the sizes of its parts are not constant");
  if (!x->m.st && !hn_axis(axis, rank, &at)) hn_tf_fail(x, HONE_BAD_GRAPH, "axis %lld of %d", (long long)axis, rank);
  if (x->m.st || !(sizes = hn_arena_memdup(x->s->im->arena, v, sizeof *v * n))) return;
  for (uint32_t i = 0; i < n; i++) {
    if (sizes[i] < 0) rest = i;
    else known += sizes[i];
  }
  hn_dim whole = hn_tf_shape_of(x, a).d[at];
  if (rest >= 0 && hn_dim_fixed(whole)) sizes[rest] = whole - known;
  else if (rest >= 0) hn_tf_fail(x, HONE_UNSUPPORTED, "the size of its part %lld is not known", (long long)rest);
  hn_id node = split(x, a, hn_make_ints(&x->m, sizes, n), axis, n);
  for (uint32_t i = 0; i < n && !x->m.st; i++) hn_tf_out(x, i, hn_make_out(&x->m, node, i));
}

void hn_tf_lower_unpack(tf_lower *x) {
  uint32_t n = parts(x, "num");
  int64_t axis = hn_tf_attr_i(x, "axis", 0);
  hn_id a = hn_tf_in(x, 0);
  if (n == 1) {
    hn_tf_out(x, 0, hn_tf_squeeze(x, a, axis));
    return;
  }
  hn_id node = split(x, a, HN_NONE, axis, n);
  for (uint32_t i = 0; i < n && !x->m.st; i++) hn_tf_out(x, i, hn_tf_squeeze(x, hn_make_out(&x->m, node, i), axis));
}

/* begin, size; size -1: to the end. */
void hn_tf_lower_slice(tf_lower *x) {
  hn_id a = hn_tf_in(x, 0), begin = in64(x, 1), size = in64(x, 2), end;
  const int64_t *b, *s;
  uint32_t n, n_size;
  if (hn_tf_ints(x, begin, &b, &n) && hn_tf_ints(x, size, &s, &n_size) && n == n_size && n <= HN_MAX_RANK) {
    int64_t ends[HN_MAX_RANK];
    for (uint32_t i = 0; i < n; i++) ends[i] = s[i] < 0 ? INT64_MAX : b[i] + s[i];
    end = hn_make_ints(&x->m, ends, n);
  } else {
    hn_id open = hn_make2(&x->m, HN_Less, size, hn_tf_const_i(x, HONE_DTYPE_I64, 0));
    end = hn_tf_where(x, open, hn_tf_const_i(x, HONE_DTYPE_I64, INT64_MAX), hn_make2(&x->m, HN_Add, begin, size));
  }
  hn_tf_out(x, 0, hn_make_done(&x->m, hn_make_node(&x->m, HN_Slice, (hn_id[]){a, begin, end}, 3, 1)));
}

/* ---- StridedSlice: what numpy's a[1:, ..., None, 3] says, in masks */

typedef struct strided {
  const int64_t *begin, *end, *stride; /* NULL: not constant */
  hn_id begin_id, end_id;
  uint32_t n;
  int64_t starts[HN_MAX_RANK], ends[HN_MAX_RANK], axes[HN_MAX_RANK], steps[HN_MAX_RANK]; /* of the Slice */
  hn_id start_ids[HN_MAX_RANK], end_ids[HN_MAX_RANK]; /* where not constant */
  bool dynamic;
  uint32_t n_slice;
  int32_t shrink[HN_MAX_RANK]; /* axes that an index picks, and the index */
  hn_id index[HN_MAX_RANK];
  uint32_t n_shrink;
  int64_t fresh[2 * HN_MAX_RANK]; /* axes of size 1 in the result */
  uint32_t n_fresh;
} strided;

static hn_id element(tf_lower *x, hn_id v, uint32_t i) { /* as a vector of one */
  return hn_make_slice(&x->m, v, 0, i, (int64_t)i + 1, 1);
}

static void take_range(tf_lower *x, strided *d, uint32_t i, int32_t axis, int64_t begin_mask, int64_t end_mask) {
  int64_t step = d->stride[i];
  bool from_start = begin_mask >> i & 1, to_end = end_mask >> i & 1;
  uint32_t k = d->n_slice++;
  if (!step) hn_tf_fail(x, HONE_BAD_GRAPH, "a stride is 0");
  d->axes[k] = axis;
  d->steps[k] = step;
  d->starts[k] = from_start ? (step > 0 ? 0 : INT64_MAX) : d->begin ? d->begin[i] : 0;
  d->ends[k] = to_end ? (step > 0 ? INT64_MAX : INT64_MIN) : d->end ? d->end[i] : 0;
  d->start_ids[k] = !from_start && !d->begin ? element(x, d->begin_id, i) : HN_NONE;
  d->end_ids[k] = !to_end && !d->end ? element(x, d->end_id, i) : HN_NONE;
  d->dynamic = d->dynamic || d->start_ids[k] != HN_NONE || d->end_ids[k] != HN_NONE;
  if (d->starts[k] == 0 && d->ends[k] == INT64_MAX && step == 1 && d->start_ids[k] == HN_NONE && d->end_ids[k] == HN_NONE) d->n_slice--;
}

static hn_id ends_of(tf_lower *x, const strided *d, const int64_t *known, const hn_id *ids) {
  hn_id part[HN_MAX_RANK];
  if (!d->dynamic) return hn_make_ints(&x->m, known, d->n_slice);
  for (uint32_t i = 0; i < d->n_slice; i++) part[i] = ids[i] != HN_NONE ? ids[i] : hn_make_ints(&x->m, &known[i], 1);
  return hn_tf_concat(x, part, d->n_slice, 0);
}

static void read_masks(tf_lower *x, strided *d, int32_t rank) {
  int64_t begin_mask = hn_tf_attr_i(x, "begin_mask", 0), end_mask = hn_tf_attr_i(x, "end_mask", 0);
  int64_t dots = hn_tf_attr_i(x, "ellipsis_mask", 0), fresh = hn_tf_attr_i(x, "new_axis_mask", 0), shrink = hn_tf_attr_i(x, "shrink_axis_mask", 0);
  int32_t axis = 0, out = 0, taken = 0;
  for (uint32_t i = 0; i < d->n; i++) taken += !(dots >> i & 1) && !(fresh >> i & 1);
  for (uint32_t i = 0; i < d->n && !x->m.st; i++) {
    if (dots >> i & 1) {
      int32_t skip = rank - taken;
      if (skip < 0) skip = 0;
      axis += skip;
      out += skip;
    } else if (fresh >> i & 1) {
      d->fresh[d->n_fresh++] = out++;
    } else if (axis >= rank) {
      hn_tf_fail(x, HONE_BAD_GRAPH, "it indexes %d dimensions of %d", taken, rank);
    } else if (shrink >> i & 1) {
      d->shrink[d->n_shrink] = axis++;
      d->index[d->n_shrink++] = d->begin ? hn_tf_const_i(x, HONE_DTYPE_I64, d->begin[i]) : hn_make_reshape(&x->m, element(x, d->begin_id, i), (const int64_t[]){0}, 0);
    } else {
      take_range(x, d, i, axis++, begin_mask, end_mask);
      out++;
    }
  }
}

void hn_tf_lower_strided_slice(tf_lower *x) {
  strided d = {0};
  uint32_t n;
  hn_id v = hn_tf_in(x, 0);
  d.begin_id = in64(x, 1);
  d.end_id = in64(x, 2);
  int32_t rank = hn_tf_rank(x, v, "its input");
  if (!hn_tf_ints(x, hn_tf_in(x, 3), &d.stride, &d.n) || d.n > 2 * HN_MAX_RANK) hn_tf_fail(x, HONE_UNSUPPORTED, "its strides are not constant");
  if (!hn_tf_ints(x, d.begin_id, &d.begin, &n) || n != d.n) d.begin = NULL;
  if (!hn_tf_ints(x, d.end_id, &d.end, &n) || n != d.n) d.end = NULL;
  if (x->m.st) return;
  read_masks(x, &d, rank);
  if (d.n_slice) {
    hn_id in[5] = {v, ends_of(x, &d, d.starts, d.start_ids), ends_of(x, &d, d.ends, d.end_ids), hn_make_ints(&x->m, d.axes, d.n_slice),
                   hn_make_ints(&x->m, d.steps, d.n_slice)};
    v = hn_make_done(&x->m, hn_make_node(&x->m, HN_Slice, in, 5, 1));
  }
  for (uint32_t i = d.n_shrink; i-- > 0;) v = hn_tf_gather(x, v, d.index[i], d.shrink[i]);
  if (d.n_fresh) v = hn_make2(&x->m, HN_Unsqueeze, v, hn_make_ints(&x->m, d.fresh, d.n_fresh));
  hn_tf_out(x, 0, v);
}

/* ---- padding, repeating, filling */

/* [[before, after], ...] as all befores, then all afters. */
static hn_id pads_of(tf_lower *x, uint32_t input) {
  hn_id p = in64(x, input);
  const int64_t *v;
  uint32_t n;
  int64_t pads[2 * HN_MAX_RANK];
  if (hn_tf_ints(x, p, &v, &n) && n % 2 == 0 && n <= 2 * HN_MAX_RANK) {
    for (uint32_t i = 0; i < n; i++) pads[i % 2 ? n / 2 + i / 2 : i / 2] = v[i];
    return hn_make_ints(&x->m, pads, n);
  }
  return hn_make_reshape(&x->m, hn_tf_transpose(x, p, (const int64_t[]){1, 0}, 2), (const int64_t[]){-1}, 1);
}

void hn_tf_lower_pad(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0), in[3] = {v, pads_of(x, 1), HN_NONE};
  if (x->n_in > 2) in[2] = hn_tf_in(x, 2);
  hn_tf_out(x, 0, hn_make_done(&x->m, hn_make_node(&x->m, HN_Pad, in, x->n_in > 2 ? 3 : 2, 1)));
}

/* SYMMETRIC repeats the edge, which no mode of Pad does: the rows are picked by index. */
static hn_id pad_symmetric(tf_lower *x, hn_id v) {
  const int64_t *p;
  uint32_t n;
  hn_shape s = hn_tf_shape_of(x, v);
  if (!hn_tf_ints(x, hn_tf_in(x, 1), &p, &n) || s.rank < 0 || n != 2 * (uint32_t)s.rank) {
    hn_tf_fail(x, HONE_UNSUPPORTED, "symmetric padding by an amount that is not constant");
    return v;
  }
  for (int32_t i = 0; i < s.rank && !x->m.st; i++) {
    int64_t before = p[2 * i], after = p[2 * i + 1], size = s.d[i];
    if (!before && !after) continue;
    if (!hn_dim_fixed(size) || before < 0 || after < 0 || before > size || after > size) {
      hn_tf_fail(x, HONE_UNSUPPORTED, "symmetric padding of a dimension that is not fixed, or by more than its size");
      return v;
    }
    int64_t *index = hn_arena_alloc(x->s->im->arena, sizeof *index * (size_t)(before + size + after));
    if (!index) x->m.st = hn_nomem(x->s->im->cx);
    for (int64_t k = 0; k < before + size + after && index; k++) {
      int64_t at = k - before;
      index[k] = at < 0 ? -1 - at : at < size ? at : 2 * size - 1 - at;
    }
    v = hn_tf_gather(x, v, hn_make_ints(&x->m, index, (size_t)(before + size + after)), i);
  }
  return v;
}

void hn_tf_lower_mirror_pad(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0);
  if (strcmp(hn_tf_attr_s(x, "mode", "REFLECT"), "SYMMETRIC") == 0) {
    hn_tf_out(x, 0, pad_symmetric(x, v));
    return;
  }
  hn_id node = hn_make_node(&x->m, HN_Pad, (hn_id[]){v, pads_of(x, 1)}, 2, 1);
  if (!x->m.st) hn_set_s(x->m.g, node, "mode", "reflect");
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

void hn_tf_lower_tile(tf_lower *x) { hn_tf_out(x, 0, hn_make2(&x->m, HN_Tile, hn_tf_in(x, 0), in64(x, 1))); }
void hn_tf_lower_broadcast_to(tf_lower *x) { hn_tf_out(x, 0, hn_make2(&x->m, HN_Expand, hn_tf_in(x, 0), in64(x, 1))); }
void hn_tf_lower_fill(tf_lower *x) { hn_tf_out(x, 0, hn_make2(&x->m, HN_Expand, hn_tf_in(x, 1), in64(x, 0))); }

void hn_tf_lower_range(tf_lower *x) {
  enum { MOST = 1 << 16 };
  hn_id in[3] = {hn_tf_in(x, 0), hn_tf_in(x, 1), hn_tf_in(x, 2)};
  const int64_t *v[3];
  uint32_t n[3];
  bool known = !x->m.st && hn_is_int(hn_make_type(&x->m, in[0]));
  for (int i = 0; i < 3 && known; i++) known = hn_tf_ints(x, in[i], &v[i], &n[i]) && n[i] == 1;
  int64_t step = known ? v[2][0] : 0, span, count = 0;
  known = known && step && hn_sub_i64(v[1][0], v[0][0], &span) && span < MOST && span > -MOST;
  if (!known) { /* axes and the like are wanted as constants */
    hn_tf_out(x, 0, hn_make_done(&x->m, hn_make_node(&x->m, HN_Range, in, 3, 1)));
    return;
  }
  if ((span > 0) == (step > 0) && span) count = (span + step + (step > 0 ? -1 : 1)) / step;
  hn_tensor *t;
  if ((x->m.st = hn_tensor_create(x->s->im->cx, hn_make_type(&x->m, in[0]), 1, &count, &t))) return;
  for (int64_t i = 0; i < count; i++) hn_store_i64(t->dtype, t->data, (size_t)i, v[0][0] + i * step);
  hn_tf_out(x, 0, hn_make_constant(&x->m, t));
}

void hn_tf_lower_reverse(tf_lower *x) {
  const int64_t *v;
  uint32_t n;
  hn_id a = hn_tf_in(x, 0);
  if (!hn_tf_ints(x, hn_tf_in(x, 1), &v, &n)) hn_tf_fail(x, HONE_UNSUPPORTED, "its axes are not constant");
  for (uint32_t i = 0; i < n && !x->m.st; i++) a = hn_make_slice(&x->m, a, v[i], -1, INT64_MIN, -1);
  hn_tf_out(x, 0, a);
}

void hn_tf_lower_reverse_sequence(tf_lower *x) {
  hn_id node = hn_make_node(&x->m, HN_ReverseSequence, (hn_id[]){hn_tf_in(x, 0), in64(x, 1)}, 2, 1);
  if (x->m.st) return;
  hn_set_i(x->m.g, node, "time_axis", hn_tf_attr_i(x, "seq_dim", 0));
  hn_set_i(x->m.g, node, "batch_axis", hn_tf_attr_i(x, "batch_dim", 0));
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

/* ---- blocks of space */

void hn_tf_lower_depth_to_space(tf_lower *x) {
  bool last = hn_tf_channels_last(x);
  hn_id v = hn_tf_in(x, 0);
  if (last) v = hn_tf_to_first(x, v);
  v = hn_tf_node1(x, x->op, v, "blocksize", hn_tf_attr_i(x, "block_size", 2));
  hn_tf_out(x, 0, last ? hn_tf_to_last(x, v) : v);
}

/* Block sizes and what is padded or cropped, both constant. */
static uint32_t blocks_of(tf_lower *x, const int64_t **block, const int64_t **edges) {
  uint32_t n = 0, n_edges = 0;
  bool known = hn_tf_ints(x, hn_tf_in(x, 1), block, &n) && hn_tf_ints(x, hn_tf_in(x, 2), edges, &n_edges);
  if (!known || n_edges != 2 * n) hn_tf_fail(x, HONE_UNSUPPORTED, "its block sizes and edges are not constant");
  for (uint32_t i = 0; i < n && !x->m.st; i++)
    if ((*block)[i] < 1) hn_tf_fail(x, HONE_BAD_GRAPH, "a block size is %lld", (long long)(*block)[i]);
  return x->m.st ? 0 : n;
}

/* A vector of sizes: numbers, and sizes of v divided or multiplied. */
static hn_id size_of(tf_lower *x, hn_id v, int32_t axis, int64_t times, int64_t by) {
  hn_shape s = hn_tf_shape_of(x, v);
  if (hn_dim_fixed(s.d[axis])) return hn_make_ints(&x->m, &(int64_t){s.d[axis] * times / by}, 1);
  hn_id d = hn_tf_shape_op(x, v, axis, axis + 1);
  if (times != 1) d = hn_make2(&x->m, HN_Mul, d, hn_tf_const_i(x, HONE_DTYPE_I64, times));
  return by == 1 ? d : hn_make2(&x->m, HN_Div, d, hn_tf_const_i(x, HONE_DTYPE_I64, by));
}

void hn_tf_lower_space_to_batch(tf_lower *x) {
  const int64_t *block, *edges;
  hn_id v = hn_tf_in(x, 0), size[2 * HN_MAX_RANK + 1];
  uint32_t n = blocks_of(x, &block, &edges), k = 0;
  int32_t rank = hn_tf_rank(x, v, "its input");
  int64_t pads[2 * HN_MAX_RANK] = {0}, perm[2 * HN_MAX_RANK], all = 1;
  if (x->m.st || (uint32_t)rank < n + 1 || (uint32_t)rank + n > HN_MAX_RANK) {
    hn_tf_fail(x, HONE_UNSUPPORTED, "blocks over %u dimensions of %d", n, rank);
    return;
  }
  for (uint32_t i = 0; i < n; i++) pads[i + 1] = edges[2 * i], pads[rank + (int)i + 1] = edges[2 * i + 1], all *= block[i];
  v = hn_make2(&x->m, HN_Pad, v, hn_make_ints(&x->m, pads, 2 * (size_t)rank));
  size[k++] = size_of(x, v, 0, 1, 1);
  for (uint32_t i = 0; i < n; i++) {
    size[k++] = size_of(x, v, (int32_t)i + 1, 1, block[i]);
    size[k++] = hn_make_ints(&x->m, &block[i], 1);
  }
  for (int32_t i = (int32_t)n + 1; i < rank; i++) size[k++] = size_of(x, v, i, 1, 1);
  hn_id cut = hn_make2(&x->m, HN_Reshape, v, hn_tf_concat(x, size, k, 0));
  uint32_t q = 0;
  for (uint32_t i = 0; i < n; i++) perm[q++] = 2 + 2 * i;
  perm[q++] = 0;
  for (uint32_t i = 0; i < n; i++) perm[q++] = 1 + 2 * i;
  for (int32_t i = (int32_t)n + 1; i < rank; i++) perm[q++] = i + (int32_t)n;
  cut = hn_make_transpose(&x->m, cut, perm, q);
  k = 0;
  size[k++] = size_of(x, v, 0, all, 1);
  for (uint32_t i = 0; i < n; i++) size[k++] = size_of(x, v, (int32_t)i + 1, 1, block[i]);
  for (int32_t i = (int32_t)n + 1; i < rank; i++) size[k++] = size_of(x, v, i, 1, 1);
  hn_tf_out(x, 0, hn_make2(&x->m, HN_Reshape, cut, hn_tf_concat(x, size, k, 0)));
}

void hn_tf_lower_batch_to_space(tf_lower *x) {
  const int64_t *block, *edges;
  hn_id v = hn_tf_in(x, 0), size[2 * HN_MAX_RANK + 1];
  uint32_t n = blocks_of(x, &block, &edges), k = 0, q = 0;
  int32_t rank = hn_tf_rank(x, v, "its input");
  int64_t perm[2 * HN_MAX_RANK], all = 1;
  if (x->m.st || (uint32_t)rank < n + 1 || (uint32_t)rank + n > HN_MAX_RANK) {
    hn_tf_fail(x, HONE_UNSUPPORTED, "blocks over %u dimensions of %d", n, rank);
    return;
  }
  for (uint32_t i = 0; i < n; i++) all *= block[i];
  for (uint32_t i = 0; i < n; i++) size[k++] = hn_make_ints(&x->m, &block[i], 1);
  size[k++] = size_of(x, v, 0, 1, all);
  for (int32_t i = 1; i < rank; i++) size[k++] = size_of(x, v, i, 1, 1);
  hn_id cut = hn_make2(&x->m, HN_Reshape, v, hn_tf_concat(x, size, k, 0));
  perm[q++] = n;
  for (uint32_t i = 0; i < n; i++) {
    perm[q++] = n + 1 + i;
    perm[q++] = i;
  }
  for (int32_t i = (int32_t)n + 1; i < rank; i++) perm[q++] = i + (int32_t)n;
  cut = hn_make_transpose(&x->m, cut, perm, q);
  k = 0;
  size[k++] = size_of(x, v, 0, 1, all);
  for (uint32_t i = 0; i < n; i++) size[k++] = size_of(x, v, (int32_t)i + 1, block[i], 1);
  for (int32_t i = (int32_t)n + 1; i < rank; i++) size[k++] = size_of(x, v, i, 1, 1);
  v = hn_make2(&x->m, HN_Reshape, cut, hn_tf_concat(x, size, k, 0));
  for (uint32_t i = 0; i < n; i++)
    if (edges[2 * i] || edges[2 * i + 1])
      v = hn_make_slice(&x->m, v, (int64_t)i + 1, edges[2 * i], edges[2 * i + 1] ? -edges[2 * i + 1] : INT64_MAX, 1);
  hn_tf_out(x, 0, v);
}

/* The shape that two shapes broadcast to: the shorter one begins with ones. */
void hn_tf_lower_broadcast_args(tf_lower *x) {
  hn_id s[2] = {hn_tf_in(x, 0), hn_tf_in(x, 1)};
  int64_t n[2] = {0, 0};
  for (int i = 0; i < 2; i++) {
    hn_shape shape = hn_tf_shape_of(x, s[i]);
    if (!x->m.st && (shape.rank != 1 || !hn_dim_fixed(shape.d[0]) || shape.d[0] > HN_MAX_RANK)) hn_tf_fail(x, HONE_UNSUPPORTED, "the number of dimensions is not known");
    n[i] = x->m.st ? 0 : shape.d[0];
  }
  if (x->m.st) return;
  for (int i = 0; i < 2; i++) {
    const int64_t ones[HN_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    if (n[i] >= n[1 - i]) continue;
    hn_id more = hn_make_cast(&x->m, hn_make_ints(&x->m, ones, (size_t)(n[1 - i] - n[i])), hn_make_type(&x->m, s[i]));
    s[i] = hn_tf_concat(x, (hn_id[]){more, s[i]}, 2, 0);
  }
  hn_id is_one = hn_make2(&x->m, HN_Equal, s[0], hn_make_scalar(&x->m, hn_make_type(&x->m, s[0]), 1));
  hn_tf_out(x, 0, hn_tf_where(x, is_one, s[1], s[0]));
}
