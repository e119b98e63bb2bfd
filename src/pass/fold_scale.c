/* fold_scale.c - a multiplication or addition of one constant per channel, before or behind a layer that is linear in
   constant weights, goes into the weights and the bias: computed in double, rounded once. */
#include <math.h>
#include <string.h>

#include "pass/pass.h"

/* Conv, ConvTranspose, Gemm or MatMul with constant weights: where its channels are. */
typedef struct linear {
  hn_op op;
  hn_id x;
  const hn_tensor *w;
  int64_t d0, d1;         /* the first two dimensions of w */
  int64_t group;
  int64_t n_in, n_out;    /* channels */
  int32_t rank, out_axis; /* of the output, and where its channels are */
  bool rows_out;          /* Conv, Gemm transB: the first dimension of w is the output channel */
} linear;

static bool linear_of(const hn_graph *g, hn_id id, linear *l) {
  const hn_node *n = hn_node_at(g, id);
  *l = (linear){.op = n->op, .x = hn_in(n, 0), .w = hn_const(g, hn_in(n, 1)), .group = 1};
  l->rank = hn_rank_of(g, hn_out(n, 0));
  if (!l->w || l->w->rank < 2 || l->rank < 2 || !hn_is_float(l->w->dtype) || n->n_post || hn_const(g, l->x)) return false;
  l->d0 = l->w->dims[0];
  l->d1 = l->w->dims[1];
  bool conv = n->op == HN_Conv || n->op == HN_ConvTranspose;
  if (conv) l->group = hn_attr_i(n, "group", 1);
  if ((!conv && l->w->rank != 2) || l->group < 1 || l->d0 < 1 || l->d1 < 1) return false;
  l->rows_out = n->op == HN_Conv || (n->op == HN_Gemm && hn_attr_i(n, "transB", 0));
  l->n_out = l->rows_out ? l->d0 : l->d1 * l->group;
  l->n_in = l->rows_out ? l->d1 * l->group : l->d0;
  l->out_axis = conv ? 1 : l->rank - 1;
  hn_id bias = hn_in(n, 2);
  return l->d0 % l->group == 0 && (bias == HN_NONE || hn_const(g, bias));
}

/* Which channels the slice w[i0, i1] connects. */
static void channels(const linear *l, int64_t i0, int64_t i1, int64_t *in, int64_t *out) {
  if (l->rows_out) {
    *out = i0;
    *in = i0 / (l->d0 / l->group) * l->d1 + i1;
  } else {
    *in = i0;
    *out = i0 / (l->d0 / l->group) * l->d1 + i1;
  }
}

/* w with each slice multiplied by s_in of its input channel or s_out of its output channel (either may be NULL). */
static hn_id scaled_weights(hn_match *m, const linear *l, const double *s_in, const double *s_out) {
  hn_tensor *t = NULL;
  if (hn_tensor_create(m->g->cx, l->w->dtype, l->w->rank, l->w->dims, &t)) return hn_emit_tensor(m, NULL);
  size_t inner = (size_t)(l->w->count / (l->d0 * l->d1)), at = 0;
  for (int64_t i0 = 0; i0 < l->d0; i0++)
    for (int64_t i1 = 0; i1 < l->d1; i1++) {
      int64_t in, out;
      channels(l, i0, i1, &in, &out);
      double s = (s_in ? s_in[in] : 1) * (s_out ? s_out[out] : 1);
      for (size_t k = 0; k < inner; k++, at++) hn_store_f64(t->dtype, t->data, at, hn_tensor_f(l->w, at) * s);
    }
  return hn_emit_tensor(m, t);
}

/* The bias per output channel: 0 where there is none. NULL: its form is another. MatMul has none. */
static double *bias_of(const hn_graph *g, const linear *l, const hn_node *n) {
  hn_id b = hn_in(n, 2);
  if (b == HN_NONE) return hn_calloc((size_t)l->n_out, sizeof(double));
  return l->op == HN_Gemm ? hn_axis_values(g, b, 2, 1, l->n_out) : hn_axis_values(g, b, 1, 0, l->n_out);
}

/* A copy of the layer with other weights and bias; HN_NONE for what stays. */
static hn_id relinear(hn_match *m, hn_id node, hn_id x, hn_id w, hn_id bias) {
  hn_id copy = hn_emit_copy(m, node);
  if (copy == HN_NONE) return HN_NONE;
  if (x != HN_NONE) hn_set_input(m->g, copy, 0, x);
  if (w != HN_NONE) hn_set_input(m->g, copy, 1, w);
  if (bias != HN_NONE && hn_node_at(m->g, copy)->n_main > 2) hn_set_input(m->g, copy, 2, bias);
  else if (bias != HN_NONE) hn_add_main_input(m->g, copy, bias);
  m->keep = node;
  return hn_first(m, copy);
}

static bool all_finite(const double *v, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(v[i])) return false;
  return true;
}

static hn_id root_out(const hn_match *m) { return hn_out(hn_node_at(m->g, m->root), 0); }

/* ---- behind: slot 2 is the layer, slot 3 the constant */

static double *behind_values(const hn_match *m, linear *l) {
  if (!linear_of(m->g, m->node[2], l) || !hn_same_shape(m->g, m->value[2], root_out(m))) return NULL;
  double *v = hn_axis_values(m->g, m->value[3], l->rank, l->out_axis, l->n_out);
  if (v && !all_finite(v, l->n_out)) {
    hn_free(v);
    return NULL;
  }
  return v;
}

static bool can_scale_behind(hn_match *m) {
  linear l;
  double *s = behind_values(m, &l), *b = s ? bias_of(m->g, &l, hn_node_at(m->g, m->node[2])) : NULL;
  hn_free(s);
  hn_free(b);
  return b != NULL;
}

static hn_id scale_behind(hn_match *m) {
  linear l;
  double *s = behind_values(m, &l), *b = s ? bias_of(m->g, &l, hn_node_at(m->g, m->node[2])) : NULL;
  hn_id result = HN_NONE;
  if (b) {
    hn_id w = scaled_weights(m, &l, NULL, s), bias = HN_NONE;
    if (hn_in(hn_node_at(m->g, m->node[2]), 2) != HN_NONE) {
      for (int64_t i = 0; i < l.n_out; i++) b[i] *= s[i];
      bias = hn_emit_vector(m, l.w->dtype, b, (size_t)l.n_out);
    }
    result = relinear(m, m->node[2], HN_NONE, w, bias);
  }
  hn_free(s);
  hn_free(b);
  return result;
}

static bool can_add_behind(hn_match *m) {
  linear l;
  double *t = behind_values(m, &l), *b = t ? bias_of(m->g, &l, hn_node_at(m->g, m->node[2])) : NULL;
  bool ok = b && l.op != HN_MatMul;
  hn_free(t);
  hn_free(b);
  return ok && (l.op != HN_Gemm || hn_attr_f(hn_node_at(m->g, m->node[2]), "beta", 1) != 0);
}

static hn_id add_behind(hn_match *m) {
  linear l;
  double *t = behind_values(m, &l), *b = t ? bias_of(m->g, &l, hn_node_at(m->g, m->node[2])) : NULL;
  hn_id result = HN_NONE;
  if (b) {
    double beta = l.op == HN_Gemm ? hn_attr_f(hn_node_at(m->g, m->node[2]), "beta", 1) : 1;
    for (int64_t i = 0; i < l.n_out; i++) b[i] += t[i] / beta;
    result = relinear(m, m->node[2], HN_NONE, HN_NONE, hn_emit_vector(m, l.w->dtype, b, (size_t)l.n_out));
  }
  hn_free(t);
  hn_free(b);
  return result;
}

/* ---- before: the root is the layer, slot 1 what flows in, slot 2 the constant, slot 3 the product or sum */

static double *before_values(const hn_match *m, linear *l) {
  if (!linear_of(m->g, m->root, l) || !hn_same_shape(m->g, m->value[1], m->value[3])) return NULL;
  if (l->op == HN_Gemm && hn_attr_i(hn_node_at(m->g, m->root), "transA", 0)) return NULL;
  int32_t rank = hn_rank_of(m->g, l->x), axis = l->op == HN_Conv || l->op == HN_ConvTranspose ? 1 : rank - 1;
  double *v = rank < 2 ? NULL : hn_axis_values(m->g, m->value[2], rank, axis, l->n_in);
  if (v && !all_finite(v, l->n_in)) {
    hn_free(v);
    return NULL;
  }
  return v;
}

static bool can_scale_before(hn_match *m) {
  linear l;
  double *s = before_values(m, &l);
  hn_free(s);
  return s != NULL;
}

static hn_id scale_before(hn_match *m) {
  linear l;
  double *s = before_values(m, &l);
  hn_id w = s ? scaled_weights(m, &l, s, NULL) : HN_NONE;
  hn_free(s);
  return w == HN_NONE ? HN_NONE : relinear(m, m->root, m->value[1], w, HN_NONE);
}

/* Padding adds zeros to what comes behind the addition: then the sum differs at the border. */
static bool pads(const hn_node *n) {
  const int64_t *v;
  for (uint32_t i = 0, k = hn_attr_ints(n, "pads", &v); i < k; i++)
    if (v[i]) return true;
  const char *mode = hn_attr_s(n, "auto_pad", "NOTSET");
  return strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0;
}

static bool can_add_before(hn_match *m) {
  linear l;
  double *t = before_values(m, &l), *b = NULL;
  const hn_node *n = hn_node_at(m->g, m->root);
  if (t && (l.op == HN_Gemm || (l.op == HN_Conv && !pads(n)))) b = bias_of(m->g, &l, n);
  hn_free(t);
  hn_free(b);
  return b != NULL;
}

static hn_id add_before(hn_match *m) {
  linear l;
  double *t = before_values(m, &l), *b = t ? bias_of(m->g, &l, hn_node_at(m->g, m->root)) : NULL;
  hn_id result = HN_NONE;
  if (b) {
    const hn_node *n = hn_node_at(m->g, m->root);
    double factor = l.op == HN_Gemm ? hn_attr_f(n, "alpha", 1) / hn_attr_f(n, "beta", 1) : 1;
    size_t inner = (size_t)(l.w->count / (l.d0 * l.d1)), at = 0;
    for (int64_t i0 = 0; i0 < l.d0; i0++)
      for (int64_t i1 = 0; i1 < l.d1; i1++) {
        int64_t in, out;
        channels(&l, i0, i1, &in, &out);
        for (size_t k = 0; k < inner; k++, at++) b[out] += hn_tensor_f(l.w, at) * t[in] * factor;
      }
    if (all_finite(b, l.n_out))
      result = relinear(m, m->root, m->value[1], HN_NONE, hn_emit_vector(m, l.w->dtype, b, (size_t)l.n_out));
  }
  hn_free(t);
  hn_free(b);
  return result;
}

/* ---- MatMul with a bias, in two dimensions: Gemm */

static bool two_dimensions(hn_match *m) {
  linear l;
  double *t = behind_values(m, &l);
  hn_free(t);
  return t && hn_rank_of(m->g, l.x) == 2;
}

static hn_id as_gemm(hn_match *m) {
  linear l;
  double *t = behind_values(m, &l);
  if (!t) return HN_NONE;
  hn_id in[3] = {l.x, hn_node_at(m->g, m->node[2])->in[1], hn_emit_vector(m, l.w->dtype, t, (size_t)l.n_out)};
  hn_free(t);
  m->keep = m->node[2];
  return hn_first(m, hn_emit(m, HN_Gemm, in, 3));
}

static const hn_op layers[] = {HN_Conv, HN_ConvTranspose, HN_Gemm, HN_MatMul, HN_OP_NONE};

const hn_rule hn_rules_fold_scale[] = {
    {"scale-behind", "a factor per channel behind a linear layer goes into its weights", false,
     P_OP(0, Mul, P_ONE_OF(0, 2, layers), P_CONST(3)), can_scale_behind, scale_behind},
    {"bias-behind", "an addition per channel behind a linear layer goes into its bias", false,
     P_OP(0, Add, P_ONE_OF(0, 2, layers), P_CONST(3)), can_add_behind, add_behind},
    {"matmul-bias", "a matrix product and an addition per column: Gemm", true,
     P_OP(0, Add, P_NODE(0, 2, MatMul), P_CONST(3)), two_dimensions, as_gemm},
    {"scale-before", "a factor per channel before a linear layer goes into its weights", false,
     P_SET(0, 0, layers, P_OP(3, Mul, P_ANY(1), P_CONST(2)), P_CONST(4), P_CONST_MAYBE(5)), can_scale_before, scale_before},
    {"bias-before", "an addition per channel before a linear layer without padding goes into its bias", false,
     P_SET(0, 0, layers, P_OP(3, Add, P_ANY(1), P_CONST(2)), P_CONST(4), P_CONST_MAYBE(5)), can_add_before, add_before},
};
const uint32_t hn_rules_fold_scale_count = sizeof hn_rules_fold_scale / sizeof *hn_rules_fold_scale;
