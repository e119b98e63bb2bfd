/* conv_depthwise.c - depthwise convolution, channels last: a few neighbouring pixels at a time, all their channels, so that
   image and result are read and written in order. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/conv/depthwise.h"

typedef struct conv_depthwise {
  hn_conv c;
  hn_ending e;
  hn_depthwise_fn fn;
  size_t size; /* of a number */
  const void *weights, *bias;
  const void *zeros; /* a pixel outside the image */
  int64_t in_pitch, out_pitch; /* from pixel to pixel */
} conv_depthwise;

bool conv_depthwise_supports(const hn_task *t) {
  hn_conv c;
  int64_t least;
  const bool half = t->in[0].dtype == HONE_DTYPE_F16;
  if (!(half ? t->device && t->device->half && hn_conv_supported_as(t, HONE_DTYPE_F16) : hn_conv_supported(t)) || t->in[0].rank != 4 || hn_conv_resolve((hn_task *)t, &c)) return false;
  return c.group == c.in_c && c.out_c == c.in_c && c.kernel_h == c.kernel_w && c.stride_h == c.stride_w && c.dilation_h == 1 &&
         c.dilation_w == 1 && hn_depthwise_for(hn_cpu_of(t)->isa, half, c.kernel_h, c.stride_h, &least) && c.in_c >= least;
}

hone_status conv_depthwise_plan(hn_task *t) {
  conv_depthwise *s = hn_calloc(1, sizeof *s);
  int64_t least;
  char *p;
  bool fill, half = t->in[0].dtype == HONE_DTYPE_F16;
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  t->threads = hn_conv_threads(t, hn_conv_macs(c));
  s->fn = hn_depthwise_for(hn_cpu_of(t)->isa, half, c->kernel_h, c->stride_h, &least);
  size_t taps = (size_t)(c->kernel_h * c->kernel_w), size = s->size = hone_dtype_size(t->in[0].dtype), n = (size_t)c->in_c;
  HN_TRY(hn_task_pack(t, size * (taps + 1) * n, 0, (void **)&p, &fill));
  if (fill) {
    const char *w = t->in[1].constant->data;
    for (size_t k = 0; k < n; k++)
      for (size_t i = 0; i < taps; i++) memcpy(p + size * (i * n + k), w + size * (k * taps + i), size);
    memset(p + size * taps * n, 0, size * n);
  }
  t->in[1].unused = true;
  s->weights = p;
  s->zeros = p + size * taps * n;
  HN_TRY(hn_conv_pack_bias(t, 0, &s->bias));
  hn_ending_take(t, HN_LAYOUT_NHWC, false, &s->e);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  s->in_pitch = hn_take_pitch(&t->in[0]);
  s->out_pitch = hn_take_pitch(&t->out[0]);
  return HONE_OK;
}

void conv_depthwise_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

void conv_depthwise_lines(const hn_task *t, const hn_strip *p, void *scratch) {
  const conv_depthwise *s = t->state;
  const hn_conv *c = &s->c;
  (void)scratch;
  int64_t side = c->kernel_h, tiles = (c->out_w + DEPTHWISE_PIXELS - 1) / DEPTHWISE_PIXELS;
  int64_t in_pixel = s->in_pitch * (int64_t)s->size, out_pixel = s->out_pitch * (int64_t)s->size; /* bytes */
  for (int64_t y = p->begin; y < p->end; y++) {
    char *out = (char *)p->out + hn_strip_line(p->out_ring, p->image, c->out_h, y) * c->out_w * out_pixel;
    const char *pixel[DEPTHWISE_SIDE * (2 * DEPTHWISE_PIXELS + DEPTHWISE_SIDE)];
    int64_t first = y * c->stride_h - c->pad_top, last_n = 0, last_x = 0;
    bool lines_inside = first >= 0 && first + side <= c->in_h;
    for (int64_t i = 0; i < tiles; i++) {
      int64_t x = c->out_w * i / tiles, n = c->out_w * (i + 1) / tiles - x, cols = (n - 1) * c->stride_w + side;
      int64_t from = x * c->stride_w - c->pad_left;
      bool whole = lines_inside && from >= 0 && from + cols <= c->in_w;
      if (whole && n == last_n) { /* the tile before, further on */
        for (int64_t k = 0; k < side * cols; k++) pixel[k] += (x - last_x) * c->stride_w * in_pixel;
      } else {
        for (int64_t k = 0; k < side; k++) {
          bool inside = first + k >= 0 && first + k < c->in_h;
          const char *in = inside ? (const char *)p->in + hn_strip_line(p->in_ring, p->image, c->in_h, first + k) * c->in_w * in_pixel : NULL;
          for (int64_t at = 0; at < cols; at++)
            pixel[k * cols + at] = inside && from + at >= 0 && from + at < c->in_w ? in + (from + at) * in_pixel : s->zeros;
        }
      }
      last_n = whole ? n : 0;
      last_x = x;
      hn_depthwise_job j = {.pixel = (const void *const *)pixel, .weights = s->weights, .bias = s->bias, .channels = c->in_c,
                            .out = out + x * out_pixel, .out_pitch = s->out_pitch, .lo = s->e.lo, .hi = s->e.hi};
      s->fn(&j, (int)n);
    }
    if (!s->e.n) continue;
    if (s->out_pitch == c->out_c) hn_ending_run(&s->e, out, c->out_w * c->out_c);
    else
      for (int64_t x = 0; x < c->out_w; x++) hn_ending_run(&s->e, out + x * out_pixel, c->out_c);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const conv_depthwise *s = x->task->state;
  hn_strip p = {.in = x->in[0].data, .out = x->out[0].data};
  for (int64_t at = begin; at < end; at = p.image * s->c.out_h + p.end) {
    p.image = at / s->c.out_h;
    p.begin = at % s->c.out_h;
    p.end = end - at < s->c.out_h - p.begin ? p.begin + end - at : s->c.out_h;
    conv_depthwise_lines(x->task, &p, NULL);
  }
}

hone_status conv_depthwise_run(hn_exec *x) {
  const conv_depthwise *s = x->task->state;
  hn_parallel_for(x->task->threads, s->c.images * s->c.out_h, 1, run_share, x);
  return HONE_OK;
}
