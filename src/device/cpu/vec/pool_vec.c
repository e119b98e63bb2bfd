/* pool_vec.c - pooling where channels lie innermost (last, or in blocks): first the rows of a window into one, which are long
   runs, then within that row tap by tap. */
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/half_runs.h"
#include "op/infer.h"

enum { PIECE = 64 }; /* channels */

typedef struct pool {
  int64_t planes, run;  /* images or blocks of channels of them; numbers that lie together */
  int64_t in_h, in_w, out_h, out_w, in_pitch, out_pitch; /* pitches: from pixel to pixel */
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_bottom, pad_left, pad_right;
  bool average, padding_counts, whole; /* whole: an average over everything */
  hn_vec_binary join;
  hn_vec_scalar scale;
  const hn_vec *vec;
  const hn_half_runs *half; /* NULL: of floats */
  size_t size;              /* of a number */
} pool;

enum { MOST_HALVES = 32 }; /* numbers that are summed as half floats: what is lost is bounded as in products of them. Not as bfloat16 */

bool pool_vec_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  bool half = t->device && hn_cpu_runs(t->device, in->dtype);
  if (!t->device || (in->dtype != HONE_DTYPE_F32 && !half) || t->out[0].dtype != in->dtype || in->rank < 3 || in->rank > 4) return false;
  for (int32_t i = 0; i < in->rank; i++)
    if (in->dims[i] == 0 || t->out[0].dims[i] == 0) return false;
  return t->n_out == 1 || !t->out[1].present;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Taps of the window at `at` (its first position) that lie in from..to: *first and one past *last. */
static void taps_within(int64_t at, int64_t n, int64_t dilation, int64_t from, int64_t to, int64_t *first, int64_t *last) {
  *first = at >= from ? 0 : (from - at + dilation - 1) / dilation;
  *last = at >= to ? 0 : hn_smaller(n, (to - at + dilation - 1) / dilation);
}

static bool geometry(const hn_task *t, pool *p) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  const hn_op op = t->node->op;
  int32_t x = in->rank - 1, nd = in->rank - 2;
  hn_window w = {.n = nd};
  for (int32_t i = 0; i < nd; i++) {
    w.kernel[i] = in->dims[2 + i];
    w.stride[i] = w.dilation[i] = 1;
  }
  bool global = op == HN_GlobalAveragePool || op == HN_GlobalMaxPool;
  if (!global && hn_window_resolve(t->cx, t->g->dims, t->node, nd, in->dims + 2, NULL, false, &w)) return false;
  *p = (pool){.in_h = 1, .out_h = 1, .kernel_h = 1, .stride_h = 1, .dilation_h = 1};
  if (nd == 2) {
    p->in_h = in->dims[2], p->out_h = out->dims[2];
    p->kernel_h = w.kernel[0], p->stride_h = w.stride[0], p->dilation_h = w.dilation[0];
    p->pad_top = w.pad_begin[0], p->pad_bottom = w.pad_end[0];
  }
  p->in_w = in->dims[x], p->out_w = out->dims[x];
  p->kernel_w = w.kernel[nd - 1], p->stride_w = w.stride[nd - 1], p->dilation_w = w.dilation[nd - 1];
  p->pad_left = w.pad_begin[nd - 1], p->pad_right = w.pad_end[nd - 1];
  p->average = op == HN_AveragePool || op == HN_GlobalAveragePool;
  p->padding_counts = op == HN_AveragePool && hn_attr_i(t->node, "count_include_pad", 0) != 0;
  for (int64_t y = 0, from, to; y < p->out_h; y++) { /* a window of padding alone is left to the reference */
    taps_within(y * p->stride_h - p->pad_top, p->kernel_h, p->dilation_h, 0, p->in_h, &from, &to);
    if (from >= to) return false;
  }
  for (int64_t c = 0, from, to; c < p->out_w; c++) {
    taps_within(c * p->stride_w - p->pad_left, p->kernel_w, p->dilation_w, 0, p->in_w, &from, &to);
    if (from >= to) return false;
  }
  return true;
}

hone_status pool_vec_plan(hn_task *t) {
  hn_layout l = t->in[0].layout == HN_LAYOUT_PLAIN ? HN_LAYOUT_NHWC : t->in[0].layout;
  const hn_vec *vec = hn_cpu_of(t)->vec;
  pool *p = hn_calloc(1, sizeof *p);
  if (!p) return hn_nomem(t->cx);
  t->state = p;
  if (!geometry(t, p)) return HONE_UNSUPPORTED;
  int64_t block = l == HN_LAYOUT_C16 ? 16 : l == HN_LAYOUT_C8 ? 8 : 0, channels = t->in[0].dims[1];
  p->run = block ? block : channels;
  p->planes = t->in[0].dims[0] * (block ? (channels + block - 1) / block : 1);
  p->join = vec->binary[p->average ? HN_Add : HN_Max];
  p->scale = vec->right[HN_Mul];
  p->vec = vec;
  p->half = hn_cpu_runs(t->device, t->in[0].dtype);
  p->size = hone_dtype_size(t->in[0].dtype);
  p->whole = p->average && p->out_h * p->out_w == 1 && p->kernel_h == p->in_h && p->kernel_w == p->in_w && p->dilation_h == 1 &&
             p->dilation_w == 1 && !(p->pad_top | p->pad_bottom | p->pad_left | p->pad_right);
  if (p->half && p->average && !p->whole && p->kernel_h * p->kernel_w > (t->in[0].dtype == HONE_DTYPE_F16 ? MOST_HALVES : 1)) return HONE_UNSUPPORTED;
  t->in[0].layout = t->out[0].layout = l;
  p->in_pitch = hn_take_pitch(&t->in[0]);
  p->out_pitch = hn_take_pitch(&t->out[0]);
  t->scratch = sizeof(float) * (size_t)(t->threads * (p->whole ? larger(p->planes, t->threads) : p->in_w) * p->run);
  return HONE_OK;
}

void pool_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

static void join(const pool *p, void *d, const void *a, const void *b, size_t n) {
  if (p->half) (p->average ? p->half->add : p->half->max)(d, a, b, n);
  else p->join(d, a, b, n);
}

static void scale(const pool *p, void *d, float by, size_t n) {
  if (p->half) p->half->scale(d, d, by, n);
  else p->scale(d, d, by, n);
}

/* Three runs of floats in one pass over memory, a sum times `by`. */
static void join3(const pool *p, void *d, const void *a, const void *b, const void *c, float by, size_t n) {
  if (p->average) p->vec->sum3(d, a, b, c, by, n);
  else p->vec->max3(d, a, b, c, n);
}

/* The rows of a window as one, whose pixels lie *pitch apart: where they are one anyway, that. */
static const char *join_rows(const pool *p, const char *plane, int64_t y, char *scratch, int64_t *pitch) {
  int64_t at = y * p->stride_h - p->pad_top, first, last, size = (int64_t)p->size, in_row = p->in_w * p->in_pitch * size;
  taps_within(at, p->kernel_h, p->dilation_h, 0, p->in_h, &first, &last);
  const char *row = plane + (at + first * p->dilation_h) * in_row;
  *pitch = p->in_pitch;
  if (last - first == 3 && !p->half && p->in_pitch == p->run) {
    int64_t next = p->dilation_h * in_row;
    join3(p, scratch, row, row + next, row + 2 * next, 1, (size_t)(p->in_w * p->in_pitch));
    *pitch = p->run;
    return scratch;
  }
  for (int64_t k = first + 1; k < last; k++, *pitch = p->run, row = scratch) {
    const char *next = plane + (at + k * p->dilation_h) * in_row;
    if (p->in_pitch == p->run) join(p, scratch, row, next, (size_t)(p->in_w * p->in_pitch));
    else
      for (int64_t x = 0; x < p->in_w; x++)
        join(p, scratch + x * p->run * size, row + x * *pitch * size, next + x * p->in_pitch * size, (size_t)p->run);
  }
  return row;
}

static int64_t counted(int64_t at, int64_t n, int64_t dilation, int64_t from, int64_t to) {
  int64_t first, last;
  taps_within(at, n, dilation, from, to, &first, &last);
  return larger(last - first, 0);
}

static void pool_row(const pool *p, const char *plane, int64_t y, char *d, char *scratch) {
  int64_t pitch, size = (int64_t)p->size;
  const char *row = join_rows(p, plane, y, scratch, &pitch);
  int64_t around = p->padding_counts, top = y * p->stride_h - p->pad_top;
  int64_t rows = counted(top, p->kernel_h, p->dilation_h, -p->pad_top * around, p->in_h + p->pad_bottom * around);
  size_t run = (size_t)p->run;
  for (int64_t x = 0; x < p->out_w; x++, d += p->out_pitch * size) {
    int64_t at = x * p->stride_w - p->pad_left, first, last;
    taps_within(at, p->kernel_w, p->dilation_w, 0, p->in_w, &first, &last);
    const char *from = row + (at + first * p->dilation_w) * pitch * size;
    int64_t cols = p->average ? counted(at, p->kernel_w, p->dilation_w, -p->pad_left * around, p->in_w + p->pad_right * around) : 1;
    float by = 1.0f / (float)(rows * cols);
    if (last - first == 3 && !p->half) {
      int64_t next = p->dilation_w * pitch * size;
      join3(p, d, from, from + next, from + 2 * next, by, run);
      continue;
    }
    if (last - first == 1) memcpy(d, from, p->size * run);
    for (int64_t k = first + 1; k < last; k++) {
      join(p, d, from, row + (at + k * p->dilation_w) * pitch * size, run);
      from = d;
    }
    if (p->average) scale(p, d, by, run);
  }
}

typedef struct pool_run {
  const pool *p;
  const char *in;
  char *out;
  float *scratch;
  int64_t threads;
} pool_run;

static const char *plane_at(const pool_run *r, int64_t i) {
  return r->in + i * r->p->in_h * r->p->in_w * r->p->in_pitch * (int64_t)r->p->size;
}

/* A share of the rows, for each thread and its part of the scratch. */
static void run_shares(void *arg, int64_t begin, int64_t end) {
  const pool_run *r = arg;
  const pool *p = r->p;
  int64_t rows = p->planes * p->out_h;
  for (int64_t k = begin; k < end; k++)
    for (int64_t i = rows * k / r->threads; i < rows * (k + 1) / r->threads; i++)
      pool_row(p, plane_at(r, i / p->out_h), i % p->out_h, r->out + i * p->out_w * p->out_pitch * (int64_t)p->size,
               (char *)(r->scratch + k * p->in_w * p->run));
}

/* d = the sum of lines begin..end of a plane as floats, each line's pixels summed first, so that long sums lose less. */
static void sum_lines(const pool *p, const char *plane, int64_t begin, int64_t end, float *d) {
  float line[PIECE];
  for (int64_t from = 0; from < p->run; from += PIECE) {
    size_t n = (size_t)hn_smaller(PIECE, p->run - from);
    for (int64_t y = begin; y < end; y++) {
      const char *at = plane + (y * p->in_w * p->in_pitch + from) * (int64_t)p->size;
      float *to = y == begin ? d + from : line;
      if (p->half) p->half->sum_rows(to, (const void *)at, n, (size_t)p->in_w, (size_t)p->in_pitch);
      else p->vec->sum_rows(to, (const void *)at, n, (size_t)p->in_w, (size_t)p->in_pitch);
      if (y > begin) p->join(d + from, d + from, line, n);
    }
  }
}

/* From the sums of plane i to its result. */
static void give_average(const pool_run *r, int64_t i, float *sums) {
  const pool *p = r->p;
  char *out = r->out + i * p->out_pitch * (int64_t)p->size;
  float by = 1.0f / (float)(p->in_h * p->in_w);
  if (p->half) p->half->round((void *)out, sums, by, (size_t)p->run);
  else p->scale((void *)out, sums, by, (size_t)p->run);
}

static void average_planes(void *arg, int64_t begin, int64_t end) {
  const pool_run *r = arg;
  const pool *p = r->p;
  for (int64_t i = begin; i < end; i++) {
    float *sums = r->scratch + i * p->run;
    sum_lines(p, plane_at(r, i), 0, p->in_h, sums);
    give_average(r, i, sums);
  }
}

/* A share of the lines of each plane, as whoever made them most likely divided them, so that they are read where they are. */
static void sum_shares(void *arg, int64_t begin, int64_t end) {
  const pool_run *r = arg;
  const pool *p = r->p;
  for (int64_t k = begin; k < end; k++)
    for (int64_t i = 0; i < p->planes; i++)
      sum_lines(p, plane_at(r, i), p->in_h * k / r->threads, p->in_h * (k + 1) / r->threads,
                r->scratch + (k * p->planes + i) * p->run);
}

/* Averages over everything. */
static void run_whole(const pool_run *r, int threads) {
  const pool *p = r->p;
  if (threads == 1 || p->planes >= threads || p->in_h < threads) {
    hn_parallel_for(threads, p->planes, 1, average_planes, (void *)(uintptr_t)r);
    return;
  }
  size_t n = (size_t)(p->planes * p->run);
  hn_parallel_for(threads, threads, 1, sum_shares, (void *)(uintptr_t)r);
  for (int k = 1; k < threads; k++) p->join(r->scratch, r->scratch, r->scratch + (size_t)k * n, n);
  for (int64_t i = 0; i < p->planes; i++) give_average(r, i, r->scratch + i * p->run);
}

hone_status pool_vec_run(hn_exec *x) {
  const pool *p = x->task->state;
  pool_run r = {p, x->in[0].data, x->out[0].data, x->scratch, x->task->threads};
  /* Waking somebody for less than some ten thousand numbers takes longer than doing it. */
  bool small = p->planes * p->in_h * p->in_w * p->run < 32768;
  if (p->whole) run_whole(&r, small ? 1 : x->task->threads);
  else hn_parallel_for(small ? 1 : x->task->threads, x->task->threads, 1, run_shares, &r);
  return HONE_OK;
}
