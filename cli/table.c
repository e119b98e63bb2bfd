/* table.c - tables of text. */
#include "table.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct table {
  const char *columns;
  size_t width, n;
  char **cells;
};

table *table_make(const char *columns) {
  table *t = cli_alloc(1, sizeof *t);
  t->columns = columns;
  t->width = strlen(columns);
  return t;
}

void table_cell(table *t, const char *format, ...) {
  char buffer[4096];
  va_list ap;
  va_start(ap, format);
  vsnprintf(buffer, sizeof buffer, format, ap);
  va_end(ap);
  cli_printable(buffer);
  if ((t->n & (t->n - 1)) == 0) t->cells = cli_grow(t->cells, t->n ? t->n * 2 : 1, sizeof *t->cells);
  t->cells[t->n++] = cli_copy(buffer);
}

size_t table_rows(const table *t) { return t->n / t->width - (t->n >= t->width); }

/* Columns that a UTF-8 text takes, near enough. */
static int columns_of(const char *s) {
  int n = 0;
  for (; *s; s++) n += (*s & 0xc0) != 0x80;
  return n;
}

/* Is there anything in a column under its head? */
static bool is_filled(const table *t, size_t column) {
  for (size_t i = t->width + column; i < t->n; i += t->width)
    if (*t->cells[i]) return true;
  return t->n <= t->width;
}

void table_print(const table *t, int indent) {
  int *widths = cli_alloc(t->width, sizeof *widths);
  size_t line = SIZE_MAX, end = 0; /* behind the last column that is shown */
  for (size_t i = 0; i < t->n; i++) {
    int w = columns_of(t->cells[i]);
    if (w > widths[i % t->width]) widths[i % t->width] = w;
  }
  for (size_t k = 0; k < t->width; k++) {
    if (!is_filled(t, k)) widths[k] = -1;
    else end = k + 1;
  }
  for (size_t i = 0; i < t->n; i++) {
    size_t column = i % t->width;
    if (widths[column] < 0) continue;
    bool last = column + 1 == end;
    int space = widths[column] - columns_of(t->cells[i]);
    bool right = t->columns[column] == 'r';
    if (line != i / t->width) line = i / t->width, printf("%*s", indent, "");
    printf("%*s%s%*s%s", right ? space : 0, "", t->cells[i], right || last ? 0 : space, "", last ? "\n" : "  ");
  }
  free(widths);
}

void table_free(table *t) {
  for (size_t i = 0; i < t->n; i++) free(t->cells[i]);
  free(t->cells);
  free(t);
}

static units scaled(double v, double step, const char *const *names, int n) {
  units u;
  int i = 0;
  while (v >= step && i + 1 < n) {
    v /= step;
    i++;
  }
  snprintf(u.s, sizeof u.s, i ? "%.*f %s" : "%.*f%s", i ? (v < 10 ? 2 : v < 100 ? 1 : 0) : 0, v, names[i]);
  return u;
}

units human_count(uint64_t n) {
  static const char *const names[] = {"", "k", "M", "G", "T", "P", "E"};
  return scaled((double)n, 1000, names, 7);
}

units human_bytes(uint64_t n) {
  static const char *const names[] = {" B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  return scaled((double)n, 1024, names, 7);
}

units human_ms(double ms) {
  units u;
  snprintf(u.s, sizeof u.s, "%.*f ms", ms >= 100 ? 1 : ms >= 10 ? 2 : 3, ms);
  return u;
}
