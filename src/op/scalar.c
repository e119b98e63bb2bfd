#include "op/scalar.h"

#include <math.h>
#include <string.h>

#include "op/infer.h"

/* Comparisons below are written so that a NaN operand goes through unchanged. */
static double clamp(double v, double lo, double hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double gelu(double x, double tanh_approximation) {
  if (tanh_approximation == 0) return 0.5 * x * erfc(-x * 0.70710678118654752440);
  return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static double float_mod(double a, double b, int mode) {
  double r = fmod(a, b);
  return !mode && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static double larger(double a, double b) { return a >= b || isnan(a) ? a : b; }
static double smaller(double a, double b) { return a <= b || isnan(a) ? a : b; }

/* Every float function of one element: x with attributes a and b. */
#define FLOAT_UNARY(F)                                              \
  F(Abs, fabs(x))                                                   \
  F(Acos, acos(x))                                                  \
  F(Acosh, acosh(x))                                                \
  F(Asin, asin(x))                                                  \
  F(Asinh, asinh(x))                                                \
  F(Atan, atan(x))                                                  \
  F(Atanh, atanh(x))                                                \
  F(Ceil, ceil(x))                                                  \
  F(Cos, cos(x))                                                    \
  F(Cosh, cosh(x))                                                  \
  F(Erf, erf(x))                                                    \
  F(Exp, exp(x))                                                    \
  F(Floor, floor(x))                                                \
  F(Identity, x)                                                    \
  F(Log, log(x))                                                    \
  F(Mish, x *tanh(softplus(x)))                                     \
  F(Neg, -x)                                                        \
  F(Reciprocal, 1 / x)                                              \
  F(Relu, x < 0 ? 0 : x)                                            \
  F(Round, rint(x))                                                 \
  F(Sigmoid, 1 / (1 + exp(-x)))                                     \
  F(Sign, x > 0 ? 1 : x < 0 ? -1 : x)                               \
  F(Sin, sin(x))                                                    \
  F(Sinh, sinh(x))                                                  \
  F(Softplus, softplus(x))                                          \
  F(Softsign, x / (1 + fabs(x)))                                    \
  F(Sqrt, sqrt(x))                                                  \
  F(Tan, tan(x))                                                    \
  F(Tanh, tanh(x))                                                  \
  F(Celu, x < 0 ? a * expm1(x / a) : x)                             \
  F(Clip, clamp(x, a, b))                                           \
  F(Elu, x < 0 ? a * expm1(x) : x)                                  \
  F(Gelu, gelu(x, a))                                               \
  F(HardSigmoid, clamp(a *x + b, 0, 1))                             \
  F(HardSwish, x *clamp(x / 6 + 0.5, 0, 1))                         \
  F(LeakyRelu, x < 0 ? a * x : x)                                   \
  F(Selu, b *(x < 0 ? a * expm1(x) : x))                            \
  F(Shrink, x < -b ? x + a : x > b ? x - a : 0)                     \
  F(Swish, x / (1 + exp(-a * x)))                                   \
  F(ThresholdedRelu, x > a ? x : 0)

#define FLOAT_BINARY(F)                                             \
  F(Add, a + b)                                                     \
  F(Sub, a - b)                                                     \
  F(Mul, a *b)                                                      \
  F(Div, a / b)                                                     \
  F(Mod, float_mod(a, b, mode))                                     \
  F(Pow, pow(a, b))                                                 \
  F(PRelu, a < 0 ? a * b : a)                                       \
  F(Max, larger(a, b))                                              \
  F(Min, smaller(a, b))                                             \
  F(Sum, a + b)                                                     \
  F(Mean, a + b)                                                    \
  F(Equal, a == b)                                                  \
  F(Greater, a > b)                                                 \
  F(GreaterOrEqual, a >= b)                                         \
  F(Less, a < b)                                                    \
  F(LessOrEqual, a <= b)

#define DEFINE(N, expr)                                                                 \
  static double N##_one(double x, double a, double b) {                                 \
    (void)a, (void)b;                                                                   \
    return expr;                                                                        \
  }                                                                                     \
  static void N##_run(double *v, size_t n, double a, double b) {                        \
    for (size_t i = 0; i < n; i++) v[i] = N##_one(v[i], a, b);                          \
  }
FLOAT_UNARY(DEFINE)
#undef DEFINE

#define DEFINE(N, expr)                                                                 \
  static double N##_of(double a, double b, int mode) {                                  \
    (void)mode;                                                                         \
    return expr;                                                                        \
  }                                                                                     \
  static void N##_run(double *a, const double *b, size_t n, int mode) {                 \
    for (size_t i = 0; i < n; i++) a[i] = N##_of(a[i], b[i], mode);                     \
  }
FLOAT_BINARY(DEFINE)
#undef DEFINE

/* ---- integers. Wrapping is done in unsigned arithmetic; u: the bits are a uint64. */
static int64_t wrap(uint64_t v) { return (int64_t)v; }
#define U(v) ((uint64_t)(v))
static bool less(int64_t a, int64_t b, bool u) { return u ? U(a) < U(b) : a < b; }

/* Division by zero has no value in ONNX; it gives 0 here rather than a trap. */
static int64_t int_div(int64_t a, int64_t b, bool u) {
  if (b == 0) return 0;
  if (u) return wrap(U(a) / U(b));
  return b == -1 ? wrap(0 - U(a)) : a / b;
}
static int64_t int_mod(int64_t a, int64_t b, int mode, bool u) {
  if (b == 0) return 0;
  if (u) return wrap(U(a) % U(b));
  if (b == -1) return 0;
  int64_t r = a % b;
  return !mode && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static int64_t int_pow(int64_t a, int64_t b, bool u) {
  if (!u && b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
  uint64_t r = 1, base = U(a);
  for (uint64_t e = U(b); e; e >>= 1, base *= base)
    if (e & 1) r *= base;
  return wrap(r);
}
static int64_t int_shift(int64_t a, int64_t b, int mode) {
  if (U(b) > 63) return 0;
  return wrap(mode ? U(a) >> b : U(a) << b);
}

#define INT_UNARY(F)                                                \
  F(Abs, !u && x < 0 ? wrap(0 - U(x)) : x)                          \
  F(Identity, x)                                                    \
  F(Neg, wrap(0 - U(x)))                                            \
  F(Relu, !u && x < 0 ? 0 : x)                                      \
  F(Sign, x == 0 ? 0 : !u && x < 0 ? -1 : 1)                        \
  F(BitwiseNot, ~x)                                                 \
  F(Not, !x)

#define INT_BINARY(F)                                               \
  F(Add, wrap(U(a) + U(b)))                                         \
  F(Sub, wrap(U(a) - U(b)))                                         \
  F(Mul, wrap(U(a) * U(b)))                                         \
  F(Div, int_div(a, b, u))                                          \
  F(Mod, int_mod(a, b, mode, u))                                    \
  F(Pow, int_pow(a, b, u))                                          \
  F(PRelu, !u && a < 0 ? wrap(U(a) * U(b)) : a)                     \
  F(BitwiseAnd, a &b)                                               \
  F(BitwiseOr, a | b)                                               \
  F(BitwiseXor, a ^ b)                                              \
  F(And, a &b)                                                      \
  F(Or, a | b)                                                      \
  F(Xor, a ^ b)                                                     \
  F(BitShift, int_shift(a, b, mode))                                \
  F(Max, less(a, b, u) ? b : a)                                     \
  F(Min, less(b, a, u) ? b : a)                                     \
  F(Sum, wrap(U(a) + U(b)))                                         \
  F(Mean, wrap(U(a) + U(b)))                                        \
  F(Equal, a == b)                                                  \
  F(Greater, less(b, a, u))                                         \
  F(GreaterOrEqual, !less(a, b, u))                                 \
  F(Less, less(a, b, u))                                            \
  F(LessOrEqual, !less(b, a, u))

#define DEFINE(N, expr)                                                                 \
  static void N##_irun(int64_t *v, size_t n, bool u) {                                  \
    (void)u;                                                                            \
    for (size_t i = 0; i < n; i++) {                                                    \
      int64_t x = v[i];                                                                 \
      v[i] = expr;                                                                      \
    }                                                                                   \
  }
INT_UNARY(DEFINE)
#undef DEFINE

#define DEFINE(N, expr)                                                                 \
  static void N##_irun(int64_t *pa, const int64_t *pb, size_t n, int mode, bool u) {    \
    (void)mode, (void)u;                                                                \
    for (size_t i = 0; i < n; i++) {                                                    \
      int64_t a = pa[i], b = pb[i];                                                     \
      pa[i] = expr;                                                                     \
    }                                                                                   \
  }
INT_BINARY(DEFINE)
#undef DEFINE
#undef U

/* ---- the tables */
typedef double (*unary_one)(double, double, double);
typedef double (*binary_one)(double, double, int);

#define ROW(N, expr) [HN_##N] = N##_run,
static const hn_unary_run unary_runs[HN_OP_COUNT] = {FLOAT_UNARY(ROW)};
static const hn_binary_run binary_runs[HN_OP_COUNT] = {FLOAT_BINARY(ROW)};
#undef ROW
#define ROW(N, expr) [HN_##N] = N##_irun,
static const hn_unary_irun unary_iruns[HN_OP_COUNT] = {INT_UNARY(ROW)};
static const hn_binary_irun binary_iruns[HN_OP_COUNT] = {INT_BINARY(ROW)};
#undef ROW
#define ROW(N, expr) [HN_##N] = N##_one,
static const unary_one unary_ones[HN_OP_COUNT] = {FLOAT_UNARY(ROW)};
#undef ROW
#define ROW(N, expr) [HN_##N] = N##_of,
static const binary_one binary_ones[HN_OP_COUNT] = {FLOAT_BINARY(ROW)};
#undef ROW

static bool in_table(hn_op op) { return (unsigned)op < HN_OP_COUNT; }
hn_unary_run hn_scalar_unary_run(hn_op op) { return in_table(op) ? unary_runs[op] : NULL; }
hn_unary_irun hn_scalar_unary_irun(hn_op op) { return in_table(op) ? unary_iruns[op] : NULL; }
hn_binary_run hn_scalar_binary_run(hn_op op) { return in_table(op) ? binary_runs[op] : NULL; }
hn_binary_irun hn_scalar_binary_irun(hn_op op) { return in_table(op) ? binary_iruns[op] : NULL; }

double hn_scalar_unary(hn_op op, double x, double alpha, double beta) {
  return in_table(op) && unary_ones[op] ? unary_ones[op](x, alpha, beta) : (double)NAN;
}

double hn_scalar_binary(hn_op op, double a, double b) {
  return in_table(op) && binary_ones[op] ? binary_ones[op](a, b, 0) : (double)NAN;
}

void hn_scalar_params(const hn_node *n, float *alpha, float *beta) {
  float v[2] = {hn_default_alpha(n->op), hn_default_beta(n->op)};
  if (n->op == HN_Gelu) v[0] = hn_streq(hn_attr_s(n, "approximate", "none"), "tanh") ? 1 : 0;
  int k = 0;
  for (const char *p = hn_op_info(n->op)->attrs; *p && k < 2;) { /* "alpha:f beta:f" */
    size_t len = strcspn(p, ":");
    char name[32];
    if (p[len] == ':' && p[len + 1] == 'f' && len < sizeof name) {
      memcpy(name, p, len);
      name[len] = 0;
      v[k] = (float)hn_attr_f(n, name, (double)v[k]);
      k++;
    }
    p += strcspn(p, " ");
    p += *p == ' ';
  }
  *alpha = v[0];
  *beta = v[1];
}

int hn_scalar_mode(const hn_node *n) {
  if (n->op == HN_Mod) return hn_attr_i(n, "fmod", 0) != 0;
  return n->op == HN_BitShift && hn_streq(hn_attr_s(n, "direction", ""), "RIGHT");
}
