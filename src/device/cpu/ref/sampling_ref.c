/* sampling_ref.c - GridSample, AffineGrid, Col2Im, DeformConv. */
#include <math.h>
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "op/infer.h"
#include "op/sampling.h"

static double get(const hn_view *v, int64_t i) { return hn_load_f64(v->dtype, v->data, (size_t)i); }

/* ---- GridSample, of any number of spatial dimensions */

static double sample(const hn_sampler *s, const hn_view *in, int64_t plane, const double *position) {
  int64_t at[HN_MAX_RANK][4], all = 1;
  double w[HN_MAX_RANK][4], sum = 0;
  for (int32_t i = 0; i < s->n; i++) {
    hn_sampler_taps(s, i, position[i], at[i], w[i]);
    all *= s->taps;
  }
  for (int64_t c = 0; c < all; c++) {
    int64_t rest = c, offset = 0, place[HN_MAX_RANK];
    double weight = 1;
    bool inside = true;
    for (int32_t i = s->n - 1; i >= 0; i--) {
      place[i] = at[i][rest % s->taps];
      weight *= w[i][rest % s->taps];
      rest /= s->taps;
      inside = inside && place[i] >= 0;
    }
    if (!inside || weight == 0) continue;
    for (int32_t i = 0; i < s->n; i++) offset = offset * s->size[i] + place[i];
    sum += weight * get(in, plane + offset);
  }
  return sum;
}

hone_status hk_grid_sample_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *grid = &x->in[1];
  int64_t dims[HN_MAX_RANK], plane = 1, points = 1;
  hn_sampler s;
  if (in->rank < 3 || grid->rank != in->rank || grid->dims[grid->rank - 1] != in->rank - 2 || grid->dims[0] != in->dims[0])
    return hn_xfail(x, HONE_BAD_GRAPH, "the grid does not fit the input");
  if (!hn_sampler_open(hn_xnode(x), in->rank, in->dims, &s)) return hn_xfail(x, HONE_BAD_GRAPH, "its mode or padding_mode is not known");
  dims[0] = in->dims[0], dims[1] = in->dims[1];
  for (int32_t i = 2; i < in->rank; i++) {
    dims[i] = grid->dims[i - 1];
    points *= dims[i];
    plane *= in->dims[i];
    if (in->dims[i] == 0) return hn_xfail(x, HONE_BAD_GRAPH, "its input is empty");
  }
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  for (int64_t q = 0; q < x->out[0].count; q++) {
    int64_t p = q % points, c = q / points, image = c / in->dims[1];
    double position[HN_MAX_RANK];
    for (int32_t i = 0; i < s.n; i++) /* the last of a vector is x, the innermost */
      position[i] = hn_sampler_place(&s, i, get(grid, (image * points + p) * s.n + (s.n - 1 - i)));
    hn_store_f64(in->dtype, x->out[0].data, (size_t)q, sample(&s, in, c * plane, position));
  }
  return HONE_OK;
}

/* ---- AffineGrid */

hone_status hk_affine_grid_ref(hn_exec *x) {
  const hn_view *theta = &x->in[0], *size = &x->in[1];
  int64_t dims[HN_MAX_RANK], points = 1;
  int32_t n = (int32_t)size->count - 2;
  bool corners = hn_attr_i(hn_xnode(x), "align_corners", 0) != 0;
  if ((n != 2 && n != 3) || theta->rank != 3 || theta->dims[1] != n || theta->dims[2] != n + 1)
    return hn_xfail(x, HONE_BAD_GRAPH, "theta and size do not fit together");
  for (int32_t i = 0; i < n + 2; i++) {
    int64_t d = hn_load_i64(size->dtype, size->data, (size_t)i);
    if (d < 1 || (i == 0 && d != theta->dims[0])) return hn_xfail(x, HONE_BAD_GRAPH, "theta and size do not fit together");
    if (i != 1) dims[i ? i - 1 : 0] = d;
    if (i > 1) points *= d;
  }
  dims[n + 1] = n;
  HN_TRY(hn_xout(x, 0, theta->dtype, n + 2, dims));
  for (int64_t q = 0; q < x->out[0].count; q++) {
    int64_t row = q % n, p = q / n % points, b = q / n / points;
    double at[4], sum = get(theta, (b * n + row) * (n + 1) + n);
    for (int32_t i = n - 1; i >= 0; i--) {
      int64_t d = dims[1 + i], k = p % d;
      p /= d;
      at[n - 1 - i] = corners ? (d > 1 ? -1 + 2 * (double)k / (double)(d - 1) : 0) : (2 * (double)k + 1) / (double)d - 1;
    }
    for (int32_t i = 0; i < n; i++) sum += at[i] * get(theta, (b * n + row) * (n + 1) + i);
    hn_store_f64(theta->dtype, x->out[0].data, (size_t)q, sum);
  }
  return HONE_OK;
}

/* ---- Col2Im: every column's taps are added to the image */

static int64_t listed(const int64_t *v, uint32_t n, uint32_t i, int64_t otherwise) { return i < n ? v[i] : otherwise; }

hone_status hk_col2im_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0], *image = &x->in[1], *block = &x->in[2];
  const int64_t *dil, *pad, *str;
  uint32_t nd = hn_attr_ints(n, "dilations", &dil), np = hn_attr_ints(n, "pads", &pad), ns = hn_attr_ints(n, "strides", &str);
  int32_t m = (int32_t)image->count;
  int64_t dims[HN_MAX_RANK], k[HN_MAX_RANK], steps[HN_MAX_RANK], taps = 1, columns = 1, plane = 1;
  if (m < 1 || m > HN_MAX_RANK - 2 || block->count != m || in->rank != 3 || (np && (int32_t)np != 2 * m))
    return hn_xfail(x, HONE_BAD_GRAPH, "its inputs do not fit together");
  for (int32_t i = 0; i < m; i++) {
    k[i] = hn_load_i64(block->dtype, block->data, (size_t)i);
    dims[2 + i] = hn_load_i64(image->dtype, image->data, (size_t)i);
    int64_t d = listed(dil, nd, (uint32_t)i, 1), s = listed(str, ns, (uint32_t)i, 1);
    int64_t pads = listed(pad, np, (uint32_t)i, 0) + listed(pad, np, (uint32_t)(i + m), 0);
    if (k[i] < 1 || d < 1 || s < 1 || dims[2 + i] < 1 || k[i] > 1 << 20 || d > 1 << 20) return hn_xfail(x, HONE_BAD_GRAPH, "a size is out of range");
    steps[i] = (dims[2 + i] + pads - d * (k[i] - 1) - 1) / s + 1;
    taps *= k[i], columns *= steps[i], plane *= dims[2 + i];
  }
  if (in->dims[1] % taps || in->dims[2] != columns) return hn_xfail(x, HONE_BAD_GRAPH, "%lld columns where %lld are needed", (long long)in->dims[2], (long long)columns);
  int64_t channels = in->dims[1] / taps;
  dims[0] = in->dims[0], dims[1] = channels;
  HN_TRY(hn_xout(x, 0, in->dtype, m + 2, dims));
  double *sum = hn_calloc((size_t)plane + 1, sizeof *sum);
  if (!sum) return hn_nomem(x->cx);
  for (int64_t q = 0; q < dims[0] * channels; q++) {
    memset(sum, 0, sizeof *sum * (size_t)plane);
    for (int64_t t = 0; t < taps; t++)
      for (int64_t c = 0; c < columns; c++) {
        int64_t rt = t, rc = c, offset = 0, at[HN_MAX_RANK];
        bool inside = true;
        for (int32_t i = m - 1; i >= 0; i--) {
          at[i] = rc % steps[i] * listed(str, ns, (uint32_t)i, 1) - listed(pad, np, (uint32_t)i, 0) + rt % k[i] * listed(dil, nd, (uint32_t)i, 1);
          rc /= steps[i], rt /= k[i];
          inside = inside && at[i] >= 0 && at[i] < dims[2 + i];
        }
        for (int32_t i = 0; i < m; i++) offset = offset * dims[2 + i] + at[i];
        if (inside) sum[offset] += get(in, (q * taps + t) * columns + c);
      }
    hn_write_f64(in->dtype, x->out[0].data, q * plane, 1, plane, sum);
  }
  hn_free(sum);
  return HONE_OK;
}

/* ---- DeformConv */

static double bilinear(const hn_view *in, int64_t plane, double y, double x) {
  int64_t h = in->dims[2], w = in->dims[3];
  if (!(y > -1 && y < (double)h && x > -1 && x < (double)w)) return 0;
  double fy = floor(y), fx = floor(x), sum = 0;
  for (int i = 0; i < 4; i++) {
    int64_t py = (int64_t)fy + i / 2, px = (int64_t)fx + i % 2;
    if (py < 0 || py >= h || px < 0 || px >= w) continue;
    sum += (1 - fabs((double)py - y)) * (1 - fabs((double)px - x)) * get(in, plane + py * w + px);
  }
  return sum;
}

typedef struct deform {
  const hn_view *in, *w, *offset, *bias, *mask;
  hn_window win;
  int64_t group, offset_group, oh, ow;
} deform;

static double deform_at(const deform *d, int64_t n, int64_t o, int64_t y, int64_t x) {
  int64_t per = d->w->dims[1], kh = d->w->dims[2], kw = d->w->dims[3], outs = d->w->dims[0] / d->group;
  int64_t each = d->in->dims[1] / d->offset_group, pixel = y * d->ow + x, pixels = d->oh * d->ow;
  double sum = d->bias ? get(d->bias, o) : 0;
  for (int64_t c = 0; c < per; c++) {
    int64_t channel = o / outs * per + c, og = channel / each;
    for (int64_t t = 0; t < kh * kw; t++) {
      int64_t at = ((n * d->offset_group + og) * kh * kw + t) * 2 * pixels + pixel;
      double py = (double)(y * d->win.stride[0] - d->win.pad_begin[0] + t / kw * d->win.dilation[0]) + get(d->offset, at);
      double px = (double)(x * d->win.stride[1] - d->win.pad_begin[1] + t % kw * d->win.dilation[1]) + get(d->offset, at + pixels);
      double v = bilinear(d->in, (n * d->in->dims[1] + channel) * d->in->dims[2] * d->in->dims[3], py, px);
      if (d->mask) v *= get(d->mask, ((n * d->offset_group + og) * kh * kw + t) * pixels + pixel);
      sum += v * get(d->w, (o * per + c) * kh * kw + t);
    }
  }
  return sum;
}

hone_status hk_deform_conv_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  deform d = {.in = &x->in[0], .w = &x->in[1], .offset = &x->in[2], .group = hn_attr_i(n, "group", 1), .offset_group = hn_attr_i(n, "offset_group", 1)};
  if (n->n_main > 3 && hn_xhas(x, 3)) d.bias = &x->in[3];
  if (n->n_main > 4 && hn_xhas(x, 4)) d.mask = &x->in[4];
  if (!hn_is_float(d.in->dtype)) return hn_xbad_dtype(x, d.in->dtype);
  if (d.in->rank != 4 || d.w->rank != 4 || d.group < 1 || d.offset_group < 1 || d.w->dims[0] % d.group || d.in->dims[1] != d.w->dims[1] * d.group ||
      d.in->dims[1] % d.offset_group)
    return hn_xfail(x, HONE_BAD_GRAPH, "the weights do not fit the input");
  hone_status st = hn_window_resolve(x->cx, x->task->g->dims, n, 2, d.in->dims + 2, d.w->dims + 2, false, &d.win);
  if (st) return hn_fail_within(x->cx, st, "node '%s' (DeformConv)", n->name);
  d.oh = d.win.out[0], d.ow = d.win.out[1];
  int64_t taps = d.w->dims[2] * d.w->dims[3], planes = d.in->dims[0] * d.offset_group * taps * d.oh * d.ow;
  if (d.offset->count != 2 * planes || (d.mask && d.mask->count != planes) || (d.bias && d.bias->count != d.w->dims[0]))
    return hn_xfail(x, HONE_BAD_GRAPH, "its offsets, mask or bias do not fit the output");
  HN_TRY(hn_xout(x, 0, d.in->dtype, 4, (int64_t[]){d.in->dims[0], d.w->dims[0], d.oh, d.ow}));
  for (int64_t q = 0; q < x->out[0].count; q++) {
    int64_t pixel = q % (d.oh * d.ow), o = q / (d.oh * d.ow) % d.w->dims[0];
    hn_store_f64(d.in->dtype, x->out[0].data, (size_t)q, deform_at(&d, q / (d.oh * d.ow * d.w->dims[0]), o, pixel / d.ow, pixel % d.ow));
  }
  return HONE_OK;
}
