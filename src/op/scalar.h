/* scalar.h - what element-wise operators do to one element: written once, used by reference kernels, by epilogues
   and by passes that reason about values. Floats are computed in double, integers in int64 that wraps. */
#ifndef HN_SCALAR_H
#define HN_SCALAR_H
#include <stddef.h>

#include "ir/graph.h"

/* alpha and beta: the operator's float attributes in the order of op.def. Clip: its bounds. Gelu: alpha is 1 for
   the tanh approximation and 0 for the exact one. */
typedef void (*hn_unary_run)(double *v, size_t n, double alpha, double beta);          /* v = op(v) */
typedef void (*hn_unary_irun)(int64_t *v, size_t n, bool u64);                         /* u64: v holds uint64 bits */
/* a = a op b. mode is hn_scalar_mode() of the node. */
typedef void (*hn_binary_run)(double *a, const double *b, size_t n, int mode);
typedef void (*hn_binary_irun)(int64_t *a, const int64_t *b, size_t n, int mode, bool u64);

/* NULL: the operator has no such arithmetic. */
hn_unary_run hn_scalar_unary_run(hn_op op);
hn_unary_irun hn_scalar_unary_irun(hn_op op);
hn_binary_run hn_scalar_binary_run(hn_op op);
hn_binary_irun hn_scalar_binary_irun(hn_op op);

/* One element. NaN for operators that have no float arithmetic (see the functions above). Comparisons are 0 or 1. */
double hn_scalar_unary(hn_op op, double x, double alpha, double beta);
double hn_scalar_binary(hn_op op, double a, double b);

/* Attributes of a node as alpha and beta, defaults filled in. */
void hn_scalar_params(const hn_node *n, float *alpha, float *beta);
/* Mod: 1 for fmod; BitShift: 1 for RIGHT; 0 otherwise. */
int hn_scalar_mode(const hn_node *n);
#endif
