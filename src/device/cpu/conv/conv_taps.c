/* conv_taps.c - depthwise convolution with any window, channels last: an output pixel is the sum over the taps that lie within the
   image of a pixel times the tap's weights, channel by channel. For windows over one axis and dilated ones: oneDNN is slow at those,
   and faster at others that conv_depthwise does not have. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"

enum { MOST_TAPS = 1 << 12 };

typedef struct conv_taps {
  hn_conv c;
  hn_ending e;
  const float *weights, *bias;  /* rows of channels: one for each tap */
  int64_t in_pitch, out_pitch;
} conv_taps;

bool conv_taps_supports(const hn_task *t) {
  hn_conv c;
  if (!hn_conv_supported(t) || hn_conv_resolve((hn_task *)t, &c)) return false;
  bool ours = t->in[0].rank == 3 || c.dilation_h > 1 || c.dilation_w > 1;
  return ours && c.group == c.in_c && c.out_c == c.in_c && c.kernel_h <= MOST_TAPS && c.kernel_w <= MOST_TAPS && c.kernel_h * c.kernel_w <= MOST_TAPS;
}

hone_status conv_taps_plan(hn_task *t) {
  conv_taps *s = hn_calloc(1, sizeof *s);
  float *p;
  bool fill;
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  t->threads = hn_conv_threads(t, hn_conv_macs(c));
  size_t taps = (size_t)(c->kernel_h * c->kernel_w), n = (size_t)c->in_c;
  HN_TRY(hn_task_pack(t, sizeof *p * taps * n, 0, (void **)&p, &fill));
  const float *w = t->in[1].constant->data;
  for (size_t k = 0; fill && k < n; k++)
    for (size_t i = 0; i < taps; i++) p[i * n + k] = w[k * taps + i];
  t->in[1].unused = true;
  s->weights = p;
  HN_TRY(hn_conv_pack_bias(t, 0, (const void **)&s->bias));
  hn_ending_take(t, HN_LAYOUT_NHWC, false, &s->e);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  s->in_pitch = hn_take_pitch(&t->in[0]);
  s->out_pitch = hn_take_pitch(&t->out[0]);
  t->scratch = sizeof(int64_t) * 2 * taps * (size_t)t->threads;
  return HONE_OK;
}

/* The taps of the pixel at (y, x) that lie within the image: where, from its beginning, and which rows of weights. */
static size_t taps_within(const conv_taps *s, int64_t y, int64_t x, int64_t *at, int64_t *row) {
  const hn_conv *c = &s->c;
  int64_t top = y * c->stride_h - c->pad_top, left = x * c->stride_w - c->pad_left;
  size_t n = 0;
  for (int64_t ky = 0; ky < c->kernel_h; ky++) {
    int64_t line = top + ky * c->dilation_h;
    if (line < 0 || line >= c->in_h) continue;
    for (int64_t kx = 0; kx < c->kernel_w; kx++) {
      int64_t pixel = left + kx * c->dilation_w;
      if (pixel < 0 || pixel >= c->in_w) continue;
      at[n] = (line * c->in_w + pixel) * s->in_pitch;
      row[n++] = (ky * c->kernel_w + kx) * c->in_c;
    }
  }
  return n;
}

static void run_line(const hn_exec *x, int64_t line, int64_t *at, int64_t *row) {
  const conv_taps *s = x->task->state;
  const hn_conv *c = &s->c;
  const hn_vec *vec = s->e.vec;
  const float *in = (const float *)x->in[0].data + line / c->out_h * c->in_h * c->in_w * s->in_pitch;
  float *out = (float *)x->out[0].data + line * c->out_w * s->out_pitch;
  bool bounded = s->e.lo > -INFINITY || s->e.hi < INFINITY;
  for (int64_t i = 0; i < c->out_w; i++) {
    float *d = out + i * s->out_pitch;
    vec->sum_products(d, in, at, s->weights, row, taps_within(s, line % c->out_h, i, at, row), (size_t)c->out_c, s->bias);
    if (bounded) vec->unary[HN_Clip](d, d, (size_t)c->out_c, s->e.lo, s->e.hi);
    if (s->e.n) hn_ending_run(&s->e, d, c->out_c);
  }
}

typedef struct share {
  const hn_exec *x;
  int64_t lines, parts;
} share;

static void run_parts(void *arg, int64_t begin, int64_t end) {
  const share *r = arg;
  const conv_taps *s = r->x->task->state;
  int64_t taps = s->c.kernel_h * s->c.kernel_w;
  for (int64_t k = begin; k < end; k++) {
    int64_t *at = (int64_t *)r->x->scratch + 2 * taps * k;
    for (int64_t i = r->lines * k / r->parts; i < r->lines * (k + 1) / r->parts; i++) run_line(r->x, i, at, at + taps);
  }
}

hone_status conv_taps_run(hn_exec *x) {
  const conv_taps *s = x->task->state;
  share r = {x, s->c.images * s->c.out_h, x->task->threads < 1 ? 1 : x->task->threads};
  hn_parallel_for(x->task->threads, r.parts, 1, run_parts, &r);
  return HONE_OK;
}

void conv_taps_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
