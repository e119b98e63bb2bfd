/* detection_ref.c - NonMaxSuppression, RoiAlign, MaxRoiPool. */
#include <math.h>
#include <string.h>

#include "base/vec.h"
#include "device/cpu/ref/broadcast.h"
#include "op/sampling.h"

static double get(const hn_view *v, int64_t i) { return hn_load_f64(v->dtype, v->data, (size_t)i); }

/* ---- NonMaxSuppression */

typedef struct box {
  float y0, x0, y1, x1;
} box;

static float getf(const hn_view *v, int64_t i) { return (float)get(v, i); }

/* Boxes, overlaps and scores are single precision, as where the operator comes from: what equals a threshold there does here. */
static box box_at(const hn_view *v, int64_t i, bool centered) {
  float a = getf(v, 4 * i), b = getf(v, 4 * i + 1), c = getf(v, 4 * i + 2), d = getf(v, 4 * i + 3);
  if (centered) return (box){b - d / 2, a - c / 2, b + d / 2, a + c / 2}; /* x, y, width, height */
  return (box){fminf(a, c), fminf(b, d), fmaxf(a, c), fmaxf(b, d)};      /* any two corners */
}

static float overlap(box a, box b) {
  float of_a = (a.y1 - a.y0) * (a.x1 - a.x0), of_b = (b.y1 - b.y0) * (b.x1 - b.x0);
  if (of_a <= 0 || of_b <= 0) return 0;
  float h = fminf(a.y1, b.y1) - fmaxf(a.y0, b.y0), w = fminf(a.x1, b.x1) - fmaxf(a.x0, b.x0), both = fmaxf(h, 0) * fmaxf(w, 0);
  return both / (of_a + of_b - both);
}

typedef struct candidate {
  int64_t box, compared; /* with how many of the picked boxes its score has been lowered for */
  float score;
} candidate;

typedef struct selection {
  const hn_view *scores;
  int64_t n, limit;
  float threshold, least, scale; /* scale: of the exponent by which overlaps lower scores; 0: they exclude */
  bool has_least;
  box *boxes;      /* of an image */
  candidate *heap; /* of a class, the best at its root, */
  candidate *picked;
} selection;

/* Ties go to the lower index, and what is no number comes last. */
static bool better(const candidate *a, const candidate *b) {
  bool no_a = isnan(a->score), no_b = isnan(b->score);
  if (no_a != no_b) return no_b;
  return !no_a && a->score != b->score ? a->score > b->score : a->box < b->box;
}

static void sink(candidate *heap, int64_t n, int64_t i, candidate c) {
  for (int64_t k; (k = 2 * i + 1) < n; i = k) {
    if (k + 1 < n && better(&heap[k + 1], &heap[k])) k++;
    if (!better(&heap[k], &c)) break;
    heap[i] = heap[k];
  }
  heap[i] = c;
}

/* Does the best candidate stay one? Its score is lowered for the picked boxes it has not met, the latest first. */
static bool survives(const selection *s, int64_t count, candidate *c) {
  int64_t k = count, met = c->compared;
  c->compared = count;
  while (k-- > met) {
    float o = overlap(s->boxes[c->box], s->boxes[s->picked[k].box]);
    if (s->scale == 0 && o > s->threshold) return false;
    if (s->scale != 0) c->score *= expf(s->scale * o * o);
    if (s->scale != 0 && s->has_least && !(c->score > s->least)) return false;
  }
  return true;
}

/* Picks of one class. A candidate whose score was lowered goes back among the others, and is picked when it comes up unchanged. */
static int64_t pick_class(selection *s, int64_t scores_at) {
  int64_t count = 0, n = 0;
  for (int64_t i = 0; i < s->n; i++) {
    s->heap[n] = (candidate){i, 0, getf(s->scores, scores_at + i)};
    if (!s->has_least || s->heap[n].score > s->least) n++;
  }
  for (int64_t i = n / 2; i-- > 0;) sink(s->heap, n, i, s->heap[i]);
  while (n && count < s->limit) {
    candidate best = s->heap[0];
    float was = best.score;
    bool stays = survives(s, count, &best), unchanged = best.score == was || isnan(was);
    if (stays && unchanged) s->picked[count++] = best;
    if (stays && !unchanged) sink(s->heap, n, 0, best);
    else n--, sink(s->heap, n, 0, s->heap[n]);
  }
  return count;
}

static double number(const hn_exec *x, uint32_t i, double otherwise) {
  return i < hn_xnode(x)->n_main && hn_xhas(x, i) && x->in[i].count == 1 ? get(&x->in[i], 0) : otherwise;
}

typedef struct picks {
  HN_VEC(int64_t) at; /* image, class, box */
  HN_VEC(float) score;
} picks;

static hone_status pick_all(hn_exec *x, selection *s, int64_t images, int64_t classes, picks *out) {
  bool centered = hn_attr_i(hn_xnode(x), "center_point_box", 0) != 0;
  for (int64_t image = 0; image < images; image++) {
    for (int64_t i = 0; i < s->n; i++) s->boxes[i] = box_at(&x->in[0], image * s->n + i, centered);
    for (int64_t c = 0; c < classes; c++) {
      int64_t k = pick_class(s, (image * classes + c) * s->n);
      if (!hn_reserve(&out->at, out->at.n + 3 * (size_t)k) || !hn_reserve(&out->score, out->score.n + (size_t)k)) return hn_nomem(x->cx);
      for (int64_t i = 0; i < k; i++) {
        memcpy(out->at.p + out->at.n, (int64_t[]){image, c, s->picked[i].box}, 3 * sizeof(int64_t));
        out->at.n += 3;
        out->score.p[out->score.n++] = s->picked[i].score;
      }
    }
  }
  return HONE_OK;
}

static hone_status put_picks(hn_exec *x, const picks *p) {
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_I64, 2, (int64_t[]){(int64_t)p->score.n, 3}));
  if (p->at.n) memcpy(x->out[0].data, p->at.p, sizeof *p->at.p * p->at.n);
  if (hn_xnode(x)->n_out < 2) return HONE_OK;
  HN_TRY(hn_xout(x, 1, x->in[1].dtype, 1, (int64_t[]){(int64_t)p->score.n}));
  for (size_t i = 0; i < p->score.n; i++) hn_store_f64(x->in[1].dtype, x->out[1].data, i, (double)p->score.p[i]);
  return HONE_OK;
}

hone_status hk_nms_ref(hn_exec *x) {
  const hn_view *boxes = &x->in[0], *scores = &x->in[1];
  if (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 || boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2])
    return hn_xfail(x, HONE_BAD_GRAPH, "boxes and scores do not fit together");
  int64_t n = scores->dims[2];
  double most = number(x, 2, 0);
  float sigma = (float)number(x, 5, 0);
  picks all = {0};
  selection s = {.scores = scores, .n = n, .limit = most < 0 ? 0 : most > (double)n ? n : (int64_t)most, .threshold = (float)number(x, 3, 0),
                 .least = (float)number(x, 4, 0), .scale = sigma > 0 ? -0.5f / sigma : 0, .has_least = hn_xnode(x)->n_main > 4 && hn_xhas(x, 4)};
  s.boxes = hn_calloc((size_t)n, sizeof *s.boxes);
  s.heap = hn_calloc((size_t)n + 1, sizeof *s.heap);
  s.picked = hn_calloc((size_t)n, sizeof *s.picked);
  hone_status st = s.boxes && s.heap && s.picked ? HONE_OK : hn_nomem(x->cx);
  if (!st) st = pick_all(x, &s, scores->dims[0], scores->dims[1], &all);
  if (!st) st = put_picks(x, &all);
  hn_vec_free(&all.at);
  hn_vec_free(&all.score);
  hn_free(s.boxes);
  hn_free(s.heap);
  hn_free(s.picked);
  return st;
}

/* ---- RoiAlign */

/* Bilinear value of a plane; max: the largest weighted corner instead. */
static double sample(const hn_view *v, int64_t base, double y, double x, bool max) {
  int64_t at[4];
  double w[4], p[4];
  if (!hn_region_taps(y, x, v->dims[2], v->dims[3], at, w)) return 0;
  for (int i = 0; i < 4; i++) p[i] = w[i] * get(v, base + at[i]);
  return max ? fmax(fmax(p[0], p[1]), fmax(p[2], p[3])) : p[0] + p[1] + p[2] + p[3];
}

static double align_bin(const hn_view *in, int64_t base, const hn_region *r, int64_t i, int64_t j, bool max) {
  double sum = 0, best = -INFINITY;
  for (int64_t a = 0; a < r->grid_h; a++)
    for (int64_t b = 0; b < r->grid_w; b++) {
      double v = sample(in, base, hn_region_y(r, i, a), hn_region_x(r, j, b), max);
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
  bool max = hn_streq(hn_attr_s(n, "mode", "avg"), "max");
  if (in->rank != 4 || rois->rank != 2 || rois->dims[1] != 4 || images->count != rois->dims[0] || ratio < 0 || ratio > 1 << 12)
    return hn_xfail(x, HONE_BAD_GRAPH, "its inputs do not fit together");
  HN_TRY(hn_xout(x, 0, in->dtype, 4, (int64_t[]){rois->dims[0], in->dims[1], oh, ow}));
  for (int64_t k = 0; k < rois->dims[0]; k++) {
    int64_t image = hn_load_i64(images->dtype, images->data, (size_t)k);
    if (image < 0 || image >= in->dims[0]) return hn_xfail(x, HONE_BAD_GRAPH, "image %lld of %lld", (long long)image, (long long)in->dims[0]);
    hn_region r;
    double corner[4];
    for (int i = 0; i < 4; i++) corner[i] = get(rois, 4 * k + i);
    if (!hn_region_of(n, corner, &r)) return hn_xfail(x, HONE_BAD_GRAPH, "region %lld is too large", (long long)k);
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
