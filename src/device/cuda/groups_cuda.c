/* groups_cuda.c - operators on groups of elements: reductions, global pooling, places of extremes, softmax, normalizations. */
#include <string.h>

#include "device/cuda/cuda_kernel.h"
#include "op/infer.h"

/* ---- dividing the threads */

static uint32_t power_of_two(int64_t n, uint32_t most) {
  uint32_t p = 1;
  while (p < most && p < n) p *= 2;
  return p;
}

static int32_t merge(int32_t rank, int64_t *dims, int64_t *stride) {
  int32_t n = 0;
  for (int32_t i = 0; i < rank; i++) {
    if (dims[i] == 1) continue;
    if (n && stride[n - 1] == stride[i] * dims[i]) {
      dims[n - 1] *= dims[i];
      stride[n - 1] = stride[i];
    } else {
      dims[n] = dims[i];
      stride[n++] = stride[i];
    }
  }
  if (!n) {
    dims[0] = 1;
    stride[0] = 0;
    n = 1;
  }
  return n;
}

/* By falling strides, so that neighbours come last. */
static void sort_axes(int32_t rank, int64_t *dims, int64_t *stride) {
  for (int32_t i = 1; i < rank; i++)
    for (int32_t k = i; k && stride[k] > stride[k - 1]; k--) {
      int64_t d = dims[k], s = stride[k];
      dims[k] = dims[k - 1], stride[k] = stride[k - 1];
      dims[k - 1] = d, stride[k - 1] = s;
    }
}

bool hn_cuda_groups_of(hn_gpu_groups *g, int32_t rank, const int64_t *dims, const int64_t *stride, const bool *reduced) {
  int64_t d[2][HN_GPU_RANK], s[2][HN_GPU_RANK], count[2] = {1, 1};
  int32_t r[2] = {0, 0};
  if (rank > HN_GPU_RANK) return false;
  for (int32_t i = 0; i < rank; i++) {
    d[reduced[i]][r[reduced[i]]] = dims[i];
    s[reduced[i]][r[reduced[i]]++] = stride[i];
    count[reduced[i]] *= dims[i];
  }
  if (count[0] < 1 || count[1] < 1) return false;
  sort_axes(r[1], d[1], s[1]);
  for (int k = 0; k < 2; k++) r[k] = merge(r[k], d[k], s[k]);
  *g = (hn_gpu_groups){.groups = (uint32_t)count[0], .n = (uint32_t)count[1], .kept_rank = r[0], .inner_rank = r[1]};
  for (int32_t i = 0; i < r[0]; i++) g->kept[i] = hn_gpu_div_of(d[0][i]), g->kept_stride[i] = (uint32_t)s[0][i];
  for (int32_t i = 0; i < r[1]; i++) g->inner[i] = hn_gpu_div_of(d[1][i]), g->inner_stride[i] = (uint32_t)s[1][i];
  g->along = s[1][r[1] - 1] == 1 || s[0][r[0] - 1] != 1;
  g->vector = r[1] == 1 && s[1][0] == 1 && count[1] % HN_GPU_VECTOR == 0;
  for (int32_t i = 0; i < r[0]; i++) g->vector = g->vector && s[0][i] % HN_GPU_VECTOR == 0;
  if (g->along) g->threads = power_of_two((count[1] + (g->vector ? 15 : 3)) / (g->vector ? 16 : 4), HN_GPU_BLOCK);
  else g->threads = power_of_two((count[1] + 3) / 4, HN_GPU_BLOCK / power_of_two(count[0], 32));
  return true;
}

bool hn_cuda_vectors(const hn_gpu_groups *g, const void *p, const void *q) { return g->vector && (uintptr_t)p % 16 == 0 && (uintptr_t)q % 16 == 0; }

static bool groups_of_arg(hn_gpu_groups *g, const hn_arg *a, const bool *reduced) {
  int64_t stride[HN_MAX_RANK];
  hn_cuda_strides(a, stride);
  return hn_cuda_groups_of(g, a->rank, a->dims, stride, reduced);
}

/* ---- reductions */

static bool reduced_axes(const hn_task *t, bool *reduced) {
  const hn_arg *in = &t->in[0];
  int64_t axes[HN_MAX_RANK], n = hn_cuda_given(t, 1) ? hn_cuda_ints(t, 1, axes, HN_MAX_RANK) : 0;
  if (n < 0) return false;
  for (int32_t i = 0; i < in->rank; i++) reduced[i] = n == 0 && hn_attr_i(t->node, "noop_with_empty_axes", 0) == 0;
  for (int64_t i = 0; i < n; i++) {
    int32_t a;
    if (!hn_axis(axes[i], in->rank, &a)) return false;
    reduced[a] = true;
  }
  return true;
}

static bool global(const hn_task *t) { return t->node->op == HN_GlobalAveragePool || t->node->op == HN_GlobalMaxPool; }

static bool reduce_groups(const hn_task *t, hn_gpu_groups *g) {
  bool reduced[HN_MAX_RANK];
  for (int32_t i = 0; i < t->in[0].rank; i++) reduced[i] = i >= 2;
  if (global(t) ? t->in[0].rank < 3 : !reduced_axes(t, reduced)) return false;
  return groups_of_arg(g, &t->in[0], reduced);
}

static bool reducible(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  hn_op op = t->node->op;
  if (hn_cuda_float(in)) return true;
  if (!hn_is_int(in->dtype) || in->quant || !hone_dtype_size(in->dtype)) return false;
  return op != HN_ReduceL2 && op != HN_ReduceLogSum && op != HN_ReduceLogSumExp && op != HN_GlobalAveragePool && op != HN_GlobalMaxPool;
}

bool reduce_cuda_supports(const hn_task *t) {
  hn_gpu_groups g;
  return hn_cuda_fits(t) && reducible(t) && !t->out[0].quant && t->out[0].dtype == t->in[0].dtype && reduce_groups(t, &g);
}

/* The input is read as it lies; what is left of it is row-major. */
hone_status reduce_cuda_plan(hn_task *t) {
  hn_gpu_reduce *r;
  t->in[0].layout = hn_cuda_keep_layout(&t->in[0]);
  t->out[0].layout = HN_LAYOUT_PLAIN;
  if (hn_cuda_given(t, 1)) t->in[1].unused = true;
  HN_TRY(hn_cuda_state(t, sizeof *r, &r));
  r->dtype = (int32_t)t->in[0].dtype;
  r->u64 = t->in[0].dtype == HONE_DTYPE_U64;
  r->op = (int32_t)(t->node->op == HN_GlobalAveragePool ? HN_ReduceMean : t->node->op == HN_GlobalMaxPool ? HN_ReduceMax : t->node->op);
  return reduce_groups(t, &r->g) ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status reduce_cuda_run(hn_exec *x) {
  hn_gpu_reduce r = *(const hn_gpu_reduce *)x->task->state;
  r.in = x->in[0].data;
  r.out = x->out[0].data;
  r.g.vector = hn_cuda_vectors(&r.g, r.in, r.in);
  hn_gpu_reduce_run(hn_cuda_stream(x), &r);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(reduce_cuda)

/* ---- ArgMax, ArgMin */

static bool one_axis(const hn_task *t, int64_t otherwise, hn_gpu_groups *g) {
  bool reduced[HN_MAX_RANK] = {false};
  int32_t a;
  if (!hn_axis(hn_attr_i(t->node, "axis", otherwise), t->in[0].rank, &a)) return false;
  reduced[a] = true;
  return groups_of_arg(g, &t->in[0], reduced);
}

bool arg_reduce_cuda_supports(const hn_task *t) {
  hn_gpu_groups g;
  const hn_arg *in = &t->in[0];
  bool type = hn_cuda_float(in) || (hn_is_int(in->dtype) && !in->quant && hone_dtype_size(in->dtype));
  return hn_cuda_fits(t) && type && one_axis(t, 0, &g);
}

hone_status arg_reduce_cuda_plan(hn_task *t) {
  hn_gpu_arg_reduce *r;
  t->in[0].layout = hn_cuda_keep_layout(&t->in[0]);
  t->out[0].layout = HN_LAYOUT_PLAIN;
  HN_TRY(hn_cuda_state(t, sizeof *r, &r));
  r->dtype = (int32_t)t->in[0].dtype;
  r->floats = hn_cuda_float(&t->in[0]);
  r->least = t->node->op == HN_ArgMin;
  r->last = hn_attr_i(t->node, "select_last_index", 0) != 0;
  return one_axis(t, 0, &r->g) ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status arg_reduce_cuda_run(hn_exec *x) {
  hn_gpu_arg_reduce r = *(const hn_gpu_arg_reduce *)x->task->state;
  r.in = x->in[0].data;
  r.out = x->out[0].data;
  hn_gpu_arg_reduce_run(hn_cuda_stream(x), &r);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(arg_reduce_cuda)

/* ---- softmax and its like */

bool softmax_cuda_supports(const hn_task *t) {
  hn_gpu_groups g;
  int64_t p = hn_attr_i(t->node, "p", 2);
  return hn_cuda_floats(t, 1) && (p == 1 || p == 2) && one_axis(t, -1, &g);
}

hone_status softmax_cuda_plan(hn_task *t) {
  hn_gpu_softmax *f;
  t->in[0].layout = t->out[0].layout = hn_cuda_keep_layout(&t->in[0]);
  if (t->in[0].may_overwrite) t->inplace = 0;
  HN_TRY(hn_cuda_state(t, sizeof *f, &f));
  f->dtype = (int32_t)t->in[0].dtype;
  f->op = (int32_t)t->node->op;
  f->p = (int32_t)hn_attr_i(t->node, "p", 2);
  return one_axis(t, -1, &f->g) ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status softmax_cuda_run(hn_exec *x) {
  hn_gpu_softmax f = *(const hn_gpu_softmax *)x->task->state;
  f.in = x->in[0].data;
  f.out = x->out[0].data;
  f.g.vector = hn_cuda_vectors(&f.g, f.in, f.out);
  hn_gpu_softmax_run(hn_cuda_stream(x), &f);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(softmax_cuda)

/* ---- normalizations by moments */

static int64_t pixels_of(const hn_arg *a) {
  int64_t n = 1;
  for (int32_t i = 2; i < a->rank; i++) n *= a->dims[i];
  return n;
}

/* LayerNormalization, RMSNormalization: a factor for each element of a group. */
static bool layer_groups(const hn_task *t, hn_gpu_norm *n) {
  const hn_arg *in = &t->in[0];
  bool reduced[HN_MAX_RANK];
  int32_t axis;
  if (!hn_axis(hn_attr_i(t->node, "axis", -1), in->rank, &axis)) return false;
  for (int32_t i = 0; i < in->rank; i++) reduced[i] = i >= axis;
  if (!groups_of_arg(&n->g, in, reduced)) return false;
  n->factor = HN_FACTOR_ELEMENT;
  n->rms = t->node->op == HN_RMSNormalization;
  for (uint32_t i = 1; i < t->node->n_main; i++)
    if (hn_cuda_given(t, i) && hn_cuda_count(&t->in[i]) != n->g.n) return false;
  return true;
}

/* InstanceNormalization, GroupNormalization: the channels of a group, with a factor for each channel. */
static bool channel_groups(const hn_task *t, hn_gpu_norm *n) {
  const hn_arg *in = &t->in[0];
  if (in->rank < 3) return false;
  int64_t c = in->dims[1], groups = t->node->op == HN_InstanceNormalization ? c : hn_attr_i(t->node, "num_groups", 0);
  if (groups < 1 || c % groups) return false;
  int64_t stride[HN_MAX_RANK], pixels = pixels_of(in), each = c / groups;
  hn_cuda_strides(in, stride);
  int64_t dims[4] = {in->dims[0], groups, each, pixels}, s[4] = {stride[0], each * stride[1], stride[1], in->layout == HN_LAYOUT_NHWC ? c : 1};
  if (!hn_cuda_groups_of(&n->g, 4, dims, s, (const bool[]){false, false, true, true})) return false;
  n->factor = in->layout == HN_LAYOUT_NHWC ? HN_FACTOR_REST : HN_FACTOR_QUOTIENT;
  n->by = hn_gpu_div_of(in->layout == HN_LAYOUT_NHWC ? each : pixels);
  n->cycle = hn_gpu_div_of(groups);
  n->each = (uint32_t)each;
  for (uint32_t i = 1; i < 3; i++)
    if (!hn_cuda_given(t, i) || hn_cuda_count(&t->in[i]) != c) return false;
  return true;
}

static bool mean_variance_groups(const hn_task *t, hn_gpu_norm *n) {
  static const int64_t usual[] = {0, 2, 3};
  const hn_arg *in = &t->in[0];
  const int64_t *axes = usual;
  uint32_t count = hn_attr_find(t->node, "axes") ? hn_attr_ints(t->node, "axes", &axes) : 3;
  bool reduced[HN_MAX_RANK] = {false};
  for (uint32_t i = 0; i < count; i++) {
    int32_t a;
    if (!hn_axis(axes[i], in->rank, &a)) return false;
    reduced[a] = true;
  }
  n->deviation = true;
  return groups_of_arg(&n->g, in, reduced);
}

static bool norm_of(const hn_task *t, hn_gpu_norm *n) {
  hn_op op = t->node->op;
  *n = (hn_gpu_norm){.dtype = (int32_t)t->in[0].dtype, .epsilon = (float)hn_attr_f(t->node, "epsilon", 1e-5), .by = hn_gpu_div_of(1), .cycle = hn_gpu_div_of(1)};
  if (op == HN_LayerNormalization || op == HN_RMSNormalization) return layer_groups(t, n);
  if (op == HN_MeanVarianceNormalization) return mean_variance_groups(t, n);
  return channel_groups(t, n);
}

bool norm_cuda_supports(const hn_task *t) {
  hn_gpu_norm n;
  if (!hn_cuda_fits(t) || !hn_cuda_float(&t->in[0]) || t->out[0].dtype != t->in[0].dtype || t->out[0].quant) return false;
  for (uint32_t i = 1; i < t->node->n_main; i++)
    if (hn_cuda_given(t, i) && (t->in[i].dtype != t->in[0].dtype || t->in[i].quant)) return false;
  for (uint32_t i = 1; i < t->n_out; i++)
    if (t->out[i].present && t->out[i].dtype != HONE_DTYPE_F32) return false;
  return norm_of(t, &n);
}

hone_status norm_cuda_plan(hn_task *t) {
  hn_gpu_norm *n;
  bool layer = t->node->op == HN_LayerNormalization || t->node->op == HN_RMSNormalization;
  hn_layout l = layer ? HN_LAYOUT_PLAIN : hn_cuda_keep_layout(&t->in[0]);
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < t->n_out; i++) t->out[i].layout = HN_LAYOUT_PLAIN;
  t->in[0].layout = t->out[0].layout = l;
  if (t->in[0].may_overwrite) t->inplace = 0;
  HN_TRY(hn_cuda_state(t, sizeof *n, &n));
  return norm_of(t, n) ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status norm_cuda_run(hn_exec *x) {
  hn_gpu_norm n = *(const hn_gpu_norm *)x->task->state;
  n.in = x->in[0].data;
  n.out = x->out[0].data;
  n.scale = hn_xhas(x, 1) ? x->in[1].data : NULL;
  n.shift = hn_xhas(x, 2) ? x->in[2].data : NULL;
  n.mean = hn_cuda_wants(x->task, 1) ? x->out[1].data : NULL;
  n.inverse = hn_cuda_wants(x->task, 2) ? x->out[2].data : NULL;
  n.g.vector = hn_cuda_vectors(&n.g, n.in, n.out);
  hn_gpu_norm_run(hn_cuda_stream(x), &n);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(norm_cuda)

/* ---- what belongs to channels */

bool channels_cuda_supports(const hn_task *t) {
  if (!hn_cuda_floats(t, t->node->n_main) || t->in[0].rank < 2) return false;
  for (uint32_t i = 1; i < t->node->n_main; i++)
    if (!hn_cuda_given(t, i) || hn_cuda_count(&t->in[i]) != t->in[0].dims[1]) return false;
  return t->node->op != HN_LRN || hn_attr_i(t->node, "size", 0) > 0;
}

hone_status channels_cuda_plan(hn_task *t) {
  const hn_node *n = t->node;
  hn_gpu_channels *c;
  for (uint32_t i = 1; i < n->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->in[0].layout = t->out[0].layout = hn_cuda_keep_layout(&t->in[0]);
  if (t->in[0].may_overwrite && n->op != HN_LRN) t->inplace = 0;
  HN_TRY(hn_cuda_state(t, sizeof *c, &c));
  const hn_arg *in = &t->in[0];
  int64_t size = hn_attr_i(n, "size", 1), most = 2 * in->dims[1] + 1;
  c->alpha = (float)(hn_attr_f(n, "alpha", 1e-4) / (double)size);
  if (size > most) size = most;
  c->n = (uint32_t)hn_cuda_count(in);
  c->inner = hn_gpu_div_of(in->layout == HN_LAYOUT_NHWC ? 1 : pixels_of(in));
  c->channels = hn_gpu_div_of(in->dims[1]);
  c->dtype = (int32_t)in->dtype;
  c->epsilon = (float)hn_attr_f(n, "epsilon", 1e-5);
  c->beta = (float)hn_attr_f(n, "beta", 0.75);
  c->bias = (float)hn_attr_f(n, "bias", 1);
  c->before = (int32_t)((size - 1) / 2);
  c->after = (int32_t)(size / 2);
  return HONE_OK;
}

hone_status channels_cuda_run(hn_exec *x) {
  hn_gpu_channels c = *(const hn_gpu_channels *)x->task->state;
  bool lrn = x->task->node->op == HN_LRN;
  c.in = x->in[0].data;
  c.out = x->out[0].data;
  if (!lrn) c.scale = x->in[1].data, c.shift = x->in[2].data, c.mean = x->in[3].data, c.variance = x->in[4].data;
  if (lrn) hn_gpu_lrn_run(hn_cuda_stream(x), &c);
  else hn_gpu_batch_norm_run(hn_cuda_stream(x), &c);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(channels_cuda)
