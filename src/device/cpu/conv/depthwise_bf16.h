/* depthwise_bf16.h - depthwise convolution of bfloat16, multiplied and summed in single precision; weights and bias are floats. For one
   instruction set: the file that includes it defines DEPTHWISE. */
#include "device/cpu/vec/bf16_lanes.h"
#define BYTES 64
#define LINES 2
#define STORED uint16_t
#define FROM_STORED(p) ((vec)bf16_widened(_mm256_loadu_si256((const __m256i *)(const void *)(p))))
#define TO_STORED(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), bf16_rounded(v))
#define TO_STORED2(p, q, v, w)                                                            \
  do {                                                                                    \
    const __m512i both = bf16_rounded2(v, w);                                             \
    _mm256_storeu_si256((__m256i *)(void *)(p), _mm512_castsi512_si256(both));            \
    _mm256_storeu_si256((__m256i *)(void *)(q), _mm512_extracti64x4_epi64(both, 1));      \
  } while (0)
static __attribute__((noinline)) void swish(__m512 *v, int n, float alpha) {
  for (int i = 0; i < n; i++) v[i] = bf16_logistic(v[i], _mm512_mul_ps(v[i], _mm512_set1_ps(alpha)));
}
#define SWISH(v, n, alpha) swish((__m512 *)(v), n, alpha)
#define VMAX(a, b) ((vec)_mm512_max_ps((a), (b)))
#define VMIN(a, b) ((vec)_mm512_min_ps((a), (b)))
#include "device/cpu/conv/depthwise_body.h"
