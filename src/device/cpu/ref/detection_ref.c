/* detection_ref.c - NonMaxSuppression, RoiAlign, MaxRoiPool. */
#define _GNU_SOURCE /* qsort_r */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "device/cpu/ref/broadcast.h"

static double get(const hn_view *v, int64_t i) { return hn_load_f64(v->dtype, v->data, (size_t)i); }

/* ---- NonMaxSuppression */

typedef struct box {
  double y0, x0, y1, x1;
} box;

static box box_at(const hn_view *v, int64_t i, bool centered) {
  double a = get(v, 4 * i), b = get(v, 4 * i + 1), c = get(v, 4 * i + 2), d = get(v, 4 * i + 3);
  if (centered) return (box){b - d / 2, a - c / 2, b + d / 2, a + c / 2}; /* x, y, width, height */
  return (box){fmin(a, c), fmin(b, d), fmax(a, c), fmax(b, d)};          /* any two corners */
}

static double overlap(box a, box b) {
  double h = fmin(a.y1, b.y1) - fmax(a.y0, b.y0), w = fmin(a.x1, b.x1) - fmax(a.x0, b.x0);
  if (h <= 0 || w <= 0) return 0;
  double both = h * w, all = (a.y1 - a.y0) * (a.x1 - a.x0) + (b.y1 - b.y0) * (b.x1 - b.x0) - both;
  return all > 0 ? both / all : 0;
}

typedef struct selection {
  const hn_view *scores;
  int64_t n, limit;
  double threshold, least;
  bool has_least;
  box *boxes;      /* of an image */
  double *score;   /* of a class, */
  int64_t *order;  /* and which boxes are candidates there, best first, */
  int64_t *picked; /* and which of them were picked */
} selection;

/* Best first; ties go to the lower index, and what is no number comes last. */
static int better(const void *a, const void *b, void *user) {
  const double *score = user;
  int64_t i = *(const int64_t *)a, k = *(const int64_t *)b;
  bool no_i = isnan(score[i]), no_k = isnan(score[k]);
  if (no_i != no_k) return no_i ? 1 : -1;
  if (!no_i && score[i] != score[k]) return score[i] > score[k] ? -1 : 1;
  return i < k ? -1 : i > k;
}

/* Picks of one class: each candidate that overlaps none of those before it too much. */
static int64_t pick_class(selection *s, int64_t scores_at) {
  int64_t count = 0, candidates = 0;
  for (int64_t i = 0; i < s->n; i++) {
    s->score[i] = get(s->scores, scores_at + i);
    if (!s->has_least || s->score[i] > s->least) s->order[candidates++] = i;
  }
  qsort_r(s->order, (size_t)candidates, sizeof *s->order, better, s->score);
  for (int64_t i = 0; i < candidates && count < s->limit; i++) {
    bool free_of_all = true;
    for (int64_t k = 0; k < count && free_of_all; k++)
      free_of_all = !(overlap(s->boxes[s->picked[k]], s->boxes[s->order[i]]) > s->threshold);
    if (free_of_all) s->picked[count++] = s->order[i];
  }
  return count;
}

static double number(const hn_exec *x, uint32_t i, double otherwise) {
  return i < hn_xnode(x)->n_main && hn_xhas(x, i) && x->in[i].count == 1 ? get(&x->in[i], 0) : otherwise;
}

typedef HN_VEC(int64_t) triples;

static hone_status pick_all(hn_exec *x, selection *s, int64_t images, int64_t classes, triples *out) {
  bool centered = hn_attr_i(hn_xnode(x), "center_point_box", 0) != 0;
  for (int64_t image = 0; image < images; image++) {
    for (int64_t i = 0; i < s->n; i++) s->boxes[i] = box_at(&x->in[0], image * s->n + i, centered);
    for (int64_t c = 0; c < classes; c++) {
      int64_t k = pick_class(s, (image * classes + c) * s->n);
      if (!hn_reserve(out, out->n + 3 * (size_t)k)) return hn_nomem(x->cx);
      for (int64_t i = 0; i < k; i++) {
        memcpy(out->p + out->n, (int64_t[]){image, c, s->picked[i]}, 3 * sizeof(int64_t));
        out->n += 3;
      }
    }
  }
  return HONE_OK;
}

hone_status hk_nms_ref(hn_exec *x) {
  const hn_view *boxes = &x->in[0], *scores = &x->in[1];
  if (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 || boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2])
    return hn_xfail(x, HONE_BAD_GRAPH, "boxes and scores do not fit together");
  int64_t n = scores->dims[2];
  double most = number(x, 2, 0);
  triples all = {0};
  selection s = {.scores = scores, .n = n, .limit = most < 0 ? 0 : most > (double)n ? n : (int64_t)most, .threshold = number(x, 3, 0),
                 .least = number(x, 4, 0), .has_least = hn_xnode(x)->n_main > 4 && hn_xhas(x, 4)};
  s.boxes = hn_calloc((size_t)n, sizeof *s.boxes);
  s.score = hn_calloc((size_t)n, sizeof *s.score);
  s.order = hn_calloc((size_t)n, sizeof *s.order);
  s.picked = hn_calloc((size_t)n, sizeof *s.picked);
  hone_status st = s.boxes && s.score && s.order && s.picked ? HONE_OK : hn_nomem(x->cx);
  if (!st) st = pick_all(x, &s, scores->dims[0], scores->dims[1], &all);
  if (!st) st = hn_xout(x, 0, HONE_DTYPE_I64, 2, (int64_t[]){(int64_t)all.n / 3, 3});
  if (!st && all.n) memcpy(x->out[0].data, all.p, sizeof *all.p * all.n);
  hn_vec_free(&all);
  hn_free(s.boxes);
  hn_free(s.score);
  hn_free(s.order);
  hn_free(s.picked);
  return st;
}

/* ---- RoiAlign */

/* Bilinear value of a plane; outside by more than a pixel it is 0. max: the largest weighted corner instead. */
static double sample(const hn_view *v, int64_t base, int64_t h, int64_t w, double y, double x, bool max) {
  if (y < -1 || y > (double)h || x < -1 || x > (double)w) return 0;
  y = y < 0 ? 0 : y > (double)(h - 1) ? (double)(h - 1) : y;
  x = x < 0 ? 0 : x > (double)(w - 1) ? (double)(w - 1) : x;
  int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + 1 < h ? y0 + 1 : y0, x1 = x0 + 1 < w ? x0 + 1 : x0;
  double fy = y - (double)y0, fx = x - (double)x0;
  double p[4] = {(1 - fy) * (1 - fx) * get(v, base + y0 * w + x0), (1 - fy) * fx * get(v, base + y0 * w + x1),
                 fy * (1 - fx) * get(v, base + y1 * w + x0), fy * fx * get(v, base + y1 * w + x1)};
  if (!max) return p[0] + p[1] + p[2] + p[3];
  return fmax(fmax(p[0], p[1]), fmax(p[2], p[3]));
}

typedef struct roi {
  double y, x, bin_h, bin_w;
  int64_t grid_h, grid_w;
} roi;

static double align_bin(const hn_view *in, int64_t base, const roi *r, int64_t i, int64_t j, bool max) {
  double sum = 0, best = -INFINITY;
  for (int64_t a = 0; a < r->grid_h; a++)
    for (int64_t b = 0; b < r->grid_w; b++) {
      double y = r->y + ((double)i + ((double)a + 0.5) / (double)r->grid_h) * r->bin_h;
      double x = r->x + ((double)j + ((double)b + 0.5) / (double)r->grid_w) * r->bin_w;
      double v = sample(in, base, in->dims[2], in->dims[3], y, x, max);
      sum += v;
      best = v > best ? v : best;
    }
  if (r->grid_h * r->grid_w == 0) return 0;
  return max ? best : sum / (double)(r->grid_h * r->grid_w);
}

hone_status hk_roi_align_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0], *rois = &x->in[1], *images = &x->in[2];
  int64_t oh = hn_attr_i(n, "output_height", 1), ow = hn_attr_i(n, "output_width", 1), ratio = hn_attr_i(n, "sampling_ratio", 0);
  double scale = hn_attr_f(n, "spatial_scale", 1);
  bool max = hn_streq(hn_attr_s(n, "mode", "avg"), "max");
  bool half = hn_streq(hn_attr_s(n, "coordinate_transformation_mode", "half_pixel"), "half_pixel");
  if (in->rank != 4 || rois->rank != 2 || rois->dims[1] != 4 || images->count != rois->dims[0] || ratio < 0 || ratio > 1 << 12)
    return hn_xfail(x, HONE_BAD_GRAPH, "its inputs do not fit together");
  HN_TRY(hn_xout(x, 0, in->dtype, 4, (int64_t[]){rois->dims[0], in->dims[1], oh, ow}));
  for (int64_t k = 0; k < rois->dims[0]; k++) {
    int64_t image = hn_load_i64(images->dtype, images->data, (size_t)k);
    if (image < 0 || image >= in->dims[0]) return hn_xfail(x, HONE_BAD_GRAPH, "image %lld of %lld", (long long)image, (long long)in->dims[0]);
    double shift = half ? 0.5 : 0, x0 = get(rois, 4 * k) * scale - shift, y0 = get(rois, 4 * k + 1) * scale - shift;
    double w = get(rois, 4 * k + 2) * scale - shift - x0, h = get(rois, 4 * k + 3) * scale - shift - y0;
    if (!half) w = fmax(w, 1), h = fmax(h, 1);
    roi r = {y0, x0, h / (double)oh, w / (double)ow, ratio, ratio};
    if (!(fabs(h) < 1e6 && fabs(w) < 1e6)) return hn_xfail(x, HONE_BAD_GRAPH, "region %lld is too large", (long long)k);
    if (!ratio) r.grid_h = (int64_t)ceil(r.bin_h), r.grid_w = (int64_t)ceil(r.bin_w);
    for (int64_t c = 0; c < in->dims[1]; c++)
      for (int64_t i = 0; i < oh * ow; i++)
        hn_store_f64(in->dtype, x->out[0].data, (size_t)((k * in->dims[1] + c) * oh * ow + i),
                     align_bin(in, (image * in->dims[1] + c) * in->dims[2] * in->dims[3], &r, i / ow, i % ow, max));
  }
  return HONE_OK;
}

/* ---- MaxRoiPool: whole pixels, at least one a region */

static double pool_bin(const hn_view *in, int64_t base, int64_t y0, int64_t y1, int64_t x0, int64_t x1) {
  double best = -INFINITY;
  for (int64_t y = y0 < 0 ? 0 : y0; y < y1 && y < in->dims[2]; y++)
    for (int64_t x = x0 < 0 ? 0 : x0; x < x1 && x < in->dims[3]; x++) best = fmax(best, get(in, base + y * in->dims[3] + x));
  return best == -INFINITY ? 0 : best;
}

hone_status hk_max_roi_pool_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *rois = &x->in[1];
  const int64_t *size;
  double scale = hn_attr_f(hn_xnode(x), "spatial_scale", 1);
  if (hn_attr_ints(hn_xnode(x), "pooled_shape", &size) != 2 || in->rank != 4 || rois->rank != 2 || rois->dims[1] != 5)
    return hn_xfail(x, HONE_BAD_GRAPH, "its inputs do not fit together");
  HN_TRY(hn_xout(x, 0, in->dtype, 4, (int64_t[]){rois->dims[0], in->dims[1], size[0], size[1]}));
  for (int64_t k = 0; k < rois->dims[0]; k++) {
    double v[5], image = get(rois, 5 * k);
    for (int i = 0; i < 4; i++) {
      v[i] = round(get(rois, 5 * k + 1 + i) * scale);
      if (!(fabs(v[i]) < 1e9)) return hn_xfail(x, HONE_BAD_GRAPH, "region %lld is out of range", (long long)k);
    }
    if (!(image >= 0 && image < (double)in->dims[0])) return hn_xfail(x, HONE_BAD_GRAPH, "image %g of %lld", image, (long long)in->dims[0]);
    double w = fmax(v[2] - v[0] + 1, 1) / (double)size[1], h = fmax(v[3] - v[1] + 1, 1) / (double)size[0];
    for (int64_t c = 0; c < in->dims[1]; c++)
      for (int64_t i = 0; i < size[0] * size[1]; i++) {
        double py = (double)(i / size[1]), px = (double)(i % size[1]);
        double m = pool_bin(in, ((int64_t)image * in->dims[1] + c) * in->dims[2] * in->dims[3], (int64_t)(floor(py * h) + v[1]),
                            (int64_t)(ceil((py + 1) * h) + v[1]), (int64_t)(floor(px * w) + v[0]), (int64_t)(ceil((px + 1) * w) + v[0]));
        hn_store_f64(in->dtype, x->out[0].data, (size_t)((k * in->dims[1] + c) * size[0] * size[1] + i), m);
      }
  }
  return HONE_OK;
}
