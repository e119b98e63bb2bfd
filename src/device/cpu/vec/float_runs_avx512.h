/* float_runs_avx512.h - the functions around exp and erf in AVX-512's own instructions: clamping that keeps or sets the sign,
   multiplication by a power of two that over- and underflows as it should, an estimate of the reciprocal that one step of
   Newton makes exact to the last place; and picking by permutation. For float_runs__avx512.c. */
#include <immintrin.h>
#include <stddef.h>

#include "device/cpu/vec/float_runs.h"

/* Runs of 16, the last one cut short by a mask. v: what was read. */
#define RUN16(expr)                                             \
  size_t i = 0;                                                 \
  for (; i + 16 <= n; i += 16) {                                \
    const __m512 v = _mm512_loadu_ps(x + i);                    \
    _mm512_storeu_ps(d + i, expr);                              \
  }                                                             \
  if (i < n) {                                                  \
    const __mmask16 live = (__mmask16)((1U << (n - i)) - 1);    \
    const __m512 v = _mm512_maskz_loadu_ps(live, x + i);        \
    _mm512_mask_storeu_ps(d + i, live, expr);                   \
  }
#define INLINE16 static inline __attribute__((always_inline)) __m512

INLINE16 all(float f) { return _mm512_set1_ps(f); }
INLINE16 fma16(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }

enum { ABS_MIN_KEEP_SIGN = 2 }; /* of _mm512_range_ps */

/* exp for -104 <= x <= 89, as 2^k times a polynomial. */
INLINE16 exp_within(__m512 x) {
  const __m512 magic = all(12582912.0f); /* adding it rounds to an integer */
  __m512 k = _mm512_sub_ps(fma16(x, all(1.44269504f), magic), magic);
  __m512 r = fma16(k, all(-0.693359375f), x);
  r = fma16(k, all(2.12194440e-4f), r);
  __m512 p = fma16(all(1.38145394e-3f), r, all(8.36874545e-3f)); /* minimax on |r| <= ln 2 / 2 */
  p = fma16(p, r, all(4.16683890e-2f));
  p = fma16(p, r, all(1.66665211e-1f));
  p = fma16(p, r, all(4.99999940e-1f));
  p = fma16(p, r, all(1));
  p = fma16(p, r, all(1));
  return _mm512_scalef_ps(p, k);
}

/* a / b, neither b nor 1 / b anywhere near infinity. */
INLINE16 quotient(__m512 a, __m512 b) {
  __m512 y = _mm512_rcp14_ps(b);
  return _mm512_mul_ps(a, fma16(y, _mm512_fnmadd_ps(b, y, all(1)), y));
}

/* -|x|, at least -104; a NaN stays one. */
INLINE16 minus_abs(__m512 x) { return _mm512_max_ps(all(-104), _mm512_or_ps(x, all(-0.0f))); }

/* a / (1 + exp(-x)), for results of 2^-100 and more; smaller ones are as good as zero. exp has a term less than above and one
   constant for ln 2, whose rounding error is small by chance: it is off by two units in the last place at most. */
INLINE16 over_one_plus_exp(__m512 a, __m512 x) {
  const __m512 magic = all(12582912.0f), z = _mm512_range_ps(x, all(87), ABS_MIN_KEEP_SIGN);
  __m512 k = _mm512_sub_ps(_mm512_fnmadd_ps(z, all(1.44269504f), magic), magic);
  __m512 r = _mm512_fnmsub_ps(k, all(0.693147181f), z);
  __m512 p = fma16(all(8.29027221e-3f), r, all(4.18981612e-2f)); /* minimax on |r| <= ln 2 / 2 */
  p = fma16(p, r, all(1.66676387e-1f));
  p = fma16(p, r, all(4.99991477e-1f));
  p = fma16(p, r, all(9.99999702e-1f));
  p = fma16(p, r, all(1));
  __m512 b = _mm512_add_ps(all(1), _mm512_scalef_ps(p, k)), y = _mm512_rcp14_ps(b);
  __mmask16 counts = _mm512_cmp_ps_mask(x, all(-87), _CMP_NLT_UQ); /* else the factor is zero: so -inf gives NaN, as it should */
  return _mm512_mul_ps(a, _mm512_maskz_fmadd_ps(counts, y, _mm512_fnmadd_ps(b, y, all(1)), y));
}

/* a / (1 + exp(-x)); y: -|x|. With e = exp(y) it is a e / (1 + e) for negative x, so that small results keep their digits. */
INLINE16 over_logistic(__m512 a, __m512 x, __m512 y) {
  __m512 e = exp_within(y);
  __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  return quotient(_mm512_mask_mul_ps(a, negative, a, e), _mm512_add_ps(all(1), e));
}

/* max and min give the second operand if one is NaN. */
INLINE16 exp16(__m512 x) { return exp_within(_mm512_min_ps(all(89), _mm512_max_ps(all(-104), x))); }

INLINE16 tanh16(__m512 x) {
  __m512 z = _mm512_mul_ps(x, x), p = fma16(all(-5.70498872745e-3f), z, all(2.06390887954e-2f));
  p = fma16(p, z, all(-5.37397155531e-2f));
  p = fma16(p, z, all(1.33314422036e-1f));
  p = fma16(p, z, all(-3.33332819422e-1f));
  __m512 near = fma16(_mm512_mul_ps(p, z), x, x);
  __m512 e = exp_within(minus_abs(_mm512_add_ps(x, x)));
  __m512 far = _mm512_sub_ps(all(1), quotient(_mm512_add_ps(e, e), _mm512_add_ps(all(1), e)));
  __mmask16 is_far = _mm512_cmp_ps_mask(_mm512_abs_ps(x), all(0.625f), _CMP_GE_OQ);
  return _mm512_mask_range_ps(near, is_far, x, far, ABS_MIN_KEEP_SIGN); /* |far| <= |x| with the sign of x */
}

/* The rational function of verf(), for |c| <= 4. */
INLINE16 erf_within(__m512 c) {
  __m512 z = _mm512_mul_ps(c, c), p = fma16(all(-2.72614225801306e-10f), z, all(2.77068142495902e-08f));
  p = fma16(p, z, all(-2.10102402082508e-06f));
  p = fma16(p, z, all(-5.69250639462346e-05f));
  p = fma16(p, z, all(-7.34990630326855e-04f));
  p = fma16(p, z, all(-2.95459980854025e-03f));
  p = fma16(p, z, all(-1.60960333262415e-02f));
  __m512 q = fma16(all(-1.45660718464996e-05f), z, all(-2.13374055278905e-04f));
  q = fma16(q, z, all(-1.68282697438203e-03f));
  q = fma16(q, z, all(-7.37332916720468e-03f));
  q = fma16(q, z, all(-1.42647390514189e-02f));
  return _mm512_mul_ps(c, quotient(p, q));
}
INLINE16 erf16(__m512 x) { return erf_within(_mm512_min_ps(all(4), _mm512_max_ps(all(-4), x))); }

/* x / 2 (1 + erf(x sqrt(1/2))) */
INLINE16 gelu16(__m512 x) {
  __m512 c = _mm512_range_ps(_mm512_mul_ps(x, all(0.70710678118654752f)), all(4), ABS_MIN_KEEP_SIGN);
  __m512 half = _mm512_mul_ps(x, all(0.5f));
  return fma16(half, erf_within(c), half);
}
/* x / 2 (1 + tanh u) is x / (1 + exp(-2 u)), u a polynomial of x. */
INLINE16 gelu_by_tanh16(__m512 x) {
  __m512 u = _mm512_mul_ps(_mm512_mul_ps(x, all(1.59576912160573073f)), fma16(_mm512_mul_ps(x, x), all(0.044715f), all(1)));
  return over_one_plus_exp(x, u);
}

#define CURVE16(N, expr)                                                                \
  static void N##_unary(float *d, const float *x, size_t n, float alpha, float beta) {  \
    (void)alpha, (void)beta;                                                            \
    RUN16(expr)                                                                         \
  }
CURVE16(Exp, exp16(v))
CURVE16(Erf, erf16(v))
CURVE16(Sigmoid, over_logistic(all(1), v, minus_abs(v)))
CURVE16(Tanh, tanh16(v))
CURVE16(Swish1, over_one_plus_exp(v, v))
CURVE16(GeluErf, gelu16(v))
CURVE16(GeluTanh, gelu_by_tanh16(v))

static void Swish_unary(float *d, const float *x, size_t n, float alpha, float beta) {
  if (alpha == 1) {
    Swish1_unary(d, x, n, alpha, beta);
    return;
  }
  RUN16(over_one_plus_exp(v, _mm512_mul_ps(v, all(alpha))))
}
static void Gelu_unary(float *d, const float *x, size_t n, float alpha, float beta) {
  if (alpha == 0) GeluErf_unary(d, x, n, alpha, beta);
  else GeluTanh_unary(d, x, n, alpha, beta);
}

/* 0 for what has no normalized result, such as masked attention makes: products with denormals take a hundred times as long. */
INLINE16 exp_from(__m512 x, float largest) {
  __m512 d = _mm512_sub_ps(x, all(largest));
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(d, all(-87), _CMP_NLT_UQ), exp_within(_mm512_max_ps(all(-104), d)));
}

static float vec_exp_sum(float *d, const float *x, size_t n, float largest) {
  __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  size_t i = 0;
  for (; i + 32 <= n; i += 32)
    for (int k = 0; k < 2; k++) {
      __m512 e = exp_from(_mm512_loadu_ps(x + i + 16 * k), largest);
      _mm512_storeu_ps(d + i + 16 * k, e);
      sum[k] = _mm512_add_ps(sum[k], e);
    }
  for (; i < n; i += 16) {
    const __mmask16 live = n - i < 16 ? (__mmask16)((1U << (n - i)) - 1) : (__mmask16)-1;
    __m512 e = exp_from(_mm512_maskz_loadu_ps(live, x + i), largest);
    _mm512_mask_storeu_ps(d + i, live, e);
    sum[0] = _mm512_mask_add_ps(sum[0], live, sum[0], e);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

static void vec_pick(float *d, const float *x, const int32_t *from, const int32_t *window, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const int32_t first = window ? window[i / 16] : -1;
    const __mmask16 live = n - i < 16 ? (__mmask16)((1U << (n - i)) - 1) : (__mmask16)-1;
    __m512i at = _mm512_maskz_loadu_epi32(live, from + i);
    if (first < 0) {
      _mm512_mask_storeu_ps(d + i, live, _mm512_mask_i32gather_ps(_mm512_setzero_ps(), live, at, x, 4));
      continue;
    }
    const float *w = x + first;
    at = _mm512_sub_epi32(at, _mm512_set1_epi32(first));
    _mm512_mask_storeu_ps(d + i, live, _mm512_permutex2var_ps(_mm512_loadu_ps(w), at, _mm512_loadu_ps(w + 16)));
  }
}
