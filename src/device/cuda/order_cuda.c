/* order_cuda.c - TopK, QuantizeLinear, DequantizeLinear. */
#include "device/cuda/cuda_kernel.h"
#include "op/infer.h"

/* ---- TopK */

static size_t spare_bytes(const hn_gpu_top *t) {
  size_t pieces = (t->g.n + HN_GPU_SORTED - 1) / HN_GPU_SORTED;
  return pieces > 1 ? (size_t)t->g.groups * pieces * (size_t)t->k * sizeof(uint64_t) : 0;
}

static bool sortable(const hn_arg *a) {
  return hn_cuda_float(a) || (hn_is_int(a->dtype) && !a->quant && hone_dtype_size(a->dtype) && hone_dtype_size(a->dtype) <= 4);
}

static bool top_of(const hn_task *t, hn_gpu_top *p) {
  const hn_arg *in = &t->in[0], *o = &t->out[0];
  int64_t stride[HN_MAX_RANK];
  int32_t a;
  bool reduced[HN_MAX_RANK] = {false};
  *p = (hn_gpu_top){.dtype = (int32_t)in->dtype, .largest = hn_attr_i(t->node, "largest", 1) != 0};
  if (!sortable(in) || o->dtype != in->dtype || !hn_axis(hn_attr_i(t->node, "axis", -1), in->rank, &a)) return false;
  hn_arg plain = *in;
  plain.layout = HN_LAYOUT_PLAIN;
  hn_cuda_strides(&plain, stride);
  reduced[a] = true;
  if (!hn_cuda_groups_of(&p->g, in->rank, in->dims, stride, reduced)) return false;
  if (in->dims[a] > 1) p->g.inner_stride[0] = (uint32_t)stride[a];
  p->k = (int32_t)o->dims[a];
  p->inner = (uint32_t)stride[a];
  p->inner_div = hn_gpu_div_of(stride[a]);
  return p->g.n <= HN_GPU_SORTED || p->k <= HN_GPU_TOP;
}

bool top_cuda_supports(const hn_task *t) {
  hn_gpu_top p;
  return hn_cuda_fits(t) && hn_cuda_wants(t, 0) && hn_cuda_wants(t, 1) && top_of(t, &p) && 2 * spare_bytes(&p) <= hn_cuda_of(t)->workspace;
}

hone_status top_cuda_plan(hn_task *t) {
  hn_gpu_top *p;
  hn_cuda_plain(t);
  t->in[1].unused = true;
  HN_TRY(hn_cuda_state(t, sizeof *p, &p));
  if (!top_of(t, p)) return HONE_UNSUPPORTED;
  t->scratch = 2 * spare_bytes(p);
  return HONE_OK;
}

hone_status top_cuda_run(hn_exec *x) {
  hn_gpu_top p = *(const hn_gpu_top *)x->task->state;
  p.in = x->in[0].data;
  p.values = x->out[0].data;
  p.places = x->out[1].data;
  p.spare[0] = x->scratch;
  p.spare[1] = x->scratch ? (uint64_t *)x->scratch + spare_bytes(&p) / sizeof(uint64_t) : NULL;
  hn_gpu_top_run(hn_cuda_stream(x), &p);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(top_cuda)

/* ---- QuantizeLinear, DequantizeLinear */

static bool limits_of(hn_dtype t, hn_gpu_quantize *q) {
  switch (t) {
    case HONE_DTYPE_U8: q->low = 0, q->high = 255; return true;
    case HONE_DTYPE_I8: q->low = -128, q->high = 127; return true;
    case HONE_DTYPE_U16: q->low = 0, q->high = 65535; return true;
    case HONE_DTYPE_I16: q->low = -32768, q->high = 32767; return true;
    default: return false;
  }
}

static bool scales_of(const hn_task *t, hn_gpu_quantize *q) {
  const hn_arg *in = &t->in[0], *s = &t->in[1];
  int64_t block = hn_attr_i(t->node, "block_size", 0), inner = 1, outer = 1, count = hn_cuda_count(s);
  int32_t axis;
  q->one = count == 1;
  if (hn_cuda_given(t, 2) && hn_cuda_count(&t->in[2]) != count) return false;
  if (q->one) return true;
  if (!hn_axis(hn_attr_i(t->node, "axis", 1), in->rank, &axis)) return false;
  for (int32_t i = 0; i < in->rank; i++) *(i < axis ? &outer : &inner) *= i == axis ? 1 : in->dims[i];
  int64_t n = in->dims[axis], blocks = block > 0 ? (n + block - 1) / block : 0;
  q->inner = hn_gpu_div_of(inner);
  q->axis = hn_gpu_div_of(n);
  q->block = hn_gpu_div_of(block > 0 ? block : 1);
  q->blocks = (uint32_t)blocks;
  return count == (block > 0 ? outer * blocks * inner : n);
}

static bool quantize_of(const hn_task *t, hn_gpu_quantize *q) {
  const hn_arg *in = &t->in[0], *s = &t->in[1], *o = &t->out[0];
  *q = (hn_gpu_quantize){.n = (uint32_t)hn_cuda_count(o), .in_dtype = (int32_t)in->dtype, .scale_dtype = (int32_t)s->dtype, .out_dtype = (int32_t)o->dtype,
                         .zero_dtype = hn_cuda_given(t, 2) ? (int32_t)t->in[2].dtype : 0, .back = t->node->op == HN_DequantizeLinear};
  if (in->quant || o->quant || !hn_cuda_float(s) || hn_attr_i(t->node, "precision", 0)) return false;
  if (q->back ? !hn_cuda_float(o) || !(limits_of(in->dtype, q) || in->dtype == HONE_DTYPE_I32) : !hn_cuda_float(in) || !limits_of(o->dtype, q)) return false;
  return scales_of(t, q);
}

bool quantize_cuda_supports(const hn_task *t) {
  hn_gpu_quantize q;
  return hn_cuda_fits(t) && quantize_of(t, &q);
}

/* With one scale any layout will do. */
hone_status quantize_cuda_plan(hn_task *t) {
  hn_gpu_quantize *q;
  hn_layout l = hn_cuda_keep_layout(&t->in[0]);
  hn_cuda_plain(t);
  HN_TRY(hn_cuda_state(t, sizeof *q, &q));
  if (!quantize_of(t, q)) return HONE_UNSUPPORTED;
  if (q->one) t->in[0].layout = t->out[0].layout = l;
  return HONE_OK;
}

hone_status quantize_cuda_run(hn_exec *x) {
  hn_gpu_quantize q = *(const hn_gpu_quantize *)x->task->state;
  q.in = x->in[0].data;
  q.scale = x->in[1].data;
  q.zero = hn_xhas(x, 2) ? x->in[2].data : NULL;
  q.out = x->out[0].data;
  hn_gpu_quantize_run(hn_cuda_stream(x), &q);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(quantize_cuda)
