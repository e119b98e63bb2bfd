/* quantized.h - operands of integer kernels: a tensor with a scale and a zero point, for all or for each channel. */
#ifndef HN_QUANTIZED_H
#define HN_QUANTIZED_H
#include "device/kernel.h"

typedef struct hn_quantized {
  const hn_view *v, *scale, *zero; /* scale and zero are NULL where the operator has none */
  hn_dtype dtype;
} hn_quantized;

/* Opens inputs `tensor`, `scale` and `zero` (HN_NONE: the operator has none; absent zero points are 0). Scales and
   zero points are one number, or `channels` of them. The type is the tensor's, or the zero point's. */
hone_status hn_open_quantized(const hn_exec *x, uint32_t tensor, uint32_t scale, uint32_t zero, int64_t channels, hn_quantized *q);
double hn_scale_of(const hn_quantized *q, int64_t channel);
double hn_zero_of(const hn_quantized *q, int64_t channel);
/* A real number as q's type holds it: round(v / scale) to even, plus the zero point, saturated. */
double hn_requantize(const hn_quantized *q, double v, int64_t channel);
#endif
