/* tile__avx512.c - the micro-kernel for AVX-512: 14 x 32. */
#ifdef __AVX512F__
#include <immintrin.h>
#define TILE hn_tile_avx512
#define BYTES 64
#define ROWS 14
#define VECS 2
#define VMAX(a, b) ((vec)_mm512_max_ps((a), (b)))
#define VMIN(a, b) ((vec)_mm512_min_ps((a), (b)))
#define FMA(sum, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#include "device/cpu/gemm/tile_body.h"
#else
typedef int hn_tile_avx512_absent;
#endif
