/* pool_onednn.c - pooling by oneDNN in the layout its input lies in. */
#include <string.h>

#include "device/cpu/onednn/dnnl_util.h"
#include "op/infer.h"

bool pool_onednn_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  const hn_quant *p = in->quant, *q = t->out[0].quant;
  bool integers = hn_is_8bit(in->dtype) && t->out[0].dtype == in->dtype && !t->node->n_post &&
                  (p == q || (p && q && p->scale == q->scale && p->zero == q->zero));
  if (!t->device || (!hn_dnnl_computes(in->dtype) && !integers) || in->rank < 3 || in->rank > 5) return false;
  for (int32_t i = 0; i < in->rank; i++)
    if (in->dims[i] == 0 || t->out[0].dims[i] == 0) return false;
  return t->n_out == 1 || !t->out[1].present;
}

/* The window; a global one covers the whole input. false: one oneDNN would compute otherwise. */
static bool geometry(const hn_task *t, hn_window *w, bool *padded) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  bool global = t->node->op == HN_GlobalAveragePool || t->node->op == HN_GlobalMaxPool;
  *w = (hn_window){.n = in->rank - 2};
  for (int32_t i = 0; i < w->n; i++) {
    w->kernel[i] = in->dims[2 + i];
    w->stride[i] = w->dilation[i] = 1;
  }
  if (!global && hn_window_resolve(t->cx, t->g->dims, t->node, w->n, in->dims + 2, NULL, false, w)) return false;
  bool count_pad = t->node->op == HN_AveragePool && hn_attr_i(t->node, "count_include_pad", 0) != 0;
  *padded = count_pad;
  for (int32_t i = 0; i < w->n; i++) {
    int64_t span = (w->kernel[i] - 1) * w->dilation[i] + 1;
    int64_t end = (out->dims[2 + i] - 1) * w->stride[i] + span - in->dims[2 + i] - w->pad_begin[i];
    /* The last window may hang over the padding: oneDNN counts that as padding, ONNX does not count it at all. */
    if (count_pad && end > w->pad_end[i]) return false;
    if (end < 0) return false;
    w->pad_end[i] = end;
    if (w->pad_begin[i] >= span || end >= span) return false; /* a window of padding alone */
  }
  return true;
}

static bool describe(hn_task *t, hn_layout layout, dnnl_primitive_desc_t *pd) {
  const hn_cpu *cpu = t->device;
  hn_window w;
  bool padded, max = t->node->op == HN_MaxPool || t->node->op == HN_GlobalMaxPool;
  dnnl_dims_t kernel, dilation, stride, begin, end;
  dnnl_memory_desc_t src, dst;
  dnnl_pooling_v2_desc_t d;
  dnnl_primitive_attr_t attr = NULL;
  uint32_t residual;
  t->fused = 0;
  t->in[0].layout = t->out[0].layout = layout;
  if (!geometry(t, &w, &padded) || (padded && t->in[0].quant && t->in[0].quant->zero)) return false;
  for (int32_t i = 0; i < w.n; i++) {
    kernel[i] = w.kernel[i];
    dilation[i] = w.dilation[i] - 1;
    stride[i] = w.stride[i];
    begin[i] = w.pad_begin[i];
    end[i] = w.pad_end[i];
  }
  bool ok = hn_dnnl_arg_desc(&t->in[0], &src) && hn_dnnl_arg_desc(&t->out[0], &dst) &&
            dnnl_pooling_v2_forward_desc_init(&d, dnnl_forward_inference,
                                              max ? dnnl_pooling_max : padded ? dnnl_pooling_avg_include_padding
                                                                              : dnnl_pooling_avg_exclude_padding,
                                              &src, &dst, stride, kernel, dilation, begin, end) == dnnl_success &&
            hn_dnnl_attributes(t, false, &attr, &residual) &&
            dnnl_primitive_desc_create(pd, &d, attr, cpu->engine, NULL) == dnnl_success;
  if (attr) dnnl_primitive_attr_destroy(attr);
  return ok;
}

static hone_status attempt(hn_task *t, hn_layout layout) {
  dnnl_primitive_desc_t pd = NULL;
  if (!describe(t, layout, &pd)) return HONE_UNSUPPORTED;
  hn_dnnl_run *r = hn_calloc(1, sizeof *r);
  t->state = r;
  hone_status st = r ? HONE_OK : hn_nomem(t->cx);
  if (!st) st = hn_dnnl_bind(t, r, DNNL_ARG_SRC, dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0), 0, NULL);
  if (!st) st = hn_dnnl_bind(t, r, DNNL_ARG_DST, dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), HN_DNNL_OUTPUT, NULL);
  if (!st) st = hn_dnnl_create(t, r, pd);
  dnnl_primitive_desc_destroy(pd);
  if (st) hn_dnnl_state_destroy(t);
  return st;
}

hone_status pool_onednn_plan(hn_task *t) {
  HN_TRY(hn_dnnl_open(t));
  hn_layout lies = hn_dnnl_computes(t->in[0].dtype) ? t->in[0].layout : HN_LAYOUT_NHWC;
  hone_status st = attempt(t, lies);
  if (st == HONE_UNSUPPORTED && lies != HN_LAYOUT_NHWC) st = attempt(t, HN_LAYOUT_NHWC);
  return st;
}

hone_status pool_onednn_run(hn_exec *x) { return hn_dnnl_state_run(x); }
void pool_onednn_destroy(hn_task *t) { hn_dnnl_state_destroy(t); }
