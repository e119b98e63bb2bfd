/* normalization_ref.c - softmax, batch normalization, reductions to a mean, in double. */
#include <math.h>

#include "device/cpu/cpu.h"
#include "op/infer.h"

hone_status hk_softmax_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  int32_t axis;
  int64_t outer = 1, inner = 1;
  bool logarithm = hn_xnode(x)->op == HN_LogSoftmax;
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (!hn_axis(hn_attr_i(hn_xnode(x), "axis", -1), in->rank, &axis)) return hn_xfail(x, HONE_BAD_GRAPH, "its axis is out of range");
  HN_TRY(hn_xout_like(x, 0, in));
  for (int32_t i = 0; i < axis; i++) outer *= in->dims[i];
  for (int32_t i = axis + 1; i < in->rank; i++) inner *= in->dims[i];
  int64_t d = in->dims[axis];
  for (int64_t o = 0; o < outer * inner; o++) {
    size_t base = (size_t)(o / inner * d * inner + o % inner);
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < d; i++) top = fmax(top, hn_load_f64(in->dtype, in->data, base + (size_t)(i * inner)));
    for (int64_t i = 0; i < d; i++) sum += exp(hn_load_f64(in->dtype, in->data, base + (size_t)(i * inner)) - top);
    for (int64_t i = 0; i < d; i++) {
      size_t k = base + (size_t)(i * inner);
      double v = hn_load_f64(in->dtype, in->data, k) - top;
      hn_store_f64(in->dtype, x->out[0].data, k, logarithm ? v - log(sum) : exp(v) / sum);
    }
  }
  return HONE_OK;
}

hone_status hk_batch_norm_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  double epsilon = hn_attr_f(hn_xnode(x), "epsilon", 1e-5);
  int64_t channels = in->rank > 1 ? in->dims[1] : 1, inner = 1;
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  for (uint32_t i = 1; i < 5; i++)
    if (x->in[i].count != channels) return hn_xfail(x, HONE_BAD_GRAPH, "input %u does not have one value per channel", i);
  HN_TRY(hn_xout_like(x, 0, in));
  for (int32_t i = 2; i < in->rank; i++) inner *= in->dims[i];
  for (int64_t i = 0; i < in->count; i++) {
    size_t c = (size_t)(i / inner % channels);
    double p[5];
    for (uint32_t k = 1; k < 5; k++) p[k] = hn_load_f64(x->in[k].dtype, x->in[k].data, c);
    double v = hn_load_f64(in->dtype, in->data, (size_t)i);
    hn_store_f64(in->dtype, x->out[0].data, (size_t)i, p[1] * (v - p[3]) / sqrt(p[4] + epsilon) + p[2]);
  }
  return HONE_OK;
}
