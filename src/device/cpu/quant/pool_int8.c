/* pool_int8.c - the largest, or the average, of windows over images of bytes with channels last: the largest row by row first,
   the average by exact sums, to bytes of any scale. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"
#include "op/infer.h"

enum { MOST_TAPS = 256, GRAIN = 32768 };

typedef struct pool {
  const hn_int8_tile *tile;
  int64_t images, channels, in[2], out[2], kernel[2], stride[2], dilation[2], before[2], after[2];
  bool average, padding_counts, is_signed;
  hn_int8_way_out way;
  size_t scratch; /* of a thread */
} pool;

/* Taps of the window at `at` (its first position) that lie in from..to: first, and one past the last. */
static void taps_within(const pool *p, int d, int64_t at, int64_t from, int64_t to, int64_t *first, int64_t *last) {
  *first = at >= from ? 0 : hn_ceil_div(from - at, p->dilation[d]);
  *last = at >= to ? 0 : hn_smaller(p->kernel[d], hn_ceil_div(to - at, p->dilation[d]));
}

static bool describe(const hn_task *t, pool *p) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  hn_window w;
  if (!t->device || !hn_arg_is_bytes(in) || !hn_arg_is_bytes(out) || in->rank < 3 || in->rank > 4 || (t->n_out > 1 && t->out[1].present)) return false;
  for (int32_t i = 0; i < in->rank; i++)
    if (!in->dims[i] || !out->dims[i]) return false;
  if (hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, NULL, false, &w)) return false;
  *p = (pool){.images = in->dims[0], .channels = in->dims[1], .average = t->node->op == HN_AveragePool, .is_signed = in->dtype == HONE_DTYPE_I8};
  p->padding_counts = p->average && hn_attr_i(t->node, "count_include_pad", 0) != 0;
  for (int d = 0; d < 2; d++) {
    int32_t i = in->rank - 4 + d;
    p->in[d] = p->out[d] = p->kernel[d] = p->stride[d] = p->dilation[d] = 1;
    if (i < 0) continue;
    p->in[d] = in->dims[2 + i], p->out[d] = out->dims[2 + i];
    p->kernel[d] = w.kernel[i], p->stride[d] = w.stride[i], p->dilation[d] = w.dilation[i];
    p->before[d] = w.pad_begin[i], p->after[d] = w.pad_end[i];
  }
  for (int d = 0; d < 2; d++)
    for (int64_t k = 0, first, last; k < p->out[d]; k++) { /* a window of padding alone is left to others */
      taps_within(p, d, k * p->stride[d] - p->before[d], 0, p->in[d], &first, &last);
      if (first >= last) return false;
    }
  double least, most;
  hn_int8_range(in, &least, &most);
  if (p->average) return p->kernel[0] * p->kernel[1] <= MOST_TAPS && hn_int8_function_of(t, t->node->post, t->node->n_post, least, most, &p->way);
  return !t->node->n_post && in->dtype == out->dtype && in->quant->scale == out->quant->scale && in->quant->zero == out->quant->zero;
}

bool pool_int8_supports(const hn_task *t) {
  pool p;
  return describe(t, &p);
}

hone_status pool_int8_plan(hn_task *t) {
  pool *p = hn_calloc(1, sizeof *p);
  t->state = p;
  if (!p) return hn_nomem(t->cx);
  if (!describe(t, p)) return HONE_UNSUPPORTED;
  p->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  p->scratch = p->average ? 0 : (size_t)hn_round_up(p->in[1] * p->channels, 64);
  t->scratch = p->scratch * (size_t)t->threads;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  t->fused = t->node->n_post;
  return HONE_OK;
}

void pool_int8_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* ---- running */

typedef struct pool_run {
  const pool *p;
  const hn_exec *x;
  int64_t each; /* rows of the output of a thread; its scratch is that of its number */
} pool_run;

static void largest_of_row(const pool *p, const uint8_t *image, int64_t y, uint8_t *scratch, uint8_t *to) {
  int64_t pixel = p->channels, row = p->in[1] * pixel, top = y * p->stride[0] - p->before[0], first, last;
  const uint8_t *rows = scratch;
  taps_within(p, 0, top, 0, p->in[0], &first, &last);
  const uint8_t *from = image + (top + first * p->dilation[0]) * row;
  if (last - first == 1) rows = from;
  else memcpy(scratch, from, (size_t)row);
  for (int64_t k = first + 1; k < last; k++) p->tile->most(scratch, image + (top + k * p->dilation[0]) * row, p->is_signed, row);
  for (int64_t x = 0; x < p->out[1]; x++, to += pixel) {
    int64_t left = x * p->stride[1] - p->before[1];
    taps_within(p, 1, left, 0, p->in[1], &first, &last);
    memcpy(to, rows + (left + first * p->dilation[1]) * pixel, (size_t)pixel);
    for (int64_t k = first + 1; k < last; k++) p->tile->most(to, rows + (left + k * p->dilation[1]) * pixel, p->is_signed, pixel);
  }
}

/* How many positions of a window there are that the divisor counts: those in the image, or also those in its padding. */
static int64_t counted(const pool *p, int d, int64_t at, int64_t first, int64_t last) {
  if (p->padding_counts) taps_within(p, d, at, -p->before[d], p->in[d] + p->after[d], &first, &last);
  return last - first;
}

static void average_of_row(const pool *p, const hn_quant *q, const uint8_t *image, int64_t y, uint8_t *to) {
  const uint8_t *tap[MOST_TAPS];
  float weight[MOST_TAPS];
  int64_t pixel = p->channels, top = y * p->stride[0] - p->before[0], first[2], last[2];
  taps_within(p, 0, top, 0, p->in[0], &first[0], &last[0]);
  for (int k = 0; k < MOST_TAPS; k++) weight[k] = 1;
  for (int64_t x = 0; x < p->out[1]; x++, to += pixel) {
    int64_t left = x * p->stride[1] - p->before[1];
    int n = 0;
    taps_within(p, 1, left, 0, p->in[1], &first[1], &last[1]);
    for (int64_t i = first[0]; i < last[0]; i++)
      for (int64_t k = first[1]; k < last[1]; k++)
        tap[n++] = image + ((top + i * p->dilation[0]) * p->in[1] + left + k * p->dilation[1]) * pixel;
    int64_t by = counted(p, 0, top, first[0], last[0]) * counted(p, 1, left, first[1], last[1]);
    hn_int8_weigh w = {.row = tap, .weight = weight, .rows = n, .is_signed = p->is_signed, .start = (float)(-q->zero * n), .by = (float)by, .out = to,
                       .unit = hn_int8_way_out_unit(&p->way, (double)q->scale), .bias = hn_int8_way_out_bias(&p->way, 0), .ending = &p->way.ending};
    p->tile->weigh(&w, pixel);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const pool_run *r = arg;
  const pool *p = r->p;
  const hn_exec *x = r->x;
  int64_t rows = p->images * p->out[0];
  for (int64_t k = begin; k < end; k++)
    for (int64_t i = k * r->each; i < (k + 1) * r->each && i < rows; i++) {
      const uint8_t *image = (const uint8_t *)x->in[0].data + i / p->out[0] * p->in[0] * p->in[1] * p->channels;
      uint8_t *to = (uint8_t *)x->out[0].data + i * p->out[1] * p->channels;
      if (p->average) average_of_row(p, x->task->in[0].quant, image, i % p->out[0], to);
      else largest_of_row(p, image, i % p->out[0], (uint8_t *)x->scratch + (size_t)k * p->scratch, to);
    }
}

hone_status pool_int8_run(hn_exec *x) {
  const pool *p = x->task->state;
  int64_t rows = p->images * p->out[0], work = rows * p->out[1] * p->channels * p->kernel[0] * p->kernel[1];
  int threads = work < GRAIN || x->task->threads < 1 ? 1 : x->task->threads;
  pool_run r = {p, x, hn_ceil_div(rows, threads)};
  hn_parallel_for(threads, threads, 1, run_share, &r);
  return HONE_OK;
}
