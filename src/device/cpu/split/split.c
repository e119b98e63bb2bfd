#include "device/cpu/split/split.h"

#include "base/alloc.h"

const hn_split *hn_split_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512 && hn_isa_has(HN_EXTRA_AMX_BF16) && hn_amx_permit()) return &hn_split_avx512;
#endif
  (void)isa;
  return NULL;
}

enum { ROWS = 16, DRAWN = 8, STEP = ROWS * HN_SPLIT_CELL }; /* cells of random numbers, taken again and again along k */

hone_status hn_split_error(hone_context *cx, const hn_split *s, int64_t cells, const float *packed, double *error) {
  _Alignas(64) uint16_t parts[DRAWN * STEP];
  _Alignas(64) float sums[HN_SPLIT_ROWS * HN_SPLIT_COLS];
  float x[ROWS][DRAWN * HN_SPLIT_DEPTH];
  double want[ROWS][HN_SPLIT_COLS] = {{0}}, most = 0, off = 0;
  uint32_t seed = 12345;
  int64_t *offsets = hn_calloc((size_t)cells, sizeof *offsets);
  uint16_t *b = hn_malloc_aligned(sizeof *b * (size_t)(cells * HN_SPLIT_PARTS * HN_SPLIT_PART));
  if (!offsets || !b) {
    hn_free(offsets);
    hn_free_aligned(b);
    return hn_nomem(cx);
  }
  for (int r = 0; r < ROWS; r++) {
    for (int i = 0; i < DRAWN * HN_SPLIT_DEPTH; i++)
      x[r][i] = (float)((seed = seed * 1664525 + 1013904223) >> 8) / 8388608.0F - 1;
    s->cut(x[r], 0, 1, DRAWN * HN_SPLIT_DEPTH, parts + r * HN_SPLIT_CELL, STEP);
  }
  for (int64_t i = 0; i < cells; i++) {
    offsets[i] = i % DRAWN * STEP;
    for (int k = 0; k < HN_SPLIT_DEPTH; k++) {
      const float *w = packed + i * HN_SPLIT_PART;
      for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < HN_SPLIT_COLS; c++)
          want[r][c] += (double)x[r][i % DRAWN * HN_SPLIT_DEPTH + k] * (double)w[hn_split_float_at(k, c)];
    }
  }
  s->cut_panel(packed, 0, cells * HN_SPLIT_LINES, b);
  s->begin();
  s->mul(&(hn_split_job){.cells = cells, .a = parts, .offsets = offsets, .b = b, .sums = sums}, true, false);
  s->end();
  for (int i = 0; i < ROWS * HN_SPLIT_COLS; i++) {
    double v = want[i / HN_SPLIT_COLS][i % HN_SPLIT_COLS];
    most = fmax(most, fabs(v));
    off = fmax(off, fabs((double)sums[i] - v));
  }
  hn_free(offsets);
  hn_free_aligned(b);
  *error = most > 0 ? off / most : 0;
  return HONE_OK;
}
