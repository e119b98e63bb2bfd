#include "device/cpu/quant/half_tile.h"

#include "base/isa.h"

const hn_half_tile *hn_half_tile_best(void) {
#if defined(__x86_64__)
  if (hn_isa_has(HN_EXTRA_FP16)) return &hn_half_tile_avx512fp16;
#endif
  return NULL;
}

const hn_half_tile *hn_bf16_tile_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512 && hn_isa_has(HN_EXTRA_AMX_BF16) && hn_isa_has(HN_EXTRA_BF16) && hn_amx_permit()) return &hn_bf16_tile_amx;
#endif
  (void)isa;
  return NULL;
}
