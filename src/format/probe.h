/* probe.h - which format is this, and who reads it. */
#ifndef HN_PROBE_H
#define HN_PROBE_H
#include "format/catalog.h"
#include "ir/graph.h"

/* What a model is read from: a mapped file, a directory (without data) or memory (without mapping; path is then
   "(memory)"). */
typedef struct hn_source {
  const char *path;
  const void *data;
  size_t size;
  hn_mapping *m;
  bool directory;
  const hone_load_options *options; /* never NULL; all zero: no wishes */
} hn_source;

/* One row a format. */
typedef struct hn_format {
  const char *name;
  bool (*probe)(const hn_source *s); /* NULL: it is only written */
  hone_status (*read)(hone_context *cx, const hn_source *s, hn_graph **out);
  hone_status (*list)(hone_context *cx, const hn_source *s, hn_catalog *c); /* NULL: it has nothing to choose from, and
                                                                hone_load_options mean nothing to it */
  const char *extension;                                    /* of files it writes, with the dot; "/": a folder */
  hone_status (*write)(const hn_graph *g, const char *path); /* NULL: it is only read */
  const char *key;                                          /* what hone_model_save_as() calls it, if it is written */
} hn_format;

/* Reads a file, directory or memory with the first format that recognizes it; `formats` ends with a row without a name.
   o may be NULL. */
hone_status hn_format_read(hone_context *cx, const hn_format *formats, const char *path, const hone_load_options *o,
                           hn_graph **out);
hone_status hn_format_read_memory(hone_context *cx, const hn_format *formats, const void *data, size_t size, hn_graph **out);
hone_status hn_format_list(hone_context *cx, const hn_format *formats, const char *path, hn_catalog *c);
/* The format whose key is `as`, or (NULL) whose extension the path has: a folder is what ends in / or is one, or has no
   extension. NULL: none. */
const hn_format *hn_format_to_write(const hn_format *formats, const char *path, const char *as);
hone_status hn_format_write(const hn_graph *g, const hn_format *formats, const char *path, const char *as);
#endif
