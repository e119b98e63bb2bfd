/* sampling.c - inference of GridSample, AffineGrid, Col2Im and DeformConv. */
#include "op/infer.h"

hone_status hn_infer_grid_sample(hn_infer *x);
hone_status hn_infer_grid_sample(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), grid = hn_ishape(x, 1), out = in;
  if (in.rank < 0 || grid.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (in.rank < 3 || grid.rank != in.rank) return hn_ierror(x, "an input of %d dimensions and a grid of %d", in.rank, grid.rank);
  if (hn_dim_fixed(grid.d[grid.rank - 1]) && grid.d[grid.rank - 1] != in.rank - 2)
    return hn_ierror(x, "the grid has vectors of %lld for %d spatial dimensions", (long long)grid.d[grid.rank - 1], in.rank - 2);
  for (int32_t i = 2; i < out.rank; i++) out.d[i] = grid.d[i - 1];
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

hone_status hn_infer_affine_grid(hn_infer *x);
hone_status hn_infer_affine_grid(hn_infer *x) {
  const hn_dim *d;
  uint32_t n;
  hn_shape out;
  if (!hn_isym(x, 1, &d, &n)) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (n != 4 && n != 5) return hn_ierror(x, "a size of %u dimensions; takes 4 or 5", n);
  out.rank = (int32_t)n;
  out.d[0] = d[0];
  for (uint32_t i = 2; i < n; i++) out.d[i - 1] = d[i];
  out.d[n - 1] = n - 2;
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

hone_status hn_infer_col2im(hn_infer *x);
hone_status hn_infer_col2im(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), out;
  const hn_dim *image;
  const int64_t *block;
  uint32_t n, n_block;
  if (in.rank < 0 || !hn_isym(x, 1, &image, &n)) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (in.rank != 3 || n < 1 || n > HN_MAX_RANK - 2) return hn_ierror(x, "columns of %d dimensions for an image of %u", in.rank, n);
  out.rank = (int32_t)n + 2;
  out.d[0] = in.d[0];
  out.d[1] = hn_dim_unknown(x->g->dims);
  if (hn_iints(x, 2, &block, &n_block)) {
    int64_t taps = 1;
    if (n_block != n) return hn_ierror(x, "a block of %u dimensions for an image of %u", n_block, n);
    for (uint32_t i = 0; i < n; i++) {
      if (block[i] < 1 || block[i] > 1 << 20 || taps > 1 << 30) return hn_ierror(x, "a block size is out of range");
      taps *= block[i];
    }
    if (hn_dim_fixed(in.d[1]) && in.d[1] % taps) return hn_ierror(x, "%lld rows are not channels of %lld taps", (long long)in.d[1], (long long)taps);
    out.d[1] = hn_dim_div(x->g->dims, in.d[1], taps);
  }
  for (uint32_t i = 0; i < n; i++) out.d[2 + i] = image[i];
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

hone_status hn_infer_deform_conv(hn_infer *x);
hone_status hn_infer_deform_conv(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), w = hn_ishape(x, 1), offset = hn_ishape(x, 2);
  if (in.rank < 0 || w.rank < 0 || offset.rank < 0) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  if (in.rank != 4 || w.rank != 4 || offset.rank != 4) return hn_ierror(x, "input, weights and offsets must have 4 dimensions");
  hn_shape out = {.rank = 4, .d = {in.d[0], w.d[0], offset.d[2], offset.d[3]}};
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}
