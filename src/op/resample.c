#include "op/resample.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "op/infer.h"

/* ---- sizes */

static int32_t axes_of(const hn_node *n, int32_t rank, int32_t *axes) {
  const int64_t *v;
  uint32_t count = hn_attr_ints(n, "axes", &v);
  if (!count) {
    for (int32_t i = 0; i < rank; i++) axes[i] = i;
    return rank;
  }
  if (count > (uint32_t)rank) return -1;
  for (uint32_t i = 0; i < count; i++)
    if (!hn_axis(v[i], rank, &axes[i])) return -1;
  return (int32_t)count;
}

/* One scale for all axes that keeps the proportions within, or without, the sizes asked for. */
static bool keep_proportions(const hn_node *n, const int32_t *axes, int32_t count, hn_resample *r) {
  const char *policy = hn_attr_s(n, "keep_aspect_ratio_policy", "stretch");
  bool larger = hn_streq(policy, "not_smaller");
  if (hn_streq(policy, "stretch")) return true;
  if (!larger && !hn_streq(policy, "not_larger")) return false;
  double s = r->scale[axes[0]];
  for (int32_t i = 1; i < count; i++) s = (larger ? r->scale[axes[i]] > s : r->scale[axes[i]] < s) ? r->scale[axes[i]] : s;
  for (int32_t i = 0; i < count; i++) {
    r->scale[axes[i]] = s;
    r->out[axes[i]] = (int64_t)floor(s * (double)r->in[axes[i]] + 0.5);
  }
  return true;
}

hone_status hn_resample_resolve(hone_context *cx, const hn_node *n, int32_t rank, const int64_t *in, const hn_tensor *roi,
                                const hn_tensor *scales, const hn_tensor *sizes, hn_resample *r) {
  int32_t axes[HN_MAX_RANK], count = axes_of(n, rank, axes);
  bool by_scale = scales && scales->count > 0, by_size = sizes && sizes->count > 0;
  if (count < 0) return hn_fail(cx, HONE_BAD_GRAPH, "an axis is out of range");
  if (by_scale == by_size) return hn_fail(cx, HONE_BAD_GRAPH, "exactly one of scales and sizes must be given");
  if ((by_scale ? scales : sizes)->count != count)
    return hn_fail(cx, HONE_BAD_GRAPH, "%lld scales or sizes for %d axes", (long long)(by_scale ? scales : sizes)->count, count);
  *r = (hn_resample){.rank = rank};
  for (int32_t i = 0; i < rank; i++) {
    r->in[i] = r->out[i] = in[i];
    r->scale[i] = r->roi[1][i] = 1;
  }
  for (int32_t i = 0; i < count; i++) {
    int32_t a = axes[i];
    double s = by_scale ? hn_tensor_f(scales, (size_t)i) : 0;
    r->out[a] = by_scale ? 0 : hn_tensor_i(sizes, (size_t)i);
    if (by_scale ? !(s > 0 && s < 1e9) : r->out[a] < 0) return hn_fail(cx, HONE_BAD_GRAPH, "the scale or size of axis %d is out of range", a);
    if (by_scale) r->out[a] = (int64_t)floor((double)in[a] * s);
    r->scale[a] = by_scale ? s : in[a] ? (double)r->out[a] / (double)in[a] : 1;
    if (roi && roi->count == 2 * count)
      for (int side = 0; side < 2; side++) r->roi[side][a] = hn_tensor_f(roi, (size_t)(i + side * count));
  }
  if (by_size && !keep_proportions(n, axes, count, r)) return hn_fail(cx, HONE_BAD_GRAPH, "keep_aspect_ratio_policy is not known");
  for (int32_t i = 0; i < rank; i++)
    if (in[i] == 0 && r->out[i] > 0) return hn_fail(cx, HONE_BAD_GRAPH, "axis %d has no elements to make %lld of", i, (long long)r->out[i]);
  return HONE_OK;
}

bool hn_resample_keeps(const hn_resample *r, int32_t axis) {
  return r->in[axis] == r->out[axis] && r->scale[axis] == 1 && r->roi[0][axis] == 0 && r->roi[1][axis] == 1;
}

/* ---- taps */

/* Where output index x of an axis lies in the input. false: the mode is not known. */
static bool coordinate(const char *mode, const hn_resample *r, int32_t a, int64_t i, double *at) {
  double x = (double)i, scale = r->scale[a], in = (double)r->in[a], out = (double)r->out[a];
  if (hn_streq(mode, "half_pixel")) *at = (x + 0.5) / scale - 0.5;
  else if (hn_streq(mode, "tf_half_pixel_for_nn")) *at = (x + 0.5) / scale;
  else if (hn_streq(mode, "pytorch_half_pixel")) *at = out > 1 ? (x + 0.5) / scale - 0.5 : 0;
  else if (hn_streq(mode, "align_corners")) *at = out > 1 ? x * (in - 1) / (out - 1) : 0;
  else if (hn_streq(mode, "asymmetric")) *at = x / scale;
  else if (hn_streq(mode, "half_pixel_symmetric")) *at = in / 2 * (1 - out / (scale * in)) + (x + 0.5) / scale - 0.5;
  else if (hn_streq(mode, "tf_crop_and_resize")) {
    double from = r->roi[0][a], to = r->roi[1][a];
    *at = out > 1 ? from * (in - 1) + x * (to - from) * (in - 1) / (out - 1) : 0.5 * (from + to) * (in - 1);
  } else return false;
  return true;
}

static bool nearest(const char *mode, double x, int64_t *at) {
  if (hn_streq(mode, "round_prefer_floor")) *at = (int64_t)ceil(x - 0.5);
  else if (hn_streq(mode, "round_prefer_ceil")) *at = (int64_t)floor(x + 0.5);
  else if (hn_streq(mode, "floor")) *at = (int64_t)floor(x);
  else if (hn_streq(mode, "ceil")) *at = (int64_t)ceil(x);
  else return false;
  return true;
}

/* The convolution kernels at distance d: a triangle, and Keys' cubic (IEEE 1981) with parameter a. */
static double linear_kernel(double d) { return d < 1 ? 1 - d : 0; }
static double cubic_kernel(double d, double a) {
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static bool alloc_taps(hn_taps *t, int64_t out, int64_t n, bool outside) {
  *t = (hn_taps){.n = n};
  size_t count = (size_t)(out ? out : 1) * (size_t)n;
  t->at = hn_calloc(count, sizeof *t->at);
  t->weight = hn_calloc(count, sizeof *t->weight);
  if (outside) t->outside = hn_calloc((size_t)(out ? out : 1), sizeof *t->outside);
  return t->at && t->weight && (!outside || t->outside);
}

void hn_taps_free(hn_taps *t) {
  hn_free(t->at);
  hn_free(t->weight);
  hn_free(t->outside);
  *t = (hn_taps){0};
}

typedef struct kernel_shape {
  bool cubic, exclude;
  double a, shrink; /* shrink < 1: the kernel is widened by it, against aliasing */
  int64_t reach;    /* taps on each side */
} kernel_shape;

/* Taps around x, renormalized where some are left out or the kernel is widened. */
static void place_taps(const kernel_shape *k, double x, int64_t in, int64_t *at, double *w) {
  int64_t first = (int64_t)floor(x) - k->reach + 1;
  double sum = 0;
  for (int64_t i = 0; i < 2 * k->reach; i++) {
    int64_t p = first + i;
    double d = fabs((double)p - x) * k->shrink;
    w[i] = k->cubic ? cubic_kernel(d, k->a) : linear_kernel(d);
    if (k->exclude && (p < 0 || p >= in)) w[i] = 0;
    at[i] = p < 0 ? 0 : p >= in ? in - 1 : p;
    sum += w[i];
  }
  for (int64_t i = 0; i < 2 * k->reach && (k->exclude || k->shrink < 1) && sum != 0; i++) w[i] /= sum;
}

hone_status hn_resample_taps(hone_context *cx, const hn_node *n, const hn_resample *r, int32_t axis, hn_taps *taps) {
  const char *where = hn_attr_s(n, "coordinate_transformation_mode", "half_pixel"), *mode = hn_attr_s(n, "mode", "nearest");
  bool is_nearest = hn_streq(mode, "nearest"), crop = hn_streq(where, "tf_crop_and_resize");
  int64_t in = r->in[axis], out = r->out[axis];
  kernel_shape k = {.cubic = hn_streq(mode, "cubic"), .exclude = hn_attr_i(n, "exclude_outside", 0) != 0,
                    .a = hn_attr_f(n, "cubic_coeff_a", -0.75), .shrink = 1};
  if (!is_nearest && !k.cubic && !hn_streq(mode, "linear")) return hn_fail(cx, HONE_BAD_GRAPH, "mode '%s' is not known", mode);
  if (hn_attr_i(n, "antialias", 0) && r->scale[axis] < 1) k.shrink = r->scale[axis];
  double reach = ceil((k.cubic ? 2 : 1) / k.shrink);
  if (reach > 1e6) return hn_fail(cx, HONE_BAD_GRAPH, "the scale of axis %d is too small", axis);
  k.reach = (int64_t)reach;
  if (!alloc_taps(taps, out, is_nearest ? 1 : 2 * k.reach, crop)) {
    hn_taps_free(taps);
    return hn_nomem(cx);
  }
  for (int64_t i = 0; i < out; i++) {
    double x, *w = taps->weight + i * taps->n;
    int64_t *at = taps->at + i * taps->n;
    bool known = coordinate(where, r, axis, i, &x);
    if (known && crop) taps->outside[i] = x < 0 || x > (double)(in - 1);
    x = x < -1e15 ? -1e15 : x > 1e15 ? 1e15 : x;
    if (known && is_nearest) {
      known = nearest(hn_attr_s(n, "nearest_mode", "round_prefer_floor"), x, at);
      *at = *at < 0 ? 0 : *at >= in ? in - 1 : *at;
      *w = 1;
    } else if (known) {
      place_taps(&k, x, in, at, w);
    }
    if (!known) {
      hn_taps_free(taps);
      return hn_fail(cx, HONE_BAD_GRAPH, "coordinate_transformation_mode '%s' or nearest_mode is not known", where);
    }
  }
  return HONE_OK;
}

/* ---- inference */

hone_status hn_infer_resize(hn_infer *x);
hone_status hn_infer_resize(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), out = in;
  const hn_tensor *scales = hn_iconst(x, 2), *sizes = hn_iconst(x, 3);
  const hn_dim *d;
  uint32_t count;
  int32_t axes[HN_MAX_RANK];
  if (in.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), in);
  int32_t n = axes_of(hn_ino(x), in.rank, axes);
  if (n < 0) return hn_ierror(x, "an axis is out of range");
  bool known = (scales && scales->count) || (sizes && sizes->count);
  if (hn_shape_fixed(&in) && known) {
    hn_resample r;
    hone_status st = hn_resample_resolve(x->cx, hn_ino(x), in.rank, in.d, NULL, scales, sizes, &r);
    if (st) return hn_fail_within(x->cx, st, "node '%s' (Resize)", hn_ino(x)->name);
    hn_shape fixed = hn_shape_of(in.rank, r.out);
    return hn_oset(x, 0, hn_idtype(x, 0), fixed);
  }
  bool stretch = hn_streq(hn_attr_s(hn_ino(x), "keep_aspect_ratio_policy", "stretch"), "stretch");
  bool sized = stretch && hn_isym(x, 3, &d, &count) && (int32_t)count == n;
  for (int32_t i = 0; i < n; i++) {
    int32_t a = axes[i];
    double s = scales && scales->count == n ? hn_tensor_f(scales, (size_t)i) : 0;
    if (sized) out.d[a] = d[i];
    else if (s > 0 && s < 1e9 && hn_dim_fixed(in.d[a])) out.d[a] = (int64_t)floor((double)in.d[a] * s);
    else if (s >= 1 && s < 1e9 && s == floor(s)) out.d[a] = hn_dim_mul(x->g->dims, in.d[a], (int64_t)s);
    else out.d[a] = hn_dim_unknown(x->g->dims);
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}
