#include "quant/reconstruct.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/parallel.h"
#include "op/scalar.h"
#include "quant/assign.h"

enum { SWEEPS = 4, LANES = HN_COLUMN_LANES };
#define DAMPING 0.01     /* of the mean square of the samples, added to each: what was not sampled counts a little too */
#define LEAST_WEIGHT 0.01f /* of a sample whose result the activation function cuts off */

typedef struct job {
  const hn_node *n;
  const hn_tensor *w, *bias;
  const double *scale;
  const hn_columns *c;
  hn_rounding how;
  bool shifts; /* there is a bias to be corrected */
  uint32_t steps_from; /* the first step behind the bias */
  int64_t k, step, outer; /* of an output's weights: their number, from one to the next, from the first of one output to the next's */
  int64_t first; /* output of the group at hand */
  int8_t *q;
  double *shift;
  atomic_bool failed;
} job;

/* Buffers for one output: what its results are off by, how much each sample counts, their product; by weight: error, squares. */
typedef struct row {
  float *left, *weight, *weighted, *error, *square, damping;
} row;

static float dot(const float *a, const float *b, size_t n) {
  float sum[LANES] = {0}, all = 0;
  for (size_t i = 0; i < n; i += LANES)
    for (int l = 0; l < LANES; l++) sum[l] += a[i + (size_t)l] * b[i + (size_t)l];
  for (int l = 0; l < LANES; l++) all += sum[l];
  return all;
}

static float dot_squares(const float *a, const float *b, size_t n) {
  float sum[LANES] = {0}, all = 0;
  for (size_t i = 0; i < n; i += LANES)
    for (int l = 0; l < LANES; l++) sum[l] += a[i + (size_t)l] * a[i + (size_t)l] * b[i + (size_t)l];
  for (int l = 0; l < LANES; l++) all += sum[l];
  return all;
}

static void add_scaled(float *to, const float *x, float by, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] += x[i] * by;
}

/* The layer's own activation function: the steps behind it and its bias up to the first with an operand. */
static double activated(const job *j, double y) {
  const hn_node *n = j->n;
  for (uint32_t i = j->steps_from; i < n->n_post && n->post[i].operand == HN_NONE; i++)
    y = hn_scalar_unary(n->post[i].op, y, (double)n->post[i].alpha, (double)n->post[i].beta);
  return y;
}

/* A sample counts as much as the activation function lets through of an error of the usual size. `y`: the results in floats. */
static void weigh(const job *j, const float *y, double bias, row *r) {
  const hn_columns *c = j->c;
  double h = sqrt((double)dot(r->left, r->left, c->pitch) / (double)c->n);
  bool plain = j->n->n_post <= j->steps_from || j->n->post[j->steps_from].operand != HN_NONE || !(h > 0);
  for (size_t i = 0; i < c->n; i++) {
    double at = (double)y[i] + bias, slope = plain ? 1 : (activated(j, at + h) - activated(j, at - h)) / (2 * h);
    float weight = (float)(slope * slope);
    r->weight[i] = weight > LEAST_WEIGHT ? weight : LEAST_WEIGHT; /* also NaN */
  }
}

/* Takes the mean of what is left out, as a bias can. */
static double centre(const job *j, row *r) {
  double sum = 0, weights = 0;
  for (size_t i = 0; i < j->c->n; i++) {
    sum += (double)(r->weight[i] * r->left[i]);
    weights += (double)r->weight[i];
  }
  for (size_t i = 0; i < j->c->n; i++) r->left[i] -= (float)(sum / weights);
  return -sum / weights;
}

static void mark(const job *j, row *r) {
  for (size_t i = 0; i < j->c->pitch; i++) r->weighted[i] = r->left[i] * r->weight[i];
}

/* Turns single weights to their other neighbour while the results over the samples come nearer to those of the real weights. */
static bool sweep(const job *j, int64_t first, row *r) {
  const hn_columns *c = j->c;
  bool changed = false;
  mark(j, r);
  for (int64_t k = 0; k < j->k; k++) {
    int8_t *at = &j->q[first + k * j->step];
    int other = r->error[k] > 0 ? *at - 1 : *at + 1;
    if (other < -127 || other > 127 || r->error[k] == 0) continue;
    const float *x = c->rounded + (size_t)k * c->pitch;
    float by = (float)(other - *at) * (float)j->scale[first / j->outer];
    if (2 * by * (dot(x, r->weighted, c->pitch) + r->damping * r->error[k]) + by * by * r->square[k] >= 0) continue;
    *at = (int8_t)other;
    r->error[k] += by;
    add_scaled(r->left, x, by, c->pitch);
    mark(j, r);
    changed = true;
  }
  return changed;
}

static void square_columns(const job *j, row *r) {
  double sum = 0;
  for (int64_t k = 0; k < j->k; k++) {
    r->square[k] = dot_squares(j->c->rounded + (size_t)k * j->c->pitch, r->weight, j->c->pitch);
    sum += (double)r->square[k];
  }
  r->damping = (float)(DAMPING * sum / (double)j->k);
  for (int64_t k = 0; k < j->k; k++) r->square[k] += r->damping;
}

static int8_t nearest(double v, double scale) {
  double n = rint(v / scale);
  return (int8_t)(n < -127 ? -127 : n > 127 ? 127 : n);
}

/* To the nearest first: what is left are the errors of the weights and of the input as 8 bits tell it. */
static void round_output(job *j, int64_t o, float *y, row *r) {
  const hn_columns *c = j->c;
  int64_t first = o * j->outer;
  memset(r->left, 0, sizeof *r->left * c->pitch);
  memset(y, 0, sizeof *y * c->pitch);
  for (int64_t k = 0; k < j->k; k++) {
    size_t at = (size_t)(first + k * j->step);
    double v = hn_tensor_f(j->w, at);
    int8_t n = nearest(v, j->scale[o]);
    j->q[at] = n;
    r->error[k] = (float)(n * j->scale[o] - v);
    add_scaled(y, c->exact + (size_t)k * c->pitch, (float)v, c->pitch);
    add_scaled(r->left, c->rounded + (size_t)k * c->pitch, (float)(n * j->scale[o]), c->pitch);
  }
  add_scaled(r->left, y, -1, c->pitch);
  weigh(j, y, j->bias ? hn_tensor_f(j->bias, (size_t)o) : 0, r);
  double shift = j->shifts ? centre(j, r) : 0;
  bool more = j->how.reconstruct;
  if (more) square_columns(j, r);
  for (int s = 0; s < SWEEPS && more; s++) {
    more = sweep(j, first, r);
    if (j->shifts) shift += centre(j, r);
  }
  j->shift[o] = (double)(float)shift; /* as a file keeps it */
}

static void round_outputs(void *arg, int64_t begin, int64_t end) {
  job *j = arg;
  size_t pitch = j->c->pitch, k = (size_t)j->k;
  float *y = hn_calloc(4 * pitch + 2 * k, sizeof *y);
  if (!y) j->failed = true;
  if (!y) return;
  row r = {.left = y + pitch, .weight = y + 2 * pitch, .weighted = y + 3 * pitch, .error = y + 4 * pitch, .square = y + 4 * pitch + k};
  for (int64_t o = begin; o < end; o++) round_output(j, j->first + o, y, &r);
  hn_free(y);
}

static hone_status round_anew(hn_graph *g, const hn_node *n, int32_t axis, const double *scale, const hn_steps *steps, const hn_samples *s, int threads,
                              job *j) {
  int64_t outputs = j->w->dims[axis], groups = n->op == HN_Conv ? hn_attr_i(n, "group", 1) : 1, of_group = outputs / groups;
  j->n = n;
  j->scale = scale;
  j->k = j->w->count / outputs;
  j->step = axis == 0 ? 1 : outputs;
  j->outer = axis == 0 ? j->k : 1;
  for (; j->first < outputs; j->first += of_group) {
    hn_columns c;
    if (!hn_columns_make(s, j->first / of_group * j->k, j->k, steps, NULL, s->n, &c)) return hn_nomem(g->cx);
    j->c = &c;
    hn_parallel_for(threads, of_group, 1, round_outputs, j);
    hn_columns_free(&c);
  }
  return j->failed ? hn_nomem(g->cx) : HONE_OK;
}

bool hn_rounding_known(const hn_samples *s, const hn_steps *steps, const hn_rounding *how) {
  return s->shift && s->steps.scale == steps->scale && s->steps.zero == steps->zero && s->how.reconstruct == how->reconstruct &&
         s->how.correct_bias == how->correct_bias;
}

hone_status hn_round_nearest(hone_context *cx, const hn_tensor *w, int32_t axis, const double *scale, hn_tensor **out) {
  hn_tensor *t = NULL;
  HN_TRY(hn_tensor_create(cx, HONE_DTYPE_I8, w->rank, w->dims, &t));
  int64_t n = w->dims[axis], inner = 1;
  for (int32_t i = axis + 1; i < w->rank; i++) inner *= w->dims[i];
  for (int64_t i = 0; i < w->count; i++) ((int8_t *)t->data)[i] = nearest(hn_tensor_f(w, (size_t)i), scale[i / inner % n]);
  *out = t;
  return HONE_OK;
}

/* Fits the weights to the samples, and keeps what comes of it. */
static hone_status fit(hn_graph *g, const hn_node *n, int32_t axis, const double *scale, const hn_steps *steps, hn_samples *s,
                       const hn_rounding *how, int threads, bool has_bias) {
  const hn_tensor *w = hn_const(g, n->in[1]);
  hn_tensor *t = NULL;
  HN_TRY(hn_tensor_create(g->cx, HONE_DTYPE_I8, w->rank, w->dims, &t));
  double *shift = hn_calloc((size_t)w->dims[axis], sizeof *shift);
  uint32_t bias_at = hn_bias_input(g, n, w->dims[axis]);
  job j = {.w = w, .bias = bias_at ? hn_const(g, n->in[bias_at]) : NULL, .how = *how, .shifts = has_bias && how->correct_bias,
           .steps_from = bias_at >= n->n_main, .q = t->data, .shift = shift};
  hone_status st = shift ? round_anew(g, n, axis, scale, steps, s, threads, &j) : hn_nomem(g->cx);
  if (st || !how->reconstruct) hn_tensor_unref(t); /* to the nearest is found again at once */
  if (st) {
    hn_free(shift);
    return st;
  }
  if (s->rounded) hn_tensor_unref(s->rounded);
  hn_free(s->shift);
  s->rounded = how->reconstruct ? t : NULL;
  s->shift = shift;
  s->outputs = w->dims[axis];
  s->steps = *steps;
  s->how = *how;
  return HONE_OK;
}

hone_status hn_round_weights(hn_graph *g, const hn_node *n, int32_t axis, const double *scale, const hn_steps *steps, hn_samples *s,
                             const hn_rounding *how, int threads, double *bias, hn_tensor **out) {
  const hn_tensor *w = hn_const(g, n->in[1]);
  if (!hn_rounding_known(s, steps, how)) HN_TRY(fit(g, n, axis, scale, steps, s, how, threads, bias));
  if (s->outputs != w->dims[axis])
    return hn_fail(g->cx, HONE_BAD_ARG, "layer '%s' has %lld outputs: it cannot have a correction of %lld numbers", n->name,
                   (long long)w->dims[axis], (long long)s->outputs);
  if (!s->rounded) HN_TRY(hn_round_nearest(g->cx, w, axis, scale, out));
  else *out = hn_tensor_ref(s->rounded);
  for (int64_t o = 0; o < s->outputs && bias; o++) bias[o] += s->shift[o];
  return HONE_OK;
}
