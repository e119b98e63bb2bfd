/* cases_more.c - random graphs for the operators that only devices have kernels of their own for. */
#include <stdlib.h>
#include <string.h>

#include "kernel_cases.h"
#include "op/infer.h"

/* Outputs as floats, whatever they are. */
static bool finish_any(trial *t, hn_id n) {
  if (hn_infer_graph(t->g)) return false;
  for (uint32_t i = 0; i < hn_node_at(t->g, n)->n_out; i++) {
    char name[16];
    snprintf(name, sizeof name, "y%u", i);
    hn_id out = hn_node_at(t->g, n)->out[i];
    if (hn_value_at(t->g, out)->dtype != HONE_DTYPE_F32) out = cast(t, out, HONE_DTYPE_F32);
    hn_graph_add_output(t->g, name, out);
  }
  return true;
}

static hn_dtype any_int(void) {
  static const int64_t types[] = {HONE_DTYPE_I32, HONE_DTYPE_I64, HONE_DTYPE_I8, HONE_DTYPE_U8, HONE_DTYPE_I16, HONE_DTYPE_U16, HONE_DTYPE_U32};
  return (hn_dtype)pick(types, 7);
}

static void some_dims(int32_t rank, int64_t *d) {
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 9);
}

/* Numbers of about [-60, 60] in an integer type. */
static hn_id input_as(trial *t, hn_dtype type, int32_t rank, const int64_t *d) {
  hn_id in[2] = {input(t, rank, d), scalar(t, t->half ? t->half : HONE_DTYPE_F32, type == HONE_DTYPE_BOOL ? 1 : 30)};
  hn_id by = hn_graph_add_node(t->g, HN_Mul, "", in, 2, 1), x = hn_node_at(t->g, by)->out[0];
  if (type == HONE_DTYPE_BOOL) {
    hn_id r = hn_graph_add_node(t->g, HN_Round, "", &x, 1, 1);
    x = hn_node_at(t->g, r)->out[0];
  }
  return type == HONE_DTYPE_F32 && !t->half ? x : cast(t, x, type);
}

/* ---- element-wise operators of other types */

static void broadcast_dims(int32_t rank, const int64_t *d, int32_t *r, int64_t *e) {
  int32_t lead = (int32_t)between(0, rank - 1);
  *r = rank - lead;
  for (int32_t k = 0; k < *r; k++) e[k] = chance(3) ? 1 : d[lead + k];
}

static bool make_typed(trial *t, hn_dtype type, uint32_t n) {
  int32_t rank = (int32_t)between(1, 4), r;
  int64_t d[4], e[4];
  hn_id in[3];
  some_dims(rank, d);
  uint32_t full = (uint32_t)between(0, n - 1);
  for (uint32_t i = 0; i < n; i++) {
    broadcast_dims(rank, d, &r, e);
    in[i] = i == full ? input_as(t, type, rank, d) : input_as(t, type, r, e);
  }
  hn_id id = node(t, in, n, 1);
  if (t->op == HN_BitShift) hn_set_s(t->g, id, "direction", chance(2) ? "LEFT" : "RIGHT");
  if (t->op == HN_Mod) hn_set_i(t->g, id, "fmod", !hn_is_int(type) || chance(2));
  return finish_any(t, id);
}

static bool make_logical(trial *t) { return make_typed(t, HONE_DTYPE_BOOL, t->op == HN_Not ? 1 : 2); }
static bool make_bits(trial *t) {
  static const int64_t u[] = {HONE_DTYPE_U8, HONE_DTYPE_U16, HONE_DTYPE_U32};
  return make_typed(t, t->op == HN_BitShift ? (hn_dtype)pick(u, 3) : any_int(), t->op == HN_BitwiseNot ? 1 : 2);
}
static bool make_compare(trial *t) {
  t->odd_values = chance(3);
  if (t->op == HN_Equal && chance(4)) return make_typed(t, HONE_DTYPE_BOOL, 2);
  return make_typed(t, chance(2) ? any_int() : t->half ? t->half : HONE_DTYPE_F32, 2);
}
static bool make_arithmetic(trial *t) { return make_typed(t, chance(2) ? any_int() : t->half ? t->half : HONE_DTYPE_F32, 2); }
bool make_integers(trial *t) { return make_typed(t, chance(4) ? any_int() : chance(2) ? HONE_DTYPE_I64 : HONE_DTYPE_I32, 2); }
static bool make_mean(trial *t) {
  int32_t rank = (int32_t)between(1, 4), r;
  uint32_t n = (uint32_t)between(1, 3);
  int64_t d[4], e[4];
  hn_id in[3] = {input(t, 4, (some_dims(4, d), d)), HN_NONE, HN_NONE};
  for (uint32_t i = 1; i < n; i++) {
    broadcast_dims(rank, d + 4 - rank, &r, e);
    in[i] = either(t, r, e);
  }
  return with_epilogue(t, node(t, in, n, 1));
}

static bool make_where(trial *t) {
  int32_t rank = (int32_t)between(1, 4), r;
  int64_t d[4], e[4];
  hn_dtype type = chance(3) ? any_int() : t->half ? t->half : HONE_DTYPE_F32;
  some_dims(rank, d);
  hn_id in[3] = {input_as(t, HONE_DTYPE_BOOL, rank, d), HN_NONE, HN_NONE};
  for (int i = 1; i < 3; i++) {
    broadcast_dims(rank, d, &r, e);
    in[i] = input_as(t, type, r, e);
  }
  return finish_any(t, node(t, in, 3, 1));
}

static bool make_predicate(trial *t) {
  int64_t d[4];
  some_dims(4, d);
  t->odd_values = true;
  hn_id in = input(t, 4, d), n = node(t, &in, 1, 1);
  if (t->op == HN_IsInf && chance(2)) hn_set_i(t->g, n, chance(2) ? "detect_negative" : "detect_positive", 0);
  return finish_any(t, n);
}

static bool make_conversion(trial *t) {
  static const int64_t types[] = {HONE_DTYPE_F32, HONE_DTYPE_F16, HONE_DTYPE_BF16, HONE_DTYPE_BOOL, HONE_DTYPE_I32, HONE_DTYPE_I64, HONE_DTYPE_I8, HONE_DTYPE_U8, HONE_DTYPE_I16};
  int64_t d[4];
  some_dims(4, d);
  hn_dtype from = (hn_dtype)pick(types, 9), to = (hn_dtype)pick(types, 9);
  hn_id in[2] = {input_as(t, from, 4, d), HN_NONE};
  if (t->op == HN_CastLike) in[1] = scalar(t, to, 1);
  hn_id n = node(t, in, t->op == HN_CastLike ? 2 : 1, 1);
  if (t->op == HN_Cast) hn_set_i(t->g, n, "to", to);
  return finish_any(t, n);
}

/* ---- movement */

static bool make_pad(trial *t) {
  static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4], pads[8];
  int mode = (int)between(0, 3);
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(2, 9);
  for (int32_t i = 0; i < 2 * rank; i++) pads[i] = chance(3) ? 0 : between(mode ? 0 : -1, 3);
  for (int32_t i = 0; i < rank; i++)
    if (d[i] + pads[i] + pads[i + rank] < 1 || d[i] < 2) pads[i] = pads[i + rank] = 0;
  bool value = chance(2);
  hn_id in[3] = {input(t, rank, d), ints(t, pads, 2 * (size_t)rank), value ? scalar(t, t->half ? t->half : HONE_DTYPE_F32, 1.5) : HN_NONE};
  hn_id n = node(t, in, value ? 3 : 2, 1);
  hn_set_s(t->g, n, "mode", modes[mode]);
  return with_epilogue(t, n);
}

static bool make_center(trial *t) {
  int64_t d[4], to[4];
  some_dims(4, d);
  for (int i = 0; i < 4; i++) to[i] = between(1, 9);
  hn_id in[2] = {input(t, 4, d), ints(t, to, 4)};
  return with_epilogue(t, node(t, in, 2, 1));
}

static bool make_tile(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4], times[4];
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, 9), times[i] = between(1, 3);
  hn_id in[2] = {input(t, rank, d), ints(t, times, (size_t)rank)};
  return with_epilogue(t, node(t, in, 2, 1));
}

static bool make_blocks(trial *t) {
  int64_t b = between(1, 3), d[4] = {between(1, 2), between(1, 9), between(1, 9), between(1, 9)};
  if (t->op == HN_DepthToSpace) d[1] *= b * b;
  else d[2] *= b, d[3] *= b;
  hn_id in = input(t, 4, d), n = node(t, &in, 1, 1);
  hn_set_i(t->g, n, "blocksize", b);
  if (t->op == HN_DepthToSpace && chance(2)) hn_set_s(t->g, n, "mode", "CRD");
  return with_epilogue(t, n);
}

static bool make_reshape(trial *t) {
  int64_t d[3] = {between(1, 5), between(1, 5), between(1, 5)}, to[2] = {d[0] * d[1], d[2]}, axis = 0, one[3] = {1, d[1], d[2]};
  bool squeeze = t->op == HN_Squeeze;
  hn_id in[2] = {input(t, 3, squeeze ? one : d), t->op == HN_Reshape ? ints(t, to, 2) : ints(t, &axis, 1)};
  hn_id n = node(t, in, t->op == HN_Flatten ? 1 : 2, 1);
  hn_add_post(t->g, n, HN_Relu, HN_NONE, false, 0, 0); /* without an epilogue it is a view */
  finish(t, n);
  return true;
}

/* ---- groups */

static bool make_arg_reduce(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4];
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 19);
  t->odd_values = chance(3);
  hn_id in = input_as(t, chance(3) ? any_int() : t->half ? t->half : HONE_DTYPE_F32, rank, d), n = node(t, &in, 1, 1);
  hn_set_i(t->g, n, "axis", between(-rank, rank - 1));
  hn_set_i(t->g, n, "keepdims", chance(2));
  hn_set_i(t->g, n, "select_last_index", chance(2));
  return finish_any(t, n);
}

/* Any axes, any type, and long ones. */
static bool make_any_reduce(trial *t) {
  int32_t rank = (int32_t)between(1, 4), n_axes = 0;
  int64_t d[4], axes[4];
  bool through_float = t->op == HN_ReduceL2 || t->op == HN_ReduceLogSum || t->op == HN_ReduceLogSumExp, small = t->op == HN_ReduceProd || t->op == HN_ReduceLogSum;
  for (int32_t i = 0; i < rank; i++) d[i] = small ? between(1, 3) : chance(6) ? between(100, 300) : between(1, 13);
  for (int32_t i = 0; i < rank; i++)
    if (chance(2)) axes[n_axes++] = chance(2) ? i : i - rank;
  bool all = n_axes == 0;
  hn_dtype type = !t->half && !through_float && chance(4) ? any_int() : HONE_DTYPE_F32;
  hn_id x = type == HONE_DTYPE_F32 ? input(t, rank, d) : input_as(t, type, rank, d);
  if (t->half && rank > 1) d[0] = d[0] > 13 ? 13 : d[0];
  hn_id in[2] = {x, all ? HN_NONE : ints(t, axes, (size_t)n_axes)}, n = node(t, in, all ? 1 : 2, 1);
  hn_set_i(t->g, n, "keepdims", chance(2));
  return type == HONE_DTYPE_F32 ? with_epilogue(t, n) : finish_any(t, n);
}

static bool make_lanes(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4];
  for (int32_t i = 0; i < rank; i++) d[i] = chance(5) ? between(100, 300) : between(1, 9);
  if (rank > 3) d[0] = 1;
  t->odd_values = !t->half && chance(4);
  hn_id in = input(t, rank, d), n = node(t, &in, 1, 1);
  hn_set_i(t->g, n, "axis", between(-rank, rank - 1));
  if (t->op == HN_LpNormalization) hn_set_i(t->g, n, "p", between(1, 2));
  return with_epilogue(t, n);
}

static bool make_group_norm(trial *t) {
  int32_t rank = (int32_t)between(3, 5);
  int64_t groups = between(1, 4), d[5];
  for (int32_t i = 0; i < rank; i++) d[i] = between(2, 9);
  d[1] = groups * between(1, 8);
  hn_id in[3] = {input(t, rank, d), either(t, 1, &d[1]), either(t, 1, &d[1])}, n = node(t, in, 3, 1);
  hn_set_i(t->g, n, "num_groups", groups);
  return with_epilogue(t, n);
}

static bool make_mean_variance(trial *t) {
  int64_t d[4] = {between(1, 3), channels(), between(2, 9), between(2, 9)}, axes[3] = {1, 2, 3};
  hn_id in = input(t, 4, d), n = node(t, &in, 1, 1);
  if (chance(2)) hn_set_ints(t->g, n, "axes", axes, (size_t)between(1, 3));
  return with_epilogue(t, n);
}

static hn_id positive(trial *t, int64_t n) {
  hn_id c = constant(t, 1, &n);
  const hn_tensor *v = hn_value_at(t->g, c)->data;
  for (int64_t i = 0; i < n; i++) hn_store_f64(v->dtype, v->data, (size_t)i, 1 + hn_load_f64(v->dtype, v->data, (size_t)i) / 4);
  return c;
}

static bool make_batch_norm(trial *t) {
  int32_t rank = (int32_t)between(2, 5);
  int64_t d[5];
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 7);
  hn_id in[5] = {input(t, rank, d), constant(t, 1, &d[1]), constant(t, 1, &d[1]), constant(t, 1, &d[1]), positive(t, d[1])};
  return with_epilogue(t, node(t, in, 5, 1));
}

static bool make_lrn(trial *t) {
  int32_t rank = (int32_t)between(2, 4);
  int64_t d[4];
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 7);
  hn_id in = input(t, rank, d), n = node(t, &in, 1, 1);
  hn_set_i(t->g, n, "size", between(1, 9));
  hn_set_f(t->g, n, "alpha", 0.1);
  return with_epilogue(t, n);
}

/* ---- indices */

static hn_dtype any_type(trial *t) { return chance(3) ? any_int() : t->half ? t->half : HONE_DTYPE_F32; }

/* Constant indices, each in [-limit, limit). */
static hn_id indices(trial *t, int32_t rank, const int64_t *d, int64_t limit) {
  hn_tensor *c;
  if (hn_tensor_create(t->cx, chance(2) ? HONE_DTYPE_I64 : HONE_DTYPE_I32, rank, d, &c)) abort();
  for (int64_t i = 0; i < c->count; i++) hn_store_i64(c->dtype, c->data, (size_t)i, between(-limit, limit - 1));
  return hn_graph_add_constant(t->g, NULL, c);
}

static bool make_elements(trial *t) {
  static const char *const reductions[] = {"none", "add", "mul", "max", "min"};
  int32_t rank = (int32_t)between(1, 4), axis = (int32_t)between(0, rank - 1);
  int64_t d[4], e[4];
  bool scatter = t->op == HN_ScatterElements;
  for (int32_t i = 0; i < rank; i++) d[i] = i == 1 ? channels() : between(1, 9), e[i] = between(1, d[i]);
  int reduction = scatter ? (int)between(0, 4) : 0;
  hn_dtype type = reduction ? any_type(t) : t->half ? t->half : HONE_DTYPE_F32;
  if (scatter && !reduction) e[axis] = 1; /* what is written twice has no value */
  hn_id in[3] = {input_as(t, type, rank, d), indices(t, rank, e, d[axis]), scatter ? input_as(t, type, rank, e) : HN_NONE};
  hn_id n = node(t, in, scatter ? 3 : 2, 1);
  hn_set_i(t->g, n, "axis", chance(2) ? axis : axis - rank);
  if (scatter) hn_set_s(t->g, n, "reduction", reductions[reduction]);
  return finish_any(t, n);
}

static bool make_tuples(trial *t) {
  static const char *const reductions[] = {"none", "add", "max", "min"};
  int32_t rank = (int32_t)between(1, 4), depth = (int32_t)between(1, rank);
  int64_t d[4], e[2] = {between(1, 7), depth}, u[5], least = 99;
  bool scatter = t->op == HN_ScatterND;
  for (int32_t i = 0; i < rank; i++) {
    d[i] = between(1, 9);
    if (i < depth && d[i] < least) least = d[i];
  }
  int reduction = scatter ? (int)between(0, 3) : 0;
  if (scatter && !reduction) e[0] = 1;
  u[0] = e[0];
  for (int32_t i = depth; i < rank; i++) u[1 + i - depth] = d[i];
  hn_dtype type = any_type(t);
  hn_id in[3] = {input_as(t, type, rank, d), indices(t, 2, e, least), scatter ? input_as(t, type, 1 + rank - depth, u) : HN_NONE};
  hn_id n = node(t, in, scatter ? 3 : 2, 1);
  if (scatter) hn_set_s(t->g, n, "reduction", reductions[reduction]);
  return finish_any(t, n);
}

static bool make_one_hot(trial *t) {
  int32_t rank = (int32_t)between(1, 3);
  int64_t d[3], two = 2, depth = between(1, 12);
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, 9);
  hn_id in[3] = {indices(t, rank, d, 12), ints(t, &depth, 1), either(t, 1, &two)}, n = node(t, in, 3, 1);
  hn_set_i(t->g, n, "axis", between(-rank - 1, rank));
  return finish_any(t, n);
}

static bool make_triangle(trial *t) {
  int32_t rank = t->op == HN_EyeLike ? 2 : (int32_t)between(2, 4);
  int64_t d[4], k = between(-4, 4);
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, 9);
  hn_tensor *c;
  if (hn_tensor_scalar_i(t->cx, HONE_DTYPE_I64, k, &c)) abort();
  hn_id in[2] = {input_as(t, any_type(t), rank, d), t->op == HN_Trilu && chance(2) ? hn_graph_add_constant(t->g, NULL, c) : (hn_tensor_unref(c), HN_NONE)};
  hn_id n = node(t, in, in[1] == HN_NONE ? 1 : 2, 1);
  if (t->op == HN_Trilu) hn_set_i(t->g, n, "upper", chance(2));
  else hn_set_i(t->g, n, "k", k);
  return finish_any(t, n);
}

static bool make_reverse(trial *t) {
  int32_t rank = (int32_t)between(2, 4);
  int64_t d[4], lengths[9];
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, 9);
  bool batch = chance(2);
  for (int64_t i = 0; i < d[batch]; i++) lengths[i] = between(1, d[!batch]);
  hn_id in[2] = {input_as(t, any_type(t), rank, d), ints(t, lengths, (size_t)d[batch])}, n = node(t, in, 2, 1);
  hn_set_i(t->g, n, "batch_axis", batch);
  hn_set_i(t->g, n, "time_axis", !batch);
  return finish_any(t, n);
}

static bool make_cumulative(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4];
  for (int32_t i = 0; i < rank; i++) d[i] = t->op == HN_CumSum && !t->half && chance(5) ? between(30, 100) : between(1, 7);
  int64_t axis = between(-rank, rank - 1);
  hn_dtype type = !t->half && chance(3) ? any_int() : HONE_DTYPE_F32;
  hn_id in[2] = {type == HONE_DTYPE_F32 ? input(t, rank, d) : input_as(t, type, rank, d), ints(t, &axis, 1)}, n = node(t, in, 2, 1);
  hn_set_i(t->g, n, "exclusive", chance(2));
  hn_set_i(t->g, n, "reverse", chance(2));
  return finish_any(t, n);
}

/* ---- windows */

static bool make_lp_pool(trial *t) {
  int32_t spatial = (int32_t)between(1, 3);
  int64_t x[5] = {between(1, 2), channels()}, kernel[3], stride[3];
  for (int32_t i = 0; i < spatial; i++) x[2 + i] = between(5, 9), kernel[i] = between(1, 3), stride[i] = between(1, 2);
  hn_id in = input(t, spatial + 2, x), n = node(t, &in, 1, 1);
  hn_set_ints(t->g, n, "kernel_shape", kernel, (size_t)spatial);
  hn_set_ints(t->g, n, "strides", stride, (size_t)spatial);
  hn_set_i(t->g, n, "p", between(1, 3));
  return with_epilogue(t, n);
}

/* ---- attention */

static bool make_rotary(trial *t) {
  bool flat = chance(2), positions = chance(2), interleaved = chance(2);
  int64_t b = between(1, 3), s = between(1, 5), h = between(1, 3), half = between(1, 5), size = 2 * half + (chance(2) ? between(0, 3) : 0), rows = positions ? 7 : 0;
  int64_t d4[4] = {b, h, s, size}, d3[3] = {b, s, h * size}, cache[3] = {b, s, half}, table[2] = {rows, half}, at[2] = {b, s};
  hn_id in[4] = {flat ? input(t, 3, d3) : input(t, 4, d4), HN_NONE, HN_NONE, HN_NONE};
  for (int i = 1; i < 3; i++) in[i] = positions ? constant(t, 2, table) : constant(t, 3, cache);
  if (positions) {
    hn_tensor *c;
    if (hn_tensor_create(t->cx, HONE_DTYPE_I64, 2, at, &c)) abort();
    for (int64_t i = 0; i < c->count; i++) ((int64_t *)c->data)[i] = between(0, rows - 1);
    in[3] = hn_graph_add_constant(t->g, NULL, c);
  }
  hn_id n = node(t, in, positions ? 4 : 3, 1);
  if (flat) hn_set_i(t->g, n, "num_heads", h);
  if (size > 2 * half) hn_set_i(t->g, n, "rotary_embedding_dim", 2 * half);
  hn_set_i(t->g, n, "interleaved", interleaved);
  return with_epilogue(t, n);
}

/* ---- sampling and order */

static bool make_grid(trial *t) {
  static const char *const modes[] = {"nearest", "linear", "cubic"}, *const pads[] = {"zeros", "border", "reflection"};
  int32_t spatial = (int32_t)between(1, 3);
  int64_t d[5] = {between(1, 2), channels()}, g[5] = {d[0]};
  for (int32_t i = 0; i < spatial; i++) d[2 + i] = between(1, 7), g[1 + i] = between(1, 5);
  g[1 + spatial] = spatial;
  hn_id in[2] = {input(t, spatial + 2, d), input(t, spatial + 2, g)}, n = node(t, in, 2, 1);
  hn_set_s(t->g, n, "mode", modes[t->half ? 1 : between(0, 2)]);
  hn_set_s(t->g, n, "padding_mode", pads[between(0, 2)]);
  hn_set_i(t->g, n, "align_corners", chance(2));
  return with_epilogue(t, n);
}

static bool make_deformed(trial *t) {
  int64_t offset_groups = between(1, 2), groups = between(1, 2), each = between(1, 20), ic = 2 * each, oc = 2 * between(1, 9), k = between(1, 3);
  int64_t stride = between(1, 2), pad = between(0, 1), h = between(4, 8), o = (h + 2 * pad - k) / stride + 1, n_b = between(1, 2);
  int64_t x[4] = {n_b, ic, h, h}, w[4] = {oc, ic / groups, k, k}, at[4] = {n_b, 2 * offset_groups * k * k, o, o}, mask[4] = {n_b, offset_groups * k * k, o, o};
  bool bias = chance(2), masked = chance(2);
  hn_id in[5] = {input(t, 4, x), either(t, 4, w), input(t, 4, at), bias ? either(t, 1, &oc) : HN_NONE, masked ? input(t, 4, mask) : HN_NONE};
  hn_id n = node(t, in, masked ? 5 : bias ? 4 : 3, 1);
  hn_set_i(t->g, n, "group", groups);
  hn_set_i(t->g, n, "offset_group", offset_groups);
  hn_set_ints(t->g, n, "strides", (int64_t[]){stride, stride}, 2);
  hn_set_ints(t->g, n, "pads", (int64_t[]){pad, pad, pad, pad}, 4);
  return with_epilogue(t, n);
}

static bool make_columns(trial *t) {
  int64_t image[2], block[2], stride[2], dilation[2], pads[4], taps = 1, columns = 1;
  for (int i = 0; i < 2; i++) {
    image[i] = between(5, 40), block[i] = between(1, 3), stride[i] = between(1, 2), dilation[i] = between(1, 2);
    pads[i] = between(0, 1), pads[2 + i] = between(0, 1);
    taps *= block[i];
    columns *= (image[i] + pads[i] + pads[2 + i] - dilation[i] * (block[i] - 1) - 1) / stride[i] + 1;
  }
  int64_t d[3] = {between(1, 2), between(1, 4) * taps, columns};
  hn_id in[3] = {input(t, 3, d), ints(t, image, 2), ints(t, block, 2)}, n = node(t, in, 3, 1);
  hn_set_ints(t->g, n, "strides", stride, 2);
  hn_set_ints(t->g, n, "dilations", dilation, 2);
  hn_set_ints(t->g, n, "pads", pads, 4);
  return with_epilogue(t, n);
}

static bool make_regions(trial *t) {
  bool whole = t->op == HN_MaxRoiPool;
  int64_t d[4] = {between(1, 2), channels(), between(3, 9), between(3, 9)}, k = between(1, 5), r[2] = {k, whole ? 5 : 4}, images[5], pooled[2] = {between(1, 4), between(1, 4)};
  hn_tensor *c;
  if (hn_tensor_create(t->cx, t->half ? t->half : HONE_DTYPE_F32, 2, r, &c)) abort();
  for (int64_t i = 0; i < k; i++) {
    double x = (double)between(0, 16) / 4, y = (double)between(0, 16) / 4;
    double v[5] = {(double)(images[i] = between(0, d[0] - 1)), x, y, x + (double)between(1, 20) / 4, y + (double)between(1, 20) / 4};
    for (int e = whole ? 0 : 1; e < 5; e++) hn_store_f64(c->dtype, c->data, (size_t)(i * r[1] + e - !whole), v[e]);
  }
  hn_id in[3] = {input(t, 4, d), hn_graph_add_constant(t->g, NULL, c), whole ? HN_NONE : ints(t, images, (size_t)k)}, n = node(t, in, whole ? 2 : 3, 1);
  hn_set_f(t->g, n, "spatial_scale", chance(2) ? 1 : 0.5);
  if (whole) hn_set_ints(t->g, n, "pooled_shape", pooled, 2);
  else {
    hn_set_i(t->g, n, "output_height", pooled[0]);
    hn_set_i(t->g, n, "output_width", pooled[1]);
    hn_set_i(t->g, n, "sampling_ratio", between(0, 3));
    hn_set_s(t->g, n, "mode", chance(2) ? "avg" : "max");
    hn_set_s(t->g, n, "coordinate_transformation_mode", chance(2) ? "half_pixel" : "output_half_pixel");
  }
  return with_epilogue(t, n);
}

static bool make_top(trial *t) {
  int32_t rank = (int32_t)between(1, 3), axis = (int32_t)between(0, rank - 1);
  int64_t d[3];
  bool longer = chance(8);
  for (int32_t i = 0; i < rank; i++) d[i] = longer ? between(1, 2) : between(1, 40);
  if (longer) d[axis] = between(2100, 9000);
  int64_t k = longer ? between(1, 1024) : between(1, d[axis]);
  t->odd_values = chance(3);
  hn_id in[2] = {input_as(t, chance(3) ? (hn_dtype)pick((const int64_t[]){HONE_DTYPE_I32, HONE_DTYPE_U8, HONE_DTYPE_I8, HONE_DTYPE_I16}, 4) : t->half ? t->half : HONE_DTYPE_F32, rank, d), ints(t, &k, 1)};
  hn_id n = node(t, in, 2, 2);
  hn_set_i(t->g, n, "axis", chance(2) ? axis : axis - rank);
  hn_set_i(t->g, n, "largest", chance(2));
  return finish_any(t, n);
}

/* Scales of all kinds, 8 and 16 bits. */
static bool make_quantization(trial *t) {
  static const int64_t types[] = {HONE_DTYPE_U8, HONE_DTYPE_I8, HONE_DTYPE_U16, HONE_DTYPE_I16};
  int32_t rank = (int32_t)between(1, 4), axis = (int32_t)between(0, rank - 1);
  int64_t d[4], s[4], block = between(1, 5);
  hn_dtype type = (hn_dtype)pick(types, 4);
  for (int32_t i = 0; i < rank; i++) d[i] = s[i] = between(1, 9);
  int kind = (int)between(0, 2); /* one scale, one for each index of the axis, or for each block */
  s[axis] = (d[axis] + block - 1) / block;
  hn_tensor *scale, *zero;
  if (hn_tensor_create(t->cx, HONE_DTYPE_F32, kind == 0 ? 0 : kind == 1 ? 1 : rank, kind == 1 ? &d[axis] : s, &scale)) abort();
  if (hn_tensor_create(t->cx, type, scale->rank, scale->dims, &zero)) abort();
  for (int64_t i = 0; i < scale->count; i++) {
    ((float *)scale->data)[i] = (float)between(1, 60) / 64;
    hn_store_i64(type, zero->data, (size_t)i, between(0, 20));
  }
  hn_id x = t->op == HN_QuantizeLinear ? input(t, rank, d) : input_as(t, type, rank, d);
  t->odd_values = t->op == HN_QuantizeLinear && chance(3);
  hn_id in[3] = {x, hn_graph_add_constant(t->g, NULL, scale), hn_graph_add_constant(t->g, NULL, zero)}, n = node(t, in, 3, 1);
  if (kind) hn_set_i(t->g, n, "axis", axis);
  if (kind == 2) hn_set_i(t->g, n, "block_size", block);
  return finish_any(t, n);
}

/* ---- what is found to be chosen */

static bool make_suppression(trial *t) {
  int64_t images = between(1, 2), classes = between(1, 3), n = chance(4) ? between(1, 3) : between(20, 300), b[3] = {images, n, 4}, s[3] = {images, classes, n};
  hn_id in[5] = {input(t, 3, b), input(t, 3, s), scalar(t, HONE_DTYPE_I64, (double)between(0, 40)), scalar(t, HONE_DTYPE_F32, 0.1 * (double)between(0, 9)),
                 scalar(t, HONE_DTYPE_F32, 0.25 * (double)between(-8, 4))};
  if (chance(3)) { /* equal scores */
    hn_id r = hn_graph_add_node(t->g, HN_Round, "", &in[1], 1, 1);
    in[1] = hn_node_at(t->g, r)->out[0];
  }
  hn_id id = node(t, in, (uint32_t)between(3, 5), 1);
  if (chance(2)) hn_set_i(t->g, id, "center_point_box", 1);
  t->exact = true;
  return finish_any(t, id);
}

static hn_id some_zeros(trial *t, hn_dtype type, int32_t rank, const int64_t *d) {
  hn_id x = input(t, rank, d), r = hn_graph_add_node(t->g, HN_Round, "", &x, 1, 1);
  x = hn_node_at(t->g, r)->out[0];
  return type == HONE_DTYPE_F32 ? x : cast(t, x, type);
}

static bool make_nonzero(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4];
  some_dims(rank, d);
  if (chance(4)) d[0] = between(500, 3000) / (rank > 1 ? 100 : 1);
  hn_id x = some_zeros(t, chance(2) ? HONE_DTYPE_F32 : chance(2) ? HONE_DTYPE_BOOL : any_int(), rank, d);
  t->exact = true;
  return finish_any(t, node(t, &x, 1, 1));
}

static bool make_compress(trial *t) {
  int32_t rank = (int32_t)between(1, 4);
  int64_t d[4], axis = between(0, rank - 1), n = 1;
  bool whole = chance(3);
  some_dims(rank, d);
  for (int32_t i = 0; i < rank; i++) n *= d[i];
  if (!whole) n = d[axis];
  n -= chance(4) && n > 1;
  hn_id in[2] = {chance(2) ? input(t, rank, d) : input_as(t, any_int(), rank, d), some_zeros(t, HONE_DTYPE_BOOL, 1, &n)};
  hn_id id = node(t, in, 2, 1);
  if (!whole) hn_set_i(t->g, id, "axis", axis);
  t->exact = true;
  return finish_any(t, id);
}

static const struct {
  hn_op op;
  bool (*make)(trial *t);
} makers[] = {
    {HN_NonMaxSuppression, make_suppression}, {HN_NonZero, make_nonzero}, {HN_Compress, make_compress},
    {HN_And, make_logical}, {HN_Or, make_logical}, {HN_Xor, make_logical}, {HN_Not, make_logical},
    {HN_BitwiseAnd, make_bits}, {HN_BitwiseOr, make_bits}, {HN_BitwiseXor, make_bits}, {HN_BitwiseNot, make_bits}, {HN_BitShift, make_bits},
    {HN_Equal, make_compare}, {HN_Greater, make_compare}, {HN_GreaterOrEqual, make_compare}, {HN_Less, make_compare}, {HN_LessOrEqual, make_compare},
    {HN_Mod, make_arithmetic}, {HN_Pow, make_arithmetic}, {HN_Mean, make_mean}, {HN_Where, make_where},
    {HN_IsNaN, make_predicate}, {HN_IsInf, make_predicate}, {HN_CastLike, make_conversion},
    {HN_Pad, make_pad}, {HN_CenterCropPad, make_center}, {HN_Tile, make_tile}, {HN_DepthToSpace, make_blocks}, {HN_SpaceToDepth, make_blocks},
    {HN_ArgMax, make_arg_reduce}, {HN_ArgMin, make_arg_reduce}, {HN_ReduceMin, make_any_reduce}, {HN_ReduceProd, make_any_reduce},
    {HN_ReduceL1, make_any_reduce}, {HN_ReduceL2, make_any_reduce}, {HN_ReduceLogSum, make_any_reduce}, {HN_ReduceLogSumExp, make_any_reduce},
    {HN_ReduceSumSquare, make_any_reduce}, {HN_Hardmax, make_lanes}, {HN_LpNormalization, make_lanes}, {HN_GroupNormalization, make_group_norm},
    {HN_MeanVarianceNormalization, make_mean_variance}, {HN_BatchNormalization, make_batch_norm}, {HN_LRN, make_lrn},
    {HN_GatherElements, make_elements}, {HN_ScatterElements, make_elements}, {HN_GatherND, make_tuples}, {HN_ScatterND, make_tuples},
    {HN_OneHot, make_one_hot}, {HN_Trilu, make_triangle}, {HN_EyeLike, make_triangle}, {HN_ReverseSequence, make_reverse},
    {HN_CumSum, make_cumulative}, {HN_CumProd, make_cumulative},
    {HN_LpPool, make_lp_pool},
    {HN_RotaryEmbedding, make_rotary},
    {HN_DeformConv, make_deformed}, {HN_Col2Im, make_columns}, {HN_GridSample, make_grid}, {HN_RoiAlign, make_regions}, {HN_MaxRoiPool, make_regions}, {HN_TopK, make_top},
    {HN_Reshape, make_reshape}, {HN_Flatten, make_reshape}, {HN_Squeeze, make_reshape}, {HN_Unsqueeze, make_reshape},
};

bool generate_more(trial *t, bool *made) {
  if (t->scales) {
    *made = make_quantization(t);
    return true;
  }
  for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
    if (makers[i].op == t->op) {
      *made = makers[i].make(t);
      return true;
    }
  return false;
}
