/* equalize.h - cross-layer equalization: channels that one layer makes large and the next one small meet half-way. */
#ifndef HN_EQUALIZE_H
#define HN_EQUALIZE_H
#include "ir/graph.h"

/* Scales the channels between two convolutions, of which the second alone reads the first through nothing but Relu or
   LeakyRelu, so that both have weights of one range for it (Nagel et al., "Data-Free Quantization", 2019). What is computed stays
   the same but for rounding. *pairs counts. Before calibration, since activations change. */
hone_status hn_equalize(hn_graph *g, uint32_t *pairs);
#endif
