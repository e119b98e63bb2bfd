/* fuse_siblings.c - horizontal fusion: convolutions or products that read the same tensor and differ in their weights
   alone become one with all their weights, and a Split behind it. */
#include <string.h>

#include "op/infer.h"
#include "pass/pass.h"

/* Where a layer's weights and results have their columns (output channels). */
typedef struct columns {
  int32_t weight, out; /* axes */
} columns;

static bool columns_of(const hn_graph *g, const hn_node *n, columns *c) {
  const hn_tensor *w = hn_const(g, hn_in(n, 1));
  hn_shape out = hn_value_at(g, n->out[0])->shape;
  if (!w || !hn_is_float(w->dtype) || !hone_dtype_size(w->dtype) || out.rank < 2 || hn_in(n, 0) == HN_NONE || hn_const(g, n->in[0])) return false;
  switch (n->op) {
    case HN_Conv:
      *c = (columns){0, 1};
      return hn_attr_i(n, "group", 1) == 1;
    case HN_MatMul:
      *c = (columns){1, out.rank - 1};
      return w->rank == 2 && hn_value_at(g, n->in[0])->shape.rank >= 2;
    case HN_Gemm:
      *c = (columns){hn_attr_i(n, "transB", 0) ? 0 : 1, 1};
      return w->rank == 2;
    default: return false;
  }
}

static int64_t width(const hn_graph *g, const hn_node *n, const columns *c) { return hn_const(g, n->in[1])->dims[c->weight]; }

/* A constant of one number a column, or nothing: what can be joined. */
static bool joinable(const hn_graph *g, hn_id v, int64_t n) {
  const hn_tensor *t = hn_const(g, v);
  return v == HN_NONE || (t && t->rank == 1 && t->count == n && hone_dtype_size(t->dtype));
}

static bool joinable_node(const hn_graph *g, const hn_node *n, const columns *c) {
  int64_t w = width(g, n, c);
  if (n->n_out != 1 || !joinable(g, hn_in(n, 2), w)) return false;
  for (uint32_t i = 0; i < n->n_post; i++)
    if (n->post[i].operand != HN_NONE && (c->out != hn_value_at(g, n->out[0])->shape.rank - 1 || !joinable(g, n->in[n->post[i].operand], w)))
      return false;
  return true;
}

static bool same_int_attrs(const hn_node *a, const hn_node *b) {
  if (a->n_attr != b->n_attr) return false;
  for (uint32_t i = 0; i < a->n_attr; i++) {
    const hn_attr *x = &a->attr[i], *y = hn_attr_find(b, x->name);
    if (!y || x->type != y->type || x->n != y->n) return false;
    bool same = x->type == HN_ATTR_INT      ? x->v.i == y->v.i
                : x->type == HN_ATTR_FLOAT  ? x->v.f == y->v.f
                : x->type == HN_ATTR_STRING ? strcmp(x->v.s, y->v.s) == 0
                : x->type == HN_ATTR_INTS   ? memcmp(x->v.ints, y->v.ints, sizeof *x->v.ints * x->n) == 0
                                            : false;
    if (!same) return false;
  }
  return true;
}

/* Do two layers differ in the width of their weights, and what is in them, alone? */
static bool are_siblings(const hn_graph *g, const hn_node *a, const hn_node *b, const columns *c) {
  columns other;
  const hn_tensor *wa = hn_const(g, a->in[1]), *wb;
  if (a->op != b->op || b->dead || b->in[0] != a->in[0] || !columns_of(g, b, &other) || other.weight != c->weight || other.out != c->out ||
      !joinable_node(g, b, c) || a->n_post != b->n_post || !same_int_attrs(a, b))
    return false;
  wb = hn_const(g, b->in[1]);
  if (wa->dtype != wb->dtype || wa->rank != wb->rank) return false;
  for (int32_t i = 0; i < wa->rank; i++)
    if (i != c->weight && wa->dims[i] != wb->dims[i]) return false;
  for (uint32_t i = 0; i < a->n_post; i++) {
    const hn_step *s = &a->post[i], *t = &b->post[i];
    if (s->op != t->op || s->swapped != t->swapped || s->alpha != t->alpha || s->beta != t->beta || (s->operand == HN_NONE) != (t->operand == HN_NONE))
      return false;
  }
  return true;
}

enum { MAX_SIBLINGS = 16 };

typedef struct family {
  hn_graph *g;
  hn_id node[MAX_SIBLINGS];
  uint32_t n;
  columns c;
  int64_t total;
} family;

/* Constants side by side along an axis; those that are absent count as zeros of their layer's width. */
static hn_id join(family *f, const hn_id *part, int32_t axis) {
  const hn_tensor *first = NULL;
  int64_t dims[HN_MAX_RANK], inner = 1, outer = 1, at = 0;
  hn_tensor *t;
  for (uint32_t k = 0; k < f->n && !first; k++) first = hn_const(f->g, part[k]);
  if (!first) return HN_NONE;
  memcpy(dims, first->dims, sizeof dims);
  dims[axis] = f->total;
  if (hn_tensor_create(f->g->cx, first->dtype, first->rank, dims, &t)) {
    f->g->oom = true;
    return HN_NONE;
  }
  for (int32_t i = 0; i < first->rank; i++) *(i < axis ? &outer : &inner) *= i == axis ? 1 : dims[i];
  size_t size = hone_dtype_size(first->dtype) * (size_t)inner;
  for (uint32_t k = 0; k < f->n; k++) {
    const hn_tensor *p = hn_const(f->g, part[k]);
    int64_t n = width(f->g, hn_node_at(f->g, f->node[k]), &f->c);
    for (int64_t o = 0; o < outer && p; o++)
      memcpy((unsigned char *)t->data + (size_t)(o * f->total + at) * size, (const unsigned char *)p->data + (size_t)(o * n) * size, (size_t)n * size);
    at += n;
  }
  return hn_graph_add_constant(f->g, NULL, t);
}

static hone_status fuse(family *f) {
  hn_graph *g = f->g;
  const hn_node first = *hn_node_at(g, f->node[0]);
  hn_id in[3] = {first.in[0], HN_NONE, HN_NONE}, part[MAX_SIBLINGS];
  int64_t sizes[MAX_SIBLINGS];
  hn_str source = {0};
  f->total = 0;
  for (uint32_t k = 0; k < f->n; k++) {
    const hn_node *n = hn_node_at(g, f->node[k]);
    part[k] = n->in[1];
    f->total += sizes[k] = width(g, n, &f->c);
    hn_str_printf(&source, "%s%s", k ? "+" : "", n->source ? n->source : n->name);
  }
  in[1] = join(f, part, f->c.weight);
  for (uint32_t k = 0; k < f->n; k++) part[k] = hn_in(hn_node_at(g, f->node[k]), 2);
  in[2] = join(f, part, 0);
  hn_id wide = hn_graph_add_node(g, first.op, first.name, in, in[2] == HN_NONE ? 2 : 3, 1);
  hn_tensor *t;
  hone_status st = g->oom || wide == HN_NONE ? hn_nomem(g->cx) : hn_tensor_ints(g->cx, sizes, f->n, &t);
  if (!st) {
    hn_node_at(g, wide)->source = source.p ? hn_arena_strdup(g->arena, source.p) : NULL;
    hn_attr_copy_all(g, wide, &first);
    for (uint32_t i = 0; i < first.n_post; i++) {
      const hn_step *s = &first.post[i];
      for (uint32_t k = 0; k < f->n && s->operand != HN_NONE; k++) {
        const hn_node *n = hn_node_at(g, f->node[k]);
        part[k] = n->in[n->post[i].operand];
      }
      hn_add_post(g, wide, s->op, s->operand == HN_NONE ? HN_NONE : join(f, part, 0), s->swapped, s->alpha, s->beta);
    }
    st = hn_infer_node(g, wide);
    hn_id cut[2] = {hn_node_at(g, wide)->out[0], hn_graph_add_constant(g, NULL, t)};
    hn_id split = st ? HN_NONE : hn_graph_add_node(g, HN_Split, NULL, cut, 2, f->n);
    if (!st && split == HN_NONE) st = hn_nomem(g->cx);
    if (!st) hn_set_i(g, split, "axis", f->c.out);
    if (!st) st = hn_infer_node(g, split);
    for (uint32_t k = 0; k < f->n && !st; k++) {
      hn_replace_uses(g, hn_node_at(g, f->node[k])->out[0], hn_node_at(g, split)->out[k]);
      hn_remove_node(g, f->node[k]);
    }
  }
  hn_str_free(&source);
  return st;
}

static hone_status fuse_graph(hn_pass *p, hn_graph *g) {
  uint32_t hits = 0;
  size_t n = g->nodes.n;
  for (size_t i = 0; i < n; i++) {
    family f = {.g = g};
    const hn_node *a = hn_node_at(g, (hn_id)i);
    if (a->dead || a->n_out != 1 || !columns_of(g, a, &f.c) || !joinable_node(g, a, &f.c)) continue;
    const hn_value *x = hn_value_at(g, a->in[0]);
    f.node[f.n++] = (hn_id)i;
    for (uint32_t u = 0; u < x->n_users && f.n < MAX_SIBLINGS; u++)
      if (x->users[u] > i && are_siblings(g, a, hn_node_at(g, x->users[u]), &f.c)) f.node[f.n++] = x->users[u];
    if (f.n < 2) continue;
    HN_TRY(fuse(&f));
    hits += f.n - 1;
  }
  return hn_pass_note(p, "siblings", "layers that read the same tensor and differ in their weights alone", hits, true);
}

hone_status hn_pass_fuse_siblings(hn_pass *p, hn_graph *g);
hone_status hn_pass_fuse_siblings(hn_pass *p, hn_graph *g) { return hn_pass_each_graph(p, g, fuse_graph); }
