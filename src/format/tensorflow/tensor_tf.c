#include "format/tensorflow/tensor_tf.h"

#include <string.h>

#include "base/alloc.h"

typedef Tensorflow__TensorProto TensorProto;

enum { REFERENCE = 100 }; /* DT_X_REF is DT_X and this */

static const struct {
  int tf;
  hn_dtype hone;
} types[] = {
    {TENSORFLOW__DATA_TYPE__DT_FLOAT, HONE_DTYPE_F32},
    {TENSORFLOW__DATA_TYPE__DT_DOUBLE, HONE_DTYPE_F64},
    {TENSORFLOW__DATA_TYPE__DT_INT32, HONE_DTYPE_I32},
    {TENSORFLOW__DATA_TYPE__DT_UINT8, HONE_DTYPE_U8},
    {TENSORFLOW__DATA_TYPE__DT_INT16, HONE_DTYPE_I16},
    {TENSORFLOW__DATA_TYPE__DT_INT8, HONE_DTYPE_I8},
    {TENSORFLOW__DATA_TYPE__DT_STRING, HONE_DTYPE_STRING},
    {TENSORFLOW__DATA_TYPE__DT_COMPLEX64, HONE_DTYPE_C64},
    {TENSORFLOW__DATA_TYPE__DT_INT64, HONE_DTYPE_I64},
    {TENSORFLOW__DATA_TYPE__DT_BOOL, HONE_DTYPE_BOOL},
    {TENSORFLOW__DATA_TYPE__DT_BFLOAT16, HONE_DTYPE_BF16},
    {TENSORFLOW__DATA_TYPE__DT_UINT16, HONE_DTYPE_U16},
    {TENSORFLOW__DATA_TYPE__DT_COMPLEX128, HONE_DTYPE_C128},
    {TENSORFLOW__DATA_TYPE__DT_HALF, HONE_DTYPE_F16},
    {TENSORFLOW__DATA_TYPE__DT_UINT32, HONE_DTYPE_U32},
    {TENSORFLOW__DATA_TYPE__DT_UINT64, HONE_DTYPE_U64},
    {TENSORFLOW__DATA_TYPE__DT_FLOAT8_E5M2, HONE_DTYPE_F8E5M2},
    {TENSORFLOW__DATA_TYPE__DT_FLOAT8_E4M3FN, HONE_DTYPE_F8E4M3FN},
    /* Rows from here on are read only: the first row of a type of ours is what is written. */
    {TENSORFLOW__DATA_TYPE__DT_QINT8, HONE_DTYPE_I8},
    {TENSORFLOW__DATA_TYPE__DT_QUINT8, HONE_DTYPE_U8},
    {TENSORFLOW__DATA_TYPE__DT_QINT32, HONE_DTYPE_I32},
    {TENSORFLOW__DATA_TYPE__DT_QINT16, HONE_DTYPE_I16},
    {TENSORFLOW__DATA_TYPE__DT_QUINT16, HONE_DTYPE_U16},
};
enum { N_TYPES = sizeof types / sizeof *types };

hn_dtype hn_tf_dtype(int type) {
  if (type > REFERENCE) type -= REFERENCE;
  for (int i = 0; i < N_TYPES; i++)
    if (types[i].tf == type) return types[i].hone;
  return HONE_DTYPE_UNDEFINED;
}

int hn_tf_dtype_of(hn_dtype t) {
  for (int i = 0; i < N_TYPES; i++)
    if (types[i].hone == t) return types[i].tf;
  return TENSORFLOW__DATA_TYPE__DT_INVALID;
}

const char *hn_tf_dtype_name(int type) {
  const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&tensorflow__data_type__descriptor,
                                                                      type > REFERENCE ? type - REFERENCE : type);
  return v ? v->name : "DT_INVALID";
}

hone_status hn_tf_shape(hone_context *cx, hn_dims *t, const Tensorflow__TensorShapeProto *p, hn_shape *out) {
  *out = hn_shape_unknown();
  if (!p || p->unknown_rank) return HONE_OK;
  if (p->n_dim > HN_MAX_RANK) return hn_fail(cx, HONE_UNSUPPORTED, "%zu dimensions; at most %d", p->n_dim, HN_MAX_RANK);
  hn_shape s = {.rank = (int32_t)p->n_dim};
  for (size_t i = 0; i < p->n_dim; i++) {
    int64_t d = p->dim[i]->size;
    if (d < -1) return hn_fail(cx, HONE_BAD_GRAPH, "dimension %zu is %lld", i, (long long)d);
    s.d[i] = d == -1 ? hn_dim_unknown(t) : d;
    if (s.d[i] == HN_DIM_BAD) return hn_nomem(cx);
  }
  *out = s;
  return HONE_OK;
}

/* The elements that are spelled out one by one; there may be fewer than the tensor has: the last one is repeated. */
static size_t listed(const TensorProto *p, hn_dtype t) {
  switch (t) {
    case HONE_DTYPE_F32: return p->n_float_val;
    case HONE_DTYPE_F64: return p->n_double_val;
    case HONE_DTYPE_I64: return p->n_int64_val;
    case HONE_DTYPE_BOOL: return p->n_bool_val;
    case HONE_DTYPE_F16:
    case HONE_DTYPE_BF16: return p->n_half_val;
    case HONE_DTYPE_U32: return p->n_uint32_val;
    case HONE_DTYPE_U64: return p->n_uint64_val;
    case HONE_DTYPE_C64: return p->n_scomplex_val / 2;
    case HONE_DTYPE_C128: return p->n_dcomplex_val / 2;
    case HONE_DTYPE_F8E5M2:
    case HONE_DTYPE_F8E4M3FN: return p->float8_val.len;
    default: return p->n_int_val;
  }
}

static void copy_one(const TensorProto *p, hn_tensor *t, size_t to, size_t from) {
  unsigned char *out = (unsigned char *)t->data + to * (t->bytes / (size_t)t->count);
  switch (t->dtype) {
    case HONE_DTYPE_F32: memcpy(out, &p->float_val[from], 4); return;
    case HONE_DTYPE_F64: memcpy(out, &p->double_val[from], 8); return;
    case HONE_DTYPE_I64: memcpy(out, &p->int64_val[from], 8); return;
    case HONE_DTYPE_BOOL: *out = p->bool_val[from] != 0; return;
    case HONE_DTYPE_F16:
    case HONE_DTYPE_BF16: ((uint16_t *)t->data)[to] = (uint16_t)p->half_val[from]; return;
    case HONE_DTYPE_U32: memcpy(out, &p->uint32_val[from], 4); return;
    case HONE_DTYPE_U64: memcpy(out, &p->uint64_val[from], 8); return;
    case HONE_DTYPE_C64: memcpy(out, &p->scomplex_val[2 * from], 8); return;
    case HONE_DTYPE_C128: memcpy(out, &p->dcomplex_val[2 * from], 16); return;
    case HONE_DTYPE_F8E5M2:
    case HONE_DTYPE_F8E4M3FN: *out = p->float8_val.data[from]; return;
    default: hn_store_i64(t->dtype, t->data, to, p->int_val[from]); return;
  }
}

static hone_status wrong_number(hone_context *cx, const char *name, size_t n, uint64_t count) {
  return hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s' has %zu elements; its shape needs %llu", name, n, (unsigned long long)count);
}

static hone_status count_of(hone_context *cx, const char *name, hn_dtype type, int32_t rank, const int64_t *dims, uint64_t *count, size_t *bytes) {
  *count = 1;
  for (int32_t i = 0; i < rank; i++)
    if (dims[i] < 0 || __builtin_mul_overflow(*count, (uint64_t)dims[i], count))
      return hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s': dimension %d is %lld", name, i, (long long)dims[i]);
  return hn_dtype_bytes(type, *count, bytes) ? HONE_OK : hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s' is too large", name);
}

hone_status hn_tf_values(hone_context *cx, const char *name, const TensorProto *p, hn_dtype type, int32_t rank, const int64_t *dims, hn_tensor **out) {
  uint64_t count;
  size_t bytes, n = listed(p, type);
  hn_tensor *t;
  HN_TRY(count_of(cx, name, type, rank, dims, &count, &bytes));
  if (n != count) return wrong_number(cx, name, n, count);
  HN_TRY(hn_tensor_create(cx, type, rank, dims, &t));
  for (size_t i = 0; i < n; i++) copy_one(p, t, i, i);
  *out = t;
  return HONE_OK;
}

enum { MOST_FILLED = 1 << 28 }; /* bytes that a few spelled-out elements may stand for: a file is not trusted with more */

hone_status hn_tf_tensor(hone_context *cx, const char *name, const TensorProto *p, hn_tensor **out) {
  hn_dtype type = hn_tf_dtype((int)p->dtype);
  int64_t dims[HN_MAX_RANK];
  uint64_t count;
  size_t bytes, n = listed(p, type);
  int32_t rank = p->tensor_shape ? (int32_t)p->tensor_shape->n_dim : 0;
  if (!type || !hone_dtype_size(type))
    return hn_fail(cx, HONE_UNSUPPORTED, "tensor '%s' is of type %s, which is not supported", name, hn_tf_dtype_name((int)p->dtype));
  if (p->tensor_shape && p->tensor_shape->n_dim > HN_MAX_RANK)
    return hn_fail(cx, HONE_UNSUPPORTED, "tensor '%s' has %zu dimensions; at most %d", name, p->tensor_shape->n_dim, HN_MAX_RANK);
  for (int32_t i = 0; i < rank; i++) dims[i] = p->tensor_shape->dim[i]->size;
  HN_TRY(count_of(cx, name, type, rank, dims, &count, &bytes));
  bool whole = p->tensor_content.len == bytes;
  if (p->tensor_content.len && !whole)
    return hn_fail(cx, HONE_BAD_FORMAT, "tensor '%s' has %zu bytes; its shape needs %zu", name, p->tensor_content.len, bytes);
  if (!whole && (n > count || (n < count && bytes > MOST_FILLED))) return wrong_number(cx, name, n, count);
  hn_tensor *t;
  HN_TRY(hn_tensor_create(cx, type, rank, dims, &t));
  if (whole && bytes) memcpy(t->data, p->tensor_content.data, bytes);
  else if (n) /* none at all: zeros */
    for (size_t i = 0; i < count; i++) copy_one(p, t, i, i < n ? i : n - 1);
  *out = t;
  return HONE_OK;
}
