/* reconstruct.h - weights rounded so that what their layer computes from samples of its input stays. */
#ifndef HN_RECONSTRUCT_H
#define HN_RECONSTRUCT_H
#include "quant/samples.h"

/* Rounds the weights of product `n`, whose input is told in `steps`, with a scale for each channel (their `axis`); `bias`, a number a
   channel or NULL, is corrected. What was found once is kept in `s`. */
hone_status hn_round_weights(hn_graph *g, const hn_node *n, int32_t axis, const double *scale, const hn_steps *steps, hn_samples *s,
                             const hn_rounding *how, int threads, double *bias, hn_tensor **out);
#endif
