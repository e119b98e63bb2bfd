/* test_forks.c - branches side by side, against the references; which forks are chosen; marks that a file should not have. */
#include <math.h>
#include <string.h>

#include "device/cpu/cpu.h"
#include "harness.h"
#include "op/infer.h"
#include "plan/fork.h"
#include "run/program.h"
#include "run/side.h"

enum { CASES = 40, CHANNELS = 8, SIDE = 9, STEPS = 64 };

static uint32_t seed;
static uint32_t next(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}

static hn_id weights(hn_graph *g, int64_t out, int64_t in, int64_t side) {
  hn_tensor *c;
  int64_t d[4] = {out, in, side, side};
  if (hn_tensor_create(g->cx, HONE_DTYPE_F32, 4, d, &c)) abort();
  for (int64_t i = 0; i < c->count; i++) ((float *)c->data)[i] = (float)(next() % 2001) / 4000.0f - 0.25f;
  return hn_graph_add_constant(g, NULL, c);
}

static hn_id layer(hn_graph *g, hn_id x, int64_t in, int64_t out, bool pool) {
  int64_t side = pool ? 3 : next() % 2 ? 3 : 1;
  hn_id ins[2] = {x, pool ? HN_NONE : weights(g, out, in, side)};
  hn_id n = pool ? hn_graph_add_node(g, HN_MaxPool, "", ins, 1, 1) : hn_graph_add_node(g, HN_Conv, "", ins, 2, 1);
  if (pool) hn_set_ints(g, n, "kernel_shape", (int64_t[]){3, 3}, 2);
  hn_set_ints(g, n, "pads", (int64_t[]){side / 2, side / 2, side / 2, side / 2}, 4);
  if (!pool && next() % 2) hn_add_post(g, n, HN_Relu, HN_NONE, false, 0, 0);
  return hn_node_at(g, n)->out[0];
}

/* As an Inception's: modules of branches, each a few layers, into a Concat or (`outputs`) the outputs. */
static hn_graph *make(hone_context *cx, int modules, int branches) {
  hn_graph *g = hn_graph_create(cx, "branched");
  hn_shape s = hn_shape_of(4, (int64_t[]){1 + next() % 2, CHANNELS, SIDE, SIDE});
  hn_id x = hn_graph_add_input(g, "x", HONE_DTYPE_F32, &s), part[8];
  int64_t channels = CHANNELS;
  for (int m = 0; m < modules; m++) {
    for (int b = 0; b < branches; b++) {
      hn_id at = x;
      int64_t has = channels;
      if (next() % 4 == 0) at = layer(g, at, has, has, true);
      for (uint32_t k = 1 + next() % 3; k > 0; k--, has = CHANNELS) at = layer(g, at, has, CHANNELS, false);
      part[b] = at;
      if (m == modules - 1 && next() % 2) hn_graph_add_output(g, hn_fresh_name(g, "y"), at);
    }
    hn_id n = hn_graph_add_node(g, HN_Concat, "", part, (uint32_t)branches, 1);
    hn_set_i(g, n, "axis", 1);
    x = hn_node_at(g, n)->out[0];
    channels = branches * CHANNELS;
  }
  hn_graph_add_output(g, "out", x);
  hone_status st = g->oom ? HONE_NOMEM : hn_infer_again(g);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  return g;
}

static hn_view image(const hn_graph *g) {
  hn_view v = {.dtype = HONE_DTYPE_F32, .rank = 4, .count = 1};
  memcpy(v.dims, hn_value_at(g, g->inputs.p[0])->shape.d, sizeof v.dims);
  for (int i = 0; i < 4; i++) v.count *= v.dims[i];
  v.data = hn_malloc_aligned(sizeof(float) * (size_t)v.count);
  for (int64_t i = 0; i < v.count; i++) ((float *)v.data)[i] = (float)(next() % 2001) / 1000.0f - 1.0f;
  return v;
}

static void check_lives(const hn_plan *p) {
  for (size_t i = 0; i < p->forks.n; i++) {
    uint32_t first = p->forks.p[i].first, last = first + p->forks.p[i].n - 1;
    for (size_t k = 0; k < p->blocks.n; k++) {
      const hn_block *b = &p->blocks.p[k];
      CHECK(b->first <= first || b->first > last);
      CHECK(b->last < first || b->last >= last);
    }
  }
}

/* Runs both ways; the number of forks. */
static size_t against(hn_graph *g, const hn_plan_options *how, const char *what) {
  const hn_plan_options slow = {.threads = 1, .reference = true};
  hn_view in = image(g), want[16], got[16];
  hn_program *a = NULL, *b = NULL;
  size_t forks = 0;
  hone_status st = hn_program_create(g, &in, &slow, &a);
  if (!st) st = hn_program_create(g, &in, how, &b);
  if (!st) st = hn_program_run(a, &in, want);
  for (int run = 0; run < 3 && !st; run++) {
    st = hn_program_run(b, &in, got);
    for (size_t o = 0; o < g->outputs.n && !st; o++)
      for (int64_t i = 0; i < want[o].count; i++) {
        float x = ((const float *)got[o].data)[i], y = ((const float *)want[o].data)[i];
        if (fabsf(x - y) <= 5e-4f * (1 + fabsf(y))) continue;
        CHECK_MSG(false, "%s: output %zu[%lld] is %g, not %g", what, o, (long long)i, (double)x, (double)y);
        break;
      }
  }
  CHECK_MSG(!st, "%s: %s", what, hone_context_error(g->cx));
  if (!st) forks = hn_program_plan(b)->forks.n;
  if (!st) check_lives(hn_program_plan(b));
  hn_program_destroy(a);
  hn_program_destroy(b);
  hn_free_aligned(in.data);
  return forks;
}

TEST(side_by_side_against_references) {
  hone_context *cx;
  hn_cpu *cpu;
  CHECK(!hone_context_create(&cx));
  CHECK(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  cpu->thread_macs = 1;
  seed = 7;
  size_t forks = 0, alone = 0;
  for (int i = 0; i < CASES; i++) {
    int threads = 1 + i % 4;
    hn_pool *pool = i % 3 && threads > 1 ? hn_pool_create(threads) : NULL;
    char what[64];
    hn_graph *g = make(cx, 1 + i % 3, 2 + i % 4);
    hn_plan_options how = {.device = cpu, .threads = threads, .pool = pool, .forks = HN_FORKS_ALL, .sources = 1U << HN_ORIGIN_HONE,
                           .strips = i % 2 ? HN_STRIPS_NONE : HN_STRIPS_ALL};
    snprintf(what, sizeof what, "case %d, %d threads", i, threads);
    *(threads > 1 ? &forks : &alone) += against(g, &how, what);
    hn_graph_destroy(g);
    hn_pool_destroy(pool);
  }
  CHECK_MSG(forks > CASES / 2, "%zu forks", forks);
  CHECK(!alone);
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}

static void mark(hn_graph *g, uint32_t fork, const uint32_t *branch, size_t n) {
  for (hn_id id = 0; id < g->nodes.n; id++) {
    hn_node_at(g, id)->fork = fork;
    hn_node_at(g, id)->branch = branch[id % n];
  }
}

/* What the marks say is done only where it is so, and with the threads it was found with. */
TEST(marks_are_not_trusted) {
  hone_context *cx;
  hn_cpu *cpu;
  CHECK(!hone_context_create(&cx));
  CHECK(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  seed = 3;
  hn_graph *g = hn_graph_create(cx, "pair");
  hn_shape s = hn_shape_of(4, (int64_t[]){1, CHANNELS, SIDE, SIDE});
  hn_id x = hn_graph_add_input(g, "x", HONE_DTYPE_F32, &s);
  for (int i = 0; i < 2; i++) hn_graph_add_output(g, i ? "b" : "a", layer(g, x, CHANNELS, CHANNELS, false));
  CHECK(!hn_infer_again(g));
  hn_plan_options how = {.device = cpu, .threads = 2, .sources = 1U << HN_ORIGIN_HONE};
  CHECK(against(g, &how, "no marks") == 0);
  mark(g, 1, (uint32_t[]){0, 1}, 2);
  CHECK(against(g, &how, "marks of nobody's threads") == 0);
  hn_forks_note(g, 2);
  CHECK(against(g, &how, "marks") == 1);
  how.threads = 3;
  CHECK(against(g, &how, "other threads") == 0);
  how.threads = 1;
  CHECK(against(g, &how, "one thread") == 0);
  how.threads = 2;
  how.forks = HN_FORKS_NONE;
  CHECK(against(g, &how, "not wanted") == 0);
  how.forks = HN_FORKS_CHOSEN;
  mark(g, 1, (uint32_t[]){0, 0}, 2);
  CHECK(against(g, &how, "one branch") == 0);
  mark(g, 1, (uint32_t[]){0, 4000000000u}, 2);
  CHECK(against(g, &how, "a branch for a thread that is not there") == 0);
  hn_graph_destroy(g);
  g = make(cx, 2, 3);
  hn_forks_note(g, 2);
  mark(g, 5, (uint32_t[]){0, 1}, 2);
  CHECK(against(g, &how, "branches that need one another") == 0);
  hn_graph_destroy(g);
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}

/* Two branches of three layers, of which all but the layers' times are given. */
TEST(choice_follows_times) {
  hone_context *cx;
  hn_cpu *cpu;
  hn_plan *p = NULL;
  hn_mark got[STEPS];
  double one[STEPS], all[STEPS];
  CHECK(!hone_context_create(&cx));
  CHECK(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  hn_graph *g = hn_graph_create(cx, "two");
  hn_shape s = hn_shape_of(4, (int64_t[]){1, CHANNELS, SIDE, SIDE});
  hn_id x = hn_graph_add_input(g, "x", HONE_DTYPE_F32, &s);
  for (int b = 0; b < 2; b++) {
    hn_id at = x;
    for (int i = 0; i < 3; i++) at = layer(g, at, CHANNELS, CHANNELS, false);
    hn_graph_add_output(g, b ? "b" : "a", at);
  }
  CHECK(!hn_infer_again(g));
  hn_plan_options how = {.device = cpu, .threads = 2, .sources = 1U << HN_ORIGIN_HONE, .strips = HN_STRIPS_NONE};
  REQUIRE(!hn_plan_create(g, &how, &p));
  size_t n = p->steps.n, marked = 0;
  REQUIRE(n <= STEPS);
  for (size_t i = 0; i < n; i++) one[i] = p->steps.p[i].node == HN_NONE ? 0 : 2, all[i] = one[i] / 2;
  CHECK(!hn_forks_choose(p, 2, one, all, got)); /* twice as fast on two threads: nothing to gain */
  for (size_t i = 0; i < n; i++) CHECK(!got[i].fork);
  for (size_t i = 0; i < n; i++) all[i] *= 1.2;
  CHECK(!hn_forks_choose(p, 1, one, all, got));
  for (size_t i = 0; i < n; i++) CHECK(!got[i].fork);
  CHECK(!hn_forks_choose(p, 2, one, all, got));
  uint32_t layers[2] = {0};
  for (size_t i = 0; i < n; i++) {
    REQUIRE(got[i].branch < 2);
    marked += got[i].fork == 1;
    layers[got[i].branch] += got[i].fork && p->steps.p[i].node != HN_NONE;
  }
  CHECK_MSG(marked >= 6 && layers[0] == 3 && layers[1] == 3, "%zu steps, %u and %u layers", marked, layers[0], layers[1]);
  hn_plan_destroy(p);
  hn_graph_destroy(g);
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}

static hone_status fail_at_two(void *cx, uint32_t step) {
  return step == 2 ? hn_fail(((hone_context **)cx)[step], HONE_DEVICE, "step two is broken") : HONE_OK;
}

TEST(a_branch_may_fail) {
  hone_context *cx, *of[4];
  CHECK(!hone_context_create(&cx));
  hn_graph *g = hn_graph_create(cx, "none");
  uint32_t lane[4] = {0, 0, 1, 1};
  hn_fork f = {.first = 0, .n = 4, .lanes = 2, .lane = lane};
  hn_plan p = {.g = g};
  p.steps.n = 4;
  p.forks.p = &f;
  p.forks.n = 1;
  hn_side s;
  REQUIRE(!hn_side_create(&p, &s));
  for (uint32_t i = 0; i < 4; i++) of[i] = hn_side_context(&s, &p, i);
  CHECK(of[0] == of[1] && of[2] == of[3] && of[0] != of[2] && hn_side_context(&s, &p, 9) == cx);
  CHECK(hn_side_run(&s, &f, fail_at_two, of) == HONE_DEVICE);
  CHECK(strcmp(hone_context_error(cx), "step two is broken") == 0);
  hn_side_destroy(&s);
  hn_graph_destroy(g);
  hone_context_destroy(&cx);
}
