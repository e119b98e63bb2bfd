/* fill.c - inference of operators that repeat elements or make them from nothing: Pad, Expand, Tile, ConstantOfShape,
   Range, Size. */
#include <math.h>

#include "op/infer.h"

#define FAMILY(name)                          \
  hone_status hn_infer_##name(hn_infer *x);   \
  hone_status hn_infer_##name(hn_infer *x)

static hone_status unknown_dims(hn_infer *x, hn_dtype t, int32_t rank) {
  hn_shape out = {.rank = rank};
  for (int32_t i = 0; i < rank; i++) out.d[i] = hn_dim_unknown(x->g->dims);
  return hn_oset(x, 0, t, out);
}

/* A shape given as input i: its dimensions as far as they are known. false: not even how many there are. */
static bool shape_input(hn_infer *x, uint32_t i, hn_shape *out) {
  const hn_dim *d;
  uint32_t n;
  if (hn_isym(x, i, &d, &n) && n <= HN_MAX_RANK) {
    *out = hn_shape_of((int32_t)n, d);
    return true;
  }
  hn_shape s = hn_ishape(x, i);
  if (s.rank != 1 || !hn_dim_fixed(s.d[0]) || s.d[0] > HN_MAX_RANK) return false;
  out->rank = (int32_t)s.d[0];
  for (int32_t k = 0; k < out->rank; k++) out->d[k] = hn_dim_unknown(x->g->dims);
  return true;
}

FAMILY(pad) {
  hn_shape in = hn_ishape(x, 0), out = in;
  const int64_t *pads, *axes = NULL;
  uint32_t n, n_axes = 0;
  if (in.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), in);
  if (!hn_iints(x, 1, &pads, &n) || (hn_ihas(x, 3) && !hn_iints(x, 3, &axes, &n_axes)))
    return unknown_dims(x, hn_idtype(x, 0), in.rank);
  uint32_t count = axes ? n_axes : (uint32_t)in.rank;
  if (n != 2 * count) return hn_ierror(x, "%u pads for %u dimensions", n, count);
  for (uint32_t i = 0; i < count; i++) {
    int32_t a;
    if (!hn_axis(axes ? axes[i] : (int64_t)i, in.rank, &a)) return hn_ierror(x, "an axis is out of range");
    hn_dims *t = x->g->dims;
    for (int side = 0; side < 2; side++) {
      int64_t p = pads[i + (side ? count : 0)];
      if (p == INT64_MIN) return hn_ierror(x, "a pad is out of range");
      out.d[a] = p < 0 ? hn_dim_sub(t, out.d[a], -p) : hn_dim_add(t, out.d[a], p);
    }
    if (hn_dim_fixed(in.d[a]) && out.d[a] != HN_DIM_BAD && !hn_dim_fixed(out.d[a]))
      return hn_ierror(x, "dimension %d has %lld elements; its pads cut off more", a, (long long)in.d[a]);
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(expand) {
  hn_shape in = hn_ishape(x, 0), to, out;
  if (!shape_input(x, 1, &to)) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (!hn_broadcast(x->g->dims, &in, &to, &out)) return hn_ierror(x, "the input does not broadcast to the shape");
  const hn_dim *d;
  uint32_t n;
  if (out.rank == 1 && hn_dim_fixed(out.d[0]) && out.d[0] <= 64 && hn_isym(x, 0, &d, &n) && n > 0) {
    hn_dim all[64];
    for (int64_t i = 0; i < out.d[0]; i++) all[i] = d[n == 1 ? 0 : i];
    hn_osym(x, 0, all, (uint32_t)out.d[0]);
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(tile) {
  hn_shape in = hn_ishape(x, 0), times, out = in;
  if (in.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), in);
  if (!shape_input(x, 1, &times)) return unknown_dims(x, hn_idtype(x, 0), in.rank);
  if (times.rank != in.rank) return hn_ierror(x, "%d repeats for %d dimensions", times.rank, in.rank);
  for (int32_t i = 0; i < in.rank; i++) out.d[i] = hn_dim_mul(x->g->dims, in.d[i], times.d[i]);
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(constant_of_shape) {
  const hn_tensor *value = hn_attr_tensor(hn_ino(x), "value");
  hn_dtype t = value ? value->dtype : HONE_DTYPE_F32;
  hn_shape out;
  if (value && value->count != 1) return hn_ierror(x, "value has %lld elements; takes one", (long long)value->count);
  if (!shape_input(x, 0, &out)) return hn_oset(x, 0, t, hn_shape_unknown());
  if (value && hn_is_int(t) && out.rank <= 1 && (out.rank == 0 || (hn_dim_fixed(out.d[0]) && out.d[0] <= 64))) {
    hn_dim all[64];
    uint32_t n = out.rank ? (uint32_t)out.d[0] : 1;
    int64_t v = hn_tensor_i(value, 0);
    for (uint32_t i = 0; i < n; i++) all[i] = v;
    if (v >= 0) hn_osym(x, 0, all, n);
  }
  return hn_oset(x, 0, t, out);
}

FAMILY(range) {
  hn_shape out = {.rank = 1, .d = {0}};
  hn_dtype t = hn_idtype(x, 0);
  const hn_tensor *start = hn_iconst(x, 0), *limit = hn_iconst(x, 1), *delta = hn_iconst(x, 2);
  out.d[0] = HN_DIM_BAD;
  if (start && limit && delta && start->count == 1 && limit->count == 1 && delta->count == 1) {
    double n = ceil((hn_tensor_f(limit, 0) - hn_tensor_f(start, 0)) / hn_tensor_f(delta, 0));
    if (hn_is_int(t) && hn_tensor_i(delta, 0) == 0) return hn_ierror(x, "delta is 0");
    if (!(n < 9e15)) return hn_ierror(x, "a range without end");
    out.d[0] = n > 0 ? (int64_t)n : 0;
  } else {
    const hn_dim *a, *b, *c;
    uint32_t na, nb, nc;
    if (hn_is_int(t) && hn_isym(x, 0, &a, &na) && hn_isym(x, 1, &b, &nb) && hn_isym(x, 2, &c, &nc) && na == 1 && nb == 1 &&
        nc == 1 && a[0] == 0 && c[0] == 1)
      out.d[0] = b[0];
  }
  if (out.d[0] == HN_DIM_BAD) out.d[0] = hn_dim_unknown(x->g->dims);
  if (hn_is_int(t) && hn_dim_fixed(out.d[0]) && out.d[0] <= 64 && start && delta) {
    hn_dim all[64];
    bool positive = true;
    for (int64_t i = 0; i < out.d[0]; i++) {
      all[i] = (int64_t)((uint64_t)hn_tensor_i(start, 0) + (uint64_t)i * (uint64_t)hn_tensor_i(delta, 0));
      positive = positive && all[i] >= 0;
    }
    if (positive) hn_osym(x, 0, all, (uint32_t)out.d[0]);
  }
  return hn_oset(x, 0, t, out);
}

FAMILY(size) {
  hn_shape in = hn_ishape(x, 0);
  if (in.rank >= 0) {
    hn_dim n = hn_shape_product(x->g->dims, &in, 0, in.rank);
    hn_osym(x, 0, &n, 1);
  }
  return hn_oset(x, 0, HONE_DTYPE_I64, (hn_shape){.rank = 0});
}
