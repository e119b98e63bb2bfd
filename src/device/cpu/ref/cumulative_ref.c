/* cumulative_ref.c - CumSum and CumProd along an axis. */
#include "device/cpu/ref/broadcast.h"

typedef struct lane {
  int64_t at, n, step; /* in the order of accumulation */
  bool exclusive, product;
} lane;

static void run_floats(const hn_view *in, hn_view *out, lane l) {
  double acc = l.product;
  for (int64_t k = 0; k < l.n; k++) {
    size_t i = (size_t)(l.at + k * l.step);
    double v = hn_load_f64(in->dtype, in->data, i), next = l.product ? acc * v : acc + v;
    hn_store_f64(out->dtype, out->data, i, l.exclusive ? acc : next);
    acc = next;
  }
}

static void run_ints(const hn_view *in, hn_view *out, lane l) {
  uint64_t acc = l.product;
  for (int64_t k = 0; k < l.n; k++) {
    size_t i = (size_t)(l.at + k * l.step);
    uint64_t v = (uint64_t)hn_load_i64(in->dtype, in->data, i), next = l.product ? acc * v : acc + v;
    hn_store_i64(out->dtype, out->data, i, (int64_t)(l.exclusive ? acc : next));
    acc = next;
  }
}

hone_status hk_cumulative_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0];
  int64_t value;
  int32_t axis;
  if (!hn_is_int(in->dtype) && !hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(hn_xscalar_i(x, 1, &value));
  HN_TRY(hn_xaxis(x, 0, value, &axis));
  HN_TRY(hn_xout_like(x, 0, in));
  hn_axis_split s = hn_split_at(in, axis);
  bool reverse = hn_attr_i(n, "reverse", 0) != 0;
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t i = 0; i < s.inner; i++) {
      int64_t first = o * s.n * s.inner + i;
      lane l = {.at = reverse ? first + (s.n - 1) * s.inner : first, .n = s.n, .step = reverse ? -s.inner : s.inner,
                .exclusive = hn_attr_i(n, "exclusive", 0) != 0, .product = n->op == HN_CumProd};
      if (hn_is_int(in->dtype)) run_ints(in, &x->out[0], l);
      else run_floats(in, &x->out[0], l);
    }
  return HONE_OK;
}
