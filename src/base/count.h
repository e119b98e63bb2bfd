/* count.h - arithmetic on counts whose sums and products are known to fit. */
#ifndef HN_COUNT_H
#define HN_COUNT_H
#include <stdint.h>

static inline int64_t hn_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t hn_round_up(int64_t a, int64_t b) { return hn_ceil_div(a, b) * b; }
static inline int64_t hn_smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t hn_larger(int64_t a, int64_t b) { return a > b ? a : b; }
#endif
