/* spectrum_ref.c - window functions and the mel weight matrix. */
#include <math.h>

#include "device/cpu/ref/broadcast.h"

/* a0 - a1 cos + a2 cos(2 ...) */
typedef struct cosines {
  double a0, a1, a2;
} cosines;

hone_status hk_window_function_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  int64_t size;
  hn_dtype t = (hn_dtype)hn_attr_i(n, "output_datatype", HONE_DTYPE_F32);
  if (!hn_is_float(t) && !hn_is_int(t)) return hn_xbad_dtype(x, t);
  HN_TRY(hn_xscalar_i(x, 0, &size));
  if (size < 0) return hn_xfail(x, HONE_BAD_ARG, "size %lld is negative", (long long)size);
  HN_TRY(hn_xout(x, 0, t, 1, &size));
  cosines c = n->op == HN_HannWindow      ? (cosines){0.5, 0.5, 0}
              : n->op == HN_HammingWindow ? (cosines){25.0 / 46, 21.0 / 46, 0}
                                          : (cosines){0.42, 0.5, 0.08};
  int64_t period = hn_attr_i(n, "periodic", 1) ? size : size - 1;
  double angle = 6.283185307179586477 / (double)(period > 0 ? period : 1);
  for (int64_t i = 0; i < size; i++)
    hn_store_f64(t, x->out[0].data, (size_t)i,
                 c.a0 - c.a1 * cos(angle * (double)i) + c.a2 * cos(2 * angle * (double)i));
  return HONE_OK;
}

static double to_mel(double hertz) { return 2595 * log10(1 + hertz / 700); }
static double to_hertz(double mel) { return 700 * (pow(10, mel / 2595) - 1); }

/* Column `band` of the matrix: a triangle that rises from bin lo to mid and falls to hi. */
static void triangle(hn_view *out, int64_t band, int64_t bands, int64_t bins, int64_t lo, int64_t mid, int64_t hi) {
  for (int64_t j = lo < 0 ? 0 : lo; j <= hi && j < bins; j++) {
    double v = j < mid ? (double)(j - lo) / (double)(mid - lo) : j == mid ? 1 : (double)(hi - j) / (double)(hi - mid);
    if (j < hi || j == mid) hn_store_f64(out->dtype, out->data, (size_t)(j * bands + band), v);
  }
}

hone_status hk_mel_weight_matrix_ref(hn_exec *x) {
  hn_dtype t = (hn_dtype)hn_attr_i(hn_xnode(x), "output_datatype", HONE_DTYPE_F32);
  int64_t bands, length, rate;
  if (!hn_is_float(t) && !hn_is_int(t)) return hn_xbad_dtype(x, t);
  HN_TRY(hn_xscalar_i(x, 0, &bands));
  HN_TRY(hn_xscalar_i(x, 1, &length));
  HN_TRY(hn_xscalar_i(x, 2, &rate));
  if (bands < 0 || length < 0 || length > INT32_MAX || rate <= 0 || x->in[3].count != 1 || x->in[4].count != 1)
    return hn_xfail(x, HONE_BAD_ARG, "takes sizes that are not negative and a positive sample rate");
  double low = to_mel(hn_load_f64(x->in[3].dtype, x->in[3].data, 0));
  double step = (to_mel(hn_load_f64(x->in[4].dtype, x->in[4].data, 0)) - low) / (double)(bands + 2);
  int64_t bins = length / 2 + 1;
  HN_TRY(hn_xout(x, 0, t, 2, (int64_t[]){bins, bands}));
  for (int64_t i = 0; i < x->out[0].count; i++) hn_store_i64(t, x->out[0].data, (size_t)i, 0);
  for (int64_t b = 0; b < bands; b++) {
    int64_t edge[3];
    for (int k = 0; k < 3; k++) {
      double v = floor((double)(length + 1) * to_hertz(low + step * (double)(b + k)) / (double)rate);
      edge[k] = !(v > -1) ? -1 : v > (double)bins ? bins : (int64_t)v;
    }
    triangle(&x->out[0], b, bands, bins, edge[0], edge[1], edge[2]);
  }
  return HONE_OK;
}
