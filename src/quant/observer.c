#include "quant/observer.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

enum { BINS = HN_OBSERVER_BINS, LEVELS = 256 };
#define MOMENTUM 0.1 /* weight of a new batch in the moving average */

/* ------------------------------------------------------------------------------------- collecting */

/* Doubles the range until it holds the value: pairs of bins become one. */
static void grow_to(hn_observer *o, double largest) {
  uint64_t wide[BINS];
  if (o->limit == 0) o->limit = largest > 0 ? exp2(ceil(log2(largest))) : 1;
  while (largest >= o->limit) {
    memset(wide, 0, sizeof wide);
    for (int i = 0; i < BINS; i++) wide[BINS / 4 + i / 2] += o->bins[i];
    memcpy(o->bins, wide, sizeof wide);
    o->limit *= 2;
  }
}

static int bin_of(const hn_observer *o, double v) {
  int i = (int)floor((v / o->limit + 1) * (BINS / 2));
  return i < 0 ? 0 : i >= BINS ? BINS - 1 : i;
}

bool hn_observe(hn_observer *o, const float *v, size_t n, bool histogram, size_t *bad) {
  float low = INFINITY, high = -INFINITY;
  *bad = n;
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(v[i])) {
      *bad = i;
      return true;
    }
    if (v[i] < low) low = v[i];
    if (v[i] > high) high = v[i];
  }
  if (!n) return true;
  if (histogram && !o->bins && !(o->bins = hn_calloc(BINS, sizeof *o->bins))) return false;
  if (histogram) {
    grow_to(o, fmax(fabs((double)low), fabs((double)high)));
    for (size_t i = 0; i < n; i++) o->bins[bin_of(o, (double)v[i])]++;
  }
  double weight = o->batches ? MOMENTUM : 1;
  o->mean_low += weight * ((double)low - o->mean_low);
  o->mean_high += weight * ((double)high - o->mean_high);
  if (!o->batches || low < o->low) o->low = low;
  if (!o->batches || high > o->high) o->high = high;
  o->batches++;
  o->count += n;
  return true;
}

void hn_observer_free(hn_observer *o) {
  hn_free(o->bins);
  o->bins = NULL;
}

/* ---------------------------------------------------------------------------------------- choosing */

static double left_of(const hn_observer *o, int bin) { return ((double)bin / (BINS / 2) - 1) * o->limit; }
static double middle_of(const hn_observer *o, int bin) { return (((double)bin + 0.5) / (BINS / 2) - 1) * o->limit; }

/* Leaves out the share 1 - percentile/100 of the values, half of it on each side that has any. */
static void percentile_range(const hn_observer *o, double percentile, double *low, double *high) {
  double out = (1 - percentile / 100) * (double)o->count;
  if (o->low < 0 && o->high > 0) out /= 2;
  double sum = 0;
  for (int i = 0; i < BINS && o->low < 0; i++) {
    sum += (double)o->bins[i];
    if (sum > out) {
      *low = fmax(*low, left_of(o, i));
      break;
    }
  }
  sum = 0;
  for (int i = BINS - 1; i >= 0 && o->high > 0; i--) {
    sum += (double)o->bins[i];
    if (sum > out) {
      *high = fmin(*high, left_of(o, i + 1));
      break;
    }
  }
}

/* Mean square error of 8 bits over [low, high]: inside by steps, outside by what is cut off. */
static double square_error(const hn_observer *o, double low, double high) {
  double step = (high - low) / (LEVELS - 1), sum = 0;
  for (int i = 0; i < BINS; i++) {
    if (!o->bins[i]) continue;
    double v = middle_of(o, i), e = v < low ? low - v : v > high ? v - high : 0;
    sum += (double)o->bins[i] * (e > 0 ? e * e : step * step / 12);
  }
  return sum;
}

static void mse_range(const hn_observer *o, double *low, double *high) {
  double lo = *low, hi = *high, best = INFINITY;
  for (int a = 100; a >= 20; a -= 2)
    for (int b = 100; b >= 20; b -= 2) {
      if ((lo == 0 && a < 100) || (hi == 0 && b < 100)) continue;
      double e = square_error(o, lo * a / 100, hi * b / 100);
      if (e >= best) continue;
      best = e;
      *low = lo * a / 100;
      *high = hi * b / 100;
    }
}

/* Magnitudes in BINS / 2 bins. A value that occurs again and again (the zero of an activation function, what a layer makes of an
   even background) says nothing of the range: its bin counts as much as the larger one beside it. */
static void fold_magnitudes(const hn_observer *o, double *h) {
  double before = 0;
  for (int i = 0; i < BINS / 2; i++) h[i] = (double)o->bins[BINS / 2 + i] + (double)o->bins[BINS / 2 - 1 - i];
  for (int i = 0; i < BINS / 2; i++) {
    double own = h[i], beside = fmax(before, i + 1 < BINS / 2 ? h[i + 1] : 0);
    if (beside > 0) h[i] = fmin(own, beside);
    before = own;
  }
}

/* Divergence of the magnitudes' distribution, cut off at `n` bins, from its copy with `levels` levels. */
static double divergence(const double *h, int n, int levels, double total) {
  double outside = 0, sum_q = 0, kl = 0, q[BINS / 2] = {0};
  for (int i = n; i < BINS / 2; i++) outside += h[i];
  for (int l = 0; l < levels; l++) {
    int from = (int)((int64_t)l * n / levels), to = (int)((int64_t)(l + 1) * n / levels), used = 0;
    double sum = 0;
    for (int i = from; i < to; i++) {
      sum += h[i];
      used += h[i] > 0;
    }
    for (int i = from; i < to && used; i++)
      if (h[i] > 0) q[i] = sum / used;
    sum_q += sum;
  }
  if (sum_q <= 0) return INFINITY;
  for (int i = 0; i < n; i++) {
    double p = (h[i] + (i == n - 1 ? outside : 0)) / total;
    if (p > 0) kl += p * log(p / fmax(q[i] / sum_q, 1e-12));
  }
  return kl;
}

/* The magnitude at which to cut off so that the least is lost of the distribution's information. */
static void entropy_range(const hn_observer *o, double *low, double *high) {
  double h[BINS / 2], total = 0, best = INFINITY;
  int levels = o->low < 0 ? LEVELS / 2 : LEVELS, at = BINS / 2, last = 0;
  fold_magnitudes(o, h);
  for (int i = 0; i < BINS / 2; i++) {
    total += h[i];
    if (h[i] > 0) last = i + 1;
  }
  for (int to = levels; to < last + 8; to += 8) { /* at the end all of it */
    int n = to < last ? to : last;
    double d = n < levels ? INFINITY : divergence(h, n, levels, total);
    if (d < best) {
      best = d;
      at = n;
    }
  }
  double cut = (double)at / (BINS / 2) * o->limit;
  *low = fmax(*low, -cut);
  *high = fmin(*high, cut);
}

void hn_observer_range(const hn_observer *o, hone_observer method, double percentile, float *low, float *high) {
  double lo = (double)o->low, hi = (double)o->high;
  if (method == HONE_OBSERVER_MOVING_AVERAGE) {
    lo = o->mean_low;
    hi = o->mean_high;
  }
  lo = fmin(lo, 0);
  hi = fmax(hi, 0);
  if (o->bins && o->count) {
    if (method == HONE_OBSERVER_PERCENTILE) percentile_range(o, percentile, &lo, &hi);
    if (method == HONE_OBSERVER_ENTROPY) entropy_range(o, &lo, &hi);
    if (method == HONE_OBSERVER_MSE) mse_range(o, &lo, &hi);
  }
  *low = (float)fmin(lo, 0);
  *high = (float)fmax(hi, 0);
}
