/* tile_portable.c - the micro-kernel for any processor: 6 x 8 in vectors of four, which compilers map to what there is. */
typedef float vec4 __attribute__((vector_size(16)));
static inline vec4 larger(vec4 a, vec4 b) {
  for (int i = 0; i < 4; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
  return b;
}
static inline vec4 smaller(vec4 a, vec4 b) {
  for (int i = 0; i < 4; i++) b[i] = a[i] < b[i] ? a[i] : b[i];
  return b;
}
#define TILE hn_tile_portable
#define BYTES 16
#define ROWS 6
#define VECS 2
#define VMAX(a, b) larger(a, b)
#define VMIN(a, b) smaller(a, b)
#define FMA(sum, a, b) ((sum) += (a) * (b))
#include "device/cpu/gemm/tile_body.h"
