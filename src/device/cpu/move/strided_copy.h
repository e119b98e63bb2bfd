/* strided_copy.h - copies a box of elements from one strided buffer to another: what concatenation, slices,
   transposes and broadcasts are. */
#ifndef HN_STRIDED_COPY_H
#define HN_STRIDED_COPY_H
#include "device/nd.h"

typedef struct hn_copy {
  hn_nd nd;            /* operand 0: to, operand 1: from */
  int64_t to, from;    /* where the first element is */
  size_t size;         /* bytes of an element */
  bool turn;           /* the last two dimensions are transposed: `from` steps by one along the one but last */
} hn_copy;

/* Bytes of one element; 0 for types that share bytes or are not plain data. */
size_t hn_element_size(hn_dtype t);
/* Dimensions in the order of `to`'s memory, strides of both in elements (of `from` any, also 0 and negative). */
void hn_copy_plan(hn_copy *c, size_t size, int32_t rank, const int64_t *dims, int64_t to, const int64_t *to_stride,
                  int64_t from, const int64_t *from_stride);
void hn_copy_run(const hn_copy *c, int threads, void *to, const void *from);
#endif
