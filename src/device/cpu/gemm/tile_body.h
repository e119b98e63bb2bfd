/* tile_body.h - the micro-kernel for one instruction set. The file that includes it defines TILE (the table's name),
   BYTES of a vector register, ROWS and VECS of the largest tile, VMAX, VMIN (a, b), which give b if one is NaN, and
   FMA(sum, a, b): the instruction that adds to its first operand, so that compilers, free to choose another form, do not
   copy and spill the sums. Loops over rows and vectors have constant bounds and are unrolled. */
#include <math.h>
#include <string.h>

#include "device/cpu/gemm/tile.h"

typedef float vec __attribute__((vector_size(BYTES)));
typedef float vec_at __attribute__((vector_size(BYTES), aligned(4), may_alias)); /* in memory, anywhere */
enum { W = BYTES / 4, COLS = VECS * W };

#define UNROLL _Pragma("GCC unroll 16")
#define CONST_FN static inline __attribute__((always_inline))

CONST_FN vec load(const float *p) { return *(const vec_at *)p; }

/* The first few numbers of a vector. */
#if BYTES == 64
typedef __mmask16 mask;
CONST_FN mask mask_of(int n) { return (mask)((1U << n) - 1); }
CONST_FN vec load_part(const float *p, mask m) { return (vec)_mm512_maskz_loadu_ps(m, p); }
CONST_FN void store_part(float *p, mask m, vec v) { _mm512_mask_storeu_ps(p, m, (__m512)v); }
#elif BYTES == 32
typedef __m256i mask;
CONST_FN mask mask_of(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
CONST_FN vec load_part(const float *p, mask m) { return (vec)_mm256_maskload_ps(p, m); }
CONST_FN void store_part(float *p, mask m, vec v) { _mm256_maskstore_ps(p, m, (__m256)v); }
#else
typedef size_t mask;
CONST_FN mask mask_of(int n) { return (size_t)n; }
CONST_FN vec load_part(const float *p, mask m) {
  vec v = {0};
  memcpy(&v, p, m * sizeof *p);
  return v;
}
CONST_FN void store_part(float *p, mask m, vec v) { memcpy(p, &v, m * sizeof *p); }
#endif

/* One step along k: `at` numbers behind the row pointers, three rows to a pointer. */
CONST_FN void step(const int rows, const int vecs, vec sum[ROWS][VECS], const float *const *row, int64_t lda, const float *b,
                   const int at) {
  vec x[VECS];
  UNROLL for (int v = 0; v < vecs; v++) x[v] = load(b + at * COLS + v * W);
  UNROLL for (int r = 0; r < rows; r++) {
    vec a = row[r / 3][(r % 3) * lda + at] - (vec){0};
    UNROLL for (int v = 0; v < vecs; v++) FMA(sum[r][v], a, x[v]);
  }
}

/* Four steps share the arithmetic on addresses, which would take turns of the ports that multiply. The last vector of the
   result has `tail` numbers. */
CONST_FN void product(const int rows, const int vecs, const hn_tile_job *j, int tail) {
  const float *b = j->b, *row[(ROWS + 2) / 3];
  const char *next = j->next ? j->next : (const char *)b;
  const int64_t lda = j->lda, next_step = j->next ? j->next_step : 0, pieces = j->n_offsets ? j->n_offsets : 1;
  const mask last = mask_of(tail);
  vec sum[ROWS][VECS];
  UNROLL for (int v = 0; v < vecs; v++) {
    vec bias = j->bias ? load(j->bias + v * W) : (vec){0};
    UNROLL for (int r = 0; r < rows; r++) sum[r][v] = bias;
  }
  if (j->start) {
    UNROLL for (int v = 0; v < vecs; v++)
      UNROLL for (int r = 0; r < rows; r++) {
        const float *p = j->start + r * j->ld_start + v * W;
        sum[r][v] += v + 1 < vecs ? load(p) : load_part(p, last);
      }
  } else if (j->k * pieces > 512) {
    UNROLL for (int v = 0; v < vecs; v++)
      UNROLL for (int r = 0; r < rows; r++) __builtin_prefetch(j->c + r * j->ldc + v * W, 1);
  }
  for (int64_t piece = 0; piece < pieces; piece++) {
    const float *a = j->n_offsets ? j->a + j->offsets[piece] : j->a;
    int64_t i = 0;
    UNROLL for (int r = 0; r < rows; r += 3) row[r / 3] = a + r * lda;
    for (; i + 4 <= j->k; i += 4, b += 4 * COLS) {
      UNROLL for (int u = 0; u < 4; u++) {
        step(rows, vecs, sum, row, lda, b, u);
        __builtin_prefetch(next + 64 * u, 0, 2);
      }
      UNROLL for (int r = 0; r < rows; r += 3) row[r / 3] += 4;
      next += next_step;
    }
    for (; i < j->k; i++, b += COLS) {
      step(rows, vecs, sum, row, lda, b, 0);
      UNROLL for (int r = 0; r < rows; r += 3) row[r / 3]++;
    }
  }
  const vec lo = j->lo - (vec){0}, hi = j->hi - (vec){0};
  if (j->lo > -INFINITY) { /* of few steps the bounds are a notable part */
    UNROLL for (int v = 0; v < vecs; v++)
      UNROLL for (int r = 0; r < rows; r++) sum[r][v] = VMAX(lo, sum[r][v]);
  }
  if (j->hi < INFINITY) {
    UNROLL for (int v = 0; v < vecs; v++)
      UNROLL for (int r = 0; r < rows; r++) sum[r][v] = VMIN(hi, sum[r][v]);
  }
  UNROLL for (int v = 0; v < vecs; v++)
    UNROLL for (int r = 0; r < rows; r++) {
      float *p = j->c + r * j->ldc + v * W;
      if (v + 1 < vecs) *(vec_at *)p = sum[r][v];
      else store_part(p, last, sum[r][v]);
    }
}

#define SIZE(R)                                                                   \
  static void tile_##R(const hn_tile_job *j, int cols) {                          \
    if (VECS > 1 && cols > W) product(R <= ROWS ? R : ROWS, VECS, j, cols - W);   \
    else product(R <= ROWS ? R : ROWS, 1, j, cols);                               \
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
