/* einsum.h - the equation of Einsum, read once for inference and kernels. */
#ifndef HN_EINSUM_H
#define HN_EINSUM_H
#include "ir/graph.h"

enum { HN_EINSUM_LABELS = 52 + HN_MAX_RANK, HN_EINSUM_INPUTS = 8 };

/* Labels are numbers: letters, and the dimensions an ellipsis stands for (aligned at its end). */
typedef struct hn_einsum {
  uint32_t n_in;
  int32_t rank[HN_EINSUM_INPUTS], out_rank;
  int label[HN_EINSUM_INPUTS][HN_MAX_RANK], out[HN_MAX_RANK];
} hn_einsum;

/* ranks of the inputs are known. BAD_GRAPH (no node prefix) if the equation does not fit. */
hone_status hn_einsum_read(hone_context *cx, const char *equation, uint32_t n_in, const int32_t *ranks, hn_einsum *e);
#endif
