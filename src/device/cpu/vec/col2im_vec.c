/* col2im_vec.c - Col2Im of images of two dimensions: each tap's row of columns is added to the lines it lies on, a run at a time
   where the columns lie side by side. */
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"

enum { GRAIN = 1 << 14 };

typedef struct col2im_state {
  int64_t planes, size[2], block[2], steps[2], stride[2], dilation[2], pad[2];
} col2im_state;

static bool describe(const hn_task *t, col2im_state *s) {
  const hn_tensor *image = t->in[1].constant, *block = t->in[2].constant;
  static const struct {
    const char *name;
    int64_t otherwise;
  } attrs[] = {{"strides", 1}, {"dilations", 1}, {"pads", 0}};
  if (!image || !block || image->count != 2 || block->count != 2) return false;
  for (int i = 0; i < 2; i++) {
    const int64_t *v;
    int64_t a[3], after = 0;
    for (int k = 0; k < 3; k++) {
      uint32_t n = hn_attr_ints(t->node, attrs[k].name, &v);
      if (n && n != (k == 2 ? 4U : 2U)) return false;
      a[k] = n ? v[i] : attrs[k].otherwise;
      if (k == 2 && n) after = v[2 + i];
    }
    s->size[i] = hn_tensor_i(image, (size_t)i), s->block[i] = hn_tensor_i(block, (size_t)i);
    s->stride[i] = a[0], s->dilation[i] = a[1], s->pad[i] = a[2];
    if (s->size[i] < 1 || s->block[i] < 1 || a[0] < 1 || a[1] < 1 || s->block[i] > 1 << 20 || a[1] > 1 << 20) return false;
    s->steps[i] = (s->size[i] + a[2] + after - a[1] * (s->block[i] - 1) - 1) / s->stride[i] + 1;
  }
  s->planes = t->out[0].dims[0] * t->out[0].dims[1];
  return t->in[0].dims[2] == s->steps[0] * s->steps[1] && t->in[0].dims[1] == t->out[0].dims[1] * s->block[0] * s->block[1];
}

bool col2im_vec_supports(const hn_task *t) {
  col2im_state s;
  return t->device && t->in[0].dtype == HONE_DTYPE_F32 && t->in[0].rank == 3 && t->out[0].rank == 4 && describe(t, &s);
}

hone_status col2im_vec_plan(hn_task *t) {
  col2im_state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!describe(t, s)) return HONE_UNSUPPORTED;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_PLAIN;
  t->in[1].unused = t->in[2].unused = true;
  return HONE_OK;
}

/* Where the steps of an axis lie within the image for a tap that begins at `at`: from *first to before *end. */
static void inside(const col2im_state *s, int axis, int64_t at, int64_t *first, int64_t *end) {
  int64_t stride = s->stride[axis];
  *first = at < 0 ? hn_ceil_div(-at, stride) : 0;
  *end = at < s->size[axis] ? hn_smaller(s->steps[axis], (s->size[axis] - 1 - at) / stride + 1) : 0;
}

static void add_tap(const col2im_state *s, const hn_vec *vec, const float *columns, int64_t ky, int64_t kx, float *plane) {
  int64_t y = ky * s->dilation[0] - s->pad[0], x = kx * s->dilation[1] - s->pad[1], rows[2], run[2];
  inside(s, 0, y, &rows[0], &rows[1]);
  inside(s, 1, x, &run[0], &run[1]);
  for (int64_t i = rows[0]; i < rows[1] && run[0] < run[1]; i++) {
    const float *from = columns + i * s->steps[1] + run[0];
    float *to = plane + (y + i * s->stride[0]) * s->size[1] + x + run[0] * s->stride[1];
    if (s->stride[1] == 1) vec->accumulate(to, from, (size_t)(run[1] - run[0]));
    else
      for (int64_t k = 0; k < run[1] - run[0]; k++) to[k * s->stride[1]] += from[k];
  }
}

static void run_planes(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const col2im_state *s = x->task->state;
  int64_t pixels = s->size[0] * s->size[1], columns = s->steps[0] * s->steps[1], taps = s->block[0] * s->block[1];
  for (int64_t p = begin; p < end; p++) {
    float *plane = (float *)x->out[0].data + p * pixels;
    memset(plane, 0, sizeof *plane * (size_t)pixels);
    for (int64_t t = 0; t < taps; t++)
      add_tap(s, x->task->device->vec, (const float *)x->in[0].data + (p * taps + t) * columns, t / s->block[1], t % s->block[1], plane);
  }
}

hone_status col2im_vec_run(hn_exec *x) {
  const col2im_state *s = x->task->state;
  hn_parallel_for(x->threads, s->planes, GRAIN / (s->size[0] * s->size[1] * s->block[0] * s->block[1]) + 1, run_planes, x);
  return HONE_OK;
}

void col2im_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
