/* spell_norm.c - normalizations, products, quantization. */
#include <math.h>
#include <string.h>

#include "format/tensorflow/spell.h"

/* Factor and addend per channel, where all is constant. */
static bool affine_of(tg *t, const hn_node *n, hn_tensor **scale, hn_tensor **shift) {
  const hn_tensor *c[4];
  double eps = hn_attr_f(n, "epsilon", 1e-5);
  for (int i = 0; i < 4; i++) {
    c[i] = hn_const(t->g, n->in[1 + i]);
    if (!c[i] || c[i]->count != c[0]->count) {
      tg_refuse(t, "its scale, bias, mean and variance are not all constant");
      return false;
    }
  }
  if (!t->st) t->st = hn_tensor_create(t->cx, c[0]->dtype, 1, c[0]->dims, scale);
  if (!t->st) t->st = hn_tensor_create(t->cx, c[0]->dtype, 1, c[0]->dims, shift);
  for (size_t i = 0; !t->st && i < (size_t)c[0]->count; i++) {
    double s = hn_tensor_f(c[0], i) / sqrt(hn_tensor_f(c[3], i) + eps);
    hn_store_f64(c[0]->dtype, (*scale)->data, i, s);
    hn_store_f64(c[0]->dtype, (*shift)->data, i, hn_tensor_f(c[1], i) - hn_tensor_f(c[2], i) * s);
  }
  return !t->st;
}

void tg_spell_batch_norm(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  hn_dtype type = tg_dtype(t, n->in[0]);
  if (rank != 4 || type != HONE_DTYPE_F32) {
    hn_tensor *scale = NULL, *shift = NULL;
    if (rank < 2 || !affine_of(t, n, &scale, &shift)) {
      if (rank < 2) tg_refuse(t, "the rank of its input is not known");
      hn_tensor_unref(scale);
      hn_tensor_unref(shift);
      return;
    }
    const char *x = rank > 2 ? tg_last(t, n->in[0]) : tg_plain(t, n->in[0]);
    x = tg2(t, "AddV2", type, tg2(t, "Mul", type, x, tg_const(t, scale)), tg_const(t, shift));
    if (rank > 2) tg_set_last(t, n->out[0], x);
    else tg_set_plain(t, n->out[0], x);
    return;
  }
  const char *in[5] = {tg_last(t, n->in[0])};
  for (int i = 1; i < 5; i++) in[i] = tg_plain(t, n->in[i]);
  tg_node *node = tg_add(t, op, NULL);
  for (int i = 0; i < 5; i++) tg_input(t, node, in[i]);
  tg_type(t, node, "T", type);
  tg_type(t, node, "U", type);
  tg_float(t, node, "epsilon", hn_attr_f(n, "epsilon", 1e-5));
  tg_text(t, node, "data_format", "NHWC");
  tg_bool(t, node, "is_training", false);
  tg_set_last(t, n->out[0], tg_out(t, node, 0));
}

/* Zero mean and unit variance over axes. */
static const char *normalized(tg *t, hn_dtype type, const char *x, const int64_t *axes, size_t n, double epsilon) {
  const char *mean = tg_reduce(t, "Mean", type, x, axes, n, true), *centred = tg2(t, "Sub", type, x, mean);
  const char *variance = tg_reduce(t, "Mean", type, tg1(t, "Square", type, centred), axes, n, true);
  return tg2(t, "Mul", type, centred, tg1(t, "Rsqrt", type, tg2(t, "AddV2", type, variance, tg_scalar(t, type, epsilon))));
}

void tg_spell_layer_norm(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank, first;
  hn_dtype type = tg_dtype(t, n->in[0]);
  int64_t axes[HN_MAX_RANK];
  (void)op;
  if (rank < 1 || !hn_axis(hn_attr_i(n, "axis", -1), rank, &first) || (n->n_out > 1 && n->out[1] != HN_NONE && hn_value_at(t->g, n->out[1])->n_users)) {
    tg_refuse(t, "its form has no spelling in TensorFlow");
    return;
  }
  for (int32_t i = first; i < rank; i++) axes[i - first] = i;
  const char *y = normalized(t, type, tg_plain(t, n->in[0]), axes, (size_t)(rank - first), hn_attr_f(n, "epsilon", 1e-5));
  y = tg2(t, "Mul", type, y, tg_plain(t, n->in[1]));
  if (hn_in(n, 2) != HN_NONE) y = tg2(t, "AddV2", type, y, tg_plain(t, n->in[2]));
  tg_set_plain(t, n->out[0], y);
}

void tg_spell_instance_norm(tg *t, const hn_node *n, const char *op) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank;
  hn_dtype type = tg_dtype(t, n->in[0]);
  int64_t axes[HN_MAX_RANK];
  (void)op;
  for (int32_t i = 1; i < rank - 1; i++) axes[i - 1] = i;
  if (rank < 3) {
    tg_refuse(t, "the rank of its input is not known");
    return;
  }
  const char *y = normalized(t, type, tg_last(t, n->in[0]), axes, (size_t)rank - 2, hn_attr_f(n, "epsilon", 1e-5));
  y = tg2(t, "AddV2", type, tg2(t, "Mul", type, y, tg_plain(t, n->in[1])), tg_plain(t, n->in[2]));
  tg_set_last(t, n->out[0], y);
}

void tg_spell_group_norm(tg *t, const hn_node *n, const char *op) {
  const hn_shape *in = tg_shape_of(t, n->in[0]);
  hn_dtype type = tg_dtype(t, n->in[0]);
  int64_t groups = hn_attr_i(n, "num_groups", 1), axes[HN_MAX_RANK];
  hn_shape split = {.rank = in->rank + 1}, whole = {.rank = in->rank};
  (void)op;
  if (in->rank < 2 || in->rank >= HN_MAX_RANK || !hn_dim_fixed(in->d[1]) || groups < 1) {
    tg_refuse(t, "the number of its channels is not known");
    return;
  }
  for (int32_t i = 0; i < in->rank; i++) whole.d[tg_last_axis(i, in->rank)] = in->d[i];
  memcpy(split.d, whole.d, sizeof *split.d * (size_t)in->rank);
  split.d[in->rank - 1] = groups;
  split.d[in->rank] = in->d[1] / groups;
  size_t count = 0;
  for (int32_t i = 1; i <= in->rank; i++)
    if (i != in->rank - 1) axes[count++] = i;
  const char *x = in->rank > 2 ? tg_last(t, n->in[0]) : tg_plain(t, n->in[0]);
  x = normalized(t, type, tg_reshape(t, type, x, &split, NULL), axes, count, hn_attr_f(n, "epsilon", 1e-5));
  x = tg_reshape(t, type, x, &whole, NULL);
  x = tg2(t, "AddV2", type, tg2(t, "Mul", type, x, tg_plain(t, n->in[1])), tg_plain(t, n->in[2]));
  if (in->rank > 2) tg_set_last(t, n->out[0], x);
  else tg_set_plain(t, n->out[0], x);
}

void tg_spell_lrn(tg *t, const hn_node *n, const char *op) {
  int64_t size = hn_attr_i(n, "size", 1);
  if (tg_shape_of(t, n->in[0])->rank != 4 || size % 2 == 0) {
    tg_refuse(t, "its form has no spelling in TensorFlow");
    return;
  }
  const char *x = tg_last(t, n->in[0]);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_int(t, node, "depth_radius", size / 2);
  tg_float(t, node, "bias", hn_attr_f(n, "bias", 1));
  tg_float(t, node, "alpha", hn_attr_f(n, "alpha", 1e-4) / (double)size);
  tg_float(t, node, "beta", hn_attr_f(n, "beta", 0.75));
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_set_last(t, n->out[0], tg_out(t, node, 0));
}

/* ---- products */

void tg_spell_matmul(tg *t, const hn_node *n, const char *op) {
  int32_t a = tg_shape_of(t, n->in[0])->rank, b = tg_shape_of(t, n->in[1])->rank;
  bool flat = a == 2 && b == 2;
  (void)op;
  if (a < 2 || b < 2) {
    tg_refuse(t, "products with vectors have no spelling in TensorFlow");
    return;
  }
  const char *x = tg_plain(t, n->in[0]), *y = tg_plain(t, n->in[1]);
  tg_node *node = tg_add(t, flat ? "MatMul" : "BatchMatMulV2", NULL);
  tg_input(t, node, x);
  tg_input(t, node, y);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_bool(t, node, flat ? "transpose_a" : "adj_x", false);
  tg_bool(t, node, flat ? "transpose_b" : "adj_y", false);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_gemm(tg *t, const hn_node *n, const char *op) {
  hn_dtype type = tg_dtype(t, n->in[0]);
  double alpha = hn_attr_f(n, "alpha", 1), beta = hn_attr_f(n, "beta", 1);
  const char *x = tg_plain(t, n->in[0]), *w = tg_plain(t, n->in[1]), *c = NULL;
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, w);
  tg_type(t, node, "T", type);
  tg_bool(t, node, "transpose_a", hn_attr_i(n, "transA", 0) != 0);
  tg_bool(t, node, "transpose_b", hn_attr_i(n, "transB", 0) != 0);
  const char *y = tg_out(t, node, 0);
  if (alpha != 1) y = tg2(t, "Mul", type, y, tg_scalar(t, type, alpha));
  if (hn_in(n, 2) != HN_NONE && beta != 0) {
    const hn_shape *s = tg_shape_of(t, n->in[2]);
    c = tg_plain(t, n->in[2]);
    if (beta != 1) c = tg2(t, "Mul", type, c, tg_scalar(t, type, beta));
    bool bias = s->rank == 1 && hn_dim_fixed(s->d[0]) && s->d[0] == tg_shape_of(t, n->out[0])->d[1];
    y = tg2(t, bias ? "BiasAdd" : "AddV2", type, y, c);
  }
  tg_set_plain(t, n->out[0], y);
}

void tg_spell_einsum(tg *t, const hn_node *n, const char *op) {
  const char *in[16];
  if (n->n_main > 16) {
    tg_refuse(t, "it has more than 16 operands");
    return;
  }
  for (uint32_t i = 0; i < n->n_main; i++) in[i] = tg_plain(t, n->in[i]);
  tg_node *node = tg_add(t, op, NULL);
  for (uint32_t i = 0; i < n->n_main; i++) tg_input(t, node, in[i]);
  tg_text(t, node, "equation", hn_attr_s(n, "equation", ""));
  tg_int(t, node, "N", n->n_main);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

/* ---- quantization, written out */

static const char *cast(tg *t, const char *x, hn_dtype from, hn_dtype to) {
  tg_node *node = tg_add(t, "Cast", NULL);
  tg_input(t, node, x);
  tg_type(t, node, "SrcT", from);
  tg_type(t, node, "DstT", to);
  return tg_out(t, node, 0);
}

/* Scale or zero point as floats, along its axis. */
static const char *along_axis(tg *t, const hn_node *n, hn_id v) {
  int32_t rank = tg_shape_of(t, n->in[0])->rank, axis;
  const hn_shape *s = tg_shape_of(t, v);
  hn_dtype type = tg_dtype(t, v);
  const char *x = tg_plain(t, v);
  if (type != HONE_DTYPE_F32) x = cast(t, x, type, HONE_DTYPE_F32);
  if (s->rank == 0 || (s->rank == 1 && s->d[0] == 1)) return tg_reshape(t, HONE_DTYPE_F32, x, &(hn_shape){.rank = 0}, NULL);
  if (s->rank != 1 || !hn_axis(hn_attr_i(n, "axis", 1), rank, &axis)) {
    tg_refuse(t, "scales in blocks have no spelling in TensorFlow");
    return NULL;
  }
  hn_shape wide = {.rank = rank};
  for (int32_t i = 0; i < rank; i++) wide.d[i] = i == axis ? s->d[0] : 1;
  return tg_reshape(t, HONE_DTYPE_F32, x, &wide, NULL);
}

void tg_spell_quantize(tg *t, const hn_node *n, const char *op) {
  hn_dtype to = tg_dtype(t, n->out[0]);
  bool byte = hn_is_8bit(to);
  (void)op;
  if (!byte || tg_dtype(t, n->in[0]) != HONE_DTYPE_F32) {
    tg_refuse(t, "only floats to 8 bits have a spelling in TensorFlow");
    return;
  }
  const char *x = tg2(t, "RealDiv", HONE_DTYPE_F32, tg_plain(t, n->in[0]), along_axis(t, n, n->in[1]));
  x = tg1(t, "Round", HONE_DTYPE_F32, x);
  if (hn_in(n, 2) != HN_NONE) x = tg2(t, "AddV2", HONE_DTYPE_F32, x, along_axis(t, n, n->in[2]));
  x = tg2(t, "Maximum", HONE_DTYPE_F32, x, tg_scalar(t, HONE_DTYPE_F32, to == HONE_DTYPE_U8 ? 0 : -128));
  x = tg2(t, "Minimum", HONE_DTYPE_F32, x, tg_scalar(t, HONE_DTYPE_F32, to == HONE_DTYPE_U8 ? 255 : 127));
  tg_set_plain(t, n->out[0], cast(t, x, HONE_DTYPE_F32, to));
}

void tg_spell_dequantize(tg *t, const hn_node *n, const char *op) {
  hn_dtype from = tg_dtype(t, n->in[0]);
  (void)op;
  if (tg_dtype(t, n->out[0]) != HONE_DTYPE_F32) {
    tg_refuse(t, "only 32-bit floats have a spelling in TensorFlow");
    return;
  }
  const char *x = cast(t, tg_plain(t, n->in[0]), from, HONE_DTYPE_F32);
  if (hn_in(n, 2) != HN_NONE) x = tg2(t, "Sub", HONE_DTYPE_F32, x, along_axis(t, n, n->in[2]));
  tg_set_plain(t, n->out[0], tg2(t, "Mul", HONE_DTYPE_F32, x, along_axis(t, n, n->in[1])));
}
