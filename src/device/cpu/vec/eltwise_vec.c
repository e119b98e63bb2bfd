/* eltwise_vec.c - element-wise nodes as chains: the node's own operator is the first step, its epilogue the rest. */
#include <string.h>

#include "device/cpu/quant/convert_runs.h"
#include "device/cpu/vec/chain.h"
#include "op/infer.h"
#include "op/scalar.h"

enum { MAX_STEPS = 16 };

typedef struct outline {
  uint32_t source, n;
  hn_step steps[MAX_STEPS];
} outline;

static bool has_output_shape(const hn_task *t, uint32_t i) {
  return t->in[i].present && hn_same_dims(&t->in[i], &t->out[0]);
}

/* A bound of Clip; false if it is not a constant. */
static bool bound(const hn_task *t, uint32_t i, float *v) {
  if (i >= t->node->n_main || !t->in[i].present) return true;
  const hn_tensor *c = t->in[i].constant;
  if (!c || c->count != 1) return false;
  *v = (float)hn_tensor_f(c, 0);
  return true;
}

static bool outline_of(const hn_task *t, outline *o) {
  const hn_node *n = t->node;
  o->n = o->source = 0;
  if (hn_op_is(n->op, HN_OP_UNARY)) {
    hn_step s = {.op = n->op, .operand = HN_NONE};
    hn_scalar_params(n, &s.alpha, &s.beta);
    if (n->op == HN_Clip && (!bound(t, 1, &s.alpha) || !bound(t, 2, &s.beta))) return false;
    if (n->op != HN_Identity) o->steps[o->n++] = s;
  } else {
    if (n->n_main + n->n_post > MAX_STEPS) return false;
    for (uint32_t i = 0; i < n->n_main; i++)
      if (has_output_shape(t, i)) {
        o->source = i;
        break;
      }
    bool ordered = !hn_op_is(n->op, HN_OP_COMMUTATIVE);
    for (uint32_t i = 0; i < n->n_main; i++)
      if (i != o->source) o->steps[o->n++] = (hn_step){.op = n->op, .operand = i, .swapped = ordered && o->source > i};
  }
  if (o->n + n->n_post > MAX_STEPS) return false;
  for (uint32_t i = 0; i < n->n_post; i++) o->steps[o->n++] = n->post[i];
  return true;
}

bool eltwise_vec_supports(const hn_task *t) {
  outline o;
  return t->device && hn_as_floats(&t->out[0]) && hn_as_floats(&t->in[0]) && outline_of(t, &o);
}

/* The layout of the first input of the output's shape that is not a constant; a blocked or channels-last one goes
   before the plain one, since what is around it is laid out so. */
static hn_layout output_layout(const hn_task *t) {
  hn_layout l = HN_LAYOUT_PLAIN;
  bool integers = t->out[0].quant != NULL;
  for (uint32_t i = 0; i < t->n_in; i++) {
    if (l == HN_LAYOUT_PLAIN && has_output_shape(t, i) && !t->in[i].constant) l = t->in[i].layout;
    integers = integers || t->in[i].quant;
  }
  return integers && l != HN_LAYOUT_PLAIN ? HN_LAYOUT_NHWC : l;
}

hone_status eltwise_vec_plan(hn_task *t) {
  outline o;
  hn_chain *c = NULL;
  if (!outline_of(t, &o)) return HONE_UNSUPPORTED;
  if (t->node->op == HN_Clip)
    for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
  t->out[0].layout = output_layout(t);
  hn_take_pitch(&t->out[0]);
  HN_TRY(hn_chain_create(t, o.source, o.steps, o.n, &c));
  t->state = c;
  t->fused = t->node->n_post;
  if (has_output_shape(t, o.source) && t->in[o.source].may_overwrite && t->in[o.source].dtype == t->out[0].dtype) t->inplace = (int)o.source;
  return HONE_OK;
}

hone_status eltwise_vec_run(hn_exec *x) {
  hn_chain_run(x->task->state, x);
  return HONE_OK;
}

void eltwise_vec_destroy(hn_task *t) {
  hn_chain_destroy(t->state);
  t->state = NULL;
}
