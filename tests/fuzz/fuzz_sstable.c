/* fuzz_sstable.c - any bytes as a table of LevelDB's, as the index and as the only file of a checkpoint, and as a block that Snappy
   packed. Checksums do not count in this build. Seeds: indexes of checkpoints, tests/tensorflow/checkpoints. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/tensorflow/bundle.h"
#include "format/tensorflow/checkpoint_v1.h"
#include "format/wire/snappy.h"
#include "format/wire/sstable.h"

static char prefix[] = "/tmp/fuzz-table-XXXXXX", indexed[64], names[64];

static void prepare(void) {
  static const char zeros[256];
  char shard[80];
  if (close(mkstemp(prefix))) abort();
  snprintf(indexed, sizeof indexed, "%s-b", prefix);
  snprintf(names, sizeof names, "%s.index", indexed);
  snprintf(shard, sizeof shard, "%s.data-00000-of-00001", indexed);
  if (symlink(prefix, names)) abort();
  FILE *f = fopen(shard, "wb");
  if (f) fwrite(zeros, 1, sizeof zeros, f), fclose(f);
}

typedef struct variables { /* names of what may be in it: all keys that are text, and those of the seeds */
  char name[16][40];
  int n;
} variables;

static hone_status entry(void *user, const char *key, size_t key_size, const void *value, size_t value_size) {
  variables *v = user;
  volatile size_t sum = 0;
  for (size_t i = 0; i < value_size; i++) sum += ((const unsigned char *)value)[i];
  if (v->n < 16 && key_size) snprintf(v->name[v->n++], 40, "%s", key);
  return HONE_OK;
}

static void read_variables(hone_context *cx, const variables *v) {
  static const char *const seeds[] = {"v", "w", "b", "d", "scale"};
  hn_checkpoint_v1 *c = NULL;
  hn_bundle *b = NULL;
  hn_tensor *t;
  if (!hn_checkpoint_v1_open(cx, prefix, &c))
    for (size_t i = 0; i < 5; i++)
      if (!hn_checkpoint_v1_tensor(c, seeds[i], &t)) hn_tensor_unref(t);
  hn_checkpoint_v1_close(&c);
  if (!hn_bundle_open(cx, indexed, &b))
    for (int i = 0; i < v->n; i++)
      if (!hn_bundle_tensor(b, v->name[i], &t)) hn_tensor_unref(t);
  hn_bundle_close(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hone_context *cx;
  variables v = {.n = 0};
  size_t unpacked;
  if (!*names) prepare();
  if (hone_context_create(&cx)) return 0;
  (void)hn_sstable_read(cx, data, size, entry, &v);
  FILE *f = fopen(prefix, "wb");
  if (f) {
    fwrite(data, 1, size, f);
    fclose(f);
    read_variables(cx, &v);
  }
  if (hn_snappy_size(data, size, &unpacked)) {
    unsigned char *out = malloc(unpacked + 1);
    if (out) (void)hn_snappy_unpack(data, size, out, unpacked);
    free(out);
  }
  hone_context_destroy(&cx);
  return 0;
}
