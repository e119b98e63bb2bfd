/* matmul_cublas.c - MatMul and Gemm by cuBLASLt. It counts columns first: what it computes is the transposed product, whose
   rows are our columns, so that one number a column is its bias. A residual is its C, added with factor 1. */
#include <string.h>

#include "base/alloc.h"
#include "device/cuda/blas.h"

enum { VARIANTS = 8, RANK = 6 };

typedef struct product {
  int64_t m, n, k, batch;
  int64_t stride_a, stride_b; /* between products of a batch, in elements; 0: the same for all */
  bool turned_a, turned_b;
  float alpha, beta;
  uint32_t bias, c; /* inputs, or HN_NONE */
  cublasLtEpilogue_t epilogue;
} product;

typedef struct matmul_state {
  product p;
  cublasLtMatmulDesc_t how;
  cublasLtMatrixLayout_t a, b, d;
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace;
} matmul_state;

static bool blas_type(hn_dtype t, cudaDataType_t *out) {
  *out = t == HONE_DTYPE_F16 ? CUDA_R_16F : t == HONE_DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
  return t == HONE_DTYPE_F32 || t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16;
}

bool matmul_cublas_supports(const hn_task *t) {
  cudaDataType_t type;
  if (!hn_cuda_of(t)->blas || !blas_type(t->in[0].dtype, &type) || t->out[0].dtype != t->in[0].dtype || t->out[0].quant) return false;
  for (uint32_t i = 0; i < t->node->n_main; i++) {
    const hn_arg *a = &t->in[i];
    if (!a->present) continue;
    if (a->dynamic || a->quant || a->dtype != t->in[0].dtype || a->rank > RANK) return false;
    for (int32_t k = 0; k < a->rank; k++)
      if (a->dims[k] < 1) return false;
  }
  return !t->out[0].dynamic;
}

/* ------------------------------------------------------------------------------------------------- geometry */

/* Dimensions of a batch of matrices; a vector is a row on the left, a column on the right. */
static void matrix_dims(const hn_arg *a, bool left, int64_t *d) {
  for (int i = 0; i < RANK; i++) d[i] = 1;
  if (a->rank == 1) d[left ? RANK - 1 : RANK - 2] = a->dims[0];
  else
    for (int32_t i = 0; i < a->rank; i++) d[RANK - a->rank + i] = a->dims[i];
}

static bool geometry(const hn_task *t, product *p) {
  int64_t a[RANK], b[RANK], batch_a = 1, batch_b = 1;
  bool same = true;
  matrix_dims(&t->in[0], true, a);
  matrix_dims(&t->in[1], false, b);
  for (int i = 0; i < RANK - 2; i++) {
    batch_a *= a[i];
    batch_b *= b[i];
    same = same && a[i] == b[i];
  }
  bool gemm = t->node->op == HN_Gemm;
  p->turned_a = gemm && hn_attr_i(t->node, "transA", 0);
  p->turned_b = gemm && hn_attr_i(t->node, "transB", 0);
  p->m = a[p->turned_a ? RANK - 1 : RANK - 2];
  p->k = a[p->turned_a ? RANK - 2 : RANK - 1];
  p->n = b[p->turned_b ? RANK - 2 : RANK - 1];
  p->batch = batch_a > batch_b ? batch_a : batch_b;
  if (!same && batch_a != 1 && batch_b != 1) return false;
  if (batch_b == 1 && !p->turned_a) { /* one matrix on the right serves all rows alike */
    p->m *= p->batch;
    p->batch = 1;
  }
  p->stride_a = p->batch > 1 && batch_a > 1 ? p->m * p->k : 0;
  p->stride_b = p->batch > 1 && batch_b > 1 ? p->k * p->n : 0;
  return p->batch <= INT32_MAX;
}

static bool is_row(const hn_task *t, uint32_t i, int64_t n) {
  const hn_arg *a = &t->in[i];
  if (a->dtype != t->in[0].dtype || a->rank < 1 || a->dims[a->rank - 1] != n || a->dynamic) return false;
  for (int32_t k = 0; k + 1 < a->rank; k++)
    if (a->dims[k] != 1) return false;
  return true;
}
static bool is_whole(const hn_task *t, uint32_t i) {
  const hn_arg *a = &t->in[i], *out = &t->out[0];
  return a->dtype == out->dtype && a->rank == out->rank && !a->dynamic &&
         (!a->rank || memcmp(a->dims, out->dims, sizeof *a->dims * (size_t)a->rank) == 0);
}

/* Gemm's C, and the steps of the epilogue that can be done with the product, at most `most`; how many those are. */
static bool epilogue(const hn_task *t, product *p, uint32_t most, uint32_t *fused) {
  const hn_node *n = t->node;
  bool gemm = n->op == HN_Gemm, relu = false, gelu = false;
  p->alpha = gemm ? (float)hn_attr_f(n, "alpha", 1) : 1;
  p->bias = p->c = HN_NONE;
  p->beta = 0;
  if (gemm && n->n_main > 2 && t->in[2].present) {
    float beta = (float)hn_attr_f(n, "beta", 1);
    if (is_row(t, 2, p->n) && beta == 1) p->bias = 2;
    else if (is_whole(t, 2)) p->c = 2, p->beta = beta;
    else return false;
  }
  uint32_t i = 0;
  for (; i < n->n_post && i < most && !relu && !gelu; i++) {
    const hn_step *s = &n->post[i];
    if (s->op == HN_Relu) relu = true;
    else if (s->op == HN_Gelu && s->alpha > 0) gelu = true; /* its GELU is the one with tanh */
    else if (s->op == HN_Add && s->operand != HN_NONE && p->bias == HN_NONE && is_row(t, s->operand, p->n)) p->bias = s->operand;
    else if (s->op == HN_Add && s->operand != HN_NONE && p->c == HN_NONE && is_whole(t, s->operand)) p->c = s->operand, p->beta = 1;
    else break;
  }
  *fused = i;
  bool bias = p->bias != HN_NONE;
  p->epilogue = relu   ? bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU
                : gelu ? bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU
                : bias ? CUBLASLT_EPILOGUE_BIAS
                       : CUBLASLT_EPILOGUE_DEFAULT;
  return true;
}

/* -------------------------------------------------------------------------------------------------- planning */

static bool make_layout(const hn_blas *l, cublasLtMatrixLayout_t *out, cudaDataType_t type, int64_t rows, int64_t columns, int64_t batch, int64_t stride) {
  int32_t count = (int32_t)batch;
  if (l->cublasLtMatrixLayoutCreate(out, type, (uint64_t)rows, (uint64_t)columns, rows)) return false;
  return batch == 1 || (!l->cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count) &&
                        !l->cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
}

static bool set_how(const hn_blas *l, matmul_state *s, cudaDataType_t type, bool tf32) {
  const product *p = &s->p;
  cublasComputeType_t compute = type == CUDA_R_32F && tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  cublasOperation_t first = p->turned_b ? CUBLAS_OP_T : CUBLAS_OP_N, second = p->turned_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  const void *aligned = (const void *)(uintptr_t)256; /* what a bias will be; where is not known yet */
  return !l->cublasLtMatmulDescCreate(&s->how, compute, CUDA_R_32F) &&
         !l->cublasLtMatmulDescSetAttribute(s->how, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first) &&
         !l->cublasLtMatmulDescSetAttribute(s->how, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second) &&
         !l->cublasLtMatmulDescSetAttribute(s->how, CUBLASLT_MATMUL_DESC_EPILOGUE, &p->epilogue, sizeof p->epilogue) &&
         (p->bias == HN_NONE || !l->cublasLtMatmulDescSetAttribute(s->how, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &aligned, sizeof aligned));
}

static bool find_algorithm(const hn_blas *l, matmul_state *s, size_t limit, uint32_t variant) {
  cublasLtMatmulHeuristicResult_t found[VARIANTS];
  cublasLtMatmulPreference_t preference = NULL;
  uint64_t most = limit;
  int n = 0;
  if (l->cublasLtMatmulPreferenceCreate(&preference)) return false;
  bool ok = !l->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most) &&
            !l->cublasLtMatmulAlgoGetHeuristic(l->handle, s->how, s->a, s->b, s->d, s->d, preference, VARIANTS, found, &n);
  l->cublasLtMatmulPreferenceDestroy(preference);
  for (int i = 0; ok && i < n; i++) {
    if (found[i].state || found[i].workspaceSize > limit || variant-- > 0) continue;
    s->algorithm = found[i].algo;
    s->workspace = found[i].workspaceSize;
    return true;
  }
  return false;
}

static void destroy_parts(const hn_blas *l, matmul_state *s) {
  if (s->how) l->cublasLtMatmulDescDestroy(s->how);
  if (s->a) l->cublasLtMatrixLayoutDestroy(s->a);
  if (s->b) l->cublasLtMatrixLayoutDestroy(s->b);
  if (s->d) l->cublasLtMatrixLayoutDestroy(s->d);
  s->how = NULL;
  s->a = s->b = s->d = NULL;
}

static bool build(const hn_task *t, matmul_state *s, uint32_t most, uint32_t *fused) {
  const hn_cuda_device *d = hn_cuda_of(t);
  const hn_blas *l = d->blas;
  product *p = &s->p;
  cudaDataType_t type;
  blas_type(t->in[0].dtype, &type);
  return geometry(t, p) && epilogue(t, p, most, fused) && set_how(l, s, type, d->tf32) &&
         make_layout(l, &s->a, type, p->turned_b ? p->k : p->n, p->turned_b ? p->n : p->k, p->batch, p->stride_b) &&
         make_layout(l, &s->b, type, p->turned_a ? p->m : p->k, p->turned_a ? p->k : p->m, p->batch, p->stride_a) &&
         make_layout(l, &s->d, type, p->n, p->m, p->batch, p->m * p->n) && find_algorithm(l, s, d->workspace, t->variant);
}

hone_status matmul_cublas_plan(hn_task *t) {
  matmul_state *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  for (uint32_t i = 0; i < t->n_in; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  for (uint32_t most = t->node->n_post + 1; most-- > 0;) { /* as much of the epilogue as an algorithm takes */
    if (build(t, s, most, &t->fused)) {
      t->scratch = s->workspace;
      return HONE_OK;
    }
    destroy_parts(hn_cuda_of(t)->blas, s);
  }
  return HONE_UNSUPPORTED;
}

hone_status matmul_cublas_run(hn_exec *x) {
  hn_cuda_device *d = hn_cuda_of(x->task);
  const hn_blas *l = d->blas;
  matmul_state *s = x->task->state;
  const product *p = &s->p;
  const void *c = p->c == HN_NONE ? x->out[0].data : x->in[p->c].data, *bias = p->bias == HN_NONE ? NULL : x->in[p->bias].data;
  cublasStatus_t st = CUBLAS_STATUS_SUCCESS;
  if (bias) st = l->cublasLtMatmulDescSetAttribute(s->how, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
  if (!st)
    st = l->cublasLtMatmul(l->handle, s->how, &p->alpha, x->in[1].data, s->a, x->in[0].data, s->b, &p->beta, c, s->d, x->out[0].data,
                           s->d, &s->algorithm, s->workspace ? x->scratch : NULL, s->workspace, hn_cuda_stream(x));
  if (!st) return hn_cuda_launched(x);
  cudaError_t e = cudaGetLastError();
  if (e) return hn_fail_within(x->cx, hn_cuda_fail(d, e, "running"), "node '%s' (%s)", hn_xnode(x)->name, hn_op_name(hn_xnode(x)->op));
  return hn_xfail(x, HONE_DEVICE, "device '%s': cuBLASLt: %s", d->head.name, l->cublasLtGetStatusString(st));
}

void matmul_cublas_destroy(hn_task *t) {
  matmul_state *s = t->state;
  if (s) destroy_parts(hn_cuda_of(t)->blas, s);
  hn_free(s);
}
