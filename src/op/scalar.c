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

#define R(v) v
#define FLOAT_UNARY(N, expr)                                                            \
  static double N##_one(double x, double a, double b) {                                 \
    (void)a, (void)b;                                                                   \
    return expr;                                                                        \
  }                                                                                     \
  static void N##_run(double *v, size_t n, double a, double b) {                        \
    for (size_t i = 0; i < n; i++) v[i] = N##_one(v[i], a, b);                          \
  }
#include "op/scalar.def"

#define FLOAT_BINARY(N, expr)                                                           \
  static double N##_of(double a, double b, int mode) {                                  \
    (void)mode;                                                                         \
    return expr;                                                                        \
  }                                                                                     \
  static void N##_run(double *a, const double *b, size_t n, int mode) {                 \
    for (size_t i = 0; i < n; i++) a[i] = N##_of(a[i], b[i], mode);                     \
  }
#include "op/scalar.def"

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

#define INT_UNARY(N, expr)                                                              \
  static void N##_irun(int64_t *v, size_t n, bool u) {                                  \
    (void)u;                                                                            \
    for (size_t i = 0; i < n; i++) {                                                    \
      int64_t x = v[i];                                                                 \
      v[i] = expr;                                                                      \
    }                                                                                   \
  }
#include "op/scalar.def"

#define INT_BINARY(N, expr)                                                             \
  static void N##_irun(int64_t *pa, const int64_t *pb, size_t n, int mode, bool u) {    \
    (void)mode, (void)u;                                                                \
    for (size_t i = 0; i < n; i++) {                                                    \
      int64_t a = pa[i], b = pb[i];                                                     \
      pa[i] = expr;                                                                     \
    }                                                                                   \
  }
#include "op/scalar.def"
#undef U
#undef R

/* ---- the tables */
typedef double (*unary_one)(double, double, double);
typedef double (*binary_one)(double, double, int);

static const hn_unary_run unary_runs[HN_OP_COUNT] = {
#define FLOAT_UNARY(N, expr) [HN_##N] = N##_run,
#include "op/scalar.def"
};
static const hn_binary_run binary_runs[HN_OP_COUNT] = {
#define FLOAT_BINARY(N, expr) [HN_##N] = N##_run,
#include "op/scalar.def"
};
static const hn_unary_irun unary_iruns[HN_OP_COUNT] = {
#define INT_UNARY(N, expr) [HN_##N] = N##_irun,
#include "op/scalar.def"
};
static const hn_binary_irun binary_iruns[HN_OP_COUNT] = {
#define INT_BINARY(N, expr) [HN_##N] = N##_irun,
#include "op/scalar.def"
};
static const unary_one unary_ones[HN_OP_COUNT] = {
#define FLOAT_UNARY(N, expr) [HN_##N] = N##_one,
#include "op/scalar.def"
};
static const binary_one binary_ones[HN_OP_COUNT] = {
#define FLOAT_BINARY(N, expr) [HN_##N] = N##_of,
#include "op/scalar.def"
};

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
