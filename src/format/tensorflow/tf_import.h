/* tf_import.h - a TensorFlow graph becomes ours. Values are asked for from the outputs back, so that only what they need is
   looked at; a node is lowered once all it reads is there. Functions are read into the graph that calls them; bodies of
   loops and branches of conditions become nested graphs. */
#ifndef HN_IMPORT_H
#define HN_IMPORT_H
#include "format/tensorflow/tensor_tf.h"
#include "op/make.h"

typedef Tensorflow__NodeDef tf_node;
typedef Tensorflow__AttrValue tf_attr;

typedef struct tf_import tf_import;
typedef struct tf_scope tf_scope;

/* What flows along an edge. */
typedef enum tf_kind {
  TF_NOTHING,
  TF_TENSOR,
  TF_VARIABLE, /* a variable, or the handle of one: `what` is its number */
  TF_LIST,     /* a TensorList, or the contents of a TensorArray: a tensor with one more dimension; `what`: its list */
  TF_HANDLE,   /* of a TensorArray: `what` is its list */
  TF_STRING,   /* a constant of strings: only looked at */
  TF_FEATURE   /* of a parser that is left out: an input of the model once something reads it; `what` is its number */
} tf_kind;

typedef struct tf_value {
  tf_kind kind;
  hn_id id;
  uint32_t what;
  const Tensorflow__TensorProto *strings; /* NULL: not constant */
} tf_value;

/* A list of tensors: what is known of one. A rank that a list is not declared with is found when something is put into
   it: then the whole graph is read anew. */
typedef struct tf_list {
  const char *name;
  hn_dtype dtype;
  hn_shape element; /* dimensions < 0: not known */
  bool whole;       /* all elements have their final shape from the start */
} tf_list;

typedef struct tf_feature {
  const char *key;
  hn_dtype dtype;
  hn_shape shape;
} tf_feature;

typedef struct tf_variable {
  const char *name;
  const tf_node *node;
  hn_tensor *data; /* once it was read */
} tf_variable;

/* Nodes that name one another: the graph, or the body of a function. Arguments of a function are numbered after the nodes. */
typedef struct tf_frame tf_frame;
typedef struct tf_branch tf_branch;
typedef struct tf_body {
  const char *name;
  const Tensorflow__FunctionDef *function; /* NULL: the graph */
  tf_node **nodes;
  uint32_t n, n_args;
  hn_map index;
  tf_frame *frames;     /* of loops: found when a node of one is met */
  uint32_t n_frames;
  bool framed;
  tf_branch **branches; /* by Merge node: what it decides between, once it was met */
  int depth;            /* of Merges being looked at */
  int state;            /* of the check for what is supported: 1 on the way, 2 done */
  const char *trouble;  /* an operator it needs that is not supported; NULL: none, or not checked yet */
  bool read;            /* its outputs were lowered, in this reading */
  bool searched;        /* by the check for updates of variables */
} tf_body;

typedef struct tf_ref { /* output `port` of a node (or argument) of the body */
  uint32_t node, port;
} tf_ref;

typedef struct tf_capture {
  hn_id outer, inner;
} tf_capture;

/* One element put into a list: values of the nest's graph, and the nodes that do it. */
typedef struct tf_put {
  hn_id before, after, index, item;
  size_t first, end;
} tf_put;

/* A graph being built, and how values of the graph around it get in. */
typedef struct tf_nest {
  hn_graph *g;
  struct tf_nest *outer; /* NULL: the model's graph */
  HN_VEC(tf_capture) captures;
  HN_VEC(tf_put) puts;
} tf_nest;

typedef struct tf_made { /* outputs of a node */
  tf_value *v;
  uint32_t n;
  uint8_t state; /* 1: asked for, 2: lowered */
} tf_made;

/* One reading of a body: a call, or a part of it that goes into a nested graph. */
struct tf_scope {
  tf_import *im;
  tf_nest *nest;
  tf_body *body;
  tf_scope *outer;     /* of a part: where the rest of the body is read; NULL: this is all of it */
  const uint8_t *inside; /* of a part: its nodes */
  const tf_node *call; /* whose attributes the function's refer to; NULL: none */
  const char *prefix;  /* of node names, "" or "call/" */
  tf_made *made;
  int depth;
};

/* Gives the tensor of a variable. */
typedef hone_status (*tf_variable_fn)(void *user, const tf_node *variable, hn_tensor **out);

struct tf_import {
  hone_context *cx;
  hn_arena *arena;
  hn_graph *g;
  const Tensorflow__GraphDef *graph;
  tf_body main;
  hn_map functions; /* name -> library */
  tf_body *library;
  size_t n_library;
  tf_variable_fn variable_of;
  void *variable_user;
  HN_VEC(tf_variable) variables;
  HN_VEC(tf_feature) features;
  HN_VEC(tf_list) lists; /* kept over readings */
  bool parsers_stay;     /* parsers of tf.Example are not cut off: they cannot be read */
  bool again;            /* something was learnt of a list: read anew */
  HN_VEC(const char *) segments; /* functions of TRTEngineOps that were read */
};

/* ---- tf_import.c */
typedef struct tf_port { /* a tensor to feed or fetch */
  const char *key;    /* the name it shall have */
  const char *tensor; /* "x:0" */
  hn_dtype dtype;     /* UNDEFINED: the node says */
  const Tensorflow__TensorShapeProto *shape; /* NULL: the node says */
} tf_port;

/* The graph between inputs and outputs; everything is freed or in *out. variable_of NULL: there is no checkpoint. */
hone_status hn_tf_import(hone_context *cx, const Tensorflow__GraphDef *graph, const tf_port *in, size_t n_in,
                         const tf_port *out, size_t n_out, tf_variable_fn variable_of, void *user, hn_graph **result);
/* The same in parts: a graph is opened once and read between different tensors. After an error of open it is closed. */
hone_status hn_tf_import_open(hone_context *cx, const Tensorflow__GraphDef *graph, tf_variable_fn variable_of, void *user, tf_import *im);
hone_status hn_tf_import_between(tf_import *im, const tf_port *in, size_t n_in, const tf_port *out, size_t n_out, hn_graph **result);
void hn_tf_import_close(tf_import *im);
/* An operator that the node, or a function that it names, needs and that is not supported; NULL: none. BAD_GRAPH. */
hone_status hn_tf_missing(tf_import *im, const tf_node *n, const char **op);
/* Splits "name", "name:port" or "^name"; the name is in the arena. */
bool hn_tf_split_tensor(hn_arena *a, const char *text, const char **name, uint32_t *port);

hone_status hn_tf_input_ref(const tf_scope *s, const tf_node *n, size_t i, tf_ref *ref); /* i-th data input */
bool hn_tf_find_ref(tf_import *im, const tf_body *b, const char *text, tf_ref *ref);
uint32_t hn_tf_data_inputs(const tf_node *n); /* without control inputs, which come last */
hone_status hn_tf_value(tf_scope *s, tf_ref r, tf_value *v);
hone_status hn_tf_set(tf_scope *s, uint32_t node, uint32_t port, tf_value v);
/* A value of the graph around as one of this nest's graph; constants are shared. HN_NONE: memory. */
hn_id hn_tf_capture(tf_nest *n, hn_id outer);
hone_status hn_tf_captured(tf_nest *n, tf_value outer, tf_value *v);
tf_body *hn_tf_function(tf_import *im, const char *name); /* NULL: there is none */
/* Outputs of a function called with `args` in the nest. */
hone_status hn_tf_call(tf_scope *s, tf_nest *nest, tf_body *f, const tf_node *call, const char *name, const tf_value *args,
                       uint32_t n_args, tf_value *out, uint32_t n_out);
hone_status hn_tf_scope_open(tf_scope *s);
hone_status hn_tf_constant_of(tf_scope *s, uint32_t variable, hn_id *id);
hone_status hn_tf_node_error(const tf_scope *s, const tf_node *n, hone_status st, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* What a node needs from the same reading of the body: its data inputs, but a loop or condition as a whole. */
typedef HN_VEC(tf_ref) tf_refs;
hone_status hn_tf_needs(tf_scope *s, uint32_t node, tf_refs *out);
/* Gives a node's output a value from outside: it is not lowered. */
hone_status hn_tf_bind(tf_scope *s, uint32_t node, uint32_t port, tf_value v);
void hn_tf_scope_close(tf_scope *s);

/* ---- tf_state.c */
#define HN_TF_STATELESS                                                                                                \
  "hone runs models without state: variables keep the values of the checkpoint. Choose a signature or --outputs that only read them"
/* Once the outputs are read: refuses updates of variables that run with them by control inputs alone. Branches that are never
   taken were not read, and do not count. */
hone_status hn_tf_check_state(tf_import *im, const tf_ref *in, size_t n_in, const tf_ref *out, size_t n_out);

bool hn_tf_updates(const char *op); /* the operator changes a variable */

/* ---- control_v1.c: loops and conditions of Switch, Merge, Enter, Exit */
hone_status hn_tf_region_needs(tf_scope *s, uint32_t node, tf_refs *out, bool *is_region);
hone_status hn_tf_lower_exit(tf_scope *s, uint32_t node);
hone_status hn_tf_lower_merge(tf_scope *s, uint32_t node);

/* ---- nest.c: Loop and If from nested graphs */
/* Makes captures the last inputs of node and graphs, and adds the node. `in`: the operator's own inputs. */
hone_status hn_tf_add_nested(tf_scope *s, hn_op op, const char *name, const hn_id *in, uint32_t n_in, tf_nest *nests,
                             const char *const *attrs, const size_t *formals, uint32_t n_nests, uint32_t n_out, hn_id *node);

typedef struct tf_lower tf_lower;
typedef void (*tf_lower_fn)(tf_lower *x);
typedef struct tf_row {
  const char *op;
  tf_lower_fn lower;
  hn_op to;
  const char *outputs; /* names of its outputs, blanks between; one name for a list */
} tf_row;
const tf_row *hn_tf_row(const char *op); /* NULL: not supported */
const tf_attr *hn_tf_attr(const tf_scope *s, const tf_node *n, const char *name);
#endif
