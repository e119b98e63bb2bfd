/* calibrate.c - examples are run, and what tensors hold is observed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/assign.h"
#include "run/calibrate.h"
#include "run/options.h"
#include "run/session.h"

void hone_calibration_options_init(hone_calibration_options *options) {
  *options = (hone_calibration_options){.size = sizeof *options, .observer = HONE_OBSERVER_MINMAX, .percentile = 99.99, .samples = true};
}

static hone_status read_options(hone_context *cx, const hone_calibration_options *given, hone_calibration_options *o) {
  HN_TRY(HN_OPTIONS(cx, hone_calibration_options, given, o));
  if ((unsigned)o->observer > HONE_OBSERVER_MSE) return hn_fail(cx, HONE_BAD_ARG, "there is no observer %d", (int)o->observer);
  if (!(o->percentile > 50 && o->percentile <= 100))
    return hn_fail(cx, HONE_BAD_ARG, "percentile %g; choose one above 50, at most 100", o->percentile);
  return HONE_OK;
}

/* Samples of all layers together are bounded, too. */
static void share_memory(const hn_graph *g, hn_samples *s, size_t n) {
  const size_t all = (size_t)512 << 20, most = (size_t)8 << 20;
  size_t products = 0;
  for (size_t i = 0; i < n; i++) products += !g->nodes.p[i].dead && hn_is_product(g, &g->nodes.p[i]);
  for (size_t i = 0; i < n; i++) s[i].most_bytes = products * most > all ? all / products : most;
}

hone_status hone_calibration_create(const hone_model *m, const hone_calibration_options *options, hone_calibration **out) {
  hone_calibration_options o;
  HN_TRY(read_options(m->cx, options, &o));
  hone_calibration *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(m->cx);
  *c = (hone_calibration){.cx = m->cx, .options = o, .names = hn_arena_create(), .n = m->g->values.n, .n_nodes = m->g->nodes.n};
  c->values = hn_calloc(c->n, sizeof *c->values);
  c->samples = hn_calloc(c->n_nodes, sizeof *c->samples);
  bool ok = c->names && c->values && c->samples;
  for (size_t i = 0; ok && i < c->n; i++) {
    const hn_value *v = &m->g->values.p[i];
    if (v->data || v->dtype != HONE_DTYPE_F32) continue;
    c->values[i].axis = hn_channel_axis_of(m->g, (hn_id)i);
    c->values[i].name = hn_arena_strdup(c->names, v->name);
    c->values[i].node = v->producer;
    c->values[i].layer = hn_arena_strdup(c->names, v->producer == HN_NONE ? "" : hn_node_at(m->g, v->producer)->name);
    ok = c->values[i].name && c->values[i].layer;
  }
  if (!ok) {
    hone_calibration_destroy(&c);
    return hn_nomem(m->cx);
  }
  share_memory(m->g, c->samples, c->n_nodes);
  *out = c;
  return HONE_OK;
}

void hone_calibration_destroy(hone_calibration **calibration) {
  if (!calibration || !*calibration) return;
  hone_calibration *c = *calibration;
  for (size_t i = 0; c->values && i < c->n; i++) {
    hn_observer_free(&c->values[i].o);
    hn_free(c->values[i].low);
    hn_free(c->values[i].factors);
  }
  for (size_t i = 0; c->samples && i < c->n_nodes; i++) hn_samples_free(&c->samples[i]);
  hn_free(c->plain);
  hn_free(c->samples);
  hn_free(c->values);
  hn_free(c->assigned);
  hn_arena_destroy(c->names);
  hn_free(c);
  *calibration = NULL;
}

/* The range of each channel. */
static hone_status observe_channels(hone_calibration *c, hn_seen *v, const hn_view *view) {
  if (c->balanced || v->axis < 0 || v->axis >= view->rank) return HONE_OK;
  int64_t n = view->dims[v->axis], inner = 1;
  for (int32_t i = v->axis + 1; i < view->rank; i++) inner *= view->dims[i];
  if (!v->low) {
    v->low = hn_calloc((size_t)n * 2, sizeof *v->low);
    if (!v->low) return hn_nomem(c->cx);
    v->high = v->low + n;
    v->channels = n;
  }
  if (n != v->channels) return HONE_OK; /* a dimension that changes from run to run has no channels */
  const float *x = view->data;
  for (int64_t i = 0; i < view->count; i += inner) {
    float low = v->low[i / inner % n], high = v->high[i / inner % n];
    for (int64_t k = i; k < i + inner; k++) {
      low = x[k] < low ? x[k] : low;
      high = x[k] > high ? x[k] : high;
    }
    v->low[i / inner % n] = low;
    v->high[i / inner % n] = high;
  }
  return HONE_OK;
}

/* Samples of what the products that read a value read. */
static hone_status take_samples(hone_calibration *c, hn_graph *g, hn_id value, const hn_view *view) {
  const hn_value *v = hn_value_at(g, value);
  for (uint32_t u = 0; c->options.samples && u < v->n_users; u++) {
    hn_id id = v->users[u];
    const hn_node *n = hn_node_at(g, id);
    if (id >= c->n_nodes || n->in[0] != value || !hn_is_product(g, n)) continue;
    c->samples[id].seed += c->samples[id].x ? 0 : id;
    HN_TRY(hn_sample(g, n, view->data, view->rank, view->dims, &c->samples[id]));
  }
  return HONE_OK;
}

hone_status hone_calibration_observe(hone_calibration *c, const hone_session *s) {
  const hn_program *p = hn_session_kept(s);
  if (!p) return hn_fail(c->cx, HONE_BAD_ARG, "calibration needs a session with keep_all that has run");
  hn_graph *g = (hn_graph *)(uintptr_t)hn_program_graph(p);
  for (size_t i = 0; i < c->n; i++) {
    hn_seen *v = &c->values[i];
    hn_view view;
    bool there;
    size_t bad;
    if (!v->name || (v->fixed.known && !c->options.samples)) continue;
    if (i >= g->values.n || strcmp(g->values.p[i].name, v->name) != 0)
      return hn_fail(c->cx, HONE_BAD_ARG, "the session's model is not the one that is calibrated");
    HN_TRY(hn_program_value(p, (hn_id)i, &c->plain, &view, &there));
    if (!there || view.dtype != HONE_DTYPE_F32) continue;
    if (!hn_observe(&v->o, view.data, (size_t)view.count, hn_observer_needs_bins(c->options.observer), &bad)) return hn_nomem(c->cx);
    if (bad < (size_t)view.count)
      return hn_fail(c->cx, HONE_BAD_ARG, "tensor '%s'%s%s%s holds %s with this input: it cannot be quantized", v->name,
                     *v->layer ? " of layer '" : "", v->layer, *v->layer ? "'" : "", isnan(((const float *)view.data)[bad]) ? "NaN" : "infinity");
    HN_TRY(observe_channels(c, v, &view));
    HN_TRY(take_samples(c, g, (hn_id)i, &view));
  }
  return HONE_OK;
}

hn_range hn_calibrated_range(const hone_calibration *c, size_t i) {
  const hn_seen *v = &c->values[i];
  hn_range r = v->fixed;
  if (r.known || !v->name || !v->o.batches) return r;
  r.known = true;
  hn_observer_range(&v->o, c->options.observer, c->options.percentile, &r.low, &r.high);
  return r;
}

bool hone_calibration_range(const hone_calibration *c, const char *tensor, float *low, float *high) {
  for (size_t i = 0; i < c->n; i++) {
    if (!c->values[i].name || strcmp(c->values[i].name, tensor) != 0) continue;
    hn_range r = hn_calibrated_range(c, i);
    *low = r.low;
    *high = r.high;
    return r.known;
  }
  return false;
}

static hn_assigned *assignment_of(const hone_calibration *c, const char *layer) {
  for (size_t i = 0; i < c->n_assigned; i++)
    if (strcmp(c->assigned[i].layer, layer) == 0) return &c->assigned[i];
  return NULL;
}

bool hone_calibration_assigned(const hone_calibration *c, const char *layer, hone_precision *precision) {
  if (!layer) return c->settled;
  const hn_assigned *a = assignment_of(c, layer);
  if (a && precision) *precision = a->precision;
  return a != NULL;
}

hone_status hone_calibration_assign(hone_calibration *c, const char *layer, hone_precision precision) {
  if (layer && !hn_mixes(precision)) return hn_fail(c->cx, HONE_BAD_ARG, "layer '%s': a calibration notes layers of F32, BF16 and F16", layer);
  c->settled = true;
  if (!layer) return HONE_OK;
  hn_assigned *a = assignment_of(c, layer);
  if (a) {
    a->precision = precision;
    return HONE_OK;
  }
  const char *name = hn_arena_strdup(c->names, layer);
  hn_assigned *more = hn_realloc(c->assigned, (c->n_assigned + 1) * sizeof *more);
  if (more) c->assigned = more;
  if (!name || !more) return hn_nomem(c->cx);
  c->assigned[c->n_assigned++] = (hn_assigned){name, precision};
  return HONE_OK;
}

uint32_t hone_calibration_count(const hone_calibration *c) {
  uint32_t n = 0;
  for (size_t i = 0; i < c->n; i++) n += c->values[i].fixed.known || (c->values[i].name && c->values[i].o.batches);
  return n;
}

hn_samples *hn_correction_of(const hone_calibration *c, size_t value) {
  const hn_seen *v = &c->values[value];
  if (!v->name || v->node == HN_NONE || v->node >= c->n_nodes || assignment_of(c, v->layer)) return NULL;
  hn_samples *s = &c->samples[v->node];
  return s->shift && s->how.correct_bias && !s->how.reconstruct ? s : NULL;
}

uint32_t hone_calibration_corrections(const hone_calibration *c) {
  uint32_t n = 0;
  for (size_t i = 0; i < c->n; i++) n += hn_correction_of(c, i) != NULL;
  return n;
}
