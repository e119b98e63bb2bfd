/* memory.c - packing tensors with known lifetimes into one arena. */
#include <string.h>

#include "plan/plan.h"

enum { ALIGN = 64 };

typedef int (*before_fn)(const hn_block *x, const hn_block *y); /* negative: x is placed first */

static int sign(uint64_t x, uint64_t y) { return x < y ? 1 : x > y ? -1 : 0; } /* larger first */

static uint64_t life(const hn_block *b) { return (uint64_t)(b->last - b->first) + 1; }
static int by_size(const hn_block *x, const hn_block *y) { return sign(x->bytes, y->bytes); }
static int by_life(const hn_block *x, const hn_block *y) { return sign(life(x), life(y)); }
static int by_both(const hn_block *x, const hn_block *y) {
  double a = (double)x->bytes * (double)life(x), b = (double)y->bytes * (double)life(y);
  return a < b ? 1 : a > b ? -1 : 0;
}
static int by_begin(const hn_block *x, const hn_block *y) { return sign(y->first, x->first); }
static const before_fn orders[] = {by_size, by_both, by_life, by_begin};
enum { ORDERS = sizeof orders / sizeof *orders };

/* qsort() has no argument to pass `before` by; there are few hundred blocks at most, and a binary search finds each its place. */
static void sort_blocks(hn_block **order, hn_block *blocks, size_t n, before_fn before) {
  for (size_t i = 0; i < n; i++) {
    hn_block *b = &blocks[i];
    size_t from = 0, to = i;
    while (from < to) {
      size_t middle = (from + to) / 2;
      int d = before(b, order[middle]);
      if (!d) d = b->first != order[middle]->first ? (b->first < order[middle]->first ? -1 : 1) : 1;
      if (d < 0) to = middle;
      else from = middle + 1;
    }
    memmove(order + from + 1, order + from, (i - from) * sizeof *order);
    order[from] = b;
  }
}

static bool alive_together(const hn_block *a, const hn_block *b) { return a->first <= b->last && b->first <= a->last; }

/* A gap among the placed blocks (sorted by offset) that holds b: the lowest, or the tightest. */
static size_t gap_for(hn_block *const *placed, size_t n, const hn_block *b, bool tightest) {
  size_t at = 0, best = SIZE_MAX, room = SIZE_MAX;
  for (size_t i = 0; i < n; i++) {
    if (!alive_together(placed[i], b)) continue;
    if (placed[i]->offset >= at && placed[i]->offset - at >= b->bytes) {
      if (!tightest) return at;
      if (placed[i]->offset - at < room) best = at, room = placed[i]->offset - at;
    }
    size_t end = placed[i]->offset + placed[i]->bytes;
    if (end > at) at = end;
  }
  return best == SIZE_MAX ? at : best;
}

/* Places all blocks in this order; returns the total. */
static size_t place_all(hn_block *const *order, size_t n, hn_block **placed, bool tightest) {
  size_t end = 0;
  for (size_t i = 0; i < n; i++) {
    hn_block *b = order[i];
    b->offset = gap_for(placed, i, b, tightest);
    size_t k = i;
    for (; k > 0 && placed[k - 1]->offset > b->offset; k--) placed[k] = placed[k - 1];
    placed[k] = b;
    if (b->offset + b->bytes > end) end = b->offset + b->bytes;
  }
  return end;
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

typedef struct packing {
  hn_block *blocks, **order, **placed;
  size_t n, total, bound; /* the best total so far; what none can be below */
  size_t *offset;         /* of the blocks then */
} packing;

/* Tries the order at hand; true: no other can be better. */
static bool attempt(packing *p, bool tightest) {
  size_t total = place_all(p->order, p->n, p->placed, tightest);
  if (total >= p->total) return false;
  p->total = total;
  for (size_t i = 0; i < p->n; i++) p->offset[i] = p->blocks[i].offset;
  return total <= p->bound;
}

/* Blocks that stick out over the bound are placed first the next time. */
static void promote(packing *p) {
  size_t n = 0;
  for (size_t i = 0; i < p->n; i++)
    if (p->order[i]->offset + p->order[i]->bytes > p->bound) p->placed[n++] = p->order[i];
  for (size_t i = 0; i < p->n; i++)
    if (p->order[i]->offset + p->order[i]->bytes <= p->bound) p->placed[n++] = p->order[i];
  memcpy(p->order, p->placed, n * sizeof *p->order);
}

/* Several orders, and each improved a few times. */
static void pack(packing *p) {
  enum { ROUNDS = 8 };
  for (int o = 0; o < 2 * ORDERS; o++) {
    sort_blocks(p->order, p->blocks, p->n, orders[o % ORDERS]);
    for (int r = 0; r < ROUNDS; r++) {
      if (attempt(p, o >= ORDERS)) return;
      promote(p);
    }
  }
}

hone_status hn_plan_memory(hone_context *cx, hn_block *blocks, size_t n, size_t *total, size_t *lower_bound) {
  packing p = {.blocks = blocks, .n = n, .total = SIZE_MAX};
  size_t sum = 0;
  hone_status st = HONE_OK;
  for (size_t i = 0; i < n; i++) {
    size_t rounded = (blocks[i].bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (rounded < blocks[i].bytes || __builtin_add_overflow(sum, rounded, &sum) || sum > SIZE_MAX / 4)
      return hn_fail(cx, HONE_NOMEM, "the activations need more memory than can be addressed");
    blocks[i].bytes = rounded;
  }
  p.order = hn_calloc(n, sizeof *p.order);
  p.placed = hn_calloc(n, sizeof *p.placed);
  p.offset = hn_calloc(n, sizeof *p.offset);
  if (!p.order || !p.placed || !p.offset) st = hn_nomem(cx);
  if (!st) {
    p.bound = largest_live_set(blocks, n);
    pack(&p);
    for (size_t i = 0; i < n; i++) blocks[i].offset = p.offset[i];
    *total = n ? p.total : 0;
    *lower_bound = p.bound;
  }
  hn_free(p.order);
  hn_free(p.placed);
  hn_free(p.offset);
  return st;
}
