/* float_runs__avx2.c - arithmetic over runs of floats for AVX2. */
#ifdef __AVX2__
#define VEC hn_vec_avx2
#include "device/cpu/vec/float_runs_body.h"
#else
typedef int hn_vec_avx2_absent;
#endif
