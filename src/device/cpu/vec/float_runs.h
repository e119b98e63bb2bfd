/* float_runs.h - arithmetic over runs of floats, compiled once for each instruction set from float_runs_body.h. What an operator
   computes is defined by op/scalar.h in double; these are the same in single precision, within a few units in the
   last place. */
#ifndef HN_FLOAT_RUNS_H
#define HN_FLOAT_RUNS_H
#include <stddef.h>

#include "base/isa.h"
#include "ir/opcode.h"

/* d = op(x); d may be x. alpha and beta as in op/scalar.h. */
typedef void (*hn_vec_unary)(float *d, const float *x, size_t n, float alpha, float beta);
/* d = x op y; d may be x or y. */
typedef void (*hn_vec_binary)(float *d, const float *x, const float *y, size_t n);
/* d = x op y with one of them a single number. */
typedef void (*hn_vec_scalar)(float *d, const float *x, float y, size_t n);

typedef struct hn_vec {
  hn_vec_unary unary[HN_OP_COUNT];   /* NULL: no such function */
  hn_vec_binary binary[HN_OP_COUNT];
  hn_vec_scalar right[HN_OP_COUNT];  /* x op y */
  hn_vec_scalar left[HN_OP_COUNT];   /* y op x */
  float (*sum)(const float *x, size_t n);
  float (*dot)(const float *x, const float *y, size_t n);
  float (*max)(const float *x, size_t n);                              /* NaN if one is NaN */
  float (*sum_squares)(const float *x, size_t n, float mean);          /* of x - mean */
  float (*exp_sum)(float *d, const float *x, size_t n, float largest); /* d = exp(x - largest); their sum */
  void (*normalize)(float *d, const float *x, size_t n, float mean, float inv, const float *scale, const float *bias);
                                                                       /* (x - mean) * inv * scale + bias; both may be NULL */
  void (*affine)(float *d, const float *x, const float *scale, const float *shift, float lo, float hi, size_t n);
                                                                       /* x * scale + shift within lo and hi; NaN passes */
  void (*accumulate)(float *d, const float *x, size_t n);              /* d += x */
  /* Of three runs, of which none is d: their sums times `by`, and the largest as Max says. */
  void (*sum3)(float *d, const float *a, const float *b, const float *c, float by, size_t n);
  void (*max3)(float *d, const float *a, const float *b, const float *c, size_t n);
  void (*add_scaled)(float *d, const float *x, float w, size_t n);     /* d += x * w */
  void (*scale_rows)(float *d, const float *x, const float *by, size_t n, size_t rows); /* rows of n numbers, each times by[] */
  void (*sum_rows)(float *d, const float *x, size_t n, size_t rows, size_t step);       /* d = the sum of rows `step` apart */
  /* d[i] = x[from[i]]. window: of each 16 of d in turn, where 32 neighbours in x begin that have them all; negative: nowhere. NULL: of
     none. */
  void (*pick)(float *d, const float *x, const int32_t *from, const int32_t *window, size_t n);
  /* d[i] = the sum over k of x[from[k * n + i]] * w[k * n + i], taps > 0 */
  void (*pick_sum)(float *d, const float *x, const int32_t *from, const float *w, size_t taps, size_t n);
  /* d = the sum over k of w[k] times the run at x + at[k], or with `more` what d is and that; taps > 0 */
  void (*blend)(float *d, const float *x, const int64_t *at, const float *w, size_t taps, size_t n, bool more);
  /* d = bias (NULL: zeros) and the sum over k of the runs x + at[k] and w + row[k], number by number */
  void (*sum_products)(float *d, const float *x, const int64_t *at, const float *w, const int64_t *row, size_t taps, size_t n, const float *bias);
  /* Where sign * x[i] is larger than best[i], or the first that is no number, it takes its place and at[i] becomes k. */
  void (*extreme)(float *best, int32_t *at, const float *x, float sign, int32_t k, size_t n);
  /* d[i] = c[i] ? a[i] : b[i], n > 0; one number of a or b for all where there are not many. Bits are kept. */
  void (*select)(float *d, const unsigned char *c, const float *a, const float *b, size_t n, bool many_a, bool many_b);
} hn_vec;

/* Largest error of the unary functions, over all floats, in units in the last place of the exact result; of the argument
   for Gelu and HardSwish, whose small results are differences; Swish keeps no digits of results below 2^-100. alpha as 1 where
   there is one (Gelu: exact). 0: not stated. tests/kernels/test_accuracy.c sweeps them. */
extern const float hn_vec_ulps[HN_OP_COUNT];

/* The functions for an instruction set this processor has. */
const hn_vec *hn_vec_for(hn_isa isa);
extern const hn_vec hn_vec_portable;
#if defined(__x86_64__)
extern const hn_vec hn_vec_avx2, hn_vec_avx512;
#endif
#endif
