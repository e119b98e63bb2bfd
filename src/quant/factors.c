#include "quant/factors.h"

#include "quant/assign.h"
#include "rewrite/rewrite.h"

int32_t hn_channel_axis_of(const hn_graph *g, hn_id value) {
  const hn_value *v = hn_value_at(g, value);
  for (uint32_t u = 0; u < v->n_users; u++) {
    const hn_node *n = hn_node_at(g, v->users[u]);
    if (n->in[0] == value && hn_is_product(g, n)) return n->op == HN_Conv ? 1 : v->shape.rank - 1;
  }
  return -1;
}

hn_lanes hn_lanes_of(const hn_node *n, const hn_tensor *w, bool of_inputs) {
  hn_lanes l = {.taps = 1, .conv = n->op == HN_Conv};
  bool turned = n->op == HN_Gemm && hn_attr_i(n, "transB", 0);
  l.rows = w->dims[0];
  l.columns = w->rank > 1 ? w->dims[1] : 1;
  l.across = turned == of_inputs;
  for (int32_t i = 2; i < w->rank; i++) l.taps *= w->dims[i];
  l.per = of_inputs ? l.columns : 0;
  l.out_per_group = w->dims[0] / (l.conv ? hn_attr_i(n, "group", 1) : 1);
  return l;
}

int64_t hn_channel_of(const hn_lanes *l, int64_t i) {
  if (!l->conv) return l->across ? i % l->columns : i / l->columns;
  int64_t o = i / l->taps / l->columns;
  return l->per ? o / l->out_per_group * l->per + i / l->taps % l->per : o;
}

static int64_t channels_in(const hn_node *n, const hn_tensor *w) {
  if (n->op == HN_Conv) return w->dims[1] * hn_attr_i(n, "group", 1);
  return w->dims[n->op == HN_Gemm && hn_attr_i(n, "transB", 0) ? 1 : 0];
}

/* A constant with every number times the factor of its channel, or by it. */
static hone_status scale_constant(hn_graph *g, hn_id node, uint32_t input, const hn_lanes *l, const double *r, bool divide) {
  const hn_tensor *w = hn_const(g, hn_node_at(g, node)->in[input]);
  hn_tensor *t = NULL;
  HN_TRY(hn_tensor_create(g->cx, w->dtype, w->rank, w->dims, &t));
  for (int64_t i = 0; i < w->count; i++) {
    double f = r[l ? hn_channel_of(l, i) : i], v = hn_tensor_f(w, (size_t)i);
    hn_store_f64(t->dtype, t->data, (size_t)i, divide ? v / f : v * f);
  }
  hn_id id = hn_graph_add_constant(g, NULL, t);
  if (id == HN_NONE) return hn_nomem(g->cx);
  hn_set_input(g, node, input, id);
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------ the producer */

/* Does a constant operand have one number, or one for each channel of the value? */
static bool per_channel(const hn_graph *g, hn_id operand, int32_t rank, int32_t axis, int64_t n) {
  const hn_tensor *t = hn_const(g, operand);
  if (!t || t->dtype != HONE_DTYPE_F32) return false;
  if (t->count == 1) return true;
  int32_t at = t->rank - (rank - axis);
  return t->count == n && at >= 0 && t->dims[at] == n;
}

/* How many steps from the end a factor passes through; *inside: it then goes into the product itself, else a factor takes it. */
static bool factor_passes(const hn_graph *g, const hn_node *p, int32_t rank, int32_t axis, int64_t n, bool *inside) {
  *inside = false;
  for (uint32_t i = p->n_post; i-- > 0;) {
    const hn_step *s = &p->post[i];
    if (s->op == HN_Relu || s->op == HN_LeakyRelu) continue;
    if (s->operand == HN_NONE || s->swapped || (s->op != HN_Add && s->op != HN_Mul)) return false;
    if (!per_channel(g, p->in[s->operand], rank, axis, n)) return false;
    if (s->op == HN_Mul) return true;
  }
  *inside = true;
  const hn_tensor *b = hn_const(g, hn_in(p, 2));
  return hn_is_product(g, p) && (!b || b->count == n);
}

/* A constant of one number a channel that broadcasts to the value: what an operand has there, times the factors. */
static hn_id channel_constant(hn_graph *g, const hn_tensor *old, int32_t rank, int32_t axis, const double *r, int64_t n) {
  int64_t dims[HN_MAX_RANK];
  hn_tensor *t = NULL;
  for (int32_t i = 0; i < rank - axis; i++) dims[i] = i ? 1 : n;
  if (hn_tensor_create(g->cx, HONE_DTYPE_F32, rank - axis, dims, &t)) return HN_NONE;
  for (int64_t c = 0; c < n; c++) hn_store_f64(HONE_DTYPE_F32, t->data, (size_t)c, (old ? hn_tensor_f(old, old->count == 1 ? 0 : (size_t)c) : 1) * r[c]);
  return hn_graph_add_constant(g, NULL, t);
}

static hone_status scale_producer(hn_graph *g, hn_id producer, bool passes, int32_t rank, int32_t axis, const double *r, int64_t n) {
  if (!passes) {
    hn_id factor = channel_constant(g, NULL, rank, axis, r, n);
    if (factor == HN_NONE) return hn_nomem(g->cx);
    hn_add_post(g, producer, HN_Mul, factor, false, 0, 0);
    return HONE_OK;
  }
  for (uint32_t i = hn_node_at(g, producer)->n_post; i-- > 0;) {
    hn_step s = hn_node_at(g, producer)->post[i];
    if (s.operand == HN_NONE) continue;
    hn_id scaled = channel_constant(g, hn_const(g, hn_node_at(g, producer)->in[s.operand]), rank, axis, r, n);
    if (scaled == HN_NONE) return hn_nomem(g->cx);
    hn_set_input(g, producer, s.operand, scaled);
    if (s.op == HN_Mul) return HONE_OK;
  }
  const hn_node *p = hn_node_at(g, producer);
  hn_lanes l = hn_lanes_of(p, hn_const(g, p->in[1]), false);
  HN_TRY(scale_constant(g, producer, 1, &l, r, false));
  return hn_in(hn_node_at(g, producer), 2) == HN_NONE ? HONE_OK : scale_constant(g, producer, 2, NULL, r, false);
}

static bool only_products_read(const hn_graph *g, hn_id v, int64_t n) {
  const hn_value *x = hn_value_at(g, v);
  for (uint32_t u = 0; u < x->n_users; u++) {
    const hn_node *p = hn_node_at(g, x->users[u]);
    if (p->in[0] != v || !hn_is_product(g, p) || channels_in(p, hn_const(g, p->in[1])) != n) return false;
    for (uint32_t i = 1; i < p->n_in; i++)
      if (p->in[i] == v) return false;
  }
  return x->n_users > 0 && !hn_is_output(g, v);
}

bool hn_factors_fit(const hn_graph *g, hn_id v, int64_t n, hn_factor_place *p) {
  hn_id producer = hn_producer(g, v);
  *p = (hn_factor_place){.value = v, .producer = producer, .rank = hn_rank_of(g, v), .axis = hn_channel_axis_of(g, v), .n = n};
  if (producer == HN_NONE || !hn_is_product(g, hn_node_at(g, producer)) || p->axis < 0 || !only_products_read(g, v, n)) return false;
  p->passes = factor_passes(g, hn_node_at(g, producer), p->rank, p->axis, n, &p->inside);
  return true;
}

hone_status hn_factors_move(hn_graph *g, const hn_factor_place *p, const double *r) {
  HN_TRY(scale_producer(g, p->producer, p->passes, p->rank, p->axis, r, p->n));
  for (uint32_t u = 0; u < hn_value_at(g, p->value)->n_users; u++) {
    hn_id user = hn_value_at(g, p->value)->users[u];
    const hn_node *n = hn_node_at(g, user);
    hn_lanes l = hn_lanes_of(n, hn_const(g, n->in[1]), true);
    HN_TRY(scale_constant(g, user, 1, &l, r, true));
  }
  return HONE_OK;
}
