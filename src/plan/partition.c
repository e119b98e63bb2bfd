/* partition.c - the cost of an assignment, and the search for the best. */
#include "plan/partition.h"

#include <math.h>
#include <string.h>

static double value_cost(const hn_part_value *v, uint32_t n_devices, const uint8_t *of_node) {
  uint8_t home = v->producer == HN_NONE ? HN_HOST : of_node[v->producer];
  bool reads[HN_MAX_DEVICES] = {[HN_HOST] = v->wanted_on_host}, away = false;
  double sum = 0;
  for (uint32_t i = 0; i < v->n_readers; i++) reads[of_node[v->readers[i]]] = true;
  for (uint32_t d = 0; d < n_devices; d++) {
    if (!reads[d] || d == home) continue;
    away = true;
    if (d != HN_HOST) sum += v->seconds[d];
  }
  return sum + (away && home != HN_HOST ? v->seconds[home] : 0);
}

double hn_partition_cost(const hn_part_problem *p, const uint8_t *of_node) {
  double sum = 0;
  for (uint32_t i = 0; i < p->n_nodes; i++) sum += p->cost[(size_t)i * p->n_devices + of_node[i]];
  for (uint32_t i = 0; i < p->n_values; i++) sum += value_cost(&p->values[i], p->n_devices, of_node);
  return sum;
}

/* Swaps between pairs of devices until none helps; with two devices the first is exact. */
static hone_status improve(hone_context *cx, const hn_part_problem *p, uint8_t *of_node) {
  double best = hn_partition_cost(p, of_node);
  for (bool better = true; better;) {
    better = false;
    for (uint8_t a = 0; a < p->n_devices; a++)
      for (uint8_t b = (uint8_t)(a + 1); b < p->n_devices; b++) {
        HN_TRY(hn_partition_cut(cx, p, a, b, of_node));
        double now = hn_partition_cost(p, of_node);
        if (now < best * (1 - 1e-9)) better = true;
        if (now < best) best = now;
      }
    if (p->n_devices <= 2) break;
  }
  return HONE_OK;
}

static uint32_t root(uint32_t *up, uint32_t i) {
  while (up[i] != i) i = up[i] = up[up[i]];
  return i;
}

void hn_partition_segments(const hn_part_problem *p, const uint8_t *of_node, uint32_t *segment, uint32_t *size) {
  for (uint32_t i = 0; i < p->n_nodes; i++) segment[i] = i, size[i] = 0;
  for (uint32_t i = 0; i < p->n_values; i++) {
    const hn_part_value *v = &p->values[i];
    for (uint32_t k = 0; v->producer != HN_NONE && k < v->n_readers; k++)
      if (of_node[v->producer] == of_node[v->readers[k]]) segment[root(segment, v->readers[k])] = root(segment, v->producer);
  }
  for (uint32_t i = 0; i < p->n_nodes; i++) size[segment[i] = root(segment, i)]++;
}

/* Nodes of segments that are too small may run on the host only from now on; how many. */
static uint32_t pin_small(const hn_part_problem *p, const uint8_t *of_node, uint32_t *segment, uint32_t *size, double *cost) {
  uint32_t pinned = 0;
  hn_partition_segments(p, of_node, segment, size);
  for (uint32_t i = 0; i < p->n_nodes; i++) {
    if (of_node[i] == HN_HOST || size[segment[i]] >= p->min_segment) continue;
    for (uint32_t d = 1; d < p->n_devices; d++) cost[(size_t)i * p->n_devices + d] = INFINITY;
    pinned++;
  }
  return pinned;
}

hone_status hn_partition(hone_context *cx, const hn_part_problem *p, uint8_t *of_node) {
  size_t n = p->n_nodes, m = n * p->n_devices;
  double *cost = hn_calloc(m, sizeof *cost);
  uint32_t *segment = hn_calloc(n, sizeof *segment), *size = hn_calloc(n, sizeof *size);
  hone_status st = cost && segment && size ? HONE_OK : hn_nomem(cx);
  hn_part_problem q = *p;
  if (!st && m) memcpy(cost, p->cost, m * sizeof *cost);
  q.cost = cost;
  while (!st) {
    memset(of_node, HN_HOST, n);
    st = improve(cx, &q, of_node);
    if (!st && q.n_devices > 2) st = hn_partition_label(cx, &q, of_node, NULL);
    if (st || !pin_small(&q, of_node, segment, size, cost)) break;
  }
  hn_free(cost);
  hn_free(segment);
  hn_free(size);
  return st;
}
