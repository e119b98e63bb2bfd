/* int8_ending.h - from the sums of an integer product to its output in one go: scale, bias, residual, activation, rounding. */
#ifndef HN_INT8_ENDING_H
#define HN_INT8_ENDING_H
#include "device/cpu/quant/int8_tile.h"
#include "device/kernel.h"

typedef struct hn_int8_way_out {
  hn_int8_ending ending;
  double by, shift;           /* the function is given (the real result) * by + shift */
  uint32_t residual;          /* an input of the output's shape, added to the result, or HN_NONE */
  hn_int8_residual residual_type;
  double residual_scale, residual_zero;
} hn_int8_way_out;

/* A product's constant bias of one float a column, or NULL: its third input, or what the first step of its epilogue adds (*steps: 1). */
const hn_arg *hn_int8_bias_of(const hn_task *t, uint32_t *steps);
/* Takes the bias and leading steps of the node's epilogue, all of them where the output is of bytes; sets t->fused, asks for the
   residual in layout `l` and in place where possible. False: an output of bytes whose steps it does not know; `t` is as before. */
bool hn_int8_way_out_take(hn_task *t, hn_layout l, bool residual, hn_int8_way_out *w);
/* The function of unary steps whose argument lies within least..most, for output 0, which is of bytes; no residual. False: it does
   not know them. */
bool hn_int8_function_of(const hn_task *t, const hn_step *steps, uint32_t n, double least, double most, hn_int8_way_out *w);
/* The reals that bytes can stand for. */
void hn_int8_range(const hn_arg *a, double *low, double *high);
/* Where bounds are those of the bytes, and no sum can leave the range in which floats become integers, none are needed. Units and
   biases: of all channels, as given to the function. */
void hn_int8_way_out_settle(hn_int8_way_out *w, const float *unit, const float *bias, int64_t n);
/* What the function is given for a result of sum * unit + bias: unit and bias. */
static inline float hn_int8_way_out_unit(const hn_int8_way_out *w, double unit) { return (float)(unit * w->by); }
static inline float hn_int8_way_out_bias(const hn_int8_way_out *w, double bias) {
  double zero = w->residual == HN_NONE ? 0 : w->residual_zero * w->residual_scale;
  return (float)((bias - zero) * w->by + w->shift);
}
#endif
