/* cuda_memory.h - memory of the device, and copies that go on while it computes. */
#ifndef HN_CUDA_MEMORY_H
#define HN_CUDA_MEMORY_H
#include "device/cuda/cuda_device.h"

hone_status hn_cuda_alloc(hn_device *d, size_t bytes, void **out);
void hn_cuda_release(hn_device *d, void *p);
hone_status hn_cuda_host_alloc(hn_device *d, size_t bytes, void **out);
void hn_cuda_host_release(hn_device *d, void *p);
hone_status hn_cuda_copy(hn_device *d, hn_lane_kind lane, void *to, const void *from, size_t bytes);

/* Memory that is not pinned is copied in pieces by way of memory that is, so that the copy does not hold the host up. */
hone_status hn_staging_create(hn_cuda_device *d, struct hn_staging **out);
void hn_staging_destroy(struct hn_staging *s); /* accepts NULL */
#endif
