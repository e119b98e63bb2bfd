/* plan.h - from a graph whose shapes are fixed to a list of steps over planned memory. */
#ifndef HN_PLAN_H
#define HN_PLAN_H
#include "base/pool.h"
#include "device/cpu/conv/strip.h"
#include "device/cpu/vec/chain.h"
#include "device/device.h"
#include "plan/join.h"

/* Where a tensor in one layout lives at run time. */
typedef enum hn_slot_kind {
  HN_SLOT_ABSENT,
  HN_SLOT_CONST,   /* a constant's own data */
  HN_SLOT_INPUT,   /* lent by the caller for the run */
  HN_SLOT_BLOCK,   /* a block of the arena */
  HN_SLOT_DYNAMIC  /* allocated while running: its shape depends on data */
} hn_slot_kind;

typedef struct hn_slot {
  hn_slot_kind kind;
  hn_layout layout;
  hn_dtype dtype;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  int64_t count;
  int64_t pitch;  /* elements from run to run of the layout's innermost dimension; 0: no gaps between them */
  size_t offset;  /* bytes from where the block, input or constant begins: the slot is a part of another's */
  hn_id value;
  const hn_tensor *constant; /* CONST: whose data it is (dims may differ: a view of it) */
  uint32_t index; /* of the block, the graph input, or the dynamic buffer */
  uint8_t device; /* whose memory it lies in; HN_HOST for constants and graph inputs */
} hn_slot;

/* A piece of arena, alive from the step that first touches it to the one that last does. */
typedef struct hn_block {
  size_t bytes, offset;
  uint32_t first, last;
  uint8_t device;
} hn_block;

typedef struct hn_planned {
  hn_task task;
  uint32_t *in, *out; /* slots */
  uint32_t scratch;   /* block, or HN_NONE */
  const char *tactic; /* the kernel and, behind the first, which of its ways: "conv_cudnn#2"; NULL: the kernel */
  hn_chain *tail;     /* the epilogue's steps that the kernel leaves; NULL: none, or done by the references */
  bool once;          /* depends on constants alone: run the first time only */
  hn_id node;         /* HN_NONE: a reorder or a transfer */
  uint8_t device;     /* what runs it; of a transfer: the one that is not the CPU */
} hn_planned;
static inline const char *hn_planned_tactic(const hn_planned *s) { return s->tactic ? s->tactic : s->task.kernel->name; }

enum { HN_MAX_LANES = 32 };
/* Branches that run side by side (fork.h): the n steps from `first` on, each on one of so many threads. */
typedef struct hn_fork {
  uint32_t first, n, lanes;
  uint32_t *lane; /* of each of its steps */
} hn_fork;

typedef struct hn_plan {
  hn_arena *arena;
  const hn_graph *g; /* borrowed */
  HN_VEC(hn_slot) slots;
  HN_VEC(hn_block) blocks;
  HN_VEC(hn_planned) steps;
  HN_VEC(hn_fork) forks; /* in order */
  uint32_t n_dynamic;
  uint32_t *outputs; /* slot of each graph output, in plain layout */
  uint32_t *value_slot; /* slot of each value in the layout its producer leaves; HN_NONE if none */
  size_t arena_bytes, packed_bytes, lower_bound; /* lower_bound: the largest live set */
  size_t device_bytes[HN_MAX_DEVICES]; /* of activations and weights; [HN_HOST]: 0, see arena_bytes */
  HN_VEC(hn_id) fallbacks; /* nodes that stay on the CPU because the device they were meant for does not run them */
  struct hn_schedule *schedule; /* lanes and what waits for what; NULL where all is on the CPU (schedule.h) */
  hn_joins joins; /* which values are parts of which, found before the walk */
  uint32_t alternatives; /* the largest number of fast kernels that may do one node */
} hn_plan;

/* Where nodes run. devices[HN_HOST] is NULL: the CPU. */
typedef struct hn_placement {
  hn_device *devices[HN_MAX_DEVICES];
  uint32_t n;
  const uint8_t *of_node; /* by node id; nodes past n_nodes are new and go where their first input is made */
  uint32_t n_nodes;
} hn_placement;

typedef enum hn_strips_use {
  HN_STRIPS_CHOSEN,
  HN_STRIPS_NONE,
  HN_STRIPS_THIN, /* all but those that begin with a layer that could not continue one */
  HN_STRIPS_ALL
} hn_strips_use;

typedef enum hn_forks_use { HN_FORKS_CHOSEN, HN_FORKS_NONE, HN_FORKS_ALL } hn_forks_use; /* ALL: wherever there are branches */

typedef struct hn_plan_options {
  hn_cpu *device; /* NULL with reference */
  int threads;
  hn_pool *pool; /* of as many threads, for programs that leave oneDNN little; NULL: OpenMP */
  bool reference; /* reference kernels only */
  bool keep_all;  /* every value keeps a block of its own to the end */
  uint32_t sources; /* set of 1 << hn_origin whose kernels may be chosen; 0: all */
  const struct hn_place *place;  /* how nodes are placed (place.h); NULL: all on the CPU */
  const hn_placement *placement; /* set by the program, from `place` */
  bool untuned;   /* the nodes' tactics are not looked at */
  bool widen;     /* and nodes of 16-bit floats that could be run as they are compute in F32 */
  hn_strips_use strips; /* which chains of layers are run strip by strip */
  uint32_t strips_skip; /* with ALL: how many layers at the begin of each chain stay apart */
  uint32_t strips_most; /* with ALL: how many layers a chain has at most; 0: as many as there are */
  hn_forks_use forks;    /* which branches run side by side */
  bool copy_joins; /* no Concat is made in place */
  uint32_t bring; /* 1 + the layout in which nodes are offered their images, whatever they lie in; 0: as they lie */
  uint32_t round; /* how many of a node's kernels to pass over, as long as another is left: how tuning visits all */
  /* For tests: of its operator's kernels no other is tried; inputs of images are brought into a layout first; tensors that
     lie in it get so many elements between runs where their kernels can do with that. */
  const hn_kernel *only;
  hn_layout inputs_as;
  int64_t gap;
} hn_plan_options;

/* Does a tactic name a kernel? Behind it may be @ and a layout, or : and how long a chain is that could be longer. */
bool hn_tactic_is(const char *tactic, const char *kernel);
bool hn_is_view_op(hn_op op); /* the same elements in the same order, under other dimensions perhaps */
/* Would a fast kernel do the node as it is, by what kernels say before they plan it? If tuning has chosen one for it: that one. */
bool hn_plan_takes(const hn_plan_options *o, const hn_graph *g, hn_id node);
hone_status hn_plan_create(hn_graph *g, const hn_plan_options *o, hn_plan **out);
void hn_plan_destroy(hn_plan *p); /* accepts NULL */

/* "Conv+Relu"; the layers of a chain with commas between; "Reorder", "Transfer". */
void hn_planned_kind(const hn_graph *g, const hn_planned *s, hn_str *out);
/* The sum over the step's nodes of what `of` counts in one; 0 for a reorder. */
uint64_t hn_planned_sum(const hn_graph *g, const hn_planned *s, uint64_t (*of)(const hn_graph *, const hn_node *, bool *),
                        bool *symbolic);

/* What the step's products are computed in: those of a chain all in the same. */
hone_arithmetic hn_planned_arithmetic(const hn_graph *g, const hn_planned *s);

/* Offsets for blocks so that no two alive at once overlap; returns the total (memory.c). The best of several orders, greedily, as in
   Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020. */
hone_status hn_plan_memory(hone_context *cx, hn_block *blocks, size_t n, size_t *total, size_t *lower_bound);
#endif
