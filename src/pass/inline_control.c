/* inline_control.c - control flow that is decided: the branch in place of an If whose condition is constant, and the rounds,
   one after the other, in place of a Loop that always makes the same few. */
#include <string.h>

#include "op/make.h"
#include "pass/pass.h"

enum { MAX_ROUNDS = 64, MAX_NODES = 512 }; /* of an unrolled loop, its nodes in all */

static hn_id mapped(const hn_id *map, hn_id v) { return v == HN_NONE ? HN_NONE : map[v]; }

/* round: of a loop, else 0. Shapes of one round need not hold in the next. */
static void copy_node(hn_graph *g, const hn_graph *from, hn_id id, int64_t round, hn_id *map) {
  const hn_node *n = hn_node_at(from, id);
  const char *name = round && *n->name ? hn_arena_printf(g->arena, "%s_%lld", n->name, (long long)round) : n->name;
  hn_id *in = hn_calloc(n->n_in, sizeof *in);
  for (uint32_t i = 0; in && i < n->n_in; i++) in[i] = mapped(map, n->in[i]);
  hn_id to = in && name ? hn_graph_add_node(g, n->op, name, in, n->n_main, n->n_out) : HN_NONE;
  if (to == HN_NONE) g->oom = true;
  else hn_attr_copy_all(g, to, n);
  for (uint32_t i = 0; i < n->n_post && !g->oom; i++) {
    const hn_step *s = &n->post[i];
    hn_add_post(g, to, s->op, s->operand == HN_NONE ? HN_NONE : in[s->operand], s->swapped, s->alpha, s->beta);
  }
  for (uint32_t i = 0; i < n->n_out && !g->oom; i++) {
    hn_value *v = hn_value_at(g, hn_node_at(g, to)->out[i]);
    if (n->out[i] == HN_NONE) {
      hn_node_at(g, to)->out[i] = HN_NONE;
      continue;
    }
    const hn_value *was = hn_value_at(from, n->out[i]);
    v->dtype = was->dtype;
    if (!round) v->shape = was->shape;
    map[n->out[i]] = hn_node_at(g, to)->out[i];
  }
  hn_free(in);
}

/* Puts the nodes of `sub`, a graph nested in g, into g, with `in` for its inputs; out: its outputs. */
static hone_status splice(hn_graph *g, const hn_graph *sub, int64_t round, const hn_id *in, hn_id *out) {
  hn_id *map = hn_calloc(sub->values.n, sizeof *map), *order = NULL;
  uint32_t n = 0;
  if (!map) return hn_nomem(g->cx);
  hone_status st = hn_graph_order(sub, &order, &n);
  for (size_t v = 0; v < sub->values.n && !st; v++) {
    const hn_value *from = &sub->values.p[v];
    map[v] = from->data ? hn_graph_add_constant(g, from->name, hn_tensor_ref(from->data)) : HN_NONE;
  }
  for (size_t i = 0; i < sub->inputs.n && !st; i++) map[sub->inputs.p[i]] = in[i];
  for (uint32_t i = 0; i < n && !st && !g->oom; i++) copy_node(g, sub, order[i], round, map);
  for (size_t i = 0; i < sub->outputs.n && !st; i++) out[i] = mapped(map, sub->outputs.p[i].value);
  hn_free(order);
  hn_free(map);
  return !st && g->oom ? hn_nomem(g->cx) : st;
}

/* Output i of the node becomes `value`; where the world reads it, under its name. */
static void give(hn_graph *g, hn_id node, uint32_t i, hn_id value) {
  hn_id old = i < hn_node_at(g, node)->n_out ? hn_node_at(g, node)->out[i] : HN_NONE;
  if (old != HN_NONE && value != HN_NONE) hn_replace_uses(g, old, value);
}

static bool decided(const hn_graph *g, hn_id v, bool *is) {
  const hn_tensor *t = hn_const(g, v);
  if (!t || t->count != 1 || t->dtype != HONE_DTYPE_BOOL) return false;
  *is = hn_load_i64(t->dtype, t->data, 0) != 0;
  return true;
}

/* ------------------------------------------------------------------------------------------------ If */

static hone_status inline_if(hn_graph *g, hn_id id, bool *done) {
  const hn_node *n = hn_node_at(g, id);
  bool which;
  if (n->n_post || !decided(g, hn_in(n, 0), &which)) return HONE_OK;
  const hn_graph *branch = hn_attr_graph(n, which ? "then_branch" : "else_branch");
  uint32_t captures = (uint32_t)hn_attr_i(n, "captures", 0);
  if (!branch || captures >= n->n_main || branch->inputs.n != captures || branch->outputs.n < n->n_out) return HONE_OK;
  hn_id *out = hn_calloc(branch->outputs.n, sizeof *out);
  hn_id *in = hn_calloc(captures, sizeof *in);
  hone_status st = out && in ? HONE_OK : hn_nomem(g->cx);
  if (!st) memcpy(in, n->in + n->n_main - captures, sizeof *in * captures);
  if (!st) st = splice(g, branch, 0, in, out);
  for (uint32_t i = 0; i < hn_node_at(g, id)->n_out && !st; i++) give(g, id, i, out[i]);
  if (!st) hn_remove_node(g, id);
  *done = !st;
  hn_free(in);
  hn_free(out);
  return st;
}

/* ---------------------------------------------------------------------------------------------- Loop */

typedef struct loop {
  const hn_graph *body;
  int64_t rounds;
  uint32_t carried, stacked, captures;
} loop;

static bool has_nested(const hn_graph *g) {
  for (size_t i = 0; i < g->nodes.n; i++)
    if (!g->nodes.p[i].dead && hn_op_is(g->nodes.p[i].op, HN_OP_CONTROL)) return true;
  return false;
}

/* Is the loop's length known before it begins? Its condition must stay true, or there is one round only. */
static bool known_length(const hn_graph *g, const hn_node *n, loop *l) {
  const hn_tensor *most = hn_const(g, hn_in(n, 0));
  bool go = true;
  l->body = hn_attr_graph(n, "body");
  l->captures = (uint32_t)hn_attr_i(n, "captures", 0);
  if (!l->body || n->n_post || !most || most->count != 1 || !hn_is_int(most->dtype) || n->n_main < 2 + l->captures) return false;
  if (hn_in(n, 1) != HN_NONE && (!decided(g, hn_in(n, 1), &go) || !go)) return false;
  l->rounds = hn_load_i64(most->dtype, most->data, 0);
  l->carried = n->n_main - 2 - l->captures;
  if (l->body->inputs.n != n->n_main || l->body->outputs.n < 1 + l->carried || l->body->outputs.n - 1 != n->n_out) return false;
  l->stacked = n->n_out - l->carried;
  if (l->rounds < 1 || l->rounds > MAX_ROUNDS || l->rounds * (int64_t)l->body->nodes.n > MAX_NODES) return false;
  hn_id condition = l->body->outputs.p[0].value;
  if (l->rounds > 1 && has_nested(l->body)) return false;
  return l->rounds == 1 || condition == l->body->inputs.p[1] || (decided(l->body, condition, &go) && go);
}

/* What the rounds put out, side by side along a new first axis. */
static hn_id stack(hn_maker *m, const hn_id *slices, int64_t n) {
  hn_id parts[MAX_ROUNDS];
  for (int64_t i = 0; i < n; i++) parts[i] = hn_make2(m, HN_Unsqueeze, slices[i], hn_make_ints(m, &(int64_t){0}, 1));
  hn_id node = hn_make_node(m, HN_Concat, parts, (uint32_t)n, 1);
  if (node != HN_NONE) hn_set_i(m->g, node, "axis", 0);
  return hn_make_done(m, node);
}

static hone_status unroll(hn_graph *g, hn_id id, const loop *l, hn_id *in, hn_id *out, hn_id *slices) {
  hn_maker m = {.g = g, .name = hn_node_at(g, id)->name};
  in[1] = hn_make_scalar(&m, HONE_DTYPE_BOOL, 1);
  for (int64_t k = 0; k < l->rounds && !m.st; k++) {
    in[0] = hn_make_scalar(&m, HONE_DTYPE_I64, (double)k);
    if (m.st) break;
    HN_TRY(splice(g, l->body, l->rounds > 1 ? k + 1 : 0, in, out));
    if (l->carried) memcpy(in + 2, out + 1, sizeof *in * l->carried);
    for (uint32_t i = 0; i < l->stacked; i++) slices[i * MAX_ROUNDS + k] = out[1 + l->carried + i];
  }
  for (uint32_t i = 0; i < l->carried; i++) give(g, id, i, in[2 + i]);
  for (uint32_t i = 0; i < l->stacked && !m.st; i++)
    if (hn_node_at(g, id)->out[l->carried + i] != HN_NONE) give(g, id, l->carried + i, stack(&m, slices + i * MAX_ROUNDS, l->rounds));
  return m.st;
}

static hone_status unroll_loop(hn_graph *g, hn_id id, bool *done) {
  const hn_node *n = hn_node_at(g, id);
  loop l = {0};
  if (!known_length(g, n, &l)) return HONE_OK;
  hn_id *in = hn_calloc(n->n_main, sizeof *in), *out = hn_calloc(l.body->outputs.n, sizeof *out);
  hn_id *slices = hn_calloc((size_t)l.stacked * MAX_ROUNDS, sizeof *slices);
  hone_status st = in && out && slices ? HONE_OK : hn_nomem(g->cx);
  if (!st) memcpy(in, n->in, sizeof *in * n->n_main);
  if (!st) st = unroll(g, id, &l, in, out, slices);
  if (!st) hn_remove_node(g, id);
  *done = !st;
  hn_free(slices);
  hn_free(out);
  hn_free(in);
  return st;
}

/* --------------------------------------------------------------------------------------------- pass */

static hone_status inline_graph(hn_pass *p, hn_graph *g) {
  uint32_t branches = 0, loops = 0;
  for (hn_id id = 0; id < g->nodes.n; id++) { /* nodes that come in are looked at too */
    bool done = false;
    if (hn_node_at(g, id)->dead) continue;
    if (hn_node_at(g, id)->op == HN_If) {
      HN_TRY(inline_if(g, id, &done));
      branches += done;
    } else if (hn_node_at(g, id)->op == HN_Loop) {
      HN_TRY(unroll_loop(g, id, &done));
      loops += done;
    }
  }
  HN_TRY(hn_pass_note(p, "branch", "an If whose condition is constant", branches, true));
  return hn_pass_note(p, "rounds", "a Loop that always makes the same few rounds", loops, true);
}

hone_status hn_pass_inline_control(hn_pass *p, hn_graph *g);
hone_status hn_pass_inline_control(hn_pass *p, hn_graph *g) { return hn_pass_each_graph(p, g, inline_graph); }
