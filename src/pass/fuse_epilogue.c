/* fuse_epilogue.c - element-wise layers become steps of the layer that computes their operand: bias, activation,
   residual sum. An operand of a step is one more input of that layer; since nobody else reads the layer's result,
   the operand cannot depend on it, so no cycle can come of it. */
#include "op/infer.h"
#include "op/scalar.h"
#include "pass/pass.h"

/* Layers that take steps in: the linear ones, and element-wise ones, so that a chain of them is one pass over memory. */
static const hn_op anchors[] = {HN_Conv, HN_ConvTranspose, HN_Gemm, HN_MatMul, HN_Mul, HN_Add, HN_Sub, HN_Div, HN_OP_NONE};

static const hn_op unary[] = {HN_Relu,     HN_Sigmoid, HN_Tanh,     HN_HardSwish, HN_HardSigmoid, HN_LeakyRelu,
                              HN_Gelu,     HN_Elu,     HN_Swish,    HN_Mish,      HN_Selu,        HN_Celu,
                              HN_Softplus, HN_Softsign, HN_Abs,     HN_Neg,       HN_Exp,         HN_Sqrt,
                              HN_Erf,      HN_Round,   HN_Floor,    HN_Ceil,      HN_Reciprocal,  HN_ThresholdedRelu,
                              HN_OP_NONE};
static const hn_op binary[] = {HN_Add, HN_Mul, HN_Sub, HN_Div, HN_Max, HN_Min, HN_PRelu, HN_OP_NONE};

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }

/* Slot 2, the anchor's result, has the type and shape of the root's. */
static bool same_place(hn_match *m) {
  hn_id out = hn_out(root(m), 0);
  hn_dtype t = hn_dtype_of(m->g, out);
  return (t == HONE_DTYPE_F32 || t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16 || t == HONE_DTYPE_F64) &&
         hn_node_at(m->g, m->node[2])->n_out == 1 && hn_dtype_of(m->g, m->value[2]) == t &&
         hn_same_shape(m->g, m->value[2], out);
}

/* The anchor with one more step, and then the root's own steps. */
static hn_id with_step(hn_match *m, hn_id operand, bool swapped, float alpha, float beta) {
  hn_id copy = hn_emit_copy(m, m->node[2]);
  if (copy == HN_NONE) return HN_NONE;
  hn_node old = *root(m);
  hn_add_post(m->g, copy, old.op, operand, swapped, alpha, beta);
  for (uint32_t i = 0; i < old.n_post; i++) {
    hn_step s = old.post[i];
    hn_add_post(m->g, copy, s.op, s.operand == HN_NONE ? HN_NONE : old.in[s.operand], s.swapped, s.alpha, s.beta);
  }
  m->keep = m->node[2];
  return hn_first(m, copy);
}

static hn_id fuse_unary(hn_match *m) {
  float alpha, beta;
  hn_scalar_params(root(m), &alpha, &beta);
  return with_step(m, HN_NONE, false, alpha, beta);
}

static bool clip_bounds(hn_match *m) {
  m->num[0] = (double)hn_default_alpha(HN_Clip);
  m->num[1] = (double)hn_default_beta(HN_Clip);
  return same_place(m) && (m->value[3] == HN_NONE || hn_scalar_of(m->g, m->value[3], &m->num[0])) &&
         (m->value[4] == HN_NONE || hn_scalar_of(m->g, m->value[4], &m->num[1]));
}

static hn_id fuse_clip(hn_match *m) { return with_step(m, HN_NONE, false, (float)m->num[0], (float)m->num[1]); }

static bool operand_fits(hn_match *m) {
  return same_place(m) && m->value[3] != m->value[2] && hn_dtype_of(m->g, m->value[3]) == hn_dtype_of(m->g, m->value[2]) &&
         hn_broadcasts_into(m->g, m->value[3], m->value[2]);
}

static hn_id fuse_left(hn_match *m) { return with_step(m, m->value[3], false, 0, 0); }
static hn_id fuse_right(hn_match *m) { return with_step(m, m->value[3], true, 0, 0); }



static const hn_op ordered[] = {HN_Sub, HN_Div, HN_OP_NONE};
#define ANCHOR P_ONE_OF(HN_PATTERN_POST, 2, anchors)

const hn_rule hn_rules_fuse_epilogue[] = {
    {"unary", "an activation or other function of one operand", true, P_SET(HN_PATTERN_POST, 0, unary, ANCHOR), same_place,
     fuse_unary},
    {"clip", "a limit by constants", true, P_FLAGS(HN_PATTERN_POST, 0, Clip, ANCHOR, P_CONST_MAYBE(3), P_CONST_MAYBE(4)),
     clip_bounds, fuse_clip},
    {"binary", "bias, residual sum, gate: a second operand that broadcasts to the first", true,
     P_SET(HN_PATTERN_POST, 0, binary, ANCHOR, P_ANY(3)), operand_fits, fuse_left},
    {"binary-right", "the same where the layer is the right operand", true,
     P_SET(HN_PATTERN_POST, 0, ordered, P_ANY(3), ANCHOR), operand_fits, fuse_right},
};
const uint32_t hn_rules_fuse_epilogue_count = sizeof hn_rules_fuse_epilogue / sizeof *hn_rules_fuse_epilogue;
