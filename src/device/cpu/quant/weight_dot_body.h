/* weight_dot_body.h - the body of weight_dot.h's functions. Included by one file per instruction set, which defines DOT, the name
   of the table, and arithmetic on SIXTEEN floats: load16, widen16 (of signed bytes), load_words (16 of 32 bits) and
   nibbles16 (of words, those of block b), fma16 and sum16. */
enum { HALF = HN_WEIGHT_BLOCK / 2, AHEAD = 4096 }; /* bytes: the processor's own look-ahead stops at every page */

/* One block times its weights, before its scale. */
static inline SIXTEEN block_i8(const float *x, const int8_t *w) {
  return fma16(load16(x + HALF), widen16(w + HALF), mul16(load16(x), widen16(w)));
}

/* Block b of four. */
static inline SIXTEEN block_i4(const float *x, WORDS w, const int b) {
  SIXTEEN low, high;
  nibbles16(w, b, &low, &high);
  return fma16(load16(x + HALF), high, mul16(load16(x), low));
}

static float dot_i8(const float *x, const int8_t *w, const float *scale, int64_t blocks) {
  SIXTEEN a = all16(0), b = a;
  int64_t k = 0;
  for (; k + 2 <= blocks; k += 2, x += 2 * HN_WEIGHT_BLOCK, w += 2 * HN_WEIGHT_BLOCK) {
    __builtin_prefetch(w + AHEAD);
    a = fma16(block_i8(x, w), all16(scale[k]), a);
    b = fma16(block_i8(x + HN_WEIGHT_BLOCK, w + HN_WEIGHT_BLOCK), all16(scale[k + 1]), b);
  }
  if (k < blocks) a = fma16(block_i8(x, w), all16(scale[k]), a);
  return sum16(a) + sum16(b);
}

static float dot_i8_one(const float *x, const int8_t *w, int64_t blocks) {
  SIXTEEN a = all16(0), b = a, c = a, d = a;
  int64_t k = 0;
  for (; k + 2 <= blocks; k += 2, x += 4 * HALF, w += 4 * HALF) {
    __builtin_prefetch(w + AHEAD);
    a = fma16(load16(x), widen16(w), a);
    b = fma16(load16(x + HALF), widen16(w + HALF), b);
    c = fma16(load16(x + 2 * HALF), widen16(w + 2 * HALF), c);
    d = fma16(load16(x + 3 * HALF), widen16(w + 3 * HALF), d);
  }
  if (k < blocks) {
    a = fma16(load16(x), widen16(w), a);
    b = fma16(load16(x + HALF), widen16(w + HALF), b);
  }
  return sum16(a) + sum16(b) + sum16(c) + sum16(d);
}

static float dot_i4(const float *x, const uint8_t *w, const float *scale, int64_t blocks) {
  SIXTEEN a = all16(0), b = a;
  for (int64_t k = 0; k < blocks; k += HN_WEIGHT_GROUP, x += HN_WEIGHT_GROUP * HN_WEIGHT_BLOCK, w += HN_WEIGHT_GROUP * HALF) {
    WORDS four = load_words(w);
    __builtin_prefetch(w + AHEAD);
    if (k % (4 * HN_WEIGHT_GROUP) == 0) __builtin_prefetch((const char *)(scale + k) + AHEAD / 4);
    a = fma16(block_i4(x, four, 0), all16(scale[k]), a);
    b = fma16(block_i4(x + HN_WEIGHT_BLOCK, four, 1), all16(scale[k + 1]), b);
    a = fma16(block_i4(x + 2 * HN_WEIGHT_BLOCK, four, 2), all16(scale[k + 2]), a);
    b = fma16(block_i4(x + 3 * HN_WEIGHT_BLOCK, four, 3), all16(scale[k + 3]), b);
  }
  return sum16(a) + sum16(b);
}

#define ROWS HN_WEIGHT_ROWS
static inline __attribute__((always_inline)) void rows_block(SIXTEEN sum[ROWS][2], const float *x, int64_t ld, SIXTEEN low, SIXTEEN high) {
  for (int r = 0; r < ROWS; r++, x += ld) {
    sum[r][0] = fma16(load16(x), low, sum[r][0]);
    sum[r][1] = fma16(load16(x + HALF), high, sum[r][1]);
  }
}

static void rows_i8(float *sums, const float *x, int64_t ld, const int8_t *w, const float *scale, int64_t blocks) {
  SIXTEEN sum[ROWS][2];
  for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = all16(0);
  for (int64_t k = 0; k < blocks; k++, x += HN_WEIGHT_BLOCK, w += HN_WEIGHT_BLOCK) {
    SIXTEEN s = all16(scale[k]);
    __builtin_prefetch(w + AHEAD);
    rows_block(sum, x, ld, mul16(widen16(w), s), mul16(widen16(w + HALF), s));
  }
  for (int r = 0; r < ROWS; r++) sums[r] = sum16(sum[r][0]) + sum16(sum[r][1]);
}

static void rows_i8_one(float *sums, const float *x, int64_t ld, const int8_t *w, int64_t blocks) {
  SIXTEEN sum[ROWS][2];
  for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = all16(0);
  for (int64_t k = 0; k < blocks; k++, x += HN_WEIGHT_BLOCK, w += HN_WEIGHT_BLOCK) {
    __builtin_prefetch(w + AHEAD);
    rows_block(sum, x, ld, widen16(w), widen16(w + HALF));
  }
  for (int r = 0; r < ROWS; r++) sums[r] = sum16(sum[r][0]) + sum16(sum[r][1]);
}

static inline __attribute__((always_inline)) void rows_of_four(SIXTEEN sum[ROWS][2], const float *x, int64_t ld, WORDS four, const int b, float scale) {
  SIXTEEN low, high, s = all16(scale);
  nibbles16(four, b, &low, &high);
  rows_block(sum, x + b * HN_WEIGHT_BLOCK, ld, mul16(low, s), mul16(high, s));
}

static void rows_i4(float *sums, const float *x, int64_t ld, const uint8_t *w, const float *scale, int64_t blocks) {
  SIXTEEN sum[ROWS][2];
  for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = all16(0);
  for (int64_t k = 0; k < blocks; k += HN_WEIGHT_GROUP, x += HN_WEIGHT_GROUP * HN_WEIGHT_BLOCK, w += HN_WEIGHT_GROUP * HALF) {
    WORDS four = load_words(w);
    __builtin_prefetch(w + AHEAD);
    rows_of_four(sum, x, ld, four, 0, scale[k]);
    rows_of_four(sum, x, ld, four, 1, scale[k + 1]);
    rows_of_four(sum, x, ld, four, 2, scale[k + 2]);
    rows_of_four(sum, x, ld, four, 3, scale[k + 3]);
  }
  for (int r = 0; r < ROWS; r++) sums[r] = sum16(sum[r][0]) + sum16(sum[r][1]);
}

const hn_weight_dot DOT = {dot_i8, dot_i4, dot_i8_one, rows_i8, rows_i4, rows_i8_one};
