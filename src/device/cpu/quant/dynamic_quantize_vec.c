/* dynamic_quantize_vec.c - DynamicQuantizeLinear: the range of all numbers, then the numbers as bytes of that range. */
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
  const dynamic_quantize *s;
  const float *x;
  uint8_t *y;
  float scale, zero;
} quantize_run;

static void run_part(void *arg, int64_t begin, int64_t end) {
  const quantize_run *r = arg;
  r->s->convert->store[HONE_DTYPE_U8](r->y + begin, r->x + begin, (size_t)(end - begin), r->scale, r->zero);
}

hone_status dynamic_quantize_vec_run(hn_exec *x) {
  quantize_run r = {.s = x->task->state, .x = x->in[0].data, .y = x->out[0].data};
  float low = 0, high = 0;
  r.s->convert->range(r.x, (size_t)x->in[0].count, &low, &high);
  r.scale = high > low ? (high - low) / 255.0f : 1.0f;
  r.zero = rintf(-low / r.scale);
  r.zero = r.zero < 0 ? 0 : r.zero > 255 ? 255 : r.zero;
  hn_parallel_for(x->task->threads, x->in[0].count, GRAIN, run_part, &r);
  *(float *)x->out[1].data = r.scale;
  *(uint8_t *)x->out[2].data = (uint8_t)r.zero;
  return HONE_OK;
}
