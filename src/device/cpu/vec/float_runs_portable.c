/* float_runs_portable.c - arithmetic over runs of floats for any processor, and the choice among the sets. */
#define VEC hn_vec_portable
#include "device/cpu/vec/float_runs_body.h"

const hn_vec *hn_vec_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return &hn_vec_avx512;
  if (isa == HN_ISA_AVX2) return &hn_vec_avx2;
#endif
  (void)isa;
  return &hn_vec_portable;
}
