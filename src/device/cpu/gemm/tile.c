#include "device/cpu/gemm/tile.h"

const hn_tile *hn_tile_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return &hn_tile_avx512;
  if (isa == HN_ISA_AVX2) return &hn_tile_avx2;
#endif
  (void)isa;
  return &hn_tile_portable;
}

void hn_tile_pack(const hn_tile *t, int64_t rows, int64_t from, int64_t k, int64_t n, const float *b, int64_t step_k,
                  int64_t step_n, float *packed) {
  for (int64_t col = 0; col < n; col += t->cols) {
    float *to = packed + (col * rows) + from * t->cols;
    for (int64_t i = 0; i < k; i++)
      for (int64_t j = col; j < col + t->cols; j++) *to++ = j < n ? b[i * step_k + j * step_n] : 0;
  }
}
