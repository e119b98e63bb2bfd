/* bf16_tile__avx512.c - the tile of half_tile.h for bfloat16, by AMX: two tiles of rows meet two of columns; sums are of single
   precision. The instructions take what is below 2^-126 for zero. */
#if defined(__AVX512F__) && defined(__x86_64__)
#include <immintrin.h>

#include "device/cpu/amx.h"
#include "device/cpu/quant/half_tile.h"

enum { COLS = HN_HALF_COLS, ROW = COLS * 4, HALF = COLS / 2 };

static void begin(int height, int64_t step) {
  hn_amx_config c = {.palette = 1};
  for (int i = 0; i < 6; i++) c.rows[i] = (uint8_t)height, c.row_bytes[i] = (uint16_t)(i < 4 ? HN_AMX_ROW : 4 * step);
  for (int i = 6; i < HN_AMX_TILES; i++) c.rows[i] = (uint8_t)step, c.row_bytes[i] = HN_AMX_ROW;
  hn_amx_configure(&c);
}

/* The second tile of rows ends with the last: what it repeats comes out the same. */
static void mul(const hn_half_job *j) {
  const uint16_t *a = j->a, *second = j->a + (j->rows - j->height) * j->lda, *b = j->b;
  const char *next = j->next;
  float *low = j->sums + (j->rows - j->height) * COLS;
  HN_AMX_ZERO(0) HN_AMX_ZERO(1) HN_AMX_ZERO(2) HN_AMX_ZERO(3)
  for (int64_t k = 0; k < j->pairs; k += j->step, a += 2 * j->step, second += 2 * j->step, b += 2 * COLS * j->step) {
    HN_AMX_LOAD(6, b, ROW) HN_AMX_LOAD(4, a, 2 * j->lda) HN_AMX_DOT_BF16(0, 4, 6)
    HN_AMX_LOAD(7, b + COLS, ROW) HN_AMX_DOT_BF16(1, 4, 7)
    HN_AMX_LOAD(5, second, 2 * j->lda) HN_AMX_DOT_BF16(2, 5, 6) HN_AMX_DOT_BF16(3, 5, 7)
    for (int64_t i = 0; next && i < j->step; i += 4, next += j->next_step)
      for (int64_t o = 0; o < j->next_step; o += HN_AMX_ROW) _mm_prefetch(next + o, _MM_HINT_T1);
  }
  HN_AMX_STORE(0, j->sums, ROW) HN_AMX_STORE(1, j->sums + HALF, ROW)
  HN_AMX_STORE(2, low, ROW) HN_AMX_STORE(3, low + HALF, ROW)
}

static inline __m512 widened(__m256i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)); }

/* To the nearest, ties to even; NaN stays one. */
static inline __m256i rounded(__m512 x) {
  __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}

static void finish(const hn_half_ending *e, float *sums, int rows, int cols) {
  const __m512 lo = _mm512_set1_ps(e->lo), hi = _mm512_set1_ps(e->hi);
  for (int v = 0; v < COLS && v < cols; v += HALF) {
    const __mmask16 m = (__mmask16)(cols - v < HALF ? (1U << (cols - v)) - 1 : 0xFFFF);
    const __m512 bias = e->bias ? _mm512_loadu_ps(e->bias + v) : _mm512_setzero_ps();
    for (int r = 0; r < rows; r++) {
      float *sum = sums + r * COLS + v;
      __m512 x = _mm512_add_ps(_mm512_loadu_ps(sum), bias);
      if (e->residual) x = _mm512_add_ps(x, widened(_mm256_maskz_loadu_epi16(m, e->residual + r * e->ld_residual + v)));
      x = _mm512_min_ps(hi, _mm512_max_ps(lo, x)); /* which give the second if one is NaN */
      if (e->out) _mm256_mask_storeu_epi16(e->out + r * e->ld_out + v, m, rounded(x));
      else _mm512_storeu_ps(sum, x);
    }
  }
}

const hn_half_tile hn_bf16_tile_avx512 = {.rows = 2 * HN_AMX_ROWS, .deep = HN_AMX_ROWS, .begin = begin, .end = hn_amx_release, .mul = mul, .finish = finish};
#else
typedef int hn_bf16_tile_avx512_absent;
#endif
