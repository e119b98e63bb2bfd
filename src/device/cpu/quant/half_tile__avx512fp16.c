/* half_tile__avx512fp16.c - the tile of half floats. A register holds sixteen columns' sums of even and odd products: so A is
   broadcast by pairs, which the load ports do alone, while single half floats would take turns with the products. */
#include "device/cpu/quant/half_tile.h"
#ifdef __AVX512FP16__
#include <immintrin.h>
#include <math.h>

enum { ROWS = 14, COLS = HN_HALF_COLS, STEP = 2 * COLS, ODD = (int)0xAAAAAAAA };
#define UNROLL _Pragma("GCC unroll 16")
#define ALWAYS static inline __attribute__((always_inline))
#define FMA(sum, a, b) __asm__("vfmadd231ph %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
typedef int32_t pair __attribute__((may_alias, aligned(2)));

ALWAYS void step(const int rows, __m512i sum[ROWS][2], const uint16_t *const *row, int64_t lda, const uint16_t *b, const int at) {
  __m512i even = _mm512_loadu_si512(b + at * STEP), odd = _mm512_loadu_si512(b + at * STEP + COLS);
  UNROLL for (int r = 0; r < rows; r++) {
    __m512i a = _mm512_set1_epi32(*(const pair *)(row[r / 3] + (r % 3) * lda + 2 * at));
    FMA(sum[r][0], a, even);
    FMA(sum[r][1], a, odd);
  }
}

/* The sums of both products of the pairs, in the order of the columns. */
ALWAYS __m512i joined(__m512i even, __m512i odd) {
  __m512i first = _mm512_mask_blend_epi16((__mmask32)ODD, even, _mm512_slli_epi32(odd, 16));
  __m512i second = _mm512_mask_blend_epi16((__mmask32)ODD, _mm512_srli_epi32(even, 16), odd);
  return _mm512_castph_si512(_mm512_add_ph(_mm512_castsi512_ph(first), _mm512_castsi512_ph(second)));
}

ALWAYS void product(const int rows, int64_t pairs, const uint16_t *a, int64_t lda, const uint16_t *b, float *sums, const char *next,
                    int64_t next_step) {
  const uint16_t *row[(ROWS + 2) / 3];
  UNROLL for (int r = 0; r < rows; r += 3) row[r / 3] = a + r * lda;
  for (int64_t from = 0; from < pairs; from += HN_HALF_CHAIN) {
    int64_t i = 0, n = pairs - from < HN_HALF_CHAIN ? pairs - from : HN_HALF_CHAIN;
    __m512i sum[ROWS][2];
    UNROLL for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm512_setzero_si512();
    for (; i + 4 <= n; i += 4, b += 4 * STEP, next += next_step) {
      for (int64_t o = 0; o < next_step; o += 64) _mm_prefetch(next + o, _MM_HINT_T1);
      UNROLL for (int u = 0; u < 4; u++) step(rows, sum, row, lda, b, u);
      UNROLL for (int r = 0; r < rows; r += 3) row[r / 3] += 8;
    }
    for (; i < n; i++, b += STEP) {
      step(rows, sum, row, lda, b, 0);
      UNROLL for (int r = 0; r < rows; r += 3) row[r / 3] += 2;
    }
    UNROLL for (int r = 0; r < rows; r++) {
      __m512i t = joined(sum[r][0], sum[r][1]);
      __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(t)), high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(t, 1));
      float *to = sums + r * COLS;
      if (from) low = _mm512_add_ps(low, _mm512_loadu_ps(to)), high = _mm512_add_ps(high, _mm512_loadu_ps(to + 16));
      _mm512_storeu_ps(to, low);
      _mm512_storeu_ps(to + 16, high);
    }
  }
}

#define SIZE(R)                                                                                                     \
  static void tile_##R(int64_t pairs, const uint16_t *a, int64_t lda, const uint16_t *b, float *sums, const char *next, \
                       int64_t next_step) {                                                                            \
    product(R, pairs, a, lda, b, sums, next, next_step);                                                               \
  }
SIZE(1) SIZE(2) SIZE(3) SIZE(4) SIZE(5) SIZE(6) SIZE(7) SIZE(8) SIZE(9) SIZE(10) SIZE(11) SIZE(12) SIZE(13) SIZE(14)

static void mul(const hn_half_job *j) {
  static void (*const of[])(int64_t, const uint16_t *, int64_t, const uint16_t *, float *, const char *, int64_t) = {
      NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14};
  of[j->rows](j->pairs, j->a, j->lda, j->b, j->sums, j->next, j->next ? j->next_step : 0);
}

static void finish(const hn_half_ending *e, float *sums, int rows, int cols) {
  const __m512 lo = _mm512_set1_ps(e->lo), hi = _mm512_set1_ps(e->hi);
  for (int v = 0; v < COLS && v < cols; v += 16) {
    const __mmask16 m = (__mmask16)(cols - v < 16 ? (1U << (cols - v)) - 1 : 0xFFFF);
    const __m512 bias = e->bias ? _mm512_loadu_ps(e->bias + v) : _mm512_setzero_ps();
    for (int r = 0; r < rows; r++) {
      __m512 x = _mm512_add_ps(_mm512_loadu_ps(sums + r * COLS + v), bias);
      if (e->residual) x = _mm512_add_ps(x, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, e->residual + r * e->ld_residual + v)));
      x = _mm512_min_ps(hi, _mm512_max_ps(lo, x)); /* which give the second if one is NaN */
      _mm256_mask_storeu_epi16(e->out + r * e->ld_out + v, m, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    }
  }
}

const hn_half_tile hn_half_tile_avx512fp16 = {.rows = ROWS, .mul = mul, .finish = finish};
#endif
