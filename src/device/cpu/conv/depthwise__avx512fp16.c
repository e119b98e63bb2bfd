/* depthwise__avx512fp16.c - depthwise convolution of half floats, multiplied and summed as such. */
#ifdef __AVX512FP16__
#include <immintrin.h>
#define DEPTHWISE hn_depthwise_avx512fp16
__extension__ typedef _Float16 half;
#define ELEMENT half
#define BYTES 64
#define LINES 2
#define VMAX(a, b) ((vec)_mm512_max_ph((a), (b)))
#define VMIN(a, b) ((vec)_mm512_min_ph((a), (b)))
#include "device/cpu/conv/depthwise_body.h"
#else
typedef int hn_depthwise_avx512fp16_absent;
#endif
