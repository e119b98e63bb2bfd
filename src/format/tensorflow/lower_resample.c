/* lower_resample.c - resampling that TensorFlow defines by weights of its own: cubic from a table of 1024 steps, area. Along each
   side of the image the weights are a constant matrix, so that what is computed is a product from the left and the right. */
#include <math.h>
#include <string.h>

#include "format/tensorflow/tf_lower.h"

typedef struct side {
  int64_t in, out;
  bool align, centers;
} side;

static float scale_of(const side *s) { return s->align && s->out > 1 ? (float)(s->in - 1) / (float)(s->out - 1) : (float)s->in / (float)s->out; }
static int64_t within(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* Keys' kernel at distance x of less than 1, and of 1 to 2. */
static float near(double a, double x) { return (float)(((a + 2) * x - (a + 3)) * x * x + 1); }
static float far(double a, double x) { return (float)(((a * x - 5 * a) * x + 8 * a) * x - 4 * a); }

/* The weights of the inputs for output i. With pixel centers what lies outside does not count; else the edge is repeated. */
static void cubic(const side *s, int64_t i, float *w) {
  enum { STEPS = 1024 };
  double a = s->centers ? -0.5 : -0.75;
  float where = s->centers ? ((float)i + 0.5f) * scale_of(s) - 0.5f : (float)i * scale_of(s), below = floorf(where), sum = 0;
  double step = (double)lrintf((where - below) * STEPS) / STEPS;
  const float weights[4] = {far(a, step + 1), near(a, step), near(a, 1 - step), far(a, 2 - step)};
  for (int64_t k = 0; k < 4; k++) {
    int64_t at = (int64_t)below - 1 + k, bound = within(at, s->in);
    if (s->centers && at != bound) continue;
    w[bound] += weights[k];
    sum += weights[k];
  }
  for (int64_t k = 0; k < s->in && s->centers && sum != 0; k++) w[k] /= sum;
}

/* The share of each input in what output i covers. */
static void area(const side *s, int64_t i, float *w) {
  float scale = scale_of(s), start = (float)i * scale, end = (float)(i + 1) * scale;
  for (int64_t k = (int64_t)floorf(start); k < (int64_t)ceilf(end); k++) {
    float low = (float)k < start ? start : (float)k, high = (float)(k + 1) > end ? end : (float)(k + 1);
    w[within(k, s->in)] += (high - low) / scale;
  }
}

/* [out, in], or [in, out] for a product from the right. */
static hn_id weights(tf_lower *x, const side *s, void (*row)(const side *, int64_t, float *), bool right) {
  hn_tensor *t;
  int64_t dims[2] = {right ? s->in : s->out, right ? s->out : s->in};
  float *one = hn_arena_alloc(x->s->im->arena, sizeof *one * (size_t)s->in);
  if (!one) x->m.st = hn_nomem(x->s->im->cx);
  if (!x->m.st) x->m.st = hn_tensor_create(x->s->im->cx, HONE_DTYPE_F32, 2, dims, &t);
  if (x->m.st) return HN_NONE;
  float *to = t->data;
  for (int64_t i = 0; i < s->out; i++) {
    memset(one, 0, sizeof *one * (size_t)s->in);
    row(s, i, one);
    for (int64_t k = 0; k < s->in; k++) to[right ? k * s->out + i : i * s->in + k] = one[k];
  }
  return hn_make_constant(&x->m, t);
}

void hn_tf_lower_resample(tf_lower *x) {
  enum { MOST = 1 << 24 }; /* weights of one side */
  const int64_t *size;
  uint32_t n;
  bool is_area = strcmp(x->n->op, "ResizeArea") == 0;
  side h = {.align = hn_tf_attr_b(x, "align_corners", false), .centers = hn_tf_attr_b(x, "half_pixel_centers", false)}, w = h;
  hn_id v = hn_tf_to_first(x, hn_make_cast(&x->m, hn_tf_in(x, 0), HONE_DTYPE_F32));
  hn_shape shape = hn_tf_shape_of(x, v);
  bool known = hn_tf_ints(x, hn_tf_in(x, 1), &size, &n) && n == 2 && shape.rank == 4 && hn_dim_fixed(shape.d[2]) && hn_dim_fixed(shape.d[3]);
  known = known && shape.d[2] > 0 && shape.d[3] > 0 && size[0] > 0 && size[1] > 0 && size[0] <= MOST / shape.d[2] && size[1] <= MOST / shape.d[3];
  if (!x->m.st && !known && !is_area) {
    hn_tf_lower_resize(x);
    return;
  }
  if (!x->m.st && !known) hn_tf_fail(x, HONE_UNSUPPORTED, "the sizes of the image and of the result must be known, and not huge");
  if (x->m.st) return;
  h.in = shape.d[2], w.in = shape.d[3], h.out = size[0], w.out = size[1];
  hn_id wide = hn_make2(&x->m, HN_MatMul, v, weights(x, &w, is_area ? area : cubic, true));
  hn_tf_out(x, 0, hn_tf_to_last(x, hn_make2(&x->m, HN_MatMul, weights(x, &h, is_area ? area : cubic, false), wide)));
}

/* ---- windows as channels */

/* For each output the positions of its window: [out, kernel]. */
static hn_id positions(tf_lower *x, int64_t out, int64_t kernel, int64_t stride, int64_t rate) {
  enum { MOST = 1 << 24 };
  hn_tensor *t;
  if (out < 1 || out > MOST / kernel) hn_tf_fail(x, HONE_UNSUPPORTED, "its image is too large");
  if (!x->m.st) x->m.st = hn_tensor_create(x->s->im->cx, HONE_DTYPE_I64, 2, (const int64_t[]){out, kernel}, &t);
  if (x->m.st) return HN_NONE;
  for (int64_t i = 0; i < out; i++)
    for (int64_t k = 0; k < kernel; k++) hn_store_i64(HONE_DTYPE_I64, t->data, (size_t)(i * kernel + k), i * stride + k * rate);
  return hn_make_constant(&x->m, t);
}

void hn_tf_lower_image_patches(tf_lower *x) {
  static const char *const names[3] = {"ksizes", "strides", "rates"};
  const int64_t *p[3];
  int64_t pads[8] = {0}, out[2], extent[2];
  hn_id v = hn_tf_in(x, 0);
  hn_shape s = hn_tf_shape_of(x, v);
  bool same = strcmp(hn_tf_attr_s(x, "padding", ""), "SAME") == 0, ok = s.rank == 4 && hn_dim_fixed(s.d[1]) && hn_dim_fixed(s.d[2]) && hn_dim_fixed(s.d[3]);
  for (int i = 0; i < 3; i++) ok = ok && hn_tf_attr_ints(x, names[i], &p[i]) == 4 && p[i][1] > 0 && p[i][2] > 0 && p[i][1] < (1 << 16) && p[i][2] < (1 << 16);
  if (!x->m.st && !ok) hn_tf_fail(x, HONE_UNSUPPORTED, "the size of its image must be known, and its windows positive");
  if (x->m.st) return;
  for (int i = 0; i < 2; i++) {
    int64_t in = s.d[i + 1], stride = p[1][i + 1];
    extent[i] = (p[0][i + 1] - 1) * p[2][i + 1] + 1;
    out[i] = same ? (in + stride - 1) / stride : (in - extent[i]) / stride + 1;
    int64_t more = same ? (out[i] - 1) * stride + extent[i] - in : 0;
    if (more > 0) pads[i + 1] = more / 2, pads[i + 5] = more - more / 2;
    if (in < extent[i] && !same) hn_tf_fail(x, HONE_BAD_GRAPH, "its window is larger than the image");
  }
  if (pads[1] || pads[2] || pads[5] || pads[6]) v = hn_make2(&x->m, HN_Pad, v, hn_make_ints(&x->m, pads, 8));
  v = hn_tf_gather(x, v, positions(x, out[0], p[0][1], p[1][1], p[2][1]), 1); /* [batch, out, k, w, c] */
  v = hn_tf_gather(x, v, positions(x, out[1], p[0][2], p[1][2], p[2][2]), 3); /* [batch, out, k, out, k, c] */
  v = hn_make_transpose(&x->m, v, (const int64_t[]){0, 1, 3, 2, 4, 5}, 6);
  hn_tf_out(x, 0, hn_make_reshape(&x->m, v, (const int64_t[]){0, out[0], out[1], p[0][1] * p[0][2] * s.d[3]}, 4));
}
