/* pairs_vec.c - element-wise operators of two inputs on types that are not computed with as floats: comparisons, integers,
   booleans. What they compute is defined by op/scalar.def; wrapping is done in unsigned arithmetic. */
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/nd.h"

enum { GRAIN = 16384 };

/* d = x op y for a run; steps of 0 and 1 have loops of their own. */
typedef void (*pair_fn)(void *d, const void *x, const void *y, int64_t n, int64_t step_x, int64_t step_y);

#define PAIR(name, to, of, expr)                                                                                       \
  static void name(void *restrict to_, const void *x_, const void *y_, int64_t n, int64_t sx, int64_t sy) {            \
    to *restrict d = to_;                                                                                              \
    const of *x = x_, *y = y_;                                                                                         \
    if (sx == 1 && sy == 1) {                                                                                          \
      for (int64_t i = 0; i < n; i++) {                                                                                \
        const of a = x[i], b = y[i];                                                                                   \
        d[i] = (to)(expr);                                                                                             \
      }                                                                                                                \
    } else if (sx == 1 && sy == 0) {                                                                                   \
      const of b = *y;                                                                                                 \
      for (int64_t i = 0; i < n; i++) {                                                                                \
        const of a = x[i];                                                                                             \
        d[i] = (to)(expr);                                                                                             \
      }                                                                                                                \
    } else {                                                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                                                \
        const of a = x[i * sx], b = y[i * sy];                                                                         \
        d[i] = (to)(expr);                                                                                             \
      }                                                                                                                \
    }                                                                                                                  \
  }

static inline int64_t quotient(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b; }
static inline int64_t modulus(int64_t a, int64_t b) {
  if (b == 0 || b == -1) return 0;
  int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

#define COMPARISONS(X, type) \
  X(Equal, type, a == b) X(Greater, type, a > b) X(GreaterOrEqual, type, a >= b) X(Less, type, a < b) X(LessOrEqual, type, a <= b)
#define ARITHMETIC(X, type)                                                                                               \
  X(Add, type, (uint64_t)a + (uint64_t)b) X(Sub, type, (uint64_t)a - (uint64_t)b) X(Mul, type, (uint64_t)a * (uint64_t)b) \
  X(Div, type, quotient(a, b)) X(Mod, type, modulus(a, b)) X(Max, type, a < b ? b : a) X(Min, type, b < a ? b : a)
#define LOGIC(X, type) \
  X(And, type, (a != 0) & (b != 0)) X(Or, type, (a != 0) | (b != 0)) X(Xor, type, (a != 0) ^ (b != 0)) X(Equal, type, (a != 0) == (b != 0))

#define TO_BOOL(op, type, expr) PAIR(op##_of_##type, uint8_t, type, expr)
#define TO_SAME(op, type, expr) PAIR(op##_of_##type, type, type, expr)
COMPARISONS(TO_BOOL, float)
COMPARISONS(TO_BOOL, int32_t)
COMPARISONS(TO_BOOL, int64_t)
ARITHMETIC(TO_SAME, int32_t)
ARITHMETIC(TO_SAME, int64_t)
LOGIC(TO_BOOL, uint8_t)

typedef struct pair {
  hn_op op;
  hn_dtype dtype;
  pair_fn run;
} pair;

#define AS_FLOAT(op, type, expr) {HN_##op, HONE_DTYPE_F32, op##_of_##type},
#define AS_I32(op, type, expr) {HN_##op, HONE_DTYPE_I32, op##_of_##type},
#define AS_I64(op, type, expr) {HN_##op, HONE_DTYPE_I64, op##_of_##type},
#define AS_BOOL(op, type, expr) {HN_##op, HONE_DTYPE_BOOL, op##_of_##type},
static const pair pairs[] = {COMPARISONS(AS_FLOAT, float) COMPARISONS(AS_I32, int32_t) COMPARISONS(AS_I64, int64_t)
                                 ARITHMETIC(AS_I32, int32_t) ARITHMETIC(AS_I64, int64_t) LOGIC(AS_BOOL, uint8_t)};

static const pair *pair_of(const hn_task *t) {
  const hn_arg *in = t->in;
  if (!t->device || t->node->n_main != 2 || in[0].dtype != in[1].dtype || t->out[0].rank < 1) return NULL;
  if (in[0].quant || in[1].quant || t->out[0].quant || (t->node->op == HN_Mod && hn_attr_i(t->node, "fmod", 0))) return NULL;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    if (pairs[i].op == t->node->op && pairs[i].dtype == in[0].dtype) return &pairs[i];
  return NULL;
}

bool pairs_vec_supports(const hn_task *t) { return pair_of(t) != NULL; }

hone_status pairs_vec_plan(hn_task *t) {
  hn_arg *out = &t->out[0];
  hn_nd *nd = hn_calloc(1, sizeof *nd);
  t->state = nd;
  if (!nd) return hn_nomem(t->cx);
  t->in[0].layout = t->in[1].layout = out->layout = HN_LAYOUT_PLAIN;
  hn_nd_begin(nd, HN_LAYOUT_PLAIN, out->rank, out->dims, 0);
  for (int i = 0; i < 2; i++)
    if (!hn_nd_operand(nd, HN_LAYOUT_PLAIN, out->rank, out->dims, &t->in[i])) return HONE_UNSUPPORTED;
  hn_nd_merge(nd);
  return HONE_OK;
}

typedef struct sides {
  pair_fn run;
  unsigned char *out;
  const unsigned char *x, *y;
  size_t size, out_size;
  int64_t step_x, step_y;
} sides;

static void run_pairs(void *arg, const int64_t *at, int64_t n) {
  const sides *s = arg;
  s->run(s->out + (size_t)at[0] * s->out_size, s->x + (size_t)at[1] * s->size, s->y + (size_t)at[2] * s->size, n, s->step_x, s->step_y);
}

hone_status pairs_vec_run(hn_exec *x) {
  const hn_nd *nd = x->task->state;
  int32_t last = nd->rank - 1;
  sides s = {.run = pair_of(x->task)->run, .out = x->out[0].data, .x = x->in[0].data, .y = x->in[1].data,
             .size = hone_dtype_size(x->in[0].dtype), .out_size = hone_dtype_size(x->out[0].dtype),
             .step_x = nd->stride[1][last], .step_y = nd->stride[2][last]};
  hn_nd_for(nd, x->threads, GRAIN, run_pairs, &s);
  return HONE_OK;
}

void pairs_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
