/* cast_ref.c - Cast and CastLike between all numeric types. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "device/cpu/ref/broadcast.h"

static bool is_f8(hn_dtype t) { return t >= HONE_DTYPE_F8E4M3FN && t <= HONE_DTYPE_F8E5M2FNUZ; }
static bool is_4bit(hn_dtype t) { return t == HONE_DTYPE_U4 || t == HONE_DTYPE_I4; }

/* Floats out of the range of a 4-bit type have no defined value; they saturate. */
static double clamp_4bit(hn_dtype t, double v) {
  double lo = t == HONE_DTYPE_I4 ? -8 : 0, hi = t == HONE_DTYPE_I4 ? 7 : 15;
  return v < lo ? lo : v > hi ? hi : v;
}

/* A float that rounds to any narrower format as v itself does: the inexact bit is kept by rounding to odd. */
static double to_odd_float(double v) {
  float f = (float)v;
  if ((double)f == v || !isfinite(f)) return (double)f;
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return (double)(bits & 1 ? f : nextafterf(f, (double)f < v ? INFINITY : -INFINITY));
}

static void cast_floats(hn_exec *x, hn_dtype to, bool saturate) {
  const hn_view *in = &x->in[0];
  double v[HN_RUN];
  HN_CHUNKS(in->count, at, m) {
    hn_read_f64(in->dtype, in->data, at, 1, m, v);
    for (int64_t i = 0; i < m && in->dtype == HONE_DTYPE_F64 && hone_dtype_size(to) < 4 && hn_is_float(to); i++)
      v[i] = to_odd_float(v[i]);
    if (is_f8(to)) {
      uint8_t *out = (uint8_t *)x->out[0].data + at;
      hn_f8 kind = (hn_f8)((int)to - (int)HONE_DTYPE_F8E4M3FN);
      for (int64_t i = 0; i < m; i++) out[i] = hn_f32_to_f8(kind, (float)v[i], saturate);
      continue;
    }
    for (int64_t i = 0; i < m && is_4bit(to); i++) v[i] = clamp_4bit(to, v[i]);
    hn_write_f64(to, x->out[0].data, at, 1, m, v);
  }
}

static hone_status cast(hn_exec *x, hn_dtype to) {
  const hn_view *in = &x->in[0];
  bool saturate = hn_attr_i(hn_xnode(x), "saturate", 1) != 0;
  if (!hn_is_int(to) && !hn_is_float(to)) return hn_xbad_dtype(x, to);
  if (!hn_is_int(in->dtype) && !hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(hn_xout(x, 0, to, in->rank, in->dims));
  if (!hn_is_int(in->dtype) || !hn_is_int(to)) {
    cast_floats(x, to, saturate);
    return HONE_OK;
  }
  int64_t v[HN_RUN];
  HN_CHUNKS(in->count, at, m) {
    hn_read_i64(in->dtype, in->data, at, 1, m, v);
    hn_write_i64(to, x->out[0].data, at, 1, m, v);
  }
  return HONE_OK;
}

hone_status hk_cast_ref(hn_exec *x) { return cast(x, (hn_dtype)hn_attr_i(hn_xnode(x), "to", 0)); }
hone_status hk_cast_like_ref(hn_exec *x) { return cast(x, x->in[1].dtype); }
