/* npy.h - NumPy's .npy files. */
#ifndef CLI_NPY_H
#define CLI_NPY_H
#include "cli_tensor.h"

/* Reads versions 1 to 3, C order, little-endian. Fails with a line on stderr. */
int npy_read(const char *path, tensor *t);
/* bf16, which NumPy lacks, is written as f32. The file appears under its name only when it is complete. */
int npy_write(const char *path, const tensor *t);
/* Whether the type can be written. */
bool npy_has(hone_dtype dtype);
#endif
