/* crc32c.h - the Castagnoli checksum, as LevelDB and TensorFlow store it. */
#ifndef HN_CRC32C_H
#define HN_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* Continues a checksum; begin with 0. */
uint32_t hn_crc32c(uint32_t crc, const void *data, size_t n);
/* Stored checksums are rotated and offset, so that a checksum of data that holds checksums stays useful. */
static inline uint32_t hn_crc32c_mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }
#endif
