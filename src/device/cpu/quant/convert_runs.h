/* convert_runs.h - runs of small numbers to floats and back, compiled once for each instruction set from
   convert_runs_body.h: what lets arithmetic over floats work on tensors stored as integers or half floats. */
#ifndef HN_CONVERT_RUNS_H
#define HN_CONVERT_RUNS_H
#include "device/kernel.h"
#include "base/isa.h"

/* d = (x - zero) * scale for integers; the value itself for half floats. */
typedef void (*hn_load_run)(float *d, const void *x, size_t n, float scale, float zero);
/* d = round(x / scale) + zero, to even and saturated, NaN as zero; rounded to even for half floats. */
typedef void (*hn_store_run)(void *d, const float *x, size_t n, float scale, float zero);

enum { HN_CONVERT_TYPES = HONE_DTYPE_BF16 + 1 };
typedef struct hn_convert {
  void (*range)(const float *x, size_t n, float *low, float *high); /* widens low..high to hold the numbers, NaN left out */
  hn_load_run load[HN_CONVERT_TYPES]; /* by hn_dtype; NULL: none */
  hn_store_run store[HN_CONVERT_TYPES];
} hn_convert;

const hn_convert *hn_convert_for(hn_isa isa);
extern const hn_convert hn_convert_portable;
#if defined(__x86_64__)
extern const hn_convert hn_convert_avx2, hn_convert_avx512;
#endif

/* Can the tensor be read, or written, as a run of floats? Floats, half floats, 8-bit integers of one scale. */
static inline bool hn_as_floats(const hn_arg *a) {
  if (hn_is_8bit(a->dtype)) return a->quant && !a->quant->scales;
  return a->dtype == HONE_DTYPE_F32 || a->dtype == HONE_DTYPE_F16 || a->dtype == HONE_DTYPE_BF16;
}
#endif
