/* cmd_show.c - hone show: what a model is. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "show_catalog.h"
#include "json.h"

typedef struct show_options {
  common_options common;
  feed_options feed; /* only its shapes */
  bool all, layers, graph, check;
} show_options;

typedef struct op_count {
  char *op;
  uint64_t n;
} op_count;
typedef struct op_counts {
  op_count *p;
  size_t n;
} op_counts;

static int most_first(const void *a, const void *b) {
  const op_count *x = a, *y = b;
  return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->op, y->op);
}

static op_counts count_operators(hone_model *m) {
  op_counts c = {0};
  hone_layer_info l;
  for (uint32_t i = 0; i < hone_model_layer_count(m) && hone_model_layer_info(m, i, &l) == HONE_OK; i++) {
    size_t k = 0;
    while (k < c.n && strcmp(c.p[k].op, l.op) != 0) k++;
    if (k == c.n) {
      c.p = cli_grow(c.p, ++c.n, sizeof *c.p);
      c.p[k] = (op_count){cli_copy(l.op), 0};
    }
    c.p[k].n++;
  }
  if (c.n) qsort(c.p, c.n, sizeof *c.p, most_first);
  return c;
}

static void free_counts(op_counts *c) {
  for (size_t i = 0; i < c->n; i++) free(c->p[i].op);
  free(c->p);
}

typedef hone_status (*info_fn)(const hone_model *, uint32_t, hone_tensor_info *);

typedef struct layer_speed {
  uint32_t layers; /* that it stands for */
  bool inside;     /* counted with an earlier one */
  double gflops, of_peak, gbytes; /* 0: not known */
} layer_speed;

/* The peak of an arithmetic that tuning has left: operations a second and by which instructions, as text; NULL: none. */
static const char *peak_of(const hone_model *m, hone_arithmetic a) {
  static const char *const keys[HONE_ARITHMETICS] = {"peak_flops", "peak_bf16", "peak_int8"};
  return hone_model_metadata(m, keys[a]);
}

/* How fast a layer, or the layers that run strip by strip with it, ran when tuned. */
static layer_speed speed_of(hone_model *m, uint32_t i, const hone_layer_info *l) {
  layer_speed s = {.layers = 1, .inside = l->chain >= 0 && (uint32_t)l->chain != i};
  const char *peak = peak_of(m, l->arithmetic);
  uint64_t macs = l->macs;
  hone_layer_info other;
  for (uint32_t k = i + 1; l->chain == (int32_t)i && k < hone_model_layer_count(m) && hone_model_layer_info(m, k, &other) == HONE_OK; k++)
    if (other.chain == l->chain) {
      s.layers++;
      macs += other.macs;
    }
  if (s.inside || l->tactic_ms <= 0) return s;
  s.gflops = 2e-6 * (double)macs / l->tactic_ms;
  if (s.layers == 1) s.gbytes = 1e-6 * (double)l->bytes / l->tactic_ms; /* what lies between others stays in the cache */
  if (peak && atof(peak) > 0) s.of_peak = s.gflops * 1e9 / atof(peak);
  return s;
}

/* ---------------------------------------------------------------------------------------------------- JSON */

static json_t *tensors_json(const hone_model *m, uint32_t n, info_fn get) {
  json_t *a = json_array();
  hone_tensor_info info;
  for (uint32_t i = 0; i < n && get(m, i, &info) == HONE_OK; i++) json_array_append_new(a, json_tensor(&info));
  return a;
}

static json_t *layer_json(hone_model *m, uint32_t i, const hone_layer_info *l) {
  layer_speed s = speed_of(m, i, l);
  json_t *in = json_array(), *out = json_array();
  hone_tensor_info info;
  for (uint32_t k = 0; k < l->input_count && hone_model_layer_input(m, i, k, &info) == HONE_OK; k++)
    json_array_append_new(in, json_tensor(&info));
  for (uint32_t k = 0; k < l->output_count && hone_model_layer_output(m, i, k, &info) == HONE_OK; k++)
    json_array_append_new(out, json_tensor(&info));
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "chain",
                   l->chain < 0 ? json_null() : json_integer(l->chain), "gflops", json_number(s.gflops), "of_peak", json_number(s.of_peak),
                   "gbytes_per_second", json_number(s.gbytes), "layout", json_text(l->layout), "tactic", json_text(l->tactic), "tactic_ms",
                   json_number(l->tactic_ms), "name", json_text(l->name), "op", json_text(l->op), "detail",
                   json_text(l->detail), "inputs", in, "outputs", out, "parameters", json_count(l->parameters),
                   "weight_bytes", json_count(l->weight_bytes), "macs", json_count(l->macs), "arithmetic",
                   hone_arithmetic_name(l->arithmetic), "fork", l->fork ? json_integer(l->fork) : json_null(), "branch",
                   l->fork ? json_integer(l->branch) : json_null());
}

static json_t *model_json(cli *c, hone_model *m, const hone_model_stats *stats, bool layers) {
  const char *key, *value;
  json_t *meta = json_object(), *ops = json_object();
  for (uint32_t i = 0; hone_model_metadata_at(m, i, &key, &value); i++) json_object_set_new(meta, key, json_text(value));
  op_counts counts = count_operators(m);
  for (size_t i = 0; i < counts.n; i++) json_object_set_new(ops, counts.p[i].op, json_count(counts.p[i].n));
  free_counts(&counts);
  json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model", json_text(c->args[0]), "format",
                        json_text(hone_model_metadata(m, "format")), "producer", json_text(hone_model_metadata(m, "producer")),
                        "opset", json_text(hone_model_metadata(m, "opset")), "metadata", meta, "inputs",
                        tensors_json(m, hone_model_input_count(m), hone_model_input_info), "outputs",
                        tensors_json(m, hone_model_output_count(m), hone_model_output_info), "operators", ops, "stats",
                        json_stats(stats));
  if (layers) {
    json_t *a = json_array();
    hone_layer_info l;
    for (uint32_t i = 0; i < hone_model_layer_count(m) && hone_model_layer_info(m, i, &l) == HONE_OK; i++)
      json_array_append_new(a, layer_json(m, i, &l));
    json_object_set_new(j, "layer_list", a);
  }
  return j;
}

/* ---------------------------------------------------------------------------------------------------- text */

static void print_metadata(const hone_model *m, bool all) {
  static const char *const brief[] = {"format", "producer", "producer_version", "ir_version", "opset", "graph",
                                      "container", "packed_for", "packed_weights"};
  const char *key, *value;
  table *t = table_make("ll");
  for (size_t i = 0; !all && i < sizeof brief / sizeof *brief; i++)
    if ((value = hone_model_metadata(m, brief[i])) && *value) {
      table_cell(t, "%s", brief[i]);
      table_cell(t, "%s", value);
    }
  for (uint32_t i = 0; all && hone_model_metadata_at(m, i, &key, &value); i++) {
    table_cell(t, "%s", key);
    table_cell(t, "%s", value);
  }
  table_print(t, 0);
  table_free(t);
}

static void print_tensors(const char *title, const hone_model *m, uint32_t n, info_fn get) {
  table *t = table_make("lll");
  hone_tensor_info info;
  for (uint32_t i = 0; i < n && get(m, i, &info) == HONE_OK; i++) {
    table_cell(t, "%s", info.name);
    table_cell(t, "%s", hone_dtype_name(info.dtype));
    table_cell(t, "%s", info_shape_text(&info).s);
  }
  printf("\n%s:\n", title);
  table_print(t, 2);
  table_free(t);
}

static void print_figures(const hone_model_stats *s) {
  printf("\n");
  table *t = table_make("lr");
  table_cell(t, "layers");
  table_cell(t, "%llu", (unsigned long long)s->layers);
  table_cell(t, "parameters");
  table_cell(t, "%s", human_count(s->parameters).s);
  table_cell(t, "multiply-accumulates");
  table_cell(t, "%s", human_count(s->macs).s);
  table_cell(t, "weights");
  table_cell(t, "%s", human_bytes(s->weight_bytes).s);
  table_cell(t, "activations (sum)");
  table_cell(t, "%s", human_bytes(s->activation_bytes).s);
  table_print(t, 0);
  table_free(t);
  if (s->symbolic) printf("(dynamic dimensions counted as 1; --shape fixes them)\n");
}

static void print_operators(hone_model *m) {
  op_counts c = count_operators(m);
  table *t = table_make("rl");
  for (size_t i = 0; i < c.n; i++) {
    table_cell(t, "%llu", (unsigned long long)c.p[i].n);
    table_cell(t, "%s", c.p[i].op);
  }
  printf("\noperators:\n");
  table_print(t, 2);
  table_free(t);
  free_counts(&c);
}

static void cell_figure(table *t, const char *format, double v) {
  if (v > 0) table_cell(t, format, v);
  else table_cell(t, "%s", "");
}

/* The kernel, its time and its speed, where tuning has left them. */
static void print_tactic(table *t, hone_model *m, uint32_t i, const hone_layer_info *l) {
  layer_speed s = speed_of(m, i, l);
  if (s.inside) table_cell(t, "with %d", (int)l->chain);
  else if (s.layers > 1) table_cell(t, "%s of %u", l->tactic, s.layers);
  else table_cell(t, "%s", l->tactic);
  table_cell(t, "%s", l->layout);
  cell_figure(t, "%.4f", s.inside ? 0 : l->tactic_ms);
  cell_figure(t, "%.1f", s.gflops);
  if (s.of_peak > 0) table_cell(t, "%.0f %s", 100 * s.of_peak, hone_arithmetic_name(l->arithmetic));
  else table_cell(t, "%s", "");
  cell_figure(t, "%.1f", s.gbytes);
  if (l->fork) table_cell(t, "%u.%u", l->fork, l->branch);
  else table_cell(t, "%s", "");
}

static void print_layers(hone_model *m, bool detail) {
  static const char *const heads[] = {"#", "LAYER", "OPERATOR", "INPUT", "OUTPUT", "PARAMETERS", "MACS"};
  static const char *const speed[] = {"TACTIC", "LAYOUT", "MS", "GFLOP/S", "% OF PEAK", "GB/S", "BRANCH"};
  bool tuned = hone_model_metadata(m, "tuned") != NULL;
  char columns[16] = "rlllrrr";
  hone_layer_info l;
  if (tuned) strcat(columns, "llrrrrl");
  if (detail) strcat(columns, "l");
  table *t = table_make(columns);
  for (int i = 0; i < 7; i++) table_cell(t, "%s", heads[i]);
  for (int i = 0; i < 7 && tuned; i++) table_cell(t, "%s", speed[i]);
  if (detail) table_cell(t, "DETAIL");
  for (uint32_t i = 0; i < hone_model_layer_count(m) && hone_model_layer_info(m, i, &l) == HONE_OK; i++) {
    hone_tensor_info in = {0}, out = {0};
    bool has_in = l.input_count && hone_model_layer_input(m, i, 0, &in) == HONE_OK;
    bool has_out = l.output_count && hone_model_layer_output(m, i, 0, &out) == HONE_OK;
    table_cell(t, "%u", i);
    table_cell(t, "%s", l.name);
    table_cell(t, "%s", l.op);
    table_cell(t, "%s", has_in ? info_shape_text(&in).s : "");
    table_cell(t, "%s", has_out ? info_shape_text(&out).s : "");
    table_cell(t, "%s", human_count(l.parameters).s);
    table_cell(t, "%s", human_count(l.macs).s);
    if (tuned) print_tactic(t, m, i, &l);
    if (detail) table_cell(t, "%s", l.detail);
  }
  printf("\nlayers:\n");
  table_print(t, 2);
  table_free(t);
  const char *bandwidth = hone_model_metadata(m, "peak_bandwidth");
  if (!tuned || !bandwidth || !peak_of(m, HONE_ARITHMETIC_F32)) return;
  printf("tuned on %s: %.0f GFLOP/s at most", hone_model_metadata(m, "tuned"), atof(peak_of(m, HONE_ARITHMETIC_F32)) * 1e-9);
  for (int a = HONE_ARITHMETIC_F32 + 1; a < HONE_ARITHMETICS; a++) {
    const char *peak = peak_of(m, (hone_arithmetic)a), *by = peak ? strchr(peak, ' ') : NULL;
    if (peak) printf(", %.0f in %s%s%s", atof(peak) * 1e-9, hone_arithmetic_name((hone_arithmetic)a), by ? " by" : "", by ? by : "");
  }
  printf(", %.1f GB/s from memory; Winograd's kernels do with fewer operations than are counted\n", atof(bandwidth) * 1e-9);
}

/* Times are of the shapes that were tuned: where the model leaves them open, the figures beside the times are for those. */
static int as_tuned(cli *c, hone_model *m, const show_options *o) {
  const char *shapes = hone_model_metadata(m, "tuned_shapes");
  char *copy = shapes && !o->feed.shapes.n ? cli_copy(shapes) : NULL, *rest = NULL;
  hone_status st = HONE_OK;
  uint32_t i = 0;
  for (char *text = copy ? strtok_r(copy, " ", &rest) : NULL; text && !st; text = strtok_r(NULL, " ", &rest)) {
    hone_tensor_info info;
    int32_t rank;
    int64_t dims[HONE_MAX_RANK];
    if (i == hone_model_input_count(m) || hone_model_input_info(m, i++, &info) || !shape_parse(text, &rank, dims)) break;
    st = hone_model_set_input_shape(m, info.name, (uint32_t)rank, dims);
  }
  free(copy);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

static int show(cli *c, hone_model *m, json_t *choices) {
  const show_options *o = c->options;
  hone_model_stats stats;
  char *text = NULL;
  hone_layer_info first;
  int code;
  bool layers = o->layers || o->all;
  hone_status st = hone_model_get_stats(m, &stats);
  if (!st && hone_model_layer_count(m)) st = hone_model_layer_info(m, 0, &first); /* the order can be found */
  if (!st && (o->graph || o->all)) st = hone_model_print(m, &text);
  if (st) return cli_fail_hone(c->cx, st);
  if (o->common.json) {
    if (layers && (code = as_tuned(c, m, o))) {
      json_decref(choices);
      return code;
    }
    json_t *j = model_json(c, m, &stats, layers);
    if (text) json_object_set_new(j, "graph", json_text(text));
    if (choices) json_object_set_new(j, "catalog", choices);
    hone_text_free(&text);
    return json_print(j);
  }
  if (!o->graph || o->all) {
    printf("%s\n", c->args[0]);
    print_metadata(m, o->all);
    print_tensors("inputs", m, hone_model_input_count(m), hone_model_input_info);
    print_tensors("outputs", m, hone_model_output_count(m), hone_model_output_info);
    print_figures(&stats);
    print_operators(m);
    if (layers && (code = as_tuned(c, m, o))) return code;
    if (layers) print_layers(m, o->all);
    if (text) printf("\ngraph:\n");
  }
  if (text) fputs(text, stdout);
  hone_text_free(&text);
  return CLI_OK;
}

static int show_model(cli *c, json_t *choices) {
  const show_options *o = c->options;
  hone_model *m;
  int code = model_open(c, c->args[0], &o->feed, &m);
  if (code) {
    json_decref(choices);
    return code;
  }
  uint64_t weights, packs;
  hone_status st = o->check ? hone_model_check(m, &weights, &packs) : HONE_OK;
  code = st ? cli_fail_hone(c->cx, st) : show(c, m, choices);
  if (!code && o->check && !o->common.json)
    printf("\nchecksums match: %s of weights, %s of packed weights\n", human_bytes(weights).s, human_bytes(packs).s);
  hone_model_destroy(&m);
  return code;
}

static int run_show(cli *c) {
  const show_options *o = c->options;
  hone_catalog *k;
  hone_status st = hone_catalog_open(c->cx, c->args[0], &k);
  if (st) return cli_fail_hone(c->cx, st);
  int code = CLI_OK;
  json_t *choices = o->common.json ? catalog_json(k) : NULL;
  if (!o->common.json && !o->graph) catalog_print(k, o->all, &o->feed.choice);
  if (!catalog_must_choose(k, &o->feed.choice)) code = show_model(c, choices);
  else if (o->common.json) code = json_print(json_pack("{s:o, s:o}", "model", json_text(c->args[0]), "catalog", choices));
  else printf("Several signatures and none is serving_default: --signature-def chooses the one whose layers are shown.\n");
  hone_catalog_destroy(&k);
  return code;
}

static const arg_option rows[] = {
    {"layers", 0, ARG_FLAG, offsetof(show_options, layers), "", "A row for each layer.", 0, 0},
    {"graph", 0, ARG_FLAG, offsetof(show_options, graph), "", "The whole graph as text, and nothing else.", 0, 0},
    {"all", 'a', ARG_FLAG, offsetof(show_options, all), "", "Everything: all metadata, layers with attributes, the graph.", 0, 0},
    {"check", 0, ARG_FLAG, offsetof(show_options, check), "", "Compare all weights with their checksums, which loading leaves out.", 0, 0},
    {"shape", 0, ARG_LIST, offsetof(show_options, feed.shapes), "[NAME=]DIMS",
     "Fixes the shape of an input first, as in image=1x3x224x224.", 0, 0},
    {"fix", 0, ARG_LIST, offsetof(show_options, feed.fixed), "[NAME=]VALUE", "Makes an input a constant first, as in sr=16000.", 0, 0},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0}, {"Choosing within a TensorFlow model", choice_option_rows, offsetof(show_options, feed)},
                                   {"Common options", common_option_rows, offsetof(show_options, common)}, {0}};

const command command_show = {
    .name = "show", .summary = "what a model is: inputs, outputs, layers, figures", .usage = "MODEL",
    .about = "Prints what a model file holds: format, inputs and outputs, operators, parameters, multiply-accumulates and memory.",
    .examples = "  hone show model.onnx\n  hone show saved_model_dir --all\n  hone show saved_model_dir --tag-set serve --signature-def serving_default\n  hone show model.onnx --layers --shape=image=1x3x224x224\n  hone show model.hone --json\n",
    .groups = groups, .min_args = 1, .max_args = 1, .options_size = sizeof(show_options),
    .common = offsetof(show_options, common), .run = run_show};
