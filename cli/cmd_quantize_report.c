/* cmd_quantize_report.c - hone quantize-report: what 8 bits cost and gain in each layer. */
#include <stdlib.h>

#include "account.h"
#include "json.h"

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
  json_t *layers = json_array();
  for (uint32_t i = 0; i < a->n; i++) {
    const account_row *r = &a->rows[i];
    json_array_append_new(layers, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "layer", json_text(r->name), "op", json_text(r->op),
                                            "low", json_number((double)r->low), "high", json_number((double)r->high), "scale",
                                            json_number((double)r->scale), "sqnr_db", json_number(r->sqnr), "error_alone",
                                            json_number(r->alone.error), "sqnr_accumulated_db", json_number(r->accumulated), "saved_ms",
                                            json_number(r->saved_ms), "kept", (int)r->kept));
  }
  const quality *q = &a->all;
  return json_print(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model", json_text(c->args[0]), "layers", layers, "error",
                              json_number(q->error), "cosine", json_number(q->cosine), "items", json_count(q->items), "top1_agreement",
                              json_number(q->items ? (double)q->top1 / (double)q->items : 0), "top5_agreement",
                              json_number(q->items ? (double)q->top5 / (double)q->items : 0), "labelled", json_count(q->labelled), "right_before",
                              json_count(q->right_before), "right_after", json_count(q->right)));
}

static int run_report(cli *c) {
  const report_options *o = c->options;
  hone_model *m = NULL;
  hone_calibration *k = NULL;
  quant_outcome r = {0};
  account a = {0};
  quant_options q = o->quant;
  if (!q.precision) q.precision = HONE_PRECISION_INT8;
  int code = quant_check(&q);
  if (!code && !q.calibrate && !o->account.evaluate && !o->feed.inputs.n)
    code = cli_usage("quantize-report: on what? give --calibrate or --evaluate");
  if (!code) code = model_open(c, c->args[0], &o->feed, &m);
  if (!code) code = model_optimize(c, m, &o->level);
  if (!code) code = quant_prepare(c, m, &q);
  if (!code) code = quant_calibrate(c, m, &q, &o->feed, &o->image, &o->session, &r, &k);
  if (!code) code = account_make(c, m, k, &q, &o->account, &o->feed, &o->image, &o->session, &a);
  if (!code && o->common.json) code = print_json(c, &a);
  else if (!code) account_print(&a);
  account_free(&a);
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
