/* matmul_cublas.c - MatMul and Gemm by cuBLASLt. It counts columns first: what it computes is the transposed product, whose
   rows are our columns, so that one number a column is its bias. A residual is its C, added with factor 1. Of 8-bit integers it
   makes sums of 32 bits: signed ones, the weights turned, in rows of a multiple of 16; the rest is a pass of our own. */
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "device/cuda/blas.h"
#include "device/cuda/cuda_kernel.h"

enum { VARIANTS = 8, RANK = 6 };

typedef struct product {
  int64_t m, n, k, batch;
  int64_t stride_a, stride_b; /* between products of a batch, in elements; 0: the same for all */
  bool turned_a, turned_b;
  float alpha, beta;
  uint32_t bias, c; /* inputs, or HN_NONE */
  bool integers;
  cublasLtEpilogue_t epilogue;
} product;

typedef struct matmul_state {
  product p;
  cublasLtMatmulDesc_t how;
  cublasLtMatrixLayout_t a, b, d;
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace;
  void *weights;        /* of the device, as integers are multiplied */
  hn_gpu_signed rows;   /* how activations become what is multiplied; n 0: they are */
  size_t rows_bytes, sums_bytes;
  hn_cuda_ending ending;
} matmul_state;

static bool blas_type(hn_dtype t, cudaDataType_t *out) {
  *out = t == HONE_DTYPE_F16 ? CUDA_R_16F : t == HONE_DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
  return t == HONE_DTYPE_F32 || t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16;
}

/* The axis of the weights along which the output's columns lie. */
static int32_t column_axis(const hn_task *t) { return t->node->op == HN_Gemm && hn_attr_i(t->node, "transB", 0) ? 0 : 1; }

static bool supports_integers(const hn_task *t) {
  const hn_arg *w = &t->in[1];
  if (t->node->op == HN_Gemm && (hn_attr_i(t->node, "transA", 0) || hn_attr_f(t->node, "alpha", 1) != 1 || hn_attr_f(t->node, "beta", 1) != 1)) return false;
  return w->rank == 2 && t->in[0].rank > 0 && hn_cuda_count(&t->in[0]) && hn_cuda_count(w) && w->dims[column_axis(t)] % 4 == 0 &&
         hn_cuda_integers(t, column_axis(t));
}

bool matmul_cublas_supports(const hn_task *t) {
  cudaDataType_t type;
  if (hn_cuda_of(t)->blas && t->in[0].present && t->in[0].quant) return supports_integers(t);
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
  cublasComputeType_t compute = p->integers ? CUBLAS_COMPUTE_32I : type == CUDA_R_32F && tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  cublasOperation_t first = p->turned_b ? CUBLAS_OP_T : CUBLAS_OP_N, second = p->turned_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  const void *aligned = (const void *)(uintptr_t)256; /* what a bias will be; where is not known yet */
  return !l->cublasLtMatmulDescCreate(&s->how, compute, p->integers ? CUDA_R_32I : CUDA_R_32F) &&
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

/* ---- integers */

/* One row a column of the output, `width` long, zeros behind. */
static hone_status keep_weights(hn_task *t, matmul_state *s, int64_t width) {
  const hn_tensor *w = t->in[1].constant;
  const int8_t *from = w->data;
  bool rows = column_axis(t) == 0;
  int64_t n = s->p.n, k = s->p.k, bytes;
  int8_t *turned = hn_mul_i64(n, width, &bytes) ? hn_calloc((size_t)bytes, 1) : NULL;
  if (!turned) return hn_nomem(t->cx);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < k; j++) turned[i * width + j] = rows ? from[i * k + j] : from[j * n + i];
  hone_status st = hn_cuda_keep(t, turned, (size_t)bytes, &s->weights);
  hn_free(turned);
  return st;
}

static hone_status plan_integers(hn_task *t, matmul_state *s) {
  enum { WIDTH = 16 };
  const hn_cuda_device *d = hn_cuda_of(t);
  const hn_blas *l = d->blas;
  product *p = &s->p;
  const hn_arg *a = &t->in[0];
  int64_t k = a->dims[a->rank - 1], m = hn_cuda_count(a) / k, width = (k + WIDTH - 1) / WIDTH * WIDTH, zero = a->quant->zero;
  bool as_is = a->dtype == HONE_DTYPE_I8 && width == k;
  *p = (product){.m = m, .n = t->in[1].dims[column_axis(t)], .k = k, .batch = 1, .turned_b = true, .alpha = 1, .bias = HN_NONE, .c = HN_NONE,
                 .epilogue = CUBLASLT_EPILOGUE_DEFAULT, .integers = true};
  if (m > INT32_MAX / width || m > INT32_MAX / p->n) return HONE_UNSUPPORTED;
  if (!set_how(l, s, CUDA_R_8I, false) || !make_layout(l, &s->a, CUDA_R_8I, width, p->n, 1, 0) || !make_layout(l, &s->b, CUDA_R_8I, width, m, 1, 0) ||
      !make_layout(l, &s->d, CUDA_R_32I, p->n, m, 1, 0) || !find_algorithm(l, s, d->workspace, t->variant))
    return HONE_UNSUPPORTED;
  s->rows = (hn_gpu_signed){.n = as_is ? 0 : (uint32_t)(m * width / 4), .words = hn_gpu_div_of(width / 4), .row = (uint32_t)k,
                            .flip = a->dtype == HONE_DTYPE_U8 ? 0x80 : 0};
  if (s->rows.flip) zero -= 128;
  s->rows_bytes = as_is ? 0 : ((size_t)(m * width) + 255) / 256 * 256;
  s->sums_bytes = ((size_t)(m * p->n) * sizeof(int32_t) + 255) / 256 * 256;
  t->scratch = s->rows_bytes + s->sums_bytes + s->workspace;
  HN_TRY(keep_weights(t, s, width));
  HN_TRY(hn_cuda_ending_plan(t, column_axis(t), true, (int32_t)zero, &s->ending));
  t->in[1].unused = true;
  return HONE_OK;
}

static hone_status failed(const hn_exec *x, cublasStatus_t st) {
  hn_cuda_device *d = hn_cuda_of(x->task);
  cudaError_t e = cudaGetLastError();
  if (e) return hn_fail_within(x->cx, hn_cuda_fail(d, e, "running"), "node '%s' (%s)", hn_xnode(x)->name, hn_op_name(hn_xnode(x)->op));
  return hn_xfail(x, HONE_DEVICE, "device '%s': cuBLASLt: %s", d->head.name, d->blas->cublasLtGetStatusString(st));
}

static hone_status run_integers(hn_exec *x, const matmul_state *s) {
  const hn_blas *l = hn_cuda_of(x->task)->blas;
  const int32_t one = 1, none = 0;
  char *sums = (char *)x->scratch + s->rows_bytes, *workspace = s->workspace ? sums + s->sums_bytes : NULL;
  const void *rows = x->in[0].data;
  if (s->rows.n) {
    hn_gpu_signed r = s->rows;
    r.from = x->in[0].data;
    rows = r.to = x->scratch;
    hn_gpu_signed_run(hn_cuda_stream(x), &r);
    HN_TRY(hn_cuda_launched(x));
  }
  cublasStatus_t st = l->cublasLtMatmul(l->handle, s->how, &one, s->weights, s->a, rows, s->b, &none, sums, s->d, sums, s->d, &s->algorithm,
                                        workspace, s->workspace, hn_cuda_stream(x));
  if (st) return failed(x, st);
  HN_TRY(hn_cuda_launched(x));
  return hn_cuda_ending_run(x, &s->ending, sums);
}

/* ---- all */

hone_status matmul_cublas_plan(hn_task *t) {
  matmul_state *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  for (uint32_t i = 0; i < t->n_in; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  if (t->in[0].quant) return plan_integers(t, s);
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
  const hn_blas *l = hn_cuda_of(x->task)->blas;
  matmul_state *s = x->task->state;
  const product *p = &s->p;
  if (p->integers) return run_integers(x, s);
  const void *c = p->c == HN_NONE ? x->out[0].data : x->in[p->c].data, *bias = p->bias == HN_NONE ? NULL : x->in[p->bias].data;
  cublasStatus_t st = CUBLAS_STATUS_SUCCESS;
  if (bias) st = l->cublasLtMatmulDescSetAttribute(s->how, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
  if (!st)
    st = l->cublasLtMatmul(l->handle, s->how, &p->alpha, x->in[1].data, s->a, x->in[0].data, s->b, &p->beta, c, s->d, x->out[0].data,
                           s->d, &s->algorithm, s->workspace ? x->scratch : NULL, s->workspace, hn_cuda_stream(x));
  return st ? failed(x, st) : hn_cuda_launched(x);
}

void matmul_cublas_destroy(hn_task *t) {
  matmul_state *s = t->state;
  if (!s) return;
  destroy_parts(hn_cuda_of(t)->blas, s);
  hn_cuda_drop(t, s->weights);
  hn_cuda_drop(t, s->ending.numbers);
  hn_free(s);
}
