/* fuzz_sstable.c - any bytes as the index of a TensorFlow checkpoint, and as a block that Snappy packed. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "format/wire/snappy.h"
#include "format/wire/sstable.h"

static hone_status entry(void *user, const char *key, size_t key_size, const void *value, size_t value_size) {
  size_t *sum = user;
  for (size_t i = 0; i < key_size; i++) *sum += (unsigned char)key[i];
  for (size_t i = 0; i < value_size; i++) *sum += ((const unsigned char *)value)[i];
  return HONE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hone_context *cx;
  size_t sum = 0, unpacked;
  if (hone_context_create(&cx)) return 0;
  (void)hn_sstable_read(cx, data, size, entry, &sum);
  if (hn_snappy_size(data, size, &unpacked)) {
    unsigned char *out = malloc(unpacked + 1);
    if (out) (void)hn_snappy_unpack(data, size, out, unpacked);
    free(out);
  }
  hone_context_destroy(&cx);
  return 0;
}
