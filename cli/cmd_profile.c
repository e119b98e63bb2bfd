/* cmd_profile.c - hone profile: where the time of a run goes, as a trace, as tables and as a page. */
#include <stdlib.h>

#include "commands.h"
#include "profile_report.h"

typedef struct profile_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session;
  int64_t warmup, runs, top;
  const char *trace, *html;
  bool counters;
} profile_options;

typedef struct profiling {
  cli *c;
  const profile_options *o;
  hone_model *m;
  hone_session *s;
  hone_profile *p;
  feed f;
  samples ratio; /* of a recorded run by the one after it, which is not recorded */
} profiling;

static int once(profiling *q, hone_profile_phase phase, double *ms) {
  hone_status st = hone_profile_set_phase(q->p, phase);
  if (st) return cli_fail_hone(q->c->cx, st);
  double start = cli_seconds();
  int code = session_run(q->c, q->s);
  *ms = (cli_seconds() - start) * 1e3;
  return code;
}

static int range(profiling *q, const char *name) {
  hone_status st = name ? hone_profile_range_push(q->p, name) : hone_profile_range_pop(q->p);
  return st ? cli_fail_hone(q->c->cx, st) : CLI_OK;
}

static int open_all(profiling *q) {
  int code = model_open(q->c, q->c->args[0], &q->o->feed, &q->m);
  if (!code) code = session_open(q->c, q->m, &q->o->session, &q->s);
  if (!code) code = feed_open(q->c, q->m, &q->o->feed, &q->o->image, &q->f);
  q->f.fill = true;
  if (!code) code = feed_load(&q->f, 0);
  if (!code) code = feed_set(q->c, &q->f, NULL, q->s);
  hone_status st = code ? HONE_OK : hone_profile_create(q->c->cx, &q->p);
  if (!code && !st) st = hone_profile_measure_peak(q->p, (int32_t)q->o->session.threads, NULL);
  if (!code && !st) st = hone_session_record(q->s, q->p);
  return st ? cli_fail_hone(q->c->cx, st) : code;
}

/* Recorded runs and others take turns, so that what recording costs is known of this very model. */
static int measure(profiling *q) {
  double recorded, plain;
  int code = range(q, "warm-up");
  for (int64_t i = 0; !code && i < q->o->warmup; i++) code = once(q, HONE_PROFILE_WARMUP, &recorded);
  if (!code) code = range(q, NULL);
  if (!code) code = range(q, "timed runs");
  for (int64_t i = 0; !code && i < q->o->runs; i++) {
    code = once(q, HONE_PROFILE_TIMED, &recorded);
    if (!code) code = once(q, HONE_PROFILE_PAUSED, &plain);
    if (code) break;
    samples_add(&q->ratio, recorded / plain);
  }
  if (!code) code = range(q, NULL);
  return code;
}

static int count(profiling *q) {
  double ms;
  int code = range(q, "counted runs");
  for (int i = 0; !code && i < 3; i++) code = once(q, HONE_PROFILE_COUNTED, &ms);
  if (!code) code = range(q, NULL);
  return code;
}

/* How many layers optimizing would leave, or 0 where that is none fewer. */
static uint32_t layers_after_optimizing(profiling *q) {
  hone_model *copy;
  uint32_t n = 0;
  if (hone_model_clone(q->m, &copy)) return 0;
  if (!hone_model_optimize(copy, NULL)) n = hone_model_layer_count(copy);
  hone_model_destroy(&copy);
  return n < hone_model_layer_count(q->m) * 9 / 10 ? n : 0;
}

static int report(profiling *q) {
  profile_report r;
  int code = profile_report_make(q->c, q->p, q->c->args[0], &r);
  r.overhead = q->ratio.n ? samples_summary(&q->ratio).median - 1 : 0;
  if (!code) r.fewer = layers_after_optimizing(q);
  hone_status st = !code && q->o->trace ? hone_profile_save(q->p, q->o->trace) : HONE_OK;
  if (st) code = cli_fail_hone(q->c->cx, st);
  if (!code && q->o->html) code = profile_write_html(&r, q->p, q->o->html);
  if (!code && q->o->common.json) code = json_print(profile_json(&r));
  else if (!code) {
    profile_print(&r, (size_t)q->o->top);
    if (q->o->counters) profile_print_counters(&r, q->p, (size_t)q->o->top);
    printf("\nrecording cost %.2f%% (median of %zu pairs of runs with and without)\n", 100 * r.overhead, q->ratio.n);
    if (q->o->trace) printf("written: %s (chrome://tracing or ui.perfetto.dev open it)\n", q->o->trace);
    if (q->o->html) printf("written: %s\n", q->o->html);
  }
  profile_report_free(&r);
  return code;
}

static int run_profile(cli *c) {
  profiling q = {.c = c, .o = c->options};
  int code = open_all(&q);
  if (!code) code = measure(&q);
  if (!code && q.o->counters) code = count(&q);
  if (!code) code = report(&q);
  hone_session_destroy(&q.s);
  hone_profile_destroy(&q.p);
  hone_model_destroy(&q.m);
  feed_close(&q.f);
  samples_free(&q.ratio);
  return code;
}

static const profile_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT, .warmup = 5, .runs = 20, .top = 15};
static const arg_option rows[] = {
    {"output", 'o', ARG_TEXT, offsetof(profile_options, trace), "FILE", "Write the trace, in Chrome's trace event format (JSON).", 0, 0},
    {"html", 0, ARG_TEXT, offsetof(profile_options, html), "FILE", "Write a page with timeline, tables and graph that needs nothing else.", 0, 0},
    {"runs", 'n', ARG_INT, offsetof(profile_options, runs), "N", "Recorded runs; as many others by turns (default 20).", 1, 1e6},
    {"warmup", 0, ARG_INT, offsetof(profile_options, warmup), "N", "Runs before, marked in the trace (default 5).", 0, 1e6},
    {"top", 0, ARG_INT, offsetof(profile_options, top), "N", "Layers to print (default 15).", 1, 1e6},
    {"counters", 0, ARG_FLAG, offsetof(profile_options, counters), "",
     "Three further runs in which cycles, instructions, cache misses and what else the kernel allows are counted.", 0, 0},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0}, {"Inputs", feed_option_rows, offsetof(profile_options, feed)},
                                   {"Choosing within a TensorFlow model", choice_option_rows, offsetof(profile_options, feed)},
                                   {"Images", image_option_rows, offsetof(profile_options, image)},
                                   {"Running", session_option_rows, offsetof(profile_options, session)},
                                   {"Common options", common_option_rows, offsetof(profile_options, common)}, {0}};

const command command_profile = {
    .name = "profile", .summary = "where the time of a run goes", .usage = "MODEL",
    .about = "Records runs: self time by layer and by operator, the share of layout changes and transfers, how near each layer comes "
             "to what this machine can do (measured first), and what to do about it; as a trace and as a page on request.",
    .examples = "  hone profile model.hone -o trace.json\n  hone profile model.onnx --threads=1 --html=report.html\n"
                "  hone profile model.onnx --runs=50 --top=40 --counters\n",
    .groups = groups, .min_args = 1, .max_args = 1, .options_size = sizeof(profile_options), .defaults = &defaults,
    .common = offsetof(profile_options, common), .run = run_profile};
