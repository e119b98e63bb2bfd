/* quantize.h - lowering the precision of a graph, explicitly: the result says in standard operators what is computed. */
#ifndef HN_QUANTIZE_H
#define HN_QUANTIZE_H
#include "quant/reconstruct.h"

/* Range of an activation, by value id. */
typedef struct hn_range {
  bool known;
  float low, high;
} hn_range;

/* How weights are rounded; all zero: each to the nearest. `samples` has an entry a node. */
typedef struct hn_refinement {
  hn_rounding how;
  hn_samples *samples;
  int threads;
  hone_quantize_progress_fn progress; /* NULL: nobody wants to know */
  void *user;
} hn_refinement;

/* 8 bits: every convolution and matrix product with constant weights, unless keep[node], gets QuantizeLinear and
   DequantizeLinear around its inputs; layers between such ones work on integers as well. `ranges` has an entry a value. */
hone_status hn_quantize_int8(hn_graph *g, const hn_range *ranges, const bool *keep, const hn_refinement *refine, hone_quantize_result *result);
#endif
