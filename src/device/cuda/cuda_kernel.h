/* cuda_kernel.h - what the host's halves of our own kernels share. */
#ifndef HN_CUDA_KERNEL_H
#define HN_CUDA_KERNEL_H
#include "device/cuda/cuda_device.h"
#include "device/cuda/gpu.h"
#include "device/nd.h"

/* All tensors are small enough for 32-bit indices. */
bool hn_cuda_fits(const hn_task *t);
static inline bool hn_cuda_float(const hn_arg *a) {
  return (a->dtype == HONE_DTYPE_F32 || a->dtype == HONE_DTYPE_F16 || a->dtype == HONE_DTYPE_BF16) && !a->quant;
}
/* The operator's own input i is there. */
static inline bool hn_cuda_given(const hn_task *t, uint32_t i) { return i < t->node->n_main && i < t->n_in && t->in[i].present; }
bool hn_cuda_wants(const hn_task *t, uint32_t i); /* output i is asked for */
/* Tensors below `inputs` and all outputs are floats of one type. */
bool hn_cuda_floats(const hn_task *t, uint32_t inputs);
bool hn_cuda_same_dims(const hn_arg *a, const hn_arg *b);
int64_t hn_cuda_count(const hn_arg *a);
/* The elements of input i, which must be a constant of at most max of them: how many; -1: it is not. */
int64_t hn_cuda_ints(const hn_task *t, uint32_t i, int64_t *v, int64_t max);
void hn_cuda_plain(hn_task *t); /* every tensor row-major */
hone_status hn_cuda_state(hn_task *t, size_t bytes, void *state); /* *(void **)state is t->state, zeroed */
void hn_cuda_free_state(hn_task *t);
#define HN_CUDA_DESTROY(name) \
  void name##_destroy(hn_task *t) { hn_cuda_free_state(t); }

/* All but run() of a kernel on row-major tensors, the first `inputs` of them and the outputs floats of one type, whose state is one
   `type` that of(task, &state) fills; false: it does not take the task. */
#define HN_CUDA_PLAIN(name, type, inputs, of)                                \
  bool name##_supports(const hn_task *t) {                                   \
    type state;                                                              \
    return hn_cuda_floats(t, inputs) && of(t, &state);                       \
  }                                                                          \
  hone_status name##_plan(hn_task *t) {                                      \
    type *state;                                                             \
    hn_cuda_plain(t);                                                        \
    HN_TRY(hn_cuda_state(t, sizeof *state, &state));                         \
    return of(t, state) ? HONE_OK : HONE_UNSUPPORTED;                        \
  }                                                                          \
  HN_CUDA_DESTROY(name)

/* Strides in elements of a tensor's logical dimensions, row-major or channels last. */
void hn_cuda_strides(const hn_arg *a, int64_t *stride);
/* A strided copy, made as cheap as it can be: dimensions in the order in which `to` lies, merged, units wide. Offsets and
   strides in elements of `size` bytes. */
bool hn_cuda_plan_copy(hn_gpu_copy *c, int32_t rank, const int64_t *dims, const int64_t *in, const int64_t *out, int64_t size,
                       int64_t from, int64_t to);
/* Runs it between two tensors; `from` and `to` are the offsets given above. */
void hn_cuda_run_copy(const hn_exec *x, hn_gpu_copy c, const void *from, void *to);

/* Where a kernel says that an index is out of range. */
static inline hn_gpu_fault hn_cuda_fault(const hn_exec *x) {
  return (hn_gpu_fault){.word = (unsigned long long *)(void *)hn_cuda_of(x->task)->fault, .who = (uintptr_t)x->task->node};
}

/* ---- groups (groups_cuda.c). `reduced` says which dimensions a group is made of; the others, in their order, number the
   groups. false: nothing to do, or too many dimensions. */
bool hn_cuda_groups_of(hn_gpu_groups *g, int32_t rank, const int64_t *dims, const int64_t *stride, const bool *reduced);
/* Can its groups be read eight at a time, where they lie at p and q? */
bool hn_cuda_vectors(const hn_gpu_groups *g, const void *p, const void *q);
/* Channels last is kept, everything else becomes row-major. */
static inline hn_layout hn_cuda_keep_layout(const hn_arg *a) { return a->layout != HN_LAYOUT_PLAIN && a->rank > 2 ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN; }

/* ---- chains (chain_cuda.c) */
typedef struct hn_cuda_step {
  hn_op op;
  bool swapped;
  uint8_t mode;             /* hn_scalar_mode() of the node */
  uint32_t operand, second; /* inputs, or HN_NONE; second: what Where takes where input `operand` is false */
  float alpha, beta;
  bool number;              /* the operand is alpha */
} hn_cuda_step;
typedef struct hn_cuda_chain {
  hn_gpu_chain gpu;
  uint32_t input[HN_GPU_OPERANDS]; /* that operand k is */
  int32_t operands;                /* how many there are, the output with them */
} hn_cuda_chain;
/* Compiles steps from input `source` (HN_NONE: from output 0, in place) to output 0, all as they lie; ints: in int64 instead of
   float. false: not possible. */
bool hn_cuda_chain_of(const hn_task *t, uint32_t source, const hn_cuda_step *steps, uint32_t n, bool ints, hn_cuda_chain *c);
/* `more`: where inputs past the task's lie, if it was compiled with such; else NULL. */
hone_status hn_cuda_chain_run(hn_exec *x, const hn_cuda_chain *c, const void *const *more);
static inline hn_cuda_step hn_cuda_step_of(const hn_step *s) {
  return (hn_cuda_step){.op = s->op, .operand = s->operand, .second = HN_NONE, .swapped = s->swapped, .alpha = s->alpha, .beta = s->beta};
}
void hn_cuda_lie_as_output(hn_task *t, uint32_t i); /* the layout in which input i can be an operand */
/* Floats, or 8-bit integers that stand for reals with one scale. */
static inline bool hn_cuda_real(const hn_arg *a) {
  if (a->dtype == HONE_DTYPE_U8 || a->dtype == HONE_DTYPE_I8) return a->quant && !a->quant->scales;
  return hn_cuda_float(a);
}

/* ---- products of integers (ending_cuda.c): a library, or a kernel, makes the sums */
typedef struct hn_cuda_ending {
  hn_cuda_chain chain;
  float *numbers; /* of the device: scales of the channels, then what is added to them */
  int64_t channels;
} hn_cuda_ending;
/* Activations are 8-bit integers of one scale, weights and bias constants, and all else can come behind the sums? `axis`: of the
   weights, along which the output's channels lie. */
bool hn_cuda_integers(const hn_task *t, int32_t axis);
/* Behind sums of 32 bits that lie as output 0, whose layout is set. last: channels are the last dimension, not the second. zero:
   of the activations, as they were multiplied. What is left unread of the inputs is marked; the whole epilogue is done. */
hone_status hn_cuda_ending_plan(hn_task *t, int32_t axis, bool last, int32_t zero, hn_cuda_ending *e);
hone_status hn_cuda_ending_run(hn_exec *x, const hn_cuda_ending *e, const void *sums);
/* The epilogue of a node with integers as its output, behind floats that the kernel leaves in its scratch. */
bool hn_cuda_floats_end(const hn_task *t);
hone_status hn_cuda_floats_plan(hn_task *t, hn_cuda_chain *c);
hone_status hn_cuda_floats_run(hn_exec *x, const hn_cuda_chain *c);
static inline bool hn_cuda_ends_floats(const hn_task *t) { return t->node->n_post && t->out[0].quant; }
#endif
