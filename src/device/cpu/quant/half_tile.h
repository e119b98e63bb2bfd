/* half_tile.h - a tile of C = A B of 16-bit floats. Of bfloat16 by AMX, with sums of single precision. Of half floats for processors
   that multiply those themselves (AVX512-FP16): twice as many at once as of 32 bits; sums are kept in 16 bits over HN_HALF_CHAIN
   numbers of a row at most, then added up in 32: what is lost is below (HN_HALF_CHAIN + 2) 2^-11 of the sum of |a b|, and 2^-25 for
   each product, as long as none of the short sums leaves the range of half floats. */
#ifndef HN_HALF_TILE_H
#define HN_HALF_TILE_H
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "hone.h"

enum {
  HN_HALF_ROWS = 32, HN_HALF_COLS = 32, /* of the largest tile of all */
  HN_HALF_CHAIN = 32                    /* products one on top of the other in 16 bits */
};

/* What is done to sums before they are rounded. */
typedef struct hn_half_ending {
  const float *bias;        /* one for each of HN_HALF_COLS columns; NULL: none */
  const uint16_t *residual; /* rows ld_residual apart; NULL: none */
  int64_t ld_residual;
  float lo, hi;             /* bounds; NaN passes */
  float swish;              /* not 0: then x / (1 + exp(-swish x)); for tiles that let sums stay */
  uint16_t *out;            /* rows ld_out apart; NULL: they stay sums */
  int64_t ld_out;
} hn_half_ending;

/* sums (rows of HN_HALF_COLS) = A B. A: rows of 2 `pairs` numbers, lda apart. B: for each pair of rows of it, columns as hn_half_column()
   puts them. */
typedef struct hn_half_job {
  int64_t pairs, lda;
  const uint16_t *a, *b;
  float *sums;
  int rows;
  int64_t a_step;    /* from the numbers of A that one instruction multiplies to the next ones': 2 step where rows lie whole */
  const char *next;  /* what is to be brought near meanwhile, next_step bytes (a multiple of 64) for each four pairs; NULL: nothing */
  int64_t next_step;
  int height;        /* of tiles that begin() made: half of the rows, or one more */
  int64_t step;      /* pairs of one, of which `pairs` is a multiple */
} hn_half_job;

typedef struct hn_half_tile {
  int rows;          /* most of a tile */
  int deep;          /* most pairs that one instruction multiplies; 0: pairs are multiplied one by one, and there is no begin() */
  void (*begin)(int height, int64_t step); /* on each thread */
  void (*end)(void);
  void (*mul)(const hn_half_job *j);
  void (*store)(const hn_half_job *j); /* NULL: mul() left sums; else they are in registers till then */
  void (*finish)(const hn_half_ending *e, float *sums, int rows, int cols);
  void (*round)(const hn_half_ending *e, const float *sums, int rows, int cols); /* with nothing done to them; NULL: the tile lets no sums stay */
  /* n pixels of `pixel` numbers each, 2 or 4, of as many planes; NULL: zeros. NULL: it cannot */
  void (*interleave)(uint16_t *to, const uint16_t *const *plane, int pixel, int64_t n);
} hn_half_tile;

const hn_half_tile *hn_half_tile_best(void);           /* NULL: this processor has no such arithmetic */
const hn_half_tile *hn_bf16_tile_for(hn_isa isa);      /* likewise */
/* The place of column j's number 0 in a panel's row of pairs; number 1 is behind it. Of half floats even columns come first. */
static inline int64_t hn_half_column(hone_dtype t, int64_t j) { return t == HONE_DTYPE_BF16 ? 2 * j : j % 2 * HN_HALF_COLS + j / 2 * 2; }
#if defined(__x86_64__)
extern const hn_half_tile hn_half_tile_avx512fp16, hn_bf16_tile_amx;
#endif
#endif
