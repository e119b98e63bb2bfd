/* int8_tile_portable.c - the micro-kernel for any processor, and the choice among the sets. */
#include "device/cpu/quant/int8_tile.h"

#define TILE hn_int8_tile_portable
#define ROWS 4
#define VECS 2
#define LANES 4
typedef struct four {
  int32_t v[4];
} four;
#define VECTOR four

static inline four pairs_of(four sum, int32_t two, const int8_t *w) {
  int16_t x[2];
  __builtin_memcpy(x, &two, sizeof x);
  for (int i = 0; i < 4; i++) sum.v[i] += x[0] * w[2 * i] + x[1] * w[2 * i + 1];
  return sum;
}
#define PAIRS pairs_of
#include "device/cpu/quant/int8_tile_body.h"

const hn_int8_tile *hn_int8_tile_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return &hn_int8_tile_avx512;
  if (isa == HN_ISA_AVX2) return &hn_int8_tile_avx2;
#endif
  (void)isa;
  return &hn_int8_tile_portable;
}
