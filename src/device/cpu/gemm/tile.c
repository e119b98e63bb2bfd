#include "device/cpu/gemm/tile.h"

#include <string.h>

const hn_tile *hn_tile_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return &hn_tile_avx512;
  if (isa == HN_ISA_AVX2) return &hn_tile_avx2;
#endif
  (void)isa;
  return &hn_tile_portable;
}

hn_tile_cut hn_tile_cut_rows(const hn_tile *t, int64_t rows) {
  enum { LEAST = 6 }; /* what fewer rows cost, in rows */
  int64_t rest = rows % t->rows, tiles = (rows + t->rows - 1) / t->rows;
  int64_t whole = rows - rest + (rest && rest < LEAST ? LEAST : rest), even = rows % tiles ? rows + rows / 18 : rows;
  return (hn_tile_cut){rows, tiles, whole <= even ? t->rows : 0};
}

void hn_tile_pack(const hn_tile *t, int64_t rows, int64_t from, int64_t k, int64_t n, const float *b, int64_t step_k,
                  int64_t step_n, float *packed) {
  int64_t cols = t->cols;
  for (int64_t col = 0; col < n; col += cols) {
    const float *at = b + col * step_n;
    float *to = packed + (col * rows) + from * cols;
    int64_t used = n - col < cols ? n - col : cols;
    if (used < cols) memset(to, 0, sizeof *to * (size_t)(k * cols));
    if (step_n == 1) {
      for (int64_t i = 0; i < k; i++) memcpy(to + i * cols, at + i * step_k, sizeof *to * (size_t)used);
    } else {
      for (int64_t j = 0; j < used; j += 4) /* a few columns at a time: each cache line of either side is used whole */
        for (int64_t i = 0, end = j + 4 < used ? j + 4 : used; i < k; i++)
          for (int64_t c = j; c < end; c++) to[i * cols + c] = at[i * step_k + c * step_n];
    }
  }
}
