#include "device/cpu/move/strided_copy.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { GRAIN = 32768, TILE = 16, LINE = 64 };

size_t hn_element_size(hn_dtype t) {
  size_t one, two;
  if (t == HONE_DTYPE_STRING || !hn_dtype_bytes(t, 1, &one) || !hn_dtype_bytes(t, 2, &two)) return 0;
  return two == 2 * one ? one : 0;
}

/* Moves the dimension along which `from` steps by one next to the last, so that both sides are walked in tiles. */
static bool turn(hn_nd *nd) {
  int32_t last = nd->rank - 1, d = -1;
  if (last < 1 || nd->stride[0][last] != 1 || nd->stride[1][last] == 1 || nd->stride[1][last] == 0) return false;
  for (int32_t i = 0; i < last; i++)
    if (nd->stride[1][i] == 1) d = i;
  if (d < 0) return false;
  int64_t n = nd->dims[d], s[2] = {nd->stride[0][d], nd->stride[1][d]};
  for (int32_t i = d; i < last - 1; i++) {
    nd->dims[i] = nd->dims[i + 1];
    for (int k = 0; k < 2; k++) nd->stride[k][i] = nd->stride[k][i + 1];
  }
  nd->dims[last - 1] = n;
  for (int k = 0; k < 2; k++) nd->stride[k][last - 1] = s[k];
  return true;
}

void hn_copy_plan(hn_copy *c, size_t size, int32_t rank, const int64_t *dims, int64_t to, const int64_t *to_stride,
                  int64_t from, const int64_t *from_stride) {
  *c = (hn_copy){.nd = {.rank = rank}, .to = to, .from = from, .size = size};
  if (rank) memcpy(c->nd.dims, dims, sizeof *dims * (size_t)rank);
  hn_nd_strided(&c->nd, to_stride);
  hn_nd_strided(&c->nd, from_stride);
  hn_nd_merge(&c->nd);
  c->turn = turn(&c->nd);
}

typedef struct copy_run {
  const hn_copy *c;
  unsigned char *to;
  const unsigned char *from;
  int64_t to_step, from_step; /* along a run */
} copy_run;

#define COPY_LINE(T)                                                      \
  do {                                                                    \
    T *d = (T *)to;                                                       \
    const T *s = (const T *)from;                                         \
    for (int64_t i = 0; i < n; i++) d[i * ds] = s[i * ss];                \
  } while (0)

static void copy_line(unsigned char *to, const unsigned char *from, size_t size, int64_t n, int64_t ds, int64_t ss) {
  if (ds == 1 && ss == 1) {
    memcpy(to, from, size * (size_t)n);
    return;
  }
  switch (size) {
    case 1: COPY_LINE(uint8_t); break;
    case 2: COPY_LINE(uint16_t); break;
    case 4: COPY_LINE(uint32_t); break;
    case 8: COPY_LINE(uint64_t); break;
    default:
      for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)(i * ds) * size, from + i * ss * (int64_t)size, size);
  }
}

/* d[k * ds + j] = s[j * ss + k]. Whole tiles have constant bounds, so that the compiler can unroll them. */
#define COPY_TILE(T)                                                      \
  do {                                                                    \
    T *d = (T *)to;                                                       \
    const T *s = (const T *)from;                                         \
    if (m == TILE && n == TILE) {                                         \
      for (int64_t j = 0; j < TILE; j++)                                  \
        for (int64_t k = 0; k < TILE; k++) d[k * ds + j] = s[j * ss + k]; \
    } else {                                                              \
      for (int64_t j = 0; j < n; j++)                                     \
        for (int64_t k = 0; k < m; k++) d[k * ds + j] = s[j * ss + k];    \
    }                                                                     \
  } while (0)

#if defined(__SSE2__)
/* A whole tile of bytes: interleaving each row with the one eight further, four times, turns rows into columns. */
static void turn_bytes(unsigned char *to, const unsigned char *from, int64_t ds, int64_t ss) {
  __m128i x[TILE], y[TILE];
  for (int j = 0; j < TILE; j++) x[j] = _mm_loadu_si128((const __m128i *)(const void *)(from + j * ss));
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < TILE / 2; i++) y[2 * i] = _mm_unpacklo_epi8(x[i], x[i + TILE / 2]), y[2 * i + 1] = _mm_unpackhi_epi8(x[i], x[i + TILE / 2]);
    memcpy(x, y, sizeof x);
  }
  for (int k = 0; k < TILE; k++) _mm_storeu_si128((__m128i *)(void *)(to + k * ds), x[k]);
}
#else
static void turn_bytes(unsigned char *to, const unsigned char *from, int64_t ds, int64_t ss) {
  for (int64_t j = 0; j < TILE; j++)
    for (int64_t k = 0; k < TILE; k++) to[k * ds + j] = from[j * ss + k];
}
#endif

static void copy_tile(unsigned char *to, const unsigned char *from, size_t size, int64_t m, int64_t n, int64_t ds, int64_t ss) {
  if (size == 1 && m == TILE && n % TILE == 0) {
    for (int64_t j = 0; j < n; j += TILE) turn_bytes(to + j, from + j * ss, ds, ss);
    return;
  }
  switch (size) {
    case 1: COPY_TILE(uint8_t); break;
    case 2: COPY_TILE(uint16_t); break;
    case 4: COPY_TILE(uint32_t); break;
    case 8: COPY_TILE(uint64_t); break;
    default:
      for (int64_t k = 0; k < m; k++)
        copy_line(to + (size_t)(k * ds) * size, from + (size_t)k * size, size, n, 1, ss);
  }
}

static void run_line(void *arg, const int64_t *at, int64_t n) {
  const copy_run *r = arg;
  int64_t size = (int64_t)r->c->size;
  copy_line(r->to + at[0] * size, r->from + at[1] * size, r->c->size, n, r->to_step, r->from_step);
}

/* Rows of bytes that are contiguous on both sides. Short ones, as a few channels of a pixel are, are copied in place
   rather than by a call each. */
static void run_rows(void *arg, const int64_t *at, int64_t rows) {
  const copy_run *r = arg;
  const hn_nd *nd = &r->c->nd;
  int32_t last = nd->rank - 1;
  int64_t size = (int64_t)r->c->size, bytes = nd->dims[last] * size;
  int64_t to_step = nd->stride[0][last - 1] * size, from_step = nd->stride[1][last - 1] * size;
  unsigned char *to = r->to + at[0] * size;
  const unsigned char *from = r->from + at[1] * size;
  if (bytes > 1024 || bytes % 16) {
    for (int64_t i = 0; i < rows; i++) memcpy(to + i * to_step, from + i * from_step, (size_t)bytes);
    return;
  }
  for (int64_t i = 0; i < rows; i++, to += to_step, from += from_step)
    for (int64_t b = 0; b < bytes; b += 16) memcpy(to + b, from + b, 16);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { FEW = 4, SIDE_BY_SIDE = 64 };

/* Few columns of bytes that fill their rows, as the planes of an image become pixels: a row is written as a word, the end of which
   the next one overwrites. */
static void join_bytes(unsigned char *to, const unsigned char *from, int64_t columns, int64_t rows, int64_t ss) {
  int64_t i = 0;
  for (; i + SIDE_BY_SIDE < rows; i += SIDE_BY_SIDE) {
    uint32_t word[SIDE_BY_SIDE];
    for (int64_t k = 0; k < SIDE_BY_SIDE; k++) word[k] = from[i + k];
    for (int64_t c = 1; c < columns; c++)
      for (int64_t k = 0; k < SIDE_BY_SIDE; k++) word[k] |= (uint32_t)from[c * ss + i + k] << 8 * c;
    for (int64_t k = 0; k < SIDE_BY_SIDE; k++) memcpy(to + (i + k) * columns, &word[k], sizeof word[k]);
  }
  for (; i < rows; i++)
    for (int64_t c = 0; c < columns; c++) to[i * columns + c] = from[c * ss + i];
}
#endif

/* A rectangle of columns x rows, read along its columns and written along its rows, in tiles that stay in the cache. */
static void run_tiles(void *arg, const int64_t *at, int64_t rows) {
  const copy_run *r = arg;
  const hn_nd *nd = &r->c->nd;
  int32_t last = nd->rank - 1;
  int64_t size = (int64_t)r->c->size, columns = nd->dims[last], ds = nd->stride[0][last - 1], ss = nd->stride[1][last];
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (size == 1 && columns <= FEW && ds == columns) {
    join_bytes(r->to + at[0], r->from + at[1], columns, rows, ss);
    return;
  }
#endif
  int64_t wide = size == 1 ? LINE : TILE; /* what is written of a row is a line of the cache: it may be gone before the next piece comes */
  for (int64_t j = 0; j < columns; j += wide)
    for (int64_t i = 0; i < rows; i += TILE) {
      int64_t m = rows - i < TILE ? rows - i : TILE, n = columns - j < wide ? columns - j : wide;
      copy_tile(r->to + (at[0] + i * ds + j) * size, r->from + (at[1] + i + j * ss) * size, r->c->size, m, n, ds, ss);
    }
}

void hn_copy_run(const hn_copy *c, int threads, void *to, const void *from) {
  const hn_nd *nd = &c->nd;
  int32_t last = nd->rank - 1;
  copy_run r = {c, (unsigned char *)to + c->to * (int64_t)c->size, (const unsigned char *)from + c->from * (int64_t)c->size,
                nd->stride[0][last], nd->stride[1][last]};
  bool in_rows = !c->turn && last > 0 && r.to_step == 1 && r.from_step == 1;
  if (!c->turn && !in_rows) {
    hn_nd_for(nd, threads, GRAIN, run_line, &r);
    return;
  }
  hn_nd outer = *nd; /* the rows are the run, the columns are walked by the function */
  outer.rank--;
  int64_t columns = nd->dims[last];
  if (columns > 0) hn_nd_for(&outer, threads, GRAIN / columns + TILE, in_rows ? run_rows : run_tiles, &r);
}
