/* test_tune.c - kernels and layouts over a graph: random graphs tuned, run against the references and tuned again from
   the cache; a graph whose times are written down, where the best layer by layer is not the best of all. */
#include <math.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "device/cpu/cpu.h"
#include "harness.h"
#include "joined_graphs.h"
#include "op/infer.h"
#include "run/tune.h"

enum { CASES = 40 };

typedef struct fixture {
  hone_context *cx;
  hn_cpu *cpu;
  char cache[64];
} fixture;

static bool open_fixture(fixture *f) {
  strcpy(f->cache, "/tmp/test_tune_XXXXXX");
  int file = mkstemp(f->cache);
  if (file < 0) return false;
  close(file);
  unlink(f->cache);
  return !hone_context_create(&f->cx) && !hn_cpu_create(f->cx, hn_isa_best(), &f->cpu);
}

static void close_fixture(fixture *f) {
  unlink(f->cache);
  hn_cpu_destroy(f->cpu);
  hone_context_destroy(&f->cx);
}

static hone_status tune(fixture *f, hn_graph *g, const hn_view *in, int effort, hone_tune_result *r) {
  hone_tune_options how;
  hone_tune_options_init(&how);
  how.cache = f->cache;
  how.effort = effort;
  how.runs = 2;
  return hn_tune(g, in, &(hn_plan_options){.device = f->cpu, .threads = 1}, &how, r);
}

/* Of Concats within Concats the model knows no more than that a block has begun, so that a plan may come out otherwise.
 */
static void check_result(const hone_tune_result *r, int i, int *exact) {
  const double rounded = 1 + 1e-9;
  CHECK_MSG(r->assigned_layers > 0, "case %d: nothing was assigned", i);
  CHECK_MSG(r->bound_ms <= r->single_ms * rounded && r->bound_ms <= r->assigned_ms * rounded,
            "case %d: bound %g, layer by layer %g, assigned %g", i, r->bound_ms, r->single_ms, r->assigned_ms);
  *exact += isfinite(r->single_ms) && r->assigned_ms <= r->bound_ms * 1.0001;
}

static void run_against_reference(fixture *f, const joined *m, const hn_view *in, const char *what) {
  hn_view want[JOINED_VALUES], got[JOINED_VALUES];
  hn_program *a = NULL, *b = NULL;
  hone_status st = hn_program_create(m->g, in, &(hn_plan_options){.threads = 1, .reference = true}, &a);
  if (!st) st = hn_program_create(m->g, in, &(hn_plan_options){.device = f->cpu, .threads = 1}, &b);
  if (!st) st = hn_program_run(a, in, want);
  for (int again = 0; again < 2 && !st; again++) st = hn_program_run(b, in, got);
  CHECK_MSG(!st, "%s: %s", what, hone_context_error(f->cx));
  if (!st) joined_compare(m, got, want, what);
  hn_program_destroy(a);
  hn_program_destroy(b);
}

TEST(random_graphs_are_tuned_alike_from_the_cache) {
  fixture f;
  int exact = 0;
  REQUIRE(open_fixture(&f));
  joined_seed = 3;
  for (int i = 0; i < CASES; i++) {
    joined m;
    hn_view in[2];
    char what[32];
    const char *tactic[2 * JOINED_VALUES];
    hone_tune_result first, second;
    snprintf(what, sizeof what, "case %d", i);
    if (joined_make(f.cx, &m) && !joined_inputs(&m, in)) {
      int effort = 1 + i % 2;
      CHECK_MSG(!tune(&f, m.g, in, effort, &first), "%s: %s", what, hone_context_error(f.cx));
      check_result(&first, i, &exact);
      for (hn_id id = 0; id < m.g->nodes.n && id < 2 * JOINED_VALUES; id++) tactic[id] = hn_node_at(m.g, id)->tactic;
      run_against_reference(&f, &m, in, what);
      CHECK_MSG(!tune(&f, m.g, in, effort, &second), "%s: %s", what, hone_context_error(f.cx));
      CHECK_MSG(!second.measured, "%s: %u times measured again", what, second.measured);
      CHECK_MSG(first.assigned_ms == second.assigned_ms && first.assigned_ratio == second.assigned_ratio,
                "%s: another choice", what);
      for (hn_id id = 0; id < m.g->nodes.n && id < 2 * JOINED_VALUES; id++)
        CHECK_MSG(hn_streq(tactic[id], hn_node_at(m.g, id)->tactic), "%s, node %u: %s, then %s", what, id,
                  tactic[id] ? tactic[id] : "-", hn_node_at(m.g, id)->tactic ? hn_node_at(m.g, id)->tactic : "-");
      for (int k = 0; k < 2; k++) hn_free_aligned(in[k].data);
    }
    hn_graph_destroy(m.g);
  }
  CHECK_MSG(exact >= CASES * 3 / 4, "%d of %d plans came out as they were assigned", exact, CASES);
  close_fixture(&f);
}

/* ------------------------------------------------------------------------------ times that are written down */

/* The microseconds of rows in which both texts are. */
static hone_status rewrite(fixture *f, const char *a, const char *b, const char *us, int *changed) {
  hn_mapping *m;
  hn_str s = {0};
  HN_TRY(hn_map_file(f->cx, f->cache, &m));
  const char *p = hn_mapping_data(m), *end = p + hn_mapping_size(m);
  while (p < end) {
    const char *next = memchr(p, '\n', (size_t)(end - p));
    char line[2048];
    snprintf(line, sizeof line, "%.*s", (int)(next ? next - p : end - p), p);
    char *last = strrchr(line, '\t');
    bool hit = last && strstr(line, a) && strstr(line, b);
    if (hit) *last = 0, ++*changed;
    hn_str_printf(&s, hit ? "%s\t%s\n" : "%s\n", line, us);
    p = next ? next + 1 : end;
  }
  hn_mapping_unref(m);
  FILE *out = fopen(f->cache, "w");
  if (!out || s.failed || fwrite(s.p, 1, s.n, out) != s.n) abort();
  fclose(out);
  hn_str_free(&s);
  return HONE_OK;
}

static hn_id weights(hn_graph *g, int64_t out, int64_t in) {
  hn_tensor *c;
  if (hn_tensor_create(g->cx, HONE_DTYPE_F32, 4, (int64_t[]){out, in, 1, 1}, &c)) abort();
  for (int64_t i = 0; i < c->count; i++) ((float *)c->data)[i] = (float)((i * 7) % 11) / 11 - 0.5f;
  return hn_graph_add_constant(g, NULL, c);
}

/* A convolution, Softplus (one kernel, that takes any layout), a convolution; two readers in between. */
static void make_three(fixture *f, joined *m) {
  int64_t d[4] = {1, 16, 12, 12};
  hn_shape s = hn_shape_of(4, d);
  *m = (joined){.g = hn_graph_create(f->cx, "three"), .rank = 4, .axis = 1};
  for (int k = 0; k < 2; k++) m->value[k] = hn_graph_add_input(m->g, k ? "unused" : "x", HONE_DTYPE_F32, &s);
  hn_id in[2] = {m->value[0], weights(m->g, 16, 16)};
  in[0] = hn_node_at(m->g, hn_graph_add_node(m->g, HN_Conv, "first", in, 2, 1))->out[0];
  in[0] = hn_node_at(m->g, hn_graph_add_node(m->g, HN_Softplus, "middle", in, 1, 1))->out[0];
  in[1] = weights(m->g, 16, 16);
  hn_graph_add_output(m->g, "y", hn_node_at(m->g, hn_graph_add_node(m->g, HN_Conv, "last", in, 2, 1))->out[0]);
  hn_graph_add_output(m->g, "z", m->value[1]);
  CHECK(!m->g->oom && !hn_infer_again(m->g));
}

/* Softplus is faster row-major; whether that is worth two changes of layout is for them to say. */
static void with_reorders_at(fixture *f, joined *m, const hn_view *in, const char *us, bool worth) {
  hone_tune_result r;
  int rows = 0, moves = 0, ratios = 0;
  CHECK(!tune(f, m->g, in, 1, &r));
  CHECK(!rewrite(f, "eltwise_vec plain>plain", "Softplus", "1.000", &rows) &&
        !rewrite(f, "eltwise_vec nhwc>nhwc", "Softplus", "5.000", &rows));
  CHECK_MSG(rows == 2, "%d rows of Softplus by layout", rows);
  CHECK(!rewrite(f, "Reorder f32[1,16,12,12]", ">", us, &moves) && moves >= 2);
  CHECK(!tune(f, m->g, in, 1, &r)); /* measures the new plan, if it is one, by turns */
  CHECK(!rewrite(f, "by turns with", "plan of", "500000.000", &ratios));
  CHECK(!tune(f, m->g, in, 1, &r));
  const char *middle = hn_node_at(m->g, 1)->tactic;
  CHECK_MSG(middle && hn_streq(middle, "eltwise_vec@plain") == worth, "changes of layout at %s us: %s", us,
            middle ? middle : "-");
  CHECK_MSG(r.assigned_ms <= r.bound_ms * 1.0001, "planned for %g, came out as %g", r.bound_ms, r.assigned_ms);
  CHECK(r.assigned_ms <= r.single_ms && (!worth || (r.assigned_ms < r.single_ms && r.assigned_ratio == 0.5)));
  run_against_reference(f, m, in, us);
}

TEST(a_faster_layer_is_weighed_against_its_changes_of_layout) {
  fixture f;
  joined m;
  hn_view in[2];
  REQUIRE(open_fixture(&f));
  make_three(&f, &m);
  REQUIRE(!joined_inputs(&m, in));
  with_reorders_at(&f, &m, in, "100.000", false);
  with_reorders_at(&f, &m, in, "0.100", true);
  for (int k = 0; k < 2; k++) hn_free_aligned(in[k].data);
  hn_graph_destroy(m.g);
  close_fixture(&f);
}
