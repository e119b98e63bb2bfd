#include "run/timeline.h"

#include <stdio.h>
#include <string.h>

#include "op/infer.h"
#include "run/sites.h"

struct hn_timeline {
  const hn_plan *plan;
  const hn_placement *placement;
  bool modelled; /* one device at least is */
  double *cost;  /* of each step on a modelled device */
  double *begin, *end;
  double *lane_free;
  bool *ran;                         /* in the run in progress, whose times are taken */
  bool timed;
  double begun, offset[HN_MAX_DEVICES]; /* the run's begin by hn_now(); what a device's clock lacks to it */
  uint32_t given, done;              /* steps given out so far; before `done` all are over */
};

/* Steps and transfers of dynamic shape are priced when they run. */
static double price(const hn_plan *plan, const hn_planned *s, const hn_device *d) {
  bool symbolic = false;
  const hn_task *t = &s->task;
  if (!d || !d->kind->step_seconds) return 0;
  double flops = t->node ? (double)hn_node_flops(plan->g, t->node, &symbolic) : 0;
  return d->kind->step_seconds(d, t, flops, (double)hn_step_bytes(t));
}

hone_status hn_timeline_create(const hn_plan *plan, const hn_placement *placement, hn_timeline **out) {
  size_t n = plan->steps.n;
  hn_timeline *t = hn_calloc(1, sizeof *t);
  if (!t) return hn_nomem(plan->g->cx);
  *t = (hn_timeline){.plan = plan, .placement = placement, .cost = hn_calloc(n, sizeof(double)), .begin = hn_calloc(n, sizeof(double)),
                     .end = hn_calloc(n, sizeof(double)), .lane_free = hn_calloc(plan->schedule->n_lanes, sizeof(double)), .ran = hn_calloc(n, sizeof(bool))};
  if (!t->cost || !t->begin || !t->end || !t->lane_free || !t->ran) {
    hn_timeline_destroy(t);
    return hn_nomem(plan->g->cx);
  }
  for (uint32_t d = 1; d < placement->n; d++) t->modelled |= placement->devices[d]->kind->modelled;
  for (size_t i = 0; i < n; i++) t->cost[i] = price(plan, &plan->steps.p[i], placement->devices[plan->steps.p[i].device]);
  *out = t;
  return HONE_OK;
}

void hn_timeline_destroy(hn_timeline *t) {
  if (!t) return;
  hn_free(t->cost);
  hn_free(t->begin);
  hn_free(t->end);
  hn_free(t->lane_free);
  hn_free(t->ran);
  hn_free(t);
}

bool hn_timeline_modelled(const hn_timeline *t) { return t && t->modelled; }

static hn_device *device_of(const hn_timeline *t, uint32_t step) { return t->placement->devices[t->plan->steps.p[step].device]; }

static hn_lane_kind kind_of(const hn_timeline *t, uint32_t step) {
  return (hn_lane_kind)((t->plan->schedule->lane[step] - 1) % HN_LANE_KINDS);
}

/* Events: one for each step, one for each lane, one for each device, then two for each step whose times are taken. */
static uint32_t event_of_lane(const hn_timeline *t, uint32_t lane) { return (uint32_t)t->plan->steps.n + lane; }
static uint32_t event_of_device(const hn_timeline *t, uint32_t d) { return event_of_lane(t, t->plan->schedule->n_lanes) + d; }
static uint32_t event_of_time(const hn_timeline *t, uint32_t step, bool end) { return event_of_device(t, HN_MAX_DEVICES) + 2 * step + end; }

/* Does this lane's device have a clock that is read? */
static hn_device *clocked(const hn_timeline *t, uint32_t step) {
  hn_device *d = t->timed && t->plan->schedule->lane[step] ? device_of(t, step) : NULL;
  return d && d->kind->timestamp ? d : NULL;
}

hone_status hn_timeline_begin_run(hn_timeline *t, bool timed) {
  memset(t->lane_free, 0, t->plan->schedule->n_lanes * sizeof *t->lane_free);
  memset(t->end, 0, t->plan->steps.n * sizeof *t->end); /* what is done once was done long ago */
  memset(t->ran, 0, t->plan->steps.n * sizeof *t->ran);
  t->given = t->done = 0;
  t->timed = timed && !t->modelled;
  for (uint32_t i = 1; i < t->placement->n && t->timed; i++) { /* the two clocks at one moment */
    hn_device *d = t->placement->devices[i];
    double there;
    if (!d->kind->timestamp) continue;
    HN_TRY(d->kind->mark(d, HN_LANE_COMPUTE, event_of_device(t, i)));
    HN_TRY(d->kind->await(d, event_of_device(t, i)));
    double here = hn_now();
    HN_TRY(d->kind->timestamp(d, event_of_device(t, i), &there));
    t->offset[i] = here - there;
  }
  t->begun = hn_now();
  return HONE_OK;
}

/* The lane, or the host, waits for a step on another lane. */
static hone_status wait_for(hn_timeline *t, uint32_t step, uint32_t on, bool host, hn_lane_kind lane) {
  hn_device *d = t->plan->schedule->lane[on] ? device_of(t, on) : NULL;
  if (!d || !d->kind->await) return HONE_OK; /* done when it returned */
  return !host && device_of(t, step) == d ? d->kind->wait(d, lane, on) : d->kind->await(d, on);
}

hone_status hn_timeline_waits(hn_timeline *t, uint32_t step, uint32_t from, uint32_t to, hn_lane_kind lane) {
  const hn_schedule *c = t->plan->schedule;
  for (uint32_t l = 0; l < c->n_lanes; l++) {
    uint32_t on = c->waits[(size_t)step * c->n_lanes + l];
    if (on == HN_NONE || on < from || on >= to) continue;
    bool own_lane = c->lane[on] && device_of(t, on) == device_of(t, step) && kind_of(t, on) == lane;
    if (!own_lane) HN_TRY(wait_for(t, step, on, false, lane));
  }
  return HONE_OK;
}

hone_status hn_timeline_mark(hn_timeline *t, uint32_t step, hn_lane_kind lane) {
  hn_device *d = device_of(t, step);
  if (step >= t->given) t->given = step + 1;
  return t->plan->schedule->awaited[step] ? d->kind->mark(d, lane, step) : HONE_OK;
}

hone_status hn_timeline_before(hn_timeline *t, uint32_t step) {
  const hn_schedule *c = t->plan->schedule;
  uint32_t own = c->lane[step];
  double ready = t->lane_free[own];
  if (own && t->lane_free[0] > ready) ready = t->lane_free[0]; /* the host gives out work in order */
  for (uint32_t l = 0; l < c->n_lanes; l++) {
    uint32_t on = c->waits[(size_t)step * c->n_lanes + l];
    if (on == HN_NONE) continue;
    if (t->end[on] > ready) ready = t->end[on];
    HN_TRY(wait_for(t, step, on, !own, own ? kind_of(t, step) : HN_LANE_COMPUTE));
  }
  hn_device *d = clocked(t, step);
  t->begin[step] = t->modelled ? ready : hn_now() - t->begun;
  return d ? d->kind->mark(d, kind_of(t, step), event_of_time(t, step, false)) : HONE_OK;
}

hone_status hn_timeline_after(hn_timeline *t, uint32_t step, double seconds, double bytes) {
  const hn_schedule *c = t->plan->schedule;
  hn_device *d = c->lane[step] ? device_of(t, step) : NULL;
  if (d && d->kind->modelled) seconds = hn_is_transfer(&t->plan->steps.p[step]) ? d->kind->copy_seconds(d, bytes) : t->cost[step];
  t->end[step] = t->lane_free[c->lane[step]] = t->begin[step] + seconds;
  bool once = t->plan->steps.p[step].once;
  t->given = step + 1;
  t->ran[step] = true;
  if (clocked(t, step)) HN_TRY(d->kind->mark(d, kind_of(t, step), event_of_time(t, step, true)));
  if (!d || !d->kind->mark || !(c->awaited[step] || once)) return HONE_OK;
  HN_TRY(d->kind->mark(d, kind_of(t, step), step));
  return once ? d->kind->await(d, step) : HONE_OK;
}

static hone_status read_clocks(hn_timeline *t) {
  for (uint32_t i = 0; i < t->plan->steps.n; i++) {
    hn_device *d = t->ran[i] ? clocked(t, i) : NULL;
    double begin, end, offset = t->offset[t->plan->steps.p[i].device] - t->begun;
    if (!d) continue;
    HN_TRY(d->kind->timestamp(d, event_of_time(t, i, false), &begin));
    HN_TRY(d->kind->timestamp(d, event_of_time(t, i, true), &end));
    t->begin[i] = begin + offset;
    t->end[i] = end + offset;
  }
  return HONE_OK;
}

hone_status hn_timeline_end_run(hn_timeline *t, double *seconds) {
  const hn_schedule *c = t->plan->schedule;
  double last = 0;
  for (uint32_t l = 0; l < c->n_lanes; l++) {
    hn_device *d = l ? t->placement->devices[1 + (l - 1) / HN_LANE_KINDS] : NULL;
    if (t->lane_free[l] > last) last = t->lane_free[l];
    if (!d || !d->kind->mark) continue;
    HN_TRY(d->kind->mark(d, (hn_lane_kind)((l - 1) % HN_LANE_KINDS), event_of_lane(t, l)));
    HN_TRY(d->kind->await(d, event_of_lane(t, l)));
  }
  t->done = t->given;
  *seconds = t->modelled ? last : 0;
  return t->timed ? read_clocks(t) : HONE_OK;
}

bool hn_timeline_suspects(const hn_timeline *t, uint32_t *from, uint32_t *to) {
  bool found = false;
  for (uint32_t i = t->done; i < t->given; i++) {
    if (!t->plan->schedule->lane[i] || hn_is_transfer(&t->plan->steps.p[i])) continue;
    if (!found) *from = i;
    *to = i;
    found = true;
  }
  return found;
}

double hn_timeline_begun(const hn_timeline *t) { return t->begun; }

bool hn_timeline_step(const hn_timeline *t, uint32_t step, double *begin, double *end) {
  *begin = t->begin[step];
  *end = t->end[step];
  return t->ran[step] && (t->modelled || t->timed);
}

hone_status hn_timeline_lanes(const hn_timeline *t, hone_profile *p, uint32_t first_site, uint32_t *first) {
  static const char *const kinds[HN_LANE_KINDS] = {"steps", "copies in", "copies out", "steps beside"};
  const hn_schedule *c = t->plan->schedule;
  uint32_t lane[1 + HN_MAX_DEVICES * HN_LANE_KINDS];
  *first = HN_LANE_HOST;
  lane[0] = HN_LANE_HOST;
  for (uint32_t l = !t->modelled; l < c->n_lanes; l++) {
    char name[HN_DEVICE_NAME + 32];
    const hn_device *d = l ? t->placement->devices[1 + (l - 1) / HN_LANE_KINDS] : NULL;
    const char *device = d ? d->name : "cpu";
    lane[l] = HN_LANE_HOST;
    if (d && (l - 1) % HN_LANE_KINDS == HN_LANE_SIDE && !d->kind->side) continue;
    snprintf(name, sizeof name, "%s: %s", device, l ? kinds[(l - 1) % HN_LANE_KINDS] : "steps, as measured");
    HN_TRY(hn_profile_add_lane(p, t->modelled ? "modelled time" : "devices", name, &lane[l]));
  }
  *first = lane[0];
  for (size_t i = 0; i < t->plan->steps.n; i++) p->sites.p[first_site + i].lane = lane[c->lane[i]];
  return HONE_OK;
}
