/* random.c - inference of random number generators. */
#include "op/infer.h"

static hone_status dtype_or(const hn_infer *x, hn_dtype otherwise, hn_dtype *out) {
  int64_t t = hn_attr_i(hn_ino(x), "dtype", otherwise);
  if (t && !hn_dtype_known(t)) return hn_ierror(x, "attribute dtype=%lld is not an element type", (long long)t);
  *out = (hn_dtype)t;
  return HONE_OK;
}

hone_status hn_infer_random(hn_infer *x) {
  hn_dtype t;
  HN_TRY(dtype_or(x, HONE_DTYPE_F32, &t));
  const int64_t *d = NULL;
  uint32_t n = hn_attr_ints(hn_ino(x), "shape", &d);
  if (n > HN_MAX_RANK) return hn_ierror(x, "shape of rank %u; at most %d", n, HN_MAX_RANK);
  for (uint32_t i = 0; i < n; i++)
    if (d[i] < 0) return hn_ierror(x, "shape has the negative size %lld", (long long)d[i]);
  return hn_oset(x, 0, t, hn_shape_of((int32_t)n, d));
}

hone_status hn_infer_random_like(hn_infer *x) {
  hn_dtype t;
  HN_TRY(dtype_or(x, hn_idtype(x, 0), &t));
  return hn_oset(x, 0, t, hn_ishape(x, 0));
}

hone_status hn_infer_multinomial(hn_infer *x) {
  hn_dtype t;
  HN_TRY(dtype_or(x, HONE_DTYPE_I32, &t));
  if (t != HONE_DTYPE_I32 && t != HONE_DTYPE_I64) return hn_ierror(x, "dtype must be i32 or i64");
  int64_t size = hn_attr_i(hn_ino(x), "sample_size", 1);
  if (size < 0) return hn_ierror(x, "sample_size %lld is negative", (long long)size);
  hn_shape s = hn_ishape(x, 0);
  if (s.rank >= 0 && s.rank != 2) return hn_ierror(x, "input of rank %d; takes [batch, classes]", s.rank);
  hn_dim d[2] = {s.rank == 2 ? s.d[0] : hn_dim_unknown(x->g->dims), size};
  return hn_oset(x, 0, t, hn_shape_of(2, d));
}
