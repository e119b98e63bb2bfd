/* resize_ref.c - Resize, one axis after the other, in double. */
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "op/resample.h"

static hn_tensor tensor_of(const hn_view *v) {
  hn_tensor t = {.dtype = v->dtype, .rank = v->rank, .count = v->count, .data = v->data};
  return t;
}

/* One axis of a buffer outer x in x inner. outside[i] of all axes is gathered by the caller. */
static void resample_axis(const double *from, double *to, int64_t outer, int64_t in, int64_t out, int64_t inner, const hn_taps *t) {
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < out; i++)
      for (int64_t k = 0; k < inner; k++) {
        double sum = 0;
        for (int64_t j = 0; j < t->n; j++) {
          double w = t->weight[i * t->n + j];
          if (w != 0) sum += w * from[(o * in + t->at[i * t->n + j]) * inner + k];
        }
        to[(o * out + i) * inner + k] = sum;
      }
}

/* The extrapolation value wherever index i of the axis lies outside. */
static void extrapolate(double *v, int64_t outer, int64_t out, int64_t inner, const hn_taps *t, double value) {
  for (int64_t o = 0; o < outer && t->outside; o++)
    for (int64_t i = 0; i < out; i++)
      for (int64_t k = 0; t->outside[i] && k < inner; k++) v[(o * out + i) * inner + k] = value;
}

static int64_t product(const int64_t *d, int32_t from, int32_t to) {
  int64_t n = 1;
  for (int32_t i = from; i < to; i++) n *= d[i];
  return n;
}

static hone_status resample(hn_exec *x, const hn_resample *r, double **values) {
  int64_t dims[HN_MAX_RANK];
  double fill = hn_attr_f(hn_xnode(x), "extrapolation_value", 0);
  hn_taps taps[HN_MAX_RANK] = {{0}};
  hone_status st = HONE_OK;
  memcpy(dims, r->in, sizeof dims);
  for (int32_t a = 0; a < r->rank && !st; a++) {
    if (hn_resample_keeps(r, a)) continue;
    st = hn_resample_taps(x->cx, hn_xnode(x), r, a, &taps[a]);
    if (st) st = hn_fail_within(x->cx, st, "node '%s' (Resize)", hn_xnode(x)->name);
    int64_t outer = product(dims, 0, a), inner = product(dims, a + 1, r->rank);
    double *to = st ? NULL : hn_calloc((size_t)(outer * r->out[a] * inner) + 1, sizeof *to);
    if (!st && !to) st = hn_nomem(x->cx);
    if (st) break;
    resample_axis(*values, to, outer, r->in[a], r->out[a], inner, &taps[a]);
    hn_free(*values);
    *values = to;
    dims[a] = r->out[a];
  }
  for (int32_t a = 0; a < r->rank; a++) {
    if (!st) extrapolate(*values, product(dims, 0, a), dims[a], product(dims, a + 1, r->rank), &taps[a], fill);
    hn_taps_free(&taps[a]);
  }
  return st;
}

hone_status hk_resize_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  hn_tensor t[4];
  hn_resample r;
  for (uint32_t i = 1; i < 4; i++) t[i] = hn_xhas(x, i) && i < hn_xnode(x)->n_main ? tensor_of(&x->in[i]) : (hn_tensor){0};
  hone_status st = hn_resample_resolve(x->cx, hn_xnode(x), in->rank, in->dims, &t[1], &t[2], &t[3], &r);
  if (st) return hn_fail_within(x->cx, st, "node '%s' (Resize)", hn_xnode(x)->name);
  if (hn_dtype_class(in->dtype) == HN_CLASS_S) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, r.out));
  double *v = hn_calloc((size_t)in->count + 1, sizeof *v);
  if (!v) return hn_nomem(x->cx);
  hn_read_f64(in->dtype, in->data, 0, 1, in->count, v);
  st = resample(x, &r, &v);
  if (!st) hn_write_f64(in->dtype, x->out[0].data, 0, 1, x->out[0].count, v);
  hn_free(v);
  return st;
}
