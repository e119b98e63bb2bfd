/* lower.h - brings a graph to operators that other runtimes have. */
#ifndef HN_LOWER_H
#define HN_LOWER_H
#include "ir/graph.h"

/* Epilogues become element-wise nodes; operators that only the newest opsets have become what they stand for. In
   place; nested graphs too. */
hone_status hn_lower(hn_graph *g);
#endif
