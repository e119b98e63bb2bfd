/* int8_tile__avx512vnni.c - the micro-kernels for AVX-512 VNNI. */
#include "device/cpu/quant/int8_tile.h"
#ifdef __AVX512VNNI__
#define TILE hn_int8_tile_avx512vnni
#include "device/cpu/quant/int8_lanes_avx512.h"
#include "device/cpu/quant/int8_tile_body.h"
#else
typedef int hn_int8_tile_avx512vnni_absent;
#endif
