#include "device/cuda/blas.h"

#include <dlfcn.h>
#include <stdio.h>

#include "base/alloc.h"

#define NAME(major) "libcublasLt.so." #major
#define LIBRARY_OF(major) NAME(major)
#define LIBRARY LIBRARY_OF(CUBLAS_VER_MAJOR) /* its interface is that of the header */

void hn_blas_open(hn_blas **out, char *reason, size_t size) {
  *out = NULL;
  void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  hn_blas *b = lib ? hn_calloc(1, sizeof *b) : NULL;
  if (!lib) snprintf(reason, size, LIBRARY " is not found");
  if (!b) return;
  const char *missing = NULL;
#define F(name)                                    \
  *(void **)(void *)&b->name = dlsym(lib, #name); \
  if (!b->name) missing = #name;
  HN_BLAS_FUNCTIONS(F)
#undef F
  cublasStatus_t st = missing ? CUBLAS_STATUS_NOT_INITIALIZED : b->cublasLtCreate(&b->handle);
  if (missing) snprintf(reason, size, LIBRARY " has no %s", missing);
  else if (st) snprintf(reason, size, "cuBLASLt does not start: %s", b->cublasLtGetStatusString(st));
  if (st) hn_free(b);
  else *out = b;
}

void hn_blas_version(char *text, size_t size) {
  void *lib = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  size_t (*version)(void) = NULL;
  if (lib) *(void **)(void *)&version = dlsym(lib, "cublasLtGetVersion");
  if (!version) snprintf(text, size, "no matrix products: " LIBRARY " is not found");
  else snprintf(text, size, "cuBLASLt %zu.%zu.%zu", version() / 10000, version() / 100 % 100, version() % 100);
}

void hn_blas_close(hn_blas *b) {
  if (b) b->cublasLtDestroy(b->handle);
  hn_free(b);
}
