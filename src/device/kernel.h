/* kernel.h - what a kernel is: a row that says whether it can run a node, prepares it, and runs it.
   Reference kernels (cpu/ref) do every operator and type, plainly; other rows are preferred where they apply. */
#ifndef HN_KERNEL_H
#define HN_KERNEL_H
#include <string.h>

#include "ir/graph.h"

/* Physical layout of an activation whose logical layout is N,C,spatial... row-major. */
typedef enum hn_layout {
  HN_LAYOUT_PLAIN,   /* row-major as the IR says */
  HN_LAYOUT_NHWC,    /* channels last */
  HN_LAYOUT_C8,      /* nChw8c: channels in blocks of 8, padded with zeros */
  HN_LAYOUT_C16,     /* nChw16c */
  HN_LAYOUT_COUNT
} hn_layout;
const char *hn_layout_name(hn_layout l);
/* Bytes of a tensor in a layout, channel padding included; false on overflow. */
bool hn_layout_bytes(hn_layout l, hn_dtype t, int32_t rank, const int64_t *dims, size_t *bytes);
/* How many elements lie together along the innermost dimension: the channels, where they come last. */
int64_t hn_layout_run(hn_layout l, int32_t rank, const int64_t *dims);

/* What is known of one tensor when a kernel is chosen. All dims are fixed except where `dynamic`. */
typedef struct hn_arg {
  bool present;
  bool dynamic;              /* shape known only when running: dims are meaningless */
  bool may_overwrite;        /* dies here, is not a constant or graph input: its buffer may become output 0's */
  hn_dtype dtype;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  hn_layout layout;          /* input: as the producer leaves it; the kernel's plan() sets what it wants.
                                output: set by plan() */
  /* A part of a larger tensor may lie with gaps: runs of the innermost dimension are `pitch` elements apart. 0: they are
     not. An input lies so in layout `pitch_in`, an output is to. Only a kernel whose plan() calls hn_take_pitch() sees
     it; for others an input is copied into a dense tensor, and their output by the Concat. */
  int64_t pitch;
  hn_layout pitch_in;
  bool pitched;              /* taken */
  bool placed;               /* of a Concat: the input lies in its place in output 0, in `layout`, and is not to be read */
  const hn_tensor *constant; /* content, if constant (always plain) */
  const hn_quant *quant;     /* integers that stand for real numbers, with which the node computes; NULL: they do not */
  bool unused;               /* plan() sets it when the input is not read in run() (packed or folded into state) */
} hn_arg;

/* For plan(), after it has set the layout: how many elements lie between the beginnings of runs of the innermost dimension. */
static inline int64_t hn_take_pitch(hn_arg *a) {
  a->pitched = a->pitch && a->layout == a->pitch_in;
  return a->pitched ? a->pitch : hn_layout_run(a->layout, a->rank, a->dims);
}

/* Bytes that stand for real numbers, with one scale. */
static inline bool hn_arg_is_bytes(const hn_arg *a) { return a->present && !a->dynamic && hn_is_8bit(a->dtype) && a->quant && !a->quant->scales; }
static inline bool hn_same_dims(const hn_arg *a, const hn_arg *b) {
  return a->rank == b->rank && (!a->rank || memcmp(a->dims, b->dims, sizeof *a->dims * (size_t)a->rank) == 0);
}
/* Elements in dimensions from..to. */
static inline int64_t hn_arg_count(const hn_arg *a, int32_t from, int32_t to) {
  int64_t n = 1;
  for (int32_t i = from; i < to; i++) n *= a->dims[i];
  return n;
}

enum { HN_TASK_PACKS = 4, HN_MAX_CHAIN = 12 };
typedef struct hn_pack {
  void *data;
  size_t bytes;
  uint64_t key; /* under which the graph's store has it */
} hn_pack;
typedef struct hn_task hn_task;
typedef struct hn_exec hn_exec;
struct hn_strip;

typedef struct hn_kernel {
  const char *name;     /* "conv_onednn", "conv_ref" */
  hn_op op;
  int priority;         /* among rows that support a node the highest wins until tactics are timed */
  bool (*supports)(const hn_task *t);      /* NULL: everything of its operator (the references) */
  hone_status (*plan)(hn_task *t);         /* NULL: plain layouts, no state. UNSUPPORTED: try the next row */
  hone_status (*run)(hn_exec *x);
  void (*destroy)(hn_task *t);             /* frees t->state */
  /* NULL, or makes some lines of an image, on the calling thread: see conv/strip.h */
  void (*lines)(const hn_task *t, const struct hn_strip *p, void *scratch);
  uint32_t variants;    /* ways to do a node, as a library's algorithms, best first by what it knows; 0: one. plan() is asked
                           for t->variant and says UNSUPPORTED if there are fewer */
  bool counts;          /* shapes of outputs may be unknown when it is planned: it asks for them in run() */
} hn_kernel;

struct hn_task {
  hone_context *cx;
  const hn_graph *g;
  const hn_node *node;
  uint32_t n_in, n_out;  /* all inputs, epilogue operands included */
  hn_arg *in, *out;
  int threads;
  struct hn_cpu *device; /* of cpu/cpu.h; NULL where only references run */
  int64_t strip;         /* lines() will be called, for at most so many lines; 0: run() will be */
  const hn_id *chain;    /* nodes of a chain that one step does, the first `node`: in[0] is its input, the others the last
                            one's operands, out[0] the last one's output; NULL: the node alone */
  const hn_node *before; /* a node that is to be done to input 0 as it is read, whose input in[0] is (conv/before.h); NULL: none */
  const hn_id *operands; /* of a chain: the values that its inputs are */
  uint32_t n_chain;      /* at most HN_MAX_CHAIN */
  struct hn_device *on;  /* of device.h: what it runs on; NULL: the CPU */
  struct hn_device *from; /* of a transfer: where the tensor lies; NULL: on the CPU */
  uint32_t variant;      /* which of the kernel's ways to do it is meant */
  /* set by plan() */
  uint32_t fused;        /* leading steps of the node's epilogue that the kernel does itself; the rest is done after it */
  size_t scratch;        /* bytes of 64-byte aligned scratch during run() */
  size_t packed;         /* bytes of weights it packed, for the account */
  int inplace;           /* input whose buffer output 0 takes (only with may_overwrite), or -1 */
  void *state;
  const hn_kernel *kernel;
  /* weights in the form the kernel wants, in the order of hn_task_pack() calls; freed after destroy() */
  hn_pack pack[HN_TASK_PACKS];
  uint32_t n_packs;
};

/* An epilogue's step that adds a tensor of the output's own shape and type. */
static inline bool hn_is_residual(const hn_task *t, const hn_step *s) {
  if (s->op != HN_Add || s->operand == HN_NONE) return false;
  const hn_arg *a = &t->in[s->operand], *o = &t->out[0];
  return a->present && !a->dynamic && a->dtype == o->dtype && hn_same_dims(a, o);
}

/* For plan(): room for `bytes` of prepared constants that live as long as the task, 64-byte aligned. *fill: the kernel
   must write them now; else they are there already, made by another session of the model or found in its engine, and
   must not be written. What they hold may depend on the kernel, the node (operator, attributes, epilogue, constant
   inputs, types, scales, layouts so far) and the instruction set; `form` is a number for everything else it depends on
   (the shapes of activations, threads), 0 if nothing. They hold numbers to compute with, never offsets to follow: a
   damaged file must not lead outside. */
hone_status hn_task_pack(hn_task *t, size_t bytes, uint64_t form, void **data, bool *fill);
void hn_task_unpack(hn_task *t); /* frees them */

/* A tensor at run time. */
typedef struct hn_view {
  void *data;            /* NULL: absent */
  hn_dtype dtype;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  int64_t count;
} hn_view;

struct hn_exec {
  hone_context *cx;
  const hn_task *task;
  uint32_t n_in, n_out;
  hn_view *in, *out;     /* out[i].data is set before run() only where the shape was planned */
  void *scratch;
  int threads;
  int lane;              /* of the device it runs on: a hn_lane_kind */
  /* Makes sure output i is a buffer of this dtype and shape: checks against the plan, or allocates. */
  hone_status (*output)(hn_exec *x, uint32_t i, hn_dtype dtype, int32_t rank, const int64_t *dims);
  /* Runs nested graph `sub` on n views; results are owned by the executor until release_results(). */
  hone_status (*call)(hn_exec *x, const hn_graph *sub, const hn_view *in, uint32_t n, hn_view *out, uint32_t n_out);
  void (*release_results)(hn_exec *x, hn_view *out, uint32_t n_out);
  void *user;
};

static inline const hn_node *hn_xnode(const hn_exec *x) { return x->task->node; }
/* Is the operator's own input i there? (Operands of the epilogue lie behind.) */
static inline bool hn_xhas(const hn_exec *x, uint32_t i) {
  return i < hn_xnode(x)->n_main && i < x->n_in && x->in[i].dtype != HONE_DTYPE_UNDEFINED;
}
/* Output i with this type and shape; afterwards x->out[i].data is its buffer. */
static inline hone_status hn_xout(hn_exec *x, uint32_t i, hn_dtype dtype, int32_t rank, const int64_t *dims) {
  return x->output(x, i, dtype, rank, dims);
}
static inline hone_status hn_xout_like(hn_exec *x, uint32_t i, const hn_view *v) {
  return x->output(x, i, v->dtype, v->rank, v->dims);
}
/* UNSUPPORTED / BAD_GRAPH with the node's name and operator in front. */
hone_status hn_xfail(const hn_exec *x, hone_status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The error of a reference kernel that meets a type it has no arithmetic for. */
hone_status hn_xbad_dtype(const hn_exec *x, hn_dtype t);

/* ---- the table: kernels.def rows of this build, best first for an operator. */
const hn_kernel *hn_kernel_at(uint32_t i); /* the faster kernels, in the table's order; NULL past the end */
const hn_kernel *hn_kernel_ref(hn_op op);  /* NULL if the operator has none */

extern const char hn_kernels_id[]; /* changes whenever the sources of the kernels do: prepared constants of another build do
                                      not fit */

/* Whose code a fast kernel is: what --tactic-sources selects from. */
typedef enum hn_origin {
  HN_ORIGIN_HONE,
  HN_ORIGIN_ONEDNN,
  HN_ORIGIN_BF16X3, /* ours too: single precision by bfloat16 parts, which some may want to do without */
  HN_ORIGIN_COUNT
} hn_origin;
hn_origin hn_kernel_origin(const hn_kernel *k); /* by the end of its name */
const char *hn_origin_name(hn_origin o);        /* "hone", "onednn", "bf16x3" */
#endif
