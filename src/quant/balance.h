/* balance.h - channels of activations brought to one range, so that one scale a tensor suits all of them. */
#ifndef HN_BALANCE_H
#define HN_BALANCE_H
#include "ir/graph.h"

/* The largest magnitude of each channel of an activation; n is 0 where it is not known. */
typedef struct hn_channels {
  const float *largest;
  int64_t n;
} hn_channels;

/* The axis of a value's channels where a product with constant weights reads it; -1: none does. */
int32_t hn_channel_axis_of(const hn_graph *g, hn_id value);

/* Each tensor that products alone read gets a factor a channel, which goes into the layer that makes it (weights, bias, a factor or
   summand of its epilogue, or else one more factor behind it, where that pays), and out of the weights that read it: what is computed
   stays the same but for rounding (Xiao et al., "SmoothQuant", 2023, for activations of any network). `seen` has an entry a value.
   *tensors counts. Activations change, so ranges are to be taken anew. */
hone_status hn_balance(hn_graph *g, const hn_channels *seen, uint32_t *tensors);
#endif
