/* upgrade.h - operators of older opsets in the spelling of the newest. */
#ifndef HN_ONNX_UPGRADE_H
#define HN_ONNX_UPGRADE_H
#include "ir/graph.h"

/* Our operator for a standard one; HN_OP_NONE: not supported in that opset. */
hn_op hn_upgrade_op(const char *name, int64_t opset);
/* Moves attributes that became inputs, drops those that lost their meaning. The node is as the file has it. outs: its
   output values; an upgrade that spreads over several nodes replaces some. */
hone_status hn_upgrade_node(hn_graph *g, hn_id node, const char *name, int64_t opset, hn_id *outs);
#endif
