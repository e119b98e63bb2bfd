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
  int64_t step;                  /* quads of a tile, of which `entries` is a multiple; 0: without tiles */
  int32_t *at;                   /* where in a row of activations each entry lies; NULL: at 4 times its number */
} hn_int8_matrix;

/* few: it meets so few rows that tiles are not worth it. */
hone_status hn_int8_matrix_open(hone_context *cx, const hn_int8_tile *tile, int64_t k, int64_t n, bool few, hn_int8_matrix *m);
void hn_int8_matrix_close(hn_int8_matrix *m);

enum { HN_INT8_FEW = 4 }; /* rows: fewer are left to vectors */
/* Quads of a tile: as many as they can be all alike; 0: there are no tiles. */
static inline int64_t hn_int8_step(const hn_int8_tile *tile, int64_t k) {
  int64_t quads = hn_ceil_div(k, 4);
  return tile->deep && quads ? hn_ceil_div(quads, hn_ceil_div(quads, tile->deep)) : 0;
}
/* Tiles as high as they can be all alike, in pairs. */
static inline int hn_int8_height(const hn_int8_tile *tile, int64_t step, int64_t rows) {
  return !step || rows < HN_INT8_FEW ? 0 : (int)hn_ceil_div(rows, 2 * hn_ceil_div(rows, tile->rows));
}

/* Activations of a row: k filled up with bytes that are multiplied by zero. */
static inline int64_t hn_int8_depth(const hn_int8_matrix *m) { return m->step ? 4 * m->entries : hn_round_up(m->k, 4); }
static inline int64_t hn_int8_columns(const hn_int8_matrix *m) { return m->panels * m->tile->cols; }
static inline int64_t hn_int8_panel_bytes(const hn_int8_matrix *m) { return 4 * m->entries * m->tile->cols; }
static inline size_t hn_int8_matrix_bytes(const hn_int8_matrix *m) { return (size_t)(m->panels * hn_int8_panel_bytes(m)); }

typedef int8_t (*hn_int8_weight)(const void *of, int64_t k, int64_t column);
/* Panels from..end of the matrix that `weight` tells; sums of each column, filled up with zeros, too. */
void hn_int8_pack(const hn_int8_matrix *m, hn_int8_weight weight, const void *of, int64_t from, int64_t end, int8_t *to, int32_t *sums);

/* A panel of a matrix of bytes that is known only when it runs, whose number (k, column) lies at of[k * row + column], or `turned` at
   of[column * row + k]; each is taken xor `flip`. */
void hn_int8_pack_panel(const hn_int8_matrix *m, const uint8_t *of, int64_t row, bool turned, uint8_t flip, int64_t panel, uint8_t *to);
/* to[4 i + j] = row[j][i] ^ flip for n columns i. */
void hn_int8_interleave(uint8_t *to, const uint8_t *const row[4], int64_t n, uint8_t flip);
/* The sums of the columns of a packed panel. */
void hn_int8_sum_panel(const hn_int8_matrix *m, const uint8_t *packed, int32_t *sums);

static inline hn_int8_mul hn_int8_mul_of(const hn_int8_matrix *m, const int8_t *packed, int64_t panel) {
  return (hn_int8_mul){.w = packed + panel * hn_int8_panel_bytes(m), .at = m->at, .quads = m->entries, .step = m->step};
}
#endif
