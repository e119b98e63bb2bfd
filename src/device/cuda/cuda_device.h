/* cuda_device.h - the CUDA device: what its kernels share. For C and, in .cu files, for C++ (declarations are "C"). */
#ifndef HN_CUDA_DEVICE_H
#define HN_CUDA_DEVICE_H
#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "device/cuda_plugin.h"

typedef struct hn_cuda_device {
  hn_device head;
  int ordinal;             /* CUDA's number of it */
  int major, minor;        /* compute capability */
  int processors;          /* streaming multiprocessors */
  size_t workspace;        /* bytes that a kernel may ask for as scratch at most */
  bool tf32;               /* products of floats may round their operands to TF32 */
  bool check;              /* wait for every step */
  bool graphs;             /* steps may be recorded and replayed */
  cudaEvent_t fork, join;  /* of a recording's lanes */
  cudaStream_t stream[HN_LANE_KINDS];
  cudaEvent_t *events;     /* by the caller's number; made when first marked */
  uint32_t n_events;
  cudaEvent_t zero;        /* timestamps count from it */
  struct hn_staging *staging; /* pinned memory through which pageable memory is copied */
  struct hn_pinned *pinned;   /* what host_alloc() gave */
  struct hn_dnn *dnn;         /* cuDNN and cuBLASLt; NULL where the library is not there, with the reason */
  struct hn_blas *blas;
  char no_dnn[128], no_blas[128];
  uint32_t *count;         /* memory of the host that kernels write to: how many they have found */
  const hn_node **fault;   /* memory of the host that kernels write to: the node that met an index out of range */
  char lost[192];          /* why it can no longer be used; "": it can */
} hn_cuda_device;

static inline hn_cuda_device *hn_cuda_of(const hn_task *t) { return (hn_cuda_device *)t->on; }
static inline cudaStream_t hn_cuda_stream(const hn_exec *x) { return hn_cuda_of(x->task)->stream[x->lane]; }

/* After a kernel was launched: OK, or DEVICE with the node's name, the operator and CUDA's reason. */
hone_status hn_cuda_launched(const hn_exec *x);
/* DEVICE for a call that failed. `what` is what was tried: "copy 123 bytes". Notes it if the device is lost. */
hone_status hn_cuda_fail(hn_cuda_device *d, cudaError_t e, const char *what);

hone_status hn_cuda_there(hn_cuda_device *d); /* DEVICE if it was lost before */

/* For plan() and destroy(): memory of the device that a kernel keeps in its state, with a copy of `data` unless NULL. */
hone_status hn_cuda_keep(hn_task *t, const void *data, size_t bytes, void **out);
void hn_cuda_drop(hn_task *t, void *p); /* accepts NULL */

/* The table, kernels.def. */
const hn_kernel *hn_cuda_kernel_at(uint32_t i);
extern const hn_kernel hn_cuda_reorder_kernel; /* between plain and NHWC, as hn_device_kind.reorder; reorder.cu */
/* Any epilogue of element-wise steps after any kernel, as in hn_device_kind; epilogue.cu. */
bool hn_cuda_takes_epilogue(const hn_task *t);
hone_status hn_cuda_epilogue(hn_exec *x);
#ifdef __cplusplus
}
#endif
#endif
