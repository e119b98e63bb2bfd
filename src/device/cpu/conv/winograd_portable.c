/* winograd_portable.c - the transforms of Winograd's convolution for any processor. */
#define WINOGRAD hn_winograd_portable
#define BYTES 16
#include "device/cpu/conv/winograd_body.h"

const hn_winograd *hn_winograd_for(hn_isa isa) {
#if defined(__x86_64__)
  if (isa == HN_ISA_AVX512) return &hn_winograd_avx512;
  if (isa == HN_ISA_AVX2) return &hn_winograd_avx2;
#endif
  (void)isa;
  return &hn_winograd_portable;
}

void hn_winograd_weights(const float *g, float *u) {
  static const double points[6][3] = {{1 / 4.0, 0, 0}, {-1 / 6.0, -1 / 6.0, -1 / 6.0}, {-1 / 6.0, 1 / 6.0, -1 / 6.0},
                                      {1 / 24.0, 1 / 12.0, 1 / 6.0}, {1 / 24.0, -1 / 12.0, 1 / 6.0}, {0, 0, 1}};
  double half[6][3];
  for (int i = 0; i < 6; i++)
    for (int x = 0; x < 3; x++) {
      half[i][x] = 0;
      for (int y = 0; y < 3; y++) half[i][x] += points[i][y] * (double)g[y * 3 + x];
    }
  for (int i = 0; i < 6; i++)
    for (int k = 0; k < 6; k++)
      u[i * 6 + k] = (float)(points[k][0] * half[i][0] + points[k][1] * half[i][1] + points[k][2] * half[i][2]);
}
