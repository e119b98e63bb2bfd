/* matmul_gemm.c - MatMul and Gemm over our micro-kernel: the right matrix packed into panels (once, if it is constant),
   bias, residual and bounds added in registers, the rest of the epilogue run on each group of finished columns while they
   are in the cache. */
#include <math.h>
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/gemm/tile.h"
#include "device/cpu/vec/chain.h"

enum {
  K_BLOCK = 1024,           /* numbers of a row that are summed at a time: a panel of them fits the second-level cache */
  ROW_BLOCK = 224,          /* rows of a job: with K_BLOCK numbers each a part of the second-level cache */
  GROUP = 8,                /* panels between runs of the epilogue */
  GAP = 16,                 /* between copied rows, so that they do not fall on the same cache sets */
  CONFLICT = 512,           /* rows so many numbers apart, or a multiple, do */
  STEPS = 16
};

typedef struct matmul_gemm {
  const hn_tile *tile;
  int64_t m, n, k;          /* of one product */
  int32_t batch_rank;
  int64_t batch, batch_dims[HN_MAX_RANK], step_a[HN_MAX_RANK], step_b[HN_MAX_RANK]; /* in matrices, 0 where broadcast */
  int64_t b_step_k, b_step_n;
  float alpha;
  const float *packed;      /* all right matrices; NULL: packed in each run */
  const float *bias;        /* padded to whole panels */
  uint32_t residual;
  float lo, hi;
  hn_chain *chain;          /* the rest of the epilogue; NULL: none */
  int64_t parts;            /* of each product, one for a thread */
  bool by_rows;             /* parts are rows; else columns */
  int64_t k_block;
  bool copy;                /* left rows are copied, `GAP` apart */
  size_t scratch_a, scratch; /* floats of a thread: copied rows; those and a packed matrix */
} matmul_gemm;

bool matmul_gemm_supports(const hn_task *t) {
  if (!t->device || t->in[0].dtype != HONE_DTYPE_F32 || t->in[1].dtype != HONE_DTYPE_F32 || t->out[0].dtype != HONE_DTYPE_F32) return false;
  if (t->node->op == HN_Gemm && hn_attr_i(t->node, "transA", 0)) return false;
  for (int i = 0; i < 2; i++)
    for (int32_t k = 0; k < t->in[i].rank; k++)
      if (t->in[i].dims[k] == 0) return false;
  return t->in[0].rank > 0 && t->in[1].rank > 0;
}

/* Sizes and strides. A matrix on the right serves all rows of a batch on the left alike. */
static void describe(const hn_task *t, matmul_gemm *s) {
  const hn_arg *a = &t->in[0], *b = &t->in[1];
  bool gemm = t->node->op == HN_Gemm, turned = gemm && hn_attr_i(t->node, "transB", 0);
  s->alpha = gemm ? (float)hn_attr_f(t->node, "alpha", 1) : 1;
  s->k = a->dims[a->rank - 1];
  s->n = b->rank == 1 ? 1 : b->dims[b->rank - (turned ? 2 : 1)];
  s->b_step_k = turned || b->rank == 1 ? 1 : s->n;
  s->b_step_n = turned ? s->k : 1;
  s->m = a->rank == 1 ? 1 : a->dims[a->rank - 2];
  s->batch = 1;
  if (b->rank <= 2) {
    s->m = hn_arg_count(a, 0, a->rank - 1);
    return;
  }
  int64_t size_a = 1, size_b = 1;
  int32_t na = a->rank > 2 ? a->rank - 2 : 0, nb = b->rank - 2, rank = na > nb ? na : nb;
  s->batch_rank = rank;
  for (int32_t i = rank - 1; i >= 0; i--) {
    int64_t da = i - (rank - na) >= 0 ? a->dims[i - (rank - na)] : 1, db = i - (rank - nb) >= 0 ? b->dims[i - (rank - nb)] : 1;
    s->step_a[i] = da == 1 ? 0 : size_a;
    s->step_b[i] = db == 1 ? 0 : size_b;
    s->batch_dims[i] = da == 1 ? db : da;
    size_a *= da;
    size_b *= db;
    s->batch *= s->batch_dims[i];
  }
}

static int64_t whole_tiles(const matmul_gemm *s, int64_t rows) { return hn_ceil_div(rows, s->tile->rows) * s->tile->rows; }
static int64_t row_block(const matmul_gemm *s) { return ROW_BLOCK / s->tile->rows * s->tile->rows; }

/* How the work is cut: a part for each thread of each product, columns if they give whole panels enough. */
static void cut(hn_task *t, matmul_gemm *s) {
  int64_t threads = t->threads < 1 ? 1 : t->threads, panels = hn_ceil_div(s->n, s->tile->cols), tiles = hn_ceil_div(s->m, s->tile->rows);
  s->parts = s->batch >= 4 * threads ? 1 : threads;
  s->by_rows = tiles >= 8 * threads || panels < 2 * threads;
  int64_t most = s->by_rows ? tiles : panels;
  if (s->parts > most) s->parts = most;
  s->k_block = hn_ceil_div(s->k, hn_ceil_div(s->k, K_BLOCK));
  s->copy = s->k % CONFLICT == 0 && s->m > s->tile->rows / 2;
  s->scratch_a = s->copy ? (size_t)(hn_smaller(s->m, row_block(s)) * (s->k_block + GAP)) : 0;
  s->scratch = s->scratch_a + (s->packed ? 0 : hn_tile_packed(s->tile, s->k, s->n));
  s->scratch = (s->scratch + 15) / 16 * 16;
  t->scratch = sizeof(float) * s->scratch * (size_t)threads;
}

static void pack_columns(const matmul_gemm *s, const float *b, int64_t n, float *to) {
  hn_tile_pack(s->tile, s->k, 0, s->k, n, b, s->b_step_k, s->b_step_n, to);
  if (s->alpha != 1)
    for (size_t i = 0, all = hn_tile_packed(s->tile, s->k, n); i < all; i++) to[i] *= s->alpha;
}

static hone_status pack_weights(hn_task *t, matmul_gemm *s) {
  const hn_tensor *b = t->in[1].constant;
  size_t each = hn_tile_packed(s->tile, s->k, s->n);
  int64_t matrices = b->count / (s->k * s->n);
  float *to;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof *to * each * (size_t)matrices, 0, (void **)&to, &fill));
  for (int64_t i = 0; i < matrices && fill; i++) pack_columns(s, (const float *)b->data + i * s->k * s->n, s->n, to + (size_t)i * each);
  s->packed = to;
  t->in[1].unused = true;
  return HONE_OK;
}

/* A constant with a number for each column. */
static bool is_row(const hn_arg *a, int64_t columns) {
  return a->present && a->constant && a->dtype == HONE_DTYPE_F32 && a->constant->count == columns && a->rank > 0 &&
         a->dims[a->rank - 1] == columns;
}

static hone_status pack_bias(hn_task *t, matmul_gemm *s, uint32_t input, float beta) {
  const float *from = t->in[input].constant->data;
  int64_t padded = hn_ceil_div(s->n, s->tile->cols) * s->tile->cols;
  float *to;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof *to * (size_t)padded, 0, (void **)&to, &fill));
  for (int64_t i = 0; i < padded && fill; i++) to[i] = i < s->n ? beta * from[i] : 0;
  s->bias = to;
  t->in[input].unused = true;
  return HONE_OK;
}

/* Bias, residual and bounds into the tile, what follows into a chain. */
static hone_status take_epilogue(hn_task *t, matmul_gemm *s) {
  const hn_node *n = t->node;
  hn_step steps[STEPS];
  uint32_t n_steps = 0, i = 0;
  float beta = n->op == HN_Gemm ? (float)hn_attr_f(n, "beta", 1) : 1;
  if (n->n_main > 2 && t->in[2].present && beta != 0) {
    if (is_row(&t->in[2], s->n)) HN_TRY(pack_bias(t, s, 2, beta));
    else if (beta == 1) steps[n_steps++] = (hn_step){.op = HN_Add, .operand = 2};
    else return HONE_UNSUPPORTED;
  }
  for (; i < n->n_post && !n_steps; i++) {
    const hn_step *e = &n->post[i];
    bool bounded = s->lo > -INFINITY || s->hi < INFINITY;
    if (e->op == HN_Relu || e->op == HN_Clip) {
      float lo = e->op == HN_Relu ? 0 : e->alpha, hi = e->op == HN_Relu ? INFINITY : e->beta;
      if (bounded || !(lo <= hi)) break;
      s->lo = lo, s->hi = hi;
    } else if (!bounded && !s->bias && e->op == HN_Add && e->operand != HN_NONE && is_row(&t->in[e->operand], s->n)) {
      HN_TRY(pack_bias(t, s, e->operand, 1));
    } else if (!bounded && s->residual == HN_NONE && hn_is_residual(t, e)) {
      s->residual = e->operand;
      t->in[s->residual].layout = HN_LAYOUT_PLAIN;
      if (t->in[s->residual].may_overwrite) t->inplace = (int)s->residual;
    } else {
      break;
    }
  }
  if (n_steps + n->n_post - i > STEPS) return HONE_UNSUPPORTED;
  while (i < n->n_post) steps[n_steps++] = n->post[i++];
  t->fused = n->n_post;
  return n_steps ? hn_chain_create(t, HN_NONE, steps, n_steps, &s->chain) : HONE_OK;
}

hone_status matmul_gemm_plan(hn_task *t) {
  const hn_cpu *cpu = t->device;
  matmul_gemm *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  s->tile = hn_tile_for(cpu->isa);
  s->residual = HN_NONE;
  s->lo = -INFINITY, s->hi = INFINITY;
  describe(t, s);
  if (t->in[1].constant) HN_TRY(pack_weights(t, s));
  cut(t, s);
  return take_epilogue(t, s);
}

void matmul_gemm_destroy(hn_task *t) {
  matmul_gemm *s = t->state;
  if (s) hn_chain_destroy(s->chain);
  hn_free(s);
  t->state = NULL;
}

/* Rows and columns of one product, and its operands. */
typedef struct block {
  const float *a, *b, *residual; /* b: packed */
  float *c;
  int64_t row, rows, col, cols;
  int64_t b_col;                 /* the column with which b begins */
  int64_t first;                 /* where the product begins in the output */
} block;

/* Numbers k.. of the sums of one panel of columns. */
static void run_panel(const matmul_gemm *s, const block *u, int64_t col, int64_t k, const float *a, int64_t lda) {
  const hn_tile *tile = s->tile;
  bool last = k + s->k_block >= s->k;
  hn_tile_cut cut = hn_tile_cut_rows(tile, u->rows);
  int64_t tiles = cut.tiles, at = u->row * s->n + col;
  hn_tile_job j = {.k = hn_smaller(s->k_block, s->k - k), .lda = lda, .b = u->b + (col - u->b_col) * s->k + k * tile->cols, .ldc = s->n, .ld_start = s->n,
                   .bias = last && s->bias ? s->bias + col : NULL, .lo = last ? s->lo : -INFINITY, .hi = last ? s->hi : INFINITY};
  int64_t ahead = j.k * tile->cols * 4 / tiles; /* bytes of the next panel that each tile brings near */
  j.next_step = j.k >= 4 ? hn_smaller(ahead / (j.k / 4), 256) : 0;
  for (int64_t i = 0; i < tiles; i++) {
    int64_t from = hn_tile_row(&cut, i), to = hn_tile_row(&cut, i + 1);
    j.a = a + from * lda;
    j.c = u->c + at + from * s->n;
    j.next = (const char *)(j.b + s->k * tile->cols) + i * ahead;
    j.start = k ? j.c : u->residual ? u->residual + at + from * s->n : NULL;
    tile->mul(&j, (int)(to - from), (int)hn_smaller(tile->cols, u->col + u->cols - col));
  }
}

static void finish(const matmul_gemm *s, hn_exec *x, const block *u, int64_t col, int64_t cols) {
  if (!s->chain) return;
  if (cols == s->n) hn_chain_run_part(s->chain, x, u->first + u->row * s->n, u->rows * s->n);
  else
    for (int64_t r = 0; r < u->rows; r++) hn_chain_run_part(s->chain, x, u->first + (u->row + r) * s->n + col, cols);
}

static void run_block(const matmul_gemm *s, hn_exec *x, const block *u, float *copied) {
  int64_t group = GROUP * s->tile->cols;
  for (int64_t k = 0; k < s->k; k += s->k_block) {
    const float *a = u->a + u->row * s->k + k;
    int64_t lda = s->k, depth = hn_smaller(s->k_block, s->k - k);
    if (s->copy) {
      lda = s->k_block + GAP;
      for (int64_t r = 0; r < u->rows; r++) memcpy(copied + r * lda, a + r * s->k, sizeof *a * (size_t)depth);
      a = copied;
    }
    for (int64_t col = u->col, end = col + u->cols; col < end; col += group) {
      int64_t stop = hn_smaller(col + group, end);
      for (int64_t p = col; p < stop; p += s->tile->cols) run_panel(s, u, p, k, a, lda);
      if (k + s->k_block >= s->k) finish(s, x, u, col, stop - col);
    }
  }
}

typedef struct gemm_run {
  const matmul_gemm *s;
  hn_exec *x;
} gemm_run;

/* The row with which a part begins: with a whole tile, where there are enough for all. */
static int64_t first_row(const matmul_gemm *s, int64_t part) {
  int64_t tile = s->tile->rows, row = s->m * part / s->parts;
  return part == s->parts || s->m < 4 * s->parts * tile ? row : (row + tile / 2) / tile * tile;
}

/* A part of product `p`. */
static void run_part(const gemm_run *r, int64_t p, int64_t part, float *scratch) {
  const matmul_gemm *s = r->s;
  int64_t rest = p, at_a = 0, at_b = 0, cols = s->tile->cols, panels = hn_ceil_div(s->n, cols);
  for (int32_t i = s->batch_rank - 1; i >= 0; i--) {
    at_a += rest % s->batch_dims[i] * s->step_a[i];
    at_b += rest % s->batch_dims[i] * s->step_b[i];
    rest /= s->batch_dims[i];
  }
  block u = {.a = (const float *)r->x->in[0].data + at_a * s->m * s->k, .first = p * s->m * s->n};
  u.c = (float *)r->x->out[0].data + u.first;
  if (s->residual != HN_NONE) u.residual = (const float *)r->x->in[s->residual].data + u.first;
  int64_t row = 0, end = s->m;
  u.cols = s->n;
  if (s->by_rows) {
    row = first_row(s, part);
    end = first_row(s, part + 1);
  } else {
    u.col = panels * part / s->parts * cols;
    u.cols = hn_smaller(panels * (part + 1) / s->parts * cols, s->n) - u.col;
  }
  if (s->packed) {
    u.b = s->packed + (size_t)at_b * hn_tile_packed(s->tile, s->k, s->n);
  } else {
    float *to = scratch + s->scratch_a;
    pack_columns(s, (const float *)r->x->in[1].data + at_b * s->k * s->n + u.col * s->b_step_n, u.cols, to);
    u.b = to;
    u.b_col = u.col;
  }
  int64_t blocks = hn_ceil_div(end - row, row_block(s)), each = row < end ? whole_tiles(s, hn_ceil_div(end - row, blocks)) : 1;
  for (u.row = row; u.row < end; u.row += each) {
    u.rows = hn_smaller(each, end - u.row);
    run_block(s, r->x, &u, scratch);
  }
}

/* Thread `id`: a share of the parts, and of the scratch. */
static void run_share(void *arg, int64_t begin, int64_t end) {
  const gemm_run *r = arg;
  int64_t threads = r->x->task->threads < 1 ? 1 : r->x->task->threads, all = r->s->batch * r->s->parts;
  for (int64_t id = begin; id < end; id++)
    for (int64_t i = all * id / threads; i < all * (id + 1) / threads; i++)
      run_part(r, i / r->s->parts, i % r->s->parts, (float *)r->x->scratch + (size_t)id * r->s->scratch);
}

hone_status matmul_gemm_run(hn_exec *x) {
  gemm_run r = {x->task->state, x};
  int threads = x->task->threads < 1 ? 1 : x->task->threads;
  hn_parallel_for(threads, threads, 1, run_share, &r);
  return HONE_OK;
}
