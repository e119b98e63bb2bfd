/* graph.h - the intermediate representation: values and nodes in arrays, named by 32-bit ids.
   One graph owns an arena that holds all of it; constants are counted references to tensors.
   Nested graphs (If, Loop, Scan) are attributes of a node; what they capture from outside is made explicit: the
   captured values are the node's last inputs and the nested graphs' last inputs (attribute "captures" of the node
   counts them), so that no pass needs to know of scopes. */
#ifndef HN_GRAPH_H
#define HN_GRAPH_H
#include "base/map.h"
#include "base/status.h"
#include "base/store.h"
#include "base/vec.h"
#include "ir/dim.h"
#include "ir/opcode.h"
#include "ir/tensor.h"

typedef uint32_t hn_id;
#define HN_NONE UINT32_MAX

typedef struct hn_graph hn_graph;

typedef enum hn_attr_type { HN_ATTR_INT, HN_ATTR_FLOAT, HN_ATTR_STRING, HN_ATTR_INTS, HN_ATTR_FLOATS, HN_ATTR_TENSOR, HN_ATTR_GRAPH } hn_attr_type;

typedef struct hn_attr {
  const char *name;
  hn_attr_type type;
  uint32_t n; /* elements of ints, floats */
  union {
    int64_t i;
    double f;
    const char *s;
    const int64_t *ints;
    const double *floats;
    hn_tensor *tensor; /* a reference of its own */
    hn_graph *graph;   /* owned */
  } v;
} hn_attr;

/* One step of an epilogue: what is done to a node's output 0 right where it is produced. `op` is an element-wise
   operator; a binary one takes the node's input `operand` as its other side (`swapped`: as its left side). alpha
   and beta are the operator's float attributes in the order of op.def; Clip has its bounds there. */
typedef struct hn_step {
  hn_op op;
  bool swapped;
  uint32_t operand; /* index into the node's inputs, or HN_NONE */
  float alpha, beta;
} hn_step;

typedef struct hn_node {
  hn_op op;
  bool dead;
  const char *name;   /* unique or "" */
  const char *source; /* names of the nodes it came from, "+" between; NULL: its own name */
  uint32_t n_in, n_out, n_main, n_attr, n_post; /* in[0..n_main) are the operator's own, the rest epilogue operands */
  hn_id *in, *out;    /* HN_NONE: absent optional */
  hn_attr *attr;
  hn_step *post;
  const char *tactic; /* the kernel that timing chose; NULL: none has. A preference: planning checks that it applies */
  double tactic_ms;   /* what it took then */
  uint32_t fork, branch; /* the group of layers that run side by side, 0: none, and which of its branches (plan/fork.h) */
  const char *tactic_layout; /* of its first output in the plan that an engine holds; NULL: not known */
} hn_node;

/* How the integers of a value stand for real numbers: (v - zero) * scale. */
typedef struct hn_quant {
  float scale;
  int32_t zero;
  const hn_tensor *scales; /* of weights: one for each index along `axis`, zero is 0; NULL: one for all */
  int32_t axis;
  int64_t block;           /* above 0: one scale for each `block` indices along `axis`, in each place of the other axis */
} hn_quant;

typedef struct hn_value {
  const char *name; /* unique in the graph */
  hn_dtype dtype;   /* UNDEFINED: unknown */
  hn_shape shape;
  hn_id producer;   /* node, or HN_NONE for graph inputs and constants */
  uint32_t producer_out;
  hn_tensor *data;  /* a constant's content; NULL otherwise */
  hn_dim *sym;      /* elements of a small integer tensor (rank 0 or 1) as dimensions, where known; else NULL */
  uint32_t n_sym;
  bool is_input;    /* graph input */
  const hn_quant *quant; /* set for planning alone (quant/absorb.h): nodes compute with the real numbers meant */
  uint32_t n_users, cap_users;
  hn_id *users;     /* nodes that read it, one entry an input slot; graph outputs are not counted */
} hn_value;

typedef struct hn_port { /* a graph output: the value, and the name the world knows it by */
  hn_id value;
  const char *name;
} hn_port;

typedef struct hn_meta {
  const char *key, *value;
} hn_meta;

struct hn_graph {
  hone_context *cx;
  hn_arena *arena;
  hn_dims *dims;
  bool owns_dims; /* nested graphs share their parent's */
  bool oom;       /* sticky: an edit failed for lack of memory; check at the end of a pass */
  const char *name;
  HN_VEC(hn_value) values;
  HN_VEC(hn_node) nodes; /* append only; dead ones are skipped. Not necessarily in topological order */
  HN_VEC(hn_id) inputs;  /* values without data */
  HN_VEC(hn_port) outputs;
  HN_VEC(hn_meta) meta;  /* format, producer, opset, ... */
  hn_map names;          /* value name -> id */
  uint32_t fresh;        /* counter for fresh names */
  hn_store *store;       /* what kernels made of its constants; shared with clones and nested graphs; NULL: each plan its own */
};

/* ---- life */
hn_graph *hn_graph_create(hone_context *cx, const char *name); /* NULL: memory */
hn_graph *hn_graph_create_nested(hn_graph *parent, const char *name);
void hn_graph_destroy(hn_graph *g); /* accepts NULL */
hn_graph *hn_graph_clone(const hn_graph *g); /* deep, ids kept, tensors shared; NULL: memory */
hn_graph *hn_graph_clone_for(const hn_graph *g, hone_context *cx); /* the clone belongs to another context */
hn_graph *hn_graph_clone_nested(hn_graph *parent, const hn_graph *g);

/* ---- building. Ids are stable; pointers from hn_node_at/hn_value_at last until the next node/value is added.
        On lack of memory they return HN_NONE and set g->oom. */
hn_id hn_graph_add_input(hn_graph *g, const char *name, hn_dtype dtype, const hn_shape *shape);
/* Takes over the reference to t (also on failure). name NULL: a fresh one. */
hn_id hn_graph_add_constant(hn_graph *g, const char *name, hn_tensor *t);
/* A node with n_out fresh output values; name may be NULL ("" then). Inputs may hold HN_NONE. Shapes are not
   inferred: see op/infer.h. */
hn_id hn_graph_add_node(hn_graph *g, hn_op op, const char *name, const hn_id *in, uint32_t n_in, uint32_t n_out);
void hn_graph_add_output(hn_graph *g, const char *name, hn_id value);
void hn_value_rename(hn_graph *g, hn_id value, const char *name); /* made unique with a suffix if taken */
void hn_value_give_name(hn_graph *g, hn_id from, hn_id to); /* `to` has the name from now on, `from` a fresh one after it */
const char *hn_fresh_name(hn_graph *g, const char *base);         /* unused value name, in the arena */

static inline hn_node *hn_node_at(const hn_graph *g, hn_id id) { return &g->nodes.p[id]; }
static inline hn_value *hn_value_at(const hn_graph *g, hn_id id) { return &g->values.p[id]; }
/* Input i of the operator itself (not an epilogue operand); HN_NONE if absent. */
static inline hn_id hn_in(const hn_node *n, uint32_t i) { return i < n->n_main ? n->in[i] : HN_NONE; }
static inline hn_id hn_out(const hn_node *n, uint32_t i) { return i < n->n_out ? n->out[i] : HN_NONE; }
static inline hn_tensor *hn_const(const hn_graph *g, hn_id value) { return value == HN_NONE ? NULL : g->values.p[value].data; }
hn_id hn_producer(const hn_graph *g, hn_id value); /* node, or HN_NONE */
bool hn_is_output(const hn_graph *g, hn_id value);

/* ---- attributes */
const hn_attr *hn_attr_find(const hn_node *n, const char *name);
int64_t hn_attr_i(const hn_node *n, const char *name, int64_t otherwise);
double hn_attr_f(const hn_node *n, const char *name, double otherwise);
const char *hn_attr_s(const hn_node *n, const char *name, const char *otherwise);
/* Number of elements, 0 if absent; *v is set to the array (never NULL when the result is > 0). */
uint32_t hn_attr_ints(const hn_node *n, const char *name, const int64_t **v);
uint32_t hn_attr_floats(const hn_node *n, const char *name, const double **v);
hn_tensor *hn_attr_tensor(const hn_node *n, const char *name); /* borrowed; NULL if absent */
hn_graph *hn_attr_graph(const hn_node *n, const char *name);   /* borrowed; NULL if absent */
/* Setters copy into the arena and replace. Tensor: takes a reference of its own. Graph: takes ownership. */
void hn_set_i(hn_graph *g, hn_id node, const char *name, int64_t v);
void hn_set_f(hn_graph *g, hn_id node, const char *name, double v);
void hn_set_s(hn_graph *g, hn_id node, const char *name, const char *v);
void hn_set_ints(hn_graph *g, hn_id node, const char *name, const int64_t *v, size_t n);
void hn_set_floats(hn_graph *g, hn_id node, const char *name, const double *v, size_t n);
void hn_set_tensor(hn_graph *g, hn_id node, const char *name, const hn_tensor *t);
void hn_set_graph(hn_graph *g, hn_id node, const char *name, hn_graph *sub);
void hn_attr_remove(hn_graph *g, hn_id node, const char *name);
/* Copies all attributes (deep). */
void hn_attr_copy_all(hn_graph *to_graph, hn_id to, const hn_node *from);

/* ---- editing: use lists are kept */
void hn_set_input(hn_graph *g, hn_id node, uint32_t i, hn_id value);
void hn_add_main_input(hn_graph *g, hn_id node, hn_id value); /* grows the operator's inputs by one, before operands */
void hn_drop_inputs(hn_graph *g, hn_id node, uint32_t n_main); /* shrinks the operator's inputs (no epilogue allowed) */
/* Appends an epilogue step; operand HN_NONE for unary. */
void hn_add_post(hn_graph *g, hn_id node, hn_op op, hn_id operand, bool swapped, float alpha, float beta);
void hn_clear_post(hn_graph *g, hn_id node); /* removes all steps and their operands */
/* All readers of `from`, and graph outputs, read `to` instead. */
void hn_replace_uses(hn_graph *g, hn_id from, hn_id to);
void hn_remove_node(hn_graph *g, hn_id node); /* its outputs must be unused; frees its input uses */
/* Removes nodes none of whose outputs are used, transitively; returns how many. */
uint32_t hn_remove_dead(hn_graph *g);
void hn_set_data(hn_graph *g, hn_id value, hn_tensor *t); /* makes a node's output a constant: detaches it; takes the reference */

/* ---- order: live nodes so that producers come first; stable (ties by id). BAD_GRAPH on a cycle, naming a node.
        *order is hn_free'd by the caller. */
hone_status hn_graph_order(const hn_graph *g, hn_id **order, uint32_t *n);

/* ---- legality (verify.c): ids in range, names unique, acyclic, use lists right, attribute names and types those
        of op.def, arity, dtypes of constants, nested graphs. The first fault, naming the node. */
hone_status hn_graph_verify(const hn_graph *g);

/* ---- text (print.c, parse.c): each the inverse of the other but for constants over 16 elements, which are
        printed as a digest and parsed as seeded pseudo-random content. *text is hn_free'd. */
hone_status hn_graph_print(const hn_graph *g, char **text);
hone_status hn_graph_parse(hone_context *cx, const char *text, hn_graph **out);
/* Attributes of a node on one line ("group=32 pads=[1, 1, 1, 1]"), nested graphs left out. */
void hn_attrs_text(const hn_graph *g, const hn_node *n, hn_str *out);
/* "Conv+Add+Relu" */
void hn_node_kind_text(const hn_node *n, hn_str *out);

const char *hn_meta_get(const hn_graph *g, const char *key); /* NULL if absent */
void hn_meta_set(hn_graph *g, const char *key, const char *value);
#endif
