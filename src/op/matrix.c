/* matrix.c - inference of matrix products. */
#include "op/infer.h"

static hone_status inner(const hn_infer *x, hn_dim a, hn_dim b) {
  if (hn_dim_fixed(a) && hn_dim_fixed(b) && a != b)
    return hn_ierror(x, "inner dimensions %lld and %lld differ", (long long)a, (long long)b);
  return HONE_OK;
}

/* The product of inputs ia and ib. */
static hone_status product(hn_infer *x, uint32_t ia, uint32_t ib, hn_dtype t) {
  hn_shape a = hn_ishape(x, ia), b = hn_ishape(x, ib), batch_a, batch_b, out;
  if (a.rank < 0 || b.rank < 0) return hn_oset(x, 0, t, hn_shape_unknown());
  if (a.rank == 0 || b.rank == 0) return hn_ierror(x, "an input is a scalar");
  HN_TRY(inner(x, a.d[a.rank - 1], b.d[b.rank == 1 ? 0 : b.rank - 2]));
  batch_a = hn_shape_of(a.rank > 2 ? a.rank - 2 : 0, a.d);
  batch_b = hn_shape_of(b.rank > 2 ? b.rank - 2 : 0, b.d);
  if (!hn_broadcast(x->g->dims, &batch_a, &batch_b, &out)) return hn_ierror(x, "the batch dimensions do not broadcast");
  if (a.rank > 1) out.d[out.rank++] = a.d[a.rank - 2];
  if (b.rank > 1) out.d[out.rank++] = b.d[b.rank - 1];
  return hn_oset(x, 0, t, out);
}

hone_status hn_infer_matmul(hn_infer *x);
hone_status hn_infer_matmul(hn_infer *x) { return product(x, 0, 1, hn_idtype(x, 0)); }

hone_status hn_infer_matmul_integer(hn_infer *x);
hone_status hn_infer_matmul_integer(hn_infer *x) { return product(x, 0, 1, HONE_DTYPE_I32); }

/* a, its scale and zero point, b, its scale and zero point, the result's scale and zero point. */
hone_status hn_infer_qlinear_matmul(hn_infer *x);
hone_status hn_infer_qlinear_matmul(hn_infer *x) { return product(x, 0, 3, hn_idtype(x, 7)); }

hone_status hn_infer_det(hn_infer *x);
hone_status hn_infer_det(hn_infer *x) {
  hn_shape s = hn_ishape(x, 0);
  if (s.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), s);
  if (s.rank < 2) return hn_ierror(x, "its input has %d dimensions; takes 2 or more", s.rank);
  if (hn_dim_fixed(s.d[s.rank - 1]) && hn_dim_fixed(s.d[s.rank - 2]) && s.d[s.rank - 1] != s.d[s.rank - 2])
    return hn_ierror(x, "a matrix of %lld x %lld is not square", (long long)s.d[s.rank - 2], (long long)s.d[s.rank - 1]);
  s.rank -= 2;
  return hn_oset(x, 0, hn_idtype(x, 0), s);
}

hone_status hn_infer_gemm(hn_infer *x);
hone_status hn_infer_gemm(hn_infer *x) {
  hn_shape a = hn_ishape(x, 0), b = hn_ishape(x, 1), out = {.rank = 2};
  bool ta = hn_attr_i(hn_ino(x), "transA", 0) != 0, tb = hn_attr_i(hn_ino(x), "transB", 0) != 0;
  if (a.rank < 0 || b.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (a.rank != 2 || b.rank != 2) return hn_ierror(x, "takes matrices, not tensors of %d and %d dimensions", a.rank, b.rank);
  HN_TRY(inner(x, a.d[ta ? 0 : 1], b.d[tb ? 1 : 0]));
  out.d[0] = a.d[ta ? 1 : 0];
  out.d[1] = b.d[tb ? 0 : 1];
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}
