/* movement_ref.c - operators that only move elements, in runs of bytes as long as possible. */
#include <string.h>

#include "device/cpu/cpu.h"
#include "op/infer.h"

/* Shape-only operators: the planner makes them views where it can; here the shape is known from inference or from
   the shape input, and the bytes are copied. */
static hone_status copy_as(hn_exec *x, int32_t rank, const int64_t *dims) {
  const hn_view *in = &x->in[0];
  size_t bytes;
  HN_TRY(hn_xout(x, 0, in->dtype, rank, dims));
  if (x->out[0].count != in->count || !hn_dtype_bytes(in->dtype, (uint64_t)in->count, &bytes))
    return hn_xfail(x, HONE_BAD_GRAPH, "%lld elements cannot become a shape of %lld", (long long)in->count, (long long)x->out[0].count);
  if (bytes) memcpy(x->out[0].data, in->data, bytes);
  return HONE_OK;
}

hone_status hk_reshape_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *s = &x->in[1];
  int64_t dims[HN_MAX_RANK], product = 1;
  int32_t open = -1;
  if (s->count > HN_MAX_RANK) return hn_xfail(x, HONE_BAD_GRAPH, "a shape of %lld dimensions", (long long)s->count);
  for (int32_t i = 0; i < (int32_t)s->count; i++) {
    dims[i] = hn_load_i64(s->dtype, s->data, (size_t)i);
    if (dims[i] == 0 && !hn_attr_i(hn_xnode(x), "allowzero", 0)) {
      if (i >= in->rank) return hn_xfail(x, HONE_BAD_GRAPH, "dimension %d is copied from an input of %d dimensions", i, in->rank);
      dims[i] = in->dims[i];
    }
    if (dims[i] < -1 || (dims[i] == -1 && open >= 0)) return hn_xfail(x, HONE_BAD_GRAPH, "the shape is not valid");
    if (dims[i] == -1) open = i;
    else if (__builtin_mul_overflow(product, dims[i], &product)) return hn_xfail(x, HONE_BAD_GRAPH, "the shape is too large");
  }
  if (open >= 0) dims[open] = product ? in->count / product : 0;
  return copy_as(x, (int32_t)s->count, dims);
}

hone_status hk_flatten_ref(hn_exec *x) {
  int64_t axis = hn_attr_i(hn_xnode(x), "axis", 1), dims[2] = {1, 1};
  if (axis < 0) axis += x->in[0].rank;
  for (int32_t i = 0; i < x->in[0].rank; i++) dims[i >= axis] *= x->in[0].dims[i];
  return copy_as(x, 2, dims);
}

static hone_status axes_flags(hn_exec *x, int32_t rank, bool *flag) {
  for (int32_t i = 0; i < HN_MAX_RANK; i++) flag[i] = false;
  for (size_t i = 0; i < (size_t)x->in[1].count; i++) {
    int32_t a;
    if (!hn_axis(hn_load_i64(x->in[1].dtype, x->in[1].data, i), rank, &a)) return hn_xfail(x, HONE_BAD_GRAPH, "an axis is out of range");
    flag[a] = true;
  }
  return HONE_OK;
}

hone_status hk_squeeze_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  bool gone[HN_MAX_RANK];
  int64_t dims[HN_MAX_RANK];
  int32_t rank = 0;
  if (hn_xhas(x, 1)) HN_TRY(axes_flags(x, in->rank, gone));
  else
    for (int32_t i = 0; i < in->rank; i++) gone[i] = in->dims[i] == 1;
  for (int32_t i = 0; i < in->rank; i++)
    if (!gone[i]) dims[rank++] = in->dims[i];
  return copy_as(x, rank, dims);
}

hone_status hk_unsqueeze_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  bool fresh[HN_MAX_RANK];
  int64_t dims[HN_MAX_RANK];
  if (x->in[1].count > HN_MAX_RANK - in->rank) return hn_xfail(x, HONE_BAD_GRAPH, "more than %d dimensions", HN_MAX_RANK);
  int32_t rank = in->rank + (int32_t)x->in[1].count;
  HN_TRY(axes_flags(x, rank, fresh));
  for (int32_t i = 0, k = 0; i < rank; i++) dims[i] = fresh[i] || k == in->rank ? 1 : in->dims[k++];
  return copy_as(x, rank, dims);
}

static hone_status element_size(const hn_exec *x, size_t *size) {
  *size = hone_dtype_size(x->in[0].dtype);
  return *size ? HONE_OK : hn_xbad_dtype(x, x->in[0].dtype);
}

hone_status hk_transpose_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  const int64_t *perm = NULL;
  uint32_t n = hn_attr_ints(hn_xnode(x), "perm", &perm);
  int64_t dims[HN_MAX_RANK], in_stride[HN_MAX_RANK], stride[HN_MAX_RANK], at[HN_MAX_RANK] = {0}, from = 0, s = 1;
  size_t size;
  HN_TRY(element_size(x, &size));
  if (n && (int32_t)n != in->rank) return hn_xfail(x, HONE_BAD_GRAPH, "perm does not fit the input");
  for (int32_t i = in->rank - 1; i >= 0; i--) {
    in_stride[i] = s;
    s *= in->dims[i];
  }
  for (int32_t i = 0; i < in->rank; i++) {
    int64_t p = n ? perm[i] : in->rank - 1 - i;
    if (p < 0 || p >= in->rank) return hn_xfail(x, HONE_BAD_GRAPH, "perm is not a permutation");
    dims[i] = in->dims[p];
    stride[i] = in_stride[p];
  }
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  unsigned char *out = x->out[0].data;
  for (int64_t i = 0; i < in->count; i++, out += size) {
    memcpy(out, (const unsigned char *)in->data + (size_t)from * size, size);
    for (int32_t k = in->rank - 1; k >= 0; k--) {
      from += stride[k];
      if (++at[k] < dims[k]) break;
      from -= stride[k] * dims[k];
      at[k] = 0;
    }
  }
  return HONE_OK;
}

hone_status hk_concat_ref(hn_exec *x) {
  int64_t dims[HN_MAX_RANK], outer = 1, inner = 1;
  int32_t axis, rank = x->in[0].rank;
  size_t size, row, written = 0;
  HN_TRY(element_size(x, &size));
  if (!hn_axis(hn_attr_i(hn_xnode(x), "axis", 0), rank, &axis)) return hn_xfail(x, HONE_BAD_GRAPH, "its axis is out of range");
  memcpy(dims, x->in[0].dims, sizeof dims);
  dims[axis] = 0;
  for (uint32_t i = 0; i < hn_xnode(x)->n_main; i++) {
    if (x->in[i].rank != rank || x->in[i].dtype != x->in[0].dtype)
      return hn_xfail(x, HONE_BAD_GRAPH, "input %u has another type or number of dimensions", i);
    for (int32_t k = 0; k < rank; k++)
      if (k != axis && x->in[i].dims[k] != dims[k]) return hn_xfail(x, HONE_BAD_GRAPH, "input %u differs in dimension %d", i, k);
    dims[axis] += x->in[i].dims[axis];
  }
  HN_TRY(hn_xout(x, 0, x->in[0].dtype, rank, dims));
  for (int32_t i = 0; i < axis; i++) outer *= dims[i];
  for (int32_t i = axis + 1; i < rank; i++) inner *= dims[i];
  row = (size_t)(dims[axis] * inner) * size;
  for (uint32_t i = 0; i < hn_xnode(x)->n_main; i++) {
    size_t part = (size_t)(x->in[i].dims[axis] * inner) * size;
    for (int64_t o = 0; part && o < outer; o++)
      memcpy((unsigned char *)x->out[0].data + (size_t)o * row + written, (const unsigned char *)x->in[i].data + (size_t)o * part, part);
    written += part;
  }
  return HONE_OK;
}

hone_status hk_gather_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *at = &x->in[1];
  int64_t dims[HN_MAX_RANK], outer = 1, inner = 1;
  int32_t axis, rank = 0;
  size_t size;
  HN_TRY(element_size(x, &size));
  if (!hn_axis(hn_attr_i(hn_xnode(x), "axis", 0), in->rank, &axis)) return hn_xfail(x, HONE_BAD_GRAPH, "its axis is out of range");
  if (in->rank + at->rank - 1 > HN_MAX_RANK) return hn_xfail(x, HONE_BAD_GRAPH, "more than %d dimensions", HN_MAX_RANK);
  for (int32_t i = 0; i < axis; i++) outer *= dims[rank++] = in->dims[i];
  for (int32_t i = 0; i < at->rank; i++) dims[rank++] = at->dims[i];
  for (int32_t i = axis + 1; i < in->rank; i++) inner *= dims[rank++] = in->dims[i];
  HN_TRY(hn_xout(x, 0, in->dtype, rank, dims));
  unsigned char *out = x->out[0].data;
  size_t run = (size_t)inner * size;
  for (int64_t o = 0; o < outer; o++)
    for (size_t i = 0; i < (size_t)at->count; i++, out += run) {
      int64_t k = hn_load_i64(at->dtype, at->data, i), d = in->dims[axis];
      if (k < -d || k >= d) return hn_xfail(x, HONE_BAD_GRAPH, "index %lld is out of [-%lld, %lld)", (long long)k, (long long)d, (long long)d);
      memcpy(out, (const unsigned char *)in->data + (size_t)(o * d + (k < 0 ? k + d : k)) * run, run);
    }
  return HONE_OK;
}

hone_status hk_shape_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  int64_t b = hn_attr_i(hn_xnode(x), "start", 0), e = hn_attr_i(hn_xnode(x), "end", in->rank);
  b = b < 0 ? b + in->rank : b;
  e = e < 0 ? e + in->rank : e;
  b = b < 0 ? 0 : b > in->rank ? in->rank : b;
  e = e < b ? b : e > in->rank ? in->rank : e;
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_I64, 1, &(int64_t){e - b}));
  if (e > b) memcpy(x->out[0].data, in->dims + b, sizeof *in->dims * (size_t)(e - b));
  return HONE_OK;
}
