/* cuda_fp16.h - half precision as storage: conversions, no arithmetic. */
#ifndef HN_EMULATED_CUDA_FP16_H
#define HN_EMULATED_CUDA_FP16_H
#include "cuda_runtime.h"

#ifdef __cplusplus
struct __half { uint16_t bits; };
struct alignas(4) __half2 { __half x, y; };
static inline float __half2float(__half h) {
  unsigned sign = (unsigned)(h.bits & 0x8000) << 16, e = h.bits >> 10 & 31, m = h.bits & 1023;
  if (e == 31) return __uint_as_float(sign | 0x7f800000 | m << 13);
  if (e == 0) return __uint_as_float(sign | __float_as_uint(ldexpf((float)m, -24)));
  return __uint_as_float(sign | (e + 112) << 23 | m << 13);
}
static inline __half __float2half_rn(float v) {
  unsigned u = __float_as_uint(v), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
  if (a > 0x7f800000) return {(uint16_t)(sign | 0x7fff)};
  if (a >= 0x477ff000) return {(uint16_t)(sign | 0x7c00)};                              /* rounds to 65536 */
  if (a < 0x38800000) return {(uint16_t)(sign | (unsigned)rintf(fabsf(v) * 16777216.0f))}; /* subnormal */
  return {(uint16_t)(sign | (((a + 0xfff + (a >> 13 & 1)) >> 13) - (112u << 10)))};
}
static inline __half __float2half(float v) { return __float2half_rn(v); }
#endif
#endif
