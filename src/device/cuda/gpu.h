/* gpu.h - between the host's half of a kernel, in C, and the GPU's half in a .cu file: what both know of an index space, and
   the functions that start kernels on a stream. Sizes are below 2^31 elements (hn_gpu_fits), so that indices are 32 bits. */
#ifndef HN_CUDA_GPU_H
#define HN_CUDA_GPU_H
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "ir/opcode.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HN_GPU_RANK = 12, HN_GPU_OPERANDS = 8, HN_GPU_STEPS = 16, HN_GPU_VECTOR = 8, HN_GPU_BLOCK = 256 };

/* Division by d of numbers below 2^31 as a multiplication: n / d == (mulhi(n, multiply) + n) >> shift. */
typedef struct hn_gpu_div {
  uint32_t d, multiply, shift;
} hn_gpu_div;

static inline hn_gpu_div hn_gpu_div_of(int64_t d) {
  hn_gpu_div v;
  v.d = d > 0 ? (uint32_t)d : 1;
  v.shift = 0;
  while (v.shift < 31 && (uint32_t)1 << v.shift < v.d) v.shift++;
  v.multiply = (uint32_t)((((uint64_t)1 << 32) * (((uint64_t)1 << v.shift) - v.d)) / v.d + 1);
  return v;
}

/* ---- chains of element-wise steps */
typedef struct hn_gpu_operand {
  const void *p;
  float scale, zero; /* of integers that stand for reals */
  uint8_t dtype;
  bool dense;        /* its elements lie as the output's */
} hn_gpu_operand;

typedef struct hn_gpu_step {
  uint16_t op;
  int8_t operand, second; /* -1: none; second: of Where, whose condition is `operand` */
  bool number;            /* the operand is alpha */
  bool swapped;
  uint8_t mode;
  float alpha, beta;
} hn_gpu_step;

typedef struct hn_gpu_chain {
  uint32_t n;
  int32_t rank, steps, source; /* operand it starts from; 0: the output, in place */
  hn_gpu_div dim[HN_GPU_RANK];
  uint32_t stride[HN_GPU_OPERANDS][HN_GPU_RANK];
  hn_gpu_operand operand[HN_GPU_OPERANDS]; /* 0: the output */
  hn_gpu_step step[HN_GPU_STEPS];
  bool ints, u64, rare, quantized, vector;
} hn_gpu_chain;
void hn_gpu_chain_run(cudaStream_t s, const hn_gpu_chain *c);
bool hn_gpu_rare(int op); /* too large to be in the vectorized kernel */

/* ---- copies between strided places */
typedef struct hn_gpu_copy {
  const void *from;
  void *to;
  uint32_t n;             /* units */
  int32_t rank, size;     /* bytes of a unit: 1, 2, 4, 8 or 16 */
  hn_gpu_div dim[HN_GPU_RANK];
  uint32_t in[HN_GPU_RANK], out[HN_GPU_RANK]; /* strides in units; those of `from` may be negative */
  int32_t turned;         /* dimension that is contiguous in `from` while the last one is in `to`; -1: none, or not worth it */
} hn_gpu_copy;
void hn_gpu_copy_run(cudaStream_t s, const hn_gpu_copy *c);

/* Each output element is the input's at a place found for each axis on its own, or `fill`. */
typedef enum hn_gpu_edge { HN_EDGE_CONSTANT, HN_EDGE_REFLECT, HN_EDGE_EDGE, HN_EDGE_WRAP } hn_gpu_edge;
typedef struct hn_gpu_pad {
  const void *from, *fill; /* fill NULL: zeros */
  void *to;
  uint32_t n;
  int32_t rank, size;
  hn_gpu_edge edge;
  hn_gpu_div dim[HN_GPU_RANK];                  /* of the output */
  int32_t before[HN_GPU_RANK], in[HN_GPU_RANK]; /* elements added in front; dimensions of the input */
  uint32_t stride[HN_GPU_RANK];                 /* of the input */
} hn_gpu_pad;
void hn_gpu_pad_run(cudaStream_t s, const hn_gpu_pad *p);

/* ---- groups of elements that are reduced, or normalized, together. A block of HN_GPU_BLOCK threads takes some groups, each by
   `threads` of them. */
typedef struct hn_gpu_groups {
  uint32_t groups, n;                 /* how many, and elements of one */
  int32_t kept_rank, inner_rank;
  hn_gpu_div kept[HN_GPU_RANK], inner[HN_GPU_RANK];
  uint32_t kept_stride[HN_GPU_RANK], inner_stride[HN_GPU_RANK];
  uint32_t threads;                   /* of a group; a power of two */
  bool along;                         /* neighbouring threads take neighbouring elements of a group, else neighbouring groups */
  bool vector;                        /* a group lies in one piece, which can be read eight elements at a time */
} hn_gpu_groups;

typedef struct hn_gpu_reduce {
  hn_gpu_groups g;
  const void *in;
  void *out;
  int32_t op, dtype;
  bool u64;
} hn_gpu_reduce;
void hn_gpu_reduce_run(cudaStream_t s, const hn_gpu_reduce *r); /* also GlobalAveragePool, GlobalMaxPool: as their reductions */

typedef struct hn_gpu_arg_reduce {
  hn_gpu_groups g;
  const void *in;
  int64_t *out;
  int32_t dtype;
  bool floats, least, last;
} hn_gpu_arg_reduce;
void hn_gpu_arg_reduce_run(cudaStream_t s, const hn_gpu_arg_reduce *r);

typedef struct hn_gpu_softmax {
  hn_gpu_groups g;
  const void *in;
  void *out;
  int32_t op, dtype, p;
} hn_gpu_softmax;
void hn_gpu_softmax_run(cudaStream_t s, const hn_gpu_softmax *f);

/* y = (x - mean) / sqrt(variance + epsilon) * scale + shift, or by the root mean square, or as MeanVarianceNormalization. */
typedef enum hn_gpu_factor { HN_FACTOR_NONE, HN_FACTOR_ELEMENT, HN_FACTOR_QUOTIENT, HN_FACTOR_REST } hn_gpu_factor;
typedef struct hn_gpu_norm {
  hn_gpu_groups g;
  const void *in, *scale, *shift; /* NULL: none */
  void *out, *mean, *inverse;     /* the last two: floats of each group, or NULL */
  int32_t dtype;
  bool rms, deviation;            /* deviation: divided by sqrt(variance) + 1e-9 */
  float epsilon;
  hn_gpu_factor factor;           /* element k of group g takes factor (g % cycle) * each + k, k / by, or k % by */
  hn_gpu_div cycle, by;
  uint32_t each;
} hn_gpu_norm;
void hn_gpu_norm_run(cudaStream_t s, const hn_gpu_norm *n);

typedef struct hn_gpu_channels { /* one operation with what belongs to the channel */
  const void *in, *scale, *shift, *mean, *variance;
  void *out;
  uint32_t n;
  hn_gpu_div inner, channels; /* elements between two of a channel's neighbours in memory, and channels */
  int32_t dtype, before, after; /* of LRN: channels in front and behind that count */
  float epsilon, alpha, beta, bias;
} hn_gpu_channels;
void hn_gpu_batch_norm_run(cudaStream_t s, const hn_gpu_channels *c);
void hn_gpu_lrn_run(cudaStream_t s, const hn_gpu_channels *c);

/* ---- picking and placing by index. Where an index is out of range nothing is read or written there, and `who` is left in
   *fault, memory of the host. */
typedef struct hn_gpu_fault {
  unsigned long long *word, who;
} hn_gpu_fault;

/* Units are of `size` bytes. Gather: out (o, i, k) is in (o, at[i], k) of an axis of `limit`. */
typedef struct hn_gpu_gather {
  const void *in, *at;
  void *out;
  uint32_t n;
  int32_t size, at_dtype, limit;
  hn_gpu_div inner, count;
  hn_gpu_fault fault;
} hn_gpu_gather;
void hn_gpu_gather_run(cudaStream_t s, const hn_gpu_gather *g);

/* Elements along an axis: of GatherElements, ScatterElements. The walk is over the indices. */
typedef struct hn_gpu_elements {
  const void *from, *at; /* the data, or the updates */
  void *to;
  uint32_t n;
  int32_t rank, axis, size, dtype, at_dtype, limit, reduction; /* reduction: an operator, or 0 */
  bool scatter;
  hn_gpu_div dim[HN_GPU_RANK];
  uint32_t stride[HN_GPU_RANK]; /* of the data */
  hn_gpu_fault fault;
} hn_gpu_elements;
void hn_gpu_elements_run(cudaStream_t s, const hn_gpu_elements *e);

/* Runs of `run` units named by tuples of `depth` indices: of GatherND, ScatterND. */
typedef struct hn_gpu_tuples {
  const void *from, *at;
  void *to;
  uint32_t n;            /* units in all */
  int32_t depth, size, dtype, at_dtype, reduction;
  bool scatter;
  hn_gpu_div run, each;  /* each: tuples of a batch */
  int32_t dim[HN_GPU_RANK]; /* that a tuple's numbers count */
  hn_gpu_fault fault;
} hn_gpu_tuples;
void hn_gpu_tuples_run(cudaStream_t s, const hn_gpu_tuples *t);

typedef struct hn_gpu_fill { /* OneHot, Trilu, EyeLike, ReverseSequence */
  const void *in, *values;
  void *out;
  uint32_t n;
  int32_t op, size, dtype, at_dtype;
  hn_gpu_div inner, middle; /* the last dimension (or what lies behind the axis), and the one before */
  int64_t k;                /* diagonal; the depth of OneHot */
  bool upper;
  hn_gpu_div batch_stride, batch, time_stride, time;
  hn_gpu_fault fault;
} hn_gpu_fill;
void hn_gpu_fill_run(cudaStream_t s, const hn_gpu_fill *f);

/* ---- running sums and products along an axis */
typedef struct hn_gpu_scan {
  hn_gpu_groups g;
  const void *in;
  void *out;
  int32_t dtype;
  bool exclusive, reverse, product, ints;
} hn_gpu_scan;
void hn_gpu_scan_run(cudaStream_t s, const hn_gpu_scan *c);

/* ---- windows over up to three spatial dimensions, in any unblocked layout */
enum { HN_GPU_SPATIAL = 3 };
typedef struct hn_gpu_image { /* elements between neighbours */
  int32_t dim[HN_GPU_SPATIAL];
  uint32_t step[HN_GPU_SPATIAL], image, channel;
} hn_gpu_image;
typedef struct hn_gpu_window {
  hn_gpu_image in, out;
  int32_t kernel[HN_GPU_SPATIAL], stride[HN_GPU_SPATIAL], dilation[HN_GPU_SPATIAL], pad_begin[HN_GPU_SPATIAL], pad_end[HN_GPU_SPATIAL], taps;
  hn_gpu_div out_dim[HN_GPU_SPATIAL], channels; /* of the output, for walking over it */
  bool last;                                    /* channels lie innermost in the output */
} hn_gpu_window;

typedef struct hn_gpu_pool {
  hn_gpu_window w;
  const void *in;
  void *out;
  int64_t *where;     /* places of the largest; NULL: not asked for */
  uint32_t n;
  int32_t kind, dtype; /* the operator */
  bool count_pad, columns, vector;
  float p;
  float scale, zero; /* of bytes that stand for reals; averages of such are floats */
} hn_gpu_pool;
void hn_gpu_pool_run(cudaStream_t s, const hn_gpu_pool *p);

/* A tensor of floats, or of 8-bit integers that stand for reals: with one scale, or one for each `scales_by` elements. */
typedef struct hn_gpu_real {
  const void *p;
  const float *scales; /* NULL: one */
  float scale, zero;
  int32_t dtype;
  bool integer;
} hn_gpu_real;

typedef struct hn_gpu_conv {
  hn_gpu_window w;
  hn_gpu_real in, weights, bias, out; /* bias.p NULL: none; scales: one for each output channel */
  uint32_t n, images, pixels, co, ci; /* elements of the output; channels of a group; pixels of an output plane */
  uint32_t group;
  hn_gpu_div per_group, taps_div, tap[HN_GPU_SPATIAL], pixels_div;
  bool transposed, tiled;
} hn_gpu_conv;
void hn_gpu_conv_run(cudaStream_t s, const hn_gpu_conv *c);

/* out = alpha * a b + beta * c, for batches with strides of their own. */
typedef struct hn_gpu_product {
  hn_gpu_real a, b, c, out; /* c.p NULL: none */
  uint32_t m, n, k, batches;
  uint32_t a_row, a_column, b_row, b_column, c_row, c_column;
  int32_t batch_rank;
  hn_gpu_div batch[HN_GPU_RANK];
  uint32_t a_batch[HN_GPU_RANK], b_batch[HN_GPU_RANK];
  float alpha, beta;
} hn_gpu_product;
void hn_gpu_product_run(cudaStream_t s, const hn_gpu_product *p);

/* ---- attention in one pass over the keys */
enum { HN_GPU_HEAD = 256 }; /* the largest size of a head */
typedef struct hn_gpu_rows { /* (batch, head, row), elements next to one another */
  const void *p;
  uint32_t batch, head, row;
} hn_gpu_rows;
typedef struct hn_gpu_attention {
  hn_gpu_rows q, k, v, out;
  const void *mask;             /* NULL: none */
  uint32_t mask_stride[4];
  int32_t mask_dim[4];          /* batch, head, query, key; 1: broadcast */
  uint32_t batches, heads, per; /* per: heads of the queries for one of the keys */
  int32_t nq, nk, size, value_size, past, dtype, mask_dtype;
  float scale, softcap;
  bool causal;
} hn_gpu_attention;
void hn_gpu_attention_run(cudaStream_t s, const hn_gpu_attention *a);

typedef struct hn_gpu_rotary {
  const void *in, *cosine, *sine, *positions; /* positions: I64 or I32, NULL: none */
  void *out;
  uint32_t n;                  /* pairs, and elements that stay */
  hn_gpu_div size, heads, sequence;
  uint32_t stride_b, stride_s, stride_h, half, rows;
  int32_t dtype, position_dtype;
  bool interleaved;
  hn_gpu_fault fault;
} hn_gpu_rotary;
void hn_gpu_rotary_run(cudaStream_t s, const hn_gpu_rotary *r);

/* ---- resampling: an output is the sum over taps of up to three axes */
typedef struct hn_gpu_taps {
  const int32_t *at;
  const float *weight;
  const uint8_t *outside; /* NULL: nowhere */
  int32_t n;              /* taps of an output index; 0: the axis stays as it is */
  uint32_t stride;        /* of the input */
} hn_gpu_taps;
typedef struct hn_gpu_resize {
  const void *in;
  void *out;
  uint32_t n;
  int32_t rank, dtype;
  hn_gpu_div dim[HN_GPU_RANK];   /* of the output, as it lies */
  uint32_t stride[HN_GPU_RANK];  /* of the input along it; unused where the axis has taps */
  int32_t axis[HN_GPU_RANK];     /* number of its taps, or -1 */
  hn_gpu_taps taps[HN_GPU_SPATIAL];
  float extrapolated;
} hn_gpu_resize;
void hn_gpu_resize_run(cudaStream_t s, const hn_gpu_resize *r);

typedef struct hn_gpu_grid {
  const void *in, *grid;
  void *out;
  uint32_t n;
  int32_t spatial, taps, border, dtype, size[HN_GPU_SPATIAL]; /* taps: 1, 2 or 4; border: zeros, edge, reflection */
  hn_gpu_div points, channels;
  bool corners;
} hn_gpu_grid;
void hn_gpu_grid_run(cudaStream_t s, const hn_gpu_grid *g);

typedef struct hn_gpu_regions {
  const void *in, *regions, *images; /* images: of RoiAlign */
  void *out;
  uint32_t n;
  int32_t dtype, image_dtype, height, width, ratio, limit; /* limit: images */
  hn_gpu_div pooled_w, pooled_h, channels;
  double scale;
  bool max, half, whole; /* whole: MaxRoiPool */
  hn_gpu_fault fault;
} hn_gpu_regions;
void hn_gpu_regions_run(cudaStream_t s, const hn_gpu_regions *r);

/* ---- the k first of each group in order */
enum { HN_GPU_SORTED = 2048, HN_GPU_TOP = 1024 }; /* elements that a block sorts; the largest k of longer groups */
typedef struct hn_gpu_top {
  hn_gpu_groups g;        /* g.threads is not used */
  const void *in;
  void *values;
  int64_t *places;
  uint64_t *spare[2];     /* groups * chunks * k keys each, where groups are longer than a block sorts */
  int32_t dtype, k;
  uint32_t inner;         /* elements between two of a group, in the output */
  hn_gpu_div inner_div;
  bool largest;
} hn_gpu_top;
void hn_gpu_top_run(cudaStream_t s, const hn_gpu_top *t);

/* ---- what is found to be chosen while it runs; *total, memory of the host, becomes how many */
enum { HN_GPU_PIECE = 2048 }; /* elements whose flags a block looks at */
void hn_gpu_begins_run(cudaStream_t s, uint32_t *counts, uint32_t n, uint32_t *total); /* n counts become their n + 1 bounds */
typedef struct hn_gpu_select { /* the places of elements that are not zero, in order */
  const void *in;
  int32_t *places;
  uint32_t *begins; /* pieces + 1 */
  uint32_t n, pieces;
  int32_t dtype;
  bool floats;
} hn_gpu_select;
void hn_gpu_select_run(cudaStream_t s, const hn_gpu_select *c, uint32_t *total);
typedef struct hn_gpu_coordinates { /* of n places, one row a dimension */
  const int32_t *places;
  int64_t *out;
  uint32_t n;
  int32_t rank;
  hn_gpu_div dim[HN_GPU_RANK];
} hn_gpu_coordinates;
void hn_gpu_coordinates_run(cudaStream_t s, const hn_gpu_coordinates *c);
typedef struct hn_gpu_suppress {
  const void *boxes, *scores;
  uint8_t *gone;             /* groups * n */
  uint32_t *picked, *begins; /* groups * limit; groups + 1 */
  int64_t *out;              /* (image, class, box) of each pick */
  uint32_t n, classes, groups, limit; /* boxes of an image; groups: classes of all images; limit: picks of one */
  int32_t dtype;
  double threshold, least;
  bool has_least, centered;
} hn_gpu_suppress;
void hn_gpu_suppress_run(cudaStream_t s, const hn_gpu_suppress *p, uint32_t *total);
void hn_gpu_picks_run(cudaStream_t s, const hn_gpu_suppress *p); /* then: writes them */

/* ---- QuantizeLinear, DequantizeLinear */
typedef struct hn_gpu_quantize {
  const void *in, *scale, *zero; /* zero NULL: none */
  void *out;
  uint32_t n;
  int32_t in_dtype, scale_dtype, zero_dtype, out_dtype, low, high;
  hn_gpu_div inner, axis, block; /* element i: axis index (i / inner) % axis */
  uint32_t blocks;               /* 0: one scale an axis index; else one for each block of them and each other place */
  bool one, back;                /* one scale for all; back: dequantize */
} hn_gpu_quantize;
void hn_gpu_quantize_run(cudaStream_t s, const hn_gpu_quantize *q);

/* Rows of bytes as signed ones (flip 0x80: unsigned less 128), in rows of `words` times four, zeros behind. */
typedef struct hn_gpu_signed {
  const void *from;
  void *to;
  uint32_t n, row; /* words in all; bytes of a row of `from` */
  hn_gpu_div words;
  uint8_t flip;
} hn_gpu_signed;
void hn_gpu_signed_run(cudaStream_t s, const hn_gpu_signed *r);

/* ---- steps of RNN, GRU and LSTM; all state in floats */
typedef struct hn_gpu_gate {
  int32_t op; /* 0: alpha * x + beta */
  float alpha, beta;
} hn_gpu_gate;
typedef struct hn_gpu_recurrent {
  const void *recurrent, *bias, *peepholes, *lengths; /* of the direction; bias, peepholes, lengths NULL: none */
  const float *x;             /* products of the inputs with their weights: step, batch, gate, unit */
  float *h[2], *c, *gates;    /* states by batch and unit, h[0] before the step; gates: z and r * h of a GRU */
  void *y;                    /* output of the whole, NULL: none */
  int32_t op, dtype, length_dtype, batch, hidden, step, steps;
  uint32_t y_step, y_batch;   /* elements between two of them in y */
  bool backwards, linear_before_reset, input_forget;
  float clip;
  hn_gpu_gate gate[3];
} hn_gpu_recurrent;
void hn_gpu_recurrent_step(cudaStream_t s, const hn_gpu_recurrent *r);
/* States between floats and an output's or input's type; from NULL: zeros. Element (b, j) of the typed side is at b * batch + j. */
typedef struct hn_gpu_state {
  const void *from;
  void *to;
  uint32_t n;
  hn_gpu_div hidden;
  uint32_t from_batch, to_batch;
  int32_t from_dtype, to_dtype;
} hn_gpu_state;
void hn_gpu_state_run(cudaStream_t s, const hn_gpu_state *v);

#ifdef __cplusplus
}
#endif
#endif
