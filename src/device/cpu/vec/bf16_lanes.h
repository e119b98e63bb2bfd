/* bf16_lanes.h - bfloat16 in vectors of 512 bits: to floats and back, and functions whose results are rounded to it. For files
   compiled for AVX-512, with AVX-512 BF16 or without. */
#ifndef HN_BF16_LANES_H
#define HN_BF16_LANES_H
#include <immintrin.h>
#include <stdint.h>

#define BF16_FN static inline __attribute__((always_inline))

BF16_FN __m512 bf16_widened(__m256i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)); }
/* Of 32 in order: the even ones, the odd ones. */
BF16_FN __m512 bf16_even(__m512i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16)); }
BF16_FN __m512 bf16_odd(__m512i v) { return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xFFFF0000))); }

/* To the nearest, ties to even; NaN stays one. The instructions for it, which take two vectors in the time of one, take what is below
   2^-126 for zero. */
#ifdef __AVX512BF16__
BF16_FN __m256i bf16_rounded(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }
BF16_FN __m512i bf16_rounded2(__m512 x, __m512 y) { return (__m512i)_mm512_cvtne2ps_pbh(y, x); }
#else
BF16_FN __m256i bf16_rounded(__m512 x) {
  __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}
BF16_FN __m512i bf16_rounded2(__m512 x, __m512 y) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(bf16_rounded(x)), bf16_rounded(y), 1);
}
#endif

/* a / (1 + exp(-x)), off by 2^-12 of it at most; results below 2^-100 as good as zero. */
BF16_FN __m512 bf16_logistic(__m512 a, __m512 x) {
  enum { DOWN = 1 }; /* of VREDUCEPS: less the next whole number below */
  __m512 y = _mm512_mul_ps(x, _mm512_set1_ps(-1.44269504f)), r = _mm512_reduce_ps(y, DOWN);
  __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(7.8024520e-2f), _mm512_set1_ps(2.2606716e-1f)); /* minimax of 2^r */
  p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(6.9583353e-1f));
  p = _mm512_fmadd_ps(r, p, _mm512_set1_ps(9.9992522e-1f));
  __m512 b = _mm512_add_ps(_mm512_scalef_ps(p, y), _mm512_set1_ps(1)); /* it takes what is below y whole */
  return _mm512_mul_ps(a, _mm512_rcp14_ps(b));
}
#endif
