/* product_half.c - convolutions, MatMul and Gemm of 16-bit floats with constant weights, multiplied as such (half_tile.h). A product is a
   convolution by a window of one. Rows of the left matrix are read where they lie, or are lined up first. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/quant/half_product.h"

enum {
  BLOCK_BYTES = 384 << 10, /* of rows that are multiplied with a panel before the next: a part of the second-level cache */
  GAP = 32,                /* behind lined up rows, so that they do not fall on the same cache sets */
  CONFLICT = 512,          /* rows so many numbers apart, or a multiple, do */
  MOST_TILES_AHEAD = 16, PANEL_STEP = 512 /* bytes of four pairs of a panel */
};

typedef struct product_half {
  const hn_half_tile *tile;
  hn_conv c;
  int64_t m, n, k, pairs;      /* rows, columns, numbers of a sum; pairs of them */
  int64_t in_pitch, out_pitch; /* from pixel to pixel */
  const uint16_t *weights;     /* panels of HN_HALF_COLS columns */
  const float *bias;
  hn_ending e;
  bool copy;
  int64_t lda, block, parts;   /* rows at a time; parts of the columns */
  int64_t step;                /* pairs of an instruction's tile, if it has any */
  size_t scratch;              /* bytes of a thread */
} product_half;

static const hn_half_tile *tile_for(const hn_task *t) {
  if (!t->device) return NULL;
  return t->in[0].dtype == HONE_DTYPE_BF16 ? t->device->bf16 : t->in[0].dtype == HONE_DTYPE_F16 && t->device->half ? hn_half_tile_best() : NULL;
}

static bool half_constant(const hn_task *t, const hn_arg *a) { return a->present && a->constant && a->dtype == t->in[0].dtype; }

static bool is_row(const hn_task *t, const hn_arg *a, int64_t n) { return half_constant(t, a) && a->rank > 0 && a->dims[a->rank - 1] == n && a->constant->count == n; }

static int64_t columns(const hn_task *t) {
  const hn_arg *w = &t->in[1];
  return w->dims[t->node->op == HN_MatMul || (t->node->op == HN_Gemm && !hn_attr_i(t->node, "transB", 0)) ? 1 : 0];
}

bool product_half_supports(const hn_task *t) {
  const hn_arg *x = &t->in[0], *y = &t->out[0];
  const hn_node *n = t->node;
  if (!tile_for(t) || y->dtype != x->dtype || !half_constant(t, &t->in[1]) || x->rank < 1 || t->in[1].constant->count == 0) return false;
  for (int32_t i = 0; i < x->rank; i++)
    if (x->dims[i] == 0) return false;
  if (n->op == HN_Conv)
    return x->rank >= 3 && x->rank <= 4 && hn_attr_i(n, "group", 1) == 1 && (!hn_conv_has_bias(t) || half_constant(t, &t->in[2]));
  if (t->in[1].rank != 2) return false;
  return n->op == HN_MatMul || (!hn_attr_i(n, "transA", 0) && hn_attr_f(n, "alpha", 1) == 1 && hn_attr_f(n, "beta", 1) == 1 &&
                                (n->n_main < 3 || !t->in[2].present || is_row(t, &t->in[2], columns(t))));
}

/* Number k of column n: channels lie together, then the taps of a window. */
static uint16_t weight_at(const hn_task *t, const product_half *s, int64_t k, int64_t n) {
  const uint16_t *w = t->in[1].constant->data;
  if (t->node->op == HN_Conv) return w[(n * s->c.in_c + k % s->c.in_c) * (s->k / s->c.in_c) + k / s->c.in_c];
  return t->node->op == HN_Gemm && hn_attr_i(t->node, "transB", 0) ? w[n * s->k + k] : w[k * s->n + n];
}

static hone_status pack_weights(hn_task *t, product_half *s) {
  int64_t panels = hn_ceil_div(s->n, HN_HALF_COLS), panel = s->pairs * 2 * HN_HALF_COLS;
  uint16_t *p;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof *p * (size_t)(panels * panel), 0, (void **)&p, &fill));
  if (fill) memset(p, 0, sizeof *p * (size_t)(panels * panel));
  for (int64_t n = 0; n < s->n && fill; n++) {
    uint16_t *to = p + n / HN_HALF_COLS * panel + hn_half_column(t->in[0].dtype, n % HN_HALF_COLS);
    for (int64_t k = 0; k < s->k; k++) to[k / 2 * 2 * HN_HALF_COLS + k % 2] = weight_at(t, s, k, n);
  }
  t->in[1].unused = true;
  s->weights = p;
  return HONE_OK;
}

static hone_status describe(hn_task *t, product_half *s) {
  hn_arg *x = &t->in[0];
  hn_layout l = t->node->op == HN_Conv ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  hn_conv *c = &s->c;
  x->layout = t->out[0].layout = l;
  if (t->node->op == HN_Conv) {
    HN_TRY(hn_conv_resolve(t, c));
  } else {
    int64_t m = 1;
    for (int32_t i = 0; i + 1 < x->rank; i++) m *= x->dims[i];
    *c = (hn_conv){1, 1, m, x->dims[x->rank - 1], 1, m, columns(t), 1, 1, 1, 1, 1, 1, 1, 0, 0};
  }
  s->in_pitch = l == HN_LAYOUT_NHWC ? hn_take_pitch(x) : c->in_c;
  s->out_pitch = l == HN_LAYOUT_NHWC ? hn_take_pitch(&t->out[0]) : c->out_c;
  s->m = c->images * c->out_h * c->out_w;
  s->n = c->out_c;
  s->k = c->in_c * c->kernel_h * c->kernel_w;
  s->pairs = (s->k + 1) / 2;
  return HONE_OK;
}

/* Tiles are all alike in depth. Where rows lie as they are needed, none goes on into the next one, which might hold infinities. */
static void cut_depth(product_half *s) {
  int64_t deep = s->tile->deep;
  if (!deep) return;
  for (s->step = hn_smaller(deep, s->pairs); s->pairs % s->step;) s->step--;
  if (2 * s->step >= deep || s->step == s->pairs) return;
  s->step = hn_ceil_div(s->pairs, hn_ceil_div(s->pairs, deep));
  s->pairs = hn_round_up(s->pairs, s->step);
}

/* Blocks of rows, and parts of the columns where there are too few of those for the threads. */
static void cut(hn_task *t, product_half *s) {
  const hn_conv *c = &s->c;
  bool direct = c->kernel_h == 1 && c->kernel_w == 1 && c->stride_h == 1 && c->stride_w == 1 && c->in_h == c->out_h && c->in_w == c->out_w;
  s->copy = !direct || s->k != 2 * s->pairs || (s->in_pitch % CONFLICT == 0 && s->k >= CONFLICT && s->m > s->tile->rows / 2);
  s->lda = !s->copy ? s->in_pitch : 2 * s->pairs % CONFLICT ? 2 * s->pairs : 2 * s->pairs + GAP;
  int64_t fit = hn_larger(BLOCK_BYTES / (2 * (s->lda + s->n)), 4 * s->tile->rows), each = hn_ceil_div(s->m, t->threads);
  int64_t blocks = hn_round_up(hn_ceil_div(s->m, hn_smaller(fit, each)), t->threads);
  s->block = hn_smaller(s->m, hn_round_up(hn_ceil_div(s->m, blocks), s->tile->rows));
  s->parts = hn_ceil_div(s->m, s->block) >= t->threads ? 1 : hn_smaller(hn_ceil_div(s->n, HN_HALF_COLS), t->threads);
  s->scratch = s->copy ? (size_t)hn_round_up(2 * s->block * s->lda, 64) : 0;
  t->scratch = s->scratch * (size_t)t->threads;
}

hone_status product_half_plan(hn_task *t) {
  product_half *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  s->tile = tile_for(t);
  HN_TRY(describe(t, s));
  cut_depth(s);
  t->threads = hn_conv_threads(t, s->m * s->n * s->k);
  cut(t, s);
  HN_TRY(pack_weights(t, s));
  if (t->node->n_main > 2 && t->in[2].present) {
    HN_TRY(hn_half_pack_bias(t, 2, s->n, &s->bias));
  } else if (t->node->op != HN_Conv && t->node->n_post && t->node->post[0].op == HN_Add && t->node->post[0].operand != HN_NONE &&
             is_row(t, &t->in[t->node->post[0].operand], s->n)) {
    HN_TRY(hn_half_pack_bias(t, t->node->post[0].operand, s->n, &s->bias));
    t->fused = 1;
  }
  hn_ending_take(t, t->out[0].layout, true, &s->e);
  return HONE_OK;
}

void product_half_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* A line of the window: numbers of kernel row ky around pixel x, zeros beside the image. */
static void line_up(const product_half *s, const uint16_t *line, int64_t x, uint16_t *to) {
  const hn_conv *c = &s->c;
  int64_t left = x * c->stride_w - c->pad_left, n = c->in_c;
  if (c->dilation_w == 1 && s->in_pitch == n) {
    int64_t from = hn_smaller(hn_larger(0, -left), c->kernel_w), end = hn_larger(from, hn_smaller(c->kernel_w, c->in_w - left));
    memset(to, 0, sizeof *to * (size_t)(from * n));
    memcpy(to + from * n, line + (left + from) * n, sizeof *to * (size_t)((end - from) * n));
    memset(to + end * n, 0, sizeof *to * (size_t)((c->kernel_w - end) * n));
    return;
  }
  for (int64_t k = 0; k < c->kernel_w; k++, to += n) {
    int64_t at = left + k * c->dilation_w;
    if (at < 0 || at >= c->in_w) memset(to, 0, sizeof *to * (size_t)n);
    else memcpy(to, line + at * s->in_pitch, sizeof *to * (size_t)n);
  }
}

static void copy_rows(const product_half *s, const uint16_t *in, int64_t row, int64_t end, uint16_t *to) {
  const hn_conv *c = &s->c;
  for (; row < end; row++, to += s->lda) {
    int64_t x = row % c->out_w, y = row / c->out_w % c->out_h, image = row / c->out_w / c->out_h, n = c->kernel_w * c->in_c;
    for (int64_t ky = 0; ky < c->kernel_h; ky++) {
      int64_t at = y * c->stride_h - c->pad_top + ky * c->dilation_h;
      if (at < 0 || at >= c->in_h) memset(to + ky * n, 0, sizeof *to * (size_t)n);
      else line_up(s, in + (image * c->in_h + at) * c->in_w * s->in_pitch, x, to + ky * n);
    }
    for (int64_t k = s->k; k < 2 * s->pairs; k++) to[k] = 0;
  }
}

/* Rows row..end of the result in columns col..col_end. */
static void run_block(const product_half *s, hn_exec *x, int64_t row, int64_t end, int64_t col, int64_t col_end, uint16_t *copied) {
  const uint16_t *a = (const uint16_t *)x->in[0].data + row * s->in_pitch;
  const uint16_t *residual = s->e.residual == HN_NONE ? NULL : x->in[s->e.residual].data;
  uint16_t *out = x->out[0].data;
  int64_t tiles = hn_ceil_div(end - row, s->tile->rows);
  float sums[2][HN_HALF_ROWS * HN_HALF_COLS] __attribute__((aligned(64)));
  hn_half_job j = {.pairs = s->pairs, .lda = s->lda, .step = s->step, .a_step = 2 * s->step};
  hn_half_made last = {.rows = 0};
  int turn = 0;
  if (s->copy) {
    copy_rows(s, x->in[0].data, row, end, copied);
    a = copied;
  }
  if (s->tile->deep) s->tile->begin(j.height = (int)hn_ceil_div(hn_ceil_div(end - row, tiles), 2), s->step);
  for (int64_t n = col; n < col_end; n += HN_HALF_COLS) {
    int cols = (int)hn_smaller(HN_HALF_COLS, col_end - n);
    j.b = s->weights + n * s->pairs * 2;
    const char *next = tiles <= MOST_TILES_AHEAD && n + HN_HALF_COLS < col_end ? (const char *)(j.b + s->pairs * 2 * HN_HALF_COLS) : NULL;
    j.next_step = hn_round_up(hn_ceil_div(PANEL_STEP, tiles), 64);
    hn_half_ending e = {.bias = s->bias ? s->bias + n : NULL, .ld_residual = s->e.residual_pitch, .lo = s->e.lo, .hi = s->e.hi, .ld_out = s->out_pitch};
    for (int64_t i = 0; i < tiles; i++) {
      int64_t from = (end - row) * i / tiles, at = row + from;
      j.rows = (int)((end - row) * (i + 1) / tiles - from);
      j.a = a + from * s->lda;
      /* the weights behind come nearer while these are in use: they are many where there are few rows */
      j.next = next ? next + i * (s->pairs / 4) * j.next_step : NULL;
      j.sums = sums[turn];
      s->tile->mul(&j);
      e.residual = residual ? residual + at * s->e.residual_pitch + n : NULL;
      e.out = out + at * s->out_pitch + n;
      hn_half_end(s->tile, &s->e, &last); /* while this one is multiplied */
      if (s->tile->store) s->tile->store(&j);
      last = (hn_half_made){e, sums[turn], j.rows, cols};
      turn = !turn;
    }
  }
  hn_half_end(s->tile, &s->e, &last);
  if (s->tile->deep) s->tile->end();
  if (!s->e.n || s->tile->round) return;
  if (col_end - col == s->out_pitch) hn_ending_run(&s->e, out + row * s->out_pitch, (end - row) * s->out_pitch);
  else
    for (int64_t r = row; r < end; r++) hn_ending_run(&s->e, out + r * s->out_pitch + col, col_end - col);
}

typedef struct half_run {
  const product_half *s;
  hn_exec *x;
} half_run;

static void run_share(void *arg, int64_t begin, int64_t end) {
  const half_run *r = arg;
  const product_half *s = r->s;
  int64_t threads = r->x->task->threads, blocks = hn_ceil_div(s->m, s->block), jobs = blocks * s->parts, panels = hn_ceil_div(s->n, HN_HALF_COLS);
  for (int64_t id = begin; id < end; id++)
    for (int64_t j = jobs * id / threads; j < jobs * (id + 1) / threads; j++) {
      int64_t row = j / s->parts * s->block, part = j % s->parts;
      run_block(s, r->x, row, hn_smaller(row + s->block, s->m), panels * part / s->parts * HN_HALF_COLS,
                hn_smaller(panels * (part + 1) / s->parts * HN_HALF_COLS, s->n), (uint16_t *)(void *)((char *)r->x->scratch + (size_t)id * s->scratch));
    }
}

hone_status product_half_run(hn_exec *x) {
  half_run r = {x->task->state, x};
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, &r);
  return HONE_OK;
}
