#include "base/half.h"

#include <math.h>
#include <string.h>

static uint32_t bits_of(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return u;
}
static float float_of(uint32_t u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}

float hn_f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 1023;
  if (e == 31) return float_of(sign | 0x7f800000 | m << 13);
  if (e == 0) {
    float f = ldexpf((float)m, -24);
    return sign ? -f : f;
  }
  return float_of(sign | (e + 112) << 23 | m << 13);
}

uint16_t hn_f32_to_f16(float f) {
  uint32_t u = bits_of(f), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
  if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds to at least 65536 */
  if (a < 0x38800000) { /* subnormal half: scale so that rounding happens at bit 0 */
    float r = fabsf(f) * 16777216.0f;
    return (uint16_t)(sign | (uint32_t)rintf(r));
  }
  uint32_t r = a + 0xfff + ((a >> 13) & 1);
  return (uint16_t)(sign | ((r >> 13) - (112u << 10)));
}

float hn_bf16_to_f32(uint16_t h) { return float_of((uint32_t)h << 16); }

uint16_t hn_f32_to_bf16(float f) {
  uint32_t u = bits_of(f);
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)((u >> 16) | 0x40);
  return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

typedef struct f8_format {
  int mantissa, bias, uz, has_inf;
  uint8_t max; /* largest finite magnitude */
} f8_format;

static const f8_format f8_formats[] = {
    [HN_F8_E4M3FN] = {3, 7, 0, 0, 0x7e},
    [HN_F8_E4M3FNUZ] = {3, 8, 1, 0, 0x7f},
    [HN_F8_E5M2] = {2, 15, 0, 1, 0x7b},
    [HN_F8_E5M2FNUZ] = {2, 16, 1, 0, 0x7f},
};

float hn_f8_to_f32(hn_f8 kind, uint8_t b) {
  const f8_format *t = &f8_formats[kind];
  if (t->uz && b == 0x80) return NAN;
  int mag = b & 0x7f;
  float sign = b & 0x80 ? -1.0f : 1.0f;
  if (mag > t->max) return t->has_inf && mag == 0x7c ? sign * INFINITY : NAN;
  int e = mag >> t->mantissa, m = mag & ((1 << t->mantissa) - 1);
  float v = e ? ldexpf((float)(m + (1 << t->mantissa)), e - t->bias - t->mantissa)
              : ldexpf((float)m, 1 - t->bias - t->mantissa);
  return sign * v;
}

uint8_t hn_f32_to_f8(hn_f8 kind, float f, int saturate) {
  const f8_format *t = &f8_formats[kind];
  uint8_t sign = signbit(f) ? 0x80 : 0, nan = t->uz ? 0x80 : (uint8_t)(sign | 0x7f);
  if (isnan(f)) return nan;
  float a = fabsf(f), limit = hn_f8_to_f32(kind, t->max);
  uint8_t over = saturate ? (uint8_t)(sign | t->max) : t->has_inf ? (uint8_t)(sign | 0x7c) : nan;
  if (isinf(f)) return saturate ? (uint8_t)(sign | t->max) : over;
  if (a == 0) return t->uz ? 0 : sign;
  int e;
  frexpf(a, &e);
  e -= 1; /* a = 1.xxx * 2^e */
  int emin = 1 - t->bias;
  if (e < emin) e = emin;
  int q = (int)rintf(ldexpf(a, t->mantissa - e)); /* nearest even, may carry into the next exponent */
  float back = ldexpf((float)q, e - t->mantissa);
  if (back > limit) return over;
  int mag = q < (1 << t->mantissa) ? q : ((e + t->bias) << t->mantissa) + (q - (1 << t->mantissa));
  if (mag == 0) return t->uz ? 0 : sign;
  return (uint8_t)(sign | mag);
}
