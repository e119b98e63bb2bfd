/* epilogue_ref.c - the steps of an epilogue, one after the other over the whole output, in double. */
#include "device/cpu/cpu.h"
#include "op/scalar.h"

/* Index into an operand that is broadcast to the output, for each output element in turn. */
typedef struct walker {
  int32_t rank;
  int64_t at[HN_MAX_RANK], dims[HN_MAX_RANK], stride[HN_MAX_RANK], index;
} walker;

static bool walker_begin(walker *w, const hn_view *out, const hn_view *operand) {
  *w = (walker){.rank = out->rank};
  int64_t stride = 1;
  if (operand->rank > out->rank) return false;
  for (int32_t i = out->rank - 1; i >= 0; i--) {
    int32_t k = i - (out->rank - operand->rank);
    int64_t d = k < 0 ? 1 : operand->dims[k];
    w->dims[i] = out->dims[i];
    if (d != 1 && d != out->dims[i]) return false;
    w->stride[i] = d == 1 ? 0 : stride;
    stride *= d;
  }
  return true;
}

static void walker_next(walker *w) {
  for (int32_t i = w->rank - 1; i >= 0; i--) {
    w->index += w->stride[i];
    if (++w->at[i] < w->dims[i]) return;
    w->index -= w->stride[i] * w->dims[i];
    w->at[i] = 0;
  }
}

hone_status hn_apply_epilogue_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  hn_view *out = &x->out[0];
  for (uint32_t i = 0; i < n->n_post; i++) {
    const hn_step *s = &n->post[i];
    if (s->operand == HN_NONE) {
      for (size_t k = 0; k < (size_t)out->count; k++)
        hn_store_f64(out->dtype, out->data, k,
                     hn_scalar_unary(s->op, hn_load_f64(out->dtype, out->data, k), (double)s->alpha, (double)s->beta));
      continue;
    }
    const hn_view *operand = &x->in[s->operand];
    walker w;
    if (!walker_begin(&w, out, operand))
      return hn_xfail(x, HONE_BAD_GRAPH, "epilogue %s: the operand does not broadcast to the output", hn_op_name(s->op));
    for (size_t k = 0; k < (size_t)out->count; k++, walker_next(&w)) {
      double a = hn_load_f64(out->dtype, out->data, k), b = hn_load_f64(operand->dtype, operand->data, (size_t)w.index);
      hn_store_f64(out->dtype, out->data, k, s->swapped ? hn_scalar_binary(s->op, b, a) : hn_scalar_binary(s->op, a, b));
    }
  }
  return HONE_OK;
}
