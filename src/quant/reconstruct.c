#include "quant/reconstruct.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "op/infer.h"

enum { MOST_PATCHES = 1024, LEAST_PATCHES = 128, PATCHES_A_RUN = 128, LARGEST_BYTES = 8 << 20, SWEEPS = 4 };
#define DAMPING 0.01 /* of the mean square of the samples, added to each: what was not sampled counts a little too */

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* ------------------------------------------------------------------------------------------- sampling */

/* The patch at output position `at` (of image `image`): channels, and for each the taps of the window. */
static void take_patch(const hn_window *w, const float *data, const int64_t *dims, int64_t image, int64_t at, uint16_t *to) {
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
      to[c * taps + t] = hn_f32_to_bf16(inside ? data[(image * dims[1] + c) * pixels + pixel] : 0);
  }
}

static hone_status make_room(hn_graph *g, hn_samples *s, int64_t k) {
  int64_t room = LARGEST_BYTES / (int64_t)sizeof *s->x / k;
  s->k = k;
  s->room = (uint32_t)(room > MOST_PATCHES ? MOST_PATCHES : room < LEAST_PATCHES ? LEAST_PATCHES : room);
  s->x = hn_malloc(sizeof *s->x * (size_t)k * s->room);
  return s->x ? HONE_OK : hn_nomem(g->cx);
}

hone_status hn_sample(hn_graph *g, const hn_node *n, const float *data, int32_t rank, const int64_t *dims, hn_samples *s) {
  const hn_tensor *w = hn_const(g, n->in[1]);
  hn_window window = {0};
  bool conv = n->op == HN_Conv;
  int64_t places = 1, images = 1, k = dims[rank - 1];
  if (conv) {
    HN_TRY(hn_window_resolve(g->cx, g->dims, n, rank - 2, dims + 2, w->dims + 2, false, &window));
    k = dims[1];
    for (int32_t i = 0; i < window.n; i++) places *= window.out[i], k *= window.kernel[i];
    images = dims[0];
  } else {
    for (int32_t i = 0; i < rank - 1; i++) places *= dims[i];
  }
  if (!s->x) HN_TRY(make_room(g, s, k));
  if (k != s->k || places * images < 1) return HONE_OK;
  for (int i = 0; i < PATCHES_A_RUN; i++) {
    int64_t at = (int64_t)(next_random(&s->seed) % (uint64_t)(places * images));
    uint64_t slot = s->n < s->room ? s->n : next_random(&s->seed) % (s->offered + 1);
    s->offered++;
    if (slot >= s->room) continue;
    if (slot == s->n) s->n++;
    uint16_t *to = s->x + (size_t)slot * (size_t)k;
    if (conv) take_patch(&window, data, dims, at / places, at % places, to);
    else
      for (int64_t c = 0; c < k; c++) to[c] = hn_f32_to_bf16(data[at * k + c]);
  }
  return HONE_OK;
}

void hn_samples_free(hn_samples *s) {
  hn_free(s->x);
  *s = (hn_samples){0};
}

/* ------------------------------------------------------------------------------------------- rounding */

/* One group's samples, turned: a column of all samples for each number of a patch. */
typedef struct columns {
  float *x, *square; /* square: of each column, its sum with the damping */
  int64_t k;
  size_t n, pitch; /* pitch: a whole number of LANES, zeros at the end */
  float damping;
} columns;

enum { LANES = 16 };

static float dot(const float *a, const float *b, size_t n) {
  float sum[LANES] = {0}, all = 0;
  for (size_t i = 0; i < n; i += LANES)
    for (int l = 0; l < LANES; l++) sum[l] += a[i + (size_t)l] * b[i + (size_t)l];
  for (int l = 0; l < LANES; l++) all += sum[l];
  return all;
}

static void add_scaled(float *to, const float *x, float by, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] += x[i] * by;
}

static bool turn(const hn_samples *s, int64_t first, int64_t k, columns *c) {
  size_t pitch = (s->n + LANES - 1) / LANES * LANES;
  double sum = 0;
  *c = (columns){.k = k, .n = s->n, .pitch = pitch};
  c->x = hn_calloc((size_t)k * pitch + (size_t)k, sizeof *c->x);
  if (!c->x) return false;
  c->square = c->x + (size_t)k * pitch;
  for (int64_t j = 0; j < k; j++) {
    float *x = c->x + (size_t)j * pitch;
    for (size_t i = 0; i < s->n; i++) x[i] = hn_bf16_to_f32(s->x[i * (size_t)s->k + (size_t)(first + j)]);
    c->square[j] = dot(x, x, pitch);
    sum += (double)c->square[j];
  }
  c->damping = (float)(DAMPING * sum / (double)k);
  for (int64_t j = 0; j < k; j++) c->square[j] += c->damping;
  return true;
}

/* Where the weights of one output lie in their tensor. */
typedef struct row {
  int64_t first, step, k;
} row;

/* Rounds one output's weights to the nearest, then turns single ones to the other neighbour while the sums over the samples come
   nearer to those of the real weights. `left` is what the sums are off by. */
static void round_row(const hn_tensor *w, const row *r, double scale, const columns *c, bool reconstruct, float *error, float *left, int8_t *q) {
  memset(left, 0, sizeof *left * c->pitch);
  for (int64_t j = 0; j < r->k; j++) {
    double v = hn_tensor_f(w, (size_t)(r->first + j * r->step)), n = rint(v / scale);
    n = n < -127 ? -127 : n > 127 ? 127 : n;
    q[r->first + j * r->step] = (int8_t)n;
    error[j] = (float)(n * scale - v);
    add_scaled(left, c->x + (size_t)j * c->pitch, error[j], c->pitch);
  }
  bool changed = reconstruct;
  for (int sweep = 0; sweep < SWEEPS && changed; sweep++) {
    changed = false;
    for (int64_t j = 0; j < r->k; j++) {
      int8_t *at = &q[r->first + j * r->step];
      int other = error[j] > 0 ? *at - 1 : *at + 1;
      if (other < -127 || other > 127 || error[j] == 0) continue;
      const float *x = c->x + (size_t)j * c->pitch;
      float by = (float)(other - *at) * (float)scale;
      if (2 * by * (dot(x, left, c->pitch) + c->damping * error[j]) + by * by * c->square[j] >= 0) continue;
      *at = (int8_t)other;
      error[j] += by;
      add_scaled(left, x, by, c->pitch);
      changed = true;
    }
  }
}

hone_status hn_round_weights(hn_graph *g, const hn_node *n, int32_t axis, const double *scale, const hn_samples *s, const hn_rounding *how,
                             double *bias, hn_tensor **out) {
  const hn_tensor *w = hn_const(g, n->in[1]);
  bool conv = n->op == HN_Conv;
  int64_t outputs = w->dims[axis], k = w->count / outputs, groups = conv ? hn_attr_i(n, "group", 1) : 1;
  hn_tensor *t = NULL;
  HN_TRY(hn_tensor_create(g->cx, HONE_DTYPE_I8, w->rank, w->dims, &t));
  size_t pitch = (s->n + LANES - 1) / LANES * LANES;
  float *left = hn_calloc(pitch + (size_t)k, sizeof *left), *error = left + pitch;
  columns c = {0};
  hone_status st = left ? HONE_OK : hn_nomem(g->cx);
  for (int64_t o = 0; o < outputs && !st; o++) {
    int64_t of_group = outputs / groups, group = o / of_group;
    if (o % of_group == 0) {
      hn_free(c.x);
      if (!turn(s, group * k, k, &c)) st = hn_nomem(g->cx);
    }
    row r = axis == 0 ? (row){o * k, 1, k} : (row){o, outputs, k};
    if (!st) round_row(w, &r, scale[o], &c, how->reconstruct, error, left, t->data);
    double mean = 0;
    for (size_t i = 0; i < s->n && !st; i++) mean += (double)left[i];
    if (bias && how->correct_bias && s->n) bias[o] -= mean / (double)s->n;
  }
  hn_free(c.x);
  hn_free(left);
  if (st) hn_tensor_unref(t);
  else *out = t;
  return st;
}
