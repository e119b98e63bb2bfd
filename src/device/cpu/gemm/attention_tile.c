/* attention_tile.c - scaled dot-product attention in one pass over the keys: for a block of queries the scores of a block
   of keys stay in the cache, and the running maximum and sum of each row correct what was added up before (Milakov &
   Gimelshein, "Online normalizer calculation for softmax", 2018). The matrix of all scores never exists. */
#include <math.h>
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/gemm/attention_heads.h"
#include "device/cpu/gemm/tile.h"
#include "device/cpu/vec/float_runs.h"

enum { KEY_BLOCK = 256, QUERY_TILES = 4, MAX_QUERIES = 64, GAP = 16, FEW = 4 /* queries for which packing does not pay */ };

typedef struct attention_tile {
  hn_heads h;
  const hn_tile *tile;
  int64_t blocks;         /* of queries in a head, a few tiles each */
  bool pack;
  size_t at_values, at_scores, scratch; /* floats of a thread: packed keys, packed values, scores */
} attention_tile;


bool attention_tile_supports(const hn_task *t) {
  hn_heads h;
  return t->device && hn_heads_of(t, &h) && !h.bytes;
}

static size_t aligned(size_t floats) { return (floats + 15) / 16 * 16; }

hone_status attention_tile_plan(hn_task *t) {
  const hn_cpu *cpu = t->device;
  attention_tile *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!hn_heads_of(t, &s->h)) return HONE_UNSUPPORTED;
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  s->tile = hn_tile_for(cpu->isa);
  s->blocks = hn_ceil_div(s->h.nq, QUERY_TILES * s->tile->rows);
  s->pack = s->h.nq > FEW;
  if (s->pack) {
    s->at_values = aligned(hn_tile_packed(s->tile, s->h.size, s->h.nk));
    s->at_scores = s->at_values + aligned(hn_tile_packed(s->tile, s->h.nk, s->h.size_v));
  }
  s->scratch = s->at_scores + aligned((size_t)hn_smaller(s->h.nq, QUERY_TILES * s->tile->rows) * (KEY_BLOCK + GAP));
  t->scratch = sizeof(float) * s->scratch * (size_t)(t->threads < 1 ? 1 : t->threads);
  return HONE_OK;
}

void attention_tile_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* A block of queries of one head. */
typedef struct block {
  const attention_tile *s;
  const hn_vec *vec;
  hn_exec *x;
  const float *q, *k, *v; /* k and v: packed, or as they lie */
  float *out, *scores;
  int64_t b, h, first, n; /* first query, how many */
  float largest[MAX_QUERIES], sum[MAX_QUERIES];
} block;

static void product(const attention_tile *s, hn_tile_job *j, int64_t rows, int64_t cols) {
  hn_tile_cut cut = hn_tile_cut_rows(s->tile, rows);
  const float *a = j->a;
  float *c = j->c;
  for (int64_t i = 0; i < cut.tiles; i++) {
    int64_t from = hn_tile_row(&cut, i);
    j->a = a + from * j->lda;
    j->c = c + from * j->ldc;
    if (j->start) j->start = j->c;
    s->tile->mul(j, (int)(hn_tile_row(&cut, i + 1) - from), (int)cols);
  }
}

/* Scores of keys from..from + n. */
static void score(const block *u, int64_t from, int64_t n) {
  const attention_tile *s = u->s;
  const int64_t ld = KEY_BLOCK + GAP, cols = s->tile->cols;
  for (int64_t col = 0; s->pack && col < n; col += cols) {
    hn_tile_job j = {.k = s->h.size, .a = u->q, .lda = s->h.row[0], .b = u->k + (from + col) * s->h.size, .c = u->scores + col, .ldc = ld,
                     .lo = -INFINITY, .hi = INFINITY};
    product(s, &j, u->n, hn_smaller(cols, n - col));
  }
  for (int64_t i = 0; !s->pack && i < u->n; i++)
    for (int64_t k = 0; k < n; k++)
      u->scores[i * ld + k] = s->h.scale * u->vec->dot(u->q + i * s->h.row[0], u->k + (from + k) * s->h.row[1], (size_t)s->h.size);
}

/* The row's scores become weights relative to its largest score so far; what was added up is made relative to that too. */
static void soften(block *u, int64_t i, int64_t from, int64_t n) {
  const attention_tile *s = u->s;
  float *w = u->scores + i * (KEY_BLOCK + GAP);
  int64_t query = u->first + i;
  if (s->h.mask) hn_heads_mask(&s->h, u->vec, u->x->in[3].data, w, u->b, u->h, query, from, n);
  for (int64_t k = query + 1 - from < 0 ? 0 : query + 1 - from; s->h.causal && k < n; k++) w[k] = -INFINITY;
  if (s->h.softcap > 0) {
    u->vec->right[HN_Mul](w, w, 1 / s->h.softcap, (size_t)n);
    u->vec->unary[HN_Tanh](w, w, (size_t)n, 0, 0);
    u->vec->right[HN_Mul](w, w, s->h.softcap, (size_t)n);
  }
  float largest = u->vec->max(w, (size_t)n), before = u->largest[i];
  if (!(largest <= before)) u->largest[i] = largest;
  if (u->largest[i] == -INFINITY) { /* nothing was allowed yet */
    memset(w, 0, sizeof *w * (size_t)n);
    return;
  }
  float sum = u->vec->exp_sum(w, w, (size_t)n, u->largest[i]);
  if (from && before != u->largest[i]) {
    float shrink = expf(before - u->largest[i]);
    u->vec->right[HN_Mul](u->out + i * s->h.out_row, u->out + i * s->h.out_row, shrink, (size_t)s->h.size_v);
    u->sum[i] *= shrink;
  }
  u->sum[i] += sum;
}

/* Adds the weighted values of keys from..from + n. */
static void gather(const block *u, int64_t from, int64_t n) {
  const attention_tile *s = u->s;
  const int64_t ld = KEY_BLOCK + GAP, cols = s->tile->cols;
  for (int64_t col = 0; s->pack && col < s->h.size_v; col += cols) {
    hn_tile_job j = {.k = n, .a = u->scores, .lda = ld, .b = u->v + col * s->h.nk + from * cols, .c = u->out + col, .ldc = s->h.out_row,
                     .start = from ? u->out + col : NULL, .ld_start = s->h.out_row, .lo = -INFINITY, .hi = INFINITY};
    product(s, &j, u->n, hn_smaller(cols, s->h.size_v - col));
  }
  for (int64_t i = 0; !s->pack && i < u->n; i++) {
    float *out = u->out + i * s->h.out_row;
    if (!from) memset(out, 0, sizeof *out * (size_t)s->h.size_v);
    for (int64_t k = 0; k < n; k++) u->vec->add_scaled(out, u->v + (from + k) * s->h.row[2], u->scores[i * ld + k], (size_t)s->h.size_v);
  }
}

static void attend(block *u) {
  const attention_tile *s = u->s;
  int64_t keys = s->h.causal && s->h.softcap == 0 ? hn_smaller(s->h.nk, u->first + u->n) : s->h.nk; /* a soft cap lifts what is forbidden */
  for (int64_t i = 0; i < u->n; i++) u->largest[i] = -INFINITY, u->sum[i] = 0;
  for (int64_t from = 0; from < keys; from += KEY_BLOCK) {
    int64_t n = hn_smaller(KEY_BLOCK, keys - from);
    score(u, from, n);
    for (int64_t i = 0; i < u->n; i++) soften(u, i, from, n);
    gather(u, from, n);
  }
  for (int64_t i = 0; i < u->n; i++) {
    float *out = u->out + i * s->h.out_row;
    if (u->sum[i] != 0) u->vec->right[HN_Mul](out, out, 1 / u->sum[i], (size_t)s->h.size_v);
  }
}

typedef struct attention_run {
  const attention_tile *s;
  hn_exec *x;
} attention_run;

/* Blocks begin..end of all heads by one thread; keys and values are packed where another head of them begins. */
static void run_blocks(const attention_run *r, int64_t begin, int64_t end, float *scratch) {
  const attention_tile *s = r->s;
  int64_t packed = -1;
  block u = {.s = s, .vec = r->x->task->device->vec, .x = r->x, .scores = scratch + s->at_scores};
  for (int64_t p = begin; p < end; p++) {
    int64_t head = p / s->blocks, i = p % s->blocks, kv = head / s->h.per;
    u.b = head / s->h.heads, u.h = head % s->h.heads;
    u.first = i * QUERY_TILES * s->tile->rows;
    u.n = hn_smaller(u.first + QUERY_TILES * s->tile->rows, s->h.nq) - u.first;
    const float *in[3];
    for (int k = 0; k < 3; k++)
      in[k] = (const float *)r->x->in[k].data + u.b * s->h.stride[k][0] + (k ? u.h / s->h.per : u.h) * s->h.stride[k][1];
    u.q = in[0] + u.first * s->h.row[0];
    u.k = s->pack ? scratch : in[1];
    u.v = s->pack ? scratch + s->at_values : in[2];
    u.out = (float *)r->x->out[0].data + u.b * s->h.out_stride[0] + u.h * s->h.out_stride[1] + u.first * s->h.out_row;
    if (s->pack && kv != packed) {
      size_t n = hn_tile_packed(s->tile, s->h.size, s->h.nk);
      hn_tile_pack(s->tile, s->h.size, 0, s->h.size, s->h.nk, in[1], 1, s->h.row[1], scratch);
      u.vec->right[HN_Mul](scratch, scratch, s->h.scale, n);
      hn_tile_pack(s->tile, s->h.nk, 0, s->h.nk, s->h.size_v, in[2], s->h.row[2], 1, scratch + s->at_values);
      packed = kv;
    }
    attend(&u);
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const attention_run *r = arg;
  int64_t threads = r->x->task->threads < 1 ? 1 : r->x->task->threads, all = r->s->h.batch * r->s->h.heads * r->s->blocks;
  for (int64_t id = begin; id < end; id++)
    run_blocks(r, all * id / threads, all * (id + 1) / threads, (float *)r->x->scratch + (size_t)id * r->s->scratch);
}

hone_status attention_tile_run(hn_exec *x) {
  attention_run r = {x->task->state, x};
  int threads = x->task->threads < 1 ? 1 : x->task->threads;
  hn_parallel_for(threads, threads, 1, run_share, &r);
  return HONE_OK;
}
