/* judge.h - runs models on the examples and holds their outputs against those of the model in floats. */
#ifndef CLI_JUDGE_H
#define CLI_JUDGE_H
#include "account.h"
#include "progress.h"

/* One output of the model in floats, over all rounds. */
typedef struct standard {
  double norm;  /* squares of all its values */
  double area;  /* all its values are probabilities, and this is their sum; 0: they are not, or none of classes */
  double floor; /* of an example that has less, the noise is held against this many */
} standard;

/* A round, and what it suffered from the model that it was run with last. */
typedef struct suspect {
  size_t round;
  double harm;
} suspect;

typedef struct judge {
  cli *c;
  const hone_model *m;
  const hone_calibration *k;
  const session_options *s;
  const quant_options *q;
  feed f;
  truths truths;
  uint32_t outputs;
  tensor *want; /* rounds x outputs */
  standard *standards;
  progress *rounding; /* shows how far weights are fitted to examples; NULL: nothing does */
  size_t probes; /* rounds that a single layer is judged by */
  suspect *order; /* of the rounds, by what they suffered last: the first show soon whether a model misses the aim */
  size_t scored; /* items, or steps, that have a best class */
  double *leads; /* of those: how far it is ahead of the second, in floats */
  bool probable; /* the scores are probabilities */
  size_t sequences;
  size_t blank; /* of sequences: the commonest best class, which stands between what is read */
  account *a;
  hone_model *tuned; /* the model in floats with kernels tuned, which m is then */
  char *times;       /* file of what timing found */
  char *folder;      /* made for it, if nobody named a file */
} judge;

/* What the model in floats gives for every round; says whether it is a classifier, and whether of sequences. */
int judge_open(judge *j);
void judge_close(judge *j);
/* Runs a model on so many of the first rounds. */
int judge_model(judge *j, const hone_model *m, size_t rounds, quality *q);
/* Whether a model keeps to the aim. Stops at the first round that shows that it does not: *q is whole only if it does. A step of the progress
   is one round; a model has `a->rounds` of them. */
int judge_aim(judge *j, const hone_model *m, progress *p, quality *q, bool *good);
bool judge_good(const judge *j, const quality *q);
int judge_round(judge *j, hone_session *s, size_t round);
/* From now on models are run with kernels chosen by timing, that in floats first. `times`: as --timing-cache; NULL: kept till the end. */
int judge_begin_tuning(judge *j, const char *times);
/* Chooses a model's kernels, if others' are; what was timed before is not timed again. */
int judge_tune(judge *j, hone_model *m);
/* Two models run by turns: the least milliseconds of each, which other work on the machine disturbs least. */
int judge_times(judge *j, const hone_model *x, const hone_model *y, double ms[2]);
#endif
