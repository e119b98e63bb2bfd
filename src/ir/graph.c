/* graph.c - building and editing graphs; keeps names, use lists and ownership right. */
#include "ir/graph.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static hn_graph *create(hone_context *cx, const char *name, hn_dims *shared) {
  hn_graph *g = hn_calloc(1, sizeof *g);
  if (!g) return NULL;
  g->cx = cx;
  g->arena = hn_arena_create();
  g->owns_dims = !shared;
  g->dims = shared ? shared : hn_dims_create();
  if (g->arena && g->dims) g->name = hn_arena_strdup(g->arena, name ? name : "");
  if (!g->name) {
    hn_graph_destroy(g);
    return NULL;
  }
  return g;
}

hn_graph *hn_graph_create(hone_context *cx, const char *name) { return create(cx, name, NULL); }
hn_graph *hn_graph_create_nested(hn_graph *parent, const char *name) {
  hn_graph *g = create(parent->cx, name, parent->dims);
  if (g) g->store = hn_store_ref(parent->store);
  return g;
}

static void attr_release(hn_attr *a) {
  if (a->type == HN_ATTR_TENSOR) hn_tensor_unref(a->v.tensor);
  if (a->type == HN_ATTR_GRAPH) hn_graph_destroy(a->v.graph);
  a->v.tensor = NULL;
}

void hn_graph_destroy(hn_graph *g) {
  if (!g) return;
  for (size_t i = 0; i < g->nodes.n; i++)
    for (uint32_t k = 0; k < g->nodes.p[i].n_attr; k++) attr_release(&g->nodes.p[i].attr[k]);
  for (size_t i = 0; i < g->values.n; i++) hn_tensor_unref(g->values.p[i].data);
  hn_vec_free(&g->values);
  hn_vec_free(&g->nodes);
  hn_vec_free(&g->inputs);
  hn_vec_free(&g->outputs);
  hn_vec_free(&g->meta);
  hn_map_free(&g->names);
  hn_store_unref(g->store);
  if (g->owns_dims) hn_dims_destroy(g->dims);
  hn_arena_destroy(g->arena);
  hn_free(g);
}

/* ------------------------------------------------------------------------------------------ values */

const char *hn_fresh_name(hn_graph *g, const char *base) {
  uint32_t taken;
  if (!base || !*base) base = "t";
  for (;;) {
    char *s = hn_arena_printf(g->arena, "%s_%u", base, (unsigned)++g->fresh);
    if (!s) g->oom = true;
    if (!s || !hn_map_get(&g->names, s, &taken)) return s;
  }
}

static hn_id add_value(hn_graph *g, const char *name, const char *base) {
  uint32_t taken;
  const char *own;
  if (g->values.n >= HN_NONE - 1) g->oom = true;
  if (name && *name && !hn_map_get(&g->names, name, &taken)) own = hn_arena_strdup(g->arena, name);
  else own = hn_fresh_name(g, name && *name ? name : base);
  hn_value v = {.name = own, .shape = hn_shape_unknown(), .producer = HN_NONE};
  hn_id id = (hn_id)g->values.n;
  if (!own || g->oom || !hn_push(&g->values, v) || !hn_map_put(&g->names, own, id)) {
    g->oom = true;
    return HN_NONE;
  }
  return id;
}

hn_id hn_graph_add_input(hn_graph *g, const char *name, hn_dtype dtype, const hn_shape *shape) {
  hn_id id = add_value(g, name, "input");
  if (id == HN_NONE) return HN_NONE;
  hn_value *v = hn_value_at(g, id);
  v->dtype = dtype;
  v->shape = shape ? *shape : hn_shape_unknown();
  v->is_input = true;
  if (!hn_push(&g->inputs, id)) g->oom = true;
  return id;
}

hn_id hn_graph_add_constant(hn_graph *g, const char *name, hn_tensor *t) {
  hn_id id = t ? add_value(g, name, "const") : HN_NONE;
  if (id == HN_NONE) {
    hn_tensor_unref(t);
    g->oom = true;
    return HN_NONE;
  }
  hn_value *v = hn_value_at(g, id);
  v->dtype = t->dtype;
  v->shape = hn_tensor_shape(t);
  v->data = t;
  return id;
}

void hn_value_rename(hn_graph *g, hn_id value, const char *name) {
  hn_value *v = hn_value_at(g, value);
  uint32_t taken;
  if (strcmp(v->name, name) == 0) return;
  const char *own = hn_map_get(&g->names, name, &taken) && taken != value ? hn_fresh_name(g, name)
                                                                           : hn_arena_strdup(g->arena, name);
  /* The old name stays in the map and keeps pointing here: it is never given to another value. */
  if (!own || !hn_map_put(&g->names, own, value)) g->oom = true;
  else v->name = own;
}

void hn_value_give_name(hn_graph *g, hn_id from, hn_id to) {
  const char *name = hn_value_at(g, from)->name, *other = hn_fresh_name(g, name);
  if (!other || !hn_map_put(&g->names, other, from) || !hn_map_put(&g->names, name, to)) {
    g->oom = true;
    return;
  }
  hn_value_at(g, from)->name = other;
  hn_value_at(g, to)->name = name;
}

hn_id hn_producer(const hn_graph *g, hn_id value) { return value == HN_NONE ? HN_NONE : g->values.p[value].producer; }

bool hn_is_output(const hn_graph *g, hn_id value) {
  for (size_t i = 0; i < g->outputs.n; i++)
    if (g->outputs.p[i].value == value) return true;
  return false;
}

static void use_add(hn_graph *g, hn_id value, hn_id node) {
  if (value == HN_NONE) return;
  hn_value *v = hn_value_at(g, value);
  if (v->n_users == v->cap_users) {
    uint32_t cap = v->cap_users ? v->cap_users * 2 : 2;
    hn_id *users = hn_arena_alloc(g->arena, sizeof *users * cap);
    if (!users) {
      g->oom = true;
      return;
    }
    if (v->n_users) memcpy(users, v->users, sizeof *users * v->n_users);
    v->users = users;
    v->cap_users = cap;
  }
  v->users[v->n_users++] = node;
}

static void use_drop(hn_graph *g, hn_id value, hn_id node) {
  if (value == HN_NONE) return;
  hn_value *v = hn_value_at(g, value);
  for (uint32_t i = 0; i < v->n_users; i++)
    if (v->users[i] == node) {
      memmove(v->users + i, v->users + i + 1, sizeof *v->users * (v->n_users - i - 1));
      v->n_users--;
      return;
    }
}

/* ------------------------------------------------------------------------------------------- nodes */

hn_id hn_graph_add_node(hn_graph *g, hn_op op, const char *name, const hn_id *in, uint32_t n_in, uint32_t n_out) {
  hn_id id = (hn_id)g->nodes.n;
  hn_node n = {.op = op, .n_in = n_in, .n_out = n_out, .n_main = n_in};
  n.name = name && *name ? hn_arena_strdup(g->arena, name) : "";
  n.in = hn_arena_alloc(g->arena, sizeof *n.in * n_in);
  n.out = hn_arena_alloc(g->arena, sizeof *n.out * n_out);
  if (!n.name || !n.in || !n.out || id == HN_NONE || !hn_push(&g->nodes, n)) {
    g->oom = true;
    return HN_NONE;
  }
  for (uint32_t i = 0; i < n_in; i++) {
    n.in[i] = in[i];
    use_add(g, in[i], id);
  }
  for (uint32_t i = 0; i < n_out; i++) {
    hn_id v = add_value(g, NULL, n.name[0] ? n.name : hn_op_name(op));
    n.out[i] = v;
    if (v == HN_NONE) continue;
    hn_value_at(g, v)->producer = id;
    hn_value_at(g, v)->producer_out = i;
  }
  return g->oom ? HN_NONE : id;
}

void hn_graph_add_output(hn_graph *g, const char *name, hn_id value) {
  hn_port p = {value, hn_arena_strdup(g->arena, name ? name : "")};
  if (!p.name || value == HN_NONE || !hn_push(&g->outputs, p)) g->oom = true;
}

void hn_set_input(hn_graph *g, hn_id node, uint32_t i, hn_id value) {
  hn_node *n = hn_node_at(g, node);
  if (n->in[i] == value) return;
  use_drop(g, n->in[i], node);
  n->in[i] = value;
  use_add(g, value, node);
}

/* Inputs with one more slot at `at`. */
static bool insert_input(hn_graph *g, hn_id node, uint32_t at, hn_id value) {
  hn_node *n = hn_node_at(g, node);
  hn_id *in = hn_arena_alloc(g->arena, sizeof *in * (n->n_in + 1));
  if (!in) {
    g->oom = true;
    return false;
  }
  memcpy(in, n->in, sizeof *in * at);
  in[at] = value;
  memcpy(in + at + 1, n->in + at, sizeof *in * (n->n_in - at));
  n->in = in;
  n->n_in++;
  use_add(g, value, node);
  return true;
}

void hn_add_main_input(hn_graph *g, hn_id node, hn_id value) {
  hn_node *n = hn_node_at(g, node);
  if (!insert_input(g, node, n->n_main, value)) return;
  for (uint32_t i = 0; i < n->n_post; i++)
    if (n->post[i].operand != HN_NONE) n->post[i].operand++;
  n->n_main++;
}

void hn_drop_inputs(hn_graph *g, hn_id node, uint32_t n_main) {
  hn_node *n = hn_node_at(g, node);
  if (n->n_post || n_main >= n->n_main) return;
  for (uint32_t i = n_main; i < n->n_in; i++) use_drop(g, n->in[i], node);
  n->n_in = n->n_main = n_main;
}

void hn_add_post(hn_graph *g, hn_id node, hn_op op, hn_id operand, bool swapped, float alpha, float beta) {
  hn_node *n = hn_node_at(g, node);
  hn_step *post = hn_arena_alloc(g->arena, sizeof *post * (n->n_post + 1));
  if (!post) {
    g->oom = true;
    return;
  }
  if (n->n_post) memcpy(post, n->post, sizeof *post * n->n_post);
  hn_step step = {.op = op, .swapped = swapped, .operand = HN_NONE, .alpha = alpha, .beta = beta};
  if (operand != HN_NONE) {
    step.operand = n->n_in;
    if (!insert_input(g, node, n->n_in, operand)) return;
  }
  post[n->n_post] = step;
  n->post = post;
  n->n_post++;
}

void hn_clear_post(hn_graph *g, hn_id node) {
  hn_node *n = hn_node_at(g, node);
  for (uint32_t i = n->n_main; i < n->n_in; i++) use_drop(g, n->in[i], node);
  n->n_in = n->n_main;
  n->n_post = 0;
}

void hn_replace_uses(hn_graph *g, hn_id from, hn_id to) {
  if (from == to) return;
  hn_value *f = hn_value_at(g, from);
  while (f->n_users) {
    hn_id node = f->users[0];
    hn_node *n = hn_node_at(g, node);
    uint32_t before = f->n_users;
    for (uint32_t i = 0; i < n->n_in; i++)
      if (n->in[i] == from) hn_set_input(g, node, i, to);
    if (f->n_users == before) break; /* a stale entry: verify reports it */
  }
  for (size_t i = 0; i < g->outputs.n; i++)
    if (g->outputs.p[i].value == from) g->outputs.p[i].value = to;
}

void hn_remove_node(hn_graph *g, hn_id node) {
  hn_node *n = hn_node_at(g, node);
  if (n->dead) return;
  for (uint32_t i = 0; i < n->n_in; i++) use_drop(g, n->in[i], node);
  for (uint32_t i = 0; i < n->n_out; i++)
    if (n->out[i] != HN_NONE) hn_value_at(g, n->out[i])->producer = HN_NONE;
  for (uint32_t k = 0; k < n->n_attr; k++) attr_release(&n->attr[k]);
  n->n_in = n->n_main = n->n_out = n->n_attr = n->n_post = 0;
  n->dead = true;
}

static bool unused(const hn_graph *g, const hn_node *n) {
  for (uint32_t i = 0; i < n->n_out; i++) {
    hn_id v = n->out[i];
    if (v != HN_NONE && (hn_value_at(g, v)->n_users || hn_is_output(g, v))) return false;
  }
  return true;
}

uint32_t hn_remove_dead(hn_graph *g) {
  uint32_t removed = 0;
  for (bool again = true; again;) {
    again = false;
    for (size_t i = g->nodes.n; i-- > 0;)
      if (!g->nodes.p[i].dead && unused(g, &g->nodes.p[i])) {
        hn_remove_node(g, (hn_id)i);
        removed++;
        again = true;
      }
  }
  return removed;
}

void hn_set_data(hn_graph *g, hn_id value, hn_tensor *t) {
  hn_value *v = hn_value_at(g, value);
  if (v->producer != HN_NONE) {
    hn_node *n = hn_node_at(g, v->producer);
    n->out[v->producer_out] = HN_NONE;
    v->producer = HN_NONE;
  }
  hn_tensor_unref(v->data);
  v->data = t;
  v->dtype = t->dtype;
  v->shape = hn_tensor_shape(t);
}

/* ------------------------------------------------------------------------------------------- order */

hone_status hn_graph_order(const hn_graph *g, hn_id **order, uint32_t *n) {
  size_t count = g->nodes.n;
  hn_id *out = hn_calloc(count, sizeof *out), *stack = hn_calloc(count, sizeof *stack);
  uint32_t *next = hn_calloc(count, sizeof *next); /* inputs already visited */
  unsigned char *state = hn_calloc(count, 1);      /* 1: on the stack, 2: done */
  hone_status st = out && stack && next && state ? HONE_OK : hn_nomem(g->cx);
  uint32_t done = 0;
  for (size_t root = 0; root < count && !st; root++) {
    if (state[root] || g->nodes.p[root].dead) continue;
    size_t depth = 0;
    stack[depth++] = (hn_id)root;
    state[root] = 1;
    while (depth && !st) {
      hn_id id = stack[depth - 1];
      const hn_node *node = &g->nodes.p[id];
      if (next[id] == node->n_in) {
        state[id] = 2;
        out[done++] = id;
        depth--;
        continue;
      }
      hn_id from = hn_producer(g, node->in[next[id]++]);
      if (from == HN_NONE || state[from] == 2) continue;
      if (state[from] == 1) {
        st = hn_fail(g->cx, HONE_BAD_GRAPH, "node '%s' (%s) depends on itself: the graph has a cycle",
                     g->nodes.p[from].name, hn_op_name(g->nodes.p[from].op));
      } else {
        state[from] = 1;
        stack[depth++] = from;
      }
    }
  }
  hn_free(stack);
  hn_free(next);
  hn_free(state);
  if (st) {
    hn_free(out);
    return st;
  }
  *order = out;
  *n = done;
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- clone */

static bool clone_values(hn_graph *c, const hn_graph *g) {
  if (!hn_reserve(&c->values, g->values.n)) return false;
  for (size_t i = 0; i < g->values.n; i++) {
    hn_value v = g->values.p[i];
    v.name = hn_arena_strdup(c->arena, v.name);
    v.data = v.data ? hn_tensor_ref(v.data) : NULL;
    v.sym = v.sym ? hn_arena_memdup(c->arena, v.sym, sizeof *v.sym * v.n_sym) : NULL;
    v.users = hn_arena_memdup(c->arena, v.users, sizeof *v.users * v.n_users);
    v.cap_users = v.n_users;
    c->values.p[c->values.n++] = v;
    if (!v.name || !v.users || !hn_map_put(&c->names, v.name, (uint32_t)i)) return false;
  }
  return true;
}

static bool clone_nodes(hn_graph *c, const hn_graph *g) {
  if (!hn_reserve(&c->nodes, g->nodes.n)) return false;
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *from = &g->nodes.p[i];
    hn_node n = *from;
    n.name = hn_arena_strdup(c->arena, n.name);
    n.source = hn_arena_strdup(c->arena, n.source);
    n.tactic = hn_arena_strdup(c->arena, n.tactic);
    n.tactic_layout = hn_arena_strdup(c->arena, n.tactic_layout);
    n.in = hn_arena_memdup(c->arena, n.in, sizeof *n.in * n.n_in);
    n.out = hn_arena_memdup(c->arena, n.out, sizeof *n.out * n.n_out);
    n.post = n.n_post ? hn_arena_memdup(c->arena, n.post, sizeof *n.post * n.n_post) : NULL;
    n.attr = NULL;
    n.n_attr = 0;
    c->nodes.p[c->nodes.n++] = n;
    hn_attr_copy_all(c, (hn_id)i, from);
    if (!n.name || !n.in || !n.out || (n.n_post && !n.post) || c->oom) return false;
  }
  return true;
}

static hn_graph *clone(hn_graph *c, const hn_graph *g) {
  if (!c) return NULL;
  bool ok = clone_values(c, g) && clone_nodes(c, g);
  c->fresh = g->fresh;
  for (size_t i = 0; ok && i < g->inputs.n; i++) ok = hn_push(&c->inputs, g->inputs.p[i]);
  for (size_t i = 0; ok && i < g->outputs.n; i++) {
    hn_graph_add_output(c, g->outputs.p[i].name, g->outputs.p[i].value);
    ok = !c->oom;
  }
  for (size_t i = 0; ok && i < g->meta.n; i++) {
    hn_meta_set(c, g->meta.p[i].key, g->meta.p[i].value);
    ok = !c->oom;
  }
  if (!ok) {
    hn_graph_destroy(c);
    return NULL;
  }
  return c;
}

hn_graph *hn_graph_clone(const hn_graph *g) { return hn_graph_clone_for(g, g->cx); }

hn_graph *hn_graph_clone_for(const hn_graph *g, hone_context *cx) {
  hn_dims *dims = hn_dims_clone(g->dims);
  if (!dims) return NULL;
  hn_graph *c = create(cx, g->name, dims);
  if (!c) {
    hn_dims_destroy(dims);
    return NULL;
  }
  c->owns_dims = true;
  c->store = hn_store_ref(g->store);
  return clone(c, g);
}

hn_graph *hn_graph_clone_nested(hn_graph *parent, const hn_graph *g) {
  return clone(hn_graph_create_nested(parent, g->name), g);
}

const char *hn_meta_get(const hn_graph *g, const char *key) {
  for (size_t i = 0; i < g->meta.n; i++)
    if (strcmp(g->meta.p[i].key, key) == 0) return g->meta.p[i].value;
  return NULL;
}

void hn_meta_set(hn_graph *g, const char *key, const char *value) {
  const char *v = hn_arena_strdup(g->arena, value ? value : "");
  for (size_t i = 0; v && i < g->meta.n; i++)
    if (strcmp(g->meta.p[i].key, key) == 0) {
      g->meta.p[i].value = v;
      return;
    }
  hn_meta m = {hn_arena_strdup(g->arena, key), v};
  if (!m.key || !m.value || !hn_push(&g->meta, m)) g->oom = true;
}

void hn_node_kind_text(const hn_node *n, hn_str *out) {
  hn_str_add(out, hn_op_name(n->op));
  for (uint32_t i = 0; i < n->n_post; i++) hn_str_printf(out, "+%s", hn_op_name(n->post[i].op));
}
