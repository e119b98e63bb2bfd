/* tune_assign.c - from the times of ways and changes of layout to kernels and layouts over the whole graph. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "run/tune_model.h"

/* A plan whose ways are noted, and timed if one is new. */
static hone_status offer(tuner *t, const hn_plan_options *how) {
  hn_plan_options o = t->plan;
  hn_program *p;
  double total;
  o.untuned = true;
  o.strips = how->strips;
  o.strips_skip = how->strips_skip;
  o.strips_most = how->strips_most;
  o.bring = how->bring;
  hone_status st = hn_program_create(t->g, t->inputs, &o, &p);
  if (st) return st == HONE_UNSUPPORTED ? HONE_OK : st; /* some tensor has no change of layout */
  const hn_plan *plan = hn_program_plan(p);
  double *least = hn_calloc(plan->steps.n, sizeof *least);
  if (!least) st = hn_nomem(t->g->cx);
  if (!st) st = hn_tuner_name_layers(t, p);
  if (!st) st = hn_tuner_look(t, plan);
  if (!st && !hn_tuner_ways_known(t, plan)) st = hn_tuner_time_steps(t, p, least, &total);
  hn_free(least);
  hn_program_destroy(p);
  return st;
}

hone_status hn_tuner_offer_layouts(tuner *t) {
  HN_TRY(offer(t, &(hn_plan_options){.strips = HN_STRIPS_NONE, .bring = 1 + HN_LAYOUT_PLAIN}));
  return offer(t, &(hn_plan_options){.strips = HN_STRIPS_NONE, .bring = 1 + HN_LAYOUT_NHWC});
}

/* Parts of chains: beginning later, ending sooner. */
static hone_status offer_chains(tuner *t) {
  enum { SKIP = 2, MOST = 3 };
  bool some = false;
  for (size_t i = 0; i < t->ways.n; i++) some = some || t->ways.p[i].n_chain > 2;
  for (uint32_t skip = 0; some && skip <= SKIP; skip++)
    for (uint32_t most = skip ? 1 : 2; most <= MOST; most++)
      HN_TRY(offer(t, &(hn_plan_options){.strips = HN_STRIPS_ALL, .strips_skip = skip, .strips_most = most}));
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- applying */

typedef struct tactics {
  const char **name;
  double *ms;
} tactics;

static hone_status keep_tactics(const tuner *t, tactics *k) {
  size_t n = t->g->nodes.n;
  k->name = hn_calloc(n, sizeof *k->name);
  k->ms = hn_calloc(n, sizeof *k->ms);
  for (hn_id id = 0; k->name && k->ms && id < n; id++) {
    k->name[id] = hn_node_at(t->g, id)->tactic;
    k->ms[id] = hn_node_at(t->g, id)->tactic_ms;
  }
  return k->name && k->ms ? HONE_OK : hn_nomem(t->g->cx);
}

static void give_back(tuner *t, const tactics *k) {
  for (hn_id id = 0; id < t->g->nodes.n; id++) {
    hn_node_at(t->g, id)->tactic = k->name[id];
    hn_node_at(t->g, id)->tactic_ms = k->ms[id];
  }
}

static void free_tactics(tactics *k) {
  hn_free(k->name);
  hn_free(k->ms);
}

/* Layers inside a chain keep what they had. */
static void apply(tuner *t, const hn_tune_model *m, const uint32_t *label) {
  for (hn_id id = 0; id < t->g->nodes.n; id++) {
    const hn_choice *c = hn_tune_model_choice(m, id, label);
    hn_node *n = hn_node_at(t->g, id);
    if (!c || c->kind == HN_CHOICE_INSIDE) continue;
    n->tactic = NULL;
    if (c->kind != HN_CHOICE_WAY) continue;
    const timing *known = hn_tuner_tried(&t->layers[c->way->n_chain ? t->g->nodes.n + id : id], c->way->tactic);
    n->tactic = c->way->tactic;
    n->tactic_ms = 1e3 * (known ? known->seconds : hn_tuner_way_seconds(t, c->way));
  }
}

/* Kernels that follow the layout of what they read are told it where they would take another. */
static hone_status insist(tuner *t, const hn_tune_model *m, const uint32_t *label, const uint32_t *planned,
                          bool *changed) {
  *changed = false;
  for (hn_id id = 0; id < t->g->nodes.n; id++) {
    const hn_choice *want = hn_tune_model_choice(m, id, label), *have = hn_tune_model_choice(m, id, planned);
    hn_node *n = hn_node_at(t->g, id);
    if (!want || want->kind != HN_CHOICE_WAY || want->way->n_chain || have->way == want->way || !n->tactic ||
        strchr(n->tactic, '@'))
      continue;
    uint32_t i = 0;
    while (i < want->way->n_in && !want->way->in[i].reads) i++;
    if (i == want->way->n_in) continue;
    n->tactic = hn_arena_printf(t->texts, "%s@%s", n->tactic, hn_layout_name(want->way->in[i].layout));
    if (!n->tactic) return hn_nomem(t->g->cx);
    *changed = true;
  }
  return HONE_OK;
}

/* The plan of the choice, and its labels as they came out. */
static hone_status plan_choice(tuner *t, hn_tune_model *m, const uint32_t *label, uint32_t *planned, hn_program **p) {
  enum { ROUNDS = 5 }; /* what one layer insists on, others may follow */
  bool changed = true;
  apply(t, m, label);
  for (int r = 0; r < ROUNDS && changed; r++) {
    hn_program_destroy(*p);
    *p = NULL;
    HN_TRY(hn_program_create(t->g, t->inputs, &t->plan, p));
    hn_tune_model_read(m, hn_program_plan(*p), planned);
    if (r + 1 < ROUNDS) HN_TRY(insist(t, m, label, planned, &changed));
  }
  return HONE_OK;
}

/* A run of the choice by one of what there was, from the cache or measured. */
static hone_status weigh(tuner *t, hn_program *was, hn_program *is, double *ratio) {
  const char *before = hn_tuner_plan_text(t, was), *now = hn_tuner_plan_text(t, is);
  const char *against = before ? hn_arena_printf(t->texts, "by turns with %s", before) : NULL;
  if (!before || !now || !against) return hn_nomem(t->g->cx);
  *ratio = 1;
  if (strcmp(before, now) == 0) return HONE_OK;
  if (!hn_timing_cache_get(t->cache, t->machine, now, against, ratio)) {
    HN_TRY(hn_tuner_compare(t, was, is, ratio));
    HN_TRY(hn_timing_cache_put(t->cache, t->machine, now, against, *ratio)); /* a second stands for one */
    hn_timing_cache_get(t->cache, t->machine, now, against, ratio);
  }
  return HONE_OK;
}

static hone_status solve(tuner *t, hn_tune_model *m, hn_program *was, double *ratio, bool *kept) {
  size_t n = m->a.labels.n;
  uint32_t *label = hn_calloc(n, sizeof *label), *planned = hn_calloc(n, sizeof *planned);
  hone_tune_result *r = &t->result;
  hn_assign_result solved;
  hn_program *p = NULL;
  hone_status st = label && planned ? HONE_OK : hn_nomem(t->g->cx);
  if (!st) {
    hn_tune_model_read(m, hn_program_plan(was), label);
    r->single_ms = 1e3 * hn_assign_cost(&m->a, label);
    st = hn_assign_solve(t->g->cx, &m->a, label, &solved);
  }
  if (!st && isfinite(solved.cost)) {
    for (hn_id id = 0; id < m->g->nodes.n; id++) r->assigned_layers += m->layers[id].choices.n > 1;
    r->assigned_reorders = m->reorders;
    r->bound_ms = 1e3 * solved.bound;
    st = plan_choice(t, m, label, planned, &p);
    if (!st) r->assigned_ms = 1e3 * hn_assign_cost(&m->a, planned);
    if (!st) st = weigh(t, was, p, ratio);
    r->assigned_ratio = *ratio;
    *kept = !st && *ratio < 1;
  }
  hn_program_destroy(p);
  hn_free(label);
  hn_free(planned);
  return st;
}

hone_status hn_tuner_assign(tuner *t, double *total) {
  hn_plan_options o = t->plan;
  hn_program *base = NULL, *was = NULL;
  hn_tune_model m = {.t = t};
  tactics before = {NULL, NULL};
  double ratio = 1;
  bool kept = false;
  o.untuned = true; /* then all Concats are made in place that can be */
  o.strips = HN_STRIPS_NONE;
  hone_status st = offer_chains(t);
  if (!st) st = keep_tactics(t, &before);
  if (!st) st = hn_program_create(t->g, t->inputs, &o, &base);
  if (!st) st = hn_program_create(t->g, t->inputs, &t->plan, &was);
  if (!st) st = hn_tune_model_create(t, hn_program_plan(base), &m);
  if (!st) st = solve(t, &m, was, &ratio, &kept);
  if (!kept && before.name && before.ms) give_back(t, &before);
  if (kept) *total *= ratio;
  hn_tune_model_free(&m);
  hn_program_destroy(was);
  hn_program_destroy(base);
  free_tactics(&before);
  return st;
}
