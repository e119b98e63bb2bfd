/* test_partition.c - assignments against all assignments. */
#include <math.h>

#include "harness.h"
#include "plan/partition.h"

enum { NODES = 8, VALUES = 8, READERS = 3 };

typedef struct sample {
  hn_part_problem p;
  double cost[NODES * HN_MAX_DEVICES];
  hn_part_value values[VALUES];
  uint32_t readers[VALUES][READERS];
} sample;

static uint32_t seed = 1;
static uint32_t below(uint32_t n) {
  seed = seed * 1664525 + 1013904223;
  return (seed >> 8) % n;
}

/* Values made by a node are read by later ones; as a tree: each node reads one value, of an earlier node. */
static void make(sample *s, uint32_t devices, bool tree) {
  memset(s, 0, sizeof *s);
  s->p = (hn_part_problem){.n_nodes = 1 + below(NODES), .n_devices = devices, .cost = s->cost, .values = s->values};
  for (uint32_t i = 0; i < s->p.n_nodes * devices; i++) s->cost[i] = i % devices && below(8) == 0 ? (double)INFINITY : 1.0 + below(20);
  for (uint32_t i = 0; i < s->p.n_nodes && s->p.n_values < VALUES; i++) {
    hn_part_value *v = &s->values[s->p.n_values];
    v->producer = tree || below(4) ? i : HN_NONE;
    v->readers = s->readers[s->p.n_values];
    v->wanted_on_host = below(3) == 0;
    for (uint32_t d = 1; d < devices; d++) v->seconds[d] = 0.5 * (1 + below(12));
    for (uint32_t r = i + 1; r < s->p.n_nodes && v->n_readers < READERS; r++) {
      bool taken = below(2);
      for (uint32_t k = 0; tree && k < s->p.n_values; k++)
        for (uint32_t m = 0; m < s->values[k].n_readers; m++) taken |= s->readers[k][m] == r;
      if (!taken) s->readers[s->p.n_values][v->n_readers++] = r;
    }
    s->p.n_values++;
  }
}

static double least(const sample *s) {
  uint8_t of_node[NODES] = {0};
  double best = INFINITY;
  for (;;) {
    double now = hn_partition_cost(&s->p, of_node);
    uint32_t i = 0;
    if (now < best) best = now;
    while (i < s->p.n_nodes && ++of_node[i] == s->p.n_devices) of_node[i++] = 0;
    if (i == s->p.n_nodes) return best;
  }
}

static void against_all(uint32_t devices, bool tree) {
  sample s;
  uint8_t of_node[NODES];
  for (int i = 0; i < 300; i++) {
    make(&s, devices, tree);
    REQUIRE(!hn_partition(NULL, &s.p, of_node));
    double got = hn_partition_cost(&s.p, of_node), best = least(&s);
    CHECK_MSG(fabs(got - best) < 1e-9, "case %d: %g, the least is %g", i, got, best);
  }
}

TEST(trees_are_exact_on_two_devices) { against_all(2, true); }
TEST(trees_are_exact_on_three_devices) { against_all(3, true); }
TEST(graphs_are_exact_on_two_devices) { against_all(2, false); }
TEST(graphs_are_exact_on_three_devices) { against_all(3, false); }

/* Two devices solved by a cut come out as by labels. */
TEST(both_ways_agree) {
  sample s;
  uint8_t a[NODES], b[NODES];
  double bound;
  for (int i = 0; i < 200; i++) {
    make(&s, 2, i % 2);
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    REQUIRE(!hn_partition_label(NULL, &s.p, a, &bound) && !hn_partition_cut(NULL, &s.p, 0, 1, b));
    CHECK(fabs(hn_partition_cost(&s.p, a) - hn_partition_cost(&s.p, b)) < 1e-9);
    CHECK(fabs(hn_partition_cost(&s.p, a) - bound) < 1e-9);
  }
}

TEST(small_segments_stay_on_the_host) {
  sample s;
  uint8_t of_node[NODES];
  for (int i = 0; i < 200; i++) {
    make(&s, 2, true);
    s.p.min_segment = NODES + 1;
    REQUIRE(!hn_partition(NULL, &s.p, of_node));
    for (uint32_t k = 0; k < s.p.n_nodes; k++) CHECK(of_node[k] == HN_HOST);
  }
}

TEST(an_empty_problem_has_an_answer) {
  hn_part_problem p = {.n_devices = 2};
  uint8_t none;
  CHECK(hn_partition(NULL, &p, &none) == HONE_OK);
}

/* Two steps of 2 s on the device or 4 s on the host; what they give is wanted on the host, and takes 3 s and 1.5 s to copy. */
static hn_part_problem two_steps(double *cost, hn_part_value *values, uint32_t *reader) {
  const double seconds[] = {4, 2, 4, 2};
  memcpy(cost, seconds, sizeof seconds);
  *reader = 1;
  values[0] = (hn_part_value){.producer = 0, .readers = reader, .n_readers = 1, .wanted_on_host = true, .seconds = {0, 3}};
  values[1] = (hn_part_value){.producer = 1, .wanted_on_host = true, .seconds = {0, 1.5}};
  return (hn_part_problem){.n_nodes = 2, .n_values = 2, .n_devices = 2, .cost = cost, .values = values};
}

static double length(const hn_part_problem *p, const uint8_t *of_node) {
  double seconds = -1;
  CHECK(!hn_partition_length(NULL, p, of_node, &seconds));
  return seconds;
}

TEST(copies_go_on_beside_steps) {
  double cost[4];
  hn_part_value values[2];
  uint32_t reader;
  hn_part_problem p = two_steps(cost, values, &reader);
  CHECK(fabs(length(&p, (uint8_t[]){0, 0}) - 8) < 1e-9);
  CHECK(fabs(length(&p, (uint8_t[]){1, 1}) - 6.5) < 1e-9); /* steps 0..2..4, copies 2..5..6.5 */
  CHECK(fabs(length(&p, (uint8_t[]){1, 0}) - 9) < 1e-9);   /* the second step waits for the copy */
  CHECK(fabs(length(&p, (uint8_t[]){0, 1}) - 10.5) < 1e-9);
  values[0].n_readers = 0; /* nor for the first step; but the host gives out no work meanwhile */
  CHECK(fabs(length(&p, (uint8_t[]){1, 0}) - 5) < 1e-9);
  CHECK(fabs(length(&p, (uint8_t[]){0, 1}) - 7.5) < 1e-9);
  p.order = (const uint32_t[]){1, 0};
  p.n_order = 2;
  CHECK(fabs(length(&p, (uint8_t[]){0, 1}) - 4) < 1e-9);
}

TEST(inputs_are_copied_when_they_are_read_first) {
  const double cost[] = {2, 9, 9, 1};
  const uint32_t readers[] = {1, 0};
  const hn_part_value input = {.producer = HN_NONE, .readers = readers, .n_readers = 2, .seconds = {0, 3}};
  hn_part_problem p = {.n_nodes = 2, .n_values = 1, .n_devices = 2, .cost = cost, .values = &input};
  CHECK(fabs(length(&p, (uint8_t[]){0, 1}) - 4) < 1e-9); /* beside the first step, which reads it too */
  p.values = &(hn_part_value){.producer = HN_NONE, .readers = readers, .n_readers = 1, .seconds = {0, 3}};
  CHECK(fabs(length(&p, (uint8_t[]){0, 1}) - 6) < 1e-9);
}

TEST(the_shorter_run_is_taken_where_the_sum_is_larger) {
  double cost[4];
  hn_part_value values[2];
  uint32_t reader;
  uint8_t of_node[2];
  hn_part_problem p = two_steps(cost, values, &reader);
  REQUIRE(!hn_partition(NULL, &p, of_node));
  CHECK(of_node[0] == HN_HOST && of_node[1] == HN_HOST);
  REQUIRE(!hn_partition_shorten(NULL, &p, of_node));
  CHECK(of_node[0] == 1 && of_node[1] == 1);
  cost[3] = HN_PART_FORBIDDEN; /* a rule: the second stays */
  of_node[0] = of_node[1] = HN_HOST;
  REQUIRE(!hn_partition_shorten(NULL, &p, of_node));
  CHECK(of_node[0] == HN_HOST && of_node[1] == HN_HOST);
  cost[3] = 2;
  p.min_segment = 3;
  REQUIRE(!hn_partition_shorten(NULL, &p, of_node));
  CHECK(of_node[0] == HN_HOST && of_node[1] == HN_HOST);
}

static void never_longer(uint32_t devices) {
  sample s;
  uint8_t of_node[NODES], whole[NODES];
  uint32_t segment[NODES], size[NODES];
  for (int i = 0; i < 300; i++) {
    make(&s, devices, false);
    s.p.min_segment = 1 + below(3);
    REQUIRE(!hn_partition(NULL, &s.p, of_node));
    double before = length(&s.p, of_node);
    REQUIRE(!hn_partition_shorten(NULL, &s.p, of_node));
    double after = length(&s.p, of_node);
    CHECK_MSG(after <= before && after <= hn_partition_cost(&s.p, of_node) + 1e-9, "case %d: %g, before %g", i, after, before);
    memset(whole, 0, sizeof whole);
    CHECK(after <= length(&s.p, whole));
    hn_partition_segments(&s.p, of_node, segment, size);
    for (uint32_t k = 0; k < s.p.n_nodes; k++) CHECK(of_node[k] == HN_HOST || size[segment[k]] >= s.p.min_segment);
  }
}
TEST(moves_never_make_two_devices_slower) { never_longer(2); }
TEST(moves_never_make_three_devices_slower) { never_longer(3); }
