/* convert_runs__avx512.c - conversions of runs for avx512. */
#include "device/cpu/quant/convert_runs.h"
#if defined(__x86_64__)
#define CONVERT hn_convert_avx512
#include "device/cpu/quant/convert_runs_body.h"
#else
typedef int hn_convert_avx512_absent;
#endif
