/* dnnl_util.h - what the oneDNN kernels share. */
#ifndef HN_DNNL_UTIL_H
#define HN_DNNL_UTIL_H
#include "device/cpu/cpu.h"
#include "device/cpu/onednn/dnnl_calls.h"

/* For a plan(), before the first call: opens the library and makes the session's engine. UNSUPPORTED: it is not there. */
hone_status hn_dnnl_open(const hn_task *t);
void hn_dnnl_close(hn_cpu *c);

/* The oneDNN type of ours; dnnl_data_type_undef if it has none. */
dnnl_data_type_t hn_dnnl_type(hn_dtype t);
/* Memory descriptor of a tensor in one of our layouts; false if there is none. */
bool hn_dnnl_desc(hn_dtype t, int32_t rank, const int64_t *dims, hn_layout layout, dnnl_memory_desc_t *md);
/* The same of an argument, with its pitch if that is taken. */
bool hn_dnnl_arg_desc(const hn_arg *a, dnnl_memory_desc_t *md);
/* One that leaves the layout to oneDNN. */
bool hn_dnnl_any(hn_dtype t, int32_t rank, const int64_t *dims, dnnl_memory_desc_t *md);
/* Which of our layouts a descriptor of this tensor is; false: none. */
bool hn_dnnl_layout(const dnnl_memory_desc_t *md, const hn_arg *a, hn_layout *out);

/* Floats that it computes with here: 32 bits, and BF16 where the processor widens them in registers or multiplies them. */
bool hn_dnnl_computes(hn_dtype t);

/* Attributes of a primitive that takes in as many steps of the node's epilogue, from t->fused on, as oneDNN can fuse,
   and counts them there. `sum`: a residual whose buffer may become the output's can be one of them; *residual is its input, or
   HN_NONE. */
bool hn_dnnl_attributes(hn_task *t, bool sum, dnnl_primitive_attr_t *attr, uint32_t *residual);
/* A unary step as an element-wise post-operation. */
bool hn_dnnl_unary(const hn_step *s, dnnl_alg_kind_t *kind, float *alpha, float *beta);
/* The residual's buffer becomes the output's. */
void hn_dnnl_take_residual(hn_task *t, uint32_t residual);

/* A primitive, its memories, and the arguments it is run with. Zero-initialized; freed by hn_dnnl_destroy. */
enum { HN_DNNL_ARGS = 8 };
typedef struct hn_dnnl_run {
  dnnl_primitive_t primitive;
  int n;
  dnnl_exec_arg_t args[HN_DNNL_ARGS];
  int source[HN_DNNL_ARGS];    /* where an argument's data is: input i, or one of the HN_DNNL_* below */
} hn_dnnl_run;
enum { HN_DNNL_OUTPUT = -1, HN_DNNL_SCRATCH = -2, HN_DNNL_FIXED = -3 };

/* One more argument: data from input/output/scratch at run time, or fixed at `data` now. */
hone_status hn_dnnl_bind(hn_task *t, hn_dnnl_run *r, int arg, const dnnl_memory_desc_t *md, int source, void *data);
/* Copies constant `w`, described by `from`, into a pack of the task in layout `want`, and binds it. */
hone_status hn_dnnl_pack(hn_task *t, hn_dnnl_run *r, int arg, const hn_tensor *w, const dnnl_memory_desc_t *from,
                         const dnnl_memory_desc_t *want);
/* Creates the primitive and binds its scratchpad. UNSUPPORTED where oneDNN would use its slow reference code. */
hone_status hn_dnnl_create(hn_task *t, hn_dnnl_run *r, const_dnnl_primitive_desc_t pd);
hone_status hn_dnnl_execute(const hn_dnnl_run *r, hn_exec *x);
void hn_dnnl_destroy(hn_dnnl_run *r);

/* ---- what Conv and ConvTranspose share: images of floats, constant weights (input 1), perhaps a constant bias (input 2) */
bool hn_dnnl_is_convolution(const hn_task *t);
bool hn_dnnl_has_bias(const hn_task *t);
/* Packs the weights, which are stored as `stored` says, binds everything, creates the primitive as the task's state. */
hone_status hn_dnnl_prepare_convolution(hn_task *t, const_dnnl_primitive_desc_t pd, const dnnl_memory_desc_t *stored);

/* ---- for kernels whose state is a hn_dnnl_run: their run() and destroy() */
hone_status hn_dnnl_state_run(hn_exec *x);
void hn_dnnl_state_destroy(hn_task *t);
#endif
