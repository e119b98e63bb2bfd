/* tile_body.h - the micro-kernel for one instruction set. The file that includes it defines TILE (the table's name),
   BYTES of a vector register, ROWS and VECS of the largest tile, and VMAX, VMIN (a, b), which give b if one is NaN.
   Loops over rows and vectors have constant bounds and are unrolled, so that the sums stay in registers. */
#include <string.h>

#include "device/cpu/gemm/tile.h"

typedef float vec __attribute__((vector_size(BYTES)));
typedef float vec_at __attribute__((vector_size(BYTES), aligned(4), may_alias)); /* in memory, anywhere */
enum { W = BYTES / 4, COLS = VECS * W };

#define UNROLL _Pragma("GCC unroll 16")
#define CONST_FN static inline __attribute__((always_inline))

CONST_FN vec load(const float *p) { return *(const vec_at *)p; }

CONST_FN void product(const int rows, const int vecs, const hn_tile_job *j, float *c, int64_t ldc, const float *start, int64_t ld_start) {
  const float *b = j->b, *row[(ROWS + 2) / 3];
  const int64_t lda = j->lda;
  vec sum[ROWS][VECS];
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int v = 0; v < vecs; v++) sum[r][v] = start ? load(start + r * ld_start + v * W) : (vec){0};
  UNROLL for (int r = 0; r < rows; r += 3) row[r / 3] = j->a + r * lda; /* three rows share an address register */
  for (int64_t i = 0; i < j->k; i++, b += COLS) {
    vec x[VECS];
    UNROLL for (int v = 0; v < vecs; v++) x[v] = load(b + v * W);
    UNROLL for (int r = 0; r < rows; r++) {
      float s = row[r / 3][(r % 3) * lda];
      UNROLL for (int v = 0; v < vecs; v++) sum[r][v] += s * x[v];
    }
    UNROLL for (int r = 0; r < rows; r += 3) row[r / 3]++;
  }
  const vec lo = j->lo - (vec){0}, hi = j->hi - (vec){0};
  UNROLL for (int v = 0; v < vecs; v++) {
    vec bias = j->bias ? load(j->bias + v * W) : (vec){0};
    UNROLL for (int r = 0; r < rows; r++) *(vec_at *)(c + r * ldc + v * W) = VMIN(hi, VMAX(lo, sum[r][v] + bias));
  }
}

/* A tile that ends within a vector is worked on in a copy. */
CONST_FN void tile(const int rows, const int vecs, const hn_tile_job *j, int cols) {
  float part[ROWS * COLS];
  if (cols == vecs * W) {
    product(rows, vecs, j, j->c, j->ldc, j->start, j->ld_start);
    return;
  }
  if (j->start) {
    memset(part, 0, sizeof part);
    for (int r = 0; r < rows; r++) memcpy(part + r * COLS, j->start + r * j->ld_start, sizeof *part * (size_t)cols);
  }
  product(rows, vecs, j, part, COLS, j->start ? part : NULL, COLS);
  for (int r = 0; r < rows; r++) memcpy(j->c + r * j->ldc, part + r * COLS, sizeof *part * (size_t)cols);
}

#define SIZE(R)                                                                   \
  static void tile_##R(const hn_tile_job *j, int cols) {                          \
    if (VECS > 1 && cols > W) tile(R <= ROWS ? R : ROWS, VECS, j, cols);          \
    else tile(R <= ROWS ? R : ROWS, 1, j, cols);                                  \
  }
SIZE(1) SIZE(2) SIZE(3) SIZE(4) SIZE(5) SIZE(6)
#if ROWS > 6
SIZE(7) SIZE(8) SIZE(9) SIZE(10) SIZE(11) SIZE(12) SIZE(13) SIZE(14)
#endif

static void mul(const hn_tile_job *j, int rows, int cols) {
  static void (*const of[])(const hn_tile_job *, int) = {
    NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6,
#if ROWS > 6
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14,
#endif
  };
  of[rows](j, cols);
}

const hn_tile TILE = {ROWS, COLS, mul};
