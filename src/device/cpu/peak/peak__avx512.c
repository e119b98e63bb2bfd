/* peak__avx512.c - the roof of AVX-512. */
#ifdef __AVX512F__
#define PEAK hn_peak_avx512
#define BYTES 64
#define VNNI "vpdpbusd"
#define BF16 "vdpbf16ps"
#include "device/cpu/peak/peak_body.h"
#else
typedef int hn_peak_avx512_absent;
#endif
