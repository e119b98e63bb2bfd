/* cmd_optimize.c - hone optimize: reads, improves, checks and writes a model. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "json.h"
#include "progress.h"
#include "trt_options.h"
#include "account.h"
#include "convert_saved.h"

typedef struct optimize_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session;
  level_options level;
  quant_options quant;
  account_options account;
  const char *output, *format, *print_after, *tune, *cache;
  bool verify, check_graph, packs;
  int64_t runs;
  double tolerance;
  trt_options trt;
} optimize_options;

typedef struct outcome {
  hone_model_stats before, after;
  bool verified;
  uint32_t n;        /* outputs */
  difference *apart; /* of each */
  uint64_t bytes_before, bytes_after;
  double seconds;
  bool tuned;
  hone_tune_result tune;
  double tune_seconds;
  quant_outcome quant;
  double quant_seconds;
  account account; /* of 8 bits, where there are examples */
  bool packed;
  size_t packed_bytes;
  segments segments;
} outcome;

/* Of a SavedModel: its graph, where the weights are when they were made constants. */
static uint64_t file_size(const char *path) {
  struct stat st;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
    char file[4096];
    snprintf(file, sizeof file, "%s/saved_model.pb", path);
    return stat(file, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
  }
  return stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

/* With --json the graph texts would spoil the output, so they go to stderr. */
static void print_graph(void *user, const char *pass, const char *graph) {
  const optimize_options *o = user;
  FILE *to = o->common.json ? stderr : stdout;
  fprintf(to, "# after %s\n%s\n", pass, graph);
}

static int optimize(cli *c, hone_model *m, outcome *r) {
  const optimize_options *o = c->options;
  hone_optimize_options oo;
  hone_optimize_options_init(&oo);
  oo.level = (int32_t)o->level.level;
  oo.passes = o->level.passes;
  oo.fold_limit = (uint64_t)o->level.fold_limit;
  oo.print_after = o->print_after;
  oo.print_fn = print_graph;
  oo.print_user = c->options;
  oo.verify = o->check_graph;
  hone_model_get_stats(m, &r->before);
  double start = cli_seconds();
  hone_status st = hone_model_optimize(m, &oo);
  r->seconds = cli_seconds() - start;
  if (!st) st = hone_model_get_stats(m, &r->after);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

/* What is written: by --format, or by the name; NULL: neither says. */
static const char *format_of(const optimize_options *o) {
  if (!o->format) return hone_format_of_path(o->output);
  return strcmp(o->format, "pb") == 0 ? "graphdef" : o->format;
}

static bool is_engine(const optimize_options *o) {
  const char *format = format_of(o);
  return format && strcmp(format, "hone") == 0;
}

/* 0: off, 1: quick, 2: full; what is not said is quick where the file can hold the choice. */
static int tune_effort(const optimize_options *o) {
  if (!o->tune) return is_engine(o);
  return strcmp(o->tune, "off") == 0 ? 0 : strcmp(o->tune, "quick") == 0 ? 1 : 2;
}

static int quantize(cli *c, hone_model *m, outcome *r) {
  const optimize_options *o = c->options;
  const quant_setup setup = {&o->quant, &o->account, &o->feed, &o->image, &o->session, tune_effort(o) > 0, o->cache};
  hone_calibration *k = NULL;
  hone_quantize_options qo;
  progress p;
  if (o->quant.precision.first == HONE_PRECISION_F32) return CLI_OK;
  double start = cli_seconds();
  quant_wishes(&o->quant, &o->session, &p, &qo);
  int code = account_calibrate(c, m, &setup, false, &r->quant, &k, &r->account);
  bool none = r->account.n && r->account.kept == r->account.n;
  if (!code && none) cli_warn("no layer is both exact enough and faster in 8 bits: all stay in floats (--no-mixed quantizes them all the same)");
  progress_begin(&p, "fitting weights to examples");
  hone_status st = code || none ? HONE_OK : hone_model_quantize(m, k, &qo, &r->quant.counts);
  progress_end(&p);
  if (!code && !st) st = hone_model_get_stats(m, &r->after);
  if (st) code = cli_fail_hone(c->cx, st);
  if (!code && k) code = quant_finish(c, &o->quant, &r->quant, k);
  hone_calibration_destroy(&k);
  r->quant_seconds = cli_seconds() - start;
  return code;
}

static bool any_open_shape(const hone_model *m) {
  hone_tensor_info info;
  for (uint32_t i = 0; i < hone_model_input_count(m) && hone_model_input_info(m, i, &info) == HONE_OK; i++) {
    if (info.rank < 0) return true;
    for (int32_t k = 1; k < info.rank; k++)
      if (info.dims[k] < 0) return true;
  }
  return false;
}

static double tolerance_of(const optimize_options *o, hone_model *before) {
  if (o->tolerance > 0) return o->tolerance;
  return o->quant.precision.first != HONE_PRECISION_F32 ? 1e30 : model_has_steps(before) ? 0.1 : 1e-3;
}

static int not_written(const optimize_options *o, const hone_model *m, uint32_t output, const difference *d, double tolerance) {
  hone_tensor_info info;
  hone_model_output_info(m, output, &info);
  if (d->broken && (o->quant.precision.first == HONE_PRECISION_F16 || o->quant.precision.others >> HONE_PRECISION_F16 & 1))
    return cli_fail("%s: not written: output '%s' holds NaN or infinity that it had not before: numbers leave what 16 bits hold, 65504; "
                    "--precision=bf16 holds them", o->output, info.name);
  if (d->broken) return cli_fail("%s: not written: output '%s' holds NaN or infinity where it did not before, or no longer", o->output, info.name);
  return cli_fail("%s: not written: output '%s' changed by %g, more than the tolerance %g ('hone compare --optimize --layers' finds where)",
                  o->output, info.name, d->max_abs, tolerance);
}

static int verify(cli *c, hone_model *before, const hone_model *after, outcome *r) {
  const optimize_options *o = c->options;
  feed_options from = quant_feed(&o->quant, &o->feed);
  double tolerance = tolerance_of(o, before);
  if (!from.inputs.n && !from.stream && any_open_shape(before)) {
    cli_warn("not verified: the model has dynamic shapes; give --shape or --input");
    return CLI_OK;
  }
  feed f = {0};
  hone_session *a = NULL, *b = NULL;
  uint32_t *match = match_outputs(before, after), *map = NULL;
  r->n = hone_model_output_count(before);
  r->apart = cli_alloc(r->n, sizeof *r->apart);
  int code = feed_open(c, before, &from, &o->image, &f);
  if (!code) code = feed_map(&f, after, &map);
  if (!code) code = session_open(c, before, &o->session, &a);
  if (!code) code = session_open(c, after, &o->session, &b);
  if (!code) code = compare_sessions(c, &f, map, a, b, match, r->n, feed_rounds(&f, (size_t)o->runs), r->apart);
  r->verified = !code;
  for (uint32_t i = 0; !code && i < r->n; i++)
    if (match[i] == UINT32_MAX || !difference_within(&r->apart[i], tolerance)) code = not_written(o, before, i, &r->apart[i], tolerance);
  hone_session_destroy(&a);
  hone_session_destroy(&b);
  feed_close(&f);
  free(match);
  free(map);
  return code;
}

static bool show_progress(void *user, uint32_t done, uint32_t expected) {
  progress_step(user, done, expected);
  return true;
}

static int tune(cli *c, hone_model *m, outcome *r) {
  const optimize_options *o = c->options;
  hone_tune_options to;
  hone_tune_options_init(&to);
  to.effort = tune_effort(o);
  if (!to.effort) return CLI_OK;
  feed_options from = quant_feed(&o->quant, &o->feed);
  if (!from.inputs.n && any_open_shape(m)) {
    cli_warn("not tuned: the model has dynamic shapes; give --shape or --input");
    return CLI_OK;
  }
  progress p;
  feed f = {0};
  hone_session *s = NULL;
  double start = cli_seconds();
  to.cache = o->cache;
  to.progress = show_progress;
  to.user = &p;
  progress_begin(&p, "trying kernels");
  int code = feed_open(c, m, &from, &o->image, &f);
  if (!code) code = session_open(c, m, &o->session, &s);
  if (!code) code = feed_load(&f, 0);
  if (!code) code = feed_set(c, &f, NULL, s);
  hone_status st = code ? HONE_OK : hone_session_tune(s, m, &to, &r->tune);
  progress_end(&p);
  if (st) code = cli_fail_hone(c->cx, st);
  r->tuned = !code;
  r->tune_seconds = cli_seconds() - start;
  hone_session_destroy(&s);
  feed_close(&f);
  return code;
}

/* An engine also holds the weights as the kernels want them, if it is known for which shapes. */
static int save(cli *c, const hone_model *m, outcome *r) {
  const optimize_options *o = c->options;
  hone_status st;
  if (is_engine(o) && o->trt.workspace >= 0 && ((!o->feed.inputs.n && any_open_shape(m)) || !o->packs))
    return cli_usage("--max-workspace-size: memory is planned for fixed shapes and packed weights; give --shape, and not --no-packs");
  bool open = o->packs && is_engine(o) && !o->feed.inputs.n && any_open_shape(m);
  if (open) cli_warn("packed weights are left out: the model has dynamic shapes; give --shape or --input");
  if (!o->packs || !is_engine(o) || open || o->session.reference) {
    st = hone_model_save_as(m, o->output, format_of(o));
    return st ? cli_fail_hone(c->cx, st) : CLI_OK;
  }
  feed f = {0};
  hone_session *s = NULL;
  int code = feed_open(c, m, &o->feed, &o->image, &f);
  if (!code) code = session_open(c, m, &o->session, &s);
  if (!code) code = feed_load(&f, 0);
  if (!code) code = feed_set(c, &f, NULL, s);
  if (!code) code = trt_check_workspace(c, &o->trt, s, o->output);
  st = code ? HONE_OK : hone_session_save(s, o->output);
  if (!code && !st) segments_read(s, &r->segments);
  if (!code && !st) st = hone_session_memory(s, NULL, &r->packed_bytes);
  if (st) code = cli_fail_hone(c->cx, st);
  r->packed = !code;
  hone_session_destroy(&s);
  feed_close(&f);
  return code;
}

static difference worst(const outcome *r) {
  difference w = {0};
  for (uint32_t i = 0; i < r->n; i++)
    if (r->apart[i].max_abs >= w.max_abs) w = r->apart[i];
  return w;
}

/* -------------------------------------------------------------------------------------------------- output */

static void row(table *t, const char *what, units before, units after) {
  table_cell(t, "%s", what);
  table_cell(t, "%s", before.s);
  table_cell(t, "%s", after.s);
}

static void print_report(const hone_model *m) {
  table *t = table_make("llrll");
  hone_report_row r;
  static const char *const heads[] = {"PASS", "RULE", "HITS", "EXACT", "WHAT IT DOES"};
  for (int i = 0; i < 5; i++) table_cell(t, "%s", heads[i]);
  for (uint32_t i = 0; hone_model_report_row(m, i, &r); i++) {
    if (!r.hits) continue;
    table_cell(t, "%s", r.pass);
    table_cell(t, "%s", r.rule);
    table_cell(t, "%u", r.hits);
    table_cell(t, "%s", r.exact ? "yes" : "no");
    table_cell(t, "%s", r.doc);
  }
  printf("\n");
  if (table_rows(t))
    table_print(t, 0);
  else
    printf("nothing to improve\n");
  table_free(t);
}

/* Of kernels and layouts over the whole graph: what was expected, and what came of it. */
static void print_assignment(const hone_tune_result *r) {
  double gap = r->bound_ms > 0 ? 100 * (r->assigned_ms / r->bound_ms - 1) : 0;
  printf("kernels and layouts over the whole graph: %u layers, %u changes of layout; %.4g ms expected, layer by layer %.4g ms",
         r->assigned_layers, r->assigned_reorders, r->assigned_ms, r->single_ms);
  if (gap < 0.01) printf(", the least there is");
  else printf(", at most %.2f %% above the least", gap);
  if (r->assigned_ratio == 1) printf("; the same plan\n");
  else printf("; a run takes %.3f of before, %s\n", r->assigned_ratio, r->assigned_ratio < 1 ? "kept" : "left");
}

static void print_outcome(const optimize_options *o, const hone_model *m, const outcome *r) {
  table *t = table_make("lrr");
  table_cell(t, "%s", "");
  table_cell(t, "BEFORE");
  table_cell(t, "AFTER");
  row(t, "layers", human_count(r->before.layers), human_count(r->after.layers));
  row(t, "parameters", human_count(r->before.parameters), human_count(r->after.parameters));
  row(t, "multiply-accumulates", human_count(r->before.macs), human_count(r->after.macs));
  row(t, "weights", human_bytes(r->before.weight_bytes), human_bytes(r->after.weight_bytes));
  row(t, "activations (sum)", human_bytes(r->before.activation_bytes), human_bytes(r->after.activation_bytes));
  row(t, "file", human_bytes(r->bytes_before), human_bytes(r->bytes_after));
  table_print(t, 0);
  table_free(t);
  print_report(m);
  printf("\noptimized in %.2f s\n", r->seconds);
  const quant_outcome *q = &r->quant;
  if (q->counts.layers)
    printf(o->quant.precision.first == HONE_PRECISION_INT8_DYNAMIC ? "%u of %u matrix products and recurrent layers in lower precision\n" :
           o->quant.precision.first != HONE_PRECISION_INT8 ? "%u of %u convolutions and matrix products in lower precision\n" :
           "quantized %u of %u convolutions and matrix products (%u fitted) in %.1f s, %u tensors calibrated ", q->counts.layers, q->counts.candidates,
           q->counts.refined, r->quant_seconds, q->ranges);
  if (q->counts.layers && o->quant.precision.first == HONE_PRECISION_INT8) {
    if (q->cached) printf("by %s\n", o->quant.cache);
    else printf("with %zu examples in %zu %s\n", q->examples, q->batches, q->batches == 1 ? "batch" : "batches");
  }
  if (q->counts.unseen)
    printf("%u of them stay in floats: their inputs have no range, or were always zero on the examples\n", q->counts.unseen);
  if (r->account.n) {
    printf("\n");
    account_print(&r->account);
    printf("\n");
  }
  difference w = worst(r);
  if (r->verified)
    printf("outputs differ by at most %.3g (%.3g of the largest value), cosine %.9f\n", w.max_abs, difference_relative(&w),
           difference_cosine(&w));
  else
    printf("outputs not compared\n");
  if (r->tuned)
    printf("kernels tuned in %.1f s: %u layers with a choice, %u times measured%s; a run %.3g ms, by fixed priorities %.3g ms\n",
           r->tune_seconds, r->tune.layers, r->tune.measured, r->tune.recalled ? ", others recalled" : "", r->tune.after_ms,
           r->tune.before_ms);
  if (r->tuned && r->tune.assigned_layers) print_assignment(&r->tune);
  segments_print(&r->segments);
  if (r->packed)
    printf("written: %s, with %s of packed weights\n", o->output, human_bytes(r->packed_bytes).s);
  else
    printf("written: %s\n", o->output);
}

static int print_json(const optimize_options *o, const hone_model *m, const outcome *r) {
  json_t *report = json_array();
  hone_report_row row_;
  for (uint32_t i = 0; hone_model_report_row(m, i, &row_); i++)
    json_array_append_new(report, json_pack("{s:o, s:o, s:o, s:i, s:b}", "pass", json_text(row_.pass), "rule",
                                            json_text(row_.rule), "doc", json_text(row_.doc), "hits", (int)row_.hits, "exact",
                                            (int)row_.exact));
  difference w = worst(r);
  json_t *tuned = r->tuned ? json_pack("{s:i, s:i, s:i, s:o, s:o, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "layers", (int)r->tune.layers, "measured",
                                       (int)r->tune.measured, "recalled", (int)r->tune.recalled, "before_ms",
                                       json_number(r->tune.before_ms), "after_ms", json_number(r->tune.after_ms), "assigned_layers",
                                       (int)r->tune.assigned_layers, "assigned_reorders", (int)r->tune.assigned_reorders, "single_ms",
                                       json_number(r->tune.single_ms), "assigned_ms", json_number(r->tune.assigned_ms), "bound_ms",
                                       json_number(r->tune.bound_ms), "assigned_ratio", json_number(r->tune.assigned_ratio), "seconds",
                                       json_number(r->tune_seconds))
                           : json_null();
  return json_print(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "packed_bytes",
                              json_count(r->packed_bytes), "quantization", r->account.n ? account_json(&r->account) : json_null(), "segments", segments_json(&r->segments), "tuned", tuned, "output", json_text(o->output), "before",
                              json_stats(&r->before), "after", json_stats(&r->after), "report", report, "verified",
                              json_boolean(r->verified), "difference", r->verified ? json_difference(&w) : json_null(),
                              "bytes_before", json_count(r->bytes_before), "bytes_after", json_count(r->bytes_after),
                              "seconds", json_number(r->seconds)));
}

/* ------------------------------------------------------------------------------------------------- command */

static int check_call(const optimize_options *o) {
  const char *format = o->output ? format_of(o) : NULL;
  if (!o->output) return cli_usage("optimize: where to? give -o OUT.hone, OUT.onnx, OUT.pb or a folder for a SavedModel");
  if (o->tune && strcmp(o->tune, "off") != 0 && strcmp(o->tune, "quick") != 0 && strcmp(o->tune, "full") != 0)
    return cli_usage("--tune=%s: choose off, quick or full", o->tune);
  if (!format) return cli_usage("%s: the name must end in .hone, .onnx, .pb or / (a SavedModel) to say which format to write", o->output);
  if (strcmp(format, "hone") != 0 && strcmp(format, "onnx") != 0 && strcmp(format, "savedmodel") != 0 && strcmp(format, "graphdef") != 0)
    return cli_usage("--format=%s: choose hone, onnx, savedmodel or pb", format);
  if (!is_engine(o) && tune_effort(o))
    return cli_usage("--tune: only an engine can hold the kernels chosen; write one, -o OUT.hone");
  int code = quant_check(&o->quant);
  if (!code && (o->account.labels || o->account.evaluate.n) && !o->account.max_drop)
    code = cli_usage("--labels and --evaluate are for --max-drop; 'hone quantize-report' measures without a limit");
  if (!code && (o->account.max_drop || o->account.uniform) && o->quant.precision.first != HONE_PRECISION_INT8)
    code = cli_usage("--max-drop and --no-mixed: of what? give --precision=int8");
  if (!code && o->quant.precision.others && o->account.uniform) code = cli_usage("--no-mixed and a --precision of several contradict each other");
  if (!code && o->account.max_drop && o->account.uniform) code = cli_usage("--max-drop and --no-mixed contradict each other");
  if (!code && o->account.max_drop && !quant_examples(&o->quant) && !o->account.evaluate.n && !o->feed.inputs.n)
    code = cli_usage("--max-drop: measured on what? give --calibrate or --evaluate");
  if (code) return code;
  if (o->cache && !tune_effort(o)) return cli_usage("--timing-cache: nothing is timed without --tune");
  return CLI_OK;
}

/* An option that says something of one model, where a SavedModel may be several. */
static const char *single_option(const optimize_options *o) {
  if (o->quant.precision.first != HONE_PRECISION_F32 || !o->trt.calibration) return "a lower precision";
  if (o->feed.inputs.n) return "--shape or --input";
  if (!o->trt.dynamic) return "--no-dynamic";
  return o->print_after ? "--print-after" : NULL;
}

/* From a SavedModel to one, no part of which was chosen. */
static bool saved_to_saved(const cli *c, const optimize_options *o) {
  const char *format = o->output ? format_of(o) : NULL;
  const choice_options *choice = &o->feed.choice;
  bool saved = false;
  for (int text = 0; text < 2; text++) {
    char *graph = cli_format("%s/saved_model.pb%s", c->args[0], text ? "txt" : "");
    saved = saved || (file_size(graph) > 0 && format && strcmp(format, "savedmodel") == 0);
    free(graph);
  }
  return saved && !choice->signature && !choice->inputs && !choice->outputs;
}

static int convert(cli *c, bool *done) {
  const optimize_options *o = c->options;
  if (!saved_to_saved(c, o)) return CLI_OK;
  conversion_options k = {.path = c->args[0], .output = o->output, .feed = &o->feed, .image = &o->image, .session = &o->session, .level = &o->level,
                          .trt = &o->trt, .alone = single_option(o), .verify = o->verify, .check_graph = o->check_graph, .json = o->common.json,
                          .runs = o->runs, .tolerance = o->tolerance};
  return convert_saved_model(c, &k, done);
}

static bool places_automatically(const optimize_options *o) {
  for (size_t i = 0; i < o->session.place.n; i++)
    if (strcmp(o->session.place.p[i], "auto") == 0) return true;
  return false;
}

static int run_optimize(cli *c) {
  optimize_options *o = c->options;
  hone_model *before = NULL, *after = NULL;
  outcome r = {0};
  bool placed = places_automatically(o);
  if (placed && o->trt.segment > 0) o->session.min_segment = o->trt.segment;
  if (o->trt.workspace > 0) o->session.workspace = o->trt.workspace;
  int code = o->output ? trt_apply(&o->trt, is_engine(o), placed || saved_to_saved(c, o), &o->quant) : CLI_OK;
  bool done = false;
  if (!code) code = check_call(o);
  if (!code) code = convert(c, &done);
  if (code || done) return code;
  if (!code) code = model_open(c, c->args[0], &o->feed, &before);
  if (code) return code;
  code = trt_fix_shapes(c, &o->trt, &o->feed, before);
  if (!code) code = trt_own_ranges(c, &o->trt, before);
  if (code) {
    hone_model_destroy(&before);
    return code;
  }
  hone_status st = hone_model_check(before, NULL, NULL); /* damaged weights are not carried on */
  if (!st) st = hone_model_clone(before, &after);
  if (st) code = cli_fail_hone(c->cx, st);
  if (!code) code = trt_keep_plans(c, &o->trt, after);
  if (!code) code = quant_listen(&o->quant, before);
  if (!code) code = optimize(c, after, &r);
  if (!code) code = quantize(c, after, &r);
  if (!code) code = tune(c, after, &r);
  if (!code && o->verify) code = verify(c, before, after, &r); /* with the kernels chosen */
  if (!code) code = save(c, after, &r);
  if (!code) {
    r.bytes_before = file_size(c->args[0]);
    r.bytes_after = file_size(o->output);
    if (o->common.json)
      code = print_json(o, after, &r);
    else
      print_outcome(o, after, &r);
  }
  free(r.apart);
  segments_free(&r.segments);
  arrays_free(&o->quant.stream);
  account_free(&r.account);
  hone_model_destroy(&before);
  hone_model_destroy(&after);
  return code;
}

static const optimize_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT,
                                          .level = LEVEL_OPTIONS_DEFAULT, .quant = QUANT_OPTIONS_DEFAULT, .trt = TRT_OPTIONS_DEFAULT, .verify = true, .packs = true, .runs = 1};
static const arg_option rows[] = {
    {"output", 'o', ARG_TEXT, offsetof(optimize_options, output), "OUT",
     "What to write: OUT.hone (hone's own, loads at once), OUT.onnx (standard operators), OUT.pb (a frozen TensorFlow graph), "
     "or a folder, OUT/ (a TensorFlow SavedModel).", 0, 0},
    {"format", 0, ARG_TEXT, offsetof(optimize_options, format), "hone|onnx|savedmodel|pb", "The format, whatever the name.", 0, 0},
    {"print-after", 0, ARG_TEXT, offsetof(optimize_options, print_after), "PASS", "Print the graph after this pass, or after 'all'.", 0, 0},
    {"verify", 0, ARG_FLAG, offsetof(optimize_options, verify), "", "Run the model before and after and compare (default).", 0, 0},
    {"no-verify", 0, ARG_CLEAR, offsetof(optimize_options, verify), "", "Do not.", 0, 0},
    {"runs", 0, ARG_INT, offsetof(optimize_options, runs), "N", "How many random inputs to compare with (default 1).", 1, 1000000},
    {"tolerance", 0, ARG_REAL, offsetof(optimize_options, tolerance), "T",
     "Largest difference, absolute or relative to the output's largest value, with which the result is written (default 1e-3; of a model that is quantized already 0.1; with a lower precision any).", 0, 1e30},
    {"tune", 0, ARG_TEXT, offsetof(optimize_options, tune), "off|quick|full",
     "Time the kernels that may run each layer and keep the fastest: each once (quick, default for .hone), or kinds of layers "
     "changed together too (full).", 0, 0},
    {"timing-cache", 0, ARG_TEXT, offsetof(optimize_options, cache), "FILE",
     "Times already taken, to be used and added to: tuning is quick then and comes out the same again.", 0, 0},
    {"no-packs", 0, ARG_CLEAR, offsetof(optimize_options, packs), "",
     "Leave out of an engine the weights as this machine's kernels want them: half the size, but they are packed at each start.", 0, 0},
    {"check-graph", 0, ARG_FLAG, offsetof(optimize_options, check_graph), "", "Check the graph's legality after every pass.", 0, 0},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0},
                                   {"What to do", level_option_rows, offsetof(optimize_options, level)},
                                   {"Precision", quant_option_rows, offsetof(optimize_options, quant)},
                                   {"Under the names of TF-TRT", trt_option_rows, offsetof(optimize_options, trt)},
                                   {"Accuracy", account_option_rows, offsetof(optimize_options, account)},
                                   {"Inputs to compare with", feed_option_rows, offsetof(optimize_options, feed)},
                                   {"Choosing within a TensorFlow model", choice_option_rows, offsetof(optimize_options, feed)},
                                   {"Images", image_option_rows, offsetof(optimize_options, image)},
                                   {"Running", session_option_rows, offsetof(optimize_options, session)},
                                   {"Common options", common_option_rows, offsetof(optimize_options, common)}, {0}};

const command command_optimize = {
    .name = "optimize", .summary = "make a model faster and write it", .usage = "MODEL -o OUT",
    .about = "Optimizes a model, compares its outputs before and after, and writes it. Nothing is written if the outputs differ "
             "by more than the tolerance.",
    .examples = "  hone optimize model.onnx -o fast.onnx\n  hone optimize model.h5 -o saved_model/\n  hone optimize model.onnx -o fast.hone -O3 --runs=10\n"
                "  hone optimize model.onnx -o fast.hone --threads=1 --tune=full --timing-cache=times.txt\n"
                "  hone optimize model.onnx -o out.onnx --passes=fold_constants,dead --print-after=all\n"
                "  hone optimize model.onnx -o int8.hone --precision=int8 --calibrate='photos/*.jpg' --calibration-cache=ranges.txt\n",
    .groups = groups, .min_args = 1, .max_args = 1, .options_size = sizeof(optimize_options), .defaults = &defaults,
    .common = offsetof(optimize_options, common), .run = run_optimize};
