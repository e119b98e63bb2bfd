/* calibrate.c - the public face of calibration and quantization. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "quant/balance.h"
#include "quant/assign.h"
#include "quant/equalize.h"
#include "quant/observer.h"
#include "quant/short_floats.h"
#include "quant/quantize.h"
#include "quant/dynamic.h"
#include "quant/weights.h"
#include "run/model.h"
#include "run/session.h"
#include "run/options.h"

typedef struct seen {
  const char *name;  /* of the tensor; NULL: not an activation of floats */
  const char *layer; /* that makes it */
  hn_observer o;
  hn_range fixed;    /* read from a file */
  int32_t axis;      /* of its channels; -1: it has none that matter */
  float *largest;    /* magnitude of each channel, `channels` of them */
  int64_t channels;
} seen;

struct hone_calibration {
  hone_context *cx;
  hone_calibration_options options;
  hn_arena *names;
  seen *values; /* by value id */
  size_t n;
  hn_samples *samples; /* by node id; NULL: none are wanted */
  size_t n_nodes;
  const char **kept; /* layers that stay in floats */
  size_t n_kept;
  bool settled; /* which do */
  bool balanced; /* channels are those of the model before it was balanced */
};

void hone_calibration_options_init(hone_calibration_options *options) {
  *options = (hone_calibration_options){.size = sizeof *options, .observer = HONE_OBSERVER_MINMAX, .percentile = 99.99};
}

static hone_status read_options(hone_context *cx, const hone_calibration_options *given, hone_calibration_options *o) {
  HN_TRY(HN_OPTIONS(cx, hone_calibration_options, given, o));
  if ((unsigned)o->observer > HONE_OBSERVER_MSE) return hn_fail(cx, HONE_BAD_ARG, "there is no observer %d", (int)o->observer);
  if (!(o->percentile > 50 && o->percentile <= 100))
    return hn_fail(cx, HONE_BAD_ARG, "percentile %g; choose one above 50, at most 100", o->percentile);
  return HONE_OK;
}

hone_status hone_calibration_create(const hone_model *m, const hone_calibration_options *options, hone_calibration **out) {
  hone_calibration_options o;
  HN_TRY(read_options(m->cx, options, &o));
  hone_calibration *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(m->cx);
  *c = (hone_calibration){.cx = m->cx, .options = o, .names = hn_arena_create(), .n = m->g->values.n, .n_nodes = m->g->nodes.n};
  c->values = hn_calloc(c->n, sizeof *c->values);
  if (o.samples) c->samples = hn_calloc(c->n_nodes, sizeof *c->samples);
  bool ok = c->names && c->values && (c->samples || !o.samples);
  for (size_t i = 0; ok && i < c->n; i++) {
    const hn_value *v = &m->g->values.p[i];
    if (v->data || v->dtype != HONE_DTYPE_F32) continue;
    c->values[i].axis = hn_channel_axis_of(m->g, (hn_id)i);
    c->values[i].name = hn_arena_strdup(c->names, v->name);
    c->values[i].layer = hn_arena_strdup(c->names, v->producer == HN_NONE ? "" : hn_node_at(m->g, v->producer)->name);
    ok = c->values[i].name && c->values[i].layer;
  }
  if (!ok) {
    hone_calibration_destroy(&c);
    return hn_nomem(m->cx);
  }
  *out = c;
  return HONE_OK;
}

void hone_calibration_destroy(hone_calibration **calibration) {
  if (!calibration || !*calibration) return;
  hone_calibration *c = *calibration;
  for (size_t i = 0; c->values && i < c->n; i++) {
    hn_observer_free(&c->values[i].o);
    hn_free(c->values[i].largest);
  }
  for (size_t i = 0; c->samples && i < c->n_nodes; i++) hn_samples_free(&c->samples[i]);
  hn_free(c->samples);
  hn_free(c->values);
  hn_free(c->kept);
  hn_arena_destroy(c->names);
  hn_free(c);
  *calibration = NULL;
}

/* The largest magnitude of each channel. */
static hone_status observe_channels(hone_calibration *c, seen *v, const hn_view *view) {
  if (c->balanced || v->axis < 0 || v->axis >= view->rank) return HONE_OK;
  int64_t n = view->dims[v->axis], inner = 1;
  for (int32_t i = v->axis + 1; i < view->rank; i++) inner *= view->dims[i];
  if (!v->largest) {
    v->largest = hn_calloc((size_t)n, sizeof *v->largest);
    if (!v->largest) return hn_nomem(c->cx);
    v->channels = n;
  }
  if (n != v->channels) return HONE_OK; /* a dimension that changes from run to run has no channels */
  const float *x = view->data;
  for (int64_t i = 0; i < view->count; i += inner) {
    float top = v->largest[i / inner % n];
    for (int64_t k = i; k < i + inner; k++) top = fabsf(x[k]) > top ? fabsf(x[k]) : top;
    v->largest[i / inner % n] = top;
  }
  return HONE_OK;
}

/* Samples of what the products that read a value read. */
static hone_status take_samples(hone_calibration *c, hn_graph *g, hn_id value, const hn_view *view) {
  const hn_value *v = hn_value_at(g, value);
  for (uint32_t u = 0; c->samples && u < v->n_users; u++) {
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
    seen *v = &c->values[i];
    hn_view view;
    size_t bad;
    if (!v->name || (v->fixed.known && !c->samples)) continue;
    if (i >= g->values.n || strcmp(g->values.p[i].name, v->name) != 0)
      return hn_fail(c->cx, HONE_BAD_ARG, "the session's model is not the one that is calibrated");
    if (!hn_program_value(p, (hn_id)i, &view) || view.dtype != HONE_DTYPE_F32) continue;
    if (!hn_observe(&v->o, view.data, (size_t)view.count, hn_observer_needs_bins(c->options.observer), &bad)) return hn_nomem(c->cx);
    if (bad < (size_t)view.count)
      return hn_fail(c->cx, HONE_BAD_ARG, "tensor '%s'%s%s%s holds %s with this input: it cannot be quantized", v->name,
                     *v->layer ? " of layer '" : "", v->layer, *v->layer ? "'" : "", isnan(((const float *)view.data)[bad]) ? "NaN" : "infinity");
    HN_TRY(observe_channels(c, v, &view));
    HN_TRY(take_samples(c, g, (hn_id)i, &view));
  }
  return HONE_OK;
}

static hn_range range_of(const hone_calibration *c, size_t i) {
  const seen *v = &c->values[i];
  hn_range r = v->fixed;
  if (r.known || !v->name || !v->o.batches) return r;
  r.known = true;
  hn_observer_range(&v->o, c->options.observer, c->options.percentile, &r.low, &r.high);
  return r;
}

bool hone_calibration_range(const hone_calibration *c, const char *tensor, float *low, float *high) {
  for (size_t i = 0; i < c->n; i++) {
    if (!c->values[i].name || strcmp(c->values[i].name, tensor) != 0) continue;
    hn_range r = range_of(c, i);
    *low = r.low;
    *high = r.high;
    return r.known;
  }
  return false;
}

bool hone_calibration_keeps(const hone_calibration *c, const char *layer) {
  if (!layer) return c->settled;
  for (size_t i = 0; i < c->n_kept; i++)
    if (strcmp(c->kept[i], layer) == 0) return true;
  return false;
}

hone_status hone_calibration_keep(hone_calibration *c, const char *layer) {
  c->settled = true;
  if (!layer || hone_calibration_keeps(c, layer)) return HONE_OK;
  const char *name = hn_arena_strdup(c->names, layer), **kept = hn_realloc(c->kept, (c->n_kept + 1) * sizeof *kept);
  if (kept) c->kept = kept;
  if (!name || !kept) return hn_nomem(c->cx);
  c->kept[c->n_kept++] = name;
  return HONE_OK;
}

uint32_t hone_calibration_count(const hone_calibration *c) {
  uint32_t n = 0;
  for (size_t i = 0; i < c->n; i++) n += c->values[i].fixed.known || (c->values[i].name && c->values[i].o.batches);
  return n;
}

/* ---------------------------------------------------------------------------------------- the cache file */

static const char first_line[] = "# hone calibration 1";

static void add_quoted(hn_str *s, const char *text) {
  hn_str_add(s, "\"");
  for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
    if (*p == '"' || *p == '\\') hn_str_printf(s, "\\%c", *p);
    else if (*p < ' ') hn_str_printf(s, "\\u%04x", *p);
    else hn_str_printf(s, "%c", *p);
  }
  hn_str_add(s, "\"");
}

hone_status hone_calibration_save(const hone_calibration *c, const char *path) {
  static const char *const names[] = {"minmax", "moving-average", "percentile", "entropy", "mse"};
  hn_str s = {0};
  hn_writer *w;
  hn_str_printf(&s, "%s, observer %s\n# tensor, low, high\n", first_line, names[c->options.observer]);
  for (size_t i = 0; i < c->n; i++) {
    hn_range r = range_of(c, i);
    if (!r.known) continue;
    add_quoted(&s, c->values[i].name);
    hn_str_printf(&s, " %.9g %.9g\n", (double)r.low, (double)r.high);
  }
  if (c->balanced) hn_str_add(&s, "# largest magnitudes of channels before they were balanced\n");
  for (size_t i = 0; i < c->n && c->balanced; i++) {
    if (!c->values[i].largest) continue;
    hn_str_add(&s, "channels ");
    add_quoted(&s, c->values[i].name);
    for (int64_t k = 0; k < c->values[i].channels; k++) hn_str_printf(&s, " %.9g", (double)c->values[i].largest[k]);
    hn_str_add(&s, "\n");
  }
  if (c->settled) hn_str_add(&s, c->n_kept ? "# layers that stay in floats\n" : "keep none\n");
  for (size_t i = 0; i < c->n_kept; i++) {
    hn_str_add(&s, "keep ");
    add_quoted(&s, c->kept[i]);
    hn_str_add(&s, "\n");
  }
  hone_status st = s.failed ? hn_nomem(c->cx) : hn_writer_open(c->cx, path, &w);
  if (!st && (st = hn_writer_put(w, s.p, s.n))) hn_writer_abort(&w);
  else if (!st) st = hn_writer_commit(&w);
  hn_str_free(&s);
  return st;
}

/* Undoes add_quoted in place; the rest of the line, or NULL. */
static char *unquote(char *line) {
  char *to = line;
  if (*line != '"') return NULL;
  for (char *p = line + 1; *p; p++) {
    unsigned code;
    if (*p == '"') {
      *to = 0;
      return p + 1;
    }
    if (*p == '\\' && p[1] == 'u' && sscanf(p + 2, "%4x", &code) == 1 && code < ' ') {
      *to++ = (char)code;
      p += 5;
    } else {
      if (*p == '\\' && p[1]) p++;
      *to++ = *p;
    }
  }
  return NULL;
}

/* `keep "NAME"` or `keep none` */
static hone_status read_kept(hone_calibration *c, const char *path, int number, char *text) {
  text += strspn(text, " \t");
  if (strncmp(text, "none", 4) == 0 && !text[4 + strspn(text + 4, " \t\r")]) return hone_calibration_keep(c, NULL);
  char *rest = unquote(text);
  return rest ? hone_calibration_keep(c, text) : hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: 'keep' needs a layer's name in quotes, or none", path, number);
}

/* `channels "NAME" MAGNITUDE ...` */
static hone_status read_channels(hone_calibration *c, const char *path, int number, char *text) {
  text += strspn(text, " \t");
  char *rest = unquote(text), *end;
  int64_t n = 0, room = 0;
  float *v = NULL;
  for (; rest && rest[strspn(rest, " \t\r")]; rest = end) {
    float x = strtof(rest, &end);
    if (end == rest || !isfinite(x) || x < 0) rest = NULL;
    if (!rest) break;
    if (n == room) {
      room = room ? room * 2 : 64;
      float *more = hn_realloc(v, (size_t)room * sizeof *v);
      if (!more) {
        hn_free(v);
        return hn_nomem(c->cx);
      }
      v = more;
    }
    v[n++] = x;
  }
  if (!rest || !n) {
    hn_free(v);
    return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: 'channels' needs a tensor's name in quotes and magnitudes, none below 0", path, number);
  }
  for (size_t i = 0; i < c->n && v; i++) {
    seen *s = &c->values[i];
    if (!s->name || strcmp(s->name, text) != 0) continue;
    hn_free(s->largest);
    s->largest = v;
    s->channels = n;
    v = NULL;
  }
  hn_free(v);
  return HONE_OK;
}

static hone_status read_line(hone_calibration *c, const char *path, int number, char *line) {
  if (strncmp(line, "channels ", 9) == 0) return read_channels(c, path, number, line + 9);
  if (strncmp(line, "keep ", 5) == 0) return read_kept(c, path, number, line + 5);
  char *rest = unquote(line), *end;
  if (!rest) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: no tensor name in quotes", path, number);
  float low = strtof(rest, &end);
  bool ok = end != rest;
  rest = end;
  float high = strtof(rest, &end);
  ok = ok && end != rest && !end[strspn(end, " \t\r")];
  if (!ok || !isfinite(low) || !isfinite(high) || low > high)
    return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: '%s' needs two numbers, the lower one first", path, number, line);
  for (size_t i = 0; i < c->n; i++)
    if (c->values[i].name && strcmp(c->values[i].name, line) == 0) c->values[i].fixed = (hn_range){true, low, high};
  return HONE_OK;
}

hone_status hone_calibration_load(hone_calibration *c, const char *path) {
  hn_mapping *m;
  HN_TRY(hn_map_file(c->cx, path, &m));
  size_t size = hn_mapping_size(m);
  char *text = hn_malloc(size + 1);
  hone_status st = text ? HONE_OK : hn_nomem(c->cx);
  if (!st) {
    if (size) memcpy(text, hn_mapping_data(m), size);
    text[size] = 0;
    if (strlen(text) != size || strncmp(text, first_line, strlen(first_line)) != 0)
      st = hn_fail(c->cx, HONE_BAD_FORMAT, "%s: not a calibration cache: it does not begin with '%s'", path, first_line);
  }
  char *line = text;
  for (int number = 1; !st && line && *line; number++) {
    char *end = strchr(line, '\n');
    if (end) *end = 0;
    if (line[strspn(line, " \t\r")] && *line != '#') st = read_line(c, path, number, line);
    line = end ? end + 1 : NULL;
  }
  hn_free(text);
  hn_mapping_unref(m);
  return st;
}

/* ---------------------------------------------------------------------------------------- quantization */

void hone_quantize_options_init(hone_quantize_options *options) {
  *options = (hone_quantize_options){.size = sizeof *options, .precision = HONE_PRECISION_INT8};
}

/* The caller's flags by layer, and the calibration's by name, as flags by node. */
static hone_status flags_by_node(const hone_model *m, const hone_calibration *c, const hone_quantize_options *o, bool **keep) {
  hn_id *order;
  uint32_t n;
  *keep = NULL;
  if (!o->keep && !(c && c->n_kept)) return HONE_OK;
  HN_TRY(hn_graph_order(m->g, &order, &n));
  bool *k = hn_calloc(m->g->nodes.n, sizeof *k);
  for (uint32_t i = 0; k && i < n; i++)
    k[order[i]] = (o->keep && i < o->keep_count && o->keep[i]) || (c && hone_calibration_keeps(c, hn_node_at(m->g, order[i])->name));
  hn_free(order);
  *keep = k;
  return k ? HONE_OK : hn_nomem(m->cx);
}

/* Values have the numbers and names they were calibrated under. */
static hone_status same_model(const hn_graph *g, const hone_calibration *c) {
  for (size_t i = 0; i < c->n; i++)
    if (c->values[i].name && (i >= g->values.n || strcmp(g->values.p[i].name, c->values[i].name) != 0))
      return hn_fail(g->cx, HONE_BAD_ARG, "the calibration is not of this model");
  return HONE_OK;
}

/* Takes over what a changed clone of the graph is, if the change went well. */
static hone_status take_graph(hone_model *m, hn_graph *g, hone_status st) {
  if (st) {
    hn_graph_destroy(g);
    return st;
  }
  hn_graph_destroy(m->g);
  m->g = g;
  hn_model_changed(m);
  return HONE_OK;
}

static hone_status quantize(hn_graph *g, const hone_calibration *c, const bool *keep, const hone_quantize_options *o, hone_quantize_result *r) {
  const hn_refinement refine = {{.reconstruct = o->reconstruct, .correct_bias = o->correct_bias}, c->samples};
  hn_range *ranges = hn_calloc(g->values.n, sizeof *ranges);
  if (!ranges) return hn_nomem(g->cx);
  hone_status st = same_model(g, c);
  for (size_t i = 0; i < c->n && !st; i++)
    if (c->values[i].name) ranges[i] = range_of(c, i);
  if (!st) st = hn_quantize_int8(g, ranges, keep, &refine, r);
  hn_free(ranges);
  return st;
}

hone_status hone_model_quantize(hone_model *m, const hone_calibration *c, const hone_quantize_options *options, hone_quantize_result *result) {
  hone_quantize_options o;
  hone_quantize_result r = {0};
  bool *keep;
  HN_TRY(HN_OPTIONS(m->cx, hone_quantize_options, options, &o));
  if (o.precision == HONE_PRECISION_F32) return HONE_OK;
  if ((unsigned)o.precision > HONE_PRECISION_INT8_DYNAMIC) return hn_fail(m->cx, HONE_BAD_ARG, "there is no precision %d", (int)o.precision);
  bool eight = o.precision == HONE_PRECISION_INT8;
  if (eight && c && (o.correct_bias || o.reconstruct) && !c->samples)
    return hn_fail(m->cx, HONE_BAD_ARG, "correcting biases and rounding by reconstruction need a calibration with samples");
  if (eight && !c) return hn_fail(m->cx, HONE_BAD_ARG, "8-bit activations need a calibration: run the model on examples first");
  HN_TRY(flags_by_node(m, c, &o, &keep));
  hn_graph *g = hn_graph_clone(m->g);
  hone_status st = !g      ? hn_nomem(m->cx)
                   : eight ? quantize(g, c, keep, &o, &r)
                   : o.precision == HONE_PRECISION_INT8_DYNAMIC ? hn_quantize_dynamic(g, keep, &r)
                   : o.precision >= HONE_PRECISION_INT8_WEIGHTS
                       ? hn_quantize_weights(g, o.precision == HONE_PRECISION_INT4_WEIGHTS ? 4 : 8, keep, &r)
                           : hn_quantize_half(g, o.precision == HONE_PRECISION_BF16 ? HONE_DTYPE_BF16 : HONE_DTYPE_F16, keep, &r);
  hn_free(keep);
  if (!st) st = hn_graph_verify(g);
  HN_TRY(take_graph(m, g, st));
  if (result) *result = r;
  return HONE_OK;
}

hone_status hone_model_equalize(hone_model *m, uint32_t *pairs) {
  uint32_t n = 0;
  hn_graph *g = hn_graph_clone(m->g);
  HN_TRY(take_graph(m, g, g ? hn_equalize(g, &n) : hn_nomem(m->cx)));
  if (pairs) *pairs = n;
  return HONE_OK;
}

hone_status hone_model_balance(hone_model *m, hone_calibration *c, uint32_t *tensors) {
  uint32_t n = 0;
  hn_graph *g = hn_graph_clone(m->g);
  hn_channels *channels = hn_calloc(m->g->values.n, sizeof *channels);
  hone_status st = g && channels ? same_model(m->g, c) : hn_nomem(m->cx);
  for (size_t i = 0; !st && i < c->n; i++)
    if (c->values[i].largest) channels[i] = (hn_channels){c->values[i].largest, c->values[i].channels};
  if (!st) st = hn_balance(g, channels, &n);
  hn_free(channels);
  HN_TRY(take_graph(m, g, st));
  for (size_t i = 0; i < c->n; i++) {
    hn_observer_free(&c->values[i].o);
    c->values[i].o = (hn_observer){0};
  }
  for (size_t i = 0; c->samples && i < c->n_nodes; i++) hn_samples_free(&c->samples[i]);
  c->balanced = true;
  if (tensors) *tensors = n;
  return HONE_OK;
}
