/* row_move.c - Trilu and ReverseSequence: whole runs of elements copied, or set to zero. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/move/strided_copy.h"

enum { GRAIN = 1 << 14 };

bool row_move_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  if (!t->device || !hn_element_size(in->dtype) || in->rank < 2) return false;
  if (t->node->op == HN_Trilu) return true;
  int64_t batch = hn_attr_i(t->node, "batch_axis", 1), time = hn_attr_i(t->node, "time_axis", 0);
  return (batch == 0 || batch == 1) && time == 1 - batch && t->in[1].rank == 1 && t->in[1].dims[0] == in->dims[batch];
}

hone_status row_move_plan(hn_task *t) {
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  return HONE_OK;
}

typedef struct row_run {
  const hn_exec *x;
  size_t size;
  int64_t run;         /* elements of a row */
  int64_t k;           /* Trilu: the diagonal */
  bool upper;
  int batch;           /* ReverseSequence: the axis of sequences */
  int64_t bad;         /* 1 more than the number of a sequence whose length is wrong; 0: none is */
} row_run;

static void triangle(void *arg, int64_t begin, int64_t end) {
  const row_run *r = arg;
  const hn_view *in = &r->x->in[0];
  int64_t rows = in->dims[in->rank - 2], n = r->run;
  for (int64_t p = begin; p < end; p++) {
    int64_t cut = p % rows + r->k + (r->upper ? 0 : 1); /* zeros before it, or behind it */
    cut = cut < 0 ? 0 : cut > n ? n : cut;
    const unsigned char *from = (const unsigned char *)in->data + (size_t)(p * n) * r->size;
    unsigned char *to = (unsigned char *)r->x->out[0].data + (size_t)(p * n) * r->size;
    size_t before = (size_t)cut * r->size, behind = (size_t)(n - cut) * r->size;
    if (r->upper) memset(to, 0, before);
    else if (to != from) memcpy(to, from, before);
    if (!r->upper) memset(to + before, 0, behind);
    else if (to != from) memcpy(to + before, from + before, behind);
  }
}

static void reverse(void *arg, int64_t begin, int64_t end) {
  row_run *r = arg;
  const hn_view *in = &r->x->in[0], *lengths = &r->x->in[1];
  int64_t step = r->batch ? in->dims[1] : 1; /* rows from one element of a sequence to the next */
  for (int64_t p = begin; p < end; p++) {
    int64_t at[2] = {p / in->dims[1], p % in->dims[1]}, sequence = at[r->batch], t = at[1 - r->batch];
    int64_t n = hn_load_i64(lengths->dtype, lengths->data, (size_t)sequence);
    if (n < 0 || n > in->dims[1 - r->batch]) {
      __atomic_store_n(&r->bad, sequence + 1, __ATOMIC_RELAXED);
      return;
    }
    int64_t from = t < n ? p + (n - 1 - 2 * t) * step : p;
    size_t bytes = (size_t)r->run * r->size;
    memcpy((unsigned char *)r->x->out[0].data + (size_t)p * bytes, (const unsigned char *)in->data + (size_t)from * bytes, bytes);
  }
}

hone_status row_move_run(hn_exec *x) {
  const hn_view *in = &x->in[0];
  row_run r = {.x = x, .size = hn_element_size(in->dtype), .run = in->dims[in->rank - 1], .upper = hn_attr_i(hn_xnode(x), "upper", 1) != 0,
               .batch = (int)hn_attr_i(hn_xnode(x), "batch_axis", 1)};
  if (!in->count) return HONE_OK;
  if (hn_xnode(x)->op == HN_Trilu) {
    int64_t rows = in->dims[in->rank - 2];
    if (hn_xhas(x, 1) && x->in[1].count != 1) return hn_xfail(x, HONE_BAD_GRAPH, "the diagonal is not one number");
    if (hn_xhas(x, 1)) r.k = hn_load_i64(x->in[1].dtype, x->in[1].data, 0);
    r.k = r.k < -rows ? -rows : r.k > r.run ? r.run : r.k;
    hn_parallel_for(x->threads, in->count / r.run, GRAIN / r.run + 1, triangle, &r);
    return HONE_OK;
  }
  int64_t pairs = in->dims[0] * in->dims[1];
  r.run = in->count / pairs;
  hn_parallel_for(x->threads, pairs, GRAIN / r.run + 1, reverse, &r);
  if (r.bad) return hn_xfail(x, HONE_BAD_GRAPH, "the length of sequence %lld is not within it", (long long)r.bad - 1);
  return HONE_OK;
}

void row_move_destroy(hn_task *t) { (void)t; }
