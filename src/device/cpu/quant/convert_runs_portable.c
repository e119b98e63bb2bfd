#include "device/cpu/quant/convert_runs.h"

#define CONVERT hn_convert_portable
#include "device/cpu/quant/convert_runs_body.h"

const hn_convert *hn_convert_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return &hn_convert_avx512;
  if (isa == HN_ISA_AVX2) return &hn_convert_avx2;
#endif
  (void)isa;
  return &hn_convert_portable;
}
