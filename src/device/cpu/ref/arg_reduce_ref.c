/* arg_reduce_ref.c - ArgMax and ArgMin: the index of the first (or last) extreme along an axis. */
#include <math.h>

#include "device/cpu/ref/broadcast.h"

static int64_t extreme_float(const hn_view *in, int64_t at, hn_axis_split s, bool least, bool last) {
  int64_t best = 0;
  double held = 0;
  for (int64_t k = 0; k < s.n; k++) {
    double v = hn_load_f64(in->dtype, in->data, (size_t)(at + k * s.inner));
    bool better = least ? v < held : v > held;
    if (k && !better && !(last && v == held) && !(isnan(v) && !isnan(held))) continue; /* a NaN is the most extreme */
    if (k && isnan(held)) continue;
    held = v;
    best = k;
  }
  return best;
}

static int64_t extreme_int(const hn_view *in, int64_t at, hn_axis_split s, bool least, bool last) {
  uint64_t flip = in->dtype == HONE_DTYPE_U64 ? (uint64_t)1 << 63 : 0;
  int64_t best = 0, held = 0;
  for (int64_t k = 0; k < s.n; k++) {
    int64_t v = (int64_t)((uint64_t)hn_load_i64(in->dtype, in->data, (size_t)(at + k * s.inner)) ^ flip);
    if (k && !(least ? v < held : v > held) && !(last && v == held)) continue;
    held = v;
    best = k;
  }
  return best;
}

hone_status hk_arg_reduce_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0];
  int32_t axis, rank = 0;
  int64_t dims[HN_MAX_RANK];
  bool ints = hn_is_int(in->dtype), least = n->op == HN_ArgMin;
  bool keep = hn_attr_i(n, "keepdims", 1) != 0, last = hn_attr_i(n, "select_last_index", 0) != 0;
  if (!ints && !hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(hn_xaxis(x, 0, hn_attr_i(n, "axis", 0), &axis));
  for (int32_t i = 0; i < in->rank; i++)
    if (i != axis) dims[rank++] = in->dims[i];
    else if (keep) dims[rank++] = 1;
  hn_axis_split s = hn_split_at(in, axis);
  if (s.n == 0 && s.outer * s.inner > 0) return hn_xfail(x, HONE_BAD_GRAPH, "no extreme of an empty axis");
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_I64, rank, dims));
  int64_t *out = x->out[0].data;
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t i = 0; i < s.inner; i++) {
      int64_t at = o * s.n * s.inner + i;
      *out++ = ints ? extreme_int(in, at, s, least, last) : extreme_float(in, at, s, least, last);
    }
  return HONE_OK;
}
