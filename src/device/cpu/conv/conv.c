#include "device/cpu/conv/conv.h"

#include <math.h>
#include <string.h>

#include "op/infer.h"

static bool constant(const hn_arg *a, hn_dtype of) { return a->present && a->constant && a->dtype == of; }

bool hn_conv_supported(const hn_task *t) { return hn_conv_supported_as(t, HONE_DTYPE_F32); }

bool hn_conv_supported_as(const hn_task *t, hn_dtype of) {
  if (!t->device || t->in[0].dtype != of || t->out[0].dtype != of || t->in[0].rank < 3 || t->in[0].rank > 4) return false;
  for (int32_t i = 0; i < t->out[0].rank; i++)
    if (t->out[0].dims[i] == 0 || t->in[0].dims[i] == 0) return false;
  return constant(&t->in[1], of) && (!hn_conv_has_bias(t) || constant(&t->in[2], of));
}

hone_status hn_conv_resolve(hn_task *t, hn_conv *c) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  hn_window w;
  if (hn_window_resolve(t->cx, t->g->dims, t->node, in->rank - 2, in->dims + 2, t->in[1].dims + 2, false, &w)) return HONE_UNSUPPORTED;
  bool flat = in->rank == 3;
  int x = flat ? 0 : 1;
  *c = (hn_conv){.images = in->dims[0], .in_c = in->dims[1], .out_c = out->dims[1], .group = hn_attr_i(t->node, "group", 1),
                 .in_h = 1, .out_h = 1, .kernel_h = 1, .stride_h = 1, .dilation_h = 1};
  if (!flat) {
    c->in_h = in->dims[2], c->out_h = out->dims[2];
    c->kernel_h = w.kernel[0], c->stride_h = w.stride[0], c->dilation_h = w.dilation[0], c->pad_top = w.pad_begin[0];
  }
  c->in_w = in->dims[2 + x], c->out_w = out->dims[2 + x];
  c->kernel_w = w.kernel[x], c->stride_w = w.stride[x], c->dilation_w = w.dilation[x], c->pad_left = w.pad_begin[x];
  return HONE_OK;
}

void hn_conv_flatten(hn_conv *c) {
  if (c->kernel_h != 1 || c->kernel_w != 1 || c->stride_h != 1 || c->stride_w != 1 || c->in_h != c->out_h || c->in_w != c->out_w)
    return;
  c->in_w = c->out_w = c->images * c->out_h * c->out_w;
  c->images = c->in_h = c->out_h = 1;
}

int64_t hn_conv_macs(const hn_conv *c) {
  return c->images * c->out_h * c->out_w * c->out_c * (c->in_c / c->group) * c->kernel_h * c->kernel_w;
}

hone_status hn_conv_pack_bias(hn_task *t, int64_t extra, const void **out) {
  *out = NULL;
  if (!hn_conv_has_bias(t)) return HONE_OK;
  size_t bytes = hone_dtype_size(t->in[2].dtype) * (size_t)t->in[2].dims[0], more = hone_dtype_size(t->in[2].dtype) * (size_t)extra;
  char *b;
  bool fill;
  HN_TRY(hn_task_pack(t, bytes + more, 0, (void **)&b, &fill));
  if (fill) {
    memcpy(b, t->in[2].constant->data, bytes);
    memset(b + bytes, 0, more);
  }
  t->in[2].unused = true;
  *out = b;
  return HONE_OK;
}

static float clamped(float v, float lo, float hi) { return v < lo ? lo : v > hi ? hi : v; }

void hn_ending_take(hn_task *t, hn_layout l, bool residual, hn_ending *e) {
  const hn_cpu *cpu = t->device;
  const hn_node *n = t->node;
  const hn_convert *convert = hn_convert_for(cpu->isa);
  hn_dtype as = t->out[0].dtype;
  *e = (hn_ending){.residual = HN_NONE, .lo = -INFINITY, .hi = INFINITY, .vec = cpu->vec, .dtype = as, .half = hn_cpu_runs(cpu, as)};
  if (as != HONE_DTYPE_F32) e->load = convert->load[as], e->store = convert->store[as];
  uint32_t i = t->fused;
  if (residual && i < n->n_post && hn_is_residual(t, &n->post[i])) {
    e->residual = n->post[i++].operand;
    t->in[e->residual].layout = l;
    e->residual_pitch = hn_take_pitch(&t->in[e->residual]);
    if (t->in[e->residual].may_overwrite) t->inplace = (int)e->residual;
  }
  for (; i < n->n_post && n->post[i].operand == HN_NONE; i++) {
    const hn_step *s = &n->post[i];
    bool bounds = s->op == HN_Relu || s->op == HN_Clip;
    if (bounds && !e->n) {
      float lo = s->op == HN_Relu ? 0 : s->alpha, hi = s->op == HN_Relu ? INFINITY : s->beta;
      e->lo = clamped(e->lo, lo, hi);
      e->hi = clamped(e->hi, lo, hi);
    } else if (e->n < sizeof e->unary / sizeof *e->unary && e->vec->unary[s->op]) {
      e->unary[e->n++] = *s;
    } else {
      break;
    }
  }
  t->fused = i;
}

static bool all_half(const hn_ending *e) {
  bool all = e->half != NULL;
  for (uint32_t i = 0; all && i < e->n; i++) all = e->half->unary[e->unary[i].op] != NULL;
  return all;
}

void hn_ending_run(const hn_ending *e, void *d, int64_t n) {
  enum { CHUNK = 1024 };
  float floats[CHUNK];
  size_t size = hone_dtype_size(e->dtype);
  if (!e->load || all_half(e)) {
    if (!e->load) hn_ending_floats(e, d, n);
    for (uint32_t i = 0; e->load && i < e->n; i++) e->half->unary[e->unary[i].op](d, d, (size_t)n, e->unary[i].alpha, e->unary[i].beta);
    return;
  }
  for (int64_t i = 0; i < n; i += CHUNK) {
    int64_t some = hn_smaller(CHUNK, n - i);
    char *at = (char *)d + size * (size_t)i;
    e->load(floats, at, (size_t)some, 1, 0);
    hn_ending_floats(e, floats, some);
    e->store(at, floats, (size_t)some, 1, 0);
  }
}

void hn_ending_floats(const hn_ending *e, float *d, int64_t n) {
  for (uint32_t i = 0; i < e->n; i++) {
    hn_vec_unary f = e->half && e->half->floats[e->unary[i].op] ? e->half->floats[e->unary[i].op] : e->vec->unary[e->unary[i].op];
    f(d, d, (size_t)n, e->unary[i].alpha, e->unary[i].beta);
  }
}
