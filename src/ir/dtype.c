#include "ir/dtype.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/half.h"

typedef struct row {
  const char *name;
  uint8_t bytes, bits, class;
} row;

static const row rows[] = {
#define DTYPE(N, text, bytes, bits, c) [HONE_DTYPE_##N] = {text, bytes, bits, HN_CLASS_##c},
#include "ir/dtype.def"
#undef DTYPE
};
enum { ROWS = sizeof rows / sizeof *rows };

static const row *row_of(hn_dtype t) { return (size_t)t < ROWS ? &rows[t] : &rows[0]; }

const char *hone_dtype_name(hone_dtype t) { return row_of(t)->name ? row_of(t)->name : "?"; }
size_t hone_dtype_size(hone_dtype t) { return row_of(t)->bytes; }
hn_dclass hn_dtype_class(hn_dtype t) { return (hn_dclass)row_of(t)->class; }
bool hn_dtype_known(int64_t t) { return t > 0 && t < ROWS && rows[t].name; }

hn_dtype hn_dtype_parse(const char *name) {
  for (int i = 1; i < ROWS; i++)
    if (rows[i].name && strcmp(rows[i].name, name) == 0) return (hn_dtype)i;
  return HONE_DTYPE_UNDEFINED;
}

bool hn_dtype_bytes(hn_dtype t, uint64_t n, size_t *bytes) {
  const row *r = row_of(t);
  if (!r->bits || n > SIZE_MAX / 16) return false;
  *bytes = r->bytes ? (size_t)n * r->bytes : ((size_t)n * r->bits + 7) / 8;
  return true;
}

/* double to 64-bit integers without undefined behaviour: out of range saturates, NaN is 0 */
static int64_t f64_to_i64(double v) {
  if (!(v > -9223372036854775808.0)) return isnan(v) ? 0 : INT64_MIN;
  return v >= 9223372036854775808.0 ? INT64_MAX : (int64_t)v;
}
static uint64_t f64_to_u64(double v) {
  if (!(v > -1.0)) return isnan(v) ? 0 : (uint64_t)f64_to_i64(v);
  return v >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)v;
}

#define LOAD(T) (((const T *)p)[i])

double hn_load_f64(hn_dtype t, const void *p, size_t i) {
  switch (t) {
    case HONE_DTYPE_F32: return (double)LOAD(float);
    case HONE_DTYPE_F64: return LOAD(double);
    case HONE_DTYPE_F16: return (double)hn_f16_to_f32(LOAD(uint16_t));
    case HONE_DTYPE_BF16: return (double)hn_bf16_to_f32(LOAD(uint16_t));
    case HONE_DTYPE_F8E4M3FN:
    case HONE_DTYPE_F8E4M3FNUZ:
    case HONE_DTYPE_F8E5M2:
    case HONE_DTYPE_F8E5M2FNUZ:
      return (double)hn_f8_to_f32((hn_f8)((int)t - (int)HONE_DTYPE_F8E4M3FN), LOAD(uint8_t));
    case HONE_DTYPE_U64: return (double)LOAD(uint64_t);
    default: return (double)hn_load_i64(t, p, i);
  }
}

int64_t hn_load_i64(hn_dtype t, const void *p, size_t i) {
  switch (t) {
    case HONE_DTYPE_BOOL: return LOAD(uint8_t) != 0;
    case HONE_DTYPE_U8: return LOAD(uint8_t);
    case HONE_DTYPE_I8: return LOAD(int8_t);
    case HONE_DTYPE_U16: return LOAD(uint16_t);
    case HONE_DTYPE_I16: return LOAD(int16_t);
    case HONE_DTYPE_U32: return LOAD(uint32_t);
    case HONE_DTYPE_I32: return LOAD(int32_t);
    case HONE_DTYPE_U64: return (int64_t)LOAD(uint64_t);
    case HONE_DTYPE_I64: return LOAD(int64_t);
    case HONE_DTYPE_U4: return (((const uint8_t *)p)[i / 2] >> (i % 2 ? 4 : 0)) & 15;
    case HONE_DTYPE_I4: {
      int v = (((const uint8_t *)p)[i / 2] >> (i % 2 ? 4 : 0)) & 15;
      return v > 7 ? v - 16 : v;
    }
    case HONE_DTYPE_F32:
    case HONE_DTYPE_F64:
    case HONE_DTYPE_F16:
    case HONE_DTYPE_BF16:
    case HONE_DTYPE_F8E4M3FN:
    case HONE_DTYPE_F8E4M3FNUZ:
    case HONE_DTYPE_F8E5M2:
    case HONE_DTYPE_F8E5M2FNUZ: return f64_to_i64(hn_load_f64(t, p, i));
    default: return 0;
  }
}

#define STORE(T, v) (((T *)p)[i] = (T)(v))

void hn_store_f64(hn_dtype t, void *p, size_t i, double v) {
  switch (t) {
    case HONE_DTYPE_F32: STORE(float, v); break;
    case HONE_DTYPE_F64: STORE(double, v); break;
    case HONE_DTYPE_F16: STORE(uint16_t, hn_f32_to_f16((float)v)); break;
    case HONE_DTYPE_BF16: STORE(uint16_t, hn_f32_to_bf16((float)v)); break;
    case HONE_DTYPE_F8E4M3FN:
    case HONE_DTYPE_F8E4M3FNUZ:
    case HONE_DTYPE_F8E5M2:
    case HONE_DTYPE_F8E5M2FNUZ:
      STORE(uint8_t, hn_f32_to_f8((hn_f8)((int)t - (int)HONE_DTYPE_F8E4M3FN), (float)v, 1));
      break;
    case HONE_DTYPE_U64: STORE(uint64_t, f64_to_u64(v)); break;
    case HONE_DTYPE_BOOL: STORE(uint8_t, v != 0); break;
    default: hn_store_i64(t, p, i, f64_to_i64(v)); break;
  }
}

void hn_store_i64(hn_dtype t, void *p, size_t i, int64_t v) {
  switch (t) {
    case HONE_DTYPE_BOOL: STORE(uint8_t, v != 0); break;
    case HONE_DTYPE_U8: STORE(uint8_t, v); break;
    case HONE_DTYPE_I8: STORE(int8_t, v); break;
    case HONE_DTYPE_U16: STORE(uint16_t, v); break;
    case HONE_DTYPE_I16: STORE(int16_t, v); break;
    case HONE_DTYPE_U32: STORE(uint32_t, v); break;
    case HONE_DTYPE_I32: STORE(int32_t, v); break;
    case HONE_DTYPE_U64: STORE(uint64_t, v); break;
    case HONE_DTYPE_I64: STORE(int64_t, v); break;
    case HONE_DTYPE_U4:
    case HONE_DTYPE_I4: {
      uint8_t *b = (uint8_t *)p + i / 2;
      int shift = i % 2 ? 4 : 0;
      *b = (uint8_t)((*b & ~(15 << shift)) | (int)(((uint64_t)v & 15) << shift));
      break;
    }
    case HONE_DTYPE_F32:
    case HONE_DTYPE_F64:
    case HONE_DTYPE_F16:
    case HONE_DTYPE_BF16:
    case HONE_DTYPE_F8E4M3FN:
    case HONE_DTYPE_F8E4M3FNUZ:
    case HONE_DTYPE_F8E5M2:
    case HONE_DTYPE_F8E5M2FNUZ: hn_store_f64(t, p, i, (double)v); break;
    default: break;
  }
}
