#include "base/isa.h"

#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
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
  if (isa == HN_ISA_AVX512 && __builtin_cpu_supports("avx512vnni"))
    return hn_isa_has(HN_EXTRA_AMX_INT8) && hn_amx_permit() ? HN_BYTES_TILES : HN_BYTES_VNNI;
  if (isa == HN_ISA_AVX2 && avx_vnni) return HN_BYTES_VNNI;
#endif
  (void)isa;
  return HN_BYTES_PLAIN;
}

/* arch_prctl's codes, and the part of a processor's state that AMX's tiles are (Documentation/arch/x86/xstate.rst). */
enum { XCOMP_SUPPORTED = 0x1021, XCOMP_REQUEST = 0x1023, TILE_DATA = 18 };

static bool tiles_supported(void) {
#if defined(__linux__) && defined(__x86_64__)
  unsigned long long features = 0;
  return syscall(SYS_arch_prctl, XCOMP_SUPPORTED, &features) == 0 && (features & 1ULL << TILE_DATA);
#else
  return false;
#endif
}

bool hn_amx_permit(void) {
#if defined(__linux__) && defined(__x86_64__)
  return syscall(SYS_arch_prctl, XCOMP_REQUEST, TILE_DATA) == 0;
#else
  return false;
#endif
}

bool hn_isa_has(hn_extra e) {
#if defined(__x86_64__) || defined(__i386__)
  unsigned a = 0, b = 0, c = 0, d = 0, a1 = 0, b1 = 0, c1 = 0, d1 = 0;
  bool wide = hn_isa_best() == HN_ISA_AVX512;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1)) return false;
  bool tiles = wide && (d & 1U << 24);
  switch (e) {
    case HN_EXTRA_VNNI: return hn_bytes_best(hn_isa_best()) >= HN_BYTES_VNNI;
    case HN_EXTRA_BF16: return wide && (a1 & 1U << 5);
    case HN_EXTRA_FP16: return wide && (d & 1U << 23);
    case HN_EXTRA_AMX_BF16: return tiles && (d & 1U << 22) && tiles_supported();
    case HN_EXTRA_AMX_INT8: return tiles && (d & 1U << 25) && tiles_supported();
    case HN_EXTRA_COUNT: break;
  }
#endif
  (void)e;
  return false;
}

const char *hn_extra_name(hn_extra e) {
  static const char *const names[HN_EXTRA_COUNT] = {"vnni", "bf16", "fp16", "amx-bf16", "amx-int8"};
  return (unsigned)e < HN_EXTRA_COUNT ? names[e] : "?";
}

const char *hn_bytes_name(hn_isa isa, hn_bytes b) {
  static const char *const names[HN_ISA_COUNT] = {"", "avx-vnni", "avx512-vnni"};
  if (b == HN_BYTES_TILES) return "amx-int8";
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
