/* winograd_portable.c - the transforms of Winograd's convolution for any processor; those of the weights. */
#define ISA _portable
#define BYTES 16
#include "device/cpu/conv/winograd_sizes.h"

const hn_winograd *hn_winograd_for(hn_isa isa, int out) {
  static const hn_winograd *const portable[] = {&hn_winograd2_portable, &hn_winograd4_portable, &hn_winograd6_portable};
#if defined(__x86_64__)
  static const hn_winograd *const avx2[] = {&hn_winograd2_avx2, &hn_winograd4_avx2, &hn_winograd6_avx2};
  static const hn_winograd *const avx512[] = {&hn_winograd2_avx512, &hn_winograd4_avx512, &hn_winograd6_avx512};
  if (isa == HN_ISA_AVX512) return avx512[out / 2 - 1];
  if (isa == HN_ISA_AVX2) return avx2[out / 2 - 1];
#endif
  (void)isa;
  return portable[out / 2 - 1];
}

void hn_winograd_weights(int out, const float *g, float *u) {
  static const double two[4][3] = {{1, 0, 0}, {1 / 2.0, 1 / 2.0, 1 / 2.0}, {1 / 2.0, -1 / 2.0, 1 / 2.0}, {0, 0, 1}};
  static const double four[6][3] = {{1 / 4.0, 0, 0}, {-1 / 6.0, -1 / 6.0, -1 / 6.0}, {-1 / 6.0, 1 / 6.0, -1 / 6.0},
                                    {1 / 24.0, 1 / 12.0, 1 / 6.0}, {1 / 24.0, -1 / 12.0, 1 / 6.0}, {0, 0, 1}};
  static const double six[8][3] = {{1, 0, 0}, {-2 / 9.0, -2 / 9.0, -2 / 9.0}, {-2 / 9.0, 2 / 9.0, -2 / 9.0},
                                   {1 / 90.0, 1 / 45.0, 2 / 45.0}, {1 / 90.0, -1 / 45.0, 2 / 45.0},
                                   {1 / 45.0, 1 / 90.0, 1 / 180.0}, {1 / 45.0, -1 / 90.0, 1 / 180.0}, {0, 0, 1}};
  const double (*points)[3] = out == 2 ? two : out == 4 ? four : six;
  double half[WINOGRAD_MAX_IN][3];
  int in = out + 2;
  for (int i = 0; i < in; i++)
    for (int x = 0; x < 3; x++) {
      half[i][x] = 0;
      for (int y = 0; y < 3; y++) half[i][x] += points[i][y] * (double)g[y * 3 + x];
    }
  for (int i = 0; i < in; i++)
    for (int k = 0; k < in; k++)
      u[i * in + k] = (float)(points[k][0] * half[i][0] + points[k][1] * half[i][1] + points[k][2] * half[i][2]);
}
