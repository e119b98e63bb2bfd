/* resize_planes.c - Resize of the last two axes of row-major tensors: an output line is a weighted sum of input lines, whose
   pixels are then picked and weighted along it. What images are before and after a network, where channels do not lie last. */
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/resize_task.h"

enum { GRAIN = 1 << 14 };

typedef struct planes_state {
  int64_t planes, in[2], out[2];
  bool keeps[2];
  hn_taps lines;  /* of the last axis but one */
  int64_t n;      /* taps of a pixel along its line: tap k of pixel i is at[k * out[1] + i] */
  int32_t *at;
  float *weight;
} planes_state;

bool resize_planes_supports(const hn_task *t) {
  hn_resample r;
  const hn_arg *in = &t->in[0];
  if (!t->device || in->dtype != HONE_DTYPE_F32 || in->quant || in->layout != HN_LAYOUT_PLAIN || in->rank < 2 || !hn_resize_resolve(t, &r)) return false;
  if (hn_streq(hn_attr_s(t->node, "coordinate_transformation_mode", ""), "tf_crop_and_resize")) return false;
  for (int32_t i = 0; i < r.rank; i++)
    if (r.out[i] == 0 || r.in[i] > INT32_MAX || (i < r.rank - 2 && !hn_resample_keeps(&r, i))) return false;
  return true;
}

/* The taps along a line, each one's for all pixels together. */
static hone_status along(hn_task *t, const hn_resample *r, planes_state *s) {
  hn_taps taps;
  HN_TRY(hn_resample_taps(t->cx, t->node, r, r->rank - 1, &taps));
  size_t n = (size_t)taps.n * (size_t)s->out[1];
  s->n = taps.n;
  s->at = hn_malloc(sizeof *s->at * n);
  s->weight = hn_malloc(sizeof *s->weight * n);
  for (int64_t k = 0; k < taps.n && s->at && s->weight; k++)
    for (int64_t i = 0; i < s->out[1]; i++) {
      s->at[k * s->out[1] + i] = (int32_t)taps.at[i * taps.n + k];
      s->weight[k * s->out[1] + i] = (float)taps.weight[i * taps.n + k];
    }
  hn_taps_free(&taps);
  return s->at && s->weight ? HONE_OK : hn_nomem(t->cx);
}

hone_status resize_planes_plan(hn_task *t) {
  hn_resample r;
  if (!hn_resize_resolve(t, &r)) return HONE_UNSUPPORTED;
  planes_state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
  s->planes = 1;
  for (int32_t i = 0; i < r.rank - 2; i++) s->planes *= r.in[i];
  for (int k = 0; k < 2; k++) {
    s->in[k] = r.in[r.rank - 2 + k];
    s->out[k] = r.out[r.rank - 2 + k];
    s->keeps[k] = hn_resample_keeps(&r, r.rank - 2 + k);
  }
  HN_TRY(hn_resample_taps(t->cx, t->node, &r, r.rank - 2, &s->lines));
  if (!s->keeps[1]) HN_TRY(along(t, &r, s));
  t->scratch = (size_t)t->threads * (size_t)(s->in[1] + 15) / 16 * 16 * sizeof(float);
  return HONE_OK;
}

typedef struct planes_run {
  const planes_state *s;
  const hn_vec *vec;
  const float *from;
  float *to, *scratch;
  int64_t rows, parts; /* each part has its own scratch */
} planes_run;

/* Is line i of the output made of what the one before is made of? */
static bool repeats(const hn_taps *taps, int64_t i) {
  size_t n = (size_t)taps->n;
  return i > 0 && memcmp(taps->at + i * taps->n, taps->at + (i - 1) * taps->n, sizeof *taps->at * n) == 0 &&
         memcmp(taps->weight + i * taps->n, taps->weight + (i - 1) * taps->n, sizeof *taps->weight * n) == 0;
}

/* The weighted sum of input lines that output line i is made of: one of them where it is that, else in `sum`. */
static const float *blend(const planes_run *r, const float *plane, int64_t i, float *sum) {
  const planes_state *s = r->s;
  size_t n = (size_t)s->in[1];
  const float *line = NULL;
  bool first = true;
  for (int64_t k = 0; k < s->lines.n; k++) {
    float w = (float)s->lines.weight[i * s->lines.n + k];
    if (w == 0 && !(first && k + 1 == s->lines.n)) continue;
    line = plane + s->lines.at[i * s->lines.n + k] * s->in[1];
    if (first && w == 1) {
      bool alone = true;
      for (int64_t m = k + 1; m < s->lines.n; m++) alone = alone && s->lines.weight[i * s->lines.n + m] == 0;
      if (alone) return line;
    }
    if (first) r->vec->right[HN_Mul](sum, line, w, n);
    else r->vec->add_scaled(sum, line, w, n);
    first = false;
  }
  return sum;
}

static void pick_along(const planes_run *r, float *to, const float *line) {
  const planes_state *s = r->s;
  size_t n = (size_t)s->out[1];
  if (s->keeps[1]) {
    if (line != to) memcpy(to, line, sizeof *to * n);
  } else if (s->n == 1) {
    r->vec->pick(to, line, s->at, NULL, n);
  } else {
    r->vec->pick_sum(to, line, s->at, s->weight, (size_t)s->n, n);
  }
}

static void run_part(const planes_run *r, int64_t part) {
  const planes_state *s = r->s;
  float *own = r->scratch + part * ((s->in[1] + 15) / 16 * 16);
  int64_t begin = part * r->rows / r->parts, end = (part + 1) * r->rows / r->parts;
  for (int64_t p = begin; p < end; p++) {
    int64_t i = p % s->out[0];
    float *to = r->to + p * s->out[1];
    if (p > begin && repeats(&s->lines, i)) memcpy(to, to - s->out[1], sizeof *to * (size_t)s->out[1]);
    else pick_along(r, to, blend(r, r->from + p / s->out[0] * s->in[0] * s->in[1], i, s->keeps[1] ? to : own));
  }
}

static void run_parts(void *arg, int64_t begin, int64_t end) {
  for (int64_t part = begin; part < end; part++) run_part(arg, part);
}

hone_status resize_planes_run(hn_exec *x) {
  const planes_state *s = x->task->state;
  planes_run r = {s, x->task->device->vec, x->in[0].data, x->out[0].data, x->scratch, s->planes * s->out[0], x->threads};
  int64_t worth = r.rows * s->out[1] * (s->n + s->lines.n) / GRAIN + 1;
  r.parts = hn_smaller(hn_smaller(r.parts, worth), r.rows);
  hn_parallel_for(x->threads, r.parts, 1, run_parts, &r);
  return HONE_OK;
}

void resize_planes_destroy(hn_task *t) {
  planes_state *s = t->state;
  if (s) {
    hn_taps_free(&s->lines);
    hn_free(s->at);
    hn_free(s->weight);
  }
  hn_free(s);
  t->state = NULL;
}
