/* norm_vec.c - normalization of runs that lie next to one another: LayerNormalization and RMSNormalization with a
   factor for each element of a run, InstanceNormalization and GroupNormalization with one for each channel in it. */
#include <math.h>

#include "base/parallel.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/row_floats.h"
#include "op/infer.h"

enum { GRAIN = 8192 };

static bool per_channel(const hn_task *t) { return t->node->op == HN_InstanceNormalization || t->node->op == HN_GroupNormalization; }

/* Channels that a run consists of; 0: they cannot be divided so. */
static int64_t in_group(const hn_task *t) {
  int64_t channels = t->in[0].dims[1], groups = t->node->op == HN_GroupNormalization ? hn_attr_i(t->node, "num_groups", 0) : channels;
  return groups < 1 || channels % groups ? 0 : channels / groups;
}

/* Elements of a run; 0 if the node's axis is wrong. */
static int64_t run_length(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  int32_t axis = 2;
  int64_t n = 1;
  if (!per_channel(t) && !hn_axis(hn_attr_i(t->node, "axis", -1), in->rank, &axis)) return 0;
  for (int32_t i = axis; i < in->rank; i++) n *= in->dims[i];
  return per_channel(t) ? n * in_group(t) : n;
}

bool norm_vec_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  int64_t n = t->device && in->present && !in->dynamic && in->rank >= (per_channel(t) ? 3 : 1) ? run_length(t) : 0;
  if (n < 1 || !hn_rows_are_floats(t, n)) return false;
  for (uint32_t i = 1; i < t->n_out; i++)
    if (t->out[i].present) return false;
  for (uint32_t i = 1; i < t->node->n_main; i++) {
    int64_t count = 1;
    if (!t->in[i].present) continue;
    for (int32_t k = 0; k < t->in[i].rank; k++) count *= t->in[i].dims[k];
    if (t->in[i].dtype != HONE_DTYPE_F32 || count != (per_channel(t) ? in->dims[1] : n)) return false;
  }
  return true;
}

hone_status norm_vec_plan(hn_task *t) {
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  if (t->in[0].may_overwrite && t->in[0].dtype == t->out[0].dtype) t->inplace = 0;
  return HONE_OK;
}

typedef struct rows {
  const hn_vec *vec;
  hn_row_form from, to;
  const void *in;
  void *out;
  const float *scale, *bias;
  float epsilon;
  size_t n;
  int64_t channels; /* with a factor each; 0: a factor for each element */
  int64_t per;      /* channels of a run */
  bool rms;
} rows;

static void run_rows(void *arg, int64_t begin, int64_t end) {
  const rows *r = arg;
  float room[HN_ROW_MOST];
  for (int64_t i = begin; i < end; i++) {
    const float *x = hn_row_read(&r->from, r->in, (size_t)i, r->n, room);
    float *d = hn_row_begin(&r->to, r->out, (size_t)i, r->n, room);
    float mean = r->rms ? 0 : r->vec->sum(x, r->n) / (float)r->n;
    float inv = 1.0f / sqrtf(r->vec->sum_squares(x, r->n, mean) / (float)r->n + r->epsilon);
    if (!r->channels) {
      r->vec->normalize(d, x, r->n, mean, inv, r->scale, r->bias);
      hn_row_end(&r->to, r->out, (size_t)i, r->n, room);
      continue;
    }
    size_t each = r->n / (size_t)r->per;
    for (int64_t k = 0; k < r->per; k++, x += each, d += each) {
      int64_t c = (i * r->per + k) % r->channels;
      r->vec->normalize(d, x, each, mean, inv * r->scale[c], NULL, NULL);
      r->vec->right[HN_Add](d, d, r->bias[c], each);
    }
    hn_row_end(&r->to, r->out, (size_t)i, r->n, room);
  }
}

hone_status norm_vec_run(hn_exec *x) {
  const hn_task *t = x->task;
  int64_t n = run_length(t);
  rows r = {.vec = t->device->vec, .from = hn_row_form_of(t, &t->in[0]), .to = hn_row_form_of(t, &t->out[0]), .in = x->in[0].data, .out = x->out[0].data, .n = (size_t)n,
            .scale = x->in[1].data, .epsilon = (float)hn_attr_f(t->node, "epsilon", 1e-5),
            .rms = t->node->op == HN_RMSNormalization, .channels = per_channel(t) ? t->in[0].dims[1] : 0, .per = per_channel(t) ? in_group(t) : 1};
  if (t->node->n_main > 2 && hn_xhas(x, 2)) r.bias = x->in[2].data;
  hn_parallel_for(x->threads, x->out[0].count / n, GRAIN / n + 1, run_rows, &r);
  return HONE_OK;
}

void norm_vec_destroy(hn_task *t) { (void)t; }
