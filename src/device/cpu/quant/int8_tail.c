#include "device/cpu/quant/int8_tail.h"

#include <string.h>

bool hn_int8_product(const hn_task *t) {
  const hn_arg *x = &t->in[0], *w = &t->in[1];
  if (!t->device || !hn_is_8bit(x->dtype) || !x->quant || w->dtype != HONE_DTYPE_I8 || !w->quant || w->quant->zero || !w->constant) return false;
  for (int32_t i = 0; i < t->out[0].rank; i++)
    if (t->out[0].dims[i] == 0) return false;
  for (int32_t i = 0; i < x->rank; i++)
    if (x->dims[i] == 0) return false;
  return hn_is_8bit(t->out[0].dtype) ? t->out[0].quant != NULL : t->out[0].dtype == HONE_DTYPE_F32;
}

hone_status hn_int8_tail_plan(hn_task *t, hn_int8_tail *tail) {
  hn_task sub = *t;
  size_t bytes = sizeof(float);
  for (int32_t i = 0; i < t->out[0].rank; i++) bytes *= (size_t)t->out[0].dims[i];
  tail->bytes = (bytes + 63) / 64 * 64;
  tail->views = hn_calloc(t->n_in + 1, sizeof *tail->views);
  sub.in = hn_calloc(t->n_in + 1, sizeof *sub.in);
  hone_status st = tail->views && sub.in ? HONE_OK : hn_nomem(t->cx);
  if (!st) {
    memcpy(sub.in, t->in, sizeof *sub.in * t->n_in);
    sub.in[t->n_in] = t->out[0];
    sub.in[t->n_in].dtype = HONE_DTYPE_F32;
    sub.in[t->n_in].quant = NULL;
    sub.in[t->n_in].pitch = 0; /* the product is dense */
    hn_take_pitch(&t->out[0]);
    st = hn_chain_create(&sub, t->n_in, t->node->post, t->node->n_post, &tail->chain);
    memcpy(t->in, sub.in, sizeof *sub.in * t->n_in);
  }
  hn_free(sub.in);
  t->fused = t->node->n_post;
  return st;
}

void hn_int8_tail_run(const hn_int8_tail *tail, hn_exec *x, void *product) {
  hn_exec y = *x;
  memcpy(tail->views, x->in, sizeof *tail->views * x->n_in);
  tail->views[x->n_in] = x->out[0];
  tail->views[x->n_in].dtype = HONE_DTYPE_F32;
  tail->views[x->n_in].data = product;
  y.in = tail->views;
  hn_chain_run(tail->chain, &y);
}

void hn_int8_tail_free(hn_int8_tail *tail) {
  hn_chain_destroy(tail->chain);
  hn_free(tail->views);
}
