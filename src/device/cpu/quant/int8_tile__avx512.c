/* int8_tile__avx512.c - the micro-kernels for AVX-512 BW. */
#include "device/cpu/quant/int8_tile.h"
#ifdef __AVX512BW__
#define TILE hn_int8_tile_avx512
#include "device/cpu/quant/int8_lanes_avx512.h"
#include "device/cpu/quant/int8_tile_body.h"
#else
typedef int hn_int8_tile_avx512_absent;
#endif
