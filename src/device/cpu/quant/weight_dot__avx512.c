/* weight_dot__avx512.c - sums with small weights for AVX-512. */
#include "device/cpu/quant/weight_dot.h"
#ifdef __AVX512F__
#include <immintrin.h>
#define DOT hn_weight_dot_avx512
#define SIXTEEN __m512
static inline __m512 all16(float v) { return _mm512_set1_ps(v); }
static inline __m512 load16(const float *x) { return _mm512_loadu_ps(x); }
static inline __m512 mul16(__m512 a, __m512 b) { return _mm512_mul_ps(a, b); }
static inline __m512 fma16(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
static inline float sum16(__m512 a) { return _mm512_reduce_add_ps(a); }
static inline __m512 widen16(const int8_t *w) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)w)));
}
#define WORDS __m512i
static inline __m512i load_words(const uint8_t *w) { return _mm512_loadu_si512(w); }
/* the permutation looks at the four lowest bits of each word */
static inline void nibbles16(__m512i w, const int b, __m512 *low, __m512 *high) {
  const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  *low = _mm512_permutexvar_ps(b ? _mm512_srli_epi32(w, 8 * (unsigned)b) : w, values);
  *high = _mm512_permutexvar_ps(_mm512_srli_epi32(w, 8 * (unsigned)b + 4), values);
}
#include "device/cpu/quant/weight_dot_body.h"
#else
typedef int hn_weight_dot_avx512_absent;
#endif
