/* chain.h - a chain of element-wise steps over one tensor, run chunk by chunk while the chunk is in the cache: what
   element-wise nodes compute, and the part of any node's epilogue that its kernel did not take into itself. */
#ifndef HN_CHAIN_H
#define HN_CHAIN_H
#include "device/cpu/cpu.h"

typedef struct hn_chain hn_chain;

/* Compiles steps that start from input `source` (HN_NONE: from output 0, in place) and give output 0 in
   t->out[0].layout, with gaps if it is `pitched`. Floats, half floats, and 8-bit integers that
   stand for reals. Sets the layouts in which it wants the inputs it reads. UNSUPPORTED: not possible. */
hone_status hn_chain_create(hn_task *t, uint32_t source, const hn_step *steps, uint32_t n, hn_chain **out);
void hn_chain_destroy(hn_chain *c); /* accepts NULL */
void hn_chain_run(const hn_chain *c, hn_exec *x);
/* On n elements of output 0 from element `from` on, in the order in which they lie, by this thread: for kernels that finish
   their output piece by piece. Not for blocked layouts, nor an output with gaps. */
void hn_chain_run_part(const hn_chain *c, hn_exec *x, int64_t from, int64_t n);
#endif
