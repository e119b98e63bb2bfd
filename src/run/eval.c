#include "run/eval.h"

#include <string.h>

#include "device/cpu/cpu.h"
#include "run/program.h"

typedef struct evaluation {
  hn_tensor **outs;
} evaluation;

hn_view hn_view_of(const hn_tensor *t) {
  hn_view v = {.data = t->data, .dtype = t->dtype, .rank = t->rank, .count = t->count};
  memcpy(v.dims, t->dims, sizeof v.dims);
  return v;
}

static hone_status give_output(hn_exec *x, uint32_t i, hn_dtype dtype, int32_t rank, const int64_t *dims) {
  evaluation *e = x->user;
  if (i >= x->n_out) return hn_xfail(x, HONE_BAD_GRAPH, "has no output %u", i);
  hn_tensor_unref(e->outs[i]);
  e->outs[i] = NULL;
  HN_TRY(hn_tensor_create(x->cx, dtype, rank, dims, &e->outs[i]));
  x->out[i] = hn_view_of(e->outs[i]);
  return HONE_OK;
}

static hone_status call_nested(hn_exec *x, const hn_graph *sub, const hn_view *in, uint32_t n, hn_view *out,
                               uint32_t n_out) {
  hn_plan_options o = {.threads = 1, .reference = true};
  hn_program *p;
  HN_TRY(hn_check_call(x, sub, n, n_out));
  HN_TRY(hn_program_create(sub, in, &o, &p));
  hone_status st = hn_program_call(p, in, out, n_out);
  hn_program_destroy(p);
  return st;
}

static void describe(hn_arg *a, const hn_view *v) {
  *a = (hn_arg){.present = v->dtype != HONE_DTYPE_UNDEFINED, .dynamic = false, .dtype = v->dtype, .rank = v->rank};
  memcpy(a->dims, v->dims, sizeof a->dims);
}

hone_status hn_eval_node(hn_graph *g, hn_id node, const hn_view *in, hn_tensor **outs) {
  const hn_node *n = hn_node_at(g, node);
  const hn_kernel *k = hn_kernel_ref(n->op);
  if (!k)
    return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s': operator %s has no kernel in this build", n->name,
                   hn_op_name(n->op));
  hn_arena *a = hn_arena_create();
  if (!a) return hn_nomem(g->cx);
  evaluation e = {outs};
  hn_task t = {.cx = g->cx, .g = g, .node = n, .n_in = n->n_in, .n_out = n->n_out, .threads = 1, .inplace = -1, .kernel = k};
  t.in = hn_arena_alloc(a, sizeof *t.in * n->n_in);
  t.out = hn_arena_alloc(a, sizeof *t.out * n->n_out);
  hn_exec x = {.cx = g->cx, .task = &t, .n_in = n->n_in, .n_out = n->n_out, .threads = 1, .output = give_output,
               .call = call_nested, .release_results = hn_release_results, .user = &e};
  x.in = hn_arena_alloc(a, sizeof *x.in * n->n_in);
  x.out = hn_arena_alloc(a, sizeof *x.out * n->n_out);
  hone_status st = t.in && t.out && x.in && x.out ? HONE_OK : hn_nomem(g->cx);
  for (uint32_t i = 0; i < n->n_out; i++) outs[i] = NULL;
  for (uint32_t i = 0; i < n->n_in && !st; i++) {
    x.in[i] = in[i];
    describe(&t.in[i], &in[i]);
  }
  for (uint32_t i = 0; i < n->n_out && !st; i++) t.out[i].present = n->out[i] != HN_NONE;
  if (!st) st = k->run(&x);
  if (!st && n->n_post) st = hn_apply_epilogue_ref(&x);
  for (uint32_t i = 0; i < n->n_out && st; i++) {
    hn_tensor_unref(outs[i]);
    outs[i] = NULL;
  }
  hn_arena_destroy(a);
  return st;
}

hone_status hn_eval_constant(hn_graph *g, hn_id node, hn_tensor **outs) {
  const hn_node *n = hn_node_at(g, node);
  hn_view *in = hn_calloc(n->n_in, sizeof *in);
  if (!in) return hn_nomem(g->cx);
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < n->n_in && !st; i++) {
    if (n->in[i] == HN_NONE) continue;
    const hn_tensor *t = hn_const(g, n->in[i]);
    if (!t) st = hn_fail(g->cx, HONE_BAD_ARG, "node '%s' (%s): input %u is not constant", n->name, hn_op_name(n->op), i);
    else in[i] = hn_view_of(t);
  }
  if (!st) st = hn_eval_node(g, node, in, outs);
  hn_free(in);
  return st;
}
