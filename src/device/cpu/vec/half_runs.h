/* half_runs.h - arithmetic over runs of 16-bit floats for processors that have it. Of half floats (AVX512-FP16) twice as many at once as
   floats, every step rounded to half floats. Of bfloat16 (AVX-512 BF16, which rounds) computed as floats; what is below 2^-126 is taken
   for zero. */
#ifndef HN_HALF_RUNS_H
#define HN_HALF_RUNS_H
#include <stddef.h>
#include <stdint.h>

#include "hone.h"
#include "ir/opcode.h"

typedef struct hn_half_runs {
  /* d = op(x); d may be x. alpha and beta as in op/scalar.h. Off by at most HN_HALF_STEPS units in the last place of what is
     exact, or 2^-15 (HardSigmoid, HardSwish: of one, and of the argument). */
  void (*unary[HN_OP_COUNT])(uint16_t *d, const uint16_t *x, size_t n, float alpha, float beta); /* NULL: no such function */
  void (*floats[HN_OP_COUNT])(float *d, const float *x, size_t n, float alpha, float beta); /* of floats that are to become such; NULL: none of its own */
  void (*add)(uint16_t *d, const uint16_t *x, const uint16_t *y, size_t n);
  void (*max)(uint16_t *d, const uint16_t *x, const uint16_t *y, size_t n); /* NaN if one is NaN */
  void (*scale)(uint16_t *d, const uint16_t *x, float y, size_t n);
  void (*scale_rows)(uint16_t *d, const uint16_t *x, const uint16_t *by, size_t n, size_t rows); /* rows of n numbers, each times by[] */
  void (*sum_rows)(float *d, const uint16_t *x, size_t n, size_t rows, size_t step); /* d = the sum of rows `step` apart, as floats */
  void (*round)(uint16_t *d, const float *x, float y, size_t n);                      /* x * y */
} hn_half_runs;
enum { HN_HALF_STEPS = 4 };

const hn_half_runs *hn_half_runs_best(hone_dtype t); /* F16 or BF16; NULL: this processor has no such arithmetic */
#if defined(__x86_64__)
extern const hn_half_runs hn_half_runs_avx512fp16, hn_half_runs_avx512bf16;
#endif
#endif
