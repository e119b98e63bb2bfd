/* parallel.h - one way to use several cores: a range cut into chunks. Runs on the pool of the thread that calls, or else
   on OpenMP, the worker threads that oneDNN uses: the two would compete, so a program has one or the other. */
#ifndef HN_PARALLEL_H
#define HN_PARALLEL_H
#include "base/pool.h"
typedef void (*hn_range_fn)(void *arg, int64_t begin, int64_t end);
/* Calls fn over [0, n) on up to `threads` threads, at least `grain` items a chunk. */
void hn_parallel_for(int threads, int64_t n, int64_t grain, hn_range_fn fn, void *arg);
/* Sees what every thread does of each hn_parallel_for() that the thread which set it calls, itself as number 0. Called on
   the thread concerned. */
typedef struct hn_watch hn_watch;
struct hn_watch {
  void (*chunk)(hn_watch *w, int thread, double begin, double end);
};
void hn_parallel_watch(hn_watch *w); /* NULL: nobody */
hn_pool *hn_parallel_on(hn_pool *p); /* what this thread's hn_parallel_for() runs on from now on, NULL: OpenMP; what it was */
int hn_cpu_count(void);             /* processors this process may use */
void hn_use_threads(int threads);   /* for OpenMP code that is called by this thread */
double hn_now(void);                /* seconds, monotonic */
#endif
