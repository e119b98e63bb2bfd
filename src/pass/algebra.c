/* algebra.c - arithmetic with constants: equal but for rounding. */
#include <math.h>

#include "op/infer.h"
#include "pass/pass.h"

static hn_id root_out(const hn_match *m) { return hn_out(hn_node_at(m->g, m->root), 0); }

static bool keeps_first(hn_match *m) {
  return hn_dtype_of(m->g, m->value[1]) && hn_same_shape(m->g, m->value[1], root_out(m));
}

static hn_id take_first(hn_match *m) { return m->value[1]; }

static bool is_float(hn_match *m) { return hn_is_float(hn_dtype_of(m->g, m->value[1])); }

/* x op constants: the constants can be combined without a larger intermediate. */
static bool combines(hn_match *m) {
  const hn_tensor *a = hn_const(m->g, m->value[2]), *b = hn_const(m->g, m->value[3]);
  hn_shape x = hn_shape_of(a->rank, a->dims), y = hn_shape_of(b->rank, b->dims), both;
  int64_t n;
  return is_float(m) && hn_broadcast(m->g->dims, &x, &y, &both) && hn_shape_count(&both, &n) &&
         (n == a->count || n == b->count);
}

static hn_id reassociate(hn_match *m, hn_op outer, hn_op inner) {
  return hn_emit2(m, outer, m->value[1], hn_emit2(m, inner, m->value[2], m->value[3]));
}
static hn_id add_add(hn_match *m) { return reassociate(m, HN_Add, HN_Add); }
static hn_id mul_mul(hn_match *m) { return reassociate(m, HN_Mul, HN_Mul); }

/* Division by a constant: a multiplication by its inverse, where that exists. */
static bool invertible(hn_match *m) {
  const hn_tensor *c = hn_const(m->g, m->value[2]);
  if (!is_float(m) || c->dtype != hn_dtype_of(m->g, m->value[1]) || c->count > (1 << 20)) return false;
  for (int64_t i = 0; i < c->count; i++) {
    double inverse = 1 / hn_tensor_f(c, (size_t)i);
    if (!isfinite(inverse) || fabs(inverse) < 1e-30) return false;
  }
  return true;
}

static hn_id times_inverse(hn_match *m) {
  const hn_tensor *c = hn_const(m->g, m->value[2]);
  hn_tensor *t = NULL;
  if (!hn_tensor_create(m->g->cx, c->dtype, c->rank, c->dims, &t))
    for (int64_t i = 0; i < c->count; i++) hn_store_f64(t->dtype, t->data, (size_t)i, 1 / hn_tensor_f(c, (size_t)i));
  return hn_emit2(m, HN_Mul, m->value[1], hn_emit_tensor(m, t));
}

static bool float_constant(hn_match *m) { return is_float(m) && hn_const(m->g, m->value[2])->count <= (1 << 20); }

static hn_id add_negative(hn_match *m) {
  return hn_emit2(m, HN_Add, m->value[1], hn_emit1(m, HN_Neg, m->value[2]));
}

static hn_id as_sqrt(hn_match *m) { return hn_emit1(m, HN_Sqrt, m->value[1]); }
static hn_id as_square(hn_match *m) { return hn_emit2(m, HN_Mul, m->value[1], m->value[1]); }

static hn_id as_division(hn_match *m) { return hn_emit2(m, HN_Div, m->value[2], m->value[1]); }

/* Slots: 1 rows as they lie, 2 flattened, 3 weights, 4 bias, 5 the product. The rows come out as they went in. */
static bool rows_return(hn_match *m) {
  hn_shape x = hn_shape_of_value(m->g, m->value[1]), flat = hn_shape_of_value(m->g, m->value[2]);
  hn_shape out = hn_shape_of_value(m->g, hn_out(hn_node_at(m->g, m->root), 0));
  const hn_node *n = hn_node_at(m->g, m->node[5]);
  if (x.rank < 3 || flat.rank != 2 || out.rank != x.rank || x.d[x.rank - 1] != flat.d[1]) return false;
  for (int32_t i = 0; i + 1 < x.rank; i++)
    if (x.d[i] != out.d[i]) return false;
  if (hn_const(m->g, m->value[3])->rank != 2) return false;
  return n->op == HN_MatMul || (!hn_attr_i(n, "transA", 0) && hn_attr_f(n, "alpha", 1) == 1 && hn_attr_f(n, "beta", 1) == 1 &&
                                (m->value[4] == HN_NONE || hn_const(m->g, m->value[4])->rank < 2));
}

static hn_id product_of_rows(hn_match *m) {
  hn_id w = m->value[3], bias = m->value[4];
  if (hn_attr_i(hn_node_at(m->g, m->node[5]), "transB", 0)) w = hn_emit_transpose(m, w, (int64_t[]){1, 0}, 2);
  hn_id y = hn_emit2(m, HN_MatMul, m->value[1], w);
  m->keep = m->node[5];
  return bias == HN_NONE ? y : hn_emit2(m, HN_Add, y, bias);
}

static const hn_op products[] = {HN_MatMul, HN_Gemm, HN_OP_NONE};

const hn_rule hn_rules_algebra[] = {
    {"rows", "a product of rows between reshapes: of the rows as they lie", false,
     P_OP(0, Reshape, P_SET(0, 5, products, P_OP(2, Reshape, P_ANY(1), P_ANY(6)), P_CONST(3), P_CONST_MAYBE(4)), P_ANY(7)), rows_return,
     product_of_rows},
    {"add-zero", "0 added (-0 becomes +0 or not)", false, P_OP(0, Add, P_ANY(1), P_NUM(0)), keeps_first, take_first},
    {"add-add", "constants added one after the other", false,
     P_OP(0, Add, P_OP(0, Add, P_ANY(1), P_CONST(2)), P_CONST(3)), combines, add_add},
    {"mul-mul", "constants multiplied one after the other", false,
     P_OP(0, Mul, P_OP(0, Mul, P_ANY(1), P_CONST(2)), P_CONST(3)), combines, mul_mul},
    {"div-constant", "division by a constant: a multiplication", false, P_OP(0, Div, P_ANY(1), P_CONST(2)), invertible,
     times_inverse},
    {"sub-constant", "a constant subtracted: its negative added", true, P_OP(0, Sub, P_ANY(1), P_CONST(2)), float_constant,
     add_negative},
    {"pow-half", "the power of 1/2: a square root", false, P_OP(0, Pow, P_ANY(1), P_NUM(0.5)), keeps_first, as_sqrt},
    {"pow-two", "the power of 2: a product", false, P_OP(0, Pow, P_ANY(1), P_NUM(2)), keeps_first, as_square},
    {"mul-reciprocal", "multiplied by a reciprocal: a division", false,
     P_OP(0, Mul, P_OP(0, Reciprocal, P_ANY(1)), P_ANY(2)), NULL, as_division},
};
const uint32_t hn_rules_algebra_count = sizeof hn_rules_algebra / sizeof *hn_rules_algebra;
