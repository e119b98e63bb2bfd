/* pool.h - worker threads that wait awake for a moment and then sleep. Whoever gives out work does it alone as far as
   nobody else takes it: a worker that the system runs late, because others use the processors too, delays nothing. */
#ifndef HN_POOL_H
#define HN_POOL_H
#include <stdint.h>

typedef struct hn_pool hn_pool;
typedef void (*hn_chunk_fn)(void *arg, uint32_t chunk, int thread); /* thread 0: the caller of hn_pool_run() */

hn_pool *hn_pool_create(int threads); /* the caller included; NULL: memory, or the system gives no threads */
void hn_pool_destroy(hn_pool *p);     /* accepts NULL */
int hn_pool_threads(const hn_pool *p);
/* Calls fn for each of the chunks, by several threads at once, and returns when all are done. By one thread at a time, and
   not from within a chunk. */
void hn_pool_run(hn_pool *p, uint32_t chunks, hn_chunk_fn fn, void *arg);
#endif
