/* numbers.h - elements of the emulated libraries' tensors as floats. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cuda_bf16.h"
#include "cuda_fp16.h"

enum class number { F32, F16, BF16, I8, U8, I32 };

static inline float load(number t, const void *p, int64_t i) {
  if (t == number::F16) return __half2float(static_cast<const __half *>(p)[i]);
  if (t == number::BF16) return __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
  if (t == number::I8) return static_cast<const int8_t *>(p)[i];
  if (t == number::U8) return static_cast<const uint8_t *>(p)[i];
  if (t == number::I32) return static_cast<float>(static_cast<const int32_t *>(p)[i]);
  return static_cast<const float *>(p)[i];
}
static inline void store(number t, void *p, int64_t i, float v) {
  if (t == number::F16) static_cast<__half *>(p)[i] = __float2half_rn(v);
  else if (t == number::BF16) static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(v);
  else if (t == number::I32) static_cast<int32_t *>(p)[i] = static_cast<int32_t>(lrintf(v)); /* sums; nothing else is written as integers */
  else static_cast<float *>(p)[i] = v;
}
static inline float rounded(float v) { /* to TF32 */
  uint32_t u;
  memcpy(&u, &v, 4);
  u = (u + 0x1000u) & ~0x1fffu;
  memcpy(&v, &u, 4);
  return v;
}
