/* depthwise_body.h - for one instruction set. The file that includes it defines DEPTHWISE, the table's name, ELEMENT, what is
   computed with (float if it is not), BYTES of a vector register, VMAX and VMIN (a, b), which give b if one is NaN. Loops have constant bounds and are unrolled. */
#include "device/cpu/conv/depthwise.h"

#ifndef ELEMENT
#define ELEMENT float
#endif
typedef ELEMENT vec __attribute__((vector_size(BYTES)));
typedef ELEMENT vec_at __attribute__((vector_size(BYTES), aligned(sizeof(ELEMENT)), may_alias));
enum { W = BYTES / sizeof(ELEMENT) };
#define UNROLL _Pragma("GCC unroll 16")
#define CONST_FN static inline __attribute__((always_inline))

CONST_FN vec load(const ELEMENT *p) { return *(const vec_at *)p; }

/* The last vector of channels ends where they end: it repeats a few. */
CONST_FN void pixels(const int side, const int stride, const int n, const hn_depthwise_job *j) {
  const int cols = (n - 1) * stride + side;
  const int64_t channels = j->channels;
  const ELEMENT *weights = j->weights, *biases = j->bias;
  const ELEMENT *const *pixel = (const ELEMENT *const *)j->pixel;
  ELEMENT *out = j->out;
  const vec lo = (ELEMENT)j->lo - (vec){0}, hi = (ELEMENT)j->hi - (vec){0};
  for (int64_t c = 0;; c += W) {
    if (c + W > channels) c = channels - W;
    vec sum[DEPTHWISE_PIXELS], w[DEPTHWISE_SIDE], bias = biases ? load(biases + c) : (vec){0};
    UNROLL for (int x = 0; x < n; x++) sum[x] = bias;
    UNROLL for (int y = 0; y < side; y++) {
      UNROLL for (int k = 0; k < side; k++) w[k] = load(weights + (y * side + k) * channels + c);
      UNROLL for (int i = 0; i < cols; i++) {
        vec in = load(pixel[y * cols + i] + c);
        UNROLL for (int x = 0; x < n; x++)
          if (i >= x * stride && i < x * stride + side) sum[x] += in * w[i - x * stride];
      }
    }
    UNROLL for (int x = 0; x < n; x++) *(vec_at *)(out + x * j->out_pitch + c) = VMIN(hi, VMAX(lo, sum[x]));
    if (c + W == channels) break;
  }
}

#define CASE(side, stride, n) \
  case n: pixels(side, stride, n, j); break;
#define KIND(side, stride)                                                         \
  static void pixels_##side##_##stride(const hn_depthwise_job *j, int n) {         \
    switch (n) {                                                                   \
      CASE(side, stride, 1) CASE(side, stride, 2) CASE(side, stride, 3) CASE(side, stride, 4) \
      CASE(side, stride, 5) CASE(side, stride, 6) CASE(side, stride, 7)            \
      default: break;                                                              \
    }                                                                              \
  }
KIND(3, 1) KIND(3, 2) KIND(5, 1) KIND(5, 2)

const hn_depthwise DEPTHWISE = {W, {{pixels_3_1, pixels_3_2}, {pixels_5_1, pixels_5_2}}};
