/* winograd.h - the transforms of F(4x4, 3x3), Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2015:
   an output tile of 4x4 pixels from 6x6 input pixels by 36 products in place of 144. Points 0, 1, -1, 2, -2, infinity. */
#ifndef HN_WINOGRAD_H
#define HN_WINOGRAD_H
#include "base/isa.h"

#include <stdint.h>

enum { WINOGRAD_OUT = 4, WINOGRAD_IN = 6, WINOGRAD_POINTS = 36 };

typedef struct hn_winograd_end {
  const float *bias, *residual; /* NULL: none; residual lies as the output does */
  float lo, hi;
} hn_winograd_end;

typedef struct hn_winograd {
  /* `n` channels of 36 pixels, pixel[i] pointing to the first, to v[i * step]. n is a multiple of 16. */
  void (*input)(const float *const *pixel, int64_t n, float *v, int64_t step);
  /* `n` channels of 36 sums, m[i * step], to rows x cols pixels at out, line_step and pixel_step apart. */
  void (*output)(const float *m, int64_t step, int64_t n, const hn_winograd_end *end, float *out, int64_t line_step,
                 int64_t pixel_step, int rows, int cols);
} hn_winograd;

const hn_winograd *hn_winograd_for(hn_isa isa);
extern const hn_winograd hn_winograd_portable;
#if defined(__x86_64__)
extern const hn_winograd hn_winograd_avx2, hn_winograd_avx512;
#endif
/* A 3x3 kernel, its numbers in a row, to 36. */
void hn_winograd_weights(const float *g, float *u);
#endif
