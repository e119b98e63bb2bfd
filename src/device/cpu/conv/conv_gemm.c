/* conv_gemm.c - convolution as a matrix product, rows the output pixels, columns the output channels: the rows of the
   left matrix are copied out of the image block by block into cache ("implicit" im2col, never the whole matrix), or
   read where they lie if the kernel is 1x1. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"

enum {
  K_BLOCK = 512,          /* numbers of a row that are summed at a time: a tile's rows then fit the first-level cache */
  BLOCK_BYTES = 256 << 10,/* of copied rows: a part of the second-level cache */
  GAP = 16                /* between copied rows, so that they do not fall on the same cache sets */
};

/* The window's numbers come in runs that are contiguous in the image: rows of the kernel, or its taps where they lie
   apart. */
typedef struct conv_gemm {
  hn_conv c;
  hn_ending e;
  const hn_tile *tile;
  const float *weights, *bias;
  int64_t taps, run, runs;   /* taps in a run, numbers in it, runs in a window */
  int64_t k, n, pixels;      /* of one group: numbers in a window, output channels; pixels of all images */
  int64_t rows, cols, k_block;  /* of a job; of a pass */
  int64_t row_jobs, col_jobs;
  bool direct;
} conv_gemm;

bool conv_gemm_supports(const hn_task *t) {
  if (!hn_conv_supported(t)) return false;
  int64_t group = hn_attr_i(t->node, "group", 1);
  return group == 1 || (t->in[0].dims[1] / group >= 8 && t->out[0].dims[1] / group >= 8);
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static hone_status pack_weights(hn_task *t, conv_gemm *s) {
  const hn_conv *c = &s->c;
  int64_t in_c = c->in_c / c->group, area = c->kernel_h * c->kernel_w;
  size_t each = hn_tile_packed(s->tile, s->k, s->n);
  const float *w = t->in[1].constant->data;
  float *p;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof *p * each * (size_t)c->group, 0, (void **)&p, &fill));
  for (int64_t g = 0; g < c->group && fill; g++)
    for (int64_t tap = 0; tap < area; tap++)
      hn_tile_pack(s->tile, s->k, tap * in_c, in_c, s->n, w + g * s->n * s->k + tap, area, s->k, p + (size_t)g * each);
  t->in[1].unused = true;
  s->weights = p;
  return hn_conv_pack_bias(t, s->tile->cols, &s->bias);
}

/* Cuts the work into jobs: blocks of rows that fit the cache, enough of them for the threads, else columns too. */
static void cut(hn_task *t, conv_gemm *s) {
  int64_t threads = t->threads, tile = s->tile->rows, panel = s->tile->cols;
  s->k_block = round_up(ceil_div(s->k, ceil_div(s->k, K_BLOCK)), 16);
  int64_t blocks = ceil_div(s->pixels, smaller(round_up(s->pixels, tile), BLOCK_BYTES / 4 / s->k_block / tile * tile));
  if (blocks > 1 || s->pixels > 4 * tile * threads) blocks = round_up(blocks, threads);
  s->rows = round_up(ceil_div(s->pixels, blocks), tile);
  s->row_jobs = ceil_div(s->pixels, s->rows);
  int64_t parts = s->row_jobs * s->c.group >= threads ? 1 : smaller(ceil_div(s->n, panel), threads);
  s->cols = round_up(ceil_div(s->n, parts), panel);
  s->col_jobs = ceil_div(s->n, s->cols);
  if (!s->direct) t->scratch = sizeof(float) * (size_t)(threads * s->rows * (s->k_block + GAP));
}

hone_status conv_gemm_plan(hn_task *t) {
  const hn_cpu *cpu = t->device;
  conv_gemm *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  hn_conv *c = &s->c;
  HN_TRY(hn_conv_resolve(t, c));
  s->tile = hn_tile_for(cpu->isa);
  bool rows_whole = c->group == 1 && c->dilation_w == 1;
  s->taps = rows_whole ? c->kernel_w : 1;
  s->runs = c->kernel_h * c->kernel_w / s->taps;
  s->run = s->taps * (c->in_c / c->group);
  s->k = s->run * s->runs;
  s->n = c->out_c / c->group;
  s->pixels = c->images * c->out_h * c->out_w;
  s->direct = s->k == c->in_c && c->stride_h == 1 && c->stride_w == 1 && c->out_h == c->in_h && c->out_w == c->in_w &&
              c->in_c % 256 != 0;
  HN_TRY(pack_weights(t, s));
  cut(t, s);
  hn_ending_take(t, HN_LAYOUT_NHWC, &s->e);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  return HONE_OK;
}

void conv_gemm_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* Copies numbers from..to of the windows of `rows` output pixels. */
static void copy_rows(const conv_gemm *s, const float *image, int64_t group, int64_t pixel, int64_t rows, int64_t from,
                      int64_t to, float *d, int64_t ld) {
  const hn_conv *c = &s->c;
  int64_t in_c = c->in_c, line = c->in_w * in_c;
  int64_t x = pixel % c->out_w, y = pixel / c->out_w % c->out_h, i = pixel / c->out_w / c->out_h;
  for (int64_t r = 0; r < rows; r++, d += ld) {
    float *p = d;
    for (int64_t at = from, end; at < to; p += end - at, at = end) {
      int64_t run = at / s->run, j0 = at - run * s->run;
      end = smaller(to, (run + 1) * s->run);
      int64_t ky = run, kx = 0;
      if (s->taps != c->kernel_w) ky = run / c->kernel_w, kx = run % c->kernel_w;
      int64_t n = end - at, iy = y * c->stride_h - c->pad_top + ky * c->dilation_h;
      /* where the run begins in the line of the image, and the part of it that lies inside */
      int64_t begin = (x * c->stride_w - c->pad_left + kx * c->dilation_w) * in_c + group * s->k / s->runs + j0;
      int64_t skip = begin < 0 ? smaller(-begin, n) : 0, stop = begin + n > line ? line - begin : n;
      if (iy < 0 || iy >= c->in_h || stop <= skip) {
        memset(p, 0, sizeof *p * (size_t)n);
        continue;
      }
      const float *src = image + (i * c->in_h + iy) * line + begin;
      for (int64_t k = 0; k < skip; k++) p[k] = 0;
      memcpy(p + skip, src + skip, sizeof *p * (size_t)(stop - skip));
      for (int64_t k = stop; k < n; k++) p[k] = 0;
    }
    if (++x < c->out_w) continue;
    x = 0;
    if (++y < c->out_h) continue;
    y = 0;
    i++;
  }
}

static void run_job(const conv_gemm *s, hn_exec *x, int64_t group, int64_t row, int64_t col, float *copied) {
  const hn_conv *c = &s->c;
  const hn_ending *e = &s->e;
  const hn_tile *tile = s->tile;
  int64_t rows = smaller(s->rows, s->pixels - row), cols = smaller(s->cols, s->n - col);
  float *out = (float *)x->out[0].data + row * c->out_c + group * s->n + col;
  const float *residual = e->residual == HN_NONE ? NULL : (const float *)x->in[e->residual].data + row * c->out_c + group * s->n + col;
  const float *weights = s->weights + (size_t)group * hn_tile_packed(tile, s->k, s->n);
  for (int64_t k = 0; k < s->k; k += s->k_block) {
    int64_t depth = smaller(s->k_block, s->k - k);
    bool first = k == 0, last = k + depth == s->k;
    const float *a = (const float *)x->in[0].data + row * c->in_c + k;
    int64_t lda = c->in_c;
    if (!s->direct) {
      lda = s->k_block + GAP;
      copy_rows(s, x->in[0].data, group, row, rows, k, k + depth, copied, lda);
      a = copied;
    }
    for (int64_t n = 0; n < cols; n += tile->cols) {
      hn_tile_job j = {.k = depth, .lda = lda, .b = weights + (col + n) * s->k + k * tile->cols, .ldc = c->out_c, .ld_start = c->out_c,
                       .bias = last && s->bias ? s->bias + group * s->n + col + n : NULL,
                       .lo = last ? e->lo : -INFINITY, .hi = last ? e->hi : INFINITY};
      for (int64_t m = 0; m < rows; m += tile->rows) {
        j.a = a + m * lda;
        j.c = out + m * c->out_c + n;
        j.start = !first ? j.c : residual ? residual + m * c->out_c + n : NULL;
        tile->mul(&j, (int)smaller(tile->rows, rows - m), (int)smaller(tile->cols, cols - n));
      }
    }
  }
  if (!e->n) return;
  if (cols == c->out_c) hn_ending_run(e, out, rows * cols);
  else
    for (int64_t r = 0; r < rows; r++) hn_ending_run(e, out + r * c->out_c, cols);
}

typedef struct gemm_run {
  const conv_gemm *s;
  hn_exec *x;
} gemm_run;

/* Thread `id` of x->threads: a share of the jobs, and a part of the scratch. */
static void run_share(void *arg, int64_t begin, int64_t end) {
  const gemm_run *r = arg;
  const conv_gemm *s = r->s;
  int64_t jobs = s->row_jobs * s->col_jobs * s->c.group, threads = r->x->task->threads;
  for (int64_t id = begin; id < end; id++) {
    float *copied = s->direct ? NULL : (float *)r->x->scratch + id * s->rows * (s->k_block + GAP);
    for (int64_t j = jobs * id / threads; j < jobs * (id + 1) / threads; j++) {
      int64_t rest = j / s->row_jobs;
      run_job(s, r->x, rest / s->col_jobs, j % s->row_jobs * s->rows, rest % s->col_jobs * s->cols, copied);
    }
  }
}

hone_status conv_gemm_run(hn_exec *x) {
  gemm_run r = {x->task->state, x};
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, &r);
  return HONE_OK;
}
