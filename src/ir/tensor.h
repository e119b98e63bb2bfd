/* tensor.h - immutable, reference-counted constants: a dtype, fixed dimensions, dense row-major bytes. */
#ifndef HN_TENSOR_H
#define HN_TENSOR_H
#include "base/file.h"
#include "ir/dim.h"
#include "ir/dtype.h"

typedef struct hn_tensor {
  hn_dtype dtype;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  int64_t count; /* elements */
  size_t bytes;
  void *data;    /* 64-byte aligned when owned; any alignment of the dtype when mapped. Strings: char*[count] */
  void (*release)(struct hn_tensor *); /* frees data; NULL: hn_free_aligned(data) */
  void *owner;                         /* for release */
  uint64_t hash;                       /* of the content; 0: not computed yet */
  int refs;                            /* atomic */
} hn_tensor;

/* Fresh zeroed tensor; the maker may write to data until it is shared. BAD_ARG: negative or overflowing dims.
   cx may be NULL. String tensors are not made here. */
hone_status hn_tensor_create(hone_context *cx, hn_dtype dtype, int32_t rank, const int64_t *dims, hn_tensor **out);
/* A tensor over `data` inside a mapping, which it keeps alive. bytes are checked by the caller. If data is not
   aligned for the dtype, the bytes are copied. */
hone_status hn_tensor_map(hone_context *cx, hn_dtype dtype, int32_t rank, const int64_t *dims, hn_mapping *m,
                          size_t offset, hn_tensor **out);
hn_tensor *hn_tensor_ref(const hn_tensor *t); /* returns t, one reference more */
void hn_tensor_unref(hn_tensor *t);           /* accepts NULL */
uint64_t hn_tensor_hash(hn_tensor *t);         /* of type, dimensions and content; kept, or as a file said */
uint64_t hn_tensor_digest(const hn_tensor *t); /* the same, computed now */
bool hn_tensor_equal(const hn_tensor *a, const hn_tensor *b); /* dtype, dims and bytes */
hone_status hn_tensor_scalar_f(hone_context *cx, hn_dtype dtype, double v, hn_tensor **out);
hone_status hn_tensor_scalar_i(hone_context *cx, hn_dtype dtype, int64_t v, hn_tensor **out);
/* 1-D int64 tensor. */
hone_status hn_tensor_ints(hone_context *cx, const int64_t *v, size_t n, hn_tensor **out);
static inline double hn_tensor_f(const hn_tensor *t, size_t i) { return hn_load_f64(t->dtype, t->data, i); }
static inline int64_t hn_tensor_i(const hn_tensor *t, size_t i) { return hn_load_i64(t->dtype, t->data, i); }
hn_shape hn_tensor_shape(const hn_tensor *t);
#endif
