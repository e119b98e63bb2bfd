/* matmul_int8.c - matrix products of two tensors of bytes, neither known before the run, as attention between conversions has them: the
   right matrices are packed first, each for all that read it; zero points of both sides are taken off by the sums of columns, which
   the sums start from, and of rows, which are added behind. */
#include <math.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"
#include "device/cpu/quant/int8_pack.h"

enum { TILES = 4, MOST_BLOCK = 64, BEHIND = 2 /* panels: their sums are on the way to the cache */, MOST_DEPTH = 32768 /* sums of products of 255 and 255 stay within 32 bits */ };

typedef struct pairs {
  const hn_int8_tile *tile;
  int64_t m, k, n, batch[2], batches; /* batch: matrices on either side; batches: products */
  int32_t rank;
  int64_t dims[HN_MAX_RANK], stride[2][HN_MAX_RANK]; /* of batches: sizes, and steps of matrices on either side */
  hn_int8_matrix matrix;
  uint8_t flip[2];   /* signed activations are read 128 higher, unsigned right ones 128 lower */
  int32_t zero[2];   /* of both as they are read then */
  float *unit, *bias; /* the same for all columns: as many as a tile's */
  hn_int8_way_out way;
  int64_t block;     /* rows */
  int threads;
  size_t packed, inits, gathered, scratch; /* of all packed matrices, of what their sums start from; of a thread */
} pairs;

/* Batches by numpy's broadcasting. */
static bool describe_batches(const hn_task *t, pairs *p) {
  const hn_arg *o = &t->out[0];
  p->rank = o->rank - 2;
  p->batches = 1;
  for (int32_t i = 0; i < p->rank; i++) p->batches *= p->dims[i] = o->dims[i];
  for (int s = 0; s < 2; s++) {
    const hn_arg *a = &t->in[s];
    int32_t lead = o->rank - a->rank;
    p->batch[s] = 1;
    for (int32_t i = p->rank - 1; i >= 0; i--) {
      int64_t d = i < lead ? 1 : a->dims[i - lead];
      p->stride[s][i] = d == 1 ? 0 : p->batch[s];
      p->batch[s] *= d;
    }
  }
  return true;
}

static bool way_out(const hn_task *t, hn_int8_way_out *w) {
  if (t->out[0].quant) return hn_int8_function_of(t, t->node->post, t->node->n_post, -INFINITY, INFINITY, w);
  *w = (hn_int8_way_out){.residual = HN_NONE, .by = 1, .ending = {.to_float = true, .lo = -INFINITY, .hi = INFINITY}};
  return true;
}

static bool describe(const hn_task *t, pairs *p) {
  const hn_arg *a = &t->in[0], *b = &t->in[1], *o = &t->out[0];
  hn_int8_way_out way;
  if (!t->device || !hn_arg_is_bytes(a) || !hn_arg_is_bytes(b) || a->rank < 2 || b->rank < 2 || (o->quant ? !hn_is_8bit(o->dtype) : o->dtype != HONE_DTYPE_F32)) return false;
  *p = (pairs){.m = a->dims[a->rank - 2], .k = a->dims[a->rank - 1], .n = b->dims[b->rank - 1]};
  p->flip[0] = a->dtype == HONE_DTYPE_I8 ? 128 : 0;
  p->flip[1] = b->dtype == HONE_DTYPE_U8 ? 128 : 0;
  p->zero[0] = a->quant->zero + p->flip[0];
  p->zero[1] = b->quant->zero - p->flip[1];
  return describe_batches(t, p) && p->m && p->n && p->k && p->batches && p->k <= MOST_DEPTH && way_out(t, &way);
}

bool matmul_int8_supports(const hn_task *t) {
  pairs p;
  return describe(t, &p);
}

static size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

hone_status matmul_int8_plan(hn_task *t) {
  pairs *p = hn_calloc(1, sizeof *p);
  t->state = p;
  if (!p) return hn_nomem(t->cx);
  if (!describe(t, p) || !way_out(t, &p->way)) return HONE_UNSUPPORTED;
  p->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  HN_TRY(hn_int8_matrix_open(t->cx, p->tile, p->k, p->n, p->m < HN_INT8_FEW, &p->matrix));
  p->unit = hn_calloc((size_t)(2 * p->tile->cols), sizeof *p->unit);
  if (!p->unit) return hn_nomem(t->cx);
  p->bias = p->unit + p->tile->cols;
  for (int c = 0; c < p->tile->cols; c++) {
    p->unit[c] = hn_int8_way_out_unit(&p->way, (double)t->in[0].quant->scale * (double)t->in[1].quant->scale);
    p->bias[c] = hn_int8_way_out_bias(&p->way, 0);
  }
  t->in[0].layout = t->in[1].layout = t->out[0].layout = HN_LAYOUT_PLAIN;
  t->fused = t->out[0].quant ? t->node->n_post : 0;
  for (uint32_t i = 0; i < t->fused; i++)
    if (t->node->post[i].operand != HN_NONE) t->in[t->node->post[i].operand].unused = true;
  p->block = hn_smaller(hn_smaller(TILES * p->tile->rows, MOST_BLOCK), hn_round_up(p->m, p->tile->rows));
  p->threads = hn_conv_threads(t, p->batches * p->m * p->k * p->n / 4);
  p->packed = whole_lines(hn_int8_matrix_bytes(&p->matrix));
  p->inits = whole_lines(sizeof(int32_t) * (size_t)hn_int8_columns(&p->matrix));
  p->gathered = whole_lines((size_t)(hn_int8_depth(&p->matrix) * p->block));
  int64_t sum_rows = hn_larger((BEHIND + 1) * p->block, HN_INT8_LATER * p->tile->rows);
  p->scratch = p->gathered + whole_lines(sizeof(int32_t) * (size_t)(sum_rows * p->tile->cols));
  t->scratch = (p->packed + p->inits) * (size_t)p->batch[1] + p->scratch * (size_t)p->threads;
  return HONE_OK;
}

void matmul_int8_destroy(hn_task *t) {
  pairs *p = t->state;
  if (p) hn_int8_matrix_close(&p->matrix);
  if (p) hn_free(p->unit);
  hn_free(p);
  t->state = NULL;
}

/* ------------------------------------------------------------------------------------------- the right side */

typedef struct pairs_run {
  const pairs *p;
  const uint8_t *a, *b;
  unsigned char *y, *packed, *scratch;
} pairs_run;

static unsigned char *packed_of(const pairs_run *r, int64_t matrix) { return r->packed + (size_t)matrix * (r->p->packed + r->p->inits); }

/* Panels of all matrices, and what the sums of their columns start from: the sums of bytes by a row of ones. */
static void pack_panels(void *arg, int64_t begin, int64_t end) {
  const pairs_run *r = arg;
  const pairs *p = r->p;
  int64_t cols = p->tile->cols;
  for (int64_t i = begin; i < end; i++) {
    int64_t matrix = i / p->matrix.panels, panel = i % p->matrix.panels;
    uint8_t *to = packed_of(r, matrix) + panel * hn_int8_panel_bytes(&p->matrix);
    int32_t *init = (int32_t *)(void *)(packed_of(r, matrix) + p->packed) + panel * cols;
    hn_int8_pack_panel(&p->matrix, r->b + matrix * p->k * p->n, p->n, false, p->flip[1], panel, to);
    hn_int8_sum_panel(&p->matrix, to, init);
    for (int64_t c = 0; c < cols; c++) init[c] = p->zero[0] * ((int32_t)p->k * p->zero[1] - init[c]);
  }
}

/* ------------------------------------------------------------------------------------------- products */

static int64_t matrix_of(const pairs *p, int side, int64_t batch) {
  int64_t at = 0;
  for (int32_t i = p->rank - 1; i >= 0; batch /= p->dims[i], i--) at += batch % p->dims[i] * p->stride[side][i];
  return at;
}

static int32_t sum_of(const uint8_t *a, int64_t n) {
  int32_t sum = 0;
  int64_t i = 0;
#if defined(__SSE2__)
  __m128i two = _mm_setzero_si128();
  for (; i + 16 <= n; i += 16) two = _mm_add_epi64(two, _mm_sad_epu8(_mm_loadu_si128((const __m128i *)(const void *)(a + i)), _mm_setzero_si128()));
  sum = _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)));
#endif
  for (; i < n; i++) sum += a[i];
  return sum;
}

/* Rows with the zeros that fill their last quad. */
static void gather(const pairs *p, const uint8_t *a, int rows, uint8_t *to) {
  int64_t depth = hn_int8_depth(&p->matrix);
  for (int64_t i = 0; i < rows; i++, a += p->k, to += depth) {
    memcpy(to, a, (size_t)p->k);
    for (int64_t k = 0; p->flip[0] && k < p->k; k++) to[k] ^= p->flip[0];
    memset(to + p->k, 0, (size_t)(depth - p->k));
  }
}

/* Where the columns of a panel go to. */
static hn_int8_finish ending_of(const pairs_run *r, int64_t batch, int64_t row, int64_t panel) {
  const pairs *p = r->p;
  int64_t first = panel * p->tile->cols;
  size_t size = p->way.ending.to_float ? sizeof(float) : 1;
  return (hn_int8_finish){.unit = p->unit, .bias = p->bias, .n = hn_smaller(p->tile->cols, p->n - first), .ld = p->n, .ending = &p->way.ending,
                          .out = r->y + (batch * p->m + row) * p->n * (int64_t)size + first * (int64_t)size};
}

/* What the zero point of the right side makes of each row comes off. */
static void finish_less(const pairs *p, const hn_int8_finish *f, const int32_t *less, int rows) {
  int64_t cols = p->tile->cols;
  int32_t *sum = (int32_t *)(uintptr_t)f->sum;
  for (int k = 0; k < rows; k++, sum += cols)
    for (int64_t c = 0; c < cols; c += 4)
      for (int j = 0; j < 4; j++) sum[c + j] -= less[k]; /* a vector */
  p->tile->finish(f, rows);
}

/* A thread at work. */
typedef struct worker {
  unsigned char *scratch;
  hn_int8_later later;
  int height; /* that tiles have now */
} worker;

static void run_block(const pairs_run *r, int64_t batch, int64_t row, int rows, worker *o) {
  const pairs *p = r->p;
  int64_t cols = p->tile->cols, depth = hn_int8_depth(&p->matrix);
  unsigned char *scratch = o->scratch;
  int32_t *sum = (int32_t *)(void *)(scratch + p->gathered), less[MOST_BLOCK];
  const uint8_t *a = r->a + (matrix_of(p, 0, batch) * p->m + row) * p->k;
  const unsigned char *packed = packed_of(r, matrix_of(p, 1, batch));
  if (p->flip[0] || depth != p->k) {
    gather(p, a, rows, scratch);
    a = scratch;
  }
  int height = hn_int8_height(p->tile, p->matrix.step, rows);
  if (height && height != o->height) p->tile->begin(o->height = height, p->matrix.step);
  for (int i = 0; i < rows; i++) less[i] = p->zero[1] ? p->zero[1] * sum_of(a + i * depth, p->k) : 0;
  for (int64_t i = 0; i < p->matrix.panels + (p->zero[1] ? BEHIND : 0); i++) {
    if (i < p->matrix.panels) {
      hn_int8_finish f = ending_of(r, batch, row, i);
      f.sum = sum + (p->zero[1] ? i % (BEHIND + 1) * p->block * cols : 0);
      hn_int8_mul m = hn_int8_mul_of(&p->matrix, (const int8_t *)packed, i);
      m.a = a, m.lda = depth, m.sum = (int32_t *)(uintptr_t)f.sum, m.height = height, m.later = &o->later, m.starts = p->zero[0] != 0;
      m.init = (const int32_t *)(const void *)(packed + p->packed) + i * cols;
      p->tile->mul(&m, p->zero[1] ? NULL : &f, rows, f.n <= p->tile->lanes);
    }
    if (!p->zero[1] || i < BEHIND) continue;
    hn_int8_finish old = ending_of(r, batch, row, i - BEHIND);
    old.sum = sum + (i + 1) % (BEHIND + 1) * p->block * cols;
    finish_less(p, &old, less, rows);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const pairs_run *r = arg;
  const pairs *p = r->p;
  int64_t blocks = hn_ceil_div(p->m, p->block), all = p->batches * blocks;
  for (int64_t k = begin; k < end; k++) {
    worker o = {.scratch = r->scratch + (size_t)k * p->scratch};
    for (int64_t i = all * k / p->threads; i < all * (k + 1) / p->threads; i++) {
      int64_t row = p->m * (i % blocks) / blocks, end_row = p->m * (i % blocks + 1) / blocks; /* blocks alike */
      run_block(r, i / blocks, row, (int)(end_row - row), &o);
    }
    if (!o.height) continue;
    p->tile->flush(&o.later);
    p->tile->end();
  }
}

hone_status matmul_int8_run(hn_exec *x) {
  const pairs *p = x->task->state;
  unsigned char *room = x->scratch;
  pairs_run r = {p, x->in[0].data, x->in[1].data, x->out[0].data, room, room + (p->packed + p->inits) * (size_t)p->batch[1]};
  hn_parallel_for(p->threads, p->batch[1] * p->matrix.panels, 1, pack_panels, &r);
  hn_parallel_for(p->threads, p->threads, 1, run_share, &r);
  return HONE_OK;
}
