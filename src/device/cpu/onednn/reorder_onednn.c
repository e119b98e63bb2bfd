/* reorder_onednn.c - changes of layout. */
#include "device/cpu/onednn/dnnl_util.h"

typedef struct reorder_state {
  dnnl_primitive_t primitive;
  dnnl_memory_t from, to;
} reorder_state;

static void reorder_destroy(hn_task *t) {
  reorder_state *s = t->state;
  if (!s) return;
  if (s->primitive) dnnl_primitive_destroy(s->primitive);
  if (s->from) dnnl_memory_destroy(s->from);
  if (s->to) dnnl_memory_destroy(s->to);
  hn_free(s);
  t->state = NULL;
}

static hone_status reorder_plan(hn_task *t) {
  hn_dnnl *d = t->device;
  dnnl_memory_desc_t from, to;
  dnnl_primitive_desc_t pd = NULL;
  if (!d || !hn_dnnl_desc(t->in[0].dtype, t->in[0].rank, t->in[0].dims, t->in[0].layout, &from) ||
      !hn_dnnl_desc(t->out[0].dtype, t->out[0].rank, t->out[0].dims, t->out[0].layout, &to))
    return hn_fail(t->cx, HONE_UNSUPPORTED, "no conversion of a %s tensor from %s to %s", hone_dtype_name(t->in[0].dtype),
                   hn_layout_name(t->in[0].layout), hn_layout_name(t->out[0].layout));
  reorder_state *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  bool ok = dnnl_reorder_primitive_desc_create(&pd, &from, d->engine, &to, d->engine, NULL) == dnnl_success &&
            dnnl_primitive_create(&s->primitive, pd) == dnnl_success &&
            dnnl_memory_create(&s->from, &from, d->engine, DNNL_MEMORY_NONE) == dnnl_success &&
            dnnl_memory_create(&s->to, &to, d->engine, DNNL_MEMORY_NONE) == dnnl_success;
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (ok) return HONE_OK;
  reorder_destroy(t);
  return hn_fail(t->cx, HONE_UNSUPPORTED, "oneDNN has no conversion from %s to %s", hn_layout_name(t->in[0].layout),
                 hn_layout_name(t->out[0].layout));
}

static hone_status reorder_run(hn_exec *x) {
  const reorder_state *s = x->task->state;
  const hn_dnnl *d = x->task->device;
  dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, s->from}, {DNNL_ARG_TO, s->to}};
  if (dnnl_memory_set_data_handle(s->from, x->in[0].data) != dnnl_success ||
      dnnl_memory_set_data_handle(s->to, x->out[0].data) != dnnl_success ||
      dnnl_primitive_execute(s->primitive, d->stream, 2, args) != dnnl_success || dnnl_stream_wait(d->stream) != dnnl_success)
    return hn_fail(x->cx, HONE_DEVICE, "oneDNN failed to change a layout");
  return HONE_OK;
}

const hn_kernel hn_reorder_kernel = {.name = "reorder_onednn", .op = HN_Identity, .plan = reorder_plan,
                                     .run = reorder_run, .destroy = reorder_destroy};
