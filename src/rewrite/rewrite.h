/* rewrite.h - rules and the one driver that applies them.
   A rule is a pattern, a guard that looks closer, and a replacement that builds new nodes and returns the value
   that takes the root's place. Rules only ever add nodes: the driver moves the uses, infers the shapes of what is
   new, removes what has become unused, keeps names and sources, counts hits and sees to it that it ends. */
#ifndef HN_REWRITE_H
#define HN_REWRITE_H
#include "rewrite/pattern.h"

enum { HN_MATCH_NODES = 24, HN_MATCH_FRESH = 24 };

typedef struct hn_match {
  hn_graph *g;
  hn_id root;                               /* node */
  hn_id value[HN_SLOTS], node[HN_SLOTS];    /* by slot; node: only for inner nodes */
  hn_id nodes[HN_MATCH_NODES];              /* all matched nodes, root first */
  uint32_t n_nodes;
  hn_id keep;                               /* the node whose name the result takes over; the root unless set */
  double num[4];                            /* from the guard to the replacement */
  int64_t ints[2 * HN_MAX_RANK];
  hn_id fresh[HN_MATCH_FRESH];              /* nodes made by the replacement */
  uint32_t n_fresh;
} hn_match;

typedef struct hn_rule {
  const char *name, *doc;
  bool exact; /* results are the same to the last bit */
  const hn_pattern *pattern;
  bool (*guard)(hn_match *m);     /* NULL: always. Must not change the graph */
  hn_id (*replace)(hn_match *m);  /* value for output 0 of the root; HN_NONE: not after all (nothing was changed) */
} hn_rule;

/* Applies rules until none matches, nested graphs too. hits[i] is raised by what rule i did. */
hone_status hn_rewrite(hn_graph *g, const hn_rule *rules, uint32_t n_rules, uint32_t *hits);

/* Does the pattern match at this node? (match.c) A guard may refuse one way to match and get the next. */
bool hn_match_at(hn_graph *g, const hn_rule *rule, hn_id node, hn_match *m);

/* ---- for guards (facts.c) */
bool hn_scalar_of(const hn_graph *g, hn_id value, double *x); /* constant of one element */
/* Integer vector that is constant, or known from shape arithmetic; at most max elements. */
bool hn_ints_of(const hn_graph *g, hn_id value, int64_t *v, uint32_t max, uint32_t *n);
static inline hn_dtype hn_dtype_of(const hn_graph *g, hn_id v) { return v == HN_NONE ? HONE_DTYPE_UNDEFINED : hn_value_at(g, v)->dtype; }
static inline hn_shape hn_shape_of_value(const hn_graph *g, hn_id v) { return v == HN_NONE ? hn_shape_unknown() : hn_value_at(g, v)->shape; }
static inline int32_t hn_rank_of(const hn_graph *g, hn_id v) { return hn_shape_of_value(g, v).rank; }
bool hn_same_shape(const hn_graph *g, hn_id a, hn_id b);    /* known to be equal */
/* Broadcasting a to b's shape is known to give b's shape. */
bool hn_broadcasts_into(const hn_graph *g, hn_id a, hn_id b);
/* Constant that, broadcast to rank `rank`, varies at most along `axis`, of size n: its n values (hn_free); else NULL. */
double *hn_axis_values(const hn_graph *g, hn_id value, int32_t rank, int32_t axis, int64_t n);
/* The value is read by one input slot only and is no graph output. */
bool hn_used_once(const hn_graph *g, hn_id value);
/* Axis attribute in [0, rank); -1 if out of range or the rank is unknown. */
int32_t hn_axis_of(const hn_node *n, int64_t otherwise, int32_t rank);
/* Axes of a reduction (input 1) as flags; false if not known. keepdims is set. */
bool hn_reduced_axes(const hn_graph *g, const hn_node *n, bool axes[HN_MAX_RANK], bool *keepdims);
/* The node reduces exactly the last `count` dimensions and keeps them. count -1: any number, at least 1. */
int32_t hn_reduces_tail(const hn_graph *g, const hn_node *n);

/* ---- for replacements (emit.c): all accept HN_NONE and then give HN_NONE, so that only the end needs a check */
hn_id hn_emit(hn_match *m, hn_op op, const hn_id *in, uint32_t n_in); /* node */
hn_id hn_emit_copy(hn_match *m, hn_id node);                          /* same operator, inputs, attributes, epilogue */
hn_id hn_first(const hn_match *m, hn_id node);                        /* its output 0 */
hn_id hn_emit1(hn_match *m, hn_op op, hn_id a);                       /* value */
hn_id hn_emit2(hn_match *m, hn_op op, hn_id a, hn_id b);              /* value */
hn_id hn_emit_tensor(hn_match *m, hn_tensor *t);                      /* constant; takes the reference; NULL: HN_NONE */
hn_id hn_emit_ints(hn_match *m, const int64_t *v, size_t n);          /* constant 1-D int64 */
hn_id hn_emit_scalar(hn_match *m, hn_dtype dtype, double v);          /* constant, rank 0 */
hn_id hn_emit_vector(hn_match *m, hn_dtype dtype, const double *v, size_t n); /* constant, rank 1 */
/* w with slice i along `axis` multiplied by s[i] (in double, rounded once). */
hn_id hn_emit_scaled(hn_match *m, const hn_tensor *w, int32_t axis, const double *s);
/* The constant with other dimensions. */
hn_id hn_emit_reshaped(hn_match *m, hn_tensor *t, int32_t rank, const int64_t *dims);
hn_id hn_emit_transpose(hn_match *m, hn_id x, const int64_t *perm, size_t rank); /* value */
void hn_transpose_perm(const hn_node *n, int32_t rank, int64_t perm[HN_MAX_RANK]); /* default: reversed */
#endif
