/* pad_fold.c - Pad by what the input has: reflected, repeated at the edge, or round and round. A table for each axis says where the
   output's indices lie in the input; what is behind the last axis with pads is copied as one. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/move/layout_strides.h"
#include "device/cpu/move/pads.h"

enum { GRAIN = 1 << 14 };

typedef struct fold {
  int32_t last;              /* axis, as they lie, with pads; behind it `run` elements lie alike in input and output */
  int64_t run, before, middle; /* of the last axis: indices before the input's own, and how many are those */
  int64_t dims[HN_MAX_RANK]; /* of the output */
  int64_t *from[HN_MAX_RANK];
} fold;

static bool known(const char *mode) { return hn_streq(mode, "reflect") || hn_streq(mode, "edge") || hn_streq(mode, "wrap"); }

bool pad_fold_supports(const hn_task *t) {
  int64_t before[HN_MAX_RANK];
  const hn_arg *in = &t->in[0];
  if (!t->device || !hn_element_size(in->dtype) || in->rank < 1 || !known(hn_attr_s(t->node, "mode", "constant")) || !hn_pads_of(t, before))
    return false;
  for (int32_t i = 0; i < in->rank; i++) /* pads below zero cut: left to the reference */
    if (in->dims[i] < 1 || t->out[0].dims[i] < 1 || before[i] < 0 || t->out[0].dims[i] < before[i] + in->dims[i]) return false;
  return true;
}

static int64_t source(const char *mode, int64_t k, int64_t d) {
  if (hn_streq(mode, "edge")) return k < 0 ? 0 : k >= d ? d - 1 : k;
  if (d == 1) return 0;
  int64_t period = hn_streq(mode, "wrap") ? d : 2 * (d - 1), at = k % period;
  if (at < 0) at += period;
  return at < d ? at : period - at;
}

hone_status pad_fold_plan(hn_task *t) {
  hn_arg *in = &t->in[0], *out = &t->out[0];
  int64_t before[HN_MAX_RANK], own[HN_ND_RANK], stride[HN_MAX_RANK], whole[HN_ND_RANK];
  fold *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!hn_pads_of(t, before)) return HONE_UNSUPPORTED;
  hn_layout l = in->layout == HN_LAYOUT_NHWC ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  in->layout = out->layout = l;
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
  hn_layout_dims(l, in->rank, in->dims, own);
  hn_layout_dims(l, in->rank, out->dims, whole);
  hn_dense_strides(in->rank, own, stride);
  for (int32_t i = 0; i < in->rank; i++) {
    int64_t block;
    int32_t p = hn_layout_axis(l, in->rank, i, &block);
    s->dims[p] = whole[p];
    s->from[p] = hn_calloc((size_t)whole[p], sizeof **s->from);
    if (!s->from[p]) return hn_nomem(t->cx);
    for (int64_t k = 0; k < whole[p]; k++) s->from[p][k] = source(hn_attr_s(t->node, "mode", ""), k - before[i], own[p]) * stride[p];
    if (whole[p] == own[p] || p < s->last) continue;
    s->last = p;
    s->before = before[i];
  }
  s->middle = own[s->last];
  s->run = 1;
  for (int32_t p = s->last + 1; p < in->rank; p++) s->run *= whole[p];
  return HONE_OK;
}

static void run_rows(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const fold *s = x->task->state;
  size_t size = hn_element_size(x->in[0].dtype), run = (size_t)s->run * size;
  int64_t n = s->dims[s->last];
  for (int64_t row = begin; row < end; row++) {
    const unsigned char *in = x->in[0].data;
    unsigned char *out = (unsigned char *)x->out[0].data + (size_t)(row * n) * run;
    int64_t rest = row;
    for (int32_t p = s->last - 1; p >= 0; p--, rest /= s->dims[p + 1]) in += (size_t)s->from[p][rest % s->dims[p]] * size;
    for (int64_t k = 0; k < n; k++) {
      if (k == s->before) {
        memcpy(out + (size_t)k * run, in, (size_t)s->middle * run);
        k += s->middle - 1;
      } else if (run == 4) {
        memcpy(out + (size_t)k * 4, in + (size_t)s->from[s->last][k] * 4, 4);
      } else {
        memcpy(out + (size_t)k * run, in + (size_t)s->from[s->last][k] * size, run);
      }
    }
  }
}

hone_status pad_fold_run(hn_exec *x) {
  const fold *s = x->task->state;
  int64_t each = s->dims[s->last] * s->run;
  hn_parallel_for(x->threads, x->out[0].count / each, GRAIN / each + 1, run_rows, x);
  return HONE_OK;
}

void pad_fold_destroy(hn_task *t) {
  fold *s = t->state;
  for (int i = 0; s && i < HN_MAX_RANK; i++) hn_free(s->from[i]);
  hn_free(s);
  t->state = NULL;
}
