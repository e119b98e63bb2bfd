/* matmul_onednn.c - MatMul and Gemm by oneDNN: constant matrices packed once, a bias along the columns fused. */
#include <string.h>

#include "device/cpu/onednn/dnnl_util.h"

/* Both operands and the result as oneDNN wants them: the same number of dimensions, strides for a transposed one. */
typedef struct product {
  int rank;
  dnnl_dims_t a, b, c, a_stride, b_stride;
  uint32_t bias; /* the input that is added to each row, or HN_NONE */
} product;

static void row_major(int rank, const dnnl_dims_t dims, dnnl_dims_t stride) {
  int64_t s = 1;
  for (int i = rank - 1; i >= 0; i--) {
    stride[i] = s;
    s *= dims[i];
  }
}

/* dims of the operand with leading ones to `rank`, a vector made a row (left) or a column (right). */
static void align(const hn_arg *a, bool left, int rank, dnnl_dims_t out) {
  int n = a->rank == 1 ? 2 : a->rank;
  for (int i = 0; i < rank; i++) out[i] = 1;
  if (a->rank == 1) out[rank - (left ? 1 : 2)] = a->dims[0];
  else
    for (int i = 0; i < n; i++) out[rank - n + i] = a->dims[i];
}

static void transpose(int rank, dnnl_dims_t dims, dnnl_dims_t stride) {
  int64_t d = dims[rank - 2], s = stride[rank - 2];
  dims[rank - 2] = dims[rank - 1];
  stride[rank - 2] = stride[rank - 1];
  dims[rank - 1] = d;
  stride[rank - 1] = s;
}

/* A constant of one value a column. */
static bool is_row(const hn_task *t, uint32_t i, int64_t columns) {
  const hn_arg *a = &t->in[i];
  return a->constant && a->dtype == t->in[0].dtype && a->constant->count == columns && a->rank > 0 &&
         a->dims[a->rank - 1] == columns;
}

static bool product_of(hn_task *t, product *p) {
  const hn_node *n = t->node;
  const hn_arg *a = &t->in[0], *b = &t->in[1];
  bool gemm = n->op == HN_Gemm;
  p->rank = a->rank > b->rank ? a->rank : b->rank;
  if (p->rank < 2) p->rank = 2;
  if (p->rank > 6) return false;
  align(a, true, p->rank, p->a);
  align(b, false, p->rank, p->b);
  /* A matrix on the right serves all rows of a batch on the left alike. */
  if (!gemm && b->rank == 2 && a->rank > 2) {
    int64_t rows = 1;
    for (int i = 0; i < p->rank - 1; i++) rows *= p->a[i];
    p->a[1] = p->a[p->rank - 1];
    p->a[0] = rows;
    p->rank = 2;
    align(b, false, 2, p->b);
  }
  row_major(p->rank, p->a, p->a_stride);
  row_major(p->rank, p->b, p->b_stride);
  if (gemm && hn_attr_i(n, "transA", 0)) transpose(p->rank, p->a, p->a_stride);
  if (gemm && hn_attr_i(n, "transB", 0)) transpose(p->rank, p->b, p->b_stride);
  for (int i = 0; i < p->rank - 2; i++) p->c[i] = p->a[i] == 1 ? p->b[i] : p->a[i];
  p->c[p->rank - 2] = p->a[p->rank - 2];
  p->c[p->rank - 1] = p->b[p->rank - 1];
  p->bias = HN_NONE;
  int64_t columns = p->c[p->rank - 1];
  if (gemm && hn_attr_f(n, "alpha", 1) != 1) return false;
  if (gemm && n->n_main > 2 && t->in[2].present) {
    if (hn_attr_f(n, "beta", 1) != 1 || !is_row(t, 2, columns)) return false;
    p->bias = 2;
  } else if (n->n_post && n->post[0].op == HN_Add && n->post[0].operand != HN_NONE && is_row(t, n->post[0].operand, columns)) {
    p->bias = n->post[0].operand;
    t->fused = 1;
  }
  return true;
}

bool matmul_onednn_supports(const hn_task *t) {
  if (!t->device || !hn_dnnl_computes(t->in[0].dtype) || t->in[1].dtype != t->in[0].dtype) return false;
  for (int k = 0; k < 2; k++)
    for (int32_t i = 0; i < t->in[k].rank; i++)
      if (t->in[k].dims[i] == 0) return false;
  return true;
}

static bool describe(hn_task *t, const product *p, dnnl_primitive_desc_t *pd, dnnl_memory_desc_t *b, uint32_t *residual) {
  const hn_cpu *cpu = t->device;
  dnnl_memory_desc_t a, want, c, bias;
  dnnl_matmul_desc_t d;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_dims_t c_stride, bias_dims, bias_stride;
  dnnl_data_type_t type = hn_dnnl_type(t->in[0].dtype);
  row_major(p->rank, p->c, c_stride);
  for (int i = 0; i < p->rank; i++) bias_dims[i] = i == p->rank - 1 ? p->c[i] : 1;
  row_major(p->rank, bias_dims, bias_stride);
  bool ok = dnnl_memory_desc_init_by_strides(&a, p->rank, p->a, type, p->a_stride) == dnnl_success &&
            dnnl_memory_desc_init_by_strides(b, p->rank, p->b, type, p->b_stride) == dnnl_success &&
            dnnl_memory_desc_init_by_strides(&c, p->rank, p->c, type, c_stride) == dnnl_success &&
            dnnl_memory_desc_init_by_strides(&bias, p->rank, bias_dims, type, bias_stride) == dnnl_success;
  want = *b;
  if (ok && t->in[1].constant) ok = hn_dnnl_any(t->in[0].dtype, p->rank, p->b, &want);
  ok = ok && dnnl_matmul_desc_init(&d, &a, &want, p->bias == HN_NONE ? NULL : &bias, &c) == dnnl_success &&
       hn_dnnl_attributes(t, true, &attr, residual) && dnnl_primitive_desc_create(pd, &d, attr, cpu->engine, NULL) == dnnl_success;
  if (attr) dnnl_primitive_attr_destroy(attr);
  return ok;
}

static hone_status prepare(hn_task *t, hn_dnnl_run *r, const product *p, dnnl_primitive_desc_t pd, const dnnl_memory_desc_t *b) {
  const dnnl_memory_desc_t *want = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
  HN_TRY(hn_dnnl_bind(t, r, DNNL_ARG_SRC, dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0), 0, NULL));
  HN_TRY(hn_dnnl_bind(t, r, DNNL_ARG_DST, dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), HN_DNNL_OUTPUT, NULL));
  if (t->in[1].constant) {
    HN_TRY(hn_dnnl_pack(t, r, DNNL_ARG_WEIGHTS, t->in[1].constant, b, want));
    t->in[1].unused = true;
  } else {
    HN_TRY(hn_dnnl_bind(t, r, DNNL_ARG_WEIGHTS, want, 1, NULL));
  }
  if (p->bias != HN_NONE) {
    HN_TRY(hn_dnnl_bind(t, r, DNNL_ARG_BIAS, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1), HN_DNNL_FIXED,
                        t->in[p->bias].constant->data));
    t->in[p->bias].unused = true;
  }
  return hn_dnnl_create(t, r, pd);
}

hone_status matmul_onednn_plan(hn_task *t) {
  HN_TRY(hn_dnnl_open(t));
  product p;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_memory_desc_t b;
  uint32_t residual;
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  if (!product_of(t, &p) || !describe(t, &p, &pd, &b, &residual)) return HONE_UNSUPPORTED;
  hn_dnnl_run *r = hn_calloc(1, sizeof *r);
  t->state = r;
  hone_status st = r ? prepare(t, r, &p, pd, &b) : hn_nomem(t->cx);
  dnnl_primitive_desc_destroy(pd);
  if (!st) hn_dnnl_take_residual(t, residual);
  return st;
}

hone_status matmul_onednn_run(hn_exec *x) { return hn_dnnl_state_run(x); }
void matmul_onednn_destroy(hn_task *t) { hn_dnnl_state_destroy(t); }
