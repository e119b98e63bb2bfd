/* product_int8.c - convolution and matrix products of 8-bit integers with exact sums, for every processor: rows of activations are
   gathered as 16-bit numbers less their zero point and multiplied with packed weights; depthwise convolution goes
   pixel by pixel. Channels last. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/quant/int8_tail.h"
#include "device/cpu/quant/int8_tile.h"
#include "op/infer.h"

typedef struct product {
  const hn_int8_tile *tile;
  int64_t rows, k, group, columns; /* of A; depth and columns of one group */
  bool image, depthwise, transposed;
  int64_t in_h, in_w, in_c, out_h, out_w, kernel[2], stride[2], dilation[2], pad[2];
  int is_signed;
  int32_t zero;
  const int8_t *weights;           /* packed by groups and panels; depthwise: tap by tap */
  const float *unit, *bias;        /* by output channel; bias may be NULL */
  size_t scratch;                  /* of a thread */
  hn_int8_tail tail;               /* with an output of integers */
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
  for (int32_t i = 0; i < x->rank - 2; i++) {
    int k = i + 4 - x->rank;
    p->kernel[k] = g.kernel[i], p->stride[k] = g.stride[i], p->dilation[k] = g.dilation[i], p->pad[k] = g.pad_begin[i];
  }
  if (x->rank == 4) p->in_h = x->dims[2], p->out_h = y->dims[2];
  p->in_w = x->dims[x->rank - 1];
  p->out_w = y->dims[x->rank - 1];
  p->rows = x->dims[0] * p->out_h * p->out_w;
  p->k = w->dims[1] * p->kernel[0] * p->kernel[1];
  p->columns = w->dims[0] / p->group;
  p->depthwise = p->group == p->in_c && w->dims[0] == p->group && p->group > 1;
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
  for (int32_t i = 0; i < x->rank - 1; i++) p->rows *= x->dims[i];
  return true;
}

static bool describe(const hn_task *t, product *p) {
  *p = (product){.is_signed = t->in[0].dtype == HONE_DTYPE_I8, .zero = t->in[0].quant->zero};
  if (!(t->node->op == HN_Conv ? describe_conv(t, p) : describe_matmul(t, p))) return false;
  return !bias_of(t) || constant_row(bias_of(t), p->group * p->columns);
}

bool product_int8_supports(const hn_task *t) {
  product p;
  return hn_int8_product(t) && describe(t, &p);
}

/* ------------------------------------------------------------------------------------------- packing */

/* Weight of a depth (kernel row, kernel column, channel) and a column of a group. */
static int8_t weight(const product *p, const int8_t *w, int64_t g, int64_t k, int64_t c) {
  if (!p->image) return p->transposed ? w[c * p->k + k] : w[k * p->columns + c];
  int64_t taps = p->kernel[0] * p->kernel[1], per = p->k / taps;
  return w[((g * p->columns + c) * per + k % per) * taps + k / per];
}

static int64_t panels_of(const product *p) { return (p->columns + p->tile->cols - 1) / p->tile->cols; }
static int64_t pairs_of(const product *p) { return (p->k + 1) / 2; }

static void pack_weights(const product *p, const int8_t *w, int8_t *to) {
  int64_t cols = p->tile->cols;
  if (p->depthwise) {
    for (int64_t k = 0; k < p->k; k++)
      for (int64_t g = 0; g < p->group; g++) *to++ = weight(p, w, g, k, 0);
    return;
  }
  for (int64_t g = 0; g < p->group; g++)
    for (int64_t col = 0; col < panels_of(p) * cols; col += cols)
      for (int64_t k = 0; k < 2 * pairs_of(p); k += 2)
        for (int64_t c = col; c < col + cols; c++)
          for (int64_t i = k; i < k + 2; i++) *to++ = i < p->k && c < p->columns ? weight(p, w, g, i, c) : 0;
}

static hone_status pack(hn_task *t, product *p) {
  size_t bytes = p->depthwise ? (size_t)(p->k * p->group) : (size_t)(p->group * panels_of(p) * p->tile->cols * 2 * pairs_of(p));
  size_t channels = (size_t)(p->group * p->columns);
  void *weights, *numbers;
  bool fill;
  HN_TRY(hn_task_pack(t, bytes, 0, &weights, &fill));
  if (fill) pack_weights(p, t->in[1].constant->data, weights);
  HN_TRY(hn_task_pack(t, sizeof(float) * channels, 0, &numbers, &fill));
  for (size_t c = 0; fill && c < channels; c++) ((float *)numbers)[c] = hn_int8_unit(t, (int64_t)c);
  p->weights = weights;
  p->unit = numbers;
  t->in[1].unused = true;
  if (!bias_of(t)) return HONE_OK;
  p->bias = bias_of(t)->constant->data;
  t->in[2].unused = true;
  return HONE_OK;
}

hone_status product_int8_plan(hn_task *t) {
  product *p = hn_calloc(1, sizeof *p);
  t->state = p;
  if (!p) return hn_nomem(t->cx);
  if (!describe(t, p)) return HONE_UNSUPPORTED;
  p->tile = hn_int8_tile_for(t->device->isa);
  t->in[0].layout = t->out[0].layout = p->image ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  HN_TRY(pack(t, p));
  size_t gathered = p->depthwise ? 0 : sizeof(int16_t) * (size_t)(2 * pairs_of(p) * p->tile->rows);
  size_t sums = sizeof(int32_t) * (size_t)(p->depthwise ? p->group : p->tile->rows * p->tile->cols);
  p->scratch = (gathered + 63) / 64 * 64 + (sums + 63) / 64 * 64;
  if (t->out[0].quant) HN_TRY(hn_int8_tail_plan(t, &p->tail));
  t->scratch = p->tail.bytes + p->scratch * (size_t)(t->threads < 1 ? 1 : t->threads);
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- running */

typedef struct product_run {
  const product *p;
  const uint8_t *x;
  float *y;
  unsigned char *scratch;
  int64_t each; /* rows of a thread; its scratch is that of its number */
} product_run;

/* The pixel under a tap of an output pixel; NULL: padding. */
static const uint8_t *pixel(const product_run *r, int64_t row, int64_t ky, int64_t kx) {
  const product *p = r->p;
  int64_t n = row / (p->out_h * p->out_w), at = row % (p->out_h * p->out_w);
  int64_t y = at / p->out_w * p->stride[0] - p->pad[0] + ky * p->dilation[0], x = at % p->out_w * p->stride[1] - p->pad[1] + kx * p->dilation[1];
  if (y < 0 || y >= p->in_h || x < 0 || x >= p->in_w) return NULL;
  return r->x + ((n * p->in_h + y) * p->in_w + x) * p->in_c;
}

static void gather(const product_run *r, int64_t row, int64_t g, int16_t *to) {
  const product *p = r->p;
  if (!p->image) {
    p->tile->less_zero(to, r->x + row * p->k, p->is_signed, p->zero, p->k);
  } else {
    int64_t per = p->in_c / p->group;
    for (int64_t ky = 0; ky < p->kernel[0]; ky++)
      for (int64_t kx = 0; kx < p->kernel[1]; kx++, to += per) {
        const uint8_t *from = pixel(r, row, ky, kx);
        if (from) p->tile->less_zero(to, from + g * per, p->is_signed, p->zero, per);
        else memset(to, 0, sizeof *to * (size_t)per);
      }
    to -= p->k;
  }
  if (p->k & 1) to[p->k] = 0;
}

static void write_sums(const product *p, const int32_t *sum, int64_t first, int64_t n, float *to) {
  for (int64_t c = 0; c < n; c++) {
    float v = (float)sum[c] * p->unit[first + c];
    to[c] = p->bias ? v + p->bias[first + c] : v;
  }
}

static void run_tiles(const product_run *r, int64_t begin, int64_t end, unsigned char *scratch) {
  const product *p = r->p;
  int64_t depth = 2 * pairs_of(p), cols = p->tile->cols, channels = p->group * p->columns;
  int16_t *a = (int16_t *)(void *)scratch;
  int32_t *sum = (int32_t *)(void *)(scratch + (sizeof(int16_t) * (size_t)(depth * p->tile->rows) + 63) / 64 * 64);
  for (int64_t row = begin; row < end; row += p->tile->rows) {
    int rows = (int)(end - row < p->tile->rows ? end - row : p->tile->rows);
    for (int64_t g = 0; g < p->group; g++) {
      for (int i = 0; i < rows; i++) gather(r, row + i, g, a + i * depth);
      for (int64_t panel = 0; panel < panels_of(p); panel++) {
        int64_t first = panel * cols, n = p->columns - first < cols ? p->columns - first : cols;
        p->tile->mul(a, depth, p->weights + (g * panels_of(p) + panel) * cols * depth, depth / 2, sum, rows);
        for (int i = 0; i < rows; i++)
          write_sums(p, sum + i * cols, g * p->columns + first, n, r->y + (row + i) * channels + g * p->columns + first);
      }
    }
  }
}

static void run_depthwise(const product_run *r, int64_t begin, int64_t end, int32_t *sum) {
  const product *p = r->p;
  for (int64_t row = begin; row < end; row++) {
    memset(sum, 0, sizeof *sum * (size_t)p->group);
    for (int64_t ky = 0; ky < p->kernel[0]; ky++)
      for (int64_t kx = 0; kx < p->kernel[1]; kx++) {
        const uint8_t *from = pixel(r, row, ky, kx);
        if (from) p->tile->add_products(sum, from, p->is_signed, p->zero, p->weights + (ky * p->kernel[1] + kx) * p->group, p->group);
      }
    write_sums(p, sum, 0, p->group, r->y + row * p->group);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const product_run *r = arg;
  for (int64_t k = begin; k < end; k++) {
    int64_t from = k * r->each, to = from + r->each < r->p->rows ? from + r->each : r->p->rows;
    unsigned char *scratch = r->scratch + (size_t)k * r->p->scratch;
    if (from >= to) continue;
    if (r->p->depthwise) run_depthwise(r, from, to, (int32_t *)(void *)scratch);
    else run_tiles(r, from, to, scratch);
  }
}

hone_status product_int8_run(hn_exec *x) {
  const product *p = x->task->state;
  int64_t threads = x->task->threads < 1 ? 1 : x->task->threads;
  unsigned char *scratch = x->scratch;
  float *y = p->tail.chain ? x->scratch : x->out[0].data;
  product_run r = {p, x->in[0].data, y, scratch + p->tail.bytes, (p->rows + threads - 1) / threads};
  hn_parallel_for((int)threads, threads, 1, run_share, &r);
  if (p->tail.chain) hn_int8_tail_run(&p->tail, x, y);
  return HONE_OK;
}

void product_int8_destroy(hn_task *t) {
  product *p = t->state;
  if (p) hn_int8_tail_free(&p->tail);
  hn_free(p);
  t->state = NULL;
}
