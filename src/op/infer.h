/* infer.h - types and shapes: one function per operator family says what its outputs are, with symbolic
   dimensions, and passes on the elements of small integer tensors (shape arithmetic) as dimensions. */
#ifndef HN_INFER_H
#define HN_INFER_H
#include "ir/graph.h"

typedef struct hn_infer {
  hone_context *cx;
  hn_graph *g;
  hn_id node_id;
} hn_infer;

/* Has the operator an inference function? One that has none cannot be in a graph that is read from a file. */
bool hn_infer_knows(hn_op op);
/* Infers the outputs of one node from its inputs. A shape or type that was known and contradicts is BAD_GRAPH
   ("node 'conv1' (Conv): ..."). Nested graphs are inferred too. */
hone_status hn_infer_node(hn_graph *g, hn_id node);
/* All nodes in topological order. */
hone_status hn_infer_graph(hn_graph *g);
/* Forgets inferred shapes of all non-constant, non-input values, then infers (after input shapes changed). */
hone_status hn_infer_again(hn_graph *g);

/* Fixes an input's shape: checks it against what is known, gives the symbols in it their values, and evaluates the
   other inputs' shapes with them. Infer anew afterwards. BAD_ARG if it contradicts. */
hone_status hn_bind_input(hn_graph *g, hn_id input, const hn_shape *shape);

/* ---- for the family functions: hone_status hn_infer_<family>(hn_infer *x) */
static inline hn_node *hn_ino(const hn_infer *x) { return hn_node_at(x->g, x->node_id); } /* fetch anew after adding */
bool hn_ihas(const hn_infer *x, uint32_t i);                /* input i is present */
hn_dtype hn_idtype(const hn_infer *x, uint32_t i);          /* UNDEFINED if absent or unknown */
hn_shape hn_ishape(const hn_infer *x, uint32_t i);          /* unknown if absent */
const hn_tensor *hn_iconst(const hn_infer *x, uint32_t i);  /* NULL if not constant */
/* Elements of input i (rank 0 or 1, integer) as dimensions, from a constant or from shape arithmetic.
   false: not known. Negative constants cannot be told from symbols here: use hn_iints for them. */
bool hn_isym(const hn_infer *x, uint32_t i, const hn_dim **d, uint32_t *n);
/* Constant integer input as int64 array in the arena, also when it is known only by shape arithmetic with all
   elements fixed. false: not known. */
bool hn_iints(const hn_infer *x, uint32_t i, const int64_t **v, uint32_t *n);
/* Sets output i, checked against what is known; merges: the more precise of both dimensions is kept. An output
   that does not exist is ignored. */
hone_status hn_oset(hn_infer *x, uint32_t i, hn_dtype dtype, hn_shape shape);
/* Known elements of output i; copied. n at most 64, otherwise ignored. */
void hn_osym(hn_infer *x, uint32_t i, const hn_dim *d, uint32_t n);
/* BAD_GRAPH with the node's name and operator in front. */
hone_status hn_ierror(const hn_infer *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* numpy broadcasting; false: contradiction */
bool hn_broadcast(hn_dims *t, const hn_shape *a, const hn_shape *b, hn_shape *out);
/* Axis in [-rank, rank) to [0, rank); false if out of range. */
bool hn_axis(int64_t axis, int32_t rank, int32_t *out);

/* Geometry of convolutions and pooling, resolved from attributes (op/window.c); used by inference and kernels. */
typedef struct hn_window {
  int32_t n;                                  /* spatial dimensions */
  int64_t kernel[HN_MAX_RANK], stride[HN_MAX_RANK], dilation[HN_MAX_RANK], pad_begin[HN_MAX_RANK], pad_end[HN_MAX_RANK];
  hn_dim out[HN_MAX_RANK];                    /* output size */
} hn_window;
/* in: spatial input dims; kernel: from the weights, or NULL for attribute kernel_shape. transposed: ConvTranspose
   (output_padding, output_shape). BAD_GRAPH on nonsense (cx, no node prefix). Where SAME_* pads depend on an unknown
   size, pads are left 0 and out is still right. */
hone_status hn_window_resolve(hone_context *cx, hn_dims *t, const hn_node *n, int32_t nd, const hn_dim *in,
                              const int64_t *kernel, bool transposed, hn_window *w);

/* Multiply-accumulates of a node (op/cost.c); symbolic dimensions count as 1 and set *symbolic. */
uint64_t hn_node_macs(const hn_graph *g, const hn_node *n, bool *symbolic);
/* Elements of a tensor, likewise; 0 where the rank is unknown. */
uint64_t hn_shape_elements(const hn_shape *s, bool *symbolic);
/* All arithmetic operations: two a multiply-accumulate, one an element and element-wise step, reduction or pooling window. */
uint64_t hn_node_flops(const hn_graph *g, const hn_node *n, bool *symbolic);
/* What a node's products are computed in, by the types of the values they are of; those of nodes without are single precision. */
hone_arithmetic hn_node_arithmetic(const hn_graph *g, const hn_node *n);
/* Default values of alpha/beta of activation-like operators (Elu 1, LeakyRelu 0.01, HardSigmoid 0.2/0.5, ...). */
float hn_default_alpha(hn_op op);
float hn_default_beta(hn_op op);
#endif
