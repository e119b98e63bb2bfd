/* normalization.c - inference of softmax, normalizations and other operators that keep shape and type. */
#include "op/infer.h"

/* An axis attribute must fit the rank, where the operator has one. */
static hone_status check_axis(const hn_infer *x) {
  const hn_attr *a = hn_attr_find(hn_ino(x), "axis");
  hn_shape s = hn_ishape(x, 0);
  int32_t axis;
  if (!a || s.rank < 0 || hn_axis(a->v.i, s.rank, &axis)) return HONE_OK;
  return hn_ierror(x, "axis %lld of a rank %d input", (long long)a->v.i, s.rank);
}

hone_status hn_infer_same_as_input(hn_infer *x) {
  HN_TRY(check_axis(x));
  return hn_oset(x, 0, hn_idtype(x, 0), hn_ishape(x, 0));
}

/* Input `i` is a vector with one element a channel (dimension 1 of input 0). */
static hone_status check_channels(const hn_infer *x, uint32_t i) {
  hn_shape s = hn_ishape(x, 0), v = hn_ishape(x, i);
  if (v.rank < 0 || s.rank < 0) return HONE_OK;
  hn_dim c = s.rank > 1 ? s.d[1] : 1;
  if (v.rank != 1 || (hn_dim_fixed(v.d[0]) && hn_dim_fixed(c) && v.d[0] != c))
    return hn_ierror(x, "input %u must be a vector with one element a channel", i);
  return HONE_OK;
}

hone_status hn_infer_batch_norm(hn_infer *x) {
  for (uint32_t i = 1; i < 5; i++) HN_TRY(check_channels(x, i));
  return hn_oset(x, 0, hn_idtype(x, 0), hn_ishape(x, 0));
}

hone_status hn_infer_layer_norm(hn_infer *x) {
  const hn_node *n = hn_ino(x);
  HN_TRY(check_axis(x));
  int64_t stash = hn_attr_i(n, "stash_type", HONE_DTYPE_F32);
  if (!hn_dtype_known(stash) || !hn_is_float((hn_dtype)stash))
    return hn_ierror(x, "stash_type %lld is not a float type", (long long)stash);
  hn_shape s = hn_ishape(x, 0);
  int64_t attr = hn_attr_i(n, "axis", -1);
  HN_TRY(hn_oset(x, 0, hn_idtype(x, 0), s));
  int32_t axis = 0;
  if (s.rank >= 0 && !hn_axis(attr, s.rank, &axis)) return hn_ierror(x, "axis %lld of a rank %d input", (long long)attr, s.rank);
  for (int32_t i = axis; i < s.rank; i++) s.d[i] = 1;
  HN_TRY(hn_oset(x, 1, (hn_dtype)stash, s));
  return hn_oset(x, 2, (hn_dtype)stash, s);
}
