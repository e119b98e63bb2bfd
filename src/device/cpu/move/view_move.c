/* view_move.c - Slice, Transpose and Expand: one strided copy out of the input as it lies. */
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/cpu/move/layout_strides.h"
#include "op/infer.h"

static hone_status plan_copy(hn_task *t, int32_t rank, const int64_t *dims, const int64_t *to_stride, int64_t from,
                             const int64_t *from_stride) {
  hn_copy *c = hn_calloc(1, sizeof *c);
  t->state = c;
  if (!c) return hn_nomem(t->cx);
  hn_copy_plan(c, hn_element_size(t->in[0].dtype), rank, dims, 0, to_stride, from, from_stride);
  return HONE_OK;
}

static hn_layout unblocked(hn_layout l) { return l == HN_LAYOUT_NHWC ? l : HN_LAYOUT_PLAIN; }

static hone_status run_copy(hn_exec *x) {
  hn_copy_run(x->task->state, x->threads, x->out[0].data, x->in[0].data);
  return HONE_OK;
}

static void free_copy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

static bool movable(const hn_task *t) { return t->device && hn_element_size(t->in[0].dtype) != 0; }

/* ---- Transpose: out of any unblocked layout into the plain one. */

bool transpose_move_supports(const hn_task *t) { return movable(t); }

hone_status transpose_move_plan(hn_task *t) {
  hn_arg *in = &t->in[0], *out = &t->out[0];
  const int64_t *perm = NULL;
  int64_t stride[HN_ND_RANK], from[HN_ND_RANK], to[HN_ND_RANK];
  uint32_t n = hn_attr_ints(t->node, "perm", &perm);
  if (n && n != (uint32_t)in->rank) return HONE_UNSUPPORTED;
  in->layout = unblocked(in->layout);
  out->layout = HN_LAYOUT_PLAIN;
  hn_own_strides(in, stride);
  for (int32_t i = 0; i < in->rank; i++) from[i] = stride[n ? perm[i] : in->rank - 1 - i];
  hn_pitched_strides(out->rank, out->dims, hn_take_pitch(out), to);
  return plan_copy(t, out->rank, out->dims, to, 0, from);
}

hone_status transpose_move_run(hn_exec *x) { return run_copy(x); }
void transpose_move_destroy(hn_task *t) { free_copy(t); }

/* ---- Slice by constants, in the layout the input lies in. */

static bool constant_ints(const hn_task *t, uint32_t i, int64_t *v, int32_t *n) {
  if (i >= t->node->n_main || !t->in[i].present) return true;
  const hn_tensor *c = t->in[i].constant;
  if (!c || c->rank > 1 || c->count > HN_MAX_RANK || !hn_is_int(c->dtype)) return false;
  for (int64_t k = 0; k < c->count; k++) v[k] = hn_tensor_i(c, (size_t)k);
  *n = (int32_t)c->count;
  return true;
}

/* First index and step along every axis; sizes are the output's. */
static bool slice_bounds(const hn_task *t, int64_t *first, int64_t *step) {
  const hn_arg *in = &t->in[0];
  int64_t starts[HN_MAX_RANK], axes[HN_MAX_RANK], steps[HN_MAX_RANK];
  int32_t n = -1, n_axes = -1, n_steps = -1, ends_unused = 0;
  int64_t ends[HN_MAX_RANK];
  if (!constant_ints(t, 1, starts, &n) || !constant_ints(t, 2, ends, &ends_unused) || !constant_ints(t, 3, axes, &n_axes) ||
      !constant_ints(t, 4, steps, &n_steps) || n < 0 || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n))
    return false;
  for (int32_t i = 0; i < in->rank; i++) first[i] = 0, step[i] = 1;
  for (int32_t i = 0; i < n; i++) {
    int32_t a;
    if (!hn_axis(n_axes >= 0 ? axes[i] : i, in->rank, &a)) return false;
    int64_t d = in->dims[a], s = n_steps >= 0 ? steps[i] : 1, f = starts[i] < 0 ? starts[i] + d : starts[i];
    if (s == 0) return false;
    int64_t limit = s > 0 ? d : d - 1;
    first[a] = f < 0 ? 0 : f > limit ? limit : f;
    step[a] = s;
  }
  return true;
}

bool slice_move_supports(const hn_task *t) {
  int64_t first[HN_MAX_RANK], step[HN_MAX_RANK];
  return movable(t) && slice_bounds(t, first, step);
}

hone_status slice_move_plan(hn_task *t) {
  hn_arg *in = &t->in[0], *out = &t->out[0];
  int64_t first[HN_MAX_RANK], step[HN_MAX_RANK], stride[HN_ND_RANK], from[HN_ND_RANK], dims[HN_ND_RANK], to[HN_ND_RANK], at = 0;
  if (!slice_bounds(t, first, step)) return HONE_UNSUPPORTED;
  in->layout = out->layout = unblocked(in->layout);
  hn_own_strides(in, stride);
  hn_layout_dims(out->layout, out->rank, out->dims, dims);
  hn_pitched_strides(out->rank, dims, hn_take_pitch(out), to);
  for (int32_t i = 0; i < in->rank; i++) {
    int64_t block;
    if (out->dims[i] == 0) first[i] = 0;
    at += first[i] * stride[i];
    from[hn_layout_axis(out->layout, out->rank, i, &block)] = step[i] * stride[i];
  }
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
  return plan_copy(t, out->rank, dims, to, at, from);
}

hone_status slice_move_run(hn_exec *x) { return run_copy(x); }
void slice_move_destroy(hn_task *t) { free_copy(t); }

/* ---- Expand */

bool expand_move_supports(const hn_task *t) { return movable(t); }

hone_status expand_move_plan(hn_task *t) {
  hn_arg *in = &t->in[0], *out = &t->out[0];
  int64_t own[HN_ND_RANK], from[HN_ND_RANK] = {0}, to[HN_ND_RANK];
  int32_t lead = out->rank - in->rank;
  if (lead < 0) return HONE_UNSUPPORTED;
  in->layout = out->layout = HN_LAYOUT_PLAIN;
  hn_dense_strides(in->rank, in->dims, own);
  for (int32_t i = 0; i < in->rank; i++) from[lead + i] = in->dims[i] == 1 ? 0 : own[i];
  hn_dense_strides(out->rank, out->dims, to);
  t->in[1].unused = true;
  return plan_copy(t, out->rank, out->dims, to, 0, from);
}

hone_status expand_move_run(hn_exec *x) { return run_copy(x); }
void expand_move_destroy(hn_task *t) { free_copy(t); }
