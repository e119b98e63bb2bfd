#include "base/isa.h"

#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

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

hn_bytes hn_bytes_best(hn_isa isa) {
#if defined(__x86_64__) || defined(__i386__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  bool avx_vnni = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1U << 4);
  if (isa == HN_ISA_AVX512 && __builtin_cpu_supports("avx512vnni")) return HN_BYTES_VNNI;
  if (isa == HN_ISA_AVX2 && avx_vnni) return HN_BYTES_VNNI;
#endif
  (void)isa;
  return HN_BYTES_PLAIN;
}

const char *hn_bytes_name(hn_isa isa, hn_bytes b) {
  static const char *const names[HN_ISA_COUNT] = {"", "avx-vnni", "avx512-vnni"};
  return b == HN_BYTES_VNNI && (unsigned)isa < HN_ISA_COUNT ? names[isa] : hn_isa_name(isa);
}

bool hn_isa_has_bf16(void) { return hn_isa_best() == HN_ISA_AVX512; }

const char *hn_isa_name(hn_isa isa) {
  static const char *const names[HN_ISA_COUNT] = {"portable", "avx2", "avx512"};
  return (unsigned)isa < HN_ISA_COUNT ? names[isa] : "?";
}

void hn_cpu_name(char name[HN_CPU_NAME]) {
  memset(name, 0, HN_CPU_NAME);
#if defined(__x86_64__) || defined(__i386__)
  unsigned words[12] = {0};
  for (unsigned i = 0; i < 3; i++)
    if (!__get_cpuid(0x80000002U + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3])) break;
  memcpy(name, words, sizeof words);
  for (size_t n = strlen(name); n && name[n - 1] == ' '; n--) name[n - 1] = 0; /* padded by some */
#endif
  if (!name[0]) strcpy(name, "unknown processor");
}
