/* binary_ref.c - element-wise operators of two and more inputs, with broadcasting. */
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "op/scalar.h"

static hone_status same_types(const hn_exec *x, uint32_t from, uint32_t to) {
  for (uint32_t i = from + 1; i < to; i++)
    if (x->in[i].dtype != x->in[from].dtype)
      return hn_xfail(x, HONE_BAD_GRAPH, "input %u is %s where %s is needed", i, hone_dtype_name(x->in[i].dtype),
                      hone_dtype_name(x->in[from].dtype));
  return HONE_OK;
}

/* All three may be of different types. */
hone_status hn_apply_binary(hn_exec *x, hn_op op, const hn_view *a, const hn_view *b, bool ints) {
  int mode = hn_scalar_mode(hn_xnode(x));
  hn_binary_run frun = hn_scalar_binary_run(op);
  hn_binary_irun irun = hn_scalar_binary_irun(op);
  if (ints ? !irun : !frun) return hn_xbad_dtype(x, a->dtype);
  hn_view *out = &x->out[0];
  hn_walk w;
  hn_walk_begin(&w, out->rank, out->dims);
  hn_walk_dense(&w);
  if (!hn_walk_view(&w, a->rank, a->dims) || !hn_walk_view(&w, b->rank, b->dims))
    return hn_xfail(x, HONE_BAD_GRAPH, "an input cannot be broadcast to the output");
  union {
    double f[HN_RUN];
    int64_t i[HN_RUN];
  } va, vb;
  for (bool more = hn_walk_first(&w); more; more = hn_walk_next(&w)) HN_CHUNKS(w.run, c, m) {
      int64_t ia = w.at[1] + c * w.step[1], ib = w.at[2] + c * w.step[2], io = w.at[0] + c * w.step[0];
      if (ints) {
        hn_read_i64(a->dtype, a->data, ia, w.step[1], m, va.i);
        hn_read_i64(b->dtype, b->data, ib, w.step[2], m, vb.i);
        irun(va.i, vb.i, (size_t)m, mode, a->dtype == HONE_DTYPE_U64);
        hn_write_i64(out->dtype, out->data, io, w.step[0], m, va.i);
      } else {
        hn_read_f64(a->dtype, a->data, ia, w.step[1], m, va.f);
        hn_read_f64(b->dtype, b->data, ib, w.step[2], m, vb.f);
        frun(va.f, vb.f, (size_t)m, mode);
        hn_write_f64(out->dtype, out->data, io, w.step[0], m, va.f);
      }
    }
  return HONE_OK;
}

static hone_status numeric(const hn_exec *x, uint32_t i) {
  hn_dtype t = x->in[i].dtype;
  return hn_is_int(t) || hn_is_float(t) ? HONE_OK : hn_xbad_dtype(x, t);
}

static hone_status binary(hn_exec *x, hn_dtype out_type, bool ints) {
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  HN_TRY(numeric(x, 0));
  HN_TRY(numeric(x, 1));
  if (!hn_broadcast_views(x->in, 2, &rank, dims))
    return hn_xfail(x, HONE_BAD_GRAPH, "the inputs cannot be broadcast together");
  HN_TRY(hn_xout(x, 0, out_type, rank, dims));
  return hn_apply_binary(x, hn_xnode(x)->op, &x->in[0], &x->in[1], ints);
}

hone_status hk_binary_ref(hn_exec *x) {
  HN_TRY(same_types(x, 0, 2));
  return binary(x, x->in[0].dtype, hn_is_int(x->in[0].dtype));
}

hone_status hk_compare_ref(hn_exec *x) {
  HN_TRY(same_types(x, 0, 2));
  return binary(x, HONE_DTYPE_BOOL, hn_is_int(x->in[0].dtype));
}

/* Base and exponent have types of their own; the result has the base's. */
hone_status hk_pow_ref(hn_exec *x) {
  return binary(x, x->in[0].dtype, hn_is_int(x->in[0].dtype) && hn_is_int(x->in[1].dtype));
}

/* The slope is broadcast to the input, never the input to the slope. */
hone_status hk_prelu_ref(hn_exec *x) {
  HN_TRY(same_types(x, 0, 2));
  HN_TRY(numeric(x, 0));
  HN_TRY(hn_xout_like(x, 0, &x->in[0]));
  return hn_apply_binary(x, HN_PRelu, &x->in[0], &x->in[1], hn_is_int(x->in[0].dtype));
}

/* Min, Max, Sum, Mean: pairwise from the left, in the type of the output. */
hone_status hk_variadic_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  uint32_t count = n->n_main;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  HN_TRY(same_types(x, 0, count));
  HN_TRY(numeric(x, 0));
  if (!hn_broadcast_views(x->in, count, &rank, dims))
    return hn_xfail(x, HONE_BAD_GRAPH, "the inputs cannot be broadcast together");
  HN_TRY(hn_xout(x, 0, x->in[0].dtype, rank, dims));
  bool ints = hn_is_int(x->in[0].dtype);
  uint64_t zero_or_one = 0; /* the neutral other side for a single input */
  hn_view unit = {.data = &zero_or_one, .dtype = x->in[0].dtype, .count = 1};
  if (count == 1) {
    bool sum = n->op == HN_Sum || n->op == HN_Mean;
    return hn_apply_binary(x, sum ? HN_Add : n->op, &x->in[0], sum ? &unit : &x->in[0], ints);
  }
  for (uint32_t i = 1; i < count; i++) HN_TRY(hn_apply_binary(x, n->op, i == 1 ? &x->in[0] : &x->out[0], &x->in[i], ints));
  if (n->op != HN_Mean) return HONE_OK;
  hn_store_i64(unit.dtype, unit.data, 0, count);
  return hn_apply_binary(x, HN_Div, &x->out[0], &unit, ints);
}

hone_status hk_where_ref(hn_exec *x) {
  size_t size = hone_dtype_size(x->in[1].dtype);
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  HN_TRY(same_types(x, 1, 3));
  if (!size) return hn_xbad_dtype(x, x->in[1].dtype);
  if (x->in[0].dtype != HONE_DTYPE_BOOL) return hn_xbad_dtype(x, x->in[0].dtype);
  if (!hn_broadcast_views(x->in, 3, &rank, dims))
    return hn_xfail(x, HONE_BAD_GRAPH, "the inputs cannot be broadcast together");
  HN_TRY(hn_xout(x, 0, x->in[1].dtype, rank, dims));
  hn_walk w;
  hn_walk_begin(&w, rank, dims);
  hn_walk_dense(&w);
  for (int i = 0; i < 3; i++)
    if (!hn_walk_view(&w, x->in[i].rank, x->in[i].dims)) return hn_xfail(x, HONE_BAD_GRAPH, "input %d does not broadcast", i);
  const uint8_t *cond = x->in[0].data;
  const char *side[2] = {x->in[2].data, x->in[1].data};
  char *out = x->out[0].data;
  for (bool more = hn_walk_first(&w); more; more = hn_walk_next(&w))
    for (int64_t i = 0; i < w.run; i++) {
      int yes = cond[w.at[1] + i * w.step[1]] != 0, k = yes ? 2 : 3;
      memcpy(out + (size_t)(w.at[0] + i) * size, side[yes] + (size_t)(w.at[k] + i * w.step[k]) * size, size);
    }
  return HONE_OK;
}
