/* tune_model.h - the choice of kernels and layouts as an assignment: a variable for each layer, whose labels are ways
   to do it; for each tensor, whose labels are where its producer leaves it and into which layouts it is changed
   besides; and for each group of Concats that share a block, whose labels are the block's layout. */
#ifndef HN_TUNE_MODEL_H
#define HN_TUNE_MODEL_H
#include "plan/assignment.h"
#include "run/tuner.h"

typedef enum hn_choice_kind {
  HN_CHOICE_WAY,    /* a step: of the layer, or of a chain that begins with it */
  HN_CHOICE_INSIDE, /* layer `at` of a chain that begins before */
  HN_CHOICE_VIEW,   /* the input's bytes under other dimensions, row-major */
  HN_CHOICE_SAME,   /* the input as it lies: a view of the same dimensions */
  HN_CHOICE_CUT,    /* Split or Slice: parts of the input, as it lies */
  HN_CHOICE_JOINED  /* Concat: its inputs are written where they belong */
} hn_choice_kind;

typedef struct hn_choice {
  hn_choice_kind kind;
  const hn_way *way;
  uint32_t at;
  hn_layout layout; /* of SAME, CUT and JOINED: how the tensor lies */
  bool gaps;
} hn_choice;

typedef struct hn_model_layer {
  uint32_t variable; /* HN_NONE: no layer */
  HN_VEC(hn_choice) choices;
} hn_model_layer;

/* How a tensor lies when it is made. */
typedef struct hn_lying {
  hn_layout layout;
  bool gaps;
  bool never; /* it is inside a chain */
} hn_lying;

typedef struct hn_tensor_label {
  hn_lying lying;
  uint32_t also; /* set of 1 << layout: dense copies */
} hn_tensor_label;

typedef struct hn_model_tensor {
  uint32_t variable; /* HN_NONE: a constant, or nobody's */
  uint32_t wanted;   /* set of 1 << layout: what readers may ask for */
  HN_VEC(hn_lying) lying;
  HN_VEC(hn_tensor_label) labels;
} hn_model_tensor;

/* A block's state after a layer has made a part of it (node HN_NONE: before all): 0: it has not begun, or 1 + its
 * layout. */
typedef struct hn_block_state {
  uint32_t variable, join, out;
  hn_id node;
} hn_block_state;

typedef struct hn_tune_model {
  tuner *t;
  const hn_graph *g; /* the specialized one of `plan`, in which all Concats that can be are made in place */
  const hn_plan *plan;
  hn_assign a;
  hn_model_layer *layers;        /* by node */
  hn_model_tensor *tensors;      /* by value */
  uint32_t *join;                /* variable of each of the plan's joins: the state its block ends with */
  HN_VEC(hn_block_state) states; /* block by block, in the order of the layers */
  uint32_t reorders;             /* changes of layout that were priced */
} hn_tune_model;

hone_status hn_tune_model_create(tuner *t, const hn_plan *plan, hn_tune_model *m);
void hn_tune_model_free(hn_tune_model *m);
/* What a plan of the same graph does, as labels. */
void hn_tune_model_read(hn_tune_model *m, const hn_plan *plan, uint32_t *label);
static inline const hn_choice *hn_tune_model_choice(const hn_tune_model *m, hn_id node, const uint32_t *label) {
  const hn_model_layer *l = &m->layers[node];
  return l->variable == HN_NONE ? NULL : &l->choices.p[label[l->variable]];
}
#endif
