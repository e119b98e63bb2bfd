/* cuda_kernels.c - the table of the CUDA device's kernels, made of kernels.def. */
#include "device/cuda/cuda_device.h"

#define CUDA_KERNEL(op, name, priority)   \
  bool name##_supports(const hn_task *t); \
  hone_status name##_plan(hn_task *t);    \
  hone_status name##_run(hn_exec *x);     \
  void name##_destroy(hn_task *t);
#define CUDA_VARIANTS(op, name, priority, variants) CUDA_KERNEL(op, name, priority)
#define CUDA_COUNTS(op, name, priority) CUDA_KERNEL(op, name, priority)
#include "device/cuda/kernels.def"
#undef CUDA_KERNEL
#undef CUDA_VARIANTS
#undef CUDA_COUNTS

static const hn_kernel kernels[] = {
#define CUDA_KERNEL(o, n, p) {#n, HN_##o, p, n##_supports, n##_plan, n##_run, n##_destroy, NULL, 0, false},
#define CUDA_VARIANTS(o, n, p, v) {#n, HN_##o, p, n##_supports, n##_plan, n##_run, n##_destroy, NULL, v, false},
#define CUDA_COUNTS(o, n, p) {#n, HN_##o, p, n##_supports, n##_plan, n##_run, n##_destroy, NULL, 0, true},
#include "device/cuda/kernels.def"
#undef CUDA_KERNEL
#undef CUDA_VARIANTS
#undef CUDA_COUNTS
    {.name = NULL},
};

const hn_kernel *hn_cuda_kernel_at(uint32_t i) {
  return i < sizeof kernels / sizeof *kernels && kernels[i].name ? &kernels[i] : NULL;
}
