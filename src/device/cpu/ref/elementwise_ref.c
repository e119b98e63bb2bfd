/* elementwise_ref.c - unary and binary operators on every type, by the scalar arithmetic of op/scalar.h. */
#include "device/cpu/ref/broadcast.h"
#include "op/scalar.h"

hone_status hk_unary_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  float alpha, beta;
  hn_scalar_params(hn_xnode(x), &alpha, &beta);
  HN_TRY(hn_xout_like(x, 0, in));
  if (hn_is_float(in->dtype)) {
    for (size_t i = 0; i < (size_t)in->count; i++)
      hn_store_f64(in->dtype, x->out[0].data, i, hn_scalar_unary(hn_xnode(x)->op, hn_load_f64(in->dtype, in->data, i), (double)alpha, (double)beta));
    return HONE_OK;
  }
  hn_unary_irun run = hn_scalar_unary_irun(hn_xnode(x)->op);
  if (!run) return hn_xbad_dtype(x, in->dtype);
  for (size_t i = 0; i < (size_t)in->count; i++) {
    int64_t v = hn_load_i64(in->dtype, in->data, i);
    run(&v, 1, in->dtype == HONE_DTYPE_U64);
    hn_store_i64(in->dtype, x->out[0].data, i, v);
  }
  return HONE_OK;
}

/* out = op(a, b) with broadcasting; comparisons and logic give bool. */
static hone_status binary(hn_exec *x, hn_dtype out_type) {
  const hn_view *a = &x->in[0], *b = &x->in[1];
  int64_t dims[HN_MAX_RANK];
  int32_t rank;
  hn_walker wa, wb;
  if (!hn_broadcast_views(a, b, &rank, dims)) return hn_xfail(x, HONE_BAD_GRAPH, "the inputs do not broadcast");
  HN_TRY(hn_xout(x, 0, out_type, rank, dims));
  hn_view *out = &x->out[0];
  hn_walker_begin(&wa, rank, dims, a);
  hn_walker_begin(&wb, rank, dims, b);
  int mode = hn_scalar_mode(hn_xnode(x));
  hn_binary_run frun = hn_scalar_binary_run(hn_xnode(x)->op);
  hn_binary_irun irun = hn_scalar_binary_irun(hn_xnode(x)->op);
  bool real = hn_is_float(a->dtype);
  if (real ? !frun : !irun) return hn_xbad_dtype(x, a->dtype);
  for (size_t i = 0; i < (size_t)out->count; i++, hn_walker_next(&wa), hn_walker_next(&wb)) {
    if (real) {
      double p = hn_load_f64(a->dtype, a->data, (size_t)wa.index), q = hn_load_f64(b->dtype, b->data, (size_t)wb.index);
      frun(&p, &q, 1, mode);
      hn_store_f64(out_type, out->data, i, p);
    } else {
      int64_t p = hn_load_i64(a->dtype, a->data, (size_t)wa.index), q = hn_load_i64(b->dtype, b->data, (size_t)wb.index);
      irun(&p, &q, 1, mode, a->dtype == HONE_DTYPE_U64);
      hn_store_i64(out_type, out->data, i, p);
    }
  }
  return HONE_OK;
}

hone_status hk_binary_ref(hn_exec *x) { return binary(x, x->in[0].dtype); }
hone_status hk_compare_ref(hn_exec *x) { return binary(x, HONE_DTYPE_BOOL); }

hone_status hk_clip_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  HN_TRY(hn_xout_like(x, 0, in));
  for (size_t i = 0; i < (size_t)in->count; i++) {
    double v = hn_load_f64(in->dtype, in->data, i);
    if (hn_xhas(x, 1) && v < hn_load_f64(x->in[1].dtype, x->in[1].data, 0)) v = hn_load_f64(x->in[1].dtype, x->in[1].data, 0);
    if (hn_xhas(x, 2) && v > hn_load_f64(x->in[2].dtype, x->in[2].data, 0)) v = hn_load_f64(x->in[2].dtype, x->in[2].data, 0);
    hn_store_f64(in->dtype, x->out[0].data, i, v);
  }
  return HONE_OK;
}

hone_status hk_cast_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  int64_t to = hn_attr_i(hn_xnode(x), "to", 0);
  if (!hn_dtype_known(to) || to == HONE_DTYPE_STRING || in->dtype == HONE_DTYPE_STRING) return hn_xbad_dtype(x, (hn_dtype)to);
  HN_TRY(hn_xout(x, 0, (hn_dtype)to, in->rank, in->dims));
  bool real = hn_is_float(in->dtype);
  for (size_t i = 0; i < (size_t)in->count; i++)
    if (real) hn_store_f64((hn_dtype)to, x->out[0].data, i, hn_load_f64(in->dtype, in->data, i));
    else hn_store_i64((hn_dtype)to, x->out[0].data, i, hn_load_i64(in->dtype, in->data, i));
  return HONE_OK;
}
