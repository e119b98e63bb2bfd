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
#define VMAX(a, b) larger(a, b)
#define VMIN(a, b) smaller(a, b)
#include "device/cpu/conv/depthwise_body.h"

hn_depthwise_fn hn_depthwise_for(hn_isa isa, bool half, int64_t kernel, int64_t stride, int64_t *least) {
  const hn_depthwise *t = &hn_depthwise_portable;
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) t = &hn_depthwise_avx512;
  if (isa == HN_ISA_AVX2) t = &hn_depthwise_avx2;
  if (half) t = &hn_depthwise_avx512fp16;
#endif
  (void)isa;
  (void)half;
  *least = t->least;
  if ((kernel != 3 && kernel != 5) || (stride != 1 && stride != 2)) return NULL;
  return t->fn[kernel / 2 - 1][stride - 1];
}
