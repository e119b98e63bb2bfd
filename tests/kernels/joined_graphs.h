/* joined_graphs.h - random graphs of convolutions, products, poolings and element-wise layers in which Concats nest, prolong one
   another, share inputs and are read beside their parts. */
#ifndef JOINED_GRAPHS_H
#define JOINED_GRAPHS_H
#include "ir/graph.h"
#include "device/kernel.h"

enum { JOINED_VALUES = 40 };
extern uint32_t joined_seed;
uint32_t joined_next(void);

/* Images [n, channels, h, w], or rows [n, h, channels]; `axis`: the channels. */
typedef struct joined {
  hn_graph *g;
  int32_t rank, axis;
  int64_t d[4];
  hn_id value[JOINED_VALUES];
  int64_t channels[JOINED_VALUES];
  int n;
  int concats, cuts;
} joined;

bool joined_make(hone_context *cx, joined *m); /* a failed check: false; m->g is to be destroyed in any case */
hone_status joined_inputs(const joined *m, hn_view in[2]); /* data to be freed by hn_free_aligned() */
void joined_compare(const joined *m, const hn_view *got, const hn_view *want, const char *what);
#endif
