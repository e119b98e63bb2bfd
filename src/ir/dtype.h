/* dtype.h - element types: names, sizes, classes, and reading/writing one element as double or int64. */
#ifndef HN_DTYPE_H
#define HN_DTYPE_H
#include <stdbool.h>

#include "hone.h"

typedef hone_dtype hn_dtype;

typedef enum hn_dclass { HN_CLASS_NONE, HN_CLASS_F, HN_CLASS_I, HN_CLASS_U, HN_CLASS_B, HN_CLASS_C, HN_CLASS_S } hn_dclass;

hn_dclass hn_dtype_class(hn_dtype t);
bool hn_dtype_known(int64_t t);          /* is the number one of ours? */
hn_dtype hn_dtype_parse(const char *name); /* UNDEFINED if unknown */
static inline bool hn_is_float(hn_dtype t) { return hn_dtype_class(t) == HN_CLASS_F; }
static inline bool hn_is_8bit(hn_dtype t) { return t == HONE_DTYPE_U8 || t == HONE_DTYPE_I8; }
static inline bool hn_is_half(hn_dtype t) { return t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16; } /* floats of 16 bits */
static inline bool hn_is_int(hn_dtype t) {
  hn_dclass c = hn_dtype_class(t);
  return c == HN_CLASS_I || c == HN_CLASS_U || c == HN_CLASS_B;
}

/* Bytes of n elements (4-bit types: two an element, low nibble first); false on overflow or for strings. */
bool hn_dtype_bytes(hn_dtype t, uint64_t n, size_t *bytes);

/* Element i of an array of type t. Floats to ints round toward zero; ints saturate nowhere (they wrap). */
double hn_load_f64(hn_dtype t, const void *p, size_t i);
int64_t hn_load_i64(hn_dtype t, const void *p, size_t i);
void hn_store_f64(hn_dtype t, void *p, size_t i, double v);
void hn_store_i64(hn_dtype t, void *p, size_t i, int64_t v);
#endif
