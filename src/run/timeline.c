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
                     .end = hn_calloc(n, sizeof(double)), .lane_free = hn_calloc(plan->schedule->n_lanes, sizeof(double))};
  if (!t->cost || !t->begin || !t->end || !t->lane_free) {
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
  hn_free(t);
}

bool hn_timeline_modelled(const hn_timeline *t) { return t && t->modelled; }

void hn_timeline_begin_run(hn_timeline *t) {
  memset(t->lane_free, 0, t->plan->schedule->n_lanes * sizeof *t->lane_free);
  memset(t->end, 0, t->plan->steps.n * sizeof *t->end); /* what is done once was done long ago */
}

static hn_device *device_of(const hn_timeline *t, uint32_t step) { return t->placement->devices[t->plan->steps.p[step].device]; }

static hn_lane_kind kind_of(const hn_timeline *t, uint32_t step) {
  return (hn_lane_kind)((t->plan->schedule->lane[step] - 1) % HN_LANE_KINDS);
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
    hn_device *d = l ? device_of(t, on) : NULL;
    if (!d || !d->kind->await) continue; /* done when it returned */
    if (own && device_of(t, step) == d) HN_TRY(d->kind->wait(d, kind_of(t, step), on));
    else HN_TRY(d->kind->await(d, on));
  }
  t->begin[step] = ready;
  return HONE_OK;
}

hone_status hn_timeline_after(hn_timeline *t, uint32_t step, double seconds, double bytes) {
  const hn_schedule *c = t->plan->schedule;
  hn_device *d = c->lane[step] ? device_of(t, step) : NULL;
  if (d && d->kind->modelled) seconds = hn_is_transfer(&t->plan->steps.p[step]) ? d->kind->copy_seconds(d, bytes) : t->cost[step];
  t->end[step] = t->lane_free[c->lane[step]] = t->begin[step] + seconds;
  bool once = t->plan->steps.p[step].once;
  if (!d || !d->kind->mark || !(c->awaited[step] || once)) return HONE_OK;
  HN_TRY(d->kind->mark(d, kind_of(t, step), step));
  return once ? d->kind->await(d, step) : HONE_OK;
}

hone_status hn_timeline_end_run(hn_timeline *t, double *seconds) {
  const hn_schedule *c = t->plan->schedule;
  double last = 0;
  uint32_t event = (uint32_t)t->plan->steps.n;
  for (uint32_t l = 0; l < c->n_lanes; l++) {
    hn_device *d = l ? t->placement->devices[1 + (l - 1) / HN_LANE_KINDS] : NULL;
    if (t->lane_free[l] > last) last = t->lane_free[l];
    if (!d || !d->kind->mark) continue;
    HN_TRY(d->kind->mark(d, (hn_lane_kind)((l - 1) % HN_LANE_KINDS), event + l));
    HN_TRY(d->kind->await(d, event + l));
  }
  *seconds = t->modelled ? last : 0;
  return HONE_OK;
}

void hn_timeline_step(const hn_timeline *t, uint32_t step, double *begin, double *end) {
  *begin = t->begin[step];
  *end = t->end[step];
}

hone_status hn_timeline_lanes(const hn_timeline *t, hone_profile *p, uint32_t first_site, uint32_t *first) {
  static const char *const kinds[HN_LANE_KINDS] = {"steps", "copies in", "copies out"};
  const hn_schedule *c = t->plan->schedule;
  uint32_t lane[1 + HN_MAX_DEVICES * HN_LANE_KINDS];
  *first = HN_LANE_HOST;
  if (!t->modelled) return HONE_OK; /* the host's thread gives out the work; the devices' own times are not on its axis */
  for (uint32_t l = 0; l < c->n_lanes; l++) {
    char name[HN_DEVICE_NAME + 32];
    const char *device = l ? t->placement->devices[1 + (l - 1) / HN_LANE_KINDS]->name : "cpu";
    snprintf(name, sizeof name, "%s: %s", device, l ? kinds[(l - 1) % HN_LANE_KINDS] : "steps, as measured");
    HN_TRY(hn_profile_add_lane(p, "modelled time", name, &lane[l]));
  }
  *first = lane[0];
  for (size_t i = 0; i < t->plan->steps.n; i++) p->sites.p[first_site + i].lane = lane[c->lane[i]];
  return HONE_OK;
}
