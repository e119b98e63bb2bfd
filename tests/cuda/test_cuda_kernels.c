/* test_cuda_kernels.c - every row of the CUDA device's kernels.def against the CPU's reference of its operator: random shapes,
   attributes and types, plain and channels last. Runs on whatever libhone-cuda.so is found: the one emulated on the CPU, or a
   GPU's. */
#include <stdlib.h>
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/device.h"
#include "kernel_cases.h"
#include "op/infer.h"
#include "plan/place.h"

enum { CASES = 40 };

static bool used(const hn_program *p, const char *name) {
  const hn_plan *plan = hn_program_plan(p);
  for (size_t i = 0; i < plan->steps.n; i++)
    if (plan->steps.p[i].task.kernel && strcmp(plan->steps.p[i].task.kernel->name, name) == 0) return true;
  return false;
}

/* As timing would choose it for the node: the kernel's variant, counted from 0. */
static void choose(trial *t, const hn_kernel *k, uint32_t variant, char *tactic, size_t size) {
  snprintf(tactic, size, variant ? "%s#%u" : "%s", k->name, variant + 1);
  for (size_t i = 0; i < t->g->nodes.n; i++)
    if (strcmp(t->g->nodes.p[i].name, "case") == 0) t->g->nodes.p[i].tactic = tactic;
}

static bool used_tactic(const hn_program *p, const char *tactic) {
  const hn_plan *plan = hn_program_plan(p);
  for (size_t i = 0; i < plan->steps.n; i++)
    if (strcmp(hn_planned_tactic(&plan->steps.p[i]), tactic) == 0) return true;
  return false;
}

static int variants_used; /* by the kernel being tried, of those behind the first */

/* 1: the kernel took the case; 0: it did not; -1: a failure was reported. */
static int run_trial(trial *t, const hn_kernel *k, hn_cpu *cpu, const hn_place *place, hn_layout layout, uint32_t at) {
  hn_view in[MAX_VIEWS] = {{0}}, want[4], got[4];
  char what[128], tactic[96];
  if (k->variants) choose(t, k, at / 2 % k->variants, tactic, sizeof tactic);
  snprintf(what, sizeof what, "%s (%s) from %s", k->name, hn_op_name(k->op), hn_layout_name(layout));
  if (getenv("HONE_TEST_SHOW")) fprintf(stderr, "%s, case %u\n", what, at);
  make_inputs(t, in);
  hn_plan_options slow = {.threads = 1, .reference = true};
  hn_plan_options fast = {.device = cpu, .threads = 1, .only = k, .inputs_as = layout, .place = place};
  hn_program *reference = NULL, *tried = NULL;
  int result = -1;
  hone_status st = hn_program_create(t->g, in, &slow, &reference);
  if (!st) st = hn_program_create(t->g, in, &fast, &tried);
  CHECK_MSG(!st, "%s, case %u: %s", what, at, hone_context_error(t->cx));
  if (!st && !used(tried, k->name)) result = 0;
  else if (!st) {
    st = hn_program_run(reference, in, want);
    for (int again = 0; again < 2 && !st; again++) st = hn_program_run(tried, in, got); /* twice: nothing may be left over */
    CHECK_MSG(!st, "%s, case %u: %s", what, at, hone_context_error(t->cx));
    variants_used += k->variants && strchr(tactic, '#') && used_tactic(tried, tactic);
    if (!st) result = compare(t, want, got, what, at) ? -1 : 1;
  }
  hn_program_destroy(reference);
  hn_program_destroy(tried);
  free_inputs(t, in);
  return result;
}

/* Quantized, in 16 bits, or neither. */
static void choose_types(trial *t, uint32_t at) {
  t->quantized = at % 4 == 3 && quantizable(t->op);
  t->scales = t->op == HN_QuantizeLinear || t->op == HN_DequantizeLinear;
  if (t->op == HN_Cast) t->half = at % 2 ? HONE_DTYPE_BF16 : HONE_DTYPE_F16;
  else if (!t->quantized && at % 4 == 2) t->half = at % 8 == 2 ? HONE_DTYPE_BF16 : HONE_DTYPE_F16;
}

static void test_kernel(const hn_kernel *k, hn_cpu *cpu, const hn_place *place, hone_context *cx, hn_layout layout) {
  const char *wanted = getenv("HONE_TEST_KERNEL"), *op = getenv("HONE_TEST_OP"); /* one of them alone */
  int taken = 0, made = 0, quantized = 0;
  if ((wanted && strcmp(wanted, k->name)) || (op && strcmp(op, hn_op_name(k->op)))) return;
  variants_used = 0;
  uint32_t cases = layout > HN_LAYOUT_NHWC ? CASES / 4 : CASES; /* blocks of channels only come from the CPU */
  for (uint32_t at = 0; at < cases; at++) {
    case_seed(at * 7919u + (uint32_t)k->op * 104729u + (uint32_t)layout * 31u);
    trial t = {.cx = cx, .op = k->op, .step = 0.125f};
    choose_types(&t, at);
    t.g = hn_graph_create(cx, "case");
    REQUIRE(t.g);
    bool ok = false;
    if (at % 2 || !generate_more(&t, &ok)) ok = generate(&t);
    ok = ok && !t.g->oom && !hn_infer_graph(t.g);
    int r = ok ? run_trial(&t, k, cpu, place, layout, at) : 0;
    made += ok;
    taken += r > 0;
    quantized += r > 0 && t.quantized;
    hn_graph_destroy(t.g);
    if (r < 0) break;
  }
  CHECK_MSG(made > 0, "%s: there is no generator for %s", k->name, hn_op_name(k->op));
  if (layout == HN_LAYOUT_PLAIN && k->variants) CHECK_MSG(variants_used > 0, "%s (%s) was done in its first way alone", k->name, hn_op_name(k->op));
  bool reals = quantizable(k->op) && !works_by_rows(k->op) && strcmp(k->name, "reduce_cuda") != 0; /* pool_cuda averages integers */
  if (layout == HN_LAYOUT_PLAIN && reals) CHECK_MSG(quantized > 0, "%s (%s) took no integers in the place of reals", k->name, hn_op_name(k->op));
  if (layout == HN_LAYOUT_PLAIN) CHECK_MSG(taken > 0, "%s (%s) took none of the cases", k->name, hn_op_name(k->op));
  if (wanted || op) printf("%s (%s) from %s: took %d of %d cases, %d of them quantized\n", k->name, hn_op_name(k->op), hn_layout_name(layout), taken, made, quantized);
}

TEST(every_kernel_agrees_with_the_reference_of_its_operator) {
  hone_context *cx;
  hn_device *device;
  hn_cpu *cpu;
  hn_place *place;
  REQUIRE(!hone_context_create(&cx));
  if (hn_device_open(cx, "cuda", &device)) {
    printf("skipped: %s\n", hone_context_error(cx));
    exit(77);
  }
  REQUIRE(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  for (uint32_t i = 0; device->kind->kernel_at(i); i++) {
    const hn_kernel *k = device->kind->kernel_at(i);
    char rule[96];
    snprintf(rule, sizeof rule, "^%s$=cuda", hn_op_name(k->op));
    REQUIRE(!hn_place_create(cx, "cuda:check=1", (const char *const[]){rule, ".=cpu"}, 2, &place));
    for (int l = HN_LAYOUT_PLAIN; l <= HN_LAYOUT_C16; l++) test_kernel(k, cpu, place, cx, (hn_layout)l);
    hn_place_destroy(place);
  }
  hn_device_close(device);
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}

/* An index that is out of range is an error of the run, names its node, and leaves the device usable. */
TEST(an_index_out_of_range_is_reported) {
  hone_context *cx;
  hn_place *place;
  hn_cpu *cpu;
  hn_program *p;
  hn_view out[1];
  int64_t d[2] = {4, 3}, n = 2, bad[2] = {1, 4}, good[2] = {-4, 3};
  float table[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  REQUIRE(!hone_context_create(&cx));
  if (hn_place_create(cx, "cuda", (const char *const[]){".=cuda"}, 1, &place)) SKIP(hone_context_error(cx));
  REQUIRE(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  hn_graph *g = hn_graph_create(cx, "case");
  hn_shape sd = hn_shape_of(2, d), sn = hn_shape_of(1, &n);
  hn_id in[2] = {hn_graph_add_input(g, "table", HONE_DTYPE_F32, &sd), hn_graph_add_input(g, "at", HONE_DTYPE_I64, &sn)};
  hn_graph_add_output(g, "y", hn_node_at(g, hn_graph_add_node(g, HN_Gather, "pick", in, 2, 1))->out[0]);
  REQUIRE(!hn_infer_graph(g));
  hn_view views[2] = {{.data = table, .dtype = HONE_DTYPE_F32, .rank = 2, .dims = {4, 3}, .count = 12},
                      {.data = bad, .dtype = HONE_DTYPE_I64, .rank = 1, .dims = {2}, .count = 2}};
  REQUIRE(!hn_program_create(g, views, &(hn_plan_options){.device = cpu, .threads = 1, .place = place}, &p));
  CHECK(hn_program_run(p, views, out) == HONE_BAD_GRAPH);
  CHECK_MSG(strstr(hone_context_error(cx), "node 'pick' (Gather): an index is out of range"), "%s", hone_context_error(cx));
  views[1].data = good;
  REQUIRE(!hn_program_run(p, views, out));
  const float *y = out[0].data;
  CHECK(y[0] == 0 && y[2] == 2 && y[3] == 9 && y[5] == 11);
  hn_program_destroy(p);
  hn_graph_destroy(g);
  hn_place_destroy(place);
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}
