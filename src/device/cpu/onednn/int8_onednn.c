#include "device/cpu/onednn/int8_onednn.h"

#include <string.h>

/* Without VNNI, oneDNN adds pairs of products in 16 bits, which saturate. */
static bool exact_sums(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw");
#else
  return false;
#endif
}

bool hn_int8_applies(const hn_task *t) { return exact_sums() && hn_int8_product(t); }

static int64_t channels(const hn_task *t) { return t->in[1].quant->scales ? t->in[1].quant->scales->count : 1; }

static bool set_scales(const hn_task *t, dnnl_primitive_attr_t a, int mask, float by) {
  int64_t n = channels(t);
  float *s = hn_calloc((size_t)n, sizeof *s);
  for (int64_t i = 0; s && i < n; i++) s[i] = hn_int8_unit(t, i) / by;
  bool ok = s && dnnl_primitive_attr_set_output_scales(a, n, n > 1 ? mask : 0, s) == dnnl_success;
  hn_free(s);
  return ok;
}

/* A sum with a tensor that the output may overwrite. */
static bool is_sum(const hn_task *t, const hn_step *s) {
  const hn_arg *a = s->operand == HN_NONE ? NULL : &t->in[s->operand], *o = &t->out[0];
  return a && s->op == HN_Add && a->may_overwrite && hn_same_dims(a, o) && (o->quant ? hn_is_8bit(a->dtype) && a->quant != NULL : a->dtype == o->dtype);
}

/* Does writing the output limit it as the step would? */
static bool saturates(const hn_step *s, const hn_arg *out) {
  if (!out->quant || s->operand != HN_NONE) return false;
  float first = out->dtype == HONE_DTYPE_I8 ? -128 : 0;
  float low = (first - (float)out->quant->zero) * out->quant->scale, high = (first + 255 - (float)out->quant->zero) * out->quant->scale;
  return (s->op == HN_Relu && low >= 0) || (s->op == HN_Clip && s->alpha <= low && s->beta >= high);
}

/* The steps of the epilogue that oneDNN does; t->fused counts them. `unit_out` is what 1 stands for meanwhile: the output's
   scale where every step works with any, so that no division is left for the end. */
static bool append_steps(hn_task *t, dnnl_post_ops_t ops, float unit_out, uint32_t *residual) {
  const hn_node *n = t->node;
  *residual = HN_NONE;
  for (t->fused = 0; t->fused < n->n_post; t->fused++) {
    const hn_step *s = &n->post[t->fused];
    dnnl_alg_kind_t kind;
    float alpha, beta;
    if (t->fused + 1 == n->n_post && saturates(s, &t->out[0])) continue;
    if (s->operand == HN_NONE) {
      bool swish = s->op == HN_Swish;
      if (!swish && !hn_dnnl_unary(s, &kind, &alpha, &beta)) return true;
      if (swish) kind = dnnl_eltwise_swish, alpha = s->alpha, beta = 0;
      if (s->op == HN_Clip) alpha /= unit_out, beta /= unit_out;
      if (dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, beta) != dnnl_success) return false;
      continue;
    }
    if (*residual != HN_NONE || !is_sum(t, s)) return true;
    const hn_arg *a = &t->in[s->operand];
    float scale = a->quant ? a->quant->scale / unit_out : 1;
    int32_t zero = a->quant ? a->quant->zero : 0;
    *residual = s->operand;
    if (dnnl_post_ops_append_sum_v3(ops, scale, zero, a->quant ? hn_dnnl_type(a->dtype) : dnnl_data_type_undef) != dnnl_success) return false;
  }
  return true;
}

/* Do the steps commute with a positive factor, bounds scaled along? */
static bool scale_free(const hn_node *n) {
  for (uint32_t i = 0; i < n->n_post; i++)
    if (n->post[i].op != HN_Relu && n->post[i].op != HN_LeakyRelu && n->post[i].op != HN_Clip && n->post[i].op != HN_Add) return false;
  return true;
}

/* Way 0: the output as it is wanted. Way 1: reals into scratch, all steps in a chain. */
bool hn_int8_try(hn_task *t, int k, int mask, hn_int8_way *way) {
  const hn_quant *q = t->out[0].quant;
  const hn_node *n = t->node;
  dnnl_post_ops_t ops = NULL;
  int32_t zero = t->in[0].quant->zero;
  *way = (hn_int8_way){.residual = HN_NONE};
  t->fused = 0;
  if (k > 1 || (k == 1 && !q)) return false;
  bool whole = k == 0 && q, free_of_scale = whole && scale_free(n);
  bool ok = dnnl_primitive_attr_create(&way->attr) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success &&
            dnnl_primitive_attr_set_scratchpad_mode(way->attr, dnnl_scratchpad_mode_user) == dnnl_success &&
            set_scales(t, way->attr, mask, free_of_scale ? q->scale : 1) &&
            (!zero || dnnl_primitive_attr_set_zero_points(way->attr, DNNL_ARG_SRC, 1, 0, &zero) == dnnl_success);
  if (ok && k == 0) ok = append_steps(t, ops, free_of_scale ? q->scale : 1, &way->residual);
  if (ok && whole && t->fused < n->n_post) ok = false;
  if (ok && whole && (!free_of_scale || q->zero))
    ok = dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_linear, free_of_scale ? 1 : 1 / q->scale, (float)q->zero) == dnnl_success;
  ok = ok && dnnl_primitive_attr_set_post_ops(way->attr, ops) == dnnl_success;
  if (ops) dnnl_post_ops_destroy(ops);
  way->dst = whole ? hn_dnnl_type(t->out[0].dtype) : dnnl_f32;
  if (ok) return true;
  if (way->attr) dnnl_primitive_attr_destroy(way->attr);
  way->attr = NULL;
  return k == 0 && hn_int8_try(t, 1, mask, way);
}

/* The bias in units of the accumulators, to which oneDNN adds it. */
static hone_status bind_bias(hn_task *t, hn_int8 *s, const dnnl_memory_desc_t *md, const hn_tensor *bias) {
  void *data;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof(float) * (size_t)bias->count, 0, &data, &fill));
  for (int64_t i = 0; fill && i < bias->count; i++)
    ((float *)data)[i] = (float)(hn_tensor_f(bias, (size_t)i) / (double)hn_int8_unit(t, channels(t) > 1 ? i : 0));
  return hn_dnnl_bind(t, &s->run, DNNL_ARG_BIAS, md, HN_DNNL_FIXED, data);
}

hone_status hn_int8_finish(hn_task *t, hn_int8 *s, const_dnnl_primitive_desc_t pd, const hn_int8_way *way, const dnnl_memory_desc_t *stored,
                           const hn_tensor *bias) {
  HN_TRY(hn_dnnl_bind(t, &s->run, DNNL_ARG_SRC, dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0), 0, NULL));
  HN_TRY(hn_dnnl_bind(t, &s->run, DNNL_ARG_DST, dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), HN_DNNL_OUTPUT, NULL));
  HN_TRY(hn_dnnl_pack(t, &s->run, DNNL_ARG_WEIGHTS, t->in[1].constant, stored, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0)));
  t->in[1].unused = true;
  if (bias) HN_TRY(bind_bias(t, s, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1), bias));
  HN_TRY(hn_dnnl_create(t, &s->run, pd));
  if (t->out[0].quant && way->dst == dnnl_f32) HN_TRY(hn_int8_tail_plan(t, &s->tail));
  t->scratch += s->tail.bytes;
  hn_dnnl_take_residual(t, way->residual);
  return HONE_OK;
}

hone_status hn_int8_run(hn_exec *x) {
  const hn_int8 *s = x->task->state;
  if (!s->tail.chain) return hn_dnnl_execute(&s->run, x);
  hn_exec y = *x;
  hn_view reals = x->out[0];
  reals.dtype = HONE_DTYPE_F32;
  reals.data = x->scratch;
  y.out = &reals;
  y.scratch = (unsigned char *)x->scratch + s->tail.bytes;
  HN_TRY(hn_dnnl_execute(&s->run, &y));
  hn_int8_tail_run(&s->tail, x, x->scratch);
  return HONE_OK;
}

void hn_int8_destroy(hn_task *t) {
  hn_int8 *s = t->state;
  if (!s) return;
  hn_dnnl_destroy(&s->run);
  hn_int8_tail_free(&s->tail);
  hn_free(s);
  t->state = NULL;
}
