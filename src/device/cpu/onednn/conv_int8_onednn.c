/* conv_int8_onednn.c - convolution of 8-bit integers by oneDNN, channels last. */
#include "device/cpu/onednn/int8_onednn.h"
#include "op/infer.h"

static bool has_bias(const hn_task *t) { return t->node->n_main > 2 && t->in[2].present; }

bool conv_int8_onednn_supports(const hn_task *t) {
  if (!hn_int8_applies(t) || t->in[0].rank < 3 || t->in[0].rank > 5) return false;
  return !has_bias(t) || (t->in[2].constant && t->in[2].dtype == HONE_DTYPE_F32);
}

/* dims with the group in front, as oneDNN wants grouped weights */
static int weight_dims(const hn_task *t, dnnl_dims_t dims) {
  const hn_arg *w = &t->in[1];
  int64_t group = hn_attr_i(t->node, "group", 1);
  int n = 0;
  if (group > 1) dims[n++] = group;
  dims[n++] = w->dims[0] / group;
  for (int32_t i = 1; i < w->rank; i++) dims[n++] = w->dims[i];
  return n;
}

static bool create(hn_task *t, const hn_int8_way *way, dnnl_primitive_desc_t *pd, dnnl_memory_desc_t *stored) {
  static const dnnl_format_tag_t plain[] = {0, 0, 0, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef};
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  hn_window w;
  dnnl_dims_t w_dims, dilation, stride, begin, end;
  dnnl_memory_desc_t src, weights, b, dst;
  dnnl_convolution_desc_t cd;
  int w_rank = weight_dims(t, w_dims);
  if (hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, t->in[1].dims + 2, false, &w)) return false;
  for (int32_t i = 0; i < w.n; i++) {
    dilation[i] = w.dilation[i] - 1;
    stride[i] = w.stride[i];
    begin[i] = w.pad_begin[i];
    end[i] = w.pad_end[i];
  }
  hn_dtype to = way->dst == dnnl_f32 ? HONE_DTYPE_F32 : out->dtype;
  return hn_dnnl_desc(in->dtype, in->rank, in->dims, HN_LAYOUT_NHWC, &src) &&
         hn_dnnl_desc(to, out->rank, out->dims, HN_LAYOUT_NHWC, &dst) && hn_dnnl_any(HONE_DTYPE_I8, w_rank, w_dims, &weights) &&
         dnnl_memory_desc_init_by_tag(stored, w_rank, w_dims, dnnl_s8, plain[w_rank]) == dnnl_success &&
         (!has_bias(t) || hn_dnnl_desc(HONE_DTYPE_F32, 1, t->in[2].dims, HN_LAYOUT_PLAIN, &b)) &&
         dnnl_dilated_convolution_forward_desc_init(&cd, dnnl_forward_inference, dnnl_convolution_direct, &src, &weights,
                                                    has_bias(t) ? &b : NULL, &dst, stride, dilation, begin, end) == dnnl_success &&
         dnnl_primitive_desc_create(pd, &cd, way->attr, t->device->engine, NULL) == dnnl_success;
}

static hone_status attempt(hn_task *t, int k) {
  dnnl_primitive_desc_t pd = NULL;
  dnnl_memory_desc_t stored;
  hn_int8_way way;
  if (!hn_int8_try(t, k, 1 << 1, &way)) return HONE_UNSUPPORTED;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  hone_status st = create(t, &way, &pd, &stored) ? HONE_OK : HONE_UNSUPPORTED;
  hn_int8 *s = st ? NULL : hn_calloc(1, sizeof *s);
  t->state = s;
  if (!st && !s) st = hn_nomem(t->cx);
  if (!st) st = hn_int8_finish(t, s, pd, &way, &stored, has_bias(t) ? t->in[2].constant : NULL);
  if (!st && has_bias(t)) t->in[2].unused = true;
  if (pd) dnnl_primitive_desc_destroy(pd);
  dnnl_primitive_attr_destroy(way.attr);
  if (!st) return HONE_OK;
  hn_int8_destroy(t);
  hn_task_unpack(t);
  return st;
}

hone_status conv_int8_onednn_plan(hn_task *t) {
  HN_TRY(hn_dnnl_open(t));
  hone_status st = attempt(t, 0);
  return st == HONE_UNSUPPORTED ? attempt(t, 1) : st;
}

hone_status conv_int8_onednn_run(hn_exec *x) { return hn_int8_run(x); }
void conv_int8_onednn_destroy(hn_task *t) { hn_int8_destroy(t); }
