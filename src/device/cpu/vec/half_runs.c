#include "device/cpu/vec/half_runs.h"

#include "base/isa.h"

const hn_half_runs *hn_half_runs_best(hone_dtype t) {
#if defined(__x86_64__)
  if (t == HONE_DTYPE_F16 && hn_isa_has(HN_EXTRA_FP16)) return &hn_half_runs_avx512fp16;
  if (t == HONE_DTYPE_BF16 && hn_isa_has(HN_EXTRA_BF16)) return &hn_half_runs_avx512bf16;
#endif
  (void)t;
  return NULL;
}
