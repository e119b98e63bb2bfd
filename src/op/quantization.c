/* quantization.c - inference of QuantizeLinear and its relatives. */
#include "op/infer.h"

static hone_status attr_dtype(const hn_infer *x, const char *name, hn_dtype *out) {
  int64_t t = hn_attr_i(hn_ino(x), name, 0);
  if (t && !hn_dtype_known(t)) return hn_ierror(x, "attribute %s=%lld is not an element type", name, (long long)t);
  *out = (hn_dtype)t;
  return HONE_OK;
}

/* Scales are one number, one number along the axis, or one number a block along the axis. */
static hone_status check_scale(const hn_infer *x) {
  hn_shape s = hn_ishape(x, 0), v = hn_ishape(x, 1);
  if (s.rank < 0 || v.rank < 0 || v.rank == 0 || (v.rank == 1 && v.d[0] == 1)) return HONE_OK;
  const hn_node *n = hn_ino(x);
  int32_t axis;
  int64_t block = hn_attr_i(n, "block_size", 0), attr = hn_attr_i(n, "axis", 1);
  if (!hn_axis(attr, s.rank, &axis)) return hn_ierror(x, "axis %lld of a rank %d input", (long long)attr, s.rank);
  if (block < 0) return hn_ierror(x, "block_size %lld is negative", (long long)block);
  if (block > 0 ? v.rank != s.rank : v.rank != 1)
    return hn_ierror(x, "scale of rank %d does not fit an input of rank %d", v.rank, s.rank);
  hn_dim want = block > 0 ? hn_dim_ceil_div(x->g->dims, s.d[axis], block) : s.d[axis];
  hn_dim have = v.d[block > 0 ? axis : 0];
  if (hn_dim_fixed(want) && hn_dim_fixed(have) && want != have)
    return hn_ierror(x, "%lld scales where axis %d needs %lld", (long long)have, axis, (long long)want);
  return HONE_OK;
}

hone_status hn_infer_quantize_linear(hn_infer *x) {
  hn_dtype t, zero = hn_idtype(x, 2);
  HN_TRY(attr_dtype(x, "output_dtype", &t));
  if (t && zero && t != zero)
    return hn_ierror(x, "output_dtype is %s but the zero point is %s", hone_dtype_name(t), hone_dtype_name(zero));
  if (!t) t = hn_ihas(x, 2) ? zero : HONE_DTYPE_U8;
  HN_TRY(check_scale(x));
  return hn_oset(x, 0, t, hn_ishape(x, 0));
}

hone_status hn_infer_dequantize_linear(hn_infer *x) {
  hn_dtype t;
  HN_TRY(attr_dtype(x, "output_dtype", &t));
  hn_dtype q = hn_idtype(x, 0), zero = hn_idtype(x, 2);
  if (q && zero && q != zero)
    return hn_ierror(x, "the input is %s but the zero point is %s", hone_dtype_name(q), hone_dtype_name(zero));
  HN_TRY(check_scale(x));
  return hn_oset(x, 0, t ? t : hn_idtype(x, 1), hn_ishape(x, 0));
}

hone_status hn_infer_dynamic_quantize_linear(hn_infer *x) {
  hn_shape s = hn_ishape(x, 0), each = s;
  if (!hn_attr_i(hn_ino(x), "by_rows", 0)) each = hn_shape_of(0, NULL);
  else if (s.rank == 0) return hn_ierror(x, "a scalar has no rows");
  else if (s.rank > 0) each.d[s.rank - 1] = 1;
  HN_TRY(hn_oset(x, 0, HONE_DTYPE_U8, s));
  HN_TRY(hn_oset(x, 1, HONE_DTYPE_F32, each));
  return hn_oset(x, 2, HONE_DTYPE_U8, each);
}
