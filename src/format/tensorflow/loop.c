#include "format/tensorflow/loop.h"

#include <string.h>

hone_status hn_tf_condition(tf_scope *s, tf_nest *nest, const char *name, tf_value v, hn_id *id) {
  hn_maker m = {nest->g, name, 0, HONE_OK};
  if (v.kind != TF_TENSOR) return hn_fail(s->im->cx, HONE_UNSUPPORTED, "node '%s': its condition is not a tensor", name);
  *id = hn_make_cast(&m, v.id, HONE_DTYPE_BOOL);
  if (!m.st && hn_value_at(nest->g, *id)->shape.rank != 0) *id = hn_make_reshape(&m, *id, (const int64_t[]){0}, 0);
  return m.st;
}

hone_status hn_tf_loop_open(tf_loop *l, tf_scope *s, const char *name, uint32_t n) {
  hn_arena *a = s->im->arena;
  *l = (tf_loop){.s = s, .name = name, .n = n};
  l->init = hn_arena_alloc(a, sizeof *l->init * (n + 1));
  l->carried = hn_arena_alloc(a, sizeof *l->carried * (n + 1));
  l->inner = hn_arena_alloc(a, sizeof *l->inner * (n + 1));
  l->next = hn_arena_alloc(a, sizeof *l->next * (n + 1));
  l->result = hn_arena_alloc(a, sizeof *l->result * (n + 1));
  l->item = hn_arena_alloc(a, sizeof *l->item * (n + 1));
  for (uint32_t i = 0; i < n && l->item; i++) l->item[i] = HN_NONE;
  return l->init && l->carried && l->inner && l->next && l->result && l->item ? HONE_OK : hn_nomem(s->im->cx);
}

/* A shape of the same rank of which nothing else is known. */
static hn_shape loose(hn_dims *t, const hn_shape *s) {
  hn_shape r = *s;
  for (int32_t i = 0; i < r.rank; i++) r.d[i] = hn_dim_unknown(t);
  return r;
}

hone_status hn_tf_loop_begin(tf_loop *l, const hn_shape *shapes) {
  tf_scope *s = l->s;
  hn_graph *g = hn_graph_create_nested(s->nest->g, l->name);
  if (!g) return hn_nomem(s->im->cx);
  l->nest = (tf_nest){.g = g, .outer = s->nest};
  hn_shape scalar = hn_shape_of(0, NULL);
  hn_graph_add_input(g, "round", HONE_DTYPE_I64, &scalar);
  hn_graph_add_input(g, "go_on", HONE_DTYPE_BOOL, &scalar);
  for (uint32_t i = 0; i < l->n; i++) {
    l->inner[i] = l->init[i];
    bool flows = l->init[i].kind == TF_TENSOR || l->init[i].kind == TF_LIST;
    if (!flows) l->carried[i] = false;
    if (!flows || !l->carried[i]) continue;
    const hn_value *v = hn_value_at(s->nest->g, l->init[i].id);
    hn_shape shape = loose(g->dims, &v->shape);
    if (shapes && shapes[i].rank == shape.rank && l->init[i].kind == TF_TENSOR) shape = shapes[i];
    l->inner[i].id = hn_graph_add_input(g, hn_fresh_name(g, "carried"), v->dtype, &shape);
    if (l->inner[i].id == HN_NONE) return hn_nomem(s->im->cx);
  }
  for (uint32_t i = 0; i < l->n; i++)
    if (!l->carried[i]) HN_TRY(hn_tf_captured(&l->nest, l->init[i], &l->inner[i]));
  return g->oom ? hn_nomem(s->im->cx) : HONE_OK;
}

/* ---- lists that a round adds one element to become outputs of the loop: carried, they would be copied in every round */

/* Is it the loop variable that counts the rounds from 0? Through conversions. */
static bool counts_rounds(const tf_loop *l, hn_id index) {
  const hn_graph *g = l->nest.g;
  for (int steps = 0; steps < 16; steps++) {
    hn_id p = hn_producer(g, index);
    if (p == HN_NONE) break;
    const hn_node *n = hn_node_at(g, p);
    if (n->op != HN_Cast && n->op != HN_Identity && n->op != HN_Reshape) return false;
    index = n->in[0];
  }
  for (uint32_t i = 0; i < l->n; i++) {
    if (!l->carried[i] || l->inner[i].kind != TF_TENSOR || l->inner[i].id != index) continue;
    const hn_tensor *start = hn_const(l->s->nest->g, l->init[i].id);
    hn_id p = hn_producer(g, l->next[i].id);
    const hn_node *n = p == HN_NONE ? NULL : hn_node_at(g, p);
    if (!start || start->count != 1 || !hn_is_int(start->dtype) || hn_tensor_i(start, 0) != 0 || !n || n->op != HN_Add) return false;
    const hn_tensor *one = hn_const(g, n->in[0] == index ? n->in[1] : n->in[0]);
    return (n->in[0] == index || n->in[1] == index) && one && one->count == 1 && hn_tensor_i(one, 0) == 1;
  }
  return false;
}

static uint32_t uses_within(const hn_graph *g, const tf_put *p) {
  uint32_t uses = 0;
  for (size_t k = p->first; k < p->end; k++)
    for (uint32_t i = 0; i < g->nodes.p[k].n_in; i++) uses += g->nodes.p[k].in[i] == p->before;
  return uses;
}

static bool handed_on_twice(const tf_loop *l, hn_id list) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < l->n; i++) n += l->carried[i] && l->next[i].kind == TF_LIST && l->next[i].id == list;
  return n > 1;
}

static void find_grown(tf_loop *l) {
  const hn_graph *g = l->nest.g;
  for (uint32_t i = 0; i < l->n; i++) {
    if (!l->carried[i] || l->init[i].kind != TF_LIST) continue;
    for (size_t k = 0; k < l->nest.puts.n; k++) {
      const tf_put *p = &l->nest.puts.p[k];
      if (p->before == l->inner[i].id && p->after == l->next[i].id && hn_value_at(g, p->before)->n_users == uses_within(g, p) && hn_value_at(g, p->after)->n_users == 0 &&
          !handed_on_twice(l, p->after) && counts_rounds(l, p->index))
        l->item[i] = p->item;
    }
  }
}

/* The list as it was, with what the rounds gave at its beginning. */
static hone_status grown(tf_loop *l, uint32_t i, hn_id rows) {
  hn_maker m = {l->s->nest->g, l->name, 0, HONE_OK};
  hn_id list = l->init[i].id, part[2], node;
  const int64_t most = INT64_MAX, zero = 0;
  hn_id shape = hn_make1(&m, HN_Shape, rows), element = hn_make_slice(&m, shape, 0, 1, INT64_MAX, 1), rounds = hn_make_slice(&m, shape, 0, 0, 1, 1);
  node = hn_make_node(&m, HN_Slice, (hn_id[]){list, rounds, hn_make_ints(&m, &most, 1), hn_make_ints(&m, &zero, 1)}, 4, 1);
  hn_id rest = hn_make_done(&m, node), left = hn_make_slice(&m, hn_make1(&m, HN_Shape, rest), 0, 0, 1, 1);
  part[0] = left, part[1] = element;
  node = hn_make_node(&m, HN_Concat, part, 2, 1);
  if (!m.st) hn_set_i(m.g, node, "axis", 0);
  rest = hn_make2(&m, HN_Expand, rest, hn_make_done(&m, node));
  part[0] = rows, part[1] = rest;
  node = hn_make_node(&m, HN_Concat, part, 2, 1);
  if (!m.st) hn_set_i(m.g, node, "axis", 0);
  hn_id all = hn_make_done(&m, node); /* as long as the list was */
  part[0] = hn_make_slice(&m, hn_make1(&m, HN_Shape, list), 0, 0, 1, 1), part[1] = element;
  node = hn_make_node(&m, HN_Concat, part, 2, 1);
  if (!m.st) hn_set_i(m.g, node, "axis", 0);
  l->result[i].id = hn_make2(&m, HN_Reshape, all, hn_make_done(&m, node));
  return m.st;
}

/* What is no longer carried is no input of the body. */
static void drop_input(hn_graph *g, hn_id v) {
  size_t k = 0;
  for (size_t i = 0; i < g->inputs.n; i++)
    if (g->inputs.p[i] != v) g->inputs.p[k++] = g->inputs.p[i];
  g->inputs.n = k;
}

hone_status hn_tf_loop_end(tf_loop *l, tf_value first, tf_value again) {
  tf_scope *s = l->s;
  hn_graph *g = l->nest.g;
  hn_maker m = {s->nest->g, l->name, 0, HONE_OK};
  uint32_t n_in = 2, n_out = 0;
  hn_tensor *most;
  hn_id *in = hn_arena_alloc(s->im->arena, sizeof *in * (l->n + 2)), go_on, node;
  if (!in) return hn_nomem(s->im->cx);
  HN_TRY(hn_tensor_scalar_i(s->im->cx, HONE_DTYPE_I64, INT64_MAX, &most));
  in[0] = hn_make_constant(&m, most);
  HN_TRY(m.st);
  HN_TRY(hn_tf_condition(s, s->nest, l->name, first, &in[1]));
  HN_TRY(hn_tf_condition(s, &l->nest, l->name, again, &go_on));
  find_grown(l);
  hn_graph_add_output(g, "go_on", go_on);
  for (uint32_t i = 0; i < l->n; i++) {
    if (!l->carried[i] || l->item[i] != HN_NONE) continue;
    if (l->next[i].kind != l->init[i].kind)
      return hn_fail(s->im->cx, HONE_UNSUPPORTED, "node '%s': loop variable %u changes from one kind of value to another", l->name, i);
    in[n_in++] = l->init[i].id;
    hn_graph_add_output(g, hn_value_at(g, l->next[i].id)->name, l->next[i].id);
  }
  for (uint32_t i = 0; i < l->n; i++)
    if (l->item[i] != HN_NONE) n_out++, hn_graph_add_output(g, hn_value_at(g, l->item[i])->name, l->item[i]);
  if (n_out) hn_remove_dead(g);
  for (uint32_t i = 0; i < l->n; i++)
    if (l->item[i] != HN_NONE) drop_input(g, l->inner[i].id);
  static const char *const body[1] = {"body"};
  HN_TRY(hn_tf_add_nested(s, HN_Loop, l->name, in, n_in, &l->nest, body, (const size_t[]){n_in}, 1, n_in - 2 + n_out, &node));
  uint32_t k = 0;
  for (uint32_t i = 0; i < l->n; i++) {
    l->result[i] = l->init[i];
    if (l->carried[i] && l->item[i] == HN_NONE) l->result[i].id = hn_node_at(s->nest->g, node)->out[k++];
  }
  for (uint32_t i = 0; i < l->n; i++)
    if (l->item[i] != HN_NONE) HN_TRY(grown(l, i, hn_node_at(s->nest->g, node)->out[k++]));
  return HONE_OK;
}

void hn_tf_loop_close(tf_loop *l) {
  hn_graph_destroy(l->nest.g);
  hn_vec_free(&l->nest.captures);
  hn_vec_free(&l->nest.puts);
  l->nest.g = NULL;
}
