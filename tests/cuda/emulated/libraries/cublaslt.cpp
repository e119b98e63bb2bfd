/* cublaslt.cpp - a libcublasLt.so.13 for no device: columns first, as the real one counts, with its checks of shapes, leading
   dimensions and alignment. The first algorithm it proposes cannot be used, the second wants a workspace. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cublasLt.h"
#include "numbers.h"

struct cublasLtContext {
  int unused;
};
struct emulated_matmul {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t ta = CUBLAS_OP_N, tb = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void *bias = nullptr;
};
struct emulated_layout {
  cudaDataType_t type;
  int64_t rows, columns, ld, stride = 0;
  int32_t batch = 1;
};
struct emulated_preference {
  uint64_t workspace = 0;
};

namespace {
constexpr cublasStatus_t OK = CUBLAS_STATUS_SUCCESS, BAD = CUBLAS_STATUS_INVALID_VALUE;
constexpr size_t WORKSPACE = 8192;

cublasStatus_t complain(const char *what) {
  if (getenv("HONE_EMULATED_VERBOSE")) fprintf(stderr, "emulated cuBLASLt: %s\n", what);
  return BAD;
}

/* Integers have sums of 32 bits, the left side transposed and the right one not, and counts and leading dimensions in fours. */
bool types(const emulated_matmul *d, const emulated_layout *a, const emulated_layout *y) {
  if (a->type != CUDA_R_8I) return a->type == y->type && d->compute != CUBLAS_COMPUTE_32I && d->scale == CUDA_R_32F;
  return y->type == CUDA_R_32I && d->compute == CUBLAS_COMPUTE_32I && d->scale == CUDA_R_32I && d->ta == CUBLAS_OP_T && d->tb == CUBLAS_OP_N &&
         d->epilogue == CUBLASLT_EPILOGUE_DEFAULT && a->rows % 4 == 0 && a->ld % 4 == 0 && y->rows % 4 == 0 && y->ld % 4 == 0;
}

/* The product's rows, columns and sums; false: the layouts do not go together. */
bool shapes(const emulated_matmul *d, const emulated_layout *a, const emulated_layout *b, const emulated_layout *c, const emulated_layout *y,
            int64_t *k) {
  int64_t m = d->ta ? a->columns : a->rows, n = d->tb ? b->rows : b->columns;
  *k = d->ta ? a->rows : a->columns;
  return *k == (d->tb ? b->columns : b->rows) && y->rows == m && y->columns == n && c->rows == m && c->columns == n && a->type == b->type &&
         c->type == y->type && types(d, a, y) && a->batch == b->batch && b->batch == c->batch && c->batch == y->batch;
}
float factor(const emulated_matmul *d, const void *p) {
  return d->scale == CUDA_R_32I ? static_cast<float>(*static_cast<const int32_t *>(p)) : *static_cast<const float *>(p);
}
bool aligned(const void *p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

number kind(cudaDataType_t t) {
  switch (t) {
    case CUDA_R_16F: return number::F16;
    case CUDA_R_16BF: return number::BF16;
    case CUDA_R_8I: return number::I8;
    case CUDA_R_32I: return number::I32;
    default: return number::F32;
  }
}

struct job {
  emulated_matmul d;
  emulated_layout a, b, c, y;
  const void *pa, *pb, *pc;
  void *py;
  float alpha, beta;
  int64_t k;
};
void run(const void *arg) {
  const job &j = *static_cast<const job *>(arg);
  bool bias = j.d.epilogue & CUBLASLT_EPILOGUE_BIAS, relu = j.d.epilogue & CUBLASLT_EPILOGUE_RELU, gelu = j.d.epilogue & CUBLASLT_EPILOGUE_GELU;
  bool tf32 = j.d.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  for (int32_t q = 0; q < j.y.batch; q++)
    for (int64_t col = 0; col < j.y.columns; col++)
      for (int64_t row = 0; row < j.y.rows; row++) {
        double sum = 0;
        for (int64_t i = 0; i < j.k; i++) {
          float a = load(kind(j.a.type), j.pa, q * j.a.stride + (j.d.ta ? row * j.a.ld + i : i * j.a.ld + row));
          float b = load(kind(j.b.type), j.pb, q * j.b.stride + (j.d.tb ? i * j.b.ld + col : col * j.b.ld + i));
          sum += tf32 ? static_cast<double>(rounded(a)) * static_cast<double>(rounded(b)) : static_cast<double>(a) * static_cast<double>(b);
        }
        float v = j.alpha * static_cast<float>(sum);
        if (j.beta != 0) v += j.beta * load(kind(j.c.type), j.pc, q * j.c.stride + col * j.c.ld + row);
        if (bias) v += load(kind(j.y.type), j.d.bias, row);
        if (relu) v = v < 0 ? 0 : v;
        if (gelu) v = v / 2 * (1 + tanhf(0.79788456f * (v + 0.044715f * v * v * v)));
        store(kind(j.y.type), j.py, q * j.y.stride + col * j.y.ld + row, v);
      }
}
} // namespace

extern "C" {
#pragma GCC visibility push(default)
size_t cublasLtGetVersion(void) { return 130100; }
const char *cublasLtGetStatusString(cublasStatus_t st) { return st == BAD ? "CUBLAS_STATUS_INVALID_VALUE" : "an error of the emulated cuBLASLt"; }
cublasStatus_t cublasLtCreate(cublasLtHandle_t *h) { return *h = new cublasLtContext(), OK; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t h) { return delete h, OK; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute, cudaDataType_t scale) {
  if (scale != CUDA_R_32F && scale != CUDA_R_32I) return complain("scale type");
  *d = new emulated_matmul();
  (*d)->compute = compute;
  (*d)->scale = scale;
  return OK;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) { return delete d, OK; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name, const void *v, size_t size) {
  switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return size != 4 ? complain("size of TRANSA") : (memcpy(&d->ta, v, 4), OK);
    case CUBLASLT_MATMUL_DESC_TRANSB: return size != 4 ? complain("size of TRANSB") : (memcpy(&d->tb, v, 4), OK);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return size != 4 ? complain("size of EPILOGUE") : (memcpy(&d->epilogue, v, 4), OK);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return size != 8 ? complain("size of BIAS_POINTER") : (memcpy(&d->bias, v, 8), OK);
  }
  return complain("no such attribute of a product");
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType_t type, uint64_t rows, uint64_t columns, int64_t ld) {
  if (!rows || !columns || ld < static_cast<int64_t>(rows)) return complain("leading dimension");
  *l = new emulated_layout();
  (*l)->type = type;
  (*l)->rows = static_cast<int64_t>(rows);
  (*l)->columns = static_cast<int64_t>(columns);
  (*l)->ld = ld;
  return OK;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) { return delete l, OK; }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t name, const void *v, size_t size) {
  switch (name) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return size != 4 ? complain("size of BATCH_COUNT") : (memcpy(&l->batch, v, 4), OK);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return size != 8 ? complain("size of STRIDED_BATCH_OFFSET") : (memcpy(&l->stride, v, 8), OK);
  }
  return complain("no such attribute of a layout");
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p) { return *p = new emulated_preference(), OK; }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) { return delete p, OK; }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t name, const void *v, size_t size) {
  if (name != CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES || size != 8) return complain("attribute of a preference");
  return memcpy(&p->workspace, v, 8), OK;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t y, cublasLtMatmulPreference_t p, int wanted,
                                              cublasLtMatmulHeuristicResult_t *r, int *n) {
  int64_t k;
  if (wanted < 1 || !shapes(d, a, b, c, y, &k)) return complain("shapes of a product");
  if ((d->epilogue & CUBLASLT_EPILOGUE_BIAS) && !d->bias) return complain("no bias");
  *n = 0;
  for (int i = 0; i < 3 && *n < wanted; i++) {
    size_t bytes = i == 1 ? WORKSPACE : 0;
    if (bytes > p->workspace) continue;
    memset(&r[*n], 0, sizeof *r);
    r[*n].algo.data[0] = 0x600d0000u + static_cast<unsigned>(i);
    r[*n].workspaceSize = bytes;
    r[(*n)++].state = i ? OK : CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return OK;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t d, const void *alpha, const void *a, cublasLtMatrixLayout_t la, const void *b,
                              cublasLtMatrixLayout_t lb, const void *beta, const void *c, cublasLtMatrixLayout_t lc, void *y,
                              cublasLtMatrixLayout_t ly, const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes, cudaStream_t s) {
  job j = {*d, *la, *lb, *lc, *ly, a, b, c, y, factor(d, alpha), factor(d, beta), 0};
  if (!shapes(d, la, lb, lc, ly, &j.k)) return complain("shapes of a product");
  if (!algo || algo->data[0] < 0x600d0001u || algo->data[0] > 0x600d0002u) return complain("an algorithm that was not proposed");
  if (algo->data[0] == 0x600d0001u && (!workspace || bytes < WORKSPACE)) return complain("no workspace");
  if (!a || !b || !c || !y || !aligned(a) || !aligned(b) || !aligned(c) || !aligned(y)) return complain("a matrix is missing or not aligned");
  if ((d->epilogue & CUBLASLT_EPILOGUE_BIAS) && (!d->bias || !aligned(d->bias))) return complain("the bias is missing or not aligned");
  return hn_emulated_enqueue(s, run, &j, sizeof j) ? CUBLAS_STATUS_EXECUTION_FAILED : OK;
}
#pragma GCC visibility pop
}
