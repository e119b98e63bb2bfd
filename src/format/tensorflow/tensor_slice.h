/* tensor_slice.h - parts of variables: where they lie in the whole, and putting the whole together. */
#ifndef HN_TENSOR_SLICE_H
#define HN_TENSOR_SLICE_H
#include "ir/tensor.h"
#include "tensorflow.pb-c.h"

typedef struct hn_slice {
  int64_t start[HN_MAX_RANK], dims[HN_MAX_RANK];
} hn_slice;

/* Where a slice lies in a whole of these dimensions; `name` is the variable's, for errors. BAD_FORMAT: not in it. */
hone_status hn_slice_within(hone_context *cx, const char *name, const Tensorflow__TensorSliceProto *p, int32_t rank, const int64_t *whole, hn_slice *s);
/* Puts a part, which has the slice's dimensions and the whole's type, where it belongs. `seen`: a byte an element of the whole, 0 at
   first; false: something of it was there already. */
bool hn_slice_copy(hn_tensor *whole, const hn_tensor *part, const hn_slice *s, unsigned char *seen);
#endif
