/* recurrent_cuda.c - RNN, GRU and LSTM: the inputs' part of all steps as one product, then a launch or two for each step. */
#include <string.h>

#include "device/cuda/cuda_kernel.h"
#include "op/recurrent.h"

typedef struct recurrence {
  hn_gpu_product x;              /* of the inputs with a direction's weights */
  hn_gpu_recurrent r[2];
  int32_t directions, gates, batch, input, hidden, steps;
  bool batch_first;
  size_t x_bytes, state_bytes;   /* in scratch: products, h twice, c, gates */
} recurrence;

static bool dims_are(const hn_arg *a, int32_t rank, const int64_t *d) { return a->rank == rank && memcmp(a->dims, d, sizeof *d * (size_t)rank) == 0; }

static bool fits(const hn_task *t, const recurrence *k) {
  int64_t d = k->directions, gh = (int64_t)k->gates * k->hidden, b = k->batch, h = k->hidden;
  bool lstm = t->node->op == HN_LSTM;
  bool ok = dims_are(&t->in[1], 3, (int64_t[]){d, gh, k->input}) && dims_are(&t->in[2], 3, (int64_t[]){d, gh, h});
  if (hn_cuda_given(t, 3)) ok = ok && dims_are(&t->in[3], 2, (int64_t[]){d, 2 * gh});
  if (hn_cuda_given(t, 4)) ok = ok && hn_cuda_count(&t->in[4]) == b && (t->in[4].dtype == HONE_DTYPE_I32 || t->in[4].dtype == HONE_DTYPE_I64);
  for (uint32_t i = 5; i < 7; i++)
    if (hn_cuda_given(t, i)) ok = ok && hn_cuda_count(&t->in[i]) == d * b * h && (i == 5 || lstm);
  if (hn_cuda_given(t, 7)) ok = ok && dims_are(&t->in[7], 2, (int64_t[]){d, 3 * h});
  return ok && k->hidden > 0 && k->input > 0 && (int64_t)k->batch * h * 32 < INT32_MAX;
}

/* Everything but the lengths is of one type. */
static bool one_type(const hn_task *t) {
  for (uint32_t i = 0; i < t->node->n_main; i++)
    if (i != 4 && hn_cuda_given(t, i) && (!hn_cuda_float(&t->in[i]) || t->in[i].dtype != t->in[0].dtype)) return false;
  for (uint32_t i = 0; i < t->n_out; i++)
    if (t->out[i].present && (!hn_cuda_float(&t->out[i]) || t->out[i].dtype != t->in[0].dtype)) return false;
  return hn_cuda_fits(t);
}

static void describe(const hn_task *t, recurrence *k, int d, const hn_gate *gates) {
  const hn_node *n = t->node;
  hn_gpu_recurrent *r = &k->r[d];
  *r = (hn_gpu_recurrent){.op = (int32_t)n->op, .dtype = (int32_t)t->in[0].dtype, .length_dtype = hn_cuda_given(t, 4) ? (int32_t)t->in[4].dtype : 0, .batch = k->batch,
                          .hidden = k->hidden, .steps = k->steps, .linear_before_reset = hn_attr_i(n, "linear_before_reset", 0) != 0,
                          .input_forget = hn_attr_i(n, "input_forget", 0) != 0, .clip = (float)hn_attr_f(n, "clip", 0)};
  r->backwards = d == 1 || hn_streq(hn_attr_s(n, "direction", "forward"), "reverse");
  r->y_step = (uint32_t)(k->batch_first ? k->directions * k->hidden : k->directions * k->batch * k->hidden);
  r->y_batch = (uint32_t)(k->batch_first ? k->steps * k->directions * k->hidden : k->hidden);
  for (int i = 0; i < HN_GATE_FUNCTIONS; i++) r->gate[i] = (hn_gpu_gate){(int32_t)gates[i].op, (float)gates[i].alpha, (float)gates[i].beta};
}

static bool recurrence_of(const hn_task *t, recurrence *k) {
  const hn_node *n = t->node;
  const hn_arg *in = &t->in[0];
  hn_gate gates[2][HN_GATE_FUNCTIONS] = {{{HN_OP_NONE, 0, 0}}};
  const char *bad;
  int length;
  *k = (recurrence){.directions = hn_recurrent_directions(n), .gates = hn_recurrent_gates(n->op), .batch_first = hn_attr_i(n, "layout", 0) != 0};
  if (!one_type(t) || in->rank != 3 || t->in[2].rank != 3 || !hn_recurrent_functions(n, gates, &bad, &length)) return false;
  k->steps = (int32_t)in->dims[k->batch_first];
  k->batch = (int32_t)in->dims[!k->batch_first];
  k->input = (int32_t)in->dims[2];
  k->hidden = (int32_t)t->in[2].dims[2];
  if (!fits(t, k)) return false;
  for (int d = 0; d < k->directions; d++) describe(t, k, d, gates[d]);
  uint32_t gh = (uint32_t)(k->gates * k->hidden), input = (uint32_t)k->input;
  hn_gpu_real real = {.dtype = (int32_t)in->dtype, .scale = 1}, plain = {.dtype = HONE_DTYPE_F32, .scale = 1};
  k->x = (hn_gpu_product){.a = real, .b = real, .out = plain, .n = gh, .k = input, .a_column = 1, .b_row = 1, .b_column = input, .batches = 1, .alpha = 1};
  k->x.m = (uint32_t)(k->batch_first ? k->batch : k->steps * k->batch);
  k->x.a_row = k->batch_first ? (uint32_t)k->steps * input : input;
  if (k->batch_first) {
    k->x.batches = (uint32_t)k->steps;
    k->x.batch_rank = 1;
    k->x.batch[0] = hn_gpu_div_of(k->steps);
    k->x.a_batch[0] = input;
  }
  k->x_bytes = ((size_t)k->steps * (size_t)k->batch * gh * sizeof(float) + 255) / 256 * 256;
  k->state_bytes = (size_t)k->batch * (size_t)k->hidden * sizeof(float);
  return true;
}

bool recurrent_cuda_supports(const hn_task *t) {
  recurrence k;
  return recurrence_of(t, &k) && k.x_bytes + 5 * k.state_bytes <= hn_cuda_of(t)->workspace;
}

hone_status recurrent_cuda_plan(hn_task *t) {
  recurrence *k;
  hn_cuda_plain(t);
  HN_TRY(hn_cuda_state(t, sizeof *k, &k));
  if (!recurrence_of(t, k)) return HONE_UNSUPPORTED;
  t->scratch = k->x_bytes + 5 * k->state_bytes;
  return HONE_OK;
}

static const void *part(const hn_exec *x, uint32_t i, int64_t at) {
  return hn_xhas(x, i) ? (const char *)x->in[i].data + (size_t)at * hone_dtype_size(x->in[i].dtype) : NULL;
}

/* A state of direction d, from or to a tensor of (direction, batch, hidden) or (batch, direction, hidden). */
static void copy_state(const hn_exec *x, const recurrence *k, int d, const void *from, void *to, bool out) {
  uint32_t typed = (uint32_t)(k->batch_first ? k->directions * k->hidden : k->hidden), own = (uint32_t)k->hidden;
  size_t at = (size_t)d * (size_t)(k->batch_first ? k->hidden : k->batch * k->hidden) * hone_dtype_size(x->in[0].dtype);
  hn_gpu_state s = {.n = (uint32_t)(k->batch * k->hidden), .hidden = hn_gpu_div_of(k->hidden), .from_batch = out ? own : typed, .to_batch = out ? typed : own,
                    .from_dtype = out ? (int32_t)HONE_DTYPE_F32 : (int32_t)x->in[0].dtype, .to_dtype = out ? (int32_t)x->in[0].dtype : (int32_t)HONE_DTYPE_F32};
  s.from = from && !out ? (const char *)from + at : from;
  s.to = out ? (char *)to + at : to;
  hn_gpu_state_run(hn_cuda_stream(x), &s);
}

static void run_direction(const hn_exec *x, const recurrence *k, int d) {
  hn_gpu_recurrent r = k->r[d];
  hn_gpu_product p = k->x;
  int64_t gh = (int64_t)k->gates * k->hidden, states = (int64_t)k->batch * k->hidden;
  float *products = x->scratch, *h = (float *)(void *)((char *)x->scratch + k->x_bytes);
  p.a.p = x->in[0].data;
  p.b.p = part(x, 1, d * gh * k->input);
  p.out.p = products;
  hn_gpu_product_run(hn_cuda_stream(x), &p);
  r.x = products;
  r.recurrent = part(x, 2, d * gh * k->hidden);
  r.bias = part(x, 3, d * 2 * gh);
  r.lengths = part(x, 4, 0);
  r.peepholes = part(x, 7, d * 3 * k->hidden);
  r.h[0] = h, r.h[1] = h + states, r.c = h + 2 * states, r.gates = h + 3 * states;
  if (hn_cuda_wants(x->task, 0))
    r.y = (char *)x->out[0].data + (size_t)d * (size_t)(k->batch_first ? k->hidden : k->batch * k->hidden) * hone_dtype_size(x->in[0].dtype);
  copy_state(x, k, d, hn_xhas(x, 5) ? x->in[5].data : NULL, r.h[0], false);
  if (r.op == HN_LSTM) copy_state(x, k, d, hn_xhas(x, 6) ? x->in[6].data : NULL, r.c, false);
  for (r.step = 0; r.step < k->steps; r.step++) {
    hn_gpu_recurrent_step(hn_cuda_stream(x), &r);
    float *swap = r.h[0];
    r.h[0] = r.h[1];
    r.h[1] = swap;
  }
  if (hn_cuda_wants(x->task, 1)) copy_state(x, k, d, r.h[0], x->out[1].data, true);
  if (hn_cuda_wants(x->task, 2)) copy_state(x, k, d, r.c, x->out[2].data, true);
}

hone_status recurrent_cuda_run(hn_exec *x) {
  const recurrence *k = x->task->state;
  for (int d = 0; d < k->directions; d++) run_direction(x, k, d);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(recurrent_cuda)
