/* int8_tile_portable.c - the micro-kernels for any processor, and the choice among the sets. */
#include "device/cpu/quant/int8_tile.h"

#include <math.h>

#define TILE hn_int8_tile_portable
#define ROWS 4
#define LANES 4
#define PIXELS 2
#define SPLIT 1
#define UNROLL
typedef struct ints {
  int32_t v[4];
} ints;
typedef struct floats {
  float v[4];
} floats;
#define EACH(type, expr)                     \
  type r;                                    \
  for (int i = 0; i < 4; i++) r.v[i] = expr; \
  return r

static inline ints load_ints(const void *p) {
  ints r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
static inline void store_ints(void *p, ints v) { __builtin_memcpy(p, &v, sizeof v); }
static inline ints all_ints(int32_t v) { EACH(ints, v); }
static inline floats load_floats(const float *p) { EACH(floats, p[i]); }
static inline void store_floats(float *p, floats v) { __builtin_memcpy(p, &v, sizeof v); }
static inline floats all_floats(float v) { EACH(floats, v); }
static inline floats to_floats(ints v) { EACH(floats, (float)v.v[i]); }
static inline ints to_ints(floats v) { EACH(ints, (int32_t)rintf(v.v[i])); }
static inline floats fma_floats(floats a, floats b, floats c) { EACH(floats, a.v[i] * b.v[i] + c.v[i]); }
static inline floats mul_floats(floats a, floats b) { EACH(floats, a.v[i] * b.v[i]); }
static inline floats add_floats(floats a, floats b) { EACH(floats, a.v[i] + b.v[i]); }
static inline floats sub_floats(floats a, floats b) { EACH(floats, a.v[i] - b.v[i]); }
static inline floats div_floats(floats a, floats b) { EACH(floats, a.v[i] / b.v[i]); }
static inline floats between(floats lo, floats v, floats hi) { EACH(floats, v.v[i] < lo.v[i] ? lo.v[i] : v.v[i] > hi.v[i] ? hi.v[i] : v.v[i]); }
static inline floats negative_part(floats v) { EACH(floats, v.v[i] < 0 ? v.v[i] : 0); }
static inline floats largest_floats(floats a, floats b) { EACH(floats, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
static inline float largest_lane(floats v) {
  float r = v.v[0];
  for (int i = 1; i < 4; i++) r = v.v[i] > r ? v.v[i] : r;
  return r;
}
static inline float sum_of_lanes(floats v) { return v.v[0] + v.v[1] + v.v[2] + v.v[3]; }
static inline void store_halves(uint8_t *high, uint8_t *low, ints v) {
  for (int i = 0; i < 4; i++) high[i] = (uint8_t)(v.v[i] >> 8), low[i] = (uint8_t)v.v[i];
}
/* Columns that there are not hold any numbers: they wrap around */
static inline ints less_products(ints sum, ints a, ints b) { EACH(ints, (int32_t)((uint32_t)sum.v[i] - (uint32_t)a.v[i] * (uint32_t)b.v[i])); }
static inline ints joined(ints high, ints low, ints less) { EACH(ints, (int32_t)((uint32_t)high.v[i] * 256 + (uint32_t)low.v[i] - (uint32_t)less.v[i])); }
static inline floats from_u8(const uint8_t *p) { EACH(floats, (float)p[i]); }
static inline floats from_i8(const int8_t *p) { EACH(floats, (float)p[i]); }
static inline floats look_up(const float *table, floats at) {
  ints k;
  __builtin_memcpy(&k, &at, sizeof k);
  EACH(floats, table[k.v[i] & (HN_INT8_PIECES - 1)]);
}
static inline ints pack_bytes(ints a, ints b, ints c, ints d, int32_t zero, bool is_signed) {
  const ints *from[4] = {&a, &b, &c, &d};
  int32_t low = is_signed ? -128 : 0;
  uint8_t to[16];
  ints r;
  for (int i = 0; i < 16; i++) {
    int32_t v = from[i / 4]->v[i % 4];
    v = (v < -32768 ? -32768 : v > 32767 ? 32767 : v) + zero;
    to[i] = (uint8_t)(v < low ? low : v > low + 255 ? low + 255 : v);
  }
  __builtin_memcpy(&r, to, sizeof r);
  return r;
}
static inline ints largest_bytes(ints a, ints b, bool is_signed) {
  uint8_t x[16], y[16];
  __builtin_memcpy(x, &a, sizeof x);
  __builtin_memcpy(y, &b, sizeof y);
  for (int i = 0; i < 16; i++)
    if (is_signed ? (int8_t)x[i] < (int8_t)y[i] : x[i] < y[i]) x[i] = y[i];
  __builtin_memcpy(&a, x, sizeof a);
  return a;
}
static inline ints in_order(ints v) { return v; }
static inline ints add_quads(ints sum, ints x, ints w) {
  uint8_t a[16];
  int8_t b[16];
  __builtin_memcpy(a, &x, sizeof a);
  __builtin_memcpy(b, &w, sizeof b);
  for (int i = 0; i < 16; i++) sum.v[i / 4] += a[i] * b[i];
  return sum;
}
#define add_any_quads add_quads
static inline ints look_up_bytes(ints x, const uint8_t table[256]) {
  uint8_t v[16];
  __builtin_memcpy(v, &x, sizeof v);
  for (int i = 0; i < 16; i++) v[i] = table[v[i]];
  __builtin_memcpy(&x, v, sizeof v);
  return x;
}
static inline ints load_parts(const uint8_t *const *p, int64_t step, int64_t c, const int split) {
  (void)step, (void)split;
  return load_ints(p[0] + c);
}
static inline void store_parts(uint8_t *to, int64_t step, ints v, const int split) {
  (void)step, (void)split;
  store_ints(to, v);
}
static inline void interleave(ints x[4], const ints of[4]) {
  uint8_t row[4][16], four[64];
  __builtin_memcpy(row, of, sizeof row);
  for (int i = 0; i < 16; i++)
    for (int k = 0; k < 4; k++) four[4 * i + k] = row[k][i];
  __builtin_memcpy(x, four, sizeof four);
}
#include "device/cpu/quant/int8_tile_body.h"

const hn_int8_tile *hn_int8_tile_for(hn_isa isa, hn_bytes bytes) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return bytes == HN_BYTES_TILES ? &hn_int8_tile_amx : bytes == HN_BYTES_VNNI ? &hn_int8_tile_avx512vnni : &hn_int8_tile_avx512;
  if (isa == HN_ISA_AVX2) return bytes == HN_BYTES_VNNI ? &hn_int8_tile_avxvnni : &hn_int8_tile_avx2;
#endif
  (void)isa, (void)bytes;
  return &hn_int8_tile_portable;
}
