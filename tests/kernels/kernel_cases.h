/* kernel_cases.h - random graphs of one node, for every operator that has a kernel besides its reference, and the comparison
   of what two programs of them compute. */
#ifndef HN_KERNEL_CASES_H
#define HN_KERNEL_CASES_H
#include "harness.h"
#include "run/program.h"

enum { MAX_INPUTS = 6, MAX_VIEWS = MAX_INPUTS + 8 };

/* ---- random numbers: the same on every machine */
void case_seed(uint32_t s);
int64_t between(int64_t lo, int64_t hi);
bool chance(int one_in);
int64_t pick(const int64_t *v, int n);
int64_t channels(void); /* of an image */

/* ---- a case: a graph of one node */
typedef struct trial {
  hone_context *cx;
  hn_graph *g;
  hn_op op;
  bool odd_values; /* infinities and NaN among the inputs */
  bool quantized;  /* every tensor passes through 8-bit integers; scales are powers of two, so that all sums are exact */
  hn_dtype half;   /* 16-bit floats throughout; UNDEFINED: not */
  bool same;       /* and all of them through the same: what is moved stays as it is */
  bool scales;     /* QuantizeLinear and DequantizeLinear with scales of all kinds */
  bool averages;   /* windows to the last bit */
  bool exact;      /* and so must be the outputs */
  float step;      /* else: a step of the output */
  float loose;     /* what else is allowed: sums of half floats, whose bound is tested by itself; roundings in each step */
  int64_t gap;     /* between runs, where kernels can do with that */
  int read_gaps, wrote_gaps, halves; /* halves: steps of the kernel that took half floats as they are */
} trial;

hn_id input(trial *t, int32_t rank, const int64_t *dims);    /* of the graph; passed through the type that the trial is of */
hn_id constant(trial *t, int32_t rank, const int64_t *dims); /* random numbers */
hn_id either(trial *t, int32_t rank, const int64_t *dims);
hn_id ints(trial *t, const int64_t *v, size_t n);
hn_id bools(trial *t, int32_t rank, const int64_t *dims);
hn_id scalar(trial *t, hn_dtype type, double v);
hn_id cast(trial *t, hn_id x, hn_dtype to);
hn_id node(trial *t, const hn_id *in, uint32_t n, uint32_t n_out); /* the trial's operator, called "case" */
void finish(trial *t, hn_id n);                                     /* its outputs become the graph's */
bool with_epilogue(trial *t, hn_id n);                              /* the same behind up to three steps */

bool quantizable(hn_op op);
bool works_by_rows(hn_op op); /* and does so on the CPU alone, in floats */ /* computes with 8-bit integers in the place of reals */
bool moves_integers(hn_op op); /* or makes others of them, on the CPU */
bool generate(trial *t);    /* false: there is no generator for its operator */
bool make_integers(trial *t); /* two inputs of integers */
bool generate_more(trial *t, bool *made); /* of operators that only devices have kernels for; false: it has none */

void make_inputs(const trial *t, hn_view *in);
void free_inputs(const trial *t, hn_view *in);
/* 0, or a failure was reported. */
int compare(const trial *t, const hn_view *want, const hn_view *got, const char *what, uint32_t at);
#endif
