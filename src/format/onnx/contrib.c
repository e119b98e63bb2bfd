#include "format/onnx/contrib.h"

#include <string.h>

#include "op/make.h"

typedef hone_status (*bring_inputs)(hn_graph *g, const char *node, hn_id *in, uint32_t *n);

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

static hone_status dynamic_lstm(hn_graph *g, const char *node, hn_id *in, uint32_t *n) {
  if (*n < R_SCALE + 1 || *n > DYNAMIC_INPUTS)
    return hn_fail(g->cx, HONE_BAD_GRAPH, "node '%s' (DynamicQuantizeLSTM) has %u inputs; takes 11 or 12", node, *n);
  if (*n == DYNAMIC_INPUTS - 1) in[DYNAMIC_INPUTS - 1] = HN_NONE;
  HN_TRY(open_weights(g, node, in, W, W_SCALE));
  HN_TRY(open_weights(g, node, in, R, R_SCALE));
  *n = OWN_INPUTS;
  while (*n && in[*n - 1] == HN_NONE) --*n;
  return HONE_OK;
}

/* ---- the table */

static const struct {
  const char *name;
  hn_op op;
  bring_inputs inputs;
  const char *attribute; /* set to 1 */
} known[] = {{"DynamicQuantizeLSTM", HN_LSTM, dynamic_lstm, "dynamic"}};

static int row_of(const char *name) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].name, name) == 0) return (int)i;
  return -1;
}

hn_op hn_contrib_op(const char *domain, const char *name) {
  int row = strcmp(domain, "com.microsoft") ? -1 : row_of(name);
  return row < 0 ? HN_OP_NONE : known[row].op;
}

hone_status hn_contrib_inputs(hn_graph *g, const char *op, const char *node, hn_id *in, uint32_t *n) {
  return known[row_of(op)].inputs(g, node, in, n);
}

void hn_contrib_attributes(hn_graph *g, const char *op, hn_id node) { hn_set_i(g, node, known[row_of(op)].attribute, 1); }
