/* average_int8.c - the average of each channel over a whole image of bytes, by exact sums, as floats or bytes of any scale. */
#include <string.h>

#include "base/checked.h"
#include "base/parallel.h"
#include "device/cpu/quant/int8_ending.h"
#include "device/cpu/conv/conv.h"

typedef struct average {
  const hn_int8_tile *tile;
  int64_t images, channels, pixels;
  uint8_t flip;
  hn_int8_way_out way;
  float *unit, *bias; /* the same for all channels: as many as a tile's columns */
} average;

bool average_int8_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  if (!t->device || !hn_is_8bit(in->dtype) || !in->quant || in->rank < 3 || in->dynamic) return false;
  int64_t pixels = 1;
  for (int32_t i = 0; i < in->rank; i++) {
    if (in->dims[i] == 0) return false;
    if (i > 1 && !hn_mul_i64(pixels, in->dims[i], &pixels)) return false;
  }
  if (pixels > INT32_MAX / 255) return false; /* sums are of 32 bits */
  return out->dtype == HONE_DTYPE_F32 || (hn_is_8bit(out->dtype) && out->quant);
}

hone_status average_int8_plan(hn_task *t) {
  average *a = hn_calloc(1, sizeof *a);
  const hn_arg *in = &t->in[0];
  double least, most;
  t->state = a;
  if (!a) return hn_nomem(t->cx);
  a->tile = hn_int8_tile_for(t->device->isa, t->device->bytes);
  a->images = in->dims[0];
  a->channels = in->dims[1];
  a->pixels = 1;
  for (int32_t i = 2; i < in->rank; i++) a->pixels *= in->dims[i];
  a->flip = in->dtype == HONE_DTYPE_I8 ? 128 : 0;
  hn_int8_range(in, &least, &most);
  if (t->out[0].quant) {
    if (!hn_int8_function_of(t, t->node->post, t->node->n_post, least, most, &a->way)) return HONE_UNSUPPORTED;
    t->fused = t->node->n_post;
  } else {
    a->way = (hn_int8_way_out){.residual = HN_NONE, .by = 1, .ending = {.to_float = true, .lo = -__builtin_inff(), .hi = __builtin_inff()}};
  }
  a->unit = hn_calloc((size_t)(2 * a->tile->cols), sizeof *a->unit);
  if (!a->unit) return hn_nomem(t->cx);
  a->bias = a->unit + a->tile->cols;
  for (int i = 0; i < a->tile->cols; i++) { /* sums start less the zero point of all pixels */
    a->unit[i] = hn_int8_way_out_unit(&a->way, (double)in->quant->scale / (double)a->pixels);
    a->bias[i] = hn_int8_way_out_bias(&a->way, 0);
  }
  t->scratch = sizeof(int32_t) * (size_t)(a->images * hn_round_up(a->channels, a->tile->cols));
  t->in[0].layout = HN_LAYOUT_NHWC;
  t->out[0].layout = HN_LAYOUT_NHWC;
  return HONE_OK;
}

void average_int8_destroy(hn_task *t) {
  average *a = t->state;
  if (a) hn_free(a->unit);
  hn_free(a);
  t->state = NULL;
}

static void run_images(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const average *a = x->task->state;
  int64_t cols = a->tile->cols, row = hn_round_up(a->channels, cols);
  int32_t zero = (x->task->in[0].quant->zero + a->flip) * (int32_t)a->pixels;
  for (int64_t i = begin; i < end; i++) {
    int32_t *sum = (int32_t *)x->scratch + i * row;
    for (int64_t c = 0; c < row; c++) sum[c] = -zero;
    a->tile->add_pixels(sum, (const uint8_t *)x->in[0].data + i * a->pixels * a->channels, a->flip, a->channels, a->pixels);
    for (int64_t c = 0; c < a->channels; c += cols) {
      size_t size = a->way.ending.to_float ? sizeof(float) : 1;
      hn_int8_finish f = {.sum = sum + c, .unit = a->unit, .bias = a->bias, .n = hn_smaller(cols, a->channels - c), .ld = a->channels,
                          .out = (unsigned char *)x->out[0].data + (size_t)(i * a->channels + c) * size, .ending = &a->way.ending};
      a->tile->finish(&f, 1);
    }
  }
}

hone_status average_int8_run(hn_exec *x) {
  const average *a = x->task->state;
  hn_parallel_for(x->task->threads, a->images, 1, run_images, x);
  return HONE_OK;
}
