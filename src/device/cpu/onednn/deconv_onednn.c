/* deconv_onednn.c - transposed convolution with bias by oneDNN. */
#include <string.h>

#include "device/cpu/onednn/dnnl_util.h"
#include "op/infer.h"

bool deconv_onednn_supports(const hn_task *t) { return hn_dnnl_is_convolution(t); }

/* ONNX stores inputs x outputs/group x kernel; oneDNN wants group x outputs x inputs x kernel. */
static bool stored_weights(const hn_task *t, int64_t group, int *rank, dnnl_dims_t dims, dnnl_memory_desc_t *stored) {
  const hn_arg *w = &t->in[1];
  dnnl_dims_t stride;
  int64_t taps = 1;
  int n = 0;
  for (int32_t i = 2; i < w->rank; i++) taps *= w->dims[i];
  if (group > 1) dims[n] = group, stride[n++] = w->dims[0] / group * w->dims[1] * taps;
  dims[n] = w->dims[1], stride[n++] = taps;
  dims[n] = w->dims[0] / group, stride[n++] = w->dims[1] * taps;
  for (int32_t i = 2; i < w->rank; i++) {
    taps /= w->dims[i];
    dims[n] = w->dims[i], stride[n++] = taps;
  }
  *rank = n;
  return dnnl_memory_desc_init_by_strides(stored, n, dims, hn_dnnl_type(w->dtype), stride) == dnnl_success;
}

static bool describe(hn_task *t, dnnl_primitive_desc_t *pd, dnnl_memory_desc_t *stored) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  bool bias = hn_dnnl_has_bias(t);
  hn_window w;
  dnnl_dims_t w_dims, dilation, stride, begin, end;
  dnnl_memory_desc_t src, weights, b, dst;
  dnnl_deconvolution_desc_t d;
  dnnl_primitive_attr_t attr = NULL;
  uint32_t residual;
  int w_rank;
  if (hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, t->in[1].dims + 2, true, &w)) return false;
  for (int32_t i = 0; i < w.n; i++) {
    dilation[i] = w.dilation[i] - 1; /* oneDNN counts the holes */
    stride[i] = w.stride[i];
    begin[i] = w.pad_begin[i];
    /* output padding and an output shape are less padding at the end */
    end[i] = (in->dims[2 + i] - 1) * w.stride[i] + (w.kernel[i] - 1) * w.dilation[i] + 1 - w.pad_begin[i] - out->dims[2 + i];
  }
  bool ok = stored_weights(t, hn_attr_i(t->node, "group", 1), &w_rank, w_dims, stored) &&
            hn_dnnl_any(t->in[0].dtype, in->rank, in->dims, &src) && hn_dnnl_any(t->in[0].dtype, out->rank, out->dims, &dst) &&
            hn_dnnl_any(t->in[0].dtype, w_rank, w_dims, &weights) &&
            (!bias || hn_dnnl_desc(t->in[2].dtype, 1, t->in[2].dims, HN_LAYOUT_PLAIN, &b)) &&
            dnnl_dilated_deconvolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_deconvolution_direct, &src, &weights,
                                                         bias ? &b : NULL, &dst, stride, dilation, begin, end) == dnnl_success &&
            hn_dnnl_attributes(t, false, &attr, &residual) &&
            dnnl_primitive_desc_create(pd, &d, attr, t->device->engine, NULL) == dnnl_success;
  if (attr) dnnl_primitive_attr_destroy(attr);
  return ok;
}

hone_status deconv_onednn_plan(hn_task *t) {
  HN_TRY(hn_dnnl_open(t));
  dnnl_primitive_desc_t pd = NULL;
  dnnl_memory_desc_t stored;
  if (!describe(t, &pd, &stored)) return HONE_UNSUPPORTED;
  hone_status st = hn_dnnl_prepare_convolution(t, pd, &stored);
  dnnl_primitive_desc_destroy(pd);
  return st;
}

hone_status deconv_onednn_run(hn_exec *x) { return hn_dnnl_state_run(x); }
void deconv_onednn_destroy(hn_task *t) { hn_dnnl_state_destroy(t); }
