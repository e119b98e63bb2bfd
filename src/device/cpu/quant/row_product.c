#include "device/cpu/quant/row_product.h"

#include <math.h>
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"

enum { ZERO = 128, MOST_ROWS = 16, MOST_COLS = 64, GRAIN = 1 << 19 /* products for which a thread pays */ };

static int64_t panels_of(const hn_row_product *p) { return hn_ceil_div(p->n, p->tile->cols); }
static int64_t padded(const hn_row_product *p) { return panels_of(p) * p->tile->cols; }
static int64_t panel_bytes(const hn_row_product *p) { return p->entries * p->tile->cols * 4; }

hone_status hn_row_product_open(hone_context *cx, const hn_cpu *cpu, int64_t k, int64_t n, hn_row_product *p) {
  *p = (hn_row_product){.tile = hn_int8_tile_for(cpu->isa, cpu->bytes), .convert = hn_convert_for(cpu->isa), .k = k, .n = n};
  bool twice = p->tile->saturates;
  p->entries = hn_ceil_div(k, 4) << twice;
  if (!twice) return HONE_OK;
  int32_t *at = hn_calloc((size_t)p->entries, sizeof *at);
  if (!at) return hn_nomem(cx);
  for (int64_t e = 0; e < p->entries; e++) at[e] = (int32_t)(e / 2 * 4);
  p->at = at;
  return HONE_OK;
}

void hn_row_product_close(hn_row_product *p) {
  hn_free((void *)(uintptr_t)p->at);
  p->at = NULL;
}

static size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

size_t hn_row_product_bytes(const hn_row_product *p) {
  return whole_lines((size_t)(panels_of(p) * panel_bytes(p))) + whole_lines(sizeof(int32_t) * (size_t)padded(p)) +
         whole_lines(sizeof(float) * (size_t)padded(p));
}

void hn_row_product_use(hn_row_product *p, const void *packed) {
  const char *at = packed;
  p->weights = (const int8_t *)at;
  at += whole_lines((size_t)(panels_of(p) * panel_bytes(p)));
  p->init = (const int32_t *)(const void *)at;
  at += whole_lines(sizeof(int32_t) * (size_t)padded(p));
  p->unit = (const float *)(const void *)at;
}

void hn_row_product_pack(const hn_row_product *p, const int8_t *w, const hn_quant *q, int64_t from, void *room) {
  hn_row_product to = *p;
  memset(room, 0, hn_row_product_bytes(p));
  hn_row_product_use(&to, room);
  int8_t *d = room;
  int32_t *init = (int32_t *)(uintptr_t)to.init;
  float *unit = (float *)(uintptr_t)to.unit;
  int64_t cols = p->tile->cols;
  for (int64_t panel = 0; panel < panels_of(p); panel++)
    for (int64_t e = 0; e < p->entries; e++)
      for (int64_t c = 0; c < cols; c++)
        for (int64_t j = 0; j < 4; j++, d++) {
          int64_t column = panel * cols + c, k = (p->at ? p->at[e] : 4 * e) + j;
          bool elsewhere = p->at && (j & 1) != (e & 1);
          if (column >= p->n || k >= p->k || elsewhere) continue;
          *d = w[column * p->k + k];
          init[column] -= ZERO * *d;
        }
  for (int64_t c = 0; c < p->n; c++) unit[c] = q->scales ? (float)hn_tensor_f(q->scales, (size_t)(from + c)) : q->scale;
}

void hn_row_product_round(const hn_row_product *p, const float *x, int64_t ld, int64_t rows, uint8_t *to, float *scales) {
  int64_t pitch = hn_row_product_pitch(p);
  for (int64_t r = 0; r < rows; r++) {
    float low = 0, high = 0;
    p->convert->range(x + r * ld, (size_t)p->k, &low, &high);
    high = fmaxf(high, -low);
    scales[r] = high > 0 ? high / 127.0f : 1.0f;
    p->convert->store[HONE_DTYPE_U8](to + r * pitch, x + r * ld, (size_t)p->k, scales[r], ZERO);
    memset(to + r * pitch + p->k, 0, (size_t)(pitch - p->k));
  }
}

typedef struct rows_run {
  const hn_row_product *p;
  const uint8_t *a;
  const float *scales, *start, *bias;
  float *out;
  int64_t rows, ld_start, ld_out;
} rows_run;

static void scale_sums(const rows_run *r, const int32_t *sum, int64_t row, int64_t column, int rows, int64_t n) {
  const float *unit = r->p->unit + column;
  for (int k = 0; k < rows; k++, sum += r->p->tile->cols) {
    float *d = r->out + (row + k) * r->ld_out + column, scale = r->scales[row + k];
    const float *start = r->start ? r->start + (row + k) * r->ld_start + column : NULL, *bias = r->bias ? r->bias + column : NULL;
    for (int64_t c = 0; c < n; c++) d[c] = (float)sum[c] * (scale * unit[c]) + (start ? start[c] : 0) + (bias ? bias[c] : 0);
  }
}

static void run_panels(void *arg, int64_t begin, int64_t end) {
  const rows_run *r = arg;
  const hn_row_product *p = r->p;
  int64_t cols = p->tile->cols, pitch = hn_row_product_pitch(p);
  int32_t sum[MOST_ROWS * MOST_COLS];
  for (int64_t panel = begin; panel < end; panel++) {
    int64_t column = panel * cols, n = hn_smaller(cols, p->n - column);
    hn_int8_mul m = {.lda = pitch, .w = p->weights + panel * panel_bytes(p), .at = p->at, .quads = p->entries, .init = p->init + column, .sum = sum};
    for (int64_t row = 0; row < r->rows; row += p->tile->rows) {
      int rows = (int)hn_smaller(p->tile->rows, r->rows - row);
      m.a = r->a + row * pitch;
      p->tile->mul(&m, NULL, rows, n <= p->tile->lanes);
      scale_sums(r, sum, row, column, rows, n);
    }
  }
}

void hn_row_product_run(const hn_row_product *p, const uint8_t *a, const float *scales, int64_t rows, const float *start, int64_t ld_start,
                        const float *bias, float *out, int64_t ld_out, int threads) {
  rows_run r = {p, a, scales, start, bias, out, rows, ld_start, ld_out};
  hn_parallel_for(threads, panels_of(p), GRAIN / (rows * p->k * p->tile->cols + 1) + 1, run_panels, &r);
}
