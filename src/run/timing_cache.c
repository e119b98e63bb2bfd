/* timing_cache.c - the file: a first line that names the format, then one measurement a line, fields between tabs:
   machine, layer, kernel, microseconds. Rows of other machines are kept. */
#include "run/timing_cache.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"

static const char first_line[] = "hone timing cache 1";

struct hn_timing_cache {
  hone_context *cx;
  const char *path;
  hn_arena *texts;
  hn_map rows; /* "machine \t layer \t kernel" -> index */
  HN_VEC(const char *) keys;
  HN_VEC(double) us; /* rounded as the file has them, so that a choice is the same from the file */
  bool changed;
};

static hone_status put_row(hn_timing_cache *c, const char *key, double us) {
  uint32_t at;
  if (hn_map_get(&c->rows, key, &at)) {
    c->us.p[at] = us;
    return HONE_OK;
  }
  const char *own = hn_arena_strdup(c->texts, key);
  at = (uint32_t)c->keys.n;
  return own && hn_push(&c->keys, own) && hn_push(&c->us, us) && hn_map_put(&c->rows, own, at) ? HONE_OK
                                                                                                           : hn_nomem(c->cx);
}

static const char *key_of(hn_str *s, const char *machine, const char *layer, const char *kernel) {
  hn_str_printf(s, "%s\t%s\t%s", machine, layer, kernel);
  return s->failed ? NULL : s->p;
}

/* A row is the key, which has two tabs, a third one, and a number. */
static hone_status read_line(hn_timing_cache *c, char *line, size_t number) {
  char *last = strrchr(line, '\t'), *end = NULL;
  int tabs = 0;
  for (const char *p = line; *p; p++) tabs += *p == '\t';
  double us = last ? strtod(last + 1, &end) : 0;
  if (tabs != 3 || end == last + 1 || *end || !isfinite(us) || us < 0)
    return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: line %zu is not 'machine, layer, kernel, microseconds' between tabs; correct or "
                   "remove it", c->path, number);
  *last = 0;
  return put_row(c, line, us);
}

static hone_status read_text(hn_timing_cache *c, char *text) {
  size_t number = 1;
  char *line = text, *next = strchr(line, '\n');
  if (next) *next++ = 0;
  if (strcmp(line, first_line) != 0)
    return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: not a timing cache: its first line is not '%s'", c->path, first_line);
  hone_status st = HONE_OK;
  while (next && *next && !st) {
    line = next;
    number++;
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    if (*line) st = read_line(c, line, number);
  }
  return st;
}

static hone_status read_file(hn_timing_cache *c) {
  if (access(c->path, F_OK) != 0 && errno == ENOENT) return HONE_OK;
  hn_mapping *m;
  HN_TRY(hn_map_file(c->cx, c->path, &m));
  size_t n = hn_mapping_size(m);
  char *text = hn_malloc(n + 1);
  if (text && n) memcpy(text, hn_mapping_data(m), n);
  if (text) text[n] = 0;
  hn_mapping_unref(m);
  hone_status st = text ? read_text(c, text) : hn_nomem(c->cx);
  hn_free(text);
  return st;
}

hone_status hn_timing_cache_open(hone_context *cx, const char *path, hn_timing_cache **out) {
  hn_timing_cache *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(cx);
  c->cx = cx;
  c->texts = hn_arena_create();
  c->path = c->texts && path ? hn_arena_strdup(c->texts, path) : NULL;
  hone_status st = c->texts && (c->path || !path) ? HONE_OK : hn_nomem(cx);
  if (!st && c->path) st = read_file(c);
  if (st) hn_timing_cache_close(c);
  else *out = c;
  return st;
}

bool hn_timing_cache_get(const hn_timing_cache *c, const char *machine, const char *layer, const char *kernel, double *seconds) {
  hn_str s = {0};
  uint32_t at;
  const char *key = key_of(&s, machine, layer, kernel);
  bool found = key && hn_map_get(&c->rows, key, &at);
  if (found) *seconds = c->us.p[at] * 1e-6;
  hn_str_free(&s);
  return found;
}

hone_status hn_timing_cache_put(hn_timing_cache *c, const char *machine, const char *layer, const char *kernel, double seconds) {
  hn_str s = {0};
  const char *key = key_of(&s, machine, layer, kernel);
  hone_status st = key ? put_row(c, key, round(seconds * 1e9) / 1e3) : hn_nomem(c->cx);
  hn_str_free(&s);
  c->changed = true;
  return st;
}

hone_status hn_timing_cache_save(hn_timing_cache *c) {
  if (!c->path || !c->changed) return HONE_OK;
  hn_str s = {0};
  hn_str_printf(&s, "%s\n", first_line);
  for (size_t i = 0; i < c->keys.n; i++) hn_str_printf(&s, "%s\t%.3f\n", c->keys.p[i], c->us.p[i]);
  hn_writer *w = NULL;
  hone_status st = s.failed ? hn_nomem(c->cx) : hn_writer_open(c->cx, c->path, &w);
  if (!st) st = hn_writer_put(w, s.p, s.n);
  if (!st) st = hn_writer_commit(&w);
  else if (w) hn_writer_abort(&w);
  hn_str_free(&s);
  if (!st) c->changed = false;
  return st;
}

void hn_timing_cache_close(hn_timing_cache *c) {
  if (!c) return;
  hn_map_free(&c->rows);
  hn_vec_free(&c->keys);
  hn_vec_free(&c->us);
  hn_arena_destroy(c->texts);
  hn_free(c);
}
