/* timing_cache.h - what kernels took, by machine, layer and kernel: a text file that is read, added to and kept.
   With it tuning is quick and comes out the same again. */
#ifndef HN_TIMING_CACHE_H
#define HN_TIMING_CACHE_H
#include "base/status.h"

typedef struct hn_timing_cache hn_timing_cache;

/* Reads `path`; a file that is not there is an empty cache, NULL a cache that lives in memory alone.
   Errors: IO, BAD_FORMAT (with the line), NOMEM. */
hone_status hn_timing_cache_open(hone_context *cx, const char *path, hn_timing_cache **out);
bool hn_timing_cache_get(const hn_timing_cache *c, const char *machine, const char *layer, const char *kernel, double *seconds);
hone_status hn_timing_cache_put(hn_timing_cache *c, const char *machine, const char *layer, const char *kernel, double seconds);
/* Writes it back if it has a path and something was put. */
hone_status hn_timing_cache_save(hn_timing_cache *c);
void hn_timing_cache_close(hn_timing_cache *c); /* accepts NULL */
#endif
