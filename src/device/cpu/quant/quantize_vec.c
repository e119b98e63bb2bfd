/* quantize_vec.c - QuantizeLinear and DequantizeLinear of one constant scale, as chains without steps between a tensor of floats
   and one of 8-bit integers. */
#include "device/cpu/quant/convert_runs.h"
#include "device/cpu/vec/chain.h"

typedef struct quantize_state {
  hn_quant q;
  hn_chain *chain;
} quantize_state;

static bool parameters(const hn_task *t, hn_quant *q) {
  const hn_tensor *scale = t->in[1].constant, *zero = t->node->n_main > 2 && t->in[2].present ? t->in[2].constant : NULL;
  if (!scale || scale->count != 1 || scale->dtype != HONE_DTYPE_F32) return false;
  if (t->node->n_main > 2 && t->in[2].present && (!zero || zero->count != 1)) return false;
  *q = (hn_quant){.scale = (float)hn_tensor_f(scale, 0), .zero = zero ? (int32_t)hn_tensor_i(zero, 0) : 0};
  return true;
}

bool quantize_vec_supports(const hn_task *t) {
  const hn_arg *whole = t->node->op == HN_QuantizeLinear ? &t->out[0] : &t->in[0];
  const hn_arg *real = t->node->op == HN_QuantizeLinear ? &t->in[0] : &t->out[0];
  hn_quant q;
  return t->device && hn_is_8bit(whole->dtype) && real->dtype == HONE_DTYPE_F32 &&
         hn_attr_i(t->node, "precision", HONE_DTYPE_F32) <= HONE_DTYPE_F32 && parameters(t, &q);
}

hone_status quantize_vec_plan(hn_task *t) {
  quantize_state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!parameters(t, &s->q)) return HONE_UNSUPPORTED;
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
  hn_arg *whole = t->node->op == HN_QuantizeLinear ? &t->out[0] : &t->in[0];
  whole->quant = &s->q; /* lives as long as the task */
  t->out[0].layout = t->in[0].layout == HN_LAYOUT_PLAIN ? HN_LAYOUT_PLAIN : HN_LAYOUT_NHWC;
  uint32_t steps = whole == &t->in[0] ? t->node->n_post : 0;
  HN_TRY(hn_chain_create(t, 0, t->node->post, steps, &s->chain));
  t->fused = steps;
  return HONE_OK;
}

hone_status quantize_vec_run(hn_exec *x) {
  const quantize_state *s = x->task->state;
  hn_chain_run(s->chain, x);
  return HONE_OK;
}

void quantize_vec_destroy(hn_task *t) {
  quantize_state *s = t->state;
  if (s) hn_chain_destroy(s->chain);
  hn_free(s);
  t->state = NULL;
}
