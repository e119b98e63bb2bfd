/* int8_tile__avxvnni.c - the micro-kernels for AVX-VNNI. */
#include "device/cpu/quant/int8_tile.h"
#ifdef __AVXVNNI__
#define TILE hn_int8_tile_avxvnni
#include "device/cpu/quant/int8_lanes_avx2.h"
#include "device/cpu/quant/int8_tile_body.h"
#else
typedef int hn_int8_tile_avxvnni_absent;
#endif
