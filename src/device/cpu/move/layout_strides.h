/* layout_strides.h - movement along one axis in the layout a tensor lies in. */
#ifndef HN_LAYOUT_STRIDES_H
#define HN_LAYOUT_STRIDES_H
#include "device/cpu/move/strided_copy.h"

/* Row-major strides where runs of the innermost dimension lie `pitch` apart. */
static inline void hn_pitched_strides(int32_t rank, const int64_t *dims, int64_t pitch, int64_t *stride) {
  int64_t s = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    stride[i] = s;
    s *= i == rank - 1 ? pitch : dims[i];
  }
}

static inline void hn_dense_strides(int32_t rank, const int64_t *dims, int64_t *stride) {
  hn_pitched_strides(rank, dims, rank ? dims[rank - 1] : 1, stride);
}

/* Axis of a tensor as an axis of its layout, and the elements that are one step along it (a block of channels). */
static inline int32_t hn_layout_axis(hn_layout l, int32_t rank, int32_t axis, int64_t *block) {
  *block = axis != 1 ? 1 : l == HN_LAYOUT_C16 ? 16 : l == HN_LAYOUT_C8 ? 8 : 1;
  if (l != HN_LAYOUT_NHWC || axis == 0) return axis;
  return axis == 1 ? rank - 1 : axis - 1;
}

/* Strides of the tensor's own dimensions in a layout without blocks. */
static inline void hn_own_strides(hn_arg *a, int64_t *stride) {
  int64_t physical[HN_ND_RANK], s[HN_ND_RANK];
  hn_layout_dims(a->layout, a->rank, a->dims, physical);
  hn_pitched_strides(a->rank, physical, hn_take_pitch(a), s);
  for (int32_t i = 0; i < a->rank; i++) {
    int64_t block;
    stride[i] = s[hn_layout_axis(a->layout, a->rank, i, &block)];
  }
}
#endif
