/* dynamic.h - 8 bits without calibration: activations are quantized in each run, by the range they have then. */
#ifndef HN_DYNAMIC_H
#define HN_DYNAMIC_H
#include "ir/graph.h"

/* Every matrix product with constant weights, unless keep[node], becomes DynamicQuantizeLinear, MatMulInteger and what
   brings its sums back to floats: one scale a row of activations, one a column of weights. Other runtimes
   have none by rows: a file for them has one a tensor. */
hone_status hn_quantize_dynamic(hn_graph *g, const bool *keep, hone_quantize_result *result);
#endif
