/* int8_tile_body.h - the body of int8_tile.h's functions. Included by one file per instruction set, which defines TILE, the
   name of the table, ROWS, VECS, the type VECTOR of LANES 32-bit sums, and PAIRS(sum, two activations, weights). */
#define COLS (VECS * LANES)

static inline __attribute__((always_inline)) void mul_rows(const int16_t *a, int64_t lda, const int8_t *b, int64_t pairs, int32_t *c, int rows) {
  VECTOR sum[ROWS][VECS] ; __builtin_memset(sum, 0, sizeof sum);
  for (int64_t k = 0; k < pairs; k++, b += 2 * COLS) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
      int32_t two;
      __builtin_memcpy(&two, a + r * lda + 2 * k, sizeof two);
#pragma GCC unroll 4
      for (int v = 0; v < VECS; v++) sum[r][v] = PAIRS(sum[r][v], two, b + 2 * LANES * v);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < VECS; v++) __builtin_memcpy(c + r * COLS + v * LANES, &sum[r][v], sizeof sum[r][v]);
}

static void mul(const int16_t *a, int64_t lda, const int8_t *b, int64_t pairs, int32_t *c, int rows) {
  if (rows == ROWS) mul_rows(a, lda, b, pairs, c, ROWS);
  else
    for (int r = 0; r < rows; r++) mul_rows(a + r * lda, lda, b, pairs, c + r * COLS, 1);
}

static void add_products(int32_t *restrict sum, const void *restrict from, int is_signed, int32_t zero, const int8_t *restrict w, int64_t n) {
  const uint8_t *u = from;
  const int8_t *s = from;
  if (is_signed)
    for (int64_t i = 0; i < n; i++) sum[i] += (s[i] - zero) * w[i];
  else
    for (int64_t i = 0; i < n; i++) sum[i] += (u[i] - zero) * w[i];
}

static void less_zero(int16_t *restrict d, const void *restrict from, int is_signed, int32_t zero, int64_t n) {
  const uint8_t *u = from;
  const int8_t *s = from;
  if (is_signed)
    for (int64_t i = 0; i < n; i++) d[i] = (int16_t)(s[i] - zero);
  else
    for (int64_t i = 0; i < n; i++) d[i] = (int16_t)(u[i] - zero);
}

const hn_int8_tile TILE = {.rows = ROWS, .cols = COLS, .mul = mul, .add_products = add_products, .less_zero = less_zero};
