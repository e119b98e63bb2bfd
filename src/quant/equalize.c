#include "quant/equalize.h"

#include <math.h>
#include <string.h>

#include "quant/assign.h"
#include "rewrite/rewrite.h"

/* The largest weight of each output channel (axis 0), or of each input channel (axis 1 within a group). */
static void ranges(const hn_tensor *w, bool of_inputs, int64_t group, double *r, int64_t channels) {
  int64_t taps = 1, per = w->dims[1], out = w->dims[0] / group;
  for (int32_t i = 2; i < w->rank; i++) taps *= w->dims[i];
  memset(r, 0, sizeof *r * (size_t)channels);
  for (int64_t i = 0; i < w->count; i++) {
    int64_t o = i / taps / per, c = of_inputs ? o / out * per + i / taps % per : o;
    r[c] = fmax(r[c], fabs(hn_tensor_f(w, (size_t)i)));
  }
}

/* Weights or bias with each channel times s, or by it. */
static hone_status scaled(hn_graph *g, hn_id node, uint32_t input, bool of_inputs, int64_t group, const double *s, bool divide) {
  const hn_tensor *w = hn_const(g, hn_node_at(g, node)->in[input]);
  hn_tensor *t = NULL;
  HN_TRY(hn_tensor_create(g->cx, w->dtype, w->rank, w->dims, &t));
  int64_t taps = 1, per = w->rank > 1 ? w->dims[1] : 1, out = w->dims[0] / group;
  for (int32_t i = 2; i < w->rank; i++) taps *= w->dims[i];
  for (int64_t i = 0; i < w->count; i++) {
    int64_t o = i / taps / per, c = of_inputs ? o / out * per + i / taps % per : o;
    double v = hn_tensor_f(w, (size_t)i);
    hn_store_f64(t->dtype, t->data, (size_t)i, divide ? v / s[c] : v * s[c]);
  }
  hn_id id = hn_graph_add_constant(g, NULL, t);
  if (id == HN_NONE) return hn_nomem(g->cx);
  hn_set_input(g, node, input, id);
  return HONE_OK;
}

static bool keeps_factors(const hn_node *n) {
  for (uint32_t i = 0; i < n->n_post; i++)
    if (n->post[i].op != HN_Relu && n->post[i].op != HN_LeakyRelu) return false;
  return true;
}

static hone_status equalize_pair(hn_graph *g, hn_id a, hn_id b, double *change) {
  int64_t group_a = hn_attr_i(hn_node_at(g, a), "group", 1), group_b = hn_attr_i(hn_node_at(g, b), "group", 1);
  const hn_tensor *wa = hn_const(g, hn_node_at(g, a)->in[1]), *wb = hn_const(g, hn_node_at(g, b)->in[1]);
  int64_t n = wa->dims[0];
  if (wb->dims[1] * group_b != n) return HONE_OK;
  double *s = hn_calloc((size_t)n * 2, sizeof *s), *r = s + n;
  if (!s) return hn_nomem(g->cx);
  ranges(wa, false, group_a, s, n);
  ranges(wb, true, group_b, r, n);
  for (int64_t c = 0; c < n; c++) {
    s[c] = s[c] > 0 && r[c] > 0 ? sqrt(s[c] / r[c]) : 1;
    if (!(s[c] > 1e-4 && s[c] < 1e4)) s[c] = 1;
    *change = fmax(*change, fabs(log(s[c])));
  }
  hone_status st = scaled(g, a, 1, false, group_a, s, true);
  if (!st && hn_in(hn_node_at(g, a), 2) != HN_NONE) st = scaled(g, a, 2, false, group_a, s, true);
  if (!st) st = scaled(g, b, 1, true, group_b, s, false);
  hn_free(s);
  return st;
}

hone_status hn_equalize(hn_graph *g, uint32_t *pairs) {
  enum { ROUNDS = 20 };
  double change = 1;
  for (int round = 0; round < ROUNDS && change > 0.01; round++) { /* a layer between two pairs moves with both */
    *pairs = 0;
    change = 0;
    for (hn_id a = 0; a < g->nodes.n; a++) {
      const hn_node *n = hn_node_at(g, a);
      if (n->dead || n->op != HN_Conv || !hn_is_product(g, n) || !keeps_factors(n) || !hn_used_once(g, n->out[0])) continue;
      hn_id b = hn_value_at(g, n->out[0])->users[0];
      const hn_node *next = hn_node_at(g, b);
      if (next->op != HN_Conv || !hn_is_product(g, next) || next->in[0] != n->out[0]) continue;
      HN_TRY(equalize_pair(g, a, b, &change));
      (*pairs)++;
    }
  }
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}
