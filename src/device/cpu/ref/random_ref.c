/* random_ref.c - random number generators. The same seed gives the same numbers at every run and on every machine;
   without one they differ from run to run. */
#include <math.h>
#include <string.h>

#include "base/map.h"
#include "base/parallel.h"
#include "device/cpu/ref/broadcast.h"

typedef struct generator {
  uint64_t state;
} generator;

static uint64_t next(generator *g) { /* splitmix64 */
  uint64_t z = g->state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static double uniform(generator *g) { return (double)(next(g) >> 11) * 0x1p-53; } /* [0, 1) */

static double normal(generator *g) { /* Box and Muller */
  double u = 1 - uniform(g), v = uniform(g);
  return sqrt(-2 * log(u)) * cos(6.283185307179586477 * v);
}

static generator seeded(const hn_node *n) {
  const hn_attr *a = hn_attr_find(n, "seed");
  double seed = a ? hn_attr_f(n, "seed", 0) : hn_now();
  generator g = {hn_hash(&seed, sizeof seed, a ? 0 : hn_hash(n->name, strlen(n->name), 1))};
  return g;
}

static hone_status draw(hn_exec *x, hn_dtype t, int32_t rank, const int64_t *dims) {
  const hn_node *n = hn_xnode(x);
  bool is_normal = n->op == HN_RandomNormal || n->op == HN_RandomNormalLike;
  double mean = hn_attr_f(n, "mean", 0), scale = hn_attr_f(n, "scale", 1);
  double low = hn_attr_f(n, "low", 0), high = hn_attr_f(n, "high", 1);
  if (!hn_is_float(t)) return hn_xbad_dtype(x, t);
  HN_TRY(hn_xout(x, 0, t, rank, dims));
  generator g = seeded(n);
  for (size_t i = 0; i < (size_t)x->out[0].count; i++)
    hn_store_f64(t, x->out[0].data, i, is_normal ? mean + scale * normal(&g) : low + (high - low) * uniform(&g));
  return HONE_OK;
}

hone_status hk_random_ref(hn_exec *x) {
  const int64_t *dims = NULL;
  uint32_t rank = hn_attr_ints(hn_xnode(x), "shape", &dims);
  if (rank > HN_MAX_RANK) return hn_xfail(x, HONE_BAD_GRAPH, "shape of rank %u", rank);
  return draw(x, (hn_dtype)hn_attr_i(hn_xnode(x), "dtype", HONE_DTYPE_F32), (int32_t)rank, dims);
}

hone_status hk_random_like_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  return draw(x, (hn_dtype)hn_attr_i(hn_xnode(x), "dtype", in->dtype), in->rank, in->dims);
}

hone_status hk_bernoulli_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  hn_dtype t = (hn_dtype)hn_attr_i(hn_xnode(x), "dtype", in->dtype);
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (!hn_is_float(t) && !hn_is_int(t)) return hn_xbad_dtype(x, t);
  HN_TRY(hn_xout(x, 0, t, in->rank, in->dims));
  generator g = seeded(hn_xnode(x));
  for (size_t i = 0; i < (size_t)in->count; i++)
    hn_store_i64(t, x->out[0].data, i, uniform(&g) < hn_load_f64(in->dtype, in->data, i));
  return HONE_OK;
}

/* One class, drawn with probabilities in proportion to exp of n values. */
static int64_t draw_class(generator *g, const hn_view *in, int64_t at, int64_t n) {
  double largest = -INFINITY, total = 0;
  for (int64_t k = 0; k < n; k++) largest = fmax(largest, hn_load_f64(in->dtype, in->data, (size_t)(at + k)));
  for (int64_t k = 0; k < n; k++) total += exp(hn_load_f64(in->dtype, in->data, (size_t)(at + k)) - largest);
  double left = uniform(g) * total;
  for (int64_t k = 0; k < n; k++) {
    left -= exp(hn_load_f64(in->dtype, in->data, (size_t)(at + k)) - largest);
    if (left < 0) return k;
  }
  return n - 1;
}

hone_status hk_multinomial_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  hn_dtype t = (hn_dtype)hn_attr_i(hn_xnode(x), "dtype", HONE_DTYPE_I32);
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (t != HONE_DTYPE_I32 && t != HONE_DTYPE_I64) return hn_xbad_dtype(x, t);
  if (in->rank != 2 || in->dims[1] == 0) return hn_xfail(x, HONE_BAD_GRAPH, "takes [batch, classes], at least one class");
  int64_t dims[2] = {in->dims[0], hn_attr_i(hn_xnode(x), "sample_size", 1)};
  HN_TRY(hn_xout(x, 0, t, 2, dims));
  generator g = seeded(hn_xnode(x));
  for (int64_t i = 0; i < x->out[0].count; i++)
    hn_store_i64(t, x->out[0].data, (size_t)i, draw_class(&g, in, i / dims[1] * in->dims[1], in->dims[1]));
  return HONE_OK;
}
