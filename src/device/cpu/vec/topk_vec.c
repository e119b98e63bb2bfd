/* topk_vec.c - TopK of floats: a number and its place as one integer that sorts as both do. Those that may be among the k least are
   gathered, the k least of them found by partition whenever there are several times as many, and only they sorted. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"
#include "device/nd.h"
#include "op/infer.h"

typedef struct lanes {
  const hn_vec *vec;
  const float *in;
  float *values;
  int64_t *places, n, inner, k;
  uint64_t *keys; /* n for each thread's lane */
  bool largest;
} lanes;

static bool axis_of(const hn_task *t, int32_t *axis) { return hn_axis(hn_attr_i(t->node, "axis", -1), t->in[0].rank, axis); }

bool topk_vec_supports(const hn_task *t) {
  int32_t axis;
  return t->device && t->in[0].dtype == HONE_DTYPE_F32 && t->in[0].rank > 0 && axis_of(t, &axis) && t->in[0].dims[axis] < INT32_MAX &&
         t->in[1].constant && t->out[0].present && t->out[0].dims[axis] <= t->in[0].dims[axis];
}

hone_status topk_vec_plan(hn_task *t) {
  int32_t axis;
  if (!axis_of(t, &axis)) return HONE_UNSUPPORTED;
  t->in[0].layout = t->in[1].layout = t->out[0].layout = t->out[1].layout = HN_LAYOUT_PLAIN;
  t->in[1].unused = true;
  t->scratch = sizeof(uint64_t) * (size_t)(t->in[0].dims[axis] * (t->threads < 1 ? 1 : t->threads));
  return HONE_OK;
}

/* What comes first is smaller. Zeros are alike, NaN is larger than any number. A key has the place below it: of equal numbers the lower
   place comes first. */
static inline uint32_t order_of(float v, bool largest) {
  uint32_t bits;
  if (v == 0) v = 0;
  memcpy(&bits, &v, sizeof bits);
  bits = v != v ? UINT32_MAX : bits ^ (0x80000000u | (uint32_t)-(int32_t)(bits >> 31));
  return largest ? ~bits : bits;
}

static void swap(uint64_t *a, uint64_t *b) {
  uint64_t v = *a;
  *a = *b;
  *b = v;
}

/* Keys below `at` become no larger than those from it on (Hoare's partition; the middle one of three as pivot). */
static void select_least(uint64_t *v, int64_t n, int64_t at) {
  int64_t lo = 0, hi = n - 1;
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2, i = lo - 1, j = hi + 1;
    if (v[mid] < v[lo]) swap(&v[mid], &v[lo]);
    if (v[hi] < v[lo]) swap(&v[hi], &v[lo]);
    if (v[hi] < v[mid]) swap(&v[hi], &v[mid]);
    uint64_t pivot = v[mid];
    for (;;) {
      do i++;
      while (v[i] < pivot);
      do j--;
      while (v[j] > pivot);
      if (i >= j) break;
      swap(&v[i], &v[j]);
    }
    if (at <= j) hi = j;
    else lo = j + 1;
  }
}

static void sink(uint64_t *v, int64_t i, int64_t n) {
  for (int64_t c = 2 * i + 1; c < n; i = c, c = 2 * i + 1) {
    if (c + 1 < n && v[c + 1] > v[c]) c++;
    if (v[i] >= v[c]) return;
    swap(&v[i], &v[c]);
  }
}

static void heap_sort(uint64_t *v, int64_t n) {
  for (int64_t i = n / 2 - 1; i >= 0; i--) sink(v, i, n);
  for (int64_t end = n - 1; end > 0; end--) {
    swap(&v[0], &v[end]);
    sink(v, 0, end);
  }
}

/* The k least keys of a lane, in front and in no order. */
static void least_of_lane(const lanes *l, const float *x, uint64_t *keys) {
  enum { FEW = 16, BLOCK = 256 };
  int64_t room = (l->k < FEW ? 2 : 4) * l->k, count = 0;
  bool full = false;
  uint32_t last = UINT32_MAX; /* of the k that are there; what is not before it came later or is no less */
  float edge = 0, sign = l->largest ? 1 : -1; /* its number, which most are told from at once */
  if (room > l->n) room = l->n;
  for (int64_t i = 0; i < l->n; i++) {
    float v = x[i * l->inner];
    if (full && i % BLOCK == 0 && l->largest && l->inner == 1 && i + BLOCK <= l->n && l->vec->max(x + i, BLOCK) <= edge) {
      i += BLOCK - 1;
      continue;
    }
    if (full && sign * v <= edge) continue; /* not so if one of them is NaN */
    uint32_t order = order_of(v, l->largest);
    if (full && order >= last) continue;
    keys[count++] = (uint64_t)order << 32 | (uint64_t)i;
    if (count < room || l->k == room) continue;
    select_least(keys, room, l->k);
    last = 0;
    for (int64_t k = 0; k < l->k; k++)
      if (keys[k] >> 32 >= last) {
        last = (uint32_t)(keys[k] >> 32);
        edge = sign * x[(int64_t)(keys[k] & UINT32_MAX) * l->inner];
      }
    count = l->k;
    full = true;
  }
  if (l->k < count) select_least(keys, count, l->k);
}

static void one_lane(const lanes *l, int64_t lane, uint64_t *keys) {
  const float *x = l->in + lane / l->inner * l->n * l->inner + lane % l->inner;
  int64_t to = lane / l->inner * l->k * l->inner + lane % l->inner;
  least_of_lane(l, x, keys);
  heap_sort(keys, l->k);
  for (int64_t i = 0; i < l->k; i++, to += l->inner) {
    int64_t place = (int64_t)(keys[i] & UINT32_MAX);
    l->values[to] = x[place * l->inner];
    if (l->places) l->places[to] = place;
  }
}

typedef struct shares {
  const lanes *l;
  int64_t count, n;
} shares;

static void run_share(void *arg, int64_t begin, int64_t end) {
  const shares *s = arg;
  for (int64_t i = begin; i < end; i++)
    for (int64_t lane = s->count * i / s->n; lane < s->count * (i + 1) / s->n; lane++) one_lane(s->l, lane, s->l->keys + i * s->l->n);
}

hone_status topk_vec_run(hn_exec *x) {
  const hn_task *t = x->task;
  int32_t axis;
  if (!axis_of(t, &axis)) return hn_xfail(x, HONE_BAD_GRAPH, "axis out of range");
  lanes l = {.vec = t->device->vec, .in = x->in[0].data, .values = x->out[0].data, .places = t->out[1].present ? x->out[1].data : NULL, .n = t->in[0].dims[axis],
             .k = t->out[0].dims[axis], .inner = 1, .keys = x->scratch, .largest = hn_attr_i(t->node, "largest", 1) != 0};
  for (int32_t i = axis + 1; i < t->in[0].rank; i++) l.inner *= t->in[0].dims[i];
  if (!l.n || !l.k || !x->in[0].count) return HONE_OK;
  shares s = {&l, x->in[0].count / l.n, t->threads < 1 ? 1 : t->threads};
  hn_parallel_for(x->threads, s.n, 1, run_share, &s);
  return HONE_OK;
}

void topk_vec_destroy(hn_task *t) { (void)t; }
