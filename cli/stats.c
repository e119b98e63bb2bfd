/* stats.c - figures of samples, and of the difference between tensors. */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void samples_add(samples *s, double v) {
  if ((s->n & (s->n - 1)) == 0) s->p = cli_grow(s->p, s->n ? s->n * 2 : 1, sizeof *s->p);
  s->p[s->n++] = v;
}

void samples_free(samples *s) {
  free(s->p);
  *s = (samples){0};
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Between the two nearest samples. */
static double quantile(const double *sorted, size_t n, double q) {
  double at = q * (double)(n - 1);
  size_t i = (size_t)at;
  return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

summary samples_summary(const samples *s) {
  double *sorted = cli_alloc(s->n, sizeof *sorted), sum = 0;
  memcpy(sorted, s->p, s->n * sizeof *sorted);
  qsort(sorted, s->n, sizeof *sorted, ascending);
  for (size_t i = 0; i < s->n; i++) sum += sorted[i];
  summary r = {.mean = sum / (double)s->n, .median = quantile(sorted, s->n, 0.5), .p10 = quantile(sorted, s->n, 0.1),
               .p90 = quantile(sorted, s->n, 0.9), .p99 = quantile(sorted, s->n, 0.99), .min = sorted[0],
               .max = sorted[s->n - 1]};
  free(sorted);
  return r;
}

static void add_pair(difference *d, double a, double b) {
  if (isnan(a) && isnan(b)) return;
  if (!isfinite(a) || !isfinite(b)) {
    d->broken += a != b;
    return;
  }
  double apart = fabs(a - b);
  d->sum_abs += apart;
  d->max_abs = fmax(d->max_abs, apart);
  d->max_reference = fmax(d->max_reference, fmax(fabs(a), fabs(b)));
  d->dot += a * b;
  d->norm_a += a * a;
  d->norm_b += b * b;
}

/* In lanes that a compiler makes vectors of. False, and nothing added, if not all is finite. */
static bool add_floats(difference *d, const float *a, const float *b, size_t count) {
  enum { LANES = 8 };
  double sum[LANES] = {0}, dot[LANES] = {0}, norm_a[LANES] = {0}, norm_b[LANES] = {0}, most[LANES] = {0}, most_b[LANES] = {0};
  difference r = {0};
  for (size_t i = 0; i + LANES <= count; i += LANES)
    for (size_t k = 0; k < LANES; k++) {
      double x = (double)a[i + k], y = (double)b[i + k], apart = fabs(x - y), p = fabs(x), q = fabs(y), size = p > q ? p : q;
      sum[k] += apart;
      dot[k] += x * y;
      norm_a[k] += x * x;
      norm_b[k] += y * y;
      most[k] = apart > most[k] ? apart : most[k];
      most_b[k] = size > most_b[k] ? size : most_b[k];
    }
  for (size_t k = 0; k < LANES; k++) {
    r.sum_abs += sum[k];
    r.dot += dot[k];
    r.norm_a += norm_a[k];
    r.norm_b += norm_b[k];
    r.max_abs = fmax(r.max_abs, most[k]);
    r.max_reference = fmax(r.max_reference, most_b[k]);
  }
  if (!isfinite(r.norm_a + r.norm_b)) return false;
  for (size_t i = count - count % LANES; i < count; i++) {
    if (!isfinite(a[i]) || !isfinite(b[i])) return false;
    add_pair(&r, (double)a[i], (double)b[i]);
  }
  difference_merge(d, &r);
  return true;
}

void difference_merge(difference *d, const difference *of) {
  d->floats = d->floats || of->floats;
  d->count += of->count;
  d->broken += of->broken;
  d->sum_abs += of->sum_abs;
  d->dot += of->dot;
  d->norm_a += of->norm_a;
  d->norm_b += of->norm_b;
  d->max_abs = fmax(d->max_abs, of->max_abs);
  d->max_reference = fmax(d->max_reference, of->max_reference);
}

bool difference_add(difference *d, hone_dtype dtype, const void *a, const void *b, size_t count) {
  if (!dtype_numeric(dtype)) return false;
  d->floats = dtype_float(dtype);
  d->count += count;
  if (dtype == HONE_DTYPE_F32 && add_floats(d, a, b, count)) return true;
  for (size_t i = 0; i < count; i++) add_pair(d, tensor_get(dtype, a, i), tensor_get(dtype, b, i));
  return true;
}

double difference_relative(const difference *d) { return d->max_reference > 0 ? d->max_abs / d->max_reference : 0; }
double difference_mean(const difference *d) { return d->count ? d->sum_abs / (double)d->count : 0; }

double difference_cosine(const difference *d) {
  if (d->norm_a <= 0 && d->norm_b <= 0) return 1;
  double c = d->dot / sqrt(d->norm_a) / sqrt(d->norm_b);
  return isfinite(c) ? fmin(c, 1) : 0;
}

/* Integers have no scale to be relative to: a class index that is off by one is wrong. */
bool difference_within(const difference *d, double tolerance) {
  return !d->broken && (d->max_abs <= tolerance || (d->floats && difference_relative(d) <= tolerance));
}
