/* tf_context.c - which loop or condition of version 1 each node lies in, found along the edges from Enter and Switch on. */
#include <string.h>

#include "format/tensorflow/tf_segments.h"

enum { MOST_CONTEXTS = 1 << 16 };

typedef struct context {
  uint32_t outer, depth;
  bool loop;
} context;

typedef struct finder {
  tf_cut *c;
  HN_VEC(context) contexts; /* 0: none */
  hn_map known;             /* "outer/key" -> context */
} finder;

static bool op_is(const tf_node *n, const char *op) { return strcmp(n->op, op) == 0 || (strncmp(n->op, "Ref", 3) == 0 && strcmp(n->op + 3, op) == 0); }

static const tf_node *node_at(const finder *f, uint32_t i) { return f->c->im.main.nodes[i]; }

/* The context within `outer` that `key` opens. */
static hone_status inner(finder *f, uint32_t outer, const char *key, bool loop, uint32_t *out) {
  const char *name = hn_arena_printf(f->c->now, "%u/%d/%s", outer, loop, key);
  if (!name) return hn_nomem(f->c->cx);
  if (hn_map_get(&f->known, name, out)) return HONE_OK;
  if (f->contexts.n >= MOST_CONTEXTS) return hn_fail(f->c->cx, HONE_UNSUPPORTED, "the graph has more than %d loops and conditions", MOST_CONTEXTS);
  context x = {outer, f->contexts.p[outer].depth + 1, loop};
  *out = (uint32_t)f->contexts.n;
  return hn_push(&f->contexts, x) && hn_map_put(&f->known, name, *out) ? HONE_OK : hn_nomem(f->c->cx);
}

static const char *frame_name(const finder *f, const tf_node *n) {
  for (size_t i = 0; i < n->n_attr; i++) {
    const tf_attr *a = n->attr[i]->value;
    if (strcmp(n->attr[i]->key, "frame_name") == 0 && a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_S)
      return hn_arena_strndup(f->c->now, (const char *)a->s.data, a->s.len);
  }
  return "";
}

static bool turns_back(const finder *f, uint32_t node, const tf_edge *e) { return op_is(node_at(f, node), "Merge") && op_is(node_at(f, e->node), "NextIteration"); }

static hone_status context_of(finder *f, uint32_t i) {
  tf_cut *c = f->c;
  const tf_node *n = node_at(f, i);
  uint32_t deepest = 0;
  bool of_loop = false;
  for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++) {
    const tf_edge *e = &c->edges[k];
    if (e->control) continue;
    of_loop = of_loop || turns_back(f, i, e) || (op_is(n, "Switch") && k == c->first[i] + 1 && op_is(node_at(f, e->node), "LoopCond"));
    if (!turns_back(f, i, e) && f->contexts.p[c->context[e->node]].depth > f->contexts.p[deepest].depth) deepest = c->context[e->node];
  }
  c->context[i] = deepest;
  if (op_is(n, "Enter")) return inner(f, deepest, frame_name(f, n), true, &c->context[i]);
  if (op_is(n, "Switch") && !of_loop && c->first[i + 1] > c->first[i] + 1) {
    const tf_edge *p = &c->edges[c->first[i] + 1];
    const char *key = hn_arena_printf(c->now, "%u:%u", p->node, p->port);
    return key ? inner(f, deepest, key, false, &c->context[i]) : hn_nomem(c->cx);
  }
  if (op_is(n, "Exit")) {
    while (deepest && !f->contexts.p[deepest].loop) deepest = f->contexts.p[deepest].outer;
    c->context[i] = f->contexts.p[deepest].outer;
  } else if (op_is(n, "Merge") && !of_loop) {
    c->context[i] = f->contexts.p[deepest].outer;
  }
  return HONE_OK;
}

/* Inputs first. */
static hone_status walk(finder *f) {
  tf_cut *c = f->c;
  HN_VEC(uint32_t) stack = {0};
  uint8_t *state = hn_calloc((size_t)c->n + 1, 1);
  hone_status st = state ? HONE_OK : hn_nomem(c->cx);
  for (uint32_t root = 0; root < c->n && !st; root++) {
    if (!state[root] && !hn_push(&stack, root)) st = hn_nomem(c->cx);
    while (stack.n && !st) {
      uint32_t at = stack.p[stack.n - 1];
      if (state[at] == 1) st = context_of(f, at);
      if (state[at]) {
        state[at] = 2;
        stack.n--;
        continue;
      }
      state[at] = 1;
      for (uint32_t k = c->first[at]; k < c->first[at + 1] && !st; k++)
        if (!c->edges[k].control && !turns_back(f, at, &c->edges[k]) && !state[c->edges[k].node] && !hn_push(&stack, c->edges[k].node)) st = hn_nomem(c->cx);
    }
  }
  hn_free(state);
  hn_vec_free(&stack);
  return st;
}

static uint32_t leader(tf_cut *c, uint32_t i) {
  while (c->group[i] != i) i = c->group[i] = c->group[c->group[i]];
  return i;
}

hone_status hn_tf_find_contexts(tf_cut *c) {
  finder f = {.c = c};
  context none = {0};
  hone_status st = hn_push(&f.contexts, none) ? walk(&f) : hn_nomem(c->cx);
  uint32_t *of = hn_calloc(f.contexts.n + 1, sizeof *of); /* a node of each outermost context, plus 1 */
  if (!of && !st) st = hn_nomem(c->cx);
  for (uint32_t i = 0; i < c->n && !st; i++) {
    uint32_t x = c->context[i];
    bool ends = op_is(node_at(&f, i), "Exit") || op_is(node_at(&f, i), "Merge");
    for (uint32_t k = c->first[i]; ends && !x && k < c->first[i + 1]; k++) x = c->context[c->edges[k].node]; /* it goes with what it ends */
    while (x && f.contexts.p[x].outer) x = f.contexts.p[x].outer;
    if (!x) continue;
    if (of[x]) c->group[leader(c, i)] = leader(c, of[x] - 1);
    of[x] = i + 1;
  }
  hn_free(of);
  hn_vec_free(&f.contexts);
  hn_map_free(&f.known);
  return st;
}
