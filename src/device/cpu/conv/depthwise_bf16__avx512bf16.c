/* depthwise_bf16__avx512bf16.c - see depthwise_bf16.h; rounded by the instructions for it. */
#ifdef __AVX512BF16__
#define DEPTHWISE hn_depthwise_bf16_avx512bf16
#include "device/cpu/conv/depthwise_bf16.h"
#else
typedef int hn_depthwise_bf16_avx512bf16_absent;
#endif
