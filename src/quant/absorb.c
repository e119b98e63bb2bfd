#include "quant/absorb.h"

#include <math.h>
#include <string.h>

#include "rewrite/rewrite.h"

/* How operators take integers in the place of reals. */
typedef enum manner {
  MANNER_NONE,
  MANNER_LINEAR,      /* products: activations of one scale, constant weights of one a channel or other activations */
  MANNER_ELEMENTWISE, /* any scales; averages, images of other sizes, attention and normalization as well */
  MANNER_CONVERT,     /* from or to floats of 16 bits */
  MANNER_RECURRENT,   /* weights of signed bytes, where the node rounds what they meet */
  MANNER_SAME         /* the integers themselves, where all of them have one scale */
} manner;

static manner manner_of(hn_op op) {
  switch (op) {
    case HN_Conv:
    case HN_ConvTranspose:
    case HN_MatMul:
    case HN_Gemm: return MANNER_LINEAR;
    case HN_RNN:
    case HN_GRU:
    case HN_LSTM: return MANNER_RECURRENT;
    case HN_AveragePool:
    case HN_GlobalAveragePool:
    case HN_Resize:
    case HN_Attention:
    case HN_LayerNormalization:
    case HN_RMSNormalization:
    case HN_InstanceNormalization:
    case HN_GroupNormalization:
    case HN_Softmax:
    case HN_LogSoftmax: return MANNER_ELEMENTWISE;
    case HN_MaxPool:
    case HN_GlobalMaxPool:
    case HN_Concat:
    case HN_Split:
    case HN_Slice:
    case HN_Transpose:
    case HN_Reshape:
    case HN_Flatten:
    case HN_Squeeze:
    case HN_Unsqueeze:
    case HN_Expand:
    case HN_Pad:
    case HN_Tile:
    case HN_Gather:
    case HN_DepthToSpace:
    case HN_SpaceToDepth:
    case HN_Identity: return MANNER_SAME;
    case HN_Cast: return MANNER_CONVERT;
    case HN_IsInf:
    case HN_IsNaN:
    case HN_Not: return MANNER_NONE;
    default: return hn_op_is(op, HN_OP_UNARY | HN_OP_BINARY | HN_OP_VARIADIC) ? MANNER_ELEMENTWISE : MANNER_NONE;
  }
}

static bool usable(double scale) { return scale > 0 && isfinite((float)scale) && isfinite(1 / scale); }

/* Scale and zero point of a QuantizeLinear or DequantizeLinear that has one of each. */
static bool one_scale(const hn_graph *g, const hn_node *n, hn_quant *q) {
  double scale, zero = 0;
  if (hn_dtype_of(g, hn_in(n, 1)) != HONE_DTYPE_F32 || !hn_scalar_of(g, hn_in(n, 1), &scale) || !usable(scale)) return false;
  if (hn_in(n, 2) != HN_NONE && !hn_scalar_of(g, hn_in(n, 2), &zero)) return false;
  *q = (hn_quant){.scale = (float)scale, .zero = (int32_t)zero};
  return true;
}

/* Integers to which nothing is done as such but to move them: whoever counts with them would take them for the reals they stand for. */
static bool only_moved(const hn_graph *g, hn_id v) {
  const hn_value *x = hn_value_at(g, v);
  hn_op by = x->producer == HN_NONE ? HN_QuantizeLinear : hn_node_at(g, x->producer)->op;
  if (by != HN_QuantizeLinear && by != HN_DynamicQuantizeLinear && manner_of(by) != MANNER_SAME) return false;
  for (uint32_t u = 0; u < x->n_users; u++) {
    hn_op op = hn_node_at(g, x->users[u])->op;
    if (op != HN_DequantizeLinear && manner_of(op) != MANNER_SAME) return false;
  }
  return true;
}

/* The integers that stand for a value, if a DequantizeLinear made it of them. */
static hn_id integers_of(const hn_graph *g, hn_id value, hn_quant *q) {
  hn_id id = value == HN_NONE ? HN_NONE : hn_producer(g, value);
  if (id == HN_NONE || hn_node_at(g, id)->op != HN_DequantizeLinear || hn_node_at(g, id)->n_post) return HN_NONE;
  const hn_node *n = hn_node_at(g, id);
  if (!hn_is_8bit(hn_dtype_of(g, n->in[0])) || hn_dtype_of(g, value) != HONE_DTYPE_F32 || !one_scale(g, n, q)) return HN_NONE;
  const hn_quant *known = hn_value_at(g, n->in[0])->quant;
  if (known ? known->scales || known->scale != q->scale || known->zero != q->zero : !hn_const(g, n->in[0]) && !only_moved(g, n->in[0])) return HN_NONE;
  return n->in[0];
}

/* The one QuantizeLinear that reads a value. */
static hn_id only_quantizer(const hn_graph *g, hn_id value, hn_quant *q) {
  if (!hn_used_once(g, value)) return HN_NONE;
  hn_id id = hn_value_at(g, value)->users[0];
  const hn_node *n = hn_node_at(g, id);
  if (n->op != HN_QuantizeLinear || n->in[0] != value || !hn_is_8bit(hn_dtype_of(g, n->out[0])) || !one_scale(g, n, q) ||
      hn_attr_i(n, "precision", HONE_DTYPE_F32) > HONE_DTYPE_F32)
    return HN_NONE;
  return id;
}

static void set_quant(hn_graph *g, hn_id value, const hn_quant *q) {
  hn_quant *copy = hn_arena_memdup(g->arena, q, sizeof *q);
  if (!copy) g->oom = true;
  hn_value_at(g, value)->quant = copy;
}

static void take_input(hn_graph *g, hn_id node, uint32_t i, hn_id integers, const hn_quant *q) {
  set_quant(g, integers, q);
  hn_set_input(g, node, i, integers);
}

/* Output 0 of the node becomes what the quantizer made of it. */
static void take_output(hn_graph *g, hn_id node, hn_id quantizer, const hn_quant *q) {
  hn_id out = hn_node_at(g, node)->out[0], whole = hn_node_at(g, quantizer)->out[0];
  hn_value_at(g, out)->dtype = hn_value_at(g, whole)->dtype;
  set_quant(g, out, q);
  hn_replace_uses(g, whole, out);
  hn_remove_node(g, quantizer);
}

/* ------------------------------------------------------------------------------------------ weights */

/* The axis of the weights along which the output's channels lie; -1: none that a kernel takes. */
static int32_t channel_axis(const hn_graph *g, const hn_node *n) {
  int32_t rank = hn_rank_of(g, hn_in(n, 1));
  if (n->op == HN_Conv) return 0;
  if (n->op == HN_ConvTranspose) return hn_attr_i(n, "group", 1) == 1 ? 1 : -1;
  if (n->op == HN_MatMul) return rank == 2 ? 1 : -1;
  return hn_attr_i(n, "transB", 0) ? 0 : 1;
}

/* The same numbers less the zero point as signed integers; NULL if they do not fit. */
static hn_tensor *without_zero(hn_graph *g, const hn_tensor *w, int64_t zero) {
  if (w->dtype == HONE_DTYPE_I8 && !zero) return hn_tensor_ref(w);
  hn_tensor *t = NULL;
  if (hn_tensor_create(g->cx, HONE_DTYPE_I8, w->rank, w->dims, &t)) return NULL;
  for (int64_t i = 0; i < w->count; i++) {
    int64_t v = hn_tensor_i(w, (size_t)i) - zero;
    if (v < -128 || v > 127) {
      hn_tensor_unref(t);
      return NULL;
    }
    ((int8_t *)t->data)[i] = (int8_t)v;
  }
  return t;
}

/* The zero points as one number; false if they differ. */
static bool one_zero(const hn_tensor *z, int64_t *zero) {
  *zero = z && z->count ? hn_tensor_i(z, 0) : 0;
  for (int64_t i = 1; z && i < z->count; i++)
    if (hn_tensor_i(z, (size_t)i) != *zero) return false;
  return true;
}

/* Constant integer weights with a scale for all or for each channel, as a new constant; HN_NONE: they are not. */
static hn_id weights_of(hn_graph *g, const hn_node *n, hn_quant *q) {
  hn_id id = hn_producer(g, hn_in(n, 1));
  int32_t axis = channel_axis(g, n);
  if (id == HN_NONE || axis < 0 || hn_node_at(g, id)->op != HN_DequantizeLinear || hn_node_at(g, id)->n_post) return HN_NONE;
  const hn_node *dq = hn_node_at(g, id);
  const hn_tensor *w = hn_const(g, hn_in(dq, 0)), *s = hn_const(g, hn_in(dq, 1)), *z = hn_const(g, hn_in(dq, 2));
  int64_t zero;
  if (!w || !hn_is_8bit(w->dtype) || !s || s->dtype != HONE_DTYPE_F32 || s->count < 1 || hn_attr_i(dq, "block_size", 0)) return HN_NONE;
  if ((hn_in(dq, 2) != HN_NONE && !z) || !one_zero(z, &zero)) return HN_NONE;
  if (s->count > 1 && (hn_axis_of(dq, 1, w->rank) != axis || s->count != w->dims[axis])) return HN_NONE;
  for (int64_t i = 0; i < s->count; i++)
    if (!usable(hn_tensor_f(s, (size_t)i))) return HN_NONE;
  hn_tensor *t = without_zero(g, w, zero);
  if (!t) return HN_NONE;
  *q = (hn_quant){.scale = (float)hn_tensor_f(s, 0), .scales = s->count > 1 ? s : NULL, .axis = axis};
  return hn_graph_add_constant(g, NULL, t);
}

/* A constant bias as floats; HN_NONE: it is none. */
static hn_id bias_of(hn_graph *g, hn_id value, hn_eval_node_fn eval) {
  hn_id id = hn_producer(g, value);
  hn_tensor *out = NULL;
  if (id == HN_NONE || hn_node_at(g, id)->op != HN_DequantizeLinear || !hn_const(g, hn_node_at(g, id)->in[0])) return HN_NONE;
  if (eval(g, id, &out)) return HN_NONE;
  return hn_graph_add_constant(g, NULL, out);
}

static bool all_fixed(const hn_graph *g, const hn_node *n) {
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i] != HN_NONE && !hn_shape_fixed(&hn_value_at(g, n->in[i])->shape)) return false;
  for (uint32_t i = 0; i < n->n_out; i++)
    if (n->out[i] != HN_NONE && !hn_shape_fixed(&hn_value_at(g, n->out[i])->shape)) return false;
  return true;
}

/* Inputs from..end that are integers too. */
static void take_inputs(hn_graph *g, hn_id id, uint32_t from, uint32_t end) {
  for (uint32_t i = from; i < end; i++) {
    hn_quant q;
    hn_id integers = integers_of(g, hn_node_at(g, id)->in[i], &q);
    if (integers != HN_NONE && !hn_const(g, integers)) take_input(g, id, i, integers, &q);
  }
}

static void take_result(hn_graph *g, hn_id id) {
  hn_quant q;
  hn_id quantizer = only_quantizer(g, hn_node_at(g, id)->out[0], &q);
  if (quantizer != HN_NONE) take_output(g, id, quantizer, &q);
}

/* Products as the integer kernels do them. */
static bool plain_product(const hn_node *n) {
  if (n->op != HN_Gemm) return true;
  return !hn_attr_i(n, "transA", 0) && hn_attr_f(n, "alpha", 1) == 1 && (hn_in(n, 2) == HN_NONE || hn_attr_f(n, "beta", 1) == 1);
}

/* Floats times small weights: worth it where the weights are read for a few rows; for more, they are better opened. */
static void absorb_weights(hn_graph *g, hn_id id) {
  enum { FEW = 8 };
  const hn_node *n = hn_node_at(g, id);
  hn_id from = hn_producer(g, hn_in(n, 1));
  const hn_node *dq = from == HN_NONE ? NULL : hn_node_at(g, from);
  if (n->op == HN_Conv || n->op == HN_ConvTranspose || !dq || dq->op != HN_DequantizeLinear || dq->n_post || hn_in(dq, 2) != HN_NONE || !plain_product(n)) return;
  const hn_tensor *w = hn_const(g, hn_in(dq, 0)), *s = hn_const(g, hn_in(dq, 1));
  hn_shape shape = hn_shape_of_value(g, n->in[0]);
  if (!w || w->rank != 2 || (w->dtype != HONE_DTYPE_I8 && w->dtype != HONE_DTYPE_I4) || !s || s->dtype != HONE_DTYPE_F32 || shape.rank < 1) return;
  int64_t rows = 1, block = hn_attr_i(dq, "block_size", 0);
  for (int32_t i = 0; i < shape.rank - 1; i++) rows *= shape.d[i];
  int32_t columns = channel_axis(g, n), axis = s->count == 1 ? columns : hn_axis_of(dq, 1, 2);
  if (rows > FEW || columns < 0 || axis < 0 || (block ? axis == columns || block % 32 : axis != columns)) return;
  hn_quant q = {.scale = (float)hn_tensor_f(s, 0), .scales = s->count > 1 ? s : NULL, .axis = axis, .block = block};
  hn_id weights = hn_in(dq, 0);
  if (hn_value_at(g, weights)->quant) return;
  take_input(g, id, 1, weights, &q);
}

static void absorb_linear(hn_graph *g, hn_id id, hn_eval_node_fn eval) {
  hn_quant qx, qw;
  if (!plain_product(hn_node_at(g, id))) return;
  hn_id x = integers_of(g, hn_in(hn_node_at(g, id), 0), &qx);
  if (x == HN_NONE) absorb_weights(g, id);
  if (x == HN_NONE || hn_const(g, x)) return;
  hn_id bias = hn_in(hn_node_at(g, id), 2);
  if (bias != HN_NONE && !hn_const(g, bias) && (bias = bias_of(g, bias, eval)) == HN_NONE) return;
  hn_id w = weights_of(g, hn_node_at(g, id), &qw);
  if (w == HN_NONE && hn_node_at(g, id)->op == HN_MatMul) w = integers_of(g, hn_in(hn_node_at(g, id), 1), &qw);
  if (w == HN_NONE) return;
  take_input(g, id, 0, x, &qx);
  take_input(g, id, 1, w, &qw);
  if (bias != HN_NONE) hn_set_input(g, id, 2, bias);
  take_inputs(g, id, hn_node_at(g, id)->n_main, hn_node_at(g, id)->n_in);
  take_result(g, id);
}

/* Gates' weights [direction][row][k] with one scale, one for each row in both directions, or one for each row (a block is a row). */
static bool scaled_by_rows(const hn_node *dq, const hn_tensor *w, const hn_tensor *s, hn_quant *q) {
  int64_t block = hn_attr_i(dq, "block_size", 0);
  int32_t axis = hn_axis_of(dq, 1, 3);
  *q = (hn_quant){.scale = (float)hn_tensor_f(s, 0), .scales = block || s->count > 1 ? s : NULL, .axis = axis, .block = block};
  if (block) return axis == 2 && block >= w->dims[2] && s->count == w->dims[0] * w->dims[1];
  return s->count == 1 || (axis == 1 && s->count == w->dims[1]);
}

/* W and R, both or none. */
static void absorb_recurrent(hn_graph *g, hn_id id) {
  hn_id small[2];
  hn_quant q[2];
  if (!hn_attr_i(hn_node_at(g, id), "dynamic", 0)) return;
  for (uint32_t i = 0; i < 2; i++) {
    hn_id from = hn_producer(g, hn_in(hn_node_at(g, id), 1 + i));
    const hn_node *dq = from == HN_NONE ? NULL : hn_node_at(g, from);
    if (!dq || dq->op != HN_DequantizeLinear || dq->n_post || hn_in(dq, 2) != HN_NONE) return;
    const hn_tensor *w = hn_const(g, hn_in(dq, 0)), *s = hn_const(g, hn_in(dq, 1));
    if (!w || w->dtype != HONE_DTYPE_I8 || w->rank != 3 || !s || s->dtype != HONE_DTYPE_F32 || s->count < 1 || hn_value_at(g, dq->in[0])->quant) return;
    if (!scaled_by_rows(dq, w, s, &q[i])) return;
    small[i] = dq->in[0];
  }
  if (small[0] == small[1]) return; /* of one value with two uses one scale is kept */
  for (uint32_t i = 0; i < 2; i++) take_input(g, id, 1 + i, small[i], &q[i]);
}

/* Inputs that hold data rather than shapes, axes or sizes; those of the epilogue lie behind the node's own. */
static uint32_t data_inputs(const hn_node *n) {
  if (n->op == HN_Attention) return 3;
  return n->op == HN_Concat || hn_op_is(n->op, HN_OP_UNARY | HN_OP_BINARY | HN_OP_VARIADIC) ? n->n_main : 1;
}

static void absorb_elementwise(hn_graph *g, hn_id id) {
  hn_quant q;
  bool any = false;
  const hn_node *n = hn_node_at(g, id);
  if (n->n_out != 1 || hn_dtype_of(g, n->out[0]) != HONE_DTYPE_F32) return;
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (n->in[i] == HN_NONE || (i >= data_inputs(n) && i < n->n_main)) continue;
    if (hn_dtype_of(g, n->in[i]) != HONE_DTYPE_F32) return;
    any = any || integers_of(g, n->in[i], &q) != HN_NONE;
  }
  if (!any) return;
  take_inputs(g, id, 0, data_inputs(n));
  take_inputs(g, id, n->n_main, n->n_in);
  take_result(g, id);
}

/* Between layers in 8 and in 16 bits there is one conversion: a Cast to short floats reads the integers, one from them gives some. */
static void absorb_cast(hn_graph *g, hn_id id) {
  const hn_node *n = hn_node_at(g, id);
  hn_dtype from = hn_dtype_of(g, n->in[0]), to = hn_dtype_of(g, n->out[0]);
  hn_quant q;
  hn_id x;
  if (n->n_post) return;
  if (from == HONE_DTYPE_F32 && hn_is_half(to) && (x = integers_of(g, n->in[0], &q)) != HN_NONE && !hn_const(g, x)) take_input(g, id, 0, x, &q);
  else if (to == HONE_DTYPE_F32 && hn_is_half(from)) take_result(g, id);
}

/* A constant of floats as the integers that a QuantizeLinear makes of it; HN_NONE: it is none. */
static hn_id constant_as(hn_graph *g, hn_id value, const hn_quant *q, hn_dtype type) {
  const hn_tensor *from = hn_const(g, value);
  hn_tensor *t = NULL;
  if (!from || from->dtype != HONE_DTYPE_F32 || hn_tensor_create(g->cx, type, from->rank, from->dims, &t)) return HN_NONE;
  double low = type == HONE_DTYPE_I8 ? -128 : 0;
  for (int64_t i = 0; i < from->count; i++) {
    float v = ((const float *)from->data)[i];
    double r = isnan(v) ? q->zero : rint((double)(v / q->scale)) + q->zero;
    hn_store_i64(type, t->data, (size_t)i, (int64_t)fmax(low, fmin(low + 255, r)));
  }
  return hn_graph_add_constant(g, NULL, t);
}

/* The integers that data input i is made of; q's fields say of which scale. */
static hn_id part_of(const hn_graph *g, const hn_node *n, uint32_t i, hn_quant *q) {
  hn_id x = integers_of(g, n->in[i], q);
  return x == HN_NONE || hn_const(g, x) ? HN_NONE : x;
}

/* What all parts are quantized by, those of a Concat that are constant floats left out; false: they differ. */
static bool common_scale(const hn_graph *g, const hn_node *n, hn_quant *q, hn_dtype *type) {
  *type = HONE_DTYPE_UNDEFINED;
  for (uint32_t i = 0; i < data_inputs(n); i++) {
    hn_quant own;
    hn_id x = part_of(g, n, i, &own);
    const hn_tensor *c = hn_const(g, n->in[i]);
    if (x == HN_NONE && n->op == HN_Concat && c && c->dtype == HONE_DTYPE_F32) continue;
    if (x == HN_NONE || (*type && (own.scale != q->scale || own.zero != q->zero || hn_dtype_of(g, x) != *type))) return false;
    *q = own;
    *type = hn_dtype_of(g, x);
  }
  return *type != HONE_DTYPE_UNDEFINED;
}

/* What Pad fills with, as integers. */
static bool take_pad_value(hn_graph *g, hn_id id, const hn_quant *q, hn_dtype type) {
  const hn_node *n = hn_node_at(g, id);
  hn_id value = hn_in(n, 2), whole = HN_NONE;
  if (!hn_streq(hn_attr_s(n, "mode", "constant"), "constant")) return true;
  if (value != HN_NONE) whole = constant_as(g, value, q, type);
  else {
    hn_tensor *t = NULL;
    if (!hn_tensor_scalar_f(g->cx, type, q->zero, &t)) whole = hn_graph_add_constant(g, NULL, t);
  }
  if (whole == HN_NONE) return false;
  if (hn_node_at(g, id)->n_main > 2) hn_set_input(g, id, 2, whole);
  else hn_add_main_input(g, id, whole);
  return true;
}

/* Every output must be quantized as the inputs are. */
static void absorb_same(hn_graph *g, hn_id id) {
  const hn_node *n = hn_node_at(g, id);
  hn_quant first, q;
  hn_dtype type;
  if (n->n_post || !common_scale(g, n, &first, &type)) return;
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (n->out[i] == HN_NONE) continue;
    if (i && n->op == HN_MaxPool) return; /* indices */
    hn_id quantizer = only_quantizer(g, n->out[i], &q);
    if (quantizer == HN_NONE || q.scale != first.scale || q.zero != first.zero ||
        hn_dtype_of(g, hn_node_at(g, quantizer)->out[0]) != type)
      return;
  }
  if (n->op == HN_Pad && !take_pad_value(g, id, &first, type)) return;
  for (uint32_t i = 0; i < data_inputs(hn_node_at(g, id)); i++) {
    hn_id x = part_of(g, hn_node_at(g, id), i, &q);
    if (x != HN_NONE) take_input(g, id, i, x, &first);
    else if ((x = constant_as(g, hn_node_at(g, id)->in[i], &first, type)) != HN_NONE) take_input(g, id, i, x, &first);
  }
  for (uint32_t i = 0; i < hn_node_at(g, id)->n_out; i++) {
    hn_id out = hn_node_at(g, id)->out[i];
    if (out == HN_NONE) continue;
    hn_id quantizer = hn_value_at(g, out)->users[0], whole = hn_node_at(g, quantizer)->out[0];
    hn_value_at(g, out)->dtype = type;
    set_quant(g, out, &first);
    hn_replace_uses(g, whole, out);
    hn_remove_node(g, quantizer);
  }
}

hone_status hn_quant_open_constants(hn_graph *g, hn_eval_node_fn eval) {
  for (hn_id id = 0; id < g->nodes.n; id++) {
    const hn_node *n = hn_node_at(g, id);
    hn_tensor *out = NULL;
    if (n->dead || n->op != HN_DequantizeLinear || !hn_const(g, n->in[0])) continue;
    HN_TRY(eval(g, id, &out));
    hn_set_data(g, hn_node_at(g, id)->out[0], out);
    hn_remove_node(g, id);
  }
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}

hone_status hn_quant_absorb(hn_graph *g, hn_eval_node_fn eval) {
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  for (uint32_t i = 0; i < n; i++) {
    const hn_node *node = hn_node_at(g, order[i]);
    if (node->dead || !all_fixed(g, node)) continue;
    switch (manner_of(node->op)) {
      case MANNER_LINEAR: absorb_linear(g, order[i], eval); break;
      case MANNER_ELEMENTWISE: absorb_elementwise(g, order[i]); break;
      case MANNER_RECURRENT: absorb_recurrent(g, order[i]); break;
      case MANNER_CONVERT: absorb_cast(g, order[i]); break;
      case MANNER_SAME: absorb_same(g, order[i]); break;
      case MANNER_NONE: break;
    }
  }
  hn_free(order);
  hn_remove_dead(g);
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}
