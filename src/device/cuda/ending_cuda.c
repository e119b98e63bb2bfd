/* ending_cuda.c - what comes behind the sums of a product of integers, in one pass over them: the scale of each output channel,
   the bias with what the zero point of the activations adds to every sum, the node's epilogue, and the output's type. */
#include "base/alloc.h"
#include "device/cuda/cuda_kernel.h"

/* Real numbers, or integers that stand for them with one scale. */
static bool takes_output(const hn_arg *a) { return !a->dynamic && hn_cuda_real(a); }

bool hn_cuda_integers(const hn_task *t, int32_t axis) {
  const hn_arg *x = &t->in[0], *w = &t->in[1];
  bool activations = (x->dtype == HONE_DTYPE_U8 || x->dtype == HONE_DTYPE_I8) && x->quant && !x->quant->scales && !x->quant->block;
  if (!activations || !w->present || !w->constant || w->dtype != HONE_DTYPE_I8 || !w->quant || w->quant->block || w->quant->zero) return false;
  const hn_tensor *s = w->quant->scales;
  if (s && (w->quant->axis != axis || s->dtype != HONE_DTYPE_F32 || s->count != w->dims[axis])) return false;
  for (uint32_t i = 2; i < t->node->n_main; i++) {
    const hn_tensor *bias = t->in[i].constant;
    if (t->in[i].present && (i > 2 || !bias || bias->dtype != HONE_DTYPE_F32 || (bias->count != w->dims[axis] && bias->count != 1))) return false;
  }
  for (uint32_t i = t->node->n_main; i < t->n_in; i++)
    if (!hn_cuda_real(&t->in[i])) return false;
  return takes_output(&t->out[0]) && hn_cuda_fits(t);
}

/* For each channel a scale, and behind all of them what is added. */
static void numbers_of(const hn_task *t, int32_t axis, int32_t zero, float *scale, float *shift) {
  const hn_tensor *w = t->in[1].constant, *bias = hn_cuda_given(t, 2) ? t->in[2].constant : NULL;
  const hn_quant *qw = t->in[1].quant;
  const int8_t *p = w->data;
  int64_t channels = w->dims[axis], inner = 1;
  for (int32_t i = axis + 1; i < w->rank; i++) inner *= w->dims[i];
  for (int64_t c = 0; c < channels; c++) {
    int64_t sum = 0;
    for (int64_t first = c * inner; first < w->count; first += channels * inner)
      for (int64_t i = 0; i < inner; i++) sum += p[first + i];
    double each = (double)t->in[0].quant->scale * (qw->scales ? hn_tensor_f(qw->scales, (size_t)c) : (double)qw->scale);
    scale[c] = (float)each;
    shift[c] = (float)((bias ? hn_tensor_f(bias, bias->count > 1 ? (size_t)c : 0) : 0) - each * (double)zero * (double)sum);
  }
}

/* The chain reads inputs past the task's: what is to be ended, and of sums the scales and the shifts. last: channels are the last
   dimension. */
static bool chain_of(const hn_task *t, bool sums, bool last, hn_cuda_chain *c) {
  hn_cuda_step steps[HN_GPU_STEPS];
  hn_arg in[HN_MAX_CHAIN + 8];
  const hn_node *n = t->node;
  const hn_arg *o = &t->out[0];
  hn_task with = *t;
  uint32_t at = t->n_in, k = 0;
  if (at + 3 > sizeof in / sizeof *in || n->n_post + 2 > HN_GPU_STEPS) return false;
  for (uint32_t i = 0; i < at; i++) in[i] = t->in[i];
  in[at] = (hn_arg){.present = true, .dtype = sums ? HONE_DTYPE_I32 : HONE_DTYPE_F32, .rank = o->rank, .layout = o->layout};
  hn_arg row = {.present = true, .dtype = HONE_DTYPE_F32, .rank = last || !o->rank ? 1 : o->rank - 1};
  for (int32_t i = 0; i < o->rank; i++) {
    in[at].dims[i] = o->dims[i];
    row.dims[i] = 1;
  }
  if (o->rank) row.dims[0] = last ? o->dims[o->rank - 1] : o->dims[1];
  in[at + 1] = in[at + 2] = row;
  with.in = in;
  with.n_in = at + 3;
  if (sums) steps[k++] = (hn_cuda_step){.op = HN_Mul, .operand = at + 1, .second = HN_NONE};
  if (sums) steps[k++] = (hn_cuda_step){.op = HN_Add, .operand = at + 2, .second = HN_NONE};
  for (uint32_t i = 0; i < n->n_post; i++) steps[k++] = hn_cuda_step_of(&n->post[i]);
  return hn_cuda_chain_of(&with, at, steps, k, false, c);
}

hone_status hn_cuda_ending_plan(hn_task *t, int32_t axis, bool last, int32_t zero, hn_cuda_ending *e) {
  int64_t channels = t->in[1].dims[axis];
  for (uint32_t i = t->node->n_main; i < t->n_in; i++) hn_cuda_lie_as_output(t, i);
  if (!chain_of(t, true, last, &e->chain)) return HONE_UNSUPPORTED;
  if (hn_cuda_given(t, 2)) t->in[2].unused = true;
  t->fused = t->node->n_post;
  e->channels = channels;
  float *numbers = hn_calloc(2 * (size_t)channels, sizeof *numbers);
  if (!numbers) return hn_nomem(t->cx);
  numbers_of(t, axis, zero, numbers, numbers + channels);
  hone_status st = hn_cuda_keep(t, numbers, 2 * sizeof *numbers * (size_t)channels, (void **)&e->numbers);
  hn_free(numbers);
  return st;
}

hone_status hn_cuda_ending_run(hn_exec *x, const hn_cuda_ending *e, const void *sums) {
  const void *more[] = {sums, e->numbers, e->numbers + e->channels};
  return hn_cuda_chain_run(x, &e->chain, more);
}

bool hn_cuda_floats_end(const hn_task *t) {
  for (uint32_t i = t->node->n_main; i < t->n_in; i++)
    if (!hn_cuda_real(&t->in[i])) return false;
  return takes_output(&t->out[0]);
}

hone_status hn_cuda_floats_plan(hn_task *t, hn_cuda_chain *c) {
  for (uint32_t i = t->node->n_main; i < t->n_in; i++) hn_cuda_lie_as_output(t, i);
  if (!chain_of(t, false, false, c)) return HONE_UNSUPPORTED;
  t->fused = t->node->n_post;
  t->scratch = (size_t)hn_cuda_count(&t->out[0]) * sizeof(float);
  return HONE_OK;
}

hone_status hn_cuda_floats_run(hn_exec *x, const hn_cuda_chain *c) { return hn_cuda_chain_run(x, c, (const void *const[]){x->scratch}); }
