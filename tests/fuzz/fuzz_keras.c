/* fuzz_keras.c - any text as a tfjs layers model whose weights are zeros, other bytes as .h5 or .keras: read it. Corpus:
   tests/keras/models. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char dir[] = "/tmp/fuzz-keras-XXXXXX", path[64];
  bool text_of_model = size && data[0] == '{';
  if (!*path) {
    static const char zeros[1 << 16];
    if (!mkdtemp(dir)) return 0;
    for (int i = 1; i <= 2; i++) {
      snprintf(path, sizeof path, "%s/group1-shard%dof2.bin", dir, i);
      FILE *f = fopen(path, "wb");
      if (f) fwrite(zeros, 1, sizeof zeros, f), fclose(f);
    }
    snprintf(path, sizeof path, "%s/model.json", dir);
  }
  FILE *f = text_of_model ? fopen(path, "wb") : NULL;
  if (f) fwrite(data, 1, size, f), fclose(f);
  hone_context *cx;
  hone_model *m = NULL;
  char *text = NULL;
  if (hone_context_create(&cx)) return 0;
  hone_status st = text_of_model ? hone_model_load(cx, path, &m) : hone_model_load_memory(cx, data, size, &m);
  if (!st && !hone_model_optimize(m, NULL) && !hone_model_print(m, &text)) hone_text_free(&text);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
  return 0;
}
