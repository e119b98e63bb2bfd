/* attr.c - attributes of nodes. */
#include <string.h>

#include "ir/graph.h"

const hn_attr *hn_attr_find(const hn_node *n, const char *name) {
  for (uint32_t i = 0; i < n->n_attr; i++)
    if (strcmp(n->attr[i].name, name) == 0) return &n->attr[i];
  return NULL;
}

static const hn_attr *find_typed(const hn_node *n, const char *name, hn_attr_type type) {
  const hn_attr *a = hn_attr_find(n, name);
  return a && a->type == type ? a : NULL;
}

int64_t hn_attr_i(const hn_node *n, const char *name, int64_t otherwise) {
  const hn_attr *a = find_typed(n, name, HN_ATTR_INT);
  return a ? a->v.i : otherwise;
}

double hn_attr_f(const hn_node *n, const char *name, double otherwise) {
  const hn_attr *a = find_typed(n, name, HN_ATTR_FLOAT);
  return a ? a->v.f : otherwise;
}

const char *hn_attr_s(const hn_node *n, const char *name, const char *otherwise) {
  const hn_attr *a = find_typed(n, name, HN_ATTR_STRING);
  return a ? a->v.s : otherwise;
}

uint32_t hn_attr_ints(const hn_node *n, const char *name, const int64_t **v) {
  const hn_attr *a = find_typed(n, name, HN_ATTR_INTS);
  if (!a) return 0;
  *v = a->v.ints;
  return a->n;
}

uint32_t hn_attr_floats(const hn_node *n, const char *name, const double **v) {
  const hn_attr *a = find_typed(n, name, HN_ATTR_FLOATS);
  if (!a) return 0;
  *v = a->v.floats;
  return a->n;
}

hn_tensor *hn_attr_tensor(const hn_node *n, const char *name) {
  const hn_attr *a = find_typed(n, name, HN_ATTR_TENSOR);
  return a ? a->v.tensor : NULL;
}

hn_graph *hn_attr_graph(const hn_node *n, const char *name) {
  const hn_attr *a = find_typed(n, name, HN_ATTR_GRAPH);
  return a ? a->v.graph : NULL;
}

static void release(hn_attr *a) {
  if (a->type == HN_ATTR_TENSOR) hn_tensor_unref(a->v.tensor);
  if (a->type == HN_ATTR_GRAPH) hn_graph_destroy(a->v.graph);
}

/* The slot of that name, made if new, with its old content released; NULL when memory is out. */
static hn_attr *slot(hn_graph *g, hn_id node, const char *name, hn_attr_type type) {
  if (node == HN_NONE || g->oom) return NULL;
  hn_node *n = hn_node_at(g, node);
  hn_attr *a = NULL;
  for (uint32_t i = 0; i < n->n_attr && !a; i++)
    if (strcmp(n->attr[i].name, name) == 0) a = &n->attr[i];
  if (a) {
    release(a);
  } else {
    hn_attr *all = hn_arena_alloc(g->arena, sizeof *all * (n->n_attr + 1));
    const char *own = hn_arena_strdup(g->arena, name);
    if (!all || !own) {
      g->oom = true;
      return NULL;
    }
    if (n->n_attr) memcpy(all, n->attr, sizeof *all * n->n_attr);
    n->attr = all;
    a = &all[n->n_attr++];
    a->name = own;
  }
  a->type = type;
  a->n = 0;
  memset(&a->v, 0, sizeof a->v);
  return a;
}

void hn_set_i(hn_graph *g, hn_id node, const char *name, int64_t v) {
  hn_attr *a = slot(g, node, name, HN_ATTR_INT);
  if (a) a->v.i = v;
}

void hn_set_f(hn_graph *g, hn_id node, const char *name, double v) {
  hn_attr *a = slot(g, node, name, HN_ATTR_FLOAT);
  if (a) a->v.f = v;
}

void hn_set_s(hn_graph *g, hn_id node, const char *name, const char *v) {
  const char *own = hn_arena_strdup(g->arena, v); /* before the slot is emptied: v may be its old content */
  hn_attr *a = own ? slot(g, node, name, HN_ATTR_STRING) : NULL;
  if (a) a->v.s = own;
  else g->oom = true;
}

void hn_set_ints(hn_graph *g, hn_id node, const char *name, const int64_t *v, size_t n) {
  const int64_t *own = n <= UINT32_MAX ? hn_arena_memdup(g->arena, v, n * sizeof *v) : NULL;
  hn_attr *a = own ? slot(g, node, name, HN_ATTR_INTS) : NULL;
  if (a) {
    a->v.ints = own;
    a->n = (uint32_t)n;
  } else {
    g->oom = true;
  }
}

void hn_set_floats(hn_graph *g, hn_id node, const char *name, const double *v, size_t n) {
  const double *own = n <= UINT32_MAX ? hn_arena_memdup(g->arena, v, n * sizeof *v) : NULL;
  hn_attr *a = own ? slot(g, node, name, HN_ATTR_FLOATS) : NULL;
  if (a) {
    a->v.floats = own;
    a->n = (uint32_t)n;
  } else {
    g->oom = true;
  }
}

void hn_set_tensor(hn_graph *g, hn_id node, const char *name, const hn_tensor *t) {
  hn_tensor *own = hn_tensor_ref(t);
  hn_attr *a = slot(g, node, name, HN_ATTR_TENSOR);
  if (a) a->v.tensor = own;
  else hn_tensor_unref(own);
}

void hn_set_graph(hn_graph *g, hn_id node, const char *name, hn_graph *sub) {
  hn_attr *a = slot(g, node, name, HN_ATTR_GRAPH);
  if (a) a->v.graph = sub;
  else hn_graph_destroy(sub);
}

void hn_attr_remove(hn_graph *g, hn_id node, const char *name) {
  hn_node *n = hn_node_at(g, node);
  for (uint32_t i = 0; i < n->n_attr; i++)
    if (strcmp(n->attr[i].name, name) == 0) {
      release(&n->attr[i]);
      memmove(n->attr + i, n->attr + i + 1, sizeof *n->attr * (n->n_attr - i - 1));
      n->n_attr--;
      return;
    }
}

void hn_attr_copy_all(hn_graph *g, hn_id to, const hn_node *from) {
  hn_node source = *from; /* `from` may be in g->nodes and move */
  for (uint32_t i = 0; i < source.n_attr && !g->oom; i++) {
    const hn_attr *a = &source.attr[i];
    switch (a->type) {
      case HN_ATTR_INT: hn_set_i(g, to, a->name, a->v.i); break;
      case HN_ATTR_FLOAT: hn_set_f(g, to, a->name, a->v.f); break;
      case HN_ATTR_STRING: hn_set_s(g, to, a->name, a->v.s); break;
      case HN_ATTR_INTS: hn_set_ints(g, to, a->name, a->v.ints, a->n); break;
      case HN_ATTR_FLOATS: hn_set_floats(g, to, a->name, a->v.floats, a->n); break;
      case HN_ATTR_TENSOR: hn_set_tensor(g, to, a->name, a->v.tensor); break;
      case HN_ATTR_GRAPH: {
        hn_graph *sub = hn_graph_clone_nested(g, a->v.graph);
        if (sub) hn_set_graph(g, to, a->name, sub);
        else g->oom = true;
        break;
      }
    }
  }
}
