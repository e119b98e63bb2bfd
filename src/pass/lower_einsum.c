/* lower_einsum.c - Einsum of one tensor as a sum and a transpose, of two as the product of matrices that it is: labels of both
   and the output count batches, those of both and not the output are summed over, the others are rows and columns. */
#include <string.h>

#include "op/einsum.h"
#include "op/make.h"
#include "pass/pass.h"

enum { MAX_LABELS = HN_MAX_RANK };

typedef struct labels {
  int p[MAX_LABELS];
  int32_t n;
} labels;

static bool holds(const int *p, int32_t n, int label) {
  for (int32_t i = 0; i < n; i++)
    if (p[i] == label) return true;
  return false;
}

static bool add_label(labels *l, int label) {
  if (l->n == MAX_LABELS) return false;
  l->p[l->n++] = label;
  return true;
}

static bool add_all(labels *l, const labels *more) {
  for (int32_t i = 0; i < more->n; i++)
    if (!add_label(l, more->p[i])) return false;
  return true;
}

/* The tensor with its dimensions in the order of `to`. */
static hn_id arrange(hn_maker *m, hn_id x, const int *from, int32_t n, const int *to) {
  int64_t perm[MAX_LABELS];
  bool same = true;
  for (int32_t i = 0; i < n; i++) {
    for (perm[i] = 0; from[perm[i]] != to[i]; perm[i]++) continue;
    same = same && perm[i] == i;
  }
  return same ? x : hn_make_transpose(m, x, perm, (size_t)n);
}

/* --------------------------------------------------------------------------------------- one tensor */

static bool distinct(const int *p, int32_t n) {
  for (int32_t i = 0; i < n; i++)
    if (holds(p, i, p[i])) return false;
  return true;
}

static hn_id reduce_one(hn_maker *m, hn_id x, const hn_einsum *e) {
  int64_t axes[MAX_LABELS];
  int kept[MAX_LABELS];
  int32_t n_axes = 0, n = 0;
  for (int32_t i = 0; i < e->rank[0]; i++) {
    if (holds(e->out, e->out_rank, e->label[0][i])) kept[n++] = e->label[0][i];
    else axes[n_axes++] = i;
  }
  if (n_axes) x = hn_make_reduce(m, HN_ReduceSum, x, axes, (size_t)n_axes, false);
  return arrange(m, x, kept, n, e->out);
}

/* --------------------------------------------------------------------------------------- two tensors */

typedef struct product {
  labels batch, rows, sums, columns;
  hn_dim size[HN_EINSUM_LABELS]; /* of every label */
} product;

static bool classify(const hn_graph *g, const hn_node *n, const hn_einsum *e, product *p) {
  bool fits = distinct(e->label[0], e->rank[0]) && distinct(e->label[1], e->rank[1]);
  for (int k = 0; k < 2 && fits; k++)
    for (int32_t i = 0; i < e->rank[k] && fits; i++) {
      int l = e->label[k][i];
      bool other = holds(e->label[!k], e->rank[!k], l), out = holds(e->out, e->out_rank, l);
      hn_dim d = hn_value_at(g, n->in[k])->shape.d[i];
      if (k == 0 || !other) p->size[l] = d;
      if (!other && !out) fits = false;                            /* summed over alone */
      else if (k == 1 && other && !out) fits = d == p->size[l];    /* no broadcasting there */
      else if (k == 0 && other) fits = add_label(out ? &p->batch : &p->sums, l);
      else if (!other) fits = add_label(k ? &p->columns : &p->rows, l);
    }
  return fits && p->sums.n > 0;
}

static bool all_fixed(const product *p, const labels *l) {
  for (int32_t i = 0; i < l->n; i++)
    if (!hn_dim_fixed(p->size[l->p[i]]) || p->size[l->p[i]] < 1) return false;
  return true;
}

static int64_t count_of(const product *p, const labels *l) {
  int64_t n = 1;
  for (int32_t i = 0; i < l->n; i++) n *= p->size[l->p[i]];
  return n;
}

/* How an operand is joined: the first `keep` dimensions stay, each group behind them becomes one. */
typedef struct joining {
  int32_t keep;
  const labels *group[2];
  int n;
} joining;

/* Without batches MatMul takes rows in several dimensions as they are. */
static bool rows_stay(const product *p) { return !p->batch.n && p->rows.n > 1; }

static joining join_left(const product *p) {
  if (rows_stay(p)) return (joining){p->rows.n, {&p->sums, NULL}, 1};
  return (joining){p->batch.n, {&p->rows, &p->sums}, 2};
}

static joining join_right(const product *p) { return (joining){p->batch.n, {&p->sums, &p->columns}, 2}; }

/* The shape that joins them; false: it would have two unknown sizes. *same: there is nothing to do. */
static bool joined_shape(const product *p, const joining *j, int64_t *dims, bool *same) {
  int unknown = 0;
  *same = true;
  memset(dims, 0, sizeof *dims * (size_t)j->keep);
  for (int i = 0; i < j->n; i++) {
    const labels *l = j->group[i];
    bool at_its_place = l->n == 1 && *same; /* 0: the dimension as it is */
    dims[j->keep + i] = at_its_place ? 0 : all_fixed(p, l) ? count_of(p, l) : -1;
    unknown += dims[j->keep + i] < 0;
    *same = *same && l->n == 1;
  }
  return unknown <= 1;
}

static hn_id join(hn_maker *m, hn_id x, const product *p, const joining *j) {
  int64_t dims[MAX_LABELS + 2];
  bool same;
  joined_shape(p, j, dims, &same);
  return same ? x : hn_make_reshape(m, x, dims, (size_t)(j->keep + j->n));
}

static bool expressible(const product *p) {
  int64_t dims[MAX_LABELS + 2];
  bool same;
  joining left = join_left(p), right = join_right(p);
  bool few = left.keep + 2 <= MAX_LABELS && right.keep + 2 <= MAX_LABELS && p->batch.n + p->rows.n + p->columns.n <= MAX_LABELS;
  if (!few || !joined_shape(p, &left, dims, &same) || !joined_shape(p, &right, dims, &same)) return false;
  return (p->rows.n == 1 || rows_stay(p) || all_fixed(p, &p->rows)) && (p->columns.n == 1 || all_fixed(p, &p->columns));
}

/* Rows and columns of the product as the dimensions they were. */
static hn_id separate(hn_maker *m, hn_id y, const product *p) {
  int64_t dims[MAX_LABELS] = {0};
  int32_t at = p->batch.n;
  if ((p->rows.n == 1 || rows_stay(p)) && p->columns.n == 1) return y;
  if (p->rows.n == 1 || rows_stay(p)) at += p->rows.n;
  else
    for (int32_t i = 0; i < p->rows.n; i++) dims[at++] = p->size[p->rows.p[i]];
  for (int32_t i = 0; i < p->columns.n; i++) dims[at++] = hn_dim_fixed(p->size[p->columns.p[i]]) ? p->size[p->columns.p[i]] : -1;
  return hn_make_reshape(m, y, dims, (size_t)at);
}

static hn_id multiply(hn_maker *m, const hn_id *in, const hn_einsum *e, const product *p) {
  labels a = p->batch, b = p->batch, y = p->batch;
  joining left = join_left(p), right = join_right(p);
  if (!add_all(&a, &p->rows) || !add_all(&a, &p->sums) || !add_all(&b, &p->sums) || !add_all(&b, &p->columns) || !add_all(&y, &p->rows) ||
      !add_all(&y, &p->columns))
    return HN_NONE;
  hn_id x = join(m, arrange(m, in[0], e->label[0], e->rank[0], a.p), p, &left);
  hn_id w = join(m, arrange(m, in[1], e->label[1], e->rank[1], b.p), p, &right);
  return arrange(m, separate(m, hn_make2(m, HN_MatMul, x, w), p), y.p, y.n, e->out);
}

/* ----------------------------------------------------------------------------------------------- pass */

static hone_status lower(hn_graph *g, hn_id id, bool *done) {
  const hn_node *n = hn_node_at(g, id);
  int32_t ranks[2];
  hn_einsum e;
  product p = {.batch.n = 0};
  if (n->n_main > 2 || n->n_post) return HONE_OK;
  for (uint32_t i = 0; i < n->n_main; i++) {
    const hn_value *v = n->in[i] == HN_NONE ? NULL : hn_value_at(g, n->in[i]);
    if (!v || !hn_is_float(v->dtype) || (ranks[i] = v->shape.rank) < 0) return HONE_OK;
  }
  if (hn_einsum_read(g->cx, hn_attr_s(n, "equation", ""), n->n_main, ranks, &e)) return HONE_OK; /* inference has its say */
  if (n->n_main == 1 ? !distinct(e.label[0], e.rank[0]) : !classify(g, n, &e, &p) || !expressible(&p)) return HONE_OK;
  hn_id in[2] = {n->in[0], n->n_main > 1 ? n->in[1] : HN_NONE}, out = n->out[0]; /* n moves when others come */
  hn_maker m = {.g = g, .name = n->name};
  hn_id y = in[1] == HN_NONE ? reduce_one(&m, in[0], &e) : multiply(&m, in, &e, &p);
  if (m.st || y == HN_NONE) return m.st;
  hn_replace_uses(g, out, y);
  hn_remove_node(g, id);
  *done = true;
  return HONE_OK;
}

static hone_status lower_graph(hn_pass *p, hn_graph *g) {
  uint32_t hits = 0;
  for (hn_id id = 0; id < g->nodes.n; id++) {
    bool done = false;
    if (hn_node_at(g, id)->dead || hn_node_at(g, id)->op != HN_Einsum) continue;
    HN_TRY(lower(g, id, &done));
    hits += done;
  }
  return hn_pass_note(p, "einsum", "an Einsum that is a product of matrices, a sum or a transpose", hits, false);
}

hone_status hn_pass_lower_einsum(hn_pass *p, hn_graph *g);
hone_status hn_pass_lower_einsum(hn_pass *p, hn_graph *g) { return hn_pass_each_graph(p, g, lower_graph); }
