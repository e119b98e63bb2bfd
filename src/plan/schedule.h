/* schedule.h - the steps of a plan over several devices, on lanes that work at the same time, and what waits for what. */
#ifndef HN_SCHEDULE_H
#define HN_SCHEDULE_H
#include "plan/plan.h"

/* Lane 0 is the host; then come HN_LANE_KINDS lanes of each device. */
static inline uint32_t hn_lane_of(uint8_t device, hn_lane_kind kind) {
  return device ? 1 + (device - 1U) * HN_LANE_KINDS + (uint32_t)kind : 0;
}

typedef struct hn_schedule {
  uint32_t n_lanes;
  uint8_t *lane;    /* of each step */
  uint32_t *waits;  /* step * n_lanes + lane: the last step of that other lane it must wait for, or HN_NONE */
  bool *awaited;    /* does a step of another lane wait for it? */
} hn_schedule;

/* Places the blocks of every device in its memory, and orders the lanes: a step waits for those before it that touch the
   same bytes, where one of the two writes. Lives in the plan's arena. */
hone_status hn_schedule_create(hn_plan *p, const hn_placement *placement);
static inline bool hn_is_transfer(const hn_planned *s) { return s->task.kernel == &hn_transfer_kernel; }
#endif
