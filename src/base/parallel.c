#include "base/parallel.h"

#include <omp.h>
#include <stdbool.h>
#include <time.h>

static _Thread_local hn_watch *watch;
void hn_parallel_watch(hn_watch *w) { watch = w; }

static void run_chunk(hn_watch *w, int thread, hn_range_fn fn, void *arg, int64_t begin, int64_t end) {
  double start = w ? hn_now() : 0;
  fn(arg, begin, end);
  if (w) w->chunk(w, thread, start, hn_now());
}

static _Thread_local hn_pool *pool;
hn_pool *hn_parallel_on(hn_pool *p) {
  hn_pool *before = pool;
  pool = p;
  return before;
}

static _Thread_local bool inside; /* of a chunk: a split there is for this thread alone */

typedef struct split {
  hn_range_fn fn;
  void *arg;
  int64_t n, chunks;
  hn_watch *watch;
} split;

static void run_part(void *arg, uint32_t chunk, int thread) {
  const split *s = arg;
  inside = true;
  run_chunk(s->watch, thread, s->fn, s->arg, s->n * chunk / s->chunks, s->n * (chunk + 1) / s->chunks);
  inside = false;
}

void hn_parallel_for(int threads, int64_t n, int64_t grain, hn_range_fn fn, void *arg) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  int64_t chunks = (n + grain - 1) / grain;
  int t = chunks < threads ? (int)chunks : threads;
  if (t <= 1 || inside) {
    run_chunk(watch, 0, fn, arg, 0, n);
    return;
  }
  hn_watch *w = watch;
  if (pool) {
    /* More chunks than threads, so that one that comes late still finds some; as many as threads where they are the caller's
       own division of the work. */
    int64_t several = chunks < 2 * t || n <= threads ? t : 2 * t;
    split s = {fn, arg, n, several, w};
    hn_pool_run(pool, (uint32_t)several, run_part, &s);
    return;
  }
#pragma omp parallel num_threads(t)
  {
    int64_t k = omp_get_thread_num(), all = omp_get_num_threads();
    int64_t begin = n * k / all, end = n * (k + 1) / all;
    if (begin < end) run_chunk(w, (int)k, fn, arg, begin, end);
  }
}

int hn_cpu_count(void) { return omp_get_num_procs(); }
void hn_use_threads(int threads) { omp_set_num_threads(threads); }

double hn_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
