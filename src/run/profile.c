/* profile.c - recording. */
#include "run/profile.h"

#include <stdio.h>
#include <string.h>

#include "base/isa.h"
#include "base/str.h"
#include "device/cpu/peak/peak.h"

static void chunk_done(hn_watch *w, int thread, double begin, double end) {
  hone_profile *p = (hone_profile *)w;
  if (!p->depth || thread == 0 || (uint32_t)thread >= p->n_workers) return; /* thread 0 shows the step itself */
  hn_slice s = {begin, end, p->open[p->depth - 1].what, HN_SLICE_CHUNK, (uint8_t)p->phase};
  hn_profile_add(p, (uint32_t)thread, &s);
}

hone_status hone_profile_create(hone_context *cx, hone_profile **profile) {
  hone_profile *p = hn_calloc(1, sizeof *p);
  if (!p) return hn_nomem(cx);
  uint32_t host;
  p->cx = cx;
  p->watch.chunk = chunk_done;
  p->origin = hn_now();
  p->texts = hn_arena_create();
  if (!p->texts || hn_profile_add_lane(p, "hone", "thread 0: steps", &host)) {
    hone_profile_destroy(&p);
    return hn_nomem(cx);
  }
  p->n_workers = 1;
  *profile = p;
  return HONE_OK;
}

void hone_profile_destroy(hone_profile **profile) {
  if (!profile || !*profile) return;
  hone_profile *p = *profile;
  for (size_t i = 0; i < p->lanes.n; i++) hn_free(p->lanes.p[i].p);
  hn_vec_free(&p->lanes);
  hn_vec_free(&p->sites);
  hn_vec_free(&p->names);
  hn_counters_close(p->counters);
  hn_arena_destroy(p->texts);
  hn_free(p);
  *profile = NULL;
}

/* ----------------------------------------------------------------------------------- sites and lanes */

hone_status hn_profile_add_sites(hone_profile *p, uint32_t n, uint32_t *first) {
  if (!hn_reserve(&p->sites, p->sites.n + n)) return hn_nomem(p->cx);
  *first = (uint32_t)p->sites.n;
  memset(p->sites.p + p->sites.n, 0, n * sizeof *p->sites.p);
  p->sites.n += n;
  return HONE_OK;
}

hone_status hn_profile_add_lane(hone_profile *p, const char *process, const char *name, uint32_t *lane) {
  for (*lane = 0; *lane < p->lanes.n; ++*lane)
    if (strcmp(p->lanes.p[*lane].process, process) == 0 && strcmp(p->lanes.p[*lane].name, name) == 0) return HONE_OK;
  hn_lane l = {.process = hn_arena_strdup(p->texts, process), .name = hn_arena_strdup(p->texts, name)};
  if (!l.process || !l.name || !hn_push(&p->lanes, l)) return hn_nomem(p->cx);
  *lane = (uint32_t)p->lanes.n - 1;
  return HONE_OK;
}

hone_status hn_profile_threads(hone_profile *p, int threads) {
  char name[32];
  uint32_t lane;
  if (p->lanes.n > p->n_workers) return HONE_OK; /* lanes of devices follow: the number of threads stands */
  while (p->n_workers < (uint32_t)threads) {
    snprintf(name, sizeof name, "thread %u", p->n_workers);
    HN_TRY(hn_profile_add_lane(p, "hone", name, &lane));
    p->n_workers++;
  }
  return HONE_OK;
}

static bool make_room(hn_lane *l, size_t more) {
  size_t need = l->n + more;
  if (need <= l->cap) return true;
  size_t old = l->cap;
  if (!hn_vec_grow((void **)(void *)&l->p, &l->cap, need, sizeof *l->p)) return false;
  memset(l->p + old, 0, (l->cap - old) * sizeof *l->p); /* its pages are there before the clock runs */
  return true;
}

void hn_profile_add(hone_profile *p, uint32_t lane, const hn_slice *s) {
  hn_lane *l = &p->lanes.p[lane];
  if (l->n < l->cap) l->p[l->n++] = *s;
  else l->dropped++;
}

/* ---------------------------------------------------------------------------------------------- runs */

hone_status hn_profile_begin_run(hone_profile *p) {
  for (size_t i = 0; i < p->lanes.n; i++)
    if (!make_room(&p->lanes.p[i], 2 * p->last_run[i != 0] + 8 * p->sites.n + 256)) return hn_nomem(p->cx);
  for (size_t i = 0; i < p->lanes.n; i++) p->lanes.p[i].apart[0] = 0;
  p->depth = 0;
  p->run_steps = 0;
  p->last_run[0] = p->lanes.p[0].n;
  hn_parallel_watch(&p->watch);
  p->run_begin = hn_now();
  return HONE_OK;
}

void hn_profile_end_run(hone_profile *p, bool failed, uint32_t lane, double modelled) {
  double begin = p->run_begin, end = hn_now();
  hone_profile_totals *t = &p->totals;
  hn_parallel_watch(NULL);
  p->depth = 0;
  p->last_run[0] = p->lanes.p[0].n - p->last_run[0];
  p->last_run[1] = p->last_run[0] * 4;
  if (modelled > 0) {
    begin = hn_profile_modelled_begin(p);
    end = p->modelled_end = begin + modelled;
  }
  if (failed) return;
  double took = (end - begin) * 1e3, between = took - p->run_steps * 1e3;
  hn_slice s = {begin, end, t->runs + t->warmups + t->counted, HN_SLICE_RUN, (uint8_t)p->phase};
  hn_profile_add(p, lane, &s);
  if (p->phase == HONE_PROFILE_WARMUP) t->warmups++;
  if (p->phase == HONE_PROFILE_COUNTED) t->counted++;
  if (p->phase != HONE_PROFILE_TIMED) return;
  if (!t->runs || took < t->min_ms) t->min_ms = took;
  if (took > t->max_ms) t->max_ms = took;
  t->runs++;
  t->run_ms += took;
  t->between_ms += between > 0 ? between : 0; /* steps that overlap take longer than the run */
}

void hn_profile_enter(hone_profile *p, uint32_t site) {
  if (p->depth == HN_PROFILE_DEPTH) return;
  hn_open *o = &p->open[p->depth++];
  o->what = site;
  o->inner = 0;
  if (p->phase == HONE_PROFILE_COUNTED) hn_counters_read(p->counters, &o->counts);
  o->begin = hn_now();
}

static void add_counts(hone_profile *p, hn_site *s, const hn_counts *before) {
  hn_counts after;
  hn_counters_read(p->counters, &after);
  for (int i = 0; i < HONE_PROFILE_COUNTERS; i++) s->counted[i] += (double)(after.n[i] - before->n[i]);
  s->n_counted++;
}

void hn_profile_leave(hone_profile *p) {
  double end = hn_now();
  if (p->depth) hn_profile_leave_at(p, HN_LANE_HOST, p->open[p->depth - 1].begin, end);
}

void hn_profile_leave_at(hone_profile *p, uint32_t lane, double begin, double end) {
  if (!p->depth) return;
  const hn_open *o = &p->open[--p->depth];
  hn_site *site = &p->sites.p[o->what];
  hone_profile_layer *is = &site->is;
  double own = end - begin - o->inner, ms = own * 1e3;
  if (p->phase == HONE_PROFILE_COUNTED) add_counts(p, site, &o->counts);
  hn_slice s = {begin, end, o->what, HN_SLICE_STEP, (uint8_t)p->phase};
  hn_profile_add(p, lane, &s);
  if (p->depth) p->open[p->depth - 1].inner += end - begin;
  else p->run_steps += end - begin;
  if (p->phase != HONE_PROFILE_TIMED) return;
  if (!is->calls || ms < is->min_ms) is->min_ms = ms;
  if (ms > is->max_ms) is->max_ms = ms;
  is->calls++;
  is->total_ms += ms;
}

/* ------------------------------------------------------------------------------------ the caller's side */

hone_status hone_profile_set_phase(hone_profile *p, hone_profile_phase phase) {
  if ((unsigned)phase > HONE_PROFILE_PAUSED) return hn_fail(p->cx, HONE_BAD_ARG, "there is no phase %d of a profile", (int)phase);
  if (phase == HONE_PROFILE_COUNTED && !p->counters) HN_TRY(hn_counters_open(p->cx, &p->counters));
  if (phase == HONE_PROFILE_COUNTED && !hn_counters_any(p->counters))
    return hn_fail(p->cx, HONE_UNSUPPORTED, "nothing can be counted: %s", hn_counters_reason(p->counters, 0));
  p->phase = phase;
  return HONE_OK;
}

hone_status hone_profile_range_push(hone_profile *p, const char *name) {
  if (p->n_ranges == HN_PROFILE_DEPTH)
    return hn_fail(p->cx, HONE_BAD_ARG, "range '%s': more than %d ranges within each other", name, HN_PROFILE_DEPTH);
  uint32_t i = 0;
  while (i < p->names.n && strcmp(p->names.p[i], name) != 0) i++;
  if (i == p->names.n) {
    const char *kept = hn_arena_strdup(p->texts, name);
    if (!kept || !hn_push(&p->names, kept)) return hn_nomem(p->cx);
  }
  p->ranges[p->n_ranges++] = (hn_open){.what = i, .begin = hn_now()};
  return HONE_OK;
}

hone_status hone_profile_range_pop(hone_profile *p) {
  if (!p->n_ranges) return hn_fail(p->cx, HONE_BAD_ARG, "no range of the profile is open");
  if (!make_room(&p->lanes.p[HN_LANE_HOST], 1)) return hn_nomem(p->cx);
  const hn_open *o = &p->ranges[--p->n_ranges];
  hn_slice s = {o->begin, hn_now(), o->what, HN_SLICE_RANGE, HONE_PROFILE_TIMED};
  hn_profile_add(p, HN_LANE_HOST, &s);
  return HONE_OK;
}

hone_status hone_measure_peak(hone_context *cx, int32_t threads, hone_peak *peak) {
  if (threads < 0 || threads > 1024) return hn_fail(cx, HONE_BAD_ARG, "%d threads; choose 1 to 1024, or 0 for all processors", threads);
  return hn_cpu_measure(cx, hn_isa_best(), threads ? threads : hn_cpu_count(), peak);
}

hone_status hone_profile_measure_peak(hone_profile *p, int32_t threads, hone_peak *peak) {
  HN_TRY(hone_measure_peak(p->cx, threads, &p->totals.peak));
  if (peak) *peak = p->totals.peak;
  return HONE_OK;
}

bool hone_profile_counter_at(const hone_profile *p, uint32_t i, const char **name, const char **reason) {
  if (i >= HONE_PROFILE_COUNTERS) return false;
  if (name) *name = hn_counter_name(i);
  if (reason) *reason = p->counters ? hn_counters_reason(p->counters, i) : "";
  return true;
}

uint32_t hone_profile_layer_count(const hone_profile *p) { return (uint32_t)p->sites.n; }

hone_status hone_profile_layer_at(const hone_profile *p, uint32_t i, hone_profile_layer *layer) {
  if (i >= p->sites.n) return hn_fail(p->cx, HONE_BAD_ARG, "there is no layer %u in the profile", i);
  const hn_site *s = &p->sites.p[i];
  hone_profile_layer l = s->is;
  l.mean_ms = l.calls ? l.total_ms / l.calls : 0;
  for (uint32_t k = 0; k < HONE_PROFILE_COUNTERS; k++) {
    bool there = s->n_counted && p->counters && !*hn_counters_reason(p->counters, k);
    l.counters[k] = there ? s->counted[k] / s->n_counted : -1;
  }
  *layer = l;
  return HONE_OK;
}

bool hone_profile_layer_from(const hone_profile *p, uint32_t layer, uint32_t index, uint32_t *producer) {
  if (layer >= p->sites.n || index >= p->sites.p[layer].n_from) return false;
  *producer = p->sites.p[layer].from[index];
  return true;
}

hone_status hone_profile_totals_get(const hone_profile *p, hone_profile_totals *totals) {
  hone_profile_totals t = p->totals;
  double runs = t.runs ? t.runs : 1, calls = 0, bytes = 0;
  double kinds[HONE_SLICE_TRANSFER + 1] = {0};
  for (size_t i = 0; i < p->sites.n; i++) {
    const hone_profile_layer *l = &p->sites.p[i].is;
    kinds[l->kind] += l->total_ms / runs;
    if (l->kind != HONE_SLICE_TRANSFER) continue;
    calls += l->calls / runs;
    bytes += (double)l->bytes * l->calls / runs;
  }
  for (size_t i = 0; i < p->lanes.n; i++) t.dropped += p->lanes.p[i].dropped;
  t.run_ms /= runs;
  t.between_ms /= runs;
  t.layers_ms = kinds[HONE_SLICE_LAYER];
  t.reorders_ms = kinds[HONE_SLICE_REORDER];
  t.transfers_ms = kinds[HONE_SLICE_TRANSFER];
  t.transfers = (uint64_t)(calls + 0.5);
  t.transfer_bytes = (uint64_t)(bytes + 0.5);
  *totals = t;
  return HONE_OK;
}
