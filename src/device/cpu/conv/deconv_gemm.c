/* deconv_gemm.c - transposed convolution of images with channels last as matrix products: an output row is the sum,
   over the kernel rows that reach it, of an input row times that kernel row's weights. Where kernel and stride are
   equal the product is the output row itself. */
#include <math.h>
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/gemm/tile.h"
#include "device/cpu/vec/float_runs.h"
#include "op/infer.h"

typedef struct deconv_state {
  int64_t n, ic, oc, ih, iw, oh, ow, kh, kw, sh, sw, dh, dw, ph, pw;
  const hn_tile *tile;
  const float *weights; /* of each kernel row a matrix in panels: input channel, kernel column and output channel */
  size_t each;          /* numbers of a kernel row's */
  const float *bias;
  size_t scratch; /* of a thread */
  bool direct;    /* products go straight into output rows */
} deconv_state;

static bool is_constant_f32(const hn_arg *a) { return a->present && a->constant && a->dtype == HONE_DTYPE_F32; }

static bool describe(const hn_task *t, deconv_state *s) {
  const hn_arg *in = &t->in[0], *w = &t->in[1], *out = &t->out[0];
  hn_window g;
  if (hn_attr_i(t->node, "group", 1) != 1 ||
      hn_window_resolve(t->cx, t->g->dims, t->node, 2, in->dims + 2, w->dims + 2, true, &g))
    return false;
  *s = (deconv_state){.n = in->dims[0], .ic = in->dims[1], .ih = in->dims[2], .iw = in->dims[3], .oc = out->dims[1],
                      .oh = out->dims[2], .ow = out->dims[3], .kh = g.kernel[0], .kw = g.kernel[1], .sh = g.stride[0],
                      .sw = g.stride[1], .dh = g.dilation[0], .dw = g.dilation[1], .ph = g.pad_begin[0], .pw = g.pad_begin[1]};
  s->direct = s->kw == s->sw && s->dw == 1 && s->pw == 0 && s->ow == s->iw * s->sw;
  s->scratch = s->direct ? 0 : sizeof(float) * (size_t)((s->iw * s->kw * s->oc + 15) / 16 * 16);
  return true;
}

bool deconv_gemm_supports(const hn_task *t) {
  deconv_state s;
  if (!t->device || t->in[0].dtype != HONE_DTYPE_F32 || t->in[0].rank != 4 || !is_constant_f32(&t->in[1])) return false;
  if (t->node->n_main > 2 && t->in[2].present && !is_constant_f32(&t->in[2])) return false;
  for (int32_t i = 0; i < 4; i++)
    if (t->out[0].dims[i] == 0 || t->in[0].dims[i] == 0) return false;
  return describe(t, &s);
}

static hone_status pack(hn_task *t, const deconv_state *s, float *packed) {
  const float *w = t->in[1].constant->data; /* input channel, output channel, kernel row, kernel column */
  int64_t columns = s->kw * s->oc;
  float *matrix = hn_calloc((size_t)(s->ic * columns), sizeof *matrix);
  if (!matrix) return hn_nomem(t->cx);
  for (int64_t y = 0; y < s->kh; y++) {
    for (int64_t i = 0; i < s->ic; i++)
      for (int64_t x = 0; x < s->kw; x++)
        for (int64_t o = 0; o < s->oc; o++) matrix[i * columns + x * s->oc + o] = w[((i * s->oc + o) * s->kh + y) * s->kw + x];
    hn_tile_pack(s->tile, s->ic, 0, s->ic, columns, matrix, columns, 1, packed + (size_t)y * s->each);
  }
  hn_free(matrix);
  return HONE_OK;
}

hone_status deconv_gemm_plan(hn_task *t) {
  deconv_state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!describe(t, s)) return HONE_UNSUPPORTED;
  float *packed;
  bool fill;
  s->tile = hn_tile_for(hn_cpu_of(t)->isa);
  s->each = hn_tile_packed(s->tile, s->ic, s->kw * s->oc);
  HN_TRY(hn_task_pack(t, sizeof *packed * s->each * (size_t)s->kh, 0, (void **)&packed, &fill));
  s->weights = packed;
  if (fill) HN_TRY(pack(t, s, packed));
  if (t->node->n_main > 2 && t->in[2].present) {
    s->bias = t->in[2].constant->data;
    t->in[2].unused = true;
  }
  t->in[1].unused = true;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  t->scratch = s->scratch * (size_t)t->threads;
  return HONE_OK;
}

typedef struct deconv_run {
  const deconv_state *s;
  const hn_vec *vec;
  hn_exec *x;
  int64_t each; /* output rows of a thread; its scratch is that of its number */
} deconv_run;

static void start_row(const deconv_state *s, float *row) {
  if (!s->bias) memset(row, 0, sizeof *row * (size_t)(s->ow * s->oc));
  else
    for (int64_t i = 0; i < s->ow; i++) memcpy(row + i * s->oc, s->bias, sizeof *row * (size_t)s->oc);
}

static void scatter(const deconv_run *r, const float *product, float *row) {
  const deconv_state *s = r->s;
  for (int64_t i = 0; i < s->iw; i++)
    for (int64_t k = 0; k < s->kw; k++) {
      int64_t at = i * s->sw - s->pw + k * s->dw;
      if (at >= 0 && at < s->ow) r->vec->accumulate(row + at * s->oc, product + (i * s->kw + k) * s->oc, (size_t)s->oc);
    }
}

/* c, rows of kernel columns and output channels, is (with `add`: grows by) the input row times the kernel row's weights. */
static void multiply(const deconv_state *s, const float *in, const float *weights, float *c, bool add) {
  int64_t columns = s->kw * s->oc;
  for (int64_t col = 0; col < columns; col += s->tile->cols) {
    hn_tile_job j = {.k = s->ic, .lda = s->ic, .b = weights + col * s->ic, .ldc = columns, .ld_start = columns, .lo = -INFINITY,
                     .hi = INFINITY};
    for (int64_t row = 0; row < s->iw; row += s->tile->rows) {
      j.a = in + row * s->ic;
      j.c = c + row * columns + col;
      j.start = add ? j.c : NULL;
      s->tile->mul(&j, (int)hn_smaller(s->tile->rows, s->iw - row), (int)hn_smaller(s->tile->cols, columns - col));
    }
  }
}

static void run_row(const deconv_run *r, int64_t p, float *scratch) {
  const deconv_state *s = r->s;
  int64_t n = p / s->oh, y = p % s->oh;
  float *row = (float *)r->x->out[0].data + (size_t)(p * s->ow * s->oc);
  start_row(s, row);
  for (int64_t k = 0; k < s->kh; k++) {
    int64_t at = y + s->ph - k * s->dh;
    if (at < 0 || at % s->sh || at / s->sh >= s->ih) continue;
    const float *in = (const float *)r->x->in[0].data + (size_t)((n * s->ih + at / s->sh) * s->iw * s->ic);
    multiply(s, in, s->weights + (size_t)k * s->each, s->direct ? row : scratch, s->direct);
    if (!s->direct) scatter(r, scratch, row);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const deconv_run *r = arg;
  int64_t rows = r->s->n * r->s->oh;
  for (int64_t k = begin; k < end; k++)
    for (int64_t p = k * r->each; p < (k + 1) * r->each && p < rows; p++)
      run_row(r, p, (float *)((unsigned char *)r->x->scratch + (size_t)k * r->s->scratch));
}

hone_status deconv_gemm_run(hn_exec *x) {
  const deconv_state *s = x->task->state;
  int64_t threads = x->task->threads < 1 ? 1 : x->task->threads;
  deconv_run r = {s, x->task->device->vec, x, (s->n * s->oh + threads - 1) / threads};
  hn_parallel_for((int)threads, threads, 1, run_share, &r);
  return HONE_OK;
}

void deconv_gemm_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
