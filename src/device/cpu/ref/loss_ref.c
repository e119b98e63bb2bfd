/* loss_ref.c - NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss. */
#include <math.h>

#include "base/str.h"
#include "device/cpu/ref/broadcast.h"

/* Scores are batch x classes x each; labels batch x each. */
typedef struct shape {
  int64_t batch, classes, each;
} shape;

static hone_status check(const hn_exec *x, shape *s) {
  const hn_view *in = &x->in[0];
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (!hn_is_int(x->in[1].dtype)) return hn_xbad_dtype(x, x->in[1].dtype);
  if (in->rank < 2) return hn_xfail(x, HONE_BAD_GRAPH, "input of rank %d; takes [batch, classes, ...]", in->rank);
  *s = (shape){in->dims[0], in->dims[1], 1};
  for (int32_t i = 2; i < in->rank; i++) s->each *= in->dims[i];
  if (x->in[1].count != s->batch * s->each || (hn_xhas(x, 2) && x->in[2].count != s->classes))
    return hn_xfail(x, HONE_BAD_GRAPH, "labels or weights do not fit the input");
  return HONE_OK;
}

/* Logarithm of the sum of exponentials over the classes. */
static double log_sum(const hn_view *in, const shape *s, int64_t at) {
  double largest = -INFINITY, sum = 0;
  for (int64_t k = 0; k < s->classes; k++)
    largest = fmax(largest, hn_load_f64(in->dtype, in->data, (size_t)(at + k * s->each)));
  double shift = isfinite(largest) ? largest : 0;
  for (int64_t k = 0; k < s->classes; k++)
    sum += exp(hn_load_f64(in->dtype, in->data, (size_t)(at + k * s->each)) - shift);
  return log(sum) + shift;
}

/* Weighted loss of label i; its weight is added up. */
static hone_status one_loss(const hn_exec *x, const shape *s, int64_t i, double shift, double *loss, double *weights) {
  const hn_view *in = &x->in[0];
  int64_t label = hn_load_i64(x->in[1].dtype, x->in[1].data, (size_t)i);
  const hn_attr *ignore = hn_attr_find(hn_xnode(x), "ignore_index");
  *loss = 0;
  if (ignore && ignore->v.i == label) return HONE_OK;
  if (label < 0 || label >= s->classes)
    return hn_xfail(x, HONE_BAD_ARG, "label %lld of %lld classes", (long long)label, (long long)s->classes);
  double weight = hn_xhas(x, 2) ? hn_load_f64(x->in[2].dtype, x->in[2].data, (size_t)label) : 1;
  int64_t at = (i / s->each * s->classes + label) * s->each + i % s->each;
  *loss = weight * (shift - hn_load_f64(in->dtype, in->data, (size_t)at));
  *weights += weight;
  return HONE_OK;
}

hone_status hk_loss_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0];
  const char *reduction = hn_attr_s(n, "reduction", "mean");
  bool softmax = n->op == HN_SoftmaxCrossEntropyLoss, none = hn_streq(reduction, "none"), mean = hn_streq(reduction, "mean");
  shape s = {0};
  HN_TRY(check(x, &s));
  HN_TRY(hn_xout(x, 0, in->dtype, none ? x->in[1].rank : 0, x->in[1].dims));
  if (hn_xwants(x, 1)) HN_TRY(hn_xout_like(x, 1, in));
  double total = 0, weights = 0;
  for (int64_t i = 0; i < s.batch * s.each; i++) {
    int64_t at = i / s.each * s.classes * s.each + i % s.each;
    double shift = softmax ? log_sum(in, &s, at) : 0, loss;
    for (int64_t k = 0; k < s.classes && hn_xwants(x, 1); k++) {
      size_t c = (size_t)(at + k * s.each);
      hn_store_f64(in->dtype, x->out[1].data, c, hn_load_f64(in->dtype, in->data, c) - shift);
    }
    HN_TRY(one_loss(x, &s, i, shift, &loss, &weights));
    if (none) hn_store_f64(in->dtype, x->out[0].data, (size_t)i, loss);
    total += loss;
  }
  if (!none) hn_store_f64(in->dtype, x->out[0].data, 0, mean ? total / weights : total);
  return HONE_OK;
}
