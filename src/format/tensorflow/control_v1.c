/* control_v1.c - loops and conditions as dataflow: a loop is a frame of Enter, Merge, Switch, NextIteration and Exit, a
   condition a Merge of what two sides of Switches come to. Which nodes lie within is found from their ends back. */
#include <string.h>

#include "format/tensorflow/loop.h"

enum { NONE = UINT32_MAX };

typedef struct variable { /* of a loop; nodes */
  uint32_t enter, merge, next, split, exit;
} variable;

struct tf_frame {
  const char *name;
  uint32_t condition; /* LoopCond */
  HN_VEC(uint32_t) enters;
  HN_VEC(variable) vars;
  uint8_t *in_condition, *in_body; /* which nodes are theirs; NULL: not looked at yet */
};

struct tf_branch {
  tf_ref predicate, side[2]; /* side[1]: taken when it is true */
  uint8_t *inside[2];
  tf_refs boundary;          /* what the sides read of the rest, predicate included */
  HN_VEC(uint32_t) gates[2]; /* Switches that each side begins with */
};

static bool op_is(const tf_body *b, uint32_t node, const char *op) {
  if (node >= b->n) return false;
  const char *name = b->nodes[node]->op;
  return strcmp(name, op) == 0 || (strncmp(name, "Ref", 3) == 0 && strcmp(name + 3, op) == 0);
}

/* ---- frames */

static const char *frame_name(const tf_scope *s, uint32_t enter) {
  const tf_attr *a = hn_tf_attr(s, s->body->nodes[enter], "frame_name");
  if (!a || a->value_case != TENSORFLOW__ATTR_VALUE__VALUE_S) return "";
  const char *name = hn_arena_strndup(s->im->arena, (const char *)a->s.data, a->s.len);
  return name ? name : "";
}

static tf_frame *frame_of_enter(const tf_body *b, uint32_t enter) {
  for (uint32_t f = 0; f < b->n_frames; f++)
    for (size_t i = 0; i < b->frames[f].enters.n; i++)
      if (b->frames[f].enters.p[i] == enter) return &b->frames[f];
  return NULL;
}

static variable *var_of(const tf_body *b, uint32_t node, tf_frame **frame) {
  for (uint32_t f = 0; f < b->n_frames; f++)
    for (size_t i = 0; i < b->frames[f].vars.n; i++) {
      variable *v = &b->frames[f].vars.p[i];
      if (v->merge != node && v->split != node && v->exit != node && v->next != node) continue;
      if (frame) *frame = &b->frames[f];
      return v;
    }
  return NULL;
}

/* A vector of the arena, since a body lives as long as the import. */
#define PUSH(s, v, x)                                                                                          \
  do {                                                                                                         \
    if ((v)->n == (v)->cap) {                                                                                  \
      size_t cap_ = (v)->cap ? 2 * (v)->cap : 8;                                                               \
      void *more_ = hn_arena_alloc((s)->im->arena, cap_ * sizeof *(v)->p);                                     \
      if (!more_) return hn_nomem((s)->im->cx);                                                                \
      if ((v)->n) memcpy(more_, (v)->p, (v)->n * sizeof *(v)->p);                                              \
      (v)->p = more_;                                                                                          \
      (v)->cap = cap_;                                                                                         \
    }                                                                                                          \
    (v)->p[(v)->n++] = (x);                                                                                    \
  } while (0)

static hone_status add_enters(tf_scope *s) {
  tf_body *b = s->body;
  for (uint32_t i = 0; i < b->n; i++) {
    if (!op_is(b, i, "Enter")) continue;
    const char *name = frame_name(s, i);
    uint32_t f = 0;
    while (f < b->n_frames && strcmp(b->frames[f].name, name) != 0) f++;
    if (f == b->n_frames) b->frames[b->n_frames++] = (tf_frame){.name = name, .condition = NONE};
    PUSH(s, &b->frames[f].enters, i);
  }
  return HONE_OK;
}

static hone_status find_frames(tf_scope *s) {
  tf_body *b = s->body;
  uint32_t n = 0;
  if (b->framed) return HONE_OK;
  for (uint32_t i = 0; i < b->n; i++) n += op_is(b, i, "Enter");
  b->frames = hn_arena_alloc(s->im->arena, sizeof *b->frames * (n + 1));
  b->branches = hn_arena_alloc(s->im->arena, sizeof *b->branches * ((size_t)b->n + 1));
  if (!b->frames || !b->branches) return hn_nomem(s->im->cx);
  b->framed = true;
  if (!n) return HONE_OK;
  HN_TRY(add_enters(s));
  for (uint32_t i = 0; i < b->n; i++) { /* Merge(Enter, NextIteration) */
    tf_ref a[2];
    if (!op_is(b, i, "Merge") || hn_tf_data_inputs(b->nodes[i]) != 2) continue;
    for (int k = 0; k < 2; k++) HN_TRY(hn_tf_input_ref(s, b->nodes[i], (size_t)k, &a[k]));
    int k = op_is(b, a[0].node, "Enter") ? 0 : 1;
    if (!op_is(b, a[k].node, "Enter") || !op_is(b, a[1 - k].node, "NextIteration")) continue;
    tf_frame *f = frame_of_enter(b, a[k].node);
    variable v = {a[k].node, i, a[1 - k].node, NONE, NONE};
    PUSH(s, &f->vars, v);
  }
  for (uint32_t i = 0; i < b->n; i++) { /* Switch(Merge, LoopCond) */
    tf_ref data, cond;
    tf_frame *f;
    variable *v;
    if (!op_is(b, i, "Switch") || hn_tf_data_inputs(b->nodes[i]) != 2) continue;
    HN_TRY(hn_tf_input_ref(s, b->nodes[i], 0, &data));
    HN_TRY(hn_tf_input_ref(s, b->nodes[i], 1, &cond));
    if (!op_is(b, cond.node, "LoopCond") || !(v = var_of(b, data.node, &f)) || v->merge != data.node) continue;
    v->split = i;
    f->condition = cond.node;
  }
  for (uint32_t i = 0; i < b->n; i++) { /* Exit(Switch) */
    tf_ref data;
    variable *v;
    if (!op_is(b, i, "Exit") || !hn_tf_data_inputs(b->nodes[i])) continue;
    HN_TRY(hn_tf_input_ref(s, b->nodes[i], 0, &data));
    if ((v = var_of(b, data.node, NULL)) && v->split == data.node) v->exit = i;
  }
  return HONE_OK;
}

/* ---- which nodes lie behind others */

typedef struct analysis {
  tf_scope *s;
  bool (*bound)(const struct analysis *a, uint32_t node); /* does the region begin here? */
  const tf_frame *frame;   /* for `bound` */
  tf_ref predicate;
  uint8_t *state, *inside; /* by node */
  tf_refs boundary;
  HN_VEC(uint32_t) met;    /* of the bound nodes */
} analysis;

static hone_status add_boundary(analysis *a, tf_ref r) {
  for (size_t i = 0; i < a->boundary.n; i++)
    if (a->boundary.p[i].node == r.node && a->boundary.p[i].port == r.port) return HONE_OK;
  return hn_push(&a->boundary, r) ? HONE_OK : hn_nomem(a->s->im->cx);
}

/* Nodes that are known without looking behind them: arguments, what is made already, variables of loops around. */
static bool known(const analysis *a, uint32_t node) {
  const tf_body *b = a->s->body;
  if (node >= b->n || a->s->made[node].state == 2) return true;
  const variable *v = op_is(b, node, "Merge") || op_is(b, node, "Switch") ? var_of(b, node, NULL) : NULL;
  return v && (v->merge == node || v->split == node);
}

static hone_status visit(analysis *a, uint32_t root) {
  tf_scope *s = a->s;
  HN_VEC(uint32_t) stack = {0};
  tf_refs needs = {0};
  hone_status st = hn_push(&stack, root) ? HONE_OK : hn_nomem(s->im->cx);
  while (stack.n && !st) {
    uint32_t at = stack.p[stack.n - 1];
    if (a->state[at] == 2) {
      stack.n--;
      continue;
    }
    if (a->state[at] == 0 && a->bound(a, at)) {
      a->state[at] = 2;
      a->inside[at] = 1;
      stack.n--;
      if (!hn_push(&a->met, at)) st = hn_nomem(s->im->cx);
      continue;
    }
    if (known(a, at)) {
      a->state[at] = 2;
      stack.n--;
      continue;
    }
    st = hn_tf_needs(s, at, &needs);
    if (a->state[at] == 1) {
      a->state[at] = 2;
      stack.n--;
      for (size_t i = 0; i < needs.n; i++) a->inside[at] |= a->inside[needs.p[i].node];
      continue;
    }
    a->state[at] = 1;
    for (size_t i = 0; i < needs.n && !st; i++) {
      if (a->state[needs.p[i].node] == 0 && !hn_push(&stack, needs.p[i].node)) st = hn_nomem(s->im->cx);
      if (a->state[needs.p[i].node] == 1)
        st = hn_tf_node_error(s, s->body->nodes[at], HONE_BAD_GRAPH, "it depends on itself: the graph has a cycle outside of loops");
    }
  }
  hn_vec_free(&stack);
  hn_vec_free(&needs);
  return st;
}

static hone_status analyse(analysis *a, const tf_ref *roots, size_t n) {
  tf_scope *s = a->s;
  size_t all = (size_t)s->body->n + s->body->n_args + 1;
  tf_refs needs = {0};
  a->state = hn_arena_alloc(s->im->arena, all);
  a->inside = hn_arena_alloc(s->im->arena, all);
  if (!a->state || !a->inside) return hn_nomem(s->im->cx);
  hone_status st = HONE_OK;
  for (size_t i = 0; i < n && !st; i++) {
    st = visit(a, roots[i].node);
    if (!st && !a->inside[roots[i].node]) st = add_boundary(a, roots[i]);
  }
  for (uint32_t k = 0; k < s->body->n && !st; k++) {
    if (!a->inside[k] || a->bound(a, k)) continue;
    st = hn_tf_needs(s, k, &needs);
    for (size_t i = 0; i < needs.n && !st; i++)
      if (!a->inside[needs.p[i].node]) st = add_boundary(a, needs.p[i]);
  }
  hn_vec_free(&needs);
  return st;
}

static void analysis_close(analysis *a) {
  hn_vec_free(&a->boundary);
  hn_vec_free(&a->met);
}

/* ---- loops */

static bool is_of_frame(const analysis *a, uint32_t node) {
  for (size_t i = 0; i < a->frame->vars.n; i++)
    if (a->frame->vars.p[i].merge == node || a->frame->vars.p[i].split == node) return true;
  return false;
}

static hone_status look_at_loop(tf_scope *s, tf_frame *f) {
  analysis cond = {.s = s, .bound = is_of_frame, .frame = f}, body = cond;
  tf_ref *roots = hn_arena_alloc(s->im->arena, sizeof *roots * (f->vars.n + 1));
  if (f->in_body) return HONE_OK;
  if (!roots) return hn_nomem(s->im->cx);
  for (size_t i = 0; i < f->vars.n; i++) HN_TRY(hn_tf_input_ref(s, s->body->nodes[f->vars.p[i].next], 0, &roots[i]));
  hone_status st = analyse(&body, roots, f->vars.n);
  if (!st) st = hn_tf_input_ref(s, s->body->nodes[f->condition], 0, roots);
  if (!st) st = analyse(&cond, roots, 1);
  f->in_condition = cond.inside;
  f->in_body = st ? NULL : body.inside;
  analysis_close(&cond);
  analysis_close(&body);
  return st;
}

/* The condition of the loop for given values of its variables. */
static hone_status evaluate_condition(tf_scope *s, tf_frame *f, tf_nest *nest, const tf_value *values, tf_value *out) {
  tf_scope part = *s;
  tf_ref r;
  part.outer = s;
  part.nest = nest;
  part.inside = f->in_condition;
  part.depth++;
  HN_TRY(hn_tf_scope_open(&part));
  hone_status st = HONE_OK;
  for (size_t i = 0; i < f->vars.n && !st; i++) st = hn_tf_bind(&part, f->vars.p[i].merge, 0, values[i]);
  if (!st) st = hn_tf_input_ref(s, s->body->nodes[f->condition], 0, &r);
  if (!st) st = hn_tf_value(&part, r, out);
  hn_tf_scope_close(&part);
  return st;
}

/* Is the variable handed on as it is? */
static bool unchanged(tf_scope *s, const variable *v) {
  tf_ref r;
  if (hn_tf_input_ref(s, s->body->nodes[v->next], 0, &r)) return false;
  for (int steps = 0; steps < 64 && r.node < s->body->n; steps++) {
    if (r.node == v->split) return r.port == 1;
    if (!op_is(s->body, r.node, "Identity") || hn_tf_input_ref(s, s->body->nodes[r.node], 0, &r)) return false;
  }
  return false;
}

static hone_status evaluate_body(tf_scope *s, tf_frame *f, tf_loop *l) {
  tf_scope part = *s;
  part.outer = s;
  part.nest = &l->nest;
  part.inside = f->in_body;
  part.depth++;
  HN_TRY(hn_tf_scope_open(&part));
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < l->n && !st; i++) {
    const variable *v = &f->vars.p[i];
    st = hn_tf_bind(&part, v->merge, 0, l->inner[i]);
    if (!st && v->split != NONE) st = hn_tf_bind(&part, v->split, 1, l->inner[i]);
  }
  for (uint32_t i = 0; i < l->n && !st; i++) {
    tf_ref r;
    st = hn_tf_input_ref(s, s->body->nodes[f->vars.p[i].next], 0, &r);
    if (!st && l->carried[i]) st = hn_tf_value(&part, r, &l->next[i]);
    else l->next[i] = l->inner[i];
  }
  hn_tf_scope_close(&part);
  return st;
}

static hone_status read_loop(tf_scope *s, tf_frame *f, tf_loop *l) {
  tf_value first, again;
  for (uint32_t i = 0; i < l->n; i++) {
    tf_ref r;
    HN_TRY(hn_tf_input_ref(s, s->body->nodes[f->vars.p[i].enter], 0, &r));
    HN_TRY(hn_tf_value(s, r, &l->init[i]));
    l->carried[i] = !unchanged(s, &f->vars.p[i]);
    if (l->init[i].kind == TF_VARIABLE && l->carried[i]) { /* a variable's value flows */
      l->init[i].kind = TF_TENSOR;
      HN_TRY(hn_tf_constant_of(s, l->init[i].what, &l->init[i].id));
    }
  }
  HN_TRY(evaluate_condition(s, f, s->nest, l->init, &first));
  HN_TRY(hn_tf_loop_begin(l, NULL));
  HN_TRY(evaluate_body(s, f, l));
  HN_TRY(evaluate_condition(s, f, &l->nest, l->next, &again));
  HN_TRY(hn_tf_loop_end(l, first, again));
  for (uint32_t i = 0; i < l->n; i++)
    if (f->vars.p[i].exit != NONE) HN_TRY(hn_tf_bind(s, f->vars.p[i].exit, 0, l->result[i]));
  return HONE_OK;
}

hone_status hn_tf_lower_exit(tf_scope *s, uint32_t node) {
  tf_frame *f = NULL;
  tf_loop l;
  enum { MAX_LOOPS = 64 };
  HN_TRY(find_frames(s));
  if (!var_of(s->body, node, &f) || f->condition == NONE)
    return hn_tf_node_error(s, s->body->nodes[node], HONE_BAD_GRAPH, "it leaves no loop that has a condition");
  if (s->depth > MAX_LOOPS) return hn_tf_node_error(s, s->body->nodes[node], HONE_BAD_GRAPH, "loops are nested more than %d deep", MAX_LOOPS);
  HN_TRY(look_at_loop(s, f));
  const char *name = hn_arena_printf(s->im->arena, "%s%s", s->prefix, *f->name ? f->name : "while");
  HN_TRY(hn_tf_loop_open(&l, s, name ? name : "while", (uint32_t)f->vars.n));
  hone_status st = read_loop(s, f, &l);
  hn_tf_loop_close(&l);
  return st;
}

/* ---- conditions */

static bool is_gate(const analysis *a, uint32_t node) {
  const tf_body *b = a->s->body;
  tf_ref r;
  if (!op_is(b, node, "Switch") || hn_tf_input_ref(a->s, b->nodes[node], 1, &r)) return false;
  return r.node == a->predicate.node && r.port == a->predicate.port && !var_of(b, node, NULL);
}

/* The nearest Switch behind a value, and which of its outputs leads here. `controls`: along control inputs too. */
static hone_status find_gate(tf_scope *s, tf_ref from, bool controls, tf_ref *gate) {
  const tf_body *b = s->body;
  HN_VEC(tf_ref) queue = {0};
  tf_refs needs = {0};
  uint8_t *seen = hn_calloc((size_t)b->n + 1, 1);
  hone_status st = seen && hn_push(&queue, from) ? HONE_OK : hn_nomem(s->im->cx);
  gate->node = NONE;
  for (size_t i = 0; i < queue.n && !st; i++) {
    tf_ref r = queue.p[i];
    if (r.node >= b->n || seen[r.node]) continue;
    seen[r.node] = 1;
    const variable *v = var_of(b, r.node, NULL);
    if (v && (v->merge == r.node || v->split == r.node)) continue;
    if (op_is(b, r.node, "Switch")) {
      *gate = r;
      break;
    }
    st = hn_tf_needs(s, r.node, &needs);
    for (size_t k = 0; k < needs.n && !st; k++)
      if (!hn_push(&queue, needs.p[k])) st = hn_nomem(s->im->cx);
    const tf_node *n = b->nodes[r.node];
    for (size_t k = hn_tf_data_inputs(n); k < n->n_input && controls && !st; k++) {
      tf_ref c;
      if (hn_tf_find_ref(s->im, b, n->input[k], &c) && !hn_push(&queue, c)) st = hn_nomem(s->im->cx);
    }
  }
  hn_free(seen);
  hn_vec_free(&queue);
  hn_vec_free(&needs);
  return st;
}

static hone_status find_predicate(tf_scope *s, const tf_node *n, tf_branch *c) {
  tf_ref in[2], gate[2] = {{NONE, 0}, {NONE, 0}};
  for (int k = 0; k < 2; k++) HN_TRY(hn_tf_input_ref(s, n, (size_t)k, &in[k]));
  for (int controls = 0; controls < 2 && gate[0].node == NONE && gate[1].node == NONE; controls++)
    for (int k = 0; k < 2; k++) HN_TRY(find_gate(s, in[k], controls != 0, &gate[k]));
  int k = gate[0].node == NONE;
  if (gate[k].node == NONE) return hn_tf_node_error(s, n, HONE_UNSUPPORTED, "no Switch decides which of its inputs it takes");
  HN_TRY(hn_tf_input_ref(s, s->body->nodes[gate[k].node], 1, &c->predicate));
  bool true_side = gate[k].port == 1;
  c->side[true_side] = in[k];
  c->side[!true_side] = in[1 - k];
  return HONE_OK;
}

static hone_status see_merge(tf_scope *s, uint32_t node, tf_branch **out) {
  tf_body *b = s->body;
  const tf_node *n = b->nodes[node];
  tf_branch *c = hn_arena_alloc(s->im->arena, sizeof *c);
  if (!c) return hn_nomem(s->im->cx);
  if (hn_tf_data_inputs(n) != 2) return hn_tf_node_error(s, n, HONE_UNSUPPORTED, "it merges %u values; 2 are supported", hn_tf_data_inputs(n));
  HN_TRY(find_predicate(s, n, c));
  for (int k = 0; k < 2; k++) {
    analysis a = {.s = s, .bound = is_gate, .predicate = c->predicate};
    hone_status st = analyse(&a, &c->side[k], 1);
    c->inside[k] = a.inside;
    for (size_t i = 0; i < a.boundary.n && !st; i++) PUSH(s, &c->boundary, a.boundary.p[i]);
    for (size_t i = 0; i < a.met.n && !st; i++) {
      tf_ref data;
      st = hn_tf_input_ref(s, b->nodes[a.met.p[i]], 0, &data);
      if (st) break;
      PUSH(s, &c->gates[k], a.met.p[i]);
      PUSH(s, &c->boundary, data);
    }
    analysis_close(&a);
    HN_TRY(st);
  }
  PUSH(s, &c->boundary, c->predicate);
  *out = b->branches[node] = c;
  return HONE_OK;
}

/* What a condition consists of is found through those that it holds. */
static hone_status look_at_merge(tf_scope *s, uint32_t node, tf_branch **out) {
  enum { MAX_DEPTH = 128 };
  tf_body *b = s->body;
  if ((*out = b->branches[node])) return HONE_OK;
  if (b->depth >= MAX_DEPTH)
    return hn_tf_node_error(s, b->nodes[node], HONE_BAD_GRAPH, "conditions depend on one another more than %d deep, or in a circle", MAX_DEPTH);
  b->depth++;
  hone_status st = see_merge(s, node, out);
  b->depth--;
  return st;
}

static hone_status evaluate_side(tf_scope *s, tf_branch *c, int k, tf_nest *nest, tf_value *out) {
  tf_scope part = *s;
  part.outer = s;
  part.nest = nest;
  part.inside = c->inside[k];
  part.depth++;
  HN_TRY(hn_tf_scope_open(&part));
  hone_status st = HONE_OK;
  for (size_t i = 0; i < c->gates[k].n && !st; i++) {
    uint32_t gate = c->gates[k].p[i];
    tf_ref data;
    tf_value v;
    st = hn_tf_input_ref(s, s->body->nodes[gate], 0, &data);
    if (!st) st = hn_tf_value(s, data, &v);
    if (!st && nest != s->nest) st = hn_tf_captured(nest, v, &v);
    for (uint32_t port = 0; port < 2 && !st; port++) st = hn_tf_bind(&part, gate, port, v);
  }
  if (!st) st = hn_tf_value(&part, c->side[k], out);
  hn_tf_scope_close(&part);
  return st;
}

static hone_status add_if(tf_scope *s, tf_branch *c, const char *name, hn_id cond, tf_value *out) {
  static const char *const attrs[2] = {"then_branch", "else_branch"};
  tf_nest nests[2] = {{0}, {0}};
  hone_status st = HONE_OK;
  hn_id node;
  for (int k = 0; k < 2 && !st; k++) {
    nests[k].outer = s->nest;
    nests[k].g = hn_graph_create_nested(s->nest->g, attrs[k]);
    if (!nests[k].g) st = hn_nomem(s->im->cx);
    tf_value v;
    if (!st) st = evaluate_side(s, c, !k, &nests[k], &v);
    if (!st && v.kind != TF_TENSOR && v.kind != TF_LIST) st = hn_fail(s->im->cx, HONE_UNSUPPORTED, "node '%s': it merges what is not a tensor", name);
    if (st) break;
    *out = v;
    hn_graph_add_output(nests[k].g, hn_value_at(nests[k].g, v.id)->name, v.id);
  }
  if (!st) st = hn_tf_add_nested(s, HN_If, name, &cond, 1, nests, attrs, (const size_t[]){0, 0}, 2, 1, &node);
  if (!st) out->id = hn_node_at(s->nest->g, node)->out[0];
  for (int k = 0; k < 2; k++) {
    hn_graph_destroy(nests[k].g);
    hn_vec_free(&nests[k].captures);
    hn_vec_free(&nests[k].puts);
  }
  return st;
}

hone_status hn_tf_lower_merge(tf_scope *s, uint32_t node) {
  tf_branch *c;
  tf_value v, out;
  hn_id cond;
  const char *name = hn_arena_printf(s->im->arena, "%s%s", s->prefix, s->body->nodes[node]->name);
  HN_TRY(find_frames(s));
  HN_TRY(look_at_merge(s, node, &c));
  HN_TRY(hn_tf_value(s, c->predicate, &v));
  HN_TRY(hn_tf_condition(s, s->nest, name ? name : "", v, &cond));
  const hn_tensor *known_cond = hn_const(s->nest->g, v.id);
  if (known_cond && known_cond->count == 1) HN_TRY(evaluate_side(s, c, hn_tensor_f(known_cond, 0) != 0, s->nest, &out));
  else HN_TRY(add_if(s, c, name ? name : "", cond, &out));
  HN_TRY(hn_tf_bind(s, node, 0, out));
  hn_maker m = {s->nest->g, name ? name : "", 0, HONE_OK};
  hn_id which = hn_make_cast(&m, cond, HONE_DTYPE_I32); /* value_index: 0 for the first input */
  tf_ref first;
  HN_TRY(hn_tf_input_ref(s, s->body->nodes[node], 0, &first));
  if (first.node == c->side[1].node && first.port == c->side[1].port) which = hn_make2(&m, HN_Sub, hn_make_scalar(&m, HONE_DTYPE_I32, 1), which);
  HN_TRY(m.st);
  return hn_tf_bind(s, node, 1, (tf_value){TF_TENSOR, which, 0, NULL});
}

/* ---- what loops and conditions need, seen from outside */

hone_status hn_tf_region_needs(tf_scope *s, uint32_t node, tf_refs *out, bool *is_region) {
  tf_body *b = s->body;
  bool leaves = op_is(b, node, "Exit"), merges = op_is(b, node, "Merge");
  if (!leaves && !merges) return HONE_OK;
  HN_TRY(find_frames(s));
  tf_frame *f = NULL;
  const variable *v = var_of(b, node, &f);
  *is_region = true;
  if (leaves && !v) return hn_tf_node_error(s, b->nodes[node], HONE_BAD_GRAPH, "it leaves no loop");
  if (v) {
    if (merges) return hn_tf_node_error(s, b->nodes[node], HONE_BAD_GRAPH, "it is read outside of its loop '%s'", f->name);
    for (size_t i = 0; i < f->enters.n; i++) {
      tf_ref r;
      HN_TRY(hn_tf_input_ref(s, b->nodes[f->enters.p[i]], 0, &r));
      if (!hn_push(out, r)) return hn_nomem(s->im->cx);
    }
    return HONE_OK;
  }
  tf_branch *c;
  HN_TRY(look_at_merge(s, node, &c));
  for (size_t i = 0; i < c->boundary.n; i++)
    if (!hn_push(out, c->boundary.p[i])) return hn_nomem(s->im->cx);
  return HONE_OK;
}
