/* int8_tile_body.h - the body of int8_tile.h's functions. Included by one file per instruction set, which defines TILE, the name of
   the table, ROWS of a tile, LANES of a vector, PIXELS of a depthwise step, and the arithmetic of int8_lanes_*.h. */
#include <string.h>
enum { VECS = 2, COLS = VECS * LANES };
#define UNROLL _Pragma("GCC unroll 16")
#define CONST_FN static inline __attribute__((always_inline))

/* ---- products */

CONST_FN void mul_rows(const hn_int8_mul *m, int64_t from, const int rows, const int vecs) {
  ints sum[ROWS][VECS];
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
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vecs; v++) store_ints(m->sum + (from + r) * COLS + v * LANES, sum[r][v]);
}

CONST_FN void mul_vecs(const hn_int8_mul *m, int rows, const int vecs) {
  int from = 0;
  for (; rows - from >= ROWS; from += ROWS) mul_rows(m, from, ROWS, vecs);
  for (; rows - from >= 4; from += 4) mul_rows(m, from, 4, vecs);
  for (; rows - from >= 2; from += 2) mul_rows(m, from, 2, vecs);
  if (from < rows) mul_rows(m, from, 1, vecs);
}

static void mul(const hn_int8_mul *m, int rows, bool narrow) {
  if (narrow) mul_vecs(m, rows, 1);
  else mul_vecs(m, rows, VECS);
}

/* ---- from sums to outputs */

CONST_FN floats ending(const hn_int8_ending *e, floats v, const hn_int8_function function) {
  switch (function) {
    case HN_INT8_LEAKY: v = fma_floats(negative_part(v), all_floats(e->a), v); break;
    case HN_INT8_HARDSWISH: v = mul_floats(v, between(all_floats(0), fma_floats(v, all_floats(e->a), all_floats(e->b)), all_floats(e->c))); break;
    case HN_INT8_CURVE: {
      const floats big = all_floats(12582912); /* numbers near it are whole, and their last bits tell how far from it they are */
      floats x = between(all_floats(e->lo), v, all_floats(e->hi)), at = add_floats(x, big), d = sub_floats(x, sub_floats(at, big));
      return fma_floats(fma_floats(look_up(e->curve[2], at), d, look_up(e->curve[1], at)), d, look_up(e->curve[0], at));
    }
    case HN_INT8_BOUNDS:
    default: break;
  }
  return between(all_floats(e->lo), v, all_floats(e->hi));
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
CONST_FN void finish_row(const hn_int8_finish *f, int64_t row, floats v[VECS], const hn_int8_function function) {
  size_t size = f->residual == HN_INT8_RESIDUAL_F32 ? sizeof(float) : 1;
  const unsigned char *res = f->residual ? (const unsigned char *)f->res + (size_t)(row * f->ld) * size : NULL;
  unsigned char whole[COLS * sizeof(float)];
  if (res && f->n < COLS) res = memcpy(whole, res, (size_t)f->n * size);
  UNROLL for (int i = 0; i < VECS; i++) {
    v[i] = fma_floats(to_floats(load_ints(f->sum + row * COLS + i * LANES)), load_floats(f->unit + i * LANES), load_floats(f->bias + i * LANES));
    if (res) v[i] = with_residual(f, v[i], res, i * LANES);
    v[i] = ending(f->ending, v[i], function);
  }
}

CONST_FN void finish_floats(const hn_int8_finish *f, int rows, const hn_int8_function function) {
  for (int64_t r = 0; r < rows; r++) {
    floats v[VECS];
    float whole[COLS], *out = (float *)f->out + r * f->ld, *to = f->n < COLS ? whole : out;
    finish_row(f, r, v, function);
    UNROLL for (int i = 0; i < VECS; i++) store_floats(to + i * LANES, v[i]);
    if (to != out) memcpy(out, whole, sizeof(float) * (size_t)f->n);
  }
}

CONST_FN void finish_bytes(const hn_int8_finish *f, int rows, const hn_int8_function function) {
  for (int64_t r = 0; r < rows; r += 2) { /* the last one, if odd, twice: but not over its residual */
    floats v[2][VECS];
    uint8_t two[2 * COLS], *out = (uint8_t *)f->out + r * f->ld;
    finish_row(f, r, v[0], function);
    finish_row(f, r + 1 < rows ? r + 1 : r, v[1], function);
    ints b = pack_bytes(to_ints(v[0][0]), to_ints(v[0][1]), to_ints(v[1][0]), to_ints(v[1][1]), f->ending->zero, f->ending->is_signed);
    store_ints(two, in_order(b));
    if (f->n == COLS) memcpy(out, two, COLS);
    else memcpy(out, two, (size_t)f->n);
    if (r + 1 == rows) break;
    if (f->n == COLS) memcpy(out + f->ld, two + COLS, COLS);
    else memcpy(out + f->ld, two + COLS, (size_t)f->n);
  }
}

#define EACH_FUNCTION(call)                                      \
  switch (f->ending->function) {                                 \
    case HN_INT8_LEAKY: call(HN_INT8_LEAKY); break;              \
    case HN_INT8_HARDSWISH: call(HN_INT8_HARDSWISH); break;      \
    case HN_INT8_CURVE: call(HN_INT8_CURVE); break;              \
    case HN_INT8_BOUNDS:                                         \
    case HN_INT8_FUNCTIONS:                                      \
    default: call(HN_INT8_BOUNDS); break;                        \
  }

static void finish(const hn_int8_finish *f, int rows) {
#define TO_FLOATS(function) finish_floats(f, rows, function)
#define TO_BYTES(function) finish_bytes(f, rows, function)
  if (f->ending->to_float) EACH_FUNCTION(TO_FLOATS)
  else EACH_FUNCTION(TO_BYTES)
}

/* ---- depthwise */

enum { WIDE = 4 * LANES };
/* Within each 16 bytes channels lie in order; vectors hold four of each 16. */
static int order(int i) { return i % LANES / 4 * 16 + i / LANES * 4 + i % 4; }

CONST_FN void depthwise_block(const hn_int8_depthwise *d, int64_t c, int64_t block, const int side, const int stride, const int n,
                              const hn_int8_function function) {
  const int cols = (n - 1) * stride + side;
  const int8_t *w = d->w + block * WIDE * 4 * d->quads * side;
  ints sum[PIXELS][4];
  UNROLL for (int p = 0; p < n; p++) UNROLL for (int v = 0; v < 4; v++) sum[p][v] = load_ints(d->init + block * WIDE + v * LANES);
  for (int q = 0; q < d->quads; q++, w += WIDE * 4 * side) {
    const uint8_t *const *row = d->pixel + 4 * q * cols;
    UNROLL for (int i = 0; i < cols; i++) {
      ints x[4];
      interleave(x, row[i] + c, row[i + cols] + c, row[i + 2 * cols] + c, row[i + 3 * cols] + c);
      UNROLL for (int p = 0; p < n; p++) {
        int k = i - p * stride;
        if (k < 0 || k >= side) continue;
        UNROLL for (int v = 0; v < 4; v++) sum[p][v] = add_any_quads(sum[p][v], x[v], load_ints(w + (k * 4 + v) * 4 * LANES));
      }
    }
  }
  UNROLL for (int p = 0; p < n; p++) {
    ints r[4];
    UNROLL for (int v = 0; v < 4; v++)
      r[v] = to_ints(ending(d->ending, fma_floats(to_floats(sum[p][v]), load_floats(d->unit + block * WIDE + v * LANES),
                                                  load_floats(d->bias + block * WIDE + v * LANES)), function));
    store_ints((uint8_t *)d->out + p * d->channels + c, pack_bytes(r[0], r[1], r[2], r[3], d->ending->zero, d->ending->is_signed));
  }
}

/* The last block ends where the channels do: it repeats a few. */
CONST_FN void depthwise_pixels(const hn_int8_depthwise *f, const int side, const int stride, const int n) {
  for (int64_t block = 0; block * WIDE < f->channels; block++) {
    int64_t c = block * WIDE + WIDE <= f->channels ? block * WIDE : f->channels - WIDE;
#define BLOCK_OF(function) depthwise_block(f, c, block, side, stride, n, function)
    EACH_FUNCTION(BLOCK_OF)
  }
}

#define DEPTHWISE_KIND(side, stride)                                                             \
  static void depthwise_##side##_##stride(const hn_int8_depthwise *d, int n) {                   \
    switch (n) {                                                                                 \
      case 1: depthwise_pixels(d, side, stride, 1); break;                                       \
      case 2: depthwise_pixels(d, side, stride, PIXELS < 2 ? 1 : 2); break;                       \
      case 3: depthwise_pixels(d, side, stride, PIXELS < 3 ? 1 : 3); break;                      \
      case 4: depthwise_pixels(d, side, stride, PIXELS < 4 ? 1 : 4); break;                      \
      default: break;                                                                            \
    }                                                                                            \
  }
DEPTHWISE_KIND(3, 1) DEPTHWISE_KIND(3, 2) DEPTHWISE_KIND(5, 1) DEPTHWISE_KIND(5, 2)

static void depthwise(const hn_int8_depthwise *d, int n) {
  if (d->side == 3 && d->stride == 1) depthwise_3_1(d, n);
  else if (d->side == 3) depthwise_3_2(d, n);
  else if (d->stride == 1) depthwise_5_1(d, n);
  else depthwise_5_2(d, n);
}

static void add_products(int32_t *restrict sum, const uint8_t *restrict x, int32_t zero, const int8_t *restrict w, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += (x[i] - zero) * w[i];
}

const hn_int8_tile TILE = {
    .rows = ROWS, .cols = COLS, .lanes = LANES, .mul = mul, .finish = finish, .add_products = add_products,
    .wide = WIDE, .pixels = PIXELS, .depthwise = depthwise, .order = order,
#ifdef SATURATES
    .saturates = true,
#endif
};
