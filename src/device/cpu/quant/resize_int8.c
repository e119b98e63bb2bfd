/* resize_int8.c - Resize of images of bytes with channels last: an output pixel is a weighted sum of a few input pixels, rounded
   once; where it is one of them, and input and output have one scale, it is copied, and lines that are as the line before at once. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"
#include "device/cpu/vec/resize_task.h"

enum { MOST_TAPS = 64, GRAIN = 65536 };

/* The input indices that an output index of an axis is made of, and their weights, without those of zero. */
typedef struct axis {
  int64_t in, out, each;
  int64_t *at;
  float *weight;
  int *n;
} axis;

typedef struct resize {
  const hn_int8_tile *tile;
  int64_t images, channels;
  axis axes[2]; /* lines, pixels of a line */
  bool copies, is_signed;
  hn_int8_way_out way;
  float unit, bias;
} resize;

/* Weights of a cubic are below zero too: what comes out is not bounded by what goes in. */
static bool way_out(const hn_task *t, hn_int8_way_out *w) { return hn_int8_function_of(t, t->node->post, t->node->n_post, -INFINITY, INFINITY, w); }

bool resize_int8_supports(const hn_task *t) {
  hn_resample r;
  const hn_arg *in = &t->in[0];
  if (!t->device || !hn_arg_is_bytes(in) || !hn_arg_is_bytes(&t->out[0]) || in->rank < 3 || in->rank > 4 || !hn_resize_resolve(t, &r)) return false;
  if (hn_streq(hn_attr_s(t->node, "coordinate_transformation_mode", ""), "tf_crop_and_resize")) return false;
  for (int32_t i = 0; i < r.rank; i++)
    if (r.in[i] == 0 || r.out[i] == 0) return false;
  hn_int8_way_out way;
  return hn_resample_keeps(&r, 0) && hn_resample_keeps(&r, 1) && way_out(t, &way);
}

/* `of` < 0: an axis that there is not. */
static hone_status plan_axis(hn_task *t, const hn_resample *r, int32_t of, axis *a) {
  hn_taps taps = {.n = 1};
  bool kept = of < 0 || hn_resample_keeps(r, of);
  a->in = of < 0 ? 1 : r->in[of];
  a->out = of < 0 ? 1 : r->out[of];
  if (!kept) HN_TRY(hn_resample_taps(t->cx, t->node, r, of, &taps));
  a->each = taps.n;
  a->at = hn_calloc((size_t)(a->out * taps.n), sizeof *a->at);
  a->weight = hn_calloc((size_t)(a->out * taps.n), sizeof *a->weight);
  a->n = hn_calloc((size_t)a->out, sizeof *a->n);
  hone_status st = a->at && a->weight && a->n ? HONE_OK : hn_nomem(t->cx);
  for (int64_t i = 0; i < a->out && !st; i++)
    for (int64_t k = 0; k < taps.n; k++) {
      float weight = kept ? 1 : (float)taps.weight[i * taps.n + k];
      if (weight == 0 && (k + 1 < taps.n || a->n[i])) continue;
      a->at[i * taps.n + a->n[i]] = kept ? i : taps.at[i * taps.n + k];
      a->weight[i * taps.n + a->n[i]++] = weight;
    }
  hn_taps_free(&taps);
  return st;
}

/* Is every index one of the input's? */
static bool picks(const axis *a) {
  for (int64_t i = 0; i < a->out; i++)
    if (a->n[i] != 1 || a->weight[i * a->each] != 1) return false;
  return true;
}

hone_status resize_int8_plan(hn_task *t) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  hn_resample r;
  if (!hn_resize_resolve(t, &r)) return HONE_UNSUPPORTED;
  resize *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  s->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  s->images = in->dims[0];
  s->channels = in->dims[1];
  s->is_signed = in->dtype == HONE_DTYPE_I8;
  for (int i = 0; i < 2; i++) HN_TRY(plan_axis(t, &r, in->rank == 3 && !i ? -1 : in->rank - 2 + i, &s->axes[i]));
  if (s->axes[0].each * s->axes[1].each > MOST_TAPS) return HONE_UNSUPPORTED;
  if (!way_out(t, &s->way)) return HONE_UNSUPPORTED;
  s->unit = hn_int8_way_out_unit(&s->way, (double)in->quant->scale);
  s->bias = hn_int8_way_out_bias(&s->way, 0);
  s->copies = !t->node->n_post && in->dtype == out->dtype && in->quant->scale == out->quant->scale && in->quant->zero == out->quant->zero &&
              picks(&s->axes[0]) && picks(&s->axes[1]);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
  t->fused = t->node->n_post;
  return HONE_OK;
}

void resize_int8_destroy(hn_task *t) {
  resize *s = t->state;
  for (int i = 0; s && i < 2; i++) {
    hn_free(s->axes[i].at);
    hn_free(s->axes[i].weight);
    hn_free(s->axes[i].n);
  }
  hn_free(s);
  t->state = NULL;
}

/* ---- running */

static void copy_line(const resize *s, const uint8_t *line, uint8_t *to) {
  size_t n = (size_t)s->channels;
  for (int64_t x = 0; x < s->axes[1].out; x++, to += n) memcpy(to, line + s->axes[1].at[x * s->axes[1].each] * s->channels, n);
}

static void make_line(const resize *s, int32_t zero, const uint8_t *image, int64_t y, uint8_t *to) {
  const axis *v = &s->axes[0], *h = &s->axes[1];
  const uint8_t *tap[MOST_TAPS];
  float weight[MOST_TAPS];
  for (int64_t x = 0; x < h->out; x++, to += s->channels) {
    float sum = 0;
    int n = 0;
    for (int64_t i = y * v->each; i < y * v->each + v->n[y]; i++)
      for (int64_t k = x * h->each; k < x * h->each + h->n[x]; k++, n++) {
        tap[n] = image + (v->at[i] * h->in + h->at[k]) * s->channels;
        weight[n] = v->weight[i] * h->weight[k];
        sum += weight[n];
      }
    hn_int8_weigh w = {.row = tap, .weight = weight, .rows = n, .is_signed = s->is_signed, .start = -(float)zero * sum, .by = 1, .out = to,
                       .unit = s->unit, .bias = s->bias, .ending = &s->way.ending};
    s->tile->weigh(&w, s->channels);
  }
}

/* Is a line of the output made as the one before it? */
static bool same_line(const axis *v, int64_t y) {
  return v->n[y] == 1 && v->n[y - 1] == 1 && v->at[y * v->each] == v->at[(y - 1) * v->each] && v->weight[y * v->each] == v->weight[(y - 1) * v->each];
}

static void run_lines(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const resize *s = x->task->state;
  const axis *v = &s->axes[0], *h = &s->axes[1];
  int64_t line = h->out * s->channels;
  for (int64_t i = begin; i < end; i++) {
    int64_t y = i % v->out;
    const uint8_t *image = (const uint8_t *)x->in[0].data + i / v->out * v->in * h->in * s->channels;
    uint8_t *to = (uint8_t *)x->out[0].data + i * line;
    if (i > begin && y && same_line(v, y)) memcpy(to, to - line, (size_t)line);
    else if (s->copies) copy_line(s, image + v->at[y * v->each] * h->in * s->channels, to);
    else make_line(s, x->task->in[0].quant->zero, image, y, to);
  }
}

hone_status resize_int8_run(hn_exec *x) {
  const resize *s = x->task->state;
  hn_parallel_for(x->task->threads, s->images * s->axes[0].out, GRAIN / (s->axes[1].out * s->channels + 1) + 1, run_lines, x);
  return HONE_OK;
}
