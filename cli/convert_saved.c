#include "convert_saved.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

typedef struct converted { /* a segment */
  hone_segment_info info;
  hone_model_stats before, after;
  bool compared;
  difference apart; /* the largest of its outputs */
} converted;

typedef struct left_group { /* nodes left for one reason */
  char *op, *why, *first;
  uint32_t n;
} left_group;

typedef struct report {
  converted *segments;
  uint32_t n;
  left_group *left;
  size_t n_left;
  uint32_t left_nodes;
  double seconds;
} report;

/* ---- one segment */

static bool open_shapes(const hone_model *m) {
  hone_tensor_info info;
  for (uint32_t i = 0; i < hone_model_input_count(m) && hone_model_input_info(m, i, &info) == HONE_OK; i++) {
    if (info.rank < 0) return true;
    for (int32_t k = 1; k < info.rank; k++)
      if (info.dims[k] < 0) return true;
  }
  return false;
}

static int compare_segment(cli *c, const conversion_options *o, const hone_model *before, const hone_model *after, uint32_t number, converted *r) {
  feed_options random = FEED_OPTIONS_DEFAULT;
  hone_session *a = NULL, *b = NULL;
  feed f = {0};
  uint32_t *map = NULL, *match = match_outputs(before, after), n = hone_model_output_count(before);
  difference *apart = cli_alloc(n + 1, sizeof *apart);
  double tolerance = o->tolerance > 0 ? o->tolerance : 1e-3;
  random.seed = o->feed->seed;
  random.batch = o->feed->batch;
  int code = feed_open(c, before, &random, o->image, &f);
  if (!code) code = feed_map(&f, after, &map);
  if (!code) code = session_open(c, before, o->session, &a);
  if (!code) code = session_open(c, after, o->session, &b);
  if (!code) code = compare_sessions(c, &f, map, a, b, match, n, (size_t)o->runs, apart);
  for (uint32_t i = 0; i < n && !code; i++) {
    if (match[i] == UINT32_MAX || !difference_within(&apart[i], tolerance))
      code = cli_fail("%s: not written: an output of segment %u changed by %g, more than the tolerance %g", o->output, number, apart[i].max_abs, tolerance);
    if (apart[i].max_abs >= r->apart.max_abs) r->apart = apart[i];
  }
  r->compared = !code;
  hone_session_destroy(&a);
  hone_session_destroy(&b);
  feed_close(&f);
  free(match);
  free(map);
  free(apart);
  return code;
}

static int convert_segment(cli *c, const conversion_options *o, hone_model *m, uint32_t number, converted *r) {
  hone_optimize_options oo;
  hone_model *before = NULL;
  hone_optimize_options_init(&oo);
  oo.level = (int32_t)o->level->level;
  oo.passes = o->level->passes;
  oo.verify = o->check_graph;
  hone_model_get_stats(m, &r->before);
  hone_status st = hone_model_clone(m, &before);
  if (!st) st = hone_model_optimize(m, &oo);
  if (!st) st = hone_model_get_stats(m, &r->after);
  int code = st ? cli_fail_hone(c->cx, st) : CLI_OK;
  if (!code && o->verify && !open_shapes(before)) code = compare_segment(c, o, before, m, number, r);
  hone_model_destroy(&before);
  return code;
}

static void group_left(const hone_conversion *k, report *r) {
  hone_left_node row;
  for (uint32_t i = 0; hone_conversion_left_at(k, i, &row); i++) {
    size_t g = 0;
    while (g < r->n_left && (strcmp(r->left[g].op, row.op) != 0 || strcmp(r->left[g].why, row.why) != 0)) g++;
    if (g == r->n_left) {
      r->left = cli_grow(r->left, ++r->n_left, sizeof *r->left);
      r->left[g] = (left_group){cli_copy(row.op), cli_copy(row.why), cli_copy(row.name), 0};
    }
    r->left[g].n++;
    r->left_nodes++;
  }
}

/* ---- what became of it */

static void print_text(const conversion_options *o, const report *r) {
  table *t = table_make("llrrrrrr");
  static const char *const heads[] = {"SEGMENT", "TAG SET", "NODES", "LAYERS", "AFTER", "PARAMETERS", "AFTER", "DIFFERENCE"};
  for (int i = 0; i < 8; i++) table_cell(t, "%s", heads[i]);
  uint32_t taken = 0;
  for (uint32_t i = 0; i < r->n; i++) {
    const converted *s = &r->segments[i];
    taken += s->info.nodes;
    table_cell(t, "%u", i + 1);
    table_cell(t, "%s", s->info.tag_set);
    table_cell(t, "%u", s->info.nodes);
    table_cell(t, "%s", human_count(s->before.layers).s);
    table_cell(t, "%s", human_count(s->after.layers).s);
    table_cell(t, "%s", human_count(s->before.parameters).s);
    table_cell(t, "%s", human_count(s->after.parameters).s);
    if (s->compared) table_cell(t, "%.3g", s->apart.max_abs);
    else table_cell(t, "not compared");
  }
  table_print(t, 0);
  table_free(t);
  printf("\n%u nodes of TensorFlow's were taken, in %u segment%s; %u stay%s\n", taken, r->n, r->n == 1 ? "" : "s", r->left_nodes, r->n_left ? ":" : "");
  t = table_make("lrll");
  for (size_t i = 0; i < r->n_left; i++) {
    table_cell(t, "%s", r->left[i].op);
    table_cell(t, "%u", r->left[i].n);
    table_cell(t, "first '%s'", r->left[i].first);
    table_cell(t, "%s", r->left[i].why);
  }
  table_print(t, 2);
  table_free(t);
  printf("\noptimized in %.2f s\nwritten: %s, with all signatures\n", r->seconds, o->output);
}

static int print_json(const conversion_options *o, const report *r) {
  json_t *taken = json_array(), *left = json_array();
  for (uint32_t i = 0; i < r->n; i++) {
    const converted *s = &r->segments[i];
    json_array_append_new(taken, json_pack("{s:o, s:i, s:o, s:o, s:o}", "tag_set", json_text(s->info.tag_set), "nodes", (int)s->info.nodes, "before",
                                              json_stats(&s->before), "after", json_stats(&s->after), "difference",
                                              s->compared ? json_difference(&s->apart) : json_null()));
  }
  for (size_t i = 0; i < r->n_left; i++)
    json_array_append_new(left, json_pack("{s:o, s:i, s:o, s:o}", "op", json_text(r->left[i].op), "nodes", (int)r->left[i].n, "first", json_text(r->left[i].first),
                                          "why", json_text(r->left[i].why)));
  return json_print(json_pack("{s:o, s:o, s:o, s:o}", "output", json_text(o->output), "segments", taken, "left", left, "seconds", json_number(r->seconds)));
}

int convert_saved_model(cli *c, const conversion_options *o, bool *done) {
  hone_conversion_options co;
  hone_conversion *k = NULL;
  report r = {0};
  hone_conversion_options_init(&co);
  co.tag_set = o->feed->choice.tag_set;
  if (o->trt->segment > 0) co.minimum_segment_size = o->trt->segment > INT32_MAX ? INT32_MAX : (int32_t)o->trt->segment;
  hone_status st = hone_conversion_open(c->cx, o->path, &co, &k);
  if (st) return cli_fail_hone(c->cx, st);
  *done = !hone_conversion_is_plain(k);
  int code = CLI_OK;
  if (*done && o->alone)
    code = cli_usage("%s: the SavedModel has several signatures, or nodes that stay TensorFlow's, and %s is for one model; choose a signature with --signature-def", o->path, o->alone);
  double start = cli_seconds();
  r.n = hone_conversion_segment_count(k);
  r.segments = cli_alloc(r.n + 1, sizeof *r.segments);
  for (uint32_t i = 0; i < r.n && *done && !code; i++) {
    hone_model *m = hone_conversion_segment(k, i, &r.segments[i].info);
    code = convert_segment(c, o, m, i + 1, &r.segments[i]);
  }
  r.seconds = cli_seconds() - start;
  if (*done && !code && (st = hone_conversion_save(k, o->output))) code = cli_fail_hone(c->cx, st);
  if (*done && !code) {
    group_left(k, &r);
    if (o->json) code = print_json(o, &r);
    else print_text(o, &r);
  }
  for (size_t i = 0; i < r.n_left; i++) free(r.left[i].op), free(r.left[i].why), free(r.left[i].first);
  free(r.left);
  free(r.segments);
  hone_conversion_destroy(&k);
  return code;
}
