/* signal.c - inference of Fourier transforms, windows and mel filters. */
#include "op/infer.h"

/* The one number in integer input i as a dimension; a fresh unknown if it is not known. */
static hn_dim number(const hn_infer *x, uint32_t i) {
  const hn_dim *d;
  uint32_t n;
  return hn_isym(x, i, &d, &n) && n == 1 ? d[0] : hn_dim_unknown(x->g->dims);
}

static hn_dim half_plus_one(hn_dims *t, hn_dim n) { return hn_dim_add(t, hn_dim_div(t, n, 2), 1); }

hone_status hn_infer_dft(hn_infer *x) {
  const hn_node *n = hn_ino(x);
  hn_shape s = hn_ishape(x, 0);
  hn_dtype t = hn_idtype(x, 0);
  bool inverse = hn_attr_i(n, "inverse", 0) != 0, onesided = hn_attr_i(n, "onesided", 0) != 0;
  if (s.rank < 0) return hn_oset(x, 0, t, s);
  if (s.rank < 2) return hn_ierror(x, "input of rank %d; takes [..., length, ..., 1 or 2]", s.rank);
  int64_t axis_value = -2;
  const int64_t *v;
  uint32_t count;
  bool axis_known = true;
  if (hn_ihas(x, 2)) {
    axis_known = hn_iints(x, 2, &v, &count) && count == 1;
    if (axis_known) axis_value = v[0];
  }
  hn_dims *dims = x->g->dims;
  bool to_real = inverse && onesided;
  s.d[s.rank - 1] = to_real ? 1 : 2;
  if (!axis_known) {
    for (int32_t i = 0; i + 1 < s.rank; i++) s.d[i] = hn_dim_unknown(dims);
    return hn_oset(x, 0, t, s);
  }
  int32_t axis;
  if (!hn_axis(axis_value, s.rank, &axis) || axis == s.rank - 1)
    return hn_ierror(x, "axis %lld of a rank %d input", (long long)axis_value, s.rank);
  hn_dim len = s.d[axis];
  if (hn_ihas(x, 1)) len = number(x, 1);
  else if (to_real) len = hn_dim_mul(dims, hn_dim_sub(dims, len, 1), 2);
  s.d[axis] = onesided && !inverse ? half_plus_one(dims, len) : len;
  return hn_oset(x, 0, t, s);
}

hone_status hn_infer_stft(hn_infer *x) {
  hn_shape s = hn_ishape(x, 0), w = hn_ishape(x, 2);
  hn_dims *t = x->g->dims;
  if (s.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), s);
  if (s.rank != 2 && s.rank != 3) return hn_ierror(x, "signal of rank %d; takes [batch, length, 1 or 2]", s.rank);
  hn_dim step = number(x, 1), len;
  if (hn_ihas(x, 3)) len = number(x, 3);
  else if (hn_ihas(x, 2)) len = w.rank == 1 ? w.d[0] : hn_dim_unknown(t);
  else return hn_ierror(x, "needs a window or a frame length");
  if (step == 0) return hn_ierror(x, "frame_step is 0");
  bool onesided = hn_attr_i(hn_ino(x), "onesided", 1) != 0;
  hn_dim frames;
  if (hn_dim_fixed(s.d[1]) && hn_dim_fixed(len)) {
    if (len > s.d[1]) return hn_ierror(x, "frames are longer than the signal");
    frames = hn_dim_add(t, hn_dim_div(t, s.d[1] - len, step), 1);
  } else {
    frames = hn_dim_add(t, hn_dim_div(t, hn_dim_sub(t, s.d[1], len), step), 1);
  }
  hn_dim out[4] = {s.d[0], frames, onesided ? half_plus_one(t, len) : len, 2};
  return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_of(4, out));
}

static hone_status output_datatype(const hn_infer *x, hn_dtype *out) {
  int64_t t = hn_attr_i(hn_ino(x), "output_datatype", HONE_DTYPE_F32);
  if (!hn_dtype_known(t)) return hn_ierror(x, "attribute output_datatype=%lld is not an element type", (long long)t);
  *out = (hn_dtype)t;
  return HONE_OK;
}

hone_status hn_infer_window(hn_infer *x) {
  hn_dtype t;
  HN_TRY(output_datatype(x, &t));
  hn_dim d = number(x, 0);
  return hn_oset(x, 0, t, hn_shape_of(1, &d));
}

hone_status hn_infer_mel_weight_matrix(hn_infer *x) {
  hn_dtype t;
  HN_TRY(output_datatype(x, &t));
  hn_dim d[2] = {half_plus_one(x->g->dims, number(x, 1)), number(x, 0)};
  return hn_oset(x, 0, t, hn_shape_of(2, d));
}
