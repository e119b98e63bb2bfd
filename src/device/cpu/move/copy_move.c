/* copy_move.c - a tensor from where it lies with gaps to where it does not, or the other way round, within one layout. */
#include "device/cpu/cpu.h"
#include "device/cpu/move/layout_strides.h"

static hone_status copy_plan(hn_task *t) {
  hn_arg *in = &t->in[0], *out = &t->out[0];
  int64_t dims[HN_ND_RANK], from[HN_ND_RANK], to[HN_ND_RANK];
  hn_copy *c = hn_calloc(1, sizeof *c);
  t->state = c;
  if (!c) return hn_nomem(t->cx);
  int32_t rank = hn_layout_dims(in->layout, in->rank, in->dims, dims);
  hn_pitched_strides(rank, dims, hn_take_pitch(in), from);
  hn_pitched_strides(rank, dims, hn_take_pitch(out), to);
  hn_copy_plan(c, hn_element_size(in->dtype), rank, dims, 0, to, 0, from);
  return HONE_OK;
}

static hone_status copy_run(hn_exec *x) {
  hn_copy_run(x->task->state, x->threads, x->out[0].data, x->in[0].data);
  return HONE_OK;
}

static void copy_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

const hn_kernel hn_copy_kernel = {.name = "copy_move", .op = HN_Identity, .plan = copy_plan, .run = copy_run, .destroy = copy_destroy};
