/* layers_attention.c - attention. */
#include <math.h>

#include "format/keras/layers.h"

/* softmax(scores + mask) values */
static hn_id attend(kr_call *c, hn_id scores, hn_id values, hn_id *weights) {
  hn_id node = hn_make_node(&c->m, HN_Softmax, &scores, 1, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", -1);
  *weights = hn_make_done(&c->m, node);
  return hn_make_done(&c->m, kr_main(c, HN_MatMul, (hn_id[]){*weights, values}, 2, 1));
}

/* 0 where attention is allowed, far below where it is not. */
static hn_id penalty(kr_call *c, hn_id mask, hn_dtype t) {
  hn_id off = hn_make2(&c->m, HN_Sub, hn_make_scalar(&c->m, t, 1), hn_make_cast(&c->m, mask, t));
  return hn_make2(&c->m, HN_Mul, off, hn_make_scalar(&c->m, t, -1e9));
}

static hn_id causal(kr_call *c, hn_id query, hn_id key, hn_dtype t) {
  int64_t n = kr_dim(c, query, -2), m = kr_dim(c, key, -2);
  hn_tensor *r = NULL;
  if (c->m.st) return HN_NONE;
  if (n < 0 || m < 0) {
    c->m.st = kr_fail(c, HONE_UNSUPPORTED, "a causal mask needs sequences of fixed length");
    return HN_NONE;
  }
  c->m.st = hn_tensor_create(c->k->cx, t, 2, (int64_t[]){n, m}, &r);
  for (int64_t i = 0; i < n && !c->m.st; i++)
    for (int64_t j = i + 1; j < m; j++) hn_store_f64(t, r->data, (size_t)(i * m + j), -1e9);
  return hn_make_constant(&c->m, r);
}

static bool wants_causal(const kr_call *c) { return kj_bool(c->kwargs, "use_causal_mask", kj_bool(c->config, "causal", false)); }

/* Which values a step may attend to, and for multi-head layers which steps attend and which keys: a mask [batch, query, key] of
   what comes with them; HN_NONE: all. */
static hn_id padding(kr_call *c, hn_id query, hn_id value, hn_id key) {
  const hn_id of[3] = {query, value, key};
  hn_id all = HN_NONE;
  for (int i = 0; i < 3; i++) {
    hn_id one = of[i] == HN_NONE ? HN_NONE : kr_mask(c, of[i]);
    if (one == HN_NONE) continue;
    one = hn_make2(&c->m, HN_Unsqueeze, one, hn_make_ints(&c->m, (int64_t[]){i ? 1 : 2}, 1));
    all = all == HN_NONE ? one : hn_make2(&c->m, HN_And, all, one);
  }
  return all;
}

hone_status kr_lower_attention(kr_call *c, int additive) {
  hn_id q = c->in[0], v = c->in[1], k = c->n_in > 2 ? c->in[2] : c->in[1], weights, scores;
  hn_dtype t = hn_make_type(&c->m, q);
  if (c->n_in < 2 || kr_rank(c, q) != 3 || kr_rank(c, v) != 3) return kr_fail(c, HONE_BAD_GRAPH, "it takes a query and a value of three dimensions");
  if (hn_streq(kj_text(c->config, "score_mode", "dot"), "concat")) return kr_fail(c, HONE_UNSUPPORTED, "score_mode 'concat' is not supported");
  if (additive) { /* sum of scale * tanh(q + k) */
    hn_id a = hn_make2(&c->m, HN_Unsqueeze, q, hn_make_ints(&c->m, (int64_t[]){2}, 1)), b = hn_make2(&c->m, HN_Unsqueeze, k, hn_make_ints(&c->m, (int64_t[]){1}, 1));
    hn_id sum = hn_make1(&c->m, HN_Tanh, hn_make2(&c->m, HN_Add, a, b));
    if (c->l->w[0]) sum = hn_make2(&c->m, HN_Mul, sum, kr_weight(c, 0, NULL));
    scores = hn_make_reduce(&c->m, HN_ReduceSum, sum, (int64_t[]){-1}, 1, false);
  } else {
    scores = hn_make2(&c->m, HN_MatMul, q, hn_make_transpose(&c->m, k, (int64_t[]){0, 2, 1}, 3));
    if (c->l->w[0]) scores = hn_make2(&c->m, HN_Mul, scores, kr_weight(c, 0, NULL));
  }
  if (wants_causal(c)) scores = hn_make2(&c->m, HN_Add, scores, causal(c, q, k, t));
  hn_id mask = padding(c, HN_NONE, v, HN_NONE), asks = kr_mask(c, q);
  if (mask != HN_NONE) scores = hn_make2(&c->m, HN_Add, scores, penalty(c, mask, t));
  hn_id y = attend(c, scores, v, &weights);
  if (asks != HN_NONE) y = hn_make2(&c->m, HN_Mul, y, hn_make_cast(&c->m, hn_make2(&c->m, HN_Unsqueeze, asks, hn_make_ints(&c->m, (int64_t[]){2}, 1)), t));
  HN_TRY(kr_result(c, y));
  HN_TRY(kr_set_mask(c, y, asks));
  if (kj_bool(c->kwargs, "return_attention_scores", false)) c->out[c->n_out++] = weights;
  return HONE_OK;
}

/* x W + b with W [features, heads, size], as [batch, heads, steps, size]. */
static hn_id project(kr_call *c, hn_id x, uint32_t w, int64_t heads, int64_t size) {
  int64_t features = kr_dim(c, x, -1), flat[2] = {features, heads * size}, dims[4] = {0, 0, heads, size};
  if (!c->m.st && kr_expect(c, w, "kernel", 3, (int64_t[]){features, heads, size})) c->m.st = HONE_BAD_GRAPH;
  hn_id y = hn_make2(&c->m, HN_MatMul, x, kr_weight_as(c, w, 2, flat));
  if (c->l->w[w + 1]) y = hn_make2(&c->m, HN_Add, y, kr_weight_as(c, w + 1, 1, flat + 1));
  return hn_make_transpose(&c->m, hn_make_reshape(&c->m, y, dims, 4), (int64_t[]){0, 2, 1, 3}, 4);
}

hone_status kr_lower_multi_head(kr_call *c, int variant) {
  int64_t heads = kj_int(c->config, "num_heads", 0), size = kj_int(c->config, "key_dim", 0), value_size = kj_int(c->config, "value_dim", size);
  hn_id q = c->in[0], v = c->n_in > 1 ? c->in[1] : kr_named(c, "value"), k = c->n_in > 2 ? c->in[2] : kr_named(c, "key"), weights;
  hn_id mask = c->n_in > 3 ? c->in[3] : kr_named(c, "attention_mask");
  hn_dtype t = hn_make_type(&c->m, q);
  (void)variant;
  if (v == HN_NONE) return kr_fail(c, HONE_BAD_GRAPH, "it is called without a value");
  if (k == HN_NONE) k = v;
  if (heads < 1 || size < 1 || value_size < 1 || kr_rank(c, q) != 3 || kr_rank(c, v) != 3) return kr_fail(c, HONE_UNSUPPORTED, "it takes sequences of three dimensions, heads and a key_dim");
  if (heads > 1 << 20 || size > 1 << 20 || value_size > 1 << 20) return kr_fail(c, HONE_BAD_FORMAT, "its heads are impossibly many or wide");
  for (uint32_t i = 0; i < 6; i += 2)
    if (c->l->w[i]->rank != 3) return kr_fail(c, HONE_BAD_GRAPH, "a kernel has %d dimensions; it should have 3", c->l->w[i]->rank);
  hn_id query = hn_make2(&c->m, HN_Mul, project(c, q, 0, heads, size), hn_make_scalar(&c->m, t, 1 / sqrt((double)size)));
  hn_id keys = project(c, k, 2, heads, size), values = project(c, v, 4, heads, value_size);
  hn_id scores = hn_make2(&c->m, HN_MatMul, query, hn_make_transpose(&c->m, keys, (int64_t[]){0, 1, 3, 2}, 4));
  hn_id pad = padding(c, q, v, k == v ? HN_NONE : k);
  if (pad != HN_NONE && mask != HN_NONE) pad = hn_make2(&c->m, HN_Unsqueeze, pad, hn_make_ints(&c->m, (int64_t[]){1}, 1));
  else if (pad != HN_NONE) mask = pad, pad = HN_NONE;
  if (pad != HN_NONE) scores = hn_make2(&c->m, HN_Add, scores, penalty(c, pad, t));
  if (mask != HN_NONE) {
    if (kr_rank(c, mask) == 3) mask = hn_make2(&c->m, HN_Unsqueeze, mask, hn_make_ints(&c->m, (int64_t[]){1}, 1));
    scores = hn_make2(&c->m, HN_Add, scores, penalty(c, mask, t));
  }
  if (wants_causal(c)) scores = hn_make2(&c->m, HN_Add, scores, causal(c, q, k, t));
  hn_id y = hn_make_transpose(&c->m, attend(c, scores, values, &weights), (int64_t[]){0, 2, 1, 3}, 4);
  int64_t flat[2] = {heads * value_size, c->l->w[6]->rank == 3 ? c->l->w[6]->dims[2] : -1};
  HN_TRY(kr_expect(c, 6, "output kernel", 3, (int64_t[]){heads, value_size, -1}));
  y = hn_make2(&c->m, HN_MatMul, hn_make_reshape(&c->m, y, (int64_t[]){0, 0, flat[0]}, 3), kr_weight_as(c, 6, 2, flat));
  if (c->l->w[7]) y = hn_make2(&c->m, HN_Add, y, kr_weight_as(c, 7, 1, flat + 1));
  HN_TRY(kr_result(c, y));
  HN_TRY(kr_set_mask(c, y, kr_mask(c, q)));
  if (kj_bool(c->kwargs, "return_attention_scores", false)) c->out[c->n_out++] = weights;
  return c->m.st;
}
