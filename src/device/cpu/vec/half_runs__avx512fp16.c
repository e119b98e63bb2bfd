/* half_runs__avx512fp16.c - runs of half floats. */
#include "device/cpu/vec/half_runs.h"
#ifdef __AVX512FP16__
#include <immintrin.h>

enum { W = 32 };
#define ALWAYS static inline __attribute__((always_inline))
typedef __m512h vec;

ALWAYS __mmask32 first(size_t n) { return n < W ? (1U << n) - 1 : 0xFFFFFFFF; }
ALWAYS vec load(const uint16_t *p, __mmask32 m) { return _mm512_castsi512_ph(_mm512_maskz_loadu_epi16(m, p)); }
ALWAYS void store(uint16_t *p, __mmask32 m, vec v) { _mm512_mask_storeu_epi16(p, m, _mm512_castph_si512(v)); }
ALWAYS vec all(float v) {
  const __m128h one = _mm_cvtss_sh(_mm_setzero_ph(), _mm_set_ss(v));
  return _mm512_castsi512_ph(_mm512_broadcastw_epi16(_mm_castph_si128(one)));
}

/* 1 / (1 + exp(-x)): a power of two times a polynomial; the remainder in two parts, since 16 bits of log2(e) are few. Both sides
   of the fraction are 2^-8 of what they are, so that none overflows where the result is not nothing. */
ALWAYS vec sigmoid(vec x) {
  x = _mm512_max_ph(all(-24), _mm512_min_ph(all(24), x)); /* NaN passes: the second is given if one is */
  const vec n = _mm512_roundscale_ph(_mm512_mul_ph(x, all(-1.4423828125f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const vec r = _mm512_fmadd_ph(x, all(-0.0003122284f), _mm512_fmsub_ph(x, all(-1.4423828125f), n));
  vec p = _mm512_fmadd_ph(r, all(0.0558f), all(0.2402f));
  p = _mm512_fmadd_ph(r, p, all(0.69315f));
  p = _mm512_fmadd_ph(r, p, all(1));
  const vec unit = all(1.0f / 256), e = _mm512_scalef_ph(p, _mm512_sub_ph(n, all(8)));
  return _mm512_mul_ph(unit, _mm512_rcp_ph(_mm512_add_ph(e, unit)));
}

#define UNARY(name, PREPARE, RESULT)                                                                       \
  static void name(uint16_t *d, const uint16_t *at, size_t n, float alpha, float beta) {                   \
    (void)alpha, (void)beta;                                                                               \
    PREPARE;                                                                                               \
    for (size_t i = 0; i < n; i += W) {                                                                    \
      const __mmask32 m = first(n - i);                                                                    \
      const vec x = load(at + i, m);                                                                       \
      store(d + i, m, RESULT);                                                                             \
    }                                                                                                      \
  }
#define BETWEEN(x, lo, hi) _mm512_min_ph(hi, _mm512_max_ph(lo, x)) /* NaN passes */
UNARY(relu, const vec zero = _mm512_setzero_ph(), _mm512_max_ph(zero, x))
UNARY(clip, const vec lo = all(alpha); const vec hi = all(beta), BETWEEN(x, lo, hi))
UNARY(sigmoid_run, , sigmoid(x))
UNARY(swish, const vec a = all(alpha), _mm512_mul_ph(x, sigmoid(_mm512_mul_ph(x, a))))
UNARY(hard_sigmoid, const vec a = all(alpha); const vec b = all(beta), BETWEEN(_mm512_fmadd_ph(x, a, b), all(0), all(1)))
UNARY(hard_swish, const vec a = all(1.0f / 6), _mm512_mul_ph(x, BETWEEN(_mm512_fmadd_ph(x, a, all(0.5f)), all(0), all(1))))
UNARY(leaky_relu, const vec a = all(alpha),
      _mm512_mask_mul_ph(x, _mm512_cmp_ph_mask(x, _mm512_setzero_ph(), _CMP_LT_OQ), x, a))

#define BINARY(name, RESULT)                                                              \
  static void name(uint16_t *d, const uint16_t *a, const uint16_t *b, size_t n) {         \
    for (size_t i = 0; i < n; i += W) {                                                   \
      const __mmask32 m = first(n - i);                                                   \
      const vec x = load(a + i, m), y = load(b + i, m);                                   \
      store(d + i, m, RESULT);                                                            \
    }                                                                                     \
  }
BINARY(add, _mm512_add_ph(x, y))
BINARY(larger, _mm512_mask_blend_ph(_mm512_cmp_ph_mask(x, x, _CMP_UNORD_Q), _mm512_max_ph(x, y), x))

static void scale(uint16_t *d, const uint16_t *x, float y, size_t n) {
  const vec by = all(y);
  for (size_t i = 0; i < n; i += W) store(d + i, first(n - i), _mm512_mul_ph(load(x + i, first(n - i)), by));
}

static void scale_rows(uint16_t *d, const uint16_t *x, const uint16_t *by, size_t n, size_t rows) {
  for (size_t i = 0; i < n; i += W) {
    const __mmask32 m = first(n - i);
    const vec y = load(by + i, m);
    for (size_t r = 0; r < rows; r++) store(d + r * n + i, m, _mm512_mul_ph(load(x + r * n + i, m), y));
  }
}

static void sum_rows(float *d, const uint16_t *x, size_t n, size_t rows, size_t step) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 m = (__mmask16)first(n - i);
    __m512 sum = _mm512_setzero_ps();
    for (size_t r = 0; r < rows; r++) sum = _mm512_add_ps(sum, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, x + r * step + i)));
    _mm512_mask_storeu_ps(d + i, m, sum);
  }
}

static void round_run(uint16_t *d, const float *x, float y, size_t n) {
  const __m512 by = _mm512_set1_ps(y);
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 m = (__mmask16)first(n - i);
    const __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), by);
    _mm256_mask_storeu_epi16(d + i, m, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
}

const hn_half_runs hn_half_runs_avx512fp16 = {
    .unary = {[HN_Relu] = relu, [HN_Clip] = clip, [HN_Sigmoid] = sigmoid_run, [HN_Swish] = swish, [HN_HardSigmoid] = hard_sigmoid,
              [HN_HardSwish] = hard_swish, [HN_LeakyRelu] = leaky_relu},
    .add = add, .max = larger, .scale = scale, .scale_rows = scale_rows, .sum_rows = sum_rows, .round = round_run};
#endif
