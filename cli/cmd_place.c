/* cmd_place.c - hone place: which layers run on which device, what is copied between them, and what that is worth. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"

typedef struct place_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session;
  int64_t runs;
} place_options;

/* One way to place the layers, run and recorded. */
typedef struct trial {
  char *title;
  hone_session *s;
  hone_profile *p;
  hone_profile_totals totals;
  hone_profile_layer *layers;
  uint32_t n;
} trial;

enum { ON_CPU, ON_DEVICE, PLACED, TRIALS };

typedef struct placing {
  cli *c;
  const place_options *o;
  hone_model *m;
  feed f;
  const char *device; /* the first */
  trial trials[TRIALS];
} placing;

/* The first device but the CPU that can be had; "null" always can. */
static const char *any_device(void) {
  static hone_device_info d;
  for (uint32_t i = 0; hone_device_at(i, &d); i++)
    if (d.available && strcmp(d.name, "cpu") != 0) return d.name;
  return "null";
}

static int run_trial(placing *q, trial *t, const session_options *o) {
  int code = session_open(q->c, q->m, o, &t->s);
  if (!code) code = feed_set(q->c, &q->f, NULL, t->s);
  hone_status st = code ? HONE_OK : hone_profile_create(q->c->cx, &t->p);
  if (!code && !st) st = hone_session_record(t->s, t->p);
  if (!code && !st) st = hone_profile_set_phase(t->p, HONE_PROFILE_WARMUP);
  for (int64_t i = -1; !code && !st && i < q->o->runs; i++) {
    code = session_run(q->c, t->s);
    if (!code && i < 0) st = hone_profile_set_phase(t->p, HONE_PROFILE_TIMED);
  }
  if (!code && !st) st = hone_profile_totals_get(t->p, &t->totals);
  if (code || st) return st ? cli_fail_hone(q->c->cx, st) : code;
  t->n = hone_profile_layer_count(t->p);
  t->layers = cli_alloc(t->n, sizeof *t->layers);
  for (uint32_t i = 0; i < t->n; i++) hone_profile_layer_at(t->p, i, &t->layers[i]);
  return CLI_OK;
}

static int run_trials(placing *q) {
  static const char *automatic[] = {"auto"};
  session_options cpu = q->o->session, all = q->o->session, placed = q->o->session;
  cpu.devices = cpu.place = all.place = (arg_list){NULL, 0};
  if (!placed.devices.n) all.devices = placed.devices = (arg_list){&q->device, 1};
  if (!placed.place.n) placed.place = (arg_list){automatic, 1};
  q->device = placed.devices.p[0];
  q->trials[ON_CPU].title = cli_copy("all on the CPU");
  q->trials[ON_DEVICE].title = cli_format("all on %.*s", (int)strcspn(q->device, ","), q->device);
  q->trials[PLACED].title = cli_copy("as placed");
  int code = run_trial(q, &q->trials[PLACED], &placed); /* first: its rules may be wrong */
  if (!code) code = run_trial(q, &q->trials[ON_CPU], &cpu);
  if (!code) code = run_trial(q, &q->trials[ON_DEVICE], &all);
  return code;
}

/* ----------------------------------------------------------------------------------------------- report */

static double step_ms(const trial *t, const hone_profile_layer *l) { return t->totals.runs ? l->total_ms / t->totals.runs : 0; }

/* Steps from `*i` on that run on one device; transfers belong to none. */
typedef struct segment {
  const hone_profile_layer *first, *last;
  uint32_t layers;
  double ms;
} segment;

static bool next_segment(const trial *t, uint32_t *i, segment *s) {
  *s = (segment){NULL, NULL, 0, 0};
  for (; *i < t->n; ++*i) {
    const hone_profile_layer *l = &t->layers[*i];
    if (l->kind == HONE_SLICE_TRANSFER || !l->calls) continue;
    if (s->first && strcmp(s->first->device, l->device) != 0) break;
    s->ms += step_ms(t, l);
    if (l->kind != HONE_SLICE_LAYER) {
      if (!s->first) continue; /* a change of layout before */
    } else {
      s->layers++;
    }
    if (!s->first) s->first = l;
    if (l->kind == HONE_SLICE_LAYER) s->last = l;
  }
  return s->first != NULL;
}

static const char *name_of(const hone_profile_layer *l) { return *l->name ? l->name : l->op; }

static double device_ms(const trial *t, bool cpu) {
  double sum = 0;
  for (uint32_t i = 0; i < t->n; i++)
    if (t->layers[i].kind != HONE_SLICE_TRANSFER && (strcmp(t->layers[i].device, "cpu") == 0) == cpu) sum += step_ms(t, &t->layers[i]);
  return sum;
}

static void print_trials(const placing *q) {
  static const char *const heads[] = {"PLACEMENT", "A RUN", "ON CPU", "ON DEVICES", "COPYING", "COPIES", "BYTES"};
  table *t = table_make("lrrrrrr");
  for (int i = 0; i < 7; i++) table_cell(t, "%s", heads[i]);
  for (int i = 0; i < TRIALS; i++) {
    const trial *r = &q->trials[i];
    table_cell(t, "%s", r->title);
    table_cell(t, "%s", human_ms(r->totals.run_ms).s);
    table_cell(t, "%s", human_ms(device_ms(r, true)).s);
    table_cell(t, "%s", human_ms(device_ms(r, false)).s);
    table_cell(t, "%s", human_ms(r->totals.transfers_ms).s);
    table_cell(t, "%llu", (unsigned long long)r->totals.transfers);
    table_cell(t, "%s", human_bytes(r->totals.transfer_bytes).s);
  }
  table_print(t, 0);
  table_free(t);
}

static void print_segments(const trial *r) {
  static const char *const heads[] = {"#", "DEVICE", "LAYERS", "FIRST", "LAST", "MS"};
  table *t = table_make("rlrllr");
  segment s;
  int n = 0;
  for (int i = 0; i < 6; i++) table_cell(t, "%s", heads[i]);
  for (uint32_t i = 0; next_segment(r, &i, &s);) {
    table_cell(t, "%d", n++);
    table_cell(t, "%s", s.first->device);
    table_cell(t, "%u", s.layers);
    table_cell(t, "%s", name_of(s.first));
    table_cell(t, "%s", s.last ? name_of(s.last) : "");
    table_cell(t, "%.4f", s.ms);
  }
  printf("\nsegments, as placed:\n");
  table_print(t, 2);
  table_free(t);
}

static void print_transfers(const trial *r) {
  static const char *const heads[] = {"TENSOR", "WAY", "SHAPE", "BYTES", "MS"};
  table *t = table_make("lllrr");
  uint32_t n = 0;
  for (int i = 0; i < 5; i++) table_cell(t, "%s", heads[i]);
  for (uint32_t i = 0; i < r->n; i++) {
    const hone_profile_layer *l = &r->layers[i];
    if (l->kind != HONE_SLICE_TRANSFER || !l->calls) continue;
    bool in = strcmp(l->kernel, "copy in") == 0;
    n++;
    table_cell(t, "%s", l->name);
    table_cell(t, "%s to %s", in ? "cpu" : l->device, in ? l->device : "cpu");
    table_cell(t, "%s", l->outputs);
    table_cell(t, "%s", human_bytes(l->bytes).s);
    table_cell(t, "%.4f", step_ms(r, l));
  }
  if (n) printf("\ncopies of every run:\n");
  if (n) table_print(t, 2);
  table_free(t);
}

static void print_report(const placing *q) {
  const trial *cpu = &q->trials[ON_CPU], *placed = &q->trials[PLACED];
  const char *name, *op;
  double expected[3];
  print_trials(q);
  print_segments(placed);
  print_transfers(placed);
  for (uint32_t i = 0; hone_session_fallback_at(placed->s, i, &name, &op); i++)
    printf("%s'%s' (%s) stays on the CPU: the device does not run it\n", i ? "" : "\n", name, op);
  if (hone_session_place_estimate(placed->s, &expected[0], &expected[1], &expected[2]))
    printf("\nchosen by time: %s expected on the CPU, %s on the device, %s as placed, copies beside steps\n",
           human_ms(expected[0]).s, human_ms(expected[1]).s, human_ms(expected[2]).s);
  double sum = device_ms(placed, true) + device_ms(placed, false) + placed->totals.transfers_ms;
  if (sum > placed->totals.run_ms) printf("%s of steps and copies overlap\n", human_ms(sum - placed->totals.run_ms).s);
  printf("before: %s, after: %s (%.2f times as fast)\n", human_ms(cpu->totals.run_ms).s, human_ms(placed->totals.run_ms).s,
         placed->totals.run_ms > 0 ? cpu->totals.run_ms / placed->totals.run_ms : 0);
}

static json_t *trial_json(const trial *r) {
  json_t *segments = json_array(), *transfers = json_array(), *fallbacks = json_array();
  const char *name, *op;
  segment s;
  for (uint32_t i = 0; next_segment(r, &i, &s);)
    json_array_append_new(segments, json_pack("{s:o, s:o, s:o, s:o, s:o}", "device", json_text(s.first->device), "layers",
                                              json_count(s.layers), "first", json_text(name_of(s.first)), "last",
                                              s.last ? json_text(name_of(s.last)) : json_null(), "ms", json_number(s.ms)));
  for (uint32_t i = 0; i < r->n; i++) {
    const hone_profile_layer *l = &r->layers[i];
    if (l->kind != HONE_SLICE_TRANSFER || !l->calls) continue;
    json_array_append_new(transfers, json_pack("{s:o, s:o, s:b, s:o, s:o}", "tensor", json_text(l->name), "device", json_text(l->device),
                                               "to_device", strcmp(l->kernel, "copy in") == 0, "bytes", json_count(l->bytes), "ms",
                                               json_number(step_ms(r, l))));
  }
  for (uint32_t i = 0; hone_session_fallback_at(r->s, i, &name, &op); i++)
    json_array_append_new(fallbacks, json_pack("{s:o, s:s}", "layer", json_text(name), "operator", op));
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "placement", json_text(r->title), "run_ms", json_number(r->totals.run_ms),
                   "transfers", json_count(r->totals.transfers), "transfer_bytes", json_count(r->totals.transfer_bytes), "segments",
                   segments, "copies", transfers, "stays_on_cpu", fallbacks);
}

static int run_place(cli *c) {
  placing q = {.c = c, .o = c->options, .device = any_device()};
  int code = model_open(c, c->args[0], &q.o->feed, &q.m);
  if (!code) code = feed_open(c, q.m, &q.o->feed, &q.o->image, &q.f);
  q.f.fill = true;
  if (!code) code = feed_load(&q.f, 0);
  if (!code) code = run_trials(&q);
  if (!code && q.o->common.json) {
    json_t *a = json_array();
    for (int i = 0; i < TRIALS; i++) json_array_append_new(a, trial_json(&q.trials[i]));
    code = json_print(a);
  } else if (!code) {
    print_report(&q);
  }
  for (int i = 0; i < TRIALS; i++) {
    hone_session_destroy(&q.trials[i].s);
    hone_profile_destroy(&q.trials[i].p);
    free(q.trials[i].layers);
    free(q.trials[i].title);
  }
  hone_model_destroy(&q.m);
  feed_close(&q.f);
  return code;
}

static const place_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT,
                                       .runs = 5};
static const arg_option rows[] = {
    {"runs", 'n', ARG_INT, offsetof(place_options, runs), "N", "Runs that are measured of each placement (default 5).", 1, 1e6},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0}, {"Inputs", feed_option_rows, offsetof(place_options, feed)},
                                   {"Images", image_option_rows, offsetof(place_options, image)},
                                   {"Running", session_option_rows, offsetof(place_options, session)},
                                   {"Common options", common_option_rows, offsetof(place_options, common)}, {0}};

const command command_place = {
    .name = "place", .summary = "which layers run on which device", .usage = "MODEL",
    .about = "Places layers on devices by the rules of --place, or by the least time (--place=auto, the default), and prints the "
             "segments, the copies of every run and the time before and after. Without --device: on the first that is available; "
             "'null' is there always and takes the time that its settings say.",
    .examples = "  hone place ssd.onnx --device=cuda:0 --place=NonMaxSuppression=cpu\n"
                "  hone place model.hone --device=null:bandwidth=16,latency=10,speed=2000 --min-segment=4\n"
                "  hone place model.onnx --device=null --place='/encoder/.*=null' --place=Softmax=cpu --json\n",
    .groups = groups, .min_args = 1, .max_args = 1, .options_size = sizeof(place_options), .defaults = &defaults,
    .common = offsetof(place_options, common), .run = run_place};
