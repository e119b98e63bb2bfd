/* test_turned.c - Transposes that move the channels first or last are views in another layout: what networks with them compute is what the
   references do, and no step moves anything where the layers between want channels last. */
#include <math.h>

#include "harness.h"
#include "op/infer.h"
#include "run/program.h"

static uint32_t seed;
static uint32_t next(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}
static int64_t between(int64_t lo, int64_t hi) { return lo + next() % (uint32_t)(hi - lo + 1); }

static hn_id add_transpose(hn_graph *g, hn_id x, int32_t rank, bool first) {
  int64_t perm[HN_MAX_RANK] = {0};
  for (int32_t i = 1; i < rank; i++) perm[i] = first ? (i == 1 ? rank - 1 : i - 1) : (i == rank - 1 ? 1 : i + 1);
  hn_id n = hn_graph_add_node(g, HN_Transpose, "", &x, 1, 1);
  hn_set_ints(g, n, "perm", perm, (uint32_t)rank);
  return hn_node_at(g, n)->out[0];
}

static hn_id add_conv(hn_graph *g, hn_id x, int64_t from, int64_t to) {
  hn_tensor *w;
  if (hn_tensor_create(g->cx, HONE_DTYPE_F32, 4, (int64_t[]){to, from, 1, 1}, &w)) abort();
  for (int64_t i = 0; i < w->count; i++) ((float *)w->data)[i] = (float)(next() % 2001) / 1000.0f - 1.0f;
  hn_id in[2] = {x, hn_graph_add_constant(g, NULL, w)}, n = hn_graph_add_node(g, HN_Conv, "", in, 2, 1);
  hn_set_ints(g, n, "strides", (int64_t[]){1, 1}, 2);
  hn_set_ints(g, n, "pads", (int64_t[]){0, 0, 0, 0}, 4);
  return hn_node_at(g, n)->out[0];
}

static hn_id add_unary(hn_graph *g, hn_op op, hn_id x) { return hn_node_at(g, hn_graph_add_node(g, op, "", &x, 1, 1))->out[0]; }

/* Channels last at both ends, a layer or none between, and what else may read a turned tensor. */
static hn_graph *make(hone_context *cx, bool *layered) {
  hn_graph *g = hn_graph_create(cx, "turned");
  int32_t rank = next() % 3 ? 4 : (int32_t)between(3, 5);
  int64_t d[HN_MAX_RANK];
  for (int32_t i = 0; i < rank; i++) d[i] = between(1, 7);
  d[rank - 1] = between(1, 20);
  *layered = rank == 4 && d[3] > 4 && next() % 2; /* fewer channels are best read in planes */
  hn_shape s = hn_shape_of(rank, d);
  hn_id x = hn_graph_add_input(g, "x", HONE_DTYPE_F32, &s), turned = add_transpose(g, x, rank, next() % 4 != 0 || *layered), y = turned;
  if (*layered) y = add_conv(g, y, d[3], 16);
  else if (next() % 2) y = add_unary(g, HN_Neg, y);
  if (next() % 3 || *layered) y = add_transpose(g, y, rank, false);
  hn_graph_add_output(g, "y", y);
  if (!*layered && next() % 2) hn_graph_add_output(g, "z", next() % 2 ? add_unary(g, HN_Relu, turned) : add_transpose(g, turned, rank, next() % 2));
  CHECK_MSG(!hn_infer_again(g), "%s", hone_context_error(cx));
  return g;
}

TEST(transposes_of_channels_are_views) {
  hone_context *cx;
  hn_cpu *cpu;
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  for (int c = 0; c < 200; c++) {
    bool layered;
    seed = (uint32_t)c + 1;
    hn_graph *g = make(cx, &layered);
    hn_view in = {.dtype = HONE_DTYPE_F32, .rank = hn_value_at(g, g->inputs.p[0])->shape.rank, .count = 1}, want[2], got[2];
    for (int32_t i = 0; i < in.rank; i++) in.count *= in.dims[i] = hn_value_at(g, g->inputs.p[0])->shape.d[i];
    float *x = hn_malloc_aligned(sizeof *x * (size_t)in.count);
    for (int64_t i = 0; i < in.count; i++) x[i] = (float)(next() % 2001) / 1000.0f - 1.0f;
    in.data = x;
    hn_program *a = NULL, *b = NULL;
    hone_status st = hn_program_create(g, &in, &(hn_plan_options){.threads = 1, .reference = true}, &a);
    if (!st) st = hn_program_create(g, &in, &(hn_plan_options){.threads = 1, .device = cpu}, &b);
    if (!st) st = hn_program_run(a, &in, want);
    if (!st) st = hn_program_run(b, &in, got);
    CHECK_MSG(!st, "case %d: %s", c, hone_context_error(cx));
    for (size_t o = 0; o < g->outputs.n && !st; o++)
      for (int64_t i = 0; i < want[o].count; i++) {
        float p = ((const float *)got[o].data)[i], q = ((const float *)want[o].data)[i];
        if (fabsf(p - q) <= 1e-5f * (1 + fabsf(q))) continue;
        CHECK_MSG(false, "case %d, output %zu: [%lld] is %g, not %g", c, o, (long long)i, (double)p, (double)q);
        break;
      }
    if (layered && !st) CHECK_MSG(hn_program_plan(b)->steps.n == 1, "case %d: %zu steps", c, hn_program_plan(b)->steps.n);
    hn_program_destroy(a);
    hn_program_destroy(b);
    hn_free_aligned(x);
    hn_graph_destroy(g);
  }
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}
