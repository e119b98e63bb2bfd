/* float_runs__avx512.c - arithmetic over runs of floats for AVX-512. */
#ifdef __AVX512F__
#define VEC hn_vec_avx512
#define OWN_CURVES
#define OWN_PICK
#include "device/cpu/vec/float_runs_avx512.h"
#include "device/cpu/vec/float_runs_body.h"
#else
typedef int hn_vec_avx512_absent;
#endif
