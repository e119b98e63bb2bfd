#include "device/cpu/onednn/dnnl_util.h"

#include <string.h>

dnnl_data_type_t hn_dnnl_type(hn_dtype t) {
  switch (t) {
    case HONE_DTYPE_F32: return dnnl_f32;
    case HONE_DTYPE_BF16: return dnnl_bf16;
    case HONE_DTYPE_F16: return dnnl_f16;
    case HONE_DTYPE_I32: return dnnl_s32;
    case HONE_DTYPE_I8: return dnnl_s8;
    case HONE_DTYPE_U8: return dnnl_u8;
    default: return dnnl_data_type_undef;
  }
}

bool hn_dnnl_desc(hn_dtype t, int32_t rank, const int64_t *dims, hn_layout layout, dnnl_memory_desc_t *md) {
  static const dnnl_format_tag_t tags[HN_LAYOUT_COUNT][6] = {
      [HN_LAYOUT_PLAIN] = {dnnl_a, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde},
      [HN_LAYOUT_NHWC] = {0, 0, 0, dnnl_nwc, dnnl_nhwc, dnnl_ndhwc},
      [HN_LAYOUT_C8] = {0, 0, 0, dnnl_nCw8c, dnnl_nChw8c, dnnl_nCdhw8c},
      [HN_LAYOUT_C16] = {0, 0, 0, dnnl_nCw16c, dnnl_nChw16c, dnnl_nCdhw16c},
  };
  static const dnnl_dims_t one = {1};
  dnnl_data_type_t type = hn_dnnl_type(t);
  if (type == dnnl_data_type_undef || rank < 0 || rank > 5 || !tags[layout][rank]) return false;
  return dnnl_memory_desc_init_by_tag(md, rank ? rank : 1, rank ? dims : one, type, tags[layout][rank]) == dnnl_success;
}

bool hn_dnnl_arg_desc(const hn_arg *a, dnnl_memory_desc_t *md) {
  if (!a->pitched) return hn_dnnl_desc(a->dtype, a->rank, a->dims, a->layout, md);
  dnnl_dims_t strides, dims;
  int32_t innermost = a->layout == HN_LAYOUT_NHWC ? 1 : a->rank - 1;
  int64_t step = a->pitch;
  if (hn_dnnl_type(a->dtype) == dnnl_data_type_undef || a->rank > 5) return false;
  strides[innermost] = 1;
  for (int32_t i = a->rank - 1; i >= 0; i--) {
    dims[i] = a->dims[i];
    if (i == innermost) continue;
    strides[i] = step;
    step *= a->dims[i];
  }
  return dnnl_memory_desc_init_by_strides(md, a->rank, dims, hn_dnnl_type(a->dtype), strides) == dnnl_success;
}

bool hn_dnnl_any(hn_dtype t, int32_t rank, const int64_t *dims, dnnl_memory_desc_t *md) {
  dnnl_data_type_t type = hn_dnnl_type(t);
  if (type == dnnl_data_type_undef || rank < 1 || rank > HN_MAX_RANK) return false;
  return dnnl_memory_desc_init_by_tag(md, rank, dims, type, dnnl_format_tag_any) == dnnl_success;
}

bool hn_dnnl_layout(const dnnl_memory_desc_t *md, const hn_arg *a, hn_layout *out) {
  for (int l = 0; l < HN_LAYOUT_COUNT; l++) {
    dnnl_memory_desc_t ours;
    if (hn_dnnl_desc(a->dtype, a->rank, a->dims, (hn_layout)l, &ours) && dnnl_memory_desc_equal(md, &ours)) {
      *out = (hn_layout)l;
      return true;
    }
  }
  return false;
}

/* Swish is left to the chain behind the kernel, whose exponential is faster than this one (efficientnet_b0: 3 % of the
   whole, and it has the output to itself). */
bool hn_dnnl_unary(const hn_step *s, dnnl_alg_kind_t *kind, float *alpha, float *beta) {
  *alpha = s->alpha;
  *beta = s->beta;
  switch (s->op) {
    case HN_Relu: *kind = dnnl_eltwise_relu; *alpha = 0; return true;
    case HN_LeakyRelu: *kind = dnnl_eltwise_relu; return true;
    case HN_Clip: *kind = dnnl_eltwise_clip; return true;
    case HN_Sigmoid: *kind = dnnl_eltwise_logistic; return true;
    case HN_Tanh: *kind = dnnl_eltwise_tanh; return true;
    case HN_Elu: *kind = dnnl_eltwise_elu; return true;
    case HN_HardSwish: *kind = dnnl_eltwise_hardswish; return true;
    case HN_Gelu: *kind = s->alpha != 0 ? dnnl_eltwise_gelu_tanh : dnnl_eltwise_gelu_erf; *alpha = 0; return true;
    case HN_Abs: *kind = dnnl_eltwise_abs; return true;
    case HN_Exp: *kind = dnnl_eltwise_exp; return true;
    case HN_Sqrt: *kind = dnnl_eltwise_sqrt; return true;
    case HN_Neg: *kind = dnnl_eltwise_linear; *alpha = -1; *beta = 0; return true;
    default: return false;
  }
}

/* A residual whose buffer may become the output: oneDNN's sum. At most one, since there is one output. */
static bool is_sum(const hn_task *t, const hn_step *s) {
  return hn_is_residual(t, s) && t->in[s->operand].may_overwrite;
}

bool hn_dnnl_attributes(hn_task *t, bool sum, dnnl_primitive_attr_t *attr, uint32_t *residual) {
  const hn_node *n = t->node;
  dnnl_post_ops_t ops = NULL;
  dnnl_primitive_attr_t a = NULL;
  uint32_t i = t->fused;
  *residual = HN_NONE;
  bool ok = dnnl_primitive_attr_create(&a) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success &&
            dnnl_primitive_attr_set_scratchpad_mode(a, dnnl_scratchpad_mode_user) == dnnl_success;
  for (; i < n->n_post && ok; i++) {
    const hn_step *s = &n->post[i];
    dnnl_alg_kind_t kind;
    float alpha, beta;
    if (s->operand == HN_NONE) {
      bool swish = s->op == HN_Swish && t->out[0].dtype == HONE_DTYPE_BF16; /* in floats our own, behind it, is faster */
      if (swish) kind = dnnl_eltwise_swish, alpha = s->alpha, beta = 0;
      else if (!hn_dnnl_unary(s, &kind, &alpha, &beta)) break;
      ok = dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, beta) == dnnl_success;
    } else {
      if (!sum || *residual != HN_NONE || !is_sum(t, s)) break;
      *residual = s->operand;
      ok = dnnl_post_ops_append_sum(ops, 1.0f) == dnnl_success;
    }
  }
  ok = ok && dnnl_primitive_attr_set_post_ops(a, ops) == dnnl_success;
  if (ops) dnnl_post_ops_destroy(ops);
  if (!ok && a) dnnl_primitive_attr_destroy(a);
  if (!ok) return false;
  *attr = a;
  t->fused = i;
  return true;
}

void hn_dnnl_take_residual(hn_task *t, uint32_t residual) {
  if (residual == HN_NONE) return;
  t->in[residual].layout = t->out[0].layout;
  t->inplace = (int)residual;
}

hone_status hn_dnnl_bind(hn_task *t, hn_dnnl_run *r, int arg, const dnnl_memory_desc_t *md, int source, void *data) {
  const hn_cpu *cpu = t->device;
  dnnl_memory_t m;
  if (r->n == HN_DNNL_ARGS || dnnl_memory_create(&m, md, cpu->engine, source == HN_DNNL_FIXED ? data : DNNL_MEMORY_NONE) != dnnl_success)
    return HONE_UNSUPPORTED;
  r->args[r->n] = (dnnl_exec_arg_t){arg, m};
  r->source[r->n++] = source;
  return HONE_OK;
}

/* A number for how oneDNN lays out a tensor, which depends on more than the tensor. */
static uint64_t form_of(const dnnl_memory_desc_t *m) {
  const dnnl_blocking_desc_t *b = &m->format_desc.blocking;
  size_t n = sizeof(dnnl_dim_t) * (size_t)m->ndims, blocks = sizeof(dnnl_dim_t) * (size_t)b->inner_nblks;
  uint64_t h = hn_hash(&m->data_type, sizeof m->data_type, (uint64_t)m->format_kind);
  if (m->format_kind != dnnl_blocked) return hn_hash(m, sizeof *m, h);
  h = hn_hash(m->padded_dims, n, h);
  h = hn_hash(b->strides, n, h);
  h = hn_hash(b->inner_blks, blocks, h);
  h = hn_hash(b->inner_idxs, blocks, h);
  return hn_hash(&m->extra.flags, sizeof m->extra.flags, h);
}

hone_status hn_dnnl_pack(hn_task *t, hn_dnnl_run *r, int arg, const hn_tensor *w, const dnnl_memory_desc_t *from,
                         const dnnl_memory_desc_t *want) {
  const hn_cpu *cpu = t->device;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_memory_t src = NULL;
  if (dnnl_memory_desc_equal(from, want)) return hn_dnnl_bind(t, r, arg, want, HN_DNNL_FIXED, w->data);
  void *packed;
  bool fill;
  HN_TRY(hn_task_pack(t, dnnl_memory_desc_get_size(want), form_of(want), &packed, &fill));
  HN_TRY(hn_dnnl_bind(t, r, arg, want, HN_DNNL_FIXED, packed));
  if (!fill) return HONE_OK;
  bool ok = dnnl_memory_create(&src, from, cpu->engine, w->data) == dnnl_success &&
            dnnl_reorder_primitive_desc_create(&pd, from, cpu->engine, want, cpu->engine, NULL) == dnnl_success &&
            dnnl_primitive_create(&reorder, pd) == dnnl_success;
  if (ok) {
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, r->args[r->n - 1].memory}};
    ok = dnnl_primitive_execute(reorder, cpu->stream, 2, args) == dnnl_success && dnnl_stream_wait(cpu->stream) == dnnl_success;
  }
  if (reorder) dnnl_primitive_destroy(reorder);
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (src) dnnl_memory_destroy(src);
  return ok ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status hn_dnnl_create(hn_task *t, hn_dnnl_run *r, const_dnnl_primitive_desc_t pd) {
  const char *implementation = NULL;
  if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &implementation) != dnnl_success || !implementation ||
      strncmp(implementation, "ref", 3) == 0)
    return HONE_UNSUPPORTED;
  const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
  t->scratch = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
  if (t->scratch) HN_TRY(hn_dnnl_bind(t, r, DNNL_ARG_SCRATCHPAD, scratch, HN_DNNL_SCRATCH, NULL));
  return dnnl_primitive_create(&r->primitive, pd) == dnnl_success ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status hn_dnnl_execute(const hn_dnnl_run *r, hn_exec *x) {
  const hn_cpu *cpu = x->task->device;
  bool ok = true;
  for (int i = 0; i < r->n && ok; i++) {
    int s = r->source[i];
    if (s == HN_DNNL_FIXED) continue;
    void *data = s == HN_DNNL_OUTPUT ? x->out[0].data : s == HN_DNNL_SCRATCH ? x->scratch : x->in[s].data;
    ok = dnnl_memory_set_data_handle(r->args[i].memory, data) == dnnl_success;
  }
  ok = ok && dnnl_primitive_execute(r->primitive, cpu->stream, r->n, r->args) == dnnl_success &&
       dnnl_stream_wait(cpu->stream) == dnnl_success;
  if (ok) return HONE_OK;
  return x->task->node ? hn_xfail(x, HONE_DEVICE, "oneDNN failed to run it")
                       : hn_fail(x->cx, HONE_DEVICE, "oneDNN failed to change a layout");
}

void hn_dnnl_destroy(hn_dnnl_run *r) {
  for (int i = 0; i < r->n; i++) dnnl_memory_destroy(r->args[i].memory);
  if (r->primitive) dnnl_primitive_destroy(r->primitive);
}

bool hn_dnnl_computes(hn_dtype t) { return t == HONE_DTYPE_F32 || (t == HONE_DTYPE_BF16 && hn_isa_has_bf16()); }

static bool is_constant_of(const hn_arg *a, hn_dtype t) { return a->present && a->constant && a->dtype == t; }

bool hn_dnnl_has_bias(const hn_task *t) { return t->node->n_main > 2 && t->in[2].present; }

bool hn_dnnl_is_convolution(const hn_task *t) {
  if (!t->device || !hn_dnnl_computes(t->in[0].dtype) || t->in[0].rank < 3 || t->in[0].rank > 5) return false;
  for (int32_t i = 0; i < t->out[0].rank; i++)
    if (t->out[0].dims[i] == 0 || t->in[0].dims[i] == 0) return false;
  return is_constant_of(&t->in[1], t->in[0].dtype) && (!hn_dnnl_has_bias(t) || is_constant_of(&t->in[2], t->in[0].dtype));
}

static hone_status bind_convolution(hn_task *t, hn_dnnl_run *r, const_dnnl_primitive_desc_t pd, const dnnl_memory_desc_t *stored) {
  const dnnl_memory_desc_t *src = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
  const dnnl_memory_desc_t *dst = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
  if (!hn_dnnl_layout(src, &t->in[0], &t->in[0].layout) || !hn_dnnl_layout(dst, &t->out[0], &t->out[0].layout))
    return HONE_UNSUPPORTED;
  HN_TRY(hn_dnnl_bind(t, r, DNNL_ARG_SRC, src, 0, NULL));
  HN_TRY(hn_dnnl_bind(t, r, DNNL_ARG_DST, dst, HN_DNNL_OUTPUT, NULL));
  HN_TRY(hn_dnnl_pack(t, r, DNNL_ARG_WEIGHTS, t->in[1].constant, stored, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0)));
  t->in[1].unused = true;
  if (hn_dnnl_has_bias(t)) {
    HN_TRY(hn_dnnl_bind(t, r, DNNL_ARG_BIAS, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1), HN_DNNL_FIXED,
                        t->in[2].constant->data));
    t->in[2].unused = true;
  }
  return hn_dnnl_create(t, r, pd);
}

hone_status hn_dnnl_prepare_convolution(hn_task *t, const_dnnl_primitive_desc_t pd, const dnnl_memory_desc_t *stored) {
  hn_dnnl_run *r = hn_calloc(1, sizeof *r);
  t->state = r;
  return r ? bind_convolution(t, r, pd, stored) : hn_nomem(t->cx);
}

hone_status hn_dnnl_state_run(hn_exec *x) { return hn_dnnl_execute(x->task->state, x); }

void hn_dnnl_state_destroy(hn_task *t) {
  if (t->state) hn_dnnl_destroy(t->state);
  hn_free(t->state);
  t->state = NULL;
}
