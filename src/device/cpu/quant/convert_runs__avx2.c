/* convert_runs__avx2.c - conversions of runs for avx2. */
#include "device/cpu/quant/convert_runs.h"
#if defined(__x86_64__)
#define CONVERT hn_convert_avx2
#include "device/cpu/quant/convert_runs_body.h"
#else
typedef int hn_convert_avx2_absent;
#endif
