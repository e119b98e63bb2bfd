/* depthwise_bf16__avx512.c - depthwise convolution of bfloat16, multiplied and summed in single precision; weights and bias are floats. */
#ifdef __AVX512F__
#include <immintrin.h>
#include <stdint.h>
static inline __m512 widened(const uint16_t *p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16));
}
/* To the nearest, ties to even; NaN stays one. */
static inline void round_to(uint16_t *to, __m512 x) {
  __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
  _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16)));
}
#define DEPTHWISE hn_depthwise_bf16_avx512
#define BYTES 64
#define LINES 2
#define STORED uint16_t
#define FROM_STORED(p) ((vec)widened(p))
#define TO_STORED(p, v) round_to(p, v)
#define VMAX(a, b) ((vec)_mm512_max_ps((a), (b)))
#define VMIN(a, b) ((vec)_mm512_min_ps((a), (b)))
#include "device/cpu/conv/depthwise_body.h"
#else
typedef int hn_depthwise_bf16_avx512_absent;
#endif
