#include "quant/samples.h"

#include <math.h>

#include "op/infer.h"

enum { MOST_PATCHES = 2048, LEAST_PATCHES = 128, PATCHES_A_WEIGHT = 4, PATCHES_AN_ITEM = 64 };

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* The patch at output position `at` (of image `image`): channels, and for each the taps of the window. */
static void take_patch(const hn_window *w, const float *data, const int64_t *dims, int64_t image, int64_t at, float *to) {
  int64_t pixels = 1, taps = 1, place[HN_MAX_RANK];
  for (int32_t i = w->n; i-- > 0;) {
    place[i] = at % w->out[i] * w->stride[i] - w->pad_begin[i];
    at /= w->out[i];
    pixels *= dims[2 + i];
    taps *= w->kernel[i];
  }
  for (int64_t t = 0; t < taps; t++) {
    int64_t rest = t, pixel = 0, step = 1;
    bool inside = true;
    for (int32_t i = w->n; i-- > 0;) {
      int64_t p = place[i] + rest % w->kernel[i] * w->dilation[i];
      rest /= w->kernel[i];
      inside = inside && p >= 0 && p < dims[2 + i];
      pixel += p * step;
      step *= dims[2 + i];
    }
    for (int64_t c = 0; c < dims[1]; c++)
      to[c * taps + t] = inside ? data[(image * dims[1] + c) * pixels + pixel] : 0;
  }
}

/* Four times as many patches as an output has weights, as far as memory goes. */
static hone_status make_room(hn_graph *g, hn_samples *s, int64_t k, int64_t weights) {
  int64_t room = (int64_t)s->most_bytes / (int64_t)sizeof *s->x / k, enough = weights * PATCHES_A_WEIGHT;
  if (enough < MOST_PATCHES / 4) enough = MOST_PATCHES / 4;
  if (enough > MOST_PATCHES) enough = MOST_PATCHES;
  s->k = k;
  s->room = (uint32_t)(room > enough ? enough : room < LEAST_PATCHES ? LEAST_PATCHES : room);
  s->x = hn_malloc(sizeof *s->x * (size_t)k * s->room);
  return s->x ? HONE_OK : hn_nomem(g->cx);
}

hone_status hn_sample(hn_graph *g, const hn_node *n, const float *data, int32_t rank, const int64_t *dims, hn_samples *s) {
  const hn_tensor *w = hn_const(g, n->in[1]);
  hn_window window = {0};
  bool conv = n->op == HN_Conv;
  int64_t places = 1, images = 1, k = dims[rank - 1];
  s->taps = 1;
  if (conv) {
    HN_TRY(hn_window_resolve(g->cx, g->dims, n, rank - 2, dims + 2, w->dims + 2, false, &window));
    k = dims[1];
    for (int32_t i = 0; i < window.n; i++) places *= window.out[i], k *= window.kernel[i], s->taps *= window.kernel[i];
    images = dims[0];
  } else {
    for (int32_t i = 0; i < rank - 1; i++) places *= dims[i];
  }
  if (!s->x) HN_TRY(make_room(g, s, k, conv ? k / hn_attr_i(n, "group", 1) : k));
  if (k != s->k || places * images < 1) return HONE_OK;
  bool each = places * images <= dims[0] * PATCHES_AN_ITEM;
  for (int64_t i = 0; i < (each ? places * images : dims[0] * PATCHES_AN_ITEM); i++) {
    int64_t at = each ? i : (int64_t)(next_random(&s->seed) % (uint64_t)(places * images));
    uint64_t slot = s->n < s->room ? s->n : next_random(&s->seed) % (s->offered + 1);
    s->offered++;
    if (slot >= s->room) continue;
    if (slot == s->n) s->n++;
    float *to = s->x + (size_t)slot * (size_t)k;
    if (conv) take_patch(&window, data, dims, at / places, at % places, to);
    else
      for (int64_t c = 0; c < k; c++) to[c] = data[at * k + c];
  }
  return HONE_OK;
}

void hn_samples_empty(hn_samples *s) {
  hn_free(s->x);
  s->x = NULL;
  s->n = s->room = 0;
  s->offered = s->seed = 0;
}

void hn_samples_free(hn_samples *s) {
  hn_samples_empty(s);
  hn_free(s->shift);
  if (s->rounded) hn_tensor_unref(s->rounded);
  *s = (hn_samples){.most_bytes = s->most_bytes};
}

/* ------------------------------------------------------------------------------------------- as 8 bits see them */

bool hn_columns_make(const hn_samples *s, int64_t first, int64_t k, const hn_steps *steps, const double *factors, uint32_t most, hn_columns *c) {
  size_t n = s->n < most ? s->n : most, pitch = (n + HN_COLUMN_LANES - 1) / HN_COLUMN_LANES * HN_COLUMN_LANES;
  *c = (hn_columns){.k = k, .n = n, .pitch = pitch, .exact = hn_calloc((size_t)k * pitch * 2, sizeof *c->exact)};
  if (!c->exact) return false;
  c->rounded = c->exact + (size_t)k * pitch;
  for (int64_t j = 0; j < k; j++) {
    double f = factors ? factors[(first + j) / s->taps] : 1;
    for (size_t i = 0; i < n; i++) {
      float x = s->x[i * (size_t)s->k + (size_t)(first + j)];
      double q = fmin(fmax(rint((double)x * f / steps->scale) + steps->zero, 0), 255);
      c->exact[(size_t)j * pitch + i] = x;
      c->rounded[(size_t)j * pitch + i] = (float)((q - steps->zero) * steps->scale / f);
    }
  }
  return true;
}

void hn_columns_free(hn_columns *c) {
  hn_free(c->exact);
  *c = (hn_columns){0};
}
