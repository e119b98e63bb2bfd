/* planes_bf16.c - convolution of a few channels of bfloat16 that lie in planes, as images come in, by AMX: some lines at a time become
   channels last, a pixel two or four numbers. A row of a window then lies in one piece, and those of neighbouring outputs overlap in
   memory as they do in the image, so that tiles read them where they are. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/quant/half_product.h"

enum { MOST_PLANES = 4, LINES_BYTES = 24 << 10 /* half of the first-level cache */ };

typedef struct planes {
  const hn_half_tile *tile;
  hn_conv c;
  hn_ending e;
  int64_t pixel, line, job;    /* numbers of a pixel, of a line with its padding; lines of the result at a time */
  int64_t step, pairs;         /* of a row of the window, of all */
  int64_t out_pitch;
  const uint16_t *weights;     /* panels of HN_HALF_COLS columns */
  const float *bias;
  size_t scratch;              /* of a thread, bytes */
} planes;

static int64_t pixel_of(const hn_conv *c) { return c->in_c > 2 ? 4 : 2; }

bool planes_bf16_supports(const hn_task *t) {
  hn_conv c;
  const hn_half_tile *tile = t->device ? t->device->bf16 : NULL;
  if (!tile || t->in[0].rank != 4 || !hn_conv_supported_as(t, HONE_DTYPE_BF16) || hn_conv_resolve((hn_task *)(uintptr_t)t, &c)) return false;
  return c.group == 1 && c.in_c <= MOST_PLANES && c.dilation_w == 1 && c.kernel_w * pixel_of(&c) <= 2 * tile->deep;
}

/* Row of the window, pixel, channel. */
static hone_status pack_weights(hn_task *t, planes *s) {
  const hn_conv *c = &s->c;
  const uint16_t *w = t->in[1].constant->data;
  int64_t panels = hn_ceil_div(c->out_c, HN_HALF_COLS), panel = s->pairs * 2 * HN_HALF_COLS;
  uint16_t *p;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof *p * (size_t)(panels * panel), 0, (void **)&p, &fill));
  if (fill) memset(p, 0, sizeof *p * (size_t)(panels * panel));
  for (int64_t n = 0; n < c->out_c && fill; n++)
    for (int64_t i = 0; i < c->in_c * c->kernel_h * c->kernel_w; i++) {
      int64_t k = i % (c->kernel_h * c->kernel_w) * s->pixel + i / (c->kernel_h * c->kernel_w); /* rows of the window follow each other */
      p[n / HN_HALF_COLS * panel + k / 2 * 2 * HN_HALF_COLS + hn_half_column(HONE_DTYPE_BF16, n % HN_HALF_COLS) + k % 2] =
          w[n * c->in_c * c->kernel_h * c->kernel_w + i];
    }
  t->in[1].unused = true;
  s->weights = p;
  return HONE_OK;
}

static int64_t lines_for(const hn_conv *c, int64_t n) { return (n - 1) * c->stride_h + (c->kernel_h - 1) * c->dilation_h + 1; }

hone_status planes_bf16_plan(hn_task *t) {
  planes *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  s->tile = hn_cpu_of(t)->bf16;
  t->threads = hn_conv_threads(t, hn_conv_macs(c));
  t->in[0].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_NHWC;
  s->out_pitch = hn_take_pitch(&t->out[0]);
  s->pixel = pixel_of(c);
  s->step = c->kernel_w * s->pixel / 2;
  s->pairs = s->step * c->kernel_h;
  s->line = ((c->out_w - 1) * c->stride_w + c->kernel_w) * s->pixel;
  for (s->job = 1; s->job < c->out_h && lines_for(c, s->job + 1) * s->line * 2 <= LINES_BYTES;) s->job++;
  s->scratch = (size_t)hn_round_up(lines_for(c, s->job) * s->line * 2, 64);
  t->scratch = s->scratch * (size_t)t->threads;
  HN_TRY(pack_weights(t, s));
  if (hn_conv_has_bias(t)) HN_TRY(hn_half_pack_bias(t, 2, c->out_c, &s->bias));
  hn_ending_take(t, HN_LAYOUT_NHWC, true, &s->e);
  return HONE_OK;
}

void planes_bf16_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* The lines that results y.. are made of, channels last, zeros around. */
static void line_up(const planes *s, const uint16_t *image, int64_t y, int64_t lines, uint16_t *to) {
  const hn_conv *c = &s->c;
  int64_t all = s->line / s->pixel, left = hn_smaller(c->pad_left, all), n = hn_larger(0, hn_smaller(all - left, c->in_w));
  for (int64_t i = 0, from = y * c->stride_h - c->pad_top; i < lines; i++, from++, to += s->line) {
    const uint16_t *plane[MOST_PLANES] = {NULL};
    if (from < 0 || from >= c->in_h) {
      memset(to, 0, sizeof *to * (size_t)s->line);
      continue;
    }
    for (int64_t k = 0; k < c->in_c; k++) plane[k] = image + (k * c->in_h + from) * c->in_w;
    memset(to, 0, sizeof *to * (size_t)(left * s->pixel));
    s->tile->interleave(to + left * s->pixel, plane, (int)s->pixel, n);
    memset(to + (left + n) * s->pixel, 0, sizeof *to * (size_t)((all - left - n) * s->pixel));
  }
}

/* Lines y..end of an image's result. */
static void run_lines(const planes *s, const hn_exec *x, int64_t image, int64_t y, int64_t end, uint16_t *lines) {
  const hn_conv *c = &s->c;
  const uint16_t *residual = s->e.residual == HN_NONE ? NULL : x->in[s->e.residual].data;
  float sums[2][HN_HALF_ROWS * HN_HALF_COLS] __attribute__((aligned(64)));
  int64_t tiles = hn_ceil_div(c->out_w, s->tile->rows);
  hn_half_job j = {.pairs = s->pairs, .step = s->step, .lda = c->stride_w * s->pixel, .a_step = c->dilation_h * s->line,
                   .height = (int)hn_ceil_div(hn_ceil_div(c->out_w, tiles), 2)};
  hn_half_made last = {.rows = 0};
  int turn = 0;
  s->tile->begin(j.height, j.step);
  for (int64_t i = 0; i < (end - y) * tiles; i++) {
    int64_t at = i / tiles, from = c->out_w * (i % tiles) / tiles, pixel = (image * c->out_h + y + at) * c->out_w + from;
    j.rows = (int)(c->out_w * (i % tiles + 1) / tiles - from);
    j.a = lines + at * c->stride_h * s->line + from * j.lda;
    for (int64_t n = 0; n < c->out_c; n += HN_HALF_COLS, turn = !turn) {
      j.b = s->weights + n * s->pairs * 2;
      j.sums = sums[turn];
      s->tile->mul(&j);
      hn_half_end(s->tile, &s->e, &last);
      s->tile->store(&j);
      last = (hn_half_made){.e = {.bias = s->bias ? s->bias + n : NULL, .residual = residual ? residual + pixel * s->e.residual_pitch + n : NULL,
                                  .ld_residual = s->e.residual_pitch, .lo = s->e.lo, .hi = s->e.hi,
                                  .out = (uint16_t *)x->out[0].data + pixel * s->out_pitch + n, .ld_out = s->out_pitch},
                            .sums = sums[turn], .rows = j.rows, .cols = (int)hn_smaller(HN_HALF_COLS, c->out_c - n)};
    }
  }
  hn_half_end(s->tile, &s->e, &last);
  s->tile->end();
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const planes *s = x->task->state;
  const hn_conv *c = &s->c;
  int64_t all = c->images * c->out_h, threads = x->task->threads;
  for (int64_t id = begin; id < end; id++)
    for (int64_t at = all * id / threads, stop = all * (id + 1) / threads, n; at < stop; at += n) {
      int64_t image = at / c->out_h, y = at % c->out_h;
      uint16_t *lines = (uint16_t *)(void *)((char *)x->scratch + (size_t)id * s->scratch);
      n = hn_smaller(hn_smaller(s->job, stop - at), c->out_h - y);
      line_up(s, (const uint16_t *)x->in[0].data + image * c->in_c * c->in_h * c->in_w, y, lines_for(c, n), lines);
      run_lines(s, x, image, y, y + n, lines);
    }
}

hone_status planes_bf16_run(hn_exec *x) {
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, x);
  return HONE_OK;
}
