#include "device/cpu/vec/half_runs.h"

#include "base/isa.h"

const hn_half_runs *hn_half_runs_best(void) {
#if defined(__x86_64__)
  if (hn_isa_has(HN_EXTRA_FP16)) return &hn_half_runs_avx512fp16;
#endif
  return NULL;
}
