/* int8_tile__avx2.c - the micro-kernels for AVX2. */
#include "device/cpu/quant/int8_tile.h"
#ifdef __AVX2__
#define TILE hn_int8_tile_avx2
#include "device/cpu/quant/int8_lanes_avx2.h"
#include "device/cpu/quant/int8_tile_body.h"
#else
typedef int hn_int8_tile_avx2_absent;
#endif
