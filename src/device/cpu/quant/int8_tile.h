/* int8_tile.h - the micro-kernel of exact integer products: a tile of 32-bit sums of products of 16-bit activations (8 bits
   less their zero point) and 8-bit weights. Compiled for each instruction set from int8_tile_body.h. Sums of two products never saturate,
   which is why it multiplies 16 bits, half as many at a time as VNNI does 8. */
#ifndef HN_INT8_TILE_H
#define HN_INT8_TILE_H
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef struct hn_int8_tile {
  int rows, cols; /* largest tile */
  /* c[r * cols + j] = sum over k of a[r * lda + k] * b(k, j) for r < rows; pairs: half of k, rounded up. b is packed
     pair by pair: two weights of column 0, two of column 1, ... */
  void (*mul)(const int16_t *a, int64_t lda, const int8_t *b, int64_t pairs, int32_t *c, int rows);
  /* sum[i] += x[i] less zero times w[i] */
  void (*add_products)(int32_t *sum, const void *x, int is_signed, int32_t zero, const int8_t *w, int64_t n);
  /* d[i] = x[i] less zero */
  void (*less_zero)(int16_t *d, const void *x, int is_signed, int32_t zero, int64_t n);
} hn_int8_tile;

const hn_int8_tile *hn_int8_tile_for(hn_isa isa);
extern const hn_int8_tile hn_int8_tile_portable;
#if defined(__x86_64__)
extern const hn_int8_tile hn_int8_tile_avx2, hn_int8_tile_avx512;
#endif
#endif
