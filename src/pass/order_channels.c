/* order_channels.c - a selection of channels that only convolutions read costs nothing: their weights can be put in any order.
   One of all channels is done by the weights alone; one of some becomes a Slice, if the layers whose results are joined there
   give their channels in an order in which the selected ones are neighbours. So a ShuffleNet reads what its channel shuffles
   and splits give where it lies. */
#include <string.h>

#include "op/infer.h"
#include "pass/pass.h"

enum { MAX_CHANNELS = 4096 };

/* A list of channels by their numbers. */
typedef struct channels {
  int64_t n, at[MAX_CHANNELS];
} channels;

static bool unary_only(const hn_node *n) {
  for (uint32_t i = 0; i < n->n_post; i++)
    if (n->post[i].operand != HN_NONE) return false;
  return true;
}

static bool is_f32(const hn_tensor *t) { return t && t->dtype == HONE_DTYPE_F32; }

/* A convolution of v with constant weights; depthwise, or of one group. */
static bool is_convolution(const hn_graph *g, const hn_node *n, hn_id v, bool depthwise) {
  const hn_tensor *w = n->op == HN_Conv ? hn_const(g, hn_in(n, 1)) : NULL;
  if (n->dead || !is_f32(w) || w->rank < 3 || n->in[0] != v) return false;
  for (uint32_t i = 1; i < n->n_in; i++)
    if (n->in[i] == v) return false;
  int64_t group = hn_attr_i(n, "group", 1);
  if (!depthwise) return group == 1;
  return group > 1 && group == w->dims[0] && w->dims[1] == 1 && unary_only(n) && (hn_in(n, 2) == HN_NONE || is_f32(hn_const(g, n->in[2])));
}

/* Whether all who read v can do with its channels in another order. */
static bool absorbed(const hn_graph *g, hn_id v, bool deeper) {
  const hn_value *value = hn_value_at(g, v);
  if (!value->n_users || hn_is_output(g, v)) return false;
  for (uint32_t i = 0; i < value->n_users; i++) {
    const hn_node *n = hn_node_at(g, value->users[i]);
    if (is_convolution(g, n, v, false)) continue;
    if (!deeper || !is_convolution(g, n, v, true) || !absorbed(g, n->out[0], false)) return false;
  }
  return true;
}

/* A constant anew, whose index j along axis 0 or 1 is the old one's order->at[j]. */
static hn_id reordered(hn_graph *g, hn_id v, int axis, const channels *order) {
  const hn_tensor *old = hn_const(g, v);
  hn_tensor *t;
  if (hn_tensor_create(g->cx, old->dtype, old->rank, old->dims, &t)) {
    g->oom = true;
    return v;
  }
  int64_t outer = axis ? old->dims[0] : 1, inner = 1;
  for (int32_t i = axis + 1; i < old->rank; i++) inner *= old->dims[i];
  for (int64_t o = 0; o < outer; o++)
    for (int64_t j = 0; j < order->n; j++)
      memcpy((float *)t->data + (o * order->n + j) * inner, (const float *)old->data + (o * order->n + order->at[j]) * inner,
             sizeof(float) * (size_t)inner);
  return hn_graph_add_constant(g, NULL, t);
}

static void reorder_input(hn_graph *g, hn_id node, uint32_t i, int axis, const channels *order) {
  hn_id v = hn_in(hn_node_at(g, node), i);
  if (v != HN_NONE) hn_set_input(g, node, i, reordered(g, v, axis, order));
}

/* v is to have its channel order->at[j] at j: so its readers' weights are put. */
static void absorb(hn_graph *g, hn_id v, const channels *order) {
  for (uint32_t i = 0; i < hn_value_at(g, v)->n_users; i++) {
    hn_id id = hn_value_at(g, v)->users[i];
    bool depthwise = is_convolution(g, hn_node_at(g, id), v, true);
    reorder_input(g, id, 1, depthwise ? 0 : 1, order);
    if (!depthwise) continue;
    reorder_input(g, id, 2, 0, order);
    absorb(g, hn_node_at(g, id)->out[0], order);
  }
}

/* A Gather of different channels by constants. */
static bool selection(const hn_graph *g, const hn_node *n, channels *c) {
  uint32_t k;
  int32_t axis, rank;
  bool seen[MAX_CHANNELS] = {false};
  if (n->dead || n->op != HN_Gather || n->n_post || hn_in(n, 0) == HN_NONE) return false;
  const hn_shape *x = &hn_value_at(g, n->in[0])->shape;
  rank = x->rank;
  if (rank < 3 || !hn_axis(hn_attr_i(n, "axis", 0), rank, &axis) || axis != 1 || !hn_dim_fixed(x->d[1]) || x->d[1] > MAX_CHANNELS) return false;
  const hn_tensor *t = hn_const(g, hn_in(n, 1));
  if (!t || t->rank != 1 || !hn_is_int(t->dtype) || t->count < 1 || t->count > x->d[1]) return false;
  k = (uint32_t)t->count;
  c->n = k;
  for (uint32_t i = 0; i < k; i++) {
    int64_t at = hn_tensor_i(t, i);
    c->at[i] = at < 0 ? at + x->d[1] : at;
    if (c->at[i] < 0 || c->at[i] >= x->d[1] || seen[c->at[i]]) return false;
    seen[c->at[i]] = true;
  }
  return true;
}

static void set_selection(hn_graph *g, hn_id node, const channels *c) {
  hn_tensor *t;
  if (hn_tensor_ints(g->cx, c->at, (size_t)c->n, &t)) {
    g->oom = true;
    return;
  }
  hn_set_input(g, node, 1, hn_graph_add_constant(g, NULL, t));
}

/* ---- a selection of all channels */

/* order[j] = the place in the selection that has channel j */
static bool take_all(hn_graph *g, hn_id id) {
  channels c, order;
  const hn_node *n = hn_node_at(g, id);
  if (!selection(g, n, &c) || c.n != hn_value_at(g, n->in[0])->shape.d[1] || !absorbed(g, n->out[0], true)) return false;
  order.n = c.n;
  for (int64_t i = 0; i < c.n; i++) order.at[c.at[i]] = i;
  absorb(g, n->out[0], &order);
  n = hn_node_at(g, id);
  hn_replace_uses(g, n->out[0], n->in[0]);
  hn_remove_node(g, id);
  return true;
}

/* ---- a selection of some channels of what two layers join */

/* Can the channels of v, which the Concat alone reads, be given in another order? */
static bool can_reorder(const hn_graph *g, hn_id v) {
  channels c;
  hn_id id = hn_producer(g, v);
  const hn_node *n = id == HN_NONE ? NULL : hn_node_at(g, id);
  if (!n || hn_value_at(g, v)->n_users != 1 || hn_is_output(g, v)) return false;
  if (n->op == HN_Gather) return selection(g, n, &c);
  return n->op == HN_Conv && is_convolution(g, n, n->in[0], false) && unary_only(n) && (hn_in(n, 2) == HN_NONE || is_f32(hn_const(g, n->in[2])));
}

static void reorder(hn_graph *g, hn_id v, const channels *order) {
  hn_id id = hn_producer(g, v);
  if (hn_node_at(g, id)->op == HN_Conv) {
    reorder_input(g, id, 1, 0, order);
    reorder_input(g, id, 2, 0, order);
    return;
  }
  channels c, turned = {.n = order->n};
  if (!selection(g, hn_node_at(g, id), &c)) return;
  for (int64_t j = 0; j < order->n; j++) turned.at[j] = c.at[order->at[j]];
  set_selection(g, id, &turned);
}

/* Channels first..first + n of the joined tensor: those that are wanted last (or first), otherwise as they were. */
static channels gather_up(const bool *wanted, int64_t first, int64_t n, bool last) {
  channels order = {.n = 0};
  for (int pass = 0; pass < 2; pass++)
    for (int64_t i = 0; i < n; i++)
      if (wanted[first + i] == (pass == (last ? 1 : 0))) order.at[order.n++] = i;
  return order;
}

static bool only_selections_and_convolutions(const hn_graph *g, hn_id v) {
  channels c;
  const hn_value *value = hn_value_at(g, v);
  if (hn_is_output(g, v)) return false;
  for (uint32_t i = 0; i < value->n_users; i++) {
    const hn_node *n = hn_node_at(g, value->users[i]);
    if (!(n->op == HN_Gather && n->in[1] != v && selection(g, n, &c)) && !is_convolution(g, n, v, false)) return false;
  }
  return true;
}

/* The joined tensor has its channel order->at[j] at j from now on. */
static void reorder_readers(hn_graph *g, hn_id v, const channels *order) {
  channels place = {.n = order->n}, c;
  for (int64_t j = 0; j < order->n; j++) place.at[order->at[j]] = j;
  for (uint32_t i = 0; i < hn_value_at(g, v)->n_users; i++) {
    hn_id id = hn_value_at(g, v)->users[i];
    if (hn_node_at(g, id)->op == HN_Conv) reorder_input(g, id, 1, 1, order);
    else if (selection(g, hn_node_at(g, id), &c)) {
      for (int64_t j = 0; j < c.n; j++) c.at[j] = place.at[c.at[j]];
      set_selection(g, id, &c);
    }
  }
}

/* The Gather, whose channels are neighbours by now, as a Slice; its readers' weights in that order. */
static hone_status as_slice(hn_graph *g, hn_id id) {
  channels c, order;
  if (!selection(g, hn_node_at(g, id), &c)) return HONE_OK;
  int64_t first = c.at[0], axis = 1;
  for (int64_t i = 1; i < c.n; i++)
    if (c.at[i] < first) first = c.at[i];
  order.n = c.n;
  for (int64_t i = 0; i < c.n; i++) order.at[c.at[i] - first] = i;
  int64_t end = first + c.n;
  hn_tensor *t[3];
  HN_TRY(hn_tensor_ints(g->cx, &first, 1, &t[0]));
  hone_status st = hn_tensor_ints(g->cx, &end, 1, &t[1]);
  if (st) hn_tensor_unref(t[0]);
  if (!st && (st = hn_tensor_ints(g->cx, &axis, 1, &t[2]))) hn_tensor_unref(t[0]), hn_tensor_unref(t[1]);
  if (st) return st;
  const hn_node *n = hn_node_at(g, id);
  const char *name = n->name;
  hn_id old = n->out[0], in[4] = {n->in[0], HN_NONE, HN_NONE, HN_NONE};
  for (int k = 0; k < 3; k++) in[1 + k] = hn_graph_add_constant(g, NULL, t[k]);
  absorb(g, old, &order);
  hn_id slice = hn_graph_add_node(g, HN_Slice, name, in, 4, 1);
  if (slice == HN_NONE || g->oom) return hn_nomem(g->cx);
  HN_TRY(hn_infer_node(g, slice));
  hn_replace_uses(g, old, hn_node_at(g, slice)->out[0]);
  hn_remove_node(g, id);
  return HONE_OK;
}

/* One of the selections of what the Concat gives that only convolutions read; HN_NONE: there is none. */
static hn_id candidate(const hn_graph *g, hn_id v, channels *c) {
  for (uint32_t i = 0; i < hn_value_at(g, v)->n_users; i++) {
    hn_id id = hn_value_at(g, v)->users[i];
    const hn_node *n = hn_node_at(g, id);
    if (selection(g, n, c) && c->n < hn_value_at(g, v)->shape.d[1] && absorbed(g, n->out[0], false)) return id;
  }
  return HN_NONE;
}

static hone_status take_some(hn_graph *g, hn_id id, bool *done) {
  channels c;
  int32_t axis;
  const hn_node *n = hn_node_at(g, id);
  if (n->dead || n->op != HN_Concat || n->n_main != 2 || n->n_post || n->in[0] == n->in[1]) return HONE_OK;
  const hn_shape *whole = &hn_value_at(g, n->out[0])->shape, *left = &hn_value_at(g, n->in[0])->shape;
  if (whole->rank < 3 || !hn_axis(hn_attr_i(n, "axis", 0), whole->rank, &axis) || axis != 1 || !hn_dim_fixed(whole->d[1]) ||
      whole->d[1] > MAX_CHANNELS || left->rank != whole->rank || !hn_dim_fixed(left->d[1]))
    return HONE_OK;
  int64_t total = whole->d[1], split = left->d[1];
  hn_id joined = n->out[0], part[2] = {n->in[0], n->in[1]};
  if (!only_selections_and_convolutions(g, joined) || !can_reorder(g, part[0]) || !can_reorder(g, part[1])) return HONE_OK;
  hn_id gather = candidate(g, joined, &c);
  if (gather == HN_NONE) return HONE_OK;
  bool wanted[MAX_CHANNELS] = {false};
  for (int64_t i = 0; i < c.n; i++) wanted[c.at[i]] = true;
  channels first = gather_up(wanted, 0, split, true), second = gather_up(wanted, split, total - split, false), all = {.n = total};
  for (int64_t j = 0; j < total; j++) all.at[j] = j < split ? first.at[j] : split + second.at[j - split];
  reorder(g, part[0], &first);
  reorder(g, part[1], &second);
  reorder_readers(g, joined, &all);
  *done = true;
  return as_slice(g, gather);
}

static hone_status order_graph(hn_pass *p, hn_graph *g) {
  uint32_t all = 0, some = 0;
  size_t n = g->nodes.n;
  for (size_t i = 0; i < n; i++) all += take_all(g, (hn_id)i);
  for (size_t i = 0; i < n; i++) {
    bool done = false;
    HN_TRY(take_some(g, (hn_id)i, &done));
    some += done;
  }
  if (g->oom) return hn_nomem(g->cx);
  HN_TRY(hn_pass_note(p, "all", "selections of all channels that only convolutions read", all, false));
  return hn_pass_note(p, "some", "selections of some channels that only convolutions read", some, false);
}

hone_status hn_pass_order_channels(hn_pass *p, hn_graph *g);
hone_status hn_pass_order_channels(hn_pass *p, hn_graph *g) { return hn_pass_each_graph(p, g, order_graph); }
