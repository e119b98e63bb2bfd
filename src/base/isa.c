#include "base/isa.h"

hn_isa hn_isa_best(void) {
#if defined(__x86_64__) || defined(__i386__)
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); /* whatever has these has F16C */
  bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return avx2 && avx512 ? HN_ISA_AVX512 : avx2 ? HN_ISA_AVX2 : HN_ISA_PORTABLE;
#else
  return HN_ISA_PORTABLE;
#endif
}

const char *hn_isa_name(hn_isa isa) {
  static const char *const names[HN_ISA_COUNT] = {"portable", "avx2", "avx512"};
  return (unsigned)isa < HN_ISA_COUNT ? names[isa] : "?";
}
