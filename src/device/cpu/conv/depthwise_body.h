/* depthwise_body.h - for one instruction set. The file that includes it defines DEPTHWISE, the table's name, ELEMENT, what is
   computed with (float if it is not), BYTES of a vector register, LINES of the result that its registers can sum at a time, 1 or 2,
   VMAX and VMIN (a, b), which give b if one is NaN; where image and result are of another type than what is computed with, STORED,
   that type, FROM_STORED(p), TO_STORED(p, v) and, for two at once, TO_STORED2(p, q, v, w); SWISH(v, n, alpha), if it has
   it, in place. Loops have constant bounds and are unrolled. */
#include "device/cpu/conv/depthwise.h"

#ifndef ELEMENT
#define ELEMENT float
#endif
typedef ELEMENT vec __attribute__((vector_size(BYTES)));
typedef ELEMENT vec_at __attribute__((vector_size(BYTES), aligned(sizeof(ELEMENT)), may_alias));
#ifndef STORED
#define STORED ELEMENT
#define FROM_STORED(p) load(p)
#define TO_STORED(p, v) (*(vec_at *)(p) = (v))
#define TO_STORED2(p, q, v, w) (TO_STORED(p, v), TO_STORED(q, w))
#endif
enum { W = BYTES / sizeof(ELEMENT) };
#define UNROLL _Pragma("GCC unroll 16")
#define CONST_FN static inline __attribute__((always_inline))

CONST_FN vec load(const ELEMENT *p) { return *(const vec_at *)p; }

/* Lines `lines`, each of n units; a unit of the result is `down` lines and `right` pixels behind the one before. The last vector of
   channels ends where they end: it repeats a few. */
CONST_FN void pixels(const int side, const int down, const int right, const int lines, const int n, const hn_depthwise_job *j) {
  const int cols = (n - 1) * right + side, rows = (lines - 1) * down + side;
  const int64_t channels = j->channels;
  const ELEMENT *weights = j->weights, *biases = j->bias;
  const STORED *const *pixel = (const STORED *const *)j->pixel;
  const vec lo = (ELEMENT)j->lo - (vec){0}, hi = (ELEMENT)j->hi - (vec){0};
  for (int64_t c = 0;; c += W) {
    if (c + W > channels) c = channels - W;
    vec sum[LINES][DEPTHWISE_PIXELS], w[LINES][DEPTHWISE_SIDE], bias = biases ? load(biases + c) : (vec){0};
    UNROLL for (int l = 0; l < lines; l++)
      UNROLL for (int x = 0; x < n; x++) sum[l][x] = bias;
    UNROLL for (int y = 0; y < rows; y++) {
      UNROLL for (int l = 0; l < lines; l++)
        UNROLL for (int k = 0; k < side; k++)
          if (y >= l * down && y < l * down + side) w[l][k] = load(weights + ((y - l * down) * side + k) * channels + c);
      UNROLL for (int i = 0; i < cols; i++) {
        vec in = FROM_STORED(pixel[y * cols + i] + c);
        UNROLL for (int l = 0; l < lines; l++)
          UNROLL for (int x = 0; x < n; x++)
            if (y >= l * down && y < l * down + side && i >= x * right && i < x * right + side) sum[l][x] += in * w[l][i - x * right];
      }
    }
    UNROLL for (int l = 0; l < lines; l++)
      UNROLL for (int x = 0; x < n; x++) sum[l][x] = VMIN(hi, VMAX(lo, sum[l][x]));
#ifdef SWISH
    if (j->swish != 0) {
      vec kept[LINES * DEPTHWISE_PIXELS];
      UNROLL for (int i = 0; i < lines * n; i++) kept[i] = sum[i / n][i % n];
      SWISH(kept, lines * n, j->swish);
      UNROLL for (int i = 0; i < lines * n; i++) sum[i / n][i % n] = kept[i];
    }
#endif
    UNROLL for (int l = 0; l < lines; l++)
      UNROLL for (int x = 0; x < n; x += 2) {
        STORED *to = (STORED *)j->out[l] + x * j->out_pitch + c;
        if (x + 1 < n) TO_STORED2(to, to + j->out_pitch, sum[l][x], sum[l][x + 1]);
        else TO_STORED(to, sum[l][x]);
      }
    if (c + W == channels) break;
  }
}

#define CASE(side, down, right, lines, n) \
  case n: pixels(side, down, right, lines, n, j); break;
#define CASES(side, down, right, lines)                                                                              \
  switch (n) {                                                                                                       \
    CASE(side, down, right, lines, 1) CASE(side, down, right, lines, 2) CASE(side, down, right, lines, 3)            \
    CASE(side, down, right, lines, 4) CASE(side, down, right, lines, 5) CASE(side, down, right, lines, 6)            \
    CASE(side, down, right, lines, 7)                                                                                \
    default: break;                                                                                                  \
  }
#define KIND(side, down, right)                                                                                      \
  static void pixels_##side##_##down##_##right(const hn_depthwise_job *j, int lines, int n) {                        \
    if (LINES == 1 || lines == 1) CASES(side, down, right, 1)                                                        \
    else CASES(side, down, right, LINES)                                                                             \
  }
KIND(3, 1, 1) KIND(3, 2, 2) KIND(3, 1, 2) KIND(5, 1, 1) KIND(5, 2, 2) KIND(5, 1, 2)

#ifdef SWISH
enum { HAS_SWISH = 1 };
#else
enum { HAS_SWISH = 0 };
#endif
const hn_depthwise DEPTHWISE = {W, LINES, HAS_SWISH, {{pixels_3_1_1, pixels_3_2_2, pixels_3_1_2}, {pixels_5_1_1, pixels_5_2_2, pixels_5_1_2}}};
