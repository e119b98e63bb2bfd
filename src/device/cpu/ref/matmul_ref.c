/* matmul_ref.c - matrix products, summed in double. */
#include "device/cpu/cpu.h"

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

hone_status hk_matmul_ref(hn_exec *x) {
  const hn_view *a = &x->in[0], *b = &x->in[1];
  if (!hn_is_float(a->dtype)) return hn_xbad_dtype(x, a->dtype);
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
  HN_TRY(hn_xout(x, 0, a->dtype, rank, dims));
  for (int64_t q = 0; q < batches; q++) {
    int64_t oa = batch_offset(a, dims, nd, q), ob = batch_offset(b, dims, nd, q);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t l = 0; l < k; l++) sum += at(a, oa + i * k + l) * at(b, ob + l * n + j);
        hn_store_f64(a->dtype, x->out[0].data, (size_t)((q * m + i) * n + j), sum);
      }
  }
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
