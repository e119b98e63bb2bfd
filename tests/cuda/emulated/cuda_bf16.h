/* cuda_bf16.h - bfloat16 as storage: conversions, no arithmetic. */
#ifndef HN_EMULATED_CUDA_BF16_H
#define HN_EMULATED_CUDA_BF16_H
#include "cuda_runtime.h"

#ifdef __cplusplus
struct __nv_bfloat16 { uint16_t bits; };
struct alignas(4) __nv_bfloat162 { __nv_bfloat16 x, y; };
static inline float __bfloat162float(__nv_bfloat16 h) { return __uint_as_float((unsigned)h.bits << 16); }
static inline __nv_bfloat16 __float2bfloat16_rn(float v) {
  unsigned b = __float_as_uint(v);
  if (v != v) return {(uint16_t)(b >> 16 | 0x40)};
  return {(uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16)};
}
static inline __nv_bfloat16 __float2bfloat16(float v) { return __float2bfloat16_rn(v); }
#endif
#endif
