/* half_runs__avx512bf16.c - runs of bfloat16, computed in single precision: even and odd numbers apart, and rounded together. */
#include "device/cpu/vec/half_runs.h"
#ifdef __AVX512BF16__
#include "device/cpu/vec/bf16_lanes.h"

enum { W = 32, HALF = W / 2 };
typedef __m512 vec;

BF16_FN __mmask32 first(size_t n) { return n < W ? (1U << n) - 1 : 0xFFFFFFFF; }
BF16_FN __m512i load(const uint16_t *p, __mmask32 m) { return _mm512_maskz_loadu_epi16(m, p); }
BF16_FN void store(uint16_t *p, __mmask32 m, vec even, vec odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  _mm512_mask_storeu_epi16(p, m, _mm512_permutexvar_epi16(order, bf16_rounded2(even, odd)));
}
BF16_FN vec all(float v) { return _mm512_set1_ps(v); }
BF16_FN vec between(vec x, vec lo, vec hi) { return _mm512_min_ps(hi, _mm512_max_ps(lo, x)); } /* NaN passes */

/* Of runs of bfloat16, and of floats that are to become bfloat16. */
#define UNARY(name, A, B, RESULT)                                                                                  \
  BF16_FN vec name(vec x, vec a, vec b) {                                                                          \
    (void)a, (void)b;                                                                                              \
    return RESULT;                                                                                                 \
  }                                                                                                                \
  static void name##_run(uint16_t *d, const uint16_t *at, size_t n, float alpha, float beta) {                     \
    (void)alpha, (void)beta;                                                                                       \
    const vec a = all(A), b = all(B);                                                                              \
    for (size_t i = 0; i < n; i += W) {                                                                            \
      const __mmask32 m = first(n - i);                                                                            \
      const __m512i x = load(at + i, m);                                                                           \
      store(d + i, m, name(bf16_even(x), a, b), name(bf16_odd(x), a, b));                                          \
    }                                                                                                              \
  }                                                                                                                \
  static void name##_floats(float *d, const float *x, size_t n, float alpha, float beta) {                         \
    (void)alpha, (void)beta;                                                                                       \
    const vec a = all(A), b = all(B);                                                                              \
    size_t i = 0;                                                                                                  \
    for (; i + HALF <= n; i += HALF) _mm512_storeu_ps(d + i, name(_mm512_loadu_ps(x + i), a, b));                  \
    if (i < n) _mm512_mask_storeu_ps(d + i, (__mmask16)first(n - i), name(_mm512_maskz_loadu_ps((__mmask16)first(n - i), x + i), a, b)); \
  }
UNARY(relu, 0, 0, _mm512_max_ps(a, x))
UNARY(clip, alpha, beta, between(x, a, b))
UNARY(sigmoid, 1, 0, bf16_logistic(a, x))
UNARY(swish, alpha, 0, bf16_logistic(x, _mm512_mul_ps(x, a)))
UNARY(hard_sigmoid, alpha, beta, between(_mm512_fmadd_ps(x, a, b), all(0), all(1)))
UNARY(hard_swish, 1.0f / 6, 0.5f, _mm512_mul_ps(x, between(_mm512_fmadd_ps(x, a, b), all(0), all(1))))
UNARY(leaky_relu, alpha, 0, _mm512_mask_mul_ps(x, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), x, a))

BF16_FN vec larger(vec x, vec y) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_max_ps(x, y), x); }

#define BINARY(name, RESULT)                                                              \
  BF16_FN vec name(vec x, vec y) { return RESULT; }                                       \
  static void name##_runs(uint16_t *d, const uint16_t *a, const uint16_t *b, size_t n) {  \
    for (size_t i = 0; i < n; i += W) {                                                   \
      const __mmask32 m = first(n - i);                                                   \
      const __m512i x = load(a + i, m), y = load(b + i, m);                               \
      store(d + i, m, name(bf16_even(x), bf16_even(y)), name(bf16_odd(x), bf16_odd(y)));  \
    }                                                                                     \
  }
BINARY(add, _mm512_add_ps(x, y))
BINARY(most, larger(x, y))

static void scale(uint16_t *d, const uint16_t *x, float y, size_t n) {
  const vec by = all(y);
  for (size_t i = 0; i < n; i += W) {
    const __m512i v = load(x + i, first(n - i));
    store(d + i, first(n - i), _mm512_mul_ps(bf16_even(v), by), _mm512_mul_ps(bf16_odd(v), by));
  }
}

static void scale_rows(uint16_t *d, const uint16_t *x, const uint16_t *by, size_t n, size_t rows) {
  for (size_t r = 0; r < rows; r++, d += n, x += n)
    for (size_t i = 0; i < n; i += W) {
      const __mmask32 m = first(n - i);
      const __m512i v = load(x + i, m), y = load(by + i, m);
      store(d + i, m, _mm512_mul_ps(bf16_even(v), bf16_even(y)), _mm512_mul_ps(bf16_odd(v), bf16_odd(y)));
    }
}

static void sum_rows(float *d, const uint16_t *x, size_t n, size_t rows, size_t step) {
  for (size_t i = 0; i < n; i += HALF) {
    const __mmask16 m = (__mmask16)first(n - i);
    vec sum = _mm512_setzero_ps();
    for (size_t r = 0; r < rows; r++) sum = _mm512_add_ps(sum, bf16_widened(_mm256_maskz_loadu_epi16(m, x + r * step + i)));
    _mm512_mask_storeu_ps(d + i, m, sum);
  }
}

static void round_run(uint16_t *d, const float *x, float y, size_t n) {
  const vec by = all(y);
  for (size_t i = 0; i < n; i += HALF) {
    const __mmask16 m = (__mmask16)first(n - i);
    _mm256_mask_storeu_epi16(d + i, m, bf16_rounded(_mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), by)));
  }
}

const hn_half_runs hn_half_runs_avx512bf16 = {
    .unary = {[HN_Relu] = relu_run, [HN_Clip] = clip_run, [HN_Sigmoid] = sigmoid_run, [HN_Swish] = swish_run, [HN_HardSigmoid] = hard_sigmoid_run,
              [HN_HardSwish] = hard_swish_run, [HN_LeakyRelu] = leaky_relu_run},
    .floats = {[HN_Relu] = relu_floats, [HN_Clip] = clip_floats, [HN_Sigmoid] = sigmoid_floats, [HN_Swish] = swish_floats,
               [HN_HardSigmoid] = hard_sigmoid_floats, [HN_HardSwish] = hard_swish_floats, [HN_LeakyRelu] = leaky_relu_floats},
    .add = add_runs, .max = most_runs, .scale = scale, .scale_rows = scale_rows, .sum_rows = sum_rows, .round = round_run};
#else
typedef int hn_half_runs_avx512bf16_absent;
#endif
