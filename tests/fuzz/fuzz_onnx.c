/* fuzz_onnx.c - any bytes as a model: read it, show it. */
#include <stddef.h>
#include <stdint.h>

#include "hone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hone_context *cx;
  hone_model *m = NULL;
  hone_model_stats stats;
  char *text = NULL;
  if (hone_context_create(&cx)) return 0;
  if (!hone_model_load_memory(cx, data, size, &m)) {
    (void)hone_model_get_stats(m, &stats);
    if (!hone_model_print(m, &text)) hone_text_free(&text);
  }
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
  return 0;
}
