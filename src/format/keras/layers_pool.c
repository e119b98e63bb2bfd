/* layers_pool.c - pooling. The variant is the number of spatial dimensions, negative for a mean. */
#include "format/keras/layers.h"

hone_status kr_lower_pool(kr_call *c, int variant) {
  int32_t n = variant < 0 ? -variant : variant;
  int64_t size[3], stride[3];
  const char *padding = kj_text(c->config, "padding", "valid");
  hn_graph *g = c->k->g;
  if (kr_rank(c, c->in[0]) != n + 2) return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes %d", kr_rank(c, c->in[0]), n + 2);
  if (!kj_ints_n(c->config, "pool_size", size, (uint32_t)n, 2)) return kr_fail(c, HONE_BAD_FORMAT, "its pool_size is not %d numbers", n);
  for (int32_t i = 0; i < n; i++) stride[i] = size[i];
  if (kj_has(c->config, "strides") && !kj_ints_n(c->config, "strides", stride, (uint32_t)n, 1))
    return kr_fail(c, HONE_BAD_FORMAT, "its strides are not %d numbers", n);
  hn_id x = kr_to_first(c, c->in[0]), node = kr_main(c, variant < 0 ? HN_AveragePool : HN_MaxPool, &x, 1, 1);
  if (c->m.st) return c->m.st;
  hn_set_ints(g, node, "kernel_shape", size, (size_t)n);
  hn_set_ints(g, node, "strides", stride, (size_t)n);
  if (hn_streq(padding, "same")) hn_set_s(g, node, "auto_pad", "SAME_UPPER");
  else if (!hn_streq(padding, "valid")) return kr_fail(c, HONE_UNSUPPORTED, "padding '%s' is not known", padding);
  return kr_result(c, kr_to_last(c, hn_make_done(&c->m, node)));
}

/* The mean of the steps that count. */
static hone_status masked_mean(kr_call *c, hn_id mask) {
  bool keep = kj_bool(c->config, "keepdims", false);
  hn_id weight = hn_make_cast(&c->m, hn_make2(&c->m, HN_Unsqueeze, mask, hn_make_ints(&c->m, (int64_t[]){2}, 1)), hn_make_type(&c->m, c->in[0]));
  hn_id sum = hn_make_reduce(&c->m, HN_ReduceSum, hn_make2(&c->m, HN_Mul, c->in[0], weight), (int64_t[]){1}, 1, keep);
  hn_id count = hn_make_reduce(&c->m, HN_ReduceSum, weight, (int64_t[]){1}, 1, keep);
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Div, (hn_id[]){sum, count}, 2, 1)));
}

hone_status kr_lower_global_pool(kr_call *c, int variant) {
  int32_t n = variant < 0 ? -variant : variant;
  int64_t axes[3];
  if (kr_rank(c, c->in[0]) != n + 2) return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes %d", kr_rank(c, c->in[0]), n + 2);
  for (int32_t i = 0; i < n; i++) axes[i] = i + (kr_channels_first(c) ? 2 : 1);
  hn_id mask = kr_mask(c, c->in[0]);
  if (variant == -1 && mask != HN_NONE && !kr_channels_first(c)) return masked_mean(c, mask);
  hn_id in[2] = {c->in[0], hn_make_ints(&c->m, axes, (size_t)n)};
  hn_id node = kr_main(c, variant < 0 ? HN_ReduceMean : HN_ReduceMax, in, 2, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "keepdims", kj_bool(c->config, "keepdims", false));
  return kr_result(c, hn_make_done(&c->m, node));
}
