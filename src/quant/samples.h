/* samples.h - what layers read while a model is calibrated, in samples. */
#ifndef HN_SAMPLES_H
#define HN_SAMPLES_H
#include "ir/graph.h"

/* How 8 bits without a sign tell a tensor's numbers. */
typedef struct hn_steps {
  double scale;
  int32_t zero;
} hn_steps;

/* What is to be done beyond rounding each weight to the nearest. */
typedef struct hn_rounding {
  bool reconstruct;  /* up or down, as the results over the samples stay nearest to those of the real weights: Nagel et al., "Up or Down?", 2020 */
  bool correct_bias; /* the mean of what is left of the difference is taken out of the bias: Nagel et al., 2019 */
} hn_rounding;

/* Patches of a layer's input, each as long as the weights of one output (of all groups): a uniform choice of those offered, patch after
   patch. Not in fewer bits: what 8 bits make of a number is to be seen, and bfloat16 has no more than they near the end of a range. Also
   what was made of the layer's weights by them, so that it is not done twice; that may come from a file, without patches. */
typedef struct hn_samples {
  size_t most_bytes; /* that they may take, unless that is too few patches */
  float *x;
  int64_t k, taps; /* numbers in a patch, and of those of each channel */
  uint32_t n, room;
  uint64_t offered, seed;
  hn_tensor *rounded; /* weights, for inputs in `steps` and the rounding `how`; NULL: to the nearest */
  double *shift;      /* of the bias of each of `outputs` then; NULL: nothing was made yet */
  int64_t outputs;
  hn_steps steps;
  hn_rounding how;
} hn_samples;

/* Takes some patches of the input of product `n`, dense numbers in `data`. Errors: NOMEM. */
hone_status hn_sample(hn_graph *g, const hn_node *n, const float *data, int32_t rank, const int64_t *dims, hn_samples *s);
/* Drops the patches. */
void hn_samples_empty(hn_samples *s);
void hn_samples_free(hn_samples *s);

enum { HN_COLUMN_LANES = 16 };
/* Numbers `first` on of at most `most` patches, turned: for each a column of all patches, as they are and as 8 bits tell them once
   they are multiplied by the factor of their channel (NULL: 1) and that is undone again. Zeros up to the pitch. */
typedef struct hn_columns {
  float *exact, *rounded;
  int64_t k;
  size_t n, pitch;
} hn_columns;
bool hn_columns_make(const hn_samples *s, int64_t first, int64_t k, const hn_steps *steps, const double *factors, uint32_t most, hn_columns *c);
void hn_columns_free(hn_columns *c);
#endif
