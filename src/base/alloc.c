#include "base/alloc.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *hn_malloc(size_t size) { return malloc(size ? size : 1); }
void *hn_realloc(void *p, size_t size) { return realloc(p, size ? size : 1); }
void hn_free(void *p) { free(p); }

void *hn_calloc(size_t count, size_t size) {
  return calloc(count ? count : 1, size ? size : 1);
}

/* Large pieces on huge pages where the system has them: a product that runs through weights then misses the TLB less. */
void *hn_malloc_aligned(size_t size) {
  const size_t huge = 2 << 20, align = size >= 2 * huge ? huge : 64;
  if (size > SIZE_MAX - huge) return NULL;
  size_t rounded = (size + 63) & ~(size_t)63;
  if (align == 64) return aligned_alloc(64, rounded ? rounded : 64);
  rounded = (size + huge - 1) & ~(huge - 1);
  void *p = aligned_alloc(huge, rounded);
#ifdef MADV_HUGEPAGE
  if (p) madvise(p, rounded, MADV_HUGEPAGE);
#endif
  return p;
}
void hn_free_aligned(void *p) { free(p); }

typedef struct block {
  struct block *next;
  size_t used, size;
  alignas(16) unsigned char data[];
} block;

struct hn_arena {
  block *head;
};

hn_arena *hn_arena_create(void) { return hn_calloc(1, sizeof(hn_arena)); }

void hn_arena_destroy(hn_arena *a) {
  if (!a) return;
  for (block *b = a->head; b;) {
    block *next = b->next;
    hn_free(b);
    b = next;
  }
  hn_free(a);
}

void *hn_arena_alloc(hn_arena *a, size_t size) {
  if (size > SIZE_MAX / 2) return NULL;
  size = (size + 15) & ~(size_t)15;
  if (!size) size = 16;
  block *b = a->head;
  if (!b || b->size - b->used < size) {
    size_t want = size > 16384 ? size : 65536;
    b = hn_calloc(1, sizeof(block) + want);
    if (!b) return NULL;
    b->size = want;
    if (a->head && want == size && size > 16384) { /* a large block of its own keeps the open one open */
      b->next = a->head->next;
      a->head->next = b;
    } else {
      b->next = a->head;
      a->head = b;
    }
  }
  void *p = b->data + b->used;
  b->used += size;
  return p;
}

void *hn_arena_memdup(hn_arena *a, const void *p, size_t size) {
  void *q = hn_arena_alloc(a, size);
  if (q && size) memcpy(q, p, size);
  return q;
}

char *hn_arena_strndup(hn_arena *a, const char *s, size_t n) {
  if (n == SIZE_MAX) return NULL;
  char *q = hn_arena_alloc(a, n + 1);
  if (q && n) memcpy(q, s, n);
  return q;
}

char *hn_arena_strdup(hn_arena *a, const char *s) { return s ? hn_arena_strndup(a, s, strlen(s)) : NULL; }

char *hn_arena_printf(hn_arena *a, const char *fmt, ...) {
  va_list ap, ap2;
  va_start(ap, fmt);
  va_copy(ap2, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  char *s = n < 0 ? NULL : hn_arena_alloc(a, (size_t)n + 1);
  if (s) vsnprintf(s, (size_t)n + 1, fmt, ap2);
  va_end(ap2);
  return s;
}
