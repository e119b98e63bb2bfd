/* table.h - tables of text with aligned columns, numbers in human units. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H
#include "cli.h"

/* Columns: one letter each, 'l' or 'r' for the side they keep to. Cells are added row by row; the first row is
   the heading. */
typedef struct table table;
table *table_make(const char *columns);
void table_cell(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(const table *t, int indent);
size_t table_rows(const table *t); /* without the heading */
void table_free(table *t);

typedef struct units {
  char s[32];
} units;
units human_count(uint64_t n);  /* "11.7 M" */
units human_bytes(uint64_t n);  /* "44.6 MiB" */
units human_ms(double ms);      /* "1.23 ms" */
#endif
