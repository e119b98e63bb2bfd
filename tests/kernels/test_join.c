/* test_join.c - concatenation in place and parts read where they lie, against the references: random graphs in which Concats
   nest, prolong one another, share inputs and are read beside their parts, in every layout, batch and instruction set. */
#include <string.h>

#include "device/cpu/cpu.h"
#include "harness.h"
#include "joined_graphs.h"
#include "plan/place.h"
#include "run/program.h"

enum { CASES = 200 };

typedef struct tally {
  int concats, copied, gaps, offsets;
} tally;

static void count(const hn_program *p, const joined *m, tally *t) {
  const hn_plan *plan = hn_program_plan(p);
  t->concats += m->concats;
  for (size_t i = 0; i < plan->steps.n; i++) t->copied += plan->steps.p[i].task.node && plan->steps.p[i].task.node->op == HN_Concat;
  for (size_t i = 0; i < plan->slots.n; i++) {
    t->gaps += plan->slots.p[i].pitch > 0;
    t->offsets += plan->slots.p[i].offset > 0;
  }
}

static void run_case(const joined *m, const hn_plan_options *how, const char *what, tally *t) {
  hn_view in[2], want[JOINED_VALUES], got[JOINED_VALUES];
  hn_plan_options slow = {.threads = 1, .reference = true};
  hn_program *a = NULL, *b = NULL;
  hone_status st = joined_inputs(m, in);
  if (!st) st = hn_program_create(m->g, in, &slow, &a);
  if (!st) st = hn_program_create(m->g, in, how, &b);
  if (!st) st = hn_program_run(a, in, want);
  for (int again = 0; again < 2 && !st; again++) st = hn_program_run(b, in, got);
  CHECK_MSG(!st, "%s: %s", what, hone_context_error(m->g->cx));
  if (!st) joined_compare(m, got, want, what);
  if (!st) count(b, m, t);
  hn_program_destroy(a);
  hn_program_destroy(b);
  for (size_t k = 0; k < 2; k++) hn_free_aligned(in[k].data);
}

TEST(joined_against_references) {
  hone_context *cx;
  CHECK(!hone_context_create(&cx));
  for (int isa = 0; isa <= (int)hn_isa_best(); isa++) {
    hn_cpu *cpu;
    tally all = {0}, ours = {0};
    CHECK(!hn_cpu_create(cx, (hn_isa)isa, &cpu));
    cpu->thread_macs = 1;
    joined_seed = 11;
    for (int i = 0; i < CASES; i++) {
      joined m;
      char what[96];
      hn_plan_options how = {.device = cpu, .threads = 1 + i % 3, .inputs_as = (hn_layout)(i % HN_LAYOUT_COUNT), .round = (uint32_t)(i / 4 % 3), .bring = (uint32_t)(i / 7 % 3),
                             .strips = i % 5 ? HN_STRIPS_NONE : HN_STRIPS_ALL, .sources = i % 2 ? 1U << HN_ORIGIN_HONE : 0};
      snprintf(what, sizeof what, "case %d, %s, from %s", i, hn_isa_name(cpu->isa), hn_layout_name(how.inputs_as));
      if (joined_make(cx, &m)) run_case(&m, &how, what, i % 2 ? &ours : &all);
      hn_graph_destroy(m.g);
    }
    CHECK_MSG(ours.copied < ours.concats * 2 / 3, "%s: %d of %d Concats copy", hn_isa_name((hn_isa)isa), ours.copied, ours.concats);
    CHECK_MSG(ours.gaps > CASES / 4 && ours.offsets > CASES / 4, "%s: %d tensors with gaps, %d parts", hn_isa_name((hn_isa)isa), ours.gaps, ours.offsets);
    hn_cpu_destroy(cpu);
  }
  hone_context_destroy(&cx);
}

/* Copying stays possible: what timing chooses where writing with gaps is slower. */
TEST(joins_may_be_copied) {
  hone_context *cx;
  hn_cpu *cpu;
  tally t = {0};
  CHECK(!hone_context_create(&cx));
  CHECK(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  joined_seed = 5;
  for (int i = 0; i < 20; i++) {
    joined m;
    hn_plan_options how = {.device = cpu, .threads = 1, .copy_joins = true};
    if (joined_make(cx, &m)) run_case(&m, &how, "copied", &t);
    hn_graph_destroy(m.g);
  }
  CHECK(t.copied > 0 && t.gaps == 0);
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}

/* Parts, and who reads and writes them, on the CPU and a device by turns: a part lies in place only where all is on the CPU. */
TEST(joined_beside_devices) {
  static const char *const rules[] = {"Conv=cpu", "Concat=cpu", "Conv|Concat|MaxPool|AveragePool=cpu", "Concat|Split|Slice|Conv=cpu", "Conv=null", "Relu|Mul|Concat=cpu"};
  enum { RULES = sizeof rules / sizeof *rules };
  hone_context *cx;
  hn_cpu *cpu;
  tally t = {0};
  CHECK(!hone_context_create(&cx));
  CHECK(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  joined_seed = 23;
  for (int i = 0; i < 6 * RULES; i++) {
    joined m;
    hn_place *place = NULL;
    REQUIRE(!hn_place_create(cx, "null", &rules[i % RULES], 1, &place));
    hn_plan_options how = {.device = cpu, .threads = 1 + i % 2, .place = place};
    if (joined_make(cx, &m)) run_case(&m, &how, rules[i % RULES], &t);
    hn_graph_destroy(m.g);
    hn_place_destroy(place);
  }
  CHECK_MSG(t.gaps > 0 && t.copied > 0, "%d tensors with gaps, %d copied", t.gaps, t.copied);
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}
