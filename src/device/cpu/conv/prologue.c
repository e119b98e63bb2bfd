/* prologue.c - an element-wise node and the convolution behind it as one step: see before.h. */
#include <string.h>

#include "device/cpu/conv/before.h"

bool conv_gemm_supports(const hn_task *t);
hone_status conv_gemm_plan(hn_task *t);
hone_status conv_gemm_run(hn_exec *x);
void conv_gemm_destroy(hn_task *t);

typedef struct prologue {
  hn_task conv;
  hn_view *in;    /* of its run */
  uint32_t *from; /* the step's input that each is, or HN_NONE */
} prologue;

/* The convolution's task, as if the image were the first node's. */
static hone_status open_conv(hn_task *t, prologue *s) {
  const hn_node *n = hn_node_at(t->g, t->chain[1]);
  hn_task *c = &s->conv;
  *c = (hn_task){.cx = t->cx, .g = t->g, .node = n, .n_in = n->n_in, .n_out = 1, .threads = t->threads, .device = t->device,
                 .inplace = -1, .before = t->node};
  c->in = hn_calloc(n->n_in, sizeof *c->in);
  s->in = hn_calloc(n->n_in, sizeof *s->in);
  s->from = hn_calloc(n->n_in, sizeof *s->from);
  c->out = t->out;
  if (!c->in || !s->in || !s->from) return hn_nomem(t->cx);
  for (uint32_t k = 0; k < n->n_in; k++) {
    s->from[k] = HN_NONE;
    for (uint32_t j = 0; j < t->n_in; j++)
      if (k == 0 ? j == 0 : k >= n->n_main && j && t->operands[j] == n->in[k]) s->from[k] = j;
    if (s->from[k] != HN_NONE) {
      c->in[k] = t->in[s->from[k]];
      c->in[k].may_overwrite = false;
    } else if (n->in[k] != HN_NONE) {
      const hn_value *v = hn_value_at(t->g, n->in[k]);
      c->in[k] = (hn_arg){.present = true, .dtype = v->dtype, .rank = v->shape.rank, .constant = v->data};
      memcpy(c->in[k].dims, v->shape.d, sizeof c->in[k].dims);
    }
  }
  return HONE_OK;
}

static hone_status prologue_plan(hn_task *t) {
  prologue *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  HN_TRY(open_conv(t, s));
  hn_task *c = &s->conv;
  if (!conv_gemm_supports(c)) return HONE_UNSUPPORTED;
  HN_TRY(conv_gemm_plan(c));
  if (c->fused != c->node->n_post) return HONE_UNSUPPORTED;
  for (uint32_t k = 0; k < c->n_in; k++) {
    if (s->from[k] != HN_NONE) t->in[s->from[k]] = c->in[k];
    else if (c->in[k].present && !c->in[k].unused) return HONE_UNSUPPORTED;
  }
  t->threads = c->threads;
  t->scratch = c->scratch;
  t->packed = c->packed;
  t->fused = t->node->n_post;
  return HONE_OK;
}

static void prologue_destroy(hn_task *t) {
  prologue *s = t->state;
  if (!s) return;
  conv_gemm_destroy(&s->conv);
  hn_task_unpack(&s->conv);
  hn_free(s->conv.in);
  hn_free(s->in);
  hn_free(s->from);
  hn_free(s);
  t->state = NULL;
}

static hone_status prologue_run(hn_exec *x) {
  const prologue *s = x->task->state;
  hn_exec y = *x;
  for (uint32_t k = 0; k < s->conv.n_in; k++)
    if (s->from[k] != HN_NONE) s->in[k] = x->in[s->from[k]];
  y.task = &s->conv;
  y.in = s->in;
  y.n_in = s->conv.n_in;
  return conv_gemm_run(&y);
}

const hn_kernel hn_prologue_kernel = {.name = "prologue", .op = HN_Conv, .plan = prologue_plan, .run = prologue_run, .destroy = prologue_destroy};
