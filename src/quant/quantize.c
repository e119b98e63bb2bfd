/* quantize.c - which tensors become integers, and with which scales. */
#include "quant/quantize.h"

#include <math.h>
#include <string.h>

#include "op/infer.h"
#include "quant/assign.h"
#include "rewrite/rewrite.h"

typedef struct plan {
  hn_graph *g;
  const hn_range *ranges;
  hn_low_set s;    /* nodes that work with integers */
  bool *whole;     /* by value: becomes integers */
  uint32_t *group; /* by value: those that must share a scale lead to one */
  hn_range *range; /* by value: of its group */
  const hn_refinement *refine;
  uint32_t to_refine; /* layers */
  hone_quantize_result *result;
} plan;

#define LEAST_SCALE 1e-30f

static float step_of(const hn_range *r) { return fmaxf(r->high, 0) / 255 - fminf(r->low, 0) / 255; }

static bool seen(const plan *p, hn_id v) { return v != HN_NONE && p->ranges[v].known; }

/* A range that is no point: a layer that only ever read zeros was not calibrated. */
static bool has_range(const plan *p, hn_id v) { return seen(p, v) && step_of(&p->ranges[v]) >= LEAST_SCALE; }

static bool uses_integers(const plan *p, hn_id node) { return hn_is_low(&p->s, node); }

/* Does a node that works with integers read what this one gives? An operand of its epilogue is worth rounding only then. */
static bool leads_on(const plan *p, hn_id node) {
  const hn_value *out = hn_value_at(p->g, hn_node_at(p->g, node)->out[0]);
  for (uint32_t u = 0; u < out->n_users; u++)
    if (uses_integers(p, out->users[u])) return true;
  return false;
}

/* Is the value read as data by a node that works with integers? */
static bool read_as_integers(const plan *p, hn_id v, bool *by_product) {
  const hn_value *x = hn_value_at(p->g, v);
  bool any = false;
  for (uint32_t u = 0; u < x->n_users; u++) {
    hn_id id = x->users[u];
    if (!uses_integers(p, id)) continue;
    const hn_node *n = hn_node_at(p->g, id);
    if (p->s.low[id] && n->in[0] == v) *by_product = true;
    any = any || *by_product || leads_on(p, id);
  }
  return any;
}

/* Is all that becomes of the value a function of it alone? Its result is rounded then, and that once. */
static bool only_activated(const plan *p, hn_id v) {
  const hn_value *x = hn_value_at(p->g, v);
  if (x->n_users != 1 || x->producer == HN_NONE || !p->s.low[x->producer] || hn_is_output(p->g, v)) return false;
  const hn_node *n = hn_node_at(p->g, x->users[0]);
  return hn_op_is(n->op, HN_OP_UNARY) && p->s.between[x->users[0]] && n->in[0] == v && p->ranges[n->out[0]].known;
}

static void find_values(plan *p) {
  for (hn_id v = 0; v < p->g->values.n; v++) {
    bool product = false;
    const hn_value *x = hn_value_at(p->g, v);
    if (x->data || !hn_is_real(p->g, v) || !seen(p, v) || (x->producer != HN_NONE && hn_node_at(p->g, x->producer)->dead)) continue;
    if (!read_as_integers(p, v, &product) || only_activated(p, v)) continue;
    p->whole[v] = product || uses_integers(p, x->producer);
  }
}

/* ------------------------------------------------------------------------------------------- which scales */

static hn_id leader(const plan *p, hn_id v) {
  while (p->group[v] != v) v = p->group[v];
  return v;
}

static void join(plan *p, hn_id a, hn_id b) {
  hn_id x = leader(p, a), y = leader(p, b);
  if (x == y) return;
  p->group[y] = x;
  hn_range *r = &p->range[x], *s = &p->range[y];
  r->low = fminf(r->low, s->low);
  r->high = fmaxf(r->high, s->high);
}

/* A concatenation's parts share its scale; what moves or picks keeps the scale of what it moves. */
static void group_values(plan *p) {
  for (hn_id v = 0; v < p->g->values.n; v++) {
    p->group[v] = v;
    p->range[v] = p->ranges[v];
  }
  for (hn_id id = 0; id < p->g->nodes.n; id++) {
    const hn_node *n = hn_node_at(p->g, id);
    if (n->dead || !p->s.between[id] || !hn_keeps_scale(n->op)) continue;
    for (uint32_t i = 0; i < hn_data_inputs(n); i++)
      for (uint32_t o = 0; o < n->n_out; o++)
        if (hn_is_real(p->g, n->in[i]) && hn_is_real(p->g, hn_out(n, o)) && p->whole[n->in[i]] && p->whole[n->out[o]]) join(p, n->in[i], n->out[o]);
  }
}

/* Unsigned 8 bits over a range that holds zero. Zero is a whole step, so that the steps of both sides are made as wide as it takes to reach
   both ends: pictures from -1 to 1 would else lie half a step beside all of the 256. */
static hn_quant quant_of(const plan *p, hn_id v) {
  const hn_range *r = &p->range[leader(p, v)];
  float low = fminf(r->low, 0), high = fmaxf(r->high, 0), scale = step_of(r);
  if (!(scale >= LEAST_SCALE)) return (hn_quant){.scale = 1}; /* always zero: any scale tells so */
  float zero = fminf(fmaxf(rintf(-low / scale), 0), 255);
  if (zero > 0) scale = fmaxf(scale, -low / zero);
  if (zero < 255) scale = fmaxf(scale, high / (255 - zero));
  return (hn_quant){.scale = scale, .zero = (int32_t)zero};
}

/* ------------------------------------------------------------------------------------------- building */

static hn_id vector(hn_graph *g, hn_dtype type, const double *v, int64_t n) {
  hn_tensor *t = NULL;
  if (hn_tensor_create(g->cx, type, 1, &n, &t)) return HN_NONE;
  for (int64_t i = 0; i < n; i++) hn_store_f64(type, t->data, (size_t)i, v[i]);
  return hn_graph_add_constant(g, NULL, t);
}

static hn_id scalar(hn_graph *g, hn_dtype type, double v) {
  hn_tensor *t = NULL;
  if (hn_tensor_scalar_f(g->cx, type, v, &t)) return HN_NONE;
  return hn_graph_add_constant(g, NULL, t);
}

static hn_id add_node(hn_graph *g, hn_op op, hn_id a, hn_id b, hn_id c) {
  hn_id in[3] = {a, b, c};
  if (a == HN_NONE || b == HN_NONE) {
    g->oom = true;
    return HN_NONE;
  }
  return hn_graph_add_node(g, op, "", in, c == HN_NONE ? 2 : 3, 1);
}

/* All readers of v read it through 8 bits; graph outputs stay as they are. */
static hone_status quantize_value(hn_graph *g, hn_id v, const hn_quant *q) {
  hn_id scale = scalar(g, HONE_DTYPE_F32, (double)q->scale), zero = scalar(g, HONE_DTYPE_U8, q->zero);
  hn_id in = add_node(g, HN_QuantizeLinear, v, scale, zero);
  if (in == HN_NONE) return hn_nomem(g->cx);
  HN_TRY(hn_infer_node(g, in));
  hn_id out = add_node(g, HN_DequantizeLinear, hn_node_at(g, in)->out[0], scale, zero);
  if (out == HN_NONE) return hn_nomem(g->cx);
  HN_TRY(hn_infer_node(g, out));
  hn_id real = hn_node_at(g, out)->out[0];
  for (uint32_t u = 0; u < hn_value_at(g, v)->n_users;) {
    hn_id user = hn_value_at(g, v)->users[u];
    bool changed = false;
    for (uint32_t i = 0; user != in && i < hn_node_at(g, user)->n_in; i++)
      if (hn_node_at(g, user)->in[i] == v) {
        hn_set_input(g, user, i, real);
        changed = true;
      }
    u = changed ? 0 : u + 1;
  }
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}

/* The weights' axis of output channels. */
static int32_t channel_axis(const hn_node *n) { return n->op == HN_Conv ? 0 : n->op == HN_Gemm && hn_attr_i(n, "transB", 0) ? 0 : 1; }

static int64_t inner_of(const hn_tensor *w, int32_t axis) {
  int64_t inner = 1;
  for (int32_t i = axis + 1; i < w->rank; i++) inner *= w->dims[i];
  return inner;
}

/* One symmetric scale a channel; no larger than the bias needs to be told in 32 bits. */
static double *weight_scales(const hn_tensor *w, int32_t axis, const hn_tensor *bias, double input_scale) {
  int64_t n = w->dims[axis], inner = inner_of(w, axis);
  double *s = hn_calloc((size_t)n, sizeof *s);
  for (int64_t i = 0; s && i < w->count; i++) {
    double v = fabs(hn_tensor_f(w, (size_t)i)) / 127;
    if (v > s[i / inner % n]) s[i / inner % n] = v;
  }
  for (int64_t c = 0; s && c < n; c++) {
    double least = bias ? fabs(hn_tensor_f(bias, (size_t)c)) / input_scale / 1073741824.0 : 0;
    if (s[c] < least) s[c] = least;
    if (!(s[c] >= 1e-30)) s[c] = 1;
    s[c] = (double)(float)s[c];
  }
  return s;
}

/* Is the layer rounded by samples of its input, or its bias corrected by what they once were found to need? */
static bool is_refined(const plan *p, hn_id id) {
  const hn_refinement *f = p->refine;
  const hn_node *n = hn_node_at(p->g, id);
  if (!p->s.low[id] || !f || !f->samples) return false;
  if (!f->how.reconstruct && !(f->how.correct_bias && hn_bias_input(p->g, n, hn_const(p->g, n->in[1])->dims[channel_axis(n)]))) return false;
  hn_quant q = quant_of(p, n->in[0]);
  return f->samples[id].n || hn_rounding_known(&f->samples[id], &(hn_steps){(double)q.scale, q.zero}, &f->how);
}

/* To the nearest, or as samples of the input say; the bias is corrected then. */
static hone_status round_weights(plan *p, hn_id id, int32_t axis, const double *scale, const hn_quant *input, double *bias, hn_tensor **out) {
  const hn_tensor *w = hn_const(p->g, hn_node_at(p->g, id)->in[1]);
  const hn_refinement *f = p->refine;
  if (is_refined(p, id)) {
    const hn_steps steps = {(double)input->scale, input->zero};
    if (f->progress) f->progress(f->user, p->result->refined++, p->to_refine);
    else p->result->refined++;
    return hn_round_weights(p->g, hn_node_at(p->g, id), axis, scale, &steps, &f->samples[id], &f->how, f->threads, bias, out);
  }
  if (f && f->how.correct_bias && bias && hn_is_product(p->g, hn_node_at(p->g, id))) p->result->uncorrected++;
  return hn_round_nearest(p->g->cx, w, axis, scale, out);
}

static hone_status dequantized(hn_graph *g, hn_id integers, hn_id scale, int32_t axis, hn_id *real) {
  hn_id node = add_node(g, HN_DequantizeLinear, integers, scale, HN_NONE);
  if (node == HN_NONE) return hn_nomem(g->cx);
  hn_set_i(g, node, "axis", axis);
  HN_TRY(hn_infer_node(g, node));
  *real = hn_node_at(g, node)->out[0];
  return HONE_OK;
}

/* Sums of products, in units of both scales, must be numbers. */
static hone_status check_units(const plan *p, hn_id id, const double *s, int64_t channels, double input_scale) {
  const hn_node *n = hn_node_at(p->g, id);
  const hn_range *r = &p->range[leader(p, n->in[0])];
  for (int64_t c = 0; c < channels; c++)
    if (!isfinite((float)(s[c] * input_scale * 2147483648.0)))
      return hn_fail(p->g->cx, HONE_BAD_ARG, "layer '%s': the range %g to %g of its input '%s' with weights up to %g overflows: its sums have no scale",
                     n->name, (double)r->low, (double)r->high, hn_value_at(p->g, n->in[0])->name, s[c] * 127);
  return HONE_OK;
}

static hone_status quantize_weights(plan *p, hn_id id, const hn_quant *input) {
  hn_graph *g = p->g;
  double input_scale = (double)input->scale;
  const hn_node *n = hn_node_at(g, id);
  const hn_tensor *w = hn_const(g, n->in[1]);
  int32_t axis = channel_axis(n);
  int64_t channels = w->dims[axis];
  uint32_t bias_at = hn_bias_input(g, n, channels); /* a bias of another shape stays in floats, as does one that a step adds */
  bool own = bias_at && bias_at < n->n_main, corrected = bias_at && is_refined(p, id) && p->refine->how.correct_bias;
  const hn_tensor *b = bias_at ? hn_const(g, n->in[bias_at]) : NULL;
  double *s = weight_scales(w, axis, own ? b : NULL, input_scale), *bias = b ? hn_calloc((size_t)channels, sizeof *bias) : NULL;
  hn_tensor *q = NULL, *whole = NULL;
  hone_status st = s && (!b || bias) ? HONE_OK : hn_nomem(g->cx);
  hn_id real = HN_NONE;
  for (int64_t c = 0; c < channels && bias; c++) bias[c] = hn_tensor_f(b, (size_t)c);
  if (!st) st = check_units(p, id, s, channels, input_scale);
  if (!st) st = round_weights(p, id, axis, s, input, bias, &q);
  if (!st) st = dequantized(g, hn_graph_add_constant(g, NULL, q), vector(g, HONE_DTYPE_F32, s, channels), axis, &real);
  if (!st) hn_set_input(g, id, 1, real);
  if (!st && corrected && !own) {
    hn_id row = vector(g, HONE_DTYPE_F32, bias, channels);
    if (row == HN_NONE) st = hn_nomem(g->cx);
    else hn_set_input(g, id, bias_at, row);
  }
  if (!st && own) {
    st = hn_tensor_create(g->cx, HONE_DTYPE_I32, 1, &channels, &whole);
    for (int64_t c = 0; !st && c < channels; c++) {
      s[c] = (double)(float)(s[c] * input_scale);
      double v = rint(bias[c] / s[c]);
      hn_store_i64(HONE_DTYPE_I32, whole->data, (size_t)c, (int64_t)fmax(-2147483648.0, fmin(v, 2147483647.0)));
    }
    if (!st) st = dequantized(g, hn_graph_add_constant(g, NULL, whole), vector(g, HONE_DTYPE_F32, s, channels), 0, &real);
    if (!st) hn_set_input(g, id, bias_at, real);
  }
  hn_free(s);
  hn_free(bias);
  return st;
}

/* An input that was always zero says that the examples were none. */
static hone_status check_inputs(const plan *p) {
  for (uint32_t i = 0; i < p->g->inputs.n; i++) {
    hn_id v = p->g->inputs.p[i];
    if (seen(p, v) && !has_range(p, v) && hn_is_real(p->g, v))
      return hn_fail(p->g->cx, HONE_BAD_ARG, "input '%s' has the range 0 to 0: calibrate with examples that are not all zero", hn_value_at(p->g, v)->name);
  }
  return HONE_OK;
}

static hone_status choose_nodes(plan *p, const bool *keep) {
  HN_TRY(check_inputs(p));
  for (hn_id id = 0; id < p->g->nodes.n; id++) {
    const hn_node *n = hn_node_at(p->g, id);
    if (n->dead || !(hn_is_product(p->g, n) || hn_is_deconvolution(p->g, n))) continue;
    p->result->candidates++;
    if (!has_range(p, n->in[0])) p->result->unseen++;
    else if (!keep || !keep[id]) p->s.low[id] = ++p->result->layers;
  }
  return hn_low_between(p->g, &p->s);
}

static hone_status build(plan *p) {
  hn_graph *g = p->g;
  size_t n_nodes = g->nodes.n, n_values = g->values.n;
  hone_status st = HONE_OK;
  for (hn_id id = 0; id < n_nodes; id++) p->to_refine += is_refined(p, id);
  for (hn_id id = 0; id < n_nodes && !st; id++) {
    if (!p->s.low[id]) continue;
    hn_quant q = quant_of(p, hn_node_at(g, id)->in[0]);
    st = quantize_weights(p, id, &q);
  }
  for (hn_id v = 0; v < n_values && !st; v++) {
    if (!p->whole[v]) continue;
    hn_quant q = quant_of(p, v);
    st = quantize_value(g, v, &q);
  }
  hn_remove_dead(g);
  return st ? st : g->oom ? hn_nomem(g->cx) : HONE_OK;
}

hone_status hn_quantize_int8(hn_graph *g, const hn_range *ranges, const bool *keep, const hn_refinement *refine, hone_quantize_result *result) {
  plan p = {.g = g, .ranges = ranges, .refine = refine, .result = result};
  p.whole = hn_calloc(g->values.n, sizeof *p.whole);
  p.group = hn_calloc(g->values.n, sizeof *p.group);
  p.range = hn_calloc(g->values.n, sizeof *p.range);
  *result = (hone_quantize_result){0};
  hone_status st = hn_low_create(g, &p.s);
  bool ok = p.whole && p.group && p.range;
  p.s.bytes = true;
  if (!st && !ok) st = hn_nomem(g->cx);
  if (!st) st = choose_nodes(&p, keep);
  if (!st) {
    find_values(&p);
    group_values(&p);
    st = build(&p);
  }
  hn_low_free(&p.s);
  hn_free(p.whole);
  hn_free(p.group);
  hn_free(p.range);
  return st;
}
