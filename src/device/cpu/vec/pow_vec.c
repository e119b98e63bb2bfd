/* pow_vec.c - powers of floats: the exponents that models have as products and roots, any other by the C library. */
#include <math.h>

#include "device/cpu/cpu.h"
#include "device/nd.h"

enum { GRAIN = 4096 };

bool pow_vec_supports(const hn_task *t) {
  return t->device && t->in[0].dtype == HONE_DTYPE_F32 && t->in[1].dtype == HONE_DTYPE_F32 && t->out[0].rank > 0 && !t->in[0].quant;
}

/* Channels last where the base lies so and the exponent is one number. */
static hn_layout layout_of(const hn_task *t) {
  const hn_arg *base = &t->in[0], *e = &t->in[1];
  bool one = e->rank == 0 || (e->constant && e->constant->count == 1);
  bool whole = base->rank == t->out[0].rank;
  for (int32_t i = 0; i < base->rank && whole; i++) whole = base->dims[i] == t->out[0].dims[i];
  return one && whole && base->layout == HN_LAYOUT_NHWC ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
}

hone_status pow_vec_plan(hn_task *t) {
  hn_arg *out = &t->out[0];
  hn_nd *nd = hn_calloc(1, sizeof *nd);
  t->state = nd;
  if (!nd) return hn_nomem(t->cx);
  out->layout = t->in[0].layout = layout_of(t);
  t->in[1].layout = HN_LAYOUT_PLAIN;
  hn_nd_begin(nd, out->layout, out->rank, out->dims, 0);
  for (int i = 0; i < 2; i++)
    if (!hn_nd_operand(nd, out->layout, out->rank, out->dims, &t->in[i])) return HONE_UNSUPPORTED;
  hn_nd_merge(nd);
  return HONE_OK;
}

typedef struct powers {
  const float *base, *exponent;
  float *out;
  int64_t step[3];
} powers;

static float root(float x) { return x == -INFINITY ? INFINITY : sqrtf(x + 0.0f); } /* of -0 it is 0 */

/* d = x to the e, x a run. */
static void run_one(float *restrict d, const float *restrict x, float e, int64_t n) {
  if (e == 2) {
    for (int64_t i = 0; i < n; i++) d[i] = x[i] * x[i];
  } else if (e == 3) {
    for (int64_t i = 0; i < n; i++) d[i] = x[i] * x[i] * x[i];
  } else if (e == 0.5f) {
    for (int64_t i = 0; i < n; i++) d[i] = root(x[i]);
  } else if (e == -1) {
    for (int64_t i = 0; i < n; i++) d[i] = 1 / x[i];
  } else {
    for (int64_t i = 0; i < n; i++) d[i] = powf(x[i], e);
  }
}

static void run_powers(void *arg, const int64_t *at, int64_t n) {
  const powers *p = arg;
  const float *x = p->base + at[1], *e = p->exponent + at[2];
  float *d = p->out + at[0];
  if (p->step[1] == 1 && p->step[2] == 0 && p->step[0] == 1) run_one(d, x, *e, n);
  else
    for (int64_t i = 0; i < n; i++) d[i * p->step[0]] = powf(x[i * p->step[1]], e[i * p->step[2]]);
}

hone_status pow_vec_run(hn_exec *x) {
  const hn_nd *nd = x->task->state;
  powers p = {.base = x->in[0].data, .exponent = x->in[1].data, .out = x->out[0].data};
  for (int k = 0; k < 3; k++) p.step[k] = nd->stride[k][nd->rank - 1];
  hn_nd_for(nd, x->threads, GRAIN, run_powers, &p);
  return HONE_OK;
}

void pow_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
