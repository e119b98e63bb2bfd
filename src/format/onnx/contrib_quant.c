/* contrib_quant.c - quantized operators of ONNX Runtime's domain: the ordinary one between conversions, which move-quantize and
   the integer kernels then take as any other; products with scales of their own; products with weights of 4 and 8 bits in blocks. */
#include <string.h>

#include "format/onnx/contrib.h"

static hone_status refuse(const hn_contrib *c, hone_status st, const char *why) {
  return hn_fail(c->make.g->cx, st, "node '%s' (%s): %s", c->name, c->op, why);
}

/* Input i; absent where there are fewer. */
static hn_id input(const hn_contrib *c, uint32_t i) { return i < c->n ? c->in[i] : HN_NONE; }

static hone_status need(const hn_contrib *c, uint32_t i) {
  if (input(c, i) != HN_NONE) return HONE_OK;
  return hn_fail(c->make.g->cx, HONE_BAD_GRAPH, "node '%s' (%s): input %u is missing", c->name, c->op, i);
}

/* The reals that integers stand for, one scale for each of `axis` or one for all. */
static hn_id open_integers(hn_maker *m, hn_id x, hn_id scale, hn_id zero, int64_t axis) {
  hn_id node = hn_make_node(m, HN_DequantizeLinear, (hn_id[]){x, scale, zero}, zero == HN_NONE ? 2 : 3, 1);
  if (!m->st) hn_set_i(m->g, node, "axis", axis);
  return hn_make_done(m, node);
}

/* Integers of a type; without a zero point theirs is 0. */
static hn_id close_integers(hn_maker *m, hn_id x, hn_id scale, hn_id zero, hn_dtype type) {
  if (zero == HN_NONE) zero = hn_make_scalar(m, type, 0);
  return hn_make_done(m, hn_make_node(m, HN_QuantizeLinear, (hn_id[]){x, scale, zero}, 3, 1));
}

/* ---- operands and result with a scale and a zero point each */

typedef struct form {
  uint32_t first, operands, result; /* the first operand, how many, the result's scale */
} form;

static form form_of(const hn_contrib *c) {
  hn_op op = hn_node_at(c->make.g, c->node)->op;
  if (op == HN_Concat) return (form){2, c->n > 2 ? (c->n - 2 + 2) / 3 : 0, 0};
  if (op == HN_Where) return (form){1, 2, 7};
  uint32_t operands = op == HN_Add || op == HN_Mul ? 2 : 1;
  return (form){0, operands, 3 * operands};
}

/* A transpose between images with channels last and first. */
static hn_id turn(hn_contrib *c, hn_id x, bool to_first) {
  int64_t perm[HONE_MAX_RANK], rank = hn_value_at(c->make.g, x)->shape.rank;
  if (rank < 3) {
    if (!c->make.st) c->make.st = refuse(c, HONE_BAD_GRAPH, "channels_last: the input is no image");
    return HN_NONE;
  }
  perm[0] = 0;
  for (int64_t i = 1; i < rank; i++) perm[i] = to_first ? (i == 1 ? rank - 1 : i - 1) : (i == rank - 1 ? 1 : i + 1);
  return hn_make_transpose(&c->make, x, perm, (size_t)rank);
}

/* Attributes that the ordinary operator does not have. */
static hone_status own_attributes(hn_contrib *c) {
  hn_graph *g = c->make.g;
  const hn_node *n = hn_node_at(g, c->node);
  int64_t opset = hn_attr_i(n, "opset", 13), axis = hn_attr_i(n, "axis", -1);
  int32_t rank = hn_value_at(g, c->in[0])->shape.rank;
  c->channels_last = hn_attr_i(n, "channels_last", 0) != 0;
  if (n->op == HN_Softmax && opset < 13 && axis != -1 && axis != rank - 1)
    return refuse(c, HONE_UNSUPPORTED, "a softmax over several dimensions, as before opset 13");
  hn_attr_remove(g, c->node, "opset");
  hn_attr_remove(g, c->node, "channels_last");
  return HONE_OK;
}

hone_status hn_contrib_integers(hn_contrib *c) {
  form f = form_of(c);
  uint32_t count = f.first + 3 * f.operands;
  if (!f.operands) return refuse(c, HONE_BAD_GRAPH, "no operands");
  HN_TRY(need(c, 0));
  HN_TRY(need(c, f.result));
  for (uint32_t i = 0; i < f.operands; i++) {
    HN_TRY(need(c, f.first + 3 * i));
    HN_TRY(need(c, f.first + 3 * i + 1));
  }
  hn_id to[1 << 8];
  c->scale = input(c, f.result), c->zero = input(c, f.result + 1), c->type = hn_make_type(&c->make, c->in[f.first]);
  uint32_t lead = f.first == 1;
  if (f.operands + lead > sizeof to / sizeof *to) return refuse(c, HONE_UNSUPPORTED, "too many operands");
  if (lead) to[0] = c->in[0];
  for (uint32_t i = 0; i < f.operands; i++) {
    uint32_t at = f.first + 3 * i;
    to[lead + i] = open_integers(&c->make, c->in[at], c->in[at + 1], at + 2 < count ? input(c, at + 2) : HN_NONE, 0);
  }
  HN_TRY(c->make.st);
  c->n = f.operands + lead;
  memcpy(c->in, to, sizeof *to * c->n);
  HN_TRY(own_attributes(c));
  if (c->channels_last) c->in[0] = turn(c, c->in[0], true);
  return c->make.st;
}

hone_status hn_contrib_integers_result(hn_contrib *c, hn_id *result) {
  if (c->channels_last) *result = turn(c, *result, false);
  *result = close_integers(&c->make, *result, c->scale, c->zero, c->type);
  return c->make.st;
}

/* ---- products */

/* What a sum of products counts by: one number, or one a column. */
static hn_id unit_of(hn_maker *m, hn_id a, hn_id b) {
  const hn_tensor *x = hn_const(m->g, a), *y = hn_const(m->g, b);
  hn_tensor *t = NULL;
  if (!x || !y || x->dtype != HONE_DTYPE_F32 || y->dtype != HONE_DTYPE_F32 || x->count != 1) return hn_make2(m, HN_Mul, a, b);
  if (!m->st) m->st = hn_tensor_create(m->g->cx, HONE_DTYPE_F32, y->rank, y->dims, &t);
  for (int64_t i = 0; !m->st && i < y->count; i++) ((float *)t->data)[i] = *(const float *)x->data * ((const float *)y->data)[i];
  return hn_make_constant(m, t);
}

/* A, its scale and zero point, B, its, C in units of both scales, scale and zero point of the result: without them it is of floats. */
hone_status hn_contrib_gemm(hn_contrib *c) {
  enum { A, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, C, Y_SCALE, Y_ZERO };
  hn_maker *m = &c->make;
  static const uint32_t needed[] = {A, A_SCALE, B, B_SCALE};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) HN_TRY(need(c, needed[i]));
  const hn_node *n = hn_node_at(m->g, c->node);
  if (hn_attr_f(n, "alpha", 1) != 1) return refuse(c, HONE_UNSUPPORTED, "alpha is not 1");
  int64_t axis = hn_attr_i(n, "transB", 0) ? 0 : 1;
  hn_id bias = input(c, C);
  c->scale = input(c, Y_SCALE), c->zero = input(c, Y_ZERO), c->type = hn_make_type(m, c->in[A]);
  hn_id a = open_integers(m, c->in[A], c->in[A_SCALE], input(c, A_ZERO), 0), b = open_integers(m, c->in[B], c->in[B_SCALE], input(c, B_ZERO), axis);
  if (bias != HN_NONE) bias = open_integers(m, bias, unit_of(m, c->in[A_SCALE], c->in[B_SCALE]), HN_NONE, hn_value_at(m->g, bias)->shape.rank - 1);
  c->in[0] = a, c->in[1] = b, c->in[2] = bias;
  c->n = 3;
  return m->st;
}

hone_status hn_contrib_gemm_result(hn_contrib *c, hn_id *result) {
  if (c->scale != HN_NONE) *result = close_integers(&c->make, *result, c->scale, c->zero, c->type);
  return c->make.st;
}

/* A, B, their scales, their zero points, bias; or floats that are quantized now, B, its scale, its zero point, bias. */
hone_status hn_contrib_scaled_product(hn_contrib *c) {
  hn_maker *m = &c->make;
  bool now = strcmp(c->op, "DynamicQuantizeMatMul") == 0;
  for (uint32_t i = 0; i < (now ? 3u : 4u); i++) HN_TRY(need(c, i));
  hn_id a = c->in[0], a_scale = c->in[2], a_zero = input(c, 4), b_scale = input(c, now ? 2 : 3), b_zero = input(c, now ? 3 : 5);
  c->bias = input(c, now ? 4 : 6);
  if (now) {
    hn_id q = hn_make_node(m, HN_DynamicQuantizeLinear, &a, 1, 3);
    hn_make_done(m, q);
    a = hn_make_out(m, q, 0), a_scale = hn_make_out(m, q, 1), a_zero = hn_make_out(m, q, 2);
  }
  c->scale = unit_of(m, a_scale, b_scale);
  c->in[0] = a, c->in[2] = a_zero, c->in[3] = b_zero;
  c->n = 4;
  return m->st;
}

hone_status hn_contrib_scaled_product_result(hn_contrib *c, hn_id *result) {
  hn_id y = hn_make2(&c->make, HN_Mul, hn_make_cast(&c->make, *result, HONE_DTYPE_F32), c->scale);
  *result = c->bias == HN_NONE ? y : hn_make2(&c->make, HN_Add, y, c->bias);
  return c->make.st;
}

/* ---- weights of few bits: rows of blocks, for each a scale and, packed as the weights are, a zero point */

typedef struct packed {
  int64_t k, n, bits, block, blocks;
  const hn_tensor *weights, *scales, *zeros;
} packed;

/* Number i of a row that begins at a whole byte. */
static int64_t number_at(const hn_tensor *t, int64_t row_bytes, int64_t row, int64_t i, int64_t bits) {
  const uint8_t *p = (const uint8_t *)t->data + row * row_bytes;
  return bits == 8 ? p[i] : p[i / 2] >> (i % 2 ? 4 : 0) & 15;
}

static hone_status describe(const hn_contrib *c, packed *p) {
  enum { MOST = 1 << 24 }; /* so that no product of them overflows */
  hn_graph *g = c->make.g;
  const hn_node *n = hn_node_at(g, c->node);
  *p = (packed){.k = hn_attr_i(n, "K", 0), .n = hn_attr_i(n, "N", 0), .bits = hn_attr_i(n, "bits", 4), .block = hn_attr_i(n, "block_size", 0)};
  for (uint32_t i = 0; i < 3; i++) HN_TRY(need(c, i));
  if (p->bits != 4 && p->bits != 8) return refuse(c, HONE_UNSUPPORTED, "weights of other than 4 or 8 bits");
  if (p->k < 1 || p->n < 1 || p->block < 2 || p->block % 2 || p->k > MOST || p->n > MOST || p->block > MOST) return refuse(c, HONE_BAD_GRAPH, "K, N or block_size is out of range");
  if (input(c, 4) != HN_NONE) return refuse(c, HONE_UNSUPPORTED, "a group index (g_idx)");
  p->blocks = (p->k + p->block - 1) / p->block;
  p->weights = hn_const(g, c->in[1]), p->scales = hn_const(g, c->in[2]), p->zeros = hn_const(g, input(c, 3));
  if (!p->weights || !p->scales || (input(c, 3) != HN_NONE && !p->zeros)) return refuse(c, HONE_UNSUPPORTED, "weights, scales and zero points must be constants");
  int64_t zero_row = p->bits == 8 ? p->blocks : (p->blocks + 1) / 2;
  if (p->weights->dtype != HONE_DTYPE_U8 || p->weights->count != p->n * p->blocks * p->block * p->bits / 8 || p->scales->count != p->n * p->blocks)
    return refuse(c, HONE_BAD_GRAPH, "weights or scales are not as many as K, N, bits and block_size say");
  if (p->scales->dtype != HONE_DTYPE_F32) return refuse(c, HONE_UNSUPPORTED, "scales of other than single precision");
  if (p->zeros && p->zeros->dtype != HONE_DTYPE_U8) return refuse(c, HONE_UNSUPPORTED, "zero points of other than the weights' type");
  if (p->zeros && p->zeros->count != p->n * zero_row) return refuse(c, HONE_BAD_GRAPH, "zero points are not as many as K, N and block_size say");
  return HONE_OK;
}

/* The weights [K, N] as signed numbers, the zero point of all where there are none taken off; scales and zero points [blocks, N]. */
static void unpack(const packed *p, hn_tensor *w, hn_tensor *scales, hn_tensor *zeros) {
  int64_t middle = (int64_t)1 << (p->bits - 1), row = p->blocks * p->block * p->bits / 8, zero_row = p->bits == 8 ? p->blocks : (p->blocks + 1) / 2;
  for (int64_t i = 0; i < p->n; i++) {
    for (int64_t j = 0; j < p->k; j++) hn_store_i64(w->dtype, w->data, (size_t)(j * p->n + i), number_at(p->weights, row, i, j, p->bits) - middle);
    for (int64_t b = 0; b < p->blocks; b++) {
      ((float *)scales->data)[b * p->n + i] = ((const float *)p->scales->data)[i * p->blocks + b];
      if (zeros) hn_store_i64(zeros->dtype, zeros->data, (size_t)(b * p->n + i), number_at(p->zeros, zero_row, i, b, p->bits) - middle);
    }
  }
}

hone_status hn_contrib_small_weights(hn_contrib *c) {
  packed p;
  hn_maker *m = &c->make;
  hn_tensor *w = NULL, *scales = NULL, *zeros = NULL;
  HN_TRY(describe(c, &p));
  hn_dtype type = p.bits == 8 ? HONE_DTYPE_I8 : HONE_DTYPE_I4;
  const int64_t by_block[] = {p.blocks, p.n};
  hone_status st = hn_tensor_create(m->g->cx, type, 2, (int64_t[]){p.k, p.n}, &w);
  if (!st) st = hn_tensor_create(m->g->cx, HONE_DTYPE_F32, 2, by_block, &scales);
  if (!st && p.zeros) st = hn_tensor_create(m->g->cx, type, 2, by_block, &zeros);
  if (st) {
    hn_tensor_unref(w);
    hn_tensor_unref(scales);
    return st;
  }
  unpack(&p, w, scales, zeros);
  hn_id of[3] = {hn_make_constant(m, w), hn_make_constant(m, scales), zeros ? hn_make_constant(m, zeros) : HN_NONE};
  hn_id dq = hn_make_node(m, HN_DequantizeLinear, of, zeros ? 3 : 2, 1);
  if (!m->st) hn_set_i(m->g, dq, "axis", 0), hn_set_i(m->g, dq, "block_size", p.block);
  c->bias = input(c, 5);
  c->in[1] = hn_make_done(m, dq);
  c->n = 2;
  static const char *const own[] = {"K", "N", "bits", "block_size", "accuracy_level", "weight_prepacked"};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) hn_attr_remove(m->g, c->node, own[i]);
  return m->st;
}

hone_status hn_contrib_small_weights_result(hn_contrib *c, hn_id *result) {
  if (c->bias != HN_NONE) *result = hn_make2(&c->make, HN_Add, *result, c->bias);
  return c->make.st;
}
