/* eval.h - computing single nodes on constants: constant folding and tests. */
#ifndef HN_EVAL_H
#define HN_EVAL_H
#include "device/kernel.h"

/* Runs the reference kernel (and epilogue) of a node on given inputs: in[i] for each input, data NULL where absent.
   outs: n_out fresh tensors, one reference each, NULL for absent outputs. Nested graphs are run too. */
hone_status hn_eval_node(hn_graph *g, hn_id node, const hn_view *in, hn_tensor **outs);
/* The same where all inputs are constants of the graph (hn_eval_fn of pass/pass.h). */
hone_status hn_eval_constant(hn_graph *g, hn_id node, hn_tensor **outs);
/* A view of a constant. */
hn_view hn_view_of(const hn_tensor *t);
#endif
