/* peak.h - what this processor can do at most: the roof that a profile compares layers with. */
#ifndef HN_PEAK_H
#define HN_PEAK_H
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "base/status.h"

/* `rounds` times one multiply-add on each of as many vectors as hide its latency; the operations done, a multiply-add being
   two. *sink keeps the compiler from leaving them out. */
typedef uint64_t hn_peak_loop(uint64_t rounds, float *sink);
typedef struct hn_peak {
  hn_peak_loop *multiply;
  hn_peak_loop *bytes, *bytes_vnni, *bf16; /* NULL: the set has no such instructions */
  uint32_t (*read)(const void *data, size_t bytes); /* a sum over aligned data, bytes a multiple of 256 */
} hn_peak;
extern const hn_peak hn_peak_portable;
#if defined(__x86_64__)
extern const hn_peak hn_peak_avx2, hn_peak_avx512;
hn_peak_loop hn_peak_amx_int8, hn_peak_amx_bf16; /* for a processor that has AMX, after hn_amx_permit() */
#endif

/* The instructions that multiply fastest in an arithmetic, by name: those whose peak is measured. Products of a type without
   instructions of its own are made by those of single precision. */
const char *hn_cpu_peak_by(hn_isa isa, hone_arithmetic a);
/* Operations and bytes read from memory per second, with all `threads` at work. Takes some tenths of a second. */
hone_status hn_cpu_measure(hone_context *cx, hn_isa isa, int threads, hone_peak *peak);
#endif
