/* convolution.c - inference of convolutions and pooling. */
#include "op/infer.h"

static hone_status within(const hn_infer *x, hone_status st) {
  const hn_node *n = hn_ino(x);
  return st ? hn_fail_within(x->cx, st, "node '%s' (%s)", n->name, hn_op_name(n->op)) : HONE_OK;
}

/* Spatial kernel sizes from the weights; false when they are not fixed (then kernel_shape is needed). */
static bool weight_kernel(const hn_shape *w, int64_t *kernel) {
  for (int32_t i = 2; i < w->rank; i++)
    if (!hn_dim_fixed(kernel[i - 2] = w->d[i])) return false;
  return w->rank > 2;
}

/* Weights are input iw, a bias input ib; t is the result's type. */
static hone_status infer_conv(hn_infer *x, uint32_t iw, uint32_t ib, hn_dtype t, bool transposed) {
  hn_shape in = hn_ishape(x, 0), w = hn_ishape(x, iw), out;
  if (in.rank < 0) return hn_oset(x, 0, t, hn_shape_unknown());
  if (in.rank < 3) return hn_ierror(x, "its input has %d dimensions; at least 3 are needed", in.rank);
  if (w.rank >= 0 && w.rank != in.rank) return hn_ierror(x, "weights of %d dimensions for an input of %d", w.rank, in.rank);
  int64_t kernel[HN_MAX_RANK], group = hn_attr_i(hn_ino(x), "group", 1);
  hn_window win;
  HN_TRY(within(x, hn_window_resolve(x->cx, x->g->dims, hn_ino(x), in.rank - 2, in.d + 2,
                                     weight_kernel(&w, kernel) ? kernel : NULL, transposed, &win)));
  if (group < 1) return hn_ierror(x, "group is %lld", (long long)group);
  out.rank = in.rank;
  out.d[0] = in.d[0];
  out.d[1] = w.rank < 0 ? hn_dim_unknown(x->g->dims) : transposed ? hn_dim_mul(x->g->dims, w.d[1], group) : w.d[0];
  if (w.rank >= 0 && hn_dim_fixed(in.d[1]) && hn_dim_fixed(w.d[0]) && hn_dim_fixed(w.d[1])) {
    bool ok = transposed ? in.d[1] == w.d[0] && w.d[0] % group == 0 : in.d[1] % group == 0 && in.d[1] / group == w.d[1] && w.d[0] % group == 0;
    if (!ok)
      return hn_ierror(x, "%lld input channels in %lld groups do not fit weights of %lld x %lld", (long long)in.d[1],
                       (long long)group, (long long)w.d[0], (long long)w.d[1]);
  }
  hn_shape bias = hn_ishape(x, ib);
  if (bias.rank >= 0 && (bias.rank != 1 || (hn_dim_fixed(bias.d[0]) && hn_dim_fixed(out.d[1]) && bias.d[0] != out.d[1])))
    return hn_ierror(x, "the bias does not have one value per output channel");
  for (int32_t i = 0; i < win.n; i++) out.d[2 + i] = win.out[i];
  return hn_oset(x, 0, t, out);
}

hone_status hn_infer_conv(hn_infer *x);
hone_status hn_infer_conv(hn_infer *x) { return infer_conv(x, 1, 2, hn_idtype(x, 0), false); }
hone_status hn_infer_conv_integer(hn_infer *x);
hone_status hn_infer_conv_integer(hn_infer *x) { return infer_conv(x, 1, UINT32_MAX, HONE_DTYPE_I32, false); }
/* x, its scale and zero point, w, its scale and zero point, the result's scale and zero point, bias */
hone_status hn_infer_qlinear_conv(hn_infer *x);
hone_status hn_infer_qlinear_conv(hn_infer *x) { return infer_conv(x, 3, 8, hn_idtype(x, 7), false); }
hone_status hn_infer_conv_transpose(hn_infer *x);
hone_status hn_infer_conv_transpose(hn_infer *x) { return infer_conv(x, 1, 2, hn_idtype(x, 0), true); }

hone_status hn_infer_pool(hn_infer *x);
hone_status hn_infer_pool(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), out;
  hn_dtype t = hn_idtype(x, 0);
  HN_TRY(hn_oset(x, 1, HONE_DTYPE_I64, hn_shape_unknown()));
  if (in.rank < 0) return hn_oset(x, 0, t, hn_shape_unknown());
  if (in.rank < 3) return hn_ierror(x, "its input has %d dimensions; at least 3 are needed", in.rank);
  hn_window win;
  HN_TRY(within(x, hn_window_resolve(x->cx, x->g->dims, hn_ino(x), in.rank - 2, in.d + 2, NULL, false, &win)));
  out = in;
  for (int32_t i = 0; i < win.n; i++) out.d[2 + i] = win.out[i];
  HN_TRY(hn_oset(x, 1, HONE_DTYPE_I64, out));
  return hn_oset(x, 0, t, out);
}

hone_status hn_infer_global_pool(hn_infer *x);
hone_status hn_infer_global_pool(hn_infer *x) {
  hn_shape s = hn_ishape(x, 0);
  if (s.rank >= 0 && s.rank < 3) return hn_ierror(x, "its input has %d dimensions; at least 3 are needed", s.rank);
  for (int32_t i = 2; i < s.rank; i++) s.d[i] = 1;
  return hn_oset(x, 0, hn_idtype(x, 0), s);
}
