/* weight_dot_portable.c - sums with small weights for any processor, and the choice among the sets. */
#include "device/cpu/quant/weight_dot.h"

#define DOT hn_weight_dot_portable
typedef struct sixteen {
  float v[16];
} sixteen;
#define SIXTEEN sixteen
#define EACH(expr)                           \
  sixteen r;                                 \
  for (int i = 0; i < 16; i++) r.v[i] = expr; \
  return r
static inline sixteen all16(float v) { EACH(v); }
static inline sixteen load16(const float *x) { EACH(x[i]); }
static inline sixteen mul16(sixteen x, sixteen y) { EACH(x.v[i] * y.v[i]); }
static inline sixteen fma16(sixteen x, sixteen y, sixteen z) { EACH(x.v[i] * y.v[i] + z.v[i]); }
static inline sixteen widen16(const int8_t *w) { EACH((float)w[i]); }
static inline float sum16(sixteen x) {
  float s = 0;
  for (int i = 0; i < 16; i++) s += x.v[i];
  return s;
}
#define WORDS const uint8_t *
static inline const uint8_t *load_words(const uint8_t *w) { return w; }
static inline void nibbles16(const uint8_t *w, const int b, sixteen *low, sixteen *high) {
  for (int i = 0; i < 16; i++) {
    low->v[i] = (float)((w[4 * i + b] & 15) - 8);
    high->v[i] = (float)((w[4 * i + b] >> 4) - 8);
  }
}
#include "device/cpu/quant/weight_dot_body.h"

const hn_weight_dot *hn_weight_dot_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return &hn_weight_dot_avx512;
  if (isa == HN_ISA_AVX2) return &hn_weight_dot_avx2;
#endif
  (void)isa;
  return &hn_weight_dot_portable;
}
