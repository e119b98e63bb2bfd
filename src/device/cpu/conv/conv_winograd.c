/* conv_winograd.c - 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): for blocks of tiles, the input is transformed,
   36 matrix products are made, panel of output channels by panel, and their results are transformed back. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/conv/winograd.h"

enum { BLOCK_BYTES = 512 << 10, GAP = 16 }; /* bytes of a block of transformed tiles; numbers between its rows, for the cache sets */

typedef struct conv_winograd {
  hn_conv c;
  hn_ending e;
  const hn_tile *tile;
  const hn_winograd *transform;
  const float *weights, *bias; /* weights: panel, point, input channel, column */
  const float *zeros;          /* a pixel outside the image */
  int64_t tiles_h, tiles_w, tiles; /* of all images */
  int64_t block, blocks, panels, parts; /* tiles of a job; jobs are blocks x parts of the panels */
  int64_t ld, input_floats, product_floats;
} conv_winograd;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

bool conv_winograd_supports(const hn_task *t) {
  if (!hn_conv_supported(t) || t->in[0].rank != 4 || hn_attr_i(t->node, "group", 1) != 1) return false;
  const int64_t *w = t->in[1].dims;
  return w[2] == 3 && w[3] == 3 && w[0] % 16 == 0 && w[1] % 16 == 0;
}

static hone_status pack_weights(hn_task *t, conv_winograd *s) {
  const hn_conv *c = &s->c;
  const float *w = t->in[1].constant->data;
  int64_t cols = s->tile->cols, panel = WINOGRAD_POINTS * c->in_c * cols;
  float *p;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof *p * (size_t)(s->panels * panel), 0, (void **)&p, &fill));
  s->weights = p;
  if (fill) {
    if (c->out_c % cols) memset(p, 0, sizeof *p * (size_t)(s->panels * panel));
    for (int64_t m = 0; m < c->out_c; m++)
      for (int64_t k = 0; k < c->in_c; k++) {
        float u[WINOGRAD_POINTS];
        hn_winograd_weights(w + (m * c->in_c + k) * 9, u);
        for (int64_t i = 0; i < WINOGRAD_POINTS; i++) p[m / cols * panel + (i * c->in_c + k) * cols + m % cols] = u[i];
      }
  }
  t->in[1].unused = true;
  HN_TRY(hn_task_pack(t, sizeof *p * (size_t)c->in_c, 0, (void **)&p, &fill));
  if (fill) memset(p, 0, sizeof *p * (size_t)c->in_c);
  s->zeros = p;
  return hn_conv_pack_bias(t, cols, &s->bias);
}

hone_status conv_winograd_plan(hn_task *t) {
  const hn_cpu *cpu = t->device;
  conv_winograd *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  if (c->stride_h != 1 || c->stride_w != 1 || c->dilation_h != 1 || c->dilation_w != 1) return HONE_UNSUPPORTED;
  s->tile = hn_tile_for(cpu->isa);
  s->transform = hn_winograd_for(cpu->isa);
  s->tiles_h = ceil_div(c->out_h, WINOGRAD_OUT);
  s->tiles_w = ceil_div(c->out_w, WINOGRAD_OUT);
  s->tiles = c->images * s->tiles_h * s->tiles_w;
  s->panels = ceil_div(c->out_c, s->tile->cols);
  HN_TRY(pack_weights(t, s));
  s->ld = c->in_c + GAP;
  int64_t fit = BLOCK_BYTES / 4 / WINOGRAD_POINTS / s->ld / s->tile->rows * s->tile->rows;
  if (fit < s->tile->rows) fit = s->tile->rows;
  s->blocks = ceil_div(s->tiles, fit);
  if (s->blocks > 1) s->blocks = ceil_div(s->blocks, t->threads) * t->threads;
  s->block = ceil_div(s->tiles, s->blocks);
  s->blocks = ceil_div(s->tiles, s->block);
  s->parts = s->blocks >= t->threads ? 1 : smaller(t->threads, s->panels);
  s->input_floats = WINOGRAD_POINTS * s->block * s->ld;
  s->product_floats = WINOGRAD_POINTS * s->block * s->tile->cols;
  t->scratch = sizeof(float) * (size_t)(t->threads * (s->input_floats + s->product_floats));
  hn_ending_take(t, HN_LAYOUT_NHWC, &s->e);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  return HONE_OK;
}

void conv_winograd_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* The output pixel a tile begins with. */
static void locate(const conv_winograd *s, int64_t tile, int64_t *image, int64_t *y, int64_t *x) {
  *x = tile % s->tiles_w * WINOGRAD_OUT;
  *y = tile / s->tiles_w % s->tiles_h * WINOGRAD_OUT;
  *image = tile / s->tiles_w / s->tiles_h;
}

static void transform_input(const conv_winograd *s, const float *data, int64_t tile, float *v) {
  const hn_conv *c = &s->c;
  const float *pixel[WINOGRAD_POINTS];
  int64_t image, y, x;
  locate(s, tile, &image, &y, &x);
  for (int i = 0; i < WINOGRAD_POINTS; i++) {
    int64_t iy = y - c->pad_top + i / WINOGRAD_IN, ix = x - c->pad_left + i % WINOGRAD_IN;
    bool inside = iy >= 0 && iy < c->in_h && ix >= 0 && ix < c->in_w;
    pixel[i] = inside ? data + ((image * c->in_h + iy) * c->in_w + ix) * c->in_c : s->zeros;
  }
  s->transform->input(pixel, c->in_c, v, s->block * s->ld);
}

static void transform_output(const conv_winograd *s, hn_exec *x, const float *m, int64_t tile, int64_t col, int64_t cols) {
  const hn_conv *c = &s->c;
  int64_t image, y, px;
  locate(s, tile, &image, &y, &px);
  int64_t at = ((image * c->out_h + y) * c->out_w + px) * c->out_c + col, line = c->out_w * c->out_c;
  int rows = (int)smaller(WINOGRAD_OUT, c->out_h - y), width = (int)smaller(WINOGRAD_OUT, c->out_w - px);
  hn_winograd_end end = {.bias = s->bias ? s->bias + col : NULL, .lo = s->e.lo, .hi = s->e.hi,
                         .residual = s->e.residual == HN_NONE ? NULL : (const float *)x->in[s->e.residual].data + at};
  float *out = (float *)x->out[0].data + at;
  s->transform->output(m, s->block * s->tile->cols, cols, &end, out, line, c->out_c, rows, width);
  for (int r = 0; r < rows && s->e.n; r++)
    for (int k = 0; k < width; k++) hn_ending_run(&s->e, out + r * line + k * c->out_c, cols);
}

static void run_job(const conv_winograd *s, hn_exec *x, int64_t first, int64_t part, float *v) {
  const hn_conv *c = &s->c;
  const hn_tile *tile = s->tile;
  int64_t n = smaller(s->block, s->tiles - first), cols = tile->cols;
  float *m = v + s->input_floats;
  for (int64_t i = 0; i < n; i++) transform_input(s, x->in[0].data, first + i, v + i * s->ld);
  for (int64_t p = s->panels * part / s->parts; p < s->panels * (part + 1) / s->parts; p++) {
    int64_t width = smaller(cols, c->out_c - p * cols);
    for (int64_t i = 0; i < WINOGRAD_POINTS; i++)
      for (int64_t r = 0; r < n; r += tile->rows) {
        hn_tile_job j = {.k = c->in_c, .a = v + (i * s->block + r) * s->ld, .lda = s->ld,
                         .b = s->weights + (p * WINOGRAD_POINTS + i) * c->in_c * cols,
                         .c = m + (i * s->block + r) * cols, .ldc = cols, .lo = -INFINITY, .hi = INFINITY};
        tile->mul(&j, (int)smaller(tile->rows, n - r), (int)width);
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

hone_status conv_winograd_run(hn_exec *x) {
  winograd_run r = {x->task->state, x};
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, &r);
  return HONE_OK;
}
