/* tune.h - kernel auto-tuning: every kernel that may do a layer is timed in its place in the whole graph, with the
   changes of layout it forces and the caches as its neighbours leave them. */
#ifndef HN_TUNE_H
#define HN_TUNE_H
#include "run/program.h"

/* Sets tactic and tactic_ms of g's nodes. `inputs` as for hn_program_create, with data. Errors: those of running and of
   the cache file; g is unchanged then. */
hone_status hn_tune(hn_graph *g, const hn_view *inputs, const hn_plan_options *o, const hone_tune_options *how,
                    hone_tune_result *result);
#endif
