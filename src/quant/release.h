/* release.h - integers back to floats where no kernel takes them. */
#ifndef HN_RELEASE_H
#define HN_RELEASE_H
#include "quant/short_floats.h"

/* After hn_quant_absorb(): nodes of integers that stand for reals and that `takes` does not say yes to are put between conversions
   again, so that kernels of floats do them. elsewhere (may be NULL): nodes left alone. */
hone_status hn_quant_release(hn_graph *g, hn_takes_node takes, const void *user, const bool *elsewhere);
#endif
