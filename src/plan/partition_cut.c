/* partition_cut.c - the best assignment to two devices as a minimum cut: nodes on the side of the source are on a, the
   others on b; what an edge costs is paid where it is cut. Maximum flow by Dinic's algorithm. */
#include <math.h>
#include <string.h>

#include "base/vec.h"
#include "plan/partition.h"

typedef struct arc {
  uint32_t to;
  double room;
} arc; /* arcs 2i and 2i + 1 are each other's reverse */

typedef struct flow {
  HN_VEC(arc) arcs;
  HN_VEC(uint32_t) from;        /* of each arc */
  uint32_t n, source, sink;
  uint32_t *first, *list;       /* arcs by the vertex they leave */
  uint32_t *level, *at, *queue;
  uint32_t *trail;              /* arcs from the source to where a search is */
  bool failed;
} flow;

/* Infinite where it must not be cut: far more than everything else. */
static const double never = 1e9, nothing = 1e-15;

static void add_arc(flow *f, uint32_t from, uint32_t to, double room, double back) {
  if (isinf(room)) room = never;
  if (isinf(back)) back = never;
  if (room <= 0 && back <= 0) return;
  if (!hn_push(&f->arcs, ((arc){to, room})) || !hn_push(&f->arcs, ((arc){from, back})) || !hn_push(&f->from, from) ||
      !hn_push(&f->from, to))
    f->failed = true;
}

static bool index_arcs(flow *f) {
  f->first = hn_calloc((size_t)f->n + 1, sizeof *f->first);
  f->list = hn_calloc(f->arcs.n, sizeof *f->list);
  f->level = hn_calloc(f->n, sizeof *f->level);
  f->at = hn_calloc((size_t)f->n + 1, sizeof *f->at);
  f->queue = hn_calloc(f->n, sizeof *f->queue);
  f->trail = hn_calloc(f->n, sizeof *f->trail);
  if (f->failed || !f->first || !f->list || !f->level || !f->at || !f->queue || !f->trail) return false;
  for (size_t i = 0; i < f->from.n; i++) f->first[f->from.p[i] + 1]++;
  for (uint32_t i = 0; i < f->n; i++) f->first[i + 1] += f->first[i];
  memcpy(f->at, f->first, ((size_t)f->n + 1) * sizeof *f->at);
  for (uint32_t i = 0; i < f->from.n; i++) f->list[f->at[f->from.p[i]]++] = i;
  return true;
}

/* How far each vertex is from the source through arcs that have room. */
static bool find_levels(flow *f) {
  uint32_t n = 0;
  memset(f->level, 0xff, f->n * sizeof *f->level);
  f->level[f->source] = 0;
  f->queue[n++] = f->source;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = f->first[f->queue[i]]; k < f->first[f->queue[i] + 1]; k++) {
      const arc *a = &f->arcs.p[f->list[k]];
      if (a->room <= nothing || f->level[a->to] != HN_NONE) continue;
      f->level[a->to] = f->level[f->queue[i]] + 1;
      f->queue[n++] = a->to;
    }
  return f->level[f->sink] != HN_NONE;
}

/* One more way through the levels, filled; false if there is none left. */
static bool push_path(flow *f) {
  uint32_t v = f->source, depth = 0;
  while (v != f->sink) {
    uint32_t *k = &f->at[v];
    while (*k < f->first[v + 1]) {
      const arc *a = &f->arcs.p[f->list[*k]];
      if (a->room > nothing && f->level[a->to] == f->level[v] + 1) break;
      ++*k;
    }
    if (*k < f->first[v + 1]) {
      f->trail[depth++] = f->list[*k];
      v = f->arcs.p[f->list[*k]].to;
    } else {
      if (!depth) return false;
      f->level[v] = HN_NONE; /* leads nowhere */
      v = f->from.p[f->trail[--depth]];
    }
  }
  double least = INFINITY;
  for (uint32_t i = 0; i < depth; i++)
    if (f->arcs.p[f->trail[i]].room < least) least = f->arcs.p[f->trail[i]].room;
  for (uint32_t i = 0; i < depth; i++) {
    f->arcs.p[f->trail[i]].room -= least;
    f->arcs.p[f->trail[i] ^ 1].room += least;
  }
  return true;
}

/* What value v costs: two vertices of its own. `far` is cut from the producer if a reader is on b while the producer is
   on a; `near` the other way round. Nodes that are on a third device stay there and are left out. */
static void add_value(flow *f, const hn_part_problem *p, const uint8_t *of_node, uint32_t value, uint8_t a, uint8_t b, uint32_t own) {
  const hn_part_value *v = &p->values[value];
  uint8_t home = v->producer == HN_NONE ? HN_HOST : of_node[v->producer];
  bool movable = v->producer != HN_NONE && (home == a || home == b);
  /* the price of b reading what a has, and of a reading what b has */
  double to_b = (a ? v->seconds[a] : 0) + (b ? v->seconds[b] : 0), to_a = to_b;
  uint32_t from = movable ? v->producer : home == a ? f->source : home == b ? f->sink : HN_NONE;
  if (from == HN_NONE) return; /* made on a third device: hn_partition_cost() decides whether the swap stays */
  add_arc(f, from, own, to_b, 0);
  add_arc(f, own + 1, from, to_a, 0);
  for (uint32_t i = 0; i < v->n_readers; i++) {
    uint8_t d = of_node[v->readers[i]];
    if (d != a && d != b) continue;
    add_arc(f, own, v->readers[i], never, 0);
    add_arc(f, v->readers[i], own + 1, never, 0);
  }
  if (v->wanted_on_host && a == HN_HOST) add_arc(f, f->source, own + 1, never, 0);
  if (v->wanted_on_host && b == HN_HOST) add_arc(f, own, f->sink, never, 0);
}

hone_status hn_partition_cut(hone_context *cx, const hn_part_problem *p, uint8_t a, uint8_t b, uint8_t *of_node) {
  flow f = {.n = p->n_nodes + 2 * p->n_values + 2};
  f.source = f.n - 2;
  f.sink = f.n - 1;
  for (uint32_t i = 0; i < p->n_nodes; i++) {
    if (of_node[i] != a && of_node[i] != b) continue;
    add_arc(&f, f.source, i, p->cost[(size_t)i * p->n_devices + b], 0); /* on b: cut from a */
    add_arc(&f, i, f.sink, p->cost[(size_t)i * p->n_devices + a], 0);
  }
  for (uint32_t i = 0; i < p->n_values; i++) add_value(&f, p, of_node, i, a, b, p->n_nodes + 2 * i);
  hone_status st = index_arcs(&f) ? HONE_OK : hn_nomem(cx);
  uint8_t *now = hn_malloc(p->n_nodes);
  if (!st && !now) st = hn_nomem(cx);
  while (!st && find_levels(&f)) {
    memcpy(f.at, f.first, ((size_t)f.n + 1) * sizeof *f.at);
    while (push_path(&f)) continue;
  }
  if (!st && p->n_nodes) {
    memcpy(now, of_node, p->n_nodes);
    for (uint32_t i = 0; i < p->n_nodes; i++)
      if (of_node[i] == a || of_node[i] == b) now[i] = f.level[i] != HN_NONE ? a : b;
    if (hn_partition_cost(p, now) < hn_partition_cost(p, of_node)) memcpy(of_node, now, p->n_nodes);
  }
  hn_free(now);
  hn_vec_free(&f.arcs);
  hn_vec_free(&f.from);
  hn_free(f.first);
  hn_free(f.list);
  hn_free(f.level);
  hn_free(f.at);
  hn_free(f.queue);
  hn_free(f.trail);
  return st;
}
