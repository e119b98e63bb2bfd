/* int8_tile__avx2.c - the micro-kernel for AVX2: 6 x 16. */
#include "device/cpu/quant/int8_tile.h"
#ifdef __AVX2__
#include <immintrin.h>
#define TILE hn_int8_tile_avx2
#define ROWS 6
#define VECS 2
#define LANES 8
#define VECTOR __m256i

static inline __m256i pairs_of(__m256i sum, int32_t two, const int8_t *w) {
  __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)w));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_set1_epi32(two), wide));
}
#define PAIRS pairs_of
#include "device/cpu/quant/int8_tile_body.h"
#else
typedef int hn_int8_tile_avx2_absent;
#endif
