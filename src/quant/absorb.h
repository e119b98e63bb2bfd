/* absorb.h - from explicit quantization to integer kernels. */
#ifndef HN_ABSORB_H
#define HN_ABSORB_H
#include "ir/graph.h"

/* In a graph that is about to be planned: nodes take over the DequantizeLinear before them and the QuantizeLinear behind them
   where there are integer kernels for it. Their values are integers then, with `quant` set. What is meant stays the
   same; nodes keep their ids. Only tensors of fixed shape. `eval` computes a node of constant inputs. */
typedef hone_status (*hn_eval_node_fn)(hn_graph *g, hn_id node, hn_tensor **outs);
hone_status hn_quant_absorb(hn_graph *g, hn_eval_node_fn eval);
/* Constants in integer form become floats: what is left to kernels of floats. */
hone_status hn_quant_open_constants(hn_graph *g, hn_eval_node_fn eval);
#endif
