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

/* 1: the kernel took the case; 0: it did not; -1: a failure was reported. */
static int run_trial(trial *t, const hn_kernel *k, hn_cpu *cpu, const hn_place *place, hn_layout layout, uint32_t at) {
  hn_view in[MAX_VIEWS] = {{0}}, want[4], got[4];
  char what[128];
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
  if (t->op == HN_Cast) t->half = at % 2 ? HONE_DTYPE_BF16 : HONE_DTYPE_F16;
  else if (!t->quantized && at % 4 == 2) t->half = at % 8 == 2 ? HONE_DTYPE_BF16 : HONE_DTYPE_F16;
}

static void test_kernel(const hn_kernel *k, hn_cpu *cpu, const hn_place *place, hone_context *cx, hn_layout layout) {
  const char *wanted = getenv("HONE_TEST_KERNEL"), *op = getenv("HONE_TEST_OP"); /* one of them alone */
  int taken = 0, made = 0;
  if ((wanted && strcmp(wanted, k->name)) || (op && strcmp(op, hn_op_name(k->op)))) return;
  for (uint32_t at = 0; at < CASES; at++) {
    case_seed(at * 7919u + (uint32_t)k->op * 104729u + (uint32_t)layout * 31u);
    trial t = {.cx = cx, .op = k->op, .step = 0.125f};
    choose_types(&t, at);
    t.g = hn_graph_create(cx, "case");
    REQUIRE(t.g);
    bool ok = generate(&t) && !t.g->oom && !hn_infer_graph(t.g);
    int r = ok ? run_trial(&t, k, cpu, place, layout, at) : 0;
    made += ok;
    taken += r > 0;
    hn_graph_destroy(t.g);
    if (r < 0) break;
  }
  CHECK_MSG(made > 0, "%s: there is no generator for %s", k->name, hn_op_name(k->op));
  if (layout == HN_LAYOUT_PLAIN) CHECK_MSG(taken > 0, "%s (%s) took none of the cases", k->name, hn_op_name(k->op));
  if (wanted || op) printf("%s (%s) from %s: took %d of %d cases\n", k->name, hn_op_name(k->op), hn_layout_name(layout), taken, made);
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
