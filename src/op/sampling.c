/* sampling.c - inference of GridSample, AffineGrid, Col2Im and DeformConv, and where GridSample and RoiAlign read. */
#include "op/sampling.h"

#include <math.h>

#include "op/infer.h"

/* ---- GridSample, of any number of spatial dimensions */

/* x reflected at lo and hi until it lies between. */
static double reflect(double x, double lo, double hi) {
  double range = hi - lo;
  if (range <= 0 || !isfinite(x)) return lo;
  double t = fmod(fabs(x - lo), 2 * range);
  return lo + (t > range ? 2 * range - t : t);
}

/* Where a coordinate outside lies: borders are pixel centres with aligned corners, else half a pixel outside them. */
static double settle(const hn_sampler *s, double x, int64_t size) {
  if (s->border == HN_BORDER_EDGE) return x < 0 ? 0 : x > (double)(size - 1) ? (double)(size - 1) : x;
  if (s->border != HN_BORDER_REFLECTION) return x;
  x = s->corners ? reflect(x, 0, (double)(size - 1)) : reflect(x, -0.5, (double)size - 0.5);
  return x < 0 ? 0 : x > (double)(size - 1) ? (double)(size - 1) : x;
}

/* Keys' cubic with a = -0.75. */
static double cubic(double d) {
  const double a = -0.75;
  d = fabs(d);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

bool hn_sampler_open(const hn_node *n, int32_t rank, const int64_t *dims, hn_sampler *s) {
  const char *mode = hn_attr_s(n, "mode", "linear"), *pad = hn_attr_s(n, "padding_mode", "zeros");
  *s = (hn_sampler){.n = rank - 2, .corners = hn_attr_i(n, "align_corners", 0) != 0};
  for (int32_t i = 0; i < s->n; i++) s->size[i] = dims[2 + i];
  if (hn_streq(mode, "nearest")) s->taps = 1;
  else if (hn_streq(mode, "linear")) s->taps = 2;
  else if (hn_streq(mode, "cubic")) s->taps = 4;
  if (hn_streq(pad, "border")) s->border = HN_BORDER_EDGE;
  else if (hn_streq(pad, "reflection")) s->border = HN_BORDER_REFLECTION;
  else if (!hn_streq(pad, "zeros")) s->taps = 0;
  return s->taps != 0;
}

double hn_sampler_place(const hn_sampler *s, int32_t i, double v) {
  double size = (double)s->size[i], x = s->corners ? (v + 1) / 2 * (size - 1) : ((v + 1) * size - 1) / 2;
  return fabs(x) < 1e15 ? x : -1e15;
}

void hn_sampler_taps(const hn_sampler *s, int32_t i, double x, int64_t *at, double *w) {
  bool whole = s->taps != 4; /* cubic settles each tap, the others the coordinate */
  int64_t size = s->size[i];
  if (whole) x = settle(s, x, size);
  double base = s->taps == 1 ? rint(x) : floor(x) - (s->taps == 4);
  for (int t = 0; t < s->taps; t++) {
    double p = base + t;
    w[t] = s->taps == 1 ? 1 : s->taps == 2 ? 1 - fabs(p - x) : cubic(p - x);
    if (!whole) p = settle(s, p, size);
    at[t] = p >= 0 && p <= (double)(size - 1) ? (int64_t)p : -1;
  }
}

/* ---- RoiAlign */

bool hn_region_of(const hn_node *n, const double *box, hn_region *r) {
  int64_t oh = hn_attr_i(n, "output_height", 1), ow = hn_attr_i(n, "output_width", 1), ratio = hn_attr_i(n, "sampling_ratio", 0);
  bool half = hn_streq(hn_attr_s(n, "coordinate_transformation_mode", "half_pixel"), "half_pixel");
  double scale = hn_attr_f(n, "spatial_scale", 1), shift = half ? 0.5 : 0, x0 = box[0] * scale - shift, y0 = box[1] * scale - shift;
  double w = box[2] * scale - shift - x0, h = box[3] * scale - shift - y0;
  if (!half) w = fmax(w, 1), h = fmax(h, 1);
  if (!(fabs(h) < 1e6 && fabs(w) < 1e6)) return false;
  *r = (hn_region){y0, x0, h / (double)oh, w / (double)ow, ratio, ratio};
  if (!ratio) r->grid_h = (int64_t)ceil(r->bin_h), r->grid_w = (int64_t)ceil(r->bin_w);
  return true;
}

bool hn_region_taps(double y, double x, int64_t h, int64_t w, int64_t *at, double *weight) {
  if (!(y >= -1 && y <= (double)h && x >= -1 && x <= (double)w)) return false;
  y = y < 0 ? 0 : y > (double)(h - 1) ? (double)(h - 1) : y;
  x = x < 0 ? 0 : x > (double)(w - 1) ? (double)(w - 1) : x;
  int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + 1 < h ? y0 + 1 : y0, x1 = x0 + 1 < w ? x0 + 1 : x0;
  double fy = y - (double)y0, fx = x - (double)x0;
  at[0] = y0 * w + x0, at[1] = y0 * w + x1, at[2] = y1 * w + x0, at[3] = y1 * w + x1;
  weight[0] = (1 - fy) * (1 - fx), weight[1] = (1 - fy) * fx, weight[2] = fy * (1 - fx), weight[3] = fy * fx;
  return true;
}

/* ---- inference */

hone_status hn_infer_grid_sample(hn_infer *x);
hone_status hn_infer_grid_sample(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), grid = hn_ishape(x, 1), out = in;
  if (in.rank < 0 || grid.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (in.rank < 3 || grid.rank != in.rank) return hn_ierror(x, "an input of %d dimensions and a grid of %d", in.rank, grid.rank);
  if (hn_dim_fixed(grid.d[grid.rank - 1]) && grid.d[grid.rank - 1] != in.rank - 2)
    return hn_ierror(x, "the grid has vectors of %lld for %d spatial dimensions", (long long)grid.d[grid.rank - 1], in.rank - 2);
  for (int32_t i = 2; i < out.rank; i++) out.d[i] = grid.d[i - 1];
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

hone_status hn_infer_affine_grid(hn_infer *x);
hone_status hn_infer_affine_grid(hn_infer *x) {
  const hn_dim *d;
  uint32_t n;
  hn_shape out;
  if (!hn_isym(x, 1, &d, &n)) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (n != 4 && n != 5) return hn_ierror(x, "a size of %u dimensions; takes 4 or 5", n);
  out.rank = (int32_t)n;
  out.d[0] = d[0];
  for (uint32_t i = 2; i < n; i++) out.d[i - 1] = d[i];
  out.d[n - 1] = n - 2;
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

hone_status hn_infer_col2im(hn_infer *x);
hone_status hn_infer_col2im(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), out;
  const hn_dim *image;
  const int64_t *block;
  uint32_t n, n_block;
  if (in.rank < 0 || !hn_isym(x, 1, &image, &n)) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (in.rank != 3 || n < 1 || n > HN_MAX_RANK - 2) return hn_ierror(x, "columns of %d dimensions for an image of %u", in.rank, n);
  out.rank = (int32_t)n + 2;
  out.d[0] = in.d[0];
  out.d[1] = hn_dim_unknown(x->g->dims);
  if (hn_iints(x, 2, &block, &n_block)) {
    int64_t taps = 1;
    if (n_block != n) return hn_ierror(x, "a block of %u dimensions for an image of %u", n_block, n);
    for (uint32_t i = 0; i < n; i++) {
      if (block[i] < 1 || block[i] > 1 << 20 || taps > 1 << 30) return hn_ierror(x, "a block size is out of range");
      taps *= block[i];
    }
    if (hn_dim_fixed(in.d[1]) && in.d[1] % taps) return hn_ierror(x, "%lld rows are not channels of %lld taps", (long long)in.d[1], (long long)taps);
    out.d[1] = hn_dim_div(x->g->dims, in.d[1], taps);
  }
  for (uint32_t i = 0; i < n; i++) out.d[2 + i] = image[i];
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

hone_status hn_infer_deform_conv(hn_infer *x);
hone_status hn_infer_deform_conv(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), w = hn_ishape(x, 1), offset = hn_ishape(x, 2);
  if (in.rank < 0 || w.rank < 0 || offset.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (in.rank != 4 || w.rank != 4 || offset.rank != 4) return hn_ierror(x, "input, weights and offsets must have 4 dimensions");
  hn_shape out = {.rank = 4, .d = {in.d[0], w.d[0], offset.d[2], offset.d[3]}};
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}
