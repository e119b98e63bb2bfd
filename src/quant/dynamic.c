#include "quant/dynamic.h"

#include <math.h>

#include "op/infer.h"
#include "quant/assign.h"
#include "rewrite/rewrite.h"

static hone_status add(hn_graph *g, hn_op op, const hn_id *in, uint32_t n, uint32_t outputs, hn_id *node) {
  for (uint32_t i = 0; i < n; i++)
    if (in[i] == HN_NONE) return hn_nomem(g->cx);
  *node = hn_graph_add_node(g, op, "", in, n, outputs);
  return *node == HN_NONE ? hn_nomem(g->cx) : HONE_OK;
}

/* The node that quantizes a value: the one there is, or a new one. */
static hone_status quantizer_of(hn_graph *g, hn_id x, hn_id *node) {
  const hn_value *v = hn_value_at(g, x);
  for (uint32_t u = 0; u < v->n_users; u++)
    if (hn_node_at(g, v->users[u])->op == HN_DynamicQuantizeLinear) {
      *node = v->users[u];
      return HONE_OK;
    }
  HN_TRY(add(g, HN_DynamicQuantizeLinear, &x, 1, 3, node));
  hn_set_i(g, *node, "by_rows", 1);
  return hn_infer_node(g, *node);
}

/* Weights as [sum, column] in 8 bits, and the scale of each column. */
static hone_status round_weights(hn_graph *g, const hn_tensor *w, bool turned, hn_id *integers, hn_id *scales) {
  int64_t k = w->dims[turned ? 1 : 0], n = w->dims[turned ? 0 : 1];
  hn_tensor *q = NULL, *s = NULL;
  HN_TRY(hn_tensor_create(g->cx, HONE_DTYPE_F32, 1, &n, &s));
  hone_status st = hn_tensor_create(g->cx, HONE_DTYPE_I8, 2, (int64_t[]){k, n}, &q);
  if (st) {
    hn_tensor_unref(s);
    return st;
  }
  const float *v = w->data;
  float *scale = s->data;
  for (int64_t c = 0; c < n; c++) {
    float most = 0;
    for (int64_t i = 0; i < k; i++) most = fmaxf(most, fabsf(v[turned ? c * k + i : i * n + c]));
    scale[c] = most / 127 >= 1e-30f ? most / 127 : 1;
    for (int64_t i = 0; i < k; i++) {
      float r = rintf(v[turned ? c * k + i : i * n + c] / scale[c]);
      ((int8_t *)q->data)[i * n + c] = (int8_t)(r < -127 ? -127 : r > 127 ? 127 : r);
    }
  }
  *integers = hn_graph_add_constant(g, NULL, q);
  *scales = hn_graph_add_constant(g, NULL, s);
  return HONE_OK;
}

/* Sums to floats, times both scales, plus the bias; then what the product's epilogue was. */
static hone_status open_sums(hn_graph *g, hn_id id, hn_id sums, hn_id scale) {
  hn_id node;
  HN_TRY(add(g, HN_Cast, &sums, 1, 1, &node));
  hn_set_i(g, node, "to", HONE_DTYPE_F32);
  hn_add_post(g, node, HN_Mul, scale, false, 0, 0);
  const hn_node *n = hn_node_at(g, id);
  if (n->op == HN_Gemm && hn_in(n, 2) != HN_NONE) hn_add_post(g, node, HN_Add, n->in[2], false, 0, 0);
  for (uint32_t i = 0; i < hn_node_at(g, id)->n_post; i++) {
    n = hn_node_at(g, id);
    hn_step s = n->post[i];
    hn_add_post(g, node, s.op, s.operand == HN_NONE ? HN_NONE : n->in[s.operand], s.swapped, s.alpha, s.beta);
  }
  HN_TRY(hn_infer_node(g, node));
  hn_replace_uses(g, hn_node_at(g, id)->out[0], hn_node_at(g, node)->out[0]);
  hn_remove_node(g, id);
  return HONE_OK;
}

static hone_status lower(hn_graph *g, hn_id id) {
  const hn_node *n = hn_node_at(g, id);
  bool turned = n->op == HN_Gemm && hn_attr_i(n, "transB", 0);
  hn_id quantizer = HN_NONE, weights, scales, product, scale;
  HN_TRY(quantizer_of(g, n->in[0], &quantizer));
  HN_TRY(round_weights(g, hn_const(g, hn_node_at(g, id)->in[1]), turned, &weights, &scales));
  const hn_id *q = hn_node_at(g, quantizer)->out;
  const hn_id factors[2] = {q[1], scales}, in[3] = {q[0], weights, q[2]};
  HN_TRY(add(g, HN_MatMulInteger, in, 3, 1, &product));
  HN_TRY(hn_infer_node(g, product));
  HN_TRY(add(g, HN_Mul, factors, 2, 1, &scale));
  HN_TRY(hn_infer_node(g, scale));
  return open_sums(g, id, hn_node_at(g, product)->out[0], hn_node_at(g, scale)->out[0]);
}

/* W or R in 8 bits, with a scale for each row of a gate: of both directions, since there is one axis for scales. */
static hone_status round_gates(hn_graph *g, hn_id id, uint32_t input) {
  const hn_tensor *w = hn_const(g, hn_node_at(g, id)->in[input]);
  int64_t directions = w->dims[0], rows = w->dims[1], n = w->dims[2];
  hn_tensor *q = NULL, *s = NULL;
  HN_TRY(hn_tensor_create(g->cx, HONE_DTYPE_F32, 1, &rows, &s));
  hone_status st = hn_tensor_create(g->cx, HONE_DTYPE_I8, 3, w->dims, &q);
  if (st) {
    hn_tensor_unref(s);
    return st;
  }
  const float *v = w->data;
  float *scale = s->data;
  for (int64_t i = 0; i < directions * rows * n; i++) scale[i / n % rows] = fmaxf(scale[i / n % rows], fabsf(v[i]));
  for (int64_t i = 0; i < rows; i++) scale[i] = scale[i] / 127 >= 1e-30f ? scale[i] / 127 : 1;
  for (int64_t i = 0; i < directions * rows * n; i++) ((int8_t *)q->data)[i] = (int8_t)fminf(127, fmaxf(-127, rintf(v[i] / scale[i / n % rows])));
  const hn_id in[2] = {hn_graph_add_constant(g, NULL, q), hn_graph_add_constant(g, NULL, s)};
  hn_id dq;
  HN_TRY(add(g, HN_DequantizeLinear, in, 2, 1, &dq));
  hn_set_i(g, dq, "axis", 1);
  HN_TRY(hn_infer_node(g, dq));
  hn_set_input(g, id, input, hn_node_at(g, dq)->out[0]);
  return HONE_OK;
}

/* A recurrent layer whose weights are known; its gates' functions take what they took. */
static bool is_recurrent(const hn_graph *g, const hn_node *n) {
  if (n->op != HN_LSTM && n->op != HN_GRU && n->op != HN_RNN) return false;
  const hn_tensor *w = hn_const(g, hn_in(n, 1)), *r = hn_const(g, hn_in(n, 2));
  return w && r && w->dtype == HONE_DTYPE_F32 && r->dtype == HONE_DTYPE_F32 && w->rank == 3 && r->rank == 3 && w->count && r->count;
}

static hone_status lower_recurrent(hn_graph *g, hn_id id) {
  HN_TRY(round_gates(g, id, 1));
  HN_TRY(round_gates(g, id, 2));
  hn_set_i(g, id, "dynamic", 1);
  return HONE_OK;
}

hone_status hn_quantize_dynamic(hn_graph *g, const bool *keep, hone_quantize_result *result) {
  size_t n_nodes = g->nodes.n;
  *result = (hone_quantize_result){0};
  for (hn_id id = 0; id < n_nodes; id++) {
    const hn_node *n = hn_node_at(g, id);
    bool recurrent = is_recurrent(g, n);
    if (n->dead || (!recurrent && (n->op == HN_Conv || !hn_is_product(g, n) || hn_rank_of(g, n->in[0]) < 2))) continue;
    result->candidates++;
    if (keep && keep[id]) continue;
    result->layers++;
    HN_TRY(recurrent ? lower_recurrent(g, id) : lower(g, id));
  }
  hn_remove_dead(g);
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}
