/* attention.c - inference of Attention (ONNX 23): Q, K, V of 4 dimensions (batch, heads, sequence, size), or of 3
   (batch, sequence, heads * size) with the numbers of heads as attributes. */
#include "op/infer.h"

/* The input as (batch, heads, sequence, size); false: unknown rank. */
static bool headed(hn_infer *x, uint32_t i, const char *heads, hn_shape *out) {
  hn_shape s = hn_ishape(x, i);
  if (s.rank == 4) {
    *out = s;
    return true;
  }
  if (s.rank != 3) return false;
  int64_t h = hn_attr_i(hn_ino(x), heads, 0);
  *out = (hn_shape){.rank = 4, .d = {s.d[0], h, s.d[1], h > 0 ? hn_dim_div(x->g->dims, s.d[2], h) : HN_DIM_BAD}};
  return true;
}

hone_status hn_infer_attention(hn_infer *x);
hone_status hn_infer_attention(hn_infer *x) {
  hn_dtype t = hn_idtype(x, 0), tv = hn_idtype(x, 2);
  hn_dims *dims = x->g->dims;
  hn_shape q, k, v;
  for (uint32_t i = 0; i < 3; i++) {
    int32_t rank = hn_ishape(x, i).rank;
    if (rank >= 0 && rank != hn_ishape(x, 0).rank && hn_ishape(x, 0).rank >= 0) return hn_ierror(x, "Q, K and V differ in their number of dimensions");
    if (rank >= 0 && rank != 3 && rank != 4) return hn_ierror(x, "input %u has %d dimensions; takes 3 or 4", i, rank);
    if (rank == 3 && (hn_attr_i(hn_ino(x), "q_num_heads", 0) < 1 || hn_attr_i(hn_ino(x), "kv_num_heads", 0) < 1))
      return hn_ierror(x, "q_num_heads and kv_num_heads are needed for inputs of 3 dimensions");
  }
  if (!headed(x, 0, "q_num_heads", &q) || !headed(x, 1, "kv_num_heads", &k) || !headed(x, 2, "kv_num_heads", &v)) {
    for (uint32_t i = 0; i < 4; i++) HN_TRY(hn_oset(x, i, i == 2 ? tv : t, hn_shape_unknown()));
    return HONE_OK;
  }
  if (hn_dim_fixed(q.d[1]) && hn_dim_fixed(k.d[1]) && (k.d[1] == 0 || q.d[1] % k.d[1]))
    return hn_ierror(x, "%lld query heads over %lld key heads", (long long)q.d[1], (long long)k.d[1]);
  if (hn_dim_fixed(q.d[3]) && hn_dim_fixed(k.d[3]) && q.d[3] != k.d[3])
    return hn_ierror(x, "Q has vectors of %lld, K of %lld", (long long)q.d[3], (long long)k.d[3]);
  hn_shape out = hn_ishape(x, 0), present[2] = {k, v}, scores = q;
  if (out.rank == 4) out.d[3] = v.d[3];
  else out.d[2] = hn_dim_mul(dims, q.d[1], v.d[3]);
  for (uint32_t i = 0; i < 2; i++) {
    hn_shape past = hn_ishape(x, 4 + i);
    if (!hn_ihas(x, 4 + i)) continue;
    if (past.rank >= 0 && past.rank != 4) return hn_ierror(x, "past keys and values need 4 dimensions");
    present[i].d[2] = past.rank == 4 ? hn_dim_add(dims, present[i].d[2], past.d[2]) : hn_dim_unknown(dims);
  }
  scores.d[3] = present[0].d[2];
  HN_TRY(hn_oset(x, 0, t, out));
  HN_TRY(hn_oset(x, 1, hn_idtype(x, 1), present[0]));
  HN_TRY(hn_oset(x, 2, tv, present[1]));
  return hn_oset(x, 3, t, scores);
}
