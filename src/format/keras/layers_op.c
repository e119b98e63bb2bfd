/* layers_op.c - operations that are called between layers. Arguments are tensors or literals, by place or by keyword. */
#include <string.h>

#include "format/keras/layers.h"

static bool is_tensor(const json_t *j) {
  if (json_is_object(j)) return hn_streq(kj_text(j, "class_name", ""), "__keras_tensor__");
  return json_is_array(j) && json_array_size(j) >= 3 && json_is_string(json_array_get(j, 0)) && json_is_integer(json_array_get(j, 1)) &&
         json_integer_value(json_array_get(j, 1)) >= 0;
}

/* The literal at a place or keyword; NULL: there is none, or it is a tensor. Keras 2 has ["_CONSTANT_VALUE", -1, x, {}]
   in first place. */
static const json_t *literal(const kr_call *c, size_t place, const char *name) {
  const json_t *v = json_object_get(c->kwargs, name);
  if (!v && json_is_string(json_array_get(c->args, 0))) v = place ? NULL : c->args;
  else if (!v) v = json_array_get(c->args, place);
  if (json_is_array(v) && hn_streq(json_is_string(json_array_get(v, 0)) ? json_string_value(json_array_get(v, 0)) : "", "_CONSTANT_VALUE"))
    v = json_array_get(v, 2);
  return v && !json_is_null(v) && !is_tensor(v) ? v : NULL;
}

/* As a constant of type t, of the shape its nesting says (numbers and lists of numbers). */
static hn_id constant(kr_call *c, const json_t *v, hn_dtype t) {
  double x;
  hn_tensor *r = NULL;
  size_t i;
  const json_t *item;
  if (c->m.st) return HN_NONE;
  if (kj_number(v, &x)) return hn_make_scalar(&c->m, t, x);
  if (!json_is_array(v) || hn_tensor_create(c->k->cx, t, 1, &(int64_t){(int64_t)json_array_size(v)}, &r)) {
    c->m.st = kr_fail(c, HONE_UNSUPPORTED, "an argument is not a tensor, a number or a list of numbers");
    return HN_NONE;
  }
  json_array_foreach(v, i, item) {
    if (!kj_number(item, &x)) {
      hn_tensor_unref(r);
      c->m.st = kr_fail(c, HONE_UNSUPPORTED, "an argument is not a tensor, a number or a list of numbers");
      return HN_NONE;
    }
    hn_store_f64(t, r->data, i, x);
  }
  return hn_make_constant(&c->m, r);
}

/* Two operands: tensors come in order, by place before by keyword; a literal takes the other's type. */
static hone_status operands(kr_call *c, hn_id v[2]) {
  static const char *const names[2][3] = {{"x", "x1", "a"}, {"y", "x2", "b"}};
  const json_t *fixed[2] = {NULL, NULL};
  uint32_t at = 0;
  for (int i = 0; i < 2; i++) {
    v[i] = HN_NONE;
    for (int k = 0; k < 3 && v[i] == HN_NONE; k++) v[i] = kr_named(c, names[i][k]);
    for (int k = 0; k < 3 && !fixed[i]; k++) fixed[i] = literal(c, (size_t)i, names[i][k]);
    if (v[i] == HN_NONE && !fixed[i] && at < c->n_in) v[i] = c->in[at++];
  }
  if (v[0] == HN_NONE && v[1] == HN_NONE) return kr_fail(c, HONE_BAD_GRAPH, "it is called on no tensor");
  for (int i = 0; i < 2; i++) {
    if (v[i] != HN_NONE) continue;
    if (!fixed[i]) return kr_fail(c, HONE_BAD_GRAPH, "it is called on one operand; it takes two");
    v[i] = constant(c, fixed[i], hn_make_type(&c->m, v[1 - i]));
  }
  return c->m.st;
}

hone_status kr_lower_op_binary(kr_call *c, int variant) {
  hn_id v[2];
  HN_TRY(operands(c, v));
  return kr_result(c, hn_make_done(&c->m, kr_main(c, (hn_op)variant, v, 2, 1)));
}

static hn_id first(const kr_call *c) { return c->in[0]; }

hone_status kr_lower_op_unary(kr_call *c, int variant) {
  hn_id x = first(c);
  if (kj_real(c->kwargs, "alpha", 1) != 1) return kr_fail(c, HONE_UNSUPPORTED, "alpha is not supported here");
  return kr_result(c, hn_make_done(&c->m, kr_main(c, (hn_op)variant, &x, 1, 1)));
}

hone_status kr_lower_op_relu6(kr_call *c, int variant) {
  json_t *name = json_string("relu6");
  (void)variant;
  hn_id y = kr_apply_activation(c, first(c), name);
  json_decref(name);
  return kr_result(c, y);
}

hone_status kr_lower_op_square(kr_call *c, int variant) {
  (void)variant;
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Mul, (hn_id[]){first(c), first(c)}, 2, 1)));
}

/* Whole numbers at a place or keyword, or of Keras 3's configuration; how many. */
static uint32_t whole_numbers(const kr_call *c, size_t place, const char *name, int64_t *v) {
  const json_t *l = literal(c, place, name);
  uint32_t n = 0;
  if (l) {
    json_t *one = json_pack("{s:O}", "v", (json_t *)(uintptr_t)l);
    n = kj_ints(one, "v", v, HN_MAX_RANK);
    json_decref(one);
  }
  return n ? n : kj_ints(c->config, name, v, HN_MAX_RANK);
}

hone_status kr_lower_op_softmax(kr_call *c, int variant) {
  int64_t axis[HN_MAX_RANK];
  hn_id x = first(c), node = kr_main(c, HN_Softmax, &x, 1, 1);
  (void)variant;
  if (!whole_numbers(c, 1, "axis", axis)) axis[0] = -1;
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", axis[0]);
  return kr_result(c, hn_make_done(&c->m, node));
}

hone_status kr_lower_op_reduce(kr_call *c, int variant) {
  int64_t axes[HN_MAX_RANK];
  uint32_t n = whole_numbers(c, 1, "axis", axes);
  bool keep = kj_bool(c->kwargs, "keepdims", kj_bool(c->config, "keepdims", false));
  if (!n)
    for (int32_t i = 0; i < kr_rank(c, first(c)); i++) axes[n++] = i;
  return kr_result(c, hn_make_reduce(&c->m, (hn_op)variant, first(c), axes, n, keep));
}

hone_status kr_lower_op_concat(kr_call *c, int variant) {
  int64_t axis[HN_MAX_RANK];
  hn_id node = kr_main(c, HN_Concat, c->in, c->n_in, 1);
  (void)variant;
  if (!whole_numbers(c, 1, "axis", axis)) axis[0] = 0;
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", axis[0]);
  return kr_result(c, hn_make_done(&c->m, node));
}

hone_status kr_lower_op_reshape(kr_call *c, int variant) {
  int64_t dims[HN_MAX_RANK];
  uint32_t n = whole_numbers(c, 1, "shape", dims);
  (void)variant;
  if (!n) n = whole_numbers(c, 1, "newshape", dims);
  if (!n) return kr_fail(c, HONE_UNSUPPORTED, "its shape is not a list of numbers");
  return kr_result(c, hn_make_reshape(&c->m, first(c), dims, n));
}

hone_status kr_lower_op_transpose(kr_call *c, int variant) {
  int64_t perm[HN_MAX_RANK];
  uint32_t n = whole_numbers(c, 1, "perm", perm);
  int32_t rank = kr_rank(c, first(c));
  (void)variant;
  if (!n) n = whole_numbers(c, 1, "axes", perm);
  if (!n)
    for (; (int32_t)n < rank; n++) perm[n] = rank - 1 - (int32_t)n;
  if ((int32_t)n != rank) return kr_fail(c, HONE_BAD_GRAPH, "its axes do not fit its input");
  return kr_result(c, hn_make_transpose(&c->m, first(c), perm, n));
}

static hone_status with_axes(kr_call *c, hn_op op) {
  int64_t axes[HN_MAX_RANK];
  uint32_t n = whole_numbers(c, 1, "axis", axes);
  if (!n) return kr_fail(c, HONE_UNSUPPORTED, "it says no axis");
  return kr_result(c, hn_make2(&c->m, op, first(c), hn_make_ints(&c->m, axes, n)));
}

hone_status kr_lower_op_expand_dims(kr_call *c, int variant) {
  (void)variant;
  return with_axes(c, HN_Unsqueeze);
}

hone_status kr_lower_op_squeeze(kr_call *c, int variant) {
  (void)variant;
  return with_axes(c, HN_Squeeze);
}

hone_status kr_lower_op_cast(kr_call *c, int variant) {
  const json_t *to = literal(c, 1, "dtype");
  const char *name = json_is_string(to) ? json_string_value(to) : kj_text(c->config, "dtype", "float32");
  hn_dtype t = hn_streq(name, "float32") ? HONE_DTYPE_F32 : hn_streq(name, "float64") ? HONE_DTYPE_F64 : hn_streq(name, "int32") ? HONE_DTYPE_I32
               : hn_streq(name, "int64") ? HONE_DTYPE_I64 : hn_streq(name, "bool") ? HONE_DTYPE_BOOL : hn_streq(name, "float16") ? HONE_DTYPE_F16 : HONE_DTYPE_UNDEFINED;
  (void)variant;
  if (!t) return kr_fail(c, HONE_UNSUPPORTED, "element type '%s' is not supported", name);
  return kr_result(c, hn_make_cast(&c->m, first(c), t));
}
