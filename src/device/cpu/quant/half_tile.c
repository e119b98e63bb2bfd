#include "device/cpu/quant/half_tile.h"

#include "base/isa.h"

const hn_half_tile *hn_half_tile_best(void) {
#if defined(__x86_64__)
  if (hn_isa_has(HN_EXTRA_FP16)) return &hn_half_tile_avx512fp16;
#endif
  return NULL;
}
