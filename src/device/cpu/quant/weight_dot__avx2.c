/* weight_dot__avx2.c - sums with small weights for AVX2. */
#include "device/cpu/quant/weight_dot.h"
#ifdef __AVX2__
#include <immintrin.h>
#define DOT hn_weight_dot_avx2
typedef struct sixteen {
  __m256 a, b;
} sixteen;
#define SIXTEEN sixteen
static inline sixteen all16(float v) { return (sixteen){_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
static inline sixteen load16(const float *x) { return (sixteen){_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
static inline sixteen mul16(sixteen x, sixteen y) { return (sixteen){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
static inline sixteen fma16(sixteen x, sixteen y, sixteen z) { return (sixteen){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
static inline float sum16(sixteen x) {
  float v[8], s = 0;
  _mm256_storeu_ps(v, _mm256_add_ps(x.a, x.b));
  for (int i = 0; i < 8; i++) s += v[i];
  return s;
}
static inline __m128i eight_bytes(const void *w) { return _mm_loadl_epi64((const __m128i *)w); }
static inline sixteen widen16(const int8_t *w) {
  return (sixteen){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight_bytes(w))), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight_bytes(w + 8)))};
}
typedef struct words {
  __m256i a, b;
} words;
#define WORDS words
static inline words load_words(const uint8_t *w) {
  return (words){_mm256_loadu_si256((const __m256i *)(const void *)w), _mm256_loadu_si256((const __m256i *)(const void *)(w + 32))};
}
static inline __m256 nibble8(__m256i w, const int bits) {
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_and_si256(_mm256_srli_epi32(w, bits), _mm256_set1_epi32(15)), _mm256_set1_epi32(8)));
}
static inline void nibbles16(words w, const int b, sixteen *low, sixteen *high) {
  *low = (sixteen){nibble8(w.a, 8 * b), nibble8(w.b, 8 * b)};
  *high = (sixteen){nibble8(w.a, 8 * b + 4), nibble8(w.b, 8 * b + 4)};
}
#include "device/cpu/quant/weight_dot_body.h"
#else
typedef int hn_weight_dot_avx2_absent;
#endif
