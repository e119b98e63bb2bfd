#include "format/onnx/contrib.h"

#include <string.h>

/* ---- DynamicQuantizeLSTM: X, W, R, B, lengths, H, C, P, then scale and zero point of W and of R */

enum { W = 1, R = 2, OWN_INPUTS = 8, W_SCALE = 8, R_SCALE = 10, DYNAMIC_INPUTS = 12 };

/* Which of `count` scales column c of direction d has. */
static int64_t scale_of(int64_t count, int64_t directions, int64_t columns, int64_t d, int64_t c) {
  return count == 1 ? 0 : count == directions ? d : d * columns + c;
}

/* Weights [direction][k][column] as signed bytes [direction][column][k], with a scale for each column. */
static hone_status turn(hn_graph *g, const char *node, const hn_tensor *w, const hn_tensor *scale, const hn_tensor *zero, hn_tensor *to, hn_tensor *scales) {
  int64_t d = w->dims[0], k = w->dims[1], n = w->dims[2];
  for (int64_t i = 0; i < d * n; i++) {
    int64_t s = scale_of(scale->count, d, n, i / n, i % n), z = zero ? hn_tensor_i(zero, (size_t)scale_of(zero->count, d, n, i / n, i % n)) : 0;
    ((float *)scales->data)[i] = (float)hn_tensor_f(scale, (size_t)s);
    for (int64_t j = 0; j < k; j++) {
      int64_t v = hn_tensor_i(w, (size_t)((i / n * k + j) * n + i % n)) - z;
      if (v < -128 || v > 127)
        return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s' (DynamicQuantizeLSTM): a weight less its zero point is %lld, which no signed byte is", node, (long long)v);
      ((int8_t *)to->data)[i * k + j] = (int8_t)v;
    }
  }
  return HONE_OK;
}

static bool counts(const hn_tensor *t, const hn_tensor *w) {
  return t->count == 1 || t->count == w->dims[0] || t->count == w->dims[0] * w->dims[2];
}

/* Weights that are `which` of the inputs, behind a DequantizeLinear of blocks as long as a row. */
static hone_status open_weights(hn_graph *g, const char *node, hn_id *in, uint32_t which, uint32_t of_scale) {
  const hn_tensor *w = hn_const(g, in[which]), *scale = hn_const(g, in[of_scale]), *zero = hn_const(g, in[of_scale + 1]);
  if (!w || !scale || (in[of_scale + 1] != HN_NONE && !zero) || w->rank != 3 || !w->count || (w->dtype != HONE_DTYPE_I8 && w->dtype != HONE_DTYPE_U8) ||
      scale->dtype != HONE_DTYPE_F32 || !counts(scale, w) || (zero && (zero->dtype != w->dtype || !counts(zero, w))))
    return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s' (DynamicQuantizeLSTM): weights must be constants of 8 bits in 3 dimensions, with a scale for each direction or column",
                   node);
  hn_tensor *to = NULL, *scales = NULL;
  HN_TRY(hn_tensor_create(g->cx, HONE_DTYPE_I8, 3, (int64_t[]){w->dims[0], w->dims[2], w->dims[1]}, &to));
  hone_status st = hn_tensor_create(g->cx, HONE_DTYPE_F32, 3, (int64_t[]){w->dims[0], w->dims[2], 1}, &scales);
  if (!st) st = turn(g, node, w, scale, zero, to, scales);
  if (st) {
    hn_tensor_unref(to);
    hn_tensor_unref(scales);
    return st;
  }
  int64_t block = w->dims[1];
  hn_maker m = {.g = g, .name = node};
  hn_id operands[2] = {hn_make_constant(&m, to), hn_make_constant(&m, scales)};
  hn_id dq = hn_make_node(&m, HN_DequantizeLinear, operands, 2, 1);
  if (dq != HN_NONE) {
    hn_set_i(g, dq, "axis", 2);
    hn_set_i(g, dq, "block_size", block);
  }
  in[which] = hn_make_done(&m, dq);
  return m.st;
}

static hone_status dynamic_lstm(hn_contrib *c) {
  hn_graph *g = c->make.g;
  if (c->n < R_SCALE + 1 || c->n > DYNAMIC_INPUTS)
    return hn_fail(g->cx, HONE_BAD_GRAPH, "node '%s' (DynamicQuantizeLSTM) has %u inputs; takes 11 or 12", c->name, c->n);
  if (c->n == DYNAMIC_INPUTS - 1) c->in[DYNAMIC_INPUTS - 1] = HN_NONE;
  HN_TRY(open_weights(g, c->name, c->in, W, W_SCALE));
  HN_TRY(open_weights(g, c->name, c->in, R, R_SCALE));
  c->n = OWN_INPUTS;
  hn_set_i(g, c->node, "dynamic", 1);
  return HONE_OK;
}

/* ---- the table */

static hone_status as_it_is(hn_contrib *c) {
  (void)c;
  return HONE_OK;
}

static const struct {
  const char *name;
  hn_op op;
  hone_status (*lower)(hn_contrib *c);
  hone_status (*result)(hn_contrib *c, hn_id *result); /* NULL: the node's */
} known[] = {
    {"DynamicQuantizeLSTM", HN_LSTM, dynamic_lstm, NULL},
    {"QuantizeLinear", HN_QuantizeLinear, as_it_is, NULL}, /* of 16 and 4 bits before opset 21 */
    {"DequantizeLinear", HN_DequantizeLinear, as_it_is, NULL},
    {"QLinearAdd", HN_Add, hn_contrib_integers, hn_contrib_integers_result},
    {"QLinearMul", HN_Mul, hn_contrib_integers, hn_contrib_integers_result},
    {"QLinearSigmoid", HN_Sigmoid, hn_contrib_integers, hn_contrib_integers_result},
    {"QLinearLeakyRelu", HN_LeakyRelu, hn_contrib_integers, hn_contrib_integers_result},
    {"QLinearAveragePool", HN_AveragePool, hn_contrib_integers, hn_contrib_integers_result},
    {"QLinearGlobalAveragePool", HN_GlobalAveragePool, hn_contrib_integers, hn_contrib_integers_result},
    {"QLinearSoftmax", HN_Softmax, hn_contrib_integers, hn_contrib_integers_result},
    {"QLinearConcat", HN_Concat, hn_contrib_integers, hn_contrib_integers_result},
    {"QLinearWhere", HN_Where, hn_contrib_integers, hn_contrib_integers_result},
    {"QGemm", HN_Gemm, hn_contrib_gemm, hn_contrib_gemm_result},
    {"MatMulIntegerToFloat", HN_MatMulInteger, hn_contrib_scaled_product, hn_contrib_scaled_product_result},
    {"DynamicQuantizeMatMul", HN_MatMulInteger, hn_contrib_scaled_product, hn_contrib_scaled_product_result},
    {"MatMulNBits", HN_MatMul, hn_contrib_small_weights, hn_contrib_small_weights_result},
};

static int row_of(const char *name) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].name, name) == 0) return (int)i;
  return -1;
}

hn_op hn_contrib_op(const char *domain, const char *name) {
  int row = strcmp(domain, "com.microsoft") ? -1 : row_of(name);
  return row < 0 ? HN_OP_NONE : known[row].op;
}

hone_status hn_contrib_lower(hn_contrib *c) {
  HN_TRY(known[row_of(c->op)].lower(c));
  while (c->n && c->in[c->n - 1] == HN_NONE) c->n--;
  for (uint32_t i = 0; i < c->n; i++) hn_add_main_input(c->make.g, c->node, c->in[i]);
  return c->make.g->oom ? hn_nomem(c->make.g->cx) : HONE_OK;
}

hone_status hn_contrib_result(hn_contrib *c, hn_id *result) {
  hone_status (*make)(hn_contrib *, hn_id *) = known[row_of(c->op)].result;
  return make ? make(c, result) : HONE_OK;
}
