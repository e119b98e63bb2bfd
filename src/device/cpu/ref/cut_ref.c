/* cut_ref.c - operators whose output element (i, j, ...) is the input's at a place computed for each axis on its own:
   Slice, Split, Pad, Expand, Tile. A map gives, for every axis and output index, the input index, or -1 for none. */
#include <string.h>

#include "base/checked.h"
#include "device/cpu/ref/broadcast.h"
#include "op/infer.h"

typedef struct axis_map {
  int64_t *at[HN_MAX_RANK];
} axis_map;

static void free_map(axis_map *m) {
  for (int i = 0; i < HN_MAX_RANK; i++) hn_free(m->at[i]);
}

static hone_status make_map(hn_exec *x, int32_t rank, const int64_t *dims, axis_map *m) {
  *m = (axis_map){0};
  for (int32_t i = 0; i < rank; i++) {
    if (dims[i] < 0 || dims[i] > INT64_MAX / 16) return hn_xfail(x, HONE_BAD_GRAPH, "dimension %d of the output is out of range", i);
    m->at[i] = hn_malloc(sizeof(int64_t) * (size_t)(dims[i] ? dims[i] : 1));
    if (!m->at[i]) {
      free_map(m);
      return hn_nomem(x->cx);
    }
    for (int64_t k = 0; k < dims[i]; k++) m->at[i][k] = k;
  }
  return HONE_OK;
}

/* Fills output `o` of the map's dimensions; `nothing` is the element (size bytes) where the map says -1. */
static hone_status run_map(hn_exec *x, uint32_t o, const axis_map *m, const void *nothing) {
  const hn_view *in = &x->in[0];
  hn_view *out = &x->out[o];
  int64_t stride[HN_MAX_RANK], index[HN_MAX_RANK] = {0};
  size_t size = hone_dtype_size(in->dtype);
  if (!size) return hn_xbad_dtype(x, in->dtype);
  hn_strides(in->rank, in->dims, stride);
  int32_t lead = out->rank - in->rank; /* Expand adds dimensions in front */
  for (int64_t i = 0; i < out->count; i++) {
    int64_t from = 0;
    bool some = true;
    for (int32_t k = 0; k < out->rank; k++) {
      int64_t at = m->at[k][index[k]];
      some = some && at >= 0;
      if (k >= lead) from += at * stride[k - lead];
    }
    memcpy((unsigned char *)out->data + (size_t)i * size, some ? (const unsigned char *)in->data + (size_t)from * size : nothing, size);
    for (int32_t k = out->rank - 1; k >= 0; k--) {
      if (++index[k] < out->dims[k]) break;
      index[k] = 0;
    }
  }
  return HONE_OK;
}

static hone_status mapped(hn_exec *x, uint32_t o, int32_t rank, const int64_t *dims, axis_map *m, const void *nothing) {
  hone_status st = hn_xout(x, o, x->in[0].dtype, rank, dims);
  if (!st) st = run_map(x, o, m, nothing);
  free_map(m);
  return st;
}

static int64_t element(const hn_view *v, int64_t i) { return hn_load_i64(v->dtype, v->data, (size_t)i); }

/* ---- Slice */

/* First index and number of indices of a slice along d elements. */
static void slice_axis(int64_t d, int64_t start, int64_t end, int64_t step, int64_t *first, int64_t *n) {
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? d : d - 1;
  start = start < -d ? low : start < 0 ? start + d : start;
  end = end < -d ? low : end < 0 ? end + d : end;
  start = start < 0 ? (step > 0 ? 0 : low) : start > high ? high : start;
  end = end < low ? low : end > high ? high : end;
  *first = start;
  if (step > 0) *n = end > start ? (end - start - 1) / step + 1 : 0;
  else *n = start > end ? (start - end - 1) / -step + 1 : 0;
}

hone_status hk_slice_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *starts = &x->in[1], *ends = &x->in[2];
  int64_t dims[HN_MAX_RANK], first[HN_MAX_RANK] = {0}, step[HN_MAX_RANK];
  for (int32_t i = 0; i < in->rank; i++) dims[i] = in->dims[i], step[i] = 1;
  bool axes = hn_xhas(x, 3), steps = hn_xhas(x, 4);
  if (ends->count != starts->count || (axes && x->in[3].count != starts->count) || (steps && x->in[4].count != starts->count))
    return hn_xfail(x, HONE_BAD_GRAPH, "starts, ends, axes and steps differ in length");
  for (int64_t i = 0; i < starts->count; i++) {
    int32_t a;
    int64_t s = steps ? element(&x->in[4], i) : 1;
    HN_TRY(hn_xaxis(x, 0, axes ? element(&x->in[3], i) : i, &a));
    if (s == 0 || s == INT64_MIN) return hn_xfail(x, HONE_BAD_GRAPH, "step is %lld", (long long)s);
    step[a] = s;
    slice_axis(in->dims[a], element(starts, i), element(ends, i), s, &first[a], &dims[a]);
  }
  axis_map m;
  HN_TRY(make_map(x, in->rank, dims, &m));
  for (int32_t i = 0; i < in->rank; i++)
    for (int64_t k = 0; k < dims[i]; k++) m.at[i][k] = first[i] + k * step[i];
  return mapped(x, 0, in->rank, dims, &m, NULL);
}

/* ---- Split */

hone_status hk_split_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  int64_t dims[HN_MAX_RANK], at = 0, parts = (int64_t)x->n_out;
  int32_t axis;
  HN_TRY(hn_xaxis(x, 0, hn_attr_i(hn_xnode(x), "axis", 0), &axis));
  memcpy(dims, in->dims, sizeof dims);
  bool given = hn_xhas(x, 1);
  if (given && x->in[1].count != parts) return hn_xfail(x, HONE_BAD_GRAPH, "%lld sizes for %lld outputs", (long long)x->in[1].count, (long long)parts);
  int64_t each = (in->dims[axis] + parts - 1) / parts;
  for (int64_t i = 0; i < parts; i++) {
    int64_t left = in->dims[axis] - at, n = given ? element(&x->in[1], i) : left < each ? left : each;
    if (n < 0 || n > left) return hn_xfail(x, HONE_BAD_GRAPH, "the sizes do not fit dimension %d", axis);
    if (hn_xwants(x, (uint32_t)i)) {
      axis_map m;
      dims[axis] = n;
      HN_TRY(make_map(x, in->rank, dims, &m));
      for (int64_t k = 0; k < n; k++) m.at[axis][k] = at + k;
      HN_TRY(mapped(x, (uint32_t)i, in->rank, dims, &m, NULL));
    }
    at += n;
  }
  return at == in->dims[axis] ? HONE_OK : hn_xfail(x, HONE_BAD_GRAPH, "the sizes do not add up to dimension %d", axis);
}

/* ---- Pad */

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

static bool pad_mode_of(const char *s, pad_mode *mode) {
  static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
  for (int i = 0; i < 4; i++)
    if (hn_streq(s, names[i])) {
      *mode = (pad_mode)i;
      return true;
    }
  return false;
}

/* Where index k of an axis of d elements comes from when it may lie outside. */
static int64_t pad_source(pad_mode mode, int64_t k, int64_t d) {
  if (k >= 0 && k < d) return k;
  if (mode == PAD_CONSTANT || d == 0) return -1;
  if (mode == PAD_EDGE) return k < 0 ? 0 : d - 1;
  if (mode == PAD_WRAP) return (k % d + d) % d;
  int64_t period = d > 1 ? 2 * (d - 1) : 1;
  k = (k % period + period) % period;
  return k < d ? k : period - k;
}

hone_status hk_pad_ref(hn_exec *x) {
  static const unsigned char zero[16] = {0};
  const hn_view *in = &x->in[0], *pads = &x->in[1];
  int64_t dims[HN_MAX_RANK], before[HN_MAX_RANK] = {0};
  pad_mode mode;
  bool axes = hn_xhas(x, 3);
  int64_t count = axes ? x->in[3].count : in->rank;
  if (!pad_mode_of(hn_attr_s(hn_xnode(x), "mode", "constant"), &mode))
    return hn_xfail(x, HONE_BAD_GRAPH, "mode '%s' is not constant, reflect, edge or wrap", hn_attr_s(hn_xnode(x), "mode", ""));
  if (pads->count != 2 * count) return hn_xfail(x, HONE_BAD_GRAPH, "%lld pads for %lld dimensions", (long long)pads->count, (long long)count);
  memcpy(dims, in->dims, sizeof dims);
  for (int64_t i = 0; i < count; i++) {
    int32_t a;
    HN_TRY(hn_xaxis(x, 0, axes ? element(&x->in[3], i) : i, &a));
    before[a] = element(pads, i);
    if (!hn_add_i64(dims[a], before[a], &dims[a]) || !hn_add_i64(dims[a], element(pads, i + count), &dims[a]) || dims[a] < 0)
      return hn_xfail(x, HONE_BAD_GRAPH, "pads of dimension %d are out of range", a);
    if (mode != PAD_CONSTANT && in->dims[a] == 0 && dims[a] > 0) return hn_xfail(x, HONE_BAD_GRAPH, "nothing to repeat in dimension %d", a);
  }
  bool value = hn_xhas(x, 2);
  if (value && (x->in[2].count != 1 || x->in[2].dtype != in->dtype)) return hn_xfail(x, HONE_BAD_GRAPH, "the value is not one element of the input's type");
  axis_map m;
  HN_TRY(make_map(x, in->rank, dims, &m));
  for (int32_t i = 0; i < in->rank; i++)
    for (int64_t k = 0; k < dims[i]; k++) m.at[i][k] = pad_source(mode, k - before[i], in->dims[i]);
  return mapped(x, 0, in->rank, dims, &m, value ? x->in[2].data : zero);
}

/* ---- Expand, Tile */

hone_status hk_expand_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *shape = &x->in[1];
  if (shape->count > HN_MAX_RANK) return hn_xfail(x, HONE_BAD_GRAPH, "a shape of %lld dimensions", (long long)shape->count);
  hn_view to = {.rank = (int32_t)shape->count}, both[2];
  for (int32_t i = 0; i < to.rank; i++) to.dims[i] = element(shape, i);
  int64_t dims[HN_MAX_RANK];
  int32_t rank;
  both[0] = *in;
  both[1] = to;
  if (!hn_broadcast_views(both, 2, &rank, dims)) return hn_xfail(x, HONE_BAD_GRAPH, "the input does not broadcast to the shape");
  axis_map m;
  HN_TRY(make_map(x, rank, dims, &m));
  for (int32_t i = 0; i < in->rank; i++)
    for (int64_t k = 0; in->dims[i] == 1 && k < dims[rank - in->rank + i]; k++) m.at[rank - in->rank + i][k] = 0;
  return mapped(x, 0, rank, dims, &m, NULL);
}

hone_status hk_tile_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *times = &x->in[1];
  int64_t dims[HN_MAX_RANK];
  if (times->count != in->rank) return hn_xfail(x, HONE_BAD_GRAPH, "%lld repeats for %d dimensions", (long long)times->count, in->rank);
  for (int32_t i = 0; i < in->rank; i++)
    if (element(times, i) < 0 || !hn_mul_i64(in->dims[i], element(times, i), &dims[i]))
      return hn_xfail(x, HONE_BAD_GRAPH, "repeats of dimension %d are out of range", i);
  axis_map m;
  HN_TRY(make_map(x, in->rank, dims, &m));
  for (int32_t i = 0; i < in->rank; i++)
    for (int64_t k = 0; k < dims[i]; k++) m.at[i][k] = k % in->dims[i];
  return mapped(x, 0, in->rank, dims, &m, NULL);
}
