/* sample_vec.c - GridSample and RoiAlign with channels last: an output pixel is a weighted sum of input pixels, all channels at
   once. Where they lie is found out once for a pixel. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "op/sampling.h"

enum { GRAIN = 1 << 12, MAX_TAPS = 64 };

typedef struct sample_state {
  hn_sampler sampler;
  int64_t plane, channels, points; /* pixels of an image of the input, numbers in each; pixels of an image of the output */
} sample_state;

static bool is_grid(const hn_task *t) { return t->node->op == HN_GridSample; }

static bool all_floats(const hn_task *t, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (t->in[i].dtype != HONE_DTYPE_F32 || t->in[i].quant) return false;
  return true;
}

bool sample_vec_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0], *where = &t->in[1];
  hn_sampler s;
  if (!t->device || !all_floats(t, 2)) return false;
  for (int32_t i = 0; i < in->rank; i++)
    if (in->dims[i] < 1) return false;
  if (is_grid(t))
    return in->rank >= 4 && in->rank <= 5 && where->rank == in->rank && where->dims[in->rank - 1] == in->rank - 2 &&
           where->dims[0] == in->dims[0] && hn_sampler_open(t->node, in->rank, in->dims, &s);
  return in->rank == 4 && where->rank == 2 && where->dims[1] == 4 && t->in[2].rank == 1 && t->in[2].dims[0] == where->dims[0] &&
         (t->in[2].dtype == HONE_DTYPE_I64 || t->in[2].dtype == HONE_DTYPE_I32) && hn_streq(hn_attr_s(t->node, "mode", "avg"), "avg") &&
         hn_attr_i(t->node, "sampling_ratio", 0) >= 0 && hn_attr_i(t->node, "sampling_ratio", 0) <= 1 << 12;
}

hone_status sample_vec_plan(hn_task *t) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  sample_state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  if (is_grid(t) && !hn_sampler_open(t->node, in->rank, in->dims, &s->sampler)) return HONE_UNSUPPORTED;
  s->channels = in->dims[1];
  s->plane = s->points = 1;
  for (int32_t i = 2; i < in->rank; i++) s->plane *= in->dims[i], s->points *= out->dims[i];
  return HONE_OK;
}

typedef struct sample_run {
  const sample_state *s;
  const hn_exec *x;
  const hn_vec *vec;
  int64_t bad; /* 1 more than the number of a region that is wrong; 0: none is */
} sample_run;

/* Taps of all axes together at a point of the grid. */
static size_t grid_taps(const sample_state *s, const float *point, int64_t *at, float *weight) {
  const hn_sampler *p = &s->sampler;
  int64_t one[HN_MAX_RANK][4];
  double w[HN_MAX_RANK][4];
  size_t n = 0, all = 1;
  for (int32_t i = 0; i < p->n; i++, all *= (size_t)p->taps) /* the last of a vector is x, the innermost */
    hn_sampler_taps(p, i, hn_sampler_place(p, i, (double)point[p->n - 1 - i]), one[i], w[i]);
  for (size_t c = 0; c < all; c++) {
    size_t rest = c;
    int64_t offset = 0, stride = 1;
    double product = 1;
    bool inside = true;
    for (int32_t i = p->n - 1; i >= 0; stride *= p->size[i], rest /= (size_t)p->taps, i--) {
      size_t k = rest % (size_t)p->taps;
      inside = inside && one[i][k] >= 0;
      offset += one[i][k] * stride;
      product *= w[i][k];
    }
    if (!inside || product == 0) continue;
    at[n] = offset * s->channels;
    weight[n++] = (float)product;
  }
  return n;
}

static void run_grid(void *arg, int64_t begin, int64_t end) {
  const sample_run *r = arg;
  const sample_state *s = r->s;
  const float *grid = r->x->in[1].data, *in = r->x->in[0].data;
  float *out = r->x->out[0].data;
  for (int64_t p = begin; p < end; p++) {
    int64_t at[MAX_TAPS];
    float w[MAX_TAPS], *to = out + p * s->channels;
    size_t n = grid_taps(s, grid + p * s->sampler.n, at, w);
    if (n) r->vec->blend(to, in + p / s->points * s->plane * s->channels, at, w, n, (size_t)s->channels, false);
    else memset(to, 0, sizeof *to * (size_t)s->channels);
  }
}

/* One bin: all its samples, as many taps at a time as there is room for. */
static void run_bin(const sample_run *r, const float *image, const hn_region *g, int64_t i, int64_t j, float *to) {
  const sample_state *s = r->s;
  const hn_view *in = &r->x->in[0];
  double count = (double)(g->grid_h * g->grid_w), weight[4];
  int64_t at[MAX_TAPS];
  float w[MAX_TAPS];
  size_t n = 0;
  bool more = false;
  for (int64_t a = 0; a < g->grid_h; a++)
    for (int64_t b = 0; b < g->grid_w; b++) {
      if (n + 4 > MAX_TAPS) {
        r->vec->blend(to, image, at, w, n, (size_t)s->channels, more);
        n = 0, more = true;
      }
      if (!hn_region_taps(hn_region_y(g, i, a), hn_region_x(g, j, b), in->dims[2], in->dims[3], at + n, weight)) continue;
      for (int k = 0; k < 4; k++) at[n + (size_t)k] *= s->channels, w[n + (size_t)k] = (float)(weight[k] / count);
      n += 4;
    }
  if (n) r->vec->blend(to, image, at, w, n, (size_t)s->channels, more);
  else if (!more) memset(to, 0, sizeof *to * (size_t)s->channels);
}

static void run_regions(void *arg, int64_t begin, int64_t end) {
  sample_run *r = arg;
  const sample_state *s = r->s;
  const hn_view *in = &r->x->in[0], *rois = &r->x->in[1], *images = &r->x->in[2];
  int64_t columns = hn_attr_i(hn_xnode(r->x), "output_width", 1);
  for (int64_t k = begin; k < end; k++) {
    int64_t image = hn_load_i64(images->dtype, images->data, (size_t)k);
    hn_region g;
    double box[4];
    for (int i = 0; i < 4; i++) box[i] = (double)((const float *)rois->data)[4 * k + i];
    if (image < 0 || image >= in->dims[0] || !hn_region_of(hn_xnode(r->x), box, &g)) {
      __atomic_store_n(&r->bad, k + 1, __ATOMIC_RELAXED);
      return;
    }
    float *to = (float *)r->x->out[0].data + k * s->points * s->channels;
    for (int64_t i = 0; i < s->points; i++)
      run_bin(r, (const float *)in->data + image * s->plane * s->channels, &g, i / columns, i % columns, to + i * s->channels);
  }
}

hone_status sample_vec_run(hn_exec *x) {
  const sample_state *s = x->task->state;
  sample_run r = {s, x, x->task->device->vec, 0};
  int64_t each = s->channels + 64; /* finding the place costs as much as many channels */
  if (is_grid(x->task)) hn_parallel_for(x->threads, x->in[0].dims[0] * s->points, GRAIN / each + 1, run_grid, &r);
  else hn_parallel_for(x->threads, x->in[1].dims[0], GRAIN / (each * s->points) + 1, run_regions, &r);
  if (r.bad) return hn_xfail(x, HONE_BAD_GRAPH, "region %lld is too large, or of an image that is not there", (long long)r.bad - 1);
  return HONE_OK;
}

void sample_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
