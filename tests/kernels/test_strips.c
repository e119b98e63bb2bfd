/* test_strips.c - chains of convolutions, also behind a gate, run strip by strip, and convolutions that do the element-wise layer before them,
   against the references, for every instruction set and several threads: random lengths, kernels, strides, padding,
   activations, residual sums, images that end a thread's share, tensors with gaps between pixels. */
#include <math.h>

#include "device/cpu/conv/strip.h"
#include "harness.h"
#include "op/infer.h"
#include "run/program.h"

enum { CASES = 60 };

static uint32_t seed;
static uint32_t next(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}
static int64_t between(int64_t lo, int64_t hi) { return lo + next() % (uint32_t)(hi - lo + 1); }

static hn_id constant(hn_graph *g, int32_t rank, const int64_t *dims, float size) {
  hn_tensor *c;
  if (hn_tensor_create(g->cx, HONE_DTYPE_F32, rank, dims, &c)) abort();
  for (int64_t i = 0; i < c->count; i++) ((float *)c->data)[i] = size * ((float)(next() % 2001) / 1000.0f - 1.0f);
  return hn_graph_add_constant(g, NULL, c);
}

/* One more convolution; d: its input's dimensions, then its output's. */
static hn_id add_layer(hn_graph *g, hn_id x, int64_t d[4], bool first, hn_id residual, const int64_t want[4]) {
  static const int64_t some[] = {4, 16, 17, 24, 32, 40};
  bool last = residual != HN_NONE, depthwise = !last && !first && next() % 2 && d[1] >= 16;
  int64_t side = depthwise ? (next() % 2 ? 3 : 5) : first && next() % 2 ? 3 : 1, stride = last || next() % 3 ? 1 : 2;
  int64_t pad = last ? 0 : between(0, side / 2), out = depthwise ? d[1] : last ? want[1] : some[next() % 6];
  if (d[2] + 2 * pad < side || d[3] + 2 * pad < side) return HN_NONE;
  int64_t w[4] = {out, depthwise ? 1 : d[1], side, side};
  hn_id in[3] = {x, constant(g, 4, w, 1.0f / sqrtf((float)(w[1] * side * side))), next() % 2 ? constant(g, 1, &out, 1) : HN_NONE};
  hn_id n = hn_graph_add_node(g, HN_Conv, "", in, in[2] == HN_NONE ? 2 : 3, 1);
  hn_set_ints(g, n, "pads", (int64_t[]){pad, pad, pad, pad}, 4);
  hn_set_ints(g, n, "strides", (int64_t[]){stride, stride}, 2);
  hn_set_i(g, n, "group", depthwise ? d[1] : 1);
  if (last) hn_add_post(g, n, HN_Add, residual, false, 0, 0);
  switch (next() % 4) {
    case 0: hn_add_post(g, n, HN_Relu, HN_NONE, false, 0, 0); break;
    case 1: hn_add_post(g, n, HN_Clip, HN_NONE, false, 0, 0.5f); break;
    case 2: hn_add_post(g, n, HN_Swish, HN_NONE, false, 1, 0); break;
    default: break;
  }
  for (int i = 2; i < 4; i++) d[i] = (d[i] + 2 * pad - side) / stride + 1;
  d[1] = out;
  return hn_node_at(g, n)->out[0];
}

/* A factor for each channel of the image, on either side of the product. */
static hn_id add_gate(hn_graph *g, hn_id x, const int64_t d[4]) {
  int64_t of[4] = {next() % 2 ? d[0] : 1, d[1], 1, 1};
  bool left = next() % 2;
  hn_id by = constant(g, 4, of, 1), n = hn_graph_add_node(g, HN_Mul, "", (hn_id[]){left ? by : x, left ? x : by}, 2, 1);
  return hn_node_at(g, n)->out[0];
}

static hn_graph *make(hone_context *cx) {
  hn_graph *g = hn_graph_create(cx, "chain");
  int64_t d[4] = {between(1, 3), 16 * between(1, 2), between(6, 20), between(6, 20)}, begin[4];
  memcpy(begin, d, sizeof d);
  hn_shape s = hn_shape_of(4, d);
  hn_id input = hn_graph_add_input(g, "x", HONE_DTYPE_F32, &s), x = input;
  bool gated = next() % 3 == 0;
  if (gated) x = add_gate(g, x, d);
  for (int64_t i = between(gated ? 1 : 2, 5); i > 0 && x != HN_NONE; i--) x = add_layer(g, x, d, x == input, HN_NONE, NULL);
  if (x != HN_NONE && x != input && d[2] == begin[2] && d[3] == begin[3]) { /* a residual sum ends it */
    hn_id with = add_layer(g, x, d, false, input, begin);
    if (with != HN_NONE) x = with;
  }
  if (x == HN_NONE) {
    hn_graph_destroy(g);
    return NULL;
  }
  hn_graph_add_output(g, "y", x);
  hone_status st = hn_infer_again(g);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  return g;
}

static bool close_enough(float got, float want) { return fabsf(got - want) <= 2e-4f * (1 + fabsf(want)); }

/* The graph's tactics become those of a plan; a plan by them is to be the same. */
static void plan_by_name(hn_graph *g, const hn_view *in, const hn_plan_options *how, const hn_plan *plan, int at) {
  hn_program *named = NULL;
  hn_plan_options o = *how;
  o.strips = HN_STRIPS_CHOSEN;
  for (size_t i = 0; i < plan->steps.n; i++)
    if (plan->steps.p[i].node < g->nodes.n) hn_node_at(g, plan->steps.p[i].node)->tactic = hn_arena_strdup(g->arena, hn_planned_tactic(&plan->steps.p[i]));
  CHECK(!hn_program_create(g, in, &o, &named));
  const hn_plan *again = named ? hn_program_plan(named) : plan;
  CHECK_MSG(again->steps.n == plan->steps.n, "case %d: %zu steps by name, not %zu", at, again->steps.n, plan->steps.n);
  for (size_t i = 0; i < plan->steps.n && i < again->steps.n; i++)
    CHECK_MSG(again->steps.p[i].task.n_chain == plan->steps.p[i].task.n_chain, "case %d, step %zu: a chain of %u layers by name, not of %u", at, i,
              again->steps.p[i].task.n_chain, plan->steps.p[i].task.n_chain);
  hn_program_destroy(named);
}

/* Whether a chain ran as one step; `parts`: not always the whole chain. */
static bool run_case(hn_graph *g, hn_cpu *cpu, int threads, int at, bool parts) {
  hn_view in = {.dtype = HONE_DTYPE_F32, .rank = 4, .count = 1}, want, got;
  bool chained = false;
  memcpy(in.dims, hn_value_at(g, g->inputs.p[0])->shape.d, sizeof in.dims);
  for (int i = 0; i < 4; i++) in.count *= in.dims[i];
  in.data = hn_malloc_aligned(sizeof(float) * (size_t)in.count);
  for (int64_t i = 0; i < in.count; i++) ((float *)in.data)[i] = (float)(next() % 2001) / 1000.0f - 1.0f;
  hn_plan_options slow = {.threads = 1, .reference = true}, fast = {.device = cpu, .threads = threads, .strips = HN_STRIPS_ALL};
  if (parts) fast.strips_skip = (uint32_t)at % 3, fast.strips_most = (uint32_t)at / 3 % 4;
  else if (at % 2) fast.gap = 5, fast.inputs_as = HN_LAYOUT_NHWC;
  hn_program *a = NULL, *b = NULL;
  hone_status st = hn_program_create(g, &in, &slow, &a);
  if (!st) st = hn_program_create(g, &in, &fast, &b);
  for (size_t i = 0; !st && i < hn_program_plan(b)->steps.n; i++) chained = chained || hn_program_plan(b)->steps.p[i].task.chain;
  if (!st && parts) plan_by_name(g, &in, &fast, hn_program_plan(b), at);
  if (!st) st = hn_program_run(a, &in, &want);
  for (int again = 0; again < 2 && !st; again++) st = hn_program_run(b, &in, &got);
  CHECK_MSG(!st, "case %d: %s", at, hone_context_error(g->cx));
  for (int64_t i = 0; !st && i < want.count; i++) {
    float x = ((const float *)got.data)[i], y = ((const float *)want.data)[i];
    if (close_enough(x, y)) continue;
    char *text = NULL;
    if (hn_graph_print(g, &text)) text = NULL;
    CHECK_MSG(false, "case %d, %s, %d threads: [%lld] is %g, not %g\n%s", at, hn_isa_name(cpu->isa), threads, (long long)i, (double)x,
              (double)y, text ? text : "");
    hn_free(text);
    break;
  }
  hn_program_destroy(a);
  hn_program_destroy(b);
  hn_free_aligned(in.data);
  return chained;
}

/* An element-wise node of factors and additions per channel, bounds and functions, and a convolution behind it. */
static hn_graph *make_prologue(hone_context *cx) {
  static const int64_t some[] = {1, 3, 8, 16, 17, 40};
  static const hn_op affine[] = {HN_Mul, HN_Add, HN_Sub, HN_Div};
  hn_graph *g = hn_graph_create(cx, "prologue");
  int64_t group = next() % 4 ? 1 : 2, c = group * (next() % 2 ? 16 : some[next() % 6] * (group > 1 ? 8 : 1)), out = group * 8 * between(1, 3);
  int64_t d[4] = {between(1, 2), c, between(3, 12), between(3, 12)}, one[3] = {c, 1, 1}, none[3] = {1, 1, 1};
  hn_shape s = hn_shape_of(4, d);
  hn_id x = hn_graph_add_input(g, "x", HONE_DTYPE_F32, &s), in[3] = {x, HN_NONE, HN_NONE}, e;
  if (next() % 4) {
    bool left = next() % 3 == 0;
    in[left] = x;
    in[!left] = constant(g, 3, next() % 4 ? one : none, 1);
    e = hn_graph_add_node(g, left ? affine[next() % 2] : affine[next() % 3], "", in, 2, 1);
    for (int64_t i = between(0, 2); i > 0; i--) hn_add_post(g, e, affine[next() % 3], constant(g, 3, next() % 4 ? one : none, 1), false, 0, 0);
  } else {
    e = hn_graph_add_node(g, HN_Relu, "", in, 1, 1);
  }
  if (next() % 2) hn_add_post(g, e, HN_Relu, HN_NONE, false, 0, 0);
  if (next() % 4 == 0) hn_add_post(g, e, HN_Clip, HN_NONE, false, -0.5f, 0.7f);
  if (next() % 4 == 0) hn_add_post(g, e, HN_Swish, HN_NONE, false, 1, 0);
  int64_t side = next() % 3 ? 1 : 3, stride = between(1, 2), pad = side / 2, w[4] = {out, c / group, side, side};
  hn_id conv[3] = {hn_node_at(g, e)->out[0], constant(g, 4, w, 1.0f / sqrtf((float)(w[1] * side * side))), constant(g, 1, &out, 1)};
  hn_id n = hn_graph_add_node(g, HN_Conv, "", conv, next() % 2 ? 2 : 3, 1);
  hn_set_ints(g, n, "pads", (int64_t[]){pad, pad, pad, pad}, 4);
  hn_set_ints(g, n, "strides", (int64_t[]){stride, stride}, 2);
  hn_set_i(g, n, "group", group);
  if (c == out && stride == 1 && next() % 2) hn_add_post(g, n, HN_Add, x, false, 0, 0);
  if (next() % 2) hn_add_post(g, n, HN_Relu, HN_NONE, false, 0, 0);
  hn_graph_add_output(g, "y", hn_node_at(g, n)->out[0]);
  hone_status st = hn_infer_again(g);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  return g;
}

/* Random graphs on every instruction set; more than one in `least` of them must run as one step. */
static void against_references(hn_graph *(*graph)(hone_context *), uint32_t from, int least, bool parts, const char *what) {
  hone_context *cx;
  CHECK(!hone_context_create(&cx));
  for (int isa = 0; isa <= (int)hn_isa_best(); isa++) {
    hn_cpu *cpu;
    int chained = 0;
    CHECK(!hn_cpu_create(cx, (hn_isa)isa, &cpu));
    cpu->thread_macs = 1;
    seed = from;
    for (int i = 0; i < CASES; i++) {
      hn_graph *g = graph(cx);
      if (g) chained += run_case(g, cpu, 1 + i % 3, i, parts);
      hn_graph_destroy(g);
    }
    CHECK_MSG(chained > CASES / least, "%s: only %d %s", hn_isa_name((hn_isa)isa), chained, what);
    hn_cpu_destroy(cpu);
  }
  hone_context_destroy(&cx);
}

TEST(prologues_against_references) { against_references(make_prologue, 3, 2, false, "convolutions did the layer before them"); }
TEST(chains_against_references) { against_references(make, 7, 3, false, "chains ran as one"); }
TEST(parts_of_chains_against_references) { against_references(make, 13, 6, true, "chains ran in part"); }
