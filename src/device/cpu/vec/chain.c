#include "device/cpu/vec/chain.h"

#include <string.h>

#include "device/cpu/nd.h"
#include "device/cpu/vec/float_runs.h"
#include "op/scalar.h"

enum { CHUNK = 1024, GRAIN = 16384 };

struct hn_chain {
  const hn_vec *vec;
  hn_nd nd;                            /* operand 0: the output; 1: the source; then one for each binary step */
  uint32_t source, n;
  hn_step *steps;
  int *operand;                        /* nd operand of each step, or -1 */
  uint32_t input[HN_ND_OPERANDS];      /* input that nd operand k is */
  int threads;
  /* Lanes of the last block of channels that are padding and that the steps would not leave zero. */
  int64_t pad_images, pad_image, pad_from, pad_pixels, pad_block, pad_used;
};

static bool known(const hn_vec *v, const hn_step *s) {
  return s->operand == HN_NONE ? v->unary[s->op] != NULL : v->binary[s->op] != NULL;
}

static bool same_dims(const hn_arg *a, const hn_arg *b) {
  return a->rank == b->rank && (!a->rank || memcmp(a->dims, b->dims, sizeof *a->dims * (size_t)a->rank) == 0);
}

/* Adds an input to the walk, in the layout that costs least: the output's for one of its shape, else as it lies. */
static bool add_operand(hn_task *t, hn_nd *nd, hn_arg *a) {
  const hn_arg *o = &t->out[0];
  if (!a->present || a->dtype != HONE_DTYPE_F32 || a->dynamic) return false;
  if (same_dims(a, o)) a->layout = o->layout;
  if (hn_nd_operand(nd, o->layout, o->rank, o->dims, a)) return true;
  a->layout = HN_LAYOUT_PLAIN;
  if (hn_nd_operand(nd, o->layout, o->rank, o->dims, a)) return true;
  a->layout = o->layout;
  return a->rank == o->rank && hn_nd_operand(nd, o->layout, o->rank, o->dims, a);
}

/* Do the steps make zero of zero? Operands in the output's own layout are zero in the padding, others may be not. */
static bool keeps_zero(const hn_chain *c, const hn_task *t) {
  double v = 0;
  if (c->source != HN_NONE && !same_dims(&t->in[c->source], &t->out[0])) return false;
  for (uint32_t i = 0; i < c->n; i++) {
    const hn_step *s = &c->steps[i];
    if (s->operand == HN_NONE) v = hn_scalar_unary(s->op, v, (double)s->alpha, (double)s->beta);
    else if (!same_dims(&t->in[s->operand], &t->out[0])) return false;
    else v = hn_scalar_binary(s->op, 0, 0);
    if (v != 0) return false;
  }
  return true;
}

static void plan_padding(hn_chain *c, const hn_task *t) {
  const hn_arg *o = &t->out[0];
  int64_t physical[HN_ND_RANK];
  int32_t n = hn_layout_dims(o->layout, o->rank, o->dims, physical);
  if (n == o->rank || o->dims[1] % physical[n - 1] == 0 || keeps_zero(c, t)) return;
  c->pad_block = physical[n - 1];
  c->pad_used = o->dims[1] % c->pad_block;
  c->pad_images = physical[0];
  c->pad_pixels = 1;
  for (int32_t i = 2; i < n - 1; i++) c->pad_pixels *= physical[i];
  c->pad_image = physical[1] * c->pad_pixels * c->pad_block;
  c->pad_from = (physical[1] - 1) * c->pad_pixels * c->pad_block;
}

static void clear_padding(const hn_chain *c, float *out) {
  for (int64_t i = 0; i < c->pad_images; i++)
    for (int64_t p = 0; p < c->pad_pixels; p++)
      memset(out + i * c->pad_image + c->pad_from + p * c->pad_block + c->pad_used, 0,
             sizeof *out * (size_t)(c->pad_block - c->pad_used));
}

static bool compile(hn_task *t, hn_chain *c) {
  const hn_arg *o = &t->out[0];
  hn_nd_begin(&c->nd, o->layout, o->rank, o->dims);
  if (c->source != HN_NONE) {
    c->input[1] = c->source;
    if (!add_operand(t, &c->nd, &t->in[c->source])) return false;
  }
  for (uint32_t i = 0; i < c->n; i++) {
    const hn_step *s = &c->steps[i];
    c->operand[i] = -1;
    if (!known(c->vec, s)) return false;
    if (s->operand == HN_NONE) continue;
    c->operand[i] = c->nd.n;
    if (!add_operand(t, &c->nd, &t->in[s->operand])) return false;
    c->input[c->operand[i]] = s->operand;
  }
  plan_padding(c, t);
  hn_nd_merge(&c->nd);
  return true;
}

hone_status hn_chain_create(hn_task *t, uint32_t source, const hn_step *steps, uint32_t n, hn_chain **out) {
  const hn_cpu *cpu = t->device;
  if (!cpu || t->out[0].dtype != HONE_DTYPE_F32 || t->out[0].dynamic) return HONE_UNSUPPORTED;
  hn_chain *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(t->cx);
  c->steps = hn_calloc(n ? n : 1, sizeof *c->steps);
  c->operand = hn_calloc(n ? n : 1, sizeof *c->operand);
  hone_status st = c->steps && c->operand ? HONE_OK : hn_nomem(t->cx);
  if (!st) {
    if (n) memcpy(c->steps, steps, sizeof *steps * n);
    c->n = n;
    c->source = source;
    c->vec = cpu->vec;
    c->threads = t->threads;
    if (!compile(t, c)) st = HONE_UNSUPPORTED;
  }
  if (st) hn_chain_destroy(c);
  else *out = c;
  return st;
}

void hn_chain_destroy(hn_chain *c) {
  if (!c) return;
  hn_free(c->steps);
  hn_free(c->operand);
  hn_free(c);
}

typedef struct chain_run {
  const hn_chain *c;
  hn_exec *x;
} chain_run;

static const float *gather(float *to, const float *from, int64_t step, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = from[i * step];
  return to;
}

static void run_chunk(const hn_chain *c, hn_exec *x, const int64_t *at, int64_t from, int64_t n) {
  float lined_up[CHUNK];
  int32_t last = c->nd.rank - 1;
  float *d = (float *)x->out[0].data + at[0] + from;
  const float *v = d;
  if (c->source != HN_NONE) {
    int64_t step = c->nd.stride[1][last];
    v = (const float *)x->in[c->source].data + at[1] + from * step;
    if (step != 1) v = gather(d, v, step, n);
    else if (!c->n && v != d) memcpy(d, v, sizeof *d * (size_t)n);
  }
  for (uint32_t i = 0; i < c->n; i++, v = d) {
    const hn_step *s = &c->steps[i];
    int k = c->operand[i];
    if (k < 0) {
      c->vec->unary[s->op](d, v, (size_t)n, s->alpha, s->beta);
      continue;
    }
    int64_t step = c->nd.stride[k][last];
    const float *y = (const float *)x->in[c->input[k]].data + at[k] + from * step;
    if (step == 0) {
      (s->swapped ? c->vec->left : c->vec->right)[s->op](d, v, *y, (size_t)n);
      continue;
    }
    if (step != 1) y = gather(lined_up, y, step, n);
    c->vec->binary[s->op](d, s->swapped ? y : v, s->swapped ? v : y, (size_t)n);
  }
}

static void run_line(void *arg, const int64_t *at, int64_t n) {
  const chain_run *r = arg;
  for (int64_t from = 0; from < n; from += CHUNK) run_chunk(r->c, r->x, at, from, n - from < CHUNK ? n - from : CHUNK);
}

void hn_chain_run(const hn_chain *c, hn_exec *x) {
  chain_run r = {c, x};
  hn_nd_for(&c->nd, c->threads, GRAIN, run_line, &r);
  if (c->pad_block) clear_padding(c, x->out[0].data);
}
