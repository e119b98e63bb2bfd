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

const float hn_vec_ulps[HN_OP_COUNT] = {
    [HN_Atan] = 3,      [HN_Cos] = 2,         [HN_Sin] = 2,
    [HN_Elu] = 4,       [HN_Erf] = 7,         [HN_Exp] = 1.25f,         [HN_Gelu] = 4,       [HN_HardSwish] = 1.5f,
    [HN_Log] = 1,       [HN_Mish] = 64,       [HN_Reciprocal] = 0.75f,  [HN_Sigmoid] = 2.5f, [HN_Softplus] = 2.75f,
    [HN_Softsign] = 2,  [HN_Sqrt] = 0.75f,    [HN_Swish] = 6,           [HN_Tanh] = 1.5f,
};
