/* depthwise.h - a few neighbouring pixels of a depthwise convolution, channels last, compiled for each instruction set. */
#ifndef HN_DEPTHWISE_H
#define HN_DEPTHWISE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "hone.h"

enum { DEPTHWISE_PIXELS = 7, DEPTHWISE_SIDE = 5, DEPTHWISE_LINES = 2 };

/* How far the windows of neighbouring pixels are apart, down and to the right. */
typedef enum hn_depthwise_step {
  HN_DEPTHWISE_ONE,  /* 1, 1 */
  HN_DEPTHWISE_TWO,  /* 2, 2 */
  HN_DEPTHWISE_PAIR, /* 1, 2: what is called a pixel is two of stride 1, with twice the channels, so that few of them fill vectors */
  HN_DEPTHWISE_STEPS
} hn_depthwise_step;

typedef struct hn_depthwise_job {
  const void *const *pixel;  /* where the input pixels are: (lines - 1) * step + kernel_h rows of (pixels - 1) * step + kernel_w,
                                zeros outside */
  const void *weights;       /* tap, channel; they and the bias of what is computed with */
  const void *bias;          /* NULL: none */
  int64_t channels;
  void *out[DEPTHWISE_LINES];/* pixels of each line, out_pitch apart */
  int64_t out_pitch;
  float lo, hi;              /* NaN passes */
  float swish;               /* not 0: then x / (1 + exp(-swish x)), in a table that has it */
} hn_depthwise_job;

/* lines: 1..hn_depthwise.lines; pixels: 1..DEPTHWISE_PIXELS */
typedef void (*hn_depthwise_fn)(const hn_depthwise_job *j, int lines, int pixels);

typedef struct hn_depthwise {
  int least; /* channels */
  int lines; /* at a time, at most: what two lines share of the image is read once */
  bool swish;
  hn_depthwise_fn fn[2][HN_DEPTHWISE_STEPS]; /* side 3, 5 */
} hn_depthwise;
/* F32; BF16, with weights and bias of floats; F16, for processors that multiply those: the sum of a window is one of half floats
   too, off by less than the taps + 1 times 2^-11 of the sum of its products' sizes. NULL: not of this type here. brain: there are instructions that round to BF16. */
const hn_depthwise *hn_depthwise_for(hn_isa isa, hone_dtype t, bool brain);
/* For square kernels of side 3 or 5; NULL for others. */
hn_depthwise_fn hn_depthwise_of(const hn_depthwise *d, int64_t kernel, hn_depthwise_step step);

extern const hn_depthwise hn_depthwise_portable;
#if defined(__x86_64__)
extern const hn_depthwise hn_depthwise_avx2, hn_depthwise_avx512, hn_depthwise_avx512fp16, hn_depthwise_bf16_avx512, hn_depthwise_bf16_avx512bf16;
#endif
#endif
