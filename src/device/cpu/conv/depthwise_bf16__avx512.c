/* depthwise_bf16__avx512.c - see depthwise_bf16.h; rounded by integers. */
#ifdef __AVX512F__
#define DEPTHWISE hn_depthwise_bf16_avx512
#include "device/cpu/conv/depthwise_bf16.h"
#else
typedef int hn_depthwise_bf16_avx512_absent;
#endif
