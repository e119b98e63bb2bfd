/* int8_lanes_avx512.h - the arithmetic that int8_tile_body.h is written in, for vectors of 512 bits. */
#include <immintrin.h>
#define ROWS 12
#define LANES 16
#define PIXELS 4
#define SPLIT 4
typedef __m512i ints;
typedef __m512 floats;

static inline ints load_ints(const void *p) { return _mm512_loadu_si512(p); }
static inline void store_ints(void *p, ints v) { _mm512_storeu_si512(p, v); }
static inline ints all_ints(int32_t v) { return _mm512_set1_epi32(v); }
static inline floats load_floats(const float *p) { return _mm512_loadu_ps(p); }
static inline void store_floats(float *p, floats v) { _mm512_storeu_ps(p, v); }
static inline floats all_floats(float v) { return _mm512_set1_ps(v); }
static inline floats to_floats(ints v) { return _mm512_cvtepi32_ps(v); }
static inline ints to_ints(floats v) { return _mm512_cvtps_epi32(v); }
static inline floats fma_floats(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
static inline floats mul_floats(floats a, floats b) { return _mm512_mul_ps(a, b); }
static inline floats add_floats(floats a, floats b) { return _mm512_add_ps(a, b); }
static inline floats sub_floats(floats a, floats b) { return _mm512_sub_ps(a, b); }
static inline floats div_floats(floats a, floats b) { return _mm512_div_ps(a, b); }
static inline floats between(floats lo, floats v, floats hi) { return _mm512_min_ps(hi, _mm512_max_ps(lo, v)); }
static inline floats negative_part(floats v) { return _mm512_min_ps(v, _mm512_setzero_ps()); }
/* NaN as the comparison makes it: none is expected */
static inline floats largest_floats(floats a, floats b) { return _mm512_max_ps(a, b); }
static inline float largest_lane(floats v) { return _mm512_reduce_max_ps(v); }
static inline float sum_of_lanes(floats v) { return _mm512_reduce_add_ps(v); }
/* Numbers of 16 bits as their bytes */
static inline void store_halves(uint8_t *high, uint8_t *low, ints v) {
  _mm_storeu_si128((__m128i *)(void *)high, _mm512_cvtepi32_epi8(_mm512_srli_epi32(v, 8)));
  _mm_storeu_si128((__m128i *)(void *)low, _mm512_cvtepi32_epi8(v));
}
static inline ints less_products(ints sum, ints a, ints b) { return _mm512_sub_epi32(sum, _mm512_mullo_epi32(a, b)); }
static inline ints joined(ints high, ints low, ints less) { return _mm512_add_epi32(_mm512_slli_epi32(high, 8), _mm512_sub_epi32(low, less)); }
static inline floats from_u8(const uint8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p))); }
static inline floats from_i8(const int8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p))); }
/* Entries of a table of 32; `at` plus a power of two, of whose bits the last five count */
static inline floats look_up(const float *table, floats at) {
  return _mm512_permutex2var_ps(_mm512_loadu_ps(table), _mm512_castps_si512(at), _mm512_loadu_ps(table + 16));
}
/* To bytes, with the zero point, within each quarter of the vectors */
static inline ints pack_bytes(ints a, ints b, ints c, ints d, int32_t zero, bool is_signed) {
  ints z = _mm512_set1_epi16((int16_t)zero);
  ints x = _mm512_adds_epi16(_mm512_packs_epi32(a, b), z), y = _mm512_adds_epi16(_mm512_packs_epi32(c, d), z);
  return is_signed ? _mm512_packs_epi16(x, y) : _mm512_packus_epi16(x, y);
}
static inline ints in_order(ints v) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}
static inline ints largest_bytes(ints a, ints b, bool is_signed) { return is_signed ? _mm512_max_epi8(a, b) : _mm512_max_epu8(a, b); }
/* A part each from pixels `step` pointers apart; to where parts are `step` bytes apart */
static inline ints load_parts(const uint8_t *const *p, int64_t step, int64_t c, const int split) {
#define HALF(k) _mm256_loadu_si256((const __m256i *)(const void *)(p[(k) * step] + c))
#define QUARTER(k) _mm_loadu_si128((const __m128i *)(const void *)(p[(k) * step] + c))
  if (split == 1) return load_ints(p[0] + c);
  if (split == 2) return _mm512_inserti64x4(_mm512_castsi256_si512(HALF(0)), HALF(1), 1);
  __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(QUARTER(0)), QUARTER(1), 1);
  __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(QUARTER(2)), QUARTER(3), 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
#undef HALF
#undef QUARTER
}
static inline void store_parts(uint8_t *to, int64_t step, ints v, const int split) {
  if (split == 1) store_ints(to, v);
  for (int k = 0; k < 2 && split == 2; k++)
    _mm256_storeu_si256((__m256i *)(void *)(to + k * step), k ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v));
  if (split < 4) return;
  _mm_storeu_si128((__m128i *)(void *)to, _mm512_castsi512_si128(v));
  _mm_storeu_si128((__m128i *)(void *)(to + step), _mm512_extracti32x4_epi32(v, 1));
  _mm_storeu_si128((__m128i *)(void *)(to + 2 * step), _mm512_extracti32x4_epi32(v, 2));
  _mm_storeu_si128((__m128i *)(void *)(to + 3 * step), _mm512_extracti32x4_epi32(v, 3));
}
/* Bytes of four rows next to each other, within quarters: x[0..3] hold the channels in order() */
static inline void interleave(ints x[4], const ints of[4]) {
  ints ab = _mm512_unpacklo_epi8(of[0], of[1]), AB = _mm512_unpackhi_epi8(of[0], of[1]);
  ints cd = _mm512_unpacklo_epi8(of[2], of[3]), CD = _mm512_unpackhi_epi8(of[2], of[3]);
  x[0] = _mm512_unpacklo_epi16(ab, cd), x[1] = _mm512_unpackhi_epi16(ab, cd);
  x[2] = _mm512_unpacklo_epi16(AB, CD), x[3] = _mm512_unpackhi_epi16(AB, CD);
}
/* Sixteen entries of the table at a time: of an index xor 16 k, plus 0x70, the first bit says that it is no index */
static inline ints look_up_bytes(ints x, const uint8_t table[256]) {
  ints r = _mm512_setzero_si512();
  for (int k = 0; k < 16; k++) {
    ints part = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)(table + 16 * k)));
    ints at = _mm512_adds_epu8(_mm512_xor_si512(x, _mm512_set1_epi8((char)(16 * k))), _mm512_set1_epi8(0x70));
    r = _mm512_or_si512(r, _mm512_shuffle_epi8(part, at));
  }
  return r;
}
#ifdef __AVX512VNNI__
static inline ints add_quads(ints sum, ints x, ints w) { /* the compiler would move its result about */
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "vm"(w));
  return sum;
}
#define add_any_quads add_quads
#else
#define SATURATES
static inline ints add_quads(ints sum, ints x, ints w) {
  return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1)));
}
/* whatever the weights: no two products meet in 16 bits */
static inline ints add_any_quads(ints sum, ints x, ints w) {
  ints even = _mm512_and_si512(w, _mm512_set1_epi16(0xff)), odd = _mm512_andnot_si512(_mm512_set1_epi16(0xff), w);
  return add_quads(add_quads(sum, x, even), x, odd);
}
#endif
