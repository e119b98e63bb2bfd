/* calibrate.c - the public face of calibration and quantization. */
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/parallel.h"
#include "base/str.h"
#include "quant/balance.h"
#include "quant/assign.h"
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
  hn_id node;        /* the same, HN_NONE: it is an input */
  hn_observer o;
  hn_range fixed;    /* read from a file, */
  int line;          /* this one of it */
  int32_t axis;      /* of its channels; -1: it has none that matter */
  float *low, *high; /* of each channel, `channels` of them, in one piece */
  float *factors;    /* that balancing gives each channel; NULL: none */
  int64_t channels;
} seen;

typedef struct assignment {
  const char *layer;
  hone_precision precision;
} assignment;

struct hone_calibration {
  hone_context *cx;
  hone_calibration_options options;
  hn_arena *names;
  seen *values; /* by value id */
  size_t n;
  float *plain; /* a tensor that lies otherwise than row-major, at a time */
  hn_samples *samples; /* by node id */
  size_t n_nodes;
  assignment *assigned; /* layers that do not become 8 bits */
  size_t n_assigned;
  bool settled; /* which do not */
  bool balanced; /* the model has been: what is seen is the balanced one's */
};

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
static hone_status observe_channels(hone_calibration *c, seen *v, const hn_view *view) {
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
    seen *v = &c->values[i];
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

/* Those that a note may give a layer. */
static const struct {
  hone_precision precision;
  const char *word;
} notes[] = {{HONE_PRECISION_F32, "keep"}, {HONE_PRECISION_BF16, "bf16"}, {HONE_PRECISION_F16, "f16"}};
enum { N_NOTES = sizeof notes / sizeof *notes };

static const char *word_of(hone_precision p) {
  for (size_t i = 0; i < N_NOTES; i++)
    if (notes[i].precision == p) return notes[i].word;
  return NULL;
}

static assignment *assignment_of(const hone_calibration *c, const char *layer) {
  for (size_t i = 0; i < c->n_assigned; i++)
    if (strcmp(c->assigned[i].layer, layer) == 0) return &c->assigned[i];
  return NULL;
}

bool hone_calibration_assigned(const hone_calibration *c, const char *layer, hone_precision *precision) {
  if (!layer) return c->settled;
  const assignment *a = assignment_of(c, layer);
  if (a && precision) *precision = a->precision;
  return a != NULL;
}

hone_status hone_calibration_assign(hone_calibration *c, const char *layer, hone_precision precision) {
  if (layer && !word_of(precision)) return hn_fail(c->cx, HONE_BAD_ARG, "layer '%s': a calibration notes layers of F32, BF16 and F16", layer);
  c->settled = true;
  if (!layer) return HONE_OK;
  assignment *a = assignment_of(c, layer);
  if (a) {
    a->precision = precision;
    return HONE_OK;
  }
  const char *name = hn_arena_strdup(c->names, layer);
  assignment *more = hn_realloc(c->assigned, (c->n_assigned + 1) * sizeof *more);
  if (more) c->assigned = more;
  if (!name || !more) return hn_nomem(c->cx);
  c->assigned[c->n_assigned++] = (assignment){name, precision};
  return HONE_OK;
}

uint32_t hone_calibration_count(const hone_calibration *c) {
  uint32_t n = 0;
  for (size_t i = 0; i < c->n; i++) n += c->values[i].fixed.known || (c->values[i].name && c->values[i].o.batches);
  return n;
}

/* What takes the mean error of 8 bits out of the bias of the layer that makes a value, weights being rounded to the nearest; NULL: nothing known. */
static hn_samples *correction_of(const hone_calibration *c, size_t value) {
  const seen *v = &c->values[value];
  if (!v->name || v->node == HN_NONE || v->node >= c->n_nodes || assignment_of(c, v->layer)) return NULL;
  hn_samples *s = &c->samples[v->node];
  return s->shift && s->how.correct_bias && !s->how.reconstruct ? s : NULL;
}

uint32_t hone_calibration_corrections(const hone_calibration *c) {
  uint32_t n = 0;
  for (size_t i = 0; i < c->n; i++) n += correction_of(c, i) != NULL;
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
  if (c->balanced) hn_str_add(&s, "# factors of channels, which the ranges are taken with\n");
  for (size_t i = 0; i < c->n; i++) {
    if (!c->values[i].factors) continue;
    hn_str_add(&s, "factors ");
    add_quoted(&s, c->values[i].name);
    for (int64_t k = 0; k < c->values[i].channels; k++) hn_str_printf(&s, " %.9g", (double)c->values[i].factors[k]);
    hn_str_add(&s, "\n");
  }
  if (hone_calibration_corrections(c)) hn_str_add(&s, "# tensor whose layer's bias is corrected, scale and zero of its input; of each output how much\n");
  for (size_t i = 0; i < c->n; i++) {
    const hn_samples *k = correction_of(c, i);
    if (!k) continue;
    hn_str_add(&s, "correction ");
    add_quoted(&s, c->values[i].name);
    hn_str_printf(&s, " %.17g %d", k->steps.scale, (int)k->steps.zero);
    for (int64_t o = 0; o < k->outputs; o++) hn_str_printf(&s, " %.9g", k->shift[o]);
    hn_str_add(&s, "\n");
  }
  if (c->settled) hn_str_add(&s, c->n_assigned ? "# layers that stay in floats, of 32 bits (keep) or of 16\n" : "keep none\n");
  for (size_t i = 0; i < c->n_assigned; i++) {
    hn_str_printf(&s, "%s ", word_of(c->assigned[i].precision));
    add_quoted(&s, c->assigned[i].layer);
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
    unsigned code = 0;
    if (*p == '"') {
      *to = 0;
      return p + 1;
    }
    if (*p == '\\' && p[1] == 'u' && strspn(p + 2, "0123456789abcdefABCDEF") >= 4 && sscanf(p + 2, "%4x", &code) == 1 && code && code < ' ') {
      *to++ = (char)code;
      p += 5;
    } else {
      if (*p == '\\' && p[1]) p++;
      *to++ = *p;
    }
  }
  return NULL;
}

static bool has_layer(const hone_calibration *c, const char *name) {
  for (size_t i = 0; i < c->n; i++)
    if (c->values[i].name && *name && strcmp(c->values[i].layer, name) == 0) return true;
  return false;
}

/* `keep "NAME"`, `bf16 "NAME"`, `f16 "NAME"`, or `keep none`, behind the word. */
static hone_status read_note(hone_calibration *c, const char *path, int number, size_t note, char *text) {
  text += strspn(text, " \t");
  bool none = strncmp(text, "none", 4) == 0 && !text[4 + strspn(text + 4, " \t\r")], floats = notes[note].precision == HONE_PRECISION_F32;
  if (none && floats ? c->n_assigned > 0 : c->settled && !c->n_assigned)
    return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: 'keep none' and a layer to keep contradict each other", path, number);
  if (none && floats) return hone_calibration_assign(c, NULL, HONE_PRECISION_F32);
  char *rest = unquote(text);
  if (rest && rest[strspn(rest, " \t\r")]) rest = NULL;
  if (!rest) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: '%s' needs a layer's name in quotes%s", path, number, notes[note].word, floats ? ", or none" : "");
  if (!has_layer(c, text)) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: the model has no layer '%s'", path, number, text);
  return hone_calibration_assign(c, text, notes[note].precision);
}

/* The tensor that a line names. */
static hone_status find_tensor(hone_calibration *c, const char *path, int number, const char *name, seen **out) {
  for (size_t i = 0; i < c->n; i++) {
    if (!c->values[i].name || strcmp(c->values[i].name, name) != 0) continue;
    *out = &c->values[i];
    return HONE_OK;
  }
  return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: the model has no tensor '%s'; is the file another model's, or of another --level?", path, number, name);
}

/* Numbers up to the end of a line, each from low to high; *n stays 0 if there are others, or none. */
static hone_status read_numbers(hone_calibration *c, char *text, double low, double high, double **out, int64_t *n) {
  int64_t room = 0, count = 0;
  double *v = NULL;
  char *end;
  *n = 0;
  *out = NULL;
  for (; text && text[strspn(text, " \t\r")]; text = end) {
    double x = strtod(text, &end);
    bool fine = end != text && x >= low && x <= high;
    if (fine && count == room) {
      room = room ? room * 2 : 64;
      double *more = hn_realloc(v, (size_t)room * sizeof *v);
      if (more) v = more;
      else return hn_free(v), hn_nomem(c->cx);
    }
    if (!fine) return hn_free(v), HONE_OK;
    v[count++] = x;
  }
  *out = v;
  *n = count;
  return HONE_OK;
}

/* `factors "NAME" NUMBER ...` */
static hone_status read_factors(hone_calibration *c, const char *path, int number, char *text) {
  text += strspn(text, " \t");
  char *rest = unquote(text);
  int64_t n;
  double *v;
  seen *s = NULL;
  HN_TRY(read_numbers(c, rest, 1e-6, 1e6, &v, &n));
  hone_status st = n ? find_tensor(c, path, number, text, &s)
                     : hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: 'factors' needs a tensor's name in quotes and numbers, each from 1e-6 to 1e6", path, number);
  float *f = st ? NULL : hn_malloc((size_t)n * sizeof *f);
  if (!st && !f) st = hn_nomem(c->cx);
  for (int64_t i = 0; i < n && !st; i++) f[i] = (float)v[i];
  hn_free(v);
  if (st) return st;
  hn_free(s->factors);
  s->factors = f;
  s->channels = n;
  return HONE_OK;
}

/* `correction "NAME" SCALE ZERO NUMBER ...` */
static hone_status read_correction(hone_calibration *c, const char *path, int number, char *text) {
  text += strspn(text, " \t");
  char *rest = unquote(text);
  int64_t n;
  double *v;
  seen *s = NULL;
  HN_TRY(read_numbers(c, rest, -FLT_MAX, FLT_MAX, &v, &n));
  bool fine = n > 2 && v[0] > 0 && v[1] >= 0 && v[1] <= 255 && v[1] == rint(v[1]);
  hone_status st = fine ? find_tensor(c, path, number, text, &s)
                        : hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: 'correction' needs a tensor's name in quotes, a scale above 0, a zero from 0 to 255, "
                                  "and finite numbers", path, number);
  if (!st && (s->node == HN_NONE || s->node >= c->n_nodes))
    st = hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: no layer makes '%s', whose bias could be corrected", path, number, text);
  if (st) return hn_free(v), st;
  hn_samples *to = &c->samples[s->node];
  to->steps = (hn_steps){v[0], (int32_t)v[1]};
  to->how = (hn_rounding){.correct_bias = true};
  to->outputs = n - 2;
  memmove(v, v + 2, (size_t)(n - 2) * sizeof *v);
  hn_free(to->shift);
  to->shift = v;
  return HONE_OK;
}

static hone_status read_line(hone_calibration *c, const char *path, int number, char *line) {
  if (strncmp(line, "factors ", 8) == 0) return read_factors(c, path, number, line + 8);
  if (strncmp(line, "correction ", 11) == 0) return read_correction(c, path, number, line + 11);
  for (size_t i = 0; i < N_NOTES; i++) {
    size_t n = strlen(notes[i].word);
    if (strncmp(line, notes[i].word, n) == 0 && line[n] == ' ') return read_note(c, path, number, i, line + n);
  }
  char *rest = unquote(line), *end;
  if (!rest) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: no tensor name in quotes", path, number);
  float low = strtof(rest, &end);
  bool ok = end != rest;
  rest = end;
  float high = strtof(rest, &end);
  ok = ok && end != rest && !end[strspn(end, " \t\r")];
  if (!ok || !isfinite(low) || !isfinite(high) || low > high)
    return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: '%s' needs two finite numbers, the lower one first", path, number, line);
  seen *s = NULL;
  HN_TRY(find_tensor(c, path, number, line, &s));
  if (s->line) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %d: '%s' has a range already, on line %d", path, number, line, s->line);
  s->fixed = (hn_range){true, low, high};
  s->line = number;
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
    size_t n = strlen(first_line);
    if (strlen(text) != size || strncmp(text, first_line, n) != 0 || isdigit((unsigned char)text[n]))
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
  const hn_refinement refine = {{.reconstruct = o->reconstruct, .correct_bias = o->correct_bias}, c->samples,
                                o->threads > 0 ? o->threads : hn_cpu_count(), o->progress, o->user};
  hn_range *ranges = hn_calloc(g->values.n, sizeof *ranges);
  if (!ranges) return hn_nomem(g->cx);
  hone_status st = same_model(g, c);
  for (size_t i = 0; i < c->n && !st; i++)
    if (c->values[i].name) ranges[i] = range_of(c, i);
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
    if (o->layers[i] != o->precision && !word_of(o->layers[i]))
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
  HN_TRY(take_graph(m, g, st));
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
  HN_TRY(take_graph(m, g, st));
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
