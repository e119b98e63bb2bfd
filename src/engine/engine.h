/* engine.h - the .hone file: the optimized graph and its weights, laid out so that loading is mapping.

   All numbers little-endian. Header (64 bytes): "HONE\r\n\x1a\n", u32 version, u32 flags (0), u64 offset, size and hash
   of the graph section, u64 file size, zeros. The graph section is a stream of records (engine_io.h); tensors refer
   to the data section by offset, each aligned to 64 bytes, so that kernels read weights straight from the page
   cache. The hash of the graph section is checked on load; the weights are not hashed, since reading them
   all would defeat the mapping. */
#ifndef HN_ENGINE_H
#define HN_ENGINE_H
#include "ir/graph.h"

/* Errors: IO, NOMEM, UNSUPPORTED (string tensors). */
hone_status hn_engine_write(const hn_graph *g, const char *path);
/* Is it one? By its first bytes. */
bool hn_engine_probe(const void *data, size_t size);
/* m may be NULL (memory): then weights are copied. Errors: BAD_FORMAT with what is wrong. */
hone_status hn_engine_read(hone_context *cx, const char *path, const void *data, size_t size, hn_mapping *m,
                           hn_graph **out);
#endif
