/* short_floats.h - 16-bit floats: lowering a graph to them, and running on them what has no kernel for them. */
#ifndef HN_SHORT_FLOATS_H
#define HN_SHORT_FLOATS_H
#include "quant/absorb.h"

/* Products with constant weights, unless keep[node], and what lies between them compute in `type`, BF16 or F16; Cast at the
   borders. */
hone_status hn_quantize_half(hn_graph *g, hn_dtype type, const bool *keep, hone_quantize_result *result);
/* Can the node be run as it is, by other than its reference? */
typedef bool (*hn_takes_node)(const void *user, const hn_graph *g, hn_id node);
/* In a graph that is about to be planned: nodes of 16-bit floats for which there is no kernel compute in F32, between Casts;
   element-wise layers and movements work on them as they are.
   elsewhere: by node id, those not to be looked at; NULL: none. */
hone_status hn_quant_widen(hn_graph *g, hn_takes_node takes, const void *user, const bool *elsewhere);
#endif
