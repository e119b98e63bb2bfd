/* cuda_plugin.h - what the core and the shared object of the CUDA device agree on. */
#ifndef HN_CUDA_PLUGIN_H
#define HN_CUDA_PLUGIN_H
#include "device/device.h"

#define HN_CUDA_LIBRARY "libhone-cuda.so"
#define HN_CUDA_ENTRY "hone_cuda_device"
/* workspace: MiB that a kernel may take for itself at most; tf32: 1: products of floats round to 10 bits of mantissa first;
   check: 1: every step is waited for, so that an error names it;
   graphs: 0: steps are given out one by one in every run. */
#define HN_CUDA_SETTINGS "workspace=256,tf32=0,graphs=1,check=0"
/* NULL where the shared object is of another build (hn_kernels_id) than the core. */
typedef const hn_device_kind *hn_cuda_entry(const char *build);
/* The rows of its table of kernels, which are known without it; false past the last. */
bool hn_cuda_row(uint32_t i, hn_op *op, const char **kernel);
#endif
