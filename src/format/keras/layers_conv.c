/* layers_conv.c - convolutions. Keras keeps kernels as [height, width, in, out]; the IR as [out, in, height, width]. */
#include <string.h>

#include "format/keras/layers.h"

typedef struct geometry {
  int32_t n; /* spatial dimensions */
  int64_t kernel[3], stride[3], dilation[3];
  bool same, causal;
} geometry;

static hone_status read_geometry(kr_call *c, int32_t n, const hn_tensor *kernel, geometry *g) {
  const char *padding = kj_text(c->config, "padding", "valid");
  *g = (geometry){.n = n, .same = hn_streq(padding, "same"), .causal = hn_streq(padding, "causal")};
  if (!g->same && !g->causal && !hn_streq(padding, "valid")) return kr_fail(c, HONE_UNSUPPORTED, "padding '%s' is not known", padding);
  if (g->causal && n != 1) return kr_fail(c, HONE_BAD_GRAPH, "only one-dimensional layers can be causal");
  if (!kj_ints_n(c->config, "strides", g->stride, (uint32_t)n, 1) || !kj_ints_n(c->config, "dilation_rate", g->dilation, (uint32_t)n, 1))
    return kr_fail(c, HONE_BAD_FORMAT, "its strides or dilation rates are not %d numbers", n);
  if (!kernel || kernel->rank != n + 2) return kr_fail(c, HONE_BAD_GRAPH, "its kernel has %d dimensions; it should have %d", kernel ? kernel->rank : 0, n + 2);
  for (int32_t i = 0; i < n; i++) {
    g->kernel[i] = kernel->dims[i];
    if (g->stride[i] < 1 || g->dilation[i] < 1 || g->kernel[i] < 1 || g->stride[i] > INT32_MAX || g->dilation[i] > INT32_MAX)
      return kr_fail(c, HONE_BAD_GRAPH, "its kernel, strides or dilation rates are not positive");
  }
  return HONE_OK;
}

static void set_geometry(kr_call *c, hn_id node, const geometry *g, int64_t group) {
  size_t n = (size_t)g->n;
  hn_graph *graph = c->k->g;
  if (c->m.st) return;
  hn_set_ints(graph, node, "kernel_shape", g->kernel, n);
  hn_set_ints(graph, node, "strides", g->stride, n);
  hn_set_ints(graph, node, "dilations", g->dilation, n);
  hn_set_i(graph, node, "group", group);
  if (g->same) hn_set_s(graph, node, "auto_pad", "SAME_UPPER");
  if (g->causal) hn_set_ints(graph, node, "pads", (int64_t[]){(g->kernel[0] - 1) * g->dilation[0], 0}, 2);
}

/* The input in channels first, checked; its channels. */
static hone_status open_input(kr_call *c, int32_t n, hn_id *x, int64_t *channels) {
  if (kr_rank(c, c->in[0]) != n + 2)
    return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes %d", kr_rank(c, c->in[0]), n + 2);
  *x = kr_to_first(c, c->in[0]);
  *channels = kr_dim(c, *x, 1);
  if (*channels < 1 && !c->m.st) return kr_fail(c, HONE_UNSUPPORTED, "the number of channels of its input is not fixed");
  return c->m.st;
}

static hn_id convolve(kr_call *c, hn_id x, hn_id w, hn_id bias, const geometry *g, int64_t group, bool main) {
  hn_id in[3] = {x, w, bias};
  uint32_t n_in = bias == HN_NONE ? 2 : 3;
  hn_id node = main ? kr_main(c, HN_Conv, in, n_in, 1) : hn_make_node(&c->m, HN_Conv, in, n_in, 1);
  set_geometry(c, node, g, group);
  return hn_make_done(&c->m, node);
}

static hone_status finish(kr_call *c, hn_id y) { return kr_result(c, kr_activate(c, kr_to_last(c, y), "activation")); }

hone_status kr_lower_conv(kr_call *c, int n) {
  static const int64_t perms[3][5] = {{2, 1, 0}, {3, 2, 0, 1}, {4, 3, 0, 1, 2}};
  geometry g;
  hn_id x;
  int64_t channels, group = kj_int(c->config, "groups", 1);
  HN_TRY(read_geometry(c, n, c->l->w[0], &g));
  HN_TRY(open_input(c, n, &x, &channels));
  const hn_tensor *w = c->l->w[0];
  int64_t out = w->dims[n + 1], want[5] = {-1, -1, -1, -1, -1};
  if (group < 1 || channels % group || out % group) return kr_fail(c, HONE_BAD_GRAPH, "%lld groups do not fit its channels", (long long)group);
  want[n] = channels / group;
  want[n + 1] = kj_int(c->config, "filters", out);
  HN_TRY(kr_expect(c, 0, "kernel", n + 2, want));
  HN_TRY(kr_expect(c, 1, "bias", 1, &out));
  return finish(c, convolve(c, x, kr_weight(c, 0, perms[n - 1]), kr_weight(c, 1, NULL), &g, group, true));
}

/* [height, width, in, multiplier] as [in * multiplier, 1, height, width]. */
static hn_id depthwise_kernel(kr_call *c, int32_t n) {
  static const int64_t perms[2][4] = {{1, 2, 0}, {2, 3, 0, 1}};
  const hn_tensor *w = c->l->w[0];
  int64_t dims[4] = {w->dims[n] * w->dims[n + 1], 1, w->dims[0], w->dims[1]};
  hn_id turned = kr_weight(c, 0, perms[n - 1]); /* [in, multiplier, ...] */
  hn_tensor *t = c->m.st ? NULL : hn_const(c->k->g, turned), *r = NULL;
  if (c->m.st) return HN_NONE;
  c->m.st = hn_tensor_create(c->k->cx, t->dtype, n + 2, dims, &r);
  if (!c->m.st && t->bytes) memcpy(r->data, t->data, t->bytes);
  return hn_make_constant(&c->m, r);
}

hone_status kr_lower_depthwise(kr_call *c, int n) {
  geometry g;
  hn_id x;
  int64_t channels;
  HN_TRY(read_geometry(c, n, c->l->w[0], &g));
  HN_TRY(open_input(c, n, &x, &channels));
  int64_t multiplier = c->l->w[0]->dims[n + 1], out = channels * multiplier, want[4] = {-1, -1, -1, -1};
  want[n] = channels;
  HN_TRY(kr_expect(c, 0, "depthwise_kernel", n + 2, want));
  HN_TRY(kr_expect(c, 1, "bias", 1, &out));
  return finish(c, convolve(c, x, depthwise_kernel(c, n), kr_weight(c, 1, NULL), &g, channels, true));
}

hone_status kr_lower_separable(kr_call *c, int n) {
  static const int64_t perms[2][4] = {{2, 1, 0}, {3, 2, 0, 1}};
  geometry g, point = {.n = n, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
  hn_id x;
  int64_t channels;
  HN_TRY(read_geometry(c, n, c->l->w[0], &g));
  HN_TRY(open_input(c, n, &x, &channels));
  int64_t between = channels * c->l->w[0]->dims[n + 1], want[4] = {-1, -1, -1, -1}, ones[4] = {1, 1, -1, -1};
  want[n] = channels;
  ones[n - 1] = 1;
  ones[n] = between;
  ones[n + 1] = -1;
  HN_TRY(kr_expect(c, 0, "depthwise_kernel", n + 2, want));
  HN_TRY(kr_expect(c, 1, "pointwise_kernel", n + 2, ones));
  int64_t out = c->l->w[1]->dims[n + 1];
  HN_TRY(kr_expect(c, 2, "bias", 1, &out));
  x = convolve(c, x, depthwise_kernel(c, n), HN_NONE, &g, channels, false);
  return finish(c, convolve(c, x, kr_weight(c, 1, perms[n - 1]), kr_weight(c, 2, NULL), &point, 1, true));
}

/* What Keras makes of n elements along a dimension is n * stride for "same" (without output_padding); the IR says it by
   padding cut off at both ends and elements added at the end. */
static hone_status set_transposed(kr_call *c, hn_id node, const geometry *g) {
  int64_t pads[6], extra[3], given[3] = {-1, -1, -1};
  if (kj_has(c->config, "output_padding") && !kj_ints_n(c->config, "output_padding", given, (uint32_t)g->n, -1))
    return kr_fail(c, HONE_BAD_FORMAT, "its output_padding is not %d numbers", g->n);
  for (int32_t i = 0; i < g->n; i++) {
    int64_t span = (g->kernel[i] - 1) * g->dilation[i] + 1, cut = 0;
    extra[i] = 0;
    if (given[i] >= 0) {
      cut = g->same ? 2 * (span / 2) - given[i] : -given[i];
    } else {
      cut = g->same ? span - g->stride[i] : span < g->stride[i] ? span - g->stride[i] : 0;
    }
    if (cut < 0) extra[i] = -cut, cut = 0;
    if (extra[i] >= g->stride[i] && extra[i] >= g->dilation[i]) return kr_fail(c, HONE_UNSUPPORTED, "its output_padding is not less than its strides");
    pads[i] = cut / 2;
    pads[g->n + i] = cut - cut / 2;
  }
  hn_set_ints(c->k->g, node, "pads", pads, 2 * (size_t)g->n);
  hn_set_ints(c->k->g, node, "output_padding", extra, (size_t)g->n);
  return HONE_OK;
}

hone_status kr_lower_conv_transpose(kr_call *c, int n) {
  static const int64_t perms[3][5] = {{2, 1, 0}, {3, 2, 0, 1}, {4, 3, 0, 1, 2}};
  geometry g;
  hn_id x, in[3], node;
  int64_t channels;
  HN_TRY(read_geometry(c, n, c->l->w[0], &g));
  HN_TRY(open_input(c, n, &x, &channels));
  int64_t out = c->l->w[0]->dims[n], want[5] = {-1, -1, -1, -1, -1};
  want[n] = kj_int(c->config, "filters", out);
  want[n + 1] = channels;
  HN_TRY(kr_expect(c, 0, "kernel", n + 2, want));
  HN_TRY(kr_expect(c, 1, "bias", 1, &out));
  in[0] = x;
  in[1] = kr_weight(c, 0, perms[n - 1]); /* [height, width, out, in] as [in, out, height, width] */
  in[2] = kr_weight(c, 1, NULL);
  node = kr_main(c, HN_ConvTranspose, in, in[2] == HN_NONE ? 2 : 3, 1);
  if (c->m.st) return c->m.st;
  bool same = g.same;
  g.same = false;
  set_geometry(c, node, &g, 1);
  g.same = same;
  HN_TRY(set_transposed(c, node, &g));
  return finish(c, hn_make_done(&c->m, node));
}

/* ---- convolutional LSTM: input, forget, cell and output side by side in the channels */

static hn_id joined(kr_call *c, const hn_id two[2]) {
  hn_id node = hn_make_node(&c->m, HN_Concat, two, 2, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", 0);
  return hn_make_done(&c->m, node);
}

/* Gate i of four, within a graph of channels first. */
static hn_id gate(kr_call *c, hn_id z, int64_t filters, int64_t i) { return hn_make_slice(&c->m, z, 1, i * filters, (i + 1) * filters, 1); }

/* One step: state and cell, and what the input gives the gates. */
static hone_status convolution_step(kr_call *c, int32_t n, int64_t filters, const int64_t *perm, hn_dtype type, const hn_shape *state, const hn_shape *step) {
  hn_graph *g = c->k->g;
  geometry around = {.n = n, .same = true, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
  for (int32_t i = 0; i < n; i++) around.kernel[i] = c->l->w[1]->dims[i];
  hn_id h = hn_graph_add_input(g, "state", type, state), cell = hn_graph_add_input(g, "cell", type, state), x = hn_graph_add_input(g, "input", type, step);
  if (h == HN_NONE || cell == HN_NONE || x == HN_NONE) return hn_nomem(c->k->cx);
  hn_id z = hn_make2(&c->m, HN_Add, x, convolve(c, h, kr_weight(c, 1, perm), HN_NONE, &around, 1, false));
  hn_id i = kr_activate(c, gate(c, z, filters, 0), "recurrent_activation"), f = kr_activate(c, gate(c, z, filters, 1), "recurrent_activation");
  hn_id o = kr_activate(c, gate(c, z, filters, 3), "recurrent_activation"), candidate = kr_activate(c, gate(c, z, filters, 2), "activation");
  hn_id next = hn_make2(&c->m, HN_Add, hn_make2(&c->m, HN_Mul, f, cell), hn_make2(&c->m, HN_Mul, i, candidate));
  hn_id out = hn_make2(&c->m, HN_Mul, o, kr_activate(c, next, "activation"));
  if (c->m.st) return c->m.st;
  hn_graph_add_output(g, "state", out);
  hn_graph_add_output(g, "cell", next);
  hn_graph_add_output(g, "output", out);
  return g->oom ? hn_nomem(c->k->cx) : HONE_OK;
}

/* All steps as a Scan over what the input gives the gates, [steps, batch, gates, ...]. */
static hone_status scan_steps(kr_call *c, int32_t n, int64_t filters, const int64_t *perm, hn_id in, hn_id *node) {
  hn_graph *outer = c->k->g, *body = hn_graph_create_nested(outer, c->m.name);
  hn_id first = hn_make_done(&c->m, hn_make_node(&c->m, HN_Gather, (hn_id[]){in, hn_make_scalar(&c->m, HONE_DTYPE_I64, 0)}, 2, 1));
  hn_id one = gate(c, first, filters, 0), zero = hn_make_scalar(&c->m, hn_make_type(&c->m, in), 0);
  hn_id state = hn_make2(&c->m, HN_Expand, zero, kr_dims_of(c, one, 0, INT64_MAX));
  if (!body) return hn_nomem(c->k->cx);
  hone_status st = c->m.st;
  hn_shape of_state = hn_shape_unknown(), of_step = of_state;
  if (!st) of_state = hn_value_at(outer, state)->shape, of_step = hn_value_at(outer, first)->shape;
  c->k->g = c->m.g = body;
  if (!st) st = convolution_step(c, n, filters, perm, hn_value_at(outer, in)->dtype, &of_state, &of_step);
  c->k->g = c->m.g = outer;
  if (!st) *node = kr_main(c, HN_Scan, (hn_id[]){state, state, in}, 3, 3);
  if (!st) st = c->m.st;
  if (st) {
    hn_graph_destroy(body);
    return st;
  }
  hn_set_i(outer, *node, "captures", 0);
  hn_set_i(outer, *node, "num_scan_inputs", 1);
  hn_set_graph(outer, *node, "body", body);
  hn_make_done(&c->m, *node);
  return c->m.st;
}

hone_status kr_lower_conv_lstm(kr_call *c, int n) {
  static const int64_t perms[3][5] = {{2, 1, 0}, {3, 2, 0, 1}, {4, 3, 0, 1, 2}};
  geometry g;
  int64_t filters = kj_int(c->config, "filters", -1), four = 4 * filters, want[5] = {-1, -1, -1, -1, -1}, turned[6] = {1, 0, 2, 3, 4, 5};
  bool back = kj_bool(c->config, "go_backwards", false);
  hn_id node = HN_NONE;
  HN_TRY(read_geometry(c, n, c->l->w[0], &g));
  if (kr_rank(c, c->in[0]) != n + 3) return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes %d", kr_rank(c, c->in[0]), n + 3);
  kr_begin_at_zero(c, c->config);
  if (c->n_in > 1 || c->n_named) return kr_fail(c, HONE_UNSUPPORTED, "initial states are not supported here");
  if (filters < 1 || filters > 1 << 24 || g.causal) return kr_fail(c, HONE_BAD_GRAPH, "its filters are not a positive number, or it is causal");
  want[n + 1] = four;
  HN_TRY(kr_expect(c, 0, "kernel", n + 2, want));
  want[n] = filters;
  HN_TRY(kr_expect(c, 1, "recurrent_kernel", n + 2, want));
  HN_TRY(kr_expect(c, 2, "bias", 1, &four));
  /* the input's part of the gates, of all steps at once */
  hn_id front = kr_dims_of(c, c->in[0], 0, 2), rest = kr_dims_of(c, c->in[0], 2, INT64_MAX);
  hn_id flat[2] = {hn_make_ints(&c->m, (int64_t[]){-1}, 1), rest};
  hn_id x = kr_to_first(c, hn_make2(&c->m, HN_Reshape, c->in[0], joined(c, flat)));
  hn_id y = convolve(c, x, kr_weight(c, 0, perms[n - 1]), kr_weight(c, 2, NULL), &g, 1, false);
  hn_id wide[2] = {front, kr_dims_of(c, y, 1, INT64_MAX)};
  hn_id in = hn_make_transpose(&c->m, hn_make2(&c->m, HN_Reshape, y, joined(c, wide)), turned, (size_t)n + 3);
  if (back) in = hn_make_slice(&c->m, in, 0, -1, INT64_MIN, -1);
  HN_TRY(c->m.st);
  HN_TRY(scan_steps(c, n, filters, perms[n - 1], in, &node));
  hn_id state = kr_to_last(c, hn_make_out(&c->m, node, 0)), cell = kr_to_last(c, hn_make_out(&c->m, node, 1)), every = hn_make_out(&c->m, node, 2);
  if (!kr_channels_first(c)) { /* [steps, batch, channels, ...] to [batch, steps, ..., channels] */
    for (int32_t i = 0; i < n; i++) turned[i + 2] = i + 3;
    turned[n + 2] = 2;
  }
  every = hn_make_transpose(&c->m, every, turned, (size_t)n + 3);
  HN_TRY(kr_result(c, kj_bool(c->config, "return_sequences", false) ? every : state));
  if (kj_bool(c->config, "return_state", false)) c->out[c->n_out++] = state, c->out[c->n_out++] = cell;
  return c->m.st;
}
