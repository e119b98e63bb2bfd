/* both_ways.h - a graph run by the references and by the kernels, for tests that hold one against the other. */
#ifndef HN_BOTH_WAYS_H
#define HN_BOTH_WAYS_H
#include <math.h>

#include "base/isa.h"
#include "device/cpu/cpu.h"
#include "harness.h"
#include "ir/graph.h"
#include "run/program.h"

typedef struct both_ways {
  hone_context *cx;
  hn_graph *g;
  hn_cpu *cpu;
  hn_program *plain, *slow, *fast;
  hn_view real, want[2], got[2]; /* output 0 before the graph was changed; all outputs */
  uint32_t sources; /* of the kernels: bits 1 << hn_origin; 0: all */
} both_ways;

static inline bool both_open(both_ways *b, const char *text) {
  *b = (both_ways){0};
  return !hone_context_create(&b->cx) && !hn_graph_parse(b->cx, text, &b->g) && !hn_cpu_create(b->cx, hn_isa_best(), &b->cpu);
}

/* The graph as it is now, by the references. */
static inline bool both_keep(both_ways *b, const hn_view *in) {
  hn_plan_options references = {.threads = 1, .reference = true};
  return !hn_program_create(b->g, in, &references, &b->plain) && !hn_program_run(b->plain, in, &b->real);
}

/* Square error of output 0 against what both_keep() kept, as a part of its square. */
static inline double both_noise(const both_ways *b) {
  double noise = 0, norm = 0;
  CHECK(b->real.count == b->got[0].count && b->got[0].dtype == HONE_DTYPE_F32);
  for (int64_t i = 0; i < b->real.count && i < b->got[0].count; i++) {
    double got = (double)((const float *)b->got[0].data)[i], real = (double)((const float *)b->real.data)[i];
    noise += (got - real) * (got - real);
    norm += real * real;
  }
  return noise / norm;
}

static inline bool both_run(both_ways *b, const hn_view *in, bool keep_all) {
  hn_plan_options references = {.threads = 1, .reference = true, .keep_all = keep_all};
  hn_plan_options kernels = {.device = b->cpu, .threads = 1, .keep_all = keep_all, .sources = b->sources};
  return !hn_program_create(b->g, in, &references, &b->slow) && !hn_program_create(b->g, in, &kernels, &b->fast) &&
         !hn_program_run(b->slow, in, b->want) && !hn_program_run(b->fast, in, b->got);
}

/* Of output o, no number is further apart than `near` and a part of its size; the largest one. */
static inline float both_near(const both_ways *b, int o, float near, float part) {
  float most = 0;
  CHECK(b->want[o].count == b->got[o].count && b->got[o].dtype == HONE_DTYPE_F32);
  for (int64_t i = 0; i < b->want[o].count && i < b->got[o].count; i++) {
    float got = ((const float *)b->got[o].data)[i], want = ((const float *)b->want[o].data)[i];
    most = fmaxf(most, fabsf(want));
    CHECK_MSG(fabsf(got - want) <= near + part * fabsf(want), "output %d [%lld] is %g, not %g", o, (long long)i, (double)got, (double)want);
  }
  return most;
}

static inline const hn_task *both_step(const both_ways *b, const char *layer) {
  const hn_plan *plan = hn_program_plan(b->fast);
  for (size_t i = 0; i < plan->steps.n; i++)
    if (plan->steps.p[i].task.node && strcmp(plan->steps.p[i].task.node->name, layer) == 0) return &plan->steps.p[i].task;
  return NULL;
}

static inline bool both_runs(const both_ways *b, const char *layer, const char *kernel) {
  const hn_task *t = both_step(b, layer);
  return t && strcmp(t->kernel->name, kernel) == 0;
}

static inline void both_close(both_ways *b) {
  hn_program_destroy(b->plain);
  hn_program_destroy(b->slow);
  hn_program_destroy(b->fast);
  hn_cpu_destroy(b->cpu);
  hn_graph_destroy(b->g);
  hone_context_destroy(&b->cx);
}

/* Numbers from -1 to 1, kept in x. */
static inline hn_view both_input(float *x, int32_t rank, const int64_t *dims) {
  hn_view v = {.dtype = HONE_DTYPE_F32, .rank = rank, .count = 1, .data = x};
  for (int32_t i = 0; i < rank; i++) v.count *= v.dims[i] = dims[i];
  for (int64_t i = 0; i < v.count; i++) x[i] = (float)(i * 37 % 101) / 50 - 1;
  return v;
}
#endif
