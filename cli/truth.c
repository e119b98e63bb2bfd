/* truth.c - labels of pictures. */
#include "truth.h"

#include <stdlib.h>
#include <string.h>

static int by_file(const void *a, const void *b) { return strcmp(((const truth *)a)->file, ((const truth *)b)->file); }

/* "FILENAME LABEL": the label is the last word. */
int truths_read(const char *path, truths *r) {
  *r = (truths){.path = path};
  int code = lines_read(path, &r->lines);
  if (code) return code;
  r->p = cli_alloc(r->lines.n, sizeof *r->p);
  for (size_t i = 0; i < r->lines.n; i++) {
    char *line = r->lines.p[i], *end = line + strlen(line);
    while (end > line && (end[-1] == ' ' || end[-1] == '\t')) *--end = 0;
    if (end == line || *line == '#') continue;
    char *word = end;
    while (word > line && word[-1] != ' ' && word[-1] != '\t') word--;
    truth *t = &r->p[r->n];
    if (word == line || !args_int(word, &t->label) || t->label < 0)
      return cli_fail("%s: line '%.60s' is not 'FILENAME LABEL' with a whole number", path, line);
    do *--word = 0;
    while (word > line && (word[-1] == ' ' || word[-1] == '\t'));
    t->file = line;
    r->n++;
  }
  if (!r->n) return cli_fail("%s: there are no labels in it", path);
  qsort(r->p, r->n, sizeof *r->p, by_file);
  for (size_t i = 1; i < r->n; i++)
    if (strcmp(r->p[i].file, r->p[i - 1].file) == 0) return cli_fail("%s: '%s' has two labels", path, r->p[i].file);
  return CLI_OK;
}

const truth *truths_find(const truths *t, const char *path) {
  truth key = {.file = base_name(path)};
  return bsearch(&key, t->p, t->n, sizeof key, by_file);
}

int truths_check(const truths *t, const feed *f) {
  if (!f->pictures) return cli_fail("%s: there are no images to which the labels belong", t->path);
  for (size_t i = 0; i < f->pictures->n; i++)
    if (!truths_find(t, f->pictures->p[i])) return cli_fail("%s: '%s' has no label", t->path, base_name(f->pictures->p[i]));
  return CLI_OK;
}

void truths_free(truths *t) {
  free(t->p);
  lines_free(&t->lines);
  *t = (truths){0};
}
