/* test_assignment.c - labels against all labels. */
#include <math.h>

#include "harness.h"
#include "plan/assignment.h"

enum { VARIABLES = 9, MOST_LABELS = 4 };

static uint32_t seed = 7;
static uint32_t below(uint32_t n) {
  seed = seed * 1664525 + 1013904223;
  return (seed >> 8) % n;
}

static void add(hn_assign *a, uint32_t n, const uint32_t *v, bool walls) {
  double *cost;
  size_t size = 1;
  for (uint32_t i = 0; i < n; i++) size *= a->labels.p[v[i]];
  REQUIRE(!hn_assign_factor(NULL, a, n, v, &cost));
  for (size_t i = 0; i < size; i++) cost[i] = walls && below(5) == 0 ? (double)INFINITY : below(40);
}

/* Costs of each variable, of pairs and of threes; `dense`: of nearly all pairs. */
static void make(hn_assign *a, bool dense, bool walls) {
  uint32_t v, n = 1 + below(VARIABLES);
  REQUIRE(!hn_assign_create(NULL, a));
  for (uint32_t i = 0; i < n; i++) {
    REQUIRE(!hn_assign_variable(NULL, a, 1 + below(MOST_LABELS), &v));
    if (below(4)) add(a, 1, &v, false);
  }
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = i + 1; k < n; k++) {
      if (dense ? below(8) != 0 : below(4) == 0) add(a, 2, (uint32_t[]){i, k}, walls);
      if (k + 1 < n && below(20) == 0) add(a, 3, (uint32_t[]){k, i, n - 1}, walls);
    }
}

static double least(const hn_assign *a) {
  uint32_t label[VARIABLES] = {0};
  double best = INFINITY;
  for (;;) {
    double now = hn_assign_cost(a, label);
    uint32_t i = 0;
    if (now < best) best = now;
    while (i < a->labels.n && ++label[i] == a->labels.p[i]) label[i++] = 0;
    if (i == a->labels.n) return best;
  }
}

static void against_all(bool dense, bool walls, size_t limit) {
  for (int i = 0; i < 200; i++) {
    hn_assign a;
    hn_assign_result r;
    uint32_t label[VARIABLES] = {0};
    make(&a, dense, walls);
    a.limit = limit;
    double start = hn_assign_cost(&a, label), best = least(&a);
    REQUIRE(!hn_assign_solve(NULL, &a, label, &r));
    double got = hn_assign_cost(&a, label);
    CHECK_MSG(got == best || fabs(got - best) < 1e-9, "case %d: %g, the least is %g", i, got, best);
    CHECK_MSG(r.bound <= best + 1e-9 && (r.cost == got || fabs(r.cost - got) < 1e-9), "case %d: bound %g, least %g", i,
              r.bound, best);
    CHECK_MSG(isinf(best) || fabs(r.bound - best) < 1e-9, "case %d: not proven: bound %g, least %g", i, r.bound, best);
    CHECK(got <= start);
    uint32_t reduced = r.reduced[0] + r.reduced[1] + r.reduced[2] + r.reduced[3];
    CHECK_MSG(reduced == a.labels.n, "case %d: %u of %zu variables were eliminated", i, reduced, a.labels.n);
    if (!limit) CHECK(r.split == 0 && r.branches == 1);
    hn_assign_free(&a);
  }
}

TEST(sparse_graphs_are_exact) {
  against_all(false, false, 0);
}
TEST(dense_graphs_are_exact) {
  against_all(true, false, 0);
}
TEST(what_must_not_be_is_kept_apart) {
  against_all(false, true, 0);
}
TEST(tables_that_do_not_fit_are_split_and_branched_on) {
  against_all(true, false, 4);
}
TEST(so_with_walls) {
  against_all(true, true, 8);
}

/* A chain, a ring and a clique: what reduces how. */
TEST(reductions_are_counted) {
  hn_assign a;
  hn_assign_result r;
  uint32_t label[8] = {0}, v;
  REQUIRE(!hn_assign_create(NULL, &a));
  for (int i = 0; i < 6; i++) REQUIRE(!hn_assign_variable(NULL, &a, 2, &v));
  for (uint32_t i = 0; i < 4; i++) add(&a, 2, (uint32_t[]){i, i + 1}, false);
  REQUIRE(!hn_assign_solve(NULL, &a, label, &r));
  CHECK(r.reduced[0] == 2 && r.reduced[1] == 4 && r.reduced[2] == 0);
  add(&a, 2, (uint32_t[]){4, 0}, false);
  REQUIRE(!hn_assign_solve(NULL, &a, label, &r));
  CHECK(r.reduced[0] == 2 && r.reduced[1] == 1 && r.reduced[2] == 3 && r.reduced[3] == 0);
  for (uint32_t i = 0; i < 6; i++)
    for (uint32_t k = i + 1; k < 6; k++) add(&a, 2, (uint32_t[]){i, k}, false);
  REQUIRE(!hn_assign_solve(NULL, &a, label, &r));
  CHECK(r.reduced[3] == 3 && r.reduced[2] == 1 && r.reduced[1] == 1 && r.reduced[0] == 1);
  hn_assign_free(&a);
}

/* A layer in the middle is a little faster in a layout of its own (label 1), but two changes of layout lead there and
   back: what is best for each layer alone is worse for the whole. */
TEST(two_changes_of_layout_for_a_faster_layer_are_not_worth_it) {
  hn_assign a;
  hn_assign_result r;
  uint32_t label[3] = {0, 1, 0}, v;
  double *cost;
  REQUIRE(!hn_assign_create(NULL, &a));
  for (uint32_t i = 0; i < 3; i++) {
    REQUIRE(!hn_assign_variable(NULL, &a, 2, &v) && !hn_assign_factor(NULL, &a, 1, &v, &cost));
    cost[0] = 10;
    cost[1] = i == 1 ? 9 : 12;
  }
  for (uint32_t i = 0; i < 2; i++) {
    REQUIRE(!hn_assign_factor(NULL, &a, 2, (uint32_t[]){i, i + 1}, &cost));
    cost[1] = cost[2] = 2;
  }
  CHECK(hn_assign_cost(&a, label) == 33);
  REQUIRE(!hn_assign_solve(NULL, &a, label, &r));
  CHECK(r.cost == 30 && r.bound == 30 && label[0] == 0 && label[1] == 0 && label[2] == 0);
  hn_assign_free(&a);
}

/* Wide and large: a grid, each variable with its own bias, neighbours that should differ. Not proven, but bounded and
   no worse than where it began. */
TEST(what_is_too_wide_is_bounded) {
  enum { SIDE = 12 };
  hn_assign a;
  hn_assign_result r;
  uint32_t label[SIDE * SIDE] = {0}, v;
  REQUIRE(!hn_assign_create(NULL, &a));
  for (uint32_t i = 0; i < SIDE * SIDE; i++) {
    REQUIRE(!hn_assign_variable(NULL, &a, 4, &v));
    add(&a, 1, &v, false);
  }
  for (uint32_t y = 0; y < SIDE; y++)
    for (uint32_t x = 0; x < SIDE; x++) {
      if (x + 1 < SIDE) add(&a, 2, (uint32_t[]){y * SIDE + x, y * SIDE + x + 1}, false);
      if (y + 1 < SIDE) add(&a, 2, (uint32_t[]){y * SIDE + x, (y + 1) * SIDE + x}, false);
    }
  double start = hn_assign_cost(&a, label);
  a.limit = 256;
  REQUIRE(!hn_assign_solve(NULL, &a, label, &r));
  CHECK(r.split > 0 && r.cost <= start && r.bound <= r.cost && r.bound > 0.8 * r.cost);
  CHECK(fabs(hn_assign_cost(&a, label) - r.cost) < 1e-9);
  hn_assign_free(&a);
}

TEST(an_empty_problem_has_an_answer) {
  hn_assign a;
  hn_assign_result r;
  uint32_t none;
  REQUIRE(!hn_assign_create(NULL, &a));
  CHECK(!hn_assign_solve(NULL, &a, &none, &r) && r.cost == 0 && r.bound == 0);
  hn_assign_free(&a);
}
