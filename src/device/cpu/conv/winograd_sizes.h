/* winograd_sizes.h - the transforms of all sizes for one instruction set. The file that includes it defines ISA, the end of
   the tables' names, and BYTES of a vector register. */
#include "device/cpu/conv/winograd.h"

typedef float vec __attribute__((vector_size(BYTES)));
typedef float vec_at __attribute__((vector_size(BYTES), aligned(4), may_alias));
enum { W = BYTES / 4 };
#define UNROLL _Pragma("GCC unroll 16")
#define CONST_FN static inline __attribute__((always_inline))
#define JOIN_(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN_(a, b, c)

CONST_FN vec bounded(vec v, vec lo, vec hi) { /* NaN passes */
#if BYTES == 64
  return (vec)_mm512_min_ps(hi, _mm512_max_ps(lo, v));
#elif BYTES == 32
  return (vec)_mm256_min_ps(hi, _mm256_max_ps(lo, v));
#else
  for (int i = 0; i < W; i++) v[i] = v[i] < lo[i] ? lo[i] : v[i] > hi[i] ? hi[i] : v[i];
  return v;
#endif
}

/* One line of a tile: y = B^T d, and o = A^T m, elements a step apart. */
CONST_FN void input_line_2(const vec *d, int step, vec *y, int y_step) {
  y[0] = d[0] - d[2 * step];
  y[y_step] = d[step] + d[2 * step];
  y[2 * y_step] = d[2 * step] - d[step];
  y[3 * y_step] = d[3 * step] - d[step];
}

CONST_FN void output_line_2(const vec *m, vec *o, int o_step) {
  o[0] = m[0] + m[1] + m[2];
  o[o_step] = m[1] - m[2] + m[3];
}

CONST_FN void input_line_4(const vec *d, int step, vec *y, int y_step) {
  vec even = d[4 * step] - 4 * d[2 * step], odd = d[3 * step] - 4 * d[step];
  vec e = d[4 * step] - d[2 * step], o = 2 * (d[3 * step] - d[step]);
  y[0] = 4 * d[0] - 5 * d[2 * step] + d[4 * step];
  y[y_step] = even + odd;
  y[2 * y_step] = even - odd;
  y[3 * y_step] = e + o;
  y[4 * y_step] = e - o;
  y[5 * y_step] = 4 * d[step] - 5 * d[3 * step] + d[5 * step];
}

CONST_FN void output_line_4(const vec *m, vec *o, int o_step) {
  vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  o[0] = m[0] + a + c;
  o[o_step] = b + 2 * d;
  o[2 * o_step] = a + 4 * c;
  o[3 * o_step] = b + 8 * d + m[5];
}

CONST_FN void input_line_6(const vec *d, int s, vec *y, int t) {
  vec e1 = d[2 * s] - 4.25f * d[4 * s] + d[6 * s], o1 = d[s] - 4.25f * d[3 * s] + d[5 * s];
  vec e2 = 0.25f * d[2 * s] - 1.25f * d[4 * s] + d[6 * s], o2 = 0.5f * d[s] - 2.5f * d[3 * s] + 2 * d[5 * s];
  vec e3 = 4 * d[2 * s] - 5 * d[4 * s] + d[6 * s], o3 = 2 * d[s] - 2.5f * d[3 * s] + 0.5f * d[5 * s];
  y[0] = d[0] - d[6 * s] + 5.25f * (d[4 * s] - d[2 * s]);
  y[t] = e1 + o1;
  y[2 * t] = e1 - o1;
  y[3 * t] = e2 + o2;
  y[4 * t] = e2 - o2;
  y[5 * t] = e3 + o3;
  y[6 * t] = e3 - o3;
  y[7 * t] = d[7 * s] - d[s] + 5.25f * (d[3 * s] - d[5 * s]);
}

CONST_FN void output_line_6(const vec *m, vec *o, int t) {
  vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4], e = m[5] + m[6], f = m[5] - m[6];
  o[0] = m[0] + a + c + 32 * e;
  o[t] = b + 2 * d + 16 * f;
  o[2 * t] = a + 4 * c + 8 * e;
  o[3 * t] = b + 8 * d + 4 * f;
  o[4 * t] = a + 16 * c + 2 * e;
  o[5 * t] = b + 32 * d + f + m[7];
}

#define OUT 2
#include "device/cpu/conv/winograd_body.h"
#undef OUT
#define OUT 4
#include "device/cpu/conv/winograd_body.h"
#undef OUT
#define OUT 6
#include "device/cpu/conv/winograd_body.h"
