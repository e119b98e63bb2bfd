#include "quant/weights.h"

#include <math.h>

#include "op/infer.h"
#include "quant/assign.h"
#include "rewrite/rewrite.h"

enum { GROUP = 32 };

/* Axis of the weights along which a product sums; convolutions have several. */
static int32_t sum_axis(const hn_node *n) { return n->op == HN_Gemm && hn_attr_i(n, "transB", 0) ? 1 : 0; }
static int32_t channel_axis(const hn_node *n) { return n->op == HN_Conv ? 0 : 1 - sum_axis(n); }

/* The scale that weight i has: one a channel, or one for each GROUP along the axis that is summed over. */
typedef struct scales {
  int64_t n, inner, of_axis, groups;
  bool grouped;
} scales;

static size_t scale_of(const scales *s, int64_t i) {
  int64_t a = i / s->inner % s->of_axis;
  return (size_t)(s->grouped ? (i / s->inner / s->of_axis * s->groups + a / GROUP) * s->inner + i % s->inner : a);
}

static hone_status store(hn_graph *g, hn_id id, int bits) {
  hn_node *n = hn_node_at(g, id);
  const hn_tensor *w = hn_const(g, n->in[1]);
  bool grouped = bits == 4;
  int32_t axis = grouped ? sum_axis(n) : channel_axis(n);
  scales s = {.inner = 1, .of_axis = w->dims[axis], .grouped = grouped};
  for (int32_t i = axis + 1; i < w->rank; i++) s.inner *= w->dims[i];
  s.groups = (s.of_axis + GROUP - 1) / GROUP;
  int64_t dims[HN_MAX_RANK] = {s.of_axis};
  if (grouped) {
    dims[0] = w->dims[0], dims[1] = w->dims[1];
    dims[axis] = s.groups;
  }
  hn_tensor *scale = NULL, *q = NULL;
  double limit = bits == 4 ? 7 : 127;
  HN_TRY(hn_tensor_create(g->cx, HONE_DTYPE_F32, grouped ? 2 : 1, dims, &scale));
  float *v = scale->data;
  for (int64_t i = 0; i < w->count; i++) v[scale_of(&s, i)] = fmaxf(v[scale_of(&s, i)], (float)(fabs(hn_tensor_f(w, (size_t)i)) / limit));
  for (int64_t i = 0; i < scale->count; i++)
    if (!(v[i] >= 1e-30f)) v[i] = 1;
  hone_status st = hn_tensor_create(g->cx, bits == 4 ? HONE_DTYPE_I4 : HONE_DTYPE_I8, w->rank, w->dims, &q);
  for (int64_t i = 0; i < w->count && !st; i++)
    hn_store_i64(q->dtype, q->data, (size_t)i, (int64_t)rint(fmax(-limit, fmin(limit, hn_tensor_f(w, (size_t)i) / (double)v[scale_of(&s, i)]))));
  if (st) {
    hn_tensor_unref(scale);
    return st;
  }
  hn_id in[2] = {hn_graph_add_constant(g, NULL, q), hn_graph_add_constant(g, NULL, scale)};
  hn_id dq = in[0] == HN_NONE || in[1] == HN_NONE ? HN_NONE : hn_graph_add_node(g, HN_DequantizeLinear, "", in, 2, 1);
  if (dq == HN_NONE) return hn_nomem(g->cx);
  hn_set_i(g, dq, "axis", axis);
  if (grouped) hn_set_i(g, dq, "block_size", GROUP);
  HN_TRY(hn_infer_node(g, dq));
  hn_set_input(g, id, 1, hn_node_at(g, dq)->out[0]);
  return HONE_OK;
}

hone_status hn_quantize_weights(hn_graph *g, int bits, const bool *keep, hone_quantize_result *result) {
  size_t n_nodes = g->nodes.n;
  *result = (hone_quantize_result){0};
  for (hn_id id = 0; id < n_nodes; id++) {
    const hn_node *n = hn_node_at(g, id);
    if (n->dead || !hn_is_product(g, n) || (bits == 4 && n->op == HN_Conv)) continue;
    result->candidates++;
    if (keep && keep[id]) continue;
    result->layers++;
    HN_TRY(store(g, id, bits));
  }
  hn_remove_dead(g);
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}
