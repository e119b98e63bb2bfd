/* where_vec.c - Where on elements of four bytes, a run at a time. */
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/nd.h"
#include "device/cpu/vec/float_runs.h"

enum { GRAIN = 16384 };

bool where_vec_supports(const hn_task *t) {
  const hn_arg *in = t->in;
  return t->device && in[0].dtype == HONE_DTYPE_BOOL && hone_dtype_size(in[1].dtype) == 4 && in[2].dtype == in[1].dtype && t->out[0].rank > 0;
}

hone_status where_vec_plan(hn_task *t) {
  hn_arg *out = &t->out[0];
  hn_nd *nd = hn_calloc(1, sizeof *nd);
  t->state = nd;
  if (!nd) return hn_nomem(t->cx);
  for (int i = 0; i < 3; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  out->layout = HN_LAYOUT_PLAIN;
  hn_nd_begin(nd, HN_LAYOUT_PLAIN, out->rank, out->dims, 0);
  for (int i = 0; i < 3; i++)
    if (!hn_nd_operand(nd, HN_LAYOUT_PLAIN, out->rank, out->dims, &t->in[i])) return HONE_UNSUPPORTED;
  hn_nd_merge(nd);
  return HONE_OK;
}

typedef struct sides {
  const hn_vec *vec;
  const unsigned char *condition;
  const float *yes, *no;
  float *out;
  int64_t step[4];
} sides;

static void run_select(void *arg, const int64_t *at, int64_t n) {
  const sides *s = arg;
  const unsigned char *c = s->condition + at[1];
  const float *a = s->yes + at[2], *b = s->no + at[3];
  float *d = s->out + at[0];
  if (s->step[1] == 1 && s->step[2] <= 1 && s->step[3] <= 1) {
    s->vec->select(d, c, a, b, (size_t)n, s->step[2] != 0, s->step[3] != 0);
    return;
  }
  for (int64_t i = 0; i < n; i++) memcpy(d + i, c[i * s->step[1]] ? a + i * s->step[2] : b + i * s->step[3], sizeof *d);
}

hone_status where_vec_run(hn_exec *x) {
  const hn_nd *nd = x->task->state;
  sides s = {.vec = x->task->device->vec, .condition = x->in[0].data, .yes = x->in[1].data, .no = x->in[2].data, .out = x->out[0].data};
  for (int k = 0; k < 4; k++) s.step[k] = nd->stride[k][nd->rank - 1];
  hn_nd_for(nd, x->threads, GRAIN, run_select, &s);
  return HONE_OK;
}

void where_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
