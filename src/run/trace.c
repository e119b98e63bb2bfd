/* trace.c - a profile as text in Chrome's trace event format: https://ui.perfetto.dev and chrome://tracing open it. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "run/profile.h"

typedef struct tracer {
  const hone_profile *p;
  hn_str out;
  uint32_t flows;
} tracer;

static const char *const phases[] = {"timed", "warm-up", "counted", "paused"};

static void add_text(hn_str *s, const char *text) {
  hn_str_add(s, "\"");
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\') hn_str_printf(s, "\\%c", *c);
    else if (*c < ' ' || *c == 0x7f) hn_str_printf(s, "\\u%04x", *c);
    else hn_str_addn(s, (const char *)c, 1);
  }
  hn_str_add(s, "\"");
}

static void add_pair(hn_str *s, const char *key, const char *text) {
  hn_str_printf(s, "\"%s\":", key);
  add_text(s, text);
  hn_str_add(s, ",");
}

/* Processes are numbered in the order in which lanes name them. */
static uint32_t process_of(const tracer *t, uint32_t lane) {
  uint32_t number = 1;
  for (uint32_t i = 0; i <= lane; i++) {
    uint32_t k = 0;
    while (k < i && strcmp(t->p->lanes.p[k].process, t->p->lanes.p[i].process) != 0) k++;
    bool first = k == i;
    if (strcmp(t->p->lanes.p[i].process, t->p->lanes.p[lane].process) == 0) return number;
    number += first;
  }
  return number;
}

/* Whole nanoseconds: so slices that follow each other do not overlap in what is printed. */
static double micros(const tracer *t, double at) { return nearbyint((at - t->p->origin) * 1e9) / 1e3; }

static void begin_event(tracer *t, const char *phase, const char *name, uint32_t lane, double at) {
  hn_str_printf(&t->out, "{\"ph\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%.3f,", phase, process_of(t, lane), lane, micros(t, at));
  add_pair(&t->out, "name", name);
}

static void end_event(tracer *t, const char *args) { hn_str_printf(&t->out, "\"args\":{%s}},\n", args); }

static void name_lanes(tracer *t) {
  for (uint32_t i = 0; i < t->p->lanes.n; i++) {
    const hn_lane *l = &t->p->lanes.p[i];
    const char *const what[] = {"process_name", "thread_name"};
    const char *const name[] = {l->process, l->name};
    for (int k = 0; k < 2; k++) {
      begin_event(t, "M", what[k], i, t->p->origin);
      hn_str_add(&t->out, "\"args\":{\"name\":");
      add_text(&t->out, name[k]);
      hn_str_add(&t->out, "}},\n");
    }
    begin_event(t, "M", "thread_sort_index", i, t->p->origin);
    hn_str_printf(&t->out, "\"args\":{\"sort_index\":%u}},\n", i);
  }
}

static void add_figures(tracer *t, const hone_profile_layer *l, double seconds) {
  const hone_profile_totals *m = &t->p->totals;
  hn_str *s = &t->out;
  if (l->flops > 0 && seconds > 0) {
    hn_str_printf(s, "\"FLOP\":%.0f,\"GFLOP/s\":%.3f,", l->flops, l->flops / seconds * 1e-9);
    double peak = m->peak.flops[l->arithmetic];
    if (peak > 0) hn_str_printf(s, "\"%% of peak\":%.2f,\"peak of\":\"%s\",", 100 * l->flops / seconds / peak, hone_arithmetic_name(l->arithmetic));
  }
  hn_str_printf(s, "\"bytes\":%llu,", (unsigned long long)l->bytes);
  if (seconds > 0) hn_str_printf(s, "\"GB/s\":%.3f,", (double)l->bytes / seconds * 1e-9);
}

static void add_layer_args(tracer *t, const hn_slice *slice) {
  const hone_profile_layer *l = &t->p->sites.p[slice->what].is;
  hn_str *s = &t->out;
  add_pair(s, "operator", l->op);
  add_pair(s, "inputs", l->inputs);
  add_pair(s, "outputs", l->outputs);
  add_pair(s, "dtype", hone_dtype_name(l->dtype));
  add_pair(s, "tactic", l->kernel);
  add_pair(s, "layout", l->layout);
  add_pair(s, "device", l->device);
  if (*l->source) add_pair(s, "source nodes", l->source);
  add_figures(t, l, slice->end - slice->begin);
  hn_str_printf(s, "\"layer\":%u,", slice->what);
  hn_str_printf(s, "\"phase\":\"%s\"", phases[slice->phase]);
}

static void add_slice(tracer *t, uint32_t lane, const hn_slice *s) {
  static const char *const kinds[] = {"layer", "reorder", "transfer"};
  const hone_profile *p = t->p;
  const hone_profile_layer *l = s->type == HN_SLICE_STEP || s->type == HN_SLICE_CHUNK ? &p->sites.p[s->what].is : NULL;
  const char *name = l ? (*l->name ? l->name : l->op) : s->type == HN_SLICE_RANGE ? p->names.p[s->what]
                     : s->phase == HONE_PROFILE_WARMUP ? "warm-up run" : s->phase == HONE_PROFILE_COUNTED ? "counted run" : "run";
  const char *category = s->type == HN_SLICE_RUN ? "run" : s->type == HN_SLICE_RANGE ? "range"
                         : s->type == HN_SLICE_CHUNK ? "chunk" : kinds[l->kind];
  begin_event(t, "X", name, lane, s->begin);
  hn_str_printf(&t->out, "\"dur\":%.3f,\"cat\":\"%s%s\",", micros(t, s->end) - micros(t, s->begin), category,
                s->phase == HONE_PROFILE_WARMUP ? ",warm-up" : "");
  if (s->phase != HONE_PROFILE_TIMED) hn_str_add(&t->out, "\"cname\":\"grey\",");
  hn_str_add(&t->out, "\"args\":{");
  if (s->type == HN_SLICE_STEP) add_layer_args(t, s);
  else if (s->type == HN_SLICE_CHUNK) hn_str_printf(&t->out, "\"layer\":%u", s->what);
  else if (s->type == HN_SLICE_RUN) hn_str_printf(&t->out, "\"run\":%u,\"phase\":\"%s\"", s->what, phases[s->phase]);
  hn_str_add(&t->out, "}},\n");
}

/* An arrow from the end of one slice to the beginning of another. */
static void add_flow(tracer *t, uint32_t from_lane, const hn_slice *from, uint32_t to_lane, const hn_slice *to) {
  uint32_t id = ++t->flows;
  begin_event(t, "s", "transfer", from_lane, from->end);
  hn_str_printf(&t->out, "\"cat\":\"flow\",\"id\":%u},\n", id);
  begin_event(t, "f", "transfer", to_lane, to->begin);
  hn_str_printf(&t->out, "\"cat\":\"flow\",\"bp\":\"e\",\"id\":%u},\n", id);
}

/* Arrows into and out of transfers, between slices of one run. `last` holds the latest slice of each site. */
static void add_flows(tracer *t) {
  const hone_profile *p = t->p;
  const hn_slice **last = hn_calloc(p->sites.n, sizeof *last);
  size_t *at = hn_calloc(p->lanes.n, sizeof *at);
  if (!last || !at) t->out.failed = true;
  while (!t->out.failed) { /* slices of all lanes in the order of their beginnings */
    const hn_slice *next = NULL;
    uint32_t lane = 0;
    for (uint32_t i = 0; i < p->lanes.n; i++) {
      const hn_lane *l = &p->lanes.p[i];
      while (at[i] < l->n && l->p[at[i]].type != HN_SLICE_STEP) at[i]++;
      if (at[i] < l->n && (!next || l->p[at[i]].end < next->end)) next = &l->p[at[i]], lane = i;
    }
    if (!next) break;
    at[lane]++;
    const hn_site *site = &p->sites.p[next->what];
    for (uint32_t k = 0; k < site->n_from; k++) {
      const hn_slice *from = last[site->from[k]];
      bool transfer = site->is.kind == HONE_SLICE_TRANSFER || p->sites.p[site->from[k]].is.kind == HONE_SLICE_TRANSFER;
      if (from && transfer) add_flow(t, p->sites.p[site->from[k]].lane, from, lane, next);
    }
    last[next->what] = next;
  }
  hn_free(last);
  hn_free(at);
}

/* Planned memory alive while each step runs. */
static void add_memory(tracer *t, uint32_t lane, const hn_slice *s) {
  begin_event(t, "C", "activations alive", lane, s->begin);
  hn_str_printf(&t->out, "\"args\":{\"bytes\":%llu}},\n", (unsigned long long)t->p->sites.p[s->what].is.live_bytes);
}

static void add_other(tracer *t) {
  const hone_profile_totals *m = &t->p->totals;
  hn_str_printf(&t->out, "],\n\"displayTimeUnit\":\"ms\",\n\"otherData\":{\"program\":\"hone %s\",", hone_version());
  for (int a = 0; a < HONE_ARITHMETICS; a++)
    hn_str_printf(&t->out, "\"peak FLOP/s %s\":%.0f,", hone_arithmetic_name((hone_arithmetic)a), m->peak.flops[a]);
  hn_str_printf(&t->out, "\"peak bytes/s\":%.0f,\"timed runs\":%u,\"warm-up runs\":%u}}\n", m->peak.bandwidth, m->runs, m->warmups);
}

hone_status hone_profile_trace(const hone_profile *p, char **text) {
  tracer t = {.p = p};
  hn_str_add(&t.out, "{\"traceEvents\":[\n");
  name_lanes(&t);
  for (uint32_t i = 0; i < p->lanes.n; i++)
    for (size_t k = 0; k < p->lanes.p[i].n; k++) {
      const hn_slice *s = &p->lanes.p[i].p[k];
      add_slice(&t, i, s);
      if (s->type == HN_SLICE_STEP) add_memory(&t, i, s);
    }
  add_flows(&t);
  begin_event(&t, "I", "end of the profile", HN_LANE_HOST, hn_now());
  hn_str_add(&t.out, "\"s\":\"g\",");
  end_event(&t, "");
  if (!t.out.failed) t.out.n -= 2; /* the last comma */
  add_other(&t);
  if (!t.out.failed && (*text = hn_str_take(&t.out))) return HONE_OK;
  hn_str_free(&t.out);
  return hn_nomem(p->cx);
}

hone_status hone_profile_save(const hone_profile *p, const char *path) {
  char *text;
  hn_writer *w;
  HN_TRY(hone_profile_trace(p, &text));
  hone_status st = hn_writer_open(p->cx, path, &w);
  if (!st) {
    st = hn_writer_put(w, text, strlen(text));
    if (st) hn_writer_abort(&w);
    else st = hn_writer_commit(&w);
  }
  hone_text_free(&text);
  return st;
}
