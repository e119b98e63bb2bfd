/* before.h - an element-wise layer in front of a convolution, done while the convolution copies its image: a factor and an
   addition per channel, bounds, functions of one number. What DenseNets have there is batch normalization and Relu. */
#ifndef HN_BEFORE_H
#define HN_BEFORE_H
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"

typedef struct hn_before {
  const float *scale, *shift; /* per channel */
  float lo, hi;               /* NaN passes */
  uint32_t n;
  hn_step unary[4];
  const hn_vec *vec;
} hn_before;

/* Whether all that the node computes from an image is of that kind; *input: which of its inputs the image is. */
bool hn_before_possible(const hn_graph *g, const hn_node *e, uint32_t *input);
/* Of task.before; packs the numbers with the task. */
hone_status hn_before_take(hn_task *t, hn_before *b);
/* Channels first.. of one pixel. */
static inline void hn_before_run(const hn_before *b, float *d, const float *x, int64_t first, int64_t n) {
  b->vec->affine(d, x, b->scale + first, b->shift + first, b->lo, b->hi, (size_t)n);
  for (uint32_t i = 0; i < b->n; i++) b->vec->unary[b->unary[i].op](d, d, (size_t)n, b->unary[i].alpha, b->unary[i].beta);
}

/* Runs task.chain: such a node, and a convolution that alone reads it. */
extern const hn_kernel hn_prologue_kernel;
#endif
