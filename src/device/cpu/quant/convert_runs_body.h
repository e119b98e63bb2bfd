/* convert_runs_body.h - the body of convert_runs.h's functions: plain loops that the compiler turns into vector code. Included by one
   file per instruction set, which defines CONVERT, the name of the table. */
#include <math.h>
#include <string.h>
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "base/half.h"

#define LOOP for (size_t i = 0; i < n; i++)

static void load_u8(float *restrict d, const void *restrict from, size_t n, float scale, float zero) {
  const uint8_t *x = from;
  LOOP d[i] = ((float)x[i] - zero) * scale;
}

static void load_i8(float *restrict d, const void *restrict from, size_t n, float scale, float zero) {
  const int8_t *x = from;
  LOOP d[i] = ((float)x[i] - zero) * scale;
}

/* Out of the range of integers, and NaN, there is no defined conversion: the limits come first. */
static inline float limited(float q, float low, float high, float zero) {
  q = q != q ? zero : q;
  q = q < low ? low : q;
  return q > high ? high : q;
}

/* A product with 1 / scale is off from the quotient by less than 3 2^-24 of it: unless it is that near to where rounding turns, they are
   rounded alike. What is large is limited anyway. */
static inline int doubtful(float q) {
  float off = fabsf(fabsf(q - rintf(q)) - 0.5f), size = fabsf(q);
  return (off <= size * 0x1p-22f) & (size < 1024);
}

#define STORE_BYTES(type, low, high)                                                                                  \
  enum { PIECE = 64 };                                                                                                \
  type *d = to;                                                                                                       \
  const float by = 1 / scale;                                                                                         \
  for (size_t from = 0, m; from < n; from += m, d += m, x += m) {                                                     \
    int divide = !isnormal(by); /* of the largest and smallest scales */                                              \
    m = n - from < PIECE ? n - from : PIECE;                                                                          \
    for (size_t i = 0; i < m; i++) divide |= doubtful(x[i] * by);                                                     \
    if (divide)                                                                                                       \
      for (size_t i = 0; i < m; i++) d[i] = (type)(int32_t)limited(rintf(x[i] / scale) + zero, low, high, zero);      \
    else                                                                                                              \
      for (size_t i = 0; i < m; i++) d[i] = (type)(int32_t)limited(rintf(x[i] * by) + zero, low, high, zero);         \
  }

static void store_u8(void *restrict to, const float *restrict x, size_t n, float scale, float zero) { STORE_BYTES(uint8_t, 0, 255) }

static void store_i8(void *restrict to, const float *restrict x, size_t n, float scale, float zero) { STORE_BYTES(int8_t, -128, 127) }

static void load_bf16(float *restrict d, const void *restrict from, size_t n, float scale, float zero) {
  const uint16_t *x = from;
  (void)scale;
  (void)zero;
  LOOP {
    uint32_t u = (uint32_t)x[i] << 16;
    memcpy(&d[i], &u, 4);
  }
}

static void store_bf16(void *restrict to, const float *restrict x, size_t n, float scale, float zero) {
  uint16_t *d = to;
  (void)scale;
  (void)zero;
  LOOP {
    uint32_t u;
    memcpy(&u, &x[i], 4);
    uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16, nan = (u >> 16) | 0x40;
    d[i] = (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? nan : rounded);
  }
}

static void load_f16(float *restrict d, const void *restrict from, size_t n, float scale, float zero) {
  const uint16_t *x = from;
  size_t i = 0;
  (void)scale;
  (void)zero;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(x + i))));
#endif
  for (; i < n; i++) d[i] = hn_f16_to_f32(x[i]);
}

static void store_f16(void *restrict to, const float *restrict x, size_t n, float scale, float zero) {
  uint16_t *d = to;
  size_t i = 0;
  (void)scale;
  (void)zero;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)(void *)(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; i++) d[i] = hn_f32_to_f16(x[i]);
}

static void load_i32(float *restrict d, const void *restrict from, size_t n, float scale, float zero) {
  const int32_t *x = from;
  (void)scale;
  (void)zero;
  LOOP d[i] = (float)x[i];
}

/* Four vectors at a time: each waits for the one before. Comparisons with NaN leave what there was. */
#if defined(__AVX512F__)
enum { SIDE_BY_SIDE = 16 };
typedef __m512 lanes;
static inline lanes load_lanes(const float *p) { return _mm512_loadu_ps(p); }
static inline void store_lanes(float *p, lanes v) { _mm512_storeu_ps(p, v); }
static inline lanes least(lanes x, lanes so_far) { return _mm512_min_ps(x, so_far); }
static inline lanes most(lanes x, lanes so_far) { return _mm512_max_ps(x, so_far); }
#elif defined(__AVX2__)
enum { SIDE_BY_SIDE = 8 };
typedef __m256 lanes;
static inline lanes load_lanes(const float *p) { return _mm256_loadu_ps(p); }
static inline void store_lanes(float *p, lanes v) { _mm256_storeu_ps(p, v); }
static inline lanes least(lanes x, lanes so_far) { return _mm256_min_ps(x, so_far); }
static inline lanes most(lanes x, lanes so_far) { return _mm256_max_ps(x, so_far); }
#else
enum { SIDE_BY_SIDE = 1 };
typedef float lanes;
static inline lanes load_lanes(const float *p) { return *p; }
static inline void store_lanes(float *p, lanes v) { *p = v; }
static inline lanes least(lanes x, lanes so_far) { return x < so_far ? x : so_far; }
static inline lanes most(lanes x, lanes so_far) { return x > so_far ? x : so_far; }
#endif

static void range(const float *x, size_t n, float *low, float *high) {
  enum { CHAINS = 4, ALL = CHAINS * SIDE_BY_SIDE };
  float lo[SIDE_BY_SIDE], hi[SIDE_BY_SIDE];
  size_t i = 0;
  for (int k = 0; k < SIDE_BY_SIDE; k++) lo[k] = *low, hi[k] = *high;
  lanes l[CHAINS], h[CHAINS];
  for (int c = 0; c < CHAINS; c++) l[c] = load_lanes(lo), h[c] = load_lanes(hi);
  for (; i + ALL <= n; i += ALL)
    for (int c = 0; c < CHAINS; c++) {
      lanes v = load_lanes(x + i + (size_t)(c * SIDE_BY_SIDE));
      l[c] = least(v, l[c]);
      h[c] = most(v, h[c]);
    }
  for (int c = 1; c < CHAINS; c++) l[0] = least(l[c], l[0]), h[0] = most(h[c], h[0]);
  store_lanes(lo, l[0]);
  store_lanes(hi, h[0]);
  for (; i < n; i++) {
    lo[0] = x[i] < lo[0] ? x[i] : lo[0];
    hi[0] = x[i] > hi[0] ? x[i] : hi[0];
  }
  for (int k = 0; k < SIDE_BY_SIDE; k++) {
    *low = lo[k] < *low ? lo[k] : *low;
    *high = hi[k] > *high ? hi[k] : *high;
  }
}

const hn_convert CONVERT = {
    .range = range,
    .load = {[HONE_DTYPE_I32] = load_i32, [HONE_DTYPE_U8] = load_u8, [HONE_DTYPE_I8] = load_i8, [HONE_DTYPE_BF16] = load_bf16, [HONE_DTYPE_F16] = load_f16},
    .store = {[HONE_DTYPE_U8] = store_u8, [HONE_DTYPE_I8] = store_i8, [HONE_DTYPE_BF16] = store_bf16, [HONE_DTYPE_F16] = store_f16},
};
