/* assign.h - which nodes a lower precision is for: products with constant weights, and what lies between them. */
#ifndef HN_ASSIGN_H
#define HN_ASSIGN_H
#include "ir/graph.h"

typedef struct hn_low_set {
  bool *low;     /* by node: a product in the lower precision */
  bool *between; /* by node: no product, but passes numbers of that precision from one to the next */
  bool bytes;    /* the precision is 8 bits */
} hn_low_set;

hone_status hn_low_create(hn_graph *g, hn_low_set *s);
void hn_low_free(hn_low_set *s);
/* With `low` set: finds the layers between products, reached from one and leading to one. */
hone_status hn_low_between(hn_graph *g, hn_low_set *s);
static inline bool hn_is_low(const hn_low_set *s, hn_id node) { return node != HN_NONE && (s->low[node] || s->between[node]); }

bool hn_is_product(const hn_graph *g, const hn_node *n); /* of floats, with constant weights */
bool hn_is_deconvolution(const hn_graph *g, const hn_node *n); /* the same of one that is transposed, without groups */
/* Which input of a product is its bias, a number for each of `channels`: its own, or the row that a MatMul's first step adds; 0: none. */
uint32_t hn_bias_input(const hn_graph *g, const hn_node *n, int64_t channels);
bool hn_keeps_scale(hn_op op);                           /* its result has the scale of its input */
uint32_t hn_data_inputs(const hn_node *n);               /* leading inputs that are no shapes, axes or sizes */
bool hn_is_real(const hn_graph *g, hn_id v);
#endif
