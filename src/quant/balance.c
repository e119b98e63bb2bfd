#include "quant/balance.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/assign.h"
#include "rewrite/rewrite.h"

enum { PATCHES = 128, SHARES = 4 };
#define WORTH_CHANGING 0.95 /* of the error; less is chance */
#define WORTH_A_STEP 0.5    /* where the factors are one more step of an epilogue */
#define LARGEST_FACTOR 1e4

/* One tensor and the proposals for it. */
typedef struct choice {
  const hn_graph *g;
  const hn_channels *seen;
  const hn_samples *samples;
  hn_factor_place place;
  double *r, *best, *weight; /* by channel: factors at hand, the best ones, the largest weight that reads it */
  double error, none;        /* of the best ones, and of none */
  int threads;
} choice;

/* ------------------------------------------------------------------------------------------- the error */

/* One output's squares: what is off, and the result itself. */
typedef struct errors {
  const hn_tensor *w;
  const hn_columns *c;
  const hn_lanes *lanes;
  const double *r;
  int64_t first, k, step, outer; /* where the weights of an output lie; `first`: the group's first output */
  double *off, *whole;           /* by output */
  bool *failed;
} errors;

/* Weights with their inverse factors, to the nearest of 127 steps of the largest, and back. */
static void measure_output(const errors *e, int64_t o, float *off, float *whole) {
  const hn_columns *c = e->c;
  double scale = 0, sum = 0, all = 0;
  memset(off, 0, sizeof *off * c->pitch);
  memset(whole, 0, sizeof *whole * c->pitch);
  for (int64_t k = 0; k < e->k; k++) {
    int64_t at = o * e->outer + k * e->step;
    scale = fmax(scale, fabs(hn_tensor_f(e->w, (size_t)at)) / e->r[hn_channel_of(e->lanes, at)] / 127);
  }
  for (int64_t k = 0; k < e->k && scale > 0; k++) {
    int64_t at = o * e->outer + k * e->step;
    double f = e->r[hn_channel_of(e->lanes, at)], v = hn_tensor_f(e->w, (size_t)at);
    float exact = (float)v, rounded = (float)(rint(v / f / scale) * scale * f);
    const float *x = c->exact + (size_t)k * c->pitch, *q = c->rounded + (size_t)k * c->pitch;
    for (size_t i = 0; i < c->pitch; i++) {
      whole[i] += exact * x[i];
      off[i] += rounded * q[i] - exact * x[i];
    }
  }
  for (size_t i = 0; i < c->n; i++) {
    sum += (double)off[i] * (double)off[i];
    all += (double)whole[i] * (double)whole[i];
  }
  e->off[o] = sum;
  e->whole[o] = all;
}

static void measure_outputs(void *arg, int64_t begin, int64_t end) {
  const errors *e = arg;
  float *off = hn_malloc(2 * e->c->pitch * sizeof *off);
  if (!off) *e->failed = true;
  for (int64_t o = begin; o < end && off; o++) measure_output(e, e->first + o, off, off + e->c->pitch);
  hn_free(off);
}

/* The tensor's steps when its channels have the factors r. */
static hn_steps steps_with(const hn_channels *seen, const double *r) {
  double low = 0, high = 0;
  for (int64_t c = 0; c < seen->n; c++) {
    low = fmin(low, r[c] * (double)seen->low[c]);
    high = fmax(high, r[c] * (double)seen->high[c]);
  }
  double scale = fmax((high - low) / 255, 1e-30);
  return (hn_steps){scale, (int32_t)fmin(rint(-low / scale), 255)};
}

/* Of one layer that reads it: the square of what its results on the samples are off by, as a share of their own. */
static hone_status error_of(const choice *h, hn_id reader, double *error) {
  const hn_node *n = hn_node_at(h->g, reader);
  const hn_tensor *w = hn_const(h->g, n->in[1]);
  hn_lanes lanes = hn_lanes_of(n, w, true);
  hn_steps steps = steps_with(h->seen, h->r);
  bool conv = n->op == HN_Conv, failed = false;
  bool rows = conv || (n->op == HN_Gemm && hn_attr_i(n, "transB", 0)); /* an output's weights lie in a row */
  int64_t outputs = rows ? w->dims[0] : w->dims[1], k = w->count / outputs, groups = conv ? hn_attr_i(n, "group", 1) : 1, of_group = outputs / groups;
  errors e = {.w = w, .lanes = &lanes, .r = h->r, .k = k, .step = rows ? 1 : outputs, .outer = rows ? k : 1, .failed = &failed};
  e.off = hn_calloc((size_t)outputs * 2, sizeof *e.off);
  if (!e.off) return hn_nomem(h->g->cx);
  e.whole = e.off + outputs;
  for (; e.first < outputs && !failed; e.first += of_group) {
    hn_columns c;
    failed = !hn_columns_make(&h->samples[reader], e.first / of_group * k, k, &steps, h->r, PATCHES, &c);
    e.c = &c;
    if (!failed) hn_parallel_for(h->threads, of_group, 1, measure_outputs, &e);
    hn_columns_free(&c);
  }
  double off = 0, whole = 0;
  for (int64_t o = 0; o < outputs; o++) off += e.off[o], whole += e.whole[o];
  hn_free(e.off);
  *error += whole > 0 ? off / whole : 0;
  return failed ? hn_nomem(h->g->cx) : HONE_OK;
}

/* Tries the factors in h->r. */
static hone_status measure(choice *h, double *error) {
  const hn_value *v = hn_value_at(h->g, h->place.value);
  *error = 0;
  for (uint32_t u = 0; u < v->n_users; u++) HN_TRY(error_of(h, v->users[u], error));
  return HONE_OK;
}

static hone_status consider(choice *h) {
  double error;
  HN_TRY(measure(h, &error));
  if (error >= h->error) return HONE_OK;
  h->error = error;
  memcpy(h->best, h->r, sizeof *h->best * (size_t)h->place.n);
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- proposals */

static double magnitude(const choice *h, int64_t c) { return fmax((double)h->seen->high[c], -(double)h->seen->low[c]); }

/* The largest weight of each channel of a layer's input or output. */
static void largest_weights(const hn_graph *g, hn_id node, bool of_inputs, double *largest) {
  const hn_node *n = hn_node_at(g, node);
  const hn_tensor *w = hn_const(g, n->in[1]);
  hn_lanes l = hn_lanes_of(n, w, of_inputs);
  for (int64_t i = 0; i < w->count; i++) {
    int64_t c = hn_channel_of(&l, i);
    largest[c] = fmax(largest[c], fabs(hn_tensor_f(w, (size_t)i)));
  }
}

/* Brings the largest to 1; a channel that is silent beside others, or that no weight reads, has no factor of its own. */
static void tidy(choice *h) {
  double most = 0, top = 0, loudest = 0;
  for (int64_t c = 0; c < h->place.n; c++) top = fmax(top, magnitude(h, c));
  for (int64_t c = 0; c < h->place.n; c++) {
    if (!(magnitude(h, c) > top / LARGEST_FACTOR) || !(h->weight[c] > 0) || !isfinite(h->r[c])) h->r[c] = 0;
    most = fmax(most, h->r[c] * magnitude(h, c));
    loudest = fmax(loudest, h->r[c]);
  }
  for (int64_t c = 0; c < h->place.n; c++) {
    double r = h->r[c] > 0 && most > 0 ? h->r[c] * top / most : 1;
    h->r[c] = (double)(float)fmin(fmax(r, 1 / LARGEST_FACTOR), LARGEST_FACTOR);
  }
}

/* Both sides' weights get one range in each channel. */
static hone_status by_weights(choice *h) {
  double *made = hn_calloc((size_t)h->place.n, sizeof *made);
  if (!made) return hn_nomem(h->g->cx);
  largest_weights(h->g, h->place.producer, false, made);
  for (int64_t c = 0; c < h->place.n; c++) h->r[c] = made[c] > 0 ? sqrt(h->weight[c] / made[c]) : 0;
  hn_free(made);
  tidy(h);
  return consider(h);
}

/* Activations take a share of the exponents, the weights that read them the rest: all of it makes the activations alike. */
static hone_status by_activations(choice *h) {
  for (int s = 1; s <= SHARES; s++) {
    double share = (double)s / SHARES;
    for (int64_t c = 0; c < h->place.n; c++) h->r[c] = pow(h->weight[c], 1 - share) / pow(magnitude(h, c), share);
    tidy(h);
    HN_TRY(consider(h));
  }
  return HONE_OK;
}

static hone_status choose(choice *h, unsigned by, bool *worth) {
  const hn_value *v = hn_value_at(h->g, h->place.value);
  for (uint32_t u = 0; u < v->n_users; u++) largest_weights(h->g, v->users[u], true, h->weight);
  for (int64_t c = 0; c < h->place.n; c++) h->r[c] = 1;
  HN_TRY(measure(h, &h->none));
  h->error = h->none;
  if (by & HONE_BALANCE_WEIGHTS && h->place.inside) HN_TRY(by_weights(h));
  if (by & HONE_BALANCE_ACTIVATIONS) HN_TRY(by_activations(h));
  *worth = h->error < h->none * (h->place.passes ? WORTH_CHANGING : WORTH_A_STEP);
  return HONE_OK;
}

static bool sampled(const choice *h) {
  const hn_value *v = hn_value_at(h->g, h->place.value);
  for (uint32_t u = 0; u < v->n_users; u++)
    if (!h->samples[v->users[u]].n) return false;
  return true;
}

hone_status hn_balance_choose(const hn_graph *g, unsigned by, hn_channels *seen, const hn_samples *samples, int threads) {
  hone_status st = HONE_OK;
  for (hn_id v = 0; v < g->values.n && !st; v++) {
    choice h = {.g = g, .seen = &seen[v], .samples = samples, .threads = threads};
    bool worth = false;
    size_t n = (size_t)seen[v].n;
    if (!n || !seen[v].low || hn_value_at(g, v)->data || !hn_factors_fit(g, v, seen[v].n, &h.place) || !sampled(&h)) continue;
    h.r = hn_calloc(n * 3, sizeof *h.r);
    if (!h.r) return hn_nomem(g->cx);
    h.best = h.r + n;
    h.weight = h.best + n;
    hn_free(seen[v].factors);
    seen[v].factors = hn_malloc(n * sizeof *seen[v].factors);
    st = seen[v].factors ? choose(&h, by, &worth) : hn_nomem(g->cx);
    for (size_t c = 0; c < n && !st && worth; c++) seen[v].factors[c] = (float)h.best[c];
    if (!worth) hn_free(seen[v].factors);
    if (!worth) seen[v].factors = NULL;
    hn_free(h.r);
  }
  return st;
}

hone_status hn_balance(hn_graph *g, const hn_channels *seen, uint32_t *tensors) {
  hone_status st = HONE_OK;
  size_t n = g->values.n; /* constants are added */
  *tensors = 0;
  for (hn_id v = 0; v < n && !st; v++) {
    hn_factor_place place;
    if (!seen[v].factors) continue;
    double *r = hn_factors_fit(g, v, seen[v].n, &place) ? hn_calloc((size_t)seen[v].n, sizeof *r) : NULL;
    if (!r) return hn_fail(g->cx, HONE_BAD_ARG, "tensor '%s' cannot have %lld factors: no convolution or matrix product makes it for others alone, "
                           "or its channels are not as many", hn_value_at(g, v)->name, (long long)seen[v].n);
    for (int64_t c = 0; c < seen[v].n; c++) r[c] = (double)seen[v].factors[c];
    st = hn_factors_move(g, &place, r);
    hn_free(r);
    (*tensors)++;
  }
  return st ? st : g->oom ? hn_nomem(g->cx) : HONE_OK;
}
