/* broadcast_ref.c - walks and conversions shared by the reference kernels. */
#include <string.h>

#include "device/cpu/ref/broadcast.h"

bool hn_broadcast_views(const hn_view *v, uint32_t n, int32_t *rank, int64_t *dims) {
  int32_t r = 0;
  for (uint32_t i = 0; i < n; i++)
    if (v[i].rank > r) r = v[i].rank;
  for (int32_t k = 0; k < r; k++) dims[k] = 1;
  for (uint32_t i = 0; i < n; i++)
    for (int32_t k = 0; k < v[i].rank; k++) {
      int64_t d = v[i].dims[k], *o = &dims[k + r - v[i].rank];
      if (*o == 1) *o = d;
      else if (d != 1 && d != *o) return false;
    }
  *rank = r;
  return true;
}

void hn_strides(int32_t rank, const int64_t *dims, int64_t *stride) {
  int64_t s = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    stride[i] = s;
    s *= dims[i];
  }
}

void hn_walk_begin(hn_walk *w, int32_t rank, const int64_t *dims) {
  w->rank = rank;
  w->operands = 0;
  for (int32_t i = 0; i < rank; i++) w->dims[i] = dims[i];
}

void hn_walk_strides(hn_walk *w, const int64_t *stride) {
  int k = w->operands++;
  for (int32_t i = 0; i < w->rank; i++) w->stride[k][i] = w->dims[i] == 1 ? 0 : stride[i];
}

void hn_walk_dense(hn_walk *w) {
  int64_t s[HN_MAX_RANK];
  hn_strides(w->rank, w->dims, s);
  hn_walk_strides(w, s);
}

bool hn_walk_view(hn_walk *w, int32_t rank, const int64_t *dims) {
  int64_t own[HN_MAX_RANK], s[HN_MAX_RANK];
  int32_t lead = w->rank - rank;
  if (lead < 0) return false;
  hn_strides(rank, dims, own);
  for (int32_t i = 0; i < w->rank; i++) {
    int64_t d = i < lead ? 1 : dims[i - lead];
    if (d != 1 && d != w->dims[i]) return false;
    s[i] = d == 1 ? 0 : own[i - lead];
  }
  hn_walk_strides(w, s);
  return true;
}

/* Merges dimension i into the one before it where every operand steps through both as through one. */
static void merge_dimensions(hn_walk *w) {
  int32_t n = 0;
  for (int32_t i = 0; i < w->rank; i++) {
    if (w->dims[i] == 1) continue;
    bool one = n > 0;
    for (int k = 0; k < w->operands && one; k++) one = w->stride[k][n - 1] == w->stride[k][i] * w->dims[i];
    if (one) w->dims[n - 1] *= w->dims[i];
    else w->dims[n++] = w->dims[i];
    for (int k = 0; k < w->operands; k++) w->stride[k][n - 1] = w->stride[k][i];
  }
  w->rank = n;
}

bool hn_walk_first(hn_walk *w) {
  for (int32_t i = 0; i < w->rank; i++)
    if (w->dims[i] == 0) return false;
  merge_dimensions(w);
  bool scalar = w->rank == 0;
  w->run = scalar ? 1 : w->dims[w->rank - 1];
  for (int k = 0; k < w->operands; k++) {
    w->at[k] = 0;
    w->step[k] = scalar ? 0 : w->stride[k][w->rank - 1];
  }
  for (int32_t i = 0; i < w->rank; i++) w->index[i] = 0;
  return true;
}

bool hn_walk_next(hn_walk *w) {
  for (int32_t i = w->rank - 2; i >= 0; i--) {
    for (int k = 0; k < w->operands; k++) w->at[k] += w->stride[k][i];
    if (++w->index[i] < w->dims[i]) return true;
    for (int k = 0; k < w->operands; k++) w->at[k] -= w->stride[k][i] * w->dims[i];
    w->index[i] = 0;
  }
  return false;
}

void hn_walk_groups(const hn_view *v, const bool *reduced, hn_walk *kept, hn_walk *inner) {
  int64_t stride[HN_MAX_RANK], dims[2][HN_MAX_RANK], own[2][HN_MAX_RANK];
  int32_t rank[2] = {0, 0};
  hn_strides(v->rank, v->dims, stride);
  for (int32_t i = 0; i < v->rank; i++) {
    int32_t k = rank[reduced[i]]++;
    dims[reduced[i]][k] = v->dims[i];
    own[reduced[i]][k] = stride[i];
  }
  hn_walk_begin(kept, rank[0], dims[0]);
  hn_walk_strides(kept, own[0]);
  hn_walk_dense(kept);
  hn_walk_begin(inner, rank[1], dims[1]);
  hn_walk_strides(inner, own[1]);
}

hn_axis_split hn_split_at(const hn_view *v, int32_t axis) {
  hn_axis_split s = {1, 1, 1};
  for (int32_t i = 0; i < v->rank; i++)
    if (i < axis) s.outer *= v->dims[i];
    else if (i == axis) s.n = v->dims[i];
    else s.inner *= v->dims[i];
  return s;
}

hone_status hn_xaxis(const hn_exec *x, uint32_t i, int64_t axis, int32_t *out) {
  int32_t rank = x->in[i].rank;
  if (axis < -rank || axis >= rank)
    return hn_xfail(x, HONE_BAD_GRAPH, "axis %lld of a rank %d input", (long long)axis, rank);
  *out = (int32_t)(axis < 0 ? axis + rank : axis);
  return HONE_OK;
}

hone_status hn_xscalar_i(const hn_exec *x, uint32_t i, int64_t *out) {
  if (x->in[i].count != 1) return hn_xfail(x, HONE_BAD_GRAPH, "input %u must be a single number", i);
  *out = hn_load_i64(x->in[i].dtype, x->in[i].data, 0);
  return HONE_OK;
}

/* ---- conversions; the common types without a call an element */
#define READ(T)                                       \
  do {                                                \
    const T *q = (const T *)p + at;                   \
    for (int64_t i = 0; i < n; i++) v[i] = q[i * step]; \
  } while (0)
#define WRITE(T)                                         \
  do {                                                   \
    T *q = (T *)p + at;                                  \
    for (int64_t i = 0; i < n; i++) q[i * step] = (T)v[i]; \
  } while (0)

void hn_read_f64(hn_dtype t, const void *p, int64_t at, int64_t step, int64_t n, double *v) {
  if (t == HONE_DTYPE_F32) READ(float);
  else if (t == HONE_DTYPE_F64) READ(double);
  else
    for (int64_t i = 0; i < n; i++) v[i] = hn_load_f64(t, p, (size_t)(at + i * step));
}

void hn_read_i64(hn_dtype t, const void *p, int64_t at, int64_t step, int64_t n, int64_t *v) {
  if (t == HONE_DTYPE_I64) READ(int64_t);
  else if (t == HONE_DTYPE_I32) READ(int32_t);
  else
    for (int64_t i = 0; i < n; i++) v[i] = hn_load_i64(t, p, (size_t)(at + i * step));
}

void hn_write_f64(hn_dtype t, void *p, int64_t at, int64_t step, int64_t n, const double *v) {
  if (t == HONE_DTYPE_F32) WRITE(float);
  else if (t == HONE_DTYPE_F64) WRITE(double);
  else
    for (int64_t i = 0; i < n; i++) hn_store_f64(t, p, (size_t)(at + i * step), v[i]);
}

void hn_write_i64(hn_dtype t, void *p, int64_t at, int64_t step, int64_t n, const int64_t *v) {
  if (t == HONE_DTYPE_I64) WRITE(int64_t);
  else if (t == HONE_DTYPE_I32) WRITE(int32_t);
  else
    for (int64_t i = 0; i < n; i++) hn_store_i64(t, p, (size_t)(at + i * step), v[i]);
}

double hn_round_to(hn_dtype t, double v) {
  uint64_t bits = 0;
  hn_store_f64(t, &bits, 0, v);
  return hn_load_f64(t, &bits, 0);
}
