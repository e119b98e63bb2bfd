/* depthwise_int8.c - depthwise convolution of unsigned bytes, channels last: a few neighbouring pixels at a time, sums of four rows
   of the window at once, scaled, activated and rounded in registers. Channels that fill a part of a vector alone are taken of
   several pixels; where a pixel has very few, neighbours count as one. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"
#include "device/cpu/quant/int8_tail.h"

enum { MAX_COLS = (HN_INT8_PIXELS * HN_INT8_SPLIT - 1) * 2 + HN_INT8_SIDE, MAX_ROWS = 8 };

typedef struct part { /* of the channels: blocks of vectors in so many parts */
  int64_t from, first, blocks; /* channel; block of all */
  int split;
} part;
enum { MOST_PARTS = 4 };

typedef struct depthwise {
  hn_conv c;
  const hn_int8_tile *tile;
  hn_int8_way_out way;
  int64_t together;      /* pixels that count as one */
  int64_t n_blocks;
  int n_parts;
  part parts[MOST_PARTS];
  int quads;
  const int8_t *weights;
  const int32_t *init;
  float *unit, *bias;    /* in order() */
  uint8_t *outside;      /* a pixel outside the image */
  int64_t padded;        /* bytes of a line with its padding; 0: lines are read where they lie */
} depthwise;

static const hn_int8_tile *tile_of(const hn_task *t) { return hn_int8_tile_for(t->device->isa, t->device->bytes); }

/* Cuts the channels into blocks: whole vectors, then parts of one, of which an output's line must have pixels enough; the last one
   ends where the channels do and repeats a few. False: there is no way. */
static bool cut_channels(depthwise *s) {
  const hn_int8_tile *tile = s->tile;
  for (int64_t at = 0; at < s->c.in_c; s->n_blocks++) {
    int64_t rest = s->c.in_c - at;
    int best = 0;
    for (int split = 1; split <= tile->split; split *= 2) {
      int64_t wide = tile->wide / split;
      if (wide > s->c.in_c || (split > 1 && s->c.out_w < tile->pixels * split) || (best && wide < rest)) continue;
      best = split;
      if (wide < rest) break;
    }
    if (!best) return false;
    part *last = s->n_parts ? &s->parts[s->n_parts - 1] : NULL;
    if (last && last->split == best) last->blocks++;
    else if (s->n_parts == MOST_PARTS) return false;
    else s->parts[s->n_parts++] = (part){hn_smaller(at, s->c.in_c - tile->wide / best), s->n_blocks, 1, best};
    at += tile->wide / best;
  }
  return true;
}

static int64_t together(const hn_int8_tile *tile, const hn_conv *c) {
  return c->in_c && c->in_c < tile->wide / tile->split && tile->wide % c->in_c == 0 ? tile->wide / c->in_c : 1;
}

bool depthwise_int8_supports(const hn_task *t) {
  hn_conv c;
  if (!hn_int8_product(t) || !t->out[0].quant || t->in[0].dtype != HONE_DTYPE_U8 || t->in[0].rank != 4 || hn_conv_resolve((hn_task *)t, &c)) return false;
  const hn_arg *b = hn_conv_has_bias(t) ? &t->in[2] : NULL;
  if (b && (!b->constant || b->dtype != HONE_DTYPE_F32 || b->constant->count != c.out_c)) return false;
  if (c.group != c.in_c || c.out_c != c.in_c || c.kernel_h != c.kernel_w || (c.kernel_h != 3 && c.kernel_h != 5)) return false;
  if (c.stride_h != c.stride_w || c.stride_h > 2 || c.dilation_h != 1 || c.dilation_w != 1) return false;
  depthwise s = {.c = c, .tile = tile_of(t), .together = together(tile_of(t), &c)};
  return s.together > 1 ? c.stride_h == 1 && c.out_w >= s.together : cut_channels(&s);
}

/* ------------------------------------------------------------------------------------------- packing */

/* Channel of what comes i-th in a block. */
static int64_t channel(const depthwise *s, int64_t block, int i) {
  const part *p = s->parts;
  while (block >= p->first + p->blocks) p++;
  int64_t wide = s->tile->wide / p->split, at = p->from + (block - p->first) * wide;
  return (hn_smaller(at, hn_larger(0, s->c.in_c - wide)) + s->tile->order(i) % wide) % s->c.in_c;
}

static int8_t weight(const depthwise *s, const int8_t *w, int64_t channel, int64_t y, int64_t x) {
  int64_t side = s->c.kernel_h;
  return y < side ? w[(channel * side + y) * side + x] : 0;
}

static void pack_block(const depthwise *s, const int8_t *w, int32_t zero, int64_t block, int8_t *to, int32_t *init) {
  for (int q = 0; q < s->quads; q++)
    for (int64_t x = 0; x < s->c.kernel_w; x++)
      for (int i = 0; i < s->tile->wide; i++)
        for (int j = 0; j < 4; j++, to++) {
          *to = weight(s, w, channel(s, block, i), 4 * q + j, x);
          init[i] -= zero * *to;
        }
}

static hone_status pack(hn_task *t, depthwise *s) {
  int64_t n = s->n_blocks * s->tile->wide, each = s->tile->wide * 4 * s->quads * s->c.kernel_w;
  uint64_t form = 0; /* the parts depend on the output's width */
  void *weights, *init;
  bool fill;
  for (int i = 0; i < s->n_parts; i++) form = form * 8 + (uint64_t)s->parts[i].split;
  HN_TRY(hn_task_pack(t, (size_t)(s->n_blocks * each), form, &weights, &fill));
  HN_TRY(hn_task_pack(t, sizeof(int32_t) * (size_t)n, form, &init, &fill));
  if (fill) memset(init, 0, sizeof(int32_t) * (size_t)n);
  for (int64_t b = 0; fill && b < s->n_blocks; b++)
    pack_block(s, t->in[1].constant->data, t->in[0].quant->zero, b, (int8_t *)weights + b * each, (int32_t *)init + b * s->tile->wide);
  s->weights = weights;
  s->init = init;
  s->unit = hn_calloc((size_t)(2 * n), sizeof *s->unit);
  size_t pixel = (size_t)hn_larger(s->c.in_c, s->tile->wide);
  s->outside = hn_calloc(pixel, 1);
  if (!s->unit || !s->outside) return hn_nomem(t->cx);
  s->bias = s->unit + n;
  memset(s->outside, t->in[0].quant->zero, pixel);
  const float *bias = hn_conv_has_bias(t) ? t->in[2].constant->data : NULL;
  for (int64_t i = 0; i < n; i++) {
    int64_t c = channel(s, i / s->tile->wide, (int)(i % s->tile->wide));
    s->unit[i] = hn_int8_way_out_unit(&s->way, (double)hn_int8_unit(t, c));
    s->bias[i] = hn_int8_way_out_bias(&s->way, bias ? (double)bias[c] : 0);
  }
  hn_int8_way_out_settle(&s->way, s->unit, s->bias, n);
  t->in[1].unused = true;
  if (bias) t->in[2].unused = true;
  return HONE_OK;
}

hone_status depthwise_int8_plan(hn_task *t) {
  depthwise *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  HN_TRY(hn_conv_resolve(t, &s->c));
  s->tile = tile_of(t);
  s->together = together(s->tile, &s->c);
  if (s->together > 1) s->parts[0] = (part){0, 0, s->n_blocks = s->n_parts = 1, 1};
  else if (!cut_channels(s)) return HONE_UNSUPPORTED;
  s->quads = (int)hn_ceil_div(s->c.kernel_h, 4);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  if (!hn_int8_way_out_take(t, HN_LAYOUT_NHWC, false, &s->way)) return HONE_UNSUPPORTED;
  HN_TRY(pack(t, s));
  t->threads = hn_conv_threads(t, hn_conv_macs(&s->c));
  if (s->together > 1) s->padded = hn_round_up((s->c.out_w + s->c.kernel_w - 1) * s->c.in_c, 64);
  t->scratch = (size_t)(s->padded * s->c.kernel_h * t->threads);
  return HONE_OK;
}

void depthwise_int8_destroy(hn_task *t) {
  depthwise *s = t->state;
  if (s) {
    hn_free(s->unit);
    hn_free(s->outside);
  }
  hn_free(s);
  t->state = NULL;
}

/* ------------------------------------------------------------------------------------------- running */

static hn_int8_depthwise job_of(const depthwise *s, const part *p, const uint8_t *const *pixel) {
  int64_t at = p->first * s->tile->wide;
  return (hn_int8_depthwise){.pixel = pixel, .quads = s->quads, .side = (int)s->c.kernel_h, .stride = (int)s->c.stride_h, .split = p->split,
                             .from = p->from, .blocks = p->blocks, .w = s->weights + at * 4 * s->quads * s->c.kernel_w, .init = s->init + at,
                             .unit = s->unit + at, .bias = s->bias + at, .channels = s->c.in_c, .ending = &s->way.ending};
}

/* The lines of a window at line y of the output; NULL: outside the image. */
static void find_lines(const depthwise *s, const uint8_t *image, int64_t y, const uint8_t *line[MAX_ROWS]) {
  const hn_conv *c = &s->c;
  for (int64_t k = 0; k < 4 * s->quads; k++) {
    int64_t at = y * c->stride_h - c->pad_top + k;
    line[k] = k < c->kernel_h && at >= 0 && at < c->in_h ? image + at * c->in_w * c->in_c : NULL;
  }
}

static void run_part(const depthwise *s, const part *p, const uint8_t *const line[MAX_ROWS], uint8_t *out) {
  const hn_conv *c = &s->c;
  const uint8_t *pixel[MAX_ROWS * MAX_COLS];
  int64_t rows = 4 * s->quads, most = s->tile->pixels * p->split, last_x = -1, n = c->out_w < most ? 1 : most;
  int64_t cols = (n - 1) * c->stride_w + c->kernel_w;
  hn_int8_depthwise j = job_of(s, p, pixel);
  bool inside = true;
  for (int64_t i = 0; i < c->kernel_h; i++) inside = inside && line[i];
  for (int64_t first = 0; first < c->out_w; first += n) { /* the last tile repeats a few pixels */
    int64_t x = hn_smaller(first, c->out_w - n), from = x * c->stride_w - c->pad_left;
    bool whole = inside && from >= 0 && from + cols <= c->in_w;
    if (whole && last_x >= 0) { /* the tile before, further on */
      int64_t further = (x - last_x) * c->stride_w * c->in_c;
      for (int64_t i = 0; i < c->kernel_h * cols; i++) pixel[i] += further;
    } else {
      for (int64_t i = 0; i < rows; i++)
        for (int64_t at = 0; at < cols; at++)
          pixel[i * cols + at] = line[i] && from + at >= 0 && from + at < c->in_w ? line[i] + (from + at) * c->in_c : s->outside;
    }
    last_x = whole ? x : -1;
    j.out = out + x * c->out_c;
    s->tile->depthwise(&j, n == 1 ? 1 : s->tile->pixels);
  }
}

static void run_line(const depthwise *s, const uint8_t *image, int64_t y, uint8_t *out) {
  const uint8_t *line[MAX_ROWS];
  find_lines(s, image, y, line);
  for (int i = 0; i < s->n_parts; i++) run_part(s, &s->parts[i], line, out);
}

/* Several pixels as one: their windows lie next to each other in lines that have their padding. */
static void run_line_together(const depthwise *s, const uint8_t *image, int64_t y, uint8_t *out, uint8_t *scratch) {
  const hn_conv *c = &s->c;
  const uint8_t *line[MAX_ROWS], *pixel[MAX_ROWS * MAX_COLS];
  hn_int8_depthwise j = job_of(s, s->parts, pixel);
  int64_t left = c->pad_left * c->in_c, width = hn_smaller(c->in_w * c->in_c, s->padded - left);
  find_lines(s, image, y, line);
  for (int64_t k = 0; k < c->kernel_h; k++) {
    uint8_t *to = scratch + k * s->padded;
    memset(to, s->outside[0], (size_t)s->padded);
    if (line[k]) memcpy(to + left, line[k], (size_t)width);
    line[k] = to;
  }
  for (int64_t x = 0; x < c->out_w; x += s->together) {
    int64_t at = hn_smaller(x, c->out_w - s->together);
    for (int64_t k = 0; k < 4 * s->quads; k++)
      for (int64_t i = 0; i < c->kernel_w; i++) pixel[k * c->kernel_w + i] = k < c->kernel_h ? line[k] + (at + i) * c->in_c : s->outside;
    j.out = out + at * c->out_c;
    s->tile->depthwise(&j, 1);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const depthwise *s = x->task->state;
  const hn_conv *c = &s->c;
  int64_t lines = c->images * c->out_h, threads = x->task->threads;
  for (int64_t k = begin; k < end; k++)
    for (int64_t i = lines * k / threads; i < lines * (k + 1) / threads; i++) {
      const uint8_t *image = (const uint8_t *)x->in[0].data + i / c->out_h * c->in_h * c->in_w * c->in_c;
      uint8_t *out = (uint8_t *)x->out[0].data + i * c->out_w * c->out_c;
      if (s->padded) run_line_together(s, image, i % c->out_h, out, (uint8_t *)x->scratch + k * s->padded * c->kernel_h);
      else run_line(s, image, i % c->out_h, out);
    }
}

hone_status depthwise_int8_run(hn_exec *x) {
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, x);
  return HONE_OK;
}
