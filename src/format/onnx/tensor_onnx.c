#include "format/onnx/tensor_onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

/* What the external_data pairs say (onnx.proto: location, offset, length). */
typedef struct external {
  const char *location;
  uint64_t offset, length;
  bool has_length;
} external;

static bool read_u64(const char *s, uint64_t *v) {
  char *end;
  if (!s || *s < '0' || *s > '9') return false;
  *v = strtoull(s, &end, 10);
  return *end == 0;
}

static bool read_external(const Onnx__TensorProto *p, external *e) {
  memset(e, 0, sizeof *e);
  for (size_t i = 0; i < p->n_external_data; i++) {
    const char *k = p->external_data[i]->key, *v = p->external_data[i]->value;
    if (!k || !v) return false;
    if (strcmp(k, "location") == 0) e->location = v;
    if (strcmp(k, "offset") == 0 && !read_u64(v, &e->offset)) return false;
    if (strcmp(k, "length") == 0) {
      if (!read_u64(v, &e->length)) return false;
      e->has_length = true;
    }
  }
  return e->location && *e->location;
}

/* A file may only name files beside it or below: no absolute path, no "..", and no link that leads out. */
static bool stays_inside(const char *dir, const char *path, const char *location) {
  if (location[0] == '/') return false;
  for (const char *p = location; *p;) {
    size_t n = strcspn(p, "/\\");
    if (n == 2 && p[0] == '.' && p[1] == '.') return false;
    p += n + (p[n] != 0);
  }
  return hn_path_within(dir, path);
}

static hone_status map_external(hone_context *cx, const char *dir, const Onnx__TensorProto *p, hn_dtype dtype,
                                const int64_t *dims, hn_tensor **out) {
  external e;
  const char *name = p->name ? p->name : "";
  if (!read_external(p, &e)) return hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s': its external data has no usable location", name);
  if (!dir) return hn_fail(cx, HONE_UNSUPPORTED, "tensor '%s' lies in the file '%s', which a model in memory cannot name", name, e.location);
  hn_str path = {0};
  hn_str_printf(&path, "%s/%s", dir, e.location);
  if (path.failed) return hn_nomem(cx);
  hn_mapping *m = NULL;
  hone_status st = stays_inside(dir, path.p, e.location)
                       ? hn_map_file(cx, path.p, &m)
                       : hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s': external data '%s' leads out of the model's folder", name, e.location);
  if (!st) st = hn_tensor_map(cx, dtype, (int32_t)p->n_dims, dims, m, (size_t)e.offset, out);
  if (!st && e.has_length && e.length != (*out)->bytes) {
    size_t bytes = (*out)->bytes;
    hn_tensor_unref(*out);
    st = hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s': external data of %llu bytes; its shape needs %zu", name,
                 (unsigned long long)e.length, bytes);
  }
  hn_mapping_unref(m);
  hn_str_free(&path);
  return st;
}

static size_t typed_count(const Onnx__TensorProto *p, hn_dtype t) {
  switch (t) {
    case HONE_DTYPE_F32: return p->n_float_data;
    case HONE_DTYPE_C64: return p->n_float_data / 2;
    case HONE_DTYPE_F64: return p->n_double_data;
    case HONE_DTYPE_C128: return p->n_double_data / 2;
    case HONE_DTYPE_I64: return p->n_int64_data;
    case HONE_DTYPE_U32:
    case HONE_DTYPE_U64: return p->n_uint64_data;
    case HONE_DTYPE_U4:
    case HONE_DTYPE_I4: return 2 * p->n_int32_data;
    default: return p->n_int32_data;
  }
}

static void copy_typed(const Onnx__TensorProto *p, hn_tensor *t) {
  size_t n = (size_t)t->count;
  switch (t->dtype) {
    case HONE_DTYPE_F32:
    case HONE_DTYPE_C64: memcpy(t->data, p->float_data, t->bytes); return;
    case HONE_DTYPE_F64:
    case HONE_DTYPE_C128: memcpy(t->data, p->double_data, t->bytes); return;
    case HONE_DTYPE_I64: memcpy(t->data, p->int64_data, t->bytes); return;
    case HONE_DTYPE_U32:
    case HONE_DTYPE_U64:
      for (size_t i = 0; i < n; i++) hn_store_i64(t->dtype, t->data, i, (int64_t)p->uint64_data[i]);
      return;
    case HONE_DTYPE_F16: /* 16-bit patterns in int32 */
    case HONE_DTYPE_BF16:
      for (size_t i = 0; i < n; i++) ((uint16_t *)t->data)[i] = (uint16_t)p->int32_data[i];
      return;
    case HONE_DTYPE_F8E4M3FN:
    case HONE_DTYPE_F8E4M3FNUZ:
    case HONE_DTYPE_F8E5M2:
    case HONE_DTYPE_F8E5M2FNUZ:
    case HONE_DTYPE_U4:
    case HONE_DTYPE_I4:
      for (size_t i = 0; i < t->bytes; i++) ((uint8_t *)t->data)[i] = (uint8_t)p->int32_data[i];
      return;
    default:
      for (size_t i = 0; i < n; i++) hn_store_i64(t->dtype, t->data, i, p->int32_data[i]);
      return;
  }
}

hone_status hn_onnx_tensor(hone_context *cx, const char *dir, const Onnx__TensorProto *p, hn_tensor **out) {
  const char *name = p->name ? p->name : "";
  if (!hn_dtype_known(p->data_type)) return hn_fail(cx, HONE_UNSUPPORTED, "tensor '%s': element type %d is not known", name, p->data_type);
  hn_dtype dtype = (hn_dtype)p->data_type;
  if (dtype == HONE_DTYPE_STRING) return hn_fail(cx, HONE_UNSUPPORTED, "tensor '%s': tensors of strings are not supported", name);
  if (p->n_dims > HN_MAX_RANK) return hn_fail(cx, HONE_UNSUPPORTED, "tensor '%s' has %zu dimensions; at most %d", name, p->n_dims, HN_MAX_RANK);
  if (p->data_location == 1) return map_external(cx, dir, p, dtype, p->dims, out);
  int64_t count = 1;
  size_t bytes;
  for (size_t i = 0; i < p->n_dims; i++)
    if (p->dims[i] < 0 || __builtin_mul_overflow(count, p->dims[i], &count))
      return hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s': dimension %zu is %lld", name, i, (long long)p->dims[i]);
  if (!hn_dtype_bytes(dtype, (uint64_t)count, &bytes)) return hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s' is too large", name);
  size_t typed = typed_count(p, dtype);
  if (p->has_raw_data ? p->raw_data.len != bytes : typed < (size_t)count)
    return hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s': its shape needs %zu bytes (%lld elements), the file holds %zu %s", name,
                   bytes, (long long)count, p->has_raw_data ? p->raw_data.len : typed, p->has_raw_data ? "bytes" : "elements");
  HN_TRY(hn_tensor_create(cx, dtype, (int32_t)p->n_dims, p->dims, out));
  if (p->has_raw_data && bytes) memcpy((*out)->data, p->raw_data.data, bytes);
  else if (bytes) copy_typed(p, *out);
  return HONE_OK;
}

/* Where element i of the values goes: a flat index, or one index a dimension. */
static bool sparse_place(const hn_tensor *indices, int64_t i, int32_t rank, const int64_t *dims, int64_t *at) {
  bool flat = indices->rank == 1;
  int64_t count = 1;
  *at = 0;
  for (int32_t k = 0; k < rank; k++) {
    int64_t c = flat ? 0 : hn_tensor_i(indices, (size_t)(i * rank + k));
    if (c < 0 || (!flat && c >= dims[k])) return false;
    *at = *at * dims[k] + c;
    count *= dims[k];
  }
  if (flat) *at = hn_tensor_i(indices, (size_t)i);
  return *at >= 0 && *at < count;
}

static hone_status fill_sparse(hone_context *cx, const hn_tensor *values, const hn_tensor *indices, int32_t rank, const int64_t *dims,
                               hn_tensor **out) {
  size_t size = hone_dtype_size(values->dtype);
  bool fits = size && values->rank == 1 && indices->dtype == HONE_DTYPE_I64 &&
              (indices->rank == 1 ? indices->count == values->count
                                  : indices->rank == 2 && indices->dims[0] == values->count && indices->dims[1] == rank);
  if (!fits) return hn_fail(cx, HONE_BAD_GRAPH, "a sparse tensor's values and indices do not fit together");
  HN_TRY(hn_tensor_create(cx, values->dtype, rank, dims, out));
  for (int64_t i = 0; i < values->count; i++) {
    int64_t at;
    if (!sparse_place(indices, i, rank, dims, &at)) {
      hn_tensor_unref(*out);
      return hn_fail(cx, HONE_BAD_GRAPH, "a sparse tensor has an index out of range");
    }
    memcpy((unsigned char *)(*out)->data + (size_t)at * size, (const unsigned char *)values->data + (size_t)i * size, size);
  }
  return HONE_OK;
}

hone_status hn_onnx_sparse_tensor(hone_context *cx, const char *dir, const Onnx__SparseTensorProto *p, hn_tensor **out) {
  hn_tensor *values = NULL, *indices = NULL;
  if (!p->values || !p->indices || p->n_dims > HN_MAX_RANK)
    return hn_fail(cx, HONE_BAD_FORMAT, "a sparse tensor without values or indices, or of more than %d dimensions", HN_MAX_RANK);
  hone_status st = hn_onnx_tensor(cx, dir, p->values, &values);
  if (!st) st = hn_onnx_tensor(cx, dir, p->indices, &indices);
  if (!st) st = fill_sparse(cx, values, indices, (int32_t)p->n_dims, p->dims, out);
  hn_tensor_unref(values);
  hn_tensor_unref(indices);
  return st;
}
