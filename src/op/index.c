/* index.c - inference of operators that pick, place or count elements by index. */
#include <string.h>

#include "op/infer.h"

#define FAMILY(name)                          \
  hone_status hn_infer_##name(hn_infer *x);   \
  hone_status hn_infer_##name(hn_infer *x)

static hone_status unknown_output(hn_infer *x, hn_dtype t) { return hn_oset(x, 0, t, hn_shape_unknown()); }

FAMILY(gather_elements) {
  hn_shape in = hn_ishape(x, 0), at = hn_ishape(x, 1);
  int32_t axis;
  if (in.rank >= 0 && !hn_axis(hn_attr_i(hn_ino(x), "axis", 0), in.rank, &axis)) return hn_ierror(x, "its axis is out of range");
  if (in.rank >= 0 && at.rank >= 0 && in.rank != at.rank)
    return hn_ierror(x, "the indices have %d dimensions, the data %d", at.rank, in.rank);
  return hn_oset(x, 0, hn_idtype(x, 0), at);
}

FAMILY(gather_nd) {
  hn_shape in = hn_ishape(x, 0), at = hn_ishape(x, 1), out = {.rank = 0};
  int64_t batch = hn_attr_i(hn_ino(x), "batch_dims", 0);
  if (in.rank < 0 || at.rank < 1 || !hn_dim_fixed(at.d[at.rank - 1])) return unknown_output(x, hn_idtype(x, 0));
  int64_t k = at.d[at.rank - 1];
  if (batch < 0 || batch >= at.rank || batch + k > in.rank)
    return hn_ierror(x, "indices of %lld dimensions after %lld of the batch; the data has %d", (long long)k, (long long)batch, in.rank);
  int64_t rank = at.rank - 1 + in.rank - batch - k;
  if (rank > HN_MAX_RANK) return hn_ierror(x, "more than %d dimensions", HN_MAX_RANK);
  for (int32_t i = 0; i < at.rank - 1; i++) out.d[out.rank++] = at.d[i];
  for (int64_t i = batch + k; i < in.rank; i++) out.d[out.rank++] = in.d[i];
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(scatter) {
  hn_shape in = hn_ishape(x, 0), at = hn_ishape(x, 1), updates = hn_ishape(x, 2);
  if (hn_ino(x)->op == HN_ScatterElements) {
    int32_t axis;
    if (in.rank >= 0 && !hn_axis(hn_attr_i(hn_ino(x), "axis", 0), in.rank, &axis)) return hn_ierror(x, "its axis is out of range");
    if (in.rank >= 0 && at.rank >= 0 && at.rank != in.rank) return hn_ierror(x, "the indices have %d dimensions, the data %d", at.rank, in.rank);
    if (updates.rank >= 0 && at.rank >= 0 && at.rank != updates.rank) return hn_ierror(x, "updates and indices differ in shape");
  }
  const char *reduction = hn_attr_s(hn_ino(x), "reduction", "none");
  static const char *const known[] = {"none", "add", "mul", "max", "min"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (hn_streq(reduction, known[i])) return hn_oset(x, 0, hn_idtype(x, 0), in);
  return hn_ierror(x, "reduction '%s' is not none, add, mul, max or min", reduction);
}

FAMILY(top_k) {
  hn_shape out = hn_ishape(x, 0);
  const hn_dim *k;
  uint32_t n;
  int32_t axis;
  if (out.rank >= 0) {
    if (!hn_axis(hn_attr_i(hn_ino(x), "axis", -1), out.rank, &axis)) return hn_ierror(x, "its axis is out of range");
    bool known = hn_isym(x, 1, &k, &n) && n == 1;
    if (known && hn_dim_fixed(k[0]) && hn_dim_fixed(out.d[axis]) && k[0] > out.d[axis])
      return hn_ierror(x, "asks for %lld of %lld elements", (long long)k[0], (long long)out.d[axis]);
    out.d[axis] = known ? k[0] : hn_dim_unknown(x->g->dims);
  }
  HN_TRY(hn_oset(x, 0, hn_idtype(x, 0), out));
  return hn_oset(x, 1, HONE_DTYPE_I64, out);
}

FAMILY(non_zero) {
  hn_shape in = hn_ishape(x, 0), out = {.rank = 2};
  out.d[0] = in.rank < 0 ? hn_dim_unknown(x->g->dims) : in.rank;
  out.d[1] = hn_dim_unknown(x->g->dims);
  return hn_oset(x, 0, HONE_DTYPE_I64, out);
}

FAMILY(one_hot) {
  hn_shape in = hn_ishape(x, 0), out;
  const hn_tensor *depth = hn_iconst(x, 1);
  const hn_dim *d;
  uint32_t n;
  int32_t axis;
  if (in.rank < 0) return unknown_output(x, hn_idtype(x, 2));
  if (in.rank == HN_MAX_RANK) return hn_ierror(x, "more than %d dimensions", HN_MAX_RANK);
  if (!hn_axis(hn_attr_i(hn_ino(x), "axis", -1), in.rank + 1, &axis)) return hn_ierror(x, "its axis is out of range");
  out.rank = in.rank + 1;
  for (int32_t i = 0, k = 0; i < out.rank; i++) out.d[i] = i == axis ? 0 : in.d[k++];
  if (depth && depth->count == 1 && hn_tensor_f(depth, 0) >= 0 && hn_tensor_f(depth, 0) < 9e15) out.d[axis] = (int64_t)hn_tensor_f(depth, 0);
  else out.d[axis] = hn_isym(x, 1, &d, &n) && n == 1 ? d[0] : hn_dim_unknown(x->g->dims);
  return hn_oset(x, 0, hn_idtype(x, 2), out);
}

FAMILY(compress) {
  hn_shape in = hn_ishape(x, 0), out = {.rank = 1};
  const hn_attr *a = hn_attr_find(hn_ino(x), "axis");
  int32_t axis = 0;
  if (a) {
    if (in.rank < 0) return unknown_output(x, hn_idtype(x, 0));
    if (!hn_axis(a->v.i, in.rank, &axis)) return hn_ierror(x, "its axis is out of range");
    out = in;
  }
  out.d[axis] = hn_dim_unknown(x->g->dims);
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(unique) {
  hn_shape in = hn_ishape(x, 0), out = {.rank = 1}, line = {.rank = 1}, inverse = {.rank = 1};
  const hn_attr *a = hn_attr_find(hn_ino(x), "axis");
  int32_t axis = 0;
  hn_dim n = hn_dim_unknown(x->g->dims);
  if (a && in.rank >= 0) {
    if (!hn_axis(a->v.i, in.rank, &axis)) return hn_ierror(x, "its axis is out of range");
    out = in;
  }
  if (a && in.rank < 0) out = hn_shape_unknown();
  if (out.rank >= 0) out.d[axis] = n;
  line.d[0] = n;
  inverse.d[0] = in.rank < 0 ? hn_dim_unknown(x->g->dims) : a ? in.d[axis] : hn_shape_product(x->g->dims, &in, 0, in.rank);
  HN_TRY(hn_oset(x, 0, hn_idtype(x, 0), out));
  HN_TRY(hn_oset(x, 1, HONE_DTYPE_I64, line));
  HN_TRY(hn_oset(x, 2, HONE_DTYPE_I64, inverse));
  return hn_oset(x, 3, HONE_DTYPE_I64, line);
}

FAMILY(eye_like) {
  hn_shape in = hn_ishape(x, 0);
  hn_dtype t = (hn_dtype)hn_attr_i(hn_ino(x), "dtype", hn_idtype(x, 0));
  if (in.rank >= 0 && in.rank != 2) return hn_ierror(x, "its input has %d dimensions; takes 2", in.rank);
  if (!hn_dtype_known(t)) return hn_ierror(x, "element type %d is not known", (int)t);
  return hn_oset(x, 0, t, in);
}

static hone_status block_size(hn_infer *x, int64_t *b, hn_shape *in) {
  *b = hn_attr_i(hn_ino(x), "blocksize", 0);
  *in = hn_ishape(x, 0);
  if (*b < 1 || *b > 1 << 15) return hn_ierror(x, "blocksize is %lld", (long long)*b);
  if (in->rank >= 0 && in->rank != 4) return hn_ierror(x, "its input has %d dimensions; takes 4", in->rank);
  return HONE_OK;
}

FAMILY(depth_to_space) {
  hn_shape in;
  int64_t b;
  HN_TRY(block_size(x, &b, &in));
  if (in.rank < 0) return unknown_output(x, hn_idtype(x, 0));
  if (hn_dim_fixed(in.d[1]) && in.d[1] % (b * b)) return hn_ierror(x, "%lld channels are not blocks of %lld", (long long)in.d[1], (long long)(b * b));
  hn_dims *t = x->g->dims;
  hn_shape out = {.rank = 4, .d = {in.d[0], hn_dim_div(t, in.d[1], b * b), hn_dim_mul(t, in.d[2], b), hn_dim_mul(t, in.d[3], b)}};
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(space_to_depth) {
  hn_shape in;
  int64_t b;
  HN_TRY(block_size(x, &b, &in));
  if (in.rank < 0) return unknown_output(x, hn_idtype(x, 0));
  for (int i = 2; i < 4; i++)
    if (hn_dim_fixed(in.d[i]) && in.d[i] % b) return hn_ierror(x, "dimension %d is %lld, not blocks of %lld", i, (long long)in.d[i], (long long)b);
  hn_dims *t = x->g->dims;
  hn_shape out = {.rank = 4, .d = {in.d[0], hn_dim_mul(t, in.d[1], b * b), hn_dim_div(t, in.d[2], b), hn_dim_div(t, in.d[3], b)}};
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(center_crop_pad) {
  hn_shape in = hn_ishape(x, 0), out = in;
  const hn_dim *d;
  const int64_t *axes;
  uint32_t n, n_axes = hn_attr_ints(hn_ino(x), "axes", &axes);
  if (in.rank < 0) return unknown_output(x, hn_idtype(x, 0));
  uint32_t count = n_axes ? n_axes : (uint32_t)in.rank;
  bool known = hn_isym(x, 1, &d, &n);
  if (known && n != count) return hn_ierror(x, "%u sizes for %u axes", n, count);
  for (uint32_t i = 0; i < count; i++) {
    int32_t a;
    if (!hn_axis(n_axes ? axes[i] : (int64_t)i, in.rank, &a)) return hn_ierror(x, "an axis is out of range");
    out.d[a] = known ? d[i] : hn_dim_unknown(x->g->dims);
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(max_unpool) {
  hn_shape in = hn_ishape(x, 0), out = in;
  const int64_t *shape, *k, *s, *p;
  uint32_t n, nk = hn_attr_ints(hn_ino(x), "kernel_shape", &k), ns = hn_attr_ints(hn_ino(x), "strides", &s);
  uint32_t np = hn_attr_ints(hn_ino(x), "pads", &p);
  if (in.rank < 0) return unknown_output(x, hn_idtype(x, 0));
  int32_t spatial = in.rank - 2;
  if (spatial < 1 || (int32_t)nk != spatial || (ns && (int32_t)ns != spatial) || (np && (int32_t)np != 2 * spatial))
    return hn_ierror(x, "kernel_shape, strides or pads do not fit an input of %d dimensions", in.rank);
  if (hn_ihas(x, 2)) {
    bool known = hn_iints(x, 2, &shape, &n);
    if (known && (int32_t)n != in.rank) return hn_ierror(x, "an output shape of %u dimensions", n);
    for (int32_t i = 0; i < in.rank; i++) out.d[i] = known ? shape[i] : hn_dim_unknown(x->g->dims);
    return hn_oset(x, 0, hn_idtype(x, 0), out);
  }
  hn_dims *t = x->g->dims;
  for (int32_t i = 0; i < spatial; i++) {
    int64_t stride = ns ? s[i] : 1, pads = np ? p[i] + p[i + spatial] : 0;
    if (stride < 1 || k[i] < 1 || stride > INT32_MAX || k[i] > INT32_MAX || pads < 0) return hn_ierror(x, "a stride, size or pad is out of range");
    out.d[i + 2] = hn_dim_sub(t, hn_dim_add(t, hn_dim_mul(t, hn_dim_sub(t, in.d[i + 2], 1), stride), k[i]), pads);
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}
