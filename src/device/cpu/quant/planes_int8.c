/* planes_int8.c - convolution of bytes of a few channels that lie in planes, as images come in: some lines at a time become pixels of
   four bytes, so that a row of a window lies in one piece and windows of neighbouring outputs overlap in memory as they do in the
   image. Products read them where they are. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"
#include "device/cpu/quant/int8_pack.h"
#include "device/cpu/quant/int8_tail.h"

enum { PIXEL = 4, LINES_BYTES = 24 << 10 /* half of the first-level cache */ };

typedef struct planes {
  hn_conv c;
  hn_int8_matrix matrix;
  hn_int8_way_out way;
  const int8_t *weights;
  const int32_t *init;
  float *unit, *bias;  /* by panels' columns */
  uint8_t zero, flip;  /* signed bytes are read as unsigned ones 128 higher */
  int64_t line, job;   /* bytes of a line with its padding; lines of the result at a time */
  size_t lines, scratch; /* bytes of a thread: of lines, of all */
} planes;

bool planes_int8_supports(const hn_task *t) {
  hn_conv c;
  if (!hn_int8_product(t) || t->node->op != HN_Conv || !t->out[0].quant || t->in[0].rank != 4 || hn_conv_resolve((hn_task *)(uintptr_t)t, &c)) return false;
  const hn_arg *b = hn_conv_has_bias(t) ? &t->in[2] : NULL;
  if (b && (!b->constant || b->dtype != HONE_DTYPE_F32 || b->constant->count != c.out_c)) return false;
  return c.group == 1 && c.in_c <= PIXEL && c.dilation_w == 1 && c.kernel_h * c.kernel_w > 1 && c.images * c.out_h * c.out_w > 0;
}

typedef struct weights_of {
  const hn_conv *c;
  const int8_t *w;
} weights_of;

/* Depth: taps, of each four channels. */
static int8_t weight(const void *of, int64_t k, int64_t column) {
  const weights_of *v = of;
  int64_t channel = k % PIXEL, taps = v->c->kernel_h * v->c->kernel_w;
  return channel < v->c->in_c ? v->w[(column * v->c->in_c + channel) * taps + k / PIXEL] : 0;
}

static hone_status pack(hn_task *t, planes *s) {
  hn_int8_matrix *m = &s->matrix;
  const hn_conv *c = &s->c;
  int64_t n = hn_int8_columns(m);
  void *weights, *init;
  bool fill;
  HN_TRY(hn_task_pack(t, hn_int8_matrix_bytes(m), 0, &weights, &fill));
  HN_TRY(hn_task_pack(t, sizeof(int32_t) * (size_t)n, 0, &init, &fill));
  if (fill) hn_int8_pack(m, weight, &(weights_of){c, t->in[1].constant->data}, 0, m->panels, weights, init);
  for (int64_t i = 0; fill && i < n; i++) ((int32_t *)init)[i] *= -s->zero;
  s->weights = weights;
  s->init = init;
  s->unit = hn_calloc((size_t)(2 * n), sizeof *s->unit);
  if (!m->at) m->at = hn_calloc((size_t)m->entries, sizeof *m->at);
  if (!s->unit || !m->at) return hn_nomem(t->cx);
  for (int64_t e = 0; e < m->entries; e++) { /* where quads lie in lines */
    int64_t tap = e >> m->tile->saturates;
    m->at[e] = (int32_t)(tap / c->kernel_w * c->dilation_h * s->line + tap % c->kernel_w * PIXEL);
  }
  s->bias = s->unit + n;
  const float *bias = hn_conv_has_bias(t) ? t->in[2].constant->data : NULL;
  for (int64_t i = 0; i < c->out_c; i++) {
    s->unit[i] = hn_int8_way_out_unit(&s->way, (double)hn_int8_unit(t, i));
    s->bias[i] = hn_int8_way_out_bias(&s->way, bias ? (double)bias[i] : 0);
  }
  hn_int8_way_out_settle(&s->way, s->unit, s->bias, n);
  t->in[1].unused = true;
  if (bias) t->in[2].unused = true;
  return HONE_OK;
}

static int64_t lines_for(const hn_conv *c, int64_t n) { return (n - 1) * c->stride_h + (c->kernel_h - 1) * c->dilation_h + 1; }

hone_status planes_int8_plan(hn_task *t) {
  planes *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  const hn_int8_tile *tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  s->flip = t->in[0].dtype == HONE_DTYPE_I8 ? 128 : 0;
  s->zero = (uint8_t)(t->in[0].quant->zero + s->flip);
  s->line = ((c->out_w - 1) * c->stride_w + c->kernel_w) * PIXEL;
  for (s->job = 1; s->job < c->out_h && lines_for(c, s->job + 1) * s->line <= LINES_BYTES;) s->job++;
  HN_TRY(hn_int8_matrix_open(t->cx, tile, c->kernel_h * c->kernel_w * PIXEL, c->out_c, true, &s->matrix));
  if (tile->deep >= c->kernel_w) s->matrix.step = c->kernel_w; /* a row of the window each */
  t->in[0].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_NHWC;
  if (!hn_int8_way_out_take(t, HN_LAYOUT_NHWC, true, &s->way)) return HONE_UNSUPPORTED;
  HN_TRY(pack(t, s));
  t->threads = hn_conv_threads(t, hn_conv_macs(c));
  s->lines = (size_t)hn_round_up(lines_for(c, s->job) * s->line, 64);
  int64_t rows = hn_larger(hn_round_up(c->out_w, tile->rows), HN_INT8_LATER * tile->rows);
  s->scratch = s->lines + sizeof(int32_t) * (size_t)(rows * tile->cols);
  t->scratch = s->scratch * (size_t)t->threads;
  return HONE_OK;
}

void planes_int8_destroy(hn_task *t) {
  planes *s = t->state;
  if (s) {
    hn_int8_matrix_close(&s->matrix);
    hn_free(s->unit);
  }
  hn_free(s);
  t->state = NULL;
}

/* ------------------------------------------------------------------------------------------- running */

/* The lines that results y.. are made of, with the zero point around. */
static void line_up(const planes *s, const uint8_t *image, int64_t y, int64_t lines, uint8_t *to) {
  const hn_conv *c = &s->c;
  int64_t all = s->line / PIXEL, left = hn_smaller(c->pad_left, all), n = hn_larger(0, hn_smaller(all - left, c->in_w));
  for (int64_t i = 0, from = y * c->stride_h - c->pad_top; i < lines; i++, from++, to += s->line) {
    const uint8_t *plane[PIXEL];
    if (from < 0 || from >= c->in_h) {
      memset(to, s->zero, (size_t)s->line);
      continue;
    }
    for (int64_t k = 0; k < PIXEL; k++) plane[k] = image + ((k < c->in_c ? k : 0) * c->in_h + from) * c->in_w; /* weights of others are zero */
    memset(to, s->zero, (size_t)(left * PIXEL));
    hn_int8_interleave(to + left * PIXEL, plane, n, s->flip);
    memset(to + (left + n) * PIXEL, s->zero, (size_t)((all - left - n) * PIXEL));
  }
}

/* A line of the result, whose number is `row` among those of all images; `window`: where the first pixel's begins. */
static void run_line(const planes *s, const hn_exec *x, int64_t row, const uint8_t *window, int32_t *sum, hn_int8_later *later, int height) {
  const hn_conv *c = &s->c;
  const hn_int8_way_out *w = &s->way;
  int64_t cols = s->matrix.tile->cols;
  for (int64_t i = 0; i < s->matrix.panels; i++) {
    int64_t at = row * c->out_w * c->out_c + i * cols, n = hn_smaller(c->out_c - i * cols, cols);
    hn_int8_mul m = hn_int8_mul_of(&s->matrix, s->weights, i);
    m.a = window, m.lda = c->stride_w * PIXEL, m.a_step = c->dilation_h * s->line;
    m.init = s->init + i * cols, m.sum = sum, m.starts = s->zero != 0;
    m.height = height, m.later = later;
    hn_int8_finish f = {.sum = sum, .unit = s->unit + i * cols, .bias = s->bias + i * cols, .n = n, .ld = c->out_c,
                        .out = (uint8_t *)x->out[0].data + at, .ending = &w->ending};
    if (w->residual != HN_NONE) {
      f.residual = w->residual_type;
      f.res = (const unsigned char *)x->in[w->residual].data + (size_t)at * (w->residual_type == HN_INT8_RESIDUAL_F32 ? sizeof(float) : 1);
      f.by = (float)(w->residual_scale * w->by);
    }
    s->matrix.tile->mul(&m, &f, (int)c->out_w, n <= s->matrix.tile->lanes);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const planes *s = x->task->state;
  const hn_conv *c = &s->c;
  const hn_int8_tile *tile = s->matrix.tile;
  int64_t all = c->images * c->out_h, threads = x->task->threads;
  int height = hn_int8_height(tile, s->matrix.step, c->out_w);
  for (int64_t id = begin; id < end; id++) {
    uint8_t *lines = (uint8_t *)x->scratch + (size_t)id * s->scratch;
    int32_t *sum = (int32_t *)(void *)(lines + s->lines);
    hn_int8_later later = {.turn = 0};
    if (height) tile->begin(height, s->matrix.step);
    for (int64_t at = all * id / threads, stop = all * (id + 1) / threads, n; at < stop; at += n) {
      int64_t y = at % c->out_h;
      n = hn_smaller(hn_smaller(s->job, stop - at), c->out_h - y);
      line_up(s, (const uint8_t *)x->in[0].data + at / c->out_h * c->in_c * c->in_h * c->in_w, y, lines_for(c, n), lines);
      for (int64_t i = 0; i < n; i++) run_line(s, x, at + i, lines + i * c->stride_h * s->line, sum, &later, height);
    }
    if (!height) continue;
    tile->flush(&later);
    tile->end();
  }
}

hone_status planes_int8_run(hn_exec *x) {
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, x);
  return HONE_OK;
}
