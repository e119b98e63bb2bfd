/* tile__avx2.c - the micro-kernel for AVX2 and FMA: 6 x 16. */
#ifdef __AVX2__
#include <immintrin.h>
#define TILE hn_tile_avx2
#define BYTES 32
#define ROWS 6
#define VECS 2
#define VMAX(a, b) ((vec)_mm256_max_ps((a), (b)))
#define VMIN(a, b) ((vec)_mm256_min_ps((a), (b)))
#define FMA(sum, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#include "device/cpu/gemm/tile_body.h"
#else
typedef int hn_tile_avx2_absent;
#endif
