/* vec.h - growable arrays: HN_VEC(T) v = {0}; hn_push(&v, x) is false when memory is out; hn_vec_free(&v). */
#ifndef HN_VEC_H
#define HN_VEC_H
#include <stdbool.h>
#include <stddef.h>

#define HN_VEC(T) \
  struct {        \
    T *p;         \
    size_t n, cap; \
  }

bool hn_vec_grow(void **p, size_t *cap, size_t need, size_t elem); /* capacity for `need` elements */

#define hn_reserve(v, need) hn_vec_grow((void **)(void *)&(v)->p, &(v)->cap, (need), sizeof *(v)->p)
#define hn_push(v, x) (hn_reserve((v), (v)->n + 1) && ((v)->p[(v)->n++] = (x), true))
#define hn_vec_free(v) (hn_vec_free_(&(v)->p), (v)->n = (v)->cap = 0)
void hn_vec_free_(void *pp); /* pp: address of the pointer */
#endif
