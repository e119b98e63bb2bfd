/* fuzz_pipeline.c - any bytes as a model: read, optimize, run on zeros where the inputs are small. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "hone.h"

enum { MOST_MACS = 1 << 20, MOST_BYTES = 1 << 20 };

static void run(hone_model *m) {
  hone_session *s = NULL;
  hone_session_options o;
  void *data[16] = {NULL};
  uint32_t n = hone_model_input_count(m);
  hone_session_options_init(&o);
  o.threads = 1;
  hone_status st = n > 16 ? HONE_BAD_ARG : hone_session_create(m, &o, &s);
  for (uint32_t i = 0; i < n && !st; i++) {
    hone_tensor_info info;
    size_t bytes;
    st = hone_model_input_info(m, i, &info);
    if (!st && info.rank < 0) st = HONE_BAD_ARG;
    bytes = hone_dtype_size(info.dtype);
    for (int32_t k = 0; k < info.rank && !st; k++) {
      if (info.dims[k] < 0) info.dims[k] = 1;
      if (info.dims[k] > MOST_BYTES || (bytes *= (size_t)info.dims[k]) > MOST_BYTES) st = HONE_BAD_ARG;
    }
    if (!st && !(data[i] = calloc(bytes + 1, 1))) st = HONE_NOMEM;
    if (!st) st = hone_session_set_input_shape(s, i, (uint32_t)info.rank, info.dims);
    if (!st) st = hone_session_set_input(s, i, data[i], bytes);
  }
  if (!st) st = hone_session_run(s);
  hone_session_destroy(&s);
  for (uint32_t i = 0; i < 16; i++) free(data[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hone_context *cx;
  hone_model *m = NULL;
  hone_model_stats stats;
  hone_optimize_options o;
  if (hone_context_create(&cx)) return 0;
  hone_optimize_options_init(&o);
  o.level = 3;
  o.verify = true;
  if (!hone_model_load_memory(cx, data, size, &m) && !hone_model_get_stats(m, &stats) && stats.macs < MOST_MACS &&
      stats.activation_bytes < MOST_BYTES && !hone_model_optimize(m, &o))
    run(m);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
  return 0;
}
