#include "device/cpu/vec/chain.h"

#include <string.h>

#include "device/nd.h"
#include "device/cpu/quant/convert_runs.h"
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
  struct {
    size_t size;                       /* of an element */
    hn_load_run load;                  /* NULL: floats already; the output has `store` */
    hn_store_run store;
    float scale, zero;
  } form[HN_ND_OPERANDS];              /* how nd operand k is stored */
  int threads;
  /* Lanes of the last block of channels that are padding and that the steps would not leave zero. */
  int64_t pad_images, pad_image, pad_from, pad_pixels, pad_block, pad_used;
};

static bool known(const hn_vec *v, const hn_step *s) {
  return s->operand == HN_NONE ? v->unary[s->op] != NULL : v->binary[s->op] != NULL;
}

/* How an operand is stored. */
static void describe_form(const hn_task *t, hn_chain *c, int32_t k, const hn_arg *a) {
  const hn_convert *convert = hn_convert_for(t->device->isa);
  c->form[k].size = hone_dtype_size(a->dtype);
  c->form[k].load = convert->load[a->dtype];
  c->form[k].store = convert->store[a->dtype];
  c->form[k].scale = a->quant ? a->quant->scale : 1;
  c->form[k].zero = a->quant ? (float)a->quant->zero : 0;
}

/* Whole numbers as such, which only a Cast reads. */
static bool whole_numbers(const hn_arg *a) { return !a->quant && (a->dtype == HONE_DTYPE_I32 || hn_is_8bit(a->dtype)); }

/* Adds an input to the walk, in the layout that costs least: the output's for one of its shape, else as it lies. */
static bool add_operand(hn_task *t, hn_nd *nd, hn_arg *a) {
  const hn_arg *o = &t->out[0];
  if (!a->present || !(hn_as_floats(a) || whole_numbers(a)) || a->dynamic || (a->quant && o->layout > HN_LAYOUT_NHWC)) return false;
  if (hn_same_dims(a, o)) a->layout = o->layout;
  hn_take_pitch(a);
  if (hn_nd_operand(nd, o->layout, o->rank, o->dims, a)) return true;
  a->layout = HN_LAYOUT_PLAIN;
  hn_take_pitch(a);
  if (hn_nd_operand(nd, o->layout, o->rank, o->dims, a)) return true;
  a->layout = o->layout;
  hn_take_pitch(a);
  return a->rank == o->rank && hn_nd_operand(nd, o->layout, o->rank, o->dims, a);
}

/* Do the steps make zero of zero? Operands in the output's own layout are zero in the padding, others may be not. */
static bool keeps_zero(const hn_chain *c, const hn_task *t) {
  double v = 0;
  if (c->source != HN_NONE && !hn_same_dims(&t->in[c->source], &t->out[0])) return false;
  for (uint32_t i = 0; i < c->n; i++) {
    const hn_step *s = &c->steps[i];
    if (s->operand == HN_NONE) v = hn_scalar_unary(s->op, v, (double)s->alpha, (double)s->beta);
    else if (!hn_same_dims(&t->in[s->operand], &t->out[0])) return false;
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

static void clear_padding(const hn_chain *c, unsigned char *out) {
  size_t size = c->form[0].size;
  for (int64_t i = 0; i < c->pad_images; i++)
    for (int64_t p = 0; p < c->pad_pixels; p++)
      memset(out + size * (size_t)(i * c->pad_image + c->pad_from + p * c->pad_block + c->pad_used), 0,
             size * (size_t)(c->pad_block - c->pad_used));
}

static bool compile(hn_task *t, hn_chain *c) {
  const hn_arg *o = &t->out[0];
  hn_nd_begin(&c->nd, o->layout, o->rank, o->dims, o->pitched ? o->pitch : 0);
  describe_form(t, c, 0, o);
  if (c->form[0].store && o->quant && o->layout > HN_LAYOUT_NHWC) return false; /* padding must be the zero point there */
  if (c->source != HN_NONE) {
    c->input[1] = c->source;
    if (!add_operand(t, &c->nd, &t->in[c->source])) return false;
    describe_form(t, c, 1, &t->in[c->source]);
  } else if (c->form[0].store && o->quant) {
    return false; /* in place the numbers to start from were cut to the output's range already */
  }
  for (uint32_t i = 0; i < c->n; i++) {
    const hn_step *s = &c->steps[i];
    c->operand[i] = -1;
    if (!known(c->vec, s)) return false;
    if (s->operand == HN_NONE) continue;
    c->operand[i] = c->nd.n;
    if (!add_operand(t, &c->nd, &t->in[s->operand])) return false;
    describe_form(t, c, c->operand[i], &t->in[s->operand]);
    c->input[c->operand[i]] = s->operand;
  }
  plan_padding(c, t);
  hn_nd_merge(&c->nd);
  return true;
}

hone_status hn_chain_create(hn_task *t, uint32_t source, const hn_step *steps, uint32_t n, hn_chain **out) {
  const hn_cpu *cpu = t->device;
  if (!cpu || !hn_as_floats(&t->out[0]) || t->out[0].dynamic) return HONE_UNSUPPORTED;
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

/* n elements of nd operand k from `at` on as floats: where they lie, or lined up in `to`. */
static const float *fetch(const hn_chain *c, hn_exec *x, int k, int64_t at, int64_t step, int64_t n, float *to) {
  const unsigned char *from = (const unsigned char *)x->in[c->input[k]].data + (size_t)at * c->form[k].size;
  unsigned char bytes[4 * CHUNK];
  if (!c->form[k].load) {
    const float *v = (const float *)(const void *)from;
    if (step == 1) return v;
    for (int64_t i = 0; i < n; i++) to[i] = v[i * step];
    return to;
  }
  size_t size = c->form[k].size;
  if (step != 1) {
    for (int64_t i = 0; i < n; i++)
      if (size == 1) bytes[i] = from[i * step];
      else if (size == 2) memcpy(bytes + 2 * i, from + 2 * i * step, 2);
      else memcpy(bytes + 4 * i, from + 4 * i * step, 4);
    from = bytes;
  }
  c->form[k].load(to, from, (size_t)n, c->form[k].scale, c->form[k].zero);
  return to;
}

static void run_chunk(const hn_chain *c, hn_exec *x, const int64_t *at, int64_t from, int64_t n) {
  float lined_up[CHUNK], stored[CHUNK];
  int32_t last = c->nd.rank - 1;
  unsigned char *out = (unsigned char *)x->out[0].data + (size_t)(at[0] + from * c->nd.stride[0][last]) * c->form[0].size;
  float *d = c->form[0].store ? stored : (float *)(void *)out;
  const float *v = d;
  if (c->source == HN_NONE && c->form[0].load) c->form[0].load(d, out, (size_t)n, c->form[0].scale, c->form[0].zero);
  if (c->source != HN_NONE) {
    int64_t step = c->nd.stride[1][last];
    v = fetch(c, x, 1, at[1] + from * step, step, n, d);
    if (!c->n && v != d && !c->form[0].store) memcpy(d, v, sizeof *d * (size_t)n);
  }
  for (uint32_t i = 0; i < c->n; i++, v = d) {
    const hn_step *s = &c->steps[i];
    int k = c->operand[i];
    if (k < 0) {
      c->vec->unary[s->op](d, v, (size_t)n, s->alpha, s->beta);
      continue;
    }
    int64_t step = c->nd.stride[k][last];
    const float *y = fetch(c, x, k, at[k] + from * step, step, step ? n : 1, lined_up);
    if (step == 0) (s->swapped ? c->vec->left : c->vec->right)[s->op](d, v, *y, (size_t)n);
    else c->vec->binary[s->op](d, s->swapped ? y : v, s->swapped ? v : y, (size_t)n);
  }
  if (c->form[0].store) c->form[0].store(out, v, (size_t)n, c->form[0].scale, c->form[0].zero);
}

static void run_line(void *arg, const int64_t *at, int64_t n) {
  const chain_run *r = arg;
  int64_t most = r->c->nd.stride[0][r->c->nd.rank - 1] == 1 ? CHUNK : 1; /* one channel, with gaps */
  for (int64_t from = 0; from < n; from += most) run_chunk(r->c, r->x, at, from, n - from < most ? n - from : most);
}

void hn_chain_run(const hn_chain *c, hn_exec *x) {
  chain_run r = {c, x};
  hn_nd_for(&c->nd, c->threads, GRAIN, run_line, &r);
  if (c->pad_block) clear_padding(c, x->out[0].data);
}

void hn_chain_run_part(const hn_chain *c, hn_exec *x, int64_t from, int64_t n) {
  chain_run r = {c, x};
  hn_nd_part(&c->nd, from, n, run_line, &r);
}
