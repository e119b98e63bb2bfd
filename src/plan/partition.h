/* partition.h - the assignment of nodes to devices with the least sum of step and copy times, and the run's length when both go
   on at the same time. Knows no graph. */
#ifndef HN_PARTITION_H
#define HN_PARTITION_H
#include "device/device.h"

#define HN_PART_FORBIDDEN 1e6 /* what running where a rule does not allow it costs */

/* A tensor that may have to be copied: from the host, or from where its producer runs, to each device that reads it,
   always by way of the host. */
typedef struct hn_part_value {
  uint32_t producer;        /* node, or HN_NONE: it lies on the host */
  const uint32_t *readers;  /* nodes */
  uint32_t n_readers;
  bool wanted_on_host;      /* a result */
  double seconds[HN_MAX_DEVICES]; /* of a copy between the host and each device */
} hn_part_value;

typedef struct hn_part_problem {
  uint32_t n_nodes, n_values, n_devices;
  const double *cost; /* node * n_devices + device: seconds; INFINITY: it cannot run there. The host can run all */
  const hn_part_value *values;
  const uint32_t *order; /* nodes as they run; NULL: all, by number */
  uint32_t n_order;
  uint32_t min_segment; /* nodes that neighbour each other on a device must be so many at least */
} hn_part_problem;

/* Exact for two devices, by one cut; for more by elimination from where cuts between two at a time lead, exact where the graph is
   narrow enough (hn_assign_solve). Segments that are too small go to the host, and the rest is solved again. */
hone_status hn_partition(hone_context *cx, const hn_part_problem *p, uint8_t *of_node);
/* The sum that is minimized. */
double hn_partition_cost(const hn_part_problem *p, const uint8_t *of_node);

/* Seconds of a run whose copies go on beside its steps. */
hone_status hn_partition_length(hone_context *cx, const hn_part_problem *p, const uint8_t *of_node, double *seconds);
/* What makes the run shorter of: all on one device, each segment in turn on another. Never longer than before. */
hone_status hn_partition_shorten(hone_context *cx, const hn_part_problem *p, uint8_t *of_node);
/* Nodes that neighbour each other on one device: the segment of each, named by one of its nodes, and how many are in it. */
void hn_partition_segments(const hn_part_problem *p, const uint8_t *of_node, uint32_t *segment, uint32_t *size);

/* The two ways of solving; no minimum segment. A cut moves the nodes that are on a or b between these two, in the best way with
   all others where they are. Labels: from where nodes are to what costs no more; *bound (may be NULL): nothing costs less. */
hone_status hn_partition_cut(hone_context *cx, const hn_part_problem *p, uint8_t a, uint8_t b, uint8_t *of_node);
hone_status hn_partition_label(hone_context *cx, const hn_part_problem *p, uint8_t *of_node, double *bound);
#endif
