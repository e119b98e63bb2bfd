/* deconv_int8.c - transposed convolution of bytes with channels last. Output pixels whose places leave the same rests by the strides
   see the same taps of the window: for them it is a convolution with those taps alone, an exact integer product that ends in the
   output at once. Where kernel and stride are as wide, the pixels that one input pixel makes lie together: they are one product. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"
#include "device/cpu/quant/int8_pack.h"
#include "device/cpu/quant/int8_tail.h"
#include "op/infer.h"

enum { TILES = 4, MOST_TAPS = 64, MOST_PHASES = 64 };

/* What output indices of one rest see along an axis: input index (output index / stride) + offset by the tap. */
typedef struct sight {
  int n, tap[MOST_TAPS];
  int64_t offset[MOST_TAPS];
} sight;

typedef struct phase {
  sight lines, pixels;
  hn_int8_matrix matrix;
  const int8_t *weights;
  const int32_t *init;
  float *unit, *bias; /* by column, and on so for the columns that a tile has more */
} phase;

typedef struct deconv {
  const hn_int8_tile *tile;
  const int8_t *w;       /* input channel, output channel, kernel row, kernel column */
  int64_t images, ic, oc, in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
  bool together;         /* the pixels of an input pixel */
  int64_t n_phases, across; /* of lines, times `across` of pixels */
  phase *phases;
  uint8_t flip;
  int32_t zero;
  hn_int8_way_out way;
  hn_int8_tail tail;
  int64_t block;         /* rows */
  size_t gathered, scratch; /* of a thread */
  int threads;
} deconv;

static const hn_arg *bias_of(const hn_task *t) { return t->node->n_main > 2 && t->in[2].present ? &t->in[2] : NULL; }

static bool describe(const hn_task *t, deconv *d) {
  const hn_arg *x = &t->in[0], *w = &t->in[1], *y = &t->out[0];
  hn_window g;
  if (!hn_int8_product(t) || x->rank < 3 || x->rank > 4 || hn_attr_i(t->node, "group", 1) != 1 || (w->quant->scales && w->quant->axis != 1)) return false;
  if (hn_window_resolve(t->cx, t->g->dims, t->node, x->rank - 2, x->dims + 2, w->dims + 2, true, &g)) return false;
  *d = (deconv){.images = x->dims[0], .ic = x->dims[1], .oc = w->dims[1], .flip = x->dtype == HONE_DTYPE_I8 ? 128 : 0};
  d->zero = x->quant->zero + d->flip;
  for (int i = 0; i < 2; i++) {
    int32_t k = x->rank - 4 + i;
    d->in[i] = d->out[i] = d->kernel[i] = d->stride[i] = d->dilation[i] = 1;
    if (k < 0) continue;
    d->in[i] = x->dims[2 + k], d->out[i] = y->dims[2 + k];
    d->kernel[i] = g.kernel[k], d->stride[i] = g.stride[k], d->dilation[i] = g.dilation[k], d->pad[i] = g.pad_begin[k];
    if (d->kernel[i] > MOST_TAPS || d->stride[i] > MOST_PHASES) return false;
  }
  d->together = d->kernel[1] == d->stride[1] && d->dilation[1] == 1 && !d->pad[1] && d->out[1] == d->in[1] * d->stride[1];
  d->across = d->together ? 1 : d->stride[1];
  d->n_phases = d->stride[0] * d->across;
  const hn_arg *b = bias_of(t);
  return !b || (b->constant && b->dtype == HONE_DTYPE_F32 && b->constant->count == d->oc);
}

bool deconv_int8_supports(const hn_task *t) {
  deconv d;
  return describe(t, &d);
}

/* ------------------------------------------------------------------------------------------- packing */

static void look(const deconv *d, int axis, int64_t rest, sight *s) {
  s->n = 0;
  for (int64_t k = 0; k < d->kernel[axis]; k++) {
    int64_t at = rest + d->pad[axis] - k * d->dilation[axis];
    if (at % d->stride[axis]) continue;
    s->tap[s->n] = (int)k;
    s->offset[s->n++] = at / d->stride[axis];
  }
}

typedef struct part {
  const deconv *d;
  const phase *p;
} part;

static int8_t weight(const void *of, int64_t k, int64_t column) {
  const part *v = of;
  const deconv *d = v->d;
  int64_t channel = k % d->ic, tap = k / d->ic, pixels = d->together ? 1 : v->p->pixels.n;
  int64_t x = d->together ? column / d->oc : v->p->pixels.tap[tap % pixels];
  return d->w[((channel * d->oc + column % d->oc) * d->kernel[0] + v->p->lines.tap[tap / pixels]) * d->kernel[1] + x];
}

static hone_status open_phase(hn_task *t, const deconv *d, int64_t i, phase *p) {
  const hn_arg *b = bias_of(t);
  look(d, 0, i / d->across, &p->lines);
  if (!d->together) look(d, 1, i % d->across, &p->pixels);
  int64_t taps = p->lines.n * (d->together ? 1 : p->pixels.n), columns = d->together ? d->stride[1] * d->oc : d->oc;
  HN_TRY(hn_int8_matrix_open(t->cx, d->tile, taps * d->ic, columns, true, &p->matrix));
  int64_t n = hn_int8_columns(&p->matrix);
  p->unit = hn_calloc((size_t)(2 * n), sizeof *p->unit);
  if (!p->unit) return hn_nomem(t->cx);
  p->bias = p->unit + n;
  for (int64_t c = 0; c < n; c++) {
    int64_t channel = c % d->oc;
    p->unit[c] = hn_int8_way_out_unit(&d->way, (double)hn_int8_unit(t, channel));
    p->bias[c] = hn_int8_way_out_bias(&d->way, b ? hn_tensor_f(b->constant, (size_t)channel) : 0);
  }
  return HONE_OK;
}

static size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* The weights of all phases, one behind the other, and what the sums of their columns start from. */
static hone_status pack_phases(hn_task *t, deconv *d) {
  size_t bytes = 0, n = 0;
  uint64_t form = (uint64_t)d->pad[0] << 32 | (uint64_t)d->pad[1] << 1 | d->together; /* they may follow from the shape */
  void *weights;
  bool fill;
  for (int64_t i = 0; i < d->n_phases; i++) {
    bytes += hn_int8_matrix_bytes(&d->phases[i].matrix);
    n += (size_t)hn_int8_columns(&d->phases[i].matrix);
  }
  bytes = whole_lines(bytes);
  HN_TRY(hn_task_pack(t, bytes + sizeof(int32_t) * n, form, &weights, &fill));
  int8_t *w = weights;
  int32_t *sums = (int32_t *)(void *)(w + bytes);
  for (int64_t i = 0; i < d->n_phases; i++) {
    phase *p = &d->phases[i];
    part of = {d, p};
    if (fill) hn_int8_pack(&p->matrix, weight, &of, 0, p->matrix.panels, w, sums);
    for (int64_t c = 0; fill && c < hn_int8_columns(&p->matrix); c++) sums[c] *= -d->zero;
    p->weights = w;
    p->init = sums;
    w += hn_int8_matrix_bytes(&p->matrix);
    sums += hn_int8_columns(&p->matrix);
  }
  return HONE_OK;
}

hone_status deconv_int8_plan(hn_task *t) {
  deconv *d = hn_calloc(1, sizeof *d);
  t->state = d;
  if (!d) return hn_nomem(t->cx);
  if (!describe(t, d)) return HONE_UNSUPPORTED;
  d->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  d->w = t->in[1].constant->data;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  if (!hn_int8_way_out_take(t, HN_LAYOUT_NHWC, false, &d->way)) {
    d->way = (hn_int8_way_out){.residual = HN_NONE, .by = 1, .ending = {.to_float = true, .lo = -__builtin_inff(), .hi = __builtin_inff()}};
    HN_TRY(hn_int8_tail_plan(t, &d->tail));
  }
  d->phases = hn_calloc((size_t)d->n_phases, sizeof *d->phases);
  if (!d->phases) return hn_nomem(t->cx);
  int64_t depth = 4;
  for (int64_t i = 0; i < d->n_phases; i++) {
    HN_TRY(open_phase(t, d, i, &d->phases[i]));
    depth = hn_larger(depth, hn_int8_depth(&d->phases[i].matrix));
  }
  HN_TRY(pack_phases(t, d));
  t->in[1].unused = true;
  if (bias_of(t)) t->in[2].unused = true;
  d->block = TILES * d->tile->rows;
  d->gathered = whole_lines((size_t)(depth * d->block));
  d->scratch = d->gathered + whole_lines(sizeof(int32_t) * (size_t)(d->block * d->tile->cols));
  d->threads = hn_conv_threads(t, d->images * d->in[0] * d->in[1] * d->ic * d->oc * d->kernel[0] * d->kernel[1] / 4);
  t->scratch = d->tail.bytes + d->scratch * (size_t)d->threads;
  return HONE_OK;
}

void deconv_int8_destroy(hn_task *t) {
  deconv *d = t->state;
  for (int64_t i = 0; d && d->phases && i < d->n_phases; i++) {
    phase *p = &d->phases[i];
    hn_int8_matrix_close(&p->matrix);
    hn_free(p->unit);
  }
  if (d) {
    hn_int8_tail_free(&d->tail);
    hn_free(d->phases);
  }
  hn_free(d);
  t->state = NULL;
}

/* ------------------------------------------------------------------------------------------- running */

typedef struct deconv_run {
  const deconv *d;
  const uint8_t *x;
  unsigned char *y, *scratch;
} deconv_run;

static void take(const deconv *d, uint8_t *to, const uint8_t *from) {
  if (!from) memset(to, d->zero, (size_t)d->ic);
  else if (!d->flip) memcpy(to, from, (size_t)d->ic);
  else
    for (int64_t i = 0; i < d->ic; i++) to[i] = from[i] ^ d->flip;
}

static const uint8_t *pixel(const deconv_run *r, int64_t image, int64_t y, int64_t x) {
  const deconv *d = r->d;
  if (y < 0 || y >= d->in[0] || x < 0 || x >= d->in[1]) return NULL;
  return r->x + ((image * d->in[0] + y) * d->in[1] + x) * d->ic;
}

/* What output pixels first.. of a phase, in the line `y` of that phase, see. */
static void gather(const deconv_run *r, const phase *p, int64_t image, int64_t y, int64_t first, int64_t rows, uint8_t *to) {
  const deconv *d = r->d;
  int64_t depth = hn_int8_depth(&p->matrix);
  for (int64_t x = first; x < first + rows; x++, to += depth) {
    uint8_t *at = to;
    for (int i = 0; i < p->lines.n; i++)
      for (int k = 0; k < (d->together ? 1 : p->pixels.n); k++, at += d->ic)
        take(d, at, pixel(r, image, y + p->lines.offset[i], x + (d->together ? 0 : p->pixels.offset[k])));
    memset(at, 0, (size_t)(to + depth - at));
  }
}

/* Few columns, of which the rows follow each other in the output: as fewer rows of a whole tile. */
static void finish_narrow(const deconv *d, hn_int8_finish f, int32_t *sum, int64_t rows, size_t size) {
  int64_t cols = d->tile->cols, n = f.n, all = rows * n;
  for (int64_t k = 1; k < rows; k++) memmove(sum + k * n, sum + k * cols, sizeof *sum * (size_t)n);
  f.n = f.ld = cols;
  d->tile->finish(&f, (int)(all / cols));
  if (all % cols == 0) return;
  f.sum += all / cols * cols;
  f.out = (unsigned char *)f.out + (size_t)(all / cols * cols) * size;
  f.n = all % cols;
  d->tile->finish(&f, 1);
}

static void run_phase(const deconv_run *r, const phase *p, int64_t image, int64_t y, int64_t first, int64_t rows, unsigned char *out, unsigned char *scratch) {
  const deconv *d = r->d;
  int64_t cols = d->tile->cols, ld = d->together ? p->matrix.n : d->stride[1] * d->oc;
  int32_t *sum = (int32_t *)(void *)(scratch + d->gathered);
  size_t size = d->way.ending.to_float ? sizeof(float) : 1;
  const uint8_t *a = scratch;
  bool one = p->lines.n == 1 && (d->together || p->pixels.n == 1), direct = one && !d->flip && d->ic % 4 == 0;
  int64_t left = d->together || !one ? first : first + p->pixels.offset[0], line = one ? y + p->lines.offset[0] : 0;
  direct = direct && line >= 0 && line < d->in[0] && left >= 0 && left + rows <= d->in[1];
  if (direct) a = pixel(r, image, line, left);
  else gather(r, p, image, y, first, rows, scratch);
  for (int64_t i = 0; i < p->matrix.panels; i++) {
    int64_t c = i * cols, n = hn_smaller(cols, p->matrix.n - c);
    hn_int8_mul m = hn_int8_mul_of(&p->matrix, p->weights, i);
    m.a = a, m.lda = hn_int8_depth(&p->matrix), m.init = p->init + c, m.sum = sum;
    hn_int8_finish f = {.sum = sum, .unit = p->unit + c, .bias = p->bias + c, .n = n, .ld = ld, .out = out + (size_t)(first * ld + c) * size,
                        .ending = &d->way.ending};
    if (n < d->tile->lanes && n == ld && cols % n == 0) {
      d->tile->mul(&m, NULL, (int)rows, true);
      finish_narrow(d, f, sum, rows, size);
    } else {
      d->tile->mul(&m, &f, (int)rows, n <= d->tile->lanes);
    }
  }
}

static void run_line(const deconv_run *r, int64_t line, unsigned char *scratch) {
  const deconv *d = r->d;
  int64_t y = line % d->out[0];
  size_t size = d->way.ending.to_float ? sizeof(float) : 1;
  unsigned char *out = r->y + (size_t)(line * d->out[1] * d->oc) * size;
  for (int64_t i = 0; i < d->across; i++) {
    const phase *p = &d->phases[y % d->stride[0] * d->across + i];
    int64_t rows = d->together ? d->in[1] : hn_ceil_div(d->out[1] - i, d->stride[1]);
    for (int64_t x = 0; x < rows; x += d->block)
      run_phase(r, p, line / d->out[0], y / d->stride[0], x, hn_smaller(d->block, rows - x), out + (size_t)(i * d->oc) * size, scratch);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const deconv_run *r = arg;
  const deconv *d = r->d;
  int64_t lines = d->images * d->out[0];
  for (int64_t k = begin; k < end; k++)
    for (int64_t i = lines * k / d->threads; i < lines * (k + 1) / d->threads; i++) run_line(r, i, r->scratch + (size_t)k * d->scratch);
}

hone_status deconv_int8_run(hn_exec *x) {
  const deconv *d = x->task->state;
  void *y = d->tail.chain ? x->scratch : x->out[0].data;
  deconv_run r = {d, x->in[0].data, y, (unsigned char *)x->scratch + d->tail.bytes};
  hn_parallel_for(d->threads, d->threads, 1, run_share, &r);
  if (d->tail.chain) hn_int8_tail_run(&d->tail, x, y);
  return HONE_OK;
}
