/* move_quantize.c - explicit quantization made into the form that integer kernels take over: conversions that undo each
   other go, dequantization moves towards the outputs and quantization towards the inputs through layers that only move
   or pick, and operators with scales of their own are written as a layer between conversions. */
#include "pass/pass.h"

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }

/* One scale above 0, and one zero point or none. */
static bool one_scale(const hn_match *m, hn_id scale, hn_id zero, double *s, double *z) {
  *z = 0;
  return hn_scalar_of(m->g, scale, s) && *s > 0 && hn_dtype_of(m->g, scale) == HONE_DTYPE_F32 && (zero == HN_NONE || hn_scalar_of(m->g, zero, z));
}

/* ---- Q(DQ(x)) with the same scale */

static bool undo_each_other(hn_match *m) {
  double s, z, t, y;
  return one_scale(m, m->value[3], m->value[4], &s, &z) && one_scale(m, m->value[5], m->value[6], &t, &y) && s == t && z == y &&
         hn_is_8bit(hn_dtype_of(m->g, m->value[1])) && hn_dtype_of(m->g, m->value[1]) == hn_dtype_of(m->g, hn_out(root(m), 0));
}
static hn_id integers(hn_match *m) { return m->value[1]; }

/* ---- layers that only move or pick; their result has no other values than their input */

static const hn_op alone[] = {HN_MaxPool, HN_Flatten, HN_Transpose, HN_Squeeze, HN_OP_NONE};
static const hn_op with_shape[] = {HN_Reshape, HN_Squeeze, HN_Unsqueeze, HN_OP_NONE};

static bool one_output(const hn_node *n) { return n->n_out == 1 && !n->n_post; }

static bool may_sink(hn_match *m) {
  double s, z;
  return one_output(root(m)) && hn_is_8bit(hn_dtype_of(m->g, m->value[1])) && one_scale(m, m->value[3], m->value[4], &s, &z);
}

/* The layer over the integers, and then the dequantization. */
static hn_id sink(hn_match *m) {
  hn_id copy = hn_emit_copy(m, m->root);
  if (copy == HN_NONE) return HN_NONE;
  hn_set_input(m->g, copy, 0, m->value[1]);
  hn_id in[3] = {hn_first(m, copy), m->value[3], m->value[4]};
  return hn_first(m, hn_emit(m, HN_DequantizeLinear, in, m->value[4] == HN_NONE ? 2 : 3));
}

/* Weights with a scale for each channel: their axis moves with the dimensions. */
static bool are_weights(hn_match *m) {
  const hn_tensor *w = hn_const(m->g, m->value[1]), *s = hn_const(m->g, m->value[3]);
  return one_output(root(m)) && w && s && hn_is_8bit(w->dtype) && s->rank == 1 && s->count > 1 && !hn_attr_i(hn_node_at(m->g, m->node[2]), "block_size", 0);
}

static hn_id turn(hn_match *m) {
  int64_t perm[HN_MAX_RANK];
  int32_t rank = hn_const(m->g, m->value[1])->rank, axis = hn_axis_of(hn_node_at(m->g, m->node[2]), 1, rank), to = 0;
  hn_transpose_perm(root(m), rank, perm);
  while (perm[to] != axis) to++;
  hn_id in[3] = {hn_emit_transpose(m, m->value[1], perm, (size_t)rank), m->value[3], m->value[4]};
  hn_id n = in[0] == HN_NONE ? HN_NONE : hn_emit(m, HN_DequantizeLinear, in, m->value[4] == HN_NONE ? 2 : 3);
  if (n != HN_NONE) hn_set_i(m->g, n, "axis", to);
  return hn_first(m, n);
}

static bool may_rise(hn_match *m) {
  double s, z;
  return one_output(hn_node_at(m->g, m->node[2])) && hn_is_8bit(hn_dtype_of(m->g, hn_out(root(m), 0))) && one_scale(m, m->value[3], m->value[4], &s, &z) &&
         hn_dtype_of(m->g, m->value[1]) == HONE_DTYPE_F32;
}

/* The quantization, and then the layer over its integers. */
static hn_id rise(hn_match *m) {
  hn_id q = hn_emit_copy(m, m->root);
  if (q == HN_NONE) return HN_NONE;
  hn_set_input(m->g, q, 0, m->value[1]);
  hn_id copy = hn_emit_copy(m, m->node[2]);
  if (copy == HN_NONE) return HN_NONE;
  hn_set_input(m->g, copy, 0, hn_first(m, q));
  return hn_first(m, copy);
}

/* ---- QLinearConv, QLinearMatMul */

static hn_id dequantized(hn_match *m, hn_id x, hn_id scale, hn_id zero, int64_t axis) {
  hn_id in[3] = {x, scale, zero};
  hn_id n = hn_emit(m, HN_DequantizeLinear, in, zero == HN_NONE ? 2 : 3);
  if (n != HN_NONE && axis >= 0) hn_set_i(m->g, n, "axis", axis);
  return hn_first(m, n);
}

static hn_id quantized(hn_match *m, hn_id x, hn_id scale, hn_id zero) {
  hn_id in[3] = {x, scale, zero};
  return x == HN_NONE ? HN_NONE : hn_first(m, hn_emit(m, HN_QuantizeLinear, in, zero == HN_NONE ? 2 : 3));
}

static bool scales_are_known(hn_match *m) {
  const hn_node *n = root(m);
  double s, z;
  const hn_tensor *w = hn_const(m->g, hn_in(n, 4));
  if (!one_scale(m, hn_in(n, 1), hn_in(n, 2), &s, &z) || !one_scale(m, hn_in(n, 6), hn_in(n, 7), &s, &z) || !w || w->dtype != HONE_DTYPE_F32) return false;
  if (w->rank > 1 || (n->op == HN_QLinearMatMul && w->count > 1 && hn_rank_of(m->g, hn_in(n, 3)) != 2)) return false;
  return hn_is_8bit(hn_dtype_of(m->g, hn_in(n, 0))) && hn_is_8bit(hn_dtype_of(m->g, hn_in(n, 3))) && (hn_in(n, 8) == HN_NONE || hn_const(m->g, hn_in(n, 8)));
}

/* A bias counts units of the product: the scale of the input times that of the weights. */
static hn_id real_bias(hn_match *m, hn_id bias, hn_id input_scale, hn_id weight_scale) {
  const hn_tensor *w = hn_const(m->g, weight_scale);
  double s, *v = hn_calloc((size_t)w->count, sizeof *v);
  if (!v || !hn_scalar_of(m->g, input_scale, &s)) {
    hn_free(v);
    return HN_NONE;
  }
  for (int64_t i = 0; i < w->count; i++) v[i] = (double)(float)(s * hn_tensor_f(w, (size_t)i));
  hn_id scale = w->count > 1 ? hn_emit_vector(m, HONE_DTYPE_F32, v, (size_t)w->count) : hn_emit_scalar(m, HONE_DTYPE_F32, v[0]);
  hn_free(v);
  return scale == HN_NONE ? HN_NONE : dequantized(m, bias, scale, HN_NONE, 0);
}

static hn_id spell_out(hn_match *m) {
  hn_node old = *root(m);
  bool conv = old.op == HN_QLinearConv;
  hn_id in[3] = {dequantized(m, old.in[0], old.in[1], hn_in(&old, 2), -1), dequantized(m, old.in[3], old.in[4], hn_in(&old, 5), conv ? 0 : 1), HN_NONE};
  bool bias = hn_in(&old, 8) != HN_NONE;
  if (bias) in[2] = real_bias(m, old.in[8], old.in[1], old.in[4]);
  if (in[0] == HN_NONE || in[1] == HN_NONE || (bias && in[2] == HN_NONE)) return HN_NONE;
  hn_id n = hn_emit(m, conv ? HN_Conv : HN_MatMul, in, bias ? 3 : 2);
  if (n != HN_NONE) hn_attr_copy_all(m->g, n, &old);
  return quantized(m, hn_first(m, n), old.in[6], hn_in(&old, 7));
}

static const hn_op with_scales[] = {HN_QLinearConv, HN_QLinearMatMul, HN_OP_NONE};
#define DEQUANTIZE P_SHARED(2, DequantizeLinear, P_ANY(1), P_SCALAR(3), P_CONST_MAYBE(4))

const hn_rule hn_rules_move_quantize[] = {
    {"undo", "quantization of what was dequantized with the same scale", true,
     P_OP(0, QuantizeLinear, DEQUANTIZE, P_SCALAR(5), P_CONST_MAYBE(6)), undo_each_other, integers},
    {"sink", "a layer that moves or picks, before dequantization", true, P_SET(0, 0, alone, DEQUANTIZE), may_sink, sink},
    {"sink-shape", "the same with a shape or axes", true, P_SET(0, 0, with_shape, DEQUANTIZE, P_ANY(7)), may_sink, sink},
    {"turn-weights", "a transpose of weights with a scale for each channel, before dequantization", true,
     P_OP(0, Transpose, P_SHARED(2, DequantizeLinear, P_CONST(1), P_CONST(3), P_CONST_MAYBE(4))), are_weights, turn},
    {"rise", "quantization before a layer that moves or picks", true,
     P_OP(0, QuantizeLinear, P_SET(0, 2, alone, P_ANY(1)), P_SCALAR(3), P_CONST_MAYBE(4)), may_rise, rise},
    {"rise-shape", "the same with a shape or axes", true,
     P_OP(0, QuantizeLinear, P_SET(0, 2, with_shape, P_ANY(1), P_ANY(7)), P_SCALAR(3), P_CONST_MAYBE(4)), may_rise, rise},
    {"spell-out", "a layer with scales of its own as one between conversions", false, P_ONE_OF(0, 0, with_scales), scales_are_known, spell_out},
};
const uint32_t hn_rules_move_quantize_count = sizeof hn_rules_move_quantize / sizeof *hn_rules_move_quantize;
