/* depthwise__avx2.c - depthwise convolution for AVX2. */
#ifdef __AVX2__
#include <immintrin.h>
#define DEPTHWISE hn_depthwise_avx2
#define BYTES 32
#define LINES 1
#define VMAX(a, b) ((vec)_mm256_max_ps((a), (b)))
#define VMIN(a, b) ((vec)_mm256_min_ps((a), (b)))
#include "device/cpu/conv/depthwise_body.h"
#else
typedef int hn_depthwise_avx2_absent;
#endif
