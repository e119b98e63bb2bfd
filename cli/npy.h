/* npy.h - NumPy's .npy files. */
#ifndef CLI_NPY_H
#define CLI_NPY_H
#include "cli_tensor.h"

/* Reads versions 1 to 3, C order, little-endian. Fails with a line on stderr. */
int npy_read(const char *path, tensor *t);
/* The same from memory, of which it becomes the owner; `label` is for messages. */
int npy_take(const char *label, unsigned char *data, size_t size, tensor *t);
/* Type and shape alone, from the first `have` bytes of `size`; *start: where the elements begin. */
int npy_head(const char *label, const unsigned char *data, size_t have, size_t size, tensor *head, size_t *start);
/* How many bytes the header takes, by the first 10. */
size_t npy_head_bytes(const unsigned char *data);
/* bf16, which NumPy lacks, is written as f32. The file appears under its name only when it is complete. */
int npy_write(const char *path, const tensor *t);
/* Whether the type can be written. */
bool npy_has(hone_dtype dtype);
#endif
