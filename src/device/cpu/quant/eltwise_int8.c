/* eltwise_int8.c - element-wise nodes from bytes to bytes: functions of one tensor are a table of 256 entries, made by the
   reference arithmetic; sums and products of two of one shape are one pass over memory. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"
#include "op/infer.h"
#include "op/scalar.h"

enum { MAX_STEPS = 16, GRAIN = 32768 };

typedef struct eltwise {
  const hn_int8_tile *tile;
  int64_t n;                /* elements */
  uint8_t table[256];       /* of one tensor */
  uint32_t x, y;            /* of two: inputs; y HN_NONE: one */
  hn_int8_way_out way;
  hn_int8_pair pair;
} eltwise;

/* ---- of one tensor */

/* The node's own step and those behind; false if one has an operand. */
static bool unary_steps(const hn_task *t, hn_step *s, uint32_t *n) {
  const hn_node *node = t->node;
  *n = 0;
  if (!hn_op_is(node->op, HN_OP_UNARY) || node->n_post + 1 > MAX_STEPS) return false;
  hn_step own = {.op = node->op, .operand = HN_NONE};
  hn_scalar_params(node, &own.alpha, &own.beta);
  for (uint32_t i = 1; i < node->n_main; i++) { /* Clip's bounds */
    if (!t->in[i].present) continue;
    if (!t->in[i].constant || t->in[i].constant->count != 1) return false;
    *(i == 1 ? &own.alpha : &own.beta) = (float)hn_tensor_f(t->in[i].constant, 0);
  }
  if (node->op != HN_Identity) s[(*n)++] = own;
  for (uint32_t i = 0; i < node->n_post; i++) {
    if (node->post[i].operand != HN_NONE) return false;
    s[(*n)++] = node->post[i];
  }
  return true;
}

static void fill_table(const hn_task *t, const hn_step *s, uint32_t n, uint8_t table[256]) {
  const hn_quant *from = t->in[0].quant, *to = t->out[0].quant;
  double low = t->out[0].dtype == HONE_DTYPE_I8 ? -128 : 0;
  for (int i = 0; i < 256; i++) {
    int32_t q = t->in[0].dtype == HONE_DTYPE_I8 ? (int8_t)(uint8_t)i : i;
    float v = (float)(q - from->zero) * from->scale;
    for (uint32_t k = 0; k < n; k++) v = (float)hn_scalar_unary(s[k].op, (double)v, (double)s[k].alpha, (double)s[k].beta);
    double r = isnan(v) ? to->zero : rint((double)(v / to->scale)) + to->zero;
    table[i] = (uint8_t)(int64_t)(r < low ? low : r > low + 255 ? low + 255 : r);
  }
}

/* ---- of two tensors */

/* The operand whose shape is the output's, and the other. */
static bool operands_of(const hn_task *t, uint32_t *x, uint32_t *y) {
  hn_op op = t->node->op;
  if ((op != HN_Add && op != HN_Sub && op != HN_Mul) || t->node->n_main != 2) return false;
  bool first = hn_arg_is_bytes(&t->in[0]) && hn_same_dims(&t->in[0], &t->out[0]);
  *x = first ? 0 : 1;
  *y = 1 - *x;
  const hn_arg *other = &t->in[*y];
  if (!hn_arg_is_bytes(&t->in[*x]) || !hn_same_dims(&t->in[*x], &t->out[0]) || !other->present || other->dynamic) return false;
  return hn_arg_is_bytes(other) || other->dtype == HONE_DTYPE_F32;
}

static bool describe(const hn_task *t, eltwise *e) {
  hn_step s[MAX_STEPS];
  uint32_t n;
  if (!t->device || !hn_arg_is_bytes(&t->out[0])) return false;
  e->n = hn_arg_count(&t->out[0], 0, t->out[0].rank);
  e->y = HN_NONE;
  if (unary_steps(t, s, &n)) return hn_arg_is_bytes(&t->in[0]);
  if (!operands_of(t, &e->x, &e->y)) return false;
  return hn_same_dims(&t->in[e->y], &t->out[0]);
}

bool eltwise_int8_supports(const hn_task *t) {
  eltwise e = {0};
  return describe(t, &e);
}

/* The results that the operator may have. */
static void range_of(const hn_task *t, const eltwise *e, double *least, double *most) {
  double a[2], b[2], all[4];
  hn_int8_range(&t->in[e->x], &a[0], &a[1]);
  hn_int8_range(&t->in[e->y], &b[0], &b[1]);
  for (int i = 0; i < 4; i++) {
    double x = a[i & 1], y = b[i >> 1];
    all[i] = t->node->op == HN_Mul ? x * y : t->node->op == HN_Add ? x + y : e->x == 0 ? x - y : y - x;
  }
  *least = fmin(fmin(all[0], all[1]), fmin(all[2], all[3]));
  *most = fmax(fmax(all[0], all[1]), fmax(all[2], all[3]));
  if (!isfinite(*least) || !isfinite(*most)) *least = -INFINITY, *most = INFINITY;
}

static void set_pair(const hn_task *t, eltwise *e) {
  const hn_arg *x = &t->in[e->x], *y = &t->in[e->y];
  const hn_op op = t->node->op;
  bool whole = y->dtype != HONE_DTYPE_F32;
  double by = e->way.by, xs = (double)x->quant->scale, ys = whole ? (double)y->quant->scale : 1, yz = whole ? y->quant->zero : 0;
  double sign_x = op == HN_Sub && e->x == 1 ? -1 : 1, sign_y = op == HN_Sub && e->x == 0 ? -1 : 1;
  e->pair = (hn_int8_pair){.x_signed = x->dtype == HONE_DTYPE_I8, .product = op == HN_Mul, .ending = &e->way.ending};
  e->pair.y_type = !whole ? HN_INT8_RESIDUAL_F32 : y->dtype == HONE_DTYPE_I8 ? HN_INT8_RESIDUAL_I8 : HN_INT8_RESIDUAL_U8;
  if (op == HN_Mul) {
    e->pair.zero = (float)x->quant->zero;
    e->pair.b = (float)(ys * xs * by);
    e->pair.c = (float)(-yz * ys * xs * by);
  } else {
    e->pair.a = (float)(sign_x * xs * by);
    e->pair.b = (float)(sign_y * ys * by);
    e->pair.c = (float)(-(sign_y * yz * ys + sign_x * x->quant->zero * xs) * by + e->way.shift);
  }
}

hone_status eltwise_int8_plan(hn_task *t) {
  eltwise *e = hn_calloc(1, sizeof *e);
  hn_step s[MAX_STEPS];
  uint32_t n;
  double least, most;
  t->state = e;
  if (!e) return hn_nomem(t->cx);
  if (!describe(t, e)) return HONE_UNSUPPORTED;
  e->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  hn_layout l = t->in[e->y == HN_NONE ? 0 : e->x].layout == HN_LAYOUT_PLAIN ? HN_LAYOUT_PLAIN : HN_LAYOUT_NHWC;
  if (e->y == HN_NONE) {
    unary_steps(t, s, &n);
    fill_table(t, s, n, e->table);
    for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
    e->x = 0;
  } else {
    hn_arg *y = &t->in[e->y];
    range_of(t, e, &least, &most);
    if (!hn_int8_function_of(t, t->node->post, t->node->n_post, least, most, &e->way)) return HONE_UNSUPPORTED;
    if (t->node->op == HN_Mul && e->way.shift != 0) return HONE_UNSUPPORTED; /* a product has nowhere to add it */
    set_pair(t, e);
    y->layout = l;
  }
  t->in[e->x].layout = t->out[0].layout = l;
  if (t->in[e->x].may_overwrite && t->in[e->x].dtype == t->out[0].dtype) t->inplace = (int)e->x;
  t->fused = t->node->n_post;
  return HONE_OK;
}

void eltwise_int8_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* ---- running */

static void run_part(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const eltwise *e = x->task->state;
  const uint8_t *in = x->in[e->x].data;
  uint8_t *out = x->out[0].data;
  hn_int8_pair p = e->pair;
  if (e->y == HN_NONE) {
    e->tile->look_up(out + begin, in + begin, e->table, end - begin);
    return;
  }
  size_t size = p.y_type == HN_INT8_RESIDUAL_F32 ? sizeof(float) : 1;
  p.x = in + begin;
  p.y = (const unsigned char *)x->in[e->y].data + (size_t)begin * size;
  p.out = out + begin;
  e->tile->pair(&p, end - begin);
}

hone_status eltwise_int8_run(hn_exec *x) {
  const eltwise *e = x->task->state;
  hn_parallel_for(x->task->threads, e->n, GRAIN, run_part, x);
  return HONE_OK;
}
