/* short_floats.h - 16-bit floats: lowering a graph to them, and running on them what has no kernel for them. */
#ifndef HN_SHORT_FLOATS_H
#define HN_SHORT_FLOATS_H
#include "quant/absorb.h"

/* Products with constant weights, unless keep[node], and what lies between them compute in `type`, BF16 or F16; Cast at the
   borders. */
hone_status hn_quantize_half(hn_graph *g, hn_dtype type, const bool *keep, hone_quantize_result *result);
/* In a graph that is about to be planned: nodes that take 16-bit floats and have no kernel for them compute in F32, between
   Casts; element-wise layers and movements work on them as they are. bf16: products and poolings of BF16 have kernels; f16: products of F16 by one
   constant matrix have, convolutions without groups among them.
   elsewhere: by node id, those not to be looked at; NULL: none. */
hone_status hn_quant_widen(hn_graph *g, bool bf16, bool f16, const bool *elsewhere);
#endif
