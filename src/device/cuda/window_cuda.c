/* window_cuda.c - pooling, convolutions and matrix products of our own. */
#include <string.h>

#include "device/cuda/cuda_kernel.h"
#include "op/infer.h"

/* ---- geometry */

static void image_of(const hn_arg *a, hn_gpu_image *m) {
  int64_t stride[HN_MAX_RANK];
  int32_t lead = HN_GPU_SPATIAL - (a->rank - 2);
  hn_cuda_strides(a, stride);
  m->image = (uint32_t)stride[0];
  m->channel = (uint32_t)stride[1];
  for (int32_t d = 0; d < HN_GPU_SPATIAL; d++) {
    m->dim[d] = d < lead ? 1 : (int32_t)a->dims[2 + d - lead];
    m->step[d] = d < lead ? 0 : (uint32_t)stride[2 + d - lead];
  }
}

static bool window_of(const hn_task *t, const int64_t *kernel, bool transposed, hn_gpu_window *w) {
  const hn_arg *in = &t->in[0], *o = &t->out[0];
  int32_t lead = HN_GPU_SPATIAL - (in->rank - 2);
  hn_window r;
  if (in->rank < 3 || lead < 0 || o->rank != in->rank) return false;
  if (hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, kernel, transposed, &r)) return false;
  *w = (hn_gpu_window){.taps = 1, .channels = hn_gpu_div_of(o->dims[1]), .last = o->layout == HN_LAYOUT_NHWC};
  image_of(in, &w->in);
  image_of(o, &w->out);
  for (int32_t d = 0; d < HN_GPU_SPATIAL; d++) {
    int32_t i = d - lead;
    bool there = i >= 0;
    if (there && (r.kernel[i] > 1 << 20 || r.stride[i] > 1 << 20 || r.dilation[i] > 1 << 20 || r.pad_begin[i] > 1 << 20 || r.pad_begin[i] < -(1 << 20))) return false;
    w->kernel[d] = there ? (int32_t)r.kernel[i] : 1;
    w->stride[d] = there ? (int32_t)r.stride[i] : 1;
    w->dilation[d] = there ? (int32_t)r.dilation[i] : 1;
    w->pad_begin[d] = there ? (int32_t)r.pad_begin[i] : 0;
    w->pad_end[d] = there ? (int32_t)r.pad_end[i] : 0;
    w->out_dim[d] = hn_gpu_div_of(there ? o->dims[2 + i] : 1);
    w->taps *= w->kernel[d];
  }
  return true;
}

/* ---- pooling */

static bool pool_of(const hn_task *t, hn_gpu_pool *p) {
  const hn_node *n = t->node;
  bool whole = n->op == HN_GlobalAveragePool;
  const hn_quant *from = t->in[0].quant;
  *p = (hn_gpu_pool){.kind = (int32_t)(whole ? HN_AveragePool : n->op), .dtype = (int32_t)t->in[0].dtype, .n = (uint32_t)hn_cuda_count(&t->out[0]),
                     .count_pad = hn_attr_i(n, "count_include_pad", 0) != 0, .columns = hn_attr_i(n, "storage_order", 0) != 0, .p = (float)hn_attr_i(n, "p", 2)};
  if (from) p->scale = from->scale, p->zero = (float)from->zero;
  return window_of(t, whole ? t->in[0].dims + 2 : NULL, false, &p->w);
}

/* Averages of integers that stand for reals: as floats, which become what the output is behind them. */
static bool averages_bytes(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  return (t->node->op == HN_AveragePool || t->node->op == HN_GlobalAveragePool) && in->quant && hn_cuda_real(in) && hn_cuda_floats_end(t);
}

bool pool_cuda_supports(const hn_task *t) {
  hn_gpu_pool p;
  const hn_arg *in = &t->in[0];
  bool bytes = t->node->op == HN_MaxPool && (in->dtype == HONE_DTYPE_I8 || in->dtype == HONE_DTYPE_U8) && !(t->node->n_post && t->out[0].quant);
  bool floats = hn_cuda_float(in) && t->node->op != HN_GlobalAveragePool; /* reduce_cuda does that */
  return hn_cuda_fits(t) && (averages_bytes(t) || ((floats || bytes) && t->out[0].dtype == in->dtype)) && pool_of(t, &p);
}

typedef struct pooling {
  hn_gpu_pool p;
  hn_cuda_chain ending;
} pooling;

hone_status pool_cuda_plan(hn_task *t) {
  pooling *s;
  bool places = hn_cuda_wants(t, 1);
  t->in[0].layout = t->out[0].layout = places ? HN_LAYOUT_PLAIN : hn_cuda_keep_layout(&t->in[0]);
  if (places) t->out[1].layout = HN_LAYOUT_PLAIN;
  HN_TRY(hn_cuda_state(t, sizeof *s, &s));
  if (!pool_of(t, &s->p)) return HONE_UNSUPPORTED;
  s->p.vector = s->p.w.last && t->out[0].dims[1] % HN_GPU_VECTOR == 0;
  return averages_bytes(t) ? hn_cuda_floats_plan(t, &s->ending) : HONE_OK;
}

hone_status pool_cuda_run(hn_exec *x) {
  const pooling *s = x->task->state;
  hn_gpu_pool p = s->p;
  bool ends = averages_bytes(x->task);
  p.in = x->in[0].data;
  p.out = ends ? x->scratch : x->out[0].data;
  p.where = hn_cuda_wants(x->task, 1) ? x->out[1].data : NULL;
  p.vector = p.vector && ((uintptr_t)p.in | (uintptr_t)p.out) % 16 == 0;
  hn_gpu_pool_run(hn_cuda_stream(x), &p);
  HN_TRY(hn_cuda_launched(x));
  return ends ? hn_cuda_floats_run(x, &s->ending) : HONE_OK;
}
HN_CUDA_DESTROY(pool_cuda)

/* ---- operands that may be integers in the place of reals */

static bool real_of(const hn_arg *a, hn_gpu_real *r) {
  *r = (hn_gpu_real){.dtype = (int32_t)a->dtype, .scale = 1};
  if (hn_cuda_float(a)) return true;
  if ((a->dtype != HONE_DTYPE_I8 && a->dtype != HONE_DTYPE_U8) || !a->quant || a->quant->block) return false;
  r->integer = true;
  r->scale = a->quant->scale;
  r->zero = (float)a->quant->zero;
  return true;
}

/* Integers of one scale each, as activations are. */
static bool plain_real(const hn_arg *a, hn_gpu_real *r) { return real_of(a, r) && !(a->quant && a->quant->scales); }

/* The scales of weights, one for each index along `axis`, on the device. */
static hone_status keep_scales(hn_task *t, uint32_t i, int32_t axis, hn_gpu_real *r, void **kept) {
  const hn_quant *q = t->in[i].quant;
  if (!q || !q->scales) return HONE_OK;
  if (q->axis != axis || q->scales->dtype != HONE_DTYPE_F32 || q->scales->count != t->in[i].dims[axis]) return HONE_UNSUPPORTED;
  r->zero = 0;
  HN_TRY(hn_cuda_keep(t, q->scales->data, q->scales->bytes, kept));
  r->scales = *kept;
  return HONE_OK;
}

/* ---- convolutions */

typedef struct conv {
  hn_gpu_conv c;
  hn_cuda_chain ending;
  void *scales;
} conv;

static bool conv_of(const hn_task *t, hn_gpu_conv *c) {
  const hn_arg *in = &t->in[0], *w = &t->in[1], *o = &t->out[0];
  bool transposed = t->node->op == HN_ConvTranspose;
  int64_t group = hn_attr_i(t->node, "group", 1);
  *c = (hn_gpu_conv){.transposed = transposed, .n = (uint32_t)hn_cuda_count(o), .group = (uint32_t)group};
  if (in->rank < 3 || w->rank != in->rank || group < 1 || w->dims[0] % group || in->dims[1] % group || o->dims[1] % group) return false;
  if (!plain_real(in, &c->in) || !real_of(w, &c->weights) || !plain_real(o, &c->out)) return false;
  if (hn_cuda_given(t, 2) && !plain_real(&t->in[2], &c->bias) && t->in[2].dtype != HONE_DTYPE_I32) return false;
  if (hn_cuda_given(t, 2) && t->in[2].dtype == HONE_DTYPE_I32) {
    if (!t->in[2].quant || t->in[2].quant->scales) return false;
    c->bias = (hn_gpu_real){.dtype = HONE_DTYPE_I32, .scale = t->in[2].quant->scale};
  }
  if (!window_of(t, w->dims + 2, transposed, &c->w)) return false;
  c->ci = (uint32_t)(in->dims[1] / group);
  c->co = (uint32_t)(o->dims[1] / group);
  c->images = (uint32_t)in->dims[0];
  c->pixels = 1;
  for (int d = 0; d < HN_GPU_SPATIAL; d++) {
    c->tap[d] = hn_gpu_div_of(c->w.kernel[d]);
    c->pixels *= c->w.out_dim[d].d;
  }
  c->per_group = hn_gpu_div_of(c->co);
  c->taps_div = hn_gpu_div_of(c->w.taps);
  c->pixels_div = hn_gpu_div_of(c->pixels);
  c->tiled = c->co >= 8 && c->ci * (uint32_t)c->w.taps >= 8;
  return true;
}

bool conv_cuda_supports(const hn_task *t) {
  hn_gpu_conv c;
  return hn_cuda_fits(t) && conv_of(t, &c) && (!hn_cuda_ends_floats(t) || hn_cuda_floats_end(t));
}

hone_status conv_cuda_plan(hn_task *t) {
  conv *c;
  hn_layout l = hn_cuda_keep_layout(&t->in[0]);
  t->in[1].layout = HN_LAYOUT_PLAIN;
  if (hn_cuda_given(t, 2)) t->in[2].layout = HN_LAYOUT_PLAIN;
  t->in[0].layout = t->out[0].layout = l;
  HN_TRY(hn_cuda_state(t, sizeof *c, &c));
  if (!conv_of(t, &c->c)) return HONE_UNSUPPORTED;
  if (c->c.transposed && t->in[1].quant && t->in[1].quant->scales) return HONE_UNSUPPORTED;
  if (hn_cuda_ends_floats(t)) {
    HN_TRY(hn_cuda_floats_plan(t, &c->ending));
    c->c.out = (hn_gpu_real){.dtype = HONE_DTYPE_F32, .scale = 1};
  }
  return keep_scales(t, 1, 0, &c->c.weights, &c->scales);
}

hone_status conv_cuda_run(hn_exec *x) {
  const conv *s = x->task->state;
  hn_gpu_conv c = s->c;
  bool ends = hn_cuda_ends_floats(x->task);
  c.in.p = x->in[0].data;
  c.weights.p = x->in[1].data;
  c.bias.p = hn_xhas(x, 2) ? x->in[2].data : NULL;
  c.out.p = ends ? x->scratch : x->out[0].data;
  hn_gpu_conv_run(hn_cuda_stream(x), &c);
  HN_TRY(hn_cuda_launched(x));
  return ends ? hn_cuda_floats_run(x, &s->ending) : HONE_OK;
}

void conv_cuda_destroy(hn_task *t) {
  conv *c = t->state;
  if (c) hn_cuda_drop(t, c->scales);
  hn_cuda_free_state(t);
}

/* ---- matrix products */

typedef struct matmul {
  hn_gpu_product p;
  hn_cuda_chain ending;
  void *scales;
} matmul;

static bool gemm_of(const hn_task *t, hn_gpu_product *p) {
  const hn_arg *a = &t->in[0], *b = &t->in[1], *o = &t->out[0];
  bool ta = hn_attr_i(t->node, "transA", 0) != 0, tb = hn_attr_i(t->node, "transB", 0) != 0;
  if (a->rank != 2 || b->rank != 2) return false;
  p->alpha = (float)hn_attr_f(t->node, "alpha", 1);
  p->beta = (float)hn_attr_f(t->node, "beta", 1);
  p->m = (uint32_t)o->dims[0], p->n = (uint32_t)o->dims[1], p->k = (uint32_t)a->dims[!ta];
  p->a_row = ta ? 1 : p->k, p->a_column = ta ? p->m : 1;
  p->b_row = tb ? 1 : p->n, p->b_column = tb ? p->k : 1;
  if (!hn_cuda_given(t, 2)) return true;
  const hn_arg *c = &t->in[2];
  if (!plain_real(c, &p->c) || c->rank > 2) return false;
  int64_t rows = c->rank > 1 ? c->dims[0] : 1, columns = c->rank ? c->dims[c->rank - 1] : 1;
  p->c_row = rows == 1 ? 0 : (uint32_t)columns;
  p->c_column = columns > 1;
  return true;
}

/* As numpy: vectors get a dimension, batches are broadcast. */
static bool matmul_of(const hn_task *t, hn_gpu_product *p) {
  const hn_arg *a = &t->in[0], *b = &t->in[1], *o = &t->out[0];
  if (!a->rank || !b->rank) return false;
  p->m = a->rank > 1 ? (uint32_t)a->dims[a->rank - 2] : 1;
  p->k = (uint32_t)a->dims[a->rank - 1];
  p->n = b->rank > 1 ? (uint32_t)b->dims[b->rank - 1] : 1;
  p->a_row = p->k, p->a_column = 1, p->b_row = p->n, p->b_column = 1;
  int32_t ra = a->rank > 2 ? a->rank - 2 : 0, rb = b->rank > 2 ? b->rank - 2 : 0, r = ra > rb ? ra : rb;
  uint32_t sa = p->m * p->k, sb = p->k * p->n;
  p->batch_rank = r;
  p->batches = 1;
  for (int32_t i = r - 1; i >= 0; i--) {
    int64_t da = i - (r - ra) >= 0 ? a->dims[i - (r - ra)] : 1, db = i - (r - rb) >= 0 ? b->dims[i - (r - rb)] : 1;
    p->batch[i] = hn_gpu_div_of(da > db ? da : db);
    p->a_batch[i] = da > 1 ? sa : 0;
    p->b_batch[i] = db > 1 ? sb : 0;
    sa *= (uint32_t)da, sb *= (uint32_t)db;
    p->batches *= p->batch[i].d;
  }
  return (uint64_t)p->batches * p->m * p->n == (uint64_t)hn_cuda_count(o);
}

static bool product_of(const hn_task *t, hn_gpu_product *p) {
  *p = (hn_gpu_product){.alpha = 1, .beta = 1, .batches = 1};
  if (!plain_real(&t->in[0], &p->a) || !real_of(&t->in[1], &p->b) || !plain_real(&t->out[0], &p->out)) return false;
  return t->node->op == HN_Gemm ? gemm_of(t, p) : matmul_of(t, p);
}

bool matmul_cuda_supports(const hn_task *t) {
  hn_gpu_product p;
  return hn_cuda_fits(t) && product_of(t, &p) && (!hn_cuda_ends_floats(t) || hn_cuda_floats_end(t));
}

hone_status matmul_cuda_plan(hn_task *t) {
  matmul *m;
  hn_cuda_plain(t);
  HN_TRY(hn_cuda_state(t, sizeof *m, &m));
  if (!product_of(t, &m->p)) return HONE_UNSUPPORTED;
  bool turned = t->node->op == HN_Gemm && hn_attr_i(t->node, "transB", 0);
  if (hn_cuda_ends_floats(t)) {
    HN_TRY(hn_cuda_floats_plan(t, &m->ending));
    m->p.out = (hn_gpu_real){.dtype = HONE_DTYPE_F32, .scale = 1};
  }
  return keep_scales(t, 1, turned ? 0 : t->in[1].rank - 1, &m->p.b, &m->scales);
}

hone_status matmul_cuda_run(hn_exec *x) {
  const matmul *s = x->task->state;
  hn_gpu_product p = s->p;
  bool ends = hn_cuda_ends_floats(x->task);
  p.a.p = x->in[0].data;
  p.b.p = x->in[1].data;
  p.c.p = x->task->node->op == HN_Gemm && hn_xhas(x, 2) ? x->in[2].data : NULL;
  p.out.p = ends ? x->scratch : x->out[0].data;
  hn_gpu_product_run(hn_cuda_stream(x), &p);
  HN_TRY(hn_cuda_launched(x));
  return ends ? hn_cuda_floats_run(x, &s->ending) : HONE_OK;
}

void matmul_cuda_destroy(hn_task *t) {
  matmul *m = t->state;
  if (m) hn_cuda_drop(t, m->scales);
  hn_cuda_free_state(t);
}
