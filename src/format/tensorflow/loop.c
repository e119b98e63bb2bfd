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
  return l->init && l->carried && l->inner && l->next && l->result ? HONE_OK : hn_nomem(s->im->cx);
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

hone_status hn_tf_loop_end(tf_loop *l, tf_value first, tf_value again) {
  tf_scope *s = l->s;
  hn_graph *g = l->nest.g;
  hn_maker m = {s->nest->g, l->name, 0, HONE_OK};
  uint32_t n_in = 2;
  hn_tensor *most;
  hn_id *in = hn_arena_alloc(s->im->arena, sizeof *in * (l->n + 2)), go_on, node;
  if (!in) return hn_nomem(s->im->cx);
  HN_TRY(hn_tensor_scalar_i(s->im->cx, HONE_DTYPE_I64, INT64_MAX, &most));
  in[0] = hn_make_constant(&m, most);
  HN_TRY(m.st);
  HN_TRY(hn_tf_condition(s, s->nest, l->name, first, &in[1]));
  HN_TRY(hn_tf_condition(s, &l->nest, l->name, again, &go_on));
  hn_graph_add_output(g, "go_on", go_on);
  for (uint32_t i = 0; i < l->n; i++) {
    if (!l->carried[i]) continue;
    if (l->next[i].kind != l->init[i].kind)
      return hn_fail(s->im->cx, HONE_UNSUPPORTED, "node '%s': loop variable %u changes from one kind of value to another", l->name, i);
    in[n_in++] = l->init[i].id;
    hn_graph_add_output(g, hn_value_at(g, l->next[i].id)->name, l->next[i].id);
  }
  static const char *const body[1] = {"body"};
  HN_TRY(hn_tf_add_nested(s, HN_Loop, l->name, in, n_in, &l->nest, body, (const size_t[]){n_in}, 1, n_in - 2, &node));
  for (uint32_t i = 0, k = 0; i < l->n; i++) {
    l->result[i] = l->init[i];
    if (l->carried[i]) l->result[i].id = hn_node_at(s->nest->g, node)->out[k++];
  }
  return HONE_OK;
}

void hn_tf_loop_close(tf_loop *l) {
  hn_graph_destroy(l->nest.g);
  hn_vec_free(&l->nest.captures);
  l->nest.g = NULL;
}
