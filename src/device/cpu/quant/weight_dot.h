/* weight_dot.h - sums of floats times small weights, compiled for each instruction set from weight_dot_body.h. Weights lie in
   blocks of 32 with a scale each; they are what is read from memory, and it is memory that limits. */
#ifndef HN_WEIGHT_DOT_H
#define HN_WEIGHT_DOT_H
#include <stdint.h>

#include "base/isa.h"

enum { HN_WEIGHT_BLOCK = 32, HN_WEIGHT_ROWS = 4, HN_WEIGHT_GROUP = 4 /* blocks of 4 bits */ };
/* 8 bits: signed. 4 bits: four blocks lie together, byte 4 i + b holds weights i (low) and i + 16 of block b, plus 8: words of 32 bits that are
   shifted by 8 b have weights 0 to 15 of it in their lowest bits. There the number of blocks is a multiple of four. */
typedef struct hn_weight_dot {
  float (*i8)(const float *x, const int8_t *w, const float *scale, int64_t blocks);
  float (*i4)(const float *x, const uint8_t *w, const float *scale, int64_t blocks);
  float (*i8_one)(const float *x, const int8_t *w, int64_t blocks); /* without scales */
  /* The same of HN_WEIGHT_ROWS rows ld apart, for which the weights are widened once. */
  void (*rows_i8)(float *sums, const float *x, int64_t ld, const int8_t *w, const float *scale, int64_t blocks);
  void (*rows_i4)(float *sums, const float *x, int64_t ld, const uint8_t *w, const float *scale, int64_t blocks);
  void (*rows_i8_one)(float *sums, const float *x, int64_t ld, const int8_t *w, int64_t blocks);
} hn_weight_dot;

const hn_weight_dot *hn_weight_dot_for(hn_isa isa);
extern const hn_weight_dot hn_weight_dot_portable;
#if defined(__x86_64__)
extern const hn_weight_dot hn_weight_dot_avx2, hn_weight_dot_avx512;
#endif
#endif
