/* factors.h - factors a channel that go into the layer that makes an activation and out of those that read it. */
#ifndef HN_FACTORS_H
#define HN_FACTORS_H
#include "ir/graph.h"

/* Which of a weight tensor's numbers belong to which channel of the input or output of its layer. */
typedef struct hn_lanes {
  int64_t taps, per, out_per_group, rows, columns;
  bool conv, across; /* matrices: across: the channel is the column */
} hn_lanes;
hn_lanes hn_lanes_of(const hn_node *n, const hn_tensor *w, bool of_inputs);
int64_t hn_channel_of(const hn_lanes *l, int64_t i); /* of number i */

/* The axis of a value's channels where a product with constant weights reads it; -1: none does. */
int32_t hn_channel_axis_of(const hn_graph *g, hn_id value);

typedef struct hn_factor_place {
  hn_id value, producer;
  int32_t rank, axis;
  int64_t n;           /* channels */
  bool passes, inside; /* factors reach into the epilogue of the producer, and through it to its weights; else they are a step more */
} hn_factor_place;

/* May a value of `n` channels have factors? A product makes it, and products alone read it, as their data. */
bool hn_factors_fit(const hn_graph *g, hn_id value, int64_t n, hn_factor_place *p);
/* What is computed stays the same but for rounding; the value is each channel times its factor. */
hone_status hn_factors_move(hn_graph *g, const hn_factor_place *p, const double *r);
#endif
