/* labels.c - names of classes, scores of items. */
#include "labels.h"

#include <stdlib.h>
#include <string.h>

#include "cli_file.h"

int lines_read(const char *path, lines *l) {
  unsigned char *data;
  size_t size;
  int code = file_read(path, (size_t)64 << 20, &data, &size);
  if (code) return code;
  *l = (lines){.text = (char *)data};
  for (char *save = NULL, *p = strtok_r(l->text, "\r\n", &save); p; p = strtok_r(NULL, "\r\n", &save)) {
    if ((l->n & (l->n - 1)) == 0) l->p = cli_grow(l->p, l->n ? l->n * 2 : 1, sizeof *l->p);
    l->p[l->n++] = p;
  }
  if (l->n) return CLI_OK;
  lines_free(l);
  return cli_fail("%s: the file is empty", path);
}

void lines_free(lines *l) {
  free(l->text);
  free(l->p);
  *l = (lines){0};
}

bool item_scores(const hone_tensor_info *info, size_t item, size_t items, size_t *first, size_t *n) {
  size_t count = 1;
  if (!dtype_numeric(info->dtype)) return false;
  for (int32_t i = 0; i < info->rank; i++) count *= (size_t)info->dims[i];
  bool batched = info->rank > 1 && (size_t)info->dims[0] >= items;
  if (!batched && items > 1) return false;
  *n = batched ? count / (size_t)info->dims[0] : count;
  *first = item * *n;
  return *n > 0;
}
