/* chain_cuda.c - element-wise nodes, and the epilogue of any node, as chains of steps. */
#include <math.h>
#include <string.h>

#include "device/cuda/cuda_kernel.h"
#include "op/infer.h"
#include "op/scalar.h"

/* ---- compiling */

typedef struct compiler {
  const hn_task *t;
  hn_cuda_chain *c;
  hn_nd nd;
} compiler;

static void describe(hn_gpu_operand *o, const hn_arg *a) {
  o->dtype = (uint8_t)a->dtype;
  o->scale = a->quant ? a->quant->scale : 1;
  o->zero = a->quant ? (float)a->quant->zero : 0;
}

/* The operand that input `in` is, added if it is new; -1: it cannot be one. */
static int operand_of(compiler *k, uint32_t in) {
  const hn_arg *a = &k->t->in[in], *o = &k->t->out[0];
  for (int32_t i = 1; i < k->nd.n; i++)
    if (k->c->input[i] == in) return i;
  if (!a->present || k->nd.n == HN_GPU_OPERANDS || a->layout > HN_LAYOUT_NHWC) return -1;
  if (!hn_nd_operand(&k->nd, o->layout, o->rank, o->dims, a)) return -1;
  int i = k->nd.n - 1;
  k->c->input[i] = in;
  k->c->gpu.quantized = k->c->gpu.quantized || a->quant;
  describe(&k->c->gpu.operand[i], a);
  return i;
}

static bool add_step(compiler *k, const hn_cuda_step *s, bool ints) {
  hn_gpu_chain *g = &k->c->gpu;
  hn_gpu_step *d = &g->step[g->steps];
  bool unary = s->operand == HN_NONE && !s->number, predicate = s->op == HN_IsNaN || s->op == HN_IsInf;
  if (g->steps == HN_GPU_STEPS) return false;
  if (s->op != HN_Where && !predicate) {
    if (ints && (unary ? !hn_scalar_unary_irun(s->op) : !hn_scalar_binary_irun(s->op))) return false;
    if (!ints && (unary ? !hn_scalar_unary_run(s->op) : !hn_scalar_binary_run(s->op))) return false;
  }
  *d = (hn_gpu_step){.op = (uint16_t)s->op, .operand = -1, .second = -1, .swapped = s->swapped, .mode = s->mode, .alpha = s->alpha, .beta = s->beta};
  g->rare = g->rare || hn_gpu_rare((int)s->op);
  if (!unary && !s->number) {
    int at = operand_of(k, s->operand);
    if (at < 0) return false;
    d->operand = (int8_t)at;
  }
  d->number = s->number;
  if (s->second != HN_NONE) {
    int at = operand_of(k, s->second);
    if (at < 0) return false;
    d->second = (int8_t)at;
  }
  g->steps++;
  return true;
}

/* Eight elements at a time: runs of a multiple of eight, which begin at multiples of eight in every operand. */
static bool can_vectorize(const hn_nd *nd) {
  if (nd->rank > 1 && nd->dims[nd->rank - 1] % HN_GPU_VECTOR) return false;
  for (int32_t k = 0; k < nd->n; k++)
    for (int32_t d = 0; d < nd->rank - 1; d++)
      if (nd->stride[k][nd->rank - 1] == 1 && nd->stride[k][d] % HN_GPU_VECTOR) return false;
  return true;
}

bool hn_cuda_chain_of(const hn_task *t, uint32_t source, const hn_cuda_step *steps, uint32_t n, bool ints, hn_cuda_chain *c) {
  const hn_arg *o = &t->out[0];
  compiler k = {.t = t, .c = c};
  *c = (hn_cuda_chain){.gpu = {.ints = ints, .quantized = o->quant != NULL}};
  if (o->layout > HN_LAYOUT_NHWC || (o->quant && o->quant->scales)) return false;
  hn_nd_begin(&k.nd, o->layout, o->rank, o->dims, 0);
  c->input[0] = HN_NONE;
  describe(&c->gpu.operand[0], o);
  if (source != HN_NONE) {
    c->gpu.source = operand_of(&k, source);
    if (c->gpu.source < 0) return false;
    c->gpu.u64 = t->in[source].dtype == HONE_DTYPE_U64;
  }
  for (uint32_t i = 0; i < n; i++)
    if (!add_step(&k, &steps[i], ints)) return false;
  c->operands = k.nd.n;
  hn_nd_merge(&k.nd);
  c->gpu.rank = k.nd.rank;
  c->gpu.n = (uint32_t)hn_cuda_count(o);
  c->gpu.vector = can_vectorize(&k.nd);
  for (int32_t d = 0; d < k.nd.rank; d++) c->gpu.dim[d] = hn_gpu_div_of(k.nd.dims[d]);
  for (int32_t i = 0; i < k.nd.n; i++) {
    hn_gpu_operand *p = &c->gpu.operand[i];
    p->dense = true;
    for (int32_t d = 0; d < k.nd.rank; d++) {
      c->gpu.stride[i][d] = (uint32_t)k.nd.stride[i][d];
      p->dense = p->dense && k.nd.stride[i][d] == k.nd.stride[0][d];
    }
  }
  return true;
}

hone_status hn_cuda_chain_run(hn_exec *x, const hn_cuda_chain *c, const void *const *more) {
  hn_gpu_chain g = c->gpu;
  for (int i = 0; i < HN_GPU_OPERANDS; i++) {
    uint32_t in = c->input[i];
    g.operand[i].p = i == 0 ? x->out[0].data : i >= c->operands ? NULL : in < x->n_in ? x->in[in].data : more[in - x->n_in];
    g.vector = g.vector && (uintptr_t)g.operand[i].p % 16 == 0;
  }
  hn_gpu_chain_run(hn_cuda_stream(x), &g);
  return hn_cuda_launched(x);
}

/* ---- epilogues */

static bool epilogue_of(const hn_task *t, hn_cuda_chain *c) {
  hn_cuda_step steps[HN_GPU_STEPS];
  uint32_t n = t->node->n_post - t->fused;
  if (n > HN_GPU_STEPS || t->out[0].quant || !hn_cuda_float(&t->out[0])) return false;
  for (uint32_t i = 0; i < n; i++) {
    const hn_step *p = &t->node->post[t->fused + i];
    steps[i] = hn_cuda_step_of(p);
    if (p->operand != HN_NONE && !hn_cuda_real(&t->in[p->operand])) return false;
  }
  return hn_cuda_chain_of(t, HN_NONE, steps, n, false, c);
}

bool hn_cuda_takes_epilogue(const hn_task *t) {
  hn_cuda_chain c;
  return hn_cuda_fits(t) && epilogue_of(t, &c);
}

hone_status hn_cuda_epilogue(hn_exec *x) {
  hn_cuda_chain c;
  if (!epilogue_of(x->task, &c)) return hn_xfail(x, HONE_UNSUPPORTED, "its epilogue cannot run on the device");
  return hn_cuda_chain_run(x, &c, NULL);
}

/* ---- nodes */

typedef struct outline {
  uint32_t source, n;
  bool ints;
  hn_cuda_step steps[HN_GPU_STEPS];
} outline;

static bool push(outline *o, hn_cuda_step s) {
  if (o->n == HN_GPU_STEPS) return false;
  o->steps[o->n++] = s;
  return true;
}

/* Bounds are numbers where they are constants, else inputs. */
static bool outline_clip(const hn_task *t, outline *o) {
  hn_cuda_step clip = {.op = HN_Clip, .operand = HN_NONE, .second = HN_NONE, .alpha = -INFINITY, .beta = INFINITY};
  bool numbers = !o->ints;
  for (uint32_t i = 1; i < 3; i++) {
    if (!hn_cuda_given(t, i)) continue;
    const hn_tensor *c = t->in[i].constant;
    bool type = t->in[0].quant ? hn_cuda_float(&t->in[i]) : t->in[i].dtype == t->in[0].dtype;
    if (!type || hn_cuda_count(&t->in[i]) != 1) return false;
    numbers = numbers && c;
    if (numbers) *(i == 1 ? &clip.alpha : &clip.beta) = (float)hn_tensor_f(c, 0);
  }
  if (numbers) return push(o, clip);
  for (uint32_t i = 1; i < 3; i++)
    if (hn_cuda_given(t, i) && !push(o, (hn_cuda_step){.op = i == 1 ? HN_Max : HN_Min, .operand = i, .second = HN_NONE})) return false;
  return true;
}

/* The input to start from: one that need not be broadcast, if there is one. */
static uint32_t first_whole(const hn_task *t) {
  for (uint32_t i = 0; i < t->node->n_main; i++)
    if (hn_cuda_given(t, i) && hn_cuda_same_dims(&t->in[i], &t->out[0])) return i;
  return 0;
}

static bool outline_several(const hn_task *t, outline *o) {
  const hn_node *n = t->node;
  bool ordered = !hn_op_is(n->op, HN_OP_COMMUTATIVE);
  o->source = first_whole(t);
  for (uint32_t i = 0; i < n->n_main; i++)
    if (i != o->source && !push(o, (hn_cuda_step){.op = n->op, .operand = i, .second = HN_NONE, .swapped = ordered && o->source > i, .mode = (uint8_t)hn_scalar_mode(n)}))
      return false;
  if (n->op != HN_Mean) return true;
  return !o->ints && push(o, (hn_cuda_step){.op = HN_Div, .operand = HN_NONE, .second = HN_NONE, .number = true, .alpha = (float)n->n_main});
}

static bool outline_main(const hn_task *t, outline *o) {
  const hn_node *n = t->node;
  hn_cuda_step s = {.op = n->op, .operand = HN_NONE, .second = HN_NONE};
  switch (n->op) {
    case HN_Clip: return outline_clip(t, o);
    case HN_Cast:
    case HN_CastLike:
    case HN_Identity: return true;
    case HN_Where:
      o->source = 1;
      s.operand = 0;
      s.second = 2;
      return push(o, s);
    case HN_IsInf:
      s.alpha = hn_attr_i(n, "detect_negative", 1) != 0;
      s.beta = hn_attr_i(n, "detect_positive", 1) != 0;
      return push(o, s);
    case HN_IsNaN: return push(o, s);
    default: break;
  }
  if (!hn_op_is(n->op, HN_OP_UNARY)) return outline_several(t, o);
  hn_scalar_params(n, &s.alpha, &s.beta);
  return push(o, s);
}

static bool whole_ints(const hn_arg *a) { return hn_is_int(a->dtype) && !a->quant && hone_dtype_size(a->dtype) > 0; }

/* Types: all floats (or reals), all integers, or what Cast, comparisons and Where mix. */
static bool types_fit(const hn_task *t, bool *ints) {
  const hn_node *n = t->node;
  const hn_arg *o = &t->out[0];
  bool cast = n->op == HN_Cast || n->op == HN_CastLike, truth = o->dtype == HONE_DTYPE_BOOL;
  uint32_t first = n->op == HN_Where, last = n->op == HN_CastLike ? 1 : n->n_main;
  *ints = true;
  for (uint32_t i = first; i < last; i++)
    if (hn_cuda_given(t, i) && !whole_ints(&t->in[i])) *ints = false;
  if (cast) {
    bool from = hn_cuda_real(&t->in[0]) || whole_ints(&t->in[0]), to = hn_cuda_real(o) || whole_ints(o);
    *ints = *ints && whole_ints(o);
    return from && to;
  }
  if (*ints) return whole_ints(o);
  for (uint32_t i = first; i < last; i++)
    if (hn_cuda_given(t, i) && !hn_cuda_real(&t->in[i]) && !(n->op == HN_Pow && i == 1 && whole_ints(&t->in[1]))) return false;
  return hn_cuda_real(o) || (truth && !o->quant);
}

static bool outline_of(const hn_task *t, outline *o) {
  const hn_node *n = t->node;
  *o = (outline){.n = 0};
  if (!types_fit(t, &o->ints) || !outline_main(t, o)) return false;
  if (n->n_post && (o->ints || !hn_cuda_real(&t->out[0]))) return false;
  for (uint32_t i = 0; i < n->n_post; i++) {
    const hn_step *p = &n->post[i];
    if (p->operand != HN_NONE && !hn_cuda_real(&t->in[p->operand])) return false;
    if (!push(o, hn_cuda_step_of(p))) return false;
  }
  return true;
}

bool eltwise_cuda_supports(const hn_task *t) {
  outline o;
  return hn_cuda_fits(t) && outline_of(t, &o);
}

void hn_cuda_lie_as_output(hn_task *t, uint32_t i) {
  hn_arg *a = &t->in[i];
  const hn_arg *o = &t->out[0];
  if (hn_cuda_same_dims(a, o)) a->layout = o->layout;
  else a->layout = a->layout == HN_LAYOUT_NHWC && a->rank == o->rank ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
}

/* Channels last where an input that is not a constant lies so, since what is around it does too. */
static void choose_layouts(hn_task *t) {
  hn_arg *o = &t->out[0];
  o->layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].present && !t->in[i].constant && t->in[i].layout != HN_LAYOUT_PLAIN && hn_cuda_same_dims(&t->in[i], o)) o->layout = HN_LAYOUT_NHWC;
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].present) hn_cuda_lie_as_output(t, i);
}

hone_status eltwise_cuda_plan(hn_task *t) {
  outline o;
  hn_cuda_chain *c;
  if (!outline_of(t, &o)) return HONE_UNSUPPORTED;
  choose_layouts(t);
  HN_TRY(hn_cuda_state(t, sizeof *c, &c));
  if (!hn_cuda_chain_of(t, o.source, o.steps, o.n, o.ints, c)) return HONE_UNSUPPORTED;
  bool read[2 * HN_GPU_STEPS + 1] = {false};
  for (int i = 1; i < HN_GPU_OPERANDS; i++)
    if (c->input[i] < sizeof read) read[c->input[i]] = true;
  for (uint32_t i = 0; i < t->n_in && i < sizeof read; i++)
    if (t->in[i].present && !read[i]) t->in[i].unused = true;
  t->fused = t->node->n_post;
  const hn_arg *s = &t->in[o.source];
  if (s->may_overwrite && s->dtype == t->out[0].dtype && hn_cuda_same_dims(s, &t->out[0])) t->inplace = (int)o.source;
  return HONE_OK;
}

hone_status eltwise_cuda_run(hn_exec *x) { return hn_cuda_chain_run(x, x->task->state, NULL); }

HN_CUDA_DESTROY(eltwise_cuda)
