/* arg_vec.c - ArgMax and ArgMin of floats: many places side by side, each with the best so far. */
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "op/infer.h"

enum { WIDE = 256, ROW = 32, GRAIN = 16384 };

static bool axis_of(const hn_task *t, int32_t *axis) { return hn_axis(hn_attr_i(t->node, "axis", 0), t->in[0].rank, axis); }

bool arg_vec_supports(const hn_task *t) {
  int32_t axis;
  return t->device && t->in[0].dtype == HONE_DTYPE_F32 && t->in[0].rank > 0 && axis_of(t, &axis) && t->in[0].dims[axis] > 0 &&
         t->in[0].dims[axis] < INT32_MAX && !hn_attr_i(t->node, "select_last_index", 0);
}

hone_status arg_vec_plan(hn_task *t) {
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_PLAIN;
  return HONE_OK;
}

typedef struct search {
  const hn_vec *vec;
  const float *in;
  int64_t *out, n, inner;
  float sign; /* -1: of the least */
} search;

/* The first of n numbers in a row that is better than all others, or the first that is none. */
static int64_t best_of_row(const search *s, const float *x) {
  float best[ROW], most = s->sign * x[0];
  int32_t at[ROW] = {0};
  int64_t whole = s->n / ROW * ROW, place = 0;
  for (int i = 0; i < ROW && whole; i++) best[i] = s->sign * x[i];
  for (int64_t k = ROW; k < whole; k += ROW) s->vec->extreme(best, at, x + k, s->sign, (int32_t)k, ROW);
  for (int i = 0; i < ROW && whole; i++) {
    int64_t here = at[i] + i;
    bool nan = best[i] != best[i], had = most != most, first = here < place;
    if (nan ? !had || first : !had && (best[i] > most || (best[i] == most && first))) most = best[i], place = here;
  }
  for (int64_t i = whole; i < s->n; i++)
    if (!(s->sign * x[i] <= most) && most == most) most = s->sign * x[i], place = i;
  return place;
}

/* The same for `width` numbers side by side. */
static void best_of_columns(const search *s, const float *x, int64_t width, int64_t *out) {
  float best[WIDE];
  int32_t at[WIDE] = {0};
  for (int64_t i = 0; i < width; i++) best[i] = s->sign * x[i];
  for (int64_t k = 1; k < s->n; k++) s->vec->extreme(best, at, x + k * s->inner, s->sign, (int32_t)k, (size_t)width);
  for (int64_t i = 0; i < width; i++) out[i] = at[i];
}

static void run_lanes(void *arg, int64_t begin, int64_t end) {
  const search *s = arg;
  int64_t pieces = (s->inner + WIDE - 1) / WIDE;
  for (int64_t u = begin; u < end; u++) {
    int64_t o = u / pieces, i = u % pieces * WIDE, width = s->inner - i < WIDE ? s->inner - i : WIDE;
    const float *x = s->in + o * s->n * s->inner + i;
    if (s->inner == 1) s->out[o] = best_of_row(s, x);
    else best_of_columns(s, x, width, s->out + o * s->inner + i);
  }
}

hone_status arg_vec_run(hn_exec *x) {
  const hn_task *t = x->task;
  int32_t axis;
  if (!axis_of(t, &axis)) return hn_xfail(x, HONE_BAD_GRAPH, "axis out of range");
  search s = {.vec = t->device->vec, .in = x->in[0].data, .out = x->out[0].data, .n = t->in[0].dims[axis], .inner = 1, .sign = t->node->op == HN_ArgMin ? -1 : 1};
  for (int32_t i = axis + 1; i < t->in[0].rank; i++) s.inner *= t->in[0].dims[i];
  if (!x->in[0].count) return HONE_OK;
  int64_t pieces = (s.inner + WIDE - 1) / WIDE;
  hn_parallel_for(x->threads, x->in[0].count / (s.n * s.inner) * pieces, GRAIN / (s.n * (s.inner < WIDE ? s.inner : WIDE)) + 1, run_lanes, &s);
  return HONE_OK;
}

void arg_vec_destroy(hn_task *t) { (void)t; }
