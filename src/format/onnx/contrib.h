/* contrib.h - operators of ONNX Runtime's own domain, as ours. */
#ifndef HN_CONTRIB_H
#define HN_CONTRIB_H
#include "ir/graph.h"

/* Our operator for one of that domain; HN_OP_NONE: none. */
hn_op hn_contrib_op(const char *domain, const char *name);
/* Brings its inputs, of which there are *n, into our order before the node is made. node: its name. */
hone_status hn_contrib_inputs(hn_graph *g, const char *op, const char *node, hn_id *in, uint32_t *n);
/* The attributes that it implies. */
void hn_contrib_attributes(hn_graph *g, const char *op, hn_id node);
#endif
