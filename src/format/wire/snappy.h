/* snappy.h - decompression of Snappy's block format. */
#ifndef HN_SNAPPY_H
#define HN_SNAPPY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size that a block says it has when unpacked; false: it says none, or more than its bytes can hold. */
bool hn_snappy_size(const unsigned char *p, size_t n, size_t *size);
/* Unpacks into `out` of exactly that size; false: damaged. */
bool hn_snappy_unpack(const unsigned char *p, size_t n, unsigned char *out, size_t size);
#endif
