/* blend_int8.c - sums and products of a tensor of bytes with numbers for each channel, known or not before the run, and with
   one more tensor of bytes, as gates with a residual and affine layers have them: all of it is x * a + b + r * c with a and b by
   channel, which are found at the begin of a run, and takes one pass over memory. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"

enum { MOST_TERMS = 8, GRAIN = 32768, LONGEST = 16384 };

typedef enum kind {
  KIND_X,       /* the tensor that the node starts from */
  KIND_R,       /* the other one of its shape */
  KIND_NUMBERS  /* one for each channel, or one for all */
} kind;

/* value op operand, or operand op value if swapped */
typedef struct term {
  hn_op op;
  bool swapped;
  kind kind;
  uint32_t input;
  int64_t channels, images; /* of numbers: 1, or as many as there are */
} term;

typedef struct blend {
  const hn_int8_tile *tile;
  int64_t n;                /* elements */
  uint32_t x, r;            /* inputs; r may be HN_NONE */
  uint32_t n_terms, taken;  /* taken: steps of the epilogue that are terms */
  term terms[MOST_TERMS];
  double r_scale;           /* what r's reals are multiplied by */
  hn_int8_way_out way;
  int64_t channels, period; /* as many channels, innermost, as have numbers of their own; repeated up to `period` */
  int64_t image, images;    /* elements with the same numbers, and how often there are others */
} blend;

/* A number for each channel (and image, if any is different), or one for all? */
static bool by_channel(const hn_arg *y, const hn_arg *o, term *m) {
  int32_t lead = o->rank - y->rank, axis = 1 - lead; /* of channels in y */
  m->channels = m->images = 1;
  if (!y->present || y->dynamic || (!hn_arg_is_bytes(y) && y->dtype != HONE_DTYPE_F32)) return false;
  if (hn_arg_count(y, 0, y->rank) == 1) return true;
  if (lead < 0 || o->rank < 2 || axis < 0 || axis >= y->rank || y->dims[axis] != o->dims[1]) return false;
  for (int32_t i = 0; i < y->rank; i++)
    if (i != axis && y->dims[i] != 1 && !(i + lead == 0 && y->dims[i] == o->dims[0])) return false;
  m->channels = o->dims[1];
  m->images = hn_arg_count(y, 0, y->rank) / m->channels;
  return true;
}

/* One more operand; false: it is none that fits. */
static bool add_term(const hn_task *t, blend *b, hn_op op, uint32_t input, bool swapped) {
  const hn_arg *y = &t->in[input];
  term *m = &b->terms[b->n_terms];
  if (b->n_terms == MOST_TERMS || (op != HN_Add && op != HN_Sub && op != HN_Mul)) return false;
  *m = (term){.op = op, .swapped = swapped, .kind = KIND_NUMBERS, .input = input};
  if (op == HN_Sub && swapped) b->r_scale = -b->r_scale;
  if (by_channel(y, &t->out[0], m)) {
    if (op == HN_Mul && b->r != HN_NONE) { /* by one number, which is known */
      if (!y->constant || y->constant->count != 1 || y->dtype != HONE_DTYPE_F32) return false;
      b->r_scale *= hn_tensor_f(y->constant, 0);
    }
  } else {
    const hn_id *in = t->node->in;
    if (op == HN_Mul || !hn_arg_is_bytes(y) || !hn_same_dims(y, &t->out[0])) return false;
    m->kind = in[input] == in[b->x] ? KIND_X : KIND_R;
    if (m->kind == KIND_R && b->r != HN_NONE && in[b->r] != in[input]) return false;
    if (m->kind == KIND_R) b->r_scale += op == HN_Sub && !swapped ? -1 : 1, b->r = input;
  }
  b->channels = hn_larger(b->channels, m->channels);
  b->images = hn_larger(b->images, m->images);
  b->n_terms++;
  return true;
}

static bool describe(const hn_task *t, blend *b) {
  const hn_node *n = t->node;
  const hn_arg *o = &t->out[0];
  if (!t->device || !hn_arg_is_bytes(o) || n->n_main != 2) return false;
  uint32_t x = hn_arg_is_bytes(&t->in[0]) && hn_same_dims(&t->in[0], o) ? 0 : 1;
  if (!hn_arg_is_bytes(&t->in[x]) || !hn_same_dims(&t->in[x], o)) return false;
  *b = (blend){.x = x, .r = HN_NONE, .channels = 1, .images = 1, .n = hn_arg_count(o, 0, o->rank)};
  if (!b->n || !add_term(t, b, n->op, 1 - x, x == 1)) return false;
  for (; b->taken < n->n_post && n->post[b->taken].operand != HN_NONE; b->taken++)
    if (!add_term(t, b, n->post[b->taken].op, n->post[b->taken].operand, n->post[b->taken].swapped)) return false;
  for (uint32_t i = b->taken; i < n->n_post; i++)
    if (n->post[i].operand != HN_NONE) return false;
  b->image = b->n / b->images;
  return true;
}

bool blend_int8_supports(const hn_task *t) {
  blend b;
  return describe(t, &b);
}

/* Some thousand numbers, whole vectors if possible: a run over them has no ends to treat apart. */
static int64_t period_of(const blend *b) {
  int64_t n = b->channels;
  while (n % b->tile->wide && n <= LONGEST) n *= 2;
  if (n > LONGEST) return b->channels;
  return n < 1024 ? n * hn_ceil_div(1024, n) : n;
}

hone_status blend_int8_plan(hn_task *t) {
  blend *b = hn_calloc(1, sizeof *b);
  const hn_node *n = t->node;
  t->state = b;
  if (!b) return hn_nomem(t->cx);
  if (!describe(t, b)) return HONE_UNSUPPORTED;
  b->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  if (!hn_int8_function_of(t, n->post + b->taken, n->n_post - b->taken, -INFINITY, INFINITY, &b->way)) return HONE_UNSUPPORTED;
  hn_layout l = b->channels > 1 && t->out[0].rank > 2 ? HN_LAYOUT_NHWC : t->in[b->x].layout == HN_LAYOUT_PLAIN ? HN_LAYOUT_PLAIN : HN_LAYOUT_NHWC;
  for (uint32_t i = 0; i < b->n_terms; i++) t->in[b->terms[i].input].layout = b->terms[i].kind == KIND_NUMBERS ? HN_LAYOUT_PLAIN : l;
  t->in[b->x].layout = t->out[0].layout = l;
  b->period = period_of(b);
  t->scratch = 2 * sizeof(float) * (size_t)(b->period * b->images);
  if (t->in[b->x].may_overwrite && t->in[b->x].dtype == t->out[0].dtype) t->inplace = (int)b->x;
  t->fused = n->n_post;
  return HONE_OK;
}

void blend_int8_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* ---- running */

static double number(const hn_exec *x, const term *m, int64_t image, int64_t channel) {
  const hn_view *y = &x->in[m->input];
  int64_t i = (m->images > 1 ? image * m->channels : 0) + (m->channels > 1 ? channel : 0);
  if (y->dtype == HONE_DTYPE_F32) return (double)((const float *)y->data)[i];
  const hn_quant *q = x->task->in[m->input].quant;
  return ((y->dtype == HONE_DTYPE_I8 ? ((const int8_t *)y->data)[i] : ((const uint8_t *)y->data)[i]) - q->zero) * (double)q->scale;
}

/* The real number that x (as a real) times *a plus r times its factor plus *b is, less r's. */
static void find_numbers(const blend *e, const hn_exec *x, int64_t image, int64_t channel, double *a, double *b) {
  *a = 1, *b = 0;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const term *m = &e->terms[i];
    double v = m->kind == KIND_NUMBERS ? number(x, m, image, channel) : 0, same = m->kind == KIND_X;
    if (m->op == HN_Mul) *a *= v, *b *= v;
    else if (m->op == HN_Add) *a += same, *b += v;
    else if (m->swapped) *a = same - *a, *b = v - *b;
    else *a -= same, *b -= v;
  }
}

/* The numbers of each channel, over and over: first all a, then all b. */
static void lay_out(const blend *e, const hn_exec *x, float *to) {
  const hn_quant *q = x->task->in[e->x].quant, *r = e->r == HN_NONE ? NULL : x->task->in[e->r].quant;
  double by = e->way.by, less = r ? e->r_scale * (double)r->scale * r->zero : 0;
  float *second = to + e->images * e->period;
  for (int64_t i = 0; i < e->images; i++)
    for (int64_t k = 0; k < e->period; k++) {
      int64_t at = i * e->period + k;
      if (k >= e->channels) {
        to[at] = to[at - e->channels], second[at] = second[at - e->channels];
        continue;
      }
      double a, b;
      find_numbers(e, x, i, k, &a, &b);
      a *= (double)q->scale;
      to[at] = (float)(a * by);
      second[at] = (float)((b - a * q->zero - less) * by + e->way.shift);
    }
}

static void run_part(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const blend *e = x->task->state;
  const float *numbers = x->scratch;
  hn_int8_blend p = {.x_signed = x->in[e->x].dtype == HONE_DTYPE_I8, .ending = &e->way.ending};
  if (e->r != HN_NONE) {
    p.by = (float)(e->r_scale * (double)x->task->in[e->r].quant->scale * e->way.by);
    p.r_signed = x->in[e->r].dtype == HONE_DTYPE_I8;
  }
  for (int64_t at = begin, n; at < end; at += n) {
    int64_t k = at % e->image % e->period;
    n = hn_smaller(end - at, hn_smaller(e->image - at % e->image, e->period - k));
    p.a = numbers + at / e->image * e->period + k;
    p.b = p.a + e->images * e->period;
    p.x = (const uint8_t *)x->in[e->x].data + at;
    if (e->r != HN_NONE) p.r = (const uint8_t *)x->in[e->r].data + at;
    p.out = (uint8_t *)x->out[0].data + at;
    e->tile->blend(&p, n);
  }
}

hone_status blend_int8_run(hn_exec *x) {
  const blend *e = x->task->state;
  lay_out(e, x, x->scratch);
  hn_parallel_for(x->task->threads, e->n, GRAIN, run_part, x);
  return HONE_OK;
}
