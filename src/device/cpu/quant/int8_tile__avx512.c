/* int8_tile__avx512.c - the micro-kernel for AVX-512 BW: 12 x 32. */
#include "device/cpu/quant/int8_tile.h"
#ifdef __AVX512BW__
#include <immintrin.h>
#define TILE hn_int8_tile_avx512
#define ROWS 12
#define VECS 2
#define LANES 16
#define VECTOR __m512i

static inline __m512i pairs_of(__m512i sum, int32_t two, const int8_t *w) {
  __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)w));
  return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_set1_epi32(two), wide));
}
#define PAIRS pairs_of
#include "device/cpu/quant/int8_tile_body.h"
#else
typedef int hn_int8_tile_avx512_absent;
#endif
