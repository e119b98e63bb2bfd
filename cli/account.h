/* account.h - what lower precision costs and gains, layer by layer, and the mixture that keeps to a limit. */
#ifndef CLI_ACCOUNT_H
#define CLI_ACCOUNT_H
#include "calibration.h"
#include "json.h"
#include "truth.h"

/* How a model's outputs stand against those of the model in floats. */
typedef struct quality {
  difference d;             /* of all outputs */
  double error;             /* root mean square of the differences by that of the values, the worst output's */
  double cosine;            /* the worst output's */
  double least;             /* of any one example; where it gives next to nothing, the noise counts against a part of what is common */
  double shift;             /* of items with scores: by how much the best class is more or less ahead of the second, root mean square */
  double turned;            /* of probabilities: the share of their area for which a threshold decides otherwise, on the average of all thresholds; the worst output's */
  double changing;           /* share of items whose best class is to be expected to turn, by that and by how far it is ahead in floats */
  size_t items, top1, top5; /* of items with scores: the same best class; that one among the best five */
  size_t sequences, read;   /* of steps; those that read the same */
  size_t labelled, right_before, right;
} quality;

enum { MOST_KINDS = 4 };

/* A layer in one of the mixture's precisions. */
typedef struct account_kind {
  quality alone; /* of the model with this layer alone so */
  double noise;  /* what that costs */
  double ms;     /* the layer's, where all are so */
} account_kind;

typedef struct account_row {
  uint32_t layer;
  char *name, *op, *tensor; /* tensor: its output */
  float low, high, scale;   /* of its input */
  double sqnr, accumulated; /* of its output in dB: quantized alone (NaN: not measured), and all layers together */
  account_kind in[MOST_KINDS]; /* by the account's kinds */
  double price;             /* noise in the first kind, for the time it saves */
  uint32_t kind;            /* what it is in */
  bool settled;             /* the calibration says so */
  unsigned slow;            /* bit k: it is no faster in kind k in the mixture, with its conversions */
} account_row;

/* What the layers that stay in floats are chosen for. */
typedef enum account_aim {
  AIM_NONE, /* no choice: the calibration's, or none */
  AIM_AUTO, /* outputs that are as good as those of floats */
  AIM_DROP  /* --max-drop */
} account_aim;

/* What AIM_AUTO asks of the outputs: the least cosine, and how many items keep their best class: of a sequence's steps, which are many, as
   counted; of single items as is to be expected: of 64 one that turns, or none, is chance, and a search would find mixtures with luck. */
#define GOOD_COSINE 0.994 /* on any one example; not of sequences */
#define GOOD_SCORES 0.998 /* on all together, of classes, where the best hangs on small differences, also of a sequence's steps */
#define GOOD_AGREEMENT 0.99
#define GOOD_STEPS 0.995 /* of a sequence that have the same best class: one of a line is a fortieth of it */
#define GOOD_READING 0.98 /* sequences that read the same */
#define GOOD_TURNED 0.004 /* of an area of probabilities */
#define LEAST_SHARE 0.1 /* of the common example's output: the noise of one that has less is held against this */
typedef struct account {
  account_row *rows; /* worst first */
  uint32_t n, layers;
  hone_precision kinds[MOST_KINDS]; /* of the mixture, from what is wanted to F32 */
  uint32_t n_kinds;
  uint32_t kept;     /* rows in F32 */
  quality uniform[MOST_KINDS]; /* all layers in one kind */
  quality all;       /* as they are */
  hone_quantize_result counts; /* of the models tried the one with most layers that have no correction */
  bool detailed;     /* layers were quantized one by one */
  bool classifier;   /* the first output has scores */
  bool steps;        /* ... of steps, several an item: those are its items */
  bool area;         /* an output has probabilities that are none of classes, as a map */
  account_aim aim;
  double limit;                /* of AIM_DROP */
  double ms_floats, ms_uniform[MOST_KINDS], ms_quantized; /* a run in floats, with all layers in one kind, and of the result */
  bool tuned; /* kernels were, in each */
  size_t rounds, examples;
} account;

static inline uint32_t account_floats(const account *a) { return a->n_kinds - 1; }
/* Milliseconds that a layer saves in a kind. */
static inline double account_saves(const account *a, const account_row *r, uint32_t kind) { return r->in[account_floats(a)].ms - r->in[kind].ms; }

typedef struct account_options {
  arg_list evaluate;
  const char *labels;
  const char *max_drop; /* "0.5%" */
  bool uniform;         /* no layer stays in floats by itself */
} account_options;
extern const arg_option account_option_rows[];

/* "0.5%" or "0.5", a number of percent; fails with a line. */
int account_limit(const account_options *o, double *percent);
/* What is lost, in percent: accuracy where there are labels, agreement of the best class for a classifier, else the error. */
double quality_drop(const account *a, const quality *q);

/* Measures model m, optimized and in floats, and, with an aim, finds the layers that cost too much for what they save. AIM_AUTO looks
   at single layers only if all together miss it, and on a part of the examples. */
int account_make(cli *c, const hone_model *m, const hone_calibration *k, const quant_setup *s, account_aim aim, account *a);
/* Equalizes, calibrates, makes the account that is wanted (`report`, or for an aim; else *a stays as it is), notes in the calibration which
   layers stay in floats. *k stays NULL for precisions without calibration. */
int account_calibrate(cli *c, hone_model *m, const quant_setup *s, bool report, quant_outcome *r, hone_calibration **k, account *a);
/* "int8", "bf16", "f16"; F32: "floats". */
const char *precision_name(hone_precision p);
void account_print(const account *a);
json_t *account_json(const account *a);
void account_free(account *a);
#endif
