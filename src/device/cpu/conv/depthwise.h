/* depthwise.h - a few neighbouring pixels of a depthwise convolution, channels last, compiled for each instruction set. */
#ifndef HN_DEPTHWISE_H
#define HN_DEPTHWISE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

enum { DEPTHWISE_PIXELS = 7, DEPTHWISE_SIDE = 5 };

typedef struct hn_depthwise_job {
  const void *const *pixel;  /* where the input pixels are: kernel_h rows of (pixels - 1) * stride + kernel_w, zeros outside */
  const void *weights;       /* tap, channel */
  const void *bias;          /* NULL: none */
  int64_t channels;
  void *out;                 /* pixels, out_pitch apart */
  int64_t out_pitch;
  float lo, hi;              /* NaN passes */
} hn_depthwise_job;

/* pixels: 1..DEPTHWISE_PIXELS */
typedef void (*hn_depthwise_fn)(const hn_depthwise_job *j, int pixels);
/* For square kernels of side 3 or 5, stride 1 or 2, and at least *least channels; NULL for others. half: of half floats, for
   processors that multiply those; the sum of a window is one of half floats too, off by less than the taps + 1 times 2^-11 of
   the sum of its products' sizes. */
hn_depthwise_fn hn_depthwise_for(hn_isa isa, bool half, int64_t kernel, int64_t stride, int64_t *least);

typedef struct hn_depthwise {
  int least; /* channels */
  hn_depthwise_fn fn[2][2]; /* side 3, 5; stride 1, 2 */
} hn_depthwise;
extern const hn_depthwise hn_depthwise_portable;
#if defined(__x86_64__)
extern const hn_depthwise hn_depthwise_avx2, hn_depthwise_avx512, hn_depthwise_avx512fp16;
#endif
#endif
