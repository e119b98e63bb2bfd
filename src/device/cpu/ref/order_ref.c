/* order_ref.c - operators that compare elements with one another: TopK, Unique. */
#include <stdlib.h>
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "op/infer.h"

/* Order of two elements: NaN is larger than any number, as in numpy. */
static int compare(const hn_view *v, int64_t a, int64_t b) {
  if (hn_is_int(v->dtype)) {
    int64_t x = hn_load_i64(v->dtype, v->data, (size_t)a), y = hn_load_i64(v->dtype, v->data, (size_t)b);
    if (v->dtype == HONE_DTYPE_U64) return (uint64_t)x < (uint64_t)y ? -1 : (uint64_t)x > (uint64_t)y;
    return x < y ? -1 : x > y;
  }
  double x = hn_load_f64(v->dtype, v->data, (size_t)a), y = hn_load_f64(v->dtype, v->data, (size_t)b);
  if (x != x || y != y) return (x != x) - (y != y);
  return x < y ? -1 : x > y;
}

/* Merge sort of n indices by `order`; equal ones stay as they were. spare: n more. */
typedef int (*order_fn)(const void *arg, int64_t a, int64_t b);

static void sort_indices(int64_t *v, int64_t *spare, int64_t n, order_fn order, const void *arg) {
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t lo = 0; lo < n; lo += 2 * width) {
      int64_t mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n, a = lo, b = mid;
      for (int64_t k = lo; k < hi; k++) spare[k] = a < mid && (b == hi || order(arg, v[a], v[b]) <= 0) ? v[a++] : v[b++];
    }
    memcpy(v, spare, sizeof *v * (size_t)n);
  }
}

/* ---- TopK */

typedef struct lane {
  const hn_view *v;
  int64_t at, step;
  bool largest;
} lane;

static int lane_order(const void *arg, int64_t a, int64_t b) {
  const lane *l = arg;
  int c = compare(l->v, l->at + a * l->step, l->at + b * l->step);
  return l->largest ? -c : c;
}

hone_status hk_top_k_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  int64_t k, dims[HN_MAX_RANK];
  int32_t axis;
  size_t size = hone_dtype_size(in->dtype);
  if (!size) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(hn_xaxis(x, 0, hn_attr_i(hn_xnode(x), "axis", -1), &axis));
  HN_TRY(hn_xscalar_i(x, 1, &k));
  if (k < 0 || k > in->dims[axis]) return hn_xfail(x, HONE_BAD_GRAPH, "asks for %lld of %lld elements", (long long)k, (long long)in->dims[axis]);
  memcpy(dims, in->dims, sizeof dims);
  dims[axis] = k;
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  HN_TRY(hn_xout(x, 1, HONE_DTYPE_I64, in->rank, dims));
  hn_axis_split s = hn_split_at(in, axis);
  int64_t *index = hn_calloc((size_t)s.n * 2 + 1, sizeof *index);
  if (!index) return hn_nomem(x->cx);
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t i = 0; i < s.inner; i++) {
      lane l = {in, o * s.n * s.inner + i, s.inner, hn_attr_i(hn_xnode(x), "largest", 1) != 0};
      for (int64_t j = 0; j < s.n; j++) index[j] = j;
      sort_indices(index, index + s.n, s.n, lane_order, &l);
      for (int64_t j = 0; j < k; j++) {
        size_t to = (size_t)((o * k + j) * s.inner + i);
        memcpy((unsigned char *)x->out[0].data + to * size, (const unsigned char *)in->data + (size_t)(l.at + index[j] * l.step) * size, size);
        ((int64_t *)x->out[1].data)[to] = index[j];
      }
    }
  hn_free(index);
  return HONE_OK;
}

/* ---- Unique: of slices along an axis, or of single elements */

typedef struct slices {
  const hn_view *v;
  hn_axis_split s;
} slices;

static int slice_order(const void *arg, int64_t a, int64_t b) {
  const slices *p = arg;
  for (int64_t o = 0; o < p->s.outer; o++)
    for (int64_t i = 0; i < p->s.inner; i++) {
      int64_t base = o * p->s.n * p->s.inner + i;
      int c = compare(p->v, base + a * p->s.inner, base + b * p->s.inner);
      if (c) return c;
    }
  return 0;
}

static int index_order(const void *arg, int64_t a, int64_t b) {
  const int64_t *first = arg;
  return first[a] < first[b] ? -1 : first[a] > first[b];
}

/* work: 5 arrays of n. Distinct slices get numbers in the order they are put out; first[], count[] are per number. */
static int64_t number_slices(const slices *p, bool sorted, int64_t *work, int64_t **first, int64_t **inverse, int64_t **count) {
  int64_t n = p->s.n, distinct = 0, *order = work, *spare = work + n, *f = work + 2 * n, *inv = work + 3 * n, *c = work + 4 * n;
  for (int64_t i = 0; i < n; i++) order[i] = i;
  sort_indices(order, spare, n, slice_order, p);
  for (int64_t i = 0; i < n; i++) {
    if (i == 0 || slice_order(p, order[i - 1], order[i]) != 0) {
      f[distinct] = order[i];
      c[distinct++] = 0;
    }
    inv[order[i]] = distinct - 1;
    c[distinct - 1]++;
  }
  if (!sorted) { /* by first appearance */
    for (int64_t i = 0; i < distinct; i++) order[i] = i;
    sort_indices(order, spare, distinct, index_order, f);
    for (int64_t i = 0; i < distinct; i++) spare[order[i]] = i;
    for (int64_t i = 0; i < n; i++) inv[i] = spare[inv[i]];
    for (int64_t i = 0; i < distinct; i++) spare[i] = f[order[i]];
    memcpy(f, spare, sizeof *f * (size_t)distinct);
    for (int64_t i = 0; i < distinct; i++) spare[i] = c[order[i]];
    memcpy(c, spare, sizeof *c * (size_t)distinct);
  }
  *first = f;
  *inverse = inv;
  *count = c;
  return distinct;
}

static hone_status put_ints(hn_exec *x, uint32_t o, const int64_t *v, int64_t n) {
  if (!hn_xwants(x, o)) return HONE_OK;
  HN_TRY(hn_xout(x, o, HONE_DTYPE_I64, 1, &n));
  if (n) memcpy(x->out[o].data, v, sizeof *v * (size_t)n);
  return HONE_OK;
}

hone_status hk_unique_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  const hn_attr *a = hn_attr_find(hn_xnode(x), "axis");
  slices p = {in, {1, in->count, 1}};
  int64_t dims[HN_MAX_RANK] = {0}, *first, *inverse, *count;
  int32_t axis = 0, rank = 1;
  size_t size = hone_dtype_size(in->dtype);
  if (!size) return hn_xbad_dtype(x, in->dtype);
  if (a) {
    HN_TRY(hn_xaxis(x, 0, a->v.i, &axis));
    p.s = hn_split_at(in, axis);
    memcpy(dims, in->dims, sizeof dims);
    rank = in->rank;
  }
  int64_t *work = hn_calloc((size_t)p.s.n * 5 + 1, sizeof *work);
  if (!work) return hn_nomem(x->cx);
  int64_t distinct = number_slices(&p, hn_attr_i(hn_xnode(x), "sorted", 1) != 0, work, &first, &inverse, &count);
  dims[axis] = distinct;
  hone_status st = hn_xout(x, 0, in->dtype, rank, dims);
  size_t run = (size_t)p.s.inner * size;
  for (int64_t o = 0; o < p.s.outer && !st; o++)
    for (int64_t i = 0; i < distinct; i++)
      memcpy((unsigned char *)x->out[0].data + (size_t)(o * distinct + i) * run,
             (const unsigned char *)in->data + (size_t)(o * p.s.n + first[i]) * run, run);
  if (!st) st = put_ints(x, 1, first, distinct);
  if (!st) st = put_ints(x, 2, inverse, p.s.n);
  if (!st) st = put_ints(x, 3, count, distinct);
  hn_free(work);
  return st;
}
