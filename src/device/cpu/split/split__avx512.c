/* split__avx512.c - the products of split.h by AMX: four tiles of 16 x 16 sums, two tiles each of the left and of the right
   matrix. */
#if defined(__AVX512F__) && defined(__x86_64__)
#include <immintrin.h>

#include "device/cpu/amx.h"
#include "device/cpu/split/split.h"

enum { HALF = 16, ROW = 64, PART = HN_SPLIT_PART, A_ROW = HN_SPLIT_CELL * 2, A_HALF = HALF * HN_SPLIT_CELL,
       AHEAD = 32 /* lines of weights that are asked for before they are cut */ };

#define LOAD HN_AMX_LOAD
#define SUMS(tile, from) HN_AMX_LOAD(tile, from, HN_SPLIT_COLS * 4)
#define STORE(tile, to) HN_AMX_STORE(tile, to, HN_SPLIT_COLS * 4)
#define ZERO HN_AMX_ZERO
#define DOT HN_AMX_DOT_BF16

static void finish(const hn_split_end *e, int from, int to) {
  const __m512 lo = _mm512_set1_ps(e->lo), hi = _mm512_set1_ps(e->hi);
  const __mmask32 all = (__mmask32)(e->cols < 32 ? (1U << e->cols) - 1 : ~0U);
  const __mmask16 m0 = (__mmask16)all, m1 = (__mmask16)(all >> 16);
  const __m512 b0 = e->bias ? _mm512_loadu_ps(e->bias) : _mm512_setzero_ps();
  const __m512 b1 = e->bias ? _mm512_loadu_ps(e->bias + 16) : _mm512_setzero_ps();
  if (to > e->rows) to = e->rows;
  for (int r = from; r < to; r++) {
    int64_t place = e->place[r];
    if (place < 0) continue;
    const float *sums = e->sums + r * HN_SPLIT_COLS, *start = e->start + place * e->start_pitch;
    float *out = e->out + place * e->out_pitch;
    __m512 v0 = _mm512_load_ps(sums), v1 = _mm512_load_ps(sums + 16);
    if (e->start) {
      v0 = _mm512_add_ps(v0, _mm512_maskz_loadu_ps(m0, start));
      v1 = _mm512_add_ps(v1, _mm512_maskz_loadu_ps(m1, start + 16));
    }
    _mm512_mask_storeu_ps(out, m0, _mm512_min_ps(hi, _mm512_max_ps(lo, _mm512_add_ps(v0, b0))));
    if (m1) _mm512_mask_storeu_ps(out + 16, m1, _mm512_min_ps(hi, _mm512_max_ps(lo, _mm512_add_ps(v1, b1))));
  }
}

/* To bfloat16, as a float; ties away from zero. */
static inline __m512 rounded(__m512 x) {
  __m512i u = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
  return _mm512_castsi512_ps(_mm512_and_si512(u, _mm512_set1_epi32((int)0xffff0000)));
}

/* Two vectors whose low halves are zero, as pairs. */
static inline void store_pairs(uint16_t *to, __m512 x, __m512 y) {
  _mm512_store_si512(to, _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(x), 16), _mm512_castps_si512(y)));
}

/* 16 pairs; their parts go `step` apart. What two parts leave of a float has 8 bits or fewer. */
static inline void cut_line(__m512 x, __m512 y, uint16_t *to, int64_t step) {
  __m512 a = rounded(x), b = rounded(y);
  store_pairs(to, a, b);
  x = _mm512_sub_ps(x, a), y = _mm512_sub_ps(y, b);
  a = rounded(x), b = rounded(y);
  store_pairs(to + step, a, b);
  store_pairs(to + 2 * step, _mm512_sub_ps(x, a), _mm512_sub_ps(y, b));
}

static void cut_panel(const float *b, int64_t from, int64_t to, uint16_t *parts) {
  for (int64_t i = from; i < to; i++) {
    const float *line = b + i * HN_SPLIT_LINE;
    uint16_t *at = parts + i / HN_SPLIT_LINES * HN_SPLIT_PARTS * PART + i % HN_SPLIT_LINES * HN_SPLIT_LINE;
    __builtin_prefetch(line + AHEAD * HN_SPLIT_LINE, 0, 2);
    __builtin_prefetch(line + AHEAD * HN_SPLIT_LINE + 16, 0, 2);
    cut_line(_mm512_loadu_ps(line), _mm512_loadu_ps(line + 16), at, PART);
  }
}

/* What else the products leave time for, a little after every sixth of a cell's, since what waits for them fills the processor's
   queues: rows of the tile before, and lines of the weights to come. */
typedef struct aside {
  const hn_split_job *j;
  int64_t row, rows, line, lines;
} aside;

static inline aside aside_of(const hn_split_job *j) {
  int64_t times = 6 * j->cells;
  return (aside){.j = j, .row = j->end ? 0 : HN_SPLIT_ROWS, .rows = hn_ceil_div(HN_SPLIT_ROWS, times),
                 .line = j->next ? j->line : j->last, .lines = hn_ceil_div(j->last - j->line, times)};
}

static inline void do_aside(aside *x) {
  const hn_split_job *j = x->j;
  if (x->line < j->last) {
    int64_t to = hn_smaller(x->line + x->lines, j->last);
    cut_panel(j->next, x->line, to, j->parts);
    x->line = to;
  }
  if (x->row >= HN_SPLIT_ROWS) return;
  finish(j->end, (int)x->row, (int)(x->row + x->rows));
  x->row += x->rows;
}

/* Sums 0 and 1: the first 16 rows by both halves of the columns; 2 and 3: the others. Factors: 4 and 5 rows, 6 and 7 columns. The
   smallest products come first. */
#define ASIDE do_aside(&x);
#define FOUR DOT(0, 4, 6) DOT(1, 4, 7) DOT(2, 5, 6) DOT(3, 5, 7)
#define ROWS_OF(part) LOAD(4, a + (part) * HN_SPLIT_DEPTH, A_ROW) LOAD(5, a + A_HALF + (part) * HN_SPLIT_DEPTH, A_ROW)
#define COLS_OF(part) LOAD(6, b + (part) * PART, ROW) LOAD(7, b + (part) * PART + PART / 2, ROW)

static void mul_4(const hn_split_job *j) {
  const uint16_t *b = j->b;
  aside x = aside_of(j);
  if (j->more) {
    SUMS(0, j->sums) SUMS(1, j->sums + HALF) SUMS(2, j->sums + HALF * HN_SPLIT_COLS)
    SUMS(3, j->sums + HALF * HN_SPLIT_COLS + HALF)
  } else {
    ZERO(0) ZERO(1) ZERO(2) ZERO(3)
  }
  for (int64_t i = 0; i < j->cells; i++, b += HN_SPLIT_PARTS * PART) {
    const uint16_t *a = j->a + j->offsets[i];
    COLS_OF(0) ROWS_OF(2) FOUR ASIDE
    ROWS_OF(1) FOUR ASIDE
    COLS_OF(1) FOUR ASIDE
    ROWS_OF(0) FOUR ASIDE
    COLS_OF(2) FOUR ASIDE
    COLS_OF(0) FOUR ASIDE
  }
  STORE(0, j->sums) STORE(1, j->sums + HALF) STORE(2, j->sums + HALF * HN_SPLIT_COLS)
  STORE(3, j->sums + HALF * HN_SPLIT_COLS + HALF)
}

/* Half of the rows, or of the columns, or of both: two tiles of sums, or one, and factors stay. */
static void mul_half_rows(const hn_split_job *j) {
  const uint16_t *b = j->b;
  aside x = aside_of(j);
  if (j->more) {
    SUMS(0, j->sums) SUMS(1, j->sums + HALF)
  } else {
    ZERO(0) ZERO(1)
  }
  for (int64_t i = 0; i < j->cells; i++, b += HN_SPLIT_PARTS * PART) {
    const uint16_t *a = j->a + j->offsets[i];
    LOAD(4, a + 2 * HN_SPLIT_DEPTH, A_ROW) LOAD(5, a + HN_SPLIT_DEPTH, A_ROW) LOAD(3, a, A_ROW)
    COLS_OF(0) DOT(0, 4, 6) DOT(1, 4, 7) ASIDE DOT(0, 5, 6) DOT(1, 5, 7) ASIDE
    COLS_OF(1) DOT(0, 5, 6) DOT(1, 5, 7) ASIDE DOT(0, 3, 6) DOT(1, 3, 7) ASIDE
    COLS_OF(2) DOT(0, 3, 6) DOT(1, 3, 7) ASIDE
    COLS_OF(0) DOT(0, 3, 6) DOT(1, 3, 7) ASIDE
  }
  STORE(0, j->sums) STORE(1, j->sums + HALF)
}

static void mul_half_cols(const hn_split_job *j) {
  const uint16_t *b = j->b;
  aside x = aside_of(j);
  if (j->more) {
    SUMS(0, j->sums) SUMS(2, j->sums + HALF * HN_SPLIT_COLS)
  } else {
    ZERO(0) ZERO(2)
  }
  for (int64_t i = 0; i < j->cells; i++, b += HN_SPLIT_PARTS * PART) {
    const uint16_t *a = j->a + j->offsets[i];
    LOAD(6, b, ROW) LOAD(7, b + PART, ROW) LOAD(1, b + 2 * PART, ROW)
    ROWS_OF(2) DOT(0, 4, 6) DOT(2, 5, 6) ASIDE
    ROWS_OF(1) DOT(0, 4, 6) DOT(2, 5, 6) ASIDE DOT(0, 4, 7) DOT(2, 5, 7) ASIDE
    ROWS_OF(0) DOT(0, 4, 7) DOT(2, 5, 7) ASIDE DOT(0, 4, 1) DOT(2, 5, 1) ASIDE DOT(0, 4, 6) DOT(2, 5, 6) ASIDE
  }
  STORE(0, j->sums) STORE(2, j->sums + HALF * HN_SPLIT_COLS)
}

static void mul_quarter(const hn_split_job *j) {
  const uint16_t *b = j->b;
  aside x = aside_of(j);
  if (j->more) {
    SUMS(0, j->sums)
  } else {
    ZERO(0)
  }
  for (int64_t i = 0; i < j->cells; i++, b += HN_SPLIT_PARTS * PART) {
    const uint16_t *a = j->a + j->offsets[i];
    LOAD(6, b, ROW) LOAD(7, b + PART, ROW) LOAD(1, b + 2 * PART, ROW)
    LOAD(2, a + 2 * HN_SPLIT_DEPTH, A_ROW) LOAD(5, a + HN_SPLIT_DEPTH, A_ROW) LOAD(4, a, A_ROW)
    DOT(0, 2, 6) ASIDE DOT(0, 5, 6) ASIDE DOT(0, 5, 7) ASIDE DOT(0, 4, 7) ASIDE DOT(0, 4, 1) ASIDE DOT(0, 4, 6) ASIDE
  }
  STORE(0, j->sums)
}

static void mul(const hn_split_job *j, bool half_rows, bool half_cols) {
  if (half_rows && half_cols) mul_quarter(j);
  else if (half_rows) mul_half_rows(j);
  else if (half_cols) mul_half_cols(j);
  else mul_4(j);
}

/* 32 numbers into a cell; the largest of `most` and their magnitudes. */
static inline __m512i cut_cell(__m512 f, __m512 g, uint16_t *to, __m512i most) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  cut_line(f, g, to, HN_SPLIT_DEPTH);
  most = _mm512_max_epu32(most, _mm512_and_si512(magnitude, _mm512_castps_si512(f)));
  return _mm512_max_epu32(most, _mm512_and_si512(magnitude, _mm512_castps_si512(g)));
}

static uint32_t cut(const float *x, int64_t pitch, int64_t pixels, int64_t n, uint16_t *to, int64_t step) {
  __m512i most = _mm512_setzero_si512();
  int64_t whole = n / HN_SPLIT_DEPTH * HN_SPLIT_DEPTH;
  const __mmask32 left = (__mmask32)((1ULL << (n - whole)) - 1);
  for (int64_t p = 0; p < pixels; p++, x += pitch, to += HN_SPLIT_CELL) {
    uint16_t *cell = to;
    for (int64_t i = 0; i < whole; i += HN_SPLIT_DEPTH, cell += step)
      most = cut_cell(_mm512_loadu_ps(x + i), _mm512_loadu_ps(x + i + 16), cell, most);
    if (!left) continue;
    __m512 f = _mm512_maskz_loadu_ps((__mmask16)left, x + whole);
    __m512 g = _mm512_maskz_loadu_ps((__mmask16)(left >> 16), x + whole + 16);
    most = cut_cell(f, g, cell, most);
  }
  return _mm512_reduce_max_epu32(most);
}

const hn_split hn_split_avx512 = {hn_amx_whole, hn_amx_release, mul, finish, cut, cut_panel};
#else
typedef int hn_split_avx512_absent;
#endif
