/* chains.c - which nodes are planned as one step: convolutions that run strip by strip, and an element-wise node with the
   convolution behind it. */
#include <stdlib.h>
#include <string.h>

#include "device/cpu/conv/before.h"
#include "plan/builder.h"

/* Of the nodes from `id` on, each of which is all that reads the one before, as many as may run strip by strip. Operands
   from elsewhere, which must be there already, end a chain. */
static uint32_t find_chain(const hn_builder *b, hn_id id, hn_id *chain) {
  const hn_graph *g = b->g;
  uint32_t n = 0, image;
  for (const hn_node *at = hn_node_at(g, id); n < HN_MAX_CHAIN; at = hn_node_at(g, id)) {
    if (n ? !hn_strips_continue(g, at) : !hn_strips_begin(g, at, &image)) break;
    bool ready = !b->planned[id];
    for (uint32_t i = at->n_main; i < at->n_in && ready; i++) ready = n && b->p->value_slot[at->in[i]] != HN_NONE;
    if (!ready) break;
    chain[n++] = id;
    const hn_value *v = hn_value_at(g, at->out[0]);
    if (at->n_in > at->n_main || v->n_users != 1 || b->pinned[b->group[at->out[0]]] || !hn_shape_fixed(&v->shape)) break;
    id = v->users[0];
    if (hn_in(hn_node_at(g, id), 0) != at->out[0]) break;
  }
  return n;
}

/* Whether a chain is to be run as one: as timing found, or where nothing was timed, if what lies between is large. */
static bool wants_strips(const hn_builder *b, const hn_id *chain, uint32_t n) {
  enum { LARGE = 1 << 20 };
  const hn_node *head = hn_node_at(b->g, chain[0]);
  size_t bytes, most = 0;
  if (b->o->strips >= HN_STRIPS_THIN) return b->o->strips == HN_STRIPS_ALL || hn_strips_continue(b->g, head);
  if (b->o->strips == HN_STRIPS_NONE || (b->o->sources && !(b->o->sources & 1U << HN_ORIGIN_HONE))) return false;
  if (head->tactic && !b->o->untuned) return hn_tactic_is(head->tactic, hn_strips_kernel.name);
  for (uint32_t i = 0; i + 1 < n; i++) {
    const hn_value *v = hn_value_at(b->g, hn_node_at(b->g, chain[i])->out[0]);
    if (hn_layout_bytes(HN_LAYOUT_PLAIN, v->dtype, v->shape.rank, v->shape.d, &bytes) && bytes > most) most = bytes;
  }
  return most >= LARGE;
}

/* The node, if it is element-wise, and the convolution that alone reads it. */
static uint32_t find_prologue(const hn_builder *b, hn_id id, hn_id *chain, uint32_t *input) {
  const hn_node *e = hn_node_at(b->g, id);
  if (!hn_before_possible(b->g, e, input) || b->p->value_slot[e->in[*input]] == HN_NONE) return 0;
  const hn_value *v = hn_value_at(b->g, e->out[0]);
  if (v->n_users != 1 || b->pinned[b->group[e->out[0]]]) return 0;
  const hn_node *conv = hn_node_at(b->g, v->users[0]);
  if (conv->op != HN_Conv || hn_in(conv, 0) != e->out[0] || b->planned[v->users[0]]) return 0;
  for (uint32_t i = conv->n_main; i < conv->n_in; i++)
    if (b->p->value_slot[conv->in[i]] == HN_NONE && !hn_const(b->g, conv->in[i])) return 0;
  chain[0] = id;
  chain[1] = v->users[0];
  return 2;
}

/* As timing found; where nothing was timed, in front of what conv_gemm does best. */
static bool wants_prologue(const hn_builder *b, const hn_id *chain) {
  const hn_node *head = hn_node_at(b->g, chain[0]);
  const hn_tensor *w = hn_const(b->g, hn_in(hn_node_at(b->g, chain[1]), 1));
  if (b->o->strips >= HN_STRIPS_THIN) return true;
  if (b->o->strips == HN_STRIPS_NONE || (b->o->sources && !(b->o->sources & 1U << HN_ORIGIN_HONE))) return false;
  if (head->tactic && !b->o->untuned) return hn_streq(head->tactic, hn_prologue_kernel.name);
  return w && w->rank == 4 && w->dims[2] == 1 && w->dims[3] == 1 && hn_attr_i(hn_node_at(b->g, chain[1]), "group", 1) == 1;
}

/* How many of the layers that may run strip by strip are to, for there may be more; 0: none, the chain is to begin later. */
static uint32_t wanted_length(hn_builder *b, const hn_id *chain, uint32_t n) {
  const char *tactic = hn_node_at(b->g, chain[0])->tactic, *colon = tactic && !b->o->untuned ? strchr(tactic, ':') : NULL;
  uint32_t most = b->o->strips == HN_STRIPS_ALL ? b->o->strips_most : 0;
  if (b->o->strips == HN_STRIPS_CHOSEN && colon) most = (uint32_t)strtoul(colon + 1, NULL, 10);
  if (b->o->strips == HN_STRIPS_ALL && b->passed[chain[0]] < b->o->strips_skip) {
    b->passed[chain[1]] = (uint8_t)(b->passed[chain[0]] + 1);
    return 0;
  }
  return most >= 2 && most < n ? most : n;
}

/* One step of the chain; *done: the kernel takes it. `image`: which input of the first node that is, `gates`: the other one is
   an input of the step too. */
static hone_status plan_as(hn_builder *b, const hn_kernel *kernel, const char *tactic, const hn_id *chain, uint32_t length, uint32_t image, bool gates, bool *done) {
  const hn_node *head = hn_node_at(b->g, chain[0]), *last = hn_node_at(b->g, chain[length - 1]);
  uint32_t n_in = 1 + gates + last->n_in - last->n_main;
  hn_planned s;
  HN_TRY(hn_step_new(b, &s, chain[0], HN_HOST, n_in, 1));
  hn_id *operands = hn_arena_alloc(b->p->arena, sizeof *operands * n_in);
  s.task.chain = hn_arena_memdup(b->p->arena, chain, sizeof *chain * length);
  if (!operands || !s.task.chain) return hn_nomem(b->g->cx);
  operands[0] = head->in[image];
  if (gates) operands[1] = head->in[1 - image];
  memcpy(operands + 1 + gates, last->in + last->n_main, sizeof *operands * (n_in - 1 - gates));
  s.task.operands = operands;
  s.task.n_chain = length;
  s.task.kernel = kernel;
  s.tactic = tactic;
  for (uint32_t i = 0; i < n_in; i++) {
    uint32_t slot;
    HN_TRY(hn_slot_of(b, operands[i], &slot));
    hn_slot_arg(b, slot, &s.task.in[i]);
    if (s.task.in[i].dynamic) return HONE_OK;
  }
  const hn_value *v = hn_value_at(b->g, last->out[0]);
  s.task.out[0] = (hn_arg){.present = true, .dtype = v->dtype, .rank = v->shape.rank};
  memcpy(s.task.out[0].dims, v->shape.d, sizeof s.task.out[0].dims);
  hn_join_offer(b, last->out[0], &s.task.out[0]);
  hone_status st = s.task.kernel->plan(&s.task);
  for (uint32_t i = 0; i < n_in && !st; i++)
    st = hn_slot_in_layout(b, operands[i], HN_HOST, s.task.in[i].layout, s.task.in[i].pitched, &s.in[i]);
  for (uint32_t i = 0; i < n_in && !st; i++) hn_slot_touch(b, s.in[i]);
  if (!st) st = hn_join_output(b, last->out[0], &s.task.out[0], HN_HOST, &s.out[0]);
  if (st) {
    hn_step_abandon(&s);
    return st == HONE_UNSUPPORTED ? HONE_OK : st;
  }
  b->p->value_slot[last->out[0]] = s.out[0];
  if (b->pinned[b->group[last->out[0]]]) hn_slot_keep(b, s.out[0]);
  HN_TRY(hn_step_append(b, &s));
  *done = true;
  for (uint32_t i = 0; i < length; i++) {
    const hn_node *at = hn_node_at(b->g, chain[i]);
    b->planned[chain[i]] = true;
    for (uint32_t k = 0; k < at->n_in; k++)
      if (at->in[k] != HN_NONE) b->reads[b->group[at->in[k]]]--;
  }
  return HONE_OK;
}

hone_status hn_plan_chain(hn_builder *b, hn_id id) {
  hn_id chain[HN_MAX_CHAIN];
  uint32_t image;
  bool done = false;
  if (b->o->reference || b->o->keep_all || b->o->only || b->o->placement) return HONE_OK;
  uint32_t length = find_prologue(b, id, chain, &image);
  if (length && wants_prologue(b, chain)) HN_TRY(plan_as(b, &hn_prologue_kernel, NULL, chain, length, image, false, &done));
  if (done) return HONE_OK;
  length = find_chain(b, id, chain);
  if (length < 2 || !wants_strips(b, chain, length)) return HONE_OK;
  const hn_node *head = hn_node_at(b->g, id);
  uint32_t n = wanted_length(b, chain, length);
  const char *tactic = n < length ? hn_arena_printf(b->p->arena, "%s:%u", hn_strips_kernel.name, n) : hn_strips_kernel.name;
  if (!n) return HONE_OK;
  if (!tactic) return hn_nomem(b->g->cx);
  hn_strips_begin(b->g, head, &image);
  length = n;
  return plan_as(b, &hn_strips_kernel, tactic, chain, length, image, head->op == HN_Mul, &done);
}
