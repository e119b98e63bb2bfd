/* labels.h - names of classes, and which class each picture is. */
#ifndef CLI_LABELS_H
#define CLI_LABELS_H
#include "cli_tensor.h"

/* Lines of a file. */
typedef struct lines {
  char *text;
  char **p;
  size_t n;
} lines;
int lines_read(const char *path, lines *l);
void lines_free(lines *l);

/* The scores of one item in an output whose first dimension counts items. False if it has none. */
bool item_scores(const hone_tensor_info *info, size_t item, size_t items, size_t *first, size_t *n);
#endif
