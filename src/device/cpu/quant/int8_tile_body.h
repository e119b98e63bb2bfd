/* int8_tile_body.h - the body of int8_tile.h's functions. Included by one file per instruction set, which defines TILE, the name of
   the table, ROWS of a tile, LANES of a vector, PIXELS of a depthwise step, and the arithmetic of int8_lanes_*.h. */
#include <string.h>
enum { VECS = 2, COLS = VECS * LANES };
#ifndef UNROLL
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define CONST_FN static inline __attribute__((always_inline))

/* ---- products */

CONST_FN void sum_rows(const hn_int8_mul *m, int64_t from, ints sum[ROWS][VECS], const int rows, const int vecs) {
  const uint8_t *a[(ROWS + 2) / 3]; /* each third row: the two behind are told by lda */
  const int64_t lda = m->lda;
  const int8_t *w = m->w;
  UNROLL for (int r = 0; r < rows; r += 3) a[r / 3] = m->a + (from + r) * lda;
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vecs; v++) sum[r][v] = load_ints(m->init + v * LANES);
  for (int64_t k = 0; k < m->quads; k++, w += 4 * COLS) {
    int64_t at = m->at ? m->at[k] : 4 * k;
    ints b[VECS];
    UNROLL for (int v = 0; v < vecs; v++) b[v] = load_ints(w + 4 * LANES * v);
    UNROLL for (int r = 0; r < rows; r++) {
      int32_t four;
      __builtin_memcpy(&four, a[r / 3] + at + r % 3 * lda, sizeof four);
      ints x = all_ints(four);
      UNROLL for (int v = 0; v < vecs; v++) sum[r][v] = add_quads(sum[r][v], x, b[v]);
    }
  }
}

CONST_FN void mul_rows(const hn_int8_mul *m, int64_t from, const int rows, const int vecs) {
  ints sum[ROWS][VECS];
  sum_rows(m, from, sum, rows, vecs);
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vecs; v++) store_ints(m->sum + (from + r) * COLS + v * LANES, sum[r][v]);
}

CONST_FN void sums_of(const hn_int8_mul *m, int from, int rows, const int vecs) {
  for (; rows - from >= ROWS; from += ROWS) mul_rows(m, from, ROWS, vecs);
  for (; rows - from >= 4; from += 4) mul_rows(m, from, 4, vecs);
  for (; rows - from >= 2; from += 2) mul_rows(m, from, 2, vecs);
  if (from < rows) mul_rows(m, from, 1, vecs);
}

static __attribute__((noinline)) void sums(const hn_int8_mul *m, int from, int rows, bool narrow) {
  if (narrow) sums_of(m, from, rows, 1);
  else sums_of(m, from, rows, VECS);
}

/* ---- from sums to outputs */

/* What of the ending stays in registers. */
typedef struct limits {
  floats lo, hi, a, b, c, d;
} limits;

CONST_FN limits limits_of(const hn_int8_ending *e, const hn_int8_function function) {
  limits l = {.lo = all_floats(e->lo), .hi = all_floats(e->hi)};
  if (function == HN_INT8_LEAKY || function == HN_INT8_HARDSWISH) l.a = all_floats(e->a);
  if (function == HN_INT8_HARDSWISH) l.b = all_floats(e->b), l.c = all_floats(e->c), l.d = all_floats(e->d);
  return l;
}

CONST_FN floats ending(const hn_int8_ending *e, const limits *l, floats v, const hn_int8_function function) {
  switch (function) {
    case HN_INT8_LEAKY: v = fma_floats(negative_part(v), l->a, v); break;
    case HN_INT8_HARDSWISH: v = fma_floats(v, between(all_floats(0), fma_floats(v, l->a, l->b), l->c), l->d); break;
    case HN_INT8_CURVE: {
      const floats big = all_floats(12582912); /* numbers near it are whole, and their last bits tell how far from it they are */
      floats x = between(l->lo, v, l->hi), at = add_floats(x, big), d = sub_floats(x, sub_floats(at, big));
      return fma_floats(fma_floats(look_up(e->curve[2], at), d, look_up(e->curve[1], at)), d, look_up(e->curve[0], at));
    }
    case HN_INT8_BYTES: return v;
    case HN_INT8_BOUNDS:
    case HN_INT8_FUNCTIONS:
    default: break;
  }
  return between(l->lo, v, l->hi);
}

CONST_FN floats with_residual(const hn_int8_finish *f, floats v, const unsigned char *res, int64_t i) {
  floats by = all_floats(f->by);
  switch (f->residual) {
    case HN_INT8_RESIDUAL_U8: return fma_floats(from_u8(res + i), by, v);
    case HN_INT8_RESIDUAL_I8: return fma_floats(from_i8((const int8_t *)res + i), by, v);
    case HN_INT8_RESIDUAL_F32: return fma_floats(load_floats((const float *)(const void *)res + i), by, v);
    case HN_INT8_NO_RESIDUAL:
    default: return v;
  }
}

/* A row of a panel: two vectors. */
CONST_FN void finish_row(const hn_int8_finish *f, const limits *l, int64_t row, floats v[VECS], const hn_int8_function function, const bool own) {
  size_t size = f->residual == HN_INT8_RESIDUAL_F32 ? sizeof(float) : 1;
  const unsigned char *res = f->residual ? (const unsigned char *)f->res + (size_t)(row * f->ld) * size : NULL;
  unsigned char whole[COLS * sizeof(float)];
  if (res && f->n < COLS) res = memcpy(whole, res, (size_t)f->n * size);
  UNROLL for (int i = 0; i < VECS; i++) {
    ints sum = load_ints(f->sum + row * COLS + i * LANES);
    floats x = to_floats(own ? less_products(sum, all_ints(f->row_zero[row]), load_ints(f->column + i * LANES)) : sum);
    if (own) x = mul_floats(x, all_floats(f->row_unit[row]));
    v[i] = fma_floats(x, load_floats(f->unit + i * LANES), load_floats(f->bias + i * LANES));
    if (res) v[i] = with_residual(f, v[i], res, i * LANES);
    v[i] = ending(f->ending, l, v[i], function);
  }
}

CONST_FN void finish_floats(const hn_int8_finish *f, int rows, const hn_int8_function function, const bool own) {
  const limits l = limits_of(f->ending, function);
  for (int64_t r = 0; r < rows; r++) {
    floats v[VECS];
    float whole[COLS], *out = (float *)f->out + r * f->ld, *to = f->n < COLS ? whole : out;
    finish_row(f, &l, r, v, function, own);
    UNROLL for (int i = 0; i < VECS; i++) store_floats(to + i * LANES, v[i]);
    if (to != out) memcpy(out, whole, sizeof(float) * (size_t)f->n);
  }
}

/* n is `most` mostly. */
CONST_FN void copy_columns(uint8_t *to, const uint8_t *from, int64_t n, const size_t most) {
  if (n >= (int64_t)most) memcpy(to, from, most);
  else memcpy(to, from, (size_t)n);
}

CONST_FN void finish_bytes(const hn_int8_finish *f, int rows, const hn_int8_function function) {
  const limits l = limits_of(f->ending, function);
  for (int64_t r = 0; r < rows; r += 2) { /* the last one, if odd, twice: but not over its residual */
    floats v[2][VECS];
    uint8_t two[2 * COLS], *out = (uint8_t *)f->out + r * f->ld;
    finish_row(f, &l, r, v[0], function, false);
    finish_row(f, &l, r + 1 < rows ? r + 1 : r, v[1], function, false);
    ints b = pack_bytes(to_ints(v[0][0]), to_ints(v[0][1]), to_ints(v[1][0]), to_ints(v[1][1]), f->ending->zero, f->ending->is_signed);
    store_ints(two, in_order(b));
    copy_columns(out, two, f->n, COLS);
    if (r + 1 < rows) copy_columns(out + f->ld, two + COLS, f->n, COLS);
  }
}

#define EACH_FUNCTION(call)                                      \
  switch (f->ending->function) {                                 \
    case HN_INT8_LEAKY: call(HN_INT8_LEAKY); break;              \
    case HN_INT8_HARDSWISH: call(HN_INT8_HARDSWISH); break;      \
    case HN_INT8_CURVE: call(HN_INT8_CURVE); break;              \
    case HN_INT8_BYTES: call(HN_INT8_BYTES); break;              \
    case HN_INT8_BOUNDS:                                         \
    case HN_INT8_FUNCTIONS:                                      \
    default: call(HN_INT8_BOUNDS); break;                        \
  }

static void finish(const hn_int8_finish *f, int rows) {
#define TO_FLOATS(function) finish_floats(f, rows, function, false)
#define TO_BYTES(function) finish_bytes(f, rows, function)
  if (f->row_unit) finish_floats(f, rows, HN_INT8_BOUNDS, true);
  else if (f->ending->to_float) EACH_FUNCTION(TO_FLOATS)
  else EACH_FUNCTION(TO_BYTES)
}

/* ---- products to their end: for whole tiles and bytes the sums never leave the registers */

/* Bytes of `vecs` vectors of some rows that follow each other, four vectors in all. */
CONST_FN void end_rows(const hn_int8_finish *f, const limits *l, ints sum[ROWS][VECS], int64_t from, const int first, const int rows, const int vecs,
                       const floats *unit, const floats *bias, const hn_int8_function function, const bool residual) {
  const int each = 4 / vecs;
  const floats by = all_floats(f->by);
  uint8_t four[4 * LANES];
  ints r[4];
  UNROLL for (int k = 0; k < 4; k++) {
    const int row = first + k / vecs < rows ? first + k / vecs : rows - 1, v = k % vecs;
    floats x = fma_floats(to_floats(sum[row][v]), unit[v], bias[v]);
    if (residual) x = fma_floats(from_u8((const uint8_t *)f->res + (from + row) * f->ld + v * LANES), by, x);
    r[k] = to_ints(ending(f->ending, l, x, function));
  }
  store_ints(four, in_order(pack_bytes(r[0], r[1], r[2], r[3], f->ending->zero, f->ending->is_signed)));
  UNROLL for (int k = 0; k < each; k++)
    if (first + k < rows) copy_columns((uint8_t *)f->out + (from + first + k) * f->ld, four + k * vecs * LANES, f->n, (size_t)vecs * LANES);
}

CONST_FN void whole_tiles(const hn_int8_mul *m, const hn_int8_finish *f, int rows, const int vecs, const hn_int8_function function, const bool residual) {
  const limits l = limits_of(f->ending, function);
  for (int from = 0; rows - from >= ROWS; from += ROWS) {
    ints sum[ROWS][VECS];
    floats unit[VECS], bias[VECS];
    sum_rows(m, from, sum, ROWS, vecs);
    UNROLL for (int v = 0; v < vecs; v++) unit[v] = load_floats(f->unit + v * LANES), bias[v] = load_floats(f->bias + v * LANES);
    UNROLL for (int r = 0; r < ROWS; r += 4 / vecs) end_rows(f, &l, sum, from, r, ROWS, vecs, unit, bias, function, residual);
  }
}

CONST_FN void whole_tiles_of(const hn_int8_mul *m, const hn_int8_finish *f, int rows, const int vecs) {
  bool residual = f->residual == HN_INT8_RESIDUAL_U8;
  if (f->ending->function == HN_INT8_CURVE) whole_tiles(m, f, rows, vecs, HN_INT8_CURVE, false);
  else if (f->ending->function == HN_INT8_BYTES && residual) whole_tiles(m, f, rows, vecs, HN_INT8_BYTES, true);
  else if (f->ending->function == HN_INT8_BYTES) whole_tiles(m, f, rows, vecs, HN_INT8_BYTES, false);
  else if (residual) whole_tiles(m, f, rows, vecs, HN_INT8_BOUNDS, true);
  else whole_tiles(m, f, rows, vecs, HN_INT8_BOUNDS, false);
}

static void mul(const hn_int8_mul *m, const hn_int8_finish *f, int rows, bool narrow) {
  if (!f) {
    sums(m, 0, rows, narrow);
    return;
  }
  bool bounds = f->ending->function == HN_INT8_BOUNDS || f->ending->function == HN_INT8_BYTES, curve = f->ending->function == HN_INT8_CURVE;
  bool plain = f->residual == HN_INT8_NO_RESIDUAL, bytes = bounds && f->residual == HN_INT8_RESIDUAL_U8 && f->n == (narrow ? LANES : COLS);
  int done = !f->ending->to_float && (bytes || ((bounds || curve) && plain)) ? rows - rows % ROWS : 0;
  if (done && narrow) whole_tiles_of(m, f, rows, 1);
  else if (done) whole_tiles_of(m, f, rows, VECS);
  if (done == rows) return;
  sums(m, done, rows, narrow);
  size_t size = f->ending->to_float ? sizeof(float) : 1, res_size = f->residual == HN_INT8_RESIDUAL_F32 ? sizeof(float) : 1;
  hn_int8_finish rest = *f;
  rest.sum = m->sum + (int64_t)done * COLS;
  rest.out = (unsigned char *)f->out + (size_t)(done * f->ld) * size;
  if (f->residual) rest.res = (const unsigned char *)f->res + (size_t)(done * f->ld) * res_size;
  finish(&rest, rows - done);
}

/* ---- depthwise */

enum { WIDE = 4 * LANES };
/* Within each 16 bytes channels lie in order; vectors hold four of each 16. */
static int order(int i) { return i % LANES / 4 * 16 + i / LANES * 4 + i % 4; }

/* Sums of a block, channels from c on, of n pixels, or n in each part. */
CONST_FN void depthwise_sums(const hn_int8_depthwise *d, int64_t c, int64_t block, const int side, const int stride, const int n, const int split, int32_t *to) {
  const int cols = (n - 1) * stride + side, all = (n * split - 1) * stride + side, part = n * stride;
  const int8_t *w = d->w + block * WIDE * 4 * d->quads * side;
  ints sum[PIXELS][4];
  UNROLL for (int p = 0; p < n; p++) UNROLL for (int v = 0; v < 4; v++) sum[p][v] = load_ints(d->init + block * WIDE + v * LANES);
  for (int q = 0; q < d->quads; q++, w += WIDE * 4 * side) {
    const uint8_t *const *row = d->pixel + 4 * q * all;
    UNROLL for (int i = 0; i < cols; i++) {
      ints x[4], of[4];
      UNROLL for (int k = 0; k < 4; k++) of[k] = load_parts(row + k * all + i, part, c, split);
      interleave(x, of);
      UNROLL for (int p = 0; p < n; p++) {
        int k = i - p * stride;
        if (k < 0 || k >= side) continue;
        UNROLL for (int v = 0; v < 4; v++) sum[p][v] = add_any_quads(sum[p][v], x[v], load_ints(w + (k * 4 + v) * 4 * LANES));
      }
    }
  }
  UNROLL for (int p = 0; p < n; p++) UNROLL for (int v = 0; v < 4; v++) store_ints(to + p * WIDE + v * LANES, sum[p][v]);
}

#define DEPTHWISE_KIND(side, stride)                                                                                           \
  static __attribute__((noinline)) void sums_##side##_##stride(const hn_int8_depthwise *d, int64_t c, int64_t block, int n, int32_t *to) { \
    if (n == 1) depthwise_sums(d, c, block, side, stride, 1, 1, to);                                                           \
    else if (SPLIT >= 2 && d->split == 2) depthwise_sums(d, c, block, side, stride, PIXELS, 2, to);                            \
    else if (SPLIT >= 4 && d->split == 4) depthwise_sums(d, c, block, side, stride, PIXELS, 4, to);                            \
    else depthwise_sums(d, c, block, side, stride, PIXELS, 1, to);                                                             \
  }
DEPTHWISE_KIND(3, 1) DEPTHWISE_KIND(3, 2) DEPTHWISE_KIND(5, 1) DEPTHWISE_KIND(5, 2)

CONST_FN void end_pixels(const hn_int8_depthwise *d, const int32_t *sum, int64_t c, int64_t block, int n, const hn_int8_function function, const int split) {
  const limits l = limits_of(d->ending, function);
  const int64_t part = n * d->channels;
  floats unit[4], bias[4];
  UNROLL for (int v = 0; v < 4; v++) unit[v] = load_floats(d->unit + block * WIDE + v * LANES), bias[v] = load_floats(d->bias + block * WIDE + v * LANES);
  for (int p = 0; p < n; p++) {
    ints r[4];
    UNROLL for (int v = 0; v < 4; v++)
      r[v] = to_ints(ending(d->ending, &l, fma_floats(to_floats(load_ints(sum + p * WIDE + v * LANES)), unit[v], bias[v]), function));
    store_parts((uint8_t *)d->out + p * d->channels + c, part, pack_bytes(r[0], r[1], r[2], r[3], d->ending->zero, d->ending->is_signed), split);
  }
}

static void depthwise(const hn_int8_depthwise *f, int n) {
  int32_t sum[PIXELS * WIDE];
  const int64_t wide = WIDE / f->split;
  for (int64_t block = 0; block < f->blocks; block++) {
    int64_t c = f->from + block * wide, last = f->channels > wide ? f->channels - wide : 0;
    if (c > last) c = last;
    if (f->side == 3 && f->stride == 1) sums_3_1(f, c, block, n, sum);
    else if (f->side == 3) sums_3_2(f, c, block, n, sum);
    else if (f->stride == 1) sums_5_1(f, c, block, n, sum);
    else sums_5_2(f, c, block, n, sum);
#define END_PIXELS(function)                                                           \
  do {                                                                                 \
    if (SPLIT >= 2 && f->split == 2) end_pixels(f, sum, c, block, n, function, 2);      \
    else if (SPLIT >= 4 && f->split == 4) end_pixels(f, sum, c, block, n, function, 4); \
    else end_pixels(f, sum, c, block, n, function, 1);                                 \
  } while (0)
    EACH_FUNCTION(END_PIXELS)
  }
}

/* ---- element by element */

CONST_FN floats bytes_or_floats(const void *p, hn_int8_residual type, int64_t i) {
  if (type == HN_INT8_RESIDUAL_U8) return from_u8((const uint8_t *)p + i);
  if (type == HN_INT8_RESIDUAL_I8) return from_i8((const int8_t *)p + i);
  return load_floats((const float *)p + i);
}

CONST_FN void pair_block(const hn_int8_pair *p, const limits *l, int64_t at, const hn_int8_function function, const hn_int8_residual y_type, uint8_t *out) {
  ints r[4];
  UNROLL for (int v = 0; v < 4; v++) {
    floats x = p->x_signed ? from_i8((const int8_t *)p->x + at + v * LANES) : from_u8((const uint8_t *)p->x + at + v * LANES);
    floats y = fma_floats(bytes_or_floats(p->y, y_type, at + v * LANES), all_floats(p->b), all_floats(p->c));
    floats both = p->product ? mul_floats(sub_floats(x, all_floats(p->zero)), y) : fma_floats(x, all_floats(p->a), y);
    r[v] = to_ints(ending(p->ending, l, both, function));
  }
  store_ints(out, in_order(pack_bytes(r[0], r[1], r[2], r[3], p->ending->zero, p->ending->is_signed)));
}

CONST_FN void pair_of(const hn_int8_pair *p, int64_t n, const hn_int8_function function, const hn_int8_residual y_type) {
  const limits l = limits_of(p->ending, function);
  for (int64_t i = 0; i < n; i += WIDE) pair_block(p, &l, i, function, y_type, p->out + i);
}

static void pair_blocks(const hn_int8_pair *f, int64_t n) {
#define PAIR_OF(function)                                                                   \
  do {                                                                                      \
    if (f->y_type == HN_INT8_RESIDUAL_F32) pair_of(f, n, function, HN_INT8_RESIDUAL_F32);    \
    else if (f->y_type == HN_INT8_RESIDUAL_U8) pair_of(f, n, function, HN_INT8_RESIDUAL_U8); \
    else pair_of(f, n, function, HN_INT8_RESIDUAL_I8);                                      \
  } while (0)
  EACH_FUNCTION(PAIR_OF)
}

static void pair(const hn_int8_pair *p, int64_t n) {
  int64_t whole = n - n % WIDE;
  pair_blocks(p, whole);
  if (whole == n) return;
  size_t rest = (size_t)(n - whole), size = p->y_type == HN_INT8_RESIDUAL_F32 ? sizeof(float) : 1;
  uint8_t x[WIDE] = {0}, y[WIDE * sizeof(float)] = {0}, out[WIDE];
  memcpy(x, (const uint8_t *)p->x + whole, rest);
  memcpy(y, (const uint8_t *)p->y + (size_t)whole * size, rest * size);
  hn_int8_pair last = *p;
  last.x = x;
  last.y = y;
  last.out = out;
  pair_blocks(&last, WIDE);
  memcpy(p->out + whole, out, rest);
}

CONST_FN floats from_byte(const void *p, int64_t i, bool is_signed) {
  return is_signed ? from_i8((const int8_t *)p + i) : from_u8((const uint8_t *)p + i);
}

CONST_FN void blend_block(const hn_int8_blend *f, const limits *l, int64_t at, const hn_int8_function function, const bool residual, uint8_t *out) {
  ints r[4];
  UNROLL for (int v = 0; v < 4; v++) {
    const int64_t i = at + v * LANES;
    floats x = fma_floats(from_byte(f->x, i, f->x_signed), load_floats(f->a + i), load_floats(f->b + i));
    if (residual) x = fma_floats(from_byte(f->r, i, f->r_signed), all_floats(f->by), x);
    r[v] = to_ints(ending(f->ending, l, x, function));
  }
  store_ints(out, in_order(pack_bytes(r[0], r[1], r[2], r[3], f->ending->zero, f->ending->is_signed)));
}

CONST_FN void blend_of(const hn_int8_blend *f, int64_t n, const hn_int8_function function) {
  const limits l = limits_of(f->ending, function);
  if (f->r)
    for (int64_t i = 0; i < n; i += WIDE) blend_block(f, &l, i, function, true, f->out + i);
  else
    for (int64_t i = 0; i < n; i += WIDE) blend_block(f, &l, i, function, false, f->out + i);
}

static void blend_blocks(const hn_int8_blend *f, int64_t n) {
#define BLEND_OF(function) blend_of(f, n, function)
  EACH_FUNCTION(BLEND_OF)
}

static void blend(const hn_int8_blend *b, int64_t n) {
  int64_t whole = n - n % WIDE;
  blend_blocks(b, whole);
  if (whole == n) return;
  size_t rest = (size_t)(n - whole);
  uint8_t x[WIDE] = {0}, r[WIDE] = {0}, out[WIDE];
  float numbers[2][WIDE] = {{0}};
  memcpy(x, (const uint8_t *)b->x + whole, rest);
  if (b->r) memcpy(r, (const uint8_t *)b->r + whole, rest);
  memcpy(numbers[0], b->a + whole, rest * sizeof(float));
  memcpy(numbers[1], b->b + whole, rest * sizeof(float));
  hn_int8_blend last = {x, b->r ? r : NULL, b->x_signed, b->r_signed, numbers[0], numbers[1], b->by, out, b->ending};
  blend_blocks(&last, WIDE);
  memcpy(b->out + whole, out, rest);
}

/* The bytes from `at` on, of which there are n. */
CONST_FN void weigh_block(const hn_int8_weigh *f, const limits *l, int64_t at, int64_t n, const hn_int8_function function) {
  floats sum[4];
  ints r[4];
  uint8_t some[WIDE] = {0};
  UNROLL for (int v = 0; v < 4; v++) sum[v] = all_floats(f->start);
  for (int k = 0; k < f->rows; k++) {
    const uint8_t *row = f->row[k] + at;
    floats weight = all_floats(f->weight[k]);
    if (n < WIDE) row = memcpy(some, row, (size_t)n);
    UNROLL for (int v = 0; v < 4; v++) sum[v] = fma_floats(from_byte(row, v * LANES, f->is_signed), weight, sum[v]);
  }
  if (f->by != 1) /* a factor would take ties another way */
    UNROLL for (int v = 0; v < 4; v++) sum[v] = div_floats(sum[v], all_floats(f->by));
  UNROLL for (int v = 0; v < 4; v++) r[v] = to_ints(ending(f->ending, l, fma_floats(sum[v], all_floats(f->unit), all_floats(f->bias)), function));
  store_ints(some, in_order(pack_bytes(r[0], r[1], r[2], r[3], f->ending->zero, f->ending->is_signed)));
  memcpy(f->out + at, some, (size_t)(n < WIDE ? n : WIDE));
}

/* The last block ends where the run does: it repeats some. */
CONST_FN void weigh_of(const hn_int8_weigh *f, int64_t n, const hn_int8_function function) {
  const limits l = limits_of(f->ending, function);
  for (int64_t i = 0; i < n; i += WIDE) weigh_block(f, &l, i + WIDE <= n || n < WIDE ? i : n - WIDE, n, function);
}

static void weigh(const hn_int8_weigh *f, int64_t n) {
#define WEIGH_OF(function) weigh_of(f, n, function)
  EACH_FUNCTION(WEIGH_OF)
}

static void most(uint8_t *d, const uint8_t *x, bool is_signed, int64_t n) {
  int64_t i = 0;
  for (; i + WIDE <= n; i += WIDE) store_ints(d + i, largest_bytes(load_ints(d + i), load_ints(x + i), is_signed));
  if (i == n) return;
  uint8_t a[WIDE] = {0}, b[WIDE] = {0};
  memcpy(a, d + i, (size_t)(n - i));
  memcpy(b, x + i, (size_t)(n - i));
  store_ints(a, largest_bytes(load_ints(a), load_ints(b), is_signed));
  memcpy(d + i, a, (size_t)(n - i));
}

static void look_bytes_up(uint8_t *d, const uint8_t *x, const uint8_t table[256], int64_t n) {
  int64_t i = 0;
  for (; i + WIDE <= n; i += WIDE) store_ints(d + i, look_up_bytes(load_ints(x + i), table));
  for (; i < n; i++) d[i] = table[x[i]];
}

/* Sums of 16 bits hold 256 bytes. */
static void add_pixels(int32_t *restrict sum, const uint8_t *restrict x, uint8_t flip, int64_t channels, int64_t pixels) {
  enum { RUN = 512, MOST = 256 };
  for (int64_t from = 0; from < channels; from += RUN) {
    int64_t n = channels - from < RUN ? channels - from : RUN;
    for (int64_t p = 0; p < pixels; p += MOST) {
      uint16_t part[RUN] = {0};
      for (int64_t k = p; k < pixels && k < p + MOST; k++) {
        const uint8_t *row = x + k * channels + from;
        for (int64_t c = 0; c < n; c++) part[c] = (uint16_t)(part[c] + (row[c] ^ flip));
      }
      for (int64_t c = 0; c < n; c++) sum[from + c] += part[c];
    }
  }
}

/* ---- rows of attention */

CONST_FN floats score_block(float *d, const int32_t *sum, floats unit, const float *add) {
  floats x = to_floats(load_ints(sum));
  x = add ? fma_floats(x, unit, load_floats(add)) : mul_floats(x, unit);
  store_floats(d, x);
  return x;
}

static float scores(float *d, const int32_t *sum, int64_t panel, float unit, const float *add, int64_t n) {
  const floats by = all_floats(unit);
  floats most = all_floats(-__builtin_inff());
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) most = largest_floats(most, score_block(d + i, sum + i / COLS * panel + i % COLS, by, add ? add + i : NULL));
  if (i < n) {
    float last[LANES] = {0}, part[LANES];
    if (add) memcpy(last, add + i, sizeof *add * (size_t)(n - i));
    store_floats(part, score_block(d + i, sum + i / COLS * panel + i % COLS, by, add ? last : NULL));
    for (int64_t k = n - i; k < LANES; k++) part[k] = part[0];
    most = largest_floats(most, load_floats(part));
  }
  return largest_lane(most);
}

/* Sums stay within what floats hold exactly. */
static int32_t halve(uint8_t *high, uint8_t *low, const float *x, float by, int64_t n) {
  floats sum = all_floats(0);
  for (int64_t i = 0; i < n; i += LANES) {
    ints whole = to_ints(mul_floats(load_floats(x + i), all_floats(by)));
    store_halves(high + i, low + i, whole);
    sum = add_floats(sum, to_floats(whole));
  }
  return (int32_t)sum_of_lanes(sum);
}

static void join(int32_t *high, const int32_t *low, const int32_t *less, int rows) {
  for (int r = 0; r < rows; r++, high += COLS, low += COLS) {
    const ints by = all_ints(less[r]);
    UNROLL for (int v = 0; v < VECS; v++) store_ints(high + v * LANES, joined(load_ints(high + v * LANES), load_ints(low + v * LANES), by));
  }
}

static void add_products(int32_t *restrict sum, const uint8_t *restrict x, int32_t zero, const int8_t *restrict w, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += (x[i] - zero) * w[i];
}

#ifdef TILES
#include "device/cpu/quant/int8_tile_amx.h"
#endif

const hn_int8_tile TILE = {
#ifdef TILES
    .rows = TILE_ROWS, .mul = mul_tiles, .deep = DEEP, .begin = begin_tiles, .end = hn_amx_release, .flush = flush_later,
#else
    .rows = ROWS, .mul = mul,
#endif
    .cols = COLS, .lanes = LANES, .finish = finish, .add_products = add_products,
    .add_pixels = add_pixels, .pair = pair, .blend = blend, .weigh = weigh, .scores = scores, .halve = halve, .join = join, .most = most, .look_up = look_bytes_up,
    .wide = WIDE, .pixels = PIXELS, .split = SPLIT, .depthwise = depthwise, .order = order,
#ifdef SATURATES
    .saturates = true,
#endif
};
