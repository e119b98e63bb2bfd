/* split.h - products of single precision by instructions that multiply bfloat16. A float of 24 bits is the sum of three bfloat16
   numbers of 8 bits each, exactly, as long as none of the three underflows; of the nine products of two such sums the six largest
   are added up in single precision, and the other three are below 2^-24 of the first (Henry, Tang & Heinecke, "Leveraging the
   bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations", 2019). The instructions flush what is below
   2^-126 to zero and know no infinity minus infinity that would cancel, so numbers must lie in a range (hn_split_fits); the same
   loops run on the floats themselves, in cells of the same size, where they do not. */
#ifndef HN_SPLIT_H
#define HN_SPLIT_H
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/count.h"
#include "base/isa.h"
#include "base/status.h"

enum {
  HN_SPLIT_DEPTH = 32, /* numbers along k in a cell */
  HN_SPLIT_ROWS = 32,  /* of a tile of the result */
  HN_SPLIT_COLS = 32,
  HN_SPLIT_PARTS = 3,
  HN_SPLIT_CELL =
      HN_SPLIT_PARTS * HN_SPLIT_DEPTH, /* 16-bit numbers of a row of the left matrix: part by part; or floats, and a gap */
  HN_SPLIT_LINES = HN_SPLIT_DEPTH,     /* of a cell of the right matrix: for each half of the columns and pair of rows, 16
                                          numbers of one and 16 of the other. Packed, it is floats; in use, it has such
                                          lines of each part */
  HN_SPLIT_LINE = HN_SPLIT_COLS,
  HN_SPLIT_PART = HN_SPLIT_LINES * HN_SPLIT_LINE
};

/* A finished tile of sums on its way to the result. */
typedef struct hn_split_end {
  const float *sums;     /* HN_SPLIT_ROWS x HN_SPLIT_COLS */
  int rows, cols;        /* of it that are wanted */
  const int32_t *place;  /* where each row goes, in rows; negative: nowhere */
  float *out;
  int64_t out_pitch;     /* floats from row to row */
  const float *start;    /* what is added; NULL: nothing */
  int64_t start_pitch;
  const float *bias;     /* padded to HN_SPLIT_COLS numbers; NULL: none */
  float lo, hi;          /* NaN passes */
} hn_split_end;

typedef struct hn_split_job {
  int64_t cells;           /* of k */
  bool more;               /* sums are added to; else they begin with zeros */
  const uint16_t *a;       /* the first row; each HN_SPLIT_CELL behind the one before. As many as the tile has are read. */
  const int64_t *offsets;  /* of each cell from there */
  const void *b;           /* cells of a panel: their parts, or the floats themselves */
  float *sums;             /* 64-byte aligned */
  const hn_split_end *end; /* of another tile, to be finished meanwhile; NULL: none */
  const float *next;       /* lines of other cells that are to be cut meanwhile, `line` to `last` of them into `parts` */
  uint16_t *parts;
  int64_t line, last;
} hn_split_job;

typedef struct hn_split {
  void (*begin)(void); /* on each thread, before products; end() after them */
  void (*end)(void);
  void (*mul)(const hn_split_job *j, bool half_rows, bool half_cols); /* half: no more than 16 are wanted */
  void (*finish)(const hn_split_end *e, int from, int to);            /* rows of it */
  /* `n` numbers each of `pixels` rows, `pitch` apart, into cells `step` apart for each HN_SPLIT_DEPTH of them, the last filled up
     with zeros. Returns the bits of the largest magnitude, those of NaN being larger than all. */
  uint32_t (*cut)(const float *x, int64_t pitch, int64_t pixels, int64_t n, uint16_t *to, int64_t step);
  void (*cut_panel)(const float *b, int64_t from, int64_t to,
                    uint16_t *parts); /* lines; NULL: floats are multiplied as they are */
} hn_split;

/* NULL: no instructions that would make it worth while. */
const hn_split *hn_split_for(hn_isa isa);
extern const hn_split hn_split_portable; /* the same arithmetic by plain floats, to test with */
extern const hn_split hn_split_whole;    /* the floats themselves */
#if defined(__x86_64__)
extern const hn_split hn_split_avx512;   /* by AMX */
#endif

/* The range of magnitudes within which the largest of a block of activations, and that of the weights, must lie, unless all are
   zero: sums of 2^30 products stay finite then, and all that is flushed to zero is less than 2^-33 of the product of the two
   largest for each step of k, where rounding to single precision costs 2^-24. */
static inline bool hn_split_fits(uint32_t most) {
  return most == 0 || (most >= 0x21800000U && most <= 0x5d800000U);
} /* 2^-60, 2^60 */
static inline bool hn_split_fits_weights(uint32_t most) {
  return most == 0 || (most >= 0x30800000U && most <= 0x4e800000U);
} /* 2^-30, 2^30 */

/* Packs cells from..from + ceil(k / HN_SPLIT_DEPTH) of panels that have `cells` in all: a k x n matrix, element (i, j) at
   b[i * step_k + j * step_n]. Returns the bits of the largest magnitude. */
static inline size_t hn_split_packed(int64_t cells, int64_t n) { /* floats */
  return (size_t)(cells * hn_ceil_div(n, HN_SPLIT_COLS)) * HN_SPLIT_PART;
}
uint32_t hn_split_pack(int64_t cells, int64_t from, int64_t k, int64_t n, const float *b, int64_t step_k, int64_t step_n,
                       float *packed);
/* Numbers 16 apart are a pair: where number k lies in a part of a cell of the left matrix; where row k, column `col` of the right
   one lies in its lines, as floats and in a part. */
static inline int64_t hn_split_at(int64_t k) { return k % 16 * 2 + k / 16; }
static inline int64_t hn_split_line_at(int64_t k, int64_t col) { return (col / 16 * 16 + k % 16) * HN_SPLIT_LINE; }
static inline int64_t hn_split_float_at(int64_t k, int64_t col) { return hn_split_line_at(k, col) + k / 16 * 16 + col % 16; }
static inline int64_t hn_split_part_at(int64_t k, int64_t col) {
  return hn_split_line_at(k, col) + hn_split_at(col % 16 + k / 16 * 16);
}
/* The largest error of the product of random numbers with a packed panel, relative to its largest result. */
hone_status hn_split_error(hone_context *cx, const hn_split *s, int64_t cells, const float *packed, double *error);
#endif
