/* cmd_bench.c - hone bench: how long a model takes, alone or by turns with another. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "json.h"
#include "labels.h"
#include "progress.h"
#include "streams.h"

typedef struct bench_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session;
  int64_t warmup, runs, streams;
  double seconds;
  const char *images, *predictions, *other;
  bool layers, quiet, limit;
} bench_options;

enum { GROUP = 50, MAX_SIDES = 2 };
static const size_t preload_limit = (size_t)1 << 30;

/* What this machine needs at least for what the model computes and what it must read and write, in milliseconds. */
typedef struct limit {
  double arithmetic, memory; /* each on its own */
  hone_peak peak;
  uint64_t flops[HONE_ARITHMETICS], bytes;
} limit;

/* One model being measured. */
typedef struct side {
  const char *path;
  hone_model *m;
  hone_session *s;
  uint32_t *map;
  samples ms, groups; /* of each run; the mean of each 50 */
  limit limit;
} side;

typedef struct bench {
  cli *c;
  const bench_options *o;
  feed f;
  tensor *rounds; /* the inputs of every round, f.n each */
  size_t n_rounds;
  side sides[MAX_SIDES];
  int n_sides;
  samples ratio; /* second by first, run by run */
} bench;

/* ----------------------------------------------------------------------------------------------- preparing */

static int open_side(bench *b, const char *path) {
  side *s = &b->sides[b->n_sides++];
  s->path = path;
  int code = model_open(b->c, path, &b->o->feed, &s->m);
  if (!code) code = session_open(b->c, s->m, &b->o->session, &s->s);
  return code;
}

static int open_feed(bench *b) {
  feed_options o = b->o->feed;
  if (b->o->images && o.inputs.n) return cli_usage("bench: --images and --input exclude each other");
  if (b->o->images) o.inputs = (arg_list){(const char **)(uintptr_t)&b->o->images, 1};
  int code = feed_open(b->c, b->sides[0].m, &o, &b->o->image, &b->f);
  b->f.fill = true; /* all runs are of one size */
  return code;
}

/* Pictures are decoded before the clock runs. */
static int preload(bench *b) {
  size_t bytes = 0;
  progress p;
  int code = CLI_OK;
  b->rounds = cli_alloc(b->f.rounds * b->f.n, sizeof *b->rounds);
  progress_begin(&p, "reading");
  for (size_t r = 0; !code && r < b->f.rounds; r++) {
    progress_step(&p, r, b->f.rounds);
    code = feed_load(&b->f, r);
    for (uint32_t i = 0; !code && i < b->f.n; i++) {
      const tensor *t = &b->f.in[i].t;
      bytes += t->bytes;
      if (bytes > preload_limit) {
        code = cli_fail("bench: the images take more than %zu MiB in memory; give fewer", preload_limit >> 20);
      } else {
        tensor *copy = &b->rounds[r * b->f.n + i];
        if (tensor_make(copy, t->dtype, t->rank, t->dims)) memcpy(copy->data, t->data, t->bytes);
      }
    }
    b->n_rounds = r + 1;
  }
  progress_end(&p);
  return code;
}

static int set_inputs(bench *b, side *s, size_t round) {
  hone_status st = HONE_OK;
  for (uint32_t i = 0; !st && i < b->f.n; i++) {
    const tensor *t = &b->rounds[round % b->n_rounds * b->f.n + i];
    uint32_t to = s->map ? s->map[i] : i;
    st = hone_session_set_input_shape(s->s, to, (uint32_t)t->rank, t->dims);
    if (!st) st = hone_session_set_input(s->s, to, t->data, t->bytes);
  }
  return st ? cli_fail_hone(b->c->cx, st) : CLI_OK;
}

/* ----------------------------------------------------------------------------------------------- measuring */

static int once(bench *b, side *s, size_t round, double *ms) {
  int code = set_inputs(b, s, round);
  if (code) return code;
  double start = cli_seconds();
  hone_status st = hone_session_run(s->s);
  *ms = (cli_seconds() - start) * 1e3;
  return st ? cli_fail_hone(b->c->cx, st) : CLI_OK;
}

/* The time limit holds for the warm-up too: a tenth of it. */
static int warm_up(bench *b) {
  double start = cli_seconds(), ms;
  int code = CLI_OK;
  for (size_t i = 0; !code && i < (size_t)b->o->warmup; i++) {
    for (int k = 0; !code && k < b->n_sides; k++) code = once(b, &b->sides[k], i, &ms);
    if (b->o->seconds > 0 && cli_seconds() - start > b->o->seconds / 10) break;
  }
  return code;
}

/* The mean of the last runs, as soon as there are 50 of them. */
static void end_group(bench *b) {
  size_t n = b->sides[0].ms.n;
  if (n % GROUP) return;
  bool print = !b->o->quiet && !b->o->common.json;
  if (print) printf("runs %zu-%zu:", n - GROUP + 1, n);
  for (int k = 0; k < b->n_sides; k++) {
    side *s = &b->sides[k];
    double sum = 0;
    for (size_t i = n - GROUP; i < n; i++) sum += s->ms.p[i];
    samples_add(&s->groups, sum / GROUP);
    if (print) printf("  %s", human_ms(sum / GROUP).s);
  }
  if (print) printf("\n");
  if (print) fflush(stdout);
}

static int measure(bench *b) {
  double start = cli_seconds();
  int code = warm_up(b);
  for (size_t i = 0; !code && i < (size_t)b->o->runs; i++) {
    double ms[MAX_SIDES] = {0};
    for (int k = 0; !code && k < b->n_sides; k++) code = once(b, &b->sides[k], i, &ms[k]);
    if (code) break;
    for (int k = 0; k < b->n_sides; k++) samples_add(&b->sides[k].ms, ms[k]);
    if (b->n_sides == 2) samples_add(&b->ratio, ms[1] / ms[0]);
    end_group(b);
    if (b->o->seconds > 0 && cli_seconds() - start > b->o->seconds) break;
  }
  return code;
}

/* ---------------------------------------------------------------------------------------------- predictions */

static int write_item(bench *b, FILE *f, const hone_tensor_info *info, const void *data, size_t round, size_t item, size_t items) {
  size_t first, n, best;
  if (!item_scores(info, item, items, &first, &n))
    return cli_fail("output '%s' (%s) has no scores to save", info->name, info_shape_text(info).s);
  const char *scores = (const char *)data + first * hone_dtype_size(info->dtype);
  const char *path = feed_item_path(&b->f, round, item);
  top_k(scores, info->dtype, n, 1, &best);
  if (path)
    fprintf(f, "%s", base_name(path));
  else
    fprintf(f, "%zu", round * b->f.batch + item);
  fprintf(f, " %zu %.9g\n", best, tensor_get(info->dtype, scores, best));
  return CLI_OK;
}

/* A line "FILE CLASS SCORE" for each item, from one more run of every round. */
static int save_predictions(bench *b) {
  out_file out;
  int code = out_open(&out, b->o->predictions);
  if (code) return code;
  for (size_t r = 0; !code && r < b->n_rounds; r++) {
    hone_tensor_info info;
    const void *data;
    double ms;
    code = once(b, &b->sides[0], r, &ms);
    hone_status st = code ? HONE_OK : hone_session_output(b->sides[0].s, 0, &info, &data, NULL);
    if (st) code = cli_fail_hone(b->c->cx, st);
    size_t items = feed_items(&b->f, r);
    for (size_t i = 0; !code && i < items; i++) code = write_item(b, out.f, &info, data, r, i, b->f.batch);
  }
  if (!code) return out_close(&out);
  out_abandon(&out);
  return code;
}

/* --------------------------------------------------------------------------------------------------- layers */

/* Mean time of each step over some more runs; NULL and a line on failure. */
static int profile(bench *b, side *s, double **mean) {
  size_t runs = (size_t)b->o->runs < 20 ? (size_t)b->o->runs : 20;
  uint32_t n = hone_session_step_count(s->s);
  double *sum = cli_alloc(n, sizeof *sum), ms;
  int code = CLI_OK;
  hone_session_set_profile(s->s, true);
  for (size_t i = 0; !code && i < runs; i++) {
    code = once(b, s, i, &ms);
    hone_step_info step;
    for (uint32_t k = 0; !code && k < n; k++)
      if (hone_session_step_info(s->s, k, &step) == HONE_OK) sum[k] += step.last_ms / (double)runs;
  }
  hone_session_set_profile(s->s, false);
  *mean = sum;
  return code;
}

static void print_steps(const side *s, const double *mean) {
  static const char *const heads[] = {"#", "LAYER", "OPERATOR", "KERNEL", "LAYOUT", "MACS", "MS", "SHARE"};
  table *t = table_make("rllllrrr");
  uint32_t n = hone_session_step_count(s->s);
  double total = 0;
  for (uint32_t k = 0; k < n; k++) total += mean[k];
  for (int i = 0; i < 8; i++) table_cell(t, "%s", heads[i]);
  for (uint32_t k = 0; k < n; k++) {
    hone_step_info step;
    if (hone_session_step_info(s->s, k, &step)) continue;
    table_cell(t, "%u", k);
    table_cell(t, "%s", step.name);
    table_cell(t, "%s", step.op);
    table_cell(t, "%s", step.kernel);
    table_cell(t, "%s", step.layout);
    table_cell(t, "%s", human_count(step.macs).s);
    table_cell(t, "%.4f", mean[k]);
    table_cell(t, "%.1f%%", total > 0 ? 100 * mean[k] / total : 0);
  }
  printf("\nsteps of %s:\n", s->path);
  table_print(t, 0);
  printf("all steps: %s\n", human_ms(total).s);
  table_free(t);
}

static json_t *steps_json(const side *s, const double *mean) {
  json_t *a = json_array();
  hone_step_info step;
  for (uint32_t k = 0; k < hone_session_step_count(s->s) && hone_session_step_info(s->s, k, &step) == HONE_OK; k++)
    json_array_append_new(a, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name", json_text(step.name), "op", json_text(step.op),
                                       "kernel", json_text(step.kernel), "layout", json_text(step.layout), "macs",
                                       json_count(step.macs), "ms", json_number(mean[k])));
  return a;
}

/* --------------------------------------------------------------------------------------------------- report */

static double limit_ms(const limit *l) { return l->arithmetic > l->memory ? l->arithmetic : l->memory; }

static int find_limits(bench *b) {
  hone_peak peak;
  hone_status st = b->o->limit ? hone_measure_peak(b->c->cx, (int32_t)b->o->session.threads, &peak) : HONE_OK;
  for (int k = 0; b->o->limit && k < b->n_sides && !st; k++) {
    limit *l = &b->sides[k].limit;
    st = hone_session_work(b->sides[k].s, l->flops, &l->bytes);
    l->peak = peak;
    l->arithmetic = 0;
    for (int a = 0; a < HONE_ARITHMETICS; a++) l->arithmetic += 1e3 * (double)l->flops[a] / peak.flops[a];
    l->memory = 1e3 * (double)l->bytes / peak.bandwidth;
  }
  return st ? cli_fail_hone(b->c->cx, st) : CLI_OK;
}

static void print_limit(const side *s) {
  const limit *l = &s->limit;
  const char *between = " for";
  summary u = samples_summary(&s->ms);
  printf("limit of %s: %s", s->path, human_ms(l->arithmetic).s);
  for (int a = 0; a < HONE_ARITHMETICS; a++) {
    if (!l->flops[a]) continue;
    printf("%s %sFLOP in %s at %.0f GFLOP/s (%s)", between, human_count(l->flops[a]).s, hone_arithmetic_name((hone_arithmetic)a),
           l->peak.flops[a] * 1e-9, l->peak.by[a]);
    between = " and";
  }
  printf(", %s for %s of weights, inputs and outputs at %.1f GB/s; the median reaches %.0f%% of it\n", human_ms(l->memory).s,
         human_bytes(l->bytes).s, l->peak.bandwidth * 1e-9, 100 * limit_ms(l) / u.median);
}

static json_t *limit_json(const side *s) {
  const limit *l = &s->limit;
  json_t *kinds = json_object();
  uint64_t flops = 0;
  summary u = samples_summary(&s->ms);
  for (int a = 0; a < HONE_ARITHMETICS; a++) {
    flops += l->flops[a];
    json_object_set_new(kinds, hone_arithmetic_name((hone_arithmetic)a),
                        json_pack("{s:o, s:o, s:s}", "flops", json_count(l->flops[a]), "peak_flops", json_number(l->peak.flops[a]), "by",
                                  l->peak.by[a]));
  }
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "flops", json_count(flops), "bytes", json_count(l->bytes), "peak_flops",
                   json_number(l->peak.flops[HONE_ARITHMETIC_F32]), "arithmetics", kinds, "peak_bandwidth", json_number(l->peak.bandwidth),
                   "arithmetic_ms", json_number(l->arithmetic), "memory_ms", json_number(l->memory), "share",
                   json_number(limit_ms(l) / u.median));
}

static void print_report(bench *b) {
  static const char *const heads[] = {"MODEL", "MEAN", "MEDIAN", "P90", "P99", "MIN", "MAX", "ITEMS/S"};
  table *t = table_make("lrrrrrrr");
  for (int i = 0; i < 8; i++) table_cell(t, "%s", heads[i]);
  for (int k = 0; k < b->n_sides; k++) {
    summary u = samples_summary(&b->sides[k].ms);
    const double values[] = {u.mean, u.median, u.p90, u.p99, u.min, u.max};
    table_cell(t, "%s", b->sides[k].path);
    for (int i = 0; i < 6; i++) table_cell(t, "%s", human_ms(values[i]).s);
    table_cell(t, "%.1f", 1e3 * (double)b->f.batch / u.mean);
  }
  printf("%zu runs, batch %zu\n", b->sides[0].ms.n, b->f.batch);
  table_print(t, 0);
  table_free(t);
  size_t arena, weights, bound;
  for (int k = 0; k < b->n_sides; k++)
    if (hone_session_memory(b->sides[k].s, &arena, &weights) == HONE_OK &&
        hone_session_memory_bound(b->sides[k].s, &bound) == HONE_OK)
      printf("memory of %s: activations %s (at least %s are alive at once), packed weights %s, process at its peak %s\n",
             b->sides[k].path, human_bytes(arena).s, human_bytes(bound).s, human_bytes(weights).s,
             human_bytes(cli_peak_memory()).s);
  const char *device;
  for (int k = 0; k < b->n_sides; k++)
    for (uint32_t d = 0; hone_session_device_memory(b->sides[k].s, d, &device, &arena) == HONE_OK; d++)
      printf("memory of %s on %s: %s for activations, weights and working memory\n", b->sides[k].path, device, human_bytes(arena).s);
  for (int k = 0; k < b->n_sides && b->o->limit; k++) print_limit(&b->sides[k]);
  if (b->n_sides < 2) return;
  summary u = samples_summary(&b->ratio);
  printf("time of the second by the first, run by run: median %.3f (p10 %.3f, p90 %.3f): %s by %.2f\n", u.median, u.p10, u.p90,
         u.median <= 1 ? "faster" : "slower", u.median <= 1 ? 1 / u.median : u.median);
}

static json_t *side_json(const bench *b, const side *s, const double *steps) {
  summary u = samples_summary(&s->ms);
  json_t *groups = json_array();
  size_t arena = 0, weights = 0, bound = 0;
  hone_session_memory(s->s, &arena, &weights);
  hone_session_memory_bound(s->s, &bound);
  for (size_t i = 0; i < s->groups.n; i++) json_array_append_new(groups, json_number(s->groups.p[i]));
  json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "live_bytes",
                        json_count(bound), "peak_resident_bytes", json_count(cli_peak_memory()), "model", json_text(s->path), "runs", json_count(s->ms.n),
                        "latency_ms", json_summary(&u), "items_per_second", json_number(1e3 * (double)b->f.batch / u.mean),
                        "averages_of_50_ms", groups, "arena_bytes", json_count(arena), "packed_bytes", json_count(weights));
  json_t *devices = json_object();
  const char *device;
  for (uint32_t d = 0; hone_session_device_memory(s->s, d, &device, &arena) == HONE_OK; d++) json_object_set_new(devices, device, json_count(arena));
  json_object_set_new(j, "device_bytes", devices);
  if (b->o->limit) json_object_set_new(j, "limit", limit_json(s));
  if (steps) json_object_set_new(j, "steps", steps_json(s, steps));
  return j;
}

static int report(bench *b) {
  json_t *models = json_array();
  int code = find_limits(b);
  if (!code && !b->o->common.json) print_report(b);
  for (int k = 0; !code && k < b->n_sides; k++) {
    double *steps = NULL;
    if (b->o->layers) code = profile(b, &b->sides[k], &steps);
    if (!code && b->o->common.json) json_array_append_new(models, side_json(b, &b->sides[k], steps));
    if (!code && steps && !b->o->common.json) print_steps(&b->sides[k], steps);
    free(steps);
  }
  if (code || !b->o->common.json) {
    json_decref(models);
    return code;
  }
  json_t *j = json_pack("{s:o, s:o}", "batch", json_count(b->f.batch), "models", models);
  if (b->n_sides == 2) {
    summary u = samples_summary(&b->ratio);
    json_object_set_new(j, "ratio", json_summary(&u));
  }
  return json_print(j);
}

/* ------------------------------------------------------------------------------------------------- streams */

static int report_streams(const bench *b, const streams *s, int64_t threads) {
  summary u = samples_summary(&s->ms);
  double rate = (double)s->ms.n * (double)b->f.batch / s->wall;
  if (b->o->common.json)
    return json_print(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model", json_text(b->sides[0].path), "batch",
                                json_count(b->f.batch), "streams", json_count(s->n), "threads", json_count((uint64_t)threads), "runs",
                                json_count(s->ms.n), "latency_ms", json_summary(&u), "items_per_second", json_number(rate),
                                "arena_bytes", json_count(s->arena), "packed_bytes", json_count(s->packed)));
  static const char *const heads[] = {"STREAMS", "THREADS", "RUNS", "ITEMS/S", "MEAN", "MEDIAN", "P90", "P99", "MAX"};
  const double values[] = {u.mean, u.median, u.p90, u.p99, u.max};
  table *t = table_make("rrrrrrrrr");
  for (int i = 0; i < 9; i++) table_cell(t, "%s", heads[i]);
  table_cell(t, "%u", s->n);
  table_cell(t, "%lld", (long long)threads);
  table_cell(t, "%zu", s->ms.n);
  table_cell(t, "%.1f", rate);
  for (int i = 0; i < 5; i++) table_cell(t, "%s", human_ms(values[i]).s);
  table_print(t, 0);
  table_free(t);
  printf("memory: activations %s in all, packed weights %s, shared; process at its peak %s\n", human_bytes(s->arena).s,
         human_bytes(s->packed).s, human_bytes(cli_peak_memory()).s);
  return CLI_OK;
}

/* K streams over the processors: each has a share of the threads, one at least. */
static int bench_streams(bench *b) {
  session_options so = b->o->session;
  int64_t processors = sysconf(_SC_NPROCESSORS_ONLN);
  if (!so.threads) so.threads = processors > b->o->streams ? processors / b->o->streams : 1;
  streams s = {.m = b->sides[0].m, .session = &so, .n = (uint32_t)b->o->streams, .n_inputs = b->f.n, .rounds = b->rounds,
               .n_rounds = b->n_rounds, .warmup = (size_t)b->o->warmup, .runs = (size_t)b->o->runs, .seconds = b->o->seconds};
  int code = streams_run(&s);
  if (!code) code = report_streams(b, &s, so.threads);
  samples_free(&s.ms);
  return code;
}

static int run_bench(cli *c) {
  bench b = {.c = c, .o = c->options};
  bool many = b.o->streams > 0;
  int code = CLI_OK;
  if (many && (b.o->other || b.o->layers || b.o->predictions || b.o->limit))
    return cli_usage("bench: --streams goes with none of --vs, --layers, --limit and --save-predictions");
  code = open_side(&b, c->args[0]);
  if (!code && b.o->other) code = open_side(&b, b.o->other);
  if (!code) code = open_feed(&b);
  if (!code && b.n_sides == 2) code = feed_map(&b.f, b.sides[1].m, &b.sides[1].map);
  if (!code) code = preload(&b);
  if (!code && many) code = bench_streams(&b);
  if (!code && !many) code = measure(&b);
  if (!code && b.o->predictions) code = save_predictions(&b);
  if (!code && !many) code = report(&b);
  for (size_t i = 0; b.rounds && i < b.f.rounds * b.f.n; i++) tensor_free(&b.rounds[i]);
  free(b.rounds);
  for (int k = 0; k < b.n_sides; k++) {
    side *s = &b.sides[k];
    hone_session_destroy(&s->s);
    hone_model_destroy(&s->m);
    free(s->map);
    samples_free(&s->ms);
    samples_free(&s->groups);
  }
  samples_free(&b.ratio);
  feed_close(&b.f);
  return code;
}

static const bench_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT, .warmup = 50, .runs = 1000};
static const arg_option rows[] = {
    {"warmup", 0, ARG_INT, offsetof(bench_options, warmup), "N", "Runs before the clock starts (default 50).", 0, 1e9},
    {"runs", 'n', ARG_INT, offsetof(bench_options, runs), "N", "Runs that are measured (default 1000).", 1, 1e9},
    {"seconds", 0, ARG_REAL, offsetof(bench_options, seconds), "S", "Stop after about this time, with the runs done by then (default: no limit).", 0, 1e6},
    {"images", 0, ARG_TEXT, offsetof(bench_options, images), "GLOB", "Images to run on, in turn: a file, a folder or a glob.", 0, 0},
    {"save-predictions", 0, ARG_TEXT, offsetof(bench_options, predictions), "FILE", "Write a line 'NAME CLASS SCORE' for each item.", 0, 0},
    {"vs", 0, ARG_TEXT, offsetof(bench_options, other), "OTHER",
     "Measure another model by turns with the first, on the same inputs, and print the ratio of their times.", 0, 0},
    {"streams", 0, ARG_INT, offsetof(bench_options, streams), "K",
     "Run K sessions of the model at once, which share its weights, and print latency and throughput; --threads is of each "
     "(default: the processors shared out), --runs and --seconds too.", 1, 1024},
    {"layers", 0, ARG_FLAG, offsetof(bench_options, layers), "", "Time of every step, with its kernel and layout.", 0, 0},
    {"limit", 0, ARG_FLAG, offsetof(bench_options, limit), "",
     "How near it comes to what this machine can do at most, which is measured behind the runs.", 0, 0},
    {"quiet", 'q', ARG_FLAG, offsetof(bench_options, quiet), "", "No averages of 50 runs on the way.", 0, 0},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0}, {"Inputs", feed_option_rows, offsetof(bench_options, feed)},
                                   {"Choosing within a TensorFlow model", choice_option_rows, offsetof(bench_options, feed)},
                                   {"Images", image_option_rows, offsetof(bench_options, image)},
                                   {"Running", session_option_rows, offsetof(bench_options, session)},
                                   {"Common options", common_option_rows, offsetof(bench_options, common)}, {0}};

const command command_bench = {
    .name = "bench", .summary = "measure latency and throughput", .usage = "MODEL",
    .about = "Runs a model many times and prints the average of each 50 runs, then latency and throughput. What is measured is "
             "the run alone; inputs are made before.",
    .examples = "  hone bench model.onnx --threads=4\n  hone bench model.onnx --vs=fast.hone --seconds=10\n"
                "  hone bench model.hone --streams=4 --seconds=10\n"
                "  hone bench model.onnx --images='photos/*.jpg' --batch=8 --save-predictions=classes.txt\n",
    .groups = groups, .min_args = 1, .max_args = 1, .options_size = sizeof(bench_options), .defaults = &defaults,
    .common = offsetof(bench_options, common), .run = run_bench};
