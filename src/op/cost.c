/* cost.c - what a node computes and a value holds, in numbers. */
#include "op/infer.h"

static uint64_t product(const hn_shape *s, int32_t from, int32_t to, bool *symbolic) {
  uint64_t r = 1;
  for (int32_t i = from; i < to; i++) {
    if (hn_dim_fixed(s->d[i])) r *= (uint64_t)s->d[i];
    else *symbolic = true;
  }
  return r;
}

uint64_t hn_shape_elements(const hn_shape *s, bool *symbolic) { return s->rank < 0 ? 0 : product(s, 0, s->rank, symbolic); }

static uint64_t of_convolution(const hn_shape *x, const hn_shape *w, const hn_shape *y, bool transposed, bool *symbolic) {
  if (x->rank < 3 || w->rank != x->rank || y->rank != x->rank) return 0;
  /* each output (transposed: each input) element meets one filter */
  const hn_shape *each = transposed ? x : y;
  return product(each, 0, each->rank, symbolic) * product(w, 1, w->rank, symbolic);
}

uint64_t hn_node_macs(const hn_graph *g, const hn_node *n, bool *symbolic) {
  hn_shape none = hn_shape_unknown(), a = none, b = none, y = none;
  if (hn_in(n, 0) != HN_NONE) a = hn_value_at(g, n->in[0])->shape;
  if (hn_in(n, 1) != HN_NONE) b = hn_value_at(g, n->in[1])->shape;
  if (hn_out(n, 0) != HN_NONE) y = hn_value_at(g, n->out[0])->shape;
  switch (n->op) {
    case HN_Conv:
    case HN_DeformConv:
    case HN_ConvInteger: return of_convolution(&a, &b, &y, false, symbolic);
    case HN_ConvTranspose: return of_convolution(&a, &b, &y, true, symbolic);
    case HN_QLinearConv: {
      hn_shape w = hn_in(n, 3) == HN_NONE ? none : hn_value_at(g, n->in[3])->shape;
      return of_convolution(&a, &w, &y, false, symbolic);
    }
    case HN_MatMul:
    case HN_MatMulInteger:
    case HN_QLinearMatMul:
      return a.rank > 0 && y.rank >= 0 ? product(&y, 0, y.rank, symbolic) * product(&a, a.rank - 1, a.rank, symbolic) : 0;
    case HN_Gemm: {
      int32_t k = hn_attr_i(n, "transA", 0) ? 0 : 1;
      return a.rank == 2 && y.rank == 2 ? product(&y, 0, 2, symbolic) * product(&a, k, k + 1, symbolic) : 0;
    }
    case HN_RNN:
    case HN_GRU:
    case HN_LSTM: { /* weights W and R are met once a time step and sequence */
      hn_shape r = hn_in(n, 2) == HN_NONE ? none : hn_value_at(g, n->in[2])->shape;
      if (a.rank != 3 || b.rank != 3 || r.rank != 3) return 0;
      return product(&a, 0, 2, symbolic) * (product(&b, 0, 3, symbolic) + product(&r, 0, 3, symbolic));
    }
    case HN_Attention: { /* Q K^T and the product with V */
      if (a.rank != b.rank || (a.rank != 3 && a.rank != 4)) return 0;
      return 2 * product(&a, 0, a.rank, symbolic) * product(&b, b.rank - 2, b.rank - 1, symbolic);
    }
    default: return 0;
  }
}

/* Each box that is kept is compared with the others of its class: about 12 operations, as often as may be kept. */
static uint64_t of_suppression(const hn_graph *g, const hn_node *n, bool *symbolic) {
  const hn_tensor *most = hn_const(g, hn_in(n, 2));
  hn_shape boxes = hn_value_at(g, n->in[0])->shape, scores = hn_value_at(g, n->in[1])->shape;
  if (boxes.rank != 3 || scores.rank != 3) return 0;
  uint64_t count = product(&boxes, 1, 2, symbolic);
  int64_t kept = most && most->dtype == HONE_DTYPE_I64 && most->count == 1 ? *(const int64_t *)most->data : (int64_t)count;
  if (kept < 0 || (uint64_t)kept > count) kept = (int64_t)count;
  return 12 * product(&scores, 0, 3, symbolic) * (uint64_t)kept;
}

uint64_t hn_node_flops(const hn_graph *g, const hn_node *n, bool *symbolic) {
  hn_shape none = hn_shape_unknown(), x = none, y = none;
  if (hn_in(n, 0) != HN_NONE) x = hn_value_at(g, n->in[0])->shape;
  if (hn_out(n, 0) != HN_NONE) y = hn_value_at(g, n->out[0])->shape;
  uint64_t out = hn_shape_elements(&y, symbolic), in = hn_shape_elements(&x, symbolic);
  uint64_t sum = 2 * hn_node_macs(g, n, symbolic) + out * n->n_post;
  uint32_t flags = hn_op_info(n->op)->flags;
  if (n->op == HN_NonMaxSuppression) return of_suppression(g, n, symbolic);
  const int64_t *window;
  if (flags & HN_OP_REDUCE || n->op == HN_GlobalAveragePool || n->op == HN_GlobalMaxPool) return sum + in;
  if (flags & (HN_OP_UNARY | HN_OP_BINARY | HN_OP_VARIADIC)) return sum + out;
  if (n->op == HN_MaxPool || n->op == HN_AveragePool) {
    uint64_t each = 1;
    for (uint32_t k = 0, dims = hn_attr_ints(n, "kernel_shape", &window); k < dims; k++) each *= (uint64_t)window[k];
    return sum + out * each;
  }
  return sum;
}

/* The type in which a value comes: that of the integers where a DequantizeLinear says what they mean. */
static hn_dtype comes_as(const hn_graph *g, const hn_node *n, uint32_t i) {
  if (hn_in(n, i) == HN_NONE) return HONE_DTYPE_UNDEFINED;
  const hn_value *v = hn_value_at(g, n->in[i]);
  const hn_node *by = v->producer == HN_NONE ? NULL : hn_node_at(g, v->producer);
  return by && by->op == HN_DequantizeLinear && hn_in(by, 0) != HN_NONE ? hn_value_at(g, by->in[0])->dtype : v->dtype;
}

hone_arithmetic hn_node_arithmetic(const hn_graph *g, const hn_node *n) {
  bool symbolic = false;
  uint32_t second = n->op == HN_QLinearConv || n->op == HN_QLinearMatMul ? 3 : 1;
  if (!hn_node_macs(g, n, &symbolic)) return HONE_ARITHMETIC_F32;
  hn_dtype a = comes_as(g, n, 0), b = comes_as(g, n, second);
  return hn_is_8bit(a) && hn_is_8bit(b) ? HONE_ARITHMETIC_INT8 : a == HONE_DTYPE_BF16 && b == a ? HONE_ARITHMETIC_BF16 : HONE_ARITHMETIC_F32;
}

const char *hone_arithmetic_name(hone_arithmetic a) {
  static const char *const names[HONE_ARITHMETICS] = {"f32", "bf16", "int8"};
  return (unsigned)a < HONE_ARITHMETICS ? names[a] : "?";
}
