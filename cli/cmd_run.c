/* cmd_run.c - hone run: outputs for given inputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "labels.h"
#include "npy.h"
#include "progress.h"

typedef struct run_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session;
  const char *output_dir, *labels;
  int64_t top;
} run_options;

/* One output, gathered over rounds. */
typedef struct gathered {
  char *name;
  tensor t;
} gathered;

typedef struct running {
  cli *c;
  const run_options *o;
  feed f;
  hone_session *s;
  lines labels;
  gathered *out;
  uint32_t n;
  json_t *items; /* of --json with --top */
} running;

/* Appends the items of a round to what was gathered. */
static int gather(running *r, uint32_t i, size_t round) {
  hone_tensor_info info;
  const void *data;
  size_t bytes;
  hone_status st = hone_session_output(r->s, i, &info, &data, &bytes);
  if (st) return cli_fail_hone(r->c->cx, st);
  gathered *g = &r->out[i];
  size_t items = feed_items(&r->f, round);
  bool partial = r->f.pictures && (r->f.rounds > 1 || items < r->f.batch);
  if (!g->name) g->name = cli_copy(info.name);
  if (!dtype_numeric(info.dtype) && !npy_has(info.dtype))
    return cli_fail("output '%s' has elements of type %s, which cannot be shown", info.name, hone_dtype_name(info.dtype));
  if (partial && (info.rank < 1 || info.dims[0] < (int64_t)items || !info.dims[0]))
    return cli_fail("output '%s' is %s: its first dimension does not count images; run them one by one", info.name,
                    info_shape_text(&info).s);
  if (partial) {
    bytes = bytes / (size_t)info.dims[0] * items;
    info.dims[0] = (int64_t)items;
  }
  if (!g->t.data) {
    if (!tensor_make(&g->t, info.dtype, info.rank, info.dims)) return cli_fail("output '%s' is too large", info.name);
    memcpy(g->t.data, data, bytes);
    return CLI_OK;
  }
  if (info.rank != g->t.rank || memcmp(info.dims + 1, g->t.dims + 1, sizeof *info.dims * (size_t)(info.rank - 1)) != 0)
    return cli_fail("output '%s' is %s for one image and %s for another; run them one by one", info.name,
                    info_shape_text(&info).s, shape_text(g->t.rank, g->t.dims).s);
  g->t.data = cli_grow(g->t.data, g->t.bytes + bytes, 1);
  memcpy((char *)g->t.data + g->t.bytes, data, bytes);
  g->t.bytes += bytes;
  g->t.count = g->t.bytes / hone_dtype_size(g->t.dtype);
  g->t.dims[0] += info.dims[0];
  return CLI_OK;
}

/* ----------------------------------------------------------------------------------------------- top k */

static int print_top(running *r, size_t round) {
  hone_tensor_info info;
  const void *data;
  hone_status st = hone_session_output(r->s, 0, &info, &data, NULL);
  if (st) return cli_fail_hone(r->c->cx, st);
  size_t items = feed_items(&r->f, round), first, n, k;
  for (size_t item = 0; item < items; item++) {
    if (!item_scores(&info, item, items, &first, &n))
      return cli_fail("output '%s' (%s) has no scores for --top", info.name, info_shape_text(&info).s);
    k = (size_t)r->o->top < n ? (size_t)r->o->top : n;
    size_t *best = cli_alloc(k, sizeof *best);
    const char *scores = (const char *)data + first * hone_dtype_size(info.dtype);
    top_k(scores, info.dtype, n, k, best);
    const char *path = feed_item_path(&r->f, round, item);
    json_t *top = json_array();
    table *t = table_make("rrl");
    for (size_t i = 0; i < k; i++) {
      const char *label = best[i] < r->labels.n ? r->labels.p[best[i]] : NULL;
      double score = tensor_get(info.dtype, scores, best[i]);
      table_cell(t, "%.6g", score);
      table_cell(t, "%zu", best[i]);
      table_cell(t, "%s", label ? label : "");
      json_array_append_new(top, json_pack("{s:o, s:o, s:o}", "class", json_count(best[i]), "score", json_number(score),
                                           "label", json_text(label)));
    }
    if (r->o->common.json) {
      json_array_append_new(r->items, json_pack("{s:o, s:o}", "item", json_text(path), "top", top));
    } else {
      char name[96];
      snprintf(name, sizeof name, "item %zu", round * r->f.batch + item);
      char *title = cli_copy(path ? path : name);
      cli_printable(title);
      printf("%s\n", title);
      free(title);
      table_print(t, 2);
      json_decref(top);
    }
    table_free(t);
    free(best);
  }
  return CLI_OK;
}

/* --------------------------------------------------------------------------------------------- summaries */

typedef struct range {
  double min, max, mean;
  size_t odd; /* NaN and infinite elements */
} range;

static range range_of(const tensor *t) {
  range r = {.min = INFINITY, .max = -INFINITY};
  for (size_t i = 0; i < t->count; i++) {
    double v = tensor_get(t->dtype, t->data, i);
    if (!isfinite(v)) {
      r.odd++;
      continue;
    }
    r.min = fmin(r.min, v);
    r.max = fmax(r.max, v);
    r.mean += v;
  }
  if (t->count > r.odd) r.mean /= (double)(t->count - r.odd);
  return r;
}

static void print_summary(const gathered *g) {
  char *name = cli_copy(g->name);
  cli_printable(name);
  printf("%s: %s %s", name, hone_dtype_name(g->t.dtype), shape_text(g->t.rank, g->t.dims).s);
  free(name);
  if (dtype_numeric(g->t.dtype) && g->t.count) {
    range r = range_of(&g->t);
    printf("  min %.6g  max %.6g  mean %.6g", r.min, r.max, r.mean);
    if (r.odd) printf("  NaN or infinite %zu", r.odd);
    printf("\n  ");
    for (size_t i = 0; i < g->t.count && i < 8; i++) printf("%s%.6g", i ? ", " : "", tensor_get(g->t.dtype, g->t.data, i));
    printf("%s", g->t.count > 8 ? ", ..." : "");
  }
  printf("\n");
}

static json_t *summary_json(const gathered *g) {
  json_t *dims = json_array(), *first = json_array();
  range r = dtype_numeric(g->t.dtype) ? range_of(&g->t) : (range){NAN, NAN, NAN, 0};
  for (int32_t i = 0; i < g->t.rank; i++) json_array_append_new(dims, json_integer(g->t.dims[i]));
  for (size_t i = 0; dtype_numeric(g->t.dtype) && i < g->t.count && i < 8; i++)
    json_array_append_new(first, json_number(tensor_get(g->t.dtype, g->t.data, i)));
  return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", json_text(g->name), "dtype",
                   hone_dtype_name(g->t.dtype), "shape", dims, "min", json_number(r.min), "max", json_number(r.max), "mean",
                   json_number(r.mean), "not_finite", json_count(r.odd), "first", first);
}

/* Names of tensors may hold what names of files cannot; two that become the same get their number. */
static char *output_path(const running *r, uint32_t i) {
  char *name = cli_copy(r->out[i].name), *path;
  bool taken = !*name || *name == '.';
  for (char *p = name; *p; p++)
    if (*p == '/' || *p == '\\' || (unsigned char)*p < 0x20) *p = '_';
  for (uint32_t k = 0; k < i; k++) taken |= strcasecmp(r->out[k].name, r->out[i].name) == 0;
  for (uint32_t k = 0; k < r->n; k++) taken |= k != i && strpbrk(r->out[i].name, "/\\") && strcmp(r->out[k].name, name) == 0;
  path = taken ? cli_format("%s/%u-%s.npy", r->o->output_dir, i, name) : cli_format("%s/%s.npy", r->o->output_dir, name);
  free(name);
  return path;
}

static int write_outputs(const running *r) {
  int code = make_folder(r->o->output_dir);
  for (uint32_t i = 0; !code && i < r->n; i++) {
    char *path = output_path(r, i);
    code = npy_write(path, &r->out[i].t);
    free(path);
  }
  return code;
}

static int print_all(running *r) {
  if (r->o->common.json) {
    json_t *a = json_array();
    for (uint32_t i = 0; i < r->n; i++) json_array_append_new(a, summary_json(&r->out[i]));
    json_t *j = json_pack("{s:o, s:o}", "model", json_text(r->c->args[0]), "outputs", a);
    if (r->o->top) json_object_set(j, "items", r->items);
    return json_print(j);
  }
  for (uint32_t i = 0; !r->o->top && i < r->n; i++) print_summary(&r->out[i]);
  return CLI_OK;
}

static int run_rounds(running *r) {
  progress p;
  int code = CLI_OK;
  bool keep = r->o->output_dir || r->o->common.json || !r->o->top;
  progress_begin(&p, "running");
  for (size_t round = 0; !code && round < r->f.rounds; round++) {
    progress_step(&p, round, r->f.rounds);
    code = feed_load(&r->f, round);
    if (!code) code = feed_set(r->c, &r->f, NULL, r->s);
    if (!code) code = session_run(r->c, r->s);
    for (uint32_t i = 0; !code && keep && i < r->n; i++) code = gather(r, i, round);
    if (!code && r->o->top) {
      progress_end(&p);
      code = print_top(r, round);
    }
  }
  progress_end(&p);
  return code;
}

static int run_run(cli *c) {
  running r = {.c = c, .o = c->options};
  hone_model *m = NULL;
  int code = r.o->labels && !r.o->top ? cli_usage("--labels needs --top=K") : CLI_OK;
  if (!code && r.o->labels) code = lines_read(r.o->labels, &r.labels);
  if (!code) code = model_open(c, c->args[0], &r.o->feed, &m);
  if (!code) code = feed_open(c, m, &r.o->feed, &r.o->image, &r.f);
  if (!code) code = session_open(c, m, &r.o->session, &r.s);
  if (!code) {
    r.n = hone_model_output_count(m);
    r.out = cli_alloc(r.n, sizeof *r.out);
    r.items = json_array();
    code = run_rounds(&r);
  }
  if (!code && r.o->output_dir) code = write_outputs(&r);
  if (!code) code = print_all(&r);
  for (uint32_t i = 0; i < r.n; i++) {
    free(r.out[i].name);
    tensor_free(&r.out[i].t);
  }
  free(r.out);
  json_decref(r.items);
  lines_free(&r.labels);
  hone_session_destroy(&r.s);
  feed_close(&r.f);
  hone_model_destroy(&m);
  return code;
}

static const run_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT};
static const arg_option rows[] = {
    {"output-dir", 'o', ARG_TEXT, offsetof(run_options, output_dir), "FOLDER", "Write each output to FOLDER/NAME.npy.", 0, 0},
    {"top", 'k', ARG_INT, offsetof(run_options, top), "K", "Print the K highest scores of the first output for each item.", 1, 1000},
    {"labels", 0, ARG_TEXT, offsetof(run_options, labels), "FILE", "Names of the classes for --top, one a line.", 0, 0},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0}, {"Inputs", feed_option_rows, offsetof(run_options, feed)},
                                   {"Choosing within a TensorFlow model", choice_option_rows, offsetof(run_options, feed)},
                                   {"Images", image_option_rows, offsetof(run_options, image)},
                                   {"Running", session_option_rows, offsetof(run_options, session)},
                                   {"Common options", common_option_rows, offsetof(run_options, common)}, {0}};

const command command_run = {
    .name = "run", .summary = "run a model on files, images or random numbers", .usage = "MODEL",
    .about = "Runs a model and prints a summary of its outputs, or the best classes of each image. Inputs that are not given are random.",
    .examples = "  hone run model.onnx --input=x.npy --output-dir=out\n"
                "  hone run model.onnx --input='photos/*.jpg' --resize=crop --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225 \\\n"
                "      --top=5 --labels=classes.txt\n"
                "  hone run bert.onnx --shape=ids=1x128 --input=ids=random:0:30000\n",
    .groups = groups, .min_args = 1, .max_args = 1, .options_size = sizeof(run_options), .defaults = &defaults,
    .common = offsetof(run_options, common), .run = run_run};
