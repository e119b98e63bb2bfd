/* quantize_model.c - a model in lower precision, by what calibration found. */
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/dynamic.h"
#include "quant/short_floats.h"
#include "quant/weights.h"
#include "run/calibrate.h"
#include "run/options.h"

void hone_quantize_options_init(hone_quantize_options *options) {
  *options = (hone_quantize_options){.size = sizeof *options, .precision = HONE_PRECISION_INT8, .correct_bias = true};
}

/* What each node computes with, as the calibration and the caller say; nodes without a layer as all do. */
static hone_status precisions_by_node(const hone_model *m, const hone_calibration *c, const hone_quantize_options *o, hone_precision **out) {
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(m->g, &order, &n));
  hone_precision *p = hn_calloc(m->g->nodes.n, sizeof *p);
  for (size_t i = 0; p && i < m->g->nodes.n; i++) p[i] = o->precision;
  for (uint32_t i = 0; p && i < n; i++)
    if (o->layers && i < o->layer_count) p[order[i]] = o->layers[i];
    else if (c) hone_calibration_assigned(c, hn_node_at(m->g, order[i])->name, &p[order[i]]);
  hn_free(order);
  *out = p;
  return p ? HONE_OK : hn_nomem(m->cx);
}

/* Values have the numbers and names they were calibrated under. */
static hone_status same_model(const hn_graph *g, const hone_calibration *c) {
  for (size_t i = 0; i < c->n; i++)
    if (c->values[i].name && (i >= g->values.n || strcmp(g->values.p[i].name, c->values[i].name) != 0))
      return hn_fail(g->cx, HONE_BAD_ARG, "the calibration is not of this model");
  return HONE_OK;
}

static hone_status quantize(hn_graph *g, const hone_calibration *c, const bool *keep, const hone_quantize_options *o, hone_quantize_result *r) {
  const hn_refinement refine = {{.reconstruct = o->reconstruct, .correct_bias = o->correct_bias}, c->samples,
                                o->threads > 0 ? o->threads : hn_cpu_count(), o->progress, o->user};
  hn_range *ranges = hn_calloc(g->values.n, sizeof *ranges);
  if (!ranges) return hn_nomem(g->cx);
  hone_status st = same_model(g, c);
  for (size_t i = 0; i < c->n && !st; i++)
    if (c->values[i].name) ranges[i] = hn_calibrated_range(c, i);
  if (!st) st = hn_quantize_int8(g, ranges, keep, &refine, r);
  hn_free(ranges);
  return st;
}

static hone_status lower(hn_graph *g, const hone_calibration *c, hone_precision p, const bool *keep, const hone_quantize_options *o, hone_quantize_result *r) {
  switch (p) {
    case HONE_PRECISION_F32: return HONE_OK;
    case HONE_PRECISION_INT8: return quantize(g, c, keep, o, r);
    case HONE_PRECISION_BF16: return hn_quantize_half(g, HONE_DTYPE_BF16, keep, r);
    case HONE_PRECISION_F16: return hn_quantize_half(g, HONE_DTYPE_F16, keep, r);
    case HONE_PRECISION_INT8_WEIGHTS: return hn_quantize_weights(g, 8, keep, r);
    case HONE_PRECISION_INT4_WEIGHTS: return hn_quantize_weights(g, 4, keep, r);
    case HONE_PRECISION_INT8_DYNAMIC: return hn_quantize_dynamic(g, keep, r);
  }
  return HONE_OK;
}

static hone_status nothing_lowered(const hn_graph *g, hone_precision p, const hone_quantize_result *r) {
  if (p == HONE_PRECISION_INT8 && r->unseen)
    return hn_fail(g->cx, HONE_BAD_ARG, "nothing to quantize: none of the %u convolutions and matrix products has an input with a range", r->candidates);
  static const char *const what[] = {[HONE_PRECISION_INT4_WEIGHTS] = "matrix product", [HONE_PRECISION_INT8_DYNAMIC] = "matrix product or recurrent layer"};
  const char *layers = (size_t)p < sizeof what / sizeof *what && what[p] ? what[p] : "convolution or matrix product";
  if (r->candidates) return hn_fail(g->cx, HONE_BAD_ARG, "nothing to quantize: what there is, %u times %s, is to stay as it is", r->candidates, layers);
  return hn_fail(g->cx, HONE_BAD_ARG, "nothing to quantize: no %s of floats outside of branches and loops has constant weights (--fix decides a branch)", layers);
}

/* One precision after the other: each takes its layers and leaves those of the others, as what was added for them, alone. */
static hone_status lower_all(hn_graph *g, const hone_calibration *c, const hone_precision *of, const hone_quantize_options *o, hone_quantize_result *r) {
  const hone_precision turns[] = {o->precision, HONE_PRECISION_BF16, HONE_PRECISION_F16};
  size_t n = g->nodes.n;
  hone_status st = HONE_OK;
  for (size_t i = 0; i < sizeof turns / sizeof *turns && !st; i++) {
    if (i && turns[i] == o->precision) continue;
    bool *keep = hn_calloc(g->nodes.n, sizeof *keep);
    if (!keep) return hn_nomem(g->cx);
    for (size_t k = 0; k < g->nodes.n; k++) keep[k] = k >= n || of[k] != turns[i];
    hone_quantize_result own = {0};
    if (memchr(keep, false, g->nodes.n)) st = lower(g, c, turns[i], keep, o, &own);
    hn_free(keep);
    r->layers += own.layers;
    r->unseen += own.unseen;
    r->refined += own.refined;
    r->uncorrected += own.uncorrected;
    if (!i) r->candidates = own.candidates;
  }
  return st || r->layers || o->precision == HONE_PRECISION_F32 ? st : nothing_lowered(g, o->precision, r);
}

/* Of the layers' own precisions. */
static hone_status check_layers(const hone_model *m, const hone_quantize_options *o) {
  for (uint32_t i = 0; o->layers && i < o->layer_count; i++)
    if (o->layers[i] != o->precision && !hn_mixes(o->layers[i]))
      return hn_fail(m->cx, HONE_BAD_ARG, "layer %u cannot have precision %d where others have %d: F32, BF16 and F16 mix with others", i, (int)o->layers[i], (int)o->precision);
  return HONE_OK;
}

hone_status hone_model_quantize(hone_model *m, const hone_calibration *c, const hone_quantize_options *options, hone_quantize_result *result) {
  hone_quantize_options o;
  hone_quantize_result r = {0};
  hone_precision *of;
  HN_TRY(HN_OPTIONS(m->cx, hone_quantize_options, options, &o));
  if ((unsigned)o.precision > HONE_PRECISION_INT8_DYNAMIC) return hn_fail(m->cx, HONE_BAD_ARG, "there is no precision %d", (int)o.precision);
  HN_TRY(check_layers(m, &o));
  bool eight = o.precision == HONE_PRECISION_INT8;
  if (eight && c && o.reconstruct && !c->options.samples) return hn_fail(m->cx, HONE_BAD_ARG, "rounding by reconstruction needs a calibration with samples");
  if (eight && !c) return hn_fail(m->cx, HONE_BAD_ARG, "8-bit activations need a calibration: run the model on examples first");
  HN_TRY(precisions_by_node(m, c, &o, &of));
  hn_graph *g = hn_graph_clone(m->g);
  hone_status st = g ? lower_all(g, c, of, &o, &r) : hn_nomem(m->cx);
  hn_free(of);
  if (!st) st = hn_graph_verify(g);
  HN_TRY(hn_model_take(m, g, st));
  if (result) *result = r;
  return HONE_OK;
}

hone_status hone_model_balance(hone_model *m, hone_calibration *c, uint32_t by, int32_t threads, uint32_t *tensors) {
  uint32_t n = 0;
  if (by & ~(uint32_t)(HONE_BALANCE_WEIGHTS | HONE_BALANCE_ACTIVATIONS)) return hn_fail(m->cx, HONE_BAD_ARG, "there is no way of balancing 0x%x", by);
  if (by && !c->options.samples) return hn_fail(m->cx, HONE_BAD_ARG, "what balancing helps is measured: it needs a calibration with samples");
  hn_graph *g = hn_graph_clone(m->g);
  hn_channels *channels = hn_calloc(c->n > m->g->values.n ? c->n : m->g->values.n, sizeof *channels);
  hone_status st = g && channels ? same_model(m->g, c) : hn_nomem(m->cx);
  for (size_t i = 0; channels && i < c->n; i++) channels[i] = (hn_channels){c->values[i].low, c->values[i].high, c->values[i].factors, c->values[i].channels};
  if (!st && by) st = hn_balance_choose(g, by, channels, c->samples, threads > 0 ? threads : hn_cpu_count());
  for (size_t i = 0; channels && by && i < c->n; i++) c->values[i].factors = channels[i].factors;
  if (!st) st = hn_balance(g, channels, &n);
  hn_free(channels);
  HN_TRY(hn_model_take(m, g, st));
  for (size_t i = 0; i < c->n; i++) {
    hn_observer_free(&c->values[i].o);
    c->values[i].o = (hn_observer){0};
  }
  for (size_t i = 0; i < c->n_nodes; i++) /* a file's corrections are for the factors that it has, too */
    by ? hn_samples_free(&c->samples[i]) : hn_samples_empty(&c->samples[i]);
  c->balanced = n > 0;
  if (tensors) *tensors = n;
  return HONE_OK;
}
