/* cast_vec.c - Cast between floats of 32 and 16 bits, from whole numbers of 32 and 8 bits, and between short floats and integers that stand for
   reals, as a chain without a first step. */
#include "device/cpu/quant/convert_runs.h"
#include "device/cpu/vec/chain.h"

static bool is_float(hn_dtype t) { return t == HONE_DTYPE_F32 || t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16; }

static bool is_whole(const hn_arg *a) { return !a->quant && (a->dtype == HONE_DTYPE_I32 || hn_is_8bit(a->dtype)); }

bool cast_vec_supports(const hn_task *t) {
  const hn_arg *x = &t->in[0], *y = &t->out[0];
  if (!t->device || t->node->n_main != 1) return false;
  return is_float(y->dtype) ? is_float(x->dtype) || is_whole(x) || hn_arg_is_bytes(x) : hn_arg_is_bytes(y) && is_float(x->dtype);
}

hone_status cast_vec_plan(hn_task *t) {
  hn_chain *c = NULL;
  bool bytes = hn_arg_is_bytes(&t->in[0]) || hn_arg_is_bytes(&t->out[0]); /* in blocks of channels the padding is none of theirs */
  t->out[0].layout = bytes && t->in[0].layout != HN_LAYOUT_PLAIN ? HN_LAYOUT_NHWC : t->in[0].layout;
  HN_TRY(hn_chain_create(t, 0, t->node->post, t->node->n_post, &c));
  t->state = c;
  t->fused = t->node->n_post;
  return HONE_OK;
}

hone_status cast_vec_run(hn_exec *x) {
  hn_chain_run(x->task->state, x);
  return HONE_OK;
}

void cast_vec_destroy(hn_task *t) {
  hn_chain_destroy(t->state);
  t->state = NULL;
}
