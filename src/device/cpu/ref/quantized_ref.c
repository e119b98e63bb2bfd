#include <math.h>

#include "device/cpu/ref/quantized.h"

static bool one_or(const hn_view *v, int64_t channels) { return !v || v->count == 1 || v->count == channels; }

hone_status hn_open_quantized(const hn_exec *x, uint32_t tensor, uint32_t scale, uint32_t zero, int64_t channels, hn_quantized *q) {
  uint32_t n = hn_xnode(x)->n_main;
  *q = (hn_quantized){0};
  if (tensor != HN_NONE) q->v = &x->in[tensor];
  if (scale < n && hn_xhas(x, scale)) q->scale = &x->in[scale];
  if (zero < n && hn_xhas(x, zero)) q->zero = &x->in[zero];
  q->dtype = q->v ? q->v->dtype : q->zero ? q->zero->dtype : HONE_DTYPE_U8;
  if (!hn_is_int(q->dtype)) return hn_xbad_dtype(x, q->dtype);
  if (!one_or(q->scale, channels) || !one_or(q->zero, channels))
    return hn_xfail(x, HONE_BAD_GRAPH, "a scale or zero point is not one number, nor one for each of %lld channels", (long long)channels);
  return HONE_OK;
}

static double entry(const hn_view *v, int64_t channel) {
  return hn_load_f64(v->dtype, v->data, v->count == 1 ? 0 : (size_t)channel);
}

double hn_scale_of(const hn_quantized *q, int64_t channel) { return q->scale ? entry(q->scale, channel) : 1; }
double hn_zero_of(const hn_quantized *q, int64_t channel) { return q->zero ? entry(q->zero, channel) : 0; }

double hn_requantize(const hn_quantized *q, double v, int64_t channel) {
  double low = q->dtype == HONE_DTYPE_I8 ? -128 : q->dtype == HONE_DTYPE_I16 ? -32768 : 0;
  double high = q->dtype == HONE_DTYPE_I8 ? 127 : q->dtype == HONE_DTYPE_U8 ? 255 : q->dtype == HONE_DTYPE_I16 ? 32767 : 65535;
  v = rint(v / hn_scale_of(q, channel)) + hn_zero_of(q, channel);
  return v < low ? low : v > high ? high : v;
}
