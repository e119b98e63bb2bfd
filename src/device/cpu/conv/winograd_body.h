/* winograd_body.h - the transforms for one instruction set. The file that includes it defines WINOGRAD, the table's name,
   and BYTES of a vector register. */
#include "device/cpu/conv/winograd.h"

typedef float vec __attribute__((vector_size(BYTES)));
typedef float vec_at __attribute__((vector_size(BYTES), aligned(4), may_alias));
enum { W = BYTES / 4 };
#define UNROLL _Pragma("GCC unroll 16")
#define CONST_FN static inline __attribute__((always_inline))

CONST_FN void input_line(const vec *d, int step, vec *y, int y_step) {
  vec even = d[4 * step] - 4 * d[2 * step], odd = d[3 * step] - 4 * d[step];
  vec e = d[4 * step] - d[2 * step], o = 2 * (d[3 * step] - d[step]);
  y[0] = 4 * d[0] - 5 * d[2 * step] + d[4 * step];
  y[y_step] = even + odd;
  y[2 * y_step] = even - odd;
  y[3 * y_step] = e + o;
  y[4 * y_step] = e - o;
  y[5 * y_step] = 4 * d[step] - 5 * d[3 * step] + d[5 * step];
}

static void input(const float *const *pixel, int64_t n, float *v, int64_t step) {
  for (int64_t c = 0; c < n; c += W) {
    vec d[6], half[36], y[6];
    UNROLL for (int i = 0; i < 6; i++) { /* along the columns, one column at a time */
      UNROLL for (int k = 0; k < 6; k++) d[k] = *(const vec_at *)(pixel[k * 6 + i] + c);
      input_line(d, 1, half + i, 6);
    }
    UNROLL for (int i = 0; i < 6; i++) {
      input_line(half + 6 * i, 1, y, 1);
      UNROLL for (int k = 0; k < 6; k++) *(vec_at *)(v + (6 * i + k) * step + c) = y[k];
    }
  }
}

CONST_FN void output_line(const vec *m, vec *o, int o_step) {
  vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  o[0] = m[0] + a + c;
  o[o_step] = b + 2 * d;
  o[2 * o_step] = a + 4 * c;
  o[3 * o_step] = b + 8 * d + m[5];
}

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

static void output(const float *m, int64_t step, int64_t n, const hn_winograd_end *end, float *out, int64_t line_step,
                   int64_t pixel_step, int rows, int cols) {
  const vec lo = end->lo - (vec){0}, hi = end->hi - (vec){0};
  for (int64_t c = 0; c < n; c += W) {
    vec half[24], o[4], line[6], bias = {0};
    if (end->bias) bias = *(const vec_at *)(end->bias + c);
    UNROLL for (int i = 0; i < 6; i++) {
      UNROLL for (int k = 0; k < 6; k++) line[k] = *(const vec_at *)(m + (6 * k + i) * step + c);
      output_line(line, half + i, 6);
    }
    for (int y = 0; y < rows; y++) {
      output_line(half + 6 * y, o, 1);
      UNROLL for (int x = 0; x < 4; x++) {
        if (x >= cols) break;
        int64_t at = y * line_step + x * pixel_step + c;
        vec v = o[x] + bias;
        if (end->residual) v += *(const vec_at *)(end->residual + at);
        *(vec_at *)(out + at) = bounded(v, lo, hi);
      }
    }
  }
}

const hn_winograd WINOGRAD = {input, output};
