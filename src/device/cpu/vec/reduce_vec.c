/* reduce_vec.c - reductions over any constant axes. Axes that lie together are one; where others lie between them they are reduced
   one after the other, the last first, each time of a tensor outer x reduced x inner. */
#include <math.h>
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "op/infer.h"

enum { GRAIN = 8192, PIECE = 1024, WIDTH = 256, STAGES = HN_MAX_RANK / 2 + 1 };

typedef struct extent {
  int64_t outer, n, inner;
} extent;

typedef struct reduction {
  extent e[STAGES]; /* in the order in which they are done */
  int stages;
  int64_t all;      /* elements behind each result */
} reduction;

static bool reduced_axes(const hn_task *t, bool *reduced) {
  const hn_arg *in = &t->in[0];
  bool given = t->node->n_main > 1 && t->in[1].present;
  const hn_tensor *axes = given ? t->in[1].constant : NULL;
  if (given && !axes) return false;
  bool all = !given || axes->count == 0;
  if (all && hn_attr_i(t->node, "noop_with_empty_axes", 0)) return false;
  for (int32_t i = 0; i < in->rank; i++) reduced[i] = all;
  for (int64_t i = 0; !all && i < axes->count; i++) {
    int32_t a;
    if (!hn_axis(hn_tensor_i(axes, (size_t)i), in->rank, &a)) return false;
    reduced[a] = true;
  }
  return true;
}

/* The stages, found from the last axis to the first: what is behind has been reduced before. */
static bool describe(const hn_task *t, reduction *r) {
  const hn_arg *in = &t->in[0];
  bool reduced[HN_MAX_RANK];
  *r = (reduction){.all = 1};
  if (!reduced_axes(t, reduced)) return false;
  int64_t behind = 1;
  for (int32_t i = in->rank; i > 0;) {
    extent e = {1, 1, 1};
    for (; i > 0 && (!reduced[i - 1] || in->dims[i - 1] == 1); i--) behind *= in->dims[i - 1];
    for (; i > 0 && (reduced[i - 1] || in->dims[i - 1] == 1); i--) e.n *= in->dims[i - 1];
    if (e.n == 1 && r->stages) continue;
    e.inner = behind;
    for (int32_t k = 0; k < i; k++) e.outer *= in->dims[k];
    r->all *= e.n;
    if (r->stages == STAGES) return false;
    r->e[r->stages++] = e;
  }
  if (!r->stages) r->e[r->stages++] = (extent){1, 1, behind}; /* a scalar */
  return r->all > 0;
}

bool reduce_vec_supports(const hn_task *t) {
  reduction r;
  if (!t->device || t->in[0].dtype != HONE_DTYPE_F32 || t->in[0].quant || !describe(t, &r)) return false;
  return t->node->op != HN_ReduceLogSumExp || r.stages == 1; /* the largest is found first, of all that are summed */
}

static size_t made(const extent *e) { return (size_t)(e->outer * e->inner); }

hone_status reduce_vec_plan(hn_task *t) {
  reduction *r = hn_calloc(1, sizeof *r);
  t->state = r;
  if (!r) return hn_nomem(t->cx);
  if (!describe(t, r)) return HONE_UNSUPPORTED;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_PLAIN;
  if (t->node->n_main > 1) t->in[1].unused = true;
  for (int i = 0; i + 1 < r->stages; i++) t->scratch += (made(&r->e[i]) + 15) / 16 * 16 * sizeof(float);
  return HONE_OK;
}

/* How two partial results become one, and what is done to each number before. */
static hn_op combining(hn_op op) {
  switch (op) {
    case HN_ReduceMax: return HN_Max;
    case HN_ReduceMin: return HN_Min;
    case HN_ReduceProd: return HN_Mul;
    default: return HN_Add;
  }
}

static hn_op mapping(hn_op op) {
  return op == HN_ReduceL1 ? HN_Abs : op == HN_ReduceL2 || op == HN_ReduceSumSquare ? HN_Mul : HN_OP_NONE;
}

typedef struct stage {
  const hn_vec *vec;
  const float *in;
  float *out;
  extent e;
  hn_op combine, map;
  bool log_sum;   /* of exponentials */
  int64_t pieces; /* of a row of inner numbers */
} stage;

static void map(const stage *s, float *d, const float *x, size_t n) {
  if (s->map == HN_Abs) s->vec->unary[HN_Abs](d, x, n, 0, 0);
  else if (s->map == HN_Mul) s->vec->binary[HN_Mul](d, x, x, n);
  else if (d != x) memcpy(d, x, sizeof *d * n);
}

/* Rows one on top of the other, n columns of them. */
static void reduce_columns(const stage *s, const float *x, float *d, size_t n) {
  float row[PIECE];
  map(s, d, x, n);
  for (int64_t k = 1; k < s->e.n; k++) {
    const float *next = x + k * s->e.inner;
    if (s->map != HN_OP_NONE) map(s, row, next, n), next = row;
    if (s->combine == HN_Add) s->vec->accumulate(d, next, n);
    else s->vec->binary[s->combine](d, d, next, n);
  }
}

/* A run, folded into WIDTH numbers and these into one. */
static float reduce_run(const stage *s, const float *x) {
  size_t n = (size_t)s->e.n, width = n < WIDTH ? n : WIDTH;
  float sums[WIDTH], next[WIDTH];
  if (s->combine == HN_Add && s->map == HN_OP_NONE) return s->vec->sum(x, n);
  if (s->combine == HN_Add && s->map == HN_Mul) return s->vec->sum_squares(x, n, 0);
  if (s->combine == HN_Max) return s->vec->max(x, n);
  map(s, sums, x, width);
  for (size_t at = width; at < n; at += WIDTH) {
    size_t some = n - at < WIDTH ? n - at : WIDTH;
    const float *from = x + at;
    if (s->map != HN_OP_NONE) map(s, next, from, some), from = next;
    s->vec->binary[s->combine](sums, sums, from, some);
  }
  for (size_t half = width; half > 1; half = (half + 1) / 2) s->vec->binary[s->combine](sums, sums, sums + (half + 1) / 2, half / 2);
  return sums[0];
}

/* The number that exponents are taken from: the largest, or 0 where it has no difference to others. */
static float origin(float largest) { return isinf(largest) ? 0 : largest; }

static float log_sum_of_run(const stage *s, const float *x) {
  float e[PIECE], most = s->vec->max(x, (size_t)s->e.n), largest = origin(most), sum = 0;
  if (most == INFINITY) return most;
  for (int64_t at = 0; at < s->e.n; at += PIECE) sum += s->vec->exp_sum(e, x + at, (size_t)hn_smaller(PIECE, s->e.n - at), largest);
  return logf(sum) + largest;
}

static void log_sum_of_columns(const stage *s, const float *x, float *d, size_t n) {
  float largest[PIECE], row[PIECE];
  memcpy(largest, x, sizeof *x * n);
  for (int64_t k = 1; k < s->e.n; k++) s->vec->binary[HN_Max](largest, largest, x + k * s->e.inner, n);
  for (size_t i = 0; i < n; i++) largest[i] = origin(largest[i]), d[i] = 0;
  for (int64_t k = 0; k < s->e.n; k++) {
    s->vec->binary[HN_Sub](row, x + k * s->e.inner, largest, n);
    s->vec->unary[HN_Exp](row, row, n, 0, 0);
    s->vec->accumulate(d, row, n);
  }
  s->vec->unary[HN_Log](d, d, n, 0, 0);
  s->vec->accumulate(d, largest, n);
}

static void run_stage(void *arg, int64_t begin, int64_t end) {
  const stage *s = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t o = i / s->pieces, at = i % s->pieces * PIECE;
    const float *x = s->in + o * s->e.n * s->e.inner + at;
    size_t n = (size_t)hn_smaller(PIECE, s->e.inner - at);
    if (s->e.inner == 1) s->out[o] = s->log_sum ? log_sum_of_run(s, x) : reduce_run(s, x);
    else if (s->log_sum) log_sum_of_columns(s, x, s->out + o * s->e.inner + at, n);
    else reduce_columns(s, x, s->out + o * s->e.inner + at, n);
  }
}

static void finish(const hn_vec *v, hn_op op, float *d, size_t n, int64_t all) {
  if (op == HN_ReduceMean) v->right[HN_Mul](d, d, 1.0f / (float)all, n);
  if (op == HN_ReduceL2) v->unary[HN_Sqrt](d, d, n, 0, 0);
  if (op == HN_ReduceLogSum) v->unary[HN_Log](d, d, n, 0, 0);
}

hone_status reduce_vec_run(hn_exec *x) {
  const reduction *r = x->task->state;
  hn_op op = x->task->node->op;
  stage s = {.vec = x->task->device->vec, .in = x->in[0].data, .combine = combining(op), .map = mapping(op), .log_sum = op == HN_ReduceLogSumExp};
  float *scratch = x->scratch;
  if (!x->out[0].count) return HONE_OK;
  for (int i = 0; i < r->stages; i++, s.in = s.out, s.map = HN_OP_NONE) {
    s.e = r->e[i];
    s.out = i + 1 < r->stages ? scratch : x->out[0].data;
    scratch += (made(&s.e) + 15) / 16 * 16;
    s.pieces = hn_ceil_div(s.e.inner, PIECE);
    hn_parallel_for(x->threads, s.e.outer * s.pieces, GRAIN / (s.e.n * hn_smaller(s.e.inner, PIECE)) + 1, run_stage, &s);
  }
  finish(s.vec, op, x->out[0].data, (size_t)x->out[0].count, r->all);
  return HONE_OK;
}

void reduce_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
