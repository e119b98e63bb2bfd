/* cmd_quantize_report.c - hone quantize-report: what 8 bits cost and gain in each layer. */
#include <stdlib.h>

#include "account.h"

typedef struct report_options {
  common_options common;
  feed_options feed;
  image_options image;
  session_options session;
  level_options level;
  quant_options quant;
  account_options account;
} report_options;

static int print_json(const cli *c, const account *a) {
  json_t *j = account_json(a);
  json_object_set_new(j, "model", json_text(c->args[0]));
  return json_print(j);
}

static int run_report(cli *c) {
  const report_options *o = c->options;
  hone_model *m = NULL;
  hone_calibration *k = NULL;
  quant_outcome r = {0};
  account a = {0};
  quant_options q = o->quant;
  quant_setup s = {&q, &o->account, &o->feed, &o->image, &o->session, false, NULL};
  if (!q.precision.first) q.precision.first = HONE_PRECISION_INT8;
  int code = q.precision.first == HONE_PRECISION_INT8 ? quant_check(&q) : cli_usage("quantize-report: the account is of int8; 'hone compare' measures other precisions");
  if (!code && !quant_examples(&q) && !o->account.evaluate.n && !o->feed.inputs.n)
    code = cli_usage("quantize-report: on what? give --calibrate or --evaluate");
  if (!code) code = model_open(c, c->args[0], &o->feed, &m);
  if (!code) code = model_optimize(c, m, &o->level);
  if (!code) code = quant_listen(&q, m);
  if (!code) code = account_calibrate(c, m, &s, true, &r, &k, &a);
  if (!code) code = quant_finish(c, &q, &r, k);
  if (!code && o->common.json) code = print_json(c, &a);
  else if (!code) account_print(&a);
  account_free(&a);
  arrays_free(&q.stream);
  hone_calibration_destroy(&k);
  hone_model_destroy(&m);
  return code;
}

static const report_options defaults = {.feed = FEED_OPTIONS_DEFAULT, .image = IMAGE_OPTIONS_DEFAULT, .session = SESSION_OPTIONS_DEFAULT,
                                        .level = LEVEL_OPTIONS_DEFAULT, .quant = QUANT_OPTIONS_DEFAULT};
static const arg_group groups[] = {{"Precision", quant_option_rows, offsetof(report_options, quant)},
                                   {"Accuracy", account_option_rows, offsetof(report_options, account)},
                                   {"Inputs", feed_option_rows, offsetof(report_options, feed)},
                                   {"Choosing within a TensorFlow model", choice_option_rows, offsetof(report_options, feed)},
                                   {"Images", image_option_rows, offsetof(report_options, image)},
                                   {"What to do before", level_option_rows, offsetof(report_options, level)},
                                   {"Running", session_option_rows, offsetof(report_options, session)},
                                   {"Common options", common_option_rows, offsetof(report_options, common)}, {0}};

const command command_quantize_report = {
    .name = "quantize-report", .summary = "what 8 bits cost and gain, layer by layer", .usage = "MODEL --calibrate=SOURCE",
    .about = "Optimizes a model, quantizes each layer alone and all together, and prints for each its range and scale, the ratio of signal to "
             "quantization noise of its output alone and with all layers quantized, how much the model's outputs change by it alone, and "
             "the time it saves; the worst layer first. With --max-drop it also finds which layers have to stay in floats.",
    .examples = "  hone quantize-report model.onnx --calibrate='photos/*.jpg'\n"
                "  hone quantize-report digits.onnx --calibrate='digits/*.png' --labels=digits/labels.txt --max-drop=0.5%\n",
    .groups = groups, .min_args = 1, .max_args = 1, .options_size = sizeof(report_options), .defaults = &defaults,
    .common = offsetof(report_options, common), .run = run_report};
