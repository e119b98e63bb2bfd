/* float_runs_body.h - the body of float_runs.h's functions: plain loops that the compiler turns into vector code. Included by one
   file per instruction set, which defines VEC, the name of the table, and OWN_CURVES if it has the functions of CURVES already.
   Loops have no calls and no branches. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "device/cpu/vec/float_runs.h"

#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif
#define LOOP INDEPENDENT for (size_t i = 0; i < n; i++)

static inline float from_bits(int32_t i) {
  float f;
  memcpy(&f, &i, sizeof f);
  return f;
}
static inline int32_t to_bits(float f) {
  int32_t i;
  memcpy(&i, &f, sizeof i);
  return i;
}

/* 2^n for n in -126..127; for others (of a NaN) any number. */
static inline float power_of_two(int32_t n) { return from_bits((int32_t)((uint32_t)(n + 127) << 23)); }

/* exp(r) for |r| <= ln 2 / 2. */
static inline float exp_polynomial(float r) {
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * r * r + r + 1.0f;
}

/* exp by x = n ln 2 + r, a polynomial for r, and 2^n in two factors so that no exponent overflows on the way. */
static inline float vexp(float x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
  float c = x < -104.0f ? -104.0f : x;
  c = c > 89.0f ? 89.0f : c;
  float t = c * 1.44269504088896341f + magic;
  float k = t - magic;
  int32_t n = (int32_t)((uint32_t)to_bits(t) - (uint32_t)to_bits(magic));
  float r = c - k * 0.693359375f;
  r = r + k * 2.12194440e-4f;
  int32_t half = n >> 1;
  return exp_polynomial(r) * power_of_two(half) * power_of_two(n - half);
}

/* The same for x <= 0, with 0 for what has no normalized result: a factor less. */
static inline float vexp_down(float x) {
  const float magic = 12582912.0f;
  float c = x < -87.0f ? -87.0f : x;
  float t = c * 1.44269504088896341f + magic;
  float k = t - magic;
  float r = c - k * 0.693359375f;
  r = r + k * 2.12194440e-4f;
  float p = exp_polynomial(r) * power_of_two((int32_t)((uint32_t)to_bits(t) - (uint32_t)to_bits(magic)));
  return x < -87.0f ? 0.0f : p;
}

/* Natural logarithm by x = m 2^e with m in [sqrt(1/2), sqrt(2)) and a polynomial in m - 1. */
static inline float vlog(float x) {
  float tiny = x < 1.17549435e-38f ? 8388608.0f : 1.0f; /* denormals are scaled up */
  float s = x * tiny;
  int32_t b = to_bits(s);
  int32_t e = ((b >> 23) & 255) - 126;
  float m = from_bits((b & 0x007fffff) | 0x3f000000);
  int32_t low = m < 0.707106781f;
  e -= low;
  m = (low ? m + m : m) - 1.0f;
  float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  float k = (float)e - (tiny > 1.0f ? 23.0f : 0.0f);
  float y = m * z * p + k * -2.12194440e-4f - 0.5f * z;
  float r = m + y + k * 0.693359375f;
  r = x == INFINITY ? x : r;
  r = x == 0 ? -INFINITY : r;
  return x < 0 || x != x ? NAN : r;
}

static inline float vtanh(float x) {
  float a = fabsf(x), z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  float near = p * z * x + x;
  float far = 1.0f - 2.0f / (vexp(a + a) + 1.0f);
  return a < 0.625f ? near : copysignf(far, x);
}

/* A rational function, as odd as erf is; beyond 4 it is 1 in single precision. */
static inline float verf(float x) {
  float c = x < -4.0f ? -4.0f : x;
  c = c > 4.0f ? 4.0f : c;
  float z = c * c;
  float p = -2.72614225801306e-10f;
  p = p * z + 2.77068142495902e-08f;
  p = p * z - 2.10102402082508e-06f;
  p = p * z - 5.69250639462346e-05f;
  p = p * z - 7.34990630326855e-04f;
  p = p * z - 2.95459980854025e-03f;
  p = p * z - 1.60960333262415e-02f;
  float q = -1.45660718464996e-05f;
  q = q * z - 2.13374055278905e-04f;
  q = q * z - 1.68282697438203e-03f;
  q = q * z - 7.37332916720468e-03f;
  q = q * z - 1.42647390514189e-02f;
  return c * (p / q);
}

/* By the polynomial for |x| <= tan(pi / 8); what is larger is turned by pi / 4 or pi / 2 first. */
static inline float vatan(float x) {
  float a = fabsf(x);
  int large = a > 2.414213562f, middle = a > 0.4142135624f;
  float t = (large ? -1.0f : middle ? a - 1.0f : a) / (large ? a : middle ? a + 1.0f : 1.0f), z = t * t;
  float p = 8.05374449538e-2f;
  p = p * z - 1.38776856032e-1f;
  p = p * z + 1.99777106478e-1f;
  p = p * z - 3.33329491539e-1f;
  return copysignf(p * z * t + t + (large ? 1.57079632679f : middle ? 0.785398163397f : 0.0f), x);
}

/* The sine of x + turn * pi / 2, for |x| <= FOLDED. The multiple of pi / 2 is taken off in double precision, in two parts of which the
   first has zeros enough at its end for exact products; polynomials do the rest. */
#define FOLDED 1e5f
static inline float vsin(float x, int32_t turn) {
  double k = rint((double)x * 0.63661977236758134308);
  double r = ((double)x - k * 1.57079632673412561417e+00) - k * 6.07710050650619224932e-11;
  int32_t q = (int32_t)k + turn;
  float f = (float)r, z = f * f;
  float s = -1.9515295891e-4f;
  s = s * z + 8.3321608736e-3f;
  s = s * z - 1.6666654611e-1f;
  s = s * z * f + f;
  float c = 2.443315711809948e-5f;
  c = c * z - 1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = c * z * z - 0.5f * z + 1.0f;
  float v = q & 1 ? c : s;
  return q & 2 ? -v : v;
}

static inline float vclamp(float v, float lo, float hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}
/* e / (1 + e) or 1 / (1 + e), so that nothing overflows and small results keep their digits. */
static inline float vsigmoid(float x) {
  float e = vexp(-fabsf(x));
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}
static inline float vlog1p(float x) { /* for x in 0..1; the quotient makes up for what 1 + x lost */
  float u = 1.0f + x;
  return u == 1.0f ? x : vlog(u) * (x / (u - 1.0f));
}
static inline float vsoftplus(float x) { return (x > 0 ? x : 0.0f) + vlog1p(vexp(-fabsf(x))); }
static inline float vexpm1(float x) { /* by exp, and its series where that cancels */
  float s = x * (1.0f + x * (0.5f + x * (1.6666667e-1f + x * (4.1666668e-2f + x * (8.3333338e-3f + x * 1.3888889e-3f)))));
  return fabsf(x) < 0.25f ? s : vexp(x) - 1.0f;
}

#define CURVES(F)                                                         \
  F(Erf, verf(v))                                                         \
  F(Exp, vexp(v))                                                         \
  F(Sigmoid, vsigmoid(v))                                                 \
  F(Swish, v *vsigmoid(alpha *v))                                         \
  F(Tanh, vtanh(v))

#define UNARY(F)                                                          \
  F(Abs, fabsf(v))                                                        \
  F(Atan, vatan(v))                                                       \
  F(Ceil, ceilf(v))                                                       \
  F(Floor, floorf(v))                                                     \
  F(Identity, v)                                                          \
  F(Log, vlog(v))                                                         \
  F(Mish, v *vtanh(vsoftplus(v)))                                         \
  F(Neg, -v)                                                              \
  F(Reciprocal, 1.0f / v)                                                 \
  F(Relu, v < 0 ? 0.0f : v)                                               \
  F(Round, rintf(v))                                                      \
  F(Sign, v > 0 ? 1.0f : v < 0 ? -1.0f : v)                               \
  F(Softplus, vsoftplus(v))                                               \
  F(Softsign, v / (1.0f + fabsf(v)))                                      \
  F(Sqrt, sqrtf(v))                                                       \
  F(Celu, v < 0 ? alpha * vexpm1(v / alpha) : v)                          \
  F(Clip, vclamp(v, alpha, beta))                                         \
  F(Elu, v < 0 ? alpha * vexpm1(v) : v)                                   \
  F(HardSigmoid, vclamp(alpha *v + beta, 0.0f, 1.0f))                     \
  F(HardSwish, v *vclamp(v *(1.0f / 6.0f) + 0.5f, 0.0f, 1.0f))            \
  F(LeakyRelu, v < 0 ? alpha * v : v)                                     \
  F(Selu, beta *(v < 0 ? alpha * vexpm1(v) : v))                          \
  F(ThresholdedRelu, v > alpha ? v : 0.0f)

#define BINARY(F)                                                         \
  F(Add, a + b)                                                           \
  F(Sub, a - b)                                                           \
  F(Mul, a *b)                                                            \
  F(Div, a / b)                                                           \
  F(PRelu, a < 0 ? a * b : a)                                             \
  F(Max, a >= b || a != a ? a : b)                                        \
  F(Min, a <= b || a != a ? a : b)                                        \
  F(Sum, a + b)

#define DEFINE(N, expr)                                                                         \
  static void N##_unary(float *d, const float *x, size_t n, float alpha, float beta) {          \
    (void)alpha, (void)beta;                                                                    \
    LOOP {                                                                                      \
      float v = x[i];                                                                           \
      d[i] = expr;                                                                              \
    }                                                                                           \
  }
UNARY(DEFINE)

/* Runs of PERIODIC numbers, by the C library where one of them is too large to be folded well, or none. */
enum { PERIODIC = 256 };
static inline int all_fold(const float *x, size_t n) {
  int large = 0;
  LOOP large |= !(fabsf(x[i]) <= FOLDED);
  return !large;
}
static inline void sines(float *d, const float *x, size_t n, int32_t turn) { LOOP d[i] = vsin(x[i], turn); }
#define DEFINE_PERIODIC(N, turn, exact)                                                         \
  static void N##_unary(float *d, const float *x, size_t all, float alpha, float beta) {        \
    (void)alpha, (void)beta;                                                                    \
    for (size_t at = 0; at < all; at += PERIODIC) {                                             \
      size_t n = all - at < PERIODIC ? all - at : PERIODIC;                                     \
      if (all_fold(x + at, n)) sines(d + at, x + at, n, turn);                                  \
      else                                                                                      \
        for (size_t i = at; i < at + n; i++) d[i] = exact(x[i]);                                \
    }                                                                                           \
  }
DEFINE_PERIODIC(Sin, 0, sinf)
DEFINE_PERIODIC(Cos, 1, cosf)

#ifndef OWN_CURVES
CURVES(DEFINE)

/* By erf, or (alpha not 0) x / 2 (1 + tanh u), which is x / (1 + exp(-2 u)). */
static void Gelu_unary(float *d, const float *x, size_t n, float alpha, float beta) {
  (void)beta;
  if (alpha == 0) LOOP d[i] = 0.5f * x[i] * (1.0f + verf(x[i] * 0.70710678118654752f));
  else LOOP d[i] = x[i] * vsigmoid(1.59576912160573073f * (x[i] + 0.044715f * x[i] * x[i] * x[i]));
}
#endif
#undef DEFINE

#define DEFINE(N, expr)                                                                         \
  static void N##_binary(float *d, const float *x, const float *y, size_t n) {                  \
    LOOP {                                                                                      \
      float a = x[i], b = y[i];                                                                 \
      d[i] = expr;                                                                              \
    }                                                                                           \
  }                                                                                             \
  static void N##_right(float *d, const float *x, float b, size_t n) {                          \
    LOOP {                                                                                      \
      float a = x[i];                                                                           \
      d[i] = expr;                                                                              \
    }                                                                                           \
  }                                                                                             \
  static void N##_left(float *d, const float *x, float a, size_t n) {                           \
    LOOP {                                                                                      \
      float b = x[i];                                                                           \
      d[i] = expr;                                                                              \
    }                                                                                           \
  }
BINARY(DEFINE)
#undef DEFINE

/* Reductions keep LANES partial results, so that they vectorize without reordering anything else. */
enum { LANES = 64 };

#define FOLD(part, combine)                            \
  for (size_t half = LANES / 2; half; half /= 2)       \
    for (size_t k = 0; k < half; k++) part[k] = combine(part[k], part[k + half])

static inline float plus(float a, float b) { return a + b; }
static inline float larger(float a, float b) { return a >= b || a != a ? a : b; }

/* Rounds of LANES elements, then what is left: `step` with element i in lane k. */
#define REDUCE(step)                                   \
  size_t i = 0;                                        \
  for (; i + LANES <= n; i += LANES)                   \
    for (size_t k = 0; k < LANES; k++) step;           \
  for (size_t k = 0; i + k < n; k++) step

static float vec_sum(const float *x, size_t n) {
  float part[LANES] = {0};
  REDUCE(part[k] += x[i + k]);
  FOLD(part, plus);
  return part[0];
}

static float vec_dot(const float *x, const float *y, size_t n) {
  float part[LANES] = {0};
  REDUCE(part[k] += x[i + k] * y[i + k]);
  FOLD(part, plus);
  return part[0];
}

static float vec_max(const float *x, size_t n) {
  float part[LANES];
  for (size_t k = 0; k < LANES; k++) part[k] = -INFINITY;
  REDUCE(part[k] = larger(part[k], x[i + k]));
  FOLD(part, larger);
  return part[0];
}

static float vec_sum_squares(const float *x, size_t n, float mean) {
  float part[LANES] = {0};
  REDUCE(part[k] += (x[i + k] - mean) * (x[i + k] - mean));
  FOLD(part, plus);
  return part[0];
}

#ifndef OWN_CURVES
static float vec_exp_sum(float *d, const float *x, size_t n, float largest) {
  float part[LANES] = {0};
  REDUCE(part[k] += d[i + k] = vexp_down(x[i + k] - largest));
  FOLD(part, plus);
  return part[0];
}
#endif

static void vec_normalize(float *d, const float *x, size_t n, float mean, float inv, const float *scale, const float *bias) {
  if (scale && bias) {
    LOOP d[i] = (x[i] - mean) * inv * scale[i] + bias[i];
  } else if (scale) {
    LOOP d[i] = (x[i] - mean) * inv * scale[i];
  } else if (bias) {
    LOOP d[i] = (x[i] - mean) * inv + bias[i];
  } else {
    LOOP d[i] = (x[i] - mean) * inv;
  }
}

static void vec_affine(float *d, const float *x, const float *scale, const float *shift, float lo, float hi, size_t n) {
  LOOP {
    float v = x[i] * scale[i] + shift[i];
    v = v < lo ? lo : v;
    d[i] = v > hi ? hi : v;
  }
}

static void vec_accumulate(float *d, const float *x, size_t n) {
  LOOP d[i] += x[i];
}

static void vec_sum3(float *restrict d, const float *a, const float *b, const float *c, float by, size_t n) {
  LOOP d[i] = (a[i] + b[i] + c[i]) * by;
}

static void vec_max3(float *restrict d, const float *a, const float *b, const float *c, size_t n) {
  LOOP {
    float m = a[i] >= b[i] || a[i] != a[i] ? a[i] : b[i];
    d[i] = m >= c[i] || m != m ? m : c[i];
  }
}

static void vec_add_scaled(float *d, const float *x, float w, size_t n) {
  LOOP d[i] += x[i] * w;
}

static void vec_scale_rows(float *d, const float *x, const float *by, size_t n, size_t rows) {
  for (size_t r = 0; r < rows; r++, d += n, x += n) LOOP d[i] = x[i] * by[i];
}

/* Sixteen numbers anywhere, which compilers keep in as many registers as that takes. */
typedef float wide __attribute__((vector_size(64), aligned(4), may_alias));

/* Four rows at a time, whose sums do not wait for one another. */
static void vec_sum_rows(float *d, const float *x, size_t n, size_t rows, size_t step) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const float *p = x + i, *end = p + rows / 4 * 4 * step;
    wide a = {0}, b = a, c = a, e = a;
    for (; p < end; p += 4 * step) {
      a += *(const wide *)p;
      b += *(const wide *)(p + step);
      c += *(const wide *)(p + 2 * step);
      e += *(const wide *)(p + 3 * step);
    }
    for (size_t r = rows / 4 * 4; r < rows; r++, p += step) a += *(const wide *)p;
    *(wide *)(d + i) = (a + b) + (c + e);
  }
  for (; i < n; i++) {
    float sum = 0;
    for (size_t r = 0; r < rows; r++) sum += x[r * step + i];
    d[i] = sum;
  }
}

#ifndef OWN_PICK
static void vec_pick(float *d, const float *x, const int32_t *from, const int32_t *window, size_t n) {
  (void)window;
  LOOP d[i] = x[from[i]];
}
#endif

static void vec_pick_sum(float *restrict d, const float *x, const int32_t *from, const float *w, size_t taps, size_t n) {
  LOOP d[i] = x[from[i]] * w[i];
  for (size_t k = 1; k < taps; k++) {
    from += n, w += n;
    LOOP d[i] += x[from[i]] * w[i];
  }
}

static void vec_blend(float *d, const float *x, const int64_t *at, const float *w, size_t taps, size_t n, bool more) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    wide sum = {0};
    if (more) sum = *(const wide *)(d + i);
    for (size_t k = 0; k < taps; k++) sum += *(const wide *)(x + at[k] + i) * w[k];
    *(wide *)(d + i) = sum;
  }
  for (; i < n; i++) {
    float sum = more ? d[i] : 0;
    for (size_t k = 0; k < taps; k++) sum += x[at[k] + (int64_t)i] * w[k];
    d[i] = sum;
  }
}

/* Sixty-four channels at a time, so that sums do not wait for one another. */
static void vec_sum_products(float *d, const float *x, const int64_t *at, const float *w, const int64_t *row, size_t taps, size_t n, const float *bias) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    wide sum[4] = {{0}};
    for (int v = 0; v < 4 && bias; v++) sum[v] = *(const wide *)(bias + i + 16 * v);
    for (size_t k = 0; k < taps; k++)
      for (int v = 0; v < 4; v++) sum[v] += *(const wide *)(x + at[k] + i + 16 * v) * *(const wide *)(w + row[k] + i + 16 * v);
    for (int v = 0; v < 4; v++) *(wide *)(d + i + 16 * v) = sum[v];
  }
  for (; i + 16 <= n; i += 16) {
    wide sum = {0};
    if (bias) sum = *(const wide *)(bias + i);
    for (size_t k = 0; k < taps; k++) sum += *(const wide *)(x + at[k] + i) * *(const wide *)(w + row[k] + i);
    *(wide *)(d + i) = sum;
  }
  for (; i < n; i++) {
    float sum = bias ? bias[i] : 0;
    for (size_t k = 0; k < taps; k++) sum += x[at[k] + (int64_t)i] * w[row[k] + (int64_t)i];
    d[i] = sum;
  }
}

static void vec_extreme(float *best, int32_t *at, const float *x, float sign, int32_t k, size_t n) {
  LOOP {
    float v = sign * x[i], b = best[i];
    int more = !(v <= b) & (b == b);
    best[i] = more ? v : b;
    at[i] = more ? k : at[i];
  }
}

static void vec_select(float *d, const unsigned char *c, const float *a, const float *b, size_t n, bool many_a, bool many_b) {
  float x = *a, y = *b;
  if (many_a && many_b) LOOP d[i] = c[i] ? a[i] : b[i];
  else if (many_a) LOOP d[i] = c[i] ? a[i] : y;
  else if (many_b) LOOP d[i] = c[i] ? x : b[i];
  else LOOP d[i] = c[i] ? x : y;
}

#define UNARY_ROW(N, expr) [HN_##N] = N##_unary,
#define BINARY_ROW(N, expr) [HN_##N] = N##_binary,
#define RIGHT_ROW(N, expr) [HN_##N] = N##_right,
#define LEFT_ROW(N, expr) [HN_##N] = N##_left,
const hn_vec VEC = {
    .unary = {UNARY(UNARY_ROW) CURVES(UNARY_ROW) UNARY_ROW(Gelu, ) UNARY_ROW(Sin, ) UNARY_ROW(Cos, )},
    .binary = {BINARY(BINARY_ROW)},
    .right = {BINARY(RIGHT_ROW)},
    .left = {BINARY(LEFT_ROW)},
    .sum = vec_sum,
    .dot = vec_dot,
    .max = vec_max,
    .sum_squares = vec_sum_squares,
    .exp_sum = vec_exp_sum,
    .normalize = vec_normalize,
    .affine = vec_affine,
    .accumulate = vec_accumulate,
    .sum3 = vec_sum3,
    .max3 = vec_max3,
    .add_scaled = vec_add_scaled,
    .scale_rows = vec_scale_rows,
    .sum_rows = vec_sum_rows,
    .pick = vec_pick,
    .sum_products = vec_sum_products,
    .blend = vec_blend,
    .pick_sum = vec_pick_sum,
    .extreme = vec_extreme,
    .select = vec_select,
};
