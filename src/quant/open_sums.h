/* open_sums.h - what opens the sums of an integer product becomes the product's own ending. */
#ifndef HN_OPEN_SUMS_H
#define HN_OPEN_SUMS_H
#include "quant/short_floats.h"

/* In a graph that is about to be planned: a MatMulInteger that only a Cast to F32 reads gives floats itself, with the Cast's epilogue
   (scales, bias, what follows) behind, where `takes` says that a kernel does it so. */
hone_status hn_quant_open_sums(hn_graph *g, hn_takes_node takes, const void *user);
#endif
