/* calibration.c - calibration from the command line. */
#include "calibration.h"

#include <unistd.h>

const arg_option quant_option_rows[] = {
    {"precision", 0, ARG_CHOICES, offsetof(quant_options, precision), "f32|int8|bf16|f16|int8-weights|int4-weights|int8-dynamic",
     "What convolutions and matrix products, and what lies between them, compute with; f16 is multiplied as such where the processor can (AVX512-FP16), else stored so and computed in f32; "
     "int8-weights and int4-weights leave activations in f32; int8-dynamic quantizes in each run what matrix products and recurrent layers read."
     " int8,bf16 or int8,f16 or int8,bf16,f16: each layer gets what saves most time for its noise.", 0, 0},
    {"calibrate", 0, ARG_LIST, offsetof(quant_options, calibrate), "[NAME=]SOURCE",
     "What int8 is calibrated with, as --input takes it: images of the kind the model will see, a few hundred. Once for every input of the model.", 0, 0},
    {"calibrate-command", 0, ARG_TEXT, offsetof(quant_options, command), "CMD",
     "In place of --calibrate: what this shell command writes to its standard output, .npy records one behind the other, for each batch one of "
     "every input in the model's order.", 0, 0},
    {"observer", 0, ARG_CHOICE, offsetof(quant_options, observer), "minmax|moving-average|percentile|entropy|mse",
     "How a range is chosen from the values seen (default minmax).", 0, 0},
    {"percentile", 0, ARG_REAL, offsetof(quant_options, percentile), "P", "Of the values, for --observer=percentile (default 99.99).", 50, 100},
    {"calibration-cache", 0, ARG_TEXT, offsetof(quant_options, cache), "FILE",
     "Ranges as text: used instead of calibrating if the file is there, written otherwise. It may be edited.", 0, 0},
    {"equalize", 0, ARG_FLAG, offsetof(quant_options, equalize), "",
     "Before int8: scale channels between layers so that the weights on both sides have one range, where the examples show that it helps.", 0, 0},
    {"balance", 0, ARG_FLAG, offsetof(quant_options, balance), "",
     "Before int8: bring the channels of activations that only convolutions and matrix products read to about one range (SmoothQuant), "
     "where and as far as the examples show that it helps.", 0, 0},
    {"bias-correction", 0, ARG_FLAG, offsetof(quant_options, correct_bias), "",
     "With int8: take the mean error that 8 bits make in a layer on the examples out of its bias (default).", 0, 0},
    {"no-bias-correction", 0, ARG_FLAG, offsetof(quant_options, plain_bias), "", "Do not.", 0, 0},
    {"adaround", 0, ARG_FLAG, offsetof(quant_options, reconstruct), "",
     "With int8: round each weight up or down so that its layer's results on the examples stay nearest to what they were.", 0, 0},
    {"calibration-limit", 0, ARG_INT, offsetof(quant_options, examples), "N", "Batches to calibrate with at most (default: all).", 1, 1e9},
    {0}};

int quant_check(const quant_options *o) {
  if (o->percentile > 0 && o->observer != HONE_OBSERVER_PERCENTILE) return cli_usage("--percentile is for --observer=percentile");
  const unsigned mixed = 1u << HONE_PRECISION_F32 | 1u << HONE_PRECISION_BF16 | 1u << HONE_PRECISION_F16;
  if (o->precision.others && (o->precision.first != HONE_PRECISION_INT8 || o->precision.others & ~mixed))
    return cli_usage("--precision: layers of int8 mix with those of bf16, f16 and f32, as in int8,bf16; there is no other mixture");
  if (o->precision.first != HONE_PRECISION_INT8) {
    if (o->equalize || o->balance || o->correct_bias || o->plain_bias || o->reconstruct)
      return cli_usage("--equalize, --balance, --bias-correction, --adaround: what for? give --precision=int8");
    if (quant_examples(o)) return cli_usage("--calibrate: nothing is calibrated without --precision=int8");
    if (o->cache) return cli_usage("--calibration-cache: nothing is calibrated without --precision=int8");
    if (o->observer >= 0 || o->examples) return cli_usage("--observer, --calibration-limit: nothing is calibrated without --precision=int8");
    return CLI_OK;
  }
  if (o->calibrate.n && o->command) return cli_usage("--calibrate and --calibrate-command: which of them?");
  if (o->correct_bias && o->plain_bias) return cli_usage("--bias-correction and --no-bias-correction contradict each other");
  if (o->reconstruct && !quant_examples(o)) return cli_usage("--adaround looks at examples: give --calibrate as well");
  if (quant_examples(o) || (o->cache && access(o->cache, R_OK) == 0)) return CLI_OK;
  return cli_usage("--precision=int8 needs examples: --calibrate='DIR/*.jpg', or a --calibration-cache that was written before");
}

int quant_listen(quant_options *o, const hone_model *m) {
  return o->command ? arrays_of_command(o->command, (size_t)o->examples * hone_model_input_count(m), &o->stream) : CLI_OK;
}

feed_options quant_source(const quant_options *o, const feed_options *f) {
  feed_options r = *f;
  r.inputs = o->calibrate;
  r.option = "calibrate";
  r.stream = o->command ? &o->stream : NULL;
  return r;
}

feed_options quant_feed(const quant_options *o, const feed_options *f) { return !f->inputs.n && quant_examples(o) ? quant_source(o, f) : *f; }

static void show_progress(void *user, uint32_t done, uint32_t expected) { progress_step(user, done, expected); }

void quant_wishes(const quant_options *o, const session_options *s, progress *p, hone_quantize_options *q) {
  hone_quantize_options_init(q);
  q->threads = (int32_t)s->threads;
  q->progress = p ? show_progress : NULL;
  q->user = p;
  q->precision = (hone_precision)o->precision.first;
  q->correct_bias = !o->plain_bias;
  q->reconstruct = o->reconstruct;
}

/* A failure on a round, with the examples that are in it where one can say which. */
static int fail_on(cli *c, hone_status st, const feed *f, size_t round) {
  const char *label = feed_label(f, round);
  if (!label || st != HONE_BAD_ARG) return cli_fail_hone(c->cx, st);
  cli_fail("%s: %s", label, hone_context_error(c->cx));
  return CLI_USAGE;
}

static int run_examples(cli *c, const hone_model *m, const quant_options *o, feed *f, const session_options *so, const char *what, hone_calibration *k,
                        quant_outcome *out) {
  hone_session_options options;
  hone_session *s = NULL;
  progress p;
  size_t rounds = o->examples && (size_t)o->examples < f->rounds ? (size_t)o->examples : f->rounds, seen = 0;
  hone_session_options_init(&options);
  options.threads = (int32_t)so->threads;
  options.keep_all = true;
  hone_status st = hone_session_create(m, &options, &s);
  int code = st ? cli_fail_hone(c->cx, st) : CLI_OK;
  progress_begin(&p, what);
  for (size_t r = 0; !code && r < rounds; r++) {
    progress_step(&p, r, rounds);
    code = feed_load(f, r);
    if (!code) code = feed_set(c, f, NULL, s);
    if (!code) code = session_run(c, s);
    if (!code && (st = hone_calibration_observe(k, s))) code = fail_on(c, st, f, r);
    seen += feed_items(f, r);
  }
  progress_end(&p);
  hone_session_destroy(&s);
  out->batches = rounds;
  out->examples = seen;
  return code;
}

int quant_calibrate(cli *c, hone_model *m, const quant_setup *s, quant_outcome *r, hone_calibration **out) {
  const quant_options *o = s->quant;
  hone_calibration_options co;
  hone_calibration *k = NULL;
  if (o->precision.first != HONE_PRECISION_INT8) return CLI_OK;
  hone_calibration_options_init(&co);
  if (o->observer >= 0) co.observer = (hone_observer)o->observer;
  if (o->percentile > 0) co.percentile = o->percentile;
  uint32_t by = (o->equalize ? HONE_BALANCE_WEIGHTS : 0) | (o->balance ? HONE_BALANCE_ACTIVATIONS : 0);
  bool fit = quant_examples(o) && (!o->plain_bias || o->reconstruct);
  r->cached = o->cache && access(o->cache, F_OK) == 0;
  co.samples = fit || (by && !r->cached);
  hone_status st = hone_calibration_create(m, &co, &k);
  if (!st && r->cached) st = hone_calibration_load(k, o->cache);
  if (!st && r->cached && hone_calibration_corrections(k)) fit = o->reconstruct; /* the file has what the examples would say */
  if (!st && r->cached) st = hone_model_balance(m, k, 0, 0, &r->balanced); /* as its ranges were taken */
  int code = st ? cli_fail_hone(c->cx, st) : CLI_OK;
  if (!code && r->cached && (o->observer >= 0 || o->examples))
    cli_warn("%s: ranges are taken from it as they are; remove it for --observer and --calibration-limit to do something", o->cache);
  if (!code && r->cached && by && !r->balanced)
    cli_warn("%s: its ranges are those of channels as they are; remove it for --equalize and --balance to do something", o->cache);
  if (!code && (!r->cached || fit)) {
    feed f = {0};
    feed_options from = quant_source(o, s->feed);
    code = feed_open(c, m, &from, s->images, &f);
    if (!code && by && !r->cached) {
      code = run_examples(c, m, o, &f, s->session, "looking at channels", k, r);
      if (!code && (st = hone_model_balance(m, k, by, (int32_t)s->session->threads, &r->balanced))) code = cli_fail_hone(c->cx, st);
      if (!code && !r->balanced) cli_warn("%s no tensor comes out better with factors for its channels", o->balance ? "--balance:" : "--equalize:");
    }
    if (!code) code = run_examples(c, m, o, &f, s->session, "calibrating", k, r);
    feed_close(&f);
  }
  r->unsaved = o->cache && (!r->cached || (fit && !o->reconstruct));
  r->ranges = code ? 0 : hone_calibration_count(k);
  if (code) hone_calibration_destroy(&k);
  else *out = k;
  return code;
}

int quant_finish(cli *c, const quant_options *o, const quant_outcome *r, const hone_calibration *k) {
  if (r->cached && r->counts.uncorrected)
    cli_warn("%s has no correction of the bias for the ranges of %u of %u layers: without the file they are found anew (--no-bias-correction leaves all as they are)",
             o->cache, r->counts.uncorrected, r->counts.layers);
  if (!r->unsaved) return CLI_OK;
  hone_status st = hone_calibration_save(k, o->cache);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}
