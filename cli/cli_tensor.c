/* cli_tensor.c - dense tensors of the program. */
#include "cli_tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool tensor_make(tensor *t, hone_dtype dtype, int32_t rank, const int64_t *dims) {
  size_t count = 1, bytes;
  if (rank < 0 || rank > HONE_MAX_RANK || !hone_dtype_size(dtype)) return false;
  for (int32_t i = 0; i < rank; i++)
    if (dims[i] < 0 || __builtin_mul_overflow(count, (size_t)dims[i], &count)) return false;
  if (__builtin_mul_overflow(count, hone_dtype_size(dtype), &bytes) || bytes > PTRDIFF_MAX) return false;
  *t = (tensor){.dtype = dtype, .rank = rank, .count = count, .bytes = bytes, .data = cli_alloc(bytes, 1)};
  for (int32_t i = 0; i < rank; i++) t->dims[i] = dims[i];
  return true;
}

void tensor_free(tensor *t) {
  free(t->data);
  *t = (tensor){0};
}

/* ----------------------------------------------------------------------------------------- 16-bit floats */

static float from_bits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

static uint32_t to_bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

static double from_half(uint16_t h) {
  int exponent = h >> 10 & 31, mantissa = h & 1023;
  double v = exponent == 31 ? (mantissa ? NAN : INFINITY)
             : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                            : ldexp(mantissa, -24);
  return h >> 15 ? -v : v;
}

/* Scaled so that halves are integers, which rint() rounds to even. */
static uint16_t to_half(double v) {
  uint16_t sign = signbit(v) ? 0x8000 : 0;
  double a = fabs(v);
  int exponent;
  if (isnan(v)) return 0x7e00;
  if (a >= 65520) return sign | 0x7c00;
  if (a < 0x1p-14) return (uint16_t)(sign | (uint16_t)rint(a * 0x1p24));
  frexp(a, &exponent); /* a = f * 2^exponent, 0.5 <= f < 1 */
  unsigned mantissa = (unsigned)rint(ldexp(a, 11 - exponent)); /* 1024..2048 */
  return (uint16_t)(sign | (((unsigned)(exponent + 14) << 10) + mantissa - 1024));
}

static uint16_t to_bfloat(double v) {
  uint32_t bits = to_bits((float)v);
  if (isnan(v)) return 0x7fc0;
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---------------------------------------------------------------------------------------------- elements */

bool dtype_float(hone_dtype t) {
  return t == HONE_DTYPE_F32 || t == HONE_DTYPE_F64 || t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16;
}

bool dtype_numeric(hone_dtype t) {
  return dtype_float(t) || (t >= HONE_DTYPE_U8 && t <= HONE_DTYPE_I64) || t == HONE_DTYPE_BOOL || t == HONE_DTYPE_U32 ||
         t == HONE_DTYPE_U64;
}

#define INTEGERS(X)                                                                                          \
  X(HONE_DTYPE_U8, uint8_t, 0, UINT8_MAX) X(HONE_DTYPE_I8, int8_t, INT8_MIN, INT8_MAX)                       \
  X(HONE_DTYPE_U16, uint16_t, 0, UINT16_MAX) X(HONE_DTYPE_I16, int16_t, INT16_MIN, INT16_MAX)                \
  X(HONE_DTYPE_U32, uint32_t, 0, UINT32_MAX) X(HONE_DTYPE_I32, int32_t, INT32_MIN, INT32_MAX)                \
  X(HONE_DTYPE_U64, uint64_t, 0, UINT64_MAX) X(HONE_DTYPE_I64, int64_t, INT64_MIN, INT64_MAX)                \
  X(HONE_DTYPE_BOOL, uint8_t, 0, 1)

double tensor_get(hone_dtype dtype, const void *data, size_t i) {
  switch (dtype) {
#define GET(T, C, LOW, HIGH) \
  case T: return (double)((const C *)data)[i];
    INTEGERS(GET)
#undef GET
    case HONE_DTYPE_F32: return (double)((const float *)data)[i];
    case HONE_DTYPE_F64: return ((const double *)data)[i];
    case HONE_DTYPE_F16: return from_half(((const uint16_t *)data)[i]);
    case HONE_DTYPE_BF16: return (double)from_bits((uint32_t)((const uint16_t *)data)[i] << 16);
    default: return NAN;
  }
}

void tensor_set(hone_dtype dtype, void *data, size_t i, double v) {
  switch (dtype) {
#define SET(T, C, LOW, HIGH)                                                                    \
  case T:                                                                                       \
    ((C *)data)[i] = isnan(v) ? 0                                                               \
                     : v >= (double)(HIGH) ? (C)(HIGH) : v <= (double)(LOW) ? (C)(LOW) : (C)rint(v); \
    break;
    INTEGERS(SET)
#undef SET
    case HONE_DTYPE_F32: ((float *)data)[i] = (float)v; break;
    case HONE_DTYPE_F64: ((double *)data)[i] = v; break;
    case HONE_DTYPE_F16: ((uint16_t *)data)[i] = to_half(v); break;
    case HONE_DTYPE_BF16: ((uint16_t *)data)[i] = to_bfloat(v); break;
    default: break;
  }
}

/* 64-bit integers do not pass through double. */
static bool exact_integer(hone_dtype from, hone_dtype to) {
  return (from == HONE_DTYPE_I64 && to == HONE_DTYPE_U64) || (from == HONE_DTYPE_U64 && to == HONE_DTYPE_I64);
}

bool tensor_convert(tensor *t, hone_dtype to) {
  if (t->dtype == to) return true;
  if (!dtype_numeric(t->dtype) || !dtype_numeric(to) || exact_integer(t->dtype, to)) return false;
  if (dtype_float(t->dtype) != dtype_float(to)) return false;
  tensor r;
  if (!tensor_make(&r, to, t->rank, t->dims)) return false;
  for (size_t i = 0; i < t->count; i++) {
    double v = tensor_get(t->dtype, t->data, i);
    tensor_set(to, r.data, i, v);
    if (!dtype_float(to) && tensor_get(to, r.data, i) != v) {
      tensor_free(&r);
      return false;
    }
  }
  tensor_free(t);
  *t = r;
  return true;
}

/* ------------------------------------------------------------------------------------------------ shapes */

static void append(short_text *t, const char *s) {
  size_t n = strlen(t->s);
  snprintf(t->s + n, sizeof t->s - n, "%s", s);
}

static short_text join(int32_t rank, const int64_t *dims, const char *const *names) {
  short_text t = {"scalar"};
  if (rank < 0) t = (short_text){"unknown"};
  for (int32_t i = 0; i < rank; i++) {
    char number[24];
    if (i == 0) t.s[0] = 0;
    if (i) append(&t, "x");
    snprintf(number, sizeof number, "%lld", (long long)dims[i]);
    append(&t, dims[i] >= 0 ? number : names && names[i] && *names[i] ? names[i] : "?");
  }
  cli_printable(t.s);
  return t;
}

short_text shape_text(int32_t rank, const int64_t *dims) { return join(rank, dims, NULL); }
short_text info_shape_text(const hone_tensor_info *info) { return join(info->rank, info->dims, info->dim_names); }

bool shape_parse(const char *s, int32_t *rank, int64_t *dims) {
  *rank = 0;
  if (strcmp(s, "scalar") == 0) return true;
  for (;;) {
    char *end;
    if (*s < '0' || *s > '9' || *rank == HONE_MAX_RANK) return false;
    long long v = strtoll(s, &end, 10);
    if (v > INT32_MAX) return false;
    dims[(*rank)++] = v;
    if (!*end) return true;
    if (*end != 'x' && *end != ',') return false;
    s = end + 1;
  }
}
