/* conv_onednn.c - convolution with bias by oneDNN, weights packed once, activations in the layout oneDNN wants. */
#include <string.h>

#include "device/cpu/onednn/dnnl_util.h"
#include "op/infer.h"

typedef struct conv_state {
  dnnl_primitive_t primitive;
  dnnl_memory_t src, weights, bias, dst, scratch;
  void *packed;
} conv_state;

static bool is_constant_f32(const hn_arg *a) { return a->present && a->constant && a->dtype == HONE_DTYPE_F32; }

static bool has_bias(const hn_task *t) { return t->node->n_main > 2 && t->in[2].present; }

/* Unary steps of an epilogue: eltwise post-operations. */
static bool step_algorithm(const hn_step *s, dnnl_alg_kind_t *kind, float *alpha, float *beta) {
  *alpha = s->alpha;
  *beta = s->beta;
  switch (s->op) {
    case HN_Relu: *kind = dnnl_eltwise_relu; *alpha = 0; return true;
    case HN_LeakyRelu: *kind = dnnl_eltwise_relu; return true;
    case HN_Clip: *kind = dnnl_eltwise_clip; return true;
    case HN_Sigmoid: *kind = dnnl_eltwise_logistic; return true;
    case HN_Tanh: *kind = dnnl_eltwise_tanh; return true;
    case HN_Elu: *kind = dnnl_eltwise_elu; return true;
    case HN_Swish: *kind = dnnl_eltwise_swish; return true;
    default: return false;
  }
}

/* A residual whose buffer may become the output: oneDNN's sum. At most one, since there is one output. */
static bool is_residual(const hn_task *t, const hn_step *s) {
  if (s->op != HN_Add || s->operand == HN_NONE) return false;
  const hn_arg *a = &t->in[s->operand], *out = &t->out[0];
  return a->may_overwrite && a->dtype == HONE_DTYPE_F32 && a->rank == out->rank &&
         memcmp(a->dims, out->dims, sizeof *a->dims * (size_t)a->rank) == 0;
}

bool conv_onednn_supports(const hn_task *t) {
  const hn_node *n = t->node;
  dnnl_alg_kind_t kind;
  float alpha, beta;
  if (!t->device || t->in[0].dtype != HONE_DTYPE_F32 || t->in[0].rank < 3 || t->in[0].rank > 5) return false;
  if (!is_constant_f32(&t->in[1]) || (has_bias(t) && !is_constant_f32(&t->in[2]))) return false;
  for (int32_t i = 0; i < t->out[0].rank; i++)
    if (t->out[0].dims[i] == 0) return false;
  int residuals = 0;
  for (uint32_t i = 0; i < n->n_post; i++) {
    if (is_residual(t, &n->post[i])) residuals++;
    else if (n->post[i].operand != HN_NONE || !step_algorithm(&n->post[i], &kind, &alpha, &beta)) return false;
  }
  return residuals <= 1;
}

void conv_onednn_destroy(hn_task *t) {
  conv_state *s = t->state;
  if (!s) return;
  dnnl_memory_t all[] = {s->src, s->weights, s->bias, s->dst, s->scratch};
  for (size_t i = 0; i < 5; i++)
    if (all[i]) dnnl_memory_destroy(all[i]);
  if (s->primitive) dnnl_primitive_destroy(s->primitive);
  hn_free_aligned(s->packed);
  hn_free(s);
  t->state = NULL;
}

/* Which of our layouts a descriptor is. */
static bool layout_of(const dnnl_memory_desc_t *md, const hn_arg *a, hn_layout *out) {
  for (int l = 0; l < HN_LAYOUT_COUNT; l++) {
    dnnl_memory_desc_t ours;
    if (hn_dnnl_desc(a->dtype, a->rank, a->dims, (hn_layout)l, &ours) && dnnl_memory_desc_equal(md, &ours)) {
      *out = (hn_layout)l;
      return true;
    }
  }
  return false;
}

/* dims with the group in front, as oneDNN wants grouped weights */
static int weight_dims(const hn_task *t, int64_t group, dnnl_dims_t dims) {
  const hn_arg *w = &t->in[1];
  int n = 0;
  if (group > 1) dims[n++] = group;
  dims[n++] = w->dims[0] / group;
  for (int32_t i = 1; i < w->rank; i++) dims[n++] = w->dims[i];
  return n;
}

static hone_status pack_weights(hn_task *t, conv_state *s, const dnnl_memory_desc_t *want, int rank, const dnnl_dims_t dims) {
  static const dnnl_format_tag_t plain[] = {0, 0, 0, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef};
  hn_dnnl *d = t->device;
  dnnl_memory_desc_t from;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_memory_t src = NULL;
  size_t bytes = dnnl_memory_desc_get_size(want);
  s->packed = hn_malloc_aligned(bytes);
  if (!s->packed) return hn_nomem(t->cx);
  t->packed = bytes;
  bool ok = dnnl_memory_desc_init_by_tag(&from, rank, dims, dnnl_f32, plain[rank]) == dnnl_success &&
            dnnl_memory_create(&src, &from, d->engine, t->in[1].constant->data) == dnnl_success &&
            dnnl_memory_create(&s->weights, want, d->engine, s->packed) == dnnl_success &&
            dnnl_reorder_primitive_desc_create(&pd, &from, d->engine, want, d->engine, NULL) == dnnl_success &&
            dnnl_primitive_create(&reorder, pd) == dnnl_success;
  if (ok) {
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, s->weights}};
    ok = dnnl_primitive_execute(reorder, d->stream, 2, args) == dnnl_success && dnnl_stream_wait(d->stream) == dnnl_success;
  }
  if (reorder) dnnl_primitive_destroy(reorder);
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (src) dnnl_memory_destroy(src);
  return ok ? HONE_OK : HONE_UNSUPPORTED;
}

static bool attributes(const hn_node *n, dnnl_primitive_attr_t *attr) {
  dnnl_post_ops_t ops = NULL;
  bool ok = dnnl_primitive_attr_create(attr) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success &&
            dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user) == dnnl_success;
  for (uint32_t i = 0; i < n->n_post && ok; i++) {
    dnnl_alg_kind_t kind;
    float alpha, beta;
    if (n->post[i].operand != HN_NONE) ok = dnnl_post_ops_append_sum(ops, 1.0f) == dnnl_success;
    else
      ok = step_algorithm(&n->post[i], &kind, &alpha, &beta) &&
           dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, beta) == dnnl_success;
  }
  ok = ok && dnnl_primitive_attr_set_post_ops(*attr, ops) == dnnl_success;
  if (ops) dnnl_post_ops_destroy(ops);
  return ok;
}

/* A tensor in whatever layout oneDNN likes best. */
static bool any_layout(dnnl_memory_desc_t *md, const hn_arg *a) {
  dnnl_dims_t dims;
  memcpy(dims, a->dims, sizeof a->dims);
  return dnnl_memory_desc_init_by_tag(md, a->rank, dims, dnnl_f32, dnnl_format_tag_any) == dnnl_success;
}

static bool describe(const hn_task *t, dnnl_primitive_desc_t *pd, int *w_rank, dnnl_dims_t w_dims) {
  const hn_dnnl *d = t->device;
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  int64_t group = hn_attr_i(t->node, "group", 1);
  bool bias = has_bias(t);
  hn_window w;
  dnnl_dims_t dilation;
  dnnl_memory_desc_t src, weights, b = {0}, dst;
  dnnl_convolution_desc_t cd;
  dnnl_primitive_attr_t attr = NULL;
  if (hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, t->in[1].dims + 2, false, &w)) return false;
  for (int32_t i = 0; i < w.n; i++) dilation[i] = w.dilation[i] - 1; /* oneDNN counts the holes */
  *w_rank = weight_dims(t, group, w_dims);
  bool ok = any_layout(&src, in) &&
            dnnl_memory_desc_init_by_tag(&weights, *w_rank, w_dims, dnnl_f32, dnnl_format_tag_any) == dnnl_success &&
            any_layout(&dst, out) &&
            (!bias || dnnl_memory_desc_init_by_tag(&b, 1, t->in[2].dims, dnnl_f32, dnnl_a) == dnnl_success) &&
            dnnl_dilated_convolution_forward_desc_init(&cd, dnnl_forward_inference, dnnl_convolution_direct, &src, &weights,
                                                       bias ? &b : NULL, &dst, w.stride, dilation, w.pad_begin,
                                                       w.pad_end) == dnnl_success &&
            attributes(t->node, &attr) && dnnl_primitive_desc_create(pd, &cd, attr, d->engine, NULL) == dnnl_success;
  if (attr) dnnl_primitive_attr_destroy(attr);
  return ok;
}

static hone_status prepare(hn_task *t, conv_state *s, dnnl_primitive_desc_t pd, int w_rank, const dnnl_dims_t w_dims) {
  const hn_dnnl *d = t->device;
  const dnnl_memory_desc_t *src = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
  const dnnl_memory_desc_t *dst = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
  const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
  const dnnl_memory_desc_t *bias = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1);
  if (!layout_of(src, &t->in[0], &t->in[0].layout) || !layout_of(dst, &t->out[0], &t->out[0].layout)) return HONE_UNSUPPORTED;
  HN_TRY(pack_weights(t, s, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), w_rank, w_dims));
  t->scratch = dnnl_memory_desc_get_size(scratch);
  t->in[1].unused = true;
  for (uint32_t i = 0; i < t->node->n_post; i++) {
    uint32_t operand = t->node->post[i].operand;
    if (operand == HN_NONE) continue;
    t->in[operand].layout = t->out[0].layout;
    t->inplace = (int)operand;
  }
  bool ok = dnnl_primitive_create(&s->primitive, pd) == dnnl_success &&
            dnnl_memory_create(&s->src, src, d->engine, DNNL_MEMORY_NONE) == dnnl_success &&
            dnnl_memory_create(&s->dst, dst, d->engine, DNNL_MEMORY_NONE) == dnnl_success &&
            dnnl_memory_create(&s->scratch, scratch, d->engine, DNNL_MEMORY_NONE) == dnnl_success &&
            (!has_bias(t) || dnnl_memory_create(&s->bias, bias, d->engine, t->in[2].constant->data) == dnnl_success);
  return ok ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status conv_onednn_plan(hn_task *t) {
  dnnl_primitive_desc_t pd = NULL;
  dnnl_dims_t w_dims;
  int w_rank;
  if (!describe(t, &pd, &w_rank, w_dims)) return HONE_UNSUPPORTED;
  conv_state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  hone_status st = s ? prepare(t, s, pd, w_rank, w_dims) : hn_nomem(t->cx);
  dnnl_primitive_desc_destroy(pd);
  return st;
}

hone_status conv_onednn_run(hn_exec *x) {
  const conv_state *s = x->task->state;
  const hn_dnnl *d = x->task->device;
  dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, s->src}, {DNNL_ARG_WEIGHTS, s->weights}, {DNNL_ARG_DST, s->dst},
                             {DNNL_ARG_SCRATCHPAD, s->scratch}, {DNNL_ARG_BIAS, s->bias}};
  bool ok = dnnl_memory_set_data_handle(s->src, x->in[0].data) == dnnl_success &&
            dnnl_memory_set_data_handle(s->dst, x->out[0].data) == dnnl_success &&
            (!x->scratch || dnnl_memory_set_data_handle(s->scratch, x->scratch) == dnnl_success) &&
            dnnl_primitive_execute(s->primitive, d->stream, s->bias ? 5 : 4, args) == dnnl_success &&
            dnnl_stream_wait(d->stream) == dnnl_success;
  return ok ? HONE_OK : hn_xfail(x, HONE_DEVICE, "oneDNN failed to run the convolution");
}
