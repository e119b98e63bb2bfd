/* epilogue_ref.c - the steps of an epilogue, one after the other over the whole output, in double. */
#include "device/cpu/cpu.h"
#include "device/cpu/ref/broadcast.h"
#include "op/scalar.h"

static void apply_unary(const hn_step *s, hn_view *out) {
  hn_unary_run run = hn_scalar_unary_run(s->op);
  double v[HN_RUN];
  HN_CHUNKS(out->count, c, m) {
    hn_read_f64(out->dtype, out->data, c, 1, m, v);
    run(v, (size_t)m, (double)s->alpha, (double)s->beta);
    hn_write_f64(out->dtype, out->data, c, 1, m, v);
  }
}

/* false: the operand does not broadcast to the output */
static bool apply_binary(const hn_step *s, hn_view *out, const hn_view *operand) {
  hn_binary_run run = hn_scalar_binary_run(s->op);
  double a[HN_RUN], b[HN_RUN];
  hn_walk w;
  hn_walk_begin(&w, out->rank, out->dims);
  hn_walk_dense(&w);
  if (!hn_walk_view(&w, operand->rank, operand->dims)) return false;
  for (bool more = hn_walk_first(&w); more; more = hn_walk_next(&w))
    HN_CHUNKS(w.run, c, m) {
      int64_t at = w.at[0] + c * w.step[0];
      hn_read_f64(out->dtype, out->data, at, w.step[0], m, a);
      hn_read_f64(operand->dtype, operand->data, w.at[1] + c * w.step[1], w.step[1], m, b);
      if (s->swapped) run(b, a, (size_t)m, 0);
      else run(a, b, (size_t)m, 0);
      hn_write_f64(out->dtype, out->data, at, w.step[0], m, s->swapped ? b : a);
    }
  return true;
}

hone_status hn_apply_epilogue_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  for (uint32_t i = 0; i < n->n_post; i++) {
    const hn_step *s = &n->post[i];
    if (s->operand == HN_NONE ? !hn_scalar_unary_run(s->op) : !hn_scalar_binary_run(s->op))
      return hn_xfail(x, HONE_UNSUPPORTED, "epilogue %s has no arithmetic", hn_op_name(s->op));
    if (s->operand == HN_NONE) apply_unary(s, &x->out[0]);
    else if (!apply_binary(s, &x->out[0], &x->in[s->operand]))
      return hn_xfail(x, HONE_BAD_GRAPH, "epilogue %s: the operand does not broadcast to the output", hn_op_name(s->op));
  }
  return HONE_OK;
}
