/* peak__avx2.c - the roof of AVX2. */
#ifdef __AVX2__
#define PEAK hn_peak_avx2
#define BYTES 32
#define VNNI "%{vex%} vpdpbusd" /* without the prefix an assembler takes AVX-512's */
#include "device/cpu/peak/peak_body.h"
#else
typedef int hn_peak_avx2_absent;
#endif
