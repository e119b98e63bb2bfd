/* tf_inline.h - calls of functions written out in the graph that makes them. */
#ifndef HN_TF_INLINE_H
#define HN_TF_INLINE_H
#include "format/tensorflow/tf_import.h"

/* Replaces the call `at` of `im`'s graph by the nodes of its function, "call/node", and an IdentityN of the call's name, so
   that who reads the call need not change. New nodes are in `arena`, and *out is the new list. false: it is no plain call of
   a function with known outputs; *out is then as it was. */
hone_status hn_tf_inline(tf_import *im, hn_arena *arena, uint32_t at, tf_node ***out, size_t *n_out, bool *done);
#endif
