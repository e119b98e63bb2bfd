/* calibration_cache.c - a calibration as text, which may be edited and read again. */
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "run/calibrate.h"

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
    hn_range r = hn_calibrated_range(c, i);
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
    const hn_samples *k = hn_correction_of(c, i);
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
static hone_status find_tensor(hone_calibration *c, const char *path, int number, const char *name, hn_seen **out) {
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

/* What follows a word: a name in quotes, which `text` is then, and numbers. */
static hone_status read_named(hone_calibration *c, char **text, double low, double high, double **v, int64_t *n) {
  *text += strspn(*text, " \t");
  return read_numbers(c, unquote(*text), low, high, v, n);
}

/* `factors "NAME" NUMBER ...` */
static hone_status read_factors(hone_calibration *c, const char *path, int number, char *text) {
  int64_t n;
  double *v;
  hn_seen *s = NULL;
  HN_TRY(read_named(c, &text, 1e-6, 1e6, &v, &n));
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
  int64_t n;
  double *v;
  hn_seen *s = NULL;
  HN_TRY(read_named(c, &text, -FLT_MAX, FLT_MAX, &v, &n));
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
  hn_seen *s = NULL;
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
