/* int8_lanes_avx2.h - the arithmetic that int8_tile_body.h is written in, for vectors of 256 bits. */
#include <immintrin.h>
#define ROWS 6
#define LANES 8
#define PIXELS 2
#define SPLIT 2
typedef __m256i ints;
typedef __m256 floats;

static inline ints load_ints(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void store_ints(void *p, ints v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline ints all_ints(int32_t v) { return _mm256_set1_epi32(v); }
static inline floats load_floats(const float *p) { return _mm256_loadu_ps(p); }
static inline void store_floats(float *p, floats v) { _mm256_storeu_ps(p, v); }
static inline floats all_floats(float v) { return _mm256_set1_ps(v); }
static inline floats to_floats(ints v) { return _mm256_cvtepi32_ps(v); }
static inline ints to_ints(floats v) { return _mm256_cvtps_epi32(v); }
static inline floats fma_floats(floats a, floats b, floats c) { return _mm256_fmadd_ps(a, b, c); }
static inline floats mul_floats(floats a, floats b) { return _mm256_mul_ps(a, b); }
static inline floats add_floats(floats a, floats b) { return _mm256_add_ps(a, b); }
static inline floats sub_floats(floats a, floats b) { return _mm256_sub_ps(a, b); }
static inline floats div_floats(floats a, floats b) { return _mm256_div_ps(a, b); }
static inline floats between(floats lo, floats v, floats hi) { return _mm256_min_ps(hi, _mm256_max_ps(lo, v)); }
static inline floats negative_part(floats v) { return _mm256_min_ps(v, _mm256_setzero_ps()); }
/* NaN as the comparison makes it: none is expected */
static inline floats largest_floats(floats a, floats b) { return _mm256_max_ps(a, b); }
static inline float largest_lane(floats v) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
static inline float sum_of_lanes(floats v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
/* Numbers of 16 bits as their bytes */
static inline void store_halves(uint8_t *high, uint8_t *low, ints v) {
  const __m256i order = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, 1, 5, 9, 13, -1, -1, -1, -1, -1, -1, -1, -1);
  ints b = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(v, order), _mm256_setr_epi32(0, 4, 1, 5, 2, 3, 6, 7));
  _mm_storel_epi64((__m128i *)(void *)low, _mm256_castsi256_si128(b));
  _mm_storel_epi64((__m128i *)(void *)high, _mm_srli_si128(_mm256_castsi256_si128(b), 8));
}
static inline ints less_products(ints sum, ints a, ints b) { return _mm256_sub_epi32(sum, _mm256_mullo_epi32(a, b)); }
static inline ints joined(ints high, ints low, ints less) { return _mm256_add_epi32(_mm256_slli_epi32(high, 8), _mm256_sub_epi32(low, less)); }
static inline floats from_u8(const uint8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
static inline floats from_i8(const int8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
/* Entries of a table of 32; `at` plus a power of two, of whose bits the last five count */
static inline floats look_up(const float *table, floats at) {
  return _mm256_i32gather_ps(table, _mm256_and_si256(_mm256_castps_si256(at), _mm256_set1_epi32(HN_INT8_PIECES - 1)), 4);
}
/* To bytes, with the zero point, within each half of the vectors */
static inline ints pack_bytes(ints a, ints b, ints c, ints d, int32_t zero, bool is_signed) {
  ints z = _mm256_set1_epi16((int16_t)zero);
  ints x = _mm256_adds_epi16(_mm256_packs_epi32(a, b), z), y = _mm256_adds_epi16(_mm256_packs_epi32(c, d), z);
  return is_signed ? _mm256_packs_epi16(x, y) : _mm256_packus_epi16(x, y);
}
static inline ints in_order(ints v) { return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); }
static inline ints largest_bytes(ints a, ints b, bool is_signed) { return is_signed ? _mm256_max_epi8(a, b) : _mm256_max_epu8(a, b); }
/* A part each from pixels `step` pointers apart; to where parts are `step` bytes apart */
static inline ints load_parts(const uint8_t *const *p, int64_t step, int64_t c, const int split) {
  if (split == 1) return load_ints(p[0] + c);
  __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(p[0] + c)), high = _mm_loadu_si128((const __m128i *)(const void *)(p[step] + c));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}
static inline void store_parts(uint8_t *to, int64_t step, ints v, const int split) {
  if (split == 1) {
    store_ints(to, v);
    return;
  }
  _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(v));
  _mm_storeu_si128((__m128i *)(void *)(to + step), _mm256_extracti128_si256(v, 1));
}
/* Bytes of four rows next to each other, within halves: x[0..3] hold the channels in order() */
static inline void interleave(ints x[4], const ints of[4]) {
  ints ab = _mm256_unpacklo_epi8(of[0], of[1]), AB = _mm256_unpackhi_epi8(of[0], of[1]);
  ints cd = _mm256_unpacklo_epi8(of[2], of[3]), CD = _mm256_unpackhi_epi8(of[2], of[3]);
  x[0] = _mm256_unpacklo_epi16(ab, cd), x[1] = _mm256_unpackhi_epi16(ab, cd);
  x[2] = _mm256_unpacklo_epi16(AB, CD), x[3] = _mm256_unpackhi_epi16(AB, CD);
}
/* Sixteen entries of the table at a time: of an index xor 16 k, plus 0x70, the first bit says that it is no index */
static inline ints look_up_bytes(ints x, const uint8_t table[256]) {
  ints r = _mm256_setzero_si256();
  for (int k = 0; k < 16; k++) {
    ints part = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(table + 16 * k)));
    ints at = _mm256_adds_epu8(_mm256_xor_si256(x, _mm256_set1_epi8((char)(16 * k))), _mm256_set1_epi8(0x70));
    r = _mm256_or_si256(r, _mm256_shuffle_epi8(part, at));
  }
  return r;
}
#ifdef __AVXVNNI__
static inline ints add_quads(ints sum, ints x, ints w) { return _mm256_dpbusd_avx_epi32(sum, x, w); }
#define add_any_quads add_quads
#else
#define SATURATES
static inline ints add_quads(ints sum, ints x, ints w) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}
/* whatever the weights: no two products meet in 16 bits */
static inline ints add_any_quads(ints sum, ints x, ints w) {
  ints even = _mm256_and_si256(w, _mm256_set1_epi16(0xff)), odd = _mm256_andnot_si256(_mm256_set1_epi16(0xff), w);
  return add_quads(add_quads(sum, x, even), x, odd);
}
#endif
