/* dynamic_quantize_vec.c - DynamicQuantizeLinear: the range of all numbers, or of each row, then the numbers as bytes of that range. */
#include <math.h>

#include "base/parallel.h"
#include "device/cpu/quant/convert_runs.h"
#include "device/cpu/cpu.h"

enum { GRAIN = 32768 };

typedef struct dynamic_quantize {
  const hn_convert *convert;
} dynamic_quantize;

bool dynamic_quantize_vec_supports(const hn_task *t) {
  return t->device && t->in[0].dtype == HONE_DTYPE_F32 && !t->in[0].dynamic && t->out[0].present && t->out[1].present && t->out[2].present;
}

hone_status dynamic_quantize_vec_plan(hn_task *t) {
  dynamic_quantize *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  s->convert = hn_convert_for(t->device->isa);
  t->in[0].layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < t->n_out; i++) t->out[i].layout = HN_LAYOUT_PLAIN;
  return HONE_OK;
}

void dynamic_quantize_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

typedef struct quantize_run {
  const hn_convert *convert;
  const float *x;
  uint8_t *y, *zeros;
  float *scales, scale, zero;
  int64_t n;
} quantize_run;

static void numbers_of(const quantize_run *r, const float *x, int64_t n, float *scale, float *zero) {
  float low = 0, high = 0;
  r->convert->range(x, (size_t)n, &low, &high);
  *scale = high > low ? (high - low) / 255.0f : 1.0f;
  *zero = rintf(-low / *scale);
  *zero = *zero < 0 ? 0 : *zero > 255 ? 255 : *zero;
}

static void run_part(void *arg, int64_t begin, int64_t end) {
  const quantize_run *r = arg;
  r->convert->store[HONE_DTYPE_U8](r->y + begin, r->x + begin, (size_t)(end - begin), r->scale, r->zero);
}

static void run_rows(void *arg, int64_t begin, int64_t end) {
  const quantize_run *r = arg;
  for (int64_t i = begin; i < end; i++) {
    float zero;
    numbers_of(r, r->x + i * r->n, r->n, &r->scales[i], &zero);
    r->convert->store[HONE_DTYPE_U8](r->y + i * r->n, r->x + i * r->n, (size_t)r->n, r->scales[i], zero);
    r->zeros[i] = (uint8_t)zero;
  }
}

hone_status dynamic_quantize_vec_run(hn_exec *x) {
  const dynamic_quantize *s = x->task->state;
  quantize_run r = {.convert = s->convert, .x = x->in[0].data, .y = x->out[0].data, .scales = x->out[1].data, .zeros = x->out[2].data};
  if (hn_attr_i(x->task->node, "by_rows", 0)) {
    r.n = x->in[0].dims[x->in[0].rank - 1];
    hn_parallel_for(x->task->threads, x->out[1].count, 1 + GRAIN / (r.n + 1), run_rows, &r);
    return HONE_OK;
  }
  numbers_of(&r, r.x, x->in[0].count, &r.scale, &r.zero);
  hn_parallel_for(x->task->threads, x->in[0].count, GRAIN, run_part, &r);
  *r.scales = r.scale;
  *r.zeros = (uint8_t)r.zero;
  return HONE_OK;
}
