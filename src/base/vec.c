#include "base/vec.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

bool hn_vec_grow(void **p, size_t *cap, size_t need, size_t elem) {
  if (need <= *cap) return true;
  size_t c = *cap ? *cap : 8;
  while (c < need) {
    if (c > SIZE_MAX / 2) return false;
    c *= 2;
  }
  size_t bytes;
  if (__builtin_mul_overflow(c, elem, &bytes)) return false;
  void *q = hn_realloc(*p, bytes);
  if (!q) return false;
  *p = q;
  *cap = c;
  return true;
}

void hn_vec_free_(void *pp) {
  void *p;
  memcpy(&p, pp, sizeof p);
  hn_free(p);
  memset(pp, 0, sizeof p);
}
