#include "device/cpu/quant/convert_runs.h"

#if defined(__x86_64__)
#define CONVERT hn_convert_avx2
#include "device/cpu/quant/convert_runs_body.h"
#endif
