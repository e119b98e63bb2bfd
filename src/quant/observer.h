/* observer.h - what is seen of an activation while a model is calibrated, and the range to quantize it with. */
#ifndef HN_OBSERVER_H
#define HN_OBSERVER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hone.h"

enum { HN_OBSERVER_BINS = 4096 };

/* A histogram over [-limit, limit), limit a power of two that doubles as larger values come. Zero-initialized. */
typedef struct hn_observer {
  uint64_t batches, count;
  float low, high;         /* of all values */
  double mean_low, mean_high; /* moving averages over batches */
  double limit;
  uint64_t *bins;          /* HN_OBSERVER_BINS, made with the first values that need it */
} hn_observer;

/* One batch of values. false: no memory. *bad is the index of the first NaN or infinity, or n: then nothing was taken. */
bool hn_observe(hn_observer *o, const float *v, size_t n, bool histogram, size_t *bad);
void hn_observer_free(hn_observer *o);

/* The range [*low, *high] that the method chooses for 8 bits. */
void hn_observer_range(const hn_observer *o, hone_observer method, double percentile, float *low, float *high);
/* Whether a method looks at the histogram. */
static inline bool hn_observer_needs_bins(hone_observer method) { return method >= HONE_OBSERVER_PERCENTILE; }
#endif
