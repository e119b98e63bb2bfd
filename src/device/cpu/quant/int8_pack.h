/* int8_pack.h - a matrix of signed bytes, summed over k, as the micro-kernels of int8_tile.h want it: panels of columns, in
   them quads of the sum; where sums of two products may not fit 16 bits every quad is given in two. */
#ifndef HN_INT8_PACK_H
#define HN_INT8_PACK_H
#include "base/count.h"
#include "base/status.h"
#include "device/cpu/quant/int8_tile.h"

typedef struct hn_int8_matrix {
  const hn_int8_tile *tile;
  int64_t k, n, panels, entries; /* entries: quads, or halves of them, of a panel */
  int32_t *at;                   /* where in a row of activations each entry lies; NULL: at 4 times its number */
} hn_int8_matrix;

hone_status hn_int8_matrix_open(hone_context *cx, const hn_int8_tile *tile, int64_t k, int64_t n, hn_int8_matrix *m);
void hn_int8_matrix_close(hn_int8_matrix *m);

/* Activations of a row: k filled up with bytes that are multiplied by zero. */
static inline int64_t hn_int8_depth(const hn_int8_matrix *m) { return hn_round_up(m->k, 4); }
static inline int64_t hn_int8_columns(const hn_int8_matrix *m) { return m->panels * m->tile->cols; }
static inline int64_t hn_int8_panel_bytes(const hn_int8_matrix *m) { return 4 * m->entries * m->tile->cols; }
static inline size_t hn_int8_matrix_bytes(const hn_int8_matrix *m) { return (size_t)(m->panels * hn_int8_panel_bytes(m)); }

typedef int8_t (*hn_int8_weight)(const void *of, int64_t k, int64_t column);
/* Panels from..end of the matrix that `weight` tells; sums of each column, filled up with zeros, too. */
void hn_int8_pack(const hn_int8_matrix *m, hn_int8_weight weight, const void *of, int64_t from, int64_t end, int8_t *to, int32_t *sums);

static inline hn_int8_mul hn_int8_mul_of(const hn_int8_matrix *m, const int8_t *packed, int64_t panel) {
  return (hn_int8_mul){.w = packed + panel * hn_int8_panel_bytes(m), .at = m->at, .quads = m->entries};
}
#endif
