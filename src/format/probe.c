#include "format/probe.h"

#include <string.h>

/* What an unread file looks like, so that the error says more than "unknown". */
static const struct {
  const char *magic;
  size_t at, n;
  const char *what;
} looks[] = {
    {"PK\x03\x04", 0, 4, "a zip archive (Keras 3, PyTorch or NumPy)"},
    {"\x89HDF\r\n\x1a\n", 0, 8, "HDF5 (Keras)"},
    {"TFL3", 4, 4, "TensorFlow Lite"},
    {"\x93NUMPY", 0, 6, "a NumPy array"},
    {"\x80\x02", 0, 2, "a Python pickle (PyTorch)"},
    {"{", 0, 1, "JSON text"},
};

static const char *looks_like(const unsigned char *p, size_t size) {
  for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
    if (size >= looks[i].at + looks[i].n && memcmp(p + looks[i].at, looks[i].magic, looks[i].n) == 0) return looks[i].what;
  return size ? "unknown" : "empty";
}

static hone_status read_any(hone_context *cx, const hn_format *formats, const char *path, const void *data, size_t size,
                            hn_mapping *m, hn_graph **out) {
  hn_str known = {0};
  for (const hn_format *f = formats; f->name; f++) {
    if (f->probe(data, size)) {
      hn_str_free(&known);
      return f->read(cx, path, data, size, m, out);
    }
    hn_str_printf(&known, "%s%s", f == formats ? "" : ", ", f->name);
  }
  hone_status st = hn_fail(cx, HONE_BAD_FORMAT, "%s: not a model this build reads (it looks %s); it reads %s", path,
                           looks_like(data, size), known.p ? known.p : "nothing");
  hn_str_free(&known);
  return st;
}

hone_status hn_format_read(hone_context *cx, const hn_format *formats, const char *path, hn_graph **out) {
  hn_mapping *m;
  HN_TRY(hn_map_file(cx, path, &m));
  hone_status st = read_any(cx, formats, path, hn_mapping_data(m), hn_mapping_size(m), m, out);
  hn_mapping_unref(m);
  return st;
}

hone_status hn_format_read_memory(hone_context *cx, const hn_format *formats, const void *data, size_t size, hn_graph **out) {
  return read_any(cx, formats, "(memory)", data, size, NULL, out);
}

hone_status hn_format_write(const hn_graph *g, const hn_format *formats, const char *path) {
  hn_str known = {0};
  size_t len = strlen(path);
  for (const hn_format *f = formats; f->name; f++) {
    size_t n = f->write ? strlen(f->extension) : 0;
    if (n && len > n && strcmp(path + len - n, f->extension) == 0) {
      hn_str_free(&known);
      return f->write(g, path);
    }
    if (n) hn_str_printf(&known, "%s%s", known.n ? " or " : "", f->extension);
  }
  hone_status st = hn_fail(g->cx, HONE_UNSUPPORTED, "%s: the name must end in %s to say which format to write", path, known.p ? known.p : "");
  hn_str_free(&known);
  return st;
}
