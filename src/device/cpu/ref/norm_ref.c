/* norm_ref.c - normalizations: moments in double over a run of elements, then scale and shift. */
#include <math.h>

#include "device/cpu/ref/broadcast.h"

/* Mean and (biased) variance of n consecutive elements, in two passes. */
static void moments(const hn_view *in, int64_t at, int64_t n, double *mean, double *variance) {
  double v[HN_RUN], sum = 0, square = 0;
  HN_CHUNKS(n, c, m) {
    hn_read_f64(in->dtype, in->data, at + c, 1, m, v);
    for (int64_t i = 0; i < m; i++) sum += v[i];
  }
  double mu = sum / (double)n;
  HN_CHUNKS(n, c, m) {
    hn_read_f64(in->dtype, in->data, at + c, 1, m, v);
    for (int64_t i = 0; i < m; i++) square += (v[i] - mu) * (v[i] - mu);
  }
  *mean = mu;
  *variance = square / (double)n;
}

/* y = (x - mean) * factor * scale + shift over n consecutive elements */
static void scale_run(const hn_view *in, hn_view *out, int64_t at, int64_t n, double mean, double factor, double shift) {
  double v[HN_RUN];
  HN_CHUNKS(n, c, m) {
    hn_read_f64(in->dtype, in->data, at + c, 1, m, v);
    for (int64_t i = 0; i < m; i++) v[i] = (v[i] - mean) * factor + shift;
    hn_write_f64(out->dtype, out->data, at + c, 1, m, v);
  }
}

static double param(const hn_exec *x, uint32_t i, int64_t k) { return hn_load_f64(x->in[i].dtype, x->in[i].data, (size_t)k); }

/* Batch, channels and elements a channel of input 0, whose inputs 1..n must have one element a channel. */
static hone_status channels(const hn_exec *x, uint32_t n, int64_t *batch, int64_t *c, int64_t *each) {
  const hn_view *in = &x->in[0];
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (in->rank < 1) return hn_xfail(x, HONE_BAD_GRAPH, "input without dimensions");
  *batch = in->dims[0];
  *c = in->rank > 1 ? in->dims[1] : 1;
  *each = 1;
  for (int32_t i = 2; i < in->rank; i++) *each *= in->dims[i];
  for (uint32_t i = 1; i <= n; i++)
    if (x->in[i].count != *c)
      return hn_xfail(x, HONE_BAD_GRAPH, "input %u has %lld elements for %lld channels", i, (long long)x->in[i].count,
                      (long long)*c);
  return HONE_OK;
}

hone_status hk_batch_norm_ref(hn_exec *x) {
  int64_t batch, c, each;
  double epsilon = hn_attr_f(hn_xnode(x), "epsilon", 1e-5);
  HN_TRY(channels(x, 4, &batch, &c, &each));
  HN_TRY(hn_xout_like(x, 0, &x->in[0]));
  for (int64_t i = 0; i < batch * c; i++) {
    int64_t k = i % c;
    double factor = param(x, 1, k) / sqrt(param(x, 4, k) + epsilon);
    scale_run(&x->in[0], &x->out[0], i * each, each, param(x, 3, k), factor, param(x, 2, k));
  }
  return HONE_OK;
}

/* InstanceNormalization, and GroupNormalization, of which it is the case of one channel a group. */
hone_status hk_group_norm_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  int64_t batch, c, each;
  double epsilon = hn_attr_f(n, "epsilon", 1e-5);
  HN_TRY(channels(x, 2, &batch, &c, &each));
  int64_t groups = n->op == HN_InstanceNormalization ? c : hn_attr_i(n, "num_groups", 0);
  if (c && (groups <= 0 || c % groups))
    return hn_xfail(x, HONE_BAD_GRAPH, "%lld channels in %lld groups", (long long)c, (long long)groups);
  HN_TRY(hn_xout_like(x, 0, &x->in[0]));
  if (x->in[0].count == 0) return HONE_OK;
  int64_t in_group = c / groups;
  for (int64_t g = 0; g < batch * groups; g++) {
    double mean, variance;
    moments(&x->in[0], g * in_group * each, in_group * each, &mean, &variance);
    for (int64_t i = g * in_group; i < (g + 1) * in_group; i++) {
      double factor = param(x, 1, i % c) / sqrt(variance + epsilon);
      scale_run(&x->in[0], &x->out[0], i * each, each, mean, factor, param(x, 2, i % c));
    }
  }
  return HONE_OK;
}

static double mean_square(const hn_view *in, int64_t at, int64_t n) {
  double v[HN_RUN], sum = 0;
  HN_CHUNKS(n, c, m) {
    hn_read_f64(in->dtype, in->data, at + c, 1, m, v);
    for (int64_t i = 0; i < m; i++) sum += v[i] * v[i];
  }
  return sum / (double)n;
}

/* LayerNormalization and RMSNormalization: as ONNX says, the normalized values are rounded to the type of the input
   before scale and bias, which are broadcast to it, are applied. */
hone_status hk_layer_norm_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0];
  bool rms = n->op == HN_RMSNormalization;
  double epsilon = hn_attr_f(n, "epsilon", 1e-5);
  hn_dtype stash = (hn_dtype)hn_attr_i(n, "stash_type", HONE_DTYPE_F32);
  int32_t axis;
  int64_t rows = 1, each = 1, dims[HN_MAX_RANK];
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (!hn_is_float(stash)) return hn_xbad_dtype(x, stash);
  HN_TRY(hn_xaxis(x, 0, hn_attr_i(n, "axis", -1), &axis));
  for (int32_t i = 0; i < in->rank; i++) {
    dims[i] = i < axis ? in->dims[i] : 1;
    *(i < axis ? &rows : &each) *= in->dims[i];
  }
  HN_TRY(hn_xout_like(x, 0, in));
  for (uint32_t i = 1; i < 3; i++)
    if (hn_xwants(x, i)) HN_TRY(hn_xout(x, i, stash, in->rank, dims));
  for (int64_t r = 0; r < rows; r++) {
    double mean = 0, variance;
    if (rms) variance = mean_square(in, r * each, each);
    else moments(in, r * each, each, &mean, &variance);
    double inverse = 1 / sqrt(variance + epsilon);
    scale_run(in, &x->out[0], r * each, each, mean, inverse, 0);
    if (hn_xwants(x, 1)) hn_store_f64(stash, x->out[1].data, (size_t)r, mean);
    if (hn_xwants(x, 2)) hn_store_f64(stash, x->out[2].data, (size_t)r, inverse);
  }
  HN_TRY(hn_apply_binary(x, HN_Mul, &x->out[0], &x->in[1], false));
  return hn_xhas(x, 2) ? hn_apply_binary(x, HN_Add, &x->out[0], &x->in[2], false) : HONE_OK;
}

typedef enum pass { PASS_MEAN, PASS_VARIANCE, PASS_WRITE } pass;

/* One pass over a group: the sum of its elements, of their squared distances to the mean, or the result. */
static double group_pass(pass p, const hn_view *in, hn_view *out, hn_walk *w, int64_t base, double mean, double deviation) {
  double sum = 0, v[HN_RUN];
  for (bool more = hn_walk_first(w); more; more = hn_walk_next(w)) HN_CHUNKS(w->run, c, m) {
      int64_t at = base + w->at[0] + c * w->step[0];
      hn_read_f64(in->dtype, in->data, at, w->step[0], m, v);
      for (int64_t i = 0; i < m; i++) {
        double d = v[i] - mean;
        sum += p == PASS_VARIANCE ? d * d : d;
        v[i] = d / (deviation + 1e-9);
      }
      if (p == PASS_WRITE) hn_write_f64(out->dtype, out->data, at, w->step[0], m, v);
    }
  return sum;
}

hone_status hk_mean_variance_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  const int64_t *axes = (const int64_t[]){0, 2, 3};
  uint32_t n_axes = 3;
  if (hn_attr_find(hn_xnode(x), "axes")) n_axes = hn_attr_ints(hn_xnode(x), "axes", &axes);
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  bool reduced[HN_MAX_RANK] = {false};
  for (uint32_t i = 0; i < n_axes; i++) {
    int32_t a;
    HN_TRY(hn_xaxis(x, 0, axes[i], &a));
    reduced[a] = true;
  }
  HN_TRY(hn_xout_like(x, 0, in));
  hn_walk kept, inner;
  double n = 1;
  hn_walk_groups(in, reduced, &kept, &inner);
  for (int32_t i = 0; i < inner.rank; i++) n *= (double)inner.dims[i];
  for (bool more = hn_walk_first(&kept); more; more = hn_walk_next(&kept))
    for (int64_t i = 0; i < kept.run; i++) {
      int64_t base = kept.at[0] + i * kept.step[0];
      double mean = group_pass(PASS_MEAN, in, NULL, &inner, base, 0, 0) / n;
      double deviation = sqrt(group_pass(PASS_VARIANCE, in, NULL, &inner, base, mean, 0) / n);
      group_pass(PASS_WRITE, in, &x->out[0], &inner, base, mean, deviation);
    }
  return HONE_OK;
}

hone_status hk_lrn_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0];
  int64_t batch, c, each, size = hn_attr_i(n, "size", 0);
  double alpha = hn_attr_f(n, "alpha", 1e-4), beta = hn_attr_f(n, "beta", 0.75), bias = hn_attr_f(n, "bias", 1);
  HN_TRY(channels(x, 0, &batch, &c, &each));
  if (size < 1) return hn_xfail(x, HONE_BAD_GRAPH, "size is %lld", (long long)size);
  double weight = alpha / (double)size;
  if (size > 2 * c + 1) size = 2 * c + 1; /* all channels, and no overflow below */
  HN_TRY(hn_xout_like(x, 0, in));
  for (int64_t i = 0; i < batch * c; i++) {
    int64_t k = i % c, from = k - (size - 1) / 2, to = k + size / 2;
    if (from < 0) from = 0;
    if (to > c - 1) to = c - 1;
    HN_CHUNKS(each, at, m) {
      double v[HN_RUN], sum[HN_RUN] = {0};
      for (int64_t j = from; j <= to; j++) {
        hn_read_f64(in->dtype, in->data, (i - k + j) * each + at, 1, m, v);
        for (int64_t e = 0; e < m; e++) sum[e] += v[e] * v[e];
      }
      hn_read_f64(in->dtype, in->data, i * each + at, 1, m, v);
      for (int64_t e = 0; e < m; e++) v[e] /= pow(bias + weight * sum[e], beta);
      hn_write_f64(in->dtype, x->out[0].data, i * each + at, 1, m, v);
    }
  }
  return HONE_OK;
}
