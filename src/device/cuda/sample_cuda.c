/* sample_cuda.c - Resize, GridSample, RoiAlign, MaxRoiPool. */
#include <string.h>

#include "base/alloc.h"
#include "device/cuda/cuda_kernel.h"
#include "op/infer.h"
#include "op/resample.h"

/* ---- Resize: the taps of each axis are found when it is planned, and kept on the device */

typedef struct resizing {
  hn_gpu_resize r;
  void *kept[HN_GPU_SPATIAL];
} resizing;

static bool resolve(const hn_task *t, hn_resample *r) {
  const hn_tensor *c[4] = {NULL};
  for (uint32_t i = 1; i < 4; i++)
    if (hn_cuda_given(t, i) && !(c[i] = t->in[i].constant)) return false;
  return !hn_resample_resolve(t->cx, t->node, t->in[0].rank, t->in[0].dims, c[1], c[2], c[3], r);
}

/* Floats; of the small integers only what copies them. */
static bool resizable(const hn_arg *a, const hn_node *n) {
  if (hn_cuda_float(a)) return true;
  bool small = a->dtype == HONE_DTYPE_I8 || a->dtype == HONE_DTYPE_U8 || a->dtype == HONE_DTYPE_I16 || a->dtype == HONE_DTYPE_U16;
  return small && hn_streq(hn_attr_s(n, "mode", "nearest"), "nearest");
}

bool resize_cuda_supports(const hn_task *t) {
  hn_resample r;
  int axes = 0;
  if (!hn_cuda_fits(t) || !resizable(&t->in[0], t->node) || t->out[0].dtype != t->in[0].dtype || (t->in[0].quant != NULL) != (t->out[0].quant != NULL) || !resolve(t, &r)) return false;
  if (t->in[0].quant && (t->in[0].quant->scales || t->in[0].quant->scale != t->out[0].quant->scale || t->in[0].quant->zero != t->out[0].quant->zero)) return false;
  for (int32_t a = 0; a < r.rank; a++) axes += !hn_resample_keeps(&r, a);
  return axes <= HN_GPU_SPATIAL && r.rank >= 1 && memcmp(r.out, t->out[0].dims, sizeof *r.out * (size_t)r.rank) == 0;
}

/* at, weight and outside of an axis in one piece of memory. */
static hone_status keep_taps(hn_task *t, const hn_taps *taps, int64_t out, hn_gpu_taps *g, void **kept) {
  size_t count = (size_t)(out * taps->n), bytes = count * 8 + (size_t)out;
  unsigned char *all = hn_malloc(bytes + 1);
  if (!all) return hn_nomem(t->cx);
  int32_t *at = (int32_t *)(void *)all;
  float *weight = (float *)(void *)(all + count * 4);
  for (size_t i = 0; i < count; i++) {
    at[i] = (int32_t)taps->at[i];
    weight[i] = (float)taps->weight[i];
  }
  for (int64_t i = 0; i < out; i++) all[count * 8 + (size_t)i] = taps->outside && taps->outside[i];
  hone_status st = hn_cuda_keep(t, all, bytes, kept);
  hn_free(all);
  if (st) return st;
  g->n = (int32_t)taps->n;
  g->at = *kept;
  g->weight = (const float *)(const void *)((const char *)*kept + count * 4);
  g->outside = taps->outside ? (const uint8_t *)*kept + count * 8 : NULL;
  return HONE_OK;
}

/* An axis that has no taps: one of weight 1. */
static hone_status keep_nothing(hn_task *t, hn_gpu_taps *g, void **kept) {
  int64_t at = 0;
  double weight = 1;
  return keep_taps(t, &(hn_taps){.n = 1, .at = &at, .weight = &weight}, 1, g, kept);
}

static hone_status plan_axes(hn_task *t, const hn_resample *r, resizing *z) {
  const hn_arg *in = &t->in[0], *o = &t->out[0];
  int64_t stride[HN_MAX_RANK];
  int used = 0;
  hn_cuda_strides(in, stride);
  for (int32_t i = 0; i < o->rank; i++) {
    int32_t a = o->layout == HN_LAYOUT_PLAIN || i == 0 ? i : i == o->rank - 1 ? 1 : i + 1;
    z->r.dim[i] = hn_gpu_div_of(o->dims[a]);
    z->r.stride[i] = (uint32_t)stride[a];
    z->r.axis[i] = -1;
    if (hn_resample_keeps(r, a)) continue;
    hn_taps taps;
    hone_status st = hn_resample_taps(t->cx, t->node, r, a, &taps);
    if (!st && taps.n > INT32_MAX / 16) st = HONE_UNSUPPORTED;
    if (!st) st = keep_taps(t, &taps, o->dims[a], &z->r.taps[used], &z->kept[used]);
    hn_taps_free(&taps);
    if (st) return st;
    z->r.taps[used].stride = (uint32_t)stride[a];
    z->r.axis[i] = used++;
  }
  for (; used < HN_GPU_SPATIAL; used++) HN_TRY(keep_nothing(t, &z->r.taps[used], &z->kept[used]));
  return HONE_OK;
}

hone_status resize_cuda_plan(hn_task *t) {
  hn_resample r;
  resizing *z;
  if (!resolve(t, &r)) return HONE_UNSUPPORTED;
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
  t->in[0].layout = t->out[0].layout = hn_cuda_keep_layout(&t->in[0]);
  HN_TRY(hn_cuda_state(t, sizeof *z, &z));
  z->r.n = (uint32_t)hn_cuda_count(&t->out[0]);
  z->r.rank = t->out[0].rank;
  z->r.dtype = (int32_t)t->in[0].dtype;
  z->r.extrapolated = (float)hn_attr_f(t->node, "extrapolation_value", 0);
  return z->r.n ? plan_axes(t, &r, z) : HONE_OK;
}

hone_status resize_cuda_run(hn_exec *x) {
  hn_gpu_resize r = ((const resizing *)x->task->state)->r;
  r.in = x->in[0].data;
  r.out = x->out[0].data;
  hn_gpu_resize_run(hn_cuda_stream(x), &r);
  return hn_cuda_launched(x);
}

void resize_cuda_destroy(hn_task *t) {
  resizing *z = t->state;
  for (int i = 0; z && i < HN_GPU_SPATIAL; i++) hn_cuda_drop(t, z->kept[i]);
  hn_cuda_free_state(t);
}

/* ---- GridSample */

static bool grid_of(const hn_task *t, hn_gpu_grid *g) {
  const hn_arg *in = &t->in[0], *grid = &t->in[1], *o = &t->out[0];
  const char *mode = hn_attr_s(t->node, "mode", "linear"), *pad = hn_attr_s(t->node, "padding_mode", "zeros");
  int32_t spatial = in->rank - 2;
  *g = (hn_gpu_grid){.spatial = spatial, .dtype = (int32_t)in->dtype, .n = (uint32_t)hn_cuda_count(o), .corners = hn_attr_i(t->node, "align_corners", 0) != 0};
  if (spatial < 1 || spatial > HN_GPU_SPATIAL || grid->rank != in->rank || grid->dims[grid->rank - 1] != spatial || grid->dims[0] != in->dims[0]) return false;
  g->taps = hn_streq(mode, "nearest") ? 1 : hn_streq(mode, "linear") ? 2 : hn_streq(mode, "cubic") ? 4 : 0;
  g->border = hn_streq(pad, "zeros") ? 0 : hn_streq(pad, "border") ? 1 : hn_streq(pad, "reflection") ? 2 : -1;
  int64_t points = 1;
  for (int32_t i = 0; i < HN_GPU_SPATIAL; i++) g->size[i] = 1;
  for (int32_t i = 2; i < in->rank; i++) {
    g->size[i - 2 + HN_GPU_SPATIAL - spatial] = (int32_t)in->dims[i];
    points *= o->dims[i];
    if (in->dims[i] == 0) return false;
  }
  g->points = hn_gpu_div_of(points);
  g->channels = hn_gpu_div_of(in->dims[1]);
  return g->taps && g->border >= 0;
}

HN_CUDA_PLAIN(grid_cuda, hn_gpu_grid, 2, grid_of)

hone_status grid_cuda_run(hn_exec *x) {
  hn_gpu_grid g = *(const hn_gpu_grid *)x->task->state;
  g.in = x->in[0].data;
  g.grid = x->in[1].data;
  g.out = x->out[0].data;
  hn_gpu_grid_run(hn_cuda_stream(x), &g);
  return hn_cuda_launched(x);
}

/* ---- RoiAlign, MaxRoiPool */

static bool regions_of(const hn_task *t, hn_gpu_regions *r) {
  const hn_node *n = t->node;
  const hn_arg *in = &t->in[0], *rois = &t->in[1], *o = &t->out[0];
  int64_t ratio = hn_attr_i(n, "sampling_ratio", 0);
  bool whole = n->op == HN_MaxRoiPool;
  *r = (hn_gpu_regions){.whole = whole, .dtype = (int32_t)in->dtype, .n = (uint32_t)hn_cuda_count(o), .scale = hn_attr_f(n, "spatial_scale", 1),
                        .max = hn_streq(hn_attr_s(n, "mode", "avg"), "max"),
                        .half = hn_streq(hn_attr_s(n, "coordinate_transformation_mode", "half_pixel"), "half_pixel")};
  if (in->rank != 4 || o->rank != 4 || rois->rank != 2 || rois->dims[1] != (whole ? 5 : 4) || ratio < 0 || ratio > 1 << 12) return false;
  if (!whole && ((t->in[2].dtype != HONE_DTYPE_I64 && t->in[2].dtype != HONE_DTYPE_I32) || hn_cuda_count(&t->in[2]) != rois->dims[0])) return false;
  r->image_dtype = whole ? 0 : (int32_t)t->in[2].dtype;
  r->height = (int32_t)in->dims[2], r->width = (int32_t)in->dims[3], r->limit = (int32_t)in->dims[0], r->ratio = (int32_t)ratio;
  r->channels = hn_gpu_div_of(o->dims[1]), r->pooled_h = hn_gpu_div_of(o->dims[2]), r->pooled_w = hn_gpu_div_of(o->dims[3]);
  return true;
}

HN_CUDA_PLAIN(regions_cuda, hn_gpu_regions, 2, regions_of)

hone_status regions_cuda_run(hn_exec *x) {
  hn_gpu_regions r = *(const hn_gpu_regions *)x->task->state;
  r.in = x->in[0].data;
  r.regions = x->in[1].data;
  r.images = r.whole ? NULL : x->in[2].data;
  r.out = x->out[0].data;
  r.fault = hn_cuda_fault(x);
  hn_gpu_regions_run(hn_cuda_stream(x), &r);
  return hn_cuda_launched(x);
}
