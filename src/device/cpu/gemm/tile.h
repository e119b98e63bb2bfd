/* tile.h - the micro-kernel under our matrix products and convolutions: a tile of C = start + A B that stays in
   registers. Compiled once for each instruction set from tile_body.h; the shape of the tile is the one that fills its
   registers (Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). */
#ifndef HN_TILE_H
#define HN_TILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

typedef struct hn_tile_job {
  int64_t k;
  const float *a;      /* rows x k, lda apart */
  int64_t lda;
  const int64_t *offsets; /* with n_offsets: A is that many pieces of k columns side by side, each this far behind a */
  int64_t n_offsets;   /* 0: one piece, at a */
  const float *b;      /* packed: k (of all pieces) x cols of the tile, see hn_tile_pack */
  float *c;            /* rows x cols, ldc apart */
  int64_t ldc;
  const float *start;  /* what is added to: ld_start apart; may be c; NULL: zeros */
  int64_t ld_start;
  const float *bias;   /* a number for each column, padded to a whole tile; NULL: none */
  float lo, hi;        /* bounds of the result; NaN passes */
  const char *next;    /* what is to be brought near meanwhile; NULL: nothing */
  int64_t next_step;   /* bytes of it for each four of k: at most 256 */
} hn_tile_job;

typedef struct hn_tile {
  int rows, cols;      /* largest tile */
  void (*mul)(const hn_tile_job *j, int rows, int cols); /* 1..rows, 1..cols */
} hn_tile;

const hn_tile *hn_tile_for(hn_isa isa);
extern const hn_tile hn_tile_portable;
#if defined(__x86_64__)
extern const hn_tile hn_tile_avx2, hn_tile_avx512;
#endif

/* Rows in as few tiles as can be. Whole tiles and a rest, unless the rest is so small that its sums wait for one another: tiles
   of two sizes by turns measure a twentieth slower than tiles of one. */
typedef struct hn_tile_cut {
  int64_t rows, tiles, whole; /* whole: rows of a tile; 0: dealt out evenly */
} hn_tile_cut;
hn_tile_cut hn_tile_cut_rows(const hn_tile *t, int64_t rows);
/* The row with which tile i begins; of the one past the last, `rows`. */
static inline int64_t hn_tile_row(const hn_tile_cut *c, int64_t i) {
  if (!c->whole) return c->rows * i / c->tiles;
  return i < c->tiles ? i * c->whole : c->rows;
}

/* Packs a k x n matrix, element (i, j) at b[i * step_k + j * step_n], into panels of tile->cols columns, each k rows of
   cols numbers, the last panel filled up with zeros. */
static inline size_t hn_tile_packed(const hn_tile *t, int64_t k, int64_t n) { /* floats */
  return (size_t)k * (size_t)((n + t->cols - 1) / t->cols * t->cols);
}
/* The next_step with which `jobs` products bring a panel as deep as their own near, most of it at least: memory does better
   with an even stream than with a fast one that ends. */
static inline int64_t hn_tile_next_step(const hn_tile *t, int64_t jobs) {
  int64_t lines = t->cols / 4 / jobs;
  return 64 * (lines < 1 ? 1 : lines > 4 ? 4 : lines);
}
/* Rows from..from + k of panels that have `rows` in all. */
void hn_tile_pack(const hn_tile *t, int64_t rows, int64_t from, int64_t k, int64_t n, const float *b, int64_t step_k,
                  int64_t step_n, float *packed);
#endif
