/* truth.h - which class each picture is: lines "FILENAME LABEL". */
#ifndef CLI_TRUTH_H
#define CLI_TRUTH_H
#include "feed.h"
#include "labels.h"

typedef struct truth {
  const char *file;
  int64_t label;
} truth;

typedef struct truths {
  const char *path;
  lines lines;
  truth *p; /* sorted by file */
  size_t n;
} truths;

int truths_read(const char *path, truths *t);
void truths_free(truths *t);
const truth *truths_find(const truths *t, const char *path); /* NULL: it has no label */
/* Fails with a line if the feed has no pictures, or one has no label. */
int truths_check(const truths *t, const feed *f);
#endif
