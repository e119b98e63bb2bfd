/* nd.h - walks over index spaces in physical order: each operand has its own strides (0 where it is broadcast).
   Dimensions that all operands step through alike are merged, the rest is cut up over threads. */
#ifndef HN_ND_H
#define HN_ND_H
#include "device/kernel.h"

enum { HN_ND_RANK = HN_MAX_RANK + 1, HN_ND_OPERANDS = 8 };

typedef struct hn_nd {
  int32_t rank, n;                                  /* dimensions, operands */
  int64_t dims[HN_ND_RANK];
  int64_t stride[HN_ND_OPERANDS][HN_ND_RANK];       /* in elements */
} hn_nd;

/* Dimensions of a layout as they lie in memory, the innermost last; a blocked one has one more than the tensor. */
int32_t hn_layout_dims(hn_layout l, int32_t rank, const int64_t *dims, int64_t *physical);

/* The index space of a tensor in a layout. Operand 0 is the tensor itself; its runs lie `pitch` apart (0: dense). */
void hn_nd_begin(hn_nd *nd, hn_layout l, int32_t rank, const int64_t *dims, int64_t pitch);
/* One more operand, broadcast to the tensor (numpy's rules), lying in its own layout, with its pitch if that is taken. false: too many operands, or
   the two layouts do not go together (a blocked tensor whose channels do not fill the blocks). l, rank and dims are
   those given to hn_nd_begin. */
bool hn_nd_operand(hn_nd *nd, hn_layout l, int32_t rank, const int64_t *dims, const hn_arg *operand);
/* One more operand with these strides. */
bool hn_nd_strided(hn_nd *nd, const int64_t *stride);
/* Merges dimensions; afterwards the last one is the run. A scalar becomes one dimension of size 1. */
void hn_nd_merge(hn_nd *nd);

/* Calls fn for every run: at[k] is the offset of operand k, n the length, step through stride[k][rank - 1]. Long
   runs are cut too. `grain`: elements below which another thread does not pay. */
typedef void (*hn_nd_fn)(void *arg, const int64_t *at, int64_t n);
void hn_nd_for(const hn_nd *nd, int threads, int64_t grain, hn_nd_fn fn, void *arg);
/* The same for elements from.. of operand 0 alone, which is dense, by this thread. */
void hn_nd_part(const hn_nd *nd, int64_t from, int64_t n, hn_nd_fn fn, void *arg);
#endif
