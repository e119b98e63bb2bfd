/* row_product.h - rows of floats, each rounded to 8 bits by its own range (the largest number is 127 steps), times a constant matrix of
   8-bit weights with a scale for each column: exact sums, scaled to floats. */
#ifndef HN_ROW_PRODUCT_H
#define HN_ROW_PRODUCT_H
#include "device/cpu/quant/convert_runs.h"
#include "device/cpu/quant/int8_tile.h"

typedef struct hn_row_product {
  const hn_int8_tile *tile;
  const hn_convert *convert;
  int64_t k, n, entries;   /* entries: quads that the tile multiplies, each of k in two where sums of two products may not fit */
  const int8_t *weights;   /* panels of tile->cols columns */
  const int32_t *init;     /* by column */
  const float *unit;
  const int32_t *at;       /* of each entry; NULL: at 4 times its number */
} hn_row_product;

/* What is not packed: tile, sizes; `at` is allocated, and freed by hn_row_product_close(). */
hone_status hn_row_product_open(hone_context *cx, const struct hn_cpu *cpu, int64_t k, int64_t n, hn_row_product *p);
void hn_row_product_close(hn_row_product *p);
/* Bytes of prepared weights, a multiple of 64; and those weights, from weights[n][k] and a scale for each n, those of q from `from` on. */
size_t hn_row_product_bytes(const hn_row_product *p);
void hn_row_product_pack(const hn_row_product *p, const int8_t *w, const hn_quant *q, int64_t from, void *to);
void hn_row_product_use(hn_row_product *p, const void *packed);

/* Bytes of a row as bytes. */
static inline int64_t hn_row_product_pitch(const hn_row_product *p) { return (p->k + 3) / 4 * 4; }
/* The same rounding as op/recurrent.h states. */
void hn_row_product_round(const hn_row_product *p, const float *x, int64_t ld, int64_t rows, uint8_t *to, float *scales);
/* out = rounded rows times weights + start (rows ld_start apart; NULL: none) + bias (by column; NULL: none). */
void hn_row_product_run(const hn_row_product *p, const uint8_t *a, const float *scales, int64_t rows, const float *start, int64_t ld_start,
                        const float *bias, float *out, int64_t ld_out, int threads);
#endif
