/* matmul_weights.c - few rows of floats times a constant matrix of 8- or 4-bit weights: the weights are read once and widened in
   registers, once for several rows, so that memory has a quarter or an eighth to bring. */
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/quant/weight_dot.h"

enum { BLOCK = HN_WEIGHT_BLOCK, GRAIN = 65536 };

typedef struct weights_state {
  const hn_weight_dot *dot;
  int64_t m, k, n, blocks; /* blocks: of a column, the last one filled up with zeros */
  bool four, transposed, by_block;
  const uint8_t *packed;   /* column by column */
  const float *scale;      /* of each block, or of each column */
  const float *bias;
} weights_state;

static bool describe(const hn_task *t, weights_state *s) {
  const hn_arg *x = &t->in[0], *w = &t->in[1];
  const hn_quant *q = w->quant;
  bool gemm = t->node->op == HN_Gemm;
  if (!t->device || x->dtype != HONE_DTYPE_F32 || x->rank < 1 || !q || !w->constant || w->rank != 2 || t->out[0].dtype != HONE_DTYPE_F32) return false;
  if (gemm && (hn_attr_i(t->node, "transA", 0) || hn_attr_f(t->node, "alpha", 1) != 1)) return false;
  *s = (weights_state){.m = 1, .k = x->dims[x->rank - 1], .transposed = gemm && hn_attr_i(t->node, "transB", 0), .four = w->dtype == HONE_DTYPE_I4,
                       .by_block = q->block > 0};
  if (!s->four && w->dtype != HONE_DTYPE_I8) return false;
  s->n = w->dims[s->transposed ? 0 : 1];
  s->blocks = hn_round_up(hn_ceil_div(s->k, BLOCK), s->four ? HN_WEIGHT_GROUP : 1);
  for (int32_t i = 0; i < x->rank - 1; i++) s->m *= x->dims[i];
  if (s->k < 1 || s->n < 1 || s->m < 1 || (s->by_block && q->block % BLOCK)) return false;
  if (!gemm || t->node->n_main < 3 || !t->in[2].present) return true;
  const hn_tensor *bias = t->in[2].constant;
  if (!bias || bias->dtype != HONE_DTYPE_F32 || bias->count != s->n || hn_attr_f(t->node, "beta", 1) != 1) return false;
  s->bias = bias->data;
  return true;
}

bool matmul_weights_supports(const hn_task *t) {
  weights_state s;
  return describe(t, &s);
}

static size_t bytes_of_column(const weights_state *s) { return (size_t)s->blocks * (s->four ? BLOCK / 2 : BLOCK); }

static int64_t weight_at(const weights_state *s, const hn_tensor *w, int64_t k, int64_t n) {
  return k < s->k ? hn_tensor_i(w, (size_t)(s->transposed ? n * s->k + k : k * s->n + n)) : 0;
}

static void pack_column(const weights_state *s, const hn_tensor *w, int64_t n, uint8_t *to) {
  for (int64_t i = 0; !s->four && i < s->blocks * BLOCK; i++) to[i] = (uint8_t)(int8_t)weight_at(s, w, i, n);
  for (int64_t b = 0; s->four && b < s->blocks; b++)
    for (int64_t i = 0; i < BLOCK / 2; i++) {
      int64_t low = weight_at(s, w, b * BLOCK + i, n) + 8, high = weight_at(s, w, b * BLOCK + i + BLOCK / 2, n) + 8;
      to[b / HN_WEIGHT_GROUP * HN_WEIGHT_GROUP * BLOCK / 2 + HN_WEIGHT_GROUP * i + b % HN_WEIGHT_GROUP] = (uint8_t)(low | high << 4);
    }
}

/* Scale of block b of a column. */
static float scale_at(const weights_state *s, const hn_quant *q, int64_t b, int64_t n) {
  if (b && b * BLOCK >= s->k) return 0;
  if (!q->scales) return q->scale;
  if (!s->by_block) return (float)hn_tensor_f(q->scales, (size_t)n);
  int64_t group = b * BLOCK / q->block, groups = q->scales->count / s->n;
  return (float)hn_tensor_f(q->scales, (size_t)(s->transposed ? n * groups + group : group * s->n + n));
}

/* Rows that are multiplied: one, or groups filled up with zeros. */
static int64_t rows_at_hand(const weights_state *s) { return s->m == 1 ? 1 : hn_round_up(s->m, HN_WEIGHT_ROWS); }

hone_status matmul_weights_plan(hn_task *t) {
  weights_state *s = hn_calloc(1, sizeof *s);
  void *packed, *scale;
  bool fill;
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!describe(t, s)) return HONE_UNSUPPORTED;
  const hn_tensor *w = t->in[1].constant;
  const hn_quant *q = t->in[1].quant;
  s->dot = hn_weight_dot_for(t->device->isa);
  HN_TRY(hn_task_pack(t, bytes_of_column(s) * (size_t)s->n, 0, &packed, &fill));
  for (int64_t n = 0; fill && n < s->n; n++) pack_column(s, w, n, (uint8_t *)packed + bytes_of_column(s) * (size_t)n);
  int64_t each = s->by_block || s->four ? s->blocks : 1;
  HN_TRY(hn_task_pack(t, sizeof(float) * (size_t)(each * s->n), 0, &scale, &fill));
  for (int64_t i = 0; fill && i < each * s->n; i++) ((float *)scale)[i] = scale_at(s, q, i % each, i / each);
  s->packed = packed;
  s->scale = scale;
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_PLAIN;
  t->in[1].unused = true;
  if (s->bias) t->in[2].unused = true;
  t->scratch = sizeof(float) * (size_t)(rows_at_hand(s) * s->blocks * BLOCK);
  return HONE_OK;
}

typedef struct weights_run {
  const weights_state *s;
  const float *x;
  float *y;
} weights_run;

static void run_columns(void *arg, int64_t begin, int64_t end) {
  const weights_run *r = arg;
  const weights_state *s = r->s;
  for (int64_t n = begin; n < end; n++) {
    const uint8_t *w = s->packed + bytes_of_column(s) * (size_t)n;
    const int8_t *w8 = (const int8_t *)w;
    for (int64_t m = 0; s->m > 1 && m < s->m; m += HN_WEIGHT_ROWS) {
      const float *x = r->x + m * s->blocks * BLOCK;
      float v[HN_WEIGHT_ROWS], by = s->four || s->by_block ? 1 : s->scale[n];
      if (s->four) s->dot->rows_i4(v, x, s->blocks * BLOCK, w, s->scale + n * s->blocks, s->blocks);
      else if (s->by_block) s->dot->rows_i8(v, x, s->blocks * BLOCK, w8, s->scale + n * s->blocks, s->blocks);
      else s->dot->rows_i8_one(v, x, s->blocks * BLOCK, w8, s->blocks);
      for (int64_t k = 0; k < HN_WEIGHT_ROWS && m + k < s->m; k++) r->y[(m + k) * s->n + n] = v[k] * by + (s->bias ? s->bias[n] : 0);
    }
    if (s->m > 1) continue;
    float v = s->four       ? s->dot->i4(r->x, w, s->scale + n * s->blocks, s->blocks)
              : s->by_block ? s->dot->i8(r->x, w8, s->scale + n * s->blocks, s->blocks)
                            : s->dot->i8_one(r->x, w8, s->blocks) * s->scale[n];
    r->y[n] = s->bias ? v + s->bias[n] : v;
  }
}

hone_status matmul_weights_run(hn_exec *x) {
  const weights_state *s = x->task->state;
  float *rows = x->scratch;
  for (int64_t m = 0; m < s->m; m++) {
    memcpy(rows + m * s->blocks * BLOCK, (const float *)x->in[0].data + m * s->k, sizeof *rows * (size_t)s->k);
    memset(rows + m * s->blocks * BLOCK + s->k, 0, sizeof *rows * (size_t)(s->blocks * BLOCK - s->k));
  }
  memset(rows + s->m * s->blocks * BLOCK, 0, sizeof *rows * (size_t)((rows_at_hand(s) - s->m) * s->blocks * BLOCK));
  weights_run r = {s, rows, x->out[0].data};
  hn_parallel_for(x->threads, s->n, GRAIN / (s->k * s->m) + 1, run_columns, &r);
  return HONE_OK;
}

void matmul_weights_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
