/* index_move.c - elements and slices picked or placed by indices that are known when it runs: GatherElements, GatherND,
   ScatterElements and ScatterND, of floats also those that add to what is there, multiply it, or keep the larger or smaller. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/move/strided_copy.h"
#include "device/cpu/vec/float_runs.h"
#include "op/infer.h"

enum { GRAIN = 1 << 13 };

static bool is_scatter(const hn_task *t) { return t->node->op == HN_ScatterElements || t->node->op == HN_ScatterND; }
static bool of_elements(const hn_task *t) { return t->node->op == HN_ScatterElements || t->node->op == HN_GatherElements; }

/* How an update meets what is there; false: nobody knows. HN_OP_NONE: it takes its place. */
static bool combining(const hn_task *t, hn_op *op) {
  static const struct {
    const char *name;
    hn_op op;
  } rows[] = {{"none", HN_OP_NONE}, {"add", HN_Add}, {"mul", HN_Mul}, {"max", HN_Max}, {"min", HN_Min}};
  const char *name = hn_attr_s(t->node, "reduction", "none");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (hn_streq(name, rows[i].name)) {
      *op = rows[i].op;
      return true;
    }
  return false;
}

bool index_move_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0], *at = &t->in[1];
  int32_t axis;
  if (!t->device || !hn_element_size(in->dtype) || (at->dtype != HONE_DTYPE_I64 && at->dtype != HONE_DTYPE_I32) || at->rank < 1 || in->rank < 1)
    return false;
  hn_op op;
  if (is_scatter(t) && (!combining(t, &op) || (op != HN_OP_NONE && in->dtype != HONE_DTYPE_F32) || t->in[2].dtype != in->dtype)) return false;
  if (!of_elements(t)) {
    int64_t depth = at->dims[at->rank - 1];
    if (depth > in->rank || hn_attr_i(t->node, "batch_dims", 0)) return false;
    return !is_scatter(t) ||
           hn_arg_count(&t->in[2], 0, t->in[2].rank) == hn_arg_count(at, 0, at->rank - 1) * hn_arg_count(in, (int32_t)depth, in->rank);
  }
  if (at->rank != in->rank || !hn_axis(hn_attr_i(t->node, "axis", 0), in->rank, &axis)) return false;
  for (int32_t i = 0; i < in->rank; i++)
    if ((i != axis && at->dims[i] > in->dims[i]) || (is_scatter(t) && (t->in[2].rank != at->rank || at->dims[i] != t->in[2].dims[i]))) return false;
  return true;
}

hone_status index_move_plan(hn_task *t) {
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  if (is_scatter(t) && t->in[0].may_overwrite) t->inplace = 0;
  return HONE_OK;
}

typedef struct picking {
  const hn_exec *x;
  const hn_view *at;
  unsigned char *to;         /* the picked, or the whole that is written to */
  const unsigned char *from; /* the whole that is read, or the updates */
  size_t size;
  bool scatter;
  hn_op combine;
  int32_t axis;
  int64_t stride[HN_MAX_RANK]; /* of the whole */
  const int64_t *dims;         /* of the whole */
  int64_t run, depth;          /* of slices: elements, and indices that name one */
  int64_t bad;                 /* 1 more than the size of an axis that an index is out of; 0: none is */
} picking;

static inline int64_t index_at(const hn_view *at, int64_t i) {
  return at->dtype == HONE_DTYPE_I64 ? ((const int64_t *)at->data)[i] : ((const int32_t *)at->data)[i];
}

/* An index in [-d, d) as one in [0, d); -1: it is not. */
static inline int64_t within(int64_t i, int64_t d) { return i >= 0 ? (i < d ? i : -1) : i >= -d ? i + d : -1; }

static void refuse(picking *p, int64_t size) { __atomic_store_n(&p->bad, size + 1, __ATOMIC_RELAXED); }

static inline float combined(hn_op op, float a, float b) {
  switch (op) {
    case HN_Add: return a + b;
    case HN_Mul: return a * b;
    case HN_Max: return a >= b || a != a ? a : b;
    default: return a <= b || a != a ? a : b;
  }
}

static void combine(const picking *p, float *to, const float *from, size_t n) {
  if (n == 1) *to = combined(p->combine, *to, *from);
  else p->x->task->device->vec->binary[p->combine](to, to, from, n);
}

static inline void move(const picking *p, int64_t whole, int64_t part, size_t bytes) {
  unsigned char *to = p->to + (size_t)(p->scatter ? whole : part) * p->size;
  const unsigned char *from = p->from + (size_t)(p->scatter ? part : whole) * p->size;
  if (p->combine != HN_OP_NONE) combine(p, (float *)(void *)to, (const float *)(const void *)from, bytes / sizeof(float));
  else if (bytes == 4) memcpy(to, from, 4);
  else if (bytes == 8) memcpy(to, from, 8);
  else memcpy(to, from, bytes);
}

/* Rows of the indices: what the coordinates before the last one add up to, then index by index. */
static void run_elements(void *arg, int64_t begin, int64_t end) {
  picking *p = arg;
  const hn_view *at = p->at;
  int32_t last = at->rank - 1;
  int64_t n = at->dims[last], d = p->dims[p->axis], along = p->stride[p->axis], step = p->axis == last ? 0 : 1;
  for (int64_t row = begin; row < end; row++) {
    int64_t base = 0, rest = row;
    for (int32_t k = last - 1; k >= 0; rest /= at->dims[k], k--)
      if (k != p->axis) base += rest % at->dims[k] * p->stride[k];
    for (int64_t i = 0; i < n; i++) {
      int64_t index = within(index_at(at, row * n + i), d);
      if (index < 0) {
        refuse(p, d);
        return;
      }
      move(p, base + index * along + i * step, row * n + i, p->size);
    }
  }
}

static void run_slices(void *arg, int64_t begin, int64_t end) {
  picking *p = arg;
  for (int64_t t = begin; t < end; t++) {
    int64_t offset = 0;
    for (int64_t j = 0; j < p->depth; j++) {
      int64_t index = within(index_at(p->at, t * p->depth + j), p->dims[j]);
      if (index < 0) {
        refuse(p, p->dims[j]);
        return;
      }
      offset += index * p->stride[j];
    }
    move(p, offset, t * p->run, (size_t)p->run * p->size);
  }
}

hone_status index_move_run(hn_exec *x) {
  const hn_task *t = x->task;
  const hn_view *whole = &x->in[0], *at = &x->in[1];
  picking p = {.x = x, .at = at, .size = hn_element_size(whole->dtype), .scatter = is_scatter(t), .dims = whole->dims, .run = 1, .combine = HN_OP_NONE};
  int64_t stride = 1;
  for (int32_t i = whole->rank - 1; i >= 0; stride *= whole->dims[i], i--) p.stride[i] = stride;
  p.to = x->out[0].data;
  p.from = p.scatter ? x->in[2].data : whole->data;
  if (p.scatter) combining(t, &p.combine);
  if (p.scatter && x->out[0].data != whole->data && whole->count) memcpy(x->out[0].data, whole->data, (size_t)whole->count * p.size);
  int threads = p.scatter ? 1 : x->threads; /* of two that are placed at one index the last stays */
  if (of_elements(t)) {
    hn_axis(hn_attr_i(t->node, "axis", 0), whole->rank, &p.axis);
    int64_t n = at->dims[at->rank - 1];
    if (at->count) hn_parallel_for(threads, at->count / n, GRAIN / n + 1, run_elements, &p);
  } else {
    p.depth = at->dims[at->rank - 1];
    for (int64_t i = p.depth; i < whole->rank; i++) p.run *= whole->dims[i];
    int64_t tuples = 1;
    for (int32_t i = 0; i < at->rank - 1; i++) tuples *= at->dims[i];
    if (p.run) hn_parallel_for(threads, tuples, GRAIN / p.run + 1, run_slices, &p);
  }
  if (p.bad) return hn_xfail(x, HONE_BAD_GRAPH, "an index is out of [-%lld, %lld)", (long long)p.bad - 1, (long long)p.bad - 1);
  return HONE_OK;
}

void index_move_destroy(hn_task *t) { (void)t; }
