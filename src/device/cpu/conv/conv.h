/* conv.h - what our convolutions share: the geometry of the node, images channels last, and the part of its epilogue that
   is done while the result is at hand. */
#ifndef HN_CONV_H
#define HN_CONV_H
#include "base/count.h"
#include "device/cpu/cpu.h"
#include "device/cpu/conv/strip.h"
#include "device/cpu/gemm/tile.h"
#include "device/cpu/quant/convert_runs.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/half_runs.h"

/* A convolution over two dimensions; over one it has height 1. */
typedef struct hn_conv {
  int64_t images, in_h, in_w, in_c, out_h, out_w, out_c, group;
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} hn_conv;

/* float32, one or two spatial dimensions, all shapes fixed, weights and bias constant. */
bool hn_conv_supported(const hn_task *t);
bool hn_conv_supported_as(const hn_task *t, hn_dtype of); /* the same of another type */
/* Only where supported. UNSUPPORTED: the attributes make no sense. */
hone_status hn_conv_resolve(hn_task *t, hn_conv *c);
/* Without padding and stride a 1x1 convolution does not care for lines: all pixels become one. */
void hn_conv_flatten(hn_conv *c);
/* Multiply-accumulates; and the threads that so many are worth waking: less than a few microseconds of one are not. */
int64_t hn_conv_macs(const hn_conv *c);
static inline int hn_conv_threads(const hn_task *t, int64_t macs) {
  int64_t worth = 1 + macs / hn_cpu_of(t)->thread_macs;
  return worth < t->threads ? (int)worth : t->threads;
}
static inline bool hn_conv_has_bias(const hn_task *t) { return t->node->n_main > 2 && t->in[2].present; }
/* The weight of output channel m, input channel k of its group, at tap (y, x) is w[((m * in_c/group + k) * kernel_h + y) *
   kernel_w + x]. Bias followed by `extra` zeros, of the bias' type, packed with the task; NULL without bias. */
hone_status hn_conv_pack_bias(hn_task *t, int64_t extra, const void **out);

/* The leading steps of an epilogue that suit a kernel which holds its result in registers or in cache: a residual of the
   output's shape, bounds (Relu, Clip), then other unary steps. */
typedef struct hn_ending {
  uint32_t residual; /* the input, or HN_NONE */
  int64_t residual_pitch; /* from pixel to pixel of it */
  float lo, hi;
  uint32_t n;
  hn_step unary[4];
  const hn_vec *vec;
  hn_dtype dtype;   /* of the result */
  const hn_half_runs *half; /* what arithmetic on 16-bit floats is there; may be NULL */
  hn_load_run load; /* from the numbers of the result to floats, and back; NULL: they are floats */
  hn_store_run store;
} hn_ending;
/* Takes what it can, in t->fused too, and asks for the residual (if the kernel can take one) in layout l, in place where
   possible. */
void hn_ending_take(hn_task *t, hn_layout l, bool residual, hn_ending *e);
/* The unary steps over n numbers of the output's type. */
void hn_ending_run(const hn_ending *e, void *d, int64_t n);
/* The same over floats, which are to become the output. */
void hn_ending_floats(const hn_ending *e, float *d, int64_t n);
#endif
