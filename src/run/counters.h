/* counters.h - events of the processor and the system, counted over all threads of the process through perf_event. */
#ifndef HN_COUNTERS_H
#define HN_COUNTERS_H
#include <stdint.h>

#include "base/status.h"

typedef struct hn_counts {
  uint64_t n[HONE_PROFILE_COUNTERS];
} hn_counts;

typedef struct hn_counters hn_counters;
/* Counts what the threads that are there now do from now on. Counters that the system does not give are left out. */
hone_status hn_counters_open(hone_context *cx, hn_counters **out);
void hn_counters_close(hn_counters *c); /* accepts NULL */
bool hn_counters_any(const hn_counters *c);
const char *hn_counters_reason(const hn_counters *c, uint32_t i); /* why counter i is not there; "" if it is */
void hn_counters_read(const hn_counters *c, hn_counts *now);
const char *hn_counter_name(uint32_t i);
#endif
