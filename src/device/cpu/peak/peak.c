#include "device/cpu/peak/peak.h"

#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"

enum { REPEATS = 5, PAGE = 4096 };
static const size_t read_bytes = (size_t)128 << 20; /* more than the caches nearest to a core hold */
static const uint64_t rounds = 400000;

typedef struct work {
  const hn_peak *loops;
  hn_peak_loop *multiply;
  const unsigned char *data;
  uint64_t operations; /* of all threads */
  uint32_t sum;
} work;

static void multiply(void *arg, int64_t begin, int64_t end) {
  work *w = arg;
  float sink = 0;
  uint64_t done = 0;
  for (int64_t i = begin; i < end; i++) done += w->multiply(rounds, &sink);
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

typedef struct way {
  const char *by;
  hn_peak_loop *multiply;
} way;

static way fastest(hn_isa isa, hone_arithmetic a) {
  const hn_peak *p = loops_for(isa);
#if defined(__x86_64__)
  bool best = isa == HN_ISA_AVX512 && hn_isa_best() == isa;
  if (best && a == HONE_ARITHMETIC_INT8 && hn_isa_has(HN_EXTRA_AMX_INT8) && hn_amx_permit()) return (way){"amx-int8", hn_peak_amx_int8};
  if (best && a == HONE_ARITHMETIC_BF16 && hn_isa_has(HN_EXTRA_AMX_BF16) && hn_amx_permit()) return (way){"amx-bf16", hn_peak_amx_bf16};
  if (best && a == HONE_ARITHMETIC_BF16 && hn_isa_has(HN_EXTRA_BF16)) return (way){"avx512-bf16", p->bf16};
#endif
  if (a == HONE_ARITHMETIC_INT8 && hn_bytes_best(isa) >= HN_BYTES_VNNI && p->bytes_vnni)
    return (way){hn_bytes_name(isa, HN_BYTES_VNNI), p->bytes_vnni};
  return (way){hn_isa_name(isa), a == HONE_ARITHMETIC_INT8 && p->bytes ? p->bytes : p->multiply};
}

const char *hn_cpu_peak_by(hn_isa isa, hone_arithmetic a) { return fastest(isa, a).by; }

static double multiply_rate(hn_peak_loop *loop, int threads) {
  work w = {.multiply = loop};
  double begin = hn_now();
  hn_parallel_for(threads, threads, 1, multiply, &w);
  double took = hn_now() - begin;
  return took > 0 ? (double)w.operations / took : 0;
}

hone_status hn_cpu_measure(hone_context *cx, hn_isa isa, int threads, hone_peak *peak) {
  void *data = hn_malloc_aligned(read_bytes);
  if (!data) return hn_fail(cx, HONE_NOMEM, "out of memory: measuring the bandwidth takes %zu MiB", read_bytes >> 20);
  memset(data, 1, read_bytes);
  *peak = (hone_peak){0};
  for (int a = 0; a < HONE_ARITHMETICS; a++) peak->by[a] = hn_cpu_peak_by(isa, (hone_arithmetic)a);
  for (int r = 0; r < REPEATS; r++) { /* what disturbs a measurement only slows it */
    for (int a = 0; a < HONE_ARITHMETICS; a++) {
      double rate = multiply_rate(fastest(isa, (hone_arithmetic)a).multiply, threads);
      if (rate > peak->flops[a]) peak->flops[a] = rate;
    }
    work w = {.loops = loops_for(isa), .data = data};
    double begin = hn_now();
    hn_parallel_for(threads, (int64_t)(read_bytes / PAGE), 1, read_pages, &w);
    double took = hn_now() - begin;
    if ((double)read_bytes > peak->bandwidth * took) peak->bandwidth = (double)read_bytes / took;
  }
  hn_free_aligned(data);
  return HONE_OK;
}
