/* cli_tensor.h - dense tensors of the program: making, converting, describing. */
#ifndef CLI_TENSOR_H
#define CLI_TENSOR_H
#include "cli.h"

typedef struct tensor {
  hone_dtype dtype;
  int32_t rank;
  int64_t dims[HONE_MAX_RANK];
  size_t count, bytes;
  void *data;
} tensor;

/* A text small enough to hand around by value: shape_text(...).s as an argument of printf. */
typedef struct short_text {
  char s[192];
} short_text;

/* Allocates zeroed data. False, and nothing allocated, if the size overflows or the type has no fixed size. */
bool tensor_make(tensor *t, hone_dtype dtype, int32_t rank, const int64_t *dims);
void tensor_free(tensor *t);

/* Whether tensor_get() and tensor_set() know the type. */
bool dtype_numeric(hone_dtype dtype);
bool dtype_float(hone_dtype dtype);
double tensor_get(hone_dtype dtype, const void *data, size_t index);
/* Rounds and saturates for integers. */
void tensor_set(hone_dtype dtype, void *data, size_t index, double value);
/* Converts between types where no value is lost but precision of floats; false otherwise. */
bool tensor_convert(tensor *t, hone_dtype to);

short_text shape_text(int32_t rank, const int64_t *dims);
short_text info_shape_text(const hone_tensor_info *info); /* with the names of dynamic dimensions */
/* "1x3x224x224" (or with commas). */
bool shape_parse(const char *s, int32_t *rank, int64_t *dims);
#endif
