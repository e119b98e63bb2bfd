/* int8_tile_amx.h - the products of int8_tile.h by AMX, a part of int8_tile_body.h: two tiles of rows meet two of columns, and while
   they do, the sums of the tiles before become outputs by vectors. Weights are packed as for vectors. */
#include "device/cpu/amx.h"

enum { TILE_ROWS = 2 * HN_AMX_ROWS, DEEP = HN_AMX_ROWS, TILE_SUMS = TILE_ROWS * COLS, SUM_ROW = COLS * 4, LINE = 64 };

static void begin_tiles(int height, int64_t step) {
  hn_amx_config c = {.palette = 1};
  for (int i = 0; i < 6; i++) c.rows[i] = (uint8_t)height, c.row_bytes[i] = (uint16_t)(i < 4 ? HN_AMX_ROW : 4 * step);
  for (int i = 6; i < HN_AMX_TILES; i++) c.rows[i] = (uint8_t)step, c.row_bytes[i] = HN_AMX_ROW;
  hn_amx_configure(&c);
}

/* Rows from..to of the sums of f, four vectors at a time. */
CONST_FN void end_stored(const hn_int8_finish *f, int from, int to, const int vecs, const hn_int8_function function, const bool residual, const bool is_signed) {
  const hn_int8_ending *e = f->ending;
  const limits l = limits_of(e, function);
  const floats by = all_floats(f->by);
  const ints zero = _mm512_set1_epi16((int16_t)e->zero);
  const __mmask32 wanted = (__mmask32)((1ULL << f->n) - 1);
  const int each = 4 / vecs;
  const int64_t ld = f->ld;
  const int32_t *sum = f->sum + from * COLS;
  const uint8_t *res = (const uint8_t *)f->res + (residual ? from * ld : 0);
  uint8_t *out = (uint8_t *)f->out + from * ld;
  floats unit[VECS], bias[VECS];
  UNROLL for (int v = 0; v < vecs; v++) unit[v] = load_floats(f->unit + v * LANES), bias[v] = load_floats(f->bias + v * LANES);
  for (int left = to - from; left > 0; left -= each, sum += each * COLS, out += each * ld, res += residual ? each * ld : 0) {
    ints r[4];
    UNROLL for (int k = 0; k < 4; k++) {
      const int v = k % vecs, row = k / vecs < left ? k / vecs : left - 1;
      floats x = fma_floats(to_floats(load_ints(sum + row * COLS + v * LANES)), unit[v], bias[v]);
      if (residual) {
        __m128i b = _mm_maskz_loadu_epi8((__mmask16)(wanted >> (v * LANES)), res + row * ld + v * LANES);
        x = fma_floats(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(b)), by, x);
      }
      r[k] = to_ints(ending(e, &l, x, function));
    }
    ints x = _mm512_adds_epi16(_mm512_packs_epi32(r[0], r[1]), zero), y = _mm512_adds_epi16(_mm512_packs_epi32(r[2], r[3]), zero);
    ints bytes = in_order(is_signed ? _mm512_packs_epi16(x, y) : _mm512_packus_epi16(x, y));
    UNROLL for (int k = 0; k < each; k++) {
      if (k >= left) break;
      if (vecs == 2) _mm256_mask_storeu_epi8(out + k * ld, wanted, k ? _mm512_extracti64x4_epi64(bytes, 1) : _mm512_castsi512_si256(bytes));
      else _mm_mask_storeu_epi8(out + k * ld, (__mmask16)wanted, _mm512_castsi512_si128(bytes)), bytes = _mm512_alignr_epi64(bytes, bytes, 2);
    }
  }
}

/* Whether end_stored() can. */
static bool ends_stored(const hn_int8_finish *f) {
  return !f->ending->to_float && !(f->ending->is_signed && f->residual) && (f->residual == HN_INT8_NO_RESIDUAL || f->residual == HN_INT8_RESIDUAL_U8);
}

static void end_later(const hn_int8_finish *f, int from, int to) {
#define END_STORED(function)                                                                                \
  do {                                                                                                      \
    if (f->n <= LANES && f->residual) end_stored(f, from, to, 1, function, true, false);                    \
    else if (f->n <= LANES && f->ending->is_signed) end_stored(f, from, to, 1, function, false, true);      \
    else if (f->n <= LANES) end_stored(f, from, to, 1, function, false, false);                             \
    else if (f->residual) end_stored(f, from, to, VECS, function, true, false);                             \
    else if (f->ending->is_signed) end_stored(f, from, to, VECS, function, false, true);                    \
    else end_stored(f, from, to, VECS, function, false, false);                                             \
  } while (0)
  EACH_FUNCTION(END_STORED)
}

static void flush_later(hn_int8_later *l) {
  for (int i = 1; i <= HN_INT8_LATER; i++) {
    hn_int8_waiting *w = &l->waiting[(l->turn + i) % HN_INT8_LATER];
    if (w->rows) end_later(&w->f, 0, w->rows);
    w->rows = 0;
  }
}

/* Some of the weights from *next on, quads of two lines each. */
CONST_FN void bring_near(const int8_t **next, const int8_t *last, int64_t quads) {
  for (; quads > 0 && *next < last; quads--, *next += 2 * LINE) __builtin_prefetch(*next, 0, 2), __builtin_prefetch(*next + LINE, 0, 2);
}

/* Two tiles of rows, from `at` and from `second` on; what waits is done a little after each step. */
CONST_FN void tile_sums(const hn_int8_mul *m, const hn_int8_waiting *old, int64_t at, int64_t second, const bool narrow, int32_t *sum, const int8_t **next, int64_t bring) {
  const uint8_t *a = m->a + at * m->lda, *b = m->a + second * m->lda;
  const int8_t *w = m->w, *last = m->next + m->quads * 4 * COLS;
  const int64_t step = m->step, lda = m->lda, w_row = 4 * COLS, further = m->a_step ? m->a_step : 4 * step;
  const int steps = (int)(m->quads / step), rows = old->rows;
  const int each = (rows + steps - 1) / steps, share = (each + 3) / 4 * 4;
  int done = 0;
  if (m->starts) { /* each row like the one before */
    HN_AMX_LOAD(0, m->init, 0) HN_AMX_LOAD(1, m->init + LANES, 0) HN_AMX_LOAD(2, m->init, 0) HN_AMX_LOAD(3, m->init + LANES, 0)
  } else {
    HN_AMX_ZERO(0) HN_AMX_ZERO(1) HN_AMX_ZERO(2) HN_AMX_ZERO(3)
  }
  for (int64_t k = 0; k < steps; k++, a += further, b += further, w += w_row * step) {
    HN_AMX_LOAD(6, w, w_row) HN_AMX_LOAD(4, a, lda) HN_AMX_DOT_U8_I8(0, 4, 6)
    if (!narrow) { HN_AMX_LOAD(7, w + LINE, w_row) HN_AMX_DOT_U8_I8(1, 4, 7) }
    HN_AMX_LOAD(5, b, lda) HN_AMX_DOT_U8_I8(2, 5, 6)
    if (!narrow) HN_AMX_DOT_U8_I8(3, 5, 7)
    if (*next) bring_near(next, last, bring);
    if (done >= rows) continue;
    int to = done + share < rows ? done + share : rows;
    end_later(&old->f, done, to);
    done = to;
  }
  int32_t *half = sum + (second - at) * COLS;
  HN_AMX_STORE(0, sum, SUM_ROW)
  if (!narrow) HN_AMX_STORE(1, sum + LANES, SUM_ROW)
  HN_AMX_STORE(2, half, SUM_ROW)
  if (!narrow) HN_AMX_STORE(3, half + LANES, SUM_ROW)
}

/* Rows `skip` on of a tile that was made at row `at`, for later. */
static void put_off(hn_int8_waiting *w, const hn_int8_finish *f, const int32_t *sum, int64_t at, int skip, int rows) {
  w->f = *f;
  w->f.sum = sum + skip * COLS;
  w->f.out = (uint8_t *)f->out + (at + skip) * f->ld;
  if (f->residual) w->f.res = (const uint8_t *)f->res + (at + skip) * f->ld;
  w->rows = rows;
}

/* The last tiles repeat some rows: their sums come out the same. What is done meanwhile was made two turns before: the last
   one's sums are still on their way to the cache. */
static void mul_tiles(const hn_int8_mul *m, const hn_int8_finish *f, int rows, bool narrow) {
  if (!m->height) {
    mul(m, f, rows, narrow);
    return;
  }
  const int h = m->height;
  const bool stored = f && ends_stored(f);
  const int8_t *next = m->next;
  const int64_t pairs = (rows + 2 * h - 1) / (2 * h), bring = (m->step + pairs - 1) / pairs;
  hn_int8_later *l = m->later;
  for (int done = 0; done < rows;) {
    int at = done < rows - h ? done : rows - h, second = at + h < rows - h ? at + h : rows - h, end = second + h;
    hn_int8_waiting *own = &l->waiting[l->turn], *old = &l->waiting[(l->turn + 1) % HN_INT8_LATER];
    int32_t *sum = stored ? m->sum + l->turn * TILE_SUMS : m->sum + at * COLS;
    if (narrow) tile_sums(m, old, at, second, true, sum, &next, bring);
    else tile_sums(m, old, at, second, false, sum, &next, bring);
    old->rows = 0;
    if (stored) put_off(own, f, sum, at, done - at, end - done), l->turn = (l->turn + 1) % HN_INT8_LATER;
    done = end;
  }
  if (!stored && f) finish(f, rows);
}
