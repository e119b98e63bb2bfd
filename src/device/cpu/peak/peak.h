/* peak.h - what this processor can do at most: the roof that a profile compares layers with. */
#ifndef HN_PEAK_H
#define HN_PEAK_H
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "base/status.h"

typedef struct hn_peak {
  /* `rounds` times one multiply-add on each of as many vectors as hide its latency; the operations done, a
     multiply-add being two. *sink keeps the compiler from leaving them out. */
  uint64_t (*multiply)(uint64_t rounds, float *sink);
  uint32_t (*read)(const void *data, size_t bytes); /* a sum over aligned data, bytes a multiple of 256 */
} hn_peak;
extern const hn_peak hn_peak_portable;
#if defined(__x86_64__)
extern const hn_peak hn_peak_avx2, hn_peak_avx512;
#endif

/* Single-precision operations and bytes read from memory per second, with all `threads` at work. Takes some tenths of
   a second. */
hone_status hn_cpu_measure(hone_context *cx, hn_isa isa, int threads, double *flops, double *bandwidth);
#endif
