/* alloc.h - the only door to malloc, and arenas: memory that is freed together. */
#ifndef HN_ALLOC_H
#define HN_ALLOC_H
#include <stddef.h>
#include <stdint.h>

void *hn_malloc(size_t size);            /* NULL on failure; hn_malloc(0) is valid */
void *hn_calloc(size_t count, size_t size); /* checked multiplication, zeroed */
void *hn_realloc(void *p, size_t size);
void hn_free(void *p);
/* 64-byte aligned (a cache line, an AVX-512 register), rounded up in size; free with hn_free_aligned. */
void *hn_malloc_aligned(size_t size);
void hn_free_aligned(void *p);

typedef struct hn_arena hn_arena;
hn_arena *hn_arena_create(void);
void hn_arena_destroy(hn_arena *a);                       /* accepts NULL */
void *hn_arena_alloc(hn_arena *a, size_t size);           /* zeroed, 16-byte aligned; NULL on failure */
char *hn_arena_strdup(hn_arena *a, const char *s);        /* NULL for NULL and on failure */
char *hn_arena_strndup(hn_arena *a, const char *s, size_t n);
void *hn_arena_memdup(hn_arena *a, const void *p, size_t size);
char *hn_arena_printf(hn_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
