/* make_ref.c - tensors made from a shape or from numbers: ConstantOfShape, Range, Size. */
#include <math.h>
#include <string.h>

#include "device/cpu/ref/broadcast.h"

hone_status hk_constant_of_shape_ref(hn_exec *x) {
  const hn_tensor *value = hn_attr_tensor(hn_xnode(x), "value");
  const hn_view *shape = &x->in[0];
  hn_dtype t = value ? value->dtype : HONE_DTYPE_F32;
  size_t size = hone_dtype_size(t);
  int64_t dims[HN_MAX_RANK];
  if (!size) return hn_xbad_dtype(x, t);
  if (shape->count > HN_MAX_RANK) return hn_xfail(x, HONE_BAD_GRAPH, "a shape of %lld dimensions", (long long)shape->count);
  for (int64_t i = 0; i < shape->count; i++) dims[i] = hn_load_i64(shape->dtype, shape->data, (size_t)i);
  HN_TRY(hn_xout(x, 0, t, (int32_t)shape->count, dims));
  for (size_t i = 0; i < (size_t)x->out[0].count; i++) {
    if (value) memcpy((unsigned char *)x->out[0].data + i * size, value->data, size);
    else memset((unsigned char *)x->out[0].data + i * size, 0, size);
  }
  return HONE_OK;
}

hone_status hk_range_ref(hn_exec *x) {
  hn_dtype t = x->in[0].dtype;
  bool ints = hn_is_int(t);
  for (uint32_t i = 0; i < 3; i++)
    if (x->in[i].count != 1 || x->in[i].dtype != t) return hn_xfail(x, HONE_BAD_GRAPH, "start, limit and delta must be numbers of one type");
  double start = hn_load_f64(t, x->in[0].data, 0), limit = hn_load_f64(t, x->in[1].data, 0), delta = hn_load_f64(t, x->in[2].data, 0);
  double n = ceil((limit - start) / delta);
  if (delta == 0 || !(n < 9e15)) return hn_xfail(x, HONE_BAD_GRAPH, "a range without end");
  HN_TRY(hn_xout(x, 0, t, 1, &(int64_t){n > 0 ? (int64_t)n : 0}));
  for (int64_t i = 0; i < x->out[0].count; i++) {
    if (ints) {
      uint64_t v = (uint64_t)hn_load_i64(t, x->in[0].data, 0) + (uint64_t)i * (uint64_t)hn_load_i64(t, x->in[2].data, 0);
      hn_store_i64(t, x->out[0].data, (size_t)i, (int64_t)v);
    } else {
      hn_store_f64(t, x->out[0].data, (size_t)i, start + (double)i * delta);
    }
  }
  return HONE_OK;
}

hone_status hk_size_ref(hn_exec *x) {
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_I64, 0, NULL));
  memcpy(x->out[0].data, &x->in[0].count, sizeof x->in[0].count);
  return HONE_OK;
}
