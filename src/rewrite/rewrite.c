/* rewrite.c - the worklist driver. */
#include "rewrite/rewrite.h"

#include <string.h>

#include "base/str.h"
#include "op/infer.h"

typedef struct driver {
  hn_graph *g;
  const hn_rule *rules;
  uint32_t n_rules, *hits;
  uint32_t start[HN_OP_COUNT + 1]; /* rules for operator o: list[start[o]] .. list[start[o+1]) */
  HN_VEC(uint32_t) list;
  HN_VEC(hn_id) queue;             /* a stack: the first node to visit on top */
  HN_VEC(unsigned char) queued;
  hn_map names;                    /* node name -> node */
  size_t budget;
} driver;

static bool roots_at(const hn_pattern *p, hn_op op) {
  if (!p->set) return p->op == op;
  for (const hn_op *s = p->set; *s != HN_OP_NONE; s++)
    if (*s == op) return true;
  return false;
}

static bool index_rules(driver *d) {
  for (int op = 0; op < HN_OP_COUNT; op++) {
    d->start[op] = (uint32_t)d->list.n;
    for (uint32_t r = 0; r < d->n_rules; r++)
      if (roots_at(d->rules[r].pattern, (hn_op)op) && !hn_push(&d->list, r)) return false;
  }
  d->start[HN_OP_COUNT] = (uint32_t)d->list.n;
  return true;
}

static bool push(driver *d, hn_id node) {
  if (node == HN_NONE || hn_node_at(d->g, node)->dead) return true;
  while (d->queued.n <= node)
    if (!hn_push(&d->queued, 0)) return false;
  if (d->queued.p[node]) return true;
  d->queued.p[node] = 1;
  return hn_push(&d->queue, node);
}

static bool push_users(driver *d, hn_id value) {
  for (uint32_t i = 0; value != HN_NONE && i < hn_value_at(d->g, value)->n_users; i++)
    if (!push(d, hn_value_at(d->g, value)->users[i])) return false;
  return true;
}

static bool is_unused(const hn_graph *g, const hn_node *n) {
  for (uint32_t i = 0; i < n->n_out; i++)
    if (n->out[i] != HN_NONE && (hn_value_at(g, n->out[i])->n_users || hn_is_output(g, n->out[i]))) return false;
  return true;
}

/* Removes the node if unused, and then what only it used; what lost a reader is looked at again. */
static bool sweep(driver *d, hn_id node) {
  HN_VEC(hn_id) todo = {0};
  bool ok = hn_push(&todo, node);
  while (ok && todo.n) {
    hn_id id = todo.p[--todo.n];
    hn_node *n = hn_node_at(d->g, id);
    if (n->dead || !is_unused(d->g, n)) continue;
    uint32_t n_in = n->n_in;
    hn_id *in = n->in; /* the arena keeps it */
    hn_remove_node(d->g, id);
    for (uint32_t i = 0; ok && i < n_in; i++) {
      hn_id from = hn_producer(d->g, in[i]);
      if (from == HN_NONE) continue;
      ok = hn_push(&todo, from) && push(d, from) && push_users(d, in[i]);
    }
  }
  hn_vec_free(&todo);
  return ok;
}

static const char *source_of(const hn_node *n) { return n->source ? n->source : n->name; }

/* The sources of all matched nodes, each once. */
static const char *join_sources(const hn_match *m) {
  enum { ENOUGH = 400 };
  hn_str s = {0};
  for (uint32_t i = m->n_nodes; i-- > 0;) { /* leaves first: the order of computation */
    const char *name = source_of(hn_node_at(m->g, m->nodes[i]));
    if (!*name || s.n + strlen(name) > ENOUGH) continue;
    if (s.n && strstr(s.p, name)) continue;
    hn_str_printf(&s, "%s%s", s.n ? "+" : "", name);
  }
  const char *own = s.failed ? NULL : hn_arena_strdup(m->g->arena, s.p ? s.p : "");
  hn_str_free(&s);
  return own;
}

/* An unused node name: `want` if its owner is gone. */
static const char *free_name(driver *d, const char *want, hn_id node) {
  uint32_t owner;
  const char *name = want;
  for (unsigned k = 1; *want && hn_map_get(&d->names, name, &owner) && !hn_node_at(d->g, owner)->dead; k++)
    if (!(name = hn_arena_printf(d->g->arena, "%s.%u", want, k))) return "";
  if (*name && !hn_map_put(&d->names, name, node)) d->g->oom = true;
  return name;
}

/* Names what is new: the node that computes the result takes over the kept node's name. */
static void name_fresh(driver *d, const hn_match *m, hn_id result, const char *kept, const char *source) {
  for (uint32_t i = 0; i < m->n_fresh; i++) {
    hn_node *n = hn_node_at(d->g, m->fresh[i]);
    if (n->dead || *n->name) continue;
    bool is_result = hn_producer(d->g, result) == m->fresh[i];
    const char *want = kept;
    if (*kept && !is_result) want = hn_arena_printf(d->g->arena, "%s/%s", kept, hn_op_name(n->op));
    n->name = free_name(d, want ? want : "", m->fresh[i]);
    n->source = source;
  }
}

/* What was known of the old value holds for the new one too; a contradiction is a fault of the rule. */
static hone_status inherit(driver *d, const hn_rule *rule, hn_id old, hn_id new) {
  hn_value *o = hn_value_at(d->g, old), *n = hn_value_at(d->g, new);
  bool fits = !o->dtype || !n->dtype || o->dtype == n->dtype;
  if (!n->dtype) n->dtype = o->dtype;
  if (n->shape.rank < 0) n->shape = o->shape;
  fits = fits && (o->shape.rank < 0 || o->shape.rank == n->shape.rank);
  for (int32_t i = 0; fits && i < o->shape.rank; i++) {
    if (hn_dim_fixed(o->shape.d[i]) && hn_dim_fixed(n->shape.d[i])) fits = o->shape.d[i] == n->shape.d[i];
    else if (hn_dim_fixed(o->shape.d[i]) || hn_dim_anonymous(d->g->dims, n->shape.d[i])) n->shape.d[i] = o->shape.d[i];
  }
  if (!n->sym && !n->data && o->sym) {
    n->sym = o->sym;
    n->n_sym = o->n_sym;
  }
  if (fits) return HONE_OK;
  return hn_fail(d->g->cx, HONE_BAD_GRAPH, "rule '%s' changed the type or shape of '%s': this is a fault of hone",
                 rule->name, o->name);
}

/* The new value goes by the old one's name: it is the same tensor to whoever asks for it. */
static void take_name(driver *d, const hn_match *m, hn_id old, hn_id new) {
  hn_id producer = hn_producer(d->g, new);
  for (uint32_t i = 0; i < m->n_fresh; i++) {
    if (m->fresh[i] != producer) continue;
    hn_value *o = hn_value_at(d->g, old), *n = hn_value_at(d->g, new);
    const char *name = o->name;
    o->name = n->name;
    n->name = name;
    if (!hn_map_put(&d->g->names, o->name, old) || !hn_map_put(&d->g->names, n->name, new)) d->g->oom = true;
    return;
  }
}

static hone_status apply(driver *d, const hn_rule *rule, hn_match *m, bool *applied) {
  hn_graph *g = d->g;
  hn_id old = hn_out(hn_node_at(g, m->root), 0);
  hn_id result = rule->replace(m);
  if (g->oom) return hn_nomem(g->cx);
  *applied = result != HN_NONE;
  for (uint32_t i = 0; i < m->n_fresh && result != HN_NONE; i++) HN_TRY(hn_infer_node(g, m->fresh[i]));
  if (result == HN_NONE) {
    for (uint32_t i = m->n_fresh; i-- > 0;) hn_remove_node(g, m->fresh[i]);
    return HONE_OK;
  }
  const char *kept = hn_node_at(g, m->keep)->name, *source = join_sources(m);
  if (!source) return hn_nomem(g->cx);
  if (result != old) {
    HN_TRY(inherit(d, rule, old, result));
    hn_replace_uses(g, old, result);
    take_name(d, m, old, result);
  } else {
    HN_TRY(hn_infer_node(g, m->root));
  }
  bool ok = sweep(d, m->root);
  for (uint32_t i = m->n_nodes; ok && i-- > 1;) ok = push(d, m->nodes[i]);
  name_fresh(d, m, result, kept, source);
  ok = ok && push_users(d, result);
  for (uint32_t i = m->n_fresh; ok && i-- > 0;) ok = push(d, m->fresh[i]);
  return ok && !g->oom ? HONE_OK : hn_nomem(g->cx);
}

/* One visit: the first rule that applies. */
static hone_status visit(driver *d, hn_id node) {
  hn_match m;
  hn_op op = hn_node_at(d->g, node)->op;
  for (uint32_t k = d->start[op]; k < d->start[op + 1]; k++) {
    const hn_rule *rule = &d->rules[d->list.p[k]];
    if (!hn_match_at(d->g, rule, node, &m)) continue;
    bool applied = false;
    HN_TRY(apply(d, rule, &m, &applied));
    if (!applied) continue;
    d->hits[d->list.p[k]]++;
    d->budget--;
    return push(d, node) ? HONE_OK : hn_nomem(d->g->cx);
  }
  return HONE_OK;
}

static hone_status run_nested(driver *d, hn_id node) {
  for (uint32_t i = 0; i < hn_node_at(d->g, node)->n_attr; i++) {
    const hn_attr *a = &hn_node_at(d->g, node)->attr[i];
    if (a->type == HN_ATTR_GRAPH) HN_TRY(hn_rewrite(a->v.graph, d->rules, d->n_rules, d->hits));
  }
  return HONE_OK;
}

static hone_status start(driver *d) {
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(d->g, &order, &n));
  bool ok = index_rules(d);
  for (uint32_t i = n; ok && i-- > 0;) {
    const char *name = hn_node_at(d->g, order[i])->name;
    ok = push(d, order[i]) && (!*name || hn_map_put(&d->names, name, order[i]));
  }
  hn_free(order);
  d->budget = (size_t)n * 16 + 256;
  return ok ? HONE_OK : hn_nomem(d->g->cx);
}

hone_status hn_rewrite(hn_graph *g, const hn_rule *rules, uint32_t n_rules, uint32_t *hits) {
  driver d = {.g = g, .rules = rules, .n_rules = n_rules, .hits = hits};
  hone_status st = start(&d);
  while (!st && d.queue.n && d.budget) {
    hn_id node = d.queue.p[--d.queue.n];
    d.queued.p[node] = 0;
    if (hn_node_at(g, node)->dead) continue;
    if (hn_op_is(hn_node_at(g, node)->op, HN_OP_CONTROL)) st = run_nested(&d, node);
    if (!st) st = visit(&d, node);
  }
  if (!st && !d.budget) hn_log(g->cx, HONE_LOG_WARNING, "graph '%s': rewriting stopped at its budget", g->name);
  hn_vec_free(&d.list);
  hn_vec_free(&d.queue);
  hn_vec_free(&d.queued);
  hn_map_free(&d.names);
  return st;
}
