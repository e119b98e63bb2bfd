/* kernel_cases.c - the random graphs, one generator a family of operators. */
#include "kernel_cases.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "op/infer.h"
#include "rewrite/rewrite.h"

static uint32_t seed;
static uint32_t next(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}
void case_seed(uint32_t s) {
  seed = s;
  next();
}

int64_t between(int64_t lo, int64_t hi) { return lo + next() % (uint32_t)(hi - lo + 1); }
bool chance(int one_in) { return next() % (uint32_t)one_in == 0; }
int64_t pick(const int64_t *v, int n) { return v[next() % (uint32_t)n]; }
int64_t channels(void) {
  static const int64_t some[] = {1, 3, 7, 8, 15, 16, 17, 32, 33};
  return pick(some, 9);
}

static void fill(float *v, int64_t n, bool odd) {
  for (int64_t i = 0; i < n; i++) {
    v[i] = (float)(next() % 4001) / 1000.0f - 2.0f;
    if (odd && chance(9)) v[i] = chance(2) ? NAN : chance(2) ? INFINITY : -INFINITY;
  }
}

hn_id scalar(trial *t, hn_dtype type, double v) {
  hn_tensor *c;
  if (hn_tensor_scalar_f(t->cx, type, v, &c)) abort();
  return hn_graph_add_constant(t->g, NULL, c);
}

static hn_id one(trial *t, hn_op op, hn_id x, hn_id scale, hn_id zero) {
  hn_id in[3] = {x, scale, zero};
  return hn_node_at(t->g, hn_graph_add_node(t->g, op, "", in, 3, 1))->out[0];
}

/* The value through 8-bit integers of a random type and zero point. It is even: with an odd one oneDNN, which adds it
   before it rounds, takes a tie the other way than ONNX says. */
static hn_id through(trial *t, hn_id x, float step) {
  bool is_signed = t->same ? t->op % 2 : chance(3);
  double steps = t->same || chance(2) ? 0 : 2 * (is_signed ? (double)between(-10, 10) : (double)between(0, 100));
  if (t->same) steps = is_signed ? -8 : 96;
  hn_id scale = scalar(t, HONE_DTYPE_F32, t->same ? 1.0 / 64 : (double)step), zero = scalar(t, is_signed ? HONE_DTYPE_I8 : HONE_DTYPE_U8, steps);
  return one(t, HN_DequantizeLinear, one(t, HN_QuantizeLinear, x, scale, zero), scale, zero);
}

hn_id cast(trial *t, hn_id x, hn_dtype to) {
  hn_id id = hn_graph_add_node(t->g, HN_Cast, "", &x, 1, 1);
  hn_set_i(t->g, id, "to", to);
  return hn_node_at(t->g, id)->out[0];
}

hn_id input(trial *t, int32_t rank, const int64_t *dims) {
  hn_shape s = hn_shape_of(rank, dims);
  hn_id x = hn_graph_add_input(t->g, hn_fresh_name(t->g, "x"), HONE_DTYPE_F32, &s);
  if (t->half) return cast(t, x, t->half);
  return t->quantized ? through(t, x, 1.0f / (float)(16 << between(0, 2))) : x;
}

hn_id constant(trial *t, int32_t rank, const int64_t *dims) {
  hn_tensor *c;
  if (hn_tensor_create(t->cx, HONE_DTYPE_F32, rank, dims, &c)) abort();
  fill(c->data, c->count, false);
  for (int64_t i = 0; t->quantized && i < c->count; i++) ((float *)c->data)[i] = rintf(((float *)c->data)[i] * 64) / 64;
  hn_tensor *h;
  if (t->half && !hn_tensor_create(t->cx, t->half, rank, dims, &h)) {
    for (int64_t i = 0; i < c->count; i++) hn_store_f64(t->half, h->data, (size_t)i, (double)((float *)c->data)[i]);
    hn_tensor_unref(c);
    c = h;
  }
  return hn_graph_add_constant(t->g, NULL, c);
}

hn_id ints(trial *t, const int64_t *v, size_t n) {
  hn_tensor *c;
  if (hn_tensor_ints(t->cx, v, n, &c)) abort();
  return hn_graph_add_constant(t->g, NULL, c);
}

/* Constant weights; quantized: with a scale for each index along `axis`, or one for all. */
static hn_id weights(trial *t, int32_t rank, const int64_t *dims, int32_t axis) {
  if (!t->quantized) return constant(t, rank, dims);
  hn_tensor *w, *s;
  int64_t n = chance(3) ? 1 : dims[axis];
  if (hn_tensor_create(t->cx, HONE_DTYPE_I8, rank, dims, &w) || hn_tensor_create(t->cx, HONE_DTYPE_F32, 1, &n, &s)) abort();
  for (int64_t i = 0; i < w->count; i++) ((int8_t *)w->data)[i] = (int8_t)between(-128, 127);
  for (int64_t i = 0; i < n; i++) ((float *)s->data)[i] = 1.0f / (float)(256 << between(0, 2));
  hn_id in[2] = {hn_graph_add_constant(t->g, NULL, w), hn_graph_add_constant(t->g, NULL, s)};
  hn_id id = hn_graph_add_node(t->g, HN_DequantizeLinear, "", in, 2, 1);
  hn_set_i(t->g, id, "axis", axis);
  return hn_node_at(t->g, id)->out[0];
}

hn_id bools(trial *t, int32_t rank, const int64_t *dims) {
  hn_tensor *c;
  if (hn_tensor_create(t->cx, HONE_DTYPE_BOOL, rank, dims, &c)) abort();
  for (int64_t i = 0; i < c->count; i++) ((bool *)c->data)[i] = chance(2);
  return hn_graph_add_constant(t->g, NULL, c);
}

hn_id either(trial *t, int32_t rank, const int64_t *dims) { return chance(2) ? constant(t, rank, dims) : input(t, rank, dims); }

hn_id node(trial *t, const hn_id *in, uint32_t n, uint32_t n_out) { return hn_graph_add_node(t->g, t->op, "case", in, n, n_out); }

static const hn_op activations[] = {HN_Relu, HN_Clip, HN_Sigmoid, HN_HardSwish, HN_Tanh, HN_LeakyRelu, HN_Gelu, HN_Swish, HN_Elu, HN_Mish, HN_Abs};

/* What integer kernels do at once: a tensor is added or none, then there is one function or none. */
static void short_epilogue(trial *t, hn_id n, int32_t rank, const int64_t *dims) {
  if (chance(3)) hn_add_post(t->g, n, HN_Add, input(t, rank, dims), false, 0, 0);
  if (chance(3)) return;
  hn_op op = activations[next() % (sizeof activations / sizeof *activations)];
  hn_add_post(t->g, n, op, HN_NONE, false, op == HN_Clip ? -0.5f : op == HN_LeakyRelu ? 0.125f : op == HN_Gelu ? 0 : 1, op == HN_Clip ? 0.75f : 0);
}

/* Zero to three steps behind a node whose output has these dimensions. */
static void epilogue(trial *t, hn_id n, int32_t rank, const int64_t *dims) {
  if (t->quantized && chance(2)) {
    short_epilogue(t, n, rank, dims);
    return;
  }
  for (int k = (int)between(0, 3); k > 0; k--) {
    if (chance(2)) {
      hn_op op = activations[next() % (sizeof activations / sizeof *activations)];
      float a = op == HN_Clip ? -0.5f : op == HN_LeakyRelu ? 0.1f : op == HN_Gelu ? (float)chance(2) : 1.0f;
      hn_add_post(t->g, n, op, HN_NONE, false, a, op == HN_Clip ? 0.75f : 0);
      continue;
    }
    int64_t d[HN_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) d[i] = dims[i];
    int kind = (int)between(0, 3); /* the same shape, a channel each, a number, any broadcast */
    for (int32_t i = 0; i < rank && kind; i++)
      if (kind == 2 || (kind == 1 && i != 1) || (kind == 3 && chance(2))) d[i] = 1;
    hn_id operand = either(t, rank, d);
    hn_add_post(t->g, n, chance(2) ? HN_Add : chance(2) ? HN_Mul : HN_Sub, operand, chance(3), 0, 0);
  }
}

void finish(trial *t, hn_id n) {
  for (uint32_t i = 0; i < hn_node_at(t->g, n)->n_out; i++) {
    char name[16];
    snprintf(name, sizeof name, "y%u", i);
    hn_id out = hn_node_at(t->g, n)->out[i];
    if (t->half) out = cast(t, out, HONE_DTYPE_F32);
    bool again = t->quantized && t->op != HN_DequantizeLinear && !chance(5);
    hn_graph_add_output(t->g, name, again ? through(t, out, t->step) : out);
  }
  static const hn_op inexact[] = {HN_AveragePool, HN_GlobalAveragePool, HN_Resize, HN_Attention}; /* and functions of floats */
  t->exact = t->quantized && (!hn_op_is(t->op, HN_OP_UNARY) || t->op == HN_Relu || t->op == HN_Abs || t->op == HN_Neg || t->op == HN_Clip);
  t->exact = t->exact && !works_by_rows(t->op);
  for (size_t i = 0; i < sizeof inexact / sizeof *inexact; i++) t->exact = t->exact && (t->op != inexact[i] || t->averages);
  for (uint32_t i = 0; i < hn_node_at(t->g, n)->n_post; i++) {
    hn_op op = hn_node_at(t->g, n)->post[i].op;
    if (op != HN_Relu && op != HN_Clip && op != HN_Abs && op != HN_Add && op != HN_Sub) t->exact = false;
  }
}

/* Infers, then gives the output's dimensions for an epilogue. */
static bool shape_of(trial *t, hn_id n, int32_t *rank, int64_t *dims) {
  if (hn_infer_graph(t->g)) return false;
  const hn_value *v = hn_value_at(t->g, hn_node_at(t->g, n)->out[0]);
  if (!hn_shape_fixed(&v->shape)) return false;
  *rank = v->shape.rank;
  memcpy(dims, v->shape.d, sizeof v->shape.d);
  return true;
}

bool with_epilogue(trial *t, hn_id n) {
  if (t->same && !chance(4)) { /* what only moves integers has none */
    finish(t, n);
    return true;
  }
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  if (!shape_of(t, n, &rank, dims)) return false;
  epilogue(t, n, rank, dims);
  finish(t, n);
  return true;
}

static void window_attributes(trial *t, hn_id n, int32_t spatial, const int64_t *kernel, bool dilate) {
  int64_t stride[3], dilation[3], pads[6];
  for (int32_t i = 0; i < spatial; i++) {
    stride[i] = between(1, 3);
    dilation[i] = dilate && chance(3) ? 2 : 1;
    int64_t reach = (kernel[i] - 1) * dilation[i];
    pads[i] = between(0, reach > 2 ? 2 : reach);
    pads[i + spatial] = between(0, reach > 2 ? 2 : reach);
  }
  hn_set_ints(t->g, n, "strides", stride, (size_t)spatial);
  if (dilate) hn_set_ints(t->g, n, "dilations", dilation, (size_t)spatial);
  hn_set_ints(t->g, n, "pads", pads, 2 * (size_t)spatial);
}

static bool make_conv(trial *t) {
  bool transposed = t->op == HN_ConvTranspose;
  int32_t spatial = chance(4) ? (int32_t)between(1, 3) : 2;
  int64_t group = chance(3) ? between(2, 4) : 1, ci = channels(), co = channels();
  int64_t x[5], w[5];
  if (chance(4)) group = ci, ci = 1, co = chance(3) ? 2 : 1; /* depthwise */
  x[0] = between(1, 2), x[1] = ci * group;
  w[0] = transposed ? ci * group : co * group, w[1] = transposed ? co : ci;
  for (int32_t i = 0; i < spatial; i++) x[2 + i] = between(5, spatial == 3 ? 7 : 13), w[2 + i] = between(1, 3);
  bool winograd = !transposed && chance(4); /* what those kernels ask for */
  if (winograd) {
    spatial = 2, group = 1;
    x[1] = w[1] = 16 * between(1, 3), w[0] = 16 * between(1, 3);
    for (int32_t i = 2; i < 4; i++) x[i] = between(5, 13), w[i] = 3;
  }
  bool square = !transposed && !winograd && chance(t->quantized ? 2 : 4); /* depthwise, as our kernel for it asks for */
  if (square) {
    spatial = 2, group = x[1] = w[0] = t->quantized ? pick((const int64_t[]){8, 16, 32, 64, 72, 130}, 6) : t->half ? between(28, 70) : between(1, 40), co = w[1] = 1;
    for (int32_t i = 2; i < 4; i++) x[i] = between(5, 23);
    w[2] = w[3] = chance(2) ? 3 : 5;
  }
  bool few = !transposed && !winograd && !square && chance(3); /* channels, as an image has */
  if (few) {
    spatial = 2, group = 1;
    x[1] = w[1] = between(1, 4), w[0] = channels();
    for (int32_t i = 2; i < 4; i++) x[i] = between(7, 23), w[i] = between(2, 4);
  }
  bool line = !transposed && !winograd && !square && !few && chance(4); /* depthwise over one axis, or three */
  if (line) {
    spatial = chance(3) ? 3 : 1, group = x[1] = w[0] = between(1, 70), co = w[1] = 1;
    x[2] = between(5, 23), w[2] = between(1, 5);
    for (int32_t i = 3; i < 5; i++) x[i] = between(5, 7), w[i] = between(1, 3);
    if (spatial == 3) x[2] = between(5, 6), w[2] = between(1, 3);
  }
  hn_id in[3] = {input(t, spatial + 2, x), weights(t, spatial + 2, w, transposed), HN_NONE};
  if (winograd && !t->quantized && !t->half) { /* sums of about one, as in a trained network: its rounding error grows with the terms, not the sum */
    const hn_tensor *weights = hn_value_at(t->g, in[1])->data;
    for (int64_t i = 0; i < weights->count; i++) ((float *)weights->data)[i] /= 16;
  }
  bool loose = !transposed && !t->quantized && !t->half && spatial < 3 && chance(8); /* weights that are known when it runs */
  if (loose) {
    hn_id by[2] = {in[1], input(t, spatial + 2, (int64_t[]){1, 1, 1, 1})};
    in[1] = hn_node_at(t->g, hn_graph_add_node(t->g, HN_Mul, "", by, 2, 1))->out[0];
  }
  bool bias = chance(2);
  if (bias) in[2] = constant(t, 1, transposed ? &(int64_t){co * group} : w);
  hn_id n = node(t, in, bias ? 3 : 2, 1);
  hn_set_i(t->g, n, "group", group);
  if (winograd) hn_set_ints(t->g, n, "pads", (int64_t[]){between(0, 2), between(0, 2), between(0, 2), between(0, 2)}, 4);
  else window_attributes(t, n, spatial, w + 2, true);
  if (few) hn_attr_remove(t->g, n, "dilations");
  if (square) {
    int64_t stride = between(1, 2);
    hn_attr_remove(t->g, n, "dilations");
    hn_set_ints(t->g, n, "strides", (int64_t[]){stride, stride}, 2);
  }
  return with_epilogue(t, n);
}

static bool make_pool(trial *t) {
  int32_t spatial = chance(4) ? (int32_t)between(1, 3) : 2;
  int64_t x[5] = {between(1, 2), channels()}, kernel[3];
  for (int32_t i = 0; i < spatial; i++) x[2 + i] = between(5, 12), kernel[i] = between(1, 3);
  hn_id in = input(t, spatial + 2, x), n = node(t, &in, 1, 1);
  if (t->op == HN_MaxPool || t->op == HN_AveragePool) {
    hn_set_ints(t->g, n, "kernel_shape", kernel, (size_t)spatial);
    window_attributes(t, n, spatial, kernel, t->op == HN_MaxPool);
    for (int32_t i = 0; i < spatial; i++)
      if (kernel[i] == 1) hn_attr_remove(t->g, n, "pads");
    hn_set_i(t->g, n, "ceil_mode", chance(2));
    if (t->op == HN_AveragePool) hn_set_i(t->g, n, "count_include_pad", chance(2));
  }
  return with_epilogue(t, n);
}

/* Few rows of floats and small weights: 8 bits with a scale a column, or 8 or 4 bits with one for each 32 along the sum. */
static bool make_small_weights(trial *t) {
  int64_t m = between(1, 4), k = between(1, 100), n = between(1, 40), x[2] = {m, k}, w[2] = {k, n}, s[2] = {(k + 31) / 32, n};
  bool turned = t->op == HN_Gemm && chance(2), blocks = chance(2), four = blocks && chance(2);
  if (turned) w[0] = n, w[1] = k, s[0] = n, s[1] = (k + 31) / 32;
  hn_tensor *weights_of, *scales;
  if (hn_tensor_create(t->cx, four ? HONE_DTYPE_I4 : HONE_DTYPE_I8, 2, w, &weights_of) ||
      hn_tensor_create(t->cx, HONE_DTYPE_F32, blocks ? 2 : 1, blocks ? s : &n, &scales))
    abort();
  for (int64_t i = 0; i < weights_of->count; i++) hn_store_i64(weights_of->dtype, weights_of->data, (size_t)i, four ? between(-8, 7) : between(-128, 127));
  for (int64_t i = 0; i < scales->count; i++) ((float *)scales->data)[i] = (float)between(1, 9) / (four ? 64.0f : 1024.0f);
  hn_id in[2] = {hn_graph_add_constant(t->g, NULL, weights_of), hn_graph_add_constant(t->g, NULL, scales)};
  hn_id id = hn_graph_add_node(t->g, HN_DequantizeLinear, "", in, 2, 1);
  hn_set_i(t->g, id, "axis", blocks ? turned : !turned);
  if (blocks) hn_set_i(t->g, id, "block_size", 32);
  hn_id ab[2] = {input(t, 2, x), hn_node_at(t->g, id)->out[0]}, product = node(t, ab, 2, 1);
  if (t->op == HN_Gemm) hn_set_i(t->g, product, "transB", turned);
  return with_epilogue(t, product);
}

static bool make_matmul(trial *t) {
  if (!t->quantized && !t->half && chance(3)) return make_small_weights(t);
  int64_t m = chance(3) ? 1 : between(1, 40), k = between(1, 40), n = between(1, 40), a[4], b[4];
  if (t->op == HN_Gemm) {
    bool ta = chance(2), tb = chance(2);
    a[ta] = m, a[!ta] = k, b[tb] = k, b[!tb] = n;
    hn_id in[3] = {input(t, 2, a), t->quantized ? weights(t, 2, b, tb ? 0 : 1) : either(t, 2, b), HN_NONE};
    bool c = chance(2);
    int64_t cd[2] = {chance(2) ? 1 : m, n};
    if (c) in[2] = either(t, 2, cd);
    hn_id g = node(t, in, c ? 3 : 2, 1);
    hn_set_i(t->g, g, "transA", ta);
    hn_set_i(t->g, g, "transB", tb);
    if (chance(4)) hn_set_f(t->g, g, "alpha", 0.5);
    return with_epilogue(t, g);
  }
  int32_t ra = (int32_t)between(1, 4), rb = (int32_t)between(1, 4);
  int64_t batch[2] = {between(1, 3), between(1, 3)};
  for (int i = 0; i < 2; i++) a[i] = chance(4) ? 1 : batch[i], b[i] = chance(4) ? 1 : batch[i];
  a[2] = m, a[3] = k, b[2] = k, b[3] = n;
  if (t->quantized && chance(2)) {
    hn_id in[2] = {input(t, ra, a + 4 - ra), weights(t, 2, b + 2, 1)}, id = node(t, in, 2, 1);
    if (chance(2)) hn_add_post(t->g, id, HN_Add, constant(t, 1, &n), false, 0, 0); /* a bias */
    return with_epilogue(t, id);
  }
  hn_id in[2] = {input(t, ra, a + 4 - ra), rb == 1 ? either(t, 1, &k) : either(t, rb, b + 4 - rb)};
  return with_epilogue(t, node(t, in, 2, 1));
}

static bool make_elementwise(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4];
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 9);
  t->odd_values = chance(3);
  if (hn_op_is(t->op, HN_OP_UNARY)) {
    hn_id in[3] = {input(t, rank, d), HN_NONE, HN_NONE};
    hn_tensor *low, *high;
    bool clip = t->op == HN_Clip;
    if (clip) {
      if (hn_tensor_scalar_f(t->cx, HONE_DTYPE_F32, -0.5, &low) || hn_tensor_scalar_f(t->cx, HONE_DTYPE_F32, 0.5, &high)) return false;
      in[1] = hn_graph_add_constant(t->g, NULL, low), in[2] = hn_graph_add_constant(t->g, NULL, high);
    }
    return with_epilogue(t, node(t, in, clip ? 3 : 1, 1));
  }
  uint32_t n = t->op == HN_Max || t->op == HN_Min || t->op == HN_Sum ? (uint32_t)between(1, 3) : 2;
  hn_id in[3];
  int full = (int)between(0, n - 1);
  if (t->op == HN_PRelu) full = 0;
  if (t->op == HN_Mul && chance(4)) { /* a gate: an image and a factor for each of its channels */
    int64_t image[4] = {between(1, 2), channels(), between(1, 9), between(1, 9)}, by[4] = {chance(2) ? image[0] : 1, image[1], 1, 1};
    in[full] = input(t, 4, image);
    in[1 - full] = either(t, 4, by);
    return with_epilogue(t, node(t, in, 2, 1));
  }
  for (uint32_t i = 0; i < n; i++) {
    int64_t e[4];
    int32_t lead = (int)i == full ? 0 : (int32_t)between(0, rank - 1), r = rank - lead;
    for (int32_t k = 0; k < r; k++) e[k] = (int)i != full && chance(3) ? 1 : d[lead + k];
    in[i] = (int)i == full ? input(t, r, e) : either(t, r, e);
  }
  return with_epilogue(t, node(t, in, n, 1));
}

static bool make_concat(trial *t) {
  int32_t rank = (int32_t)between(2, 4), axis = (int32_t)between(0, rank - 1);
  int64_t d[4];
  uint32_t n = (uint32_t)between(1, 4);
  hn_id in[4];
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 7);
  for (uint32_t i = 0; i < n; i++) {
    d[axis] = axis == 1 ? (chance(2) ? 16 : channels()) : between(1, 5);
    in[i] = input(t, rank, d);
  }
  hn_id c = node(t, in, n, 1);
  hn_set_i(t->g, c, "axis", axis);
  return with_epilogue(t, c);
}

static bool make_split(trial *t) {
  int32_t rank = (int32_t)between(2, 4), axis = (int32_t)between(0, rank - 1);
  int64_t d[4], part[4];
  uint32_t n = (uint32_t)between(1, 4);
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, 7);
  d[axis] = 0;
  for (uint32_t i = 0; i < n; i++) d[axis] += part[i] = axis == 1 && chance(2) ? 16 : between(1, 5);
  hn_id in[2] = {input(t, rank, d), ints(t, part, n)}, s = node(t, in, 2, n);
  hn_set_i(t->g, s, "axis", axis);
  finish(t, s);
  return true;
}

static bool make_slice(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4], start[4], end[4], axes[4], step[4];
  for (int32_t i = 0; i < rank; i++) {
    d[i] = between(3, 17);
    axes[i] = i;
    step[i] = chance(3) ? between(-2, 2) : 1;
    if (!step[i]) step[i] = 2;
    start[i] = step[i] < 0 ? d[i] - 1 : between(0, 2);
    end[i] = step[i] < 0 ? INT64_MIN : chance(2) ? INT64_MAX : -1;
  }
  hn_id in[5] = {input(t, rank, d), ints(t, start, (size_t)rank), ints(t, end, (size_t)rank), ints(t, axes, (size_t)rank), ints(t, step, (size_t)rank)};
  return with_epilogue(t, node(t, in, 5, 1));
}

static bool make_transpose(trial *t) {
  int32_t rank = (int32_t)between(1, 5);
  int64_t d[5], perm[5];
  for (int32_t i = 0; i < rank; i++) d[i] = chance(5) ? 1 : between(1, 19), perm[i] = i;
  for (int32_t i = rank - 1; i > 0; i--) {
    int32_t k = (int32_t)between(0, i);
    int64_t p = perm[i];
    perm[i] = perm[k], perm[k] = p;
  }
  hn_id in = input(t, rank, d), n = node(t, &in, 1, 1);
  if (!chance(4)) hn_set_ints(t->g, n, "perm", perm, (size_t)rank);
  return with_epilogue(t, n);
}

static bool make_expand(trial *t) {
  int32_t rank = (int32_t)between(1, 4), lead = (int32_t)between(0, rank - 1);
  int64_t to[4], d[4];
  for (int32_t i = 0; i < rank; i++) to[i] = between(1, 9);
  for (int32_t i = lead; i < rank; i++) d[i - lead] = chance(2) ? 1 : to[i];
  hn_id in[2] = {input(t, rank - lead, d), ints(t, to, (size_t)rank)};
  return with_epilogue(t, node(t, in, 2, 1));
}

static bool make_softmax(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4];
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, 70) / (i + 1) + 1;
  hn_id in = input(t, rank, d), n = node(t, &in, 1, 1);
  hn_set_i(t->g, n, "axis", between(-rank, rank - 1));
  return with_epilogue(t, n);
}

static bool make_tile(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t repeats[4], d[4];
  for (int32_t i = 0; i < rank; i++) repeats[i] = between(1, 3), d[i] = between(1, 9);
  hn_id in[2] = {input(t, rank, d), ints(t, repeats, (size_t)rank)};
  return with_epilogue(t, node(t, in, 2, 1));
}

static bool make_pad(trial *t) {
  int32_t rank = (int32_t)between(1, 4), n = (int32_t)between(1, rank);
  int64_t d[4], axes[4], pads[8];
  for (int32_t i = 0; i < rank; i++) d[i] = between(3, 9), axes[i] = i;
  bool some = n < rank;
  for (int32_t i = 0; i < n && some; i++) axes[i] = chance(2) ? rank - 1 - i : -1 - i;
  bool fold = chance(2); /* by what the input has */
  for (int32_t i = 0; i < 2 * n; i++) pads[i] = between(fold ? 0 : -1, 3);
  hn_id in[4] = {input(t, rank, d), ints(t, pads, 2 * (size_t)n), chance(2) ? constant(t, 0, NULL) : HN_NONE, HN_NONE};
  if (some) in[3] = ints(t, axes, (size_t)n);
  hn_id id = node(t, in, some ? 4 : in[2] == HN_NONE ? 2 : 3, 1);
  if (fold) hn_set_s(t->g, id, "mode", chance(3) ? "reflect" : chance(2) ? "edge" : "wrap");
  return with_epilogue(t, id);
}

static bool make_blocks(trial *t) {
  int64_t b = between(1, 3), c = between(1, 9), h = between(1, 6), w = between(1, 6);
  bool deep = t->op == HN_DepthToSpace;
  hn_id in = input(t, 4, deep ? (int64_t[]){between(1, 2), c * b * b, h, w} : (int64_t[]){between(1, 2), c, h * b, w * b}), n = node(t, &in, 1, 1);
  hn_set_i(t->g, n, "blocksize", b);
  if (deep && chance(2)) hn_set_s(t->g, n, "mode", "CRD");
  return with_epilogue(t, n);
}

static bool make_where(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[3][4];
  for (int32_t i = 0; i < rank; i++) {
    int64_t whole = between(1, 40) / (i + 1) + 1;
    for (int k = 0; k < 3; k++) d[k][i] = chance(3) ? 1 : whole;
  }
  t->odd_values = chance(2);
  hn_id in[3] = {bools(t, rank, d[0]), either(t, chance(4) ? 0 : rank, d[1]), input(t, rank, d[2])};
  return with_epilogue(t, node(t, in, 3, 1));
}

static bool make_lrn(trial *t) {
  int64_t d[5] = {between(1, 2), chance(3) ? between(255, 300) : channels(), between(1, 5), between(1, 5), between(1, 3)};
  hn_id in = input(t, (int32_t)between(3, 5), d), n = node(t, &in, 1, 1);
  static const double powers[] = {0.75, 0.5, 1, 0.6};
  hn_set_i(t->g, n, "size", between(1, 7));
  hn_set_f(t->g, n, "alpha", 0.1);
  hn_set_f(t->g, n, "beta", powers[next() % 4]);
  return with_epilogue(t, n);
}

/* Places are compared as floats; among few distinct values there are ties. */
static bool make_topk(trial *t) {
  int32_t rank = (int32_t)between(1, 3), axis = (int32_t)between(0, rank - 1);
  int64_t d[3];
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, i == axis ? 90 : 4);
  int64_t k = between(1, d[axis]);
  t->odd_values = chance(2);
  hn_id x = input(t, rank, d);
  if (chance(2)) x = hn_node_at(t->g, hn_graph_add_node(t->g, HN_Round, "", &x, 1, 1))->out[0];
  hn_id in[2] = {x, ints(t, &k, 1)}, n = node(t, in, 2, 2);
  hn_set_i(t->g, n, "axis", chance(2) ? axis : axis - rank);
  hn_set_i(t->g, n, "largest", chance(2));
  hn_id values = hn_node_at(t->g, n)->out[0], places = hn_node_at(t->g, n)->out[1];
  hn_graph_add_output(t->g, "values", values);
  hn_graph_add_output(t->g, "places", cast(t, places, HONE_DTYPE_F32));
  return true;
}

static bool make_arg(trial *t) {
  int32_t rank = (int32_t)between(1, 3), axis = (int32_t)between(0, rank - 1);
  int64_t d[3];
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, chance(2) ? 200 : 5);
  t->odd_values = chance(2);
  hn_id x = input(t, rank, d);
  if (chance(2)) x = hn_node_at(t->g, hn_graph_add_node(t->g, HN_Round, "", &x, 1, 1))->out[0];
  hn_id n = node(t, &x, 1, 1);
  hn_set_i(t->g, n, "axis", axis);
  hn_set_i(t->g, n, "keepdims", chance(2));
  hn_graph_add_output(t->g, "place", cast(t, hn_node_at(t->g, n)->out[0], HONE_DTYPE_F32));
  return true;
}

static bool make_norm(trial *t) {
  bool instance = t->op == HN_InstanceNormalization;
  int32_t rank = (int32_t)between(instance ? 3 : 1, 4), axis = instance ? 2 : (int32_t)between(0, rank - 1);
  int64_t d[4], s[4];
  for (int32_t i = 0; i < rank; i++) d[i] = between(2, 9);
  for (int32_t i = axis; i < rank; i++) s[i - axis] = d[i];
  if (instance) s[0] = d[1];
  int32_t rs = instance ? 1 : rank - axis;
  hn_id in[3] = {input(t, rank, d), either(t, rs, s), HN_NONE};
  bool bias = instance || (t->op == HN_LayerNormalization && chance(2));
  if (bias) in[2] = either(t, rs, s);
  hn_id n = node(t, in, bias ? 3 : 2, 1);
  if (!instance) hn_set_i(t->g, n, "axis", chance(2) ? axis : axis - rank);
  hn_set_f(t->g, n, "epsilon", 1e-3);
  return with_epilogue(t, n);
}

static bool make_reduce(trial *t) {
  int32_t rank = (int32_t)between(1, 4), from = (int32_t)between(0, rank - 1), to = (int32_t)between(from, rank - 1);
  int64_t d[4], axes[4];
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, 13);
  for (int32_t i = from; i <= to; i++) axes[i - from] = i;
  bool all = chance(4);
  hn_id in[2] = {input(t, rank, d), all ? HN_NONE : ints(t, axes, (size_t)(to - from + 1))};
  hn_id n = node(t, in, all ? 1 : 2, 1);
  hn_set_i(t->g, n, "keepdims", chance(2));
  return with_epilogue(t, n);
}

static bool make_recurrent(trial *t) {
  static const char *const ways[] = {"forward", "reverse", "bidirectional"};
  static const char *const functions[] = {"Sigmoid", "Tanh", "HardSigmoid", "Softsign", "Relu", "Affine", "Elu"}; /* bounded first */
  int64_t gates = t->op == HN_LSTM ? 4 : t->op == HN_GRU ? 3 : 1, way = between(0, 2), d = way == 2 ? 2 : 1;
  int64_t steps = between(1, 5), batch = between(1, 4), size = between(1, 20), h = between(1, 40), gh = gates * h;
  bool batch_first = chance(3);
  int64_t x[3] = {batch_first ? batch : steps, batch_first ? steps : batch, size};
  int64_t state[3] = {batch_first ? batch : d, batch_first ? d : batch, h};
  bool dynamic = !t->half && chance(3); /* 8 bits: where a rounding goes the other way, it is a step of one weight */
  t->quantized = dynamic;
  hn_id w = weights(t, 3, (int64_t[]){d, gh, size}, 1), r = weights(t, 3, (int64_t[]){d, gh, h}, 1);
  t->quantized = false;
  if (dynamic) t->loose = 0.02f;
  hn_id in[8] = {input(t, 3, x), w, r, HN_NONE, HN_NONE, HN_NONE, HN_NONE, HN_NONE};
  if (chance(2)) in[3] = constant(t, 2, (int64_t[]){d, 2 * gh});
  if (chance(3)) {
    hn_tensor *c;
    if (hn_tensor_create(t->cx, HONE_DTYPE_I32, 1, &batch, &c)) abort();
    for (int64_t i = 0; i < batch; i++) ((int32_t *)c->data)[i] = (int32_t)between(0, steps);
    in[4] = hn_graph_add_constant(t->g, NULL, c);
  }
  if (chance(2)) in[5] = either(t, 3, state);
  if (t->op == HN_LSTM && chance(2)) in[6] = either(t, 3, state);
  if (t->op == HN_LSTM && chance(2)) in[7] = constant(t, 2, (int64_t[]){d, 3 * h});
  hn_id n = node(t, in, t->op == HN_LSTM ? 8 : 6, (uint32_t)between(1, t->op == HN_LSTM ? 3 : 2));
  hn_set_i(t->g, n, "hidden_size", h);
  if (dynamic) hn_set_i(t->g, n, "dynamic", 1);
  hn_set_i(t->g, n, "layout", batch_first);
  hn_set_s(t->g, n, "direction", ways[way]);
  if (t->op == HN_GRU) hn_set_i(t->g, n, "linear_before_reset", chance(2));
  if (t->op == HN_LSTM) hn_set_i(t->g, n, "input_forget", chance(3));
  bool clip = chance(3);
  if (clip) hn_set_f(t->g, n, "clip", 0.7);
  if (chance(3)) {
    char names[160] = "";
    for (int64_t i = 0; i < d * (t->op == HN_LSTM ? 3 : t->op == HN_GRU ? 2 : 1); i++) {
      if (i) strcat(names, ",");
      strcat(names, functions[between(0, clip ? 6 : 3)]);
    }
    hn_set_s(t->g, n, "activations", names);
  }
  finish(t, n);
  return true;
}

static bool make_attention(trial *t) {
  bool flat = chance(2);
  int64_t b = between(1, 2), kv = between(1, 3), per = between(1, 2), h = kv * per, nq = chance(4) ? between(30, 140) : between(1, 9), nk = chance(4) ? between(200, 600) : between(1, 9), d = chance(5) ? between(60, 256) : between(1, 9), dv = chance(5) ? between(60, 256) : between(1, 9);
  if (d > 9 || dv > 9) nq = between(1, 20), nk = between(1, 40);
  int64_t q4[4] = {b, h, nq, d}, k4[4] = {b, kv, nk, d}, v4[4] = {b, kv, nk, dv};
  int64_t q3[3] = {b, nq, h * d}, k3[3] = {b, nk, kv * d}, v3[3] = {b, nk, kv * dv};
  hn_id in[6] = {flat ? input(t, 3, q3) : input(t, 4, q4), flat ? input(t, 3, k3) : input(t, 4, k4), flat ? input(t, 3, v3) : input(t, 4, v4), HN_NONE, HN_NONE, HN_NONE};
  int64_t m[4] = {chance(2) ? 1 : b, chance(2) ? 1 : h, nq, nk};
  bool mask = chance(2);
  bool past = chance(5);
  int64_t before = past ? between(1, 9) : 0, pk[4] = {b, kv, before, d}, pv[4] = {b, kv, before, dv};
  m[3] += before;
  if (mask) in[3] = chance(3) ? bools(t, 4, m) : either(t, 4, m);
  if (past) in[4] = input(t, 4, pk), in[5] = input(t, 4, pv);
  hn_id n = node(t, in, past ? 6 : mask ? 4 : 3, past && chance(2) ? 3 : 1);
  if (flat) {
    hn_set_i(t->g, n, "q_num_heads", h);
    hn_set_i(t->g, n, "kv_num_heads", kv);
  }
  if (chance(2)) hn_set_f(t->g, n, "scale", 0.3);
  if (chance(5)) hn_set_f(t->g, n, "softcap", 1.5);
  if (chance(3)) hn_set_i(t->g, n, "is_causal", 1);
  if (t->quantized) t->loose = 4 * (float)nk / 131070; /* weights off by half of what 16 bits tell, times values apart */
  return with_epilogue(t, n);
}

static bool make_gather(trial *t) {
  int32_t rank = (int32_t)between(1, 5);
  int64_t d[5], axis, from[40], n = between(1, 40);
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 7);
  axis = rank > 1 && chance(2) ? 1 : between(0, rank - 1);
  for (int64_t i = 0; i < n; i++) from[i] = between(-d[axis], d[axis] - 1);
  hn_tensor *one = NULL;
  if (chance(6) && hn_tensor_scalar_i(t->cx, HONE_DTYPE_I64, from[0], &one)) abort();
  hn_id in[2] = {input(t, rank, d), one ? hn_graph_add_constant(t->g, NULL, one) : ints(t, from, (size_t)n)}, id = node(t, in, 2, 1);
  hn_set_i(t->g, id, "axis", axis);
  return with_epilogue(t, id);
}

static bool make_resize(trial *t) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const where[] = {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"};
  int32_t spatial = (int32_t)between(1, 3);
  int64_t d[5] = {between(1, 2), channels()}, to[5];
  for (int32_t i = 0; i < spatial; i++) d[2 + i] = between(2, 7), to[2 + i] = between(1, 14);
  to[0] = d[0], to[1] = d[1];
  hn_id in[4] = {input(t, spatial + 2, d), HN_NONE, HN_NONE, ints(t, to, (size_t)spatial + 2)}, n = node(t, in, 4, 1);
  const char *mode = modes[next() % 3];
  hn_set_s(t->g, n, "mode", mode);
  hn_set_s(t->g, n, "coordinate_transformation_mode", where[next() % 4]);
  if (chance(3)) hn_set_i(t->g, n, "antialias", 1);
  else t->averages = t->quantized && hn_streq(mode, "nearest");
  return with_epilogue(t, n);
}

static bool make_cast(trial *t) {
  int64_t d[3] = {between(1, 5), channels(), between(1, 40)};
  hn_shape s = hn_shape_of(3, d);
  hn_id x = hn_graph_add_input(t->g, "x", HONE_DTYPE_F32, &s);
  t->odd_values = chance(2);
  if (chance(3)) { /* of whole numbers */
    t->odd_values = false;
    hn_dtype types[] = {HONE_DTYPE_I32, HONE_DTYPE_I8, HONE_DTYPE_U8}, type = types[next() % 3];
    if (type == HONE_DTYPE_U8) x = hn_node_at(t->g, hn_graph_add_node(t->g, HN_Abs, "", &x, 1, 1))->out[0];
    hn_id whole = cast(t, x, type);
    t->half = HONE_DTYPE_UNDEFINED;
    hn_id id = hn_graph_add_node(t->g, HN_Cast, "case", &whole, 1, 1);
    hn_set_i(t->g, id, "to", HONE_DTYPE_F32);
    return with_epilogue(t, id);
  }
  bool from_bytes = chance(3), to_bytes = chance(3); /* the ends of layers in 8 bits */
  if (from_bytes) x = through(t, x, 1.0f / 32);
  x = cast(t, cast(t, x, t->half), HONE_DTYPE_F32);
  hn_graph_add_output(t->g, "y", to_bytes ? through(t, x, t->step) : x);
  return true;
}

static bool make_quantize(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4];
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 9);
  t->odd_values = chance(3);
  hn_shape s = hn_shape_of(rank, d);
  hn_id x = hn_graph_add_input(t->g, hn_fresh_name(t->g, "x"), HONE_DTYPE_F32, &s);
  hn_graph_add_output(t->g, "y", through(t, x, t->step));
  t->quantized = t->exact = true;
  return true;
}

/* Whole numbers as floats, for comparison. */
static void output_of(trial *t, const char *name, hn_id x) { hn_graph_add_output(t->g, name, cast(t, x, HONE_DTYPE_F32)); }

/* Scales that are powers of two, constant or not, perhaps a bias and steps behind. */
/* Scales of rows, by themselves or times those of columns. */
static hn_id row_factor(trial *t, const int64_t *a, hn_id columns) {
  hn_tensor *r;
  if (hn_tensor_create(t->cx, HONE_DTYPE_F32, 3, (int64_t[]){a[0], a[1], 1}, &r)) abort();
  for (int64_t i = 0; i < r->count; i++) ((float *)r->data)[i] = 1.0f / (float)(1 << between(0, 3));
  hn_id in[2] = {hn_graph_add_constant(t->g, NULL, r), columns};
  return columns == HN_NONE ? in[0] : hn_node_at(t->g, hn_graph_add_node(t->g, HN_Mul, "", in, 2, 1))->out[0];
}

static void open_sums(trial *t, hn_id sums, const int64_t *a, int64_t n, bool rows) {
  hn_id real = cast(t, sums, HONE_DTYPE_F32), by = scalar(t, HONE_DTYPE_F32, 1.0 / 4096);
  int64_t d[3] = {a[0], a[1], n};
  hn_tensor *s, *b;
  if (hn_tensor_create(t->cx, HONE_DTYPE_F32, 1, &n, &s) || hn_tensor_create(t->cx, HONE_DTYPE_F32, 1, &n, &b)) abort();
  for (int64_t i = 0; i < n; i++) ((float *)s->data)[i] = 1.0f / (float)(1024 << between(0, 3)), ((float *)b->data)[i] = (float)between(-200, 200) / 64;
  if (chance(2)) by = hn_graph_add_constant(t->g, NULL, s);
  else hn_tensor_unref(s);
  hn_id id = hn_value_at(t->g, real)->producer;
  bool together = rows && hn_rank_of(t->g, by) == 1 && chance(2);
  if (rows) hn_add_post(t->g, id, HN_Mul, row_factor(t, a, together ? by : HN_NONE), false, 0, 0);
  if (!together && !chance(5)) hn_add_post(t->g, id, HN_Mul, by, false, 0, 0);
  if (chance(2)) hn_add_post(t->g, id, HN_Add, hn_graph_add_constant(t->g, NULL, b), false, 0, 0);
  else hn_tensor_unref(b);
  if (chance(2)) hn_add_post(t->g, id, HN_Relu, HN_NONE, false, 0, 0);
  if (chance(3)) hn_add_post(t->g, id, HN_Clip, HN_NONE, false, -0.5f, 2);
  if (chance(3)) hn_add_post(t->g, id, HN_Add, input(t, 3, d), false, 0, 0);
  if (chance(3)) hn_add_post(t->g, id, HN_Sigmoid, HN_NONE, false, 0, 0), t->exact = false;
  hn_graph_add_output(t->g, "y", real);
}

/* A zero point for each row, of the type of `like`. */
static hn_id zeros_of_rows(trial *t, const int64_t a[3], hn_id like) {
  hn_tensor *z;
  hn_dtype type = hn_dtype_of(t->g, like);
  if (hn_tensor_create(t->cx, type, 3, (int64_t[]){a[0], a[1], 1}, &z)) abort();
  for (int64_t i = 0; i < z->count; i++) hn_store_i64(type, z->data, (size_t)i, type == HONE_DTYPE_I8 ? between(-128, 127) : between(0, 255));
  return hn_graph_add_constant(t->g, NULL, z);
}

static bool make_matmul_integer(trial *t) {
  int64_t a[3] = {between(1, 2), chance(3) ? 1 : between(1, 70), between(1, 90)}, b[2] = {a[2], between(1, 70)};
  bool is_signed = chance(3), w_unsigned = chance(3), zeros = chance(2) || w_unsigned, rows = chance(2);
  hn_shape s = hn_shape_of(3, a);
  hn_id x = hn_graph_add_input(t->g, "x", HONE_DTYPE_F32, &s), zero = scalar(t, is_signed ? HONE_DTYPE_I8 : HONE_DTYPE_U8, is_signed ? -3 : 77);
  hn_tensor *w;
  if (hn_tensor_create(t->cx, w_unsigned ? HONE_DTYPE_U8 : HONE_DTYPE_I8, 2, b, &w)) abort();
  for (int64_t i = 0; i < w->count; i++) hn_store_i64(w->dtype, w->data, (size_t)i, w_unsigned ? between(0, 255) : between(zeros ? -126 : -128, 127));
  hn_id in[4] = {one(t, HN_QuantizeLinear, x, scalar(t, HONE_DTYPE_F32, 1.0 / 64), zero), hn_graph_add_constant(t->g, NULL, w),
                 rows ? zeros_of_rows(t, a, zero) : zeros || chance(2) ? zero : HN_NONE, zeros ? scalar(t, w->dtype, w_unsigned ? 128 : 1) : HN_NONE};
  hn_id sums = hn_node_at(t->g, node(t, in, 4, 1))->out[0];
  t->exact = !rows; /* sums of these are taken apart */
  if (!rows && chance(2)) output_of(t, "y", sums);
  else open_sums(t, sums, a, b[1], rows);
  return true;
}

static bool make_dynamic_quantize(trial *t) {
  int64_t d[2] = {between(1, 40), between(1, 70)};
  hn_shape s = hn_shape_of(2, d);
  hn_id x = hn_graph_add_input(t->g, "x", HONE_DTYPE_F32, &s), n = node(t, &x, 1, 3);
  hn_id out[3];
  if (chance(2)) hn_set_i(t->g, n, "by_rows", 1);
  for (int i = 0; i < 3; i++) out[i] = hn_node_at(t->g, n)->out[i];
  output_of(t, "y", out[0]);
  hn_graph_add_output(t->g, "scale", out[1]);
  output_of(t, "zero", out[2]);
  t->exact = true;
  return true;
}

bool moves_integers(hn_op op) {
  return op == HN_ConvTranspose || op == HN_Resize || op == HN_Pad || op == HN_Tile || op == HN_Gather || op == HN_DepthToSpace || op == HN_SpaceToDepth || op == HN_Expand ||
         op == HN_Transpose || op == HN_Slice || op == HN_Split;
}

/* Operators whose kernels bring rows of 8-bit integers to floats and back, on the CPU. */
bool works_by_rows(hn_op op) {
  return op == HN_Softmax || op == HN_LogSoftmax || op == HN_LayerNormalization || op == HN_RMSNormalization || op == HN_InstanceNormalization ||
         op == HN_GroupNormalization;
}

/* Operators that compute with 8-bit integers in the place of reals. */
bool quantizable(hn_op op) {
  return op == HN_Conv || op == HN_MatMul || op == HN_Gemm || op == HN_MaxPool || op == HN_AveragePool || op == HN_Concat ||
         op == HN_Add || op == HN_Mul || op == HN_Sub || op == HN_GlobalAveragePool || op == HN_Attention || works_by_rows(op) ||
         (hn_op_is(op, HN_OP_UNARY) && op != HN_Cast && op != HN_IsInf && op != HN_IsNaN && op != HN_Not);
}

bool generate(trial *t) {
  bool made;
  t->same = t->quantized && (t->op == HN_Concat || t->op == HN_MaxPool || t->op == HN_GlobalMaxPool || t->op == HN_Resize ? chance(2) : moves_integers(t->op) && t->op != HN_ConvTranspose);
  switch (t->op) {
    case HN_Cast: return make_cast(t);
    case HN_QuantizeLinear:
    case HN_DequantizeLinear: return make_quantize(t);
    case HN_MatMulInteger: return make_matmul_integer(t);
    case HN_DynamicQuantizeLinear: return make_dynamic_quantize(t);
    case HN_Conv:
    case HN_ConvTranspose: return make_conv(t);
    case HN_MaxPool:
    case HN_AveragePool:
    case HN_GlobalMaxPool:
    case HN_GlobalAveragePool: return make_pool(t);
    case HN_MatMul:
    case HN_Gemm: return make_matmul(t);
    case HN_Concat: return make_concat(t);
    case HN_Split: return make_split(t);
    case HN_Slice: return make_slice(t);
    case HN_Transpose: return make_transpose(t);
    case HN_Gather: return make_gather(t);
    case HN_Expand: return make_expand(t);
    case HN_Tile: return make_tile(t);
    case HN_Pad: return make_pad(t);
    case HN_DepthToSpace:
    case HN_SpaceToDepth: return make_blocks(t);
    case HN_Where: return make_where(t);
    case HN_LRN: return make_lrn(t);
    case HN_TopK: return make_topk(t);
    case HN_ArgMax:
    case HN_ArgMin: return make_arg(t);
    case HN_Softmax:
    case HN_LogSoftmax: return make_softmax(t);
    case HN_LayerNormalization:
    case HN_RMSNormalization:
    case HN_InstanceNormalization: return make_norm(t);
    case HN_Attention: return make_attention(t);
    case HN_RNN:
    case HN_GRU:
    case HN_LSTM: return make_recurrent(t);
    case HN_Resize: return make_resize(t);
    default: break;
  }
  if (generate_more(t, &made)) return made;
  bool pairs = hn_op_is(t->op, HN_OP_BINARY) || t->op == HN_Max || t->op == HN_Min;
  if (pairs && t->op != HN_PRelu && !t->quantized && !t->half && chance(4)) return make_integers(t);
  if (hn_op_is(t->op, HN_OP_REDUCE)) return make_reduce(t);
  if (hn_op_is(t->op, HN_OP_UNARY | HN_OP_BINARY | HN_OP_VARIADIC)) return make_elementwise(t);
  return false;
}

/* ---- running and comparing */

void make_inputs(const trial *t, hn_view *in) {
  for (size_t i = 0; i < t->g->inputs.n; i++) {
    const hn_value *v = hn_value_at(t->g, t->g->inputs.p[i]);
    in[i] = (hn_view){.dtype = HONE_DTYPE_F32, .rank = v->shape.rank, .count = 1};
    memcpy(in[i].dims, v->shape.d, sizeof in[i].dims);
    for (int32_t d = 0; d < v->shape.rank; d++) in[i].count *= v->shape.d[d];
    in[i].data = hn_malloc_aligned(sizeof(float) * (size_t)(in[i].count + 1));
    fill(in[i].data, in[i].count, t->odd_values);
  }
}

void free_inputs(const trial *t, hn_view *in) {
  for (size_t i = 0; i < t->g->inputs.n; i++) hn_free_aligned(in[i].data);
}

static bool close_enough(float got, float want) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  if (isinf(want) || isinf(got)) return want == got;
  return fabsf(got - want) <= 2e-4f * (1 + fabsf(want));
}

int compare(const trial *t, const hn_view *want, const hn_view *got, const char *what, uint32_t at) {
  for (size_t o = 0; o < t->g->outputs.n; o++) {
    CHECK_MSG(want[o].count == got[o].count, "%s, case %u: output %zu has another size", what, at, o);
    if (want[o].count != got[o].count) return 1;
    for (int64_t i = 0; i < want[o].count; i++) {
      float a = ((const float *)got[o].data)[i], b = ((const float *)want[o].data)[i];
      if (t->exact ? a == b : close_enough(a, b) || fabsf(a - b) <= t->loose || (t->quantized && fabsf(a - b) <= 1.01f * t->step) || (t->half && fabsf(a - b) <= 0.02f * (1 + fabsf(b)) + t->loose)) continue;
      char *text = NULL;
      if (hn_graph_print(t->g, &text)) text = NULL;
      CHECK_MSG(false, "%s, case %u: output %zu[%lld] is %g, not %g\n%s", what, at, o, (long long)i, (double)a, (double)b, text ? text : "");
      hn_free(text);
      return 1;
    }
  }
  return 0;
}
