/* int8_tail.h - from a product as floats in scratch to an output of 8-bit integers: the node's epilogue as a chain. */
#ifndef HN_INT8_TAIL_H
#define HN_INT8_TAIL_H
#include "device/cpu/vec/chain.h"

typedef struct hn_int8_tail {
  hn_chain *chain;
  hn_view *views; /* the inputs, and the product */
  size_t bytes;   /* of the product, rounded up to whole cache lines */
} hn_int8_tail;

/* All of the node's steps, from a product in output 0's shape and layout. Sets t->fused. */
hone_status hn_int8_tail_plan(hn_task *t, hn_int8_tail *tail);
void hn_int8_tail_run(const hn_int8_tail *tail, hn_exec *x, void *product);
void hn_int8_tail_free(hn_int8_tail *tail);

/* What a unit of an accumulator is worth in channel c: the scale of input 0 times that of weights, input 1. */
static inline float hn_int8_unit(const hn_task *t, int64_t c) {
  const hn_quant *w = t->in[1].quant;
  return t->in[0].quant->scale * (w->scales ? (float)hn_tensor_f(w->scales, (size_t)c) : w->scale);
}
/* Integers times constant signed weights, to integers or floats. */
bool hn_int8_product(const hn_task *t);
#endif
