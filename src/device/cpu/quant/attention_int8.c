/* attention_int8.c - scaled dot-product attention of bytes. Scores are exact sums of products; what is the same for all keys of a query,
   as the zero point of the keys makes it, is left out, since Softmax does not see it. Scores become weights in single precision, and these
   numbers of 16 bits, 65535 for 1: of 8 bits the many small weights of a long row would be none. Values are multiplied by their bytes,
   the high ones and the low ones as rows of one product, and what comes out is exact again. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/cpu.h"
#include "device/cpu/gemm/attention_heads.h"
#include "device/cpu/quant/int8_ending.h"
#include "device/cpu/quant/int8_pack.h"

enum { BLOCK = 32 /* queries */, MOST_KEYS = 32768, MOST_COLS = 64, WHOLE = 65535 };

typedef struct attention_int8 {
  hn_heads h;
  const hn_int8_tile *tile;
  hn_int8_matrix keys, values;
  uint8_t flip[3];    /* queries are read as unsigned, keys and values as signed bytes */
  int32_t zero[3];    /* as they are read then */
  float to_score;     /* a unit of a sum */
  float *unit, *bias; /* of outputs, a tile's columns of each */
  hn_int8_way_out way;
  int64_t blocks;     /* of queries of a head */
  int64_t ld;         /* from one query's weights to the next one's */
  int threads;
  size_t at_start, at_values, at_queries, at_scores, at_weights, at_sums, scratch; /* of a thread */
} attention_int8;

static bool way_out(const hn_task *t, hn_int8_way_out *w) {
  if (t->out[0].quant) return hn_int8_function_of(t, t->node->post, t->node->n_post, -INFINITY, INFINITY, w);
  *w = (hn_int8_way_out){.residual = HN_NONE, .by = 1, .ending = {.to_float = true, .lo = -INFINITY, .hi = INFINITY}};
  return true;
}

/* A soft cap would see what is the same for all keys. */
bool attention_int8_supports(const hn_task *t) {
  hn_heads h;
  hn_int8_way_out w;
  return t->device && hn_heads_of(t, &h) && h.bytes && h.softcap == 0 && h.nk <= MOST_KEYS && h.size <= MOST_KEYS && way_out(t, &w);
}

static size_t whole_lines(size_t bytes) { return (size_t)hn_round_up((int64_t)bytes, 64); }

static hone_status set_numbers(hn_task *t, attention_int8 *s) {
  int cols = s->tile->cols;
  s->unit = hn_calloc((size_t)(2 * cols), sizeof *s->unit);
  if (!s->unit) return hn_nomem(t->cx);
  s->bias = s->unit + cols;
  for (int c = 0; c < cols; c++) {
    s->unit[c] = hn_int8_way_out_unit(&s->way, (double)t->in[2].quant->scale / WHOLE);
    s->bias[c] = hn_int8_way_out_bias(&s->way, 0);
  }
  s->to_score = (float)((double)s->h.scale * (double)t->in[0].quant->scale * (double)t->in[1].quant->scale);
  for (int i = 0; i < 3; i++) {
    bool is_signed = t->in[i].dtype == HONE_DTYPE_I8;
    s->flip[i] = is_signed == (i > 0) ? 0 : 128;
    s->zero[i] = t->in[i].quant->zero + (i ? -s->flip[i] : s->flip[i]);
  }
  return HONE_OK;
}

static void share_scratch(hn_task *t, attention_int8 *s) {
  int64_t rows = hn_smaller(s->h.nq, BLOCK), cols = s->tile->cols, lanes = s->tile->lanes;
  s->ld = hn_round_up(hn_int8_depth(&s->values), lanes);
  s->at_start = whole_lines(hn_int8_matrix_bytes(&s->keys));
  s->at_values = s->at_start + whole_lines(sizeof(int32_t) * (size_t)hn_int8_columns(&s->keys));
  s->at_queries = s->at_values + whole_lines(hn_int8_matrix_bytes(&s->values));
  s->at_scores = s->at_queries + whole_lines((size_t)(rows * hn_int8_depth(&s->keys)));
  s->at_weights = s->at_scores + whole_lines(sizeof(float) * (size_t)(s->ld + lanes));
  s->at_sums = s->at_weights + whole_lines((size_t)(2 * rows * s->ld));
  s->scratch = s->at_sums + whole_lines(sizeof(int32_t) * (size_t)(hn_larger(hn_int8_columns(&s->keys), 2 * cols) * rows));
  t->scratch = s->scratch * (size_t)s->threads;
}

hone_status attention_int8_plan(hn_task *t) {
  attention_int8 *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!hn_heads_of(t, &s->h) || !way_out(t, &s->way)) return HONE_UNSUPPORTED;
  s->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  bool few = s->h.nq < HN_INT8_FEW;
  HN_TRY(hn_int8_matrix_open(t->cx, s->tile, s->h.size, s->h.nk, few, &s->keys));
  HN_TRY(hn_int8_matrix_open(t->cx, s->tile, s->h.nk, s->h.size_v, few, &s->values));
  HN_TRY(set_numbers(t, s));
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  t->fused = t->out[0].quant ? t->node->n_post : 0;
  for (uint32_t i = 0; i < t->fused; i++)
    if (t->node->post[i].operand != HN_NONE) t->in[t->node->post[i].operand].unused = true;
  s->blocks = hn_ceil_div(s->h.nq, BLOCK);
  s->threads = hn_conv_threads(t, s->h.batch * s->h.heads * s->h.nq * s->h.nk * (s->h.size + s->h.size_v));
  share_scratch(t, s);
  return HONE_OK;
}

void attention_int8_destroy(hn_task *t) {
  attention_int8 *s = t->state;
  if (s) {
    hn_int8_matrix_close(&s->keys);
    hn_int8_matrix_close(&s->values);
    hn_free(s->unit);
  }
  hn_free(s);
  t->state = NULL;
}

/* ------------------------------------------------------------------------------------------- a block of queries of one head */

typedef struct block {
  const attention_int8 *s;
  const hn_exec *x;
  const uint8_t *q;
  unsigned char *out, *scratch;
  int64_t b, h, first; /* first query */
  int n;
  hn_int8_later later; /* of nothing: sums are waited for */
} block;

static int32_t *sums_of(const block *u) { return (int32_t *)(void *)(u->scratch + u->s->at_sums); }

static void pack_head(const attention_int8 *s, const uint8_t *k, const uint8_t *v, unsigned char *scratch) {
  int64_t cols = s->tile->cols;
  for (int64_t i = 0; i < s->keys.panels; i++) {
    uint8_t *to = scratch + i * hn_int8_panel_bytes(&s->keys);
    int32_t *start = (int32_t *)(void *)(scratch + s->at_start) + i * cols;
    hn_int8_pack_panel(&s->keys, k, s->h.row[1], true, s->flip[1], i, to);
    hn_int8_sum_panel(&s->keys, to, start);
    for (int64_t c = 0; c < cols; c++) start[c] *= -s->zero[0];
  }
  for (int64_t i = 0; i < s->values.panels; i++)
    hn_int8_pack_panel(&s->values, v, s->h.row[2], false, s->flip[2], i, scratch + s->at_values + i * hn_int8_panel_bytes(&s->values));
}

/* Rows of queries as tiles want them: as they lie, or copied. */
static const uint8_t *rows_of(const block *u, int64_t *lda) {
  const attention_int8 *s = u->s;
  int64_t depth = hn_int8_depth(&s->keys);
  *lda = s->h.row[0];
  if (depth == s->h.size && !s->flip[0]) return u->q;
  uint8_t *rows = u->scratch + s->at_queries;
  for (int64_t i = 0; i < u->n; i++) {
    uint8_t *to = rows + i * depth;
    memcpy(to, u->q + i * s->h.row[0], (size_t)s->h.size);
    for (int64_t k = 0; s->flip[0] && k < s->h.size; k++) to[k] ^= s->flip[0];
    memset(to + s->h.size, 0, (size_t)(depth - s->h.size));
  }
  *lda = depth;
  return rows;
}

/* Sums of all keys, in panels. */
static void score(block *u, int64_t keys) {
  const attention_int8 *s = u->s;
  int64_t cols = s->tile->cols, lda;
  const uint8_t *rows = rows_of(u, &lda);
  int height = hn_int8_height(s->tile, s->keys.step, u->n);
  if (height) s->tile->begin(height, s->keys.step);
  for (int64_t i = 0; i * cols < keys; i++) {
    hn_int8_mul m = hn_int8_mul_of(&s->keys, (const int8_t *)u->scratch, i);
    m.a = rows, m.lda = lda, m.height = height, m.later = &u->later, m.sum = sums_of(u) + i * u->n * cols, m.starts = s->zero[0] != 0;
    m.init = (const int32_t *)(const void *)(u->scratch + s->at_start) + i * cols;
    s->tile->mul(&m, NULL, u->n, keys - i * cols <= s->tile->lanes);
  }
}

/* The scores of query i with n keys; the largest. */
static float scores_of(const block *u, int64_t i, int64_t n, float *w) {
  const attention_int8 *s = u->s;
  const hn_heads *h = &s->h;
  const hn_vec *vec = u->x->task->device->vec;
  int64_t cols = s->tile->cols, query = u->first + i;
  const float *add = NULL;
  if (h->mask && !h->mask_bool && h->mask_stride[3])
    add = (const float *)u->x->in[3].data + u->b * h->mask_stride[0] + u->h * h->mask_stride[1] + query * h->mask_stride[2];
  float largest = s->tile->scores(w, sums_of(u) + i * cols, u->n * cols, s->to_score, add, n);
  if (!h->mask || add) return largest;
  hn_heads_mask(h, vec, u->x->in[3].data, w, u->b, u->h, query, 0, n);
  return vec->max(w, (size_t)n);
}

/* The weights of query i, in two bytes each, whose sum comes back; of none where nothing is allowed. */
static int32_t soften(const block *u, int64_t i, int64_t keys) {
  const attention_int8 *s = u->s;
  float *w = (float *)(void *)(u->scratch + s->at_scores);
  int64_t n = s->h.causal ? hn_smaller(keys, u->first + i + 1) : keys;
  uint8_t *high = u->scratch + s->at_weights + i * s->ld, *low = high + u->n * s->ld;
  float largest = scores_of(u, i, n, w), sum = largest > -INFINITY ? u->x->task->device->vec->exp_sum(w, w, (size_t)n, largest) : 0;
  bool any = sum > 0 && sum < INFINITY;
  memset(w + (any ? n : 0), 0, sizeof *w * (size_t)(s->ld - (any ? n : 0)));
  return s->tile->halve(high, low, w, any ? WHOLE / sum : 0, s->ld);
}

/* less: for each query, what the zero point of the values makes. */
static void gather(block *u, const int32_t *less) {
  const attention_int8 *s = u->s;
  int64_t cols = s->tile->cols;
  int32_t *sum = sums_of(u), none[MOST_COLS] = {0};
  size_t size = s->way.ending.to_float ? sizeof(float) : 1;
  int height = hn_int8_height(s->tile, s->values.step, 2 * u->n);
  if (height) s->tile->begin(height, s->values.step);
  for (int64_t i = 0; i < s->values.panels; i++) {
    int64_t n = hn_smaller(cols, s->h.size_v - i * cols);
    hn_int8_mul m = hn_int8_mul_of(&s->values, (const int8_t *)u->scratch + s->at_values, i);
    m.a = u->scratch + s->at_weights, m.lda = s->ld, m.height = height, m.later = &u->later, m.sum = sum, m.init = none;
    s->tile->mul(&m, NULL, 2 * u->n, n <= s->tile->lanes);
    s->tile->join(sum, sum + u->n * cols, less, u->n);
    hn_int8_finish f = {.sum = sum, .unit = s->unit, .bias = s->bias, .n = n, .ld = s->h.out_row, .ending = &s->way.ending,
                        .out = u->out + (size_t)(i * cols) * size};
    s->tile->finish(&f, u->n);
  }
}

typedef struct attention_run {
  const attention_int8 *s;
  const hn_exec *x;
} attention_run;

static const uint8_t *head_of(const attention_run *r, int i, int64_t b, int64_t h) {
  return (const uint8_t *)r->x->in[i].data + b * r->s->h.stride[i][0] + h * r->s->h.stride[i][1];
}

/* Blocks begin..end of all heads by one thread; keys and values are packed where another head of them begins. */
static void run_blocks(const attention_run *r, int64_t begin, int64_t end, unsigned char *scratch) {
  const attention_int8 *s = r->s;
  const hn_heads *h = &s->h;
  int64_t packed = -1;
  int32_t less[BLOCK];
  size_t size = s->way.ending.to_float ? sizeof(float) : 1;
  block u = {.s = s, .x = r->x, .scratch = scratch};
  for (int64_t p = begin; p < end; p++) {
    int64_t head = p / s->blocks, kv = head / h->per, i = p % s->blocks;
    u.b = head / h->heads, u.h = head % h->heads;
    u.first = h->nq * i / s->blocks;
    u.n = (int)(h->nq * (i + 1) / s->blocks - u.first);
    u.q = head_of(r, 0, u.b, u.h) + u.first * h->row[0];
    u.out = (unsigned char *)r->x->out[0].data + (size_t)(u.b * h->out_stride[0] + u.h * h->out_stride[1] + u.first * h->out_row) * size;
    if (kv != packed) pack_head(s, head_of(r, 1, u.b, u.h / h->per), head_of(r, 2, u.b, u.h / h->per), scratch);
    packed = kv;
    int64_t keys = h->causal ? hn_smaller(h->nk, u.first + u.n) : h->nk;
    score(&u, keys);
    for (int64_t k = 0; k < u.n; k++) less[k] = s->zero[2] * soften(&u, k, keys);
    gather(&u, less);
  }
  if (s->keys.step || s->values.step) s->tile->end();
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const attention_run *r = arg;
  int64_t all = r->s->h.batch * r->s->h.heads * r->s->blocks;
  for (int64_t k = begin; k < end; k++)
    run_blocks(r, all * k / r->s->threads, all * (k + 1) / r->s->threads, (unsigned char *)r->x->scratch + (size_t)k * r->s->scratch);
}

hone_status attention_int8_run(hn_exec *x) {
  attention_run r = {x->task->state, x};
  hn_parallel_for(r.s->threads, r.s->threads, 1, run_share, &r);
  return HONE_OK;
}
