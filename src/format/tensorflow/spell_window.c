/* spell_window.c - convolutions, pooling, resampling: channels last. One spatial dimension is two, the first of size 1. */
#include <math.h>
#include <string.h>

#include "format/tensorflow/spell.h"

typedef struct window {
  hn_window w;
  int32_t n;     /* spatial dimensions, as TensorFlow gets them: 2 or 3 */
  bool line;     /* there was only one */
  bool same, valid;
} window;

/* SAME's padding of one dimension. */
static bool is_same(int64_t in, int64_t out, int64_t span, int64_t stride, int64_t begin, int64_t end) {
  int64_t total = (out - 1) * stride + span - in;
  if (total < 0) total = 0;
  return out == (in + stride - 1) / stride && begin == total / 2 && end == total - total / 2;
}

/* Padding in TensorFlow's words. `in` and `out`: sizes of what the window moves over and of what it makes. */
static bool read_window(tg *t, const hn_node *n, const int64_t *kernel, bool transposed, window *w) {
  const hn_shape *x = tg_shape_of(t, n->in[0]), *y = tg_shape_of(t, n->out[0]);
  int32_t nd = x->rank - 2;
  *w = (window){.same = true, .valid = true};
  if (nd < 1 || nd > 3) {
    tg_refuse(t, "it has %d spatial dimensions", nd);
    return false;
  }
  if (!t->st) t->st = hn_window_resolve(t->cx, t->g->dims, n, nd, x->d + 2, kernel, transposed, &w->w);
  const char *how = hn_attr_s(n, "auto_pad", "NOTSET");
  for (int32_t i = 0; i < nd && !t->st; i++) {
    int64_t span = (w->w.kernel[i] - 1) * w->w.dilation[i] + 1, in = transposed ? y->d[2 + i] : x->d[2 + i], out = transposed ? x->d[2 + i] : y->d[2 + i];
    bool known = hn_dim_fixed(in) && hn_dim_fixed(out), none = w->w.pad_begin[i] == 0 && w->w.pad_end[i] == 0;
    if (known) {
      w->same = w->same && is_same(in, out, span, w->w.stride[i], w->w.pad_begin[i], w->w.pad_end[i]);
      w->valid = w->valid && none && out == (in - span) / w->w.stride[i] + 1;
    } else if (strcmp(how, "SAME_UPPER") == 0) {
      w->valid = false;
    } else if (strcmp(how, "SAME_LOWER") == 0) {
      tg_refuse(t, "its padding SAME_LOWER needs an input of fixed size; give --shape");
    } else {
      w->same = w->same && w->w.stride[i] == 1 && w->w.pad_begin[i] == (span - 1) / 2 && w->w.pad_begin[i] + w->w.pad_end[i] == span - 1;
      w->valid = w->valid && none && !hn_attr_i(n, "ceil_mode", 0);
    }
  }
  w->n = nd;
  w->line = nd == 1;
  if (w->line) { /* a dimension of size 1 in front */
    w->n = 2;
    hn_window *h = &w->w;
    h->kernel[1] = h->kernel[0], h->stride[1] = h->stride[0], h->dilation[1] = h->dilation[0];
    h->pad_begin[1] = h->pad_begin[0], h->pad_end[1] = h->pad_end[0], h->out[1] = h->out[0];
    h->kernel[0] = h->dilation[0] = h->out[0] = 1;
    h->stride[0] = 1;
    h->pad_begin[0] = h->pad_end[0] = 0;
  }
  return !t->st;
}

static const char *with_axis(tg *t, hn_dtype type, const char *x, int64_t axis) {
  const char *where = tg_number(t, axis);
  tg_node *node = tg_add(t, "ExpandDims", NULL);
  tg_input(t, node, x);
  tg_input(t, node, where);
  tg_type(t, node, "T", type);
  tg_type(t, node, "Tdim", HONE_DTYPE_I32);
  return tg_out(t, node, 0);
}

static const char *without_axis(tg *t, hn_dtype type, const char *x, int64_t axis) {
  tg_node *node = tg_add(t, "Squeeze", NULL);
  tg_input(t, node, x);
  tg_type(t, node, "T", type);
  tg_ints(t, node, "squeeze_dims", &axis, 1);
  return tg_out(t, node, 0);
}

/* The input, channels last, with two spatial dimensions at least. */
static const char *open_window(tg *t, const hn_node *n, const window *w) {
  const char *x = tg_last(t, n->in[0]);
  return w->line ? with_axis(t, tg_dtype(t, n->in[0]), x, 1) : x;
}

static void close_window(tg *t, const hn_node *n, const window *w, const char *y) {
  tg_set_last(t, n->out[0], w->line ? without_axis(t, tg_dtype(t, n->out[0]), y, 1) : y);
}

static const char *padded(tg *t, hn_dtype type, const char *x, const window *w, double value) {
  int64_t dims[2] = {w->n + 2, 2};
  hn_tensor *p = NULL;
  if (!t->st) t->st = hn_tensor_create(t->cx, HONE_DTYPE_I32, 2, dims, &p);
  for (int32_t i = 0; i < w->n && p; i++) {
    hn_store_i64(HONE_DTYPE_I32, p->data, (size_t)(2 * (i + 1)), w->w.pad_begin[i]);
    hn_store_i64(HONE_DTYPE_I32, p->data, (size_t)(2 * (i + 1) + 1), w->w.pad_end[i]);
  }
  const char *edges = tg_const(t, p), *fill = value == 0 ? NULL : tg_scalar(t, type, value);
  tg_node *node = tg_add(t, fill ? "PadV2" : "Pad", NULL);
  tg_input(t, node, x);
  tg_input(t, node, edges);
  if (fill) tg_input(t, node, fill);
  tg_type(t, node, "T", type);
  tg_type(t, node, "Tpaddings", HONE_DTYPE_I32);
  return tg_out(t, node, 0);
}

/* [1, a, b, 1] */
static void spatial(tg *t, tg_node *node, const char *attr, const int64_t *v, int32_t n) {
  int64_t all[5] = {1, 1, 1, 1, 1};
  for (int32_t i = 0; i < n; i++) all[1 + i] = v[i];
  tg_ints(t, node, attr, all, (size_t)n + 2);
}

static void set_padding(tg *t, tg_node *node, const window *w) {
  int64_t edges[8] = {0};
  tg_text(t, node, "padding", w->same ? "SAME" : w->valid ? "VALID" : "EXPLICIT");
  if (w->same || w->valid) return;
  for (int32_t i = 0; i < w->n; i++) edges[2 * (i + 1)] = w->w.pad_begin[i], edges[2 * (i + 1) + 1] = w->w.pad_end[i];
  tg_ints(t, node, "explicit_paddings", edges, 2 * (size_t)(w->n + 2));
}

/* ---- convolution. Weights [out, in / group, ...] as [..., in / group, out], of one group of `groups` */


/* Slices [o0, o1) of the first dimension, the first two dimensions moved to the end: transposed, or kept in order. */
static const char *kernel_last(tg *t, const hn_tensor *w, const window *win, int64_t o0, int64_t o1, bool swap) {
  int64_t inner = w->dims[1], space = 1, dims[5] = {1, 1, 1, 1, 1};
  int32_t nd = w->rank - 2;
  size_t size = hone_dtype_size(w->dtype);
  hn_tensor *r = NULL;
  for (int32_t i = 0; i < nd; i++) space *= w->dims[2 + i];
  for (int32_t i = 0; i < win->n; i++) dims[i] = win->w.kernel[i];
  dims[win->n] = swap ? inner : o1 - o0;
  dims[win->n + 1] = swap ? o1 - o0 : inner;
  if (!t->st) t->st = hn_tensor_create(t->cx, w->dtype, win->n + 2, dims, &r);
  for (int64_t o = o0; o < o1 && r; o++)
    for (int64_t i = 0; i < inner; i++)
      for (int64_t s = 0; s < space; s++) {
        int64_t to = swap ? (s * inner + i) * (o1 - o0) + o - o0 : (s * (o1 - o0) + o - o0) * inner + i;
        memcpy((char *)r->data + (size_t)to * size, (const char *)w->data + (size_t)((o * inner + i) * space + s) * size, size);
      }
  return tg_const(t, r);
}

/* [in * multiplier, 1, ...] as [..., in, multiplier]. */
static const char *depthwise_kernel(tg *t, const hn_tensor *w, const window *win, int64_t channels) {
  hn_tensor *r = NULL;
  int64_t dims[4] = {win->w.kernel[0], win->w.kernel[1], channels, w->dims[0] / channels}, space = dims[0] * dims[1];
  size_t size = hone_dtype_size(w->dtype);
  if (!t->st) t->st = hn_tensor_create(t->cx, w->dtype, 4, dims, &r);
  for (int64_t o = 0; o < w->dims[0] && r; o++)
    for (int64_t s = 0; s < space; s++)
      memcpy((char *)r->data + (size_t)(s * w->dims[0] + o) * size, (const char *)w->data + (size_t)(o * space + s) * size, size);
  return tg_const(t, r);
}

static const char *convolution(tg *t, const char *op, hn_dtype type, const char *x, const char *kernel, const window *w) {
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, kernel);
  tg_type(t, node, "T", type);
  spatial(t, node, "strides", w->w.stride, w->n);
  set_padding(t, node, w);
  tg_text(t, node, "data_format", w->n == 3 ? "NDHWC" : "NHWC");
  spatial(t, node, "dilations", w->w.dilation, w->n);
  return tg_out(t, node, 0);
}

/* Channels [i * width, (i + 1) * width) of x as inputs of `groups` convolutions. */
static void split_channels(tg *t, hn_dtype type, const char *x, int32_t axis, int64_t groups, tg_node **node) {
  const char *where = tg_number(t, axis);
  *node = tg_add(t, "Split", NULL);
  tg_input(t, *node, where);
  tg_input(t, *node, x);
  tg_type(t, *node, "T", type);
  tg_int(t, *node, "num_split", groups);
}

static const char *with_bias(tg *t, hn_dtype type, const char *y, hn_id bias) {
  if (bias == HN_NONE) return y;
  const char *b = tg_plain(t, bias);
  tg_node *node = tg_add(t, "BiasAdd", NULL);
  tg_input(t, node, y);
  tg_input(t, node, b);
  tg_type(t, node, "T", type);
  return tg_out(t, node, 0);
}

static const hn_tensor *weights_of(tg *t, const hn_node *n, int32_t rank) {
  const hn_tensor *w = hn_const(t->g, n->in[1]);
  if (!w) tg_refuse(t, "its weights are computed, not constant");
  else if (w->rank != rank) tg_refuse(t, "its weights do not fit its input");
  return t->st ? NULL : w;
}

void tg_spell_conv(tg *t, const hn_node *n, const char *op) {
  const hn_tensor *w = weights_of(t, n, tg_shape_of(t, n->in[0])->rank);
  window win;
  (void)op;
  if (!w || !read_window(t, n, w->dims + 2, false, &win)) return;
  hn_dtype type = tg_dtype(t, n->in[0]);
  int64_t group = hn_attr_i(n, "group", 1), channels = w->dims[1] * group;
  const char *x = open_window(t, n, &win), *y;
  bool even = win.w.stride[0] == win.w.stride[1], dilated = win.w.dilation[0] != 1 || win.w.dilation[1] != 1;
  if (win.n == 3 && !win.same && !win.valid) x = padded(t, type, x, &win, 0), win.valid = true;
  if (win.line && group > 1) win.w.stride[0] = win.w.stride[1], even = true; /* moves over one row: any stride will do */
  if (group == 1) {
    y = convolution(t, win.n == 3 ? "Conv3D" : "Conv2D", type, x, kernel_last(t, w, &win, 0, w->dims[0], true), &win);
  } else if (group == channels && win.n == 2 && even && !(dilated && win.w.stride[0] > 1)) {
    y = convolution(t, "DepthwiseConv2dNative", type, x, depthwise_kernel(t, w, &win, channels), &win);
  } else {
    tg_node *split;
    const char **parts = hn_arena_alloc(t->arena, sizeof *parts * (size_t)group);
    int64_t each = w->dims[0] / group;
    split_channels(t, type, x, win.n + 1, group, &split);
    for (int64_t i = 0; i < group && parts && !t->st; i++)
      parts[i] = convolution(t, win.n == 3 ? "Conv3D" : "Conv2D", type, tg_out(t, split, (uint32_t)i), kernel_last(t, w, &win, i * each, (i + 1) * each, true), &win);
    y = parts ? tg_concat(t, type, parts, (size_t)group, tg_number(t, win.n + 1)) : NULL;
  }
  close_window(t, n, &win, with_bias(t, type, y, hn_in(n, 2)));
}

/* ---- transposed convolution: the gradient of one, whose input's size must be told */

static const char *batch_of(tg *t, hn_dtype type, const char *x) {
  tg_node *shape = tg_add(t, "Shape", NULL), *node;
  tg_input(t, shape, x);
  tg_type(t, shape, "T", type);
  tg_type(t, shape, "out_type", HONE_DTYPE_I32);
  const char *from = tg_numbers(t, (int64_t[]){0}, 1), *to = tg_numbers(t, (int64_t[]){1}, 1), *by = tg_numbers(t, (int64_t[]){1}, 1);
  node = tg_add(t, "StridedSlice", NULL);
  tg_input(t, node, tg_out(t, shape, 0));
  tg_input(t, node, from);
  tg_input(t, node, to);
  tg_input(t, node, by);
  tg_type(t, node, "T", HONE_DTYPE_I32);
  tg_type(t, node, "Index", HONE_DTYPE_I32);
  return tg_out(t, node, 0);
}

static const char *sizes_of(tg *t, hn_dtype type, const char *x, const int64_t *rest, size_t n) {
  const char *parts[2] = {batch_of(t, type, x), tg_numbers(t, rest, n)};
  return tg_concat(t, HONE_DTYPE_I32, parts, 2, tg_number(t, 0));
}

static const char *backprop(tg *t, hn_dtype type, const char *sizes, const char *kernel, const char *x, const window *w) {
  tg_node *node = tg_add(t, w->n == 3 ? "Conv3DBackpropInputV2" : "Conv2DBackpropInput", NULL);
  tg_input(t, node, sizes);
  tg_input(t, node, kernel);
  tg_input(t, node, x);
  tg_type(t, node, "T", type);
  spatial(t, node, "strides", w->w.stride, w->n);
  set_padding(t, node, w);
  tg_text(t, node, "data_format", w->n == 3 ? "NDHWC" : "NHWC");
  spatial(t, node, "dilations", w->w.dilation, w->n);
  if (w->n == 3) tg_type(t, node, "Tshape", HONE_DTYPE_I32);
  return tg_out(t, node, 0);
}

void tg_spell_conv_transpose(tg *t, const hn_node *n, const char *op) {
  const hn_tensor *w = weights_of(t, n, tg_shape_of(t, n->in[0])->rank);
  const hn_shape *out = tg_shape_of(t, n->out[0]);
  window win;
  int64_t rest[4];
  (void)op;
  if (!w || !read_window(t, n, w->dims + 2, true, &win)) return;
  for (int32_t i = 0; i < win.n; i++) {
    rest[i] = win.line && !i ? 1 : out->d[2 + i - win.line];
    if (rest[i] < 0) tg_refuse(t, "the size of its output is open; fix it with --shape");
  }
  if (win.n == 3 && !win.same && !win.valid) tg_refuse(t, "its padding has no spelling in three dimensions");
  hn_dtype type = tg_dtype(t, n->in[0]);
  int64_t group = hn_attr_i(n, "group", 1), each = w->dims[0] / (group > 0 ? group : 1);
  const char *x = open_window(t, n, &win), *y;
  rest[win.n] = w->dims[1];
  const char *sizes = sizes_of(t, type, x, rest, (size_t)win.n + 1);
  if (group == 1) {
    y = backprop(t, type, sizes, kernel_last(t, w, &win, 0, w->dims[0], true), x, &win);
  } else {
    tg_node *split;
    const char **parts = hn_arena_alloc(t->arena, sizeof *parts * (size_t)group);
    split_channels(t, type, x, win.n + 1, group, &split);
    for (int64_t i = 0; i < group && parts && !t->st; i++)
      parts[i] = backprop(t, type, sizes, kernel_last(t, w, &win, i * each, (i + 1) * each, true), tg_out(t, split, (uint32_t)i), &win);
    y = parts ? tg_concat(t, type, parts, (size_t)group, tg_number(t, win.n + 1)) : NULL;
  }
  close_window(t, n, &win, with_bias(t, type, y, hn_in(n, 2)));
}

/* ---- pooling */

/* Elements that count in the window of each position, where sizes are fixed: [1, ..., 1]; as a factor. */
static const char *mean_factor(tg *t, const hn_node *n, const window *w, hn_dtype type) {
  const hn_shape *in = tg_shape_of(t, n->in[0]);
  bool all = hn_attr_i(n, "count_include_pad", 0) != 0;
  int64_t dims[5] = {1, 1, 1, 1, 1}, size[3], whole = 1, at[3] = {0};
  hn_tensor *r = NULL;
  for (int32_t i = 0; i < w->n; i++) {
    size[i] = w->line && !i ? 1 : in->d[2 + i - w->line];
    dims[1 + i] = w->w.out[i];
    whole *= w->w.kernel[i];
    if (size[i] < 0 || w->w.out[i] < 0) {
      tg_refuse(t, "its padding needs an input of fixed size; give --shape");
      return NULL;
    }
  }
  if (!t->st) t->st = hn_tensor_create(t->cx, type, w->n + 2, dims, &r);
  for (int64_t k = 0; r && k < r->count; k++) {
    int64_t n_in = 1;
    for (int32_t i = 0; i < w->n; i++) {
      int64_t start = at[i] * w->w.stride[i] - w->w.pad_begin[i], lo = all ? -w->w.pad_begin[i] : 0, hi = size[i], here = 0;
      int64_t pad_end = hn_attr_i(n, "ceil_mode", 0) ? 0 : w->w.pad_end[i];
      if (all) hi += pad_end;
      for (int64_t tap = 0; tap < w->w.kernel[i]; tap++) {
        int64_t p = start + tap * w->w.dilation[i];
        here += p >= lo && p < hi;
      }
      n_in *= here;
    }
    hn_store_f64(type, r->data, (size_t)k, n_in ? (double)whole / (double)n_in : 0);
    for (int32_t i = w->n - 1; i >= 0; i--) {
      if (++at[i] < w->w.out[i]) break;
      at[i] = 0;
    }
  }
  return tg_const(t, r);
}

void tg_spell_pool(tg *t, const hn_node *n, const char *op) {
  window w;
  hn_dtype type = tg_dtype(t, n->in[0]);
  bool mean = n->op == HN_AveragePool, counted;
  if (n->n_out > 1 && n->out[1] != HN_NONE && hn_value_at(t->g, n->out[1])->n_users) {
    tg_refuse(t, "its second output has no spelling in TensorFlow");
    return;
  }
  if (!read_window(t, n, NULL, false, &w)) return;
  for (int32_t i = 0; i < w.n; i++)
    if (w.w.dilation[i] != 1) tg_refuse(t, "dilated pooling has no spelling in TensorFlow");
  counted = mean && !w.valid && !(w.same && !hn_attr_i(n, "count_include_pad", 0)); /* SAME counts no padding */
  const char *x = open_window(t, n, &w);
  if (!w.same && !w.valid) { /* windows may reach further than the padding: as far as TensorFlow must see them */
    const hn_shape *in = tg_shape_of(t, n->in[0]);
    window reach = w;
    for (int32_t i = 0; i < w.n; i++) {
      int64_t size = w.line && !i ? 1 : in->d[2 + i - w.line], need;
      if (size < 0 || w.w.out[i] < 0) {
        if (hn_attr_i(n, "ceil_mode", 0)) tg_refuse(t, "ceil_mode needs an input of fixed size; give --shape");
        continue;
      }
      need = (w.w.out[i] - 1) * w.w.stride[i] + w.w.kernel[i] - size - w.w.pad_begin[i];
      reach.w.pad_end[i] = need > 0 ? need : 0;
    }
    x = padded(t, type, x, &reach, mean ? 0 : -INFINITY);
  } else if (counted) {
    x = padded(t, type, x, &w, 0);
  }
  tg_node *node = tg_add(t, w.n == 3 ? (mean ? "AvgPool3D" : "MaxPool3D") : op, NULL);
  tg_input(t, node, x);
  tg_type(t, node, "T", type);
  spatial(t, node, "ksize", w.w.kernel, w.n);
  spatial(t, node, "strides", w.w.stride, w.n);
  tg_text(t, node, "padding", w.same && !counted ? "SAME" : "VALID");
  tg_text(t, node, "data_format", w.n == 3 ? "NDHWC" : "NHWC");
  const char *y = tg_out(t, node, 0);
  if (counted) y = tg2(t, "Mul", type, y, mean_factor(t, n, &w, type));
  close_window(t, n, &w, y);
}

/* ---- resampling */

/* Whole factors of any rank, nearest: elements picked along each dimension. */
static bool repeated(tg *t, const hn_node *n) {
  const hn_shape *in = tg_shape_of(t, n->in[0]), *out = tg_shape_of(t, n->out[0]);
  bool floors = strcmp(hn_attr_s(n, "coordinate_transformation_mode", ""), "asymmetric") == 0 && strcmp(hn_attr_s(n, "nearest_mode", ""), "floor") == 0;
  if (!floors || strcmp(hn_attr_s(n, "mode", "nearest"), "nearest") != 0 || in->rank < 3 || in->rank != out->rank) return false;
  for (int32_t i = 2; i < in->rank; i++)
    if (!hn_dim_fixed(in->d[i]) || !hn_dim_fixed(out->d[i]) || in->d[i] < 1 || out->d[i] % in->d[i] || out->d[i] > 1 << 24) return false;
  const char *x = tg_last(t, n->in[0]);
  for (int32_t i = 2; i < in->rank; i++) {
    hn_tensor *index = NULL;
    if (in->d[i] == out->d[i]) continue;
    if (!t->st) t->st = hn_tensor_create(t->cx, HONE_DTYPE_I32, 1, &out->d[i], &index);
    for (int64_t k = 0; k < out->d[i] && index; k++) hn_store_i64(HONE_DTYPE_I32, index->data, (size_t)k, k / (out->d[i] / in->d[i]));
    const char *which = tg_const(t, index), *axis = tg_number(t, i - 1);
    tg_node *node = tg_add(t, "GatherV2", NULL);
    tg_input(t, node, x);
    tg_input(t, node, which);
    tg_input(t, node, axis);
    tg_type(t, node, "Tparams", tg_dtype(t, n->in[0]));
    tg_type(t, node, "Tindices", HONE_DTYPE_I32);
    tg_type(t, node, "Taxis", HONE_DTYPE_I32);
    tg_int(t, node, "batch_dims", 0);
    x = tg_out(t, node, 0);
  }
  tg_set_last(t, n->out[0], x);
  return true;
}

void tg_spell_resize(tg *t, const hn_node *n, const char *op) {
  const hn_shape *in = tg_shape_of(t, n->in[0]), *out = tg_shape_of(t, n->out[0]);
  const char *mode = hn_attr_s(n, "mode", "nearest"), *where = hn_attr_s(n, "coordinate_transformation_mode", "half_pixel");
  const char *round = hn_attr_s(n, "nearest_mode", "round_prefer_floor");
  bool nearest = strcmp(mode, "nearest") == 0, half = strncmp(where, "half_pixel", 10) == 0 || strcmp(where, "pytorch_half_pixel") == 0, corners = strcmp(where, "align_corners") == 0;
  bool floors = strcmp(round, "floor") == 0, ups = strcmp(round, "round_prefer_ceil") == 0 || strcmp(round, "round_prefer_floor") == 0;
  hn_dtype type = tg_dtype(t, n->in[0]);
  int64_t sizes[2] = {1, 1};
  bool line = in->rank == 3;
  (void)op;
  if ((in->rank != 4 && !line) || out->rank != in->rank || !hn_shape_equal(&(hn_shape){.rank = 2, .d = {in->d[0], in->d[1]}}, &(hn_shape){.rank = 2, .d = {out->d[0], out->d[1]}})) {
    if (!repeated(t, n)) tg_refuse(t, "only images are resampled in TensorFlow");
    return;
  }
  for (int32_t i = 0; i < in->rank - 2; i++)
    if ((sizes[i + line] = out->d[2 + i]) < 0) tg_refuse(t, "the size of its output is open; fix it with --shape");
  if ((!nearest && strcmp(mode, "linear") != 0) || (!half && !corners && strcmp(where, "asymmetric") != 0) || hn_attr_i(n, "antialias", 0))
    tg_refuse(t, "mode %s with %s has no spelling in TensorFlow", mode, where);
  if (nearest && (half || corners ? !ups : !floors)) tg_refuse(t, "rounding %s with %s has no spelling in TensorFlow", round, where);
  const char *x = tg_last(t, n->in[0]), *size;
  if (line) x = with_axis(t, type, x, 1);
  size = tg_numbers(t, sizes, 2);
  tg_node *node = tg_add(t, nearest ? "ResizeNearestNeighbor" : "ResizeBilinear", NULL);
  tg_input(t, node, x);
  tg_input(t, node, size);
  tg_type(t, node, "T", type);
  tg_bool(t, node, "align_corners", corners);
  tg_bool(t, node, "half_pixel_centers", half);
  const char *y = tg_out(t, node, 0);
  if (!nearest && type != HONE_DTYPE_F32) { /* it gives floats */
    node = tg_add(t, "Cast", NULL);
    tg_input(t, node, y);
    tg_type(t, node, "SrcT", HONE_DTYPE_F32);
    tg_type(t, node, "DstT", type);
    y = tg_out(t, node, 0);
  }
  tg_set_last(t, n->out[0], line ? without_axis(t, type, y, 1) : y);
}

void tg_spell_depth_to_space(tg *t, const hn_node *n, const char *op) {
  if (n->op == HN_DepthToSpace && strcmp(hn_attr_s(n, "mode", "DCR"), "DCR") != 0) {
    tg_refuse(t, "mode CRD has no spelling in TensorFlow");
    return;
  }
  const char *x = tg_last(t, n->in[0]);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_int(t, node, "block_size", hn_attr_i(n, "blocksize", 1));
  tg_text(t, node, "data_format", "NHWC");
  tg_set_last(t, n->out[0], tg_out(t, node, 0));
}
