/* reorder_onednn.c - changes of layout from and to blocks of channels. */
#include "device/cpu/onednn/dnnl_util.h"

static hone_status no_conversion(hn_task *t) {
  return hn_fail(t->cx, HONE_UNSUPPORTED, "no conversion of a %s tensor from %s to %s", hone_dtype_name(t->in[0].dtype),
                 hn_layout_name(t->in[0].layout), hn_layout_name(t->out[0].layout));
}

static hone_status reorder_plan(hn_task *t) {
  if (!t->device || hn_dnnl_open(t)) return no_conversion(t);
  const hn_cpu *cpu = t->device;
  dnnl_memory_desc_t from, to;
  dnnl_primitive_desc_t pd = NULL;
  hn_take_pitch(&t->in[0]);
  hn_take_pitch(&t->out[0]);
  if (!hn_dnnl_arg_desc(&t->in[0], &from) || !hn_dnnl_arg_desc(&t->out[0], &to)) return no_conversion(t);
  hn_dnnl_run *r = hn_calloc(1, sizeof *r);
  if (!r) return hn_nomem(t->cx);
  t->state = r;
  hone_status st = dnnl_reorder_primitive_desc_create(&pd, &from, cpu->engine, &to, cpu->engine, NULL) == dnnl_success &&
                           dnnl_primitive_create(&r->primitive, pd) == dnnl_success
                       ? HONE_OK
                       : HONE_UNSUPPORTED;
  if (!st) st = hn_dnnl_bind(t, r, DNNL_ARG_FROM, &from, 0, NULL);
  if (!st) st = hn_dnnl_bind(t, r, DNNL_ARG_TO, &to, HN_DNNL_OUTPUT, NULL);
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (!st) return HONE_OK;
  hn_dnnl_state_destroy(t);
  return no_conversion(t);
}

const hn_kernel hn_reorder_onednn_kernel = {.name = "reorder_onednn", .op = HN_Identity, .plan = reorder_plan,
                                     .run = hn_dnnl_state_run, .destroy = hn_dnnl_state_destroy};
