/* conv_gemm.c - convolution as a matrix product: rows are output pixels, columns output channels. The left matrix is
   never made: a tile of neighbouring pixels reads each tap of the window where it lies in the image ("implicit" im2col),
   or in a copy of a few lines of it with the padding around. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/before.h"
#include "device/cpu/conv/conv.h"

enum {
  DEPTH = 512,            /* numbers of a row that are summed at a time: what is reused then fits the first-level cache */
  BLOCK_BYTES = 768 << 10,/* of image and result of a job whose weights come from afar: a part of the second-level cache */
  SMALL_BYTES = 32 << 10, /* of another's */
  NEAR_BYTES = 20 << 10,  /* of weights that stay in the first-level cache while pixels pass by */
  GAP = 16                /* between copied pixels, so that they do not fall on the same cache sets */
};

typedef struct conv_gemm {
  hn_conv c;
  hn_ending e;
  const hn_tile *tile;
  const float *weights, *bias;
  int64_t in_pitch, out_pitch;   /* from pixel to pixel of image and result */
  int64_t in_c, k, n;            /* of one group: input channels, numbers in a window, output channels */
  int64_t piece, pieces, at_once;/* numbers of a tap that lie together, such pieces of a window, pieces summed at a time */
  int64_t *offsets;              /* of each piece, from the window's first pixel */
  int64_t pixel, line;           /* how far apart pixels and lines are, where tiles read them */
  bool copy;
  hn_before before;              /* done while copying; scale NULL: nothing */
  int64_t job_h, job_w, job_n;   /* a job: lines, pixels, output channels */
  int64_t jobs_h, jobs_w, jobs_n;
  bool rows_first;               /* within a job; else channels. Only where there is something left of the epilogue */
  size_t scratch;                /* of a thread, floats */
} conv_gemm;

/* Output lines y..y_end, pixels x..x_end, channels n..n_end of a group. */
typedef struct block {
  int64_t group, y, y_end, x, x_end, n, n_end;
} block;

bool conv_gemm_supports(const hn_task *t) {
  if (!hn_conv_supported(t)) return false;
  int64_t group = hn_attr_i(t->node, "group", 1);
  return group == 1 || t->in[0].dims[1] > group || t->out[0].dims[1] > group; /* not depthwise */
}

/* How many groups are multiplied as one, with zeros for what is of different ones: so few channels as narrow groups have fill no tile. */
static int64_t groups_as_one(const hn_conv *c) {
  enum { INPUTS = 8, OUTPUTS = 16 };
  int64_t in = c->in_c / c->group, out = c->out_c / c->group, n = 1;
  if (in >= INPUTS && out >= INPUTS) return 1;
  while (n < c->group && (c->group % n || n * in < INPUTS || n * out < OUTPUTS)) n++;
  return n;
}

/* Weights of `as_one` groups each: channels of all their inputs. NULL: no memory. */
static float *spread(const hn_conv *c, const float *w, int64_t as_one) {
  int64_t area = c->kernel_h * c->kernel_w, in = c->in_c / c->group, out = c->out_c / c->group;
  float *all = hn_calloc((size_t)(c->out_c * in * as_one * area), sizeof *all);
  for (int64_t o = 0; o < c->out_c && all; o++)
    memcpy(all + (o * as_one + o / out % as_one) * in * area, w + o * in * area, sizeof *w * (size_t)(in * area));
  return all;
}

/* c: the geometry with groups as one; as_one: how many those are. */
static hone_status pack_weights(hn_task *t, conv_gemm *s, int64_t as_one) {
  const hn_conv *c = &s->c;
  int64_t area = c->kernel_h * c->kernel_w;
  size_t each = hn_tile_packed(s->tile, s->k, s->n);
  const float *w = t->in[1].constant->data;
  float *p, *all = NULL;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof *p * each * (size_t)c->group, 0, (void **)&p, &fill));
  if (fill && as_one > 1) {
    hn_conv apart = *c;
    apart.group *= as_one;
    w = all = spread(&apart, w, as_one);
    if (!all) return hn_nomem(t->cx);
  }
  for (int64_t g = 0; g < c->group && fill; g++)
    for (int64_t tap = 0; tap < area; tap++)
      hn_tile_pack(s->tile, s->k, tap * s->in_c, s->in_c, s->n, w + g * s->n * s->k + tap, area, s->k, p + (size_t)g * each);
  hn_free(all);
  t->in[1].unused = true;
  s->weights = p;
  const void *bias;
  HN_TRY(hn_conv_pack_bias(t, s->tile->cols, &bias));
  s->bias = bias;
  return HONE_OK;
}

/* Where tiles read: in the image, unless the window leaves it or neighbouring pixels would share a few cache sets. */
static hone_status lay_out(hn_task *t, conv_gemm *s) {
  const hn_conv *c = &s->c;
  bool inside = c->pad_top == 0 && c->pad_left == 0 &&
                (c->out_h - 1) * c->stride_h + (c->kernel_h - 1) * c->dilation_h < c->in_h &&
                (c->out_w - 1) * c->stride_w + (c->kernel_w - 1) * c->dilation_w < c->in_w;
  bool sets = s->in_pitch * c->stride_w % 1024 == 0 && (c->out_w > 1 || c->out_h > 1);
  s->copy = !inside || sets || t->before || (c->kernel_h > 1 && t->strip); /* a kernel over several lines cannot read a ring */
  s->pixel = !s->copy ? s->in_pitch : s->in_c * c->stride_w % 1024 ? s->in_c : s->in_c + GAP;
  int64_t parts = 1, taps = c->kernel_h * c->kernel_w;
  while (s->in_c / parts > DEPTH && parts < 64 && (parts == 1 || s->in_c % parts)) parts++;
  if (s->in_c % parts) parts = 1;
  bool joined = s->pixel == s->in_c && c->dilation_w == 1 && parts == 1 && s->in_c < 32; /* short taps of a kernel row are one piece */
  s->piece = joined ? s->in_c * c->kernel_w : s->in_c / parts;
  s->pieces = joined ? c->kernel_h : taps * parts;
  s->at_once = hn_smaller(s->pieces, hn_larger(1, DEPTH / s->piece));
  s->at_once = hn_ceil_div(s->pieces, hn_ceil_div(s->pieces, s->at_once));
  s->offsets = hn_calloc((size_t)s->pieces, sizeof *s->offsets);
  return s->offsets ? HONE_OK : hn_nomem(t->cx);
}

static void set_offsets(conv_gemm *s) {
  const hn_conv *c = &s->c;
  int64_t per_row = s->pieces / c->kernel_h;
  for (int64_t i = 0; i < s->pieces; i++) {
    int64_t at = i % per_row * s->piece; /* numbers along the kernel row */
    s->offsets[i] = i / per_row * c->dilation_h * s->line + at / s->in_c * c->dilation_w * s->pixel + at % s->in_c;
  }
}

/* Whether each thread had better do some channels of all pixels than all channels of some pixels: where that is dealt out more
   evenly (the larger share counts), or where the weights are more than the image, so that each is read by one thread. Not where
   each would have to copy the image. */
static bool by_channels(const conv_gemm *s, int64_t threads) {
  const hn_conv *c = &s->c;
  int64_t panels = hn_ceil_div(s->n, s->tile->cols), weights = s->k * s->n * 4, image = c->in_h * c->in_w * s->in_c * 4;
  if (threads < 2 || s->copy || panels < threads || c->images * c->group % threads == 0) return false;
  int64_t each = c->out_h >= threads ? hn_ceil_div(c->out_h, threads) * c->out_w
                                     : hn_round_up(hn_ceil_div(c->out_w, threads), s->tile->rows) * c->out_h;
  double pixels = (double)(each * threads) / (double)(c->out_h * c->out_w);
  double channels = (double)(hn_ceil_div(panels, threads) * threads) / (double)panels;
  if (image < weights && weights > BLOCK_BYTES && channels <= pixels) return true;
  return channels + (image < weights ? 0 : 0.04) < pixels;
}

/* Cuts the work into jobs whose image and result fit the cache, enough of them for the threads, else by channels too. */
static void cut(hn_task *t, conv_gemm *s) {
  const hn_conv *c = &s->c;
  int64_t threads = t->threads, tile = s->tile->rows, panel = s->tile->cols;
  int64_t each = (c->stride_h * c->stride_w * s->in_c + s->n) * 4, weights = s->k * s->n * 4;
  int64_t fit = weights > BLOCK_BYTES ? hn_larger(BLOCK_BYTES / each, 8 * tile) : hn_larger(SMALL_BYTES / each, 4 * tile); /* pixels */
  int64_t lines = hn_larger(1, hn_smaller(c->out_h, fit / c->out_w)), pixels = c->out_h > 1 && lines > 1 ? c->out_w : hn_smaller(c->out_w, fit);
  if (t->strip) { /* all pixels and channels of a few lines */
    s->job_h = hn_smaller(t->strip, hn_larger(1, fit / c->out_w));
    s->job_w = c->out_w;
    s->job_n = s->n;
    s->jobs_h = s->jobs_w = s->jobs_n = 1;
    return;
  }
  s->jobs_h = hn_ceil_div(c->out_h, lines);
  s->jobs_w = hn_ceil_div(c->out_w, pixels);
  bool channels = by_channels(s, threads);
  if (!channels && threads > 1 && c->images * c->group % threads) {
    if (c->out_h >= threads) s->jobs_h = hn_round_up(s->jobs_h, threads);
    else if (c->out_w >= threads * tile) s->jobs_w = hn_round_up(s->jobs_w, threads);
  }
  s->job_h = hn_ceil_div(c->out_h, s->jobs_h);
  s->jobs_h = hn_ceil_div(c->out_h, s->job_h);
  s->job_w = s->jobs_w == 1 ? c->out_w : hn_round_up(hn_ceil_div(c->out_w, s->jobs_w), tile);
  s->jobs_w = hn_ceil_div(c->out_w, s->job_w);
  int64_t parts = !channels && c->images * c->group * s->jobs_h * s->jobs_w >= threads ? 1 : hn_smaller(hn_ceil_div(s->n, panel), threads);
  s->job_n = hn_round_up(hn_ceil_div(s->n, parts), panel);
  s->jobs_n = hn_ceil_div(s->n, s->job_n);
}

/* Lines and pixels of the image that so many of the result are made of. */
static int64_t lines_for(const hn_conv *c, int64_t n) { return (n - 1) * c->stride_h + (c->kernel_h - 1) * c->dilation_h + 1; }
static int64_t pixels_for(const hn_conv *c, int64_t n) { return (n - 1) * c->stride_w + (c->kernel_w - 1) * c->dilation_w + 1; }

hone_status conv_gemm_plan(hn_task *t) {
  const hn_cpu *cpu = t->device;
  conv_gemm *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  t->threads = hn_conv_threads(t, hn_conv_macs(c));
  s->tile = hn_tile_for(cpu->isa);
  if (!t->strip) hn_conv_flatten(c);
  int64_t as_one = groups_as_one(c);
  c->group /= as_one;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  s->in_pitch = hn_take_pitch(&t->in[0]);
  s->out_pitch = hn_take_pitch(&t->out[0]);
  s->in_c = c->in_c / c->group;
  s->n = c->out_c / c->group;
  s->k = s->in_c * c->kernel_h * c->kernel_w;
  HN_TRY(lay_out(t, s));
  cut(t, s);
  s->line = s->copy ? pixels_for(c, s->job_w) * s->pixel : c->in_w * s->in_pitch;
  set_offsets(s);
  if (s->copy) s->scratch = (size_t)(lines_for(c, s->job_h) * s->line + GAP);
  t->scratch = sizeof(float) * s->scratch * (size_t)t->threads;
  HN_TRY(pack_weights(t, s, as_one));
  if (t->before) HN_TRY(hn_before_take(t, &s->before));
  hn_ending_take(t, HN_LAYOUT_NHWC, true, &s->e);
  s->rows_first = s->at_once == s->pieces && s->k * s->n * 4 <= NEAR_BYTES && s->e.n;
  return HONE_OK;
}

void conv_gemm_destroy(hn_task *t) {
  conv_gemm *s = t->state;
  if (s) hn_free(s->offsets);
  hn_free(s);
  t->state = NULL;
}

/* Copies the part of the image, with zeros around it, that the block is made of. */
static void copy_image(const conv_gemm *s, const hn_strip *p, const block *b, float *d) {
  const hn_conv *c = &s->c;
  int64_t lines = lines_for(c, b->y_end - b->y), pixels = pixels_for(c, b->x_end - b->x);
  int64_t y = b->y * c->stride_h - c->pad_top, x = b->x * c->stride_w - c->pad_left;
  int64_t left = x < 0 ? hn_smaller(-x, pixels) : 0, right = x + pixels > c->in_w ? hn_larger(left, c->in_w - x) : pixels;
  for (int64_t i = 0; i < lines; i++, d += s->line) {
    if (y + i < 0 || y + i >= c->in_h) {
      memset(d, 0, sizeof *d * (size_t)(pixels * s->pixel));
      continue;
    }
    const float *from = p->in + ((hn_strip_line(p->in_ring, p->image, c->in_h, y + i) * c->in_w + x) * s->in_pitch + b->group * s->in_c);
    memset(d, 0, sizeof *d * (size_t)(left * s->pixel));
    if (s->before.scale)
      for (int64_t k = left; k < right; k++) hn_before_run(&s->before, d + k * s->pixel, from + k * s->in_pitch, b->group * s->in_c, s->in_c);
    else if (s->pixel == s->in_pitch && c->group == 1) memcpy(d + left * s->pixel, from + left * s->pixel, sizeof *d * (size_t)((right - left) * s->pixel));
    else
      for (int64_t k = left; k < right; k++) memcpy(d + k * s->pixel, from + k * s->in_pitch, sizeof *d * (size_t)s->in_c);
    memset(d + right * s->pixel, 0, sizeof *d * (size_t)((pixels - right) * s->pixel));
  }
}

/* What tiles read of line y: where the window of pixel 0 of the block begins. */
static const float *window_at(const conv_gemm *s, const hn_strip *p, const block *b, const float *copied, int64_t y) {
  const hn_conv *c = &s->c;
  if (s->copy) return copied + (y - b->y) * c->stride_h * s->line;
  return p->in + ((hn_strip_line(p->in_ring, p->image, c->in_h, y * c->stride_h) * c->in_w + b->x * c->stride_w) * s->in_pitch +
                  b->group * s->in_c);
}

/* What is left of the epilogue, for the block's channels of some pixels. */
static void run_ending(const conv_gemm *s, const block *b, float *out, int64_t pixels) {
  int64_t channels = b->n_end - b->n;
  if (channels == s->out_pitch) hn_ending_run(&s->e, out, pixels * channels);
  else
    for (int64_t x = 0; x < pixels; x++) hn_ending_run(&s->e, out + x * s->out_pitch, channels);
}

/* Where the weights stay in the first-level cache: all channels of a few pixels, which what is left of the epilogue then finds there
   too. */
static void run_rows(const conv_gemm *s, const hn_strip *p, const block *b, const float *copied) {
  const hn_conv *c = &s->c;
  const hn_ending *e = &s->e;
  int64_t cols = s->tile->cols;
  hn_tile_cut cut = hn_tile_cut_rows(s->tile, b->x_end - b->x);
  const float *weights = s->weights + (size_t)b->group * hn_tile_packed(s->tile, s->k, s->n), *bias = s->bias ? s->bias + b->group * s->n : NULL;
  for (int64_t y = b->y; y < b->y_end; y++) {
    const float *a = window_at(s, p, b, copied, y);
    float *out = p->out + (hn_strip_line(p->out_ring, p->image, c->out_h, y) * c->out_w + b->x) * s->out_pitch + b->group * s->n;
    const float *start = p->residual ? p->residual + ((p->image * c->out_h + y) * c->out_w + b->x) * e->residual_pitch + b->group * s->n : NULL;
    for (int64_t i = 0; i < cut.tiles; i++) {
      int64_t at = hn_tile_row(&cut, i), rows = hn_tile_row(&cut, i + 1) - at;
      hn_tile_job j = {.k = s->piece, .a = a + at * c->stride_w * s->pixel, .lda = c->stride_w * s->pixel, .offsets = s->offsets,
                       .n_offsets = s->pieces, .ldc = s->out_pitch, .ld_start = e->residual_pitch, .lo = e->lo, .hi = e->hi};
      for (int64_t n = b->n; n < b->n_end; n += cols) {
        j.b = weights + n * s->k;
        j.bias = bias ? bias + n : NULL;
        j.c = out + at * s->out_pitch + n;
        j.start = start ? start + at * e->residual_pitch + n : NULL;
        s->tile->mul(&j, (int)rows, (int)hn_smaller(cols, b->n_end - n));
      }
      run_ending(s, b, out + at * s->out_pitch + b->n, rows);
    }
  }
}

static void run_block(const conv_gemm *s, const hn_strip *p, const block *b, float *copied) {
  const hn_conv *c = &s->c;
  const hn_ending *e = &s->e;
  const hn_tile *tile = s->tile;
  int64_t width = b->x_end - b->x, cols = tile->cols;
  hn_tile_cut cut = hn_tile_cut_rows(tile, width);
  const float *weights = s->weights + (size_t)b->group * hn_tile_packed(tile, s->k, s->n);
  if (s->copy) copy_image(s, p, b, copied);
  if (s->rows_first) {
    run_rows(s, p, b, copied);
    return;
  }
  for (int64_t piece = 0; piece < s->pieces; piece += s->at_once) {
    int64_t pieces = hn_smaller(s->at_once, s->pieces - piece), k = piece * s->piece;
    bool first = piece == 0, last = piece + pieces == s->pieces;
    for (int64_t n = b->n; n < b->n_end; n += cols) {
      int64_t channel = b->group * s->n + n;
      hn_tile_job j = {.k = s->piece, .lda = c->stride_w * s->pixel, .offsets = s->offsets + piece, .n_offsets = pieces,
                       .b = weights + n * s->k + k * cols, .ldc = s->out_pitch, .ld_start = first ? e->residual_pitch : s->out_pitch,
                       .bias = last && s->bias ? s->bias + channel : NULL,
                       .lo = last ? e->lo : -INFINITY, .hi = last ? e->hi : INFINITY};
      /* The next panel's weights come nearer while this one's are in use. */
      const float *next = n + cols < b->n_end ? j.b + cols * s->k : last ? NULL : weights + b->n * s->k + (k + pieces * s->piece) * cols;
      const char *near = (const char *)next, *near_end = near + 4 * pieces * s->piece * cols;
      int64_t step = hn_tile_next_step(tile, (b->y_end - b->y) * cut.tiles);
      for (int64_t y = b->y; y < b->y_end; y++) {
        const float *a = window_at(s, p, b, copied, y);
        int64_t to = ((hn_strip_line(p->out_ring, p->image, c->out_h, y) * c->out_w + b->x) * s->out_pitch) + channel;
        int64_t from = (((p->image * c->out_h + y) * c->out_w + b->x) * e->residual_pitch) + channel;
        for (int64_t i = 0; i < cut.tiles; i++) {
          int64_t at = hn_tile_row(&cut, i);
          j.a = a + at * j.lda;
          j.c = p->out + to + at * s->out_pitch;
          j.start = !first ? j.c : p->residual ? p->residual + from + at * e->residual_pitch : NULL;
          if (n == b->n && first && !s->copy) {
            j.next = (const char *)(j.a + tile->rows * j.lda);
            j.next_step = 256;
          } else if (near && near < near_end) {
            j.next = near;
            j.next_step = step;
            near += pieces * (s->piece / 4) * step;
          } else {
            j.next = NULL;
          }
          tile->mul(&j, (int)(hn_tile_row(&cut, i + 1) - at), (int)hn_smaller(cols, b->n_end - n));
        }
      }
    }
  }
  for (int64_t y = b->y; y < b->y_end && e->n; y++)
    run_ending(s, b, p->out + (hn_strip_line(p->out_ring, p->image, c->out_h, y) * c->out_w + b->x) * s->out_pitch + b->group * s->n + b->n, width);
}

typedef struct gemm_run {
  const conv_gemm *s;
  hn_exec *x;
} gemm_run;

static hn_strip whole(const conv_gemm *s, const hn_exec *x) {
  return (hn_strip){.in = x->in[0].data, .out = x->out[0].data,
                    .residual = s->e.residual == HN_NONE ? NULL : x->in[s->e.residual].data};
}

/* Thread `id` of x->threads: a share of the jobs, and a part of the scratch. Neighbouring jobs share channels. */
static void run_share(void *arg, int64_t begin, int64_t end) {
  const gemm_run *r = arg;
  const conv_gemm *s = r->s;
  const hn_conv *c = &s->c;
  int64_t threads = r->x->task->threads, spots = c->images * s->jobs_h * s->jobs_w, jobs = spots * s->jobs_n * c->group;
  hn_strip p = whole(s, r->x);
  for (int64_t id = begin; id < end; id++)
    for (int64_t j = jobs * id / threads; j < jobs * (id + 1) / threads; j++) {
      int64_t spot = j % spots, x = spot % s->jobs_w * s->job_w, y = spot / s->jobs_w % s->jobs_h * s->job_h;
      int64_t n = j / spots % s->jobs_n * s->job_n;
      block b = {j / spots / s->jobs_n, y, hn_smaller(y + s->job_h, c->out_h), x, hn_smaller(x + s->job_w, c->out_w), n,
                 hn_smaller(n + s->job_n, s->n)};
      p.image = spot / s->jobs_w / s->jobs_h;
      run_block(s, &p, &b, (float *)r->x->scratch + (size_t)id * s->scratch);
    }
}

hone_status conv_gemm_run(hn_exec *x) {
  gemm_run r = {x->task->state, x};
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, &r);
  return HONE_OK;
}

void conv_gemm_lines(const hn_task *t, const hn_strip *p, void *scratch) {
  const conv_gemm *s = t->state;
  for (int64_t g = 0; g < s->c.group; g++)
    for (int64_t y = p->begin; y < p->end; y += s->job_h) {
      block b = {g, y, hn_smaller(y + s->job_h, p->end), 0, s->c.out_w, 0, s->n};
      run_block(s, p, &b, scratch);
    }
}
