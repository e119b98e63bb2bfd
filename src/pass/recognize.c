/* recognize.c - activations that exporters spell out in pieces. */
#include <math.h>

#include "op/infer.h"
#include "pass/pass.h"

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }
static hn_id root_out(const hn_match *m) { return hn_out(root(m), 0); }

/* The result has the type and shape of x in slot 1: no constant has broadcast it to more. */
static bool of_x(hn_match *m) {
  hn_dtype t = hn_dtype_of(m->g, m->value[1]);
  return hn_is_float(t) && t == hn_dtype_of(m->g, root_out(m)) && hn_same_shape(m->g, m->value[1], root_out(m));
}

static hn_id as_swish(hn_match *m) { return hn_emit1(m, HN_Swish, m->value[1]); }

static hn_id as_scaled_swish(hn_match *m) {
  double alpha;
  hn_scalar_of(m->g, m->value[2], &alpha);
  hn_id n = hn_emit(m, HN_Swish, &m->value[1], 1);
  if (alpha != 1) hn_set_f(m->g, n, "alpha", alpha);
  return hn_first(m, n);
}

/* ---- hard sigmoid and hard swish */

static hn_id as_hard_sigmoid(hn_match *m) {
  hn_id n = hn_emit(m, HN_HardSigmoid, &m->value[1], 1);
  hn_set_f(m->g, n, "alpha", (double)(1.0f / 6));
  hn_set_f(m->g, n, "beta", 0.5);
  return hn_first(m, n);
}

static hn_id as_hard_swish(hn_match *m) { return hn_emit1(m, HN_HardSwish, m->value[1]); }

static bool is_sixth(hn_match *m) {
  const hn_node *h = hn_node_at(m->g, m->node[2]);
  return of_x(m) && fabs(hn_attr_f(h, "alpha", (double)hn_default_alpha(HN_HardSigmoid)) - 1.0 / 6) < 1e-4 &&
         fabs(hn_attr_f(h, "beta", (double)hn_default_beta(HN_HardSigmoid)) - 0.5) < 1e-6;
}

/* ---- Gelu and others */

static hn_id as_gelu(hn_match *m) { return hn_emit1(m, HN_Gelu, m->value[1]); }

static hn_id as_gelu_tanh(hn_match *m) {
  hn_id n = hn_emit(m, HN_Gelu, &m->value[1], 1);
  hn_set_s(m->g, n, "approximate", "tanh");
  return hn_first(m, n);
}

static hn_id as_mish(hn_match *m) { return hn_emit1(m, HN_Mish, m->value[1]); }
static hn_id as_softplus(hn_match *m) { return hn_emit1(m, HN_Softplus, m->value[1]); }
static hn_id as_sigmoid(hn_match *m) { return hn_emit1(m, HN_Sigmoid, m->value[1]); }

static hn_id as_relu(hn_match *m) { return hn_emit1(m, HN_Relu, m->value[1]); }

/* Where(x > 0, x, slope * x) with 0 <= slope <= 1 is also Max(x, slope * x). */
static bool is_leak(hn_match *m) { return of_x(m) && hn_scalar_of(m->g, m->value[2], &m->num[0]) && m->num[0] >= 0 && m->num[0] <= 1; }

static hn_id as_leaky_relu(hn_match *m) {
  hn_id n = hn_emit(m, HN_LeakyRelu, &m->value[1], 1);
  hn_set_f(m->g, n, "alpha", m->num[0]);
  return hn_first(m, n);
}

#define SHIFTED_CLIP P_OP(0, Clip, P_OP(0, Add, P_ANY(1), P_NUM(3)), P_NUM(0), P_NUM(6))
#define ROOT_2 1.41421356237309505
/* 1 + erf(x / sqrt 2), x/sqrt 2 in its two spellings */
#define ONE_PLUS_ERF(argument) P_OP(0, Add, P_OP(0, Erf, argument), P_NUM(1))
#define BY_DIV P_OP(0, Div, P_ANY(1), P_NUM(ROOT_2))
#define BY_MUL P_OP(0, Mul, P_ANY(1), P_NUM(1 / ROOT_2))
/* sqrt(2/pi) * (x + 0.044715 x^3) */
#define CUBE_POW P_OP(0, Pow, P_ANY(1), P_NUM(3))
#define CUBE_MUL P_OP(0, Mul, P_OP(0, Mul, P_ANY(1), P_ANY(1)), P_ANY(1))
#define TANH_ARGUMENT(cube) \
  P_OP(0, Mul, P_OP(0, Add, P_ANY(1), P_OP(0, Mul, cube, P_NUM(0.044715))), P_NUM(0.7978845608028654))
#define ONE_PLUS_TANH(cube) P_OP(0, Add, P_OP(0, Tanh, TANH_ARGUMENT(cube)), P_NUM(1))

/* x * g * 0.5 in its three orders, as rules */
#define HALF_PRODUCTS(name, doc, gate, make)                                                                     \
  {name, doc, false, P_OP(0, Mul, P_OP(0, Mul, P_ANY(1), gate), P_NUM(0.5)), of_x, make},                        \
  {name, doc, false, P_OP(0, Mul, P_OP(0, Mul, P_ANY(1), P_NUM(0.5)), gate), of_x, make},                        \
  {name, doc, false, P_OP(0, Mul, P_ANY(1), P_OP(0, Mul, gate, P_NUM(0.5))), of_x, make}

const hn_rule hn_rules_recognize[] = {
    {"swish", "x * sigmoid(x)", false, P_OP(0, Mul, P_ANY(1), P_SHARED(0, Sigmoid, P_ANY(1))), of_x, as_swish},
    {"swish-alpha", "x * sigmoid(alpha*x)", false,
     P_OP(0, Mul, P_ANY(1), P_SHARED(0, Sigmoid, P_SHARED(0, Mul, P_ANY(1), P_SCALAR(2)))), of_x, as_scaled_swish},
    {"hard-swish", "x * clip(x+3, 0, 6) / 6", false, P_OP(0, Div, P_OP(0, Mul, P_ANY(1), SHIFTED_CLIP), P_NUM(6)), of_x,
     as_hard_swish},
    {"hard-swish-mul", "x * clip(x+3, 0, 6) * (1/6)", false,
     P_OP(0, Mul, P_OP(0, Mul, P_ANY(1), SHIFTED_CLIP), P_NUM(1.0 / 6)), of_x, as_hard_swish},
    {"hard-sigmoid", "clip(x+3, 0, 6) / 6", false, P_OP(0, Div, SHIFTED_CLIP, P_NUM(6)), of_x, as_hard_sigmoid},
    {"hard-sigmoid-mul", "clip(x+3, 0, 6) * (1/6)", false, P_OP(0, Mul, SHIFTED_CLIP, P_NUM(1.0 / 6)), of_x, as_hard_sigmoid},
    {"hard-swish-gate", "x * hardsigmoid(x)", false, P_OP(0, Mul, P_ANY(1), P_SHARED(2, HardSigmoid, P_ANY(1))), is_sixth,
     as_hard_swish},
    HALF_PRODUCTS("gelu", "x/2 * (1 + erf(x / sqrt 2))", ONE_PLUS_ERF(BY_DIV), as_gelu),
    HALF_PRODUCTS("gelu", "x/2 * (1 + erf(x / sqrt 2))", ONE_PLUS_ERF(BY_MUL), as_gelu),
    HALF_PRODUCTS("gelu-tanh", "x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))", ONE_PLUS_TANH(CUBE_POW), as_gelu_tanh),
    HALF_PRODUCTS("gelu-tanh", "x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))", ONE_PLUS_TANH(CUBE_MUL), as_gelu_tanh),
    {"softplus", "log(1 + exp(x))", false, P_OP(0, Log, P_OP(0, Add, P_OP(0, Exp, P_ANY(1)), P_NUM(1))), of_x, as_softplus},
    {"mish", "x * tanh(softplus(x))", false, P_OP(0, Mul, P_ANY(1), P_OP(0, Tanh, P_OP(0, Softplus, P_ANY(1)))), of_x,
     as_mish},
    {"sigmoid", "1 / (1 + exp(-x))", false, P_OP(0, Div, P_NUM(1), P_OP(0, Add, P_OP(0, Exp, P_OP(0, Neg, P_ANY(1))), P_NUM(1))),
     of_x, as_sigmoid},
    {"relu-max", "max(x, 0)", true, P_OP(0, Max, P_ANY(1), P_NUM(0)), of_x, as_relu},
    {"leaky-relu", "max(x, slope*x)", true, P_OP(0, Max, P_ANY(1), P_OP(0, Mul, P_ANY(1), P_SCALAR(2))), is_leak, as_leaky_relu},
};
const uint32_t hn_rules_recognize_count = sizeof hn_rules_recognize / sizeof *hn_rules_recognize;
