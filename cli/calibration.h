/* calibration.h - options and steps of lowering a model's precision. */
#ifndef CLI_CALIBRATION_H
#define CLI_CALIBRATION_H
#include "commands.h"
#include "progress.h"

typedef struct quant_options {
  arg_choices precision; /* as hone_precision: what is wanted, and what layers that cost too much so may have */
  int observer;          /* as hone_observer; -1: not chosen */
  arg_list calibrate;
  const char *command, *cache;
  arrays stream; /* what the command wrote */
  double percentile; /* 0: not chosen */
  int64_t examples;
  bool equalize, balance, correct_bias, plain_bias, reconstruct; /* correct_bias: said so, though it is the default */
} quant_options;
extern const arg_option quant_option_rows[];
/* All that says how a model is quantized and on what it is judged. */
typedef struct quant_setup {
  const quant_options *quant;
  const struct account_options *account;
  const feed_options *feed;
  const image_options *images;
  const session_options *session;
  bool tune;         /* mixtures are timed with kernels tuned, as an engine will have them */
  const char *times; /* file of what timing found; NULL: none is kept */
} quant_setup;
#define QUANT_OPTIONS_DEFAULT {.observer = -1}
#define DEFAULT_PERCENTILE 99.99

typedef struct quant_outcome {
  hone_quantize_result counts;
  uint32_t ranges;  /* tensors whose range is known */
  size_t examples, batches; /* it was calibrated with */
  uint32_t balanced; /* tensors */
  bool cached;      /* the ranges came from the file */
  bool unsaved;     /* the file lacks something that is known now */
} quant_outcome;

/* Fails with a line if the options do not go together. */
int quant_check(const quant_options *o);
/* Runs the command for a model, if there is one. What it wrote is to be freed. */
int quant_listen(quant_options *o, const hone_model *m);
/* Whether the options name examples. */
static inline bool quant_examples(const quant_options *o) { return o->calibrate.n || o->command; }
/* A feed's options with the calibration's examples as inputs. */
feed_options quant_source(const quant_options *o, const feed_options *f);
/* What the model is run on to compare it: the feed's own inputs, or else the calibration's. */
feed_options quant_feed(const quant_options *o, const feed_options *f);
/* As the library takes it; with a line of progress, unless that is NULL. */
void quant_wishes(const quant_options *o, const session_options *s, progress *p, hone_quantize_options *q);
/* Ranges of an optimized model: from the cache file if it is there, else by running on the examples. */
int quant_calibrate(cli *c, hone_model *m, const quant_setup *s, quant_outcome *r, hone_calibration **out);
/* Says how much of the model the biases' correction reached, and writes the cache file, once the model is quantized. */
int quant_finish(cli *c, const quant_options *o, const quant_outcome *r, const hone_calibration *k);
#endif
