/* conv_winograd.c - 3x3 convolution of stride 1 by Winograd's F(2x2, 3x3), F(4x4, 3x3) and F(6x6, 3x3): for blocks of tiles,
   the input is transformed, a matrix product is made for each point, panel of output channels by panel, and their results are
   transformed back. Larger tiles save more products, need larger weights, and lose more to rounding. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/conv/winograd.h"

enum {
  BLOCK_BYTES = 512 << 10, /* of a block of transformed tiles */
  MOST_BYTES = 1 << 20,    /* where that makes few tiles: of a block that all tiles go into */
  GAP = 16                 /* numbers between its rows, for the cache sets */
};

typedef struct conv_winograd {
  hn_conv c;
  hn_ending e;
  const hn_tile *tile;
  const hn_winograd *transform;
  const float *weights, *bias; /* weights: panel, point, input channel, column */
  const float *zeros;          /* a pixel outside the image */
  int64_t out, points, in_pitch, out_pitch; /* pitches: from pixel to pixel */
  int64_t tiles_h, tiles_w, tiles; /* of all images */
  int64_t block, blocks, panels, parts; /* tiles of a job; jobs are blocks x parts of the panels */
  int64_t ld, input_floats, product_floats;
} conv_winograd;

static bool supports(const hn_task *t, int64_t out) {
  if (!hn_conv_supported(t) || t->in[0].rank != 4 || hn_attr_i(t->node, "group", 1) != 1) return false;
  const int64_t *w = t->in[1].dims, *o = t->out[0].dims;
  return w[2] == 3 && w[3] == 3 && w[0] % 16 == 0 && w[1] % 16 == 0 && (out == 2 || (o[2] > 2 && o[3] > 2));
}

/* The largest error on a tile of random numbers, relative to the largest result. */
static double rounding_error(const conv_winograd *s, const float *w, int64_t channel) {
  int in = s->transform->in, out = s->transform->out;
  double want[36] = {0}, got = 0, most = 0;
  float pixels[WINOGRAD_MAX_POINTS * 16], sums[WINOGRAD_MAX_POINTS * 16] = {0}, v[WINOGRAD_MAX_POINTS * 16], u[WINOGRAD_MAX_POINTS];
  float result[36 * 16];
  const float *pixel[WINOGRAD_MAX_POINTS];
  uint32_t seed = 12345;
  for (int i = 0; i < in * in; i++) pixel[i] = pixels + i * 16;
  for (int64_t k = 0; k < s->c.in_c; k++) {
    const float *g = w + (channel * s->c.in_c + k) * 9;
    if (k % 16 == 0) {
      for (int i = 0; i < in * in * 16; i++) pixels[i] = (float)((seed = seed * 1664525 + 1013904223) >> 8) / 8388608.0F - 1;
      s->transform->input(pixel, 16, v, 16);
    }
    hn_winograd_weights(out, g, u);
    for (int i = 0; i < in * in; i++) sums[i * 16] += u[i] * v[i * 16 + k % 16];
    for (int i = 0; i < out * out; i++)
      for (int tap = 0; tap < 9; tap++)
        want[i] += (double)g[tap] * (double)pixels[((i / out + tap / 3) * in + i % out + tap % 3) * 16 + k % 16];
  }
  hn_winograd_end end = {.lo = -INFINITY, .hi = INFINITY};
  s->transform->output(sums, 16, 16, &end, result, out * 16, 16, out, out);
  for (int i = 0; i < out * out; i++) {
    most = fmax(most, fabs(want[i]));
    got = fmax(got, fabs((double)result[i * 16] - want[i]));
  }
  return most > 0 ? got / most : 0;
}

static hone_status pack_weights(hn_task *t, conv_winograd *s) {
  const hn_conv *c = &s->c;
  const float *w = t->in[1].constant->data;
  int64_t cols = s->tile->cols, panel = s->points * c->in_c * cols;
  float *p;
  bool fill;
  uint64_t bound; /* weights packed under another bound have not been tested for this one */
  memcpy(&bound, &hn_cpu_of(t)->winograd_error, sizeof bound);
  HN_TRY(hn_task_pack(t, sizeof *p * (size_t)(s->panels * panel), bound, (void **)&p, &fill));
  s->weights = p;
  if (fill) {
    for (int64_t m = 0; m < c->out_c; m += hn_ceil_div(c->out_c, 4))
      if (rounding_error(s, w, m) > hn_cpu_of(t)->winograd_error) return HONE_UNSUPPORTED;
    if (c->out_c % cols) memset(p, 0, sizeof *p * (size_t)(s->panels * panel));
    for (int64_t m = 0; m < c->out_c; m++)
      for (int64_t k = 0; k < c->in_c; k++) {
        float u[WINOGRAD_MAX_POINTS];
        hn_winograd_weights(s->transform->out, w + (m * c->in_c + k) * 9, u);
        for (int64_t i = 0; i < s->points; i++) p[m / cols * panel + (i * c->in_c + k) * cols + m % cols] = u[i];
      }
  }
  t->in[1].unused = true;
  HN_TRY(hn_task_pack(t, sizeof *p * (size_t)c->in_c, 0, (void **)&p, &fill));
  if (fill) memset(p, 0, sizeof *p * (size_t)c->in_c);
  s->zeros = p;
  const void *bias;
  HN_TRY(hn_conv_pack_bias(t, cols, &bias));
  s->bias = bias;
  return HONE_OK;
}

/* Blocks of tiles fill a part of the cache; few tiles are one block, so that the weights are read once. */
static void cut(hn_task *t, conv_winograd *s) {
  int64_t rows = s->tile->rows, each = s->points * s->ld * 4, fit = BLOCK_BYTES / each / rows * rows;
  if (fit < rows) fit = rows;
  if (s->tiles * each <= MOST_BYTES) fit = s->tiles;
  s->blocks = hn_ceil_div(s->tiles, fit);
  if (s->blocks > 1) s->blocks = hn_ceil_div(s->blocks, t->threads) * t->threads;
  s->block = hn_ceil_div(s->tiles, s->blocks);
  s->blocks = hn_ceil_div(s->tiles, s->block);
  s->parts = s->blocks >= t->threads ? 1 : hn_smaller(t->threads, s->panels);
  s->input_floats = s->points * s->block * s->ld;
  s->product_floats = s->points * s->block * s->tile->cols;
  t->scratch = sizeof(float) * (size_t)(t->threads * (s->input_floats + s->product_floats));
}

static hone_status plan(hn_task *t, int out) {
  const hn_cpu *cpu = t->device;
  conv_winograd *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  if (c->stride_h != 1 || c->stride_w != 1 || c->dilation_h != 1 || c->dilation_w != 1) return HONE_UNSUPPORTED;
  t->threads = hn_conv_threads(t, hn_conv_macs(c));
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  s->in_pitch = hn_take_pitch(&t->in[0]);
  s->out_pitch = hn_take_pitch(&t->out[0]);
  s->tile = hn_tile_for(cpu->isa);
  s->transform = hn_winograd_for(cpu->isa, out);
  s->out = out;
  s->points = (int64_t)s->transform->in * s->transform->in;
  s->tiles_h = hn_ceil_div(c->out_h, out);
  s->tiles_w = hn_ceil_div(c->out_w, out);
  s->tiles = c->images * s->tiles_h * s->tiles_w;
  s->panels = hn_ceil_div(c->out_c, s->tile->cols);
  s->ld = c->in_c + GAP;
  HN_TRY(pack_weights(t, s));
  cut(t, s);
  hn_ending_take(t, HN_LAYOUT_NHWC, true, &s->e);
  return HONE_OK;
}

static void destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* The output pixel a tile begins with. */
static void locate(const conv_winograd *s, int64_t tile, int64_t *image, int64_t *y, int64_t *x) {
  *x = tile % s->tiles_w * s->out;
  *y = tile / s->tiles_w % s->tiles_h * s->out;
  *image = tile / s->tiles_w / s->tiles_h;
}

static void transform_input(const conv_winograd *s, const float *data, int64_t tile, float *v) {
  const hn_conv *c = &s->c;
  const float *pixel[WINOGRAD_MAX_POINTS];
  int64_t image, y, x, in = s->transform->in;
  locate(s, tile, &image, &y, &x);
  for (int64_t i = 0; i < s->points; i++) {
    int64_t iy = y - c->pad_top + i / in, ix = x - c->pad_left + i % in;
    bool inside = iy >= 0 && iy < c->in_h && ix >= 0 && ix < c->in_w;
    pixel[i] = inside ? data + ((image * c->in_h + iy) * c->in_w + ix) * s->in_pitch : s->zeros;
  }
  s->transform->input(pixel, c->in_c, v, s->block * s->ld);
}

static void transform_output(const conv_winograd *s, hn_exec *x, const float *m, int64_t tile, int64_t col, int64_t cols) {
  const hn_conv *c = &s->c;
  int64_t image, y, px;
  locate(s, tile, &image, &y, &px);
  int64_t at = (image * c->out_h + y) * c->out_w + px, line = c->out_w * s->out_pitch, residual = s->e.residual_pitch;
  int rows = (int)hn_smaller(s->out, c->out_h - y), width = (int)hn_smaller(s->out, c->out_w - px);
  hn_winograd_end end = {.bias = s->bias ? s->bias + col : NULL, .lo = s->e.lo, .hi = s->e.hi,
                         .residual_line = c->out_w * residual, .residual_pixel = residual,
                         .residual = s->e.residual == HN_NONE ? NULL : (const float *)x->in[s->e.residual].data + at * residual + col};
  float *out = (float *)x->out[0].data + at * s->out_pitch + col;
  s->transform->output(m, s->block * s->tile->cols, cols, &end, out, line, s->out_pitch, rows, width);
  for (int r = 0; r < rows && s->e.n; r++)
    for (int k = 0; k < width; k++) hn_ending_run(&s->e, out + r * line + k * s->out_pitch, cols);
}

static void run_job(const conv_winograd *s, hn_exec *x, int64_t first, int64_t part, float *v) {
  const hn_conv *c = &s->c;
  const hn_tile *tile = s->tile;
  int64_t n = hn_smaller(s->block, s->tiles - first), cols = tile->cols;
  hn_tile_cut cut = hn_tile_cut_rows(tile, n);
  int64_t panel_end = s->panels * (part + 1) / s->parts, step = hn_tile_next_step(tile, cut.tiles);
  float *m = v + s->input_floats;
  for (int64_t i = 0; i < n; i++) transform_input(s, x->in[0].data, first + i, v + i * s->ld);
  for (int64_t p = s->panels * part / s->parts; p < panel_end; p++) {
    int64_t width = hn_smaller(cols, c->out_c - p * cols);
    for (int64_t i = 0; i < s->points; i++) {
      const float *b = s->weights + (p * s->points + i) * c->in_c * cols;
      const char *next = (const char *)(b + c->in_c * cols); /* of the next point, or of the next panel's first */
      bool more = p + 1 < panel_end || i + 1 < s->points;
      for (int64_t k = 0; k < cut.tiles; k++) {
        int64_t r = hn_tile_row(&cut, k);
        hn_tile_job j = {.k = c->in_c, .a = v + (i * s->block + r) * s->ld, .lda = s->ld, .b = b,
                         .c = m + (i * s->block + r) * cols, .ldc = cols, .lo = -INFINITY, .hi = INFINITY,
                         .next = more && k * step < 16 * cols ? next + k * (c->in_c / 4) * step : NULL, .next_step = step};
        tile->mul(&j, (int)(hn_tile_row(&cut, k + 1) - r), (int)width);
      }
    }
    for (int64_t i = 0; i < n; i++) transform_output(s, x, m + i * cols, first + i, p * cols, width);
  }
}

typedef struct winograd_run {
  const conv_winograd *s;
  hn_exec *x;
} winograd_run;

static void run_share(void *arg, int64_t begin, int64_t end) {
  const winograd_run *r = arg;
  const conv_winograd *s = r->s;
  int64_t jobs = s->blocks * s->parts, threads = r->x->task->threads;
  for (int64_t id = begin; id < end; id++)
    for (int64_t j = jobs * id / threads; j < jobs * (id + 1) / threads; j++)
      run_job(s, r->x, j / s->parts * s->block, j % s->parts,
              (float *)r->x->scratch + id * (s->input_floats + s->product_floats));
}

static hone_status run(hn_exec *x) {
  winograd_run r = {x->task->state, x};
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, &r);
  return HONE_OK;
}

#define SIZE(out)                                                                            \
  bool conv_winograd##out##_supports(const hn_task *t) { return supports(t, out); }          \
  hone_status conv_winograd##out##_plan(hn_task *t) { return plan(t, out); }                 \
  hone_status conv_winograd##out##_run(hn_exec *x) { return run(x); }                        \
  void conv_winograd##out##_destroy(hn_task *t) { destroy(t); }
SIZE(2)
SIZE(4)
SIZE(6)
