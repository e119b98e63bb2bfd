/* batch_norm_vec.c - BatchNormalization that nothing has taken in: a factor and a term for each channel. */
#include <math.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"

enum { GRAIN = 8192, PIECE = 2048 };

typedef struct batch_norm {
  float *factor, *term; /* of each channel */
  int64_t channels, each; /* numbers of a channel that lie together; 1: channels lie together */
} batch_norm;

bool batch_norm_vec_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  if (!t->device || in->dtype != HONE_DTYPE_F32 || in->rank < 2 || in->dims[1] < 1 || (t->n_out > 1 && t->out[1].present)) return false;
  for (uint32_t i = 1; i < 5; i++)
    if (!t->in[i].constant || t->in[i].dtype != HONE_DTYPE_F32 || t->in[i].constant->count != in->dims[1]) return false;
  return true;
}

hone_status batch_norm_vec_plan(hn_task *t) {
  hn_arg *in = &t->in[0];
  batch_norm *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  int64_t c = in->dims[1];
  bool last = in->rank == 2 || in->layout == HN_LAYOUT_NHWC;
  s->factor = hn_calloc(2 * (size_t)c, sizeof *s->factor);
  if (!s->factor) return hn_nomem(t->cx);
  s->term = s->factor + c;
  s->channels = c;
  s->each = 1;
  for (int32_t i = 2; i < in->rank && !last; i++) s->each *= in->dims[i];
  double epsilon = hn_attr_f(t->node, "epsilon", 1e-5);
  for (size_t i = 0; i < (size_t)c; i++) {
    double factor = hn_tensor_f(t->in[1].constant, i) / sqrt(hn_tensor_f(t->in[4].constant, i) + epsilon);
    s->factor[i] = (float)factor;
    s->term[i] = (float)(hn_tensor_f(t->in[2].constant, i) - hn_tensor_f(t->in[3].constant, i) * factor);
  }
  for (uint32_t i = 1; i < 5; i++) t->in[i].unused = true;
  in->layout = t->out[0].layout = last && in->rank > 2 ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  if (in->may_overwrite) t->inplace = 0;
  return HONE_OK;
}

static void run_rows(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const batch_norm *s = x->task->state;
  const hn_vec *v = x->task->device->vec;
  for (int64_t i = begin; i < end; i++) {
    const float *in = (const float *)x->in[0].data + i * s->channels;
    v->affine((float *)x->out[0].data + i * s->channels, in, s->factor, s->term, -INFINITY, INFINITY, (size_t)s->channels);
  }
}

static void run_planes(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const batch_norm *s = x->task->state;
  const hn_vec *v = x->task->device->vec;
  for (int64_t i = begin; i < end; i++)
    for (int64_t at = 0; at < s->each; at += PIECE) {
      size_t n = (size_t)hn_smaller(PIECE, s->each - at);
      float *d = (float *)x->out[0].data + i * s->each + at;
      v->right[HN_Mul](d, (const float *)x->in[0].data + i * s->each + at, s->factor[i % s->channels], n);
      v->right[HN_Add](d, d, s->term[i % s->channels], n);
    }
}

hone_status batch_norm_vec_run(hn_exec *x) {
  const batch_norm *s = x->task->state;
  const hn_arg *in = &x->task->in[0];
  bool last = in->rank == 2 || in->layout == HN_LAYOUT_NHWC;
  int64_t run = last ? s->channels : s->each;
  if (x->in[0].count) hn_parallel_for(x->threads, x->in[0].count / run, GRAIN / run + 1, last ? run_rows : run_planes, x);
  return HONE_OK;
}

void batch_norm_vec_destroy(hn_task *t) {
  batch_norm *s = t->state;
  if (s) hn_free(s->factor);
  hn_free(s);
  t->state = NULL;
}
