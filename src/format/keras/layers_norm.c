/* layers_norm.c - normalizations. */
#include "format/keras/layers.h"

/* The one axis of a layer, which may be written as a list of one; counted from 0. */
static hone_status one_axis(const kr_call *c, int32_t rank, int32_t *axis) {
  int64_t v[2];
  uint32_t n = kj_ints(c->config, "axis", v, 2);
  if (!n) v[0] = -1, n = 1;
  if (n == 1 && hn_axis(v[0], rank, axis)) return HONE_OK;
  return kr_fail(c, HONE_UNSUPPORTED, "its axis is not one of the %d dimensions of its input", rank);
}

/* Several axes as flags. */
static hone_status all_axes(const kr_call *c, int32_t rank, bool axes[HN_MAX_RANK]) {
  int64_t v[HN_MAX_RANK];
  uint32_t n = kj_ints(c->config, "axis", v, HN_MAX_RANK);
  if (!n) v[0] = -1, n = 1;
  for (int32_t i = 0; i < rank; i++) axes[i] = false;
  for (uint32_t i = 0; i < n; i++) {
    int32_t a;
    if (!hn_axis(v[i], rank, &a)) return kr_fail(c, HONE_BAD_GRAPH, "axis %lld is not one of the %d dimensions of its input", (long long)v[i], rank);
    axes[a] = true;
  }
  return HONE_OK;
}

static hn_id filled(kr_call *c, hn_dtype t, int64_t n, double v) {
  hn_tensor *r = NULL;
  if (!c->m.st) c->m.st = hn_tensor_create(c->k->cx, t, 1, &n, &r);
  for (int64_t i = 0; !c->m.st && i < n; i++) hn_store_f64(t, r->data, (size_t)i, v);
  return hn_make_constant(&c->m, r);
}

/* Channels at dimension 1, and back again. */
static hn_id channels_to_1(kr_call *c, hn_id x, int32_t axis, bool back) {
  int32_t rank = kr_rank(c, x);
  int64_t perm[HN_MAX_RANK];
  if (axis <= 1 || c->m.st) return x;
  for (int32_t i = 0, from = 0; i < rank; i++) {
    if (from == axis) from++;
    int64_t source = i == 1 ? axis : from++;
    if (back) perm[source] = i;
    else perm[i] = source;
  }
  return hn_make_transpose(&c->m, x, perm, (size_t)rank);
}

hone_status kr_lower_batch_norm(kr_call *c, int variant) {
  int32_t rank = kr_rank(c, c->in[0]), axis;
  (void)variant;
  if (rank < 2) return kr_fail(c, HONE_UNSUPPORTED, "its input has %d dimensions", rank);
  HN_TRY(one_axis(c, rank, &axis));
  int64_t channels = kr_dim(c, c->in[0], axis);
  if (axis == 0 || channels < 0) return kr_fail(c, HONE_UNSUPPORTED, "the number of channels of its input is not fixed");
  static const char *const names[] = {"gamma", "beta", "moving_mean", "moving_variance"};
  for (uint32_t i = 0; i < 4; i++) HN_TRY(kr_expect(c, i, names[i], 1, &channels));
  hn_dtype t = c->l->w[2]->dtype;
  hn_id in[5] = {channels_to_1(c, c->in[0], axis, false), kr_weight(c, 0, NULL), kr_weight(c, 1, NULL), kr_weight(c, 2, NULL),
                 kr_weight(c, 3, NULL)};
  if (in[1] == HN_NONE) in[1] = filled(c, t, channels, 1);
  if (in[2] == HN_NONE) in[2] = filled(c, t, channels, 0);
  hn_id node = kr_main(c, HN_BatchNormalization, in, 5, 1);
  if (!c->m.st) hn_set_f(c->k->g, node, "epsilon", kj_real(c->config, "epsilon", 1e-3));
  return kr_result(c, channels_to_1(c, hn_make_done(&c->m, node), axis, true));
}

/* Over dimensions that are not the last ones: written out. */
static hn_id spelled_out(kr_call *c, hn_id x, const bool axes[HN_MAX_RANK], int32_t rank, double epsilon) {
  int64_t list[HN_MAX_RANK], dims[HN_MAX_RANK];
  size_t n = 0;
  hn_dtype t = hn_make_type(&c->m, x);
  for (int32_t i = 0; i < rank; i++) {
    dims[i] = axes[i] ? kr_dim(c, x, i) : 1;
    if (axes[i]) list[n++] = i;
  }
  hn_id mean = hn_make_reduce(&c->m, HN_ReduceMean, x, list, n, true), centred = hn_make2(&c->m, HN_Sub, x, mean);
  hn_id variance = hn_make_reduce(&c->m, HN_ReduceMean, hn_make2(&c->m, HN_Mul, centred, centred), list, n, true);
  hn_id root = hn_make1(&c->m, HN_Sqrt, hn_make2(&c->m, HN_Add, variance, hn_make_scalar(&c->m, t, epsilon)));
  hn_id y = hn_make2(&c->m, HN_Div, centred, root);
  for (uint32_t i = 0; i < 2; i++)
    if (c->l->w[i]) y = hn_make2(&c->m, i ? HN_Add : HN_Mul, y, kr_weight_as(c, i, rank, dims));
  return y;
}

hone_status kr_lower_layer_norm(kr_call *c, int variant) {
  int32_t rank = kr_rank(c, c->in[0]), first;
  bool axes[HN_MAX_RANK], tail = true;
  int64_t dims[HN_MAX_RANK];
  hn_id x = c->in[0];
  double epsilon = kj_real(c->config, "epsilon", 1e-3);
  (void)variant;
  if (kj_bool(c->config, "rms_scaling", false)) return kr_fail(c, HONE_UNSUPPORTED, "rms_scaling is not supported");
  if (rank < 1) return kr_fail(c, HONE_UNSUPPORTED, "the rank of its input is not known");
  HN_TRY(all_axes(c, rank, axes));
  for (first = 0; first < rank && !axes[first]; first++) continue;
  for (int32_t i = first; i < rank; i++) {
    tail = tail && axes[i];
    if (axes[i] && (dims[i - first] = kr_dim(c, x, i)) < 0) return kr_fail(c, HONE_UNSUPPORTED, "the size of dimension %d is not fixed", i);
  }
  if (!tail) return kr_result(c, spelled_out(c, x, axes, rank, epsilon));
  int64_t count = 1;
  for (int32_t i = 0; i < rank - first; i++) count *= dims[i];
  hn_dtype t = hn_make_type(&c->m, x);
  hn_id scale = kr_weight_as(c, 0, rank - first, dims), bias = kr_weight_as(c, 1, rank - first, dims);
  if (!c->l->w[0]) {
    scale = filled(c, t, count, 1);
    if (rank - first > 1) return kr_result(c, spelled_out(c, x, axes, rank, epsilon));
  }
  hn_id node = kr_main(c, HN_LayerNormalization, (hn_id[]){x, scale, bias}, bias == HN_NONE ? 2 : 3, 1);
  if (c->m.st) return c->m.st;
  hn_set_i(c->k->g, node, "axis", first);
  hn_set_f(c->k->g, node, "epsilon", epsilon);
  return kr_result(c, hn_make_done(&c->m, node));
}

hone_status kr_lower_rms_norm(kr_call *c, int variant) {
  int32_t rank = kr_rank(c, c->in[0]), axis;
  (void)variant;
  HN_TRY(one_axis(c, rank, &axis));
  int64_t n = kr_dim(c, c->in[0], axis);
  if (axis != rank - 1) return kr_fail(c, HONE_UNSUPPORTED, "it normalizes another dimension than the last");
  HN_TRY(kr_expect(c, 0, "scale", 1, &n));
  hn_id node = kr_main(c, HN_RMSNormalization, (hn_id[]){c->in[0], kr_weight(c, 0, NULL)}, 2, 1);
  if (c->m.st) return c->m.st;
  hn_set_i(c->k->g, node, "axis", axis);
  hn_set_f(c->k->g, node, "epsilon", kj_real(c->config, "epsilon", 1e-6));
  return kr_result(c, hn_make_done(&c->m, node));
}

hone_status kr_lower_group_norm(kr_call *c, int variant) {
  int32_t rank = kr_rank(c, c->in[0]), axis;
  (void)variant;
  HN_TRY(one_axis(c, rank, &axis));
  int64_t channels = kr_dim(c, c->in[0], axis), groups = kj_int(c->config, "groups", 32);
  if (groups == -1) groups = channels;
  if (axis == 0 || channels < 1 || groups < 1 || channels % groups)
    return kr_fail(c, HONE_BAD_GRAPH, "%lld channels are not a multiple of %lld groups", (long long)channels, (long long)groups);
  HN_TRY(kr_expect(c, 0, "gamma", 1, &channels));
  HN_TRY(kr_expect(c, 1, "beta", 1, &channels));
  hn_dtype t = hn_make_type(&c->m, c->in[0]);
  hn_id in[3] = {channels_to_1(c, c->in[0], axis, false), kr_weight(c, 0, NULL), kr_weight(c, 1, NULL)};
  if (in[1] == HN_NONE) in[1] = filled(c, t, channels, 1);
  if (in[2] == HN_NONE) in[2] = filled(c, t, channels, 0);
  hn_id node = kr_main(c, HN_GroupNormalization, in, 3, 1);
  if (c->m.st) return c->m.st;
  hn_set_i(c->k->g, node, "num_groups", groups);
  hn_set_f(c->k->g, node, "epsilon", kj_real(c->config, "epsilon", 1e-3));
  return kr_result(c, channels_to_1(c, hn_make_done(&c->m, node), axis, true));
}

hone_status kr_lower_unit_norm(kr_call *c, int variant) {
  int32_t rank = kr_rank(c, c->in[0]);
  bool axes[HN_MAX_RANK];
  int64_t list[HN_MAX_RANK];
  size_t n = 0;
  hn_id x = c->in[0];
  (void)variant;
  if (rank < 1) return kr_fail(c, HONE_UNSUPPORTED, "the rank of its input is not known");
  HN_TRY(all_axes(c, rank, axes));
  for (int32_t i = 0; i < rank; i++)
    if (axes[i]) list[n++] = i;
  hn_id sum = hn_make_reduce(&c->m, HN_ReduceSum, hn_make2(&c->m, HN_Mul, x, x), list, n, true);
  hn_id root = hn_make1(&c->m, HN_Sqrt, hn_make2(&c->m, HN_Max, sum, hn_make_scalar(&c->m, hn_make_type(&c->m, x), 1e-12)));
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Div, (hn_id[]){x, root}, 2, 1)));
}

/* ---- preprocessing: constants of the configuration or of adaptation */

/* Numbers of the configuration, one or a list, as a constant; along `axis` of `rank` dimensions. */
static hn_id numbers(kr_call *c, const char *key, hn_dtype t, double otherwise) {
  const json_t *v = json_object_get(c->config, key), *item;
  double x = otherwise;
  hn_tensor *r = NULL;
  while (json_is_array(v) && json_array_size(v) == 1 && json_is_array(json_array_get(v, 0))) v = json_array_get(v, 0);
  if (kj_number(v, &x) || !json_is_array(v)) return hn_make_scalar(&c->m, t, x);
  int64_t n = (int64_t)json_array_size(v);
  size_t i;
  if (!c->m.st) c->m.st = hn_tensor_create(c->k->cx, t, 1, &n, &r);
  json_array_foreach(v, i, item) {
    if (c->m.st) break;
    if (!kj_number(item, &x)) c->m.st = kr_fail(c, HONE_BAD_FORMAT, "'%s' is not a list of numbers", key);
    else hn_store_f64(t, r->data, i, x);
  }
  if (c->m.st) {
    hn_tensor_unref(r);
    return HN_NONE;
  }
  return hn_make_constant(&c->m, r);
}

static hn_dtype float_type(const kr_call *c, hn_id x) {
  hn_dtype t = hn_make_type(&c->m, x);
  return hn_is_float(t) ? t : HONE_DTYPE_F32;
}

hone_status kr_lower_rescaling(kr_call *c, int variant) {
  hn_dtype t = float_type(c, c->in[0]);
  (void)variant;
  hn_id x = hn_make_cast(&c->m, c->in[0], t), scale = numbers(c, "scale", t, 1), offset = numbers(c, "offset", t, 0);
  x = hn_make_done(&c->m, kr_main(c, HN_Mul, (hn_id[]){x, scale}, 2, 1));
  return kr_result(c, hn_make2(&c->m, HN_Add, x, offset));
}

/* (x - mean) / max(sqrt(variance), 1e-7) */
hone_status kr_lower_normalization(kr_call *c, int variant) {
  int32_t rank = kr_rank(c, c->in[0]);
  bool axes[HN_MAX_RANK] = {false}, whole = json_is_null(json_object_get(c->config, "axis"));
  int64_t dims[HN_MAX_RANK], count = 1;
  hn_dtype t = float_type(c, c->in[0]);
  hn_id value[2], x = hn_make_cast(&c->m, c->in[0], t);
  (void)variant;
  if (rank < 1) return kr_fail(c, HONE_UNSUPPORTED, "the rank of its input is not known");
  if (!whole) HN_TRY(all_axes(c, rank, axes));
  for (int32_t i = 0; i < rank; i++) {
    dims[i] = axes[i] ? kr_dim(c, x, i) : 1;
    if (dims[i] < 0) return kr_fail(c, HONE_UNSUPPORTED, "the size of dimension %d is not fixed", i);
    count *= dims[i];
  }
  for (uint32_t i = 0; i < 2; i++) {
    const char *key = i ? "variance" : "mean";
    if (c->l->w[i]) {
      if (c->l->w[i]->count != count) return kr_fail(c, HONE_BAD_GRAPH, "weight '%s' has %lld elements; it should have %lld", key, (long long)c->l->w[i]->count, (long long)count);
      value[i] = kr_weight_as(c, i, rank, dims);
    } else {
      value[i] = numbers(c, key, t, 0);
      if (!c->m.st && hn_const(c->k->g, value[i])->count == count && count > 1) value[i] = hn_make_reshape(&c->m, value[i], dims, (size_t)rank);
    }
  }
  hn_id deviation = hn_make2(&c->m, HN_Max, hn_make1(&c->m, HN_Sqrt, value[1]), hn_make_scalar(&c->m, t, 1e-7));
  if (kj_bool(c->config, "invert", false)) {
    x = hn_make_done(&c->m, kr_main(c, HN_Mul, (hn_id[]){x, deviation}, 2, 1));
    return kr_result(c, hn_make2(&c->m, HN_Add, x, value[0]));
  }
  x = hn_make2(&c->m, HN_Sub, x, value[0]);
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Div, (hn_id[]){x, deviation}, 2, 1)));
}
