/* balance.h - channels of activations scaled against the weights that read them, so that one scale a tensor suits all of them. */
#ifndef HN_BALANCE_H
#define HN_BALANCE_H
#include "quant/factors.h"
#include "quant/samples.h"

/* The range of each channel of an activation and the factors it is to have; n is 0 where it is not known. */
typedef struct hn_channels {
  const float *low, *high;
  float *factors; /* NULL: none. Freed by who owns the entry */
  int64_t n;
} hn_channels;

/* Chooses factors for each tensor that a product makes and products alone read: of those proposed by weights (cross-layer equalization:
   Nagel et al., "Data-Free Quantization", 2019) and by activations (after Xiao et al., "SmoothQuant", 2023), `by` being flags of
   hone_balance, the ones with which the layers that read it, in 8 bits, come nearest to their results on `samples` (by node); none
   where it does not help. `seen` has an entry a value, and gets the factors; the graph stays as it is. */
hone_status hn_balance_choose(const hn_graph *g, unsigned by, hn_channels *seen, const hn_samples *samples, int threads);
/* Moves the factors that `seen` has; *tensors counts. Activations change, so ranges are to be taken anew. */
hone_status hn_balance(hn_graph *g, const hn_channels *seen, uint32_t *tensors);
#endif
