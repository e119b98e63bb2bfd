/* int8_tile.h - the micro-kernels of exact integer products: tiles of 32-bit sums of products of unsigned activations and signed
   weights, four along the sum at a time ("quads"), and the way from the sums to the output. Compiled for each
   instruction set from int8_tile_body.h. */
#ifndef HN_INT8_TILE_H
#define HN_INT8_TILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

/* What becomes of a result, told in steps of the output. */
typedef enum hn_int8_function {
  HN_INT8_BYTES,     /* nothing that bytes would not do by themselves: packing ends where they do */
  HN_INT8_BOUNDS,    /* lo..hi */
  HN_INT8_LEAKY,     /* what is below zero times a, then bounds */
  HN_INT8_HARDSWISH, /* x, a real, times a x + b within 0..c, plus d, then bounds */
  HN_INT8_CURVE,     /* x tells a place on the curve, 0..HN_INT8_PIECES; what it gives lies within bounds */
  HN_INT8_FUNCTIONS
} hn_int8_function;

enum { HN_INT8_PIECES = 32 };
typedef struct hn_int8_ending {
  hn_int8_function function;
  float lo, hi, a, b, c, d;
  float curve[3][HN_INT8_PIECES]; /* value, slope and bend at the middle of each piece; a piece is 1 wide */
  bool to_float, is_signed;       /* the output: floats, or bytes with this zero point */
  int32_t zero;
} hn_int8_ending;

typedef enum hn_int8_residual { HN_INT8_NO_RESIDUAL, HN_INT8_RESIDUAL_U8, HN_INT8_RESIDUAL_I8, HN_INT8_RESIDUAL_F32 } hn_int8_residual;

typedef struct hn_int8_mul {
  const uint8_t *a;      /* rows of activations, lda apart */
  int64_t lda;
  const int8_t *w;       /* packed: quads of `cols` columns, four weights of a column together */
  const int32_t *at;     /* where in a row the activations of each quad lie; NULL: at 4 times its number */
  int64_t quads;
  const int32_t *init;   /* what the sums of each column start from */
  int32_t *sum;          /* rows of `cols`: with tiles HN_INT8_LATER of them at least */
  /* where there are tiles, after begin(); height 0: without */
  int height;            /* rows of one */
  bool starts;           /* init is not all zeros */
  int64_t step;          /* quads of one, of which `quads` is a multiple */
  int64_t a_step;        /* bytes in a row from those of one to those of the next; 0: they follow each other */
  const int8_t *next;    /* weights that are wanted next, to be brought nearer; NULL: they are near */
  struct hn_int8_later *later;
} hn_int8_mul;

typedef struct hn_int8_finish {
  const int32_t *sum;    /* rows of `cols` */
  const float *unit, *bias; /* by column, `cols` of each: the result is sum * unit + bias + residual * by */
  hn_int8_residual residual;
  const void *res;       /* as the output lies; may be the output */
  float by;
  int64_t n, ld;         /* columns that there are; elements between rows of the output */
  void *out;
  const hn_int8_ending *ending;
  /* to floats, rows with numbers of their own (NULL: without): (sum less row_zero * column) * row_unit takes the place of the sum */
  const float *row_unit;
  const int32_t *row_zero, *column;
} hn_int8_finish;

/* Sums that become outputs while others are made. One for each thread, of calls of one kind of ending; flush() in the end. */
enum { HN_INT8_LATER = 3 };
typedef struct hn_int8_waiting {
  hn_int8_finish f;
  int rows;              /* 0: none */
} hn_int8_waiting;
typedef struct hn_int8_later {
  hn_int8_waiting waiting[HN_INT8_LATER]; /* each with its part of hn_int8_mul.sum */
  int turn;              /* the next one's */
} hn_int8_later;

/* Neighbouring pixels of a depthwise convolution, channels last: `wide` channels of `pixels` of them or of one, or, in `split` parts
   of a vector, wide / split channels of so many times as many. Taps are taken by columns: the rows of the window, in quads, filled
   up with any pixel under weights of zero. */
enum { HN_INT8_PIXELS = 4, HN_INT8_SPLIT = 4, HN_INT8_SIDE = 5 }; /* largest */
typedef struct hn_int8_depthwise {
  const uint8_t *const *pixel; /* 4 * quads rows of (all pixels - 1) * stride + side pointers */
  int quads, side, stride, split;
  int64_t from, blocks;  /* first channel; blocks of channels, the last of which ends where the channels do and repeats a few */
  const int8_t *w;       /* block, quad, column, four vectors of quads of weights; as order() puts channels, those of each part in turn */
  const int32_t *init;   /* by block, as order() puts channels */
  const float *unit, *bias;
  int64_t channels;      /* of a pixel */
  void *out;
  const hn_int8_ending *ending;
} hn_int8_depthwise;

/* Two runs into one: x is bytes, y bytes or floats.
   sum: x * a + (y * b + c); product: (x - zero) * (y * b + c); then the function. */
typedef struct hn_int8_pair {
  const void *x, *y;
  bool x_signed, product;
  hn_int8_residual y_type;
  float a, b, c, zero;
  uint8_t *out;
  const hn_int8_ending *ending;
} hn_int8_pair;

/* A run of bytes with numbers of its own, and another run: x * a[i] + b[i] + r * by; then the function. */
typedef struct hn_int8_blend {
  const void *x, *r;     /* r may be NULL */
  bool x_signed, r_signed;
  const float *a, *b;
  float by;
  uint8_t *out;          /* may be x or r */
  const hn_int8_ending *ending;
} hn_int8_blend;

/* Several runs of bytes into one: (start + the sum of row[k] * weight[k]) / by * unit + bias; then the function. */
typedef struct hn_int8_weigh {
  const uint8_t *const *row;
  const float *weight;
  int rows;
  bool is_signed;
  float start, by, unit, bias;
  uint8_t *out;          /* none of the rows */
  const hn_int8_ending *ending;
} hn_int8_weigh;

typedef struct hn_int8_tile {
  int rows, cols;        /* largest tile */
  int lanes;             /* half of cols: a narrower last panel costs half */
  int wide, pixels, split; /* of depthwise(): channels of a block; pixels that it does at once, or one; most parts */
  int deep;              /* most quads that one instruction of tiles multiplies; 0: there are none */
  void (*begin)(int height, int64_t step); /* on each thread, before mul() with tiles of so many rows (16 at most) and quads */
  void (*end)(void);
  void (*flush)(hn_int8_later *l);
  bool saturates;        /* the sum of two products must fit 16 bits: quads where it may not are to be given in two */
  void (*mul)(const hn_int8_mul *m, const hn_int8_finish *f, int rows, bool narrow); /* to the end, m->sum being room; f NULL: to the sums */
  void (*finish)(const hn_int8_finish *f, int rows);
  void (*depthwise)(const hn_int8_depthwise *d, int pixels);
  int (*order)(int i);   /* channel of a block that comes i-th */
  void (*pair)(const hn_int8_pair *p, int64_t n);
  void (*blend)(const hn_int8_blend *b, int64_t n);
  void (*weigh)(const hn_int8_weigh *w, int64_t n);
  /* d[i] = sum[i] * unit + add[i] (NULL: nothing); the largest of them. A row of sums lies in panels of `cols`, `panel` apart; d is room
     for as many as there are lanes more. */
  float (*scores)(float *d, const int32_t *sum, int64_t panel, float unit, const float *add, int64_t n);
  /* x[i] * by, rounded, as two bytes each; returns the sum, below 2^24. x[i] * by: from 0 to 65535; n: a multiple of lanes. */
  int32_t (*halve)(uint8_t *high, uint8_t *low, const float *x, float by, int64_t n);
  /* high[i] = 256 * high[i] + low[i] less a number for each row, of rows of `cols` */
  void (*join)(int32_t *high, const int32_t *low, const int32_t *less, int rows);
  void (*most)(uint8_t *d, const uint8_t *x, bool is_signed, int64_t n); /* d[i] = the larger of d[i] and x[i] */
  void (*look_up)(uint8_t *d, const uint8_t *x, const uint8_t table[256], int64_t n);
  /* sum[i] += x[i] less zero times w[i] */
  void (*add_products)(int32_t *sum, const uint8_t *x, int32_t zero, const int8_t *w, int64_t n);
  /* sum[c] += the bytes of channel c of some pixels, each xor `flip` */
  void (*add_pixels)(int32_t *sum, const uint8_t *x, uint8_t flip, int64_t channels, int64_t pixels);
} hn_int8_tile;

const hn_int8_tile *hn_int8_tile_for(hn_isa isa, hn_bytes bytes);
extern const hn_int8_tile hn_int8_tile_portable;
#if defined(__x86_64__)
extern const hn_int8_tile hn_int8_tile_avx2, hn_int8_tile_avxvnni, hn_int8_tile_avx512, hn_int8_tile_avx512vnni, hn_int8_tile_amx;
#endif
#endif
