/* conv_onednn.c - convolution with bias by oneDNN, weights packed once, activations in the layout oneDNN wants. */
#include <string.h>

#include "device/cpu/onednn/dnnl_util.h"
#include "op/infer.h"

bool conv_onednn_supports(const hn_task *t) { return hn_dnnl_is_convolution(t); }

/* dims with the group in front, as oneDNN wants grouped weights */
static int weight_dims(const hn_task *t, int64_t group, dnnl_dims_t dims) {
  const hn_arg *w = &t->in[1];
  int n = 0;
  if (group > 1) dims[n++] = group;
  dims[n++] = w->dims[0] / group;
  for (int32_t i = 1; i < w->rank; i++) dims[n++] = w->dims[i];
  return n;
}

/* The primitive's descriptor, and that of the weights as they are stored. */
static bool describe(hn_task *t, dnnl_primitive_desc_t *pd, dnnl_memory_desc_t *stored, uint32_t *residual) {
  static const dnnl_format_tag_t plain[] = {0, 0, 0, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef};
  const hn_cpu *cpu = t->device;
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  bool bias = hn_dnnl_has_bias(t);
  hn_window w;
  dnnl_dims_t w_dims, dilation, stride, begin, end;
  dnnl_memory_desc_t src, weights, b, dst;
  dnnl_convolution_desc_t cd;
  dnnl_primitive_attr_t attr = NULL;
  int w_rank = weight_dims(t, hn_attr_i(t->node, "group", 1), w_dims);
  if (hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, t->in[1].dims + 2, false, &w)) return false;
  for (int32_t i = 0; i < w.n; i++) {
    dilation[i] = w.dilation[i] - 1; /* oneDNN counts the holes */
    stride[i] = w.stride[i];
    begin[i] = w.pad_begin[i];
    end[i] = w.pad_end[i];
  }
  bool ok = hn_dnnl_any(t->in[0].dtype, in->rank, in->dims, &src) && hn_dnnl_any(t->in[0].dtype, out->rank, out->dims, &dst) &&
            hn_dnnl_any(t->in[0].dtype, w_rank, w_dims, &weights) &&
            dnnl_memory_desc_init_by_tag(stored, w_rank, w_dims, hn_dnnl_type(t->in[0].dtype), plain[w_rank]) == dnnl_success &&
            (!bias || hn_dnnl_desc(t->in[2].dtype, 1, t->in[2].dims, HN_LAYOUT_PLAIN, &b)) &&
            dnnl_dilated_convolution_forward_desc_init(&cd, dnnl_forward_inference, dnnl_convolution_direct, &src, &weights,
                                                       bias ? &b : NULL, &dst, stride, dilation, begin,
                                                       end) == dnnl_success &&
            hn_dnnl_attributes(t, true, &attr, residual) &&
            dnnl_primitive_desc_create(pd, &cd, attr, cpu->engine, NULL) == dnnl_success;
  if (attr) dnnl_primitive_attr_destroy(attr);
  return ok;
}

hone_status conv_onednn_plan(hn_task *t) {
  HN_TRY(hn_dnnl_open(t));
  dnnl_primitive_desc_t pd = NULL;
  dnnl_memory_desc_t stored;
  uint32_t residual;
  if (!describe(t, &pd, &stored, &residual)) return HONE_UNSUPPORTED;
  hone_status st = hn_dnnl_prepare_convolution(t, pd, &stored);
  dnnl_primitive_desc_destroy(pd);
  if (!st) hn_dnnl_take_residual(t, residual);
  return st;
}

hone_status conv_onednn_run(hn_exec *x) { return hn_dnnl_state_run(x); }
void conv_onednn_destroy(hn_task *t) { hn_dnnl_state_destroy(t); }
