/* reconstruct.h - what layers read, in samples, and weights rounded so that what they compute from it stays. */
#ifndef HN_RECONSTRUCT_H
#define HN_RECONSTRUCT_H
#include "ir/graph.h"

/* Patches of a layer's input, each as long as the weights of one output (of all groups): a uniform choice of those offered. In
   bfloat16, patch after patch. */
typedef struct hn_samples {
  uint16_t *x;
  int64_t k;       /* numbers in a patch */
  uint32_t n, room;
  uint64_t offered, seed;
} hn_samples;

/* Takes some patches of the input of product `n`, dense numbers in `data`. Errors: NOMEM. */
hone_status hn_sample(hn_graph *g, const hn_node *n, const float *data, int32_t rank, const int64_t *dims, hn_samples *s);
void hn_samples_free(hn_samples *s);

/* What is to be done beyond rounding each weight to the nearest. */
typedef struct hn_rounding {
  bool reconstruct;  /* up or down, as the sums over the samples stay nearest to those of the real weights: Nagel et al., "Up or Down?", 2020 */
  bool correct_bias; /* the mean of what is left of the difference is taken out of the bias: Nagel et al., 2019 */
} hn_rounding;

/* Rounds the weights of product `n` with a scale for each channel (their `axis`); `bias`, a number a channel or NULL, is corrected. */
hone_status hn_round_weights(hn_graph *g, const hn_node *n, int32_t axis, const double *scale, const hn_samples *s, const hn_rounding *how,
                             double *bias, hn_tensor **out);
#endif
