/* launch.h - how a kernel is started: <<<>>> under nvcc; on the CPU where tests emulate a GPU. A template's name stands in
   parentheses. What went wrong is in cudaGetLastError(). */
#ifndef HN_CUDA_LAUNCH_H
#define HN_CUDA_LAUNCH_H
#include <cuda_runtime.h>

#ifdef HN_CUDA_EMULATED
#define HN_LAUNCH(kernel, grid, block, shared, stream, ...) hn_emulated_call(#kernel, kernel, grid, block, shared, stream, __VA_ARGS__)
#define HN_SHARED(T, name) T *name = static_cast<T *>(hn_emulated_shared())
#define HN_UNROLL
#else
#define HN_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
/* The dynamic shared memory of a block. */
#define HN_SHARED(T, name)                                       \
  extern __shared__ __align__(16) unsigned char hn_shared_bytes[]; \
  T *name = reinterpret_cast<T *>(hn_shared_bytes)
#define HN_UNROLL _Pragma("unroll")
#endif
#endif
