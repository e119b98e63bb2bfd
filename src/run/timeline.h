/* timeline.h - runs the steps of a plan over several devices: order between lanes, and when each step began and ended,
   by the devices' own clocks or, on modelled devices, by arithmetic. */
#ifndef HN_TIMELINE_H
#define HN_TIMELINE_H
#include "plan/schedule.h"
#include "run/profile.h"

typedef struct hn_timeline hn_timeline;
hone_status hn_timeline_create(const hn_plan *plan, const hn_placement *placement, hn_timeline **out);
void hn_timeline_destroy(hn_timeline *t); /* accepts NULL */
bool hn_timeline_modelled(const hn_timeline *t);

/* timed: the devices' clocks are read too, when the run is over. */
hone_status hn_timeline_begin_run(hn_timeline *t, bool timed);
/* Before a step is given to its lane: what it waits for is done, or its lane is told to wait. */
hone_status hn_timeline_before(hn_timeline *t, uint32_t step);
/* After it: `seconds` it took on the host; bytes that a transfer moved. */
hone_status hn_timeline_after(hn_timeline *t, uint32_t step, double seconds, double bytes);
/* For steps given out as a whole: `lane` of `step`'s device waits for what the step waits for, of the steps from..to-1. */
hone_status hn_timeline_waits(hn_timeline *t, uint32_t step, uint32_t from, uint32_t to, hn_lane_kind lane);
/* Others may wait for the step by what was given to `lane` so far. */
hone_status hn_timeline_mark(hn_timeline *t, uint32_t step, hn_lane_kind lane);
/* Waits for all lanes. Where times are modelled, *seconds is the run's; else 0. */
hone_status hn_timeline_end_run(hn_timeline *t, double *seconds);
/* Lanes in a recorder, and which of them each step's site is on. *first: the host's. */
hone_status hn_timeline_lanes(const hn_timeline *t, hone_profile *p, uint32_t first_site, uint32_t *first);
/* From the run's begin, of a step of the last run. False: it was not part of a run whose times were taken. */
bool hn_timeline_step(const hn_timeline *t, uint32_t step, double *begin, double *end);
double hn_timeline_begun(const hn_timeline *t); /* when, by hn_now() */
/* The steps that may have been at work when the last call failed: from one to another; false: not known. */
bool hn_timeline_suspects(const hn_timeline *t, uint32_t *from, uint32_t *to);
#endif
