/* conv_planes.c - convolution of few channels that lie in planes, as images come in: the product reads neighbouring pixels of
   each plane, from a copy of a few lines with the padding around, and leaves channels last. So nothing has to change the layout
   of the image, and a window's row is as long as the kernel is wide in place of one or three numbers. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"

enum { MOST_CHANNELS = 4, COPY_BYTES = 24 << 10 /* of lines that are copied at a time: half of the first-level cache */ };

typedef struct conv_planes {
  hn_conv c;
  hn_ending e;
  const hn_tile *tile;
  const float *weights, *bias;
  int64_t out_pitch;
  int64_t k, lines, line;   /* numbers in a window; of the copy: lines of a plane, numbers of a line */
  int64_t job;              /* lines of the result at a time */
  int64_t *offsets;         /* of each row of the window */
  size_t scratch;           /* of a thread, floats */
} conv_planes;

bool conv_planes_supports(const hn_task *t) {
  hn_conv c;
  if (!hn_conv_supported(t) || t->in[0].rank != 4 || hn_conv_resolve((hn_task *)(uintptr_t)t, &c)) return false;
  bool planes = !t->strip || t->in[0].layout == HN_LAYOUT_PLAIN; /* lines that a chain keeps are channels last */
  return planes && c.group == 1 && c.in_c <= MOST_CHANNELS && c.dilation_w == 1;
}

static int64_t lines_for(const hn_conv *c, int64_t n) { return (n - 1) * c->stride_h + (c->kernel_h - 1) * c->dilation_h + 1; }

hone_status conv_planes_plan(hn_task *t) {
  conv_planes *s = hn_calloc(1, sizeof *s);
  float *p;
  bool fill;
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  t->threads = hn_conv_threads(t, hn_conv_macs(c));
  s->tile = hn_tile_for(hn_cpu_of(t)->isa);
  t->in[0].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_NHWC;
  s->out_pitch = hn_take_pitch(&t->out[0]);
  s->k = c->in_c * c->kernel_h * c->kernel_w;
  s->line = (c->out_w - 1) * c->stride_w + c->kernel_w;
  int64_t most = t->strip ? t->strip : c->out_h;
  for (s->job = 1; s->job < most && c->in_c * lines_for(c, s->job + 1) * s->line * 4 <= COPY_BYTES;) s->job++;
  s->lines = lines_for(c, s->job);
  s->offsets = hn_calloc((size_t)(c->in_c * c->kernel_h), sizeof *s->offsets);
  if (!s->offsets) return hn_nomem(t->cx);
  for (int64_t i = 0; i < c->in_c * c->kernel_h; i++)
    s->offsets[i] = (i / c->kernel_h * s->lines + i % c->kernel_h * c->dilation_h) * s->line;
  s->scratch = (size_t)hn_round_up(c->in_c * s->lines * s->line, 16);
  t->scratch = sizeof *p * s->scratch * (size_t)t->threads;
  HN_TRY(hn_task_pack(t, sizeof *p * hn_tile_packed(s->tile, s->k, c->out_c), 0, (void **)&p, &fill));
  if (fill) hn_tile_pack(s->tile, s->k, 0, s->k, c->out_c, t->in[1].constant->data, 1, s->k, p);
  t->in[1].unused = true;
  s->weights = p;
  const void *bias;
  HN_TRY(hn_conv_pack_bias(t, s->tile->cols, &bias));
  s->bias = bias;
  hn_ending_take(t, HN_LAYOUT_NHWC, true, &s->e);
  return HONE_OK;
}

void conv_planes_destroy(hn_task *t) {
  conv_planes *s = t->state;
  if (s) hn_free(s->offsets);
  hn_free(s);
  t->state = NULL;
}

/* The lines that results y.. are made of, so many of each plane. */
static void copy_lines(const conv_planes *s, const hn_strip *p, int64_t y, int64_t lines, float *d) {
  const hn_conv *c = &s->c;
  int64_t left = hn_larger(0, hn_smaller(c->pad_left, s->line));
  int64_t right = hn_larger(left, hn_smaller(s->line, c->in_w + c->pad_left));
  for (int64_t plane = 0; plane < c->in_c; plane++)
    for (int64_t i = 0; i < lines; i++) {
      int64_t from = y * c->stride_h - c->pad_top + i;
      float *to = d + (plane * s->lines + i) * s->line;
      if (from < 0 || from >= c->in_h) {
        memset(to, 0, sizeof *to * (size_t)s->line);
        continue;
      }
      const float *in = p->in + ((p->image * c->in_c + plane) * c->in_h + from) * c->in_w;
      memset(to, 0, sizeof *to * (size_t)left);
      memcpy(to + left, in + left - c->pad_left, sizeof *to * (size_t)(right - left));
      memset(to + right, 0, sizeof *to * (size_t)(s->line - right));
    }
}

static void run_line(const conv_planes *s, const hn_strip *p, int64_t y, const float *window) {
  const hn_conv *c = &s->c;
  const hn_tile *tile = s->tile;
  hn_tile_cut cut = hn_tile_cut_rows(tile, c->out_w);
  float *out = p->out + hn_strip_line(p->out_ring, p->image, c->out_h, y) * c->out_w * s->out_pitch;
  const float *residual = p->residual ? p->residual + (p->image * c->out_h + y) * c->out_w * s->e.residual_pitch : NULL;
  for (int64_t i = 0; i < cut.tiles; i++) {
    int64_t x = hn_tile_row(&cut, i);
    for (int64_t n = 0; n < c->out_c; n += tile->cols) {
      hn_tile_job j = {.k = c->kernel_w, .a = window + x * c->stride_w, .lda = c->stride_w, .offsets = s->offsets,
                       .n_offsets = c->in_c * c->kernel_h, .b = s->weights + n * s->k,
                       .c = out + x * s->out_pitch + n, .ldc = s->out_pitch,
                       .start = residual ? residual + x * s->e.residual_pitch + n : NULL, .ld_start = s->e.residual_pitch,
                       .bias = s->bias ? s->bias + n : NULL, .lo = s->e.lo, .hi = s->e.hi};
      tile->mul(&j, (int)(hn_tile_row(&cut, i + 1) - x), (int)hn_smaller(tile->cols, c->out_c - n));
    }
  }
  if (!s->e.n) return;
  if (s->out_pitch == c->out_c) hn_ending_run(&s->e, out, c->out_w * c->out_c);
  else
    for (int64_t x = 0; x < c->out_w; x++) hn_ending_run(&s->e, out + x * s->out_pitch, c->out_c);
}

void conv_planes_lines(const hn_task *t, const hn_strip *p, void *scratch) {
  const conv_planes *s = t->state;
  for (int64_t y = p->begin; y < p->end; y += s->job) {
    int64_t end = hn_smaller(y + s->job, p->end);
    copy_lines(s, p, y, lines_for(&s->c, end - y), scratch);
    for (int64_t at = y; at < end; at++) run_line(s, p, at, (const float *)scratch + (at - y) * s->c.stride_h * s->line);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const conv_planes *s = x->task->state;
  const hn_conv *c = &s->c;
  int64_t all = c->images * c->out_h, threads = x->task->threads;
  hn_strip p = {.in = x->in[0].data, .out = x->out[0].data,
                .residual = s->e.residual == HN_NONE ? NULL : x->in[s->e.residual].data};
  for (int64_t id = begin; id < end; id++)
    for (int64_t at = all * id / threads, stop = all * (id + 1) / threads; at < stop; at = p.image * c->out_h + p.end) {
      p.image = at / c->out_h;
      p.begin = at % c->out_h;
      p.end = hn_smaller(c->out_h, p.begin + stop - at);
      conv_planes_lines(x->task, &p, (float *)x->scratch + (size_t)id * s->scratch);
    }
}

hone_status conv_planes_run(hn_exec *x) {
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, x);
  return HONE_OK;
}
