/* unary_ref.c - element-wise operators of one input. */
#include <math.h>
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "op/scalar.h"

static hone_status unary_float(hn_exec *x, hn_op op, double alpha, double beta) {
  hn_unary_run run = hn_scalar_unary_run(op);
  const hn_view *in = &x->in[0];
  if (!run) return hn_xbad_dtype(x, in->dtype);
  double v[HN_RUN];
  HN_CHUNKS(in->count, at, m) {
    hn_read_f64(in->dtype, in->data, at, 1, m, v);
    run(v, (size_t)m, alpha, beta);
    hn_write_f64(in->dtype, x->out[0].data, at, 1, m, v);
  }
  return HONE_OK;
}

static hone_status unary_int(hn_exec *x, hn_op op) {
  hn_unary_irun run = hn_scalar_unary_irun(op);
  const hn_view *in = &x->in[0];
  if (!run) return hn_xbad_dtype(x, in->dtype);
  int64_t v[HN_RUN];
  HN_CHUNKS(in->count, at, m) {
    hn_read_i64(in->dtype, in->data, at, 1, m, v);
    run(v, (size_t)m, in->dtype == HONE_DTYPE_U64);
    hn_write_i64(in->dtype, x->out[0].data, at, 1, m, v);
  }
  return HONE_OK;
}

hone_status hk_unary_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  hn_dtype t = x->in[0].dtype;
  HN_TRY(hn_xout_like(x, 0, &x->in[0]));
  if (hn_is_int(t)) return unary_int(x, n->op);
  if (!hn_is_float(t)) return hn_xbad_dtype(x, t);
  float alpha, beta;
  hn_scalar_params(n, &alpha, &beta);
  return unary_float(x, n->op, (double)alpha, (double)beta);
}

hone_status hk_identity_ref(hn_exec *x) {
  size_t bytes;
  if (!hn_dtype_bytes(x->in[0].dtype, (uint64_t)x->in[0].count, &bytes)) return hn_xbad_dtype(x, x->in[0].dtype);
  HN_TRY(hn_xout_like(x, 0, &x->in[0]));
  if (bytes) memcpy(x->out[0].data, x->in[0].data, bytes);
  return HONE_OK;
}

/* IsNaN, IsInf */
hone_status hk_predicate_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0];
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  bool negative = hn_attr_i(n, "detect_negative", 1) != 0, positive = hn_attr_i(n, "detect_positive", 1) != 0;
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_BOOL, in->rank, in->dims));
  uint8_t *out = x->out[0].data;
  double v[HN_RUN];
  HN_CHUNKS(in->count, at, m) {
    hn_read_f64(in->dtype, in->data, at, 1, m, v);
    for (int64_t i = 0; i < m; i++)
      out[at + i] = (uint8_t)(n->op == HN_IsNaN ? isnan(v[i]) != 0 : isinf(v[i]) && (v[i] < 0 ? negative : positive));
  }
  return HONE_OK;
}

/* A bound of Clip: input i, or the limit of the type where it is absent. */
static double float_bound(const hn_exec *x, uint32_t i, double otherwise) {
  return hn_xhas(x, i) && x->in[i].count ? hn_load_f64(x->in[i].dtype, x->in[i].data, 0) : otherwise;
}

static void clip_int(hn_exec *x) {
  const hn_view *in = &x->in[0];
  hn_binary_irun larger = hn_scalar_binary_irun(HN_Max), smaller = hn_scalar_binary_irun(HN_Min);
  bool lo = hn_xhas(x, 1) && x->in[1].count, hi = hn_xhas(x, 2) && x->in[2].count, u64 = in->dtype == HONE_DTYPE_U64;
  int64_t v[HN_RUN], vlo[HN_RUN], vhi[HN_RUN];
  for (int i = 0; i < HN_RUN; i++) {
    vlo[i] = lo ? hn_load_i64(in->dtype, x->in[1].data, 0) : 0;
    vhi[i] = hi ? hn_load_i64(in->dtype, x->in[2].data, 0) : 0;
  }
  HN_CHUNKS(in->count, at, m) {
    hn_read_i64(in->dtype, in->data, at, 1, m, v);
    if (lo) larger(v, vlo, (size_t)m, 0, u64);
    if (hi) smaller(v, vhi, (size_t)m, 0, u64);
    hn_write_i64(in->dtype, x->out[0].data, at, 1, m, v);
  }
}

hone_status hk_clip_ref(hn_exec *x) {
  hn_dtype t = x->in[0].dtype;
  for (uint32_t i = 1; i < 3; i++)
    if (hn_xhas(x, i) && x->in[i].dtype != t)
      return hn_xfail(x, HONE_BAD_GRAPH, "bound of type %s for an input of type %s", hone_dtype_name(x->in[i].dtype),
                      hone_dtype_name(t));
  HN_TRY(hn_xout_like(x, 0, &x->in[0]));
  if (hn_is_float(t)) return unary_float(x, HN_Clip, float_bound(x, 1, -INFINITY), float_bound(x, 2, INFINITY));
  if (!hn_is_int(t)) return hn_xbad_dtype(x, t);
  clip_int(x);
  return HONE_OK;
}
