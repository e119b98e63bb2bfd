/* tf_segments.h - of a graph with many signatures: which of its nodes hone takes, in which pieces, and why it leaves the others.
   A segment is a connected piece of nodes that are taken, read as a graph of its own between the tensors that it shares with
   what is left: inputs and outputs bear their names, "x:0". What is left stays TensorFlow's, as it was written. */
#ifndef HN_TF_SEGMENTS_H
#define HN_TF_SEGMENTS_H
#include "format/tensorflow/tf_import.h"

typedef struct tf_segment {
  hn_graph *g;
  uint32_t nodes; /* of TensorFlow's that it stands for, those of functions included; constants are not counted */
} tf_segment;

/* What becomes of a node. A source (constant, variable that nobody changes) is read by segments and copied for what is left. */
typedef enum tf_fate { TF_UNUSED, TF_SOURCE, TF_TAKEN, TF_LEFT } tf_fate;

typedef struct tf_edge {
  uint32_t node, port;
  bool control;
} tf_edge;

/* A tensor that is fed or fetched by name. */
typedef struct tf_end {
  const char *tensor;
  hn_dtype dtype;
  const Tensorflow__TensorShapeProto *shape; /* NULL: not said */
} tf_end;

typedef struct tf_cut {
  hone_context *cx;
  hn_arena *arena;
  Tensorflow__GraphDef graph;  /* its nodes change when calls are written out */
  tf_variable_fn variable_of;
  void *variable_user;
  uint32_t minimum;            /* nodes of a segment */
  HN_VEC(tf_end) fed, fetched; /* by the signatures */
  HN_VEC(const char *) kept;   /* nodes that must stay with what is left if that has state: savers, initializers */
  hn_map blamed;               /* node -> reasons */
  HN_VEC(const char *) reasons;
  /* of the graph as it now is */
  hn_arena *now;
  tf_import im;
  uint32_t n;
  tf_edge *edges;
  uint32_t *first;   /* [n + 1]: of a node's edges */
  tf_fate *fate;
  const char **why;  /* it is left; "": no reason of its own */
  bool *copy;        /* it is written as it was */
  uint32_t *context; /* the loop or condition that a node lies in; 0: none */
  uint32_t *group;   /* of nodes that can only go together */
  uint32_t *segment; /* of what is taken: the first node of its segment */
  bool stateful;     /* variables or tables are left */
  HN_VEC(tf_segment) segments;
} tf_cut;

/* c: cx, arena, graph, variable_of, minimum, fed, fetched, kept. BAD_GRAPH, NOMEM; what cannot be read is left. */
hone_status hn_tf_cut(tf_cut *c);
void hn_tf_cut_close(tf_cut *c);

/* ---- tf_context.c: loops and conditions of Enter, Switch, Merge, Exit, which go together */
hone_status hn_tf_find_contexts(tf_cut *c);
#endif
