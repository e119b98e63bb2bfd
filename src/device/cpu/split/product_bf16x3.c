/* product_bf16x3.c - convolutions and matrix products of single precision by bfloat16 parts (split.h). Of a block of the image,
   the padding around it included, every pixel is cut into cells; a tile is a run of them, which goes on over the ends of lines:
   what is computed there is dropped. With strides, each phase of the image is a plane of its own, so that every tap reads
   neighbours. A matrix is an image of one line. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/split/split.h"

enum {
  BLOCK_BYTES = 640 << 10, /* of a block in cells: a part of the second-level cache */
  SLAB = 20,               /* most cells along k that are multiplied at a time: two such pieces of a panel, in parts, are near */
  ROWS = HN_SPLIT_ROWS,
  HALF = ROWS / 2,
  TILE = HN_SPLIT_ROWS * HN_SPLIT_COLS
};

typedef struct product {
  hn_conv c;
  hn_ending e;
  const hn_split *split;
  const float *weights;
  const float *bias;
  int64_t in_pitch, out_pitch;    /* from pixel to pixel */
  int64_t in_c, n;                /* of one group */
  bool joined;                    /* the pixels under a row of the kernel are cut as one; they are few numbers each */
  int64_t taps_w, depth;          /* taps of a kernel row; numbers that are cut as one */
  int64_t cells_in, cells, panels;/* of those numbers, of the whole depth; of the columns */
  int64_t slab, slabs;            /* cells that are multiplied at a time */
  int64_t extra_h, extra_w;       /* lines and pixels of a plane beyond the result's */
  int64_t phases, *phase_y, *phase_x;
  int64_t *offsets;               /* of each cell along k, from that of the first */
  int64_t job_images, job_h, job_w, blocks_i, blocks_h, blocks_w, blocks, parts;
  int64_t plane_w, plane, positions; /* pixels of a line, of an image, of a block */
  int32_t *place;                 /* of each position of a plane in the result */
  int64_t tiles;                  /* of sums that a thread keeps */
  size_t block_size, own_size;    /* bytes of a block in cells; of what a thread has beside: parts of two slabs, sums, a padded line */
} product;

typedef struct block {
  int64_t group, image, images, y, lines, x, width;
} block;

/* ------------------------------------------------------------------------------------------- what it is */

static bool all_positive(const hn_arg *a) {
  for (int32_t i = 0; i < a->rank; i++)
    if (a->dims[i] == 0) return false;
  return true;
}

static bool is_row(const hn_arg *a, int64_t columns) {
  return a->present && a->constant && a->dtype == HONE_DTYPE_F32 && a->constant->count == columns && a->rank > 0 &&
         a->dims[a->rank - 1] == columns;
}

static bool turned(const hn_task *t) { return t->node->op == HN_Gemm && hn_attr_i(t->node, "transB", 0); }

static bool matrix_supported(const hn_task *t) {
  const hn_arg *a = &t->in[0], *b = &t->in[1];
  if (a->dtype != HONE_DTYPE_F32 || b->dtype != HONE_DTYPE_F32 || t->out[0].dtype != HONE_DTYPE_F32) return false;
  if (!b->constant || b->rank != 2 || a->rank < 2 || !all_positive(a) || !all_positive(b)) return false;
  if (t->node->op == HN_MatMul) return true;
  if (hn_attr_i(t->node, "transA", 0) || hn_attr_f(t->node, "alpha", 1) != 1) return false;
  return !hn_conv_has_bias(t) || (hn_attr_f(t->node, "beta", 1) == 1 && is_row(&t->in[2], b->dims[turned(t) ? 0 : 1]));
}

bool product_bf16x3_supports(const hn_task *t) {
  if (!t->device || !hn_cpu_of(t)->split || t->before || t->strip) return false;
  if (t->node->op != HN_Conv) return matrix_supported(t);
  return hn_conv_supported(t) && (hn_attr_i(t->node, "group", 1) == 1 || t->in[1].dims[1] >= HN_SPLIT_DEPTH / 2);
}

static hone_status describe(hn_task *t, product *p) {
  hn_conv *c = &p->c;
  hn_layout l = t->node->op == HN_Conv ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  if (t->node->op == HN_Conv) {
    HN_TRY(hn_conv_resolve(t, c));
    hn_conv_flatten(c);
  } else {
    const hn_arg *a = &t->in[0], *b = &t->in[1];
    *c = (hn_conv){1, 1, 1, a->dims[a->rank - 1], 1, 1, b->dims[turned(t) ? 0 : 1], 1, 1, 1, 1, 1, 1, 1, 0, 0};
    for (int32_t i = 0; i < a->rank - 1; i++) c->in_w *= a->dims[i];
    c->out_w = c->in_w;
  }
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = l;
  t->out[0].layout = l;
  p->in_pitch = hn_take_pitch(&t->in[0]);
  p->out_pitch = hn_take_pitch(&t->out[0]);
  p->in_c = c->in_c / c->group;
  p->n = c->out_c / c->group;
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- packing */

/* Planes, and where in them the cells along k lie once their size is known. */
static hone_status lay_out(hn_task *t, product *p) {
  const hn_conv *c = &p->c;
  int64_t apart = hn_ceil_div(p->in_c, HN_SPLIT_DEPTH) * c->kernel_w,
          together = hn_ceil_div(p->in_c * c->kernel_w, HN_SPLIT_DEPTH);
  p->joined = c->kernel_w > 1 && c->dilation_w == 1 && 5 * together <= 4 * apart;
  p->taps_w = p->joined ? 1 : c->kernel_w;
  p->depth = p->joined ? c->kernel_w * p->in_c : p->in_c;
  p->cells_in = hn_ceil_div(p->depth, HN_SPLIT_DEPTH);
  p->cells = c->kernel_h * p->taps_w * p->cells_in;
  p->panels = hn_ceil_div(p->n, HN_SPLIT_COLS);
  p->slabs = hn_ceil_div(p->cells, SLAB);
  p->slab = hn_ceil_div(p->cells, p->slabs);
  p->extra_h = (c->kernel_h - 1) * c->dilation_h / c->stride_h;
  p->extra_w = p->joined ? 0 : (c->kernel_w - 1) * c->dilation_w / c->stride_w;
  int64_t taps = c->kernel_h * p->taps_w;
  p->offsets = hn_calloc((size_t)(p->cells + 2 * taps), sizeof *p->offsets);
  if (!p->offsets) return hn_nomem(t->cx);
  p->phase_y = p->offsets + p->cells;
  p->phase_x = p->phase_y + taps;
  return HONE_OK;
}

/* The phase that taps so far from the first one read. */
static int64_t phase_of(product *p, int64_t dy, int64_t dx) {
  int64_t y = dy % p->c.stride_h, x = p->joined ? 0 : dx % p->c.stride_w, i = 0;
  while (i < p->phases && (p->phase_y[i] != y || p->phase_x[i] != x)) i++;
  if (i == p->phases) p->phases++;
  p->phase_y[i] = y;
  p->phase_x[i] = x;
  return i;
}

static void find_phases(product *p) {
  for (int64_t ky = 0; ky < p->c.kernel_h; ky++)
    for (int64_t kx = 0; kx < p->taps_w; kx++) phase_of(p, ky * p->c.dilation_h, kx * p->c.dilation_w);
}

static void set_offsets(product *p) {
  const hn_conv *c = &p->c;
  int64_t at = 0;
  for (int64_t ky = 0; ky < c->kernel_h; ky++)
    for (int64_t kx = 0; kx < p->taps_w; kx++) {
      int64_t dy = ky * c->dilation_h, dx = kx * c->dilation_w, phase = phase_of(p, dy, dx);
      int64_t shift = dy / c->stride_h * p->plane_w + dx / c->stride_w;
      for (int64_t i = 0; i < p->cells_in; i++)
        p->offsets[at++] = ((phase * p->cells_in + i) * p->positions + shift) * HN_SPLIT_CELL;
    }
}

static uint32_t pack_conv(const product *p, const float *w, float *to, float *row) {
  const hn_conv *c = &p->c;
  int64_t area = c->kernel_h * c->kernel_w, k = p->in_c * area;
  uint32_t most = 0, m;
  for (int64_t ky = 0; ky < c->kernel_h; ky++)
    for (int64_t kx = 0; kx < p->taps_w; kx++) {
      const float *tap = w + ky * c->kernel_w + kx;
      int64_t from = (ky * p->taps_w + kx) * p->cells_in;
      for (int64_t i = 0; i < p->depth && p->joined; i++)
        for (int64_t n = 0; n < p->n; n++) row[i * p->n + n] = tap[i / p->in_c + n * k + i % p->in_c * area];
      m = p->joined ? hn_split_pack(p->cells, from, p->depth, p->n, row, p->n, 1, to)
                    : hn_split_pack(p->cells, from, p->depth, p->n, tap, area, k, to);
      if (m > most) most = m;
    }
  return most;
}

static hone_status pack_weights(hn_task *t, product *p) {
  const hn_conv *c = &p->c;
  size_t each = hn_split_packed(p->cells, p->n);
  const float *w = t->in[1].constant->data;
  float *to;
  bool fill;
  uint64_t bound; /* weights packed under another bound have not been tested for this one */
  memcpy(&bound, &hn_cpu_of(t)->winograd_error, sizeof bound);
  HN_TRY(hn_task_pack(t, sizeof *to * each * (size_t)c->group, bound, (void **)&to, &fill));
  p->weights = to;
  t->in[1].unused = true;
  if (!fill) return HONE_OK;
  uint32_t most = 0, m;
  if (t->node->op != HN_Conv) {
    bool b_turned = turned(t);
    most = hn_split_pack(p->cells, 0, p->depth, p->n, w, b_turned ? 1 : p->n, b_turned ? p->depth : 1, to);
  } else {
    float *row = p->joined ? hn_calloc((size_t)(p->depth * p->n), sizeof *row) : NULL;
    if (p->joined && !row) return hn_nomem(t->cx);
    for (int64_t g = 0; g < c->group; g++) {
      m = pack_conv(p, w + g * p->n * p->in_c * c->kernel_h * c->kernel_w, to + (size_t)g * each, row);
      if (m > most) most = m;
    }
    hn_free(row);
  }
  double error;
  HN_TRY(hn_split_error(t->cx, p->split, p->cells, to, &error));
  return hn_split_fits_weights(most) && error <= hn_cpu_of(t)->winograd_error ? HONE_OK : HONE_UNSUPPORTED;
}

/* A number for each column: the third input, or the first step of the epilogue. */
static hone_status take_bias(hn_task *t, product *p) {
  const hn_node *n = t->node;
  uint32_t input = 2;
  if (!hn_conv_has_bias(t)) {
    if (n->op == HN_Conv || !n->n_post || n->post[0].op != HN_Add || n->post[0].operand == HN_NONE) return HONE_OK;
    input = n->post[0].operand;
    if (!is_row(&t->in[input], p->n)) return HONE_OK;
    t->fused = 1;
  }
  float *to;
  bool fill;
  size_t given = (size_t)p->c.out_c, all = given + HN_SPLIT_COLS;
  HN_TRY(hn_task_pack(t, sizeof *to * all, 0, (void **)&to, &fill));
  if (fill) {
    memset(to, 0, sizeof *to * all);
    memcpy(to, t->in[input].constant->data, sizeof *to * given);
  }
  p->bias = to;
  t->in[input].unused = true;
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- cutting */

static int64_t rows_of(int64_t lines, int64_t width, int64_t extra_w) { return (lines - 1) * (width + extra_w) + width; }

/* How many lines a block of at most `most` should have: those that fill tiles best, and are not cut twice too often. */
static int64_t lines_of_block(const product *p, int64_t most) {
  const hn_conv *c = &p->c;
  int64_t best = most;
  double least = 1e300;
  for (int64_t h = most; h >= 1 && 2 * h >= most; h--) {
    double rows = (double)hn_round_up(rows_of(h, c->out_w, p->extra_w), HALF),
           again = 0.2 * (double)(p->extra_h * (c->out_w + p->extra_w));
    double cost = (rows + again) * (double)hn_ceil_div(c->out_h, h);
    if (cost < least) least = cost, best = h;
  }
  return best;
}

/* Whether threads had better share the columns than the rows. With rows each has its own part of the image, but cuts all weights;
   with columns the image in cells, and the result, have to get from one core's cache to the other's, and they meet once more. */
static bool by_columns(const product *p) {
  enum { CYCLES_OF_CUT = 7, CYCLES_OF_COPY = 32, CYCLES_OF_FORK = 7000 }; /* of 50 weights; of 50 numbers of the image */
  const hn_conv *c = &p->c;
  int64_t image = c->in_h * c->in_w * c->images * p->in_c, weights = p->cells * p->panels * HN_SPLIT_PART;
  return p->panels > 1 && weights / 50 * CYCLES_OF_CUT > image / 50 * CYCLES_OF_COPY + CYCLES_OF_FORK;
}

/* For several threads: as many blocks for each, or the columns. */
static void deal(product *p, int64_t threads) {
  const hn_conv *c = &p->c;
  int64_t spots = hn_ceil_div(c->images, p->job_images) * hn_ceil_div(c->out_h, p->job_h) * hn_ceil_div(c->out_w, p->job_w);
  if (c->images * c->group % threads == 0 || spots * c->group >= 8 * threads) {
    if (c->images % threads == 0) p->job_images = hn_smaller(p->job_images, c->images / threads);
    return;
  }
  if (spots < threads && p->panels >= threads && by_columns(p)) {
    p->parts = threads;
  } else if (c->out_h > 1) {
    p->job_h = hn_ceil_div(c->out_h, hn_smaller(c->out_h, hn_round_up(hn_ceil_div(c->out_h, p->job_h), threads)));
  } else {
    p->job_w = hn_round_up(hn_ceil_div(c->out_w, hn_round_up(hn_ceil_div(c->out_w, p->job_w), threads)), HALF);
  }
}

static size_t slab_size(const product *p) { return (size_t)(p->slab * HN_SPLIT_PARTS * HN_SPLIT_PART) * sizeof(uint16_t); }

static void cut_work(product *p, int64_t threads) {
  const hn_conv *c = &p->c;
  int64_t each = p->phases * p->cells_in * HN_SPLIT_CELL * 2, fit = hn_larger(BLOCK_BYTES / each, 2 * ROWS);
  int64_t whole = (c->out_h + p->extra_h) * (c->out_w + p->extra_w);
  p->job_images = hn_smaller(c->images, hn_larger(1, fit / whole));
  p->job_h = c->out_h;
  p->job_w = c->out_w;
  p->parts = 1;
  if (whole > fit && c->out_h > 1)
    p->job_h = lines_of_block(p, hn_smaller(c->out_h, hn_larger(1, fit / (c->out_w + p->extra_w) - p->extra_h)));
  else if (whole > fit) p->job_w = hn_round_up(hn_ceil_div(c->out_w, hn_ceil_div(c->out_w, fit)), ROWS);
  if (threads > 1) deal(p, threads);
  p->job_w = hn_smaller(p->job_w, c->out_w);
  p->blocks_i = hn_ceil_div(c->images, p->job_images);
  p->blocks_h = hn_ceil_div(c->out_h, p->job_h);
  p->blocks_w = hn_ceil_div(c->out_w, p->job_w);
  p->blocks = p->blocks_i * p->blocks_h * p->blocks_w * c->group;
  p->plane_w = p->job_w + p->extra_w;
  p->plane = (p->job_h + p->extra_h) * p->plane_w;
  p->positions = (p->job_images * p->plane + ROWS) | 1; /* the last tile reads beyond; odd, for the cache sets */
  p->block_size = (size_t)(p->phases * p->cells_in * p->positions * HN_SPLIT_CELL) * sizeof(uint16_t);
  p->tiles = p->slabs == 1 ? 2 : p->job_images * hn_ceil_div(rows_of(p->job_h, p->job_w, p->extra_w), ROWS);
  p->own_size = slab_size(p) * 2 + (size_t)p->tiles * TILE * sizeof(float);
  if (p->joined) p->own_size += (size_t)hn_round_up(((p->job_w - 1) * c->stride_w + c->kernel_w) * p->in_c, 16) * sizeof(float);
}

static hone_status set_places(hn_task *t, product *p) {
  int64_t rows = hn_round_up(rows_of(p->job_h, p->job_w, p->extra_w), ROWS);
  p->place = hn_calloc((size_t)rows, sizeof *p->place);
  if (!p->place) return hn_nomem(t->cx);
  for (int64_t i = 0; i < rows; i++)
    p->place[i] = i % p->plane_w < p->job_w ? (int32_t)(i / p->plane_w * p->c.out_w + i % p->plane_w) : -1;
  return HONE_OK;
}

hone_status product_bf16x3_plan(hn_task *t) {
  product *p = hn_calloc(1, sizeof *p);
  t->state = p;
  if (!p) return hn_nomem(t->cx);
  p->split = hn_cpu_of(t)->split;
  HN_TRY(describe(t, p));
  t->threads = hn_conv_threads(t, hn_conv_macs(&p->c) / 2);
  HN_TRY(lay_out(t, p));
  find_phases(p);
  cut_work(p, t->threads);
  if (p->job_h * p->c.out_w > INT32_MAX) return HONE_UNSUPPORTED;
  set_offsets(p);
  HN_TRY(set_places(t, p));
  HN_TRY(pack_weights(t, p));
  HN_TRY(take_bias(t, p));
  hn_ending_take(t, t->out[0].layout, true, &p->e);
  size_t blocks = (size_t)(p->parts > 1 ? p->blocks : t->threads);
  t->scratch = blocks * p->block_size + (size_t)t->threads * p->own_size;
  return HONE_OK;
}

void product_bf16x3_destroy(hn_task *t) {
  product *p = t->state;
  if (p) {
    hn_free(p->offsets);
    hn_free(p->place);
  }
  hn_free(p);
  t->state = NULL;
}

/* ------------------------------------------------------------------------------------------- running */

typedef struct product_run {
  const product *p;
  hn_exec *x;
  const hn_split *split; /* how it is done this time */
  uint32_t most;         /* of the magnitudes that all threads have cut */
} product_run;

static block block_at(const product *p, int64_t i) {
  const hn_conv *c = &p->c;
  int64_t per_group = p->blocks / c->group, at = i % per_group;
  block b = {.group = i / per_group, .x = at % p->blocks_w * p->job_w, .y = at / p->blocks_w % p->blocks_h * p->job_h,
             .image = at / p->blocks_w / p->blocks_h * p->job_images};
  b.images = hn_smaller(p->job_images, c->images - b.image);
  b.lines = hn_smaller(p->job_h, c->out_h - b.y);
  b.width = hn_smaller(p->job_w, c->out_w - b.x);
  return b;
}

static void clear(const product *p, uint16_t *to, int64_t pixels) {
  for (int64_t i = 0; i < p->cells_in && pixels > 0; i++)
    memset(to + i * p->positions * HN_SPLIT_CELL, 0, sizeof *to * (size_t)(pixels * HN_SPLIT_CELL));
}

/* A line of the image, from pixel `x` on, every stride-th; line NULL: of the padding. Pixels beyond its ends are zeros. */
static uint32_t cut_line(const product *p, const hn_split *s, const float *line, int64_t x, int64_t pixels, uint16_t *to,
                         float *padded) {
  const hn_conv *c = &p->c;
  int64_t step = p->positions * HN_SPLIT_CELL;
  if (!line) {
    clear(p, to, pixels);
    return 0;
  }
  if (p->joined) {
    int64_t all = (pixels - 1) * c->stride_w + c->kernel_w, left = x < 0 ? hn_smaller(-x, all) : 0;
    int64_t right = x + all > c->in_w ? hn_larger(left, c->in_w - x) : all;
    if (left == 0 && right == all && p->in_pitch == p->in_c)
      return s->cut(line + x * p->in_c, c->stride_w * p->in_c, pixels, p->depth, to, step);
    memset(padded, 0, sizeof *padded * (size_t)(all * p->in_c));
    for (int64_t i = left; i < right; i++)
      memcpy(padded + i * p->in_c, line + (x + i) * p->in_pitch, sizeof *padded * (size_t)p->in_c);
    return s->cut(padded, c->stride_w * p->in_c, pixels, p->depth, to, step);
  }
  int64_t left = x < 0 ? hn_smaller(hn_ceil_div(-x, c->stride_w), pixels) : 0;
  int64_t right = x < c->in_w ? hn_larger(left, hn_smaller(pixels, hn_ceil_div(c->in_w - x, c->stride_w))) : left;
  clear(p, to, left);
  clear(p, to + right * HN_SPLIT_CELL, pixels - right);
  if (right == left) return 0;
  return s->cut(line + (x + left * c->stride_w) * p->in_pitch, c->stride_w * p->in_pitch, right - left, p->depth,
                to + left * HN_SPLIT_CELL, step);
}

static int64_t lines_to_cut(const product *p, const block *b) { return b->images * p->phases * (b->lines + p->extra_h); }

/* Lines from..to of those to be cut. */
static uint32_t cut_lines(const product_run *r, const block *b, int64_t from, int64_t to, uint16_t *cells, float *padded) {
  const product *p = r->p;
  const hn_conv *c = &p->c;
  uint32_t most = 0;
  for (int64_t i = from; i < to; i++) {
    int64_t line = i % (b->lines + p->extra_h), phase = i / (b->lines + p->extra_h) % p->phases,
            image = i / (b->lines + p->extra_h) / p->phases;
    int64_t y = (b->y + line) * c->stride_h + p->phase_y[phase] - c->pad_top,
            x = b->x * c->stride_w + p->phase_x[phase] - c->pad_left;
    const float *from_line =
        (const float *)r->x->in[0].data + ((b->image + image) * c->in_h + y) * c->in_w * p->in_pitch + b->group * p->in_c;
    uint16_t *at = cells + (phase * p->cells_in * p->positions + image * p->plane + line * p->plane_w) * HN_SPLIT_CELL;
    uint32_t m = cut_line(p, r->split, y < 0 || y >= c->in_h ? NULL : from_line, x, b->width + p->extra_w, at, padded);
    if (m > most) most = m;
  }
  return most;
}

/* What is under way on a thread: the tile that was summed last waits to go to the result while the next is summed, and the next
   slab of the weights is cut while this one is multiplied. */
typedef struct pipeline {
  uint16_t *parts[2];
  float *sums;
  int64_t turn, tile; /* of slabs; of tiles that have been summed */
  hn_split_end end[2];
  bool waiting;
} pipeline;

/* Cells of slab `s` of all from the first panel on. */
static int64_t slab_begin(const product *p, int64_t s) { return s / p->slabs * p->cells + s % p->slabs * p->slab; }
static int64_t slab_cells(const product *p, int64_t s) { return hn_smaller(p->slab, p->cells - s % p->slabs * p->slab); }

static void take_turn(const product_run *r, const block *b, int64_t pixel, int64_t row, int64_t rows, int64_t panel,
                      const float *sums, pipeline *q) {
  const product *p = r->p;
  const hn_ending *e = &p->e;
  int64_t channel = b->group * p->n + panel * HN_SPLIT_COLS;
  const float *residual = e->residual == HN_NONE ? NULL : r->x->in[e->residual].data;
  q->waiting = true;
  q->end[q->tile % 2] = (hn_split_end){.sums = sums,
                                       .rows = (int)hn_smaller(ROWS, rows - row),
                                       .cols = (int)hn_smaller(HN_SPLIT_COLS, p->n - panel * HN_SPLIT_COLS),
                                       .place = p->place + row,
                                       .out = (float *)r->x->out[0].data + pixel * p->out_pitch + channel,
                                       .out_pitch = p->out_pitch,
                                       .start = residual ? residual + pixel * e->residual_pitch + channel : NULL,
                                       .start_pitch = e->residual_pitch,
                                       .bias = p->bias ? p->bias + channel : NULL,
                                       .lo = e->lo,
                                       .hi = e->hi};
}

/* All tiles of a block by slab `s` of the weights. */
static void multiply_slab(const product_run *r, const block *b, int64_t s, bool last, const uint16_t *cells, pipeline *q) {
  const product *p = r->p;
  const hn_conv *c = &p->c;
  int64_t panel = s / p->slabs, first = s % p->slabs * p->slab, n = 0;
  int64_t rows = rows_of(b->lines, b->width, p->plane_w - b->width), tiles = b->images * hn_ceil_div(rows, ROWS);
  const float *weights = p->weights + b->group * p->panels * p->cells * HN_SPLIT_PART;
  bool half = p->n - panel * HN_SPLIT_COLS <= HALF, done = s % p->slabs + 1 == p->slabs;
  hn_split_job j = {.cells = slab_cells(p, s),
                    .more = first > 0,
                    .offsets = p->offsets + first,
                    .b = weights + slab_begin(p, s) * HN_SPLIT_PART};
  if (r->split->cut_panel) {
    j.b = q->parts[q->turn % 2];
    if (!last) j.next = weights + slab_begin(p, s + 1) * HN_SPLIT_PART;
    j.parts = q->parts[(q->turn + 1) % 2];
  }
  int64_t to_cut = last ? 0 : slab_cells(p, s + 1) * HN_SPLIT_LINES;
  for (int64_t image = 0; image < b->images; image++) {
    int64_t pixel = ((b->image + image) * c->out_h + b->y) * c->out_w + b->x;
    for (int64_t row = 0; row < rows; row += ROWS, n++) {
      j.a = cells + (image * p->plane + row) * HN_SPLIT_CELL;
      j.line = to_cut * n / tiles;
      j.last = to_cut * (n + 1) / tiles;
      j.sums = q->sums + (p->slabs == 1 ? q->tile % 2 : n) * TILE;
      j.end = q->waiting ? &q->end[(q->tile + 1) % 2] : NULL;
      r->split->mul(&j, rows - row <= HALF, half);
      q->waiting = false;
      if (!done) continue;
      take_turn(r, b, pixel, row, rows, panel, j.sums, q);
      q->tile++;
    }
  }
  q->turn++;
}

static char *own_at(const product_run *r, int64_t thread) {
  int64_t blocks = r->p->parts > 1 ? r->p->blocks : r->x->task->threads;
  return (char *)r->x->scratch + (size_t)blocks * r->p->block_size + (size_t)thread * r->p->own_size;
}
static float *sums_at(const product_run *r, int64_t thread) { return (float *)(void *)(own_at(r, thread) + 2 * slab_size(r->p)); }
static float *padded_at(const product_run *r, int64_t thread) { return sums_at(r, thread) + r->p->tiles * TILE; }
static uint16_t *cells_at(const product_run *r, int64_t i) {
  return (uint16_t *)(void *)((char *)r->x->scratch + (size_t)i * r->p->block_size);
}

/* Part of the panels of a block that is cut, on thread `id`. */
static void multiply(const product_run *r, const block *b, int64_t part, const uint16_t *cells, int64_t id) {
  const product *p = r->p;
  const hn_conv *c = &p->c;
  int64_t from = p->panels * part / p->parts, to = p->panels * (part + 1) / p->parts;
  pipeline q = {.sums = sums_at(r, id)};
  for (int i = 0; i < 2; i++) q.parts[i] = (uint16_t *)(void *)(own_at(r, id) + (size_t)i * slab_size(p));
  if (r->split->cut_panel)
    r->split->cut_panel(p->weights + (b->group * p->panels + from) * p->cells * HN_SPLIT_PART, 0,
                        slab_cells(p, 0) * HN_SPLIT_LINES, q.parts[0]);
  r->split->begin();
  for (int64_t s = from * p->slabs; s < to * p->slabs; s++) multiply_slab(r, b, s, s + 1 == to * p->slabs, cells, &q);
  r->split->end();
  if (q.waiting) r->split->finish(&q.end[(q.tile + 1) % 2], 0, ROWS);
  if (!p->e.n) return;
  int64_t first = b->group * p->n + from * HN_SPLIT_COLS, channels = hn_smaller(p->n, to * HN_SPLIT_COLS) - from * HN_SPLIT_COLS;
  for (int64_t i = 0; i < b->images * b->lines; i++) {
    int64_t pixel = ((b->image + i / b->lines) * c->out_h + b->y + i % b->lines) * c->out_w + b->x;
    float *out = (float *)r->x->out[0].data + pixel * p->out_pitch + first;
    if (channels == p->out_pitch) hn_ending_run(&p->e, out, b->width * channels);
    else
      for (int64_t x = 0; x < b->width; x++) hn_ending_run(&p->e, out + x * p->out_pitch, channels);
  }
}

/* Thread `id`: a share of the blocks, each cut and multiplied; those that do not fit, as whole floats. */
static void run_blocks(void *arg, int64_t begin, int64_t end) {
  const product_run *all = arg;
  const product *p = all->p;
  int64_t threads = all->x->task->threads;
  for (int64_t id = begin; id < end; id++)
    for (int64_t i = p->blocks * id / threads; i < p->blocks * (id + 1) / threads; i++) {
      product_run r = *all;
      block b = block_at(p, i);
      uint16_t *cells = cells_at(&r, id);
      if (!hn_split_fits(cut_lines(&r, &b, 0, lines_to_cut(p, &b), cells, padded_at(&r, id)))) {
        r.split = &hn_split_whole;
        cut_lines(&r, &b, 0, lines_to_cut(p, &b), cells, padded_at(&r, id));
      }
      multiply(&r, &b, 0, cells, id);
    }
}

/* Thread `id` of those that multiply the same blocks: its share of their lines, and of their panels. */
static void cut_share(void *arg, int64_t begin, int64_t end) {
  product_run *r = arg;
  int64_t threads = r->x->task->threads;
  uint32_t most = 0;
  for (int64_t id = begin; id < end; id++)
    for (int64_t i = 0; i < r->p->blocks; i++) {
      block b = block_at(r->p, i);
      int64_t lines = lines_to_cut(r->p, &b);
      uint32_t m = cut_lines(r, &b, lines * id / threads, lines * (id + 1) / threads, cells_at(r, i), padded_at(r, id));
      if (m > most) most = m;
    }
  uint32_t seen = __atomic_load_n(&r->most, __ATOMIC_RELAXED);
  while (most > seen && !__atomic_compare_exchange_n(&r->most, &seen, most, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

static void multiply_share(void *arg, int64_t begin, int64_t end) {
  const product_run *r = arg;
  int64_t threads = r->x->task->threads, jobs = r->p->blocks * r->p->parts;
  for (int64_t id = begin; id < end; id++)
    for (int64_t i = jobs * id / threads; i < jobs * (id + 1) / threads; i++) {
      block b = block_at(r->p, i / r->p->parts);
      multiply(r, &b, i % r->p->parts, cells_at(r, i / r->p->parts), id);
    }
}

hone_status product_bf16x3_run(hn_exec *x) {
  product_run r = {x->task->state, x, ((const product *)x->task->state)->split, 0};
  int threads = x->task->threads;
  if (r.p->parts == 1) {
    hn_parallel_for(threads, threads, 1, run_blocks, &r);
    return HONE_OK;
  }
  hn_parallel_for(threads, threads, 1, cut_share, &r);
  if (!hn_split_fits(r.most)) {
    r.split = &hn_split_whole;
    hn_parallel_for(threads, threads, 1, cut_share, &r);
  }
  hn_parallel_for(threads, threads, 1, multiply_share, &r);
  return HONE_OK;
}
