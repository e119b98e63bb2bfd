/* cuda_plugin.h - what the core and the shared object of the CUDA device agree on. */
#ifndef HN_CUDA_PLUGIN_H
#define HN_CUDA_PLUGIN_H
#include "device/device.h"

#define HN_CUDA_LIBRARY "libhone-cuda.so"
#define HN_CUDA_ENTRY "hone_cuda_device"
enum { HN_CUDA_ABI = 1 };
/* NULL where the shared object was built for another version of the core's structs. */
typedef const hn_device_kind *hn_cuda_entry(uint32_t abi, size_t kind_size);
#endif
