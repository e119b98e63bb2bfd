/* layers_shape.c - other shapes and orders, edges, sizes. */
#include <string.h>

#include "format/keras/layers.h"

/* Channels last, whatever the layer has: Flatten and GlobalPooling count elements in that order. */
hone_status kr_lower_flatten(kr_call *c, int variant) {
  int32_t rank = kr_rank(c, c->in[0]);
  hn_id x = c->in[0];
  (void)variant;
  if (kr_channels_first(c) && rank > 2) {
    int64_t perm[HN_MAX_RANK] = {0};
    for (int32_t i = 1; i < rank - 1; i++) perm[i] = i + 1;
    perm[rank - 1] = 1;
    x = hn_make_transpose(&c->m, x, perm, (size_t)rank);
  }
  if (rank == 1) return kr_result(c, hn_make2(&c->m, HN_Unsqueeze, x, hn_make_ints(&c->m, (int64_t[]){1}, 1)));
  hn_id node = kr_main(c, HN_Flatten, &x, 1, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", 1);
  return kr_result(c, hn_make_done(&c->m, node));
}

hone_status kr_lower_reshape(kr_call *c, int variant) {
  int64_t dims[HN_MAX_RANK] = {0};
  const json_t *target = json_object_get(c->config, "target_shape");
  uint32_t n = kj_ints(c->config, "target_shape", dims + 1, HN_MAX_RANK - 1);
  (void)variant;
  if (n != json_array_size(target)) return kr_fail(c, HONE_BAD_FORMAT, "its target_shape is not a list of numbers");
  for (uint32_t i = 1; i <= n; i++)
    if (dims[i] == 0 || dims[i] < -1) return kr_fail(c, HONE_UNSUPPORTED, "a dimension of its target_shape is %lld", (long long)dims[i]);
  hn_id in[2] = {c->in[0], hn_make_ints(&c->m, dims, n + 1)};
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Reshape, in, 2, 1)));
}

hone_status kr_lower_permute(kr_call *c, int variant) {
  int64_t perm[HN_MAX_RANK] = {0};
  uint32_t n = kj_ints(c->config, "dims", perm + 1, HN_MAX_RANK - 1);
  (void)variant;
  if ((int32_t)n + 1 != kr_rank(c, c->in[0])) return kr_fail(c, HONE_BAD_GRAPH, "its dims do not fit its input");
  return kr_result(c, hn_make_transpose(&c->m, c->in[0], perm, n + 1));
}

hone_status kr_lower_repeat_vector(kr_call *c, int variant) {
  int64_t n = kj_int(c->config, "n", 0);
  (void)variant;
  if (n < 1 || kr_rank(c, c->in[0]) != 2) return kr_fail(c, HONE_BAD_GRAPH, "it takes two dimensions and a positive n");
  hn_id x = hn_make2(&c->m, HN_Unsqueeze, c->in[0], hn_make_ints(&c->m, (int64_t[]){1}, 1));
  hn_id in[2] = {x, hn_make_ints(&c->m, (int64_t[]){1, n, 1}, 3)};
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Tile, in, 2, 1)));
}

/* ---- edges: 1, [1, 2] or [[1, 2], [3, 4]], in front and behind of each spatial dimension */

static hone_status read_edges(const kr_call *c, const char *key, int32_t n, int64_t edge[3][2]) {
  const json_t *list = json_object_get(c->config, key);
  int64_t v[3] = {0};
  for (int32_t i = 0; i < n && json_is_array(json_array_get(list, 0)); i++) {
    json_t *one = json_pack("{s:O}", "e", json_array_get(list, (size_t)i));
    uint32_t have = kj_ints(one, "e", edge[i], 2);
    json_decref(one);
    if (have != 2) return kr_fail(c, HONE_BAD_FORMAT, "its %s is not pairs of numbers", key);
  }
  if (json_is_array(json_array_get(list, 0))) return HONE_OK;
  uint32_t have = kj_ints(c->config, key, v, 3);
  if (n == 1 && have == 2) {
    edge[0][0] = v[0], edge[0][1] = v[1];
    return HONE_OK;
  }
  if (have != 1 && have != (uint32_t)n) return kr_fail(c, HONE_BAD_FORMAT, "its %s is not numbers for %d dimensions", key, n);
  for (int32_t i = 0; i < n; i++) edge[i][0] = edge[i][1] = v[have == 1 ? 0 : i];
  return HONE_OK;
}

static hone_status check_edges(const kr_call *c, int32_t n, int64_t edge[3][2]) {
  if (kr_rank(c, c->in[0]) != n + 2) return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes %d", kr_rank(c, c->in[0]), n + 2);
  for (int32_t i = 0; i < n; i++)
    if (edge[i][0] < 0 || edge[i][1] < 0 || edge[i][0] > INT32_MAX || edge[i][1] > INT32_MAX) return kr_fail(c, HONE_BAD_GRAPH, "an edge is negative or too wide");
  return HONE_OK;
}

hone_status kr_lower_zero_padding(kr_call *c, int n) {
  int64_t edge[3][2] = {{0}}, pads[10] = {0};
  HN_TRY(read_edges(c, "padding", n, edge));
  HN_TRY(check_edges(c, n, edge));
  for (int32_t i = 0; i < n; i++) pads[2 + i] = edge[i][0], pads[n + 2 + 2 + i] = edge[i][1];
  hn_id in[2] = {kr_to_first(c, c->in[0]), hn_make_ints(&c->m, pads, 2 * (size_t)(n + 2))}, node = kr_main(c, HN_Pad, in, 2, 1);
  if (!c->m.st) hn_set_s(c->k->g, node, "mode", "constant");
  return kr_result(c, kr_to_last(c, hn_make_done(&c->m, node)));
}

hone_status kr_lower_cropping(kr_call *c, int n) {
  int64_t edge[3][2] = {{0}}, starts[3], ends[3], axes[3];
  HN_TRY(read_edges(c, "cropping", n, edge));
  HN_TRY(check_edges(c, n, edge));
  for (int32_t i = 0; i < n; i++) {
    starts[i] = edge[i][0];
    ends[i] = edge[i][1] ? -edge[i][1] : INT64_MAX;
    axes[i] = 2 + i;
  }
  size_t count = (size_t)n;
  hn_id in[4] = {kr_to_first(c, c->in[0]), hn_make_ints(&c->m, starts, count), hn_make_ints(&c->m, ends, count), hn_make_ints(&c->m, axes, count)};
  return kr_result(c, kr_to_last(c, hn_make_done(&c->m, kr_main(c, HN_Slice, in, 4, 1))));
}

hone_status kr_lower_center_crop(kr_call *c, int variant) {
  int64_t want[2] = {kj_int(c->config, "height", 0), kj_int(c->config, "width", 0)}, starts[2], ends[2], axes[2];
  (void)variant;
  for (int32_t i = 0; i < 2; i++) {
    axes[i] = kr_rank(c, c->in[0]) - (kr_channels_first(c) ? 2 : 3) + i;
    int64_t have = kr_dim(c, c->in[0], (int32_t)axes[i]);
    if (axes[i] < 0 || want[i] < 1 || have < want[i])
      return kr_fail(c, HONE_UNSUPPORTED, "its input is not known to be as large as what is cut out");
    starts[i] = (have - want[i]) / 2;
    ends[i] = starts[i] + want[i];
  }
  hn_id in[4] = {c->in[0], hn_make_ints(&c->m, starts, 2), hn_make_ints(&c->m, ends, 2), hn_make_ints(&c->m, axes, 2)};
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Slice, in, 4, 1)));
}

/* ---- sizes */

static hone_status set_sampling(kr_call *c, hn_id node, const char *how, bool doubled) {
  bool nearest = hn_streq(how, "nearest"), bilinear = hn_streq(how, "bilinear");
  hn_graph *g = c->k->g;
  if (!nearest && !bilinear) return kr_fail(c, HONE_UNSUPPORTED, "interpolation '%s' is not supported", how);
  if (c->m.st) return c->m.st;
  hn_set_s(g, node, "mode", nearest ? "nearest" : "linear");
  /* whole factors repeat; sizes sample at the centres of pixels, but for TensorFlow 1 */
  bool corner = doubled && (nearest || c->k->old_tf);
  hn_set_s(g, node, "coordinate_transformation_mode", corner ? "asymmetric" : "half_pixel");
  if (nearest) hn_set_s(g, node, "nearest_mode", corner ? "floor" : "round_prefer_ceil");
  return HONE_OK;
}

hone_status kr_lower_up_sampling(kr_call *c, int n) {
  int64_t size[3];
  hn_tensor *scales = NULL;
  if (kr_rank(c, c->in[0]) != n + 2) return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes %d", kr_rank(c, c->in[0]), n + 2);
  if (!kj_ints_n(c->config, "size", size, (uint32_t)n, 2)) return kr_fail(c, HONE_BAD_FORMAT, "its size is not %d numbers", n);
  HN_TRY(hn_tensor_create(c->k->cx, HONE_DTYPE_F32, 1, &(int64_t){n + 2}, &scales));
  for (int32_t i = 0; i < n + 2; i++) hn_store_f64(HONE_DTYPE_F32, scales->data, (size_t)i, i < 2 ? 1 : (double)size[i - 2]);
  hn_id in[3] = {kr_to_first(c, c->in[0]), HN_NONE, hn_make_constant(&c->m, scales)}, node = kr_main(c, HN_Resize, in, 3, 1);
  for (int32_t i = 0; i < n; i++)
    if (size[i] < 1 || size[i] > INT32_MAX) return kr_fail(c, HONE_BAD_GRAPH, "its size is not positive");
  HN_TRY(set_sampling(c, node, kj_text(c->config, "interpolation", "nearest"), true));
  return kr_result(c, kr_to_last(c, hn_make_done(&c->m, node)));
}

hone_status kr_lower_resizing(kr_call *c, int variant) {
  int64_t sizes[4] = {0, 0, kj_int(c->config, "height", 0), kj_int(c->config, "width", 0)};
  hn_dtype t = hn_make_type(&c->m, c->in[0]);
  (void)variant;
  if (kr_rank(c, c->in[0]) != 4 || sizes[2] < 1 || sizes[3] < 1) return kr_fail(c, HONE_BAD_GRAPH, "it takes four dimensions, and a height and width");
  if (kj_bool(c->config, "crop_to_aspect_ratio", false) || kj_bool(c->config, "pad_to_aspect_ratio", false) || kj_bool(c->config, "antialias", false))
    return kr_fail(c, HONE_UNSUPPORTED, "keeping the aspect ratio and antialiasing are not supported");
  hn_id x = kr_to_first(c, hn_make_cast(&c->m, c->in[0], hn_is_float(t) ? t : HONE_DTYPE_F32));
  hn_id whole = hn_make2(&c->m, HN_Concat, kr_dims_of(c, x, 0, 2), hn_make_ints(&c->m, sizes + 2, 2));
  if (c->m.st) return c->m.st;
  hn_id in[4] = {x, HN_NONE, HN_NONE, whole}, node = kr_main(c, HN_Resize, in, 4, 1);
  HN_TRY(set_sampling(c, node, kj_text(c->config, "interpolation", "bilinear"), false));
  return kr_result(c, kr_to_last(c, hn_make_done(&c->m, node)));
}
