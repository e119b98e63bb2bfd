#include "format/tensorflow/tensor_slice.h"

#include <string.h>

hone_status hn_slice_within(hone_context *cx, const char *name, const Tensorflow__TensorSliceProto *p, int32_t rank, const int64_t *whole, hn_slice *s) {
  size_t n = p ? p->n_extent : 0;
  if (n != (size_t)rank) return hn_fail(cx, HONE_BAD_FORMAT, "a slice of '%s' has %zu dimensions", name, n);
  for (int32_t i = 0; i < rank; i++) {
    const Tensorflow__TensorSliceProto__Extent *x = p->extent[i];
    bool has = x->has_length_case == TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH && x->length >= 0;
    s->start[i] = has ? x->start : 0;
    s->dims[i] = has ? x->length : whole[i];
    if (s->start[i] < 0 || s->dims[i] < 0 || s->start[i] > whole[i] || s->dims[i] > whole[i] - s->start[i])
      return hn_fail(cx, HONE_BAD_FORMAT, "a slice of '%s' lies outside of it", name);
  }
  return HONE_OK;
}

bool hn_slice_copy(hn_tensor *whole, const hn_tensor *part, const hn_slice *s, unsigned char *seen) {
  int64_t at[HN_MAX_RANK] = {0}, rows = 1;
  int32_t rank = whole->rank;
  size_t elem = hone_dtype_size(whole->dtype);
  if (!part->count) return true;
  for (int32_t i = 0; i + 1 < rank; i++) rows *= s->dims[i];
  size_t run = rank ? (size_t)s->dims[rank - 1] : 1;
  for (int64_t r = 0; r < rows; r++) {
    int64_t offset = 0;
    for (int32_t i = 0; i < rank; i++) offset = offset * whole->dims[i] + s->start[i] + (i + 1 < rank ? at[i] : 0);
    if (memchr(seen + offset, 1, run)) return false;
    memset(seen + offset, 1, run);
    memcpy((char *)whole->data + (size_t)offset * elem, (const char *)part->data + (size_t)r * run * elem, run * elem);
    for (int32_t i = rank - 2; i >= 0 && ++at[i] == s->dims[i]; i--) at[i] = 0;
  }
  return true;
}
