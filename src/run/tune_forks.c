/* tune_forks.c - which branches run side by side. */
#include <string.h>

#include "plan/fork.h"
#include "run/tuner.h"

/* Takes the times of the chosen kernels on one thread: the rows that tuning for one thread has. */
static hone_status time_alone(tuner *t, tuner *one) {
  const hn_plan_options chosen = {.round = 0};
  double seconds;
  *one = *t;
  one->plan.threads = 1;
  one->plan.pool = NULL;
  hn_tuner_name_machine(one);
  one->layers = hn_calloc(2 * t->g->nodes.n, sizeof *one->layers); /* what is noted there is of one thread */
  if (!one->layers) return hn_nomem(t->g->cx);
  memcpy(one->layers, t->layers, 2 * t->g->nodes.n * sizeof *one->layers);
  hone_status st = hn_tuner_try(one, &chosen, NULL, &seconds);
  hn_free(one->layers);
  t->done = one->done;
  t->result = one->result;
  return st;
}

static void mark_step(tuner *t, const hn_planned *s, hn_mark m) {
  for (uint32_t i = 0; s->node != HN_NONE && i < (s->task.chain ? s->task.n_chain : 1); i++) {
    hn_id id = s->task.chain ? s->task.chain[i] : s->node;
    if (id >= t->g->nodes.n) continue;
    hn_node_at(t->g, id)->fork = m.fork;
    hn_node_at(t->g, id)->branch = m.branch;
  }
}

void hn_tuner_unmark(tuner *t) {
  for (hn_id id = 0; id < t->g->nodes.n; id++) hn_node_at(t->g, id)->fork = hn_node_at(t->g, id)->branch = 0;
}

/* Marks the forks that pay by the layers' times. */
static hone_status mark_forks(tuner *t, const tuner *one, const hn_plan *plan) {
  size_t n = plan->steps.n;
  double *alone = hn_calloc(n, sizeof *alone), *together = hn_calloc(n, sizeof *together);
  hn_mark *mark = hn_calloc(n, sizeof *mark);
  hone_status st = alone && together && mark ? HONE_OK : hn_nomem(t->g->cx);
  for (size_t i = 0; i < n && !st; i++) {
    uint32_t id = hn_tuner_layer(t, &plan->steps.p[i]);
    const char *tactic = hn_planned_tactic(&plan->steps.p[i]);
    if (id == HN_NONE || !t->layers[id].text) continue;
    if (!hn_timing_cache_get(t->cache, t->machine, t->layers[id].text, tactic, &together[i])) continue;
    if (!hn_timing_cache_get(t->cache, one->machine, t->layers[id].text, tactic, &alone[i])) alone[i] = together[i] * t->plan.threads;
  }
  if (!st) st = hn_forks_choose(plan, t->plan.threads, alone, together, mark);
  for (size_t i = 0; i < n && !st; i++) mark_step(t, &plan->steps.p[i], mark[i]);
  hn_free(alone);
  hn_free(together);
  hn_free(mark);
  return st;
}

/* The time of the plan with forks, from the cache or measured against the one without. */
static hone_status time_forks(tuner *t, hn_program *without, double total, double *seconds) {
  hn_program *p;
  double ratio;
  HN_TRY(hn_program_create(t->g, t->inputs, &t->plan, &p));
  const char *whole = hn_program_plan(p)->forks.n ? hn_tuner_plan_text(t, p) : NULL;
  hone_status st = HONE_OK;
  if (!whole) *seconds = total;
  else if (!hn_timing_cache_get(t->cache, t->machine, whole, "all", seconds)) {
    st = hn_tuner_compare(t, without, p, &ratio);
    if (!st) st = hn_timing_cache_put(t->cache, t->machine, whole, "all", total * ratio);
    if (!st) hn_timing_cache_get(t->cache, t->machine, whole, "all", seconds);
  }
  hn_program_destroy(p);
  return st;
}

hone_status hn_tuner_forks(tuner *t, double *total) {
  tuner one;
  hn_program *p;
  double seconds = *total;
  if (t->plan.threads < 2 || t->plan.place) return HONE_OK;
  HN_TRY(time_alone(t, &one));
  hn_forks_note(t->g, t->plan.threads);
  HN_TRY(hn_program_create(t->g, t->inputs, &t->plan, &p));
  hone_status st = mark_forks(t, &one, hn_program_plan(p));
  if (!st) st = time_forks(t, p, *total, &seconds);
  hn_program_destroy(p);
  if (st || seconds >= *total) hn_tuner_unmark(t);
  else *total = seconds;
  return st;
}
