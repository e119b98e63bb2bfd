/* tf_graph.h - a graph being spelled in TensorFlow's operators.
   TensorFlow's convolutions and poolings have channels last, ours first. So each value may be known in two forms: plain,
   as our graph has it, and last, with dimension 1 moved to the end. Layers take what suits them and leave what they have;
   a Transpose is written only where the form that is wanted is not there. */
#ifndef HN_TF_GRAPH_H
#define HN_TF_GRAPH_H
#include "base/file.h"
#include "base/vec.h"
#include "format/tensorflow/tensor_tf.h"
#include "op/infer.h"

typedef Tensorflow__NodeDef tg_node;

typedef struct tg_value {
  const char *plain, *last; /* tensors; NULL: not written yet */
} tg_value;

typedef struct tg_constant {
  uint64_t digest;
  const hn_tensor *data;
  const char *tensor;
  uint32_t outside; /* of how many loops or conditions being written: nodes within cannot read it */
} tg_constant;

typedef struct tg {
  hone_context *cx;
  const hn_graph *g;
  hn_arena *arena;
  tg_value *values; /* by our ids */
  hn_map used;      /* names of nodes */
  HN_VEC(tg_node *) nodes;
  HN_VEC(hn_tensor *) own; /* constants made here */
  HN_VEC(tg_constant) consts; /* large ones that are written: an equal one is not written again */
  const hn_node *at; /* the node being spelled */
  bool counts_back; /* computed indices may be negative, as ONNX has them */
  hone_status st;   /* the first failure sticks */
} tg;

/* ---- nodes. `name` NULL: after the node being spelled. All accept and give NULL after a failure. */
tg_node *tg_add(tg *t, const char *op, const char *name);
void tg_input(tg *t, tg_node *n, const char *tensor);
void tg_type(tg *t, tg_node *n, const char *attr, hn_dtype v);
void tg_resource_type(tg *t, tg_node *n, const char *attr); /* of handles */
void tg_int(tg *t, tg_node *n, const char *attr, int64_t v);
void tg_bool(tg *t, tg_node *n, const char *attr, bool v);
void tg_float(tg *t, tg_node *n, const char *attr, double v);
void tg_text(tg *t, tg_node *n, const char *attr, const char *v);
void tg_ints(tg *t, tg_node *n, const char *attr, const int64_t *v, size_t count);
void tg_types(tg *t, tg_node *n, const char *attr, const hn_dtype *v, size_t count);
void tg_shape(tg *t, tg_node *n, const char *attr, const hn_shape *s);
Tensorflow__TensorShapeProto *tg_shape_proto(tg *t, const hn_shape *s);
/* Output i of a node as an input: "name" or "name:1". */
const char *tg_out(tg *t, const tg_node *n, uint32_t i);
/* Operators of one type T and one output. */
const char *tg1(tg *t, const char *op, hn_dtype type, const char *a);
const char *tg2(tg *t, const char *op, hn_dtype type, const char *a, const char *b);
/* Constants. tg_const takes the reference. */
const char *tg_const(tg *t, hn_tensor *v);
const char *tg_scalar(tg *t, hn_dtype type, double v);
const char *tg_numbers(tg *t, const int64_t *v, size_t n); /* int32 vector */
const char *tg_number(tg *t, int64_t v);                   /* int32 scalar */
const char *tg_concat(tg *t, hn_dtype type, const char *const *parts, size_t n, const char *axis); /* axis: a number */
const char *tg_reduce(tg *t, const char *op, hn_dtype type, const char *x, const int64_t *axes, size_t n, bool keep);
const char *tg_transpose(tg *t, hn_dtype type, const char *x, const int64_t *perm, size_t n);
/* x with the dimensions of s, of which x has the elements; more than one open dimension are taken from the tensor
   `dims` (NULL: UNSUPPORTED). */
const char *tg_reshape(tg *t, hn_dtype type, const char *x, const hn_shape *s, const char *dims);

/* ---- values */
const char *tg_plain(tg *t, hn_id v);
const char *tg_last(tg *t, hn_id v);
bool tg_prefers_last(const tg *t, hn_id v); /* channels last is there and plain is not */
void tg_set_plain(tg *t, hn_id v, const char *tensor);
void tg_set_last(tg *t, hn_id v, const char *tensor);
/* Where dimension i of a value lies in channels last. */
static inline int64_t tg_last_axis(int64_t axis, int32_t rank) { return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1; }
static inline hn_dtype tg_dtype(const tg *t, hn_id v) { return v == HN_NONE ? HONE_DTYPE_UNDEFINED : hn_value_at(t->g, v)->dtype; }
static inline const hn_shape *tg_shape_of(const tg *t, hn_id v) { return &hn_value_at(t->g, v)->shape; }
/* "node 'x' (Op): ...: no spelling in TensorFlow's operators". */
void tg_refuse(tg *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A name TensorFlow takes, not used yet. */
const char *tg_free_name(tg *t, const char *wanted);

/* ---- whole graphs */
enum { TG_MOST_OUTPUTS = 64, TG_PRODUCER = 1087 }; /* the GraphDef version of TensorFlow 2.10: what has every operator that is written */
typedef struct tg_port { /* an input or output of a graph */
  const char *key, *tensor; /* "x:0" */
  hn_id value;
  const char *node;         /* of the tensor, and which of its outputs */
  uint32_t index;
} tg_port;
hone_status tg_split_port(tg *t, tg_port *p); /* node and index from tensor; a name without a number is output 0 */
/* Adds g's nodes between the tensors of its ports. placeholders: its inputs are made, else they are there. g must live as
   long as t. Errors: UNSUPPORTED (all operators without a spelling at once). */
hone_status tg_write(tg *t, const hn_graph *g, const tg_port *in, const tg_port *out, bool placeholders);
/* The same where the names of g's inputs and outputs are the tensors'; the inputs are there. */
hone_status tg_write_segment(tg *t, const hn_graph *g);
hone_status tg_write_nodes(tg *t); /* all nodes of t->g, whose inputs have their tensors */
void tg_close(tg *t); /* its arena is the caller's */
/* UNSUPPORTED: more than 2 GiB. IO. */
hone_status tg_put(hone_context *cx, const char *path, const ProtobufCMessage *m);

/* ---- spelling (tf_spell.def) */
typedef void (*tg_spell)(tg *t, const hn_node *n, const char *op);
/* NULL: there is none. */
tg_spell tg_spelling(hn_op op, const char **tf_op);
#endif
