/* depthwise__avx512.c - depthwise convolution for AVX-512. */
#ifdef __AVX512F__
#include <immintrin.h>
#define DEPTHWISE hn_depthwise_avx512
#define BYTES 64
#define LINES 2
#define VMAX(a, b) ((vec)_mm512_max_ps((a), (b)))
#define VMIN(a, b) ((vec)_mm512_min_ps((a), (b)))
#include "device/cpu/conv/depthwise_body.h"
#else
typedef int hn_depthwise_avx512_absent;
#endif
