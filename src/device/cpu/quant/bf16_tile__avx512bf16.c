/* bf16_tile__avx512bf16.c - the tile of half_tile.h for bfloat16, by AMX: two tiles of rows meet two of columns; sums are of single
   precision. The instructions take what is below 2^-126 for zero. */
#if defined(__AVX512BF16__) && defined(__x86_64__)
#include "device/cpu/amx.h"
#include "device/cpu/quant/half_tile.h"
#include "device/cpu/vec/bf16_lanes.h"

enum { COLS = HN_HALF_COLS, ROW = COLS * 4, HALF = COLS / 2 };

static void begin(int height, int64_t step) {
  hn_amx_config c = {.palette = 1};
  for (int i = 0; i < 6; i++) c.rows[i] = (uint8_t)height, c.row_bytes[i] = (uint16_t)(i < 4 ? HN_AMX_ROW : 4 * step);
  for (int i = 6; i < HN_AMX_TILES; i++) c.rows[i] = (uint8_t)step, c.row_bytes[i] = HN_AMX_ROW;
  hn_amx_configure(&c);
}

/* The second tile of rows ends with the last: what it repeats comes out the same. They are stored later, since it is long until they are there. */
static void mul(const hn_half_job *j) {
  const uint16_t *a = j->a, *second = j->a + (j->rows - j->height) * j->lda, *b = j->b;
  const char *next = j->next;
  HN_AMX_ZERO(0) HN_AMX_ZERO(1) HN_AMX_ZERO(2) HN_AMX_ZERO(3)
  for (int64_t k = 0; k < j->pairs; k += j->step, a += j->a_step, second += j->a_step, b += 2 * COLS * j->step) {
    HN_AMX_LOAD(6, b, ROW) HN_AMX_LOAD(4, a, 2 * j->lda) HN_AMX_DOT_BF16(0, 4, 6)
    HN_AMX_LOAD(7, b + COLS, ROW) HN_AMX_DOT_BF16(1, 4, 7)
    HN_AMX_LOAD(5, second, 2 * j->lda) HN_AMX_DOT_BF16(2, 5, 6) HN_AMX_DOT_BF16(3, 5, 7)
    for (int64_t i = 0; next && i < j->step; i += 4, next += j->next_step)
      for (int64_t o = 0; o < j->next_step; o += HN_AMX_ROW) _mm_prefetch(next + o, _MM_HINT_T1);
  }
}

static void store(const hn_half_job *j) {
  float *low = j->sums + (j->rows - j->height) * COLS;
  HN_AMX_STORE(0, j->sums, ROW) HN_AMX_STORE(1, j->sums + HALF, ROW)
  HN_AMX_STORE(2, low, ROW) HN_AMX_STORE(3, low + HALF, ROW)
}

/* A row's two vectors of columns v.. become outputs at `to`. */
BF16_FN void put(uint16_t *to, __m512 x, __m512 y, __mmask32 m) { _mm512_mask_storeu_epi16(to, m, bf16_rounded2(x, y)); }

typedef struct bounds {
  __m512 lo, hi, bias[2];
} bounds;

BF16_FN __m512 bounded(const bounds *b, __m512 x) { return _mm512_min_ps(b->hi, _mm512_max_ps(b->lo, x)); } /* which give the second if one is NaN */

BF16_FN void finish_rows(const hn_half_ending *e, float *sums, int rows, __mmask32 m, const bool residual, const bool to_sums, const bool swish) {
  const bounds b = {.lo = _mm512_set1_ps(e->lo), .hi = _mm512_set1_ps(e->hi),
                    .bias = {e->bias ? _mm512_loadu_ps(e->bias) : _mm512_setzero_ps(), e->bias ? _mm512_loadu_ps(e->bias + HALF) : _mm512_setzero_ps()}};
  for (int r = 0; r < rows; r++, sums += COLS) {
    __m512 x[2];
    for (int h = 0; h < 2; h++) x[h] = _mm512_add_ps(_mm512_loadu_ps(sums + h * HALF), b.bias[h]);
    if (residual) {
      __m512i v = _mm512_maskz_loadu_epi16(m, e->residual + r * e->ld_residual);
      x[0] = _mm512_add_ps(x[0], bf16_widened(_mm512_castsi512_si256(v)));
      x[1] = _mm512_add_ps(x[1], bf16_widened(_mm512_extracti64x4_epi64(v, 1)));
    }
    for (int h = 0; h < 2; h++) x[h] = bounded(&b, x[h]);
    for (int h = 0; h < 2 && swish; h++) x[h] = bf16_logistic(x[h], _mm512_mul_ps(x[h], _mm512_set1_ps(e->swish)));
    if (!to_sums) put(e->out + r * e->ld_out, x[0], x[1], m);
    for (int h = 0; to_sums && h < 2; h++) _mm512_storeu_ps(sums + h * HALF, x[h]);
  }
}

static void finish(const hn_half_ending *e, float *sums, int rows, int cols) {
  const __mmask32 m = cols < COLS ? (1U << cols) - 1 : 0xFFFFFFFF;
  if (!e->out && e->residual) finish_rows(e, sums, rows, m, true, true, false);
  else if (!e->out) finish_rows(e, sums, rows, m, false, true, false);
  else if (e->residual && e->swish != 0) finish_rows(e, sums, rows, m, true, false, true);
  else if (e->residual) finish_rows(e, sums, rows, m, true, false, false);
  else if (e->swish != 0) finish_rows(e, sums, rows, m, false, false, true);
  else finish_rows(e, sums, rows, m, false, false, false);
}

static void round_sums(const hn_half_ending *e, const float *sums, int rows, int cols) {
  const __mmask32 m = cols < COLS ? (1U << cols) - 1 : 0xFFFFFFFF;
  for (int r = 0; r < rows; r++, sums += COLS) put(e->out + r * e->ld_out, _mm512_loadu_ps(sums), _mm512_loadu_ps(sums + HALF), m);
}

/* Four vectors' quarters: the first of each in the first vector, and so on. */
BF16_FN void turn_quarters(__m512i v[4]) {
  enum { EVEN = 0x88, ODD = 0xdd };
  __m512i a = _mm512_shuffle_i32x4(v[0], v[1], EVEN), b = _mm512_shuffle_i32x4(v[0], v[1], ODD);
  __m512i c = _mm512_shuffle_i32x4(v[2], v[3], EVEN), d = _mm512_shuffle_i32x4(v[2], v[3], ODD);
  v[0] = _mm512_shuffle_i32x4(a, c, EVEN), v[2] = _mm512_shuffle_i32x4(a, c, ODD);
  v[1] = _mm512_shuffle_i32x4(b, d, EVEN), v[3] = _mm512_shuffle_i32x4(b, d, ODD);
}

BF16_FN __m512i some(const uint16_t *p, int64_t i, int64_t n) {
  return p ? _mm512_maskz_loadu_epi16(n - i < 32 ? (1U << (n - i)) - 1 : 0xFFFFFFFF, p + i) : _mm512_setzero_si512();
}

static void interleave(uint16_t *to, const uint16_t *const *plane, int pixel, int64_t n) {
  for (int64_t i = 0; i < n; i += 32) {
    const __m512i a = some(plane[0], i, n), b = some(plane[1], i, n), c = some(pixel > 2 ? plane[2] : NULL, i, n), d = some(pixel > 2 ? plane[3] : NULL, i, n);
    const __m512i low = _mm512_unpacklo_epi16(a, b), high = _mm512_unpackhi_epi16(a, b); /* of each eight the first four, the last four */
    __m512i v[4];
    if (pixel == 2) {
      const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
      v[0] = _mm512_permutex2var_epi64(low, first, high), v[1] = _mm512_permutex2var_epi64(low, second, high);
    } else {
      const __m512i low2 = _mm512_unpacklo_epi16(c, d), high2 = _mm512_unpackhi_epi16(c, d);
      v[0] = _mm512_unpacklo_epi32(low, low2), v[1] = _mm512_unpackhi_epi32(low, low2);
      v[2] = _mm512_unpacklo_epi32(high, high2), v[3] = _mm512_unpackhi_epi32(high, high2);
      turn_quarters(v);
    }
    for (int k = 0; k < pixel; k++) {
      int64_t left = (n - i) * pixel - 32 * k;
      if (left > 0) _mm512_mask_storeu_epi16(to + i * pixel + 32 * k, left < 32 ? (1U << left) - 1 : 0xFFFFFFFF, v[k]);
    }
  }
}

const hn_half_tile hn_bf16_tile_amx = {.rows = 2 * HN_AMX_ROWS, .deep = HN_AMX_ROWS, .begin = begin, .end = hn_amx_release, .mul = mul, .store = store, .finish = finish,
                                       .round = round_sums, .interleave = interleave};
#else
typedef int hn_bf16_tile_amx_absent;
#endif
