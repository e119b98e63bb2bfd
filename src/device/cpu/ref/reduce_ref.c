/* reduce_ref.c - reductions over axes: each result visits its group of elements once (twice for LogSumExp). */
#include <math.h>

#include "device/cpu/ref/broadcast.h"

static double add_floats(hn_op op, double acc, const double *v, int64_t n, double shift) {
  for (int64_t i = 0; i < n; i++) switch (op) {
      case HN_ReduceL1: acc += fabs(v[i]); break;
      case HN_ReduceL2:
      case HN_ReduceSumSquare: acc += v[i] * v[i]; break;
      case HN_ReduceLogSumExp: acc += exp(v[i] - shift); break;
      case HN_ReduceProd: acc *= v[i]; break;
      case HN_ReduceMax: acc = acc >= v[i] || isnan(acc) ? acc : v[i]; break;
      case HN_ReduceMin: acc = acc <= v[i] || isnan(acc) ? acc : v[i]; break;
      default: acc += v[i]; break;
    }
  return acc;
}

static double float_start(hn_op op) {
  switch (op) {
    case HN_ReduceProd: return 1;
    case HN_ReduceMax: return -INFINITY;
    case HN_ReduceMin: return INFINITY;
    default: return 0;
  }
}

static double float_group(hn_op op, const hn_view *in, hn_walk *w, int64_t base, double shift) {
  double acc = float_start(op), v[HN_RUN];
  for (bool more = hn_walk_first(w); more; more = hn_walk_next(w)) HN_CHUNKS(w->run, c, m) {
      hn_read_f64(in->dtype, in->data, base + w->at[0] + c * w->step[0], w->step[0], m, v);
      acc = add_floats(op, acc, v, m, shift);
    }
  return acc;
}

static double reduce_floats(hn_op op, const hn_view *in, hn_walk *inner, int64_t base, int64_t n) {
  double shift = 0;
  if (op == HN_ReduceLogSumExp) { /* shifted by the largest, so that no exponential overflows */
    shift = float_group(HN_ReduceMax, in, inner, base, 0);
    if (!isfinite(shift)) shift = 0;
  }
  double acc = float_group(op, in, inner, base, shift);
  switch (op) {
    case HN_ReduceMean: return acc / (double)n;
    case HN_ReduceL2: return sqrt(acc);
    case HN_ReduceLogSum: return log(acc);
    case HN_ReduceLogSumExp: return log(acc) + shift;
    default: return acc;
  }
}

/* ---- integers: in int64 that wraps; unsigned 64-bit order by flipping the sign bit */
static int64_t int_start(hn_op op, hn_dtype t) {
  if (op == HN_ReduceProd) return 1;
  if (op != HN_ReduceMax && op != HN_ReduceMin) return 0;
  int bits = t == HONE_DTYPE_BOOL ? 1 : (int)hone_dtype_size(t) * 8;
  bool is_signed = hn_dtype_class(t) == HN_CLASS_I;
  uint64_t most = UINT64_MAX >> (64 - bits + is_signed);
  if (op == HN_ReduceMin) return (int64_t)most;
  return is_signed ? (int64_t)~most : 0;
}

static int64_t add_ints(hn_op op, int64_t acc, const int64_t *v, int64_t n, uint64_t flip) {
  uint64_t a = (uint64_t)acc;
  for (int64_t i = 0; i < n; i++) {
    uint64_t e = (uint64_t)v[i];
    bool larger = (int64_t)(e ^ flip) > (int64_t)(a ^ flip);
    switch (op) {
      case HN_ReduceL1: a += !flip && v[i] < 0 ? 0 - e : e; break;
      case HN_ReduceSumSquare: a += e * e; break;
      case HN_ReduceProd: a *= e; break;
      case HN_ReduceMax: a = larger ? e : a; break;
      case HN_ReduceMin: a = larger ? a : e; break;
      default: a += e; break;
    }
  }
  return (int64_t)a;
}

static int64_t reduce_ints(hn_op op, const hn_view *in, hn_walk *w, int64_t base, int64_t n) {
  bool u64 = in->dtype == HONE_DTYPE_U64;
  int64_t acc = int_start(op, in->dtype), v[HN_RUN];
  for (bool more = hn_walk_first(w); more; more = hn_walk_next(w)) HN_CHUNKS(w->run, c, m) {
      hn_read_i64(in->dtype, in->data, base + w->at[0] + c * w->step[0], w->step[0], m, v);
      acc = add_ints(op, acc, v, m, u64 ? (uint64_t)1 << 63 : 0);
    }
  if (op != HN_ReduceMean) return acc;
  if (n == 0) return 0;
  return u64 ? (int64_t)((uint64_t)acc / (uint64_t)n) : acc / n;
}

/* Which axes go, from input 1, and the shape of the result. */
static hone_status plan_axes(const hn_exec *x, bool *reduced, int32_t *rank, int64_t *dims) {
  const hn_node *node = hn_xnode(x);
  const hn_view *in = &x->in[0];
  int64_t n = hn_xhas(x, 1) ? x->in[1].count : 0;
  bool keep = hn_attr_i(node, "keepdims", 1) != 0;
  bool all = n == 0 && hn_attr_i(node, "noop_with_empty_axes", 0) == 0;
  for (int32_t i = 0; i < in->rank; i++) reduced[i] = all;
  for (int64_t i = 0; i < n; i++) {
    int32_t axis;
    HN_TRY(hn_xaxis(x, 0, hn_load_i64(x->in[1].dtype, x->in[1].data, (size_t)i), &axis));
    reduced[axis] = true;
  }
  *rank = 0;
  for (int32_t i = 0; i < in->rank; i++)
    if (!reduced[i]) dims[(*rank)++] = in->dims[i];
    else if (keep) dims[(*rank)++] = 1;
  return HONE_OK;
}

hone_status hk_reduce_ref(hn_exec *x) {
  hn_op op = hn_xnode(x)->op;
  const hn_view *in = &x->in[0];
  bool reduced[HN_MAX_RANK];
  int32_t rank;
  int64_t dims[HN_MAX_RANK], n = 1;
  bool ints = hn_is_int(in->dtype);
  bool through_float = op == HN_ReduceL2 || op == HN_ReduceLogSum || op == HN_ReduceLogSumExp;
  if (!ints && !hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(plan_axes(x, reduced, &rank, dims));
  HN_TRY(hn_xout(x, 0, in->dtype, rank, dims));
  hn_view *out = &x->out[0];
  hn_walk kept, inner;
  hn_walk_groups(in, reduced, &kept, &inner);
  for (int32_t i = 0; i < inner.rank; i++) n *= inner.dims[i];
  for (bool more = hn_walk_first(&kept); more; more = hn_walk_next(&kept))
    for (int64_t i = 0; i < kept.run; i++) {
      int64_t from = kept.at[0] + i * kept.step[0];
      size_t to = (size_t)(kept.at[1] + i * kept.step[1]);
      if (ints && !through_float) hn_store_i64(out->dtype, out->data, to, reduce_ints(op, in, &inner, from, n));
      else hn_store_f64(out->dtype, out->data, to, reduce_floats(op, in, &inner, from, n));
    }
  return HONE_OK;
}
