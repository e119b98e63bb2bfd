/* int8_tile_amx__avx512vnni.c - the micro-kernels for AVX-512 VNNI with products by AMX. */
#include "device/cpu/quant/int8_tile.h"
#ifdef __AVX512VNNI__
#define TILE hn_int8_tile_amx
#define TILES
#include "device/cpu/quant/int8_lanes_avx512.h"
#include "device/cpu/quant/int8_tile_body.h"
#else
typedef int hn_int8_tile_amx_absent;
#endif
