/* product_int8.c - convolution and matrix products of 8-bit integers with exact sums, for every processor: blocks of rows of
   activations, gathered where they do not lie so, meet packed weights panel by panel, and what comes out is scaled, activated
   and rounded at once. Channels last. MatMulInteger stops at the sums, or ends in floats by scales and biases that are read when it runs,
   as its zero point is. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/quant/int8_ending.h"
#include "device/cpu/quant/int8_pack.h"
#include "device/cpu/quant/int8_tail.h"
#include "op/infer.h"

enum {
  TILES = 4,      /* of rows in a block, for each panel of weights that is read */
  FAR_TILES = 16, /* the same where weights come from afar: they are read once for most layers */
  FAR_BYTES = 1 << 18
};

typedef struct panel {
  int64_t start, quads; /* in the packed weights */
} panel;

typedef struct product {
  const hn_int8_tile *tile;
  int64_t rows, k, group, columns; /* of A; depth and columns of one group */
  bool image, depthwise, transposed, direct; /* direct: rows lie as they are needed */
  int64_t in_h, in_w, in_c, out_h, out_w, kernel[2], stride[2], dilation[2], pad[2];
  bool to_sums, opened;            /* MatMulInteger; to floats */
  uint32_t units, biases;          /* opened: inputs by column, or of one number; or HN_NONE */
  uint32_t row_units;              /* opened: an input by row, where zero points are by row, too */
  bool by_rows;                    /* every row has a zero point of its own */
  bool w_unsigned;                 /* its weights, less w_zero, fit 8 signed bits */
  int32_t w_zero;
  uint8_t flip;                    /* signed activations are read as unsigned ones 128 higher */
  int32_t zero;
  panel *panels;                   /* group by group */
  int32_t *at;                     /* of each quad, where the tile saturates; else NULL */
  const int8_t *weights;           /* by panels; depthwise: tap by tap */
  const int32_t *init;             /* by panels' columns */
  float *unit, *bias;              /* by panels' columns; depthwise: by channel */
  hn_int8_way_out way;
  int64_t block;                   /* rows */
  int threads;
  bool by_columns;
  int64_t step;                    /* quads of a tile, where there are tiles; else 0 */
  bool far;                        /* all weights are more than the nearest caches hold */
  size_t scratch, inits;           /* of a thread; of what sums start from, where the zero point is known only now */
  size_t row_numbers;              /* of zero points and units by row */
  hn_int8_tail tail;               /* for steps that the ending does not know */
} product;

static bool constant_row(const hn_arg *a, int64_t n) { return a->constant && a->dtype == HONE_DTYPE_F32 && a->constant->count == n; }
static const hn_arg *bias_of(const hn_task *t) { return t->node->n_main > 2 && t->in[2].present ? &t->in[2] : NULL; }

static bool describe_conv(const hn_task *t, product *p) {
  const hn_arg *x = &t->in[0], *w = &t->in[1], *y = &t->out[0];
  hn_window g;
  if (x->rank < 3 || x->rank > 4 || hn_window_resolve(t->cx, t->g->dims, t->node, x->rank - 2, x->dims + 2, w->dims + 2, false, &g)) return false;
  p->image = true;
  p->group = hn_attr_i(t->node, "group", 1);
  p->in_c = x->dims[1];
  p->in_h = p->out_h = 1;
  for (int i = 0; i < 2; i++) p->kernel[i] = p->stride[i] = p->dilation[i] = 1, p->pad[i] = 0;
  bool padded = false;
  for (int32_t i = 0; i < x->rank - 2; i++) {
    int k = i + 4 - x->rank;
    p->kernel[k] = g.kernel[i], p->stride[k] = g.stride[i], p->dilation[k] = g.dilation[i], p->pad[k] = g.pad_begin[i];
    padded = padded || g.pad_begin[i] || g.pad_end[i];
  }
  if (x->rank == 4) p->in_h = x->dims[2], p->out_h = y->dims[2];
  p->in_w = x->dims[x->rank - 1];
  p->out_w = y->dims[x->rank - 1];
  p->rows = x->dims[0] * p->out_h * p->out_w;
  p->k = w->dims[1] * p->kernel[0] * p->kernel[1];
  p->columns = w->dims[0] / p->group;
  p->depthwise = p->group == p->in_c && w->dims[0] == p->group && p->group > 1;
  p->direct = p->kernel[0] * p->kernel[1] == 1 && p->stride[0] * p->stride[1] == 1 && !padded;
  return true;
}

static bool describe_matmul(const hn_task *t, product *p) {
  const hn_arg *x = &t->in[0], *w = &t->in[1];
  bool gemm = t->node->op == HN_Gemm;
  if (x->rank < 1 || w->rank != 2) return false;
  if (gemm && (hn_attr_i(t->node, "transA", 0) || hn_attr_f(t->node, "alpha", 1) != 1 || (bias_of(t) && hn_attr_f(t->node, "beta", 1) != 1))) return false;
  p->transposed = gemm && hn_attr_i(t->node, "transB", 0);
  p->group = p->rows = 1;
  p->in_c = p->k = x->dims[x->rank - 1];
  p->columns = w->dims[p->transposed ? 0 : 1];
  p->direct = true;
  for (int32_t i = 0; i < x->rank - 1; i++) p->rows *= x->dims[i];
  return true;
}

static bool is_8bit(const hn_arg *a) { return a->present && !a->dynamic && hn_is_8bit(a->dtype); }

static int64_t count_of(const hn_arg *a) { return hn_arg_count(a, 0, a->rank); }

/* One number for each row of x. */
static bool is_column(const hn_arg *a, const hn_arg *x, int64_t rows) {
  return !a->dynamic && count_of(a) == rows && a->rank == x->rank && a->dims[a->rank - 1] == 1;
}

/* Constant weights that fit 8 bits once their zero point is gone, activations of one zero point. */
static bool describe_integer(const hn_task *t, product *p) {
  const hn_arg *x = &t->in[0], *w = &t->in[1];
  const hn_arg *xz = t->node->n_main > 2 && t->in[2].present ? &t->in[2] : NULL, *wz = t->node->n_main > 3 && t->in[3].present ? &t->in[3] : NULL;
  bool opened = t->out[0].dtype == HONE_DTYPE_F32;
  if (!t->device || (t->node->n_post && !opened) || !is_8bit(x) || x->rank < 2 || !is_8bit(w) || w->rank != 2 || !w->constant || !count_of(x) || !w->constant->count) return false;
  int64_t rows = count_of(x) / x->dims[x->rank - 1];
  bool by_rows = xz && count_of(xz) > 1;
  if ((xz && (!is_8bit(xz) || (by_rows && !(opened && is_column(xz, x, rows))))) || (wz && (!wz->constant || wz->constant->count < 1))) return false;
  *p = (product){.to_sums = !opened, .opened = opened, .units = HN_NONE, .biases = HN_NONE, .row_units = HN_NONE, .by_rows = by_rows, .zero = -1, .w_unsigned = w->dtype == HONE_DTYPE_U8, .flip = x->dtype == HONE_DTYPE_I8 ? 128 : 0};
  p->w_zero = wz ? (int32_t)hn_tensor_i(wz->constant, 0) : 0;
  for (int64_t i = 1; wz && i < wz->constant->count; i++)
    if (hn_tensor_i(wz->constant, (size_t)i) != p->w_zero) return false;
  for (int64_t i = 0; (p->w_zero || p->w_unsigned) && i < w->constant->count; i++) {
    int64_t v = hn_tensor_i(w->constant, (size_t)i) - p->w_zero;
    if (v < -128 || v > 127) return false;
  }
  p->group = p->rows = 1;
  p->in_c = p->k = x->dims[x->rank - 1];
  p->columns = w->dims[1];
  p->direct = !p->flip;
  for (int32_t i = 0; i < x->rank - 1; i++) p->rows *= x->dims[i];
  return true;
}

static bool describe(const hn_task *t, product *p) {
  if (t->node->op == HN_MatMulInteger) return describe_integer(t, p);
  if (!hn_int8_product(t)) return false;
  bool is_signed = t->in[0].dtype == HONE_DTYPE_I8;
  *p = (product){.flip = is_signed ? 128 : 0, .zero = t->in[0].quant->zero + (is_signed ? 128 : 0)};
  if (!(t->node->op == HN_Conv ? describe_conv(t, p) : describe_matmul(t, p))) return false;
  p->direct = p->direct && !p->flip;
  return !bias_of(t) || constant_row(bias_of(t), p->group * p->columns);
}

bool product_int8_supports(const hn_task *t) {
  product p;
  return describe(t, &p);
}

/* ------------------------------------------------------------------------------------------- packing */

/* Weight of a depth (kernel row, kernel column, channel) and a column of a group; beyond either, none. */
static int8_t weight(const product *p, const int8_t *w, int64_t g, int64_t k, int64_t c) {
  if (k >= p->k || c >= p->columns) return 0;
  if (p->to_sums || p->opened) return (int8_t)((p->w_unsigned ? (uint8_t)w[k * p->columns + c] : w[k * p->columns + c]) - p->w_zero);
  if (!p->image) return p->transposed ? w[c * p->k + k] : w[k * p->columns + c];
  int64_t taps = p->kernel[0] * p->kernel[1], per = p->k / taps;
  return w[((g * p->columns + c) * per + k % per) * taps + k / per];
}

static int64_t panels_of(const product *p) { return hn_ceil_div(p->columns, p->tile->cols); }
/* With tiles, as many as whole ones have, which are as deep as it takes. */
static int64_t quads_of(const product *p) {
  int64_t quads = hn_ceil_div(p->k, 4);
  return p->step ? hn_round_up(quads, p->step) : quads;
}

static bool over(int a, int b) { return (a > 0 ? a : 0) + (b > 0 ? b : 0) > 128 || (a < 0 ? a : 0) + (b < 0 ? b : 0) < -128; }

/* May the sum of two neighbours' products in the quad of some column of the panel leave 16 bits? */
static bool may_saturate(const product *p, const int8_t *w, int64_t g, int64_t first, int64_t k) {
  for (int64_t c = first; c < first + p->tile->cols; c++)
    if (over(weight(p, w, g, k, c), weight(p, w, g, k + 1, c)) || over(weight(p, w, g, k + 2, c), weight(p, w, g, k + 3, c))) return true;
  return false;
}

/* Where each panel lies, and which quads are given in two. */
static hone_status plan_panels(hn_task *t, product *p) {
  const int8_t *w = t->in[1].constant->data;
  int64_t n = p->group * panels_of(p), quads = 0;
  p->panels = hn_calloc((size_t)n, sizeof *p->panels);
  if (p->tile->saturates) p->at = hn_calloc((size_t)(2 * n * quads_of(p)), sizeof *p->at);
  if (!p->panels || (p->tile->saturates && !p->at)) return hn_nomem(t->cx);
  for (int64_t i = 0; i < n; i++) {
    p->panels[i].start = quads;
    for (int64_t q = 0; q < quads_of(p); q++) {
      bool two = p->at && may_saturate(p, w, i / panels_of(p), i % panels_of(p) * p->tile->cols, 4 * q);
      for (int e = 0; e < 1 + two; e++, quads++)
        if (p->at) p->at[quads] = (int32_t)(4 * q);
    }
    p->panels[i].quads = quads - p->panels[i].start;
  }
  return HONE_OK;
}

static void pack_panel(const product *p, const int8_t *w, int64_t i, int8_t *to, int32_t *init) {
  const panel *l = &p->panels[i];
  int64_t g = i / panels_of(p), first = i % panels_of(p) * p->tile->cols;
  for (int64_t e = l->start; e < l->start + l->quads; e++) {
    int64_t k = p->at ? p->at[e] : 4 * (e - l->start);
    bool again = p->at && e > l->start && p->at[e - 1] == k, two = again || (p->at && e + 1 < l->start + l->quads && p->at[e + 1] == k);
    for (int64_t c = 0; c < p->tile->cols; c++)
      for (int64_t j = 0; j < 4; j++, to++) {
        *to = two && (j & 1) != again ? 0 : weight(p, w, g, k + j, first + c);
        init[c] -= p->zero * *to;
      }
  }
}

static hone_status pack_weights(hn_task *t, product *p) {
  const int8_t *w = t->in[1].constant->data;
  int64_t n = p->group * panels_of(p), cols = p->tile->cols;
  void *weights, *init;
  bool fill;
  if (p->depthwise) {
    HN_TRY(hn_task_pack(t, (size_t)(p->k * p->group), 0, &weights, &fill));
    for (int64_t i = 0; fill && i < p->k * p->group; i++) ((int8_t *)weights)[i] = weight(p, w, i % p->group, i / p->group, 0);
    p->weights = weights;
    return HONE_OK;
  }
  HN_TRY(plan_panels(t, p));
  HN_TRY(hn_task_pack(t, (size_t)((p->panels[n - 1].start + p->panels[n - 1].quads) * cols * 4), (uint64_t)p->step, &weights, &fill));
  HN_TRY(hn_task_pack(t, sizeof(int32_t) * (size_t)(n * cols), (uint64_t)p->step, &init, &fill));
  p->weights = weights;
  p->init = init;
  if (!fill) return HONE_OK;
  memset(init, 0, sizeof(int32_t) * (size_t)(n * cols));
  for (int64_t i = 0; i < n; i++) pack_panel(p, w, i, (int8_t *)weights + p->panels[i].start * cols * 4, (int32_t *)init + i * cols);
  return HONE_OK;
}

/* Units and biases as the ending wants them. */
static hone_status set_numbers(hn_task *t, product *p) {
  int64_t per = p->depthwise ? 1 : panels_of(p) * p->tile->cols, n = p->group * per + p->tile->cols; /* some are read beyond the last */
  uint32_t steps;
  const hn_arg *b = hn_int8_bias_of(t, &steps);
  const float *bias = b && steps <= t->fused && !p->tail.chain ? b->constant->data : bias_of(t) ? bias_of(t)->constant->data : NULL;
  p->unit = hn_calloc((size_t)(2 * n), sizeof *p->unit);
  if (!p->unit) return hn_nomem(t->cx);
  p->bias = p->unit + n;
  for (int64_t g = 0; g < p->group; g++)
    for (int64_t c = 0; c < p->columns; c++) {
      int64_t channel = g * p->columns + c;
      p->unit[g * per + c] = hn_int8_way_out_unit(&p->way, (double)hn_int8_unit(t, channel));
      p->bias[g * per + c] = hn_int8_way_out_bias(&p->way, bias ? (double)bias[channel] : 0);
    }
  hn_int8_way_out_settle(&p->way, p->unit, p->bias, n);
  t->in[1].unused = true;
  if (bias_of(t)) t->in[2].unused = true;
  return HONE_OK;
}

static int64_t step_of(const product *p) { return p->depthwise || p->rows < HN_INT8_FEW ? 0 : hn_int8_step(p->tile, p->k); }

static size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* Is step i of the epilogue this operator with a number for each column, or one for all? Its input then. */
static bool by_column(hn_task *t, const product *p, uint32_t i, hn_op op, uint32_t *input) {
  if (i >= t->node->n_post || t->node->post[i].op != op || t->node->post[i].operand == HN_NONE) return false;
  hn_arg *a = &t->in[t->node->post[i].operand];
  if (a->dynamic || a->dtype != HONE_DTYPE_F32 || (count_of(a) != 1 && (count_of(a) != p->columns || a->dims[a->rank - 1] != p->columns))) return false;
  if (a->rank > t->out[0].rank) return false;
  a->layout = HN_LAYOUT_PLAIN;
  *input = t->node->post[i].operand;
  return true;
}

/* Does the first step multiply by a number for each row? */
static bool by_row(hn_task *t, const product *p, uint32_t *input) {
  if (!t->node->n_post || t->node->post[0].op != HN_Mul || t->node->post[0].operand == HN_NONE) return false;
  hn_arg *a = &t->in[t->node->post[0].operand];
  if (a->dtype != HONE_DTYPE_F32 || p->rows < 2 || !is_column(a, &t->in[0], p->rows)) return false;
  a->layout = HN_LAYOUT_PLAIN;
  *input = t->node->post[0].operand;
  return true;
}

/* From sums to floats: the leading steps that multiply by scales, add a bias, and bound. */
static void take_opening(hn_task *t, product *p) {
  uint32_t i = by_row(t, p, &p->row_units);
  i += by_column(t, p, i, HN_Mul, &p->units);
  i += by_column(t, p, i, HN_Add, &p->biases);
  float lo = -__builtin_inff(), hi = __builtin_inff();
  for (const hn_step *s = t->node->post + i; i < t->node->n_post && (s->op == HN_Relu || s->op == HN_Clip); i++, s++) {
    float a = s->op == HN_Relu ? 0 : s->alpha, b = s->op == HN_Relu ? __builtin_inff() : s->beta;
    lo = lo < a ? a : lo > b ? b : lo;
    hi = hi < a ? a : hi > b ? b : hi;
  }
  p->way = (hn_int8_way_out){.residual = HN_NONE, .by = 1, .ending = {.function = HN_INT8_BOUNDS, .to_float = true, .lo = lo, .hi = hi}};
  t->fused = i;
}

hone_status product_int8_plan(hn_task *t) {
  product *p = hn_calloc(1, sizeof *p);
  t->state = p;
  if (!p) return hn_nomem(t->cx);
  if (!describe(t, p)) return HONE_UNSUPPORTED;
  p->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  p->step = step_of(p);
  p->far = p->k * p->columns * p->group > FAR_BYTES;
  hn_layout l = p->image ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  t->in[0].layout = t->out[0].layout = l;
  HN_TRY(pack_weights(t, p));
  if (p->opened) take_opening(t, p);
  bool whole = p->to_sums || p->opened || hn_int8_way_out_take(t, l, !p->depthwise, &p->way);
  if (!whole) {
    p->way = (hn_int8_way_out){.residual = HN_NONE, .by = 1, .ending = {.to_float = true, .lo = -__builtin_inff(), .hi = __builtin_inff()}};
    HN_TRY(hn_int8_tail_plan(t, &p->tail));
  }
  if (p->to_sums || p->opened) t->in[1].unused = true;
  else HN_TRY(set_numbers(t, p));
  int rows = p->tile->rows;
  p->block = p->depthwise ? 1 : hn_smaller((p->far && p->step ? FAR_TILES : TILES) * rows, hn_round_up(p->rows, rows));
  p->threads = hn_conv_threads(t, p->rows * p->k * p->columns * p->group / 4);
  p->by_columns = !p->depthwise && p->rows < 2 * rows * p->threads && p->group * panels_of(p) >= p->threads;
  size_t gathered = p->depthwise ? (size_t)p->group : (size_t)(4 * quads_of(p) * p->block);
  int64_t sum_rows = p->step ? hn_larger(p->block, HN_INT8_LATER * rows) : p->block;
  size_t sums = sizeof(int32_t) * (size_t)(p->depthwise ? hn_round_up(p->group, p->tile->cols) : sum_rows * p->tile->cols);
  p->scratch = whole_lines(gathered) + whole_lines(sums);
  p->inits = whole_lines(sizeof(int32_t) * (size_t)(panels_of(p) * p->tile->cols)) * (p->opened ? 3 : p->to_sums);
  p->row_numbers = p->by_rows || p->row_units != HN_NONE ? whole_lines(2 * sizeof(int32_t) * (size_t)p->rows) : 0;
  t->scratch = p->tail.bytes + p->inits + p->row_numbers + p->scratch * (size_t)p->threads;
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- running */

typedef struct product_run {
  const product *p;
  const hn_exec *x;
  void *y;
  unsigned char *scratch;
  const int32_t *init;
  const float *unit, *bias, *row_unit; /* row_unit: NULL: rows are alike */
  const int32_t *row_zero;
} product_run;

static void copy_flipped(uint8_t *to, const uint8_t *from, int64_t n, uint8_t flip) {
  for (int64_t i = 0; i < n; i++) to[i] = from[i] ^ flip;
}

static void copy_bytes(const product *p, uint8_t *to, const uint8_t *from, int64_t n) {
  if (p->flip) copy_flipped(to, from, n, p->flip);
  else memcpy(to, from, (size_t)n);
}

/* The pixel under a tap of an output pixel; NULL: padding. */
static const uint8_t *pixel(const product_run *r, int64_t row, int64_t ky, int64_t kx) {
  const product *p = r->p;
  int64_t n = row / (p->out_h * p->out_w), at = row % (p->out_h * p->out_w);
  int64_t y = at / p->out_w * p->stride[0] - p->pad[0] + ky * p->dilation[0], x = at % p->out_w * p->stride[1] - p->pad[1] + kx * p->dilation[1];
  if (y < 0 || y >= p->in_h || x < 0 || x >= p->in_w) return NULL;
  return (const uint8_t *)r->x->in[0].data + ((n * p->in_h + y) * p->in_w + x) * p->in_c;
}

/* A few bytes, where a call takes longer than they do: up to 64, by overlapping pieces. */
static inline void copy_few(uint8_t *to, const uint8_t *from, int64_t n) {
  if (n >= 16) {
    for (int64_t i = 0; i + 16 <= n; i += 16) memcpy(to + i, from + i, 16);
    memcpy(to + n - 16, from + n - 16, 16);
  } else if (n >= 8) {
    memcpy(to, from, 8);
    memcpy(to + n - 8, from + n - 8, 8);
  } else {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
  }
}

/* A row of the window's pixels that lie one behind the other: those outside the image are zero points. */
static void gather_line(const product *p, const uint8_t *line, int64_t x, uint8_t *to) {
  int64_t n = p->in_c, from = hn_smaller(x < 0 ? -x : 0, p->kernel[1]), end = p->in_w - x < p->kernel[1] ? hn_larger(from, p->in_w - x) : p->kernel[1];
  int64_t bytes = (end - from) * n;
  if (from) memset(to, p->zero, (size_t)(from * n));
  if (p->flip) copy_flipped(to + from * n, line + (x + from) * n, bytes, p->flip);
  else if (bytes <= 64) copy_few(to + from * n, line + (x + from) * n, bytes);
  else memcpy(to + from * n, line + (x + from) * n, (size_t)bytes);
  if (end < p->kernel[1]) memset(to + end * n, p->zero, (size_t)((p->kernel[1] - end) * n));
}

/* Windows of `rows` pixels from `row` on, of group g. */
static void gather_windows(const product_run *r, int64_t row, int rows, int64_t g, uint8_t *to) {
  const product *p = r->p;
  int64_t per = p->in_c / p->group, depth = 4 * quads_of(p), x = row % p->out_w, y = row / p->out_w % p->out_h, image = row / p->out_w / p->out_h;
  bool together = p->dilation[1] == 1 && p->group == 1;
  for (int k = 0; k < rows; k++, to += depth) {
    int64_t top = y * p->stride[0] - p->pad[0], left = x * p->stride[1] - p->pad[1];
    uint8_t *at = to;
    for (int64_t ky = 0; ky < p->kernel[0]; ky++, top += p->dilation[0]) {
      const uint8_t *line = (const uint8_t *)r->x->in[0].data + (image * p->in_h + top) * p->in_w * p->in_c;
      if (top < 0 || top >= p->in_h) {
        memset(at, p->zero, (size_t)(per * p->kernel[1]));
        at += per * p->kernel[1];
      } else if (together) {
        gather_line(p, line, left, at);
        at += per * p->kernel[1];
      } else {
        for (int64_t kx = 0, from = left; kx < p->kernel[1]; kx++, from += p->dilation[1], at += per)
          if (from < 0 || from >= p->in_w) memset(at, p->zero, (size_t)per);
          else copy_bytes(p, at, line + from * p->in_c + g * per, per);
      }
    }
    if (at < to + depth) memset(at, 0, (size_t)(to + depth - at));
    if (++x < p->out_w) continue;
    x = 0;
    if (++y == p->out_h) y = 0, image++;
  }
}

static void gather(const product_run *r, int64_t row, int rows, int64_t g, uint8_t *to) {
  const product *p = r->p;
  int64_t depth = 4 * quads_of(p);
  if (p->image) {
    gather_windows(r, row, rows, g, to);
    return;
  }
  for (int k = 0; k < rows; k++, to += depth) {
    copy_bytes(p, to, (const uint8_t *)r->x->in[0].data + (row + k) * p->k, p->k);
    memset(to + p->k, 0, (size_t)(depth - p->k));
  }
}

/* A thread at work. */
typedef struct worker {
  unsigned char *scratch;
  hn_int8_later later;
  int height; /* that tiles have now */
} worker;

/* The panels from..to of all, for a block of rows. */
static void run_panels(const product_run *r, int64_t row, int rows, int64_t from, int64_t to, bool first_block, worker *o) {
  const product *p = r->p;
  const hn_int8_way_out *w = &p->way;
  int64_t cols = p->tile->cols, channels = p->group * p->columns, depth = 4 * quads_of(p), gathered = -1;
  uint8_t *a = o->scratch;
  int32_t *sum = (int32_t *)(void *)(o->scratch + whole_lines((size_t)(depth * p->block)));
  /* the last quads of the last rows would reach past the tensor */
  bool direct = p->direct && (p->rows - row - rows) * p->k >= depth - p->k;
  size_t size = w->ending.to_float ? sizeof(float) : 1, res_size = w->residual_type == HN_INT8_RESIDUAL_F32 ? sizeof(float) : 1;
  hn_int8_mul m = {.a = a, .lda = depth, .sum = sum, .height = hn_int8_height(p->tile, p->step, rows), .step = p->step, .later = &o->later, .starts = p->to_sums || p->opened || p->zero};
  if (m.height && m.height != o->height) p->tile->begin(o->height = m.height, p->step);
  if (direct) m.a = (const uint8_t *)r->x->in[0].data + row * p->k, m.lda = p->k;
  for (int64_t i = from; i < to; i++) {
    int64_t g = i / panels_of(p), first = i % panels_of(p) * cols, n = hn_smaller(p->columns - first, cols), at = row * channels + g * p->columns + first;
    if (!direct && gathered != g) gather(r, row, rows, g, a);
    gathered = g;
    m.w = p->weights + p->panels[i].start * cols * 4;
    m.at = p->at ? p->at + p->panels[i].start : NULL;
    m.quads = p->panels[i].quads;
    m.init = r->init + i * cols;
    m.next = (p->far || first_block) && i + 1 < to ? m.w + m.quads * cols * 4 : NULL;
    if (p->to_sums) {
      p->tile->mul(&m, NULL, rows, n <= p->tile->lanes);
      for (int k = 0; k < rows; k++) memcpy((int32_t *)r->y + at + k * channels, sum + k * cols, sizeof *sum * (size_t)n);
      continue;
    }
    hn_int8_finish f = {.sum = sum, .unit = r->unit + i * cols, .bias = r->bias + i * cols, .n = n, .ld = channels,
                        .out = (unsigned char *)r->y + (size_t)at * size, .ending = &w->ending};
    if (r->row_unit) f.row_unit = r->row_unit + row, f.row_zero = r->row_zero + row, f.column = p->init + i * cols;
    if (w->residual != HN_NONE) {
      f.residual = w->residual_type;
      f.res = (const unsigned char *)r->x->in[w->residual].data + (size_t)at * res_size;
      f.by = (float)(w->residual_scale * w->by);
    }
    p->tile->mul(&m, &f, rows, n <= p->tile->lanes);
  }
}

static void run_depthwise(const product_run *r, int64_t begin, int64_t end, unsigned char *scratch) {
  const product *p = r->p;
  int32_t *sum = (int32_t *)(void *)(scratch + whole_lines((size_t)p->group));
  size_t size = p->way.ending.to_float ? sizeof(float) : 1;
  for (int64_t row = begin; row < end; row++) {
    memset(sum, 0, sizeof *sum * (size_t)p->group);
    for (int64_t ky = 0; ky < p->kernel[0]; ky++)
      for (int64_t kx = 0; kx < p->kernel[1]; kx++) {
        const uint8_t *from = pixel(r, row, ky, kx);
        if (!from) continue;
        if (p->flip) copy_flipped(scratch, from, p->group, p->flip), from = scratch;
        p->tile->add_products(sum, from, p->zero, p->weights + (ky * p->kernel[1] + kx) * p->group, p->group);
      }
    for (int64_t c = 0; c < p->group; c += p->tile->cols) {
      int64_t n = hn_smaller(p->group - c, p->tile->cols);
      hn_int8_finish f = {.sum = sum + c, .unit = p->unit + c, .bias = p->bias + c, .n = n, .ld = p->group,
                          .out = (unsigned char *)r->y + (size_t)(row * p->group + c) * size, .ending = &p->way.ending};
      p->tile->finish(&f, 1);
    }
  }
}

/* Rows from..to, in blocks alike, of panels first..last. */
static void run_blocks(const product_run *r, int64_t from, int64_t to, int64_t first, int64_t last, unsigned char *scratch) {
  const product *p = r->p;
  worker o = {.scratch = scratch};
  int64_t n = hn_ceil_div(to - from, p->block);
  for (int64_t i = 0; i < n; i++) {
    int64_t row = from + (to - from) * i / n, end = from + (to - from) * (i + 1) / n;
    run_panels(r, row, (int)(end - row), first, last, i == 0, &o);
  }
  if (!o.height) return;
  p->tile->flush(&o.later);
  p->tile->end();
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const product_run *r = arg;
  const product *p = r->p;
  int64_t panels = p->depthwise ? 1 : p->group * panels_of(p), all = p->by_columns ? panels : p->rows;
  for (int64_t k = begin; k < end; k++) {
    int64_t from = all * k / p->threads, to = all * (k + 1) / p->threads;
    unsigned char *scratch = r->scratch + (size_t)k * p->scratch;
    if (p->depthwise) run_depthwise(r, from, to, scratch);
    else if (p->by_columns) run_blocks(r, 0, p->rows, from, to, scratch);
    else run_blocks(r, from, to, 0, panels, scratch);
  }
}

/* Numbers by column, or one for all, where they may be read up to whole panels. */
static const float *columns_from(const hn_exec *x, uint32_t input, float none, int64_t n, float *to) {
  const hn_view *v = input == HN_NONE ? NULL : &x->in[input];
  for (int64_t i = 0; i < n; i++) to[i] = !v ? none : ((const float *)v->data)[v->count == 1 ? 0 : i < v->count ? i : v->count - 1];
  return to;
}

/* Units and zero points of rows. */
static void rows_from(const hn_exec *x, product_run *r, float *unit) {
  const product *p = r->p;
  int32_t *zero = (int32_t *)(void *)(unit + p->rows);
  for (int64_t i = 0; i < p->rows; i++) {
    unit[i] = p->row_units == HN_NONE ? 1 : ((const float *)x->in[p->row_units].data)[i];
    zero[i] = !p->by_rows ? 0 : (x->in[2].dtype == HONE_DTYPE_I8 ? ((const int8_t *)x->in[2].data)[i] : ((const uint8_t *)x->in[2].data)[i]) + p->flip;
  }
  r->row_unit = unit;
  r->row_zero = zero;
}

hone_status product_int8_run(hn_exec *x) {
  const product *p = x->task->state;
  void *y = p->tail.chain ? x->scratch : x->out[0].data;
  product_run r = {p, x, y, (unsigned char *)x->scratch + p->tail.bytes + p->inits + p->row_numbers, p->init, p->unit, p->bias, NULL, NULL};
  if (p->to_sums || p->opened) {
    bool given = x->task->node->n_main > 2 && x->task->in[2].present;
    int32_t zero = p->by_rows ? 0 : (!given ? 0 : x->in[2].dtype == HONE_DTYPE_I8 ? *(const int8_t *)x->in[2].data : *(const uint8_t *)x->in[2].data) + p->flip;
    int32_t *init = x->scratch;
    for (int64_t i = 0; i < panels_of(p) * p->tile->cols; i++) init[i] = -zero * p->init[i];
    r.init = init;
  }
  if (p->opened) {
    int64_t n = panels_of(p) * p->tile->cols;
    float *numbers = (float *)(void *)((unsigned char *)x->scratch + p->inits / 3);
    r.unit = columns_from(x, p->units, 1, n, numbers);
    r.bias = columns_from(x, p->biases, 0, n, numbers + p->inits / 3 / sizeof(float));
    if (p->row_numbers) rows_from(x, &r, (float *)(void *)((unsigned char *)x->scratch + p->tail.bytes + p->inits));
  }
  hn_parallel_for(p->threads, p->threads, 1, run_share, &r);
  if (p->tail.chain) hn_int8_tail_run(&p->tail, x, y);
  return HONE_OK;
}

void product_int8_destroy(hn_task *t) {
  product *p = t->state;
  if (p) {
    hn_int8_tail_free(&p->tail);
    hn_free(p->panels);
    hn_free(p->at);
    hn_free(p->unit);
  }
  hn_free(p);
  t->state = NULL;
}
