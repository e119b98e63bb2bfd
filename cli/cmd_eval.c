/* cmd_eval.c - hone eval: how often a classifier is right. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "labels.h"
#include "truth.h"
#include "progress.h"

typedef struct eval_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session;
  const char *images, *labels;
} eval_options;

typedef struct eval {
  cli *c;
  const eval_options *o;
  truths truths;
  size_t right1, right5;
} eval;

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
    const truth *t = truths_find(&e->truths, feed_item_path(f, round, i));
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
  int code = truths_read(e.o->labels, &e.truths);
  if (!code) code = model_open(c, c->args[0], &fo, &m);
  if (!code) code = feed_open(c, m, &fo, &e.o->image, &f);
  if (!code) code = truths_check(&e.truths, &f);
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
  truths_free(&e.truths);
  return code;
}

static const eval_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT};
static const arg_option rows[] = {
    {"images", 0, ARG_TEXT, offsetof(eval_options, images), "FOLDER", "The images: a folder or a glob.", 0, 0},
    {"labels", 0, ARG_TEXT, offsetof(eval_options, labels), "FILE", "Lines 'FILENAME LABEL' with the number of the class.", 0, 0},
    {0}};
static const arg_group groups[] = {{"Options", rows, 0}, {"Inputs", feed_option_rows, offsetof(eval_options, feed)},
                                   {"Choosing within a TensorFlow model", choice_option_rows, offsetof(eval_options, feed)},
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
