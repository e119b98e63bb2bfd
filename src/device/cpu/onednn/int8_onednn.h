/* int8_onednn.h - what the products of 8-bit integers by oneDNN share: from sums of 32 bits to the output. */
#ifndef HN_INT8_ONEDNN_H
#define HN_INT8_ONEDNN_H
#include "device/cpu/onednn/dnnl_util.h"
#include "device/cpu/quant/int8_tail.h"

/* The output is written by the primitive itself; or, where it does not know a step of the epilogue, it leaves reals in
   scratch, from which a chain makes the output. */
typedef struct hn_int8 {
  hn_dnnl_run run;
  hn_int8_tail tail; /* its chain is NULL: none */
} hn_int8;

/* How a product is described, for one way to make the output. */
typedef struct hn_int8_way {
  dnnl_primitive_attr_t attr;
  dnnl_data_type_t dst;
  uint32_t residual; /* input whose buffer becomes the output, or HN_NONE */
} hn_int8_way;

/* Integers whose products are exact here: a processor on which sums of 16 bits do not saturate. */
bool hn_int8_applies(const hn_task *t);
/* Attributes of the k-th way to do it, the fastest first; false: there is none. `mask`: of the dimension of channels.
   Sets t->fused. */
bool hn_int8_try(hn_task *t, int k, int mask, hn_int8_way *way);
/* Once the primitive is chosen: the output's tail, and which buffers are used. `channels` is 0 without a bias. */
hone_status hn_int8_finish(hn_task *t, hn_int8 *s, const_dnnl_primitive_desc_t pd, const hn_int8_way *way, const dnnl_memory_desc_t *stored,
                           const hn_tensor *bias);
hone_status hn_int8_run(hn_exec *x);
void hn_int8_destroy(hn_task *t);
#endif
