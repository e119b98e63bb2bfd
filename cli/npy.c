/* npy.c - NumPy's .npy files: a magic number, a header that is the text of a Python dictionary, the elements. */
#include "npy.h"

#include <stdlib.h>
#include <string.h>

#include "cli_file.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "elements are read and written as they lie in memory: little-endian"
#endif

static const struct {
  hone_dtype dtype;
  const char *descr; /* without the byte order */
} types[] = {
    {HONE_DTYPE_F32, "f4"}, {HONE_DTYPE_F64, "f8"}, {HONE_DTYPE_F16, "f2"}, {HONE_DTYPE_I8, "i1"},  {HONE_DTYPE_I16, "i2"},
    {HONE_DTYPE_I32, "i4"}, {HONE_DTYPE_I64, "i8"}, {HONE_DTYPE_U8, "u1"},  {HONE_DTYPE_U16, "u2"}, {HONE_DTYPE_U32, "u4"},
    {HONE_DTYPE_U64, "u8"}, {HONE_DTYPE_BOOL, "b1"}, {HONE_DTYPE_C64, "c8"}, {HONE_DTYPE_C128, "c16"}};
enum { N_TYPES = sizeof types / sizeof *types };

/* The text after 'KEY': within the header; NULL if it is not there. */
static const char *value_of(const char *header, const char *key) {
  size_t n = strlen(key);
  for (const char *p = header; (p = strchr(p, '\'')); p++)
    if (strncmp(p + 1, key, n) == 0 && p[n + 1] == '\'') {
      p += n + 2;
      p += strspn(p, " ");
      if (*p != ':') return NULL;
      p++;
      return p + strspn(p, " ");
    }
  return NULL;
}

static int read_type(const char *path, const char *header, hone_dtype *dtype) {
  const char *p = value_of(header, "descr");
  if (!p || *p != '\'') return cli_fail("%s: a .npy header without a plain element type", path);
  p++;
  if (*p == '>') return cli_fail("%s: big-endian elements; save it little-endian", path);
  if (*p == '<' || *p == '|' || *p == '=') p++;
  size_t length = strcspn(p, "'");
  for (int i = 0; i < N_TYPES; i++)
    if (strlen(types[i].descr) == length && strncmp(types[i].descr, p, length) == 0) {
      *dtype = types[i].dtype;
      return CLI_OK;
    }
  return cli_fail("%s: elements of type '%.*s', which hone does not read", path, (int)(length < 32 ? length : 32), p);
}

static int read_shape(const char *path, const char *header, int32_t *rank, int64_t *dims) {
  const char *p = value_of(header, "shape");
  if (!p || *p++ != '(') return cli_fail("%s: a .npy header without a shape", path);
  *rank = 0;
  for (;;) {
    p += strspn(p, " ,");
    if (*p == ')') return CLI_OK;
    char *end;
    long long v = strtoll(p, &end, 10);
    if (end == p || v < 0) return cli_fail("%s: a .npy header with a damaged shape", path);
    if (*rank == HONE_MAX_RANK) return cli_fail("%s: more than %d dimensions", path, HONE_MAX_RANK);
    dims[(*rank)++] = v;
    p = end;
  }
}

/* Finds the header within the file: its text and where the elements begin. */
static int split(const char *path, const unsigned char *data, size_t size, char **header, size_t *start) {
  if (size < 10 || memcmp(data, "\x93NUMPY", 6) != 0) return cli_fail("%s: not a .npy file", path);
  size_t fixed = data[6] == 1 ? 10 : 12, length;
  if (data[6] < 1 || data[6] > 3) return cli_fail("%s: version %d of .npy is not known", path, data[6]);
  if (size < fixed) return cli_fail("%s: the file is truncated", path);
  length = data[8] | (size_t)data[9] << 8;
  if (fixed == 12) length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
  if (length > size - fixed) return cli_fail("%s: the file is truncated", path);
  *header = cli_alloc(length + 1, 1);
  memcpy(*header, data + fixed, length);
  *start = fixed + length;
  return CLI_OK;
}

static int read_header(const char *path, const char *header, tensor *t) {
  hone_dtype dtype = HONE_DTYPE_UNDEFINED;
  int32_t rank;
  int64_t dims[HONE_MAX_RANK];
  int code = read_type(path, header, &dtype);
  if (!code) code = read_shape(path, header, &rank, dims);
  if (code) return code;
  const char *order = value_of(header, "fortran_order");
  if (!order || (strncmp(order, "False", 5) != 0 && strncmp(order, "True", 4) != 0))
    return cli_fail("%s: a .npy header without an order of elements", path);
  *t = (tensor){.dtype = dtype, .rank = rank, .count = 1};
  int long_dims = 0;
  for (int32_t i = 0; i < rank; i++) {
    t->dims[i] = dims[i];
    long_dims += dims[i] > 1;
    if (__builtin_mul_overflow(t->count, (size_t)dims[i], &t->count)) return cli_fail("%s: the shape is too large", path);
  }
  if (*order == 'T' && long_dims > 1)
    return cli_fail("%s: elements in Fortran order; save numpy.ascontiguousarray(x)", path);
  if (__builtin_mul_overflow(t->count, hone_dtype_size(dtype), &t->bytes)) return cli_fail("%s: the shape is too large", path);
  return CLI_OK;
}

int npy_head(const char *label, const unsigned char *data, size_t have, size_t size, tensor *head, size_t *start) {
  char *header = NULL;
  tensor r = {0};
  int code = split(label, data, have, &header, start);
  if (!code) code = read_header(label, header, &r);
  if (!code && size - *start < r.bytes)
    code = cli_fail("%s: truncated: %zu bytes of elements, the shape %s takes %zu", label, size - *start, shape_text(r.rank, r.dims).s, r.bytes);
  free(header);
  if (!code) *head = r;
  return code;
}

size_t npy_head_bytes(const unsigned char *data) {
  size_t fixed = data[6] == 1 ? 10 : 12;
  return fixed + (data[8] | (size_t)data[9] << 8); /* longer ones have no more than a few names; they are refused as truncated */
}

int npy_take(const char *label, unsigned char *data, size_t size, tensor *t) {
  size_t start = 0;
  tensor r = {0};
  int code = npy_head(label, data, size, size, &r, &start);
  if (code) {
    free(data);
    return code;
  }
  memmove(data, data + start, r.bytes); /* the elements are aligned at the beginning of the block */
  r.data = data;
  for (size_t i = 0; r.dtype == HONE_DTYPE_BOOL && i < r.count; i++) data[i] = data[i] != 0;
  *t = r;
  return CLI_OK;
}

int npy_read(const char *path, tensor *t) {
  unsigned char *data;
  size_t size;
  int code = file_read(path, (size_t)8 << 30, &data, &size);
  return code ? code : npy_take(path, data, size, t);
}

static const char *descr_of(hone_dtype dtype) {
  if (dtype == HONE_DTYPE_BF16) return "f4";
  for (int i = 0; i < N_TYPES; i++)
    if (types[i].dtype == dtype) return types[i].descr;
  return NULL;
}

bool npy_has(hone_dtype dtype) { return descr_of(dtype) != NULL; }

static void write_header(FILE *f, const tensor *t, const char *descr) {
  char shape[32 * HONE_MAX_RANK] = "", text[64 + 32 * HONE_MAX_RANK];
  for (int32_t i = 0; i < t->rank; i++) {
    size_t n = strlen(shape);
    snprintf(shape + n, sizeof shape - n, i + 1 < t->rank ? "%lld, " : t->rank == 1 ? "%lld," : "%lld", (long long)t->dims[i]);
  }
  int n = snprintf(text, sizeof text, "{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }",
                   descr[1] == '1' && !descr[2] ? "|" : "<", descr, shape);
  int length = (10 + n + 1 + 63) / 64 * 64 - 10; /* elements begin at a multiple of 64 */
  fwrite("\x93NUMPY\x01", 1, 7, f);
  fputc(0, f);
  fputc(length & 255, f);
  fputc(length >> 8, f);
  fprintf(f, "%s%*s\n", text, length - n - 1, "");
}

int npy_write(const char *path, const tensor *t) {
  const char *descr = descr_of(t->dtype);
  out_file o;
  if (!descr) return cli_fail("%s: a .npy file cannot hold elements of type %s", path, hone_dtype_name(t->dtype));
  int code = out_open(&o, path);
  if (code) return code;
  write_header(o.f, t, descr);
  if (t->dtype == HONE_DTYPE_BF16) {
    for (size_t i = 0; i < t->count; i++) {
      float v = (float)tensor_get(t->dtype, t->data, i);
      fwrite(&v, sizeof v, 1, o.f);
    }
  } else if (t->bytes) {
    fwrite(t->data, 1, t->bytes, o.f);
  }
  return out_close(&o);
}
