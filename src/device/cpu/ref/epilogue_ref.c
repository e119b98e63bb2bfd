/* epilogue_ref.c - the steps of an epilogue, one after the other over the whole output, in double. */
#include "device/cpu/cpu.h"
#include "device/cpu/ref/broadcast.h"
#include "op/scalar.h"

static hone_status unary_step(hn_exec *x, const hn_step *s) {
  hn_view *out = &x->out[0];
  hn_unary_run run = hn_scalar_unary_run(s->op);
  if (!run) return hn_xfail(x, HONE_UNSUPPORTED, "epilogue step %s is not element-wise", hn_op_name(s->op));
  double v[HN_RUN];
  HN_CHUNKS(out->count, at, m) {
    hn_read_f64(out->dtype, out->data, at, 1, m, v);
    run(v, (size_t)m, (double)s->alpha, (double)s->beta);
    hn_write_f64(out->dtype, out->data, at, 1, m, v);
  }
  return HONE_OK;
}

static hone_status binary_step(hn_exec *x, const hn_step *s) {
  hn_view *out = &x->out[0];
  const hn_view *operand = &x->in[s->operand];
  hn_binary_run run = hn_scalar_binary_run(s->op);
  if (!run) return hn_xfail(x, HONE_UNSUPPORTED, "epilogue step %s is not element-wise", hn_op_name(s->op));
  hn_walk w;
  hn_walk_begin(&w, out->rank, out->dims);
  hn_walk_dense(&w);
  if (!hn_walk_view(&w, operand->rank, operand->dims))
    return hn_xfail(x, HONE_BAD_GRAPH, "epilogue %s: the operand does not broadcast to the output", hn_op_name(s->op));
  double v[2][HN_RUN];
  double *left = v[s->swapped], *right = v[!s->swapped];
  for (bool more = hn_walk_first(&w); more; more = hn_walk_next(&w)) HN_CHUNKS(w.run, c, m) {
      hn_read_f64(out->dtype, out->data, w.at[0] + c * w.step[0], w.step[0], m, v[0]);
      hn_read_f64(operand->dtype, operand->data, w.at[1] + c * w.step[1], w.step[1], m, v[1]);
      run(left, right, (size_t)m, 0);
      hn_write_f64(out->dtype, out->data, w.at[0] + c * w.step[0], w.step[0], m, left);
    }
  return HONE_OK;
}

hone_status hn_apply_epilogue_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  if (n->n_post && !hn_is_float(x->out[0].dtype)) return hn_xbad_dtype(x, x->out[0].dtype);
  for (uint32_t i = 0; i < n->n_post; i++) {
    const hn_step *s = &n->post[i];
    HN_TRY(s->operand == HN_NONE ? unary_step(x, s) : binary_step(x, s));
  }
  return HONE_OK;
}
