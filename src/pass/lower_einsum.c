/* lower_einsum.c - Einsum of one tensor as a sum and a transpose, of two as the product of matrices that it is: labels of both
   and the output count batches, those of both and not the output are summed over, the others are rows and columns. Where nothing is
   summed it is an element-wise product. Of more, two at a time, first those whose product is the smallest. */
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
      if (!other && !out) fits = false;                            /* summed over alone: sum_alone() comes first */
      else if (k == 1 && other && !out) fits = d == p->size[l];    /* no broadcasting there */
      else if (k == 0 && other) fits = add_label(out ? &p->batch : &p->sums, l);
      else if (!other) fits = add_label(k ? &p->columns : &p->rows, l);
    }
  return fits;
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
  if (!p->sums.n) return true;
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

/* Nothing is summed: both in the order of the output, with ones for what they lack. */
static hn_id multiply_elements(hn_maker *m, const hn_id *in, const hn_einsum *e) {
  hn_id v[2];
  for (int k = 0; k < 2; k++) {
    int order[MAX_LABELS];
    int64_t missing[MAX_LABELS];
    int32_t n = 0, n_missing = 0;
    for (int32_t i = 0; i < e->out_rank; i++) {
      if (holds(e->label[k], e->rank[k], e->out[i])) order[n++] = e->out[i];
      else missing[n_missing++] = i;
    }
    v[k] = arrange(m, in[k], e->label[k], n, order);
    if (n_missing) v[k] = hn_make2(m, HN_Unsqueeze, v[k], hn_make_ints(m, missing, (size_t)n_missing));
  }
  return hn_make2(m, HN_Mul, v[0], v[1]);
}

/* --------------------------------------------------------------------------------- Einsum of fewer */

/* A new Einsum; its labels get the letters of their places in `all`. It is lowered in its turn. */
static hn_id smaller(hn_maker *m, const hn_id *in, const int *const *terms, const int32_t *ranks, uint32_t n, const int *out, int32_t out_rank) {
  char text[HN_EINSUM_INPUTS * (MAX_LABELS + 1) + MAX_LABELS + 4], *c = text;
  int all[HN_EINSUM_INPUTS * MAX_LABELS], n_all = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (i) *c++ = ',';
    for (int32_t k = 0; k < ranks[i]; k++) {
      if (!holds(all, n_all, terms[i][k])) all[n_all++] = terms[i][k];
    }
    for (int32_t k = 0; k < ranks[i]; k++)
      for (int a = 0; a < n_all; a++)
        if (all[a] == terms[i][k]) *c++ = (char)(a < 26 ? 'a' + a : 'A' + a - 26);
  }
  if (n_all > 52) return HN_NONE;
  *c++ = '-', *c++ = '>';
  for (int32_t k = 0; k < out_rank; k++)
    for (int a = 0; a < n_all; a++)
      if (all[a] == out[k]) *c++ = (char)(a < 26 ? 'a' + a : 'A' + a - 26);
  *c = '\0';
  hn_id node = hn_make_node(m, HN_Einsum, in, n, 1);
  if (!m->st) hn_set_s(m->g, node, "equation", text);
  return hn_make_done(m, node);
}

/* Every label once in a tensor, and of one size wherever it is: nothing is broadcast and no diagonal taken. */
static bool uniform(const hn_graph *g, const hn_node *n, const hn_einsum *e, hn_dim *size) {
  bool seen[HN_EINSUM_LABELS] = {false};
  for (uint32_t i = 0; i < e->n_in; i++) {
    if (!distinct(e->label[i], e->rank[i])) return false;
    for (int32_t k = 0; k < e->rank[i]; k++) {
      int l = e->label[i][k];
      hn_dim d = hn_value_at(g, n->in[i])->shape.d[k];
      if (seen[l] && size[l] != d) return false;
      seen[l] = true;
      size[l] = d;
    }
  }
  return true;
}

/* Is the label read by others than a and b, or by the output? */
static bool needed(const hn_einsum *e, int l, uint32_t a, uint32_t b) {
  bool is = holds(e->out, e->out_rank, l);
  for (uint32_t i = 0; i < e->n_in; i++) is = is || (i != a && i != b && holds(e->label[i], e->rank[i], l));
  return is;
}

/* What is left of tensors a and b (the same: of one) when they are contracted: labels that are needed after. */
static int32_t kept_labels(const hn_einsum *e, uint32_t a, uint32_t b, int *kept) {
  int32_t n = 0;
  for (int side = 0; side < 2; side++) {
    uint32_t i = side ? b : a;
    for (int32_t k = 0; k < e->rank[i]; k++)
      if (needed(e, e->label[i][k], a, b) && !holds(kept, n, e->label[i][k])) {
        if (n == MAX_LABELS) return -1;
        kept[n++] = e->label[i][k];
      }
  }
  return n;
}

/* One step towards products of two: a tensor summed over what only it has, or the two contracted whose result is the smallest
   (an unknown size counts as 64). HN_NONE: there is none. */
static hn_id step(hn_maker *m, const hn_id *in, const hn_einsum *e, const hn_dim *size) {
  int best[MAX_LABELS], kept[MAX_LABELS];
  int32_t n_best = -1;
  uint32_t a = 0, b = 0;
  double least = 0;
  for (uint32_t i = 0; i < e->n_in; i++)
    for (uint32_t j = i; j < e->n_in; j++) {
      int32_t n = kept_labels(e, i, j, kept);
      bool sums = i == j && n < e->rank[i];
      double cost = sums ? -1 : 1;
      if (n < 0 || (i == j ? !sums : e->n_in < 3)) continue;
      for (int32_t k = 0; k < n && !sums; k++) cost *= hn_dim_fixed(size[kept[k]]) ? (double)size[kept[k]] : 64;
      if (n_best >= 0 && cost >= least) continue;
      memcpy(best, kept, sizeof best);
      n_best = n, a = i, b = j, least = cost;
    }
  if (n_best < 0) return HN_NONE;
  const int *terms[HN_EINSUM_INPUTS] = {e->label[a], e->label[b]};
  int32_t ranks[HN_EINSUM_INPUTS] = {e->rank[a], e->rank[b]};
  hn_id from[HN_EINSUM_INPUTS] = {in[a], in[b]};
  from[0] = smaller(m, from, terms, ranks, a == b ? 1 : 2, best, n_best);
  terms[0] = best;
  ranks[0] = n_best;
  uint32_t n = 1;
  for (uint32_t i = 0; i < e->n_in; i++)
    if (i != a && i != b) terms[n] = e->label[i], ranks[n] = e->rank[i], from[n++] = in[i];
  return smaller(m, from, terms, ranks, n, e->out, e->out_rank);
}

/* ----------------------------------------------------------------------------------------------- pass */

static hone_status lower(hn_graph *g, hn_id id, bool *done) {
  const hn_node *n = hn_node_at(g, id);
  int32_t ranks[HN_EINSUM_INPUTS];
  hn_dim size[HN_EINSUM_LABELS];
  hn_id in[HN_EINSUM_INPUTS], out = n->out[0], y = HN_NONE;
  hn_einsum e;
  product p = {.batch.n = 0};
  if (n->n_main > HN_EINSUM_INPUTS || n->n_post) return HONE_OK;
  for (uint32_t i = 0; i < n->n_main; i++) {
    const hn_value *v = n->in[i] == HN_NONE ? NULL : hn_value_at(g, n->in[i]);
    if (!v || !hn_is_float(v->dtype) || (ranks[i] = v->shape.rank) < 0) return HONE_OK;
    in[i] = n->in[i]; /* n moves when others come */
  }
  if (hn_einsum_read(g->cx, hn_attr_s(n, "equation", ""), n->n_main, ranks, &e)) return HONE_OK; /* inference has its say */
  hn_maker m = {.g = g, .name = n->name};
  bool two = e.n_in == 2 && classify(g, n, &e, &p);
  if (e.n_in == 1 && distinct(e.label[0], e.rank[0])) y = reduce_one(&m, in[0], &e);
  else if (two && expressible(&p)) y = p.sums.n ? multiply(&m, in, &e, &p) : multiply_elements(&m, in, &e);
  else if (e.n_in > 1 && uniform(g, n, &e, size)) y = step(&m, in, &e, size);
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
