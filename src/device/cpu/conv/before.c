#include "device/cpu/conv/before.h"

#include <math.h>
#include <string.h>

#include "op/scalar.h"

/* A constant with a number for each channel of an image, or one for all. */
static bool is_per_channel(const hn_graph *g, hn_id v, int32_t rank, int64_t channels) {
  const hn_tensor *c = hn_const(g, v);
  if (!c || c->dtype != HONE_DTYPE_F32 || c->rank > rank || c->count < 1) return false;
  for (int32_t i = 0; i < c->rank; i++)
    if (c->dims[i] != 1 && (rank - c->rank + i != 1 || c->dims[i] != channels)) return false;
  return true;
}

/* x -> x scale + shift, so far; scale NULL: only whether it is possible. */
static bool add_factor(const hn_graph *g, hn_op op, bool swapped, hn_id v, int32_t rank, int64_t channels, float *scale, float *shift) {
  if ((op != HN_Mul && op != HN_Add && op != HN_Sub && op != HN_Div) || (swapped && op != HN_Mul && op != HN_Add)) return false;
  if (!is_per_channel(g, v, rank, channels)) return false;
  const hn_tensor *t = hn_const(g, v);
  for (int64_t c = 0; c < channels && scale; c++) {
    float y = ((const float *)t->data)[t->count == 1 ? 0 : c];
    switch (op) {
      case HN_Mul: scale[c] *= y, shift[c] *= y; break;
      case HN_Div: scale[c] /= y, shift[c] /= y; break;
      case HN_Add: shift[c] += y; break;
      default: shift[c] -= y; break;
    }
  }
  return true;
}

static bool add_unary(const hn_step *s, hn_before *b) {
  bool bounds = (s->op == HN_Relu || s->op == HN_Clip) && !b->n;
  if (bounds) {
    float lo = s->op == HN_Relu ? 0 : s->alpha, hi = s->op == HN_Relu ? INFINITY : s->beta;
    b->lo = fminf(fmaxf(b->lo, lo), hi);
    b->hi = fminf(fmaxf(b->hi, lo), hi);
    return true;
  }
  if (b->n == sizeof b->unary / sizeof *b->unary || !hn_op_is(s->op, HN_OP_UNARY) || s->op == HN_Identity || !hn_vec_portable.unary[s->op]) return false;
  b->unary[b->n++] = *s;
  return true;
}

static bool resolve(const hn_graph *g, const hn_node *e, uint32_t *input, hn_before *b, float *scale, float *shift) {
  bool affine = true; /* nothing but factors and additions so far */
  if (e->n_main < 1 || e->n_main > 2 || e->n_out != 1) return false;
  *input = e->n_main == 2 && hn_const(g, e->in[0]) ? 1 : 0;
  const hn_value *x = hn_value_at(g, e->in[*input]);
  const hn_shape *out = &hn_value_at(g, e->out[0])->shape;
  if (x->data || x->dtype != HONE_DTYPE_F32 || hn_value_at(g, e->out[0])->dtype != HONE_DTYPE_F32 || x->shape.rank < 3 ||
      x->shape.rank > 4 || !hn_shape_fixed(&x->shape) || !hn_shape_equal(&x->shape, out))
    return false;
  int32_t rank = x->shape.rank;
  int64_t channels = x->shape.d[1];
  for (int64_t c = 0; c < channels && scale; c++) scale[c] = 1, shift[c] = 0;
  if (e->n_main == 2) {
    if (!add_factor(g, e->op, *input == 1, e->in[1 - *input], rank, channels, scale, shift)) return false;
  } else {
    hn_step s = {.op = e->op, .operand = HN_NONE};
    if (!hn_op_is(e->op, HN_OP_UNARY) || e->op == HN_Clip) return false; /* a Clip's bounds are inputs */
    hn_scalar_params(e, &s.alpha, &s.beta);
    if (!add_unary(&s, b)) return false;
    affine = false;
  }
  for (uint32_t i = 0; i < e->n_post; i++) {
    const hn_step *s = &e->post[i];
    if (s->operand == HN_NONE) affine = false;
    else if (!affine) return false;
    if (affine ? !add_factor(g, s->op, s->swapped, e->in[s->operand], rank, channels, scale, shift) : !add_unary(s, b)) return false;
  }
  return true;
}

bool hn_before_possible(const hn_graph *g, const hn_node *e, uint32_t *input) {
  hn_before b = {.lo = -INFINITY, .hi = INFINITY};
  return resolve(g, e, input, &b, NULL, NULL);
}

hone_status hn_before_take(hn_task *t, hn_before *b) {
  uint32_t input;
  *b = (hn_before){.lo = -INFINITY, .hi = INFINITY, .vec = hn_cpu_of(t)->vec};
  int64_t channels = t->in[0].dims[1];
  size_t bytes = sizeof(float) * 2 * (size_t)channels;
  float *made = hn_calloc(1, bytes);
  if (!made) return hn_nomem(t->cx);
  void *packed;
  bool fill;
  hone_status st = resolve(t->g, t->before, &input, b, made, made + channels) ? HONE_OK : HONE_UNSUPPORTED;
  if (!st) st = hn_task_pack(t, bytes, hn_hash(made, bytes, 1), &packed, &fill);
  if (!st && fill) memcpy(packed, made, bytes);
  hn_free(made);
  if (st) return st;
  b->scale = packed;
  b->shift = b->scale + channels;
  return HONE_OK;
}
