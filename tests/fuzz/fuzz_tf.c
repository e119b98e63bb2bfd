/* fuzz_tf.c - any bytes as a TensorFlow model (GraphDef, MetaGraph, SavedModel): read it, show it, optimize it. Seeds: the graphs
   of the tests, which HONE_TF_SEEDS=FOLDER build/fuzz/tests/test_tf_reader writes. */
#include <stddef.h>
#include <stdint.h>

#include "format/tensorflow/tf_reader.h"
#include "hone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hone_context *cx;
  hone_model *m = NULL;
  char *text = NULL;
  hone_optimize_options o;
  hn_source source = {.path = "", .data = data, .size = size};
  if (!hn_tf_probe(&source) || hone_context_create(&cx)) return 0; /* other formats have targets of their own */
  hone_optimize_options_init(&o);
  if (!hone_model_load_memory(cx, data, size, &m)) {
    if (!hone_model_print(m, &text)) hone_text_free(&text);
    (void)hone_model_optimize(m, &o);
  }
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
  return 0;
}
