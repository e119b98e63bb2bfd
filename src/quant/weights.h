/* weights.h - small weights, activations in floats: for models that memory limits. */
#ifndef HN_WEIGHTS_H
#define HN_WEIGHTS_H
#include "ir/graph.h"

/* Weights of products in 8 bits with a scale a channel, or those of matrix products in 4 bits with a scale for each 32 along the
   sum, behind a DequantizeLinear. */
hone_status hn_quantize_weights(hn_graph *g, int bits, const bool *keep, hone_quantize_result *result);
#endif
