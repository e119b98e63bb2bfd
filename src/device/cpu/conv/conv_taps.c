/* conv_taps.c - depthwise convolution with any window over one to three axes, channels last: an output pixel is the sum over the
   taps that lie within the image of a pixel times the tap's weights, channel by channel. For windows over one axis or three, and
   dilated ones: oneDNN is slow at those, and faster at others that conv_depthwise does not have. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "op/infer.h"

enum { MOST_TAPS = 1 << 12, AXES = 3 };

typedef struct conv_taps {
  int64_t images, channels, in[AXES], out[AXES], kernel[AXES], stride[AXES], dilation[AXES], pad[AXES]; /* absent axes have one pixel */
  int64_t taps;
  hn_ending e;
  const float *weights, *bias;  /* rows of channels: one for each tap */
  int64_t in_pitch, out_pitch;
} conv_taps;

static bool describe(const hn_task *t, conv_taps *s) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  int nd = in->rank - 2, from = AXES - nd;
  hn_window w;
  if (hn_window_resolve(t->cx, t->g->dims, t->node, nd, in->dims + 2, t->in[1].dims + 2, false, &w)) return false;
  *s = (conv_taps){.images = in->dims[0], .channels = in->dims[1], .taps = 1};
  for (int i = 0; i < AXES; i++) {
    int k = i - from;
    s->in[i] = k < 0 ? 1 : in->dims[2 + k], s->out[i] = k < 0 ? 1 : out->dims[2 + k];
    s->kernel[i] = k < 0 ? 1 : w.kernel[k], s->stride[i] = k < 0 ? 1 : w.stride[k];
    s->dilation[i] = k < 0 ? 1 : w.dilation[k], s->pad[i] = k < 0 ? 0 : w.pad_begin[k];
    if (s->kernel[i] > MOST_TAPS) return false;
    s->taps *= s->kernel[i];
    if (s->taps > MOST_TAPS) return false;
  }
  return hn_attr_i(t->node, "group", 1) == s->channels && out->dims[1] == s->channels;
}

static bool constant(const hn_arg *a) { return a->present && a->constant && a->dtype == HONE_DTYPE_F32; }

bool conv_taps_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  conv_taps s;
  if (!t->device || in->dtype != HONE_DTYPE_F32 || t->out[0].dtype != HONE_DTYPE_F32 || in->rank < 3 || in->rank > 5) return false;
  for (int32_t i = 0; i < in->rank; i++)
    if (t->out[0].dims[i] < 1 || in->dims[i] < 1) return false;
  if (!constant(&t->in[1]) || (hn_conv_has_bias(t) && !constant(&t->in[2])) || !describe(t, &s)) return false;
  return in->rank != 4 || s.dilation[1] > 1 || s.dilation[2] > 1;
}

hone_status conv_taps_plan(hn_task *t) {
  conv_taps *s = hn_calloc(1, sizeof *s);
  float *p;
  bool fill;
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!describe(t, s)) return HONE_UNSUPPORTED;
  t->threads = hn_conv_threads(t, s->images * s->channels * s->out[0] * s->out[1] * s->out[2] * s->taps);
  size_t taps = (size_t)s->taps, n = (size_t)s->channels;
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

/* The taps of the pixel at (z, y, x) that lie within the image: where, from its beginning, and which rows of weights. */
static size_t taps_within(const conv_taps *s, const int64_t *pixel, int64_t *at, int64_t *row) {
  size_t n = 0;
  int64_t first[AXES], p[AXES];
  for (int i = 0; i < AXES; i++) first[i] = pixel[i] * s->stride[i] - s->pad[i];
  for (int64_t kz = 0; kz < s->kernel[0]; kz++) {
    p[0] = first[0] + kz * s->dilation[0];
    if (p[0] < 0 || p[0] >= s->in[0]) continue;
    for (int64_t ky = 0; ky < s->kernel[1]; ky++) {
      p[1] = first[1] + ky * s->dilation[1];
      if (p[1] < 0 || p[1] >= s->in[1]) continue;
      for (int64_t kx = 0; kx < s->kernel[2]; kx++) {
        p[2] = first[2] + kx * s->dilation[2];
        if (p[2] < 0 || p[2] >= s->in[2]) continue;
        at[n] = ((p[0] * s->in[1] + p[1]) * s->in[2] + p[2]) * s->in_pitch;
        row[n++] = ((kz * s->kernel[1] + ky) * s->kernel[2] + kx) * s->channels;
      }
    }
  }
  return n;
}

static void run_line(const hn_exec *x, int64_t line, int64_t *at, int64_t *row) {
  const conv_taps *s = x->task->state;
  const hn_vec *vec = s->e.vec;
  int64_t image = line / (s->out[0] * s->out[1]), pixel[AXES] = {line / s->out[1] % s->out[0], line % s->out[1], 0};
  const float *in = (const float *)x->in[0].data + image * s->in[0] * s->in[1] * s->in[2] * s->in_pitch;
  float *out = (float *)x->out[0].data + line * s->out[2] * s->out_pitch;
  bool bounded = s->e.lo > -INFINITY || s->e.hi < INFINITY;
  for (; pixel[2] < s->out[2]; pixel[2]++) {
    float *d = out + pixel[2] * s->out_pitch;
    vec->sum_products(d, in, at, s->weights, row, taps_within(s, pixel, at, row), (size_t)s->channels, s->bias);
    if (bounded) vec->unary[HN_Clip](d, d, (size_t)s->channels, s->e.lo, s->e.hi);
    if (s->e.n) hn_ending_run(&s->e, d, s->channels);
  }
}

typedef struct share {
  const hn_exec *x;
  int64_t lines, parts;
} share;

static void run_parts(void *arg, int64_t begin, int64_t end) {
  const share *r = arg;
  int64_t taps = ((const conv_taps *)r->x->task->state)->taps;
  for (int64_t k = begin; k < end; k++) {
    int64_t *at = (int64_t *)r->x->scratch + 2 * taps * k;
    for (int64_t i = r->lines * k / r->parts; i < r->lines * (k + 1) / r->parts; i++) run_line(r->x, i, at, at + taps);
  }
}

hone_status conv_taps_run(hn_exec *x) {
  const conv_taps *s = x->task->state;
  share r = {x, s->images * s->out[0] * s->out[1], x->task->threads < 1 ? 1 : x->task->threads};
  if (r.lines < r.parts) r.parts = r.lines;
  hn_parallel_for(x->task->threads, r.parts, 1, run_parts, &r);
  return HONE_OK;
}

void conv_taps_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
