/* conv_depthwise.c - depthwise convolution, channels last: a few neighbouring pixels at a time, all their channels, so that
   image and result are read and written in order. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/conv/depthwise.h"

enum { ENDING = 1024 }; /* numbers of a line, at least, that are worth a call for what is left of the epilogue */

/* One way to do pixels: as they are, or two as one. */
typedef struct way {
  hn_depthwise_fn fn; /* NULL: there is none */
  const void *weights, *bias;
  int64_t channels, out_pitch;
} way;

typedef struct conv_depthwise {
  hn_conv c;
  hn_ending e;
  float swish; /* done with the sums; 0: none */
  int64_t lines; /* of the result at a time */
  size_t size;   /* of a number of the image */
  way single, pair;
  const void *zeros; /* a pixel outside the image */
  int64_t in_pitch, out_pitch; /* from pixel to pixel */
} conv_depthwise;

/* NULL: not of this type here. */
static const hn_depthwise *table_for(const hn_task *t) {
  if (!t->device || (t->in[0].dtype == HONE_DTYPE_F16 && !t->device->half)) return NULL;
  return hn_depthwise_for(t->device->isa, t->in[0].dtype, t->device->brain != NULL);
}

bool conv_depthwise_supports(const hn_task *t) {
  hn_conv c;
  if (!table_for(t) || !hn_conv_supported_as(t, t->in[0].dtype) || t->in[0].rank != 4 || hn_conv_resolve((hn_task *)(uintptr_t)t, &c))
    return false;
  return c.group == c.in_c && c.out_c == c.in_c && c.kernel_h == c.kernel_w && c.stride_h == c.stride_w && c.stride_h <= 2 &&
         c.dilation_h == 1 && c.dilation_w == 1 && (c.kernel_h == 3 || c.kernel_h == 5) && c.in_c >= table_for(t)->least;
}

/* Whether the channels of two pixels fill fewer vectors together. */
static bool better_in_pairs(const conv_depthwise *s, int64_t vector) {
  const hn_conv *c = &s->c;
  return c->stride_w == 1 && s->in_pitch == c->in_c && s->out_pitch == c->in_c &&
         hn_ceil_div(2 * c->in_c, vector) < 2 * hn_ceil_div(c->in_c, vector);
}

/* n numbers a tap, `times` over. */
static char *pack(char *to, const char *w, size_t size, size_t n, size_t taps, size_t times) {
  for (size_t i = 0; i < taps; i++)
    for (size_t k = 0; k < times * n; k++, to += size) memcpy(to, w + size * (k % n * taps + i), size);
  return to;
}

/* Weights, a pixel of zeros, bias; those twice over for pairs. w, b: of what is computed with, `size` bytes each. */
static void fill_pack(const conv_depthwise *s, char *p, const char *w, const char *b, size_t size, size_t zeros) {
  size_t taps = (size_t)(s->c.kernel_h * s->c.kernel_w), n = (size_t)s->c.in_c;
  p = pack(p, w, size, n, taps, 1);
  memset(p, 0, size * zeros);
  p += size * zeros;
  if (b) p = pack(p, b, size, n, 1, 1);
  if (s->pair.fn) p = pack(p, w, size, n, taps, 2);
  if (s->pair.fn && b) pack(p, b, size, n, 1, 2);
}

static hone_status pack_weights(hn_task *t, conv_depthwise *s) {
  const bool pairs = s->pair.fn != NULL, bias = hn_conv_has_bias(t), wide = t->in[0].dtype == HONE_DTYPE_BF16; /* floats meet it */
  size_t taps = (size_t)(s->c.kernel_h * s->c.kernel_w), size = wide ? sizeof(float) : s->size, n = (size_t)s->c.in_c;
  size_t zeros = pairs ? 2 * n : n, own = n * taps + zeros + (bias ? n : 0);
  const void *w = t->in[1].constant->data, *b = bias ? t->in[2].constant->data : NULL;
  float *floats = NULL;
  char *p;
  bool fill;
  HN_TRY(hn_task_pack(t, size * (own + (pairs ? 2 * n * (taps + bias) : 0)), pairs, (void **)&p, &fill));
  s->single.weights = p;
  s->zeros = p + size * n * taps;
  if (bias) s->single.bias = p + size * (n * taps + zeros);
  if (pairs) s->pair.weights = p + size * own;
  if (pairs && bias) s->pair.bias = p + size * (own + 2 * n * taps);
  if (fill && wide) {
    hn_load_run load = hn_convert_for(hn_cpu_of(t)->isa)->load[HONE_DTYPE_BF16];
    floats = hn_calloc(n * (taps + 1), sizeof *floats);
    if (!floats) return hn_nomem(t->cx);
    load(floats, w, n * taps, 1, 0);
    if (b) load(floats + n * taps, b, n, 1, 0);
    w = floats;
    if (b) b = floats + n * taps;
  }
  if (fill) fill_pack(s, p, w, b, size, zeros);
  hn_free(floats);
  t->in[1].unused = true;
  if (bias) t->in[2].unused = true;
  return HONE_OK;
}

hone_status conv_depthwise_plan(hn_task *t) {
  conv_depthwise *s = hn_calloc(1, sizeof *s);
  const hn_depthwise *d = table_for(t);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  t->threads = hn_conv_threads(t, hn_conv_macs(c));
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  s->in_pitch = hn_take_pitch(&t->in[0]);
  s->out_pitch = hn_take_pitch(&t->out[0]);
  s->lines = d->lines;
  s->size = hone_dtype_size(t->in[0].dtype);
  s->single = (way){.fn = hn_depthwise_of(d, c->kernel_h, c->stride_h == 1 ? HN_DEPTHWISE_ONE : HN_DEPTHWISE_TWO),
                    .channels = c->in_c, .out_pitch = s->out_pitch};
  if (better_in_pairs(s, d->least))
    s->pair = (way){.fn = hn_depthwise_of(d, c->kernel_h, HN_DEPTHWISE_PAIR), .channels = 2 * c->in_c, .out_pitch = 2 * s->out_pitch};
  HN_TRY(pack_weights(t, s));
  hn_ending_take(t, HN_LAYOUT_NHWC, false, &s->e);
  if (d->swish && s->e.n == 1 && s->e.unary[0].op == HN_Swish) s->swish = s->e.unary[0].alpha, s->e.n = 0;
  return HONE_OK;
}

void conv_depthwise_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* Where the pixels are that so many columns of the window's lines read. */
static void find_pixels(const conv_depthwise *s, const hn_strip *p, int64_t y, int64_t rows, int64_t x, int64_t cols, const char **pixel) {
  const hn_conv *c = &s->c;
  int64_t each = s->in_pitch * (int64_t)s->size;
  for (int64_t k = 0; k < rows; k++, y++) {
    bool inside = y >= 0 && y < c->in_h;
    const char *in = inside ? (const char *)p->in + hn_strip_line(p->in_ring, p->image, c->in_h, y) * c->in_w * each : NULL;
    for (int64_t at = x; at < x + cols; at++) *pixel++ = inside && at >= 0 && at < c->in_w ? in + at * each : s->zeros;
  }
}

/* Results from..to of each of the lines that begin at out, and what is to be done to them while they are in the cache. `unit`:
   how many of them the way takes for one. */
static void run_pixels(const conv_depthwise *s, const hn_strip *p, const way *w, int64_t y, int64_t lines, int64_t unit, int64_t from,
                       int64_t to, char *const *out) {
  const hn_conv *c = &s->c;
  const char *pixel[((DEPTHWISE_LINES - 1) * 2 + DEPTHWISE_SIDE) * (2 * (DEPTHWISE_PIXELS - 1) + DEPTHWISE_SIDE)];
  int64_t units = (to - from) / unit, tiles = hn_ceil_div(units, DEPTHWISE_PIXELS), step = c->stride_w * unit;
  int64_t rows = (lines - 1) * c->stride_h + c->kernel_h, first = y * c->stride_h - c->pad_top, last_n = 0, last_x = 0, done = from;
  int64_t in_pixel = s->in_pitch * (int64_t)s->size, out_pixel = s->out_pitch * (int64_t)s->size; /* bytes */
  bool lines_inside = first >= 0 && first + rows <= c->in_h;
  for (int64_t i = 0; i < tiles; i++) {
    int64_t n = units * (i + 1) / tiles - units * i / tiles, x = from + units * i / tiles * unit, cols = (n - 1) * step + c->kernel_w;
    int64_t left = x * c->stride_w - c->pad_left;
    bool whole = lines_inside && left >= 0 && left + cols <= c->in_w;
    if (whole && n == last_n) { /* the tile before, further on */
      for (int64_t k = 0; k < rows * cols; k++) pixel[k] += (x - last_x) * c->stride_w * in_pixel;
    } else {
      find_pixels(s, p, first, rows, left, cols, pixel);
    }
    last_n = whole ? n : 0;
    last_x = x;
    hn_depthwise_job j = {.pixel = (const void *const *)pixel, .weights = w->weights, .bias = w->bias, .channels = w->channels,
                          .out_pitch = w->out_pitch, .lo = s->e.lo, .hi = s->e.hi, .swish = s->swish};
    for (int64_t l = 0; l < lines; l++) j.out[l] = out[l] + x * out_pixel;
    w->fn(&j, (int)lines, (int)n);
    int64_t end = x + n * unit;
    if (!s->e.n || ((end - done) * c->out_c < ENDING && i + 1 < tiles)) continue;
    for (int64_t l = 0; l < lines; l++) {
      char *at = out[l] + done * out_pixel;
      if (s->out_pitch == c->out_c) hn_ending_run(&s->e, at, (end - done) * c->out_c);
      else
        for (int64_t k = done; k < end; k++, at += out_pixel) hn_ending_run(&s->e, at, c->out_c);
    }
    done = end;
  }
}

void conv_depthwise_lines(const hn_task *t, const hn_strip *p, void *scratch) {
  const conv_depthwise *s = t->state;
  const hn_conv *c = &s->c;
  int64_t inside = hn_smaller(c->out_w, c->in_w + c->pad_left - c->kernel_w + 1); /* one past the last whole window, at stride 1 */
  int64_t paired = s->pair.fn && inside > c->pad_left ? (inside - c->pad_left) / 2 * 2 : 0, begin = paired ? c->pad_left : 0;
  (void)scratch;
  for (int64_t y = p->begin, lines; y < p->end; y += lines) {
    char *out[DEPTHWISE_LINES] = {NULL};
    lines = hn_smaller(s->lines, p->end - y);
    for (int64_t l = 0; l < lines; l++)
      out[l] = (char *)p->out +
               hn_strip_line(p->out_ring, p->image, c->out_h, y + l) * c->out_w * s->out_pitch * (int64_t)s->size;
    run_pixels(s, p, &s->single, y, lines, 1, 0, begin, out);
    run_pixels(s, p, &s->pair, y, lines, 2, begin, begin + paired, out);
    run_pixels(s, p, &s->single, y, lines, 1, begin + paired, c->out_w, out);
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
