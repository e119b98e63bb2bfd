/* partition_label.c - any number of devices as labels of nodes; a value's labels are where it is made and the set of
   devices it is on, so that a copy is paid once however many read it there. */
#include <math.h>
#include <string.h>

#include "plan/assignment.h"
#include "plan/partition.h"

/* The label: the home device and, above it, the set. */
static uint32_t home_of(uint32_t label, uint32_t n_devices) {
  return label % n_devices;
}
static uint32_t set_of(uint32_t label, uint32_t n_devices) {
  return label / n_devices;
}

static double copies_cost(const hn_part_value *v, uint32_t n_devices, uint32_t home, uint32_t set) {
  double sum = 0;
  if (!(set & 1U << home) || (v->wanted_on_host && !(set & 1U << HN_HOST)) ||
      (v->producer == HN_NONE && home != HN_HOST))
    return INFINITY;
  for (uint32_t d = 1; d < n_devices; d++)
    if (d != home && set & 1U << d) sum += v->seconds[d];
  return sum + (home != HN_HOST && set != 1U << home ? v->seconds[home] : 0);
}

/* A pair of a node and the value: made on, or read on, the node's device. */
static hone_status tie(hone_context *cx, hn_assign *a, uint32_t n_devices, uint32_t node, uint32_t value, bool makes) {
  double *cost;
  uint32_t labels = a->labels.p[value];
  HN_TRY(hn_assign_factor(cx, a, 2, (uint32_t[]){node, value}, &cost));
  for (uint32_t d = 0; d < n_devices; d++)
    for (uint32_t l = 0; l < labels; l++) {
      bool fits = makes ? home_of(l, n_devices) == d : set_of(l, n_devices) & 1U << d;
      cost[d * labels + l] = fits ? 0 : INFINITY;
    }
  return HONE_OK;
}

static hone_status describe(hone_context *cx, const hn_part_problem *p, hn_assign *a) {
  double *cost;
  uint32_t variable, n = p->n_devices, labels = n << n;
  for (uint32_t i = 0; i < p->n_nodes; i++) {
    HN_TRY(hn_assign_variable(cx, a, n, &variable));
    HN_TRY(hn_assign_factor(cx, a, 1, &variable, &cost));
    memcpy(cost, p->cost + (size_t)i * n, n * sizeof *cost);
  }
  for (uint32_t i = 0; i < p->n_values; i++) {
    const hn_part_value *v = &p->values[i];
    HN_TRY(hn_assign_variable(cx, a, labels, &variable));
    HN_TRY(hn_assign_factor(cx, a, 1, &variable, &cost));
    for (uint32_t l = 0; l < labels; l++) cost[l] = copies_cost(v, n, home_of(l, n), set_of(l, n));
    if (v->producer != HN_NONE) HN_TRY(tie(cx, a, n, v->producer, variable, true));
    for (uint32_t k = 0; k < v->n_readers; k++) HN_TRY(tie(cx, a, n, v->readers[k], variable, false));
  }
  return HONE_OK;
}

/* What a value's label is with nodes where they are. */
static uint32_t label_of(const hn_part_value *v, uint32_t n_devices, const uint8_t *of_node) {
  uint32_t home = v->producer == HN_NONE ? HN_HOST : of_node[v->producer], set = 1U << home;
  if (v->wanted_on_host) set |= 1U << HN_HOST;
  for (uint32_t k = 0; k < v->n_readers; k++) set |= 1U << of_node[v->readers[k]];
  return set * n_devices + home;
}

hone_status hn_partition_label(hone_context *cx, const hn_part_problem *p, uint8_t *of_node, double *bound) {
  hn_assign a;
  hn_assign_result r = {.bound = 0};
  HN_TRY(hn_assign_create(cx, &a));
  hone_status st = describe(cx, p, &a);
  uint32_t *label = hn_calloc((size_t)p->n_nodes + p->n_values, sizeof *label);
  if (!st && !label) st = hn_nomem(cx);
  for (uint32_t i = 0; i < p->n_nodes && !st; i++) label[i] = of_node[i];
  for (uint32_t i = 0; i < p->n_values && !st; i++)
    label[p->n_nodes + i] = label_of(&p->values[i], p->n_devices, of_node);
  if (!st) st = hn_assign_solve(cx, &a, label, &r);
  for (uint32_t i = 0; i < p->n_nodes && !st; i++) of_node[i] = (uint8_t)label[i];
  if (!st && bound) *bound = r.bound;
  hn_free(label);
  hn_assign_free(&a);
  return st;
}
