/* copy_move.c - a tensor from one layout to another, and from where it lies with gaps to where it does not or the other way
   round. Between blocked layouts the conversion is oneDNN's. */
#include "device/cpu/cpu.h"
#include "device/cpu/move/layout_strides.h"

/* Both tensors as the one that is written lies in memory. */
static int32_t walk(hn_arg *in, hn_arg *out, int64_t *dims, int64_t *to, int64_t *from) {
  int32_t rank = hn_layout_dims(out->layout, out->rank, out->dims, dims);
  hn_pitched_strides(rank, dims, hn_take_pitch(out), to);
  if (in->layout == out->layout) {
    hn_pitched_strides(rank, dims, hn_take_pitch(in), from);
    return rank;
  }
  int64_t own[HN_ND_RANK], block;
  hn_own_strides(in, own);
  for (int32_t i = 0; i < rank; i++) from[hn_layout_axis(out->layout, rank, i, &block)] = own[i];
  return rank;
}

static hone_status copy_plan(hn_task *t) {
  int64_t dims[HN_ND_RANK], from[HN_ND_RANK], to[HN_ND_RANK];
  hn_copy *c = hn_calloc(1, sizeof *c);
  t->state = c;
  if (!c) return hn_nomem(t->cx);
  int32_t rank = walk(&t->in[0], &t->out[0], dims, to, from);
  hn_copy_plan(c, hn_element_size(t->in[0].dtype), rank, dims, 0, to, 0, from);
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

static const hn_kernel copy_kernel = {.name = "copy_move", .op = HN_Identity, .plan = copy_plan, .run = copy_run, .destroy = copy_destroy};

const hn_kernel *hn_reorder_kernel(hn_dtype t, hn_layout from, hn_layout to) {
  bool strided = from == to || (from <= HN_LAYOUT_NHWC && to <= HN_LAYOUT_NHWC);
  return strided && hn_element_size(t) ? &copy_kernel : &hn_reorder_onednn_kernel;
}
