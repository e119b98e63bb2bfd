/* test_int8_tile.c - the micro-kernels of integer products against plain sums, bit by bit, for every way to multiply bytes: random
   sizes, over the ends of tiles, with and without what becomes of the sums. Units are powers of two, so that floats are exact. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "device/cpu/quant/int8_tile.h"
#include "harness.h"

enum { CASES = 400, BEYOND = 64 };

static uint32_t seed = 1;
static int64_t between(int64_t lo, int64_t hi) {
  seed = seed * 1664525u + 1013904223u;
  return lo + (int64_t)(seed >> 8) % (hi - lo + 1);
}

typedef struct product {
  int64_t rows, n, k, step, quads, ld;
  int height;
  uint8_t *a, *out, *res;
  int8_t *w;
  int32_t *init, *sum, *want;
  float *unit, *bias;
  hn_int8_ending e;
  hn_int8_residual residual;
} product;

static int32_t digit(hn_int8_residual type, const uint8_t *p) { return type == HN_INT8_RESIDUAL_I8 ? (int8_t)*p : *p; }

static product make(const hn_int8_tile *t) {
  product p = {.rows = between(1, 100), .n = between(1, t->cols), .k = between(1, 200)};
  p.quads = (p.k + 3) / 4;
  p.ld = p.n + between(0, 9);
  if (t->deep && p.rows >= 4 && between(0, 3)) {
    int64_t steps = (p.quads + t->deep - 1) / t->deep, pairs = (p.rows + t->rows - 1) / t->rows;
    p.step = (p.quads + steps - 1) / steps;
    p.quads = p.step * steps;
    p.height = (int)((p.rows + 2 * pairs - 1) / (2 * pairs));
  }
  int64_t depth = 4 * p.quads, sums = (p.rows + HN_INT8_LATER * t->rows) * t->cols;
  p.a = hn_malloc_aligned((size_t)(p.rows * depth));
  p.w = hn_malloc_aligned((size_t)(depth * t->cols));
  p.init = hn_malloc_aligned(sizeof *p.init * (size_t)t->cols);
  p.sum = hn_malloc_aligned(sizeof *p.sum * (size_t)sums);
  p.want = hn_malloc_aligned(sizeof *p.want * (size_t)sums);
  p.unit = hn_malloc_aligned(2 * sizeof *p.unit * (size_t)t->cols);
  p.out = hn_malloc_aligned((size_t)(p.rows * p.ld * 4 + BEYOND));
  p.res = hn_malloc_aligned((size_t)(p.rows * p.ld + BEYOND));
  p.bias = p.unit + t->cols;
  for (int64_t i = 0; i < p.rows * depth; i++) p.a[i] = (uint8_t)between(0, 255);
  for (int64_t i = 0; i < depth * t->cols; i++) { /* where sums of two saturate, no two meet */
    int64_t quad = i / 4 / t->cols, at = i % 4;
    p.w[i] = 4 * quad + at < p.k && !(t->saturates && at % 2) ? (int8_t)between(-128, 127) : 0;
  }
  bool starts = between(0, 1);
  for (int i = 0; i < t->cols; i++) {
    p.init[i] = starts ? (int32_t)between(-100000, 100000) : 0;
    p.unit[i] = ldexpf(1, -(int)between(8, 12));
    p.bias[i] = (float)between(-80, 80) / 2;
  }
  for (int64_t i = 0; i < p.rows * p.ld + BEYOND; i++) p.res[i] = (uint8_t)between(0, 255);
  p.e = (hn_int8_ending){.function = between(0, 1) ? HN_INT8_BYTES : HN_INT8_BOUNDS, .is_signed = between(0, 1)};
  p.e.zero = (int32_t)(between(0, 2) ? between(0, 255) - (p.e.is_signed ? 128 : 0) : 0);
  p.e.to_float = p.e.function == HN_INT8_BOUNDS && between(0, 3) == 0;
  p.e.lo = (float)between(-100, 0);
  p.e.hi = (float)between(1, 120);
  p.residual = p.e.to_float ? HN_INT8_NO_RESIDUAL : (hn_int8_residual)between(0, 2);
  for (int64_t r = 0; r < p.rows; r++)
    for (int64_t c = 0; c < t->cols; c++) {
      int32_t s = p.init[c];
      for (int64_t k = 0; k < depth; k++) s += p.a[r * depth + k] * p.w[(k / 4 * t->cols + c) * 4 + k % 4];
      p.want[r * t->cols + c] = s;
    }
  return p;
}

static void drop(product *p) {
  void *const all[] = {p->a, p->w, p->init, p->sum, p->want, p->unit, p->out, p->res};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) hn_free_aligned(all[i]);
}

static float real(const product *p, const hn_int8_tile *t, int64_t r, int64_t c) {
  float x = (float)p->want[r * t->cols + c] * p->unit[c] + p->bias[c];
  if (p->residual) x += 0.5f * (float)digit(p->residual, &p->res[r * p->ld + c]);
  return p->e.function == HN_INT8_BOUNDS ? fminf(p->e.hi, fmaxf(p->e.lo, x)) : x;
}

static bool outputs_as_wanted(const product *p, const hn_int8_tile *t, const uint8_t *before) {
  for (int64_t r = 0; r < p->rows; r++)
    for (int64_t c = 0; c < p->ld; c++) {
      int64_t i = r * p->ld + c;
      if (p->e.to_float) {
        float got;
        memcpy(&got, p->out + 4 * i, sizeof got);
        if (c < p->n && got != real(p, t, r, c)) return false;
        continue;
      }
      int low = p->e.is_signed ? -128 : 0;
      long v = lrintf(real(p, t, r, c < p->n ? c : 0)) + p->e.zero;
      uint8_t want = c < p->n ? (uint8_t)(v < low ? low : v > low + 255 ? low + 255 : v) : before[i];
      if (p->out[i] != want) return false;
    }
  return true;
}

static void try_product(const hn_int8_tile *t, const char *name, int at) {
  product p = make(t);
  hn_int8_later later = {0};
  hn_int8_mul m = {.a = p.a, .lda = 4 * p.quads, .w = p.w, .quads = p.quads, .init = p.init, .sum = p.sum, .height = p.height,
                   .step = p.step, .later = &later, .next = between(0, 1) ? p.w : NULL};
  for (int i = 0; i < t->cols; i++) m.starts = m.starts || p.init[i];
  hn_int8_finish f = {.sum = p.sum, .unit = p.unit, .bias = p.bias, .residual = p.residual, .res = p.res, .by = 0.5f, .n = p.n,
                      .ld = p.ld, .out = p.out, .ending = &p.e};
  bool over = p.residual && between(0, 1), only_sums = between(0, 4) == 0; /* over its residual */
  uint8_t *before = hn_malloc_aligned((size_t)(p.rows * p.ld + BEYOND));
  memset(p.out, 0xa5, (size_t)(p.rows * p.ld * 4 + BEYOND));
  if (over) memcpy(p.out, p.res, (size_t)(p.rows * p.ld)), f.res = p.out;
  memcpy(before, p.out, (size_t)(p.rows * p.ld));
  if (p.height) t->begin(p.height, p.step);
  t->mul(&m, only_sums ? NULL : &f, (int)p.rows, p.n <= t->lanes);
  if (p.height) t->flush(&later), t->end();
  bool good = only_sums || outputs_as_wanted(&p, t, before);
  for (int64_t r = 0; r < p.rows && only_sums; r++) good = good && !memcmp(p.sum + r * t->cols, p.want + r * t->cols, sizeof *p.sum * (size_t)p.n);
  CHECK_MSG(good, "%s, case %d: %lld x %lld, %lld deep, tiles of %d, function %d, residual %d", name, at, (long long)p.rows,
            (long long)p.n, (long long)p.k, p.height, (int)p.e.function, (int)p.residual);
  hn_free_aligned(before);
  drop(&p);
}

TEST(products_as_plain_sums) {
  for (int isa = 0; isa <= (int)hn_isa_best(); isa++)
    for (int bytes = 0; bytes <= (int)hn_bytes_best((hn_isa)isa); bytes++)
      for (int i = 0; i < CASES; i++) try_product(hn_int8_tile_for((hn_isa)isa, (hn_bytes)bytes), hn_bytes_name((hn_isa)isa, (hn_bytes)bytes), i);
}

/* Rows of attention: sums to scores, weights to two bytes each, and the sums of both back to one. */
static void try_row(const hn_int8_tile *t, const char *name) {
  enum { MOST = 200 };
  int32_t sum[MOST + 64], less[2];
  float add[MOST], got[MOST + 64], most = -INFINITY, x[MOST + 64] = {0};
  uint8_t high[MOST + 64], low[MOST + 64];
  int64_t n = between(1, MOST), rows = 2, whole = (n + t->lanes - 1) / t->lanes * t->lanes, all = 0;
  int32_t *panels = hn_malloc_aligned(sizeof *panels * (size_t)((MOST + 64) * rows)), *before = hn_malloc_aligned(sizeof *before * (size_t)(4 * t->cols));
  bool added = between(0, 1), good = true;
  for (int64_t i = 0; i < (MOST + 64) * rows; i++) panels[i] = (int32_t)between(-4000000, 4000000);
  for (int64_t i = 0; i < n; i++) {
    sum[i] = panels[i / t->cols * rows * t->cols + i % t->cols];
    add[i] = (float)between(-100, 100) / 4;
  }
  float largest = t->scores(got, panels, rows * t->cols, 1.0f / 1024, added ? add : NULL, n);
  for (int64_t i = 0; i < n; i++) {
    float want = (float)sum[i] / 1024 + (added ? add[i] : 0);
    good = good && fabsf(got[i] - want) <= 1e-6f * fabsf((float)sum[i] / 1024);
    most = fmaxf(most, got[i]);
  }
  CHECK_MSG(good && largest == most, "%s: %lld scores", name, (long long)n);
  for (int64_t i = 0; i < n; i++) x[i] = (float)between(0, 65535) / (float)(2 * n);
  int32_t total = t->halve(high, low, x, 1.5f, whole);
  for (int64_t i = 0; i < n; i++) {
    long want = lrintf(x[i] * 1.5f);
    good = good && 256 * high[i] + low[i] == want;
    all += want;
  }
  CHECK_MSG(good && total == all, "%s: %lld weights", name, (long long)n);
  for (int i = 0; i < 4 * t->cols; i++) before[i] = panels[i] = (int32_t)between(-30000, 30000);
  less[0] = (int32_t)between(-100000, 100000), less[1] = (int32_t)between(-100000, 100000);
  t->join(panels, panels + 2 * t->cols, less, 2);
  for (int i = 0; i < 2 * t->cols; i++) good = good && panels[i] == 256 * before[i] + before[2 * t->cols + i] - less[i / t->cols];
  CHECK_MSG(good, "%s: sums of high and low bytes", name);
  hn_free_aligned(panels);
  hn_free_aligned(before);
}

TEST(rows_of_attention) {
  for (int isa = 0; isa <= (int)hn_isa_best(); isa++)
    for (int bytes = 0; bytes <= (int)hn_bytes_best((hn_isa)isa); bytes++)
      for (int i = 0; i < CASES; i++) try_row(hn_int8_tile_for((hn_isa)isa, (hn_bytes)bytes), hn_bytes_name((hn_isa)isa, (hn_bytes)bytes));
}
