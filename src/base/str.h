/* str.h - building text. A failed allocation sets `failed` and later calls do nothing. */
#ifndef HN_STR_H
#define HN_STR_H
#include <stdbool.h>
#include <stddef.h>

typedef struct hn_str {
  char *p; /* NUL-terminated when n > 0 */
  size_t n, cap;
  bool failed;
} hn_str;

void hn_str_add(hn_str *s, const char *text);
void hn_str_addn(hn_str *s, const char *text, size_t n);
void hn_str_printf(hn_str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void hn_str_free(hn_str *s);
/* The text, owned by the caller (hn_free), "" when empty; NULL if an allocation failed. Empties s. */
char *hn_str_take(hn_str *s);
bool hn_streq(const char *a, const char *b); /* NULL-safe */
#endif
