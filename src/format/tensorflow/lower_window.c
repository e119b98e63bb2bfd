/* lower_window.c - products, convolutions, pooling, normalization. Images are brought to channels first and back; the
   optimizer lets the transposes between them cancel. */
#include <string.h>

#include "format/tensorflow/tf_lower.h"

static hn_id turn_last(tf_lower *x, hn_id v) { /* the last two dimensions exchanged */
  int64_t perm[HN_MAX_RANK];
  int32_t rank = hn_tf_rank(x, v, "a matrix");
  if (rank < 2) return v;
  for (int32_t i = 0; i < rank; i++) perm[i] = i;
  perm[rank - 1] = rank - 2;
  perm[rank - 2] = rank - 1;
  return hn_tf_transpose(x, v, perm, (size_t)rank);
}

void hn_tf_lower_matmul(tf_lower *x) {
  bool batch = strncmp(x->n->op, "Batch", 5) == 0;
  hn_id a = hn_tf_in(x, 0), b = hn_tf_in(x, 1);
  if (hn_tf_attr_b(x, batch ? "adj_x" : "transpose_a", false)) a = turn_last(x, a);
  if (hn_tf_attr_b(x, batch ? "adj_y" : "transpose_b", false)) b = turn_last(x, b);
  hn_tf_out(x, 0, hn_make2(&x->m, HN_MatMul, a, b));
}

void hn_tf_lower_einsum(tf_lower *x) {
  hn_id *in = hn_arena_alloc(x->s->im->arena, sizeof *in * (x->n_in + 1));
  if (!in) x->m.st = hn_nomem(x->s->im->cx);
  for (uint32_t i = 0; i < x->n_in && !x->m.st; i++) in[i] = hn_tf_in(x, i);
  hn_id node = hn_make_node(&x->m, HN_Einsum, in, x->n_in, 1);
  if (!x->m.st) hn_set_s(x->m.g, node, "equation", hn_tf_attr_s(x, "equation", ""));
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

/* ---- attributes of windows: lists over all dimensions, of which those of space are wanted */

static void spatial(tf_lower *x, const char *attr, int32_t n, int64_t *out) {
  const int64_t *v;
  uint32_t count = hn_tf_attr_ints(x, attr, &v);
  bool last = hn_tf_channels_last(x);
  for (int32_t i = 0; i < n; i++) out[i] = 1;
  if (!count) return;
  if (count != (uint32_t)n + 2) {
    hn_tf_fail(x, HONE_BAD_GRAPH, "'%s' has %u elements; %d are needed", attr, count, n + 2);
    return;
  }
  if (v[0] != 1 || v[last ? n + 1 : 1] != 1) hn_tf_fail(x, HONE_UNSUPPORTED, "'%s' is not 1 for images and channels", attr);
  for (int32_t i = 0; i < n; i++) out[i] = v[last ? i + 1 : i + 2];
}

static void set_padding(tf_lower *x, hn_id node, int32_t n) {
  const char *padding = hn_tf_attr_s(x, "padding", "VALID");
  const int64_t *v;
  int64_t pads[2 * HN_MAX_RANK];
  if (strcmp(padding, "SAME") == 0) hn_set_s(x->m.g, node, "auto_pad", "SAME_UPPER");
  else if (strcmp(padding, "EXPLICIT") == 0) {
    if (hn_tf_attr_ints(x, "explicit_paddings", &v) != 2 * (uint32_t)n + 4) {
      hn_tf_fail(x, HONE_BAD_GRAPH, "'explicit_paddings' must have %d elements", 2 * n + 4);
      return;
    }
    int first = hn_tf_channels_last(x) ? 2 : 4;
    for (int32_t i = 0; i < 2 * n; i++) pads[i % 2 ? n + i / 2 : i / 2] = v[first + i];
    hn_set_ints(x->m.g, node, "pads", pads, 2 * (size_t)n);
  } else if (strcmp(padding, "VALID") != 0) {
    hn_tf_fail(x, HONE_UNSUPPORTED, "padding '%s'", padding);
  }
}

static hn_id image(tf_lower *x, uint32_t input) {
  hn_id v = hn_tf_in(x, input);
  return hn_tf_channels_last(x) ? hn_tf_to_first(x, v) : v;
}

static void out_image(tf_lower *x, hn_id v) { hn_tf_out(x, 0, hn_tf_channels_last(x) ? hn_tf_to_last(x, v) : v); }

/* The weights in the order of the IR: outputs, inputs, space. */
static hn_id turn_weights(tf_lower *x, hn_id w, int32_t n) {
  int64_t perm[HN_MAX_RANK] = {n + 1, n};
  for (int32_t i = 0; i < n; i++) perm[i + 2] = i;
  return hn_tf_transpose(x, w, perm, (size_t)n + 2);
}

static void convolve(tf_lower *x, hn_id v, hn_id w, int64_t group, int32_t n) {
  int64_t strides[HN_MAX_RANK], dilations[HN_MAX_RANK];
  spatial(x, "strides", n, strides);
  spatial(x, "dilations", n, dilations);
  hn_id node = hn_make_node(&x->m, HN_Conv, (hn_id[]){v, w}, 2, 1);
  if (x->m.st) return;
  hn_set_ints(x->m.g, node, "strides", strides, (size_t)n);
  hn_set_ints(x->m.g, node, "dilations", dilations, (size_t)n);
  hn_set_i(x->m.g, node, "group", group);
  set_padding(x, node, n);
  out_image(x, hn_make_done(&x->m, node));
}

static int32_t spatial_rank(tf_lower *x, hn_id w) {
  int32_t rank = hn_tf_rank(x, w, "the filter");
  if (rank != 4 && rank != 5) hn_tf_fail(x, HONE_UNSUPPORTED, "a filter of %d dimensions", rank);
  return rank - 2;
}

void hn_tf_lower_conv(tf_lower *x) {
  hn_id v = image(x, 0), w = hn_tf_in(x, 1);
  int32_t n = spatial_rank(x, w);
  if (x->m.st) return;
  hn_shape s = hn_tf_shape_of(x, v), f = hn_tf_shape_of(x, w);
  int64_t group = 1;
  if (s.rank == n + 2 && hn_dim_fixed(s.d[1]) && hn_dim_fixed(f.d[n]) && f.d[n] > 0 && s.d[1] % f.d[n] == 0) group = s.d[1] / f.d[n];
  convolve(x, v, turn_weights(x, w, n), group, n);
}

/* [h, w, channels, multiplier] is one filter for each channel and multiple. */
void hn_tf_lower_depthwise_conv(tf_lower *x) {
  hn_id v = image(x, 0), w = hn_tf_in(x, 1);
  hn_shape f = hn_tf_shape_of(x, w);
  if (!x->m.st && (f.rank != 4 || !hn_shape_fixed(&f))) hn_tf_fail(x, HONE_UNSUPPORTED, "the shape of its filter is not known");
  if (x->m.st) return;
  hn_id turned = hn_tf_transpose(x, w, (const int64_t[]){2, 3, 0, 1}, 4);
  int64_t dims[4] = {f.d[2] * f.d[3], 1, f.d[0], f.d[1]};
  const hn_tensor *t = x->m.st ? NULL : hn_const(x->m.g, turned);
  if (t) { /* the same bytes in another shape */
    hn_tensor *flat;
    x->m.st = hn_tensor_create(x->s->im->cx, t->dtype, 4, dims, &flat);
    if (!x->m.st && t->bytes) memcpy(flat->data, t->data, t->bytes);
    turned = hn_make_constant(&x->m, x->m.st ? NULL : flat);
  } else {
    turned = hn_make_reshape(&x->m, turned, dims, 4);
  }
  convolve(x, v, turned, f.d[2], 2);
}

/* The gradient of a convolution with respect to its input: `sizes` is that input's shape. */
void hn_tf_lower_conv_transpose(tf_lower *x) {
  int64_t strides[HN_MAX_RANK], dilations[HN_MAX_RANK], pads[2 * HN_MAX_RANK] = {0}, more[HN_MAX_RANK] = {0};
  const int64_t *sizes = NULL;
  uint32_t n_sizes = 0;
  hn_id size = hn_tf_in(x, 0), w = hn_tf_in(x, 1), v = image(x, 2);
  int32_t n = spatial_rank(x, w);
  bool same = strcmp(hn_tf_attr_s(x, "padding", "VALID"), "SAME") == 0, last = hn_tf_channels_last(x);
  if (x->m.st) return;
  spatial(x, "strides", n, strides);
  spatial(x, "dilations", n, dilations);
  hn_shape s = hn_tf_shape_of(x, v), f = hn_tf_shape_of(x, w);
  if (hn_tf_ints(x, size, &sizes, &n_sizes) && n_sizes == (uint32_t)n + 2) sizes += last ? 1 : 2;
  else if (sizes && n_sizes == (uint32_t)n) ; /* only the sizes of space */
  else sizes = NULL;
  for (int32_t i = 0; i < n && !x->m.st; i++) {
    if (!hn_dim_fixed(f.d[i])) hn_tf_fail(x, HONE_UNSUPPORTED, "the shape of its filter is not known");
    int64_t kernel = dilations[i] * (f.d[i] - 1) + 1, cut;
    if (sizes && hn_dim_fixed(s.d[i + 2])) cut = (s.d[i + 2] - 1) * strides[i] + kernel - sizes[i];
    else cut = same ? kernel - strides[i] : kernel < strides[i] ? kernel - strides[i] : 0; /* as frameworks compute the size */
    if (cut < 0) more[i] = -cut;
    else pads[i] = cut / 2, pads[n + i] = cut - cut / 2;
    if (!same && cut > 0) hn_tf_fail(x, HONE_BAD_GRAPH, "its output size does not fit the padding VALID");
  }
  hn_id node = hn_make_node(&x->m, HN_ConvTranspose, (hn_id[]){v, turn_weights(x, w, n)}, 2, 1);
  if (x->m.st) return;
  hn_set_ints(x->m.g, node, "strides", strides, (size_t)n);
  hn_set_ints(x->m.g, node, "dilations", dilations, (size_t)n);
  hn_set_ints(x->m.g, node, "pads", pads, 2 * (size_t)n);
  hn_set_ints(x->m.g, node, "output_padding", more, (size_t)n);
  out_image(x, hn_make_done(&x->m, node));
}

void hn_tf_lower_pool(tf_lower *x) {
  int64_t kernel[HN_MAX_RANK], strides[HN_MAX_RANK];
  const int64_t *v;
  uint32_t count;
  int32_t n = strstr(x->n->op, "3D") ? 3 : 2;
  hn_id in = image(x, 0);
  if (x->n_in == 3) { /* V2: window and strides are inputs */
    bool last = hn_tf_channels_last(x);
    for (int k = 0; k < 2; k++) {
      if (!hn_tf_ints(x, hn_tf_in(x, (uint32_t)k + 1), &v, &count) || count != (uint32_t)n + 2) {
        hn_tf_fail(x, HONE_UNSUPPORTED, "its window is not constant");
        return;
      }
      for (int32_t i = 0; i < n; i++) (k ? strides : kernel)[i] = v[last ? i + 1 : i + 2];
    }
  } else {
    spatial(x, "ksize", n, kernel);
    spatial(x, "strides", n, strides);
  }
  hn_id node = hn_make_node(&x->m, x->op, &in, 1, 1);
  if (x->m.st) return;
  hn_set_ints(x->m.g, node, "kernel_shape", kernel, (size_t)n);
  hn_set_ints(x->m.g, node, "strides", strides, (size_t)n);
  set_padding(x, node, n);
  out_image(x, hn_make_done(&x->m, node));
}

/* ---- normalization */

/* As in training: mean and variance of the batch itself. */
static hn_id normalize_batch(tf_lower *x, hn_id v, hn_id scale, hn_id shift, double epsilon, hn_id *mean, hn_id *variance) {
  hn_maker *m = &x->m;
  int64_t axes[HN_MAX_RANK] = {0}, dims[HN_MAX_RANK] = {-1, 1, 1, 1, 1, 1, 1, 1};
  int32_t rank = hn_tf_rank(x, v, "its input");
  for (int32_t i = 2; i < rank; i++) axes[i - 1] = i;
  size_t n = rank > 1 ? (size_t)rank - 1 : 0;
  hn_id average = hn_make_reduce(m, HN_ReduceMean, v, axes, n, true), d = hn_make2(m, HN_Sub, v, average);
  hn_id spread = hn_make_reduce(m, HN_ReduceMean, hn_make2(m, HN_Mul, d, d), axes, n, true);
  hn_id root = hn_make1(m, HN_Sqrt, hn_make2(m, HN_Add, spread, hn_make_scalar(m, hn_make_type(m, v), epsilon)));
  hn_id unit = hn_make2(m, HN_Mul, hn_make2(m, HN_Div, d, root), hn_make_reshape(m, scale, dims, n));
  *mean = hn_make_reshape(m, average, (const int64_t[]){-1}, 1);
  *variance = hn_make_reshape(m, spread, (const int64_t[]){-1}, 1);
  return hn_make2(m, HN_Add, unit, hn_make_reshape(m, shift, dims, n));
}

void hn_tf_lower_batch_norm(tf_lower *x) {
  hn_id in[5] = {image(x, 0)}, out;
  double epsilon = hn_tf_attr_f(x, "epsilon", 1e-4f);
  for (uint32_t i = 1; i < 5; i++) in[i] = hn_tf_in(x, i);
  if (hn_tf_attr_b(x, "is_training", true)) {
    out = normalize_batch(x, in[0], in[1], in[2], epsilon, &in[3], &in[4]);
  } else {
    hn_dtype type = hn_make_type(&x->m, in[0]);
    for (uint32_t i = 1; i < 5; i++) in[i] = hn_make_cast(&x->m, in[i], type); /* V2, V3: half images, float statistics */
    hn_id node = hn_make_node(&x->m, HN_BatchNormalization, in, 5, 1);
    if (!x->m.st) hn_set_f(x->m.g, node, "epsilon", epsilon);
    out = hn_make_done(&x->m, node);
  }
  out_image(x, out);
  for (uint32_t i = 1; i < 3; i++) hn_tf_out(x, i, in[i + 2]);
}

void hn_tf_lower_lrn(tf_lower *x) {
  int64_t size = 2 * hn_tf_attr_i(x, "depth_radius", 5) + 1;
  hn_id v = hn_tf_to_first(x, hn_tf_in(x, 0)), node = hn_make_node(&x->m, HN_LRN, &v, 1, 1);
  if (x->m.st) return;
  hn_set_i(x->m.g, node, "size", size);
  hn_set_f(x->m.g, node, "alpha", hn_tf_attr_f(x, "alpha", 1) * (double)size);
  hn_set_f(x->m.g, node, "beta", hn_tf_attr_f(x, "beta", 0.5));
  hn_set_f(x->m.g, node, "bias", hn_tf_attr_f(x, "bias", 1));
  hn_tf_out(x, 0, hn_tf_to_last(x, hn_make_done(&x->m, node)));
}
