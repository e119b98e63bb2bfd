#include "ir/tensor.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/map.h"

static hone_status measure(hone_context *cx, hn_dtype dtype, int32_t rank, const int64_t *dims, int64_t *count,
                           size_t *bytes) {
  if (rank < 0 || rank > HN_MAX_RANK) return hn_fail(cx, HONE_BAD_ARG, "tensor of rank %d; at most %d", rank, HN_MAX_RANK);
  int64_t n = 1;
  for (int32_t i = 0; i < rank; i++)
    if (dims[i] < 0 || !hn_mul_i64(n, dims[i], &n))
      return hn_fail(cx, HONE_BAD_ARG, "tensor dimension %d is %lld: negative or too large", i, (long long)dims[i]);
  if (!hn_dtype_bytes(dtype, (uint64_t)n, bytes))
    return hn_fail(cx, HONE_BAD_ARG, "tensor of %lld elements of type %s: too large or not storable", (long long)n,
                   hone_dtype_name(dtype));
  *count = n;
  return HONE_OK;
}

hone_status hn_tensor_create(hone_context *cx, hn_dtype dtype, int32_t rank, const int64_t *dims, hn_tensor **out) {
  int64_t count;
  size_t bytes;
  HN_TRY(measure(cx, dtype, rank, dims, &count, &bytes));
  hn_tensor *t = hn_calloc(1, sizeof *t);
  void *data = t ? hn_malloc_aligned(bytes) : NULL;
  if (!data) {
    hn_free(t);
    return hn_fail(cx, HONE_NOMEM, "out of memory: a tensor of %zu bytes", bytes);
  }
  memset(data, 0, bytes);
  *t = (hn_tensor){.dtype = dtype, .rank = rank, .count = count, .bytes = bytes, .data = data, .refs = 1};
  if (rank) memcpy(t->dims, dims, sizeof(int64_t) * (size_t)rank);
  *out = t;
  return HONE_OK;
}

static void release_mapping(hn_tensor *t) { hn_mapping_unref(t->owner); }

hone_status hn_tensor_map(hone_context *cx, hn_dtype dtype, int32_t rank, const int64_t *dims, hn_mapping *m,
                          size_t offset, hn_tensor **out) {
  int64_t count;
  size_t bytes;
  HN_TRY(measure(cx, dtype, rank, dims, &count, &bytes));
  size_t size = hn_mapping_size(m);
  if (offset > size || bytes > size - offset)
    return hn_fail(cx, HONE_BAD_FORMAT, "tensor data of %zu bytes at offset %zu passes the end of the file (%zu bytes)",
                   bytes, offset, size);
  const unsigned char *src = (const unsigned char *)hn_mapping_data(m) + offset;
  size_t align = hone_dtype_size(dtype) ? hone_dtype_size(dtype) : 1;
  if ((uintptr_t)src % align) {
    hn_tensor *t;
    HN_TRY(hn_tensor_create(cx, dtype, rank, dims, &t));
    if (bytes) memcpy(t->data, src, bytes);
    *out = t;
    return HONE_OK;
  }
  hn_tensor *t = hn_calloc(1, sizeof *t);
  if (!t) return hn_nomem(cx);
  *t = (hn_tensor){.dtype = dtype, .rank = rank, .count = count, .bytes = bytes, .data = (void *)(uintptr_t)src,
                   .release = release_mapping, .owner = hn_mapping_ref(m), .refs = 1};
  if (rank) memcpy(t->dims, dims, sizeof(int64_t) * (size_t)rank);
  *out = t;
  return HONE_OK;
}

hn_tensor *hn_tensor_ref(const hn_tensor *t) {
  hn_tensor *m = (hn_tensor *)(uintptr_t)t; /* only the count changes */
  __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
  return m;
}

void hn_tensor_unref(hn_tensor *t) {
  if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL)) return;
  if (t->release) t->release(t);
  else hn_free_aligned(t->data);
  hn_free(t);
}

uint64_t hn_tensor_hash(hn_tensor *t) {
  uint64_t h = __atomic_load_n(&t->hash, __ATOMIC_RELAXED); /* threads that share it come to the same */
  if (h) return h;
  h = hn_tensor_digest(t);
  __atomic_store_n(&t->hash, h, __ATOMIC_RELAXED);
  return h;
}

uint64_t hn_tensor_digest(const hn_tensor *t) {
  uint64_t h = hn_digest(t->data, t->bytes, (uint64_t)t->dtype) ^
               hn_hash(t->dims, sizeof(int64_t) * (size_t)t->rank, (uint64_t)t->rank);
  return h ? h : 1;
}

bool hn_tensor_equal(const hn_tensor *a, const hn_tensor *b) {
  if (a == b) return true;
  return a->dtype == b->dtype && a->dtype != HONE_DTYPE_STRING && a->rank == b->rank &&
         memcmp(a->dims, b->dims, sizeof(int64_t) * (size_t)a->rank) == 0 && a->bytes == b->bytes &&
         memcmp(a->data, b->data, a->bytes) == 0;
}

hone_status hn_tensor_scalar_f(hone_context *cx, hn_dtype dtype, double v, hn_tensor **out) {
  HN_TRY(hn_tensor_create(cx, dtype, 0, NULL, out));
  hn_store_f64(dtype, (*out)->data, 0, v);
  return HONE_OK;
}

hone_status hn_tensor_scalar_i(hone_context *cx, hn_dtype dtype, int64_t v, hn_tensor **out) {
  HN_TRY(hn_tensor_create(cx, dtype, 0, NULL, out));
  hn_store_i64(dtype, (*out)->data, 0, v);
  return HONE_OK;
}

hone_status hn_tensor_ints(hone_context *cx, const int64_t *v, size_t n, hn_tensor **out) {
  HN_TRY(hn_tensor_create(cx, HONE_DTYPE_I64, 1, &(int64_t){(int64_t)n}, out));
  if (n) memcpy((*out)->data, v, n * sizeof *v);
  return HONE_OK;
}

hn_shape hn_tensor_shape(const hn_tensor *t) { return hn_shape_of(t->rank, t->dims); }
