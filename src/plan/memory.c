/* memory.c - packing tensors with known lifetimes into one arena. */
#include <stdlib.h>

#include "plan/plan.h"

enum { ALIGN = 64 };

static int larger_first(const void *a, const void *b) {
  const hn_block *x = *(const hn_block *const *)a, *y = *(const hn_block *const *)b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x < y ? -1 : x > y);
}

static bool alive_together(const hn_block *a, const hn_block *b) { return a->first <= b->last && b->first <= a->last; }

/* The lowest gap among the placed blocks (sorted by offset) that holds b. */
static size_t lowest_gap(hn_block *const *placed, size_t n, const hn_block *b) {
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    if (!alive_together(placed[i], b)) continue;
    if (placed[i]->offset >= at && placed[i]->offset - at >= b->bytes) return at;
    size_t end = placed[i]->offset + placed[i]->bytes;
    if (end > at) at = end;
  }
  return at;
}

static size_t largest_live_set(const hn_block *blocks, size_t n) {
  size_t most = 0;
  for (size_t i = 0; i < n; i++) { /* a maximum is reached where some block begins */
    size_t sum = 0;
    for (size_t k = 0; k < n; k++)
      if (blocks[k].first <= blocks[i].first && blocks[i].first <= blocks[k].last) sum += blocks[k].bytes;
    if (sum > most) most = sum;
  }
  return most;
}

hone_status hn_plan_memory(hone_context *cx, hn_block *blocks, size_t n, size_t *total, size_t *lower_bound) {
  hn_block **order = hn_calloc(n, sizeof(void *)), **placed = hn_calloc(n, sizeof(void *));
  if (!order || !placed) {
    hn_free(order);
    hn_free(placed);
    return hn_nomem(cx);
  }
  size_t end = 0, sum = 0;
  hone_status st = HONE_OK;
  for (size_t i = 0; i < n; i++) {
    size_t rounded = (blocks[i].bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (rounded < blocks[i].bytes || __builtin_add_overflow(sum, rounded, &sum) || sum > SIZE_MAX / 4)
      st = hn_fail(cx, HONE_NOMEM, "the activations need more memory than can be addressed");
    blocks[i].bytes = rounded;
    order[i] = &blocks[i];
  }
  if (!st) {
    qsort(order, n, sizeof *order, larger_first);
    for (size_t i = 0; i < n; i++) {
      hn_block *b = order[i];
      b->offset = lowest_gap(placed, i, b);
      size_t k = i;
      for (; k > 0 && placed[k - 1]->offset > b->offset; k--) placed[k] = placed[k - 1];
      placed[k] = b;
      if (b->offset + b->bytes > end) end = b->offset + b->bytes;
    }
    *total = end;
    *lower_bound = largest_live_set(blocks, n);
  }
  hn_free(order);
  hn_free(placed);
  return st;
}
