/* cmd_eval.c - hone eval: how often a classifier is right. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "labels.h"
#include "progress.h"

typedef struct eval_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session;
  const char *images, *labels;
} eval_options;

typedef struct truth {
  const char *file;
  int64_t label;
} truth;

typedef struct eval {
  cli *c;
  const eval_options *o;
  lines lines;
  truth *truths; /* sorted by file */
  size_t n, right1, right5;
} eval;

static int by_file(const void *a, const void *b) { return strcmp(((const truth *)a)->file, ((const truth *)b)->file); }

/* "FILENAME LABEL": the label is the last word. */
static int read_truths(eval *e) {
  const char *path = e->o->labels;
  int code = lines_read(path, &e->lines);
  if (code) return code;
  e->truths = cli_alloc(e->lines.n, sizeof *e->truths);
  for (size_t i = 0; i < e->lines.n; i++) {
    char *line = e->lines.p[i], *end = line + strlen(line);
    while (end > line && (end[-1] == ' ' || end[-1] == '\t')) *--end = 0;
    if (end == line || *line == '#') continue;
    char *word = end;
    while (word > line && word[-1] != ' ' && word[-1] != '\t') word--;
    truth *t = &e->truths[e->n];
    if (word == line || !args_int(word, &t->label) || t->label < 0)
      return cli_fail("%s: line '%.60s' is not 'FILENAME LABEL' with a whole number", path, line);
    do *--word = 0;
    while (word > line && (word[-1] == ' ' || word[-1] == '\t'));
    t->file = line;
    e->n++;
  }
  if (!e->n) return cli_fail("%s: there are no labels in it", path);
  qsort(e->truths, e->n, sizeof *e->truths, by_file);
  for (size_t i = 1; i < e->n; i++)
    if (strcmp(e->truths[i].file, e->truths[i - 1].file) == 0) return cli_fail("%s: '%s' has two labels", path, e->truths[i].file);
  return CLI_OK;
}

static const truth *find_truth(const eval *e, const char *path) {
  truth key = {.file = base_name(path)};
  return bsearch(&key, e->truths, e->n, sizeof key, by_file);
}

static int check_labels(const eval *e, const feed *f) {
  if (!f->pictures) return cli_fail("%s: no images", e->o->images);
  for (size_t i = 0; i < f->pictures->n; i++)
    if (!find_truth(e, f->pictures->p[i])) return cli_fail("%s: '%s' has no label", e->o->labels, base_name(f->pictures->p[i]));
  return CLI_OK;
}

static int judge(eval *e, const feed *f, hone_session *s, size_t round) {
  hone_tensor_info info;
  const void *data;
  hone_status st = hone_session_output(s, 0, &info, &data, NULL);
  if (st) return cli_fail_hone(e->c->cx, st);
  size_t items = feed_items(f, round), first, n, best[5];
  for (size_t i = 0; i < items; i++) {
    if (!item_scores(&info, i, items, &first, &n))
      return cli_fail("output '%s' (%s) has no scores for each image", info.name, info_shape_text(&info).s);
    size_t k = n < 5 ? n : 5;
    const truth *t = find_truth(e, feed_item_path(f, round, i));
    if ((uint64_t)t->label >= n) return cli_fail("%s: label %lld of '%s'; the model has %zu classes", e->o->labels, (long long)t->label, t->file, n);
    top_k((const char *)data + first * hone_dtype_size(info.dtype), info.dtype, n, k, best);
    e->right1 += best[0] == (size_t)t->label;
    for (size_t m = 0; m < k; m++) e->right5 += best[m] == (size_t)t->label;
  }
  return CLI_OK;
}

static int print_result(const eval *e, size_t total) {
  double top1 = (double)e->right1 / (double)total, top5 = (double)e->right5 / (double)total;
  if (e->o->common.json)
    return json_print(json_pack("{s:o, s:o, s:o, s:o}", "model", json_text(e->c->args[0]), "images", json_count(total), "top1",
                                json_number(top1), "top5", json_number(top5)));
  printf("%zu images: top-1 %.2f%% (%zu), top-5 %.2f%% (%zu)\n", total, 100 * top1, e->right1, 100 * top5, e->right5);
  return CLI_OK;
}

static int run_eval(cli *c) {
  eval e = {.c = c, .o = c->options};
  feed f = {0};
  hone_model *m = NULL;
  hone_session *s = NULL;
  if (!e.o->images || !e.o->labels) return cli_usage("eval: --images=FOLDER and --labels=FILE are needed");
  feed_options fo = e.o->feed;
  if (fo.inputs.n) return cli_usage("eval: the images come from --images, not --input");
  fo.inputs = (arg_list){(const char **)(uintptr_t)&e.o->images, 1};
  int code = read_truths(&e);
  if (!code) code = model_open(c, c->args[0], &fo, &m);
  if (!code) code = feed_open(c, m, &fo, &e.o->image, &f);
  if (!code) code = check_labels(&e, &f);
  if (!code) code = session_open(c, m, &e.o->session, &s);
  progress p;
  progress_begin(&p, "evaluating");
  for (size_t r = 0; !code && r < f.rounds; r++) {
    progress_step(&p, r, f.rounds);
    code = feed_load(&f, r);
    if (!code) code = feed_set(c, &f, NULL, s);
    if (!code) code = session_run(c, s);
    if (!code) code = judge(&e, &f, s, r);
  }
  progress_end(&p);
  if (!code) code = print_result(&e, f.pictures->n);
  hone_session_destroy(&s);
  hone_model_destroy(&m);
  feed_close(&f);
  free(e.truths);
  lines_free(&e.lines);
  return code;
}

static const eval_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT};
static const arg_option rows[] = {
    {"images", 0, ARG_TEXT, offsetof(eval_options, images), "FOLDER", "The images: a folder or a glob.", 0, 0},
    {"labels", 0, ARG_TEXT, offsetof(eval_options, labels), "FILE", "Lines 'FILENAME LABEL' with the number of the class.", 0, 0},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0}, {"Inputs", feed_option_rows, offsetof(eval_options, feed)},
                                   {"Images", image_option_rows, offsetof(eval_options, image)},
                                   {"Running", session_option_rows, offsetof(eval_options, session)},
                                   {"Common options", common_option_rows, offsetof(eval_options, common)}, {0}};

const command command_eval = {
    .name = "eval", .summary = "accuracy of a classifier on labelled images", .usage = "MODEL --images=FOLDER --labels=FILE",
    .about = "Classifies images and prints how often the best class, or one of the best five, is the labelled one.",
    .examples = "  hone eval digits.onnx --images=digits --labels=digits/labels.txt\n"
                "  hone eval resnet50.onnx --images=val --labels=val.txt --resize=crop --crop-fraction=0.875 \\\n"
                "      --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225\n",
    .groups = groups, .min_args = 1, .max_args = 1, .options_size = sizeof(eval_options), .defaults = &defaults,
    .common = offsetof(eval_options, common), .run = run_eval};
