#include "device/cpu/quant/int8_pack.h"

#include <string.h>

#include "base/alloc.h"

hone_status hn_int8_matrix_open(hone_context *cx, const hn_int8_tile *tile, int64_t k, int64_t n, hn_int8_matrix *m) {
  bool twice = tile->saturates;
  *m = (hn_int8_matrix){.tile = tile, .k = k, .n = n, .panels = hn_ceil_div(n, tile->cols), .entries = hn_ceil_div(k, 4) << twice};
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
