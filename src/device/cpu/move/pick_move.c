/* pick_move.c - Gather of constant indices along one axis, in the layout its input lies in: runs where what lies behind the
   axis is contiguous, single numbers where channels come last. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "op/infer.h"

typedef struct pick {
  int64_t outer, n_in, n_out, inner; /* the input as [outer, n_in, inner] */
  int64_t in_step, out_step;         /* between the outer ones */
  int32_t *window;                   /* for hn_vec.pick; lies behind `from` */
  int32_t from[];
} pick;

/* Where the window of 32 begins that has all of these. */
static int32_t window_of(const pick *s, int64_t i) {
  enum { WINDOW = 32, RUN = 16 };
  int32_t least = s->from[i], most = least;
  for (int64_t k = i; k < i + RUN && k < s->n_out; k++) {
    if (s->from[k] < least) least = s->from[k];
    if (s->from[k] > most) most = s->from[k];
  }
  if (least > s->n_in - WINDOW) least = (int32_t)(s->n_in - WINDOW);
  return least >= 0 && most - least < WINDOW ? least : -1;
}

bool pick_move_supports(const hn_task *t) {
  const hn_arg *x = &t->in[0], *i = &t->in[1];
  int32_t axis;
  if (!t->device || x->dtype != HONE_DTYPE_F32 || !i->constant || i->rank > 1 || i->constant->count < 1 ||
      i->constant->count > 1 << 20 || !hn_axis(hn_attr_i(t->node, "axis", 0), x->rank, &axis) || x->dims[axis] > INT32_MAX)
    return false;
  for (int64_t k = 0; k < i->constant->count; k++) {
    int64_t at = hn_tensor_i(i->constant, k);
    if (at < -x->dims[axis] || at >= x->dims[axis]) return false; /* the reference reports it */
  }
  return true;
}

hone_status pick_move_plan(hn_task *t) {
  const hn_arg *x = &t->in[0];
  const hn_tensor *indices = t->in[1].constant;
  int32_t axis;
  if (!hn_axis(hn_attr_i(t->node, "axis", 0), x->rank, &axis)) return HONE_UNSUPPORTED;
  pick *s = hn_calloc(1, sizeof *s + sizeof *s->from * (size_t)(indices->count + indices->count / 16 + 1));
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  bool last = x->layout == HN_LAYOUT_NHWC && axis == 1 && x->rank > 2 && t->in[1].rank == 1; /* one index alone: the axis is gone */
  hn_layout l = last ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  s->outer = s->inner = 1;
  s->n_in = x->dims[axis];
  s->n_out = indices->count;
  for (int32_t i = 0; i < x->rank; i++) {
    if (i < axis || (last && i != axis)) s->outer *= x->dims[i];
    else if (i > axis) s->inner *= x->dims[i];
  }
  for (int64_t i = 0; i < s->n_out; i++) {
    int64_t at = hn_tensor_i(indices, i);
    s->from[i] = (int32_t)(at < 0 ? at + s->n_in : at);
  }
  s->window = s->from + s->n_out;
  for (int64_t i = 0; i < s->n_out; i += 16) s->window[i / 16] = window_of(s, i);
  t->in[0].layout = t->out[0].layout = l;
  s->in_step = s->n_in * s->inner;
  s->out_step = s->n_out * s->inner;
  if (last || (axis == x->rank - 1 && t->in[1].rank == 1)) s->in_step = hn_take_pitch(&t->in[0]), s->out_step = hn_take_pitch(&t->out[0]);
  t->in[1].unused = true;
  return HONE_OK;
}

void pick_move_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const pick *s = x->task->state;
  const float *in = (const float *)x->in[0].data + begin * s->in_step;
  float *out = (float *)x->out[0].data + begin * s->out_step;
  for (int64_t o = begin; o < end; o++, in += s->in_step, out += s->out_step) {
    if (s->inner == 1) x->task->device->vec->pick(out, in, s->from, s->window, (size_t)s->n_out);
    else
      for (int64_t i = 0; i < s->n_out; i++) memcpy(out + i * s->inner, in + s->from[i] * s->inner, sizeof *out * (size_t)s->inner);
  }
}

hone_status pick_move_run(hn_exec *x) {
  const pick *s = x->task->state;
  int64_t grain = (1 << 14) / (s->n_out * s->inner) + 1;
  hn_parallel_for(x->task->threads, s->outer, grain, run_share, x);
  return HONE_OK;
}
