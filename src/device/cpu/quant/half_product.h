/* half_product.h - what products of 16-bit floats share: bias, and the way from sums to outputs. */
#ifndef HN_HALF_PRODUCT_H
#define HN_HALF_PRODUCT_H
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/half_tile.h"

/* A tile of sums, and what they become. */
typedef struct hn_half_made {
  hn_half_ending e;
  float *sums;
  int rows, cols; /* rows 0: none */
} hn_half_made;
/* With the unary steps of `e` too where the tile lets sums stay: as floats they are at hand. */
void hn_half_end(const hn_half_tile *tile, const hn_ending *e, const hn_half_made *m);
/* A constant input of n numbers as floats, up to whole panels; the task does not need it any more. */
hone_status hn_half_pack_bias(hn_task *t, uint32_t input, int64_t n, const float **bias);
#endif
