/* matmul_ref.c - matrix products, summed in double. */
#include <math.h>

#include "device/cpu/ref/quantized.h"

static double at(const hn_view *v, int64_t i) { return hn_load_f64(v->dtype, v->data, (size_t)i); }

/* Offset of the matrix of batch index b of the output in an operand whose batch dimensions are broadcast. */
static int64_t batch_offset(const hn_view *v, const int64_t *batch, int32_t n_batch, int64_t b) {
  int64_t offset = 0, matrix = 1, stride = 1;
  int32_t own = v->rank > 2 ? v->rank - 2 : 0;
  for (int32_t i = own; i < v->rank; i++) matrix *= v->dims[i];
  for (int32_t i = n_batch - 1; i >= 0; i--) {
    int32_t k = i - (n_batch - own);
    int64_t index = b % batch[i];
    b /= batch[i];
    if (k < 0) continue;
    offset += (v->dims[k] == 1 ? 0 : index) * stride;
    stride *= v->dims[k];
  }
  return offset * matrix;
}

/* What distinguishes MatMul from its integer relatives: what is taken off the operands (by row of a, by column of b)
   and what is done with a sum. */
typedef struct product {
  const hn_view *a, *b;
  const hn_quantized *qa, *qb, *qc; /* NULL: nothing to take off, the sum as it is */
  bool all_rows;                    /* qa has numbers for the rows of all matrices, else for those of one */
  hn_dtype out;
} product;

static hone_status multiply(hn_exec *x, const product *p) {
  const hn_view *a = p->a, *b = p->b;
  if (a->rank < 1 || b->rank < 1) return hn_xfail(x, HONE_BAD_GRAPH, "an input is a scalar");
  int64_t m = a->rank > 1 ? a->dims[a->rank - 2] : 1, k = a->dims[a->rank - 1], n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
  if (b->dims[b->rank > 1 ? b->rank - 2 : 0] != k) return hn_xfail(x, HONE_BAD_GRAPH, "the inner dimensions differ");
  int32_t na = a->rank > 2 ? a->rank - 2 : 0, nb = b->rank > 2 ? b->rank - 2 : 0, nd = na > nb ? na : nb, rank = nd;
  int64_t dims[HN_MAX_RANK], batches = 1;
  for (int32_t i = 0; i < nd; i++) {
    int64_t da = i < nd - na ? 1 : a->dims[i - (nd - na)], db = i < nd - nb ? 1 : b->dims[i - (nd - nb)];
    if (da != db && da != 1 && db != 1) return hn_xfail(x, HONE_BAD_GRAPH, "the batch dimensions do not broadcast");
    batches *= dims[i] = da == 1 ? db : da;
  }
  if (a->rank > 1) dims[rank++] = m;
  if (b->rank > 1) dims[rank++] = n;
  HN_TRY(hn_xout(x, 0, p->out, rank, dims));
  for (int64_t q = 0; q < batches; q++) {
    int64_t oa = batch_offset(a, dims, nd, q), ob = batch_offset(b, dims, nd, q);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0, za = p->qa ? hn_zero_of(p->qa, p->all_rows ? oa / k + i : i) : 0, zb = p->qb ? hn_zero_of(p->qb, j) : 0;
        for (int64_t l = 0; l < k; l++) sum += (at(a, oa + i * k + l) - za) * (at(b, ob + l * n + j) - zb);
        if (p->qc) sum = hn_requantize(p->qc, sum * hn_scale_of(p->qa, i) * hn_scale_of(p->qb, j), 0);
        hn_store_f64(p->out, x->out[0].data, (size_t)((q * m + i) * n + j), sum);
      }
  }
  return HONE_OK;
}

hone_status hk_matmul_ref(hn_exec *x) {
  if (!hn_is_float(x->in[0].dtype)) return hn_xbad_dtype(x, x->in[0].dtype);
  return multiply(x, &(product){.a = &x->in[0], .b = &x->in[1], .out = x->in[0].dtype});
}

static int64_t rows_of(const hn_view *v) { return v->rank > 1 ? v->dims[v->rank - 2] : 1; }
static int64_t columns_of(const hn_view *v) { return v->rank > 1 ? v->dims[v->rank - 1] : 1; }

hone_status hk_matmul_integer_ref(hn_exec *x) {
  hn_quantized a, b;
  const hn_view *v = &x->in[0];
  int64_t rows = rows_of(v), all = v->rank && v->dims[v->rank - 1] ? v->count / v->dims[v->rank - 1] : 0;
  bool each = all && hn_xnode(x)->n_main > 2 && hn_xhas(x, 2) && x->in[2].rank > 1 && x->in[2].count == all;
  HN_TRY(hn_open_quantized(x, 0, HN_NONE, 2, each ? all : rows, &a));
  HN_TRY(hn_open_quantized(x, 1, HN_NONE, 3, columns_of(&x->in[1]), &b));
  return multiply(x, &(product){.a = a.v, .b = b.v, .qa = &a, .qb = &b, .all_rows = each, .out = HONE_DTYPE_I32});
}

hone_status hk_qlinear_matmul_ref(hn_exec *x) {
  hn_quantized a, b, c;
  HN_TRY(hn_open_quantized(x, 0, 1, 2, rows_of(&x->in[0]), &a));
  HN_TRY(hn_open_quantized(x, 3, 4, 5, columns_of(&x->in[3]), &b));
  HN_TRY(hn_open_quantized(x, HN_NONE, 6, 7, 1, &c));
  return multiply(x, &(product){.a = a.v, .b = b.v, .qa = &a, .qb = &b, .qc = &c, .out = c.dtype});
}

/* Gaussian elimination with the largest pivot. m: k x k, destroyed. */
static double determinant(double *m, int64_t k) {
  double det = 1;
  for (int64_t c = 0; c < k; c++) {
    int64_t p = c;
    for (int64_t r = c + 1; r < k; r++)
      if (fabs(m[r * k + c]) > fabs(m[p * k + c])) p = r;
    if (m[p * k + c] == 0) return 0;
    for (int64_t j = 0; j < k && p != c; j++) {
      double t = m[p * k + j];
      m[p * k + j] = m[c * k + j];
      m[c * k + j] = t;
    }
    det *= p == c ? m[c * k + c] : -m[c * k + c];
    for (int64_t r = c + 1; r < k; r++) {
      double f = m[r * k + c] / m[c * k + c];
      for (int64_t j = c; j < k; j++) m[r * k + j] -= f * m[c * k + j];
    }
  }
  return det;
}

hone_status hk_det_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (in->rank < 2 || in->dims[in->rank - 1] != in->dims[in->rank - 2]) return hn_xfail(x, HONE_BAD_GRAPH, "its matrices are not square");
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank - 2, in->dims));
  int64_t k = in->dims[in->rank - 1];
  double *m = hn_calloc((size_t)(k * k) + 1, sizeof *m);
  if (!m) return hn_nomem(x->cx);
  for (int64_t i = 0; i < x->out[0].count; i++) {
    for (int64_t j = 0; j < k * k; j++) m[j] = at(in, i * k * k + j);
    hn_store_f64(in->dtype, x->out[0].data, (size_t)i, determinant(m, k));
  }
  hn_free(m);
  return HONE_OK;
}

hone_status hk_gemm_ref(hn_exec *x) {
  const hn_node *node = hn_xnode(x);
  const hn_view *a = &x->in[0], *b = &x->in[1], *c = node->n_main > 2 && hn_xhas(x, 2) ? &x->in[2] : NULL;
  bool ta = hn_attr_i(node, "transA", 0) != 0, tb = hn_attr_i(node, "transB", 0) != 0;
  double alpha = hn_attr_f(node, "alpha", 1), beta = hn_attr_f(node, "beta", 1);
  if (!hn_is_float(a->dtype)) return hn_xbad_dtype(x, a->dtype);
  int64_t m = a->dims[ta], k = a->dims[!ta], n = b->dims[!tb];
  if (a->rank != 2 || b->rank != 2 || b->dims[tb] != k) return hn_xfail(x, HONE_BAD_GRAPH, "the matrices do not fit");
  int64_t rows = c && c->rank > 1 ? c->dims[c->rank - 2] : 1, cols = c && c->rank ? c->dims[c->rank - 1] : 1;
  if (c && ((rows != 1 && rows != m) || (cols != 1 && cols != n) || c->rank > 2))
    return hn_xfail(x, HONE_BAD_GRAPH, "C does not broadcast to the result");
  HN_TRY(hn_xout(x, 0, a->dtype, 2, (int64_t[]){m, n}));
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t l = 0; l < k; l++) sum += at(a, ta ? l * m + i : i * k + l) * at(b, tb ? j * k + l : l * n + j);
      sum = alpha * sum + (c ? beta * at(c, (rows > 1 ? i : 0) * cols + (cols > 1 ? j : 0)) : 0);
      hn_store_f64(a->dtype, x->out[0].data, (size_t)(i * n + j), sum);
    }
  return HONE_OK;
}
