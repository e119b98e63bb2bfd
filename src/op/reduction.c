/* reduction.c - inference of operators that reduce or accumulate along axes. */
#include "op/infer.h"

/* Elements of the result where a vector of known dimensions is reduced to one. */
static void reduce_elements(hn_infer *x) {
  const hn_dim *d;
  uint32_t n;
  hn_op op = hn_ino(x)->op;
  if (!hn_isym(x, 0, &d, &n)) return;
  if (n == 0 && (op == HN_ReduceMax || op == HN_ReduceMin)) return;
  hn_dims *t = x->g->dims;
  hn_dim r = n ? d[0] : op == HN_ReduceProd;
  for (uint32_t i = 1; i < n; i++) switch (op) {
      case HN_ReduceProd: r = hn_dim_mul(t, r, d[i]); break;
      case HN_ReduceL1:
      case HN_ReduceSum: r = hn_dim_add(t, r, d[i]); break;
      case HN_ReduceMax: r = hn_dim_max(t, r, d[i]); break;
      case HN_ReduceMin: r = hn_dim_min(t, r, d[i]); break;
      default: return;
    }
  if (op == HN_ReduceProd || op == HN_ReduceSum || op == HN_ReduceL1 || op == HN_ReduceMax || op == HN_ReduceMin)
    hn_osym(x, 0, &r, 1);
}

hone_status hn_infer_reduce(hn_infer *x) {
  const hn_node *n = hn_ino(x);
  hn_dtype t = hn_idtype(x, 0);
  hn_shape in = hn_ishape(x, 0), out = {.rank = 0};
  bool keep = hn_attr_i(n, "keepdims", 1) != 0, noop = hn_attr_i(n, "noop_with_empty_axes", 0) != 0;
  const int64_t *axes = NULL;
  uint32_t n_axes = 0;
  bool axes_known = !hn_ihas(x, 1) || hn_iints(x, 1, &axes, &n_axes);
  if (in.rank < 0) {
    bool to_scalar = axes_known && n_axes == 0 && !noop && !keep;
    return hn_oset(x, 0, t, to_scalar ? out : hn_shape_unknown());
  }
  if (!axes_known) { /* which dimensions stay is not known; how many, only if they are kept */
    if (!keep) return hn_oset(x, 0, t, hn_shape_unknown());
    for (int32_t i = 0; i < in.rank; i++) in.d[i] = in.d[i] == 1 ? 1 : hn_dim_unknown(x->g->dims);
    return hn_oset(x, 0, t, in);
  }
  bool reduced[HN_MAX_RANK] = {false};
  for (uint32_t i = 0; i < n_axes; i++) {
    int32_t a;
    if (!hn_axis(axes[i], in.rank, &a)) return hn_ierror(x, "axis %lld of a rank %d input", (long long)axes[i], in.rank);
    reduced[a] = true;
  }
  for (int32_t i = 0; i < in.rank; i++) {
    bool gone = reduced[i] || (n_axes == 0 && !noop);
    if (!gone) out.d[out.rank++] = in.d[i];
    else if (keep) out.d[out.rank++] = 1;
  }
  HN_TRY(hn_oset(x, 0, t, out));
  if (in.rank == 1 && (n_axes == 1 || !noop)) reduce_elements(x);
  return HONE_OK;
}

hone_status hn_infer_arg_reduce(hn_infer *x) {
  const hn_node *n = hn_ino(x);
  hn_shape in = hn_ishape(x, 0), out = {.rank = 0};
  int32_t axis;
  if (in.rank < 0) return hn_oset(x, 0, HONE_DTYPE_I64, hn_shape_unknown());
  if (!hn_axis(hn_attr_i(n, "axis", 0), in.rank, &axis)) return hn_ierror(x, "axis out of range for rank %d", in.rank);
  bool keep = hn_attr_i(n, "keepdims", 1) != 0;
  for (int32_t i = 0; i < in.rank; i++)
    if (i != axis) out.d[out.rank++] = in.d[i];
    else if (keep) out.d[out.rank++] = 1;
  return hn_oset(x, 0, HONE_DTYPE_I64, out);
}

hone_status hn_infer_cumulative(hn_infer *x) { return hn_oset(x, 0, hn_idtype(x, 0), hn_ishape(x, 0)); }
