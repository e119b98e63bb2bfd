/* gate_vec.c - an image whose channels are multiplied by a number each: the gate of squeeze-and-excitation. It can make
   single lines, so that the convolution behind it reads them while they are in the cache. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"

enum { GRAIN = 16384, CHUNK = 2048 };

typedef struct gate {
  uint32_t image;                             /* which input it is */
  int64_t images, lines, width, channels;
  int64_t in_pitch, out_pitch;                /* from pixel to pixel */
  int64_t step;                               /* from the gate of one image to the next */
  size_t size;                                /* of a number */
  const hn_vec *vec;
  const hn_half_runs *half;                   /* NULL: of floats, or of bfloat16 that are converted */
  hn_load_run load;                           /* to floats and back; NULL: not needed */
  hn_store_run store;
} gate;

bool gate_vec_supports(const hn_task *t) {
  const hn_arg *o = &t->out[0];
  uint32_t image;
  if (!t->device || t->n_in < 2 || o->rank != 4 || !hn_strips_begin(t->g, t->node, &image)) return false;
  for (int32_t i = 0; i < 4; i++)
    if (o->dims[i] == 0) return false;
  return t->in[0].dtype == o->dtype && t->in[1].dtype == o->dtype &&
         (o->dtype == HONE_DTYPE_F32 || o->dtype == HONE_DTYPE_BF16 || (o->dtype == HONE_DTYPE_F16 && t->device->half));
}

hone_status gate_vec_plan(hn_task *t) {
  gate *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  if (!hn_strips_begin(t->g, t->node, &s->image)) return HONE_UNSUPPORTED;
  const int64_t *dims = t->out[0].dims;
  s->images = dims[0], s->channels = dims[1], s->lines = dims[2], s->width = dims[3];
  s->step = t->in[1 - s->image].dims[0] == 1 ? 0 : s->channels;
  s->size = hone_dtype_size(t->out[0].dtype);
  s->vec = hn_cpu_of(t)->vec;
  s->half = hn_cpu_runs(t->device, t->out[0].dtype);
  if (t->out[0].dtype == HONE_DTYPE_BF16 && !s->half) {
    const hn_convert *convert = hn_convert_for(hn_cpu_of(t)->isa);
    s->load = convert->load[HONE_DTYPE_BF16], s->store = convert->store[HONE_DTYPE_BF16];
  }
  t->in[0].layout = t->in[1].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  s->in_pitch = hn_take_pitch(&t->in[s->image]);
  s->out_pitch = hn_take_pitch(&t->out[0]);
  if (t->in[s->image].may_overwrite) t->inplace = (int)s->image;
  return HONE_OK;
}

void gate_vec_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* Rows of n numbers by floats. */
static void scale_converted(const gate *s, char *to, const char *from, const char *by, size_t n, size_t rows) {
  float x[CHUNK], factor[CHUNK];
  for (size_t c = 0, m; c < n; c += m) {
    m = n - c < CHUNK ? n - c : CHUNK;
    s->load(factor, by + s->size * c, m, 1, 0);
    for (size_t r = 0, k; r < rows; r += k) {
      size_t at = s->size * (r * n + c), fit = m == n ? CHUNK / n : 1;
      k = rows - r < fit ? rows - r : fit;
      s->load(x, from + at, m * k, 1, 0);
      s->vec->scale_rows(x, x, factor, m, k);
      s->store(to + at, x, m * k, 1, 0);
    }
  }
}

void gate_vec_lines(const hn_task *t, const hn_strip *p, void *scratch) {
  const gate *s = t->state;
  bool dense = s->in_pitch == s->channels && s->out_pitch == s->channels;
  int64_t each = dense ? s->width : 1; /* pixels at a time */
  size_t n = (size_t)s->channels, to = s->size * (size_t)s->out_pitch, from = s->size * (size_t)s->in_pitch; /* bytes of a pixel */
  const char *by = (const char *)p->gate + s->size * (size_t)(p->image * s->step);
  (void)scratch;
  for (int64_t y = p->begin; y < p->end; y++) {
    char *out = (char *)p->out + (size_t)(hn_strip_line(p->out_ring, p->image, s->lines, y) * s->width) * to;
    const char *in = (const char *)p->in + (size_t)(hn_strip_line(p->in_ring, p->image, s->lines, y) * s->width) * from;
    for (int64_t x = 0; x < s->width; x += each, out += (size_t)each * to, in += (size_t)each * from) {
      if (s->load) scale_converted(s, out, in, by, n, (size_t)each);
      else if (s->half) s->half->scale_rows((void *)out, (const void *)in, (const void *)by, n, (size_t)each);
      else s->vec->scale_rows((void *)out, (const void *)in, (const void *)by, n, (size_t)each);
    }
  }
}

static void run_lines(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const gate *s = x->task->state;
  hn_strip p = {.in = x->in[s->image].data, .gate = x->in[1 - s->image].data, .out = x->out[0].data};
  for (int64_t at = begin; at < end; at = p.image * s->lines + p.end) {
    p.image = at / s->lines;
    p.begin = at % s->lines;
    p.end = end - at < s->lines - p.begin ? p.begin + end - at : s->lines;
    gate_vec_lines(x->task, &p, NULL);
  }
}

hone_status gate_vec_run(hn_exec *x) {
  const gate *s = x->task->state;
  hn_parallel_for(x->task->threads, s->images * s->lines, 1 + GRAIN / (s->width * s->channels), run_lines, x);
  return HONE_OK;
}
