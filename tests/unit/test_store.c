/* test_store.c - buffers that sessions of one model share. */
#include "base/alloc.h"
#include "harness.h"
#include "run/model.h"
#include "run/program.h"

TEST(one_buffer_a_key) {
  hn_store *s = hn_store_create();
  bool fresh;
  REQUIRE(s);
  void *a = hn_store_take(s, 7, 100, &fresh);
  CHECK(a && fresh && (uintptr_t)a % 64 == 0);
  CHECK(hn_store_take(s, 7, 100, &fresh) == a && !fresh);
  void *other = hn_store_take(s, 7, 200, &fresh); /* another size is another buffer */
  CHECK(other && other != a && fresh);
  hn_store_drop(s, other);
  hn_store_drop(s, a);
  CHECK(hn_store_take(s, 7, 100, &fresh) == a && !fresh); /* the first use still holds it */
  hn_store_drop(s, a);
  hn_store_drop(s, a);
  CHECK(hn_store_take(s, 7, 100, &fresh) && fresh);
  hn_store_unref(hn_store_ref(s));
  hn_store_unref(s); /* what is still in use goes with the last reference */
}

static uint32_t count_packs(const hn_program *p, const hn_program *q, uint32_t *shared) {
  const hn_plan *a = hn_program_plan(p), *b = hn_program_plan(q);
  uint32_t n = 0;
  for (size_t i = 0; i < a->steps.n && i < b->steps.n; i++)
    for (uint32_t k = 0; k < a->steps.p[i].task.n_packs; k++, n++)
      *shared += k < b->steps.p[i].task.n_packs && a->steps.p[i].task.pack[k].data == b->steps.p[i].task.pack[k].data;
  return n;
}

/* Plans for one shape and for another: the weights are packed once. */
TEST(plans_share_packed_weights) {
  hone_context *cx;
  hone_model *m = NULL;
  hn_cpu *cpu = NULL;
  hn_program *p[3] = {0};
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(!hone_model_load(cx, HONE_SOURCE_DIR "/models/digits.onnx", &m) && !hone_model_optimize(m, NULL));
  REQUIRE(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  hn_plan_options o = {.device = cpu, .threads = 1};
  hn_view in = {.dtype = HONE_DTYPE_F32, .rank = 4, .dims = {1, 1, 28, 28}, .count = 784};
  for (int i = 0; i < 3; i++) {
    if (i == 2) in.dims[0] = 3, in.count = 3 * 784;
    hone_status st = hn_program_create(m->g, &in, &o, &p[i]);
    CHECK_MSG(!st, "%s", hone_context_error(cx));
  }
  uint32_t same = 0, alike = 0;
  uint32_t n = p[0] && p[1] && p[2] ? count_packs(p[0], p[1], &same) : 0;
  if (n) count_packs(p[0], p[2], &alike);
  CHECK_MSG(n > 8 && same == n, "%u of %u packs are shared", same, n);
  CHECK_MSG(alike * 2 > n, "%u of %u packs are shared with another shape", alike, n); /* where oneDNN keeps the form */
  for (int i = 0; i < 3; i++) hn_program_destroy(p[i]);
  hn_cpu_destroy(cpu);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}
