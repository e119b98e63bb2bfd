/* replay.h - steps of a device that follow one another are given to it once, and then done as a whole in every run. */
#ifndef HN_REPLAY_H
#define HN_REPLAY_H
#include "run/timeline.h"

typedef struct hn_replay hn_replay;
/* What of a plan can be done so; NULL in *out: nothing. */
hone_status hn_replay_create(const hn_plan *plan, const hn_placement *placement, hn_replay **out);
void hn_replay_destroy(hn_replay *r); /* accepts NULL */
/* Does the steps from `step` on, if some are done as a whole that begin there: how many. 0: they are to be done one by one.
   run(): gives one step to its device. */
typedef hone_status (*hn_replay_run)(void *program, uint32_t step);
hone_status hn_replay_from(hn_replay *r, hn_timeline *t, uint32_t step, hn_replay_run run, void *program, uint32_t *n);
#endif
