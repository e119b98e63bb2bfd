/* probe.h - which format is this file, and who reads it. */
#ifndef HN_PROBE_H
#define HN_PROBE_H
#include "ir/graph.h"

/* One row a format. m is NULL when reading from memory; path is then "(memory)". */
typedef struct hn_format {
  const char *name;
  bool (*probe)(const void *data, size_t size);
  hone_status (*read)(hone_context *cx, const char *path, const void *data, size_t size, hn_mapping *m, hn_graph **out);
  const char *extension;                                     /* of files it writes, with the dot */
  hone_status (*write)(const hn_graph *g, const char *path); /* NULL: it only reads */
} hn_format;

/* Reads a file or memory with the first format that recognizes it; `formats` ends with a row without a name. */
hone_status hn_format_read(hone_context *cx, const hn_format *formats, const char *path, hn_graph **out);
hone_status hn_format_read_memory(hone_context *cx, const hn_format *formats, const void *data, size_t size, hn_graph **out);
/* Writes with the format whose extension the path has. */
hone_status hn_format_write(const hn_graph *g, const hn_format *formats, const char *path);
#endif
