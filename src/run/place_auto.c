#include "run/place_auto.h"

#include <math.h>
#include <string.h>

#include "plan/partition.h"
#include "plan/schedule.h"

enum { RUNS = 3 };

typedef struct chooser {
  const hn_graph *g;
  const hn_plan_options *o;
  hn_place *place;
  hn_device *devices[HN_MAX_DEVICES];
  uint32_t n_devices, n; /* n: nodes */
  hn_view *inputs, *outputs;
  double *cost;          /* node, device */
  uint8_t *all;          /* every node on one device */
} chooser;

/* Inputs as lent, or zeros. */
static hone_status lend_inputs(chooser *c, const hn_view *given) {
  for (size_t i = 0; i < c->g->inputs.n; i++) {
    size_t bytes;
    c->inputs[i] = given[i];
    if (given[i].data) continue;
    if (!hn_dtype_bytes(given[i].dtype, (uint64_t)given[i].count, &bytes) || !(c->inputs[i].data = hn_malloc_aligned(bytes)))
      return hn_nomem(c->g->cx);
    memset(c->inputs[i].data, 0, bytes);
  }
  return HONE_OK;
}

/* The least time of every step; a reorder counts for the node it is made for, transfers are priced apart. */
static hone_status time_nodes(chooser *c, hn_program *p, uint8_t device) {
  const hn_plan *plan = hn_program_plan(p);
  size_t n = plan->steps.n;
  double *least = hn_calloc(n, sizeof *least);
  hone_status st = least ? hn_program_run(p, c->inputs, c->outputs) : hn_nomem(c->g->cx);
  hn_program_profile(p, true);
  for (int r = 0; r < RUNS && !st; r++) {
    st = hn_program_run(p, c->inputs, c->outputs);
    for (size_t i = 0; i < n && !st; i++) {
      double s = plan->steps.p[i].once ? 0 : hn_program_step_seconds(p, (uint32_t)i);
      if (!r || s < least[i]) least[i] = s;
    }
  }
  double before = 0;
  for (size_t i = 0; i < n && !st; i++) {
    const hn_planned *s = &plan->steps.p[i];
    if (s->node == HN_NONE || s->node >= c->n) {
      if (!hn_is_transfer(s)) before += least[i];
    } else {
      if (s->device == device) c->cost[(size_t)s->node * c->n_devices + device] = least[i] + before;
      before = 0;
    }
  }
  hn_free(least);
  return st;
}

/* All nodes on one device, as far as it runs them. */
static hone_status try_device(chooser *c, uint8_t device, hn_program **out) {
  hn_plan_options o = *c->o;
  memset(c->all, device, c->n);
  HN_TRY(hn_place_choose(c->place, c->all, c->n));
  o.place = device ? c->place : NULL;
  o.strips = HN_STRIPS_NONE; /* every node has a step, as in the plans over several devices */
  HN_TRY(hn_program_create(c->g, c->inputs, &o, out));
  const hn_plan *plan = hn_program_plan(*out);
  for (size_t i = 0; i < plan->steps.n; i++) { /* until it is timed there */
    hn_id node = plan->steps.p[i].node;
    for (uint32_t d = 1; device == HN_HOST && node < c->n && d < c->n_devices; d++)
      c->cost[(size_t)node * c->n_devices + d] = INFINITY;
  }
  return time_nodes(c, *out, device);
}

/* Rules stand above the choice. */
static void obey_rules(chooser *c) {
  for (uint32_t i = 0; i < c->n; i++) {
    uint8_t ruled;
    if (!hn_place_rule_for(c->place, hn_node_at(c->g, i), &ruled) || isinf(c->cost[(size_t)i * c->n_devices + ruled])) continue;
    for (uint8_t d = 0; d < c->n_devices; d++)
      if (d != ruled) c->cost[(size_t)i * c->n_devices + d] = 1e6;
  }
}

/* -------------------------------------------------------------------------------------------- values */

typedef struct value_lists {
  hn_part_value *values;
  uint32_t n, *readers, n_readers;
} value_lists;

/* Views are the values that they are views of: their nodes have no step. */
static void find_roots(const hn_graph *g, const hn_plan *plan, hn_id *rooted) {
  bool *has_step = hn_calloc(g->nodes.n, sizeof *has_step);
  for (uint32_t v = 0; v < g->values.n; v++) rooted[v] = v;
  for (size_t i = 0; has_step && i < plan->steps.n; i++)
    if (plan->steps.p[i].node != HN_NONE) has_step[plan->steps.p[i].node] = true;
  for (uint32_t v = 0; has_step && v < g->values.n; v++) {
    hn_id at = v, by;
    while ((by = hn_producer(g, at)) != HN_NONE && !has_step[by]) at = hn_node_at(g, by)->in[0];
    rooted[v] = at;
  }
  hn_free(has_step);
}

static uint64_t value_bytes(const hn_plan *plan, hn_id v) {
  uint32_t slot = plan->value_slot[v];
  const hn_slot *s = slot == HN_NONE ? NULL : &plan->slots.p[slot];
  size_t bytes;
  if (!s || s->kind == HN_SLOT_DYNAMIC || !hn_layout_bytes(s->layout, s->dtype, s->rank, s->dims, &bytes)) return 0;
  return bytes;
}

/* Each value with a step that makes it, or an input, and the nodes that read it or views of it; constants are there once. */
static hone_status list_values(chooser *c, const hn_program *on_cpu, value_lists *l) {
  const hn_graph *g = hn_program_graph(on_cpu);
  const hn_plan *plan = hn_program_plan(on_cpu);
  hn_id *rooted = hn_calloc(g->values.n, sizeof *rooted);
  size_t most = 0;
  for (size_t i = 0; i < g->values.n; i++) most += g->values.p[i].n_users;
  l->values = hn_calloc(g->values.n, sizeof *l->values);
  l->readers = hn_calloc(most, sizeof *l->readers);
  if (!rooted || !l->values || !l->readers) {
    hn_free(rooted);
    return hn_nomem(g->cx);
  }
  find_roots(g, plan, rooted);
  for (hn_id v = 0; v < g->values.n; v++) {
    const hn_value *val = hn_value_at(g, v);
    if (rooted[v] != v || val->data || plan->value_slot[v] == HN_NONE) continue;
    hn_part_value *out = &l->values[l->n];
    *out = (hn_part_value){.producer = val->producer, .readers = l->readers + l->n_readers};
    for (hn_id w = v; w < g->values.n; w++) { /* views come later, as their nodes do */
      if (rooted[w] != v) continue;
      out->wanted_on_host |= hn_is_output(g, w);
      for (uint32_t k = 0; k < hn_value_at(g, w)->n_users; k++) {
        hn_id user = hn_value_at(g, w)->users[k];
        bool known = hn_node_at(g, user)->dead || (hn_out(hn_node_at(g, user), 0) != HN_NONE && rooted[hn_node_at(g, user)->out[0]] == v);
        for (uint32_t r = 0; r < out->n_readers && !known; r++) known = out->readers[r] == user;
        if (!known) l->readers[l->n_readers++] = user, out->n_readers++;
      }
    }
    for (uint32_t d = 1; d < c->n_devices; d++) {
      const hn_device_kind *kind = c->devices[d]->kind;
      out->seconds[d] = kind->copy_seconds ? kind->copy_seconds(c->devices[d], (double)value_bytes(plan, v)) : 0;
    }
    if (out->n_readers || out->wanted_on_host) l->n++;
  }
  hn_free(rooted);
  return HONE_OK;
}

/* -------------------------------------------------------------------------------------------- choice */

static hone_status choose(chooser *c, hn_program *on_cpu, uint32_t min_segment, hn_place_estimate *e) {
  value_lists l = {0};
  uint8_t *best = hn_calloc(c->n, 1);
  hone_status st = best ? list_values(c, on_cpu, &l) : hn_nomem(c->g->cx);
  hn_part_problem p = {.n_nodes = c->n, .n_values = l.n, .n_devices = c->n_devices, .cost = c->cost, .values = l.values,
                       .min_segment = min_segment};
  if (!st) {
    memset(c->all, HN_HOST, c->n);
    e->cpu = hn_partition_cost(&p, c->all);
    for (uint32_t i = 0; i < c->n; i++) c->all[i] = c->n_devices > 1 && !isinf(c->cost[(size_t)i * c->n_devices + 1]) ? 1 : HN_HOST;
    e->device = hn_partition_cost(&p, c->all);
    obey_rules(c);
    st = hn_partition(c->g->cx, &p, best);
  }
  if (!st) {
    e->placed = hn_partition_cost(&p, best);
    st = hn_place_choose(c->place, best, c->n);
  }
  hn_free(best);
  hn_free(l.values);
  hn_free(l.readers);
  return st;
}

hone_status hn_place_auto(const hn_graph *g, const hn_view *inputs, const hn_plan_options *o, hn_place *place, uint32_t min_segment,
                          hn_place_estimate *estimate) {
  chooser c = {.g = g, .o = o, .place = place, .n = (uint32_t)g->nodes.n};
  hn_program *on_cpu = NULL;
  c.n_devices = hn_place_devices(place, c.devices);
  c.inputs = hn_calloc(g->inputs.n, sizeof *c.inputs);
  c.outputs = hn_calloc(g->outputs.n, sizeof *c.outputs);
  c.cost = hn_calloc((size_t)c.n * c.n_devices, sizeof *c.cost);
  c.all = hn_calloc(c.n, 1);
  hone_status st = c.inputs && c.outputs && c.cost && c.all ? lend_inputs(&c, inputs) : hn_nomem(g->cx);
  if (!st) st = try_device(&c, HN_HOST, &on_cpu);
  for (uint8_t d = 1; d < c.n_devices && !st; d++) {
    hn_program *there = NULL;
    st = try_device(&c, d, &there);
    hn_program_destroy(there);
  }
  if (!st) st = choose(&c, on_cpu, min_segment, estimate);
  hn_program_destroy(on_cpu);
  for (size_t i = 0; c.inputs && i < g->inputs.n; i++)
    if (c.inputs[i].data != inputs[i].data) hn_free_aligned(c.inputs[i].data);
  hn_free(c.inputs);
  hn_free(c.outputs);
  hn_free(c.cost);
  hn_free(c.all);
  return st;
}
