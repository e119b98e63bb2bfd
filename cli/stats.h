/* stats.h - figures of samples, and of the difference between tensors. */
#ifndef CLI_STATS_H
#define CLI_STATS_H
#include "cli_tensor.h"

typedef struct samples {
  double *p;
  size_t n;
} samples;
typedef struct summary {
  double mean, median, p10, p90, p99, min, max;
} summary;
void samples_add(samples *s, double v);
summary samples_summary(const samples *s); /* of at least one */
void samples_free(samples *s);

/* How far tensors are apart, summed up over runs. */
typedef struct difference {
  double max_abs, max_reference; /* largest |a - b| and largest |b| */
  double sum_abs, dot, norm_a, norm_b;
  uint64_t count;
  uint64_t broken; /* elements where only one is NaN, or an infinity stands against something else */
  bool floats;
} difference;
/* False if the type has no numbers. */
bool difference_add(difference *d, hone_dtype dtype, const void *a, const void *b, size_t count);
void difference_merge(difference *d, const difference *of);
double difference_relative(const difference *d); /* max_abs by the largest value; 0 where both are 0 */
double difference_mean(const difference *d);
double difference_cosine(const difference *d);
bool difference_within(const difference *d, double tolerance);
#endif
