/* winograd__avx512.c - the transforms of Winograd's convolution for AVX-512. */
#ifdef __AVX512F__
#include <immintrin.h>
#define ISA _avx512
#define BYTES 64
#include "device/cpu/conv/winograd_sizes.h"
#else
typedef int hn_winograd_avx512_absent;
#endif
