/* window.c - the geometry of sliding windows: convolution and pooling (ONNX: Conv, ConvTranspose, MaxPool). */
#include <string.h>

#include "base/checked.h"
#include "op/infer.h"

static hone_status read_list(hone_context *cx, const hn_node *n, const char *name, int32_t want, int64_t least, int64_t otherwise,
                             int64_t *out) {
  const int64_t *v = NULL;
  uint32_t count = hn_attr_ints(n, name, &v);
  if (count && (int32_t)count != want)
    return hn_fail(cx, HONE_BAD_GRAPH, "%s has %u elements; %d are needed", name, count, want);
  for (int32_t i = 0; i < want; i++) {
    out[i] = count ? v[i] : otherwise;
    if (out[i] < least || out[i] > INT32_MAX)
      return hn_fail(cx, HONE_BAD_GRAPH, "%s[%d] is %lld", name, i, (long long)out[i]);
  }
  return HONE_OK;
}

/* floor or ceil((in + pads - extent) / stride) + 1 */
static hn_dim out_size(hn_dims *t, hn_dim in, int64_t pads, int64_t extent, int64_t stride, bool ceil_mode) {
  hn_dim room = hn_dim_fixed(in) ? in + pads - extent : hn_dim_sub(t, hn_dim_add(t, in, pads), extent);
  if (hn_dim_fixed(in) && room < 0) return HN_DIM_BAD;
  hn_dim steps = ceil_mode ? hn_dim_ceil_div(t, room, stride) : hn_dim_div(t, room, stride);
  return hn_dim_add(t, steps, 1);
}

static void same_pads(int64_t total, bool upper, int64_t *begin, int64_t *end) {
  if (total < 0) total = 0;
  *begin = upper ? total / 2 : total - total / 2;
  *end = total - *begin;
}

static hone_status resolve_forward(hone_context *cx, hn_dims *t, const hn_node *n, const hn_dim *in, bool same, bool upper,
                                   hn_window *w) {
  bool ceil_mode = hn_attr_i(n, "ceil_mode", 0) != 0;
  for (int32_t i = 0; i < w->n; i++) {
    int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
    if (same) {
      w->out[i] = hn_dim_ceil_div(t, in[i], w->stride[i]);
      if (hn_dim_fixed(in[i])) same_pads((w->out[i] - 1) * w->stride[i] + extent - in[i], upper, &w->pad_begin[i], &w->pad_end[i]);
      continue;
    }
    w->out[i] = out_size(t, in[i], w->pad_begin[i] + w->pad_end[i], extent, w->stride[i], ceil_mode);
    if (w->out[i] == HN_DIM_BAD)
      return hn_fail(cx, HONE_BAD_GRAPH, "the window (%lld) is larger than the padded input", (long long)extent);
    /* A window that would start in the end padding is left out. */
    if (ceil_mode && hn_dim_fixed(in[i]) && (w->out[i] - 1) * w->stride[i] >= in[i] + w->pad_begin[i]) w->out[i]--;
  }
  return HONE_OK;
}

static hone_status resolve_transposed(hone_context *cx, hn_dims *t, const hn_node *n, const hn_dim *in, bool same, bool upper,
                                      hn_window *w) {
  int64_t extra[HN_MAX_RANK];
  const int64_t *shape = NULL;
  HN_TRY(read_list(cx, n, "output_padding", w->n, 0, 0, extra));
  uint32_t n_shape = hn_attr_ints(n, "output_shape", &shape);
  for (int32_t i = 0; i < w->n; i++) {
    int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1 + extra[i];
    hn_dim full = hn_dim_add(t, hn_dim_mul(t, hn_dim_sub(t, in[i], 1), w->stride[i]), extent);
    if (n_shape || same) {
      w->out[i] = n_shape ? shape[(int32_t)n_shape - w->n + i] : hn_dim_mul(t, in[i], w->stride[i]);
      if ((int32_t)n_shape && (int32_t)n_shape < w->n) return hn_fail(cx, HONE_BAD_GRAPH, "output_shape is too short");
      /* The specification: SAME_UPPER puts the larger half of the padding at the end, anything else at the start. */
      if (hn_dim_fixed(full) && hn_dim_fixed(w->out[i])) same_pads(full - w->out[i], upper, &w->pad_begin[i], &w->pad_end[i]);
      continue;
    }
    int64_t pads = w->pad_begin[i] + w->pad_end[i];
    w->out[i] = hn_dim_sub(t, full, pads);
    if (hn_dim_fixed(full) && full < pads) return hn_fail(cx, HONE_BAD_GRAPH, "the padding is larger than the output");
  }
  return HONE_OK;
}

hone_status hn_window_resolve(hone_context *cx, hn_dims *t, const hn_node *n, int32_t nd, const hn_dim *in,
                              const int64_t *kernel, bool transposed, hn_window *w) {
  int64_t pads[2 * HN_MAX_RANK];
  memset(w, 0, sizeof *w);
  w->n = nd;
  if (nd < 1 || nd > HN_MAX_RANK - 2) return hn_fail(cx, HONE_BAD_GRAPH, "needs a tensor with spatial dimensions");
  if (kernel) memcpy(w->kernel, kernel, sizeof *kernel * (size_t)nd);
  else HN_TRY(read_list(cx, n, "kernel_shape", nd, 1, 0, w->kernel));
  HN_TRY(read_list(cx, n, "strides", nd, 1, 1, w->stride));
  HN_TRY(read_list(cx, n, "dilations", nd, 1, 1, w->dilation));
  HN_TRY(read_list(cx, n, "pads", 2 * nd, 0, 0, pads));
  for (int32_t i = 0; i < nd; i++)
    if (w->kernel[i] < 1 || w->kernel[i] > INT32_MAX || w->dilation[i] > (1 << 20) || w->kernel[i] > (1 << 24))
      return hn_fail(cx, HONE_BAD_GRAPH, "kernel size %lld with dilation %lld", (long long)w->kernel[i], (long long)w->dilation[i]);
  const char *mode = hn_attr_s(n, "auto_pad", "NOTSET");
  bool upper = strcmp(mode, "SAME_UPPER") == 0, same = upper || strcmp(mode, "SAME_LOWER") == 0;
  bool valid = strcmp(mode, "VALID") == 0;
  if (!same && !valid && strcmp(mode, "NOTSET") != 0) return hn_fail(cx, HONE_BAD_GRAPH, "auto_pad is '%s'", mode);
  for (int32_t i = 0; i < nd; i++) {
    w->pad_begin[i] = same || valid ? 0 : pads[i];
    w->pad_end[i] = same || valid ? 0 : pads[nd + i];
  }
  return transposed ? resolve_transposed(cx, t, n, in, same, upper, w) : resolve_forward(cx, t, n, in, same, upper, w);
}
