/* cumulative_vec.c - CumSum along a constant axis, of a tensor outer x n x inner. */

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "op/infer.h"

enum { GRAIN = 8192 };

static bool axis_of(const hn_task *t, int32_t *axis) {
  const hn_tensor *a = t->in[1].constant;
  return a && a->count == 1 && hn_axis(hn_tensor_i(a, 0), t->in[0].rank, axis);
}

bool cumulative_vec_supports(const hn_task *t) {
  int32_t axis;
  hn_dtype of = t->in[0].dtype;
  return t->device && (of == HONE_DTYPE_F32 || of == HONE_DTYPE_I32 || of == HONE_DTYPE_I64) && !t->in[0].quant && axis_of(t, &axis);
}

hone_status cumulative_vec_plan(hn_task *t) {
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_PLAIN;
  t->in[1].unused = true;
  return HONE_OK;
}

typedef struct sums {
  const hn_exec *x;
  int64_t n, inner;
  bool exclusive, reverse;
} sums;

/* Lanes begin .. end of outer x inner. */
#define SUMS(name, type, wide)                                                                          \
  static void name(void *arg, int64_t begin, int64_t end) {                                             \
    const sums *s = arg;                                                                                \
    int64_t inner = s->inner, step = s->reverse ? -inner : inner;                                       \
    for (int64_t lane = begin; lane < end; lane++) {                                                    \
      int64_t at = lane / inner * s->n * inner + lane % inner + (s->reverse ? (s->n - 1) * inner : 0);  \
      const type *x = (const type *)s->x->in[0].data + at;                                              \
      type *d = (type *)s->x->out[0].data + at;                                                         \
      wide sum = 0;                                                                                     \
      for (int64_t k = 0; k < s->n; k++, x += step, d += step) {                                        \
        wide before = sum;                                                                              \
        sum += (wide)*x;                                                                                \
        *d = (type)(s->exclusive ? before : sum);                                                       \
      }                                                                                                 \
    }                                                                                                   \
  }
SUMS(sum_f32, float, double)
SUMS(sum_i32, int32_t, uint32_t)
SUMS(sum_i64, int64_t, uint64_t)

hone_status cumulative_vec_run(hn_exec *x) {
  const hn_node *n = x->task->node;
  int32_t axis;
  sums s = {.x = x, .inner = 1, .exclusive = hn_attr_i(n, "exclusive", 0) != 0, .reverse = hn_attr_i(n, "reverse", 0) != 0};
  if (!x->in[0].count || !axis_of(x->task, &axis)) return HONE_OK;
  s.n = x->in[0].dims[axis];
  for (int32_t i = axis + 1; i < x->in[0].rank; i++) s.inner *= x->in[0].dims[i];
  hn_range_fn fn = x->in[0].dtype == HONE_DTYPE_F32 ? sum_f32 : x->in[0].dtype == HONE_DTYPE_I32 ? sum_i32 : sum_i64;
  hn_parallel_for(x->threads, x->in[0].count / s.n, GRAIN / s.n + 1, fn, &s);
  return HONE_OK;
}

void cumulative_vec_destroy(hn_task *t) { (void)t; }
