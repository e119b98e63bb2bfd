/* engine.h - the .hone file: the optimized graph and its weights, laid out so that loading is mapping, and the weights once
   more as the kernels of one machine want them, so that starting is mapping too.

   All numbers little-endian. Header (64 bytes): "HONE\r\n\x1a\n", u32 version, u32 size of the plan section (0: none), u64
   offset, size and hash of the graph section, u64 file size, u64 offset and hash of the plan section. Sections are streams
   of records (engine_write.c). Tensors refer to the data section by offset, each aligned to 64 bytes, so that kernels read
   weights straight from the page cache. The plan section says for which processor, build, threads and shapes it was made,
   and where the packed weights lie, which the store of the graph lends to its sessions by their keys.

   Checked on load: header, and hashes of both sections. Each weight and pack has a digest; they are compared when asked
   (hn_engine_check), since reading them all would defeat the mapping. The graph alone is enough to run: whatever does not
   fit of the plan is made anew from it. */
#ifndef HN_ENGINE_H
#define HN_ENGINE_H
#include "base/isa.h"
#include "ir/graph.h"

typedef struct hn_plan hn_plan; /* plan/plan.h */

/* Errors: IO, NOMEM, UNSUPPORTED (string tensors). */
hone_status hn_engine_write(const hn_graph *g, const char *path);
/* The same with what the plan, made of a clone of g with these threads, has packed. */
hone_status hn_engine_write_plan(const hn_graph *g, const hn_plan *p, hn_isa isa, uint32_t threads, const char *path);
/* Is it one? By its first bytes. */
bool hn_engine_probe(const void *data, size_t size);
/* m may be NULL (memory): then weights are copied. Errors: BAD_FORMAT with what is wrong. */
hone_status hn_engine_read(hone_context *cx, const char *path, const void *data, size_t size, hn_mapping *m,
                           hn_graph **out);
/* Compares all weights and packs that a file gave digests of; their bytes. BAD_FORMAT names the first that differs. */
hone_status hn_engine_check(const hn_graph *g, uint64_t *weights, uint64_t *packs);
#endif
