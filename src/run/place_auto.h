/* place_auto.h - placement by time: what each node takes on each device and what each tensor takes to copy, measured by
   running, or as a modelled device says; then the partition with the least sum, and what is shorter when copies go on beside
   steps. */
#ifndef HN_PLACE_AUTO_H
#define HN_PLACE_AUTO_H
#include "plan/place.h"
#include "run/program.h"

typedef struct hn_place_estimate { /* seconds of a run */
  double cpu, device, placed;      /* all on the CPU; all on the first device as far as it runs them; as chosen */
} hn_place_estimate;

/* Sets the choice of `place`, for g with inputs of these shapes; data may be NULL: zeros then. */
hone_status hn_place_auto(const hn_graph *g, const hn_view *inputs, const hn_plan_options *o, hn_place *place, uint32_t min_segment,
                          hn_place_estimate *estimate);
#endif
