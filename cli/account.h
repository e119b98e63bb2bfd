/* account.h - what lower precision costs and gains, layer by layer, and the mixture that keeps to a limit. */
#ifndef CLI_ACCOUNT_H
#define CLI_ACCOUNT_H
#include "calibration.h"
#include "truth.h"

/* How a model's outputs stand against those of the model in floats. */
typedef struct quality {
  difference d;             /* of all outputs */
  double error;             /* root mean square of the differences by that of the values, the worst output's */
  double cosine;            /* the worst output's */
  size_t items, top1, top5; /* of items with scores: the same best class; that one among the best five */
  size_t labelled, right_before, right;
} quality;

typedef struct account_row {
  uint32_t layer;
  char *name, *op, *tensor; /* tensor: its output */
  float low, high, scale;   /* of its input */
  double sqnr, accumulated; /* of its output in dB: quantized alone, and all layers together */
  quality alone;            /* of the model, with this layer alone quantized */
  double saved_ms;
  bool kept;                /* stays in floats */
} account_row;

typedef struct account {
  account_row *rows; /* worst first */
  uint32_t n, layers;
  uint32_t kept;     /* rows */
  quality all;       /* all layers quantized; after a search: those not kept */
  bool classifier;   /* the first output has scores */
  size_t rounds;
} account;

typedef struct account_options {
  const char *evaluate, *labels;
  const char *max_drop; /* "0.5%" */
} account_options;
extern const arg_option account_option_rows[];

/* "0.5%" or "0.5", a number of percent; fails with a line. */
int account_limit(const account_options *o, double *percent);
/* What is lost, in percent: accuracy where there are labels, agreement of the best class for a classifier, else the error. */
double quality_drop(const account *a, const quality *q);

/* Measures model m, optimized and in floats. With a limit: also searches the mixture with the least kept in floats. */
int account_make(cli *c, const hone_model *m, const hone_calibration *k, const quant_options *q, const account_options *o, const feed_options *f,
                 const image_options *images, const session_options *s, account *a);
/* Flags of the layers kept, for hone_model_quantize(); to be freed. */
bool *account_kept(const account *a);
void account_print(const account *a);
void account_free(account *a);
#endif
