#include "run/replay.h"

#include "plan/schedule.h"

typedef struct segment {
  uint32_t first, n;
  hn_device *device;
  void *recording;
  bool refused; /* something in it cannot be kept */
} segment;

struct hn_replay {
  const hn_plan *plan;
  HN_VEC(segment) segments;
};

static bool of_fixed_shape(const hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].dynamic) return false;
  for (uint32_t i = 0; i < t->n_out; i++)
    if (t->out[i].dynamic) return false;
  return true;
}

/* The device whose lanes of steps a step is on, if it may be part of a segment. */
static hn_device *recorder_of(const hn_plan *plan, const hn_placement *placement, const hn_planned *s) {
  hn_device *d = s->device ? placement->devices[s->device] : NULL;
  bool able = d && d->kind->record && d->kind->wanted(d);
  (void)plan;
  return able && !hn_is_transfer(s) && of_fixed_shape(&s->task) ? d : NULL;
}

hone_status hn_replay_create(const hn_plan *plan, const hn_placement *placement, hn_replay **out) {
  hn_replay *r = hn_calloc(1, sizeof *r);
  *out = r;
  if (!r) return hn_nomem(plan->g->cx);
  r->plan = plan;
  segment s = {.n = 0};
  for (uint32_t i = 0; i <= plan->steps.n; i++) {
    hn_device *d = i < plan->steps.n ? recorder_of(plan, placement, &plan->steps.p[i]) : NULL;
    if (i < plan->steps.n && plan->steps.p[i].once) { /* done long ago when this is looked at */
      if (s.n) s.n++;
      continue;
    }
    if (s.n && d == s.device) {
      s.n++;
      continue;
    }
    if (s.n > 1 && !hn_push(&r->segments, s)) return hn_nomem(plan->g->cx);
    s = (segment){.first = i, .n = d ? 1 : 0, .device = d};
  }
  return HONE_OK;
}

void hn_replay_destroy(hn_replay *r) {
  if (!r) return;
  for (size_t i = 0; i < r->segments.n; i++) {
    segment *s = &r->segments.p[i];
    if (s->recording) s->device->kind->forget(s->device, s->recording);
  }
  hn_vec_free(&r->segments);
  hn_free(r);
}

static hn_lane_kind lane_of(const hn_plan *plan, uint32_t step) { return (hn_lane_kind)((plan->schedule->lane[step] - 1) % HN_LANE_KINDS); }

/* The steps are given to the device, which keeps them. */
static hone_status record(const hn_replay *r, segment *s, hn_timeline *t, hn_replay_run run, void *program) {
  hn_device *d = s->device;
  HN_TRY(d->kind->record(d));
  hone_status st = HONE_OK;
  for (uint32_t i = s->first; i < s->first + s->n && !st; i++) {
    if (r->plan->steps.p[i].once) continue;
    st = hn_timeline_waits(t, i, s->first, i, lane_of(r->plan, i));
    if (!st) st = run(program, i);
    if (!st) st = hn_timeline_mark(t, i, lane_of(r->plan, i));
  }
  void *recording = NULL;
  hone_status kept = d->kind->keep(d, &recording);
  if (st && !kept) d->kind->forget(d, recording);
  else if (!st) st = kept;
  if (!st) s->recording = recording;
  return st;
}

static hone_status name_steps(const hn_replay *r, const segment *s, hone_status st) {
  const hn_node *first = r->plan->steps.p[s->first].task.node, *last = r->plan->steps.p[s->first + s->n - 1].task.node;
  return hn_fail_within(r->plan->g->cx, st, "%u recorded steps from layer '%s' to '%s'", s->n, first ? first->name : "a change of layout",
                        last ? last->name : "a change of layout");
}

hone_status hn_replay_from(hn_replay *r, hn_timeline *t, uint32_t step, hn_replay_run run, void *program, uint32_t *n) {
  size_t i = 0;
  *n = 0;
  while (i < r->segments.n && r->segments.p[i].first != step) i++;
  if (i == r->segments.n) return HONE_OK;
  segment *s = &r->segments.p[i];
  if (!s->recording && !s->refused && record(r, s, t, run, program)) s->refused = true;
  if (s->refused) return HONE_OK; /* they were not done: the caller does them, and meets what is wrong with them */
  uint32_t end = s->first + s->n;
  for (uint32_t k = s->first; k < end; k++) HN_TRY(hn_timeline_waits(t, k, 0, s->first, HN_LANE_COMPUTE));
  hone_status st = s->device->kind->replay(s->device, s->recording);
  if (st) return name_steps(r, s, st);
  for (uint32_t k = s->first; k < end; k++)
    if (!r->plan->steps.p[k].once) HN_TRY(hn_timeline_mark(t, k, HN_LANE_COMPUTE));
  *n = s->n;
  return HONE_OK;
}
