#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"

void hn_str_addn(hn_str *s, const char *text, size_t n) {
  if (s->failed || n > (size_t)-1 - s->n - 1 || !hn_vec_grow((void **)(void *)&s->p, &s->cap, s->n + n + 1, 1)) {
    s->failed = true;
    return;
  }
  if (n) memcpy(s->p + s->n, text, n);
  s->n += n;
  s->p[s->n] = 0;
}

void hn_str_add(hn_str *s, const char *text) { hn_str_addn(s, text, strlen(text)); }

void hn_str_printf(hn_str *s, const char *fmt, ...) {
  va_list ap, ap2;
  va_start(ap, fmt);
  va_copy(ap2, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n < 0 || s->failed || !hn_vec_grow((void **)(void *)&s->p, &s->cap, s->n + (size_t)n + 1, 1)) {
    s->failed = true;
  } else {
    vsnprintf(s->p + s->n, (size_t)n + 1, fmt, ap2);
    s->n += (size_t)n;
  }
  va_end(ap2);
}

void hn_str_free(hn_str *s) {
  hn_free(s->p);
  memset(s, 0, sizeof *s);
}

char *hn_str_take(hn_str *s) {
  if (!s->failed && !s->p) hn_str_add(s, "");
  char *p = s->failed ? NULL : s->p;
  if (s->failed) hn_free(s->p);
  memset(s, 0, sizeof *s);
  return p;
}

bool hn_streq(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }
