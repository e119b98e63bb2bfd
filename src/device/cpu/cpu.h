/* cpu.h - the CPU device: what its kernels share, and changes of layout. */
#ifndef HN_CPU_H
#define HN_CPU_H
#include "base/isa.h"
#include "device/kernel.h"

/* What the kernels of one session share; they reach it as hn_task.device. */
typedef struct hn_cpu {
  hn_isa isa;
  hn_bytes bytes;              /* how it multiplies bytes; tests set less than the processor has */
  const struct hn_half_runs *half, *brain; /* arithmetic on half floats and on bfloat16, vec/half_runs.h; NULL: it has none */
  const struct hn_half_tile *bf16; /* products of bfloat16, quant/half_tile.h; NULL: it has none of ours */
  const struct hn_split *split;/* products of single precision by bfloat16 parts, split/split.h; NULL: not worth while here */
  const struct hn_vec *vec;    /* arithmetic for it, vec/float_runs.h */
  struct dnnl_engine *engine;  /* oneDNN's, once a kernel of its is planned: hn_dnnl_open(); NULL before */
  struct dnnl_stream *stream;
  bool without_dnnl;           /* it is not there */
  int64_t thread_macs;         /* multiply-accumulates that are worth waking a thread for; tests set 1 */
  double winograd_error;       /* the largest error relative to the largest result that Winograd's convolution and products by bfloat16
                                  parts may make */
} hn_cpu;
static inline const hn_cpu *hn_cpu_of(const hn_task *t) { return t->device; }
/* For numbers of a type; NULL: not of 16 bits, or it has none. */
static inline const struct hn_half_runs *hn_cpu_runs(const hn_cpu *c, hn_dtype t) {
  return t == HONE_DTYPE_F16 ? c->half : t == HONE_DTYPE_BF16 ? c->brain : NULL;
}
#define HN_WINOGRAD_ERROR 1e-4

/* isa: the best instruction set to use, which this processor must have (see hn_isa_best). */
hone_status hn_cpu_create(hone_context *cx, hn_isa isa, hn_cpu **out);
void hn_cpu_destroy(hn_cpu *cpu); /* accepts NULL */

/* The kernel that changes a layout, or within one the gaps between runs. Its task has one input and one output of the same dtype and dims, whose
   `layout` fields say from and to; plan() makes it, UNSUPPORTED if there is no such conversion. node is NULL. */
const hn_kernel *hn_reorder_kernel(hn_dtype t, hn_layout from, hn_layout to);
extern const hn_kernel hn_reorder_onednn_kernel; /* for blocked layouts */
/* A Concat some inputs of which are `placed`: it copies the others, into output 0 as it lies (move/join_move.c). */
extern const hn_kernel hn_fill_kernel;

/* The reference of any node that has integers in the place of real numbers (hn_arg.quant): the operator's own
   reference between conversions (ref/reals_ref.c). Movements keep the integers as they are and do without. */
extern const hn_kernel hn_reals_kernel;
bool hn_takes_reals(const hn_task *t);

/* Applies the node's epilogue to output 0 in place, with the reference arithmetic (ref/epilogue_ref.c). */
hone_status hn_apply_epilogue_ref(hn_exec *x);
#endif
