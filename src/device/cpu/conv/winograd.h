/* winograd.h - the transforms of F(m x m, 3x3), Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2015: an
   output tile of m x m pixels from m + 2 by m + 2 input pixels by (m + 2)^2 products in place of 9 m^2. Points: 0, 1, -1,
   infinity; for m = 4 also 2, -2; for m = 6 also 2, -2, 1/2, -1/2. */
#ifndef HN_WINOGRAD_H
#define HN_WINOGRAD_H
#include "base/isa.h"

#include <stdint.h>

enum { WINOGRAD_MAX_IN = 8, WINOGRAD_MAX_POINTS = 64 };

typedef struct hn_winograd_end {
  const float *bias, *residual; /* NULL: none */
  int64_t residual_line, residual_pixel; /* how far apart its lines and pixels are */
  float lo, hi;
} hn_winograd_end;

typedef struct hn_winograd {
  int out, in; /* pixels along a side of a tile: m, m + 2 */
  /* `n` channels of in x in pixels, pixel[i] pointing to the first, to v[i * step]. n is a multiple of 16. */
  void (*input)(const float *const *pixel, int64_t n, float *v, int64_t step);
  /* `n` channels of in x in sums, m[i * step], to rows x cols pixels at out, line_step and pixel_step apart. */
  void (*output)(const float *m, int64_t step, int64_t n, const hn_winograd_end *end, float *out, int64_t line_step,
                 int64_t pixel_step, int rows, int cols);
} hn_winograd;

/* out: 2, 4 or 6 */
const hn_winograd *hn_winograd_for(hn_isa isa, int out);
extern const hn_winograd hn_winograd2_portable, hn_winograd4_portable, hn_winograd6_portable;
#if defined(__x86_64__)
extern const hn_winograd hn_winograd2_avx2, hn_winograd4_avx2, hn_winograd6_avx2, hn_winograd2_avx512, hn_winograd4_avx512,
    hn_winograd6_avx512;
#endif
/* A 3x3 kernel, its numbers in a row, to in x in. */
void hn_winograd_weights(int out, const float *g, float *u);
#endif
