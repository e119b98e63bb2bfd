/* winograd__avx2.c - the transforms of Winograd's convolution for AVX2. */
#ifdef __AVX2__
#include <immintrin.h>
#define ISA _avx2
#define BYTES 32
#include "device/cpu/conv/winograd_sizes.h"
#else
typedef int hn_winograd_avx2_absent;
#endif
