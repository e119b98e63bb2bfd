#include "device/cpu/peak/peak.h"

#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"

enum { REPEATS = 5, PAGE = 4096 };
static const size_t read_bytes = (size_t)128 << 20; /* more than the caches nearest to a core hold */
static const uint64_t rounds = 400000;

typedef struct work {
  const hn_peak *loops;
  const unsigned char *data;
  uint64_t operations; /* of all threads */
  uint32_t sum;
} work;

static void multiply(void *arg, int64_t begin, int64_t end) {
  work *w = arg;
  float sink = 0;
  uint64_t done = 0;
  for (int64_t i = begin; i < end; i++) done += w->loops->multiply(rounds, &sink);
  __atomic_fetch_add(&w->operations, done + (sink == 12345.0f), __ATOMIC_RELAXED);
}

static void read_pages(void *arg, int64_t begin, int64_t end) {
  work *w = arg;
  __atomic_fetch_add(&w->sum, w->loops->read(w->data + begin * PAGE, (size_t)(end - begin) * PAGE), __ATOMIC_RELAXED);
}

static const hn_peak *loops_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return &hn_peak_avx512;
  if (isa == HN_ISA_AVX2) return &hn_peak_avx2;
#else
  (void)isa;
#endif
  return &hn_peak_portable;
}

hone_status hn_cpu_measure(hone_context *cx, hn_isa isa, int threads, double *flops, double *bandwidth) {
  void *data = hn_malloc_aligned(read_bytes);
  if (!data) return hn_fail(cx, HONE_NOMEM, "out of memory: measuring the bandwidth takes %zu MiB", read_bytes >> 20);
  memset(data, 1, read_bytes);
  double best_flops = 0, best_read = 0;
  for (int r = 0; r < REPEATS; r++) { /* what disturbs a measurement only slows it */
    work w = {.loops = loops_for(isa), .data = data};
    double begin = hn_now();
    hn_parallel_for(threads, threads, 1, multiply, &w);
    double middle = hn_now();
    hn_parallel_for(threads, (int64_t)(read_bytes / PAGE), 1, read_pages, &w);
    double end = hn_now();
    if ((double)w.operations > best_flops * (middle - begin)) best_flops = (double)w.operations / (middle - begin);
    if ((double)read_bytes > best_read * (end - middle)) best_read = (double)read_bytes / (end - middle);
  }
  hn_free_aligned(data);
  *flops = best_flops;
  *bandwidth = best_read;
  return HONE_OK;
}
