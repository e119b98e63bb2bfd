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
  bool *steps;           /* nodes that have a step on one device at least; the others are views on all */
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
      c->steps[s->node] = true;
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
  return time_nodes(c, *out, device);
}

/* A device runs what was timed there; views take no time anywhere. What the CPU has no step for although a device has one, a
   Concat or a Split, is there in place. */
static void complete_costs(chooser *c) {
  for (uint32_t i = 0; i < c->n; i++)
    for (uint32_t d = 1; d < c->n_devices; d++)
      if (!c->steps[i]) c->cost[(size_t)i * c->n_devices + d] = 0;
}

/* Rules stand above the choice. */
static void obey_rules(chooser *c) {
  for (uint32_t i = 0; i < c->n; i++) {
    uint8_t ruled;
    if (!hn_place_rule_for(c->place, hn_node_at(c->g, i), &ruled) || isinf(c->cost[(size_t)i * c->n_devices + ruled])) continue;
    for (uint8_t d = 0; d < c->n_devices; d++)
      if (d != ruled) c->cost[(size_t)i * c->n_devices + d] = HN_PART_FORBIDDEN;
  }
}

/* -------------------------------------------------------------------------------------------- values */

typedef struct value_lists {
  hn_part_value *values;
  uint32_t n, *readers, n_readers;
} value_lists;

/* Views are the values that they are views of, and so are conversions that a program makes for itself. */
static void find_roots(const chooser *c, const hn_graph *g, hn_id *rooted) {
  for (uint32_t v = 0; v < g->values.n; v++) {
    hn_id at = v, by;
    while ((by = hn_producer(g, at)) != HN_NONE && (by >= c->n || !c->steps[by]) && hn_node_at(g, by)->n_in) at = hn_node_at(g, by)->in[0];
    rooted[v] = at;
  }
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
  find_roots(c, g, rooted);
  for (hn_id v = 0; v < g->values.n; v++) {
    const hn_value *val = hn_value_at(g, v);
    if (rooted[v] != v || val->data || plan->value_slot[v] == HN_NONE) continue;
    hn_part_value *out = &l->values[l->n];
    *out = (hn_part_value){.producer = val->producer, .readers = l->readers + l->n_readers};
    for (hn_id w = 0; w < g->values.n; w++) {
      if (rooted[w] != v) continue;
      out->wanted_on_host |= hn_is_output(g, w);
      for (uint32_t k = 0; k < hn_value_at(g, w)->n_users; k++) {
        hn_id user = hn_value_at(g, w)->users[k];
        const hn_node *n = hn_node_at(g, user);
        bool known = user >= c->n || n->dead || (hn_out(n, 0) != HN_NONE && rooted[n->out[0]] == v);
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

/* Nodes in the order of their steps. */
static hone_status list_steps(const chooser *c, const hn_graph *g, uint32_t **order, uint32_t *n) {
  uint32_t all;
  *n = 0;
  HN_TRY(hn_graph_order(g, order, &all));
  for (uint32_t i = 0; i < all; i++)
    if ((*order)[i] < c->n) (*order)[(*n)++] = (*order)[i];
  return HONE_OK;
}

/* The least sum, then what is shorter when copies go on beside steps. */
static hone_status choose(chooser *c, hn_program *on_cpu, uint32_t min_segment, hn_place_estimate *e) {
  hone_context *cx = c->g->cx;
  value_lists l = {0};
  uint8_t *best = hn_calloc(c->n, 1);
  uint32_t *order = NULL, n_order = 0;
  hone_status st = best ? list_values(c, on_cpu, &l) : hn_nomem(cx);
  if (!st) st = list_steps(c, hn_program_graph(on_cpu), &order, &n_order);
  hn_part_problem p = {.n_nodes = c->n, .n_values = l.n, .n_devices = c->n_devices, .cost = c->cost, .values = l.values,
                       .order = order, .n_order = n_order, .min_segment = min_segment};
  if (!st) {
    memset(c->all, HN_HOST, c->n);
    st = hn_partition_length(cx, &p, c->all, &e->cpu);
    for (uint32_t i = 0; i < c->n; i++) c->all[i] = c->n_devices > 1 && !isinf(c->cost[(size_t)i * c->n_devices + 1]) ? 1 : HN_HOST;
  }
  if (!st) st = hn_partition_length(cx, &p, c->all, &e->device);
  if (!st) obey_rules(c);
  if (!st) st = hn_partition(cx, &p, best);
  if (!st) st = hn_partition_shorten(cx, &p, best);
  if (!st) st = hn_partition_length(cx, &p, best, &e->placed);
  if (!st) st = hn_place_choose(c->place, best, c->n);
  hn_free(best);
  hn_free(order);
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
  c.steps = hn_calloc(c.n, sizeof *c.steps);
  c.all = hn_calloc(c.n, 1);
  hone_status st = c.inputs && c.outputs && c.cost && c.steps && c.all ? lend_inputs(&c, inputs) : hn_nomem(g->cx);
  for (size_t i = 0; !st && i < (size_t)c.n * c.n_devices; i++) c.cost[i] = i % c.n_devices == HN_HOST ? 0 : INFINITY;
  if (!st) st = try_device(&c, HN_HOST, &on_cpu);
  for (uint8_t d = 1; d < c.n_devices && !st; d++) {
    hn_program *there = NULL;
    st = try_device(&c, d, &there);
    hn_program_destroy(there);
  }
  if (!st) complete_costs(&c);
  if (!st) st = choose(&c, on_cpu, min_segment, estimate);
  hn_program_destroy(on_cpu);
  for (size_t i = 0; c.inputs && i < g->inputs.n; i++)
    if (c.inputs[i].data != inputs[i].data) hn_free_aligned(c.inputs[i].data);
  hn_free(c.inputs);
  hn_free(c.outputs);
  hn_free(c.cost);
  hn_free(c.steps);
  hn_free(c.all);
  return st;
}
