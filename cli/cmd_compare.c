/* cmd_compare.c - hone compare: how far two models, or one before and after, are apart. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"

typedef struct compare_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session; /* reference: of the second side only */
  level_options level;
  bool optimize, layers;
  int64_t runs;
  double tolerance;
} compare_options;

typedef struct comparing {
  cli *c;
  const compare_options *o;
  hone_model *a, *b;
  char **layers; /* of each output, the layer it is from and its operator; NULL for outputs of the model itself */
  char **ops;
  uint32_t *match;
  difference *d;
  uint32_t n;
  uint32_t own; /* with layers, how many of the outputs are the model's */
  double tolerance;
} comparing;

static int open_models(comparing *q) {
  const compare_options *o = q->o;
  bool pair = q->c->n_args == 2;
  if (pair && o->optimize) return cli_usage("compare: --optimize takes one model, and compares it before and after");
  if (!pair && !o->optimize && !o->session.reference)
    return cli_usage("compare: with what? give a second model, --optimize or --reference");
  int code = model_open(q->c, q->c->args[0], &o->feed, &q->a);
  if (code) return code;
  if (pair) return model_open(q->c, q->c->args[1], &o->feed, &q->b);
  hone_status st = hone_model_clone(q->a, &q->b);
  if (st) return cli_fail_hone(q->c->cx, st);
  return o->optimize ? model_optimize(q->c, q->b, &o->level) : CLI_OK;
}

/* ------------------------------------------------------------------------------------------------ layers */

typedef struct tensor_name {
  char *tensor, *layer, *op;
} tensor_name;

/* All tensors that layers of a model produce, in order: their names, copied, as the model is then modified. */
static uint32_t list_tensors(hone_model *m, tensor_name **list) {
  uint32_t n = 0;
  hone_layer_info l;
  hone_tensor_info info;
  *list = NULL;
  for (uint32_t i = 0; i < hone_model_layer_count(m) && hone_model_layer_info(m, i, &l) == HONE_OK; i++)
    for (uint32_t k = 0; k < l.output_count && hone_model_layer_output(m, i, k, &info) == HONE_OK; k++) {
      if (!*info.name || !dtype_numeric(info.dtype)) continue;
      *list = cli_grow(*list, n + 1, sizeof **list);
      (*list)[n++] = (tensor_name){cli_copy(info.name), cli_copy(l.name), cli_copy(l.op)};
    }
  return n;
}

static void free_tensors(tensor_name *list, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    free(list[i].tensor);
    free(list[i].layer);
    free(list[i].op);
  }
  free(list);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const tensor_name *)a)->tensor, ((const tensor_name *)b)->tensor);
}

/* Makes the tensors that both models have into outputs of both. */
static int show_layers(comparing *q) {
  tensor_name *ours, *theirs;
  uint32_t n = list_tensors(q->a, &ours), m = list_tensors(q->b, &theirs);
  hone_status st = HONE_OK;
  q->own = hone_model_output_count(q->a);
  if (m) qsort(theirs, m, sizeof *theirs, by_name);
  for (uint32_t i = 0; !st && m && i < n; i++)
    if (bsearch(&ours[i], theirs, m, sizeof *theirs, by_name)) {
      st = hone_model_add_output(q->a, ours[i].tensor);
      if (!st) st = hone_model_add_output(q->b, ours[i].tensor);
    }
  uint32_t outputs = hone_model_output_count(q->a);
  q->layers = cli_alloc(outputs, sizeof *q->layers);
  q->ops = cli_alloc(outputs, sizeof *q->ops);
  if (n) qsort(ours, n, sizeof *ours, by_name);
  for (uint32_t i = 0; !st && n && i < outputs; i++) {
    hone_tensor_info info;
    hone_model_output_info(q->a, i, &info);
    char *name = cli_copy(info.name);
    tensor_name key = {.tensor = name}, *found = bsearch(&key, ours, n, sizeof *ours, by_name);
    q->layers[i] = cli_copy(found ? found->layer : "");
    q->ops[i] = cli_copy(found ? found->op : "");
    free(name);
  }
  free_tensors(ours, n);
  free_tensors(theirs, m);
  return st ? cli_fail_hone(q->c->cx, st) : CLI_OK;
}

/* ------------------------------------------------------------------------------------------------ running */

static int measure(comparing *q) {
  feed f = {0};
  hone_session *a = NULL, *b = NULL;
  uint32_t *map = NULL;
  session_options plain = q->o->session;
  if (q->o->session.reference) plain.reference = false;
  int code = feed_open(q->c, q->a, &q->o->feed, &q->o->image, &f);
  if (!code) code = feed_map(&f, q->b, &map);
  if (!code) code = session_open(q->c, q->a, &plain, &a);
  if (!code) code = session_open(q->c, q->b, &q->o->session, &b);
  if (!code) {
    q->n = hone_model_output_count(q->a);
    q->match = match_outputs(q->a, q->b);
    q->d = cli_alloc(q->n, sizeof *q->d);
    size_t rounds = q->o->runs == 1 ? feed_rounds(&f, 1) : (size_t)q->o->runs;
    code = compare_sessions(q->c, &f, map, a, b, q->match, q->n, rounds, q->d);
  }
  hone_session_destroy(&a);
  hone_session_destroy(&b);
  feed_close(&f);
  free(map);
  return code;
}

static bool good(const comparing *q, uint32_t i) {
  return q->match[i] != UINT32_MAX && difference_within(&q->d[i], q->tolerance);
}

/* The i-th output in the order of execution: those of the model itself come first in the list, but last in time. */
static uint32_t in_time(const comparing *q, uint32_t i) {
  uint32_t k = i + q->own;
  return k < q->n ? k : k - q->n;
}

static uint32_t first_bad(const comparing *q) {
  for (uint32_t i = 0; i < q->n; i++)
    if (!good(q, in_time(q, i))) return in_time(q, i);
  return UINT32_MAX;
}

static void print_table(const comparing *q) {
  table *t = table_make(q->layers ? "lllrrrrl" : "lrrrrl");
  static const char *const heads[] = {"LAYER", "OPERATOR", "TENSOR", "MAX ABS", "MAX REL", "MEAN ABS", "COSINE", ""};
  for (int i = q->layers ? 0 : 2; i < 8; i++) table_cell(t, "%s", heads[i]);
  for (uint32_t at = 0; at < q->n; at++) {
    uint32_t i = in_time(q, at);
    const difference *d = &q->d[i];
    hone_tensor_info info;
    hone_model_output_info(q->a, i, &info);
    if (q->layers) {
      table_cell(t, "%s", q->layers[i]);
      table_cell(t, "%s", q->ops[i]);
    }
    table_cell(t, "%s", info.name);
    if (q->match[i] == UINT32_MAX) {
      for (int k = 0; k < 4; k++) table_cell(t, "-");
      table_cell(t, "missing in the other model");
      continue;
    }
    table_cell(t, "%.3g", d->max_abs);
    table_cell(t, "%.3g", difference_relative(d));
    table_cell(t, "%.3g", difference_mean(d));
    table_cell(t, "%.9f", difference_cosine(d));
    table_cell(t, "%s", d->broken ? "NaN or infinity in one only" : good(q, i) ? "" : "beyond the tolerance");
  }
  table_print(t, 0);
  table_free(t);
}

static int print_json(const comparing *q, uint32_t bad) {
  json_t *a = json_array();
  hone_tensor_info info;
  for (uint32_t at = 0; at < q->n; at++) {
    uint32_t i = in_time(q, at);
    hone_model_output_info(q->a, i, &info);
    json_t *row = json_pack("{s:o, s:b, s:o}", "name", json_text(info.name), "within_tolerance", good(q, i), "difference",
                            q->match[i] == UINT32_MAX ? json_null() : json_difference(&q->d[i]));
    if (q->layers) {
      json_object_set_new(row, "layer", json_text(q->layers[i]));
      json_object_set_new(row, "op", json_text(q->ops[i]));
    }
    json_array_append_new(a, row);
  }
  json_t *first = json_null();
  if (bad != UINT32_MAX) {
    hone_model_output_info(q->a, bad, &info);
    first = json_text(info.name);
  }
  return json_print(json_pack("{s:o, s:o, s:b, s:o, s:o}", "tolerance", json_number(q->tolerance), "outputs", a,
                              "within_tolerance", bad == UINT32_MAX, "first_beyond", first, "runs", json_count((uint64_t)q->o->runs)));
}

static int report(const comparing *q) {
  uint32_t bad = first_bad(q);
  if (q->o->common.json)
    print_json(q, bad);
  else
    print_table(q);
  if (bad == UINT32_MAX) {
    if (!q->o->common.json) printf("within the tolerance %g\n", q->tolerance);
    return CLI_OK;
  }
  hone_tensor_info info;
  hone_model_output_info(q->a, bad, &info);
  if (q->match[bad] == UINT32_MAX) return cli_fail("output '%s' is missing in the other model", info.name);
  if (q->layers && *q->layers[bad])
    return cli_fail("the first layer beyond the tolerance %g is '%s' (%s): its result '%s' differs by %g", q->tolerance, q->layers[bad], q->ops[bad],
                    info.name, q->d[bad].max_abs);
  return cli_fail("'%s' differs by %g, more than the tolerance %g", info.name, q->d[bad].max_abs, q->tolerance);
}

static int run_compare(cli *c) {
  comparing q = {.c = c, .o = c->options};
  int code = open_models(&q);
  q.tolerance = q.o->tolerance >= 0 ? q.o->tolerance : !code && (model_has_steps(q.a) || model_has_steps(q.b)) ? 0.1 : 1e-4;
  if (!code && q.o->layers) code = show_layers(&q);
  if (!code) code = measure(&q);
  if (!code) code = report(&q);
  for (uint32_t i = 0; q.layers && i < hone_model_output_count(q.a); i++) {
    free(q.layers[i]);
    free(q.ops[i]);
  }
  free(q.layers);
  free(q.ops);
  free(q.match);
  free(q.d);
  hone_model_destroy(&q.a);
  hone_model_destroy(&q.b);
  return code;
}

static const compare_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT,
                                         .level = LEVEL_OPTIONS_DEFAULT, .runs = 1, .tolerance = -1};
static const arg_option rows[] = {
    {"optimize", 0, ARG_FLAG, offsetof(compare_options, optimize), "", "Compare the model with itself optimized.", 0, 0},
    {"layers", 0, ARG_FLAG, offsetof(compare_options, layers), "", "Compare every tensor that both have by name, and find the first that differs.", 0, 0},
    {"runs", 'n', ARG_INT, offsetof(compare_options, runs), "N", "How many random inputs to compare with (default 1).", 1, 1000000},
    {"tolerance", 0, ARG_REAL, offsetof(compare_options, tolerance), "T",
     "Largest difference that is well, absolute or relative to the output's largest value (default 1e-4; 0.1 where one of them is quantized).", 0, 1e30},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0}, {"What --optimize does", level_option_rows, offsetof(compare_options, level)},
                                   {"Inputs", feed_option_rows, offsetof(compare_options, feed)},
                                   {"Choosing within a TensorFlow model", choice_option_rows, offsetof(compare_options, feed)},
                                   {"Images", image_option_rows, offsetof(compare_options, image)},
                                   {"Running (--reference: the second side only)", session_option_rows, offsetof(compare_options, session)},
                                   {"Common options", common_option_rows, offsetof(compare_options, common)}, {0}};

const command command_compare = {
    .name = "compare", .summary = "how far the outputs of two models are apart", .usage = "MODEL [OTHER]",
    .about = "Runs two models on the same inputs and compares their outputs; or one model before and after optimization, or with "
             "fast and with reference kernels. Exit status 1 if an output differs by more than the tolerance.",
    .examples = "  hone compare model.onnx fast.hone --runs=10\n  hone compare model.onnx --optimize -O3 --layers\n"
                "  hone compare model.onnx --reference --input=photo.jpg\n",
    .groups = groups, .min_args = 1, .max_args = 2, .options_size = sizeof(compare_options), .defaults = &defaults,
    .common = offsetof(compare_options, common), .run = run_compare};
