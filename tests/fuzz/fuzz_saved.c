/* fuzz_saved.c - any bytes as the saved_model.pb of a folder: list it, cut it into segments, optimize them, write the SavedModel
   again and read what was written. HONE_FUZZ_VARIABLES=FOLDER is the folder's variables/. Seeds: as fuzz_tf's, SavedModels in
   protobuf's text, too. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hone.h"

static char folder[] = "/tmp/fuzz-saved-XXXXXX", graph[64], written[64];

static void prepare(void) {
  const char *variables = getenv("HONE_FUZZ_VARIABLES");
  char link[64];
  if (!mkdtemp(folder)) abort();
  snprintf(graph, sizeof graph, "%s/saved_model.pb", folder);
  snprintf(written, sizeof written, "%s/written", folder);
  snprintf(link, sizeof link, "%s/variables", folder);
  if (variables && symlink(variables, link)) abort();
}

static void rewrite(hone_context *cx, hone_conversion *k) {
  hone_conversion *again = NULL;
  for (uint32_t i = 0; i < hone_conversion_segment_count(k); i++) {
    hone_status st = hone_model_optimize(hone_conversion_segment(k, i, NULL), NULL);
    if (st) return;
  }
  if (hone_conversion_save(k, written)) return;
  hone_status st = hone_conversion_open(cx, written, NULL, &again);
  if (st && st != HONE_NOMEM) {
    fprintf(stderr, "what was written is not read: %s\n", hone_context_error(cx));
    abort();
  }
  hone_conversion_destroy(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hone_context *cx;
  hone_catalog *list = NULL;
  hone_catalog_row row;
  hone_conversion *k = NULL;
  if (!*graph) prepare();
  FILE *f = fopen(graph, "wb");
  if (!f) return 0;
  fwrite(data, 1, size, f);
  fclose(f);
  if (hone_context_create(&cx)) return 0;
  if (!hone_catalog_open(cx, folder, &list))
    for (uint32_t i = 0; hone_catalog_row_at(list, i, &row);) i++;
  hone_catalog_destroy(&list);
  if (!hone_conversion_open(cx, folder, NULL, &k)) rewrite(cx, k);
  hone_conversion_destroy(&k);
  hone_context_destroy(&cx);
  return 0;
}
