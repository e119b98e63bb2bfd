/* matmul_int8_onednn.c - MatMul and Gemm of 8-bit integers by oneDNN: activations times a constant matrix of weights. */
#include "device/cpu/onednn/int8_onednn.h"

typedef struct product {
  int64_t m, k, n;
  bool transposed;
  const hn_tensor *bias; /* one number a column, or NULL */
} product;

static bool is_row(const hn_arg *a, int64_t columns) {
  return a->present && a->constant && a->dtype == HONE_DTYPE_F32 && a->constant->count == columns && a->rank > 0 && a->dims[a->rank - 1] == columns;
}

static bool product_of(const hn_task *t, product *p) {
  const hn_arg *x = &t->in[0], *w = &t->in[1];
  bool gemm = t->node->op == HN_Gemm;
  if (x->rank < 1 || w->rank != 2) return false;
  *p = (product){.m = 1, .k = x->dims[x->rank - 1], .transposed = gemm && hn_attr_i(t->node, "transB", 0)};
  p->n = w->dims[p->transposed ? 0 : 1];
  for (int32_t i = 0; i < x->rank - 1; i++) p->m *= x->dims[i];
  if (!gemm) return true;
  if (hn_attr_i(t->node, "transA", 0) || hn_attr_f(t->node, "alpha", 1) != 1) return false;
  if (t->node->n_main < 3 || !t->in[2].present) return true;
  p->bias = t->in[2].constant;
  return hn_attr_f(t->node, "beta", 1) == 1 && is_row(&t->in[2], p->n);
}

bool matmul_int8_onednn_supports(const hn_task *t) {
  product p;
  return hn_int8_applies(t) && product_of(t, &p);
}

static bool create(hn_task *t, const product *p, const hn_int8_way *way, dnnl_primitive_desc_t *pd, dnnl_memory_desc_t *stored) {
  dnnl_memory_desc_t src, weights, b, dst;
  dnnl_matmul_desc_t d;
  const dnnl_dims_t x = {p->m, p->k}, w = {p->k, p->n}, y = {p->m, p->n}, row = {1, p->n};
  return dnnl_memory_desc_init_by_tag(&src, 2, x, hn_dnnl_type(t->in[0].dtype), dnnl_ab) == dnnl_success &&
         dnnl_memory_desc_init_by_tag(&dst, 2, y, way->dst, dnnl_ab) == dnnl_success &&
         dnnl_memory_desc_init_by_tag(&weights, 2, w, dnnl_s8, dnnl_format_tag_any) == dnnl_success &&
         dnnl_memory_desc_init_by_tag(stored, 2, w, dnnl_s8, p->transposed ? dnnl_ba : dnnl_ab) == dnnl_success &&
         dnnl_memory_desc_init_by_tag(&b, 2, row, dnnl_f32, dnnl_ab) == dnnl_success &&
         dnnl_matmul_desc_init(&d, &src, &weights, p->bias ? &b : NULL, &dst) == dnnl_success &&
         dnnl_primitive_desc_create(pd, &d, way->attr, t->device->engine, NULL) == dnnl_success;
}

static hone_status attempt(hn_task *t, int k) {
  product p;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_memory_desc_t stored;
  hn_int8_way way;
  if (!product_of(t, &p) || !hn_int8_try(t, k, 1 << 1, &way)) return HONE_UNSUPPORTED;
  for (uint32_t i = 0; i < t->n_in; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = HN_LAYOUT_PLAIN;
  hone_status st = create(t, &p, &way, &pd, &stored) ? HONE_OK : HONE_UNSUPPORTED;
  hn_int8 *s = st ? NULL : hn_calloc(1, sizeof *s);
  t->state = s;
  if (!st && !s) st = hn_nomem(t->cx);
  if (!st) st = hn_int8_finish(t, s, pd, &way, &stored, p.bias);
  if (!st && p.bias) t->in[2].unused = true;
  if (pd) dnnl_primitive_desc_destroy(pd);
  dnnl_primitive_attr_destroy(way.attr);
  if (!st) return HONE_OK;
  hn_int8_destroy(t);
  hn_task_unpack(t);
  return st;
}

hone_status matmul_int8_onednn_plan(hn_task *t) {
  HN_TRY(hn_dnnl_open(t));
  hone_status st = attempt(t, 0);
  return st == HONE_UNSUPPORTED ? attempt(t, 1) : st;
}

hone_status matmul_int8_onednn_run(hn_exec *x) { return hn_int8_run(x); }
void matmul_int8_onednn_destroy(hn_task *t) { hn_int8_destroy(t); }
