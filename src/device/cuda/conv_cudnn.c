/* conv_cudnn.c - convolution and transposed convolution by cuDNN, channels last, with bias and as much of the epilogue as one
   of its engines does in the same pass. Of 8-bit integers it makes the sums, and all else is one pass of our own behind it: engines
   that would do both are compiled at run time, and how they round is written nowhere. */
#include <string.h>

#include "base/alloc.h"
#include "device/cuda/cuda_kernel.h"
#include "device/cuda/dnn.h"
#include "op/infer.h"

enum { TENSORS = HN_DNN_OPERATIONS + 2, SOURCE_OUTPUT = -1, SOURCE_PADDED = -2, SOURCE_SUMS = -3 };

typedef struct conv_state {
  hn_dnn_graph graph;
  hn_dnn_pack pack;
  int source[TENSORS]; /* whose data each tensor is: an input, or one of the above */
  bool padded;         /* the input is padded first: engines take the same padding on both sides alone */
  hn_gpu_pad pad;
  size_t pad_bytes;
  void *fill;          /* of the device: what it is padded with; NULL: zeros */
  size_t sums_bytes;   /* of integers: behind the padded input lie their sums */
  hn_cuda_ending ending;
} conv_state;

static bool is_image(const hn_task *t, uint32_t i) {
  const hn_arg *a = &t->in[i];
  cudnnDataType_t type;
  for (int32_t k = 0; k < a->rank; k++)
    if (a->dims[k] < 1) return false;
  return a->present && !a->dynamic && !a->quant && a->rank >= 3 && a->rank <= 5 && hn_dnn_type(a->dtype, &type);
}

static bool of_integers(const hn_task *t) { return t->in[0].quant != NULL; }

static bool supports_integers(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  return t->node->op == HN_Conv && in->rank >= 3 && in->rank <= 5 && t->in[1].rank == in->rank && t->out[0].rank == in->rank &&
         hn_cuda_count(in) && hn_cuda_count(&t->in[1]) && hn_cuda_count(&t->out[0]) && hn_cuda_integers(t, 0);
}

bool conv_cudnn_supports(const hn_task *t) {
  const hn_cuda_device *d = hn_cuda_of(t);
  if (d->dnn && t->in[0].present && of_integers(t)) return supports_integers(t);
  bool bias = t->node->n_main > 2 && t->in[2].present;
  return d->dnn && is_image(t, 0) && is_image(t, 1) && t->in[0].rank == t->in[1].rank && t->in[1].dtype == t->in[0].dtype &&
         t->out[0].dtype == t->in[0].dtype && !t->out[0].quant && !t->out[0].dynamic &&
         (!bias || (t->in[2].dtype == t->in[0].dtype && t->in[2].rank == 1));
}

/* Rows of one pixel become images one pixel high. */
static int image_dims(const int64_t *dims, int32_t rank, int64_t *out) {
  int n = 0;
  for (int32_t i = 0; i < rank; i++) {
    if (rank == 3 && i == 2) out[n++] = 1;
    out[n++] = dims[i];
  }
  return n;
}

/* ---------------------------------------------------------------------------------------- steps of epilogues */

static bool is_unary(const hn_step *s, hn_dnn_step *out) {
  *out = (hn_dnn_step){.alpha1 = 1, .alpha2 = 1};
  switch (s->op) {
    case HN_Relu: out->mode = CUDNN_POINTWISE_RELU_FWD; return true;
    case HN_Sigmoid: out->mode = CUDNN_POINTWISE_SIGMOID_FWD; return true;
    case HN_Tanh: out->mode = CUDNN_POINTWISE_TANH_FWD; return true;
    case HN_Abs: out->mode = CUDNN_POINTWISE_ABS; return true;
    case HN_Gelu: out->mode = s->alpha > 0 ? CUDNN_POINTWISE_GELU_APPROX_TANH_FWD : CUDNN_POINTWISE_GELU_FWD; return true;
    case HN_Clip:
      out->mode = CUDNN_POINTWISE_RELU_FWD;
      out->extra.name = CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP;
      out->extra.value = s->beta;
      return s->alpha == 0;
    case HN_LeakyRelu:
      out->mode = CUDNN_POINTWISE_RELU_FWD;
      out->extra.name = CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE;
      out->extra.value = s->alpha;
      return true;
    case HN_Elu:
      out->mode = CUDNN_POINTWISE_ELU_FWD;
      out->extra.name = CUDNN_ATTR_POINTWISE_ELU_ALPHA;
      out->extra.value = s->alpha;
      return true;
    case HN_Swish:
      out->mode = CUDNN_POINTWISE_SWISH_FWD;
      out->extra.name = CUDNN_ATTR_POINTWISE_SWISH_BETA;
      out->extra.value = s->alpha;
      return true;
    default: return false;
  }
}

static bool is_binary(const hn_step *s, hn_dnn_step *out) {
  *out = (hn_dnn_step){.alpha1 = 1, .alpha2 = 1};
  switch (s->op) {
    case HN_Add: out->mode = CUDNN_POINTWISE_ADD; return true;
    case HN_Sub:
      out->mode = CUDNN_POINTWISE_ADD;
      *(s->swapped ? &out->alpha1 : &out->alpha2) = -1;
      return true;
    case HN_Mul: out->mode = CUDNN_POINTWISE_MUL; return true;
    case HN_Max: out->mode = CUDNN_POINTWISE_MAX; return true;
    case HN_Min: out->mode = CUDNN_POINTWISE_MIN; return true;
    case HN_Div: out->mode = CUDNN_POINTWISE_DIV; return !s->swapped;
    default: return false;
  }
}

/* An operand of the output's shape, of one number a channel, or one number. The layout it is wanted in. */
static bool takes_operand(hn_task *t, uint32_t i, int64_t *dims) {
  hn_arg *a = &t->in[i];
  const hn_arg *out = &t->out[0];
  int64_t full[HN_MAX_RANK];
  int32_t lead = out->rank - a->rank;
  bool same = lead == 0, row = true;
  if (a->dtype != t->in[0].dtype || a->quant || a->dynamic || lead < 0) return false;
  for (int32_t k = 0; k < out->rank; k++) {
    full[k] = k < lead ? 1 : a->dims[k - lead];
    same = same && full[k] == out->dims[k];
    row = row && (full[k] == 1 || (k == 1 && full[k] == out->dims[1]));
  }
  if (!same && !row) return false;
  a->layout = same ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  image_dims(full, out->rank, dims);
  return true;
}

/* -------------------------------------------------------------------------------------------------- planning */

typedef struct builder {
  hn_task *t;
  conv_state *s;
  cudnnDataType_t type; /* of the activations */
  int rank;
  int64_t out[HN_MAX_RANK];
} builder;

static hn_dnn_tensor given_as(builder *b, cudnnDataType_t type, const int64_t *dims, int source) {
  hn_dnn_pack *p = &b->s->pack;
  hn_dnn_tensor d = hn_dnn_image(&b->s->graph, type, b->rank, dims, true, &p->uids[p->n]);
  b->s->source[p->n++] = source;
  return d;
}
static hn_dnn_tensor given(builder *b, const int64_t *dims, int source) { return given_as(b, b->type, dims, source); }
/* Behind an operation: the output, or a value that another one reads. */
static hn_dnn_tensor result(builder *b, bool last) {
  return last ? given(b, b->out, SOURCE_OUTPUT) : hn_dnn_image(&b->s->graph, b->type, b->rank, b->out, false, NULL);
}

/* The steps [0, fused) as operations behind x. */
static bool add_steps(builder *b, hn_dnn_tensor x, uint32_t fused) {
  const hn_node *n = b->t->node;
  hn_dnn_graph *g = &b->s->graph;
  for (uint32_t i = 0; i < fused; i++) {
    const hn_step *s = &n->post[i];
    int64_t dims[HN_MAX_RANK];
    hn_dnn_step step;
    hn_dnn_tensor operand = NULL;
    if (b->s->pack.n > TENSORS - 2) return false;
    if (s->operand == HN_NONE) {
      if (!is_unary(s, &step)) return false;
    } else {
      if (!is_binary(s, &step) || !takes_operand(b->t, s->operand, dims)) return false;
      operand = given(b, dims, (int)s->operand);
    }
    hn_dnn_tensor y = result(b, i + 1 == fused);
    hn_dnn_pointwise(g, &step, x, operand, y);
    x = y;
  }
  return true;
}

static bool want_padding(builder *b, const hn_arg *in, hn_dnn_window *w, int64_t *x) {
  conv_state *s = b->s;
  int n = b->rank;
  int64_t count = 1, step = 1;
  s->padded = true;
  s->pad = (hn_gpu_pad){.rank = n, .size = (int32_t)hone_dtype_size(in->dtype)};
  for (int k = n - 1; k >= 0; k--) { /* as they lie: channels last */
    int logical = k == 0 ? 0 : k == n - 1 ? 1 : k + 1, at = logical - 2;
    int64_t before = at < 0 ? 0 : w->begin[at], after = at < 0 ? 0 : w->end[at], size = x[logical];
    s->pad.in[k] = (int32_t)size;
    s->pad.before[k] = (int32_t)before;
    s->pad.dim[k] = hn_gpu_div_of(size + before + after);
    s->pad.stride[k] = (uint32_t)step;
    step *= size;
    x[logical] = size + before + after;
    count *= x[logical];
    if (at >= 0) w->begin[at] = w->end[at] = 0;
  }
  s->pad.n = (uint32_t)count;
  s->pad_bytes = ((size_t)count * (size_t)s->pad.size + 255) / 256 * 256;
  return count <= INT32_MAX;
}

/* The whole as cuDNN's graph, with `fused` steps of the epilogue in it. */
static bool build(builder *b, uint32_t fused, bool pad, bool transposed) {
  hn_task *t = b->t;
  conv_state *s = b->s;
  hn_window w;
  hn_dnn_window c = {.n = b->rank - 2};
  int64_t x[HN_MAX_RANK], weights[HN_MAX_RANK], row[HN_MAX_RANK] = {1, b->out[1], 1, 1, 1};
  const hn_arg *in = &t->in[0];
  bool integers = of_integers(t), bias = !integers && t->node->n_main > 2 && t->in[2].present;
  *s = (conv_state){.padded = false};
  hn_dnn_graph_begin(hn_cuda_of(t)->dnn, &s->graph);
  if (hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, t->in[1].dims + 2, transposed, &w)) return false;
  image_dims(in->dims, in->rank, x);
  image_dims(t->in[1].dims, t->in[1].rank, weights);
  for (int64_t i = 0, k = c.n - w.n; i < c.n; i++) {
    bool there = i >= k;
    c.stride[i] = there ? w.stride[i - k] : 1;
    c.dilation[i] = there ? w.dilation[i - k] : 1;
    c.begin[i] = there ? w.pad_begin[i - k] : 0;
    c.end[i] = there ? w.pad_end[i - k] : 0;
    if (c.begin[i] < 0 || c.end[i] < 0) return false;
  }
  if (pad && !want_padding(b, in, &c, x)) return false;
  hn_dnn_tensor xt = given(b, x, pad ? SOURCE_PADDED : 0), wt = given_as(b, integers ? CUDNN_DATA_INT8 : b->type, weights, 1);
  hn_dnn_tensor y = integers ? given_as(b, CUDNN_DATA_INT32, b->out, SOURCE_SUMS) : result(b, !bias && !fused);
  hn_dnn_convolve(&s->graph, &c, transposed, integers ? CUDNN_DATA_INT32 : CUDNN_DATA_FLOAT, xt, wt, y);
  if (bias) {
    hn_dnn_tensor bt = given(b, row, 2), sum = result(b, !fused);
    hn_dnn_pointwise(&s->graph, &(hn_dnn_step){.mode = CUDNN_POINTWISE_ADD, .alpha1 = 1, .alpha2 = 1}, y, bt, sum);
    y = sum;
  }
  if (!add_steps(b, y, fused)) return false;
  const hn_cuda_device *d = hn_cuda_of(t);
  hn_dnn_choice how = {.workspace = d->workspace, .exact = in->dtype == HONE_DTYPE_F32 && !d->tf32, .skip = t->variant};
  return hn_dnn_plan(&s->graph, &how);
}

/* Engines take the same padding on both sides alone, and pad with the number 0, which may stand for another. */
static bool must_pad(const hn_task *t) {
  hn_window w;
  const hn_arg *in = &t->in[0];
  if (t->node->op != HN_Conv || hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, t->in[1].dims + 2, false, &w))
    return false;
  for (int32_t i = 0; i < w.n; i++)
    if (w.pad_begin[i] != w.pad_end[i] || (w.pad_begin[i] && of_integers(t) && t->in[0].quant->zero)) return true;
  return false;
}

static void wanted_layouts(hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++) t->in[i].layout = i < 2 ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_NHWC;
}

static hone_status plan_integers(builder *b, bool pad) {
  hn_task *t = b->t;
  conv_state *s = b->s;
  b->type = t->in[0].dtype == HONE_DTYPE_U8 ? CUDNN_DATA_UINT8 : CUDNN_DATA_INT8;
  wanted_layouts(t);
  if (!build(b, 0, pad, false)) return HONE_UNSUPPORTED;
  s->sums_bytes = ((size_t)hn_cuda_count(&t->out[0]) * sizeof(int32_t) + 255) / 256 * 256;
  t->scratch = s->pad_bytes + s->sums_bytes + s->graph.workspace;
  int8_t zero = (int8_t)t->in[0].quant->zero;
  if (pad) HN_TRY(hn_cuda_keep(t, &zero, sizeof zero, &s->fill));
  return hn_cuda_ending_plan(t, 0, false, t->in[0].quant->zero, &s->ending);
}

hone_status conv_cudnn_plan(hn_task *t) {
  conv_state *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  builder b = {.t = t, .s = s};
  hn_dnn_type(t->in[0].dtype, &b.type);
  b.rank = image_dims(t->out[0].dims, t->out[0].rank, b.out);
  bool pad = must_pad(t), transposed = t->node->op == HN_ConvTranspose;
  if (of_integers(t)) return plan_integers(&b, pad);
  for (uint32_t fused = t->node->n_post + 1; fused-- > 0;) { /* as much of the epilogue as an engine takes */
    wanted_layouts(t);
    if (build(&b, fused, pad, transposed)) {
      t->fused = fused;
      t->scratch = s->pad_bytes + s->graph.workspace;
      return HONE_OK;
    }
    hn_dnn_graph_end(&s->graph);
  }
  return HONE_UNSUPPORTED;
}

hone_status conv_cudnn_run(hn_exec *x) {
  conv_state *s = x->task->state;
  void *pointers[TENSORS];
  if (s->padded) {
    hn_gpu_pad pad = s->pad;
    pad.from = x->in[0].data;
    pad.to = x->scratch;
    pad.fill = s->fill;
    hn_gpu_pad_run(hn_cuda_stream(x), &pad);
    HN_TRY(hn_cuda_launched(x));
  }
  for (int i = 0; i < s->pack.n; i++)
    pointers[i] = s->source[i] == SOURCE_OUTPUT   ? x->out[0].data
                  : s->source[i] == SOURCE_PADDED ? x->scratch
                  : s->source[i] == SOURCE_SUMS   ? (char *)x->scratch + s->pad_bytes
                                                  : x->in[s->source[i]].data;
  char *workspace = s->graph.workspace ? (char *)x->scratch + s->pad_bytes + s->sums_bytes : NULL;
  HN_TRY(hn_dnn_execute(x, &s->graph, &s->pack, pointers, workspace));
  return s->sums_bytes ? hn_cuda_ending_run(x, &s->ending, (char *)x->scratch + s->pad_bytes) : HONE_OK;
}

void conv_cudnn_destroy(hn_task *t) {
  conv_state *s = t->state;
  if (!s) return;
  if (s->pack.pack) s->graph.dnn->cudnnBackendDestroyDescriptor(s->pack.pack);
  hn_dnn_graph_end(&s->graph);
  hn_cuda_drop(t, s->fill);
  hn_cuda_drop(t, s->ending.numbers);
  hn_free(s);
}

bool deconv_cudnn_supports(const hn_task *t) { return conv_cudnn_supports(t); }
hone_status deconv_cudnn_plan(hn_task *t) { return conv_cudnn_plan(t); }
hone_status deconv_cudnn_run(hn_exec *x) { return conv_cudnn_run(x); }
void deconv_cudnn_destroy(hn_task *t) { conv_cudnn_destroy(t); }
