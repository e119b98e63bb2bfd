/* layers_activation.c - activations, as arguments of layers and as layers of their own. */
#include <string.h>

#include "format/keras/layers.h"

static const struct {
  const char *name;
  hn_op op;
  double alpha, beta;
} activations[] = {
#define ACTIVATION(name, op, alpha, beta) {#name, HN_##op, alpha, beta},
#include "format/keras/keras_activations.def"
#undef ACTIVATION
};

/* The operator's float attributes, in the order of op.def. */
static void set_floats(kr_call *c, hn_id node, hn_op op, double alpha, double beta) {
  const char *p = hn_op_info(op)->attrs;
  double v[2] = {alpha, beta};
  for (int k = 0; *p && k < 2 && !c->m.st; p += strcspn(p, " "), p += *p == ' ') {
    char name[32];
    size_t n = strcspn(p, ":");
    if (p[n] != ':' || p[n + 1] != 'f' || n >= sizeof name) continue;
    memcpy(name, p, n);
    name[n] = 0;
    hn_set_f(c->k->g, node, name, v[k++]);
  }
}

static hn_id unary(kr_call *c, hn_op op, hn_id x, double alpha, double beta) {
  hn_id node = hn_make_node(&c->m, op, &x, 1, 1);
  set_floats(c, node, op, alpha, beta);
  if (!c->m.st && (op == HN_Softmax || op == HN_LogSoftmax)) hn_set_i(c->k->g, node, "axis", -1);
  return hn_make_done(&c->m, node);
}

static hn_id clip(kr_call *c, hn_id x, double lo, double hi) {
  hn_dtype t = hn_make_type(&c->m, x);
  hn_id in[3] = {x, hn_make_scalar(&c->m, t, lo), hn_make_scalar(&c->m, t, hi)};
  return hn_make_done(&c->m, hn_make_node(&c->m, HN_Clip, in, 3, 1));
}

static hn_id by_name(kr_call *c, hn_id x, const char *name) {
  hn_dtype t = hn_make_type(&c->m, x);
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
    if (strcmp(activations[i].name, name) == 0)
      return activations[i].op == HN_Identity ? x : unary(c, activations[i].op, x, activations[i].alpha, activations[i].beta);
  if (strcmp(name, "relu6") == 0) return clip(c, x, 0, 6);
  if (strcmp(name, "hard_tanh") == 0) return clip(c, x, -1, 1);
  /* clip(x/5 + 1/2) until Keras 3, which made it clip(x/6 + 1/2) */
  if (strcmp(name, "hard_sigmoid") == 0) return unary(c, HN_HardSigmoid, x, c->k->v3 ? 1.0 / 6 : 0.2, 0.5);
  if (strcmp(name, "log_sigmoid") == 0) return hn_make1(&c->m, HN_Neg, unary(c, HN_Softplus, hn_make1(&c->m, HN_Neg, x), 0, 0));
  if (strcmp(name, "tanh_shrink") == 0) return hn_make2(&c->m, HN_Sub, x, hn_make1(&c->m, HN_Tanh, x));
  if (strcmp(name, "squareplus") == 0) {
    hn_id root = hn_make1(&c->m, HN_Sqrt, hn_make2(&c->m, HN_Add, hn_make2(&c->m, HN_Mul, x, x), hn_make_scalar(&c->m, t, 4)));
    return hn_make2(&c->m, HN_Mul, hn_make2(&c->m, HN_Add, x, root), hn_make_scalar(&c->m, t, 0.5));
  }
  if (!c->m.st) c->m.st = kr_fail(c, HONE_UNSUPPORTED, "activation '%s' is not known", name);
  return HN_NONE;
}

/* max_value, negative_slope and threshold: x where it reaches the threshold, the slope times what it lacks below. */
static hn_id relu_with(kr_call *c, hn_id x, const json_t *config) {
  hn_dtype t = hn_make_type(&c->m, x);
  double most = kj_real(config, "max_value", 0), slope = kj_real(config, "negative_slope", 0), from = kj_real(config, "threshold", 0);
  bool limited = kj_has(config, "max_value");
  hn_id y;
  if (from == 0 && slope == 0) return limited ? clip(c, x, 0, most) : unary(c, HN_Relu, x, 0, 0);
  if (from == 0) {
    y = unary(c, HN_LeakyRelu, x, slope, 0);
  } else if (slope == 0) {
    y = unary(c, HN_ThresholdedRelu, x, from, 0);
  } else {
    hn_id at = hn_make_scalar(&c->m, t, from), below = hn_make2(&c->m, HN_Mul, hn_make2(&c->m, HN_Sub, x, at), hn_make_scalar(&c->m, t, slope));
    hn_id in[3] = {hn_make2(&c->m, HN_GreaterOrEqual, x, at), x, below};
    y = hn_make_done(&c->m, hn_make_node(&c->m, HN_Where, in, 3, 1));
  }
  return limited ? hn_make2(&c->m, HN_Min, y, hn_make_scalar(&c->m, t, most)) : y;
}

static double slope_of(const json_t *config, double otherwise) {
  return kj_real(config, "negative_slope", kj_real(config, "alpha", otherwise));
}

static hn_id softmax(kr_call *c, hn_id x, const json_t *config) {
  int64_t axis[HN_MAX_RANK];
  uint32_t n = kj_ints(config, "axis", axis, HN_MAX_RANK);
  if (!n) axis[0] = -1, n = 1;
  if (n > 1 && !c->m.st) c->m.st = kr_fail(c, HONE_UNSUPPORTED, "softmax over several dimensions at once");
  hn_id node = hn_make_node(&c->m, HN_Softmax, &x, 1, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", axis[0]);
  return hn_make_done(&c->m, node);
}

static hn_id thresholded(kr_call *c, hn_id x, const json_t *config) { return unary(c, HN_ThresholdedRelu, x, kj_real(config, "theta", 1), 0); }

/* A layer given as an activation: one without weights. */
static hn_id by_class(kr_call *c, hn_id x, const char *kind, const json_t *config) {
  if (strcmp(kind, "Activation") == 0) return kr_apply_activation(c, x, json_object_get(config, "activation"));
  if (strcmp(kind, "ReLU") == 0) return relu_with(c, x, config);
  if (strcmp(kind, "LeakyReLU") == 0) return unary(c, HN_LeakyRelu, x, slope_of(config, 0.3), 0);
  if (strcmp(kind, "ELU") == 0) return unary(c, HN_Elu, x, kj_real(config, "alpha", 1), 0);
  if (strcmp(kind, "ThresholdedReLU") == 0) return thresholded(c, x, config);
  if (strcmp(kind, "Softmax") == 0) return softmax(c, x, config);
  if (!c->m.st) c->m.st = kr_fail(c, HONE_UNSUPPORTED, "activation of class '%s' is not known", kind);
  return HN_NONE;
}

hn_id kr_apply_activation(kr_call *c, hn_id x, const json_t *spec) {
  if (!spec || json_is_null(spec) || c->m.st) return x;
  if (json_is_string(spec)) return by_name(c, x, json_string_value(spec));
  const json_t *inner = json_object_get(spec, "config");
  if (json_is_string(inner)) return by_name(c, x, json_string_value(inner)); /* {"class_name": "function", "config": "relu"} */
  return by_class(c, x, kj_text(spec, "class_name", ""), inner);
}

hn_id kr_activate(kr_call *c, hn_id x, const char *key) { return kr_apply_activation(c, x, json_object_get(c->config, key)); }

/* ---- layers */

hone_status kr_lower_same(kr_call *c, int variant) {
  (void)variant;
  return kr_result(c, c->in[0]);
}

hone_status kr_lower_activation(kr_call *c, int variant) {
  (void)variant;
  return kr_result(c, kr_activate(c, c->in[0], "activation"));
}

hone_status kr_lower_relu(kr_call *c, int variant) {
  (void)variant;
  return kr_result(c, relu_with(c, c->in[0], c->config));
}

hone_status kr_lower_leaky_relu(kr_call *c, int variant) {
  (void)variant;
  return kr_result(c, unary(c, HN_LeakyRelu, c->in[0], slope_of(c->config, 0.3), 0));
}

hone_status kr_lower_elu(kr_call *c, int variant) {
  (void)variant;
  return kr_result(c, unary(c, HN_Elu, c->in[0], kj_real(c->config, "alpha", 1), 0));
}

hone_status kr_lower_thresholded_relu(kr_call *c, int variant) {
  (void)variant;
  return kr_result(c, thresholded(c, c->in[0], c->config));
}

hone_status kr_lower_softmax(kr_call *c, int variant) {
  hn_id x = c->in[0], mask = c->n_in > 1 ? c->in[1] : kr_mask(c, x);
  (void)variant;
  if (mask != HN_NONE) { /* of the input's shape: what it leaves out gets no share */
    hn_dtype t = hn_make_type(&c->m, x);
    if (kr_rank(c, mask) != kr_rank(c, x)) return kr_fail(c, HONE_UNSUPPORTED, "its mask has %d dimensions, its input %d", kr_rank(c, mask), kr_rank(c, x));
    if (hn_make_type(&c->m, mask) != HONE_DTYPE_BOOL) mask = hn_make_cast(&c->m, mask, HONE_DTYPE_BOOL);
    hn_id in[3] = {mask, x, hn_make_scalar(&c->m, t, t == HONE_DTYPE_F16 ? -3e4 : -1e9)};
    x = hn_make_done(&c->m, hn_make_node(&c->m, HN_Where, in, 3, 1));
  }
  return kr_result(c, softmax(c, x, c->config));
}

hone_status kr_lower_prelu(kr_call *c, int variant) {
  hn_id in[2] = {c->in[0], kr_weight(c, 0, NULL)};
  (void)variant;
  if (c->l->w[0]->rank > kr_rank(c, c->in[0])) return kr_fail(c, HONE_BAD_GRAPH, "its alpha has more dimensions than its input");
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_PRelu, in, 2, 1)));
}
