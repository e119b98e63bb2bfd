#include "format/probe.h"

#include <string.h>

/* What an unread file looks like, so that the error says more than "unknown". */
static const struct {
  const char *magic;
  int at; /* below 0: at the end */
  size_t n;
  const char *what;
} looks[] = {
    {"PK\x03\x04", 0, 4, "a zip archive (Keras 3, PyTorch or NumPy)"},
    {"\x89HDF\r\n\x1a\n", 0, 8, "HDF5 (Keras)"},
    {"\x57\xfb\x80\x8b\x24\x75\x47\xdb", -1, 8, "values of a TensorFlow checkpoint: give its folder, or the .meta beside it"},
    {"TFL3", 4, 4, "TensorFlow Lite"},
    {"\x93NUMPY", 0, 6, "a NumPy array"},
    {"\x80\x02", 0, 2, "a Python pickle (PyTorch)"},
    {"{", 0, 1, "JSON text"},
};

static const char *looks_like(const unsigned char *p, size_t size) {
  for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
    size_t n = looks[i].n, at = looks[i].at < 0 ? size - n : (size_t)looks[i].at;
    if (size >= n && at <= size - n && memcmp(p + at, looks[i].magic, n) == 0) return looks[i].what;
  }
  return size ? "unknown" : "empty";
}

static bool has_wishes(const hone_load_options *o) {
  return (o->tag_set || o->signature || o->inputs || o->outputs) && !o->where_known;
}

static hone_status find_format(hone_context *cx, const hn_format *formats, const hn_source *s, const hn_format **out) {
  hn_str known = {0};
  for (const hn_format *f = formats; f->name; f++) {
    if (!f->probe) continue;
    if (f->probe(s)) {
      hn_str_free(&known);
      *out = f;
      return HONE_OK;
    }
    hn_str_printf(&known, "%s%s", f == formats ? "" : ", ", f->name);
  }
  hone_status st = hn_fail(cx, HONE_BAD_FORMAT, "%s: not a model this build reads (it looks %s); it reads %s", s->path,
                           s->directory ? "like a directory without a model" : looks_like(s->data, s->size),
                           known.p ? known.p : "nothing");
  hn_str_free(&known);
  return st;
}

static hone_status read_any(hone_context *cx, const hn_format *formats, const hn_source *s, hn_graph **out) {
  const hn_format *f;
  HN_TRY(find_format(cx, formats, s, &f));
  if (has_wishes(s->options) && !f->list)
    return hn_fail(cx, HONE_BAD_ARG, "%s: %s have no tag sets or signatures to choose from, nor tensors to cut at", s->path, f->name);
  return f->read(cx, s, out);
}

static hone_status list_any(hone_context *cx, const hn_format *formats, const hn_source *s, hn_catalog *c) {
  const hn_format *f;
  HN_TRY(find_format(cx, formats, s, &f));
  return f->list ? f->list(cx, s, c) : HONE_OK;
}

static hone_status open_source(hone_context *cx, const char *path, hn_source *s) {
  s->path = path;
  s->directory = hn_is_directory(path);
  if (s->directory) return HONE_OK;
  HN_TRY(hn_map_file(cx, path, &s->m));
  s->data = hn_mapping_data(s->m);
  s->size = hn_mapping_size(s->m);
  return HONE_OK;
}

static const hone_load_options no_wishes = {.size = sizeof no_wishes};

hone_status hn_format_read(hone_context *cx, const hn_format *formats, const char *path, const hone_load_options *o,
                           hn_graph **out) {
  hn_source s = {.options = o ? o : &no_wishes};
  HN_TRY(open_source(cx, path, &s));
  hone_status st = read_any(cx, formats, &s, out);
  hn_mapping_unref(s.m);
  return st;
}

hone_status hn_format_list(hone_context *cx, const hn_format *formats, const char *path, hn_catalog *c) {
  hn_source s = {.options = &no_wishes};
  HN_TRY(open_source(cx, path, &s));
  hone_status st = list_any(cx, formats, &s, c);
  hn_mapping_unref(s.m);
  return st;
}

hone_status hn_format_read_memory(hone_context *cx, const hn_format *formats, const void *data, size_t size, hn_graph **out) {
  hn_source s = {.path = "(memory)", .data = data, .size = size, .options = &no_wishes};
  return read_any(cx, formats, &s, out);
}

static bool is_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  return (*path && !strchr(slash ? slash : path, '.')) || hn_is_directory(path);
}

static bool has_extension(const hn_format *f, const char *path) {
  size_t len = strlen(path), n = strlen(f->extension);
  return strcmp(f->extension, "/") == 0 ? is_folder(path) : len > n && strcmp(path + len - n, f->extension) == 0;
}

const hn_format *hn_format_to_write(const hn_format *formats, const char *path, const char *as) {
  for (const hn_format *f = formats; f->name; f++)
    if (f->write && (as ? strcmp(f->key, as) == 0 : has_extension(f, path))) return f;
  return NULL;
}

hone_status hn_format_write(const hn_graph *g, const hn_format *formats, const char *path, const char *as) {
  const hn_format *f = hn_format_to_write(formats, path, as);
  if (f) return f->write(g, path);
  hn_str known = {0};
  for (f = formats; f->name; f++)
    if (f->write) hn_str_printf(&known, "%s%s", known.n ? ", " : "", as ? f->key : f->extension);
  hone_status st = as ? hn_fail(g->cx, HONE_BAD_ARG, "there is no format '%s' to write; there are %s", as, known.p ? known.p : "none")
                      : hn_fail(g->cx, HONE_UNSUPPORTED, "%s: the name must end in one of %s to say which format to write", path, known.p ? known.p : "");
  hn_str_free(&known);
  return st;
}
