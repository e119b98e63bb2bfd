/* reconstruct.h - weights rounded so that what their layer computes from samples of its input stays. */
#ifndef HN_RECONSTRUCT_H
#define HN_RECONSTRUCT_H
#include "quant/samples.h"

/* Whether what was made of a layer's weights is for inputs in these steps, rounded so. */
bool hn_rounding_known(const hn_samples *s, const hn_steps *steps, const hn_rounding *how);
/* To the nearest, with a scale for each channel (their `axis`). */
hone_status hn_round_nearest(hone_context *cx, const hn_tensor *w, int32_t axis, const double *scale, hn_tensor **out);
/* Rounds the weights of product `n`, whose input is told in `steps`; `bias`, a number a channel or NULL, is corrected. What was found once
   is kept in `s`. */
hone_status hn_round_weights(hn_graph *g, const hn_node *n, int32_t axis, const double *scale, const hn_steps *steps, hn_samples *s,
                             const hn_rounding *how, int threads, double *bias, hn_tensor **out);
#endif
