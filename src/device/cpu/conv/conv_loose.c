/* conv_loose.c - convolution with weights that are known only when it runs: they are packed then, and images with channels last
   multiplied row by row of the output, the pixels under the window brought together before. So is DeformConv, whose pixels lie where
   its offsets say (Dai et al., "Deformable Convolutional Networks", 2017). */
#include <math.h>
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/gemm/tile.h"
#include "device/cpu/vec/float_runs.h"
#include "op/infer.h"

typedef struct loose {
  hn_window w;
  const hn_tile *tile;
  int64_t n, ic, ih, iw, oc, oh, ow, groups, kh, kw; /* images of rank 3 have one row */
  int64_t icg, ocg, k;  /* of a group; numbers under a window */
  int64_t deformed;     /* DeformConv: groups of channels with offsets of their own; 0: a plain convolution */
  size_t packed;        /* floats of a group's weights */
  size_t bias, rows;    /* floats of the padded bias of a group; of a thread's pixels */
} loose;

static bool describe(const hn_task *t, loose *s) {
  const hn_arg *in = &t->in[0], *w = &t->in[1], *out = &t->out[0];
  int32_t nd = in->rank - 2;
  int64_t groups = hn_attr_i(t->node, "group", 1);
  if (hn_window_resolve(t->cx, t->g->dims, t->node, nd, in->dims + 2, w->dims + 2, false, &s->w)) return false;
  bool line = nd == 1;
  s->n = in->dims[0], s->ic = in->dims[1], s->oc = out->dims[1], s->groups = groups;
  s->ih = line ? 1 : in->dims[2], s->iw = in->dims[1 + nd], s->oh = line ? 1 : out->dims[2], s->ow = out->dims[1 + nd];
  s->kh = line ? 1 : w->dims[2], s->kw = w->dims[1 + nd];
  if (line) {
    s->w.stride[1] = s->w.stride[0], s->w.dilation[1] = s->w.dilation[0], s->w.pad_begin[1] = s->w.pad_begin[0];
    s->w.stride[0] = s->w.dilation[0] = 1;
    s->w.pad_begin[0] = 0;
  }
  s->deformed = t->node->op == HN_DeformConv ? hn_attr_i(t->node, "offset_group", 1) : 0;
  if (groups < 1 || s->ic % groups || s->oc % groups || s->deformed < 0 || (s->deformed && s->ic % s->deformed)) return false;
  s->icg = s->ic / groups, s->ocg = s->oc / groups, s->k = s->icg * s->kh * s->kw;
  s->tile = hn_tile_for(hn_cpu_of(t)->isa);
  s->packed = hn_tile_packed(s->tile, s->k, s->ocg);
  s->bias = (size_t)hn_round_up(s->ocg, s->tile->cols);
  s->rows = (size_t)hn_round_up(s->ow * s->k, 16);
  return true;
}

/* Do the offsets, and the mask, fit? */
static bool deforms(const hn_task *t, const loose *s) {
  for (uint32_t i = 2; i < t->node->n_main; i += 2) {
    int64_t d[4] = {s->n, s->deformed * s->kh * s->kw * (i == 2 ? 2 : 1), s->oh, s->ow};
    if (!t->in[i].present) continue;
    for (int32_t k = 0; k < 4; k++)
      if (t->in[i].rank != 4 || t->in[i].dims[k] != d[k]) return false;
  }
  return t->in[1].dims[1] == s->icg && t->in[1].dims[0] == s->oc;
}

bool conv_loose_supports(const hn_task *t) {
  loose s;
  if (!t->device || t->in[0].rank < 3 || t->in[0].rank > 4 || t->in[1].rank != t->in[0].rank) return false;
  for (uint32_t i = 0; i < t->node->n_main; i++)
    if (t->in[i].present && (t->in[i].dtype != HONE_DTYPE_F32 || t->in[i].quant)) return false;
  for (int32_t i = 0; i < t->in[0].rank; i++)
    if (t->in[0].dims[i] < 1 || t->in[1].dims[i] < 1 || t->out[0].dims[i] < 1) return false;
  if (t->node->op != HN_DeformConv) return !t->in[1].constant && describe(t, &s);
  return t->in[0].rank == 4 && hn_attr_i(t->node, "offset_group", 1) > 0 && describe(t, &s) && deforms(t, &s);
}

hone_status conv_loose_plan(hn_task *t) {
  loose *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!describe(t, s)) return HONE_UNSUPPORTED;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  size_t floats = (s->packed + s->bias) * (size_t)s->groups + s->rows * (size_t)t->threads;
  t->scratch = floats * sizeof(float);
  return HONE_OK;
}

typedef struct loose_run {
  const loose *s;
  const float *in, *w, *bias, *offsets, *mask;
  const hn_vec *vec;
  float *out, *packed, *biases, *rows;
  int64_t each; /* lines of a thread; its pixels are those of its number */
} loose_run;

static const float *optional(const hn_exec *x, uint32_t i) { return hn_xhas(x, i) ? x->in[i].data : NULL; }

/* Panels of a group: window row, column, input channel down; output channels across. */
static void pack(void *arg, int64_t begin, int64_t end) {
  const loose_run *r = arg;
  const loose *s = r->s;
  int64_t taps = s->kh * s->kw, cols = s->tile->cols;
  for (int64_t g = begin; g < end; g++) {
    float *to = r->packed + (size_t)g * s->packed, *bias = r->biases + (size_t)g * s->bias;
    const float *w = r->w + g * s->ocg * s->k;
    for (int64_t o = 0; o < (int64_t)s->bias; o++) {
      float *column = to + o / cols * cols * s->k + o % cols;
      bias[o] = o < s->ocg && r->bias ? r->bias[g * s->ocg + o] : 0;
      for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < s->icg; i++) column[(t * s->icg + i) * cols] = o < s->ocg ? w[o * s->k + i * taps + t] : 0;
    }
  }
}

/* What lies under the windows of an output line, a row for each pixel. */
static void gather(const loose_run *r, int64_t n, int64_t g, int64_t y, float *rows) {
  const loose *s = r->s;
  for (int64_t x = 0; x < s->ow; x++)
    for (int64_t ky = 0; ky < s->kh; ky++)
      for (int64_t kx = 0; kx < s->kw; kx++, rows += s->icg) {
        int64_t at_y = y * s->w.stride[0] - s->w.pad_begin[0] + ky * s->w.dilation[0];
        int64_t at_x = x * s->w.stride[1] - s->w.pad_begin[1] + kx * s->w.dilation[1];
        if (at_y < 0 || at_y >= s->ih || at_x < 0 || at_x >= s->iw) memset(rows, 0, sizeof *rows * (size_t)s->icg);
        else memcpy(rows, r->in + ((n * s->ih + at_y) * s->iw + at_x) * s->ic + g * s->icg, sizeof *rows * (size_t)s->icg);
      }
}

/* Of n channels at (y, x), between pixels, d: the weighted sum of the four around, of which those outside are zeros. */
static void between(const loose_run *r, const float *image, double y, double x, float by, float *d, int64_t n) {
  const loose *s = r->s;
  int64_t at[4];
  float w[4];
  size_t some = 0;
  if (y > -1 && y < (double)s->ih && x > -1 && x < (double)s->iw) {
    double fy = floor(y), fx = floor(x);
    for (int i = 0; i < 4; i++) {
      int64_t py = (int64_t)fy + i / 2, px = (int64_t)fx + i % 2;
      if (py < 0 || py >= s->ih || px < 0 || px >= s->iw) continue;
      at[some] = (py * s->iw + px) * s->ic;
      w[some++] = (float)((1 - fabs((double)py - y)) * (1 - fabs((double)px - x))) * by;
    }
  }
  if (some) r->vec->blend(d, image, at, w, some, (size_t)n, false);
  else memset(d, 0, sizeof *d * (size_t)n);
}

/* The same where each tap of the window has an offset: channels of a group that share them at a time. */
static void gather_deformed(const loose_run *r, int64_t n, int64_t g, int64_t y, float *rows) {
  const loose *s = r->s;
  int64_t taps = s->kh * s->kw, pixels = s->oh * s->ow, each = s->ic / s->deformed, first = g * s->icg;
  for (int64_t x = 0; x < s->ow; x++)
    for (int64_t k = 0; k < taps; k++, rows += s->icg)
      for (int64_t c = first, end; c < first + s->icg; c = end) {
        int64_t o = c / each, plane = (n * s->deformed + o) * taps + k, pixel = y * s->ow + x;
        end = hn_smaller((o + 1) * each, first + s->icg);
        const float *offset = r->offsets + 2 * plane * pixels + pixel;
        double at_y = (double)(y * s->w.stride[0] - s->w.pad_begin[0] + k / s->kw * s->w.dilation[0]) + (double)offset[0];
        double at_x = (double)(x * s->w.stride[1] - s->w.pad_begin[1] + k % s->kw * s->w.dilation[1]) + (double)offset[pixels];
        between(r, r->in + n * s->ih * s->iw * s->ic + c, at_y, at_x, r->mask ? r->mask[plane * pixels + pixel] : 1, rows + c - first, end - c);
      }
}

static void run_line(const loose_run *r, int64_t line, float *rows) {
  const loose *s = r->s;
  int64_t n = line / s->oh, y = line % s->oh;
  for (int64_t g = 0; g < s->groups; g++) {
    if (s->deformed) gather_deformed(r, n, g, y, rows);
    else gather(r, n, g, y, rows);
    float *out = r->out + line * s->ow * s->oc + g * s->ocg;
    for (int64_t col = 0; col < s->ocg; col += s->tile->cols) {
      hn_tile_job j = {.k = s->k, .lda = s->k, .b = r->packed + (size_t)g * s->packed + col * s->k, .ldc = s->oc,
                       .bias = r->biases + (size_t)g * s->bias + col, .lo = -INFINITY, .hi = INFINITY};
      for (int64_t row = 0; row < s->ow; row += s->tile->rows) {
        j.a = rows + row * s->k;
        j.c = out + row * s->oc + col;
        s->tile->mul(&j, (int)hn_smaller(s->tile->rows, s->ow - row), (int)hn_smaller(s->tile->cols, s->ocg - col));
      }
    }
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const loose_run *r = arg;
  int64_t lines = r->s->n * r->s->oh;
  for (int64_t k = begin; k < end; k++)
    for (int64_t i = k * r->each; i < (k + 1) * r->each && i < lines; i++) run_line(r, i, r->rows + (size_t)k * r->s->rows);
}

hone_status conv_loose_run(hn_exec *x) {
  const loose *s = x->task->state;
  int64_t threads = x->task->threads < 1 ? 1 : x->task->threads;
  loose_run r = {.s = s, .in = x->in[0].data, .w = x->in[1].data, .bias = optional(x, s->deformed ? 3 : 2), .out = x->out[0].data,
                 .vec = x->task->device->vec, .packed = x->scratch, .each = hn_ceil_div(s->n * s->oh, threads)};
  if (s->deformed) r.offsets = x->in[2].data, r.mask = optional(x, 4);
  r.biases = r.packed + s->packed * (size_t)s->groups;
  r.rows = r.biases + s->bias * (size_t)s->groups;
  hn_parallel_for((int)threads, s->groups, 1, pack, &r);
  hn_parallel_for((int)threads, threads, 1, run_share, &r);
  return HONE_OK;
}

void conv_loose_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
