/* join_move.c - Concat and Split as copies, in the layout their inputs lie in; with blocks of channels only where the
   cuts lie between blocks. */
#include <string.h>

#include "device/cpu/move/layout_strides.h"
#include "op/infer.h"
#include "device/cpu/cpu.h"

typedef struct join {
  uint32_t n;
  hn_copy part[];
} join;

static bool parts_fit(const hn_arg *part, uint32_t n, hn_layout l, int32_t axis) {
  int64_t block;
  for (uint32_t i = 0; i < n; i++) {
    if (!part[i].present) continue;
    if (l != HN_LAYOUT_PLAIN && part[i].rank < 3) return false;
    hn_layout_axis(l, part[i].rank, axis, &block);
    if (part[i].dims[axis] % block) return false;
  }
  return true;
}

/* The copies between a tensor and its parts along an axis, all in one layout. */
static hone_status plan_parts(hn_task *t, hn_arg *whole, hn_arg *part, uint32_t n, hn_layout l, int32_t axis, bool split) {
  join *j = hn_calloc(1, sizeof *j + n * sizeof j->part[0]);
  t->state = j;
  if (!j) return hn_nomem(t->cx);
  j->n = n;
  int64_t wd[HN_ND_RANK], ws[HN_ND_RANK], pd[HN_ND_RANK], ps[HN_ND_RANK], at = 0, block;
  int32_t rank = hn_layout_dims(l, whole->rank, whole->dims, wd), a = hn_layout_axis(l, whole->rank, axis, &block);
  hn_pitched_strides(rank, wd, hn_take_pitch(whole), ws);
  for (uint32_t i = 0; i < n; i++) {
    hn_layout_dims(l, whole->rank, part[i].dims, pd);
    hn_pitched_strides(rank, pd, hn_take_pitch(&part[i]), ps);
    size_t size = hn_element_size(whole->dtype);
    if (split) hn_copy_plan(&j->part[i], size, rank, pd, 0, ps, at * ws[a], ws);
    else hn_copy_plan(&j->part[i], size, rank, pd, at * ws[a], ws, 0, ps);
    at += pd[a];
  }
  return HONE_OK;
}

static bool all_one_type(const hn_arg *a, uint32_t n, hn_dtype t) {
  for (uint32_t i = 0; i < n; i++)
    if (a[i].present && a[i].dtype != t) return false;
  return true;
}

static bool axis_of(const hn_task *t, int32_t rank, int32_t *axis) { return hn_axis(hn_attr_i(t->node, "axis", 0), rank, axis); }

/* ---- Concat */

bool concat_move_supports(const hn_task *t) {
  int32_t axis;
  return t->device && hn_element_size(t->in[0].dtype) && all_one_type(t->in, t->node->n_main, t->in[0].dtype) &&
         axis_of(t, t->out[0].rank, &axis);
}

hone_status concat_move_plan(hn_task *t) {
  int32_t axis;
  uint32_t n = t->node->n_main;
  if (!axis_of(t, t->out[0].rank, &axis)) return HONE_UNSUPPORTED;
  hn_layout l = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < n && l == HN_LAYOUT_PLAIN; i++)
    if (!t->in[i].constant) l = t->in[i].layout;
  if (!parts_fit(t->in, n, l, axis)) l = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < n; i++)
    if (t->in[i].placed) l = t->in[i].layout;
  for (uint32_t i = 0; i < n; i++) t->in[i].layout = l;
  t->out[0].layout = l;
  return plan_parts(t, &t->out[0], t->in, n, l, axis, false);
}

hone_status concat_move_run(hn_exec *x) {
  const join *j = x->task->state;
  for (uint32_t i = 0; i < j->n; i++)
    if (!x->task->in[i].placed) hn_copy_run(&j->part[i], x->threads, x->out[0].data, x->in[i].data);
  return HONE_OK;
}

void concat_move_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

const hn_kernel hn_fill_kernel = {.name = "concat_rest", .op = HN_Concat, .plan = concat_move_plan, .run = concat_move_run,
                                  .destroy = concat_move_destroy};

/* ---- Split */

bool split_move_supports(const hn_task *t) {
  int32_t axis;
  if (!t->device || !hn_element_size(t->in[0].dtype) || !axis_of(t, t->in[0].rank, &axis)) return false;
  for (uint32_t i = 0; i < t->n_out; i++)
    if (!t->out[i].present) return false; /* its size is not known here */
  return true;
}

hone_status split_move_plan(hn_task *t) {
  int32_t axis;
  if (!axis_of(t, t->in[0].rank, &axis)) return HONE_UNSUPPORTED;
  hn_layout l = t->in[0].layout;
  if (!parts_fit(t->out, t->n_out, l, axis)) l = HN_LAYOUT_PLAIN;
  t->in[0].layout = l;
  for (uint32_t i = 0; i < t->n_out; i++) t->out[i].layout = l;
  return plan_parts(t, &t->in[0], t->out, t->n_out, l, axis, true);
}

hone_status split_move_run(hn_exec *x) {
  const join *j = x->task->state;
  for (uint32_t i = 0; i < j->n; i++) hn_copy_run(&j->part[i], x->threads, x->out[i].data, x->in[0].data);
  return HONE_OK;
}

void split_move_destroy(hn_task *t) { concat_move_destroy(t); }
