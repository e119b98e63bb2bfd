#include "device/cpu/quant/int8_pack.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/alloc.h"

hone_status hn_int8_matrix_open(hone_context *cx, const hn_int8_tile *tile, int64_t k, int64_t n, bool few, hn_int8_matrix *m) {
  bool twice = tile->saturates;
  *m = (hn_int8_matrix){.tile = tile, .k = k, .n = n, .panels = hn_ceil_div(n, tile->cols), .entries = hn_ceil_div(k, 4) << twice};
  m->step = few ? 0 : hn_int8_step(tile, k);
  if (m->step) m->entries = hn_round_up(m->entries, m->step);
  if (!twice || !k) return HONE_OK;
  m->at = hn_calloc((size_t)m->entries, sizeof *m->at);
  for (int64_t e = 0; m->at && e < m->entries; e++) m->at[e] = (int32_t)(e / 2 * 4);
  return m->at ? HONE_OK : hn_nomem(cx);
}

void hn_int8_matrix_close(hn_int8_matrix *m) {
  hn_free(m->at);
  m->at = NULL;
}

void hn_int8_pack(const hn_int8_matrix *m, hn_int8_weight weight, const void *of, int64_t from, int64_t end, int8_t *to, int32_t *sums) {
  int64_t cols = m->tile->cols;
  memset(sums + from * cols, 0, sizeof *sums * (size_t)((end - from) * cols));
  to += from * hn_int8_panel_bytes(m);
  for (int64_t p = from; p < end; p++)
    for (int64_t e = 0; e < m->entries; e++)
      for (int64_t c = p * cols; c < (p + 1) * cols; c++)
        for (int64_t j = 0; j < 4; j++, to++) {
          int64_t k = (m->at ? m->at[e] : 4 * e) + j;
          bool there = k < m->k && c < m->n && !(m->at && ((e ^ j) & 1)); /* the even ones first */
          *to = there ? weight(of, k, c) : 0;
          sums[c] += *to;
        }
}

/* ------------------------------------------------------------------------------------------- bytes known only now */

void hn_int8_interleave(uint8_t *to, const uint8_t *const row[4], int64_t n, uint8_t flip) {
  int64_t c = 0;
#if defined(__SSE2__)
  const __m128i f = _mm_set1_epi8((char)flip);
  for (; c + 16 <= n; c += 16) {
    __m128i r[4];
    for (int j = 0; j < 4; j++) r[j] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)(row[j] + c)), f);
    __m128i low = _mm_unpacklo_epi8(r[0], r[1]), LOW = _mm_unpackhi_epi8(r[0], r[1]), high = _mm_unpacklo_epi8(r[2], r[3]), HIGH = _mm_unpackhi_epi8(r[2], r[3]);
    __m128i *d = (__m128i *)(void *)(to + 4 * c);
    _mm_storeu_si128(d, _mm_unpacklo_epi16(low, high));
    _mm_storeu_si128(d + 1, _mm_unpackhi_epi16(low, high));
    _mm_storeu_si128(d + 2, _mm_unpacklo_epi16(LOW, HIGH));
    _mm_storeu_si128(d + 3, _mm_unpackhi_epi16(LOW, HIGH));
  }
#endif
  for (; c < n; c++)
    for (int j = 0; j < 4; j++) to[4 * c + j] = row[j][c] ^ flip;
}

/* The quad from k on, of n columns; `there`: numbers of it that there are. */
static void pack_quad(const uint8_t *of, int64_t row, bool turned, uint8_t flip, int64_t k, int64_t there, int64_t n, uint8_t *to) {
  if (there == 4 && !turned) {
    const uint8_t *rows[4] = {of + k * row, of + (k + 1) * row, of + (k + 2) * row, of + (k + 3) * row};
    hn_int8_interleave(to, rows, n, flip);
  } else if (there == 4) {
    uint32_t four, flips = flip * 0x01010101U;
    for (int64_t c = 0; c < n; c++) {
      memcpy(&four, of + c * row + k, sizeof four);
      four ^= flips;
      memcpy(to + 4 * c, &four, sizeof four);
    }
  } else {
    for (int64_t j = 0; j < there; j++)
      for (int64_t c = 0; c < n; c++) to[4 * c + j] = of[turned ? c * row + k + j : (k + j) * row + c] ^ flip;
  }
}

/* Where quads come in two, each second number of it is left out, then each first. */
void hn_int8_pack_panel(const hn_int8_matrix *m, const uint8_t *of, int64_t row, bool turned, uint8_t flip, int64_t panel, uint8_t *to) {
  int64_t cols = m->tile->cols, first = panel * cols, n = hn_smaller(cols, m->n - first), bytes = 4 * cols;
  of += turned ? first * row : first;
  for (int64_t e = 0; e < m->entries; e += m->at ? 2 : 1, to += bytes) {
    int64_t k = m->at ? m->at[e] : 4 * e, there = hn_smaller(4, m->k - k);
    if (there < 4 || n < cols) memset(to, 0, (size_t)bytes);
    if (there > 0) pack_quad(of, row, turned, flip, k, there, n, to);
    if (!m->at) continue;
    memcpy(to + bytes, to, (size_t)bytes);
    for (int64_t i = 0; i < bytes; i += 2) to[i + 1] = to[bytes + i] = 0;
    to += bytes;
  }
}

/* By a row of ones. */
void hn_int8_sum_panel(const hn_int8_matrix *m, const uint8_t *packed, int32_t *sums) {
  enum { ONES = 4096 };
  int64_t cols = m->tile->cols;
  memset(sums, 0, sizeof *sums * (size_t)cols);
  if (hn_int8_depth(m) <= ONES) {
    uint8_t ones[ONES];
    memset(ones, 1, (size_t)hn_int8_depth(m));
    hn_int8_mul one = {.a = ones, .lda = ONES, .w = (const int8_t *)packed, .at = m->at, .quads = m->entries, .init = sums, .sum = sums};
    m->tile->mul(&one, NULL, 1, false);
  } else {
    for (int64_t k = 0; k < hn_int8_panel_bytes(m); k++) sums[k / 4 % cols] += (int8_t)packed[k];
  }
}
