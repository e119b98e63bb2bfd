/* partition_length.c - how long a run takes when copies go on beside steps, and the moves of whole segments that shorten it:
   the least sum need not be the shortest run. */
#include <math.h>
#include <string.h>

#include "plan/partition.h"

/* Values by the step that they are delivered with: inputs before the first that reads them, others after their producer. */
typedef struct deliveries {
  uint32_t *before, *after; /* of each node: its first value, or HN_NONE */
  uint32_t *next;           /* of each value */
} deliveries;

typedef struct lanes {
  double host, steps[HN_MAX_DEVICES], in[HN_MAX_DEVICES], out[HN_MAX_DEVICES]; /* when each is free */
} lanes;

typedef struct shortener {
  const hn_part_problem *p;
  deliveries list;
  double *ready; /* of each node: its inputs are there */
  uint32_t *up, *size;
  uint8_t *now, *best;
  double length; /* of the best */
} shortener;

static double later(double a, double b) { return a > b ? a : b; }

static uint32_t step_at(const hn_part_problem *p, uint32_t i) { return p->order ? p->order[i] : i; }
static uint32_t step_count(const hn_part_problem *p) { return p->order ? p->n_order : p->n_nodes; }

static void list_deliveries(const hn_part_problem *p, deliveries *l, uint32_t *position) {
  memset(l->before, 0xff, p->n_nodes * sizeof *l->before);
  memset(l->after, 0xff, p->n_nodes * sizeof *l->after);
  memset(position, 0xff, p->n_nodes * sizeof *position);
  for (uint32_t i = 0; i < step_count(p); i++) position[step_at(p, i)] = i;
  for (uint32_t i = p->n_values; i-- > 0;) {
    const hn_part_value *v = &p->values[i];
    uint32_t first = v->producer, *head;
    for (uint32_t k = 0; v->producer == HN_NONE && k < v->n_readers; k++)
      if (first == HN_NONE || position[v->readers[k]] < position[first]) first = v->readers[k];
    if (first == HN_NONE) continue; /* an input that is an output */
    head = v->producer == HN_NONE ? &l->before[first] : &l->after[first];
    l->next[i] = *head;
    *head = i;
  }
}

/* A value that is at hand where it is made at `made` goes to the devices that read it, by way of the host. */
static void deliver(shortener *s, lanes *l, const hn_part_value *v, double made) {
  uint8_t home = v->producer == HN_NONE ? HN_HOST : s->now[v->producer];
  bool reads[HN_MAX_DEVICES] = {[HN_HOST] = v->wanted_on_host}, away = false;
  double there[HN_MAX_DEVICES] = {[HN_HOST] = made};
  for (uint32_t i = 0; i < v->n_readers; i++) reads[s->now[v->readers[i]]] = true;
  for (uint32_t d = 0; d < s->p->n_devices; d++) away |= reads[d] && d != home;
  if (away && home != HN_HOST) there[HN_HOST] = l->out[home] = later(later(made, l->out[home]), l->host) + v->seconds[home];
  for (uint32_t d = 1; d < s->p->n_devices; d++)
    if (reads[d] && d != home) there[d] = l->in[d] = later(later(there[HN_HOST], l->in[d]), l->host) + v->seconds[d];
  if (home != HN_HOST) there[home] = made;
  for (uint32_t i = 0; i < v->n_readers; i++) {
    double *ready = &s->ready[v->readers[i]];
    *ready = later(*ready, there[s->now[v->readers[i]]]);
  }
}

/* Of s->now, as run/timeline.c lays out a plan: lanes work at the same time, each in order, and the host, which gives out the
   work, gives out none while a step of its own runs. */
static double run_length(shortener *s) {
  const hn_part_problem *p = s->p;
  lanes l = {.host = 0};
  double end = 0;
  memset(s->ready, 0, p->n_nodes * sizeof *s->ready);
  for (uint32_t i = 0; i < step_count(p); i++) {
    uint32_t node = step_at(p, i);
    uint8_t d = s->now[node];
    double *lane = d == HN_HOST ? &l.host : &l.steps[d];
    for (uint32_t v = s->list.before[node]; v != HN_NONE; v = s->list.next[v]) deliver(s, &l, &p->values[v], 0);
    *lane = later(later(*lane, l.host), s->ready[node]) + p->cost[(size_t)node * p->n_devices + d];
    double made = *lane;
    for (uint32_t v = s->list.after[node]; v != HN_NONE; v = s->list.next[v]) deliver(s, &l, &p->values[v], made);
  }
  for (uint32_t d = 0; d < p->n_devices; d++) end = later(later(end, l.steps[d]), later(l.in[d], l.out[d]));
  return later(end, l.host);
}

static hone_status begin(hone_context *cx, const hn_part_problem *p, const uint8_t *of_node, shortener *s) {
  size_t n = p->n_nodes;
  *s = (shortener){.p = p};
  s->list = (deliveries){hn_calloc(n, sizeof(uint32_t)), hn_calloc(n, sizeof(uint32_t)), hn_calloc(p->n_values, sizeof(uint32_t))};
  s->ready = hn_calloc(n, sizeof *s->ready);
  s->up = hn_calloc(n, sizeof *s->up);
  s->size = hn_calloc(n, sizeof *s->size);
  s->now = hn_calloc(n, 1);
  if (!s->list.before || !s->list.after || !s->list.next || !s->ready || !s->up || !s->size || !s->now) return hn_nomem(cx);
  list_deliveries(p, &s->list, s->up);
  if (n) memcpy(s->now, of_node, n);
  s->length = run_length(s);
  return HONE_OK;
}

static void finish(shortener *s) {
  hn_free(s->list.before);
  hn_free(s->list.after);
  hn_free(s->list.next);
  hn_free(s->ready);
  hn_free(s->up);
  hn_free(s->size);
  hn_free(s->now);
}

hone_status hn_partition_length(hone_context *cx, const hn_part_problem *p, const uint8_t *of_node, double *seconds) {
  shortener s;
  hone_status st = begin(cx, p, of_node, &s);
  if (!st) *seconds = s.length;
  finish(&s);
  return st;
}

/* -------------------------------------------------------------------------------------------- moves */

/* Keeps s->now if it is shorter and has no segment that is too small. */
static void keep_if_shorter(shortener *s) {
  double length = run_length(s);
  if (!(length < s->length * (1 - 1e-9))) return;
  hn_partition_segments(s->p, s->now, s->up, s->size);
  for (uint32_t i = 0; i < s->p->n_nodes; i++)
    if (s->now[i] != HN_HOST && s->size[s->up[i]] < s->p->min_segment) return;
  s->length = length;
  memcpy(s->best, s->now, s->p->n_nodes);
}

/* Everything on one device, as far as it may be there. */
static void try_whole(shortener *s, uint8_t d) {
  for (uint32_t i = 0; i < s->p->n_nodes; i++)
    s->now[i] = s->p->cost[(size_t)i * s->p->n_devices + d] < HN_PART_FORBIDDEN ? d : HN_HOST;
  keep_if_shorter(s);
}

hone_status hn_partition_shorten(hone_context *cx, const hn_part_problem *p, uint8_t *of_node) {
  shortener s;
  uint32_t n = p->n_nodes, *segment = hn_calloc(n, sizeof *segment);
  hone_status st = begin(cx, p, of_node, &s);
  if (!segment) st = hn_nomem(cx);
  s.best = of_node;
  for (uint8_t d = 0; !st && d < p->n_devices; d++) try_whole(&s, d);
  if (!st) hn_partition_segments(p, of_node, segment, s.size);
  for (uint32_t r = 0; !st && r < n; r++) {
    for (uint8_t d = 0; segment[r] == r && d < p->n_devices; d++) {
      memcpy(s.now, of_node, n);
      for (uint32_t i = 0; i < n; i++)
        if (segment[i] == r) s.now[i] = d;
      keep_if_shorter(&s);
    }
  }
  hn_free(segment);
  finish(&s);
  return st;
}
