/* blas.h - cuBLASLt: the library is opened when a device is; where it is not there, products are made elsewhere. */
#ifndef HN_CUDA_BLAS_H
#define HN_CUDA_BLAS_H
#include <cublasLt.h>

#include "device/cuda/cuda_device.h"

#define HN_BLAS_FUNCTIONS(F)                                                                                          \
  F(cublasLtGetVersion) F(cublasLtGetStatusString) F(cublasLtCreate) F(cublasLtDestroy) F(cublasLtMatmulDescCreate)     \
  F(cublasLtMatmulDescDestroy) F(cublasLtMatmulDescSetAttribute) F(cublasLtMatrixLayoutCreate)                          \
  F(cublasLtMatrixLayoutDestroy) F(cublasLtMatrixLayoutSetAttribute) F(cublasLtMatmulPreferenceCreate)                  \
  F(cublasLtMatmulPreferenceDestroy) F(cublasLtMatmulPreferenceSetAttribute) F(cublasLtMatmulAlgoGetHeuristic)          \
  F(cublasLtMatmul)

typedef struct hn_blas {
  cublasLtHandle_t handle;
#define F(name) __typeof__(&name) name;
  HN_BLAS_FUNCTIONS(F)
#undef F
} hn_blas;

/* *out is NULL where the library is not there or does not work, with the reason. */
void hn_blas_open(hn_blas **out, char *reason, size_t size);
void hn_blas_version(char *text, size_t size); /* "cuBLASLt 13.1.0", or what is missing without it */
void hn_blas_close(hn_blas *blas); /* accepts NULL */
#endif
