/* suppress.h - suppression of boxes that ONNX has no operator for. */
#ifndef HN_SUPPRESS_H
#define HN_SUPPRESS_H
#include "ir/graph.h"

/* Every NonMaxSuppression with a sigma becomes a Loop; nested graphs too. UNSUPPORTED: what no Loop here can say. */
hone_status hn_onnx_expand_suppression(hn_graph *g);
#endif
