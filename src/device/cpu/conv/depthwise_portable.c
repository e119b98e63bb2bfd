/* depthwise_portable.c - depthwise convolution for any processor. */
typedef float vec4 __attribute__((vector_size(16)));
static inline vec4 larger(vec4 a, vec4 b) {
  for (int i = 0; i < 4; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
  return b;
}
static inline vec4 smaller(vec4 a, vec4 b) {
  for (int i = 0; i < 4; i++) b[i] = a[i] < b[i] ? a[i] : b[i];
  return b;
}
#define DEPTHWISE hn_depthwise_portable
#define BYTES 16
#define LINES 1
#define VMAX(a, b) larger(a, b)
#define VMIN(a, b) smaller(a, b)
#include "device/cpu/conv/depthwise_body.h"

const hn_depthwise *hn_depthwise_for(hn_isa isa, hone_dtype t, bool brain) {
#if defined(__x86_64__)
  if (t == HONE_DTYPE_F16) return &hn_depthwise_avx512fp16;
  if (isa == HN_ISA_AVX512 && t == HONE_DTYPE_BF16) return brain ? &hn_depthwise_bf16_avx512bf16 : &hn_depthwise_bf16_avx512;
  if (isa == HN_ISA_AVX512) return &hn_depthwise_avx512;
  if (isa == HN_ISA_AVX2 && t == HONE_DTYPE_F32) return &hn_depthwise_avx2;
#endif
  (void)isa, (void)brain;
  return t == HONE_DTYPE_F32 ? &hn_depthwise_portable : NULL;
}

hn_depthwise_fn hn_depthwise_of(const hn_depthwise *d, int64_t kernel, hn_depthwise_step step) {
  return kernel == 3 || kernel == 5 ? d->fn[kernel / 2 - 1][step] : NULL;
}
