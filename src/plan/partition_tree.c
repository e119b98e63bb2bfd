/* partition_tree.c - exact assignment where nodes and values, seen as one undirected graph, make a forest: the least cost of
   each subtree for each device of its root, from the leaves up. */
#include <math.h>
#include <string.h>

#include "plan/partition.h"

enum { SETS = 1 << HN_MAX_DEVICES };

typedef struct vertex { /* nodes first, then values */
  uint32_t parent;      /* vertex, or HN_NONE */
  uint32_t first, n;    /* neighbours */
  double best[HN_MAX_DEVICES]; /* of its subtree; a value's: with its parent node on that device */
  uint8_t device;
} vertex;

typedef struct tree {
  const hn_part_problem *p;
  vertex *v;
  uint32_t *neighbours, *order; /* order: parents before children */
  uint32_t n;
} tree;

static uint32_t value_degree(const hn_part_value *v) { return v->n_readers + (v->producer != HN_NONE); }
static uint32_t value_node(const hn_part_value *v, uint32_t i) { return i < v->n_readers ? v->readers[i] : v->producer; }

static void link_all(tree *t) {
  const hn_part_problem *p = t->p;
  uint32_t at = 0;
  for (uint32_t i = 0; i < p->n_values; i++)
    for (uint32_t k = 0; k < value_degree(&p->values[i]); k++) t->v[value_node(&p->values[i], k)].n++, t->v[p->n_nodes + i].n++;
  for (uint32_t i = 0; i < t->n; i++) {
    t->v[i].first = at;
    at += t->v[i].n;
    t->v[i].n = 0;
  }
  for (uint32_t i = 0; i < p->n_values; i++)
    for (uint32_t k = 0; k < value_degree(&p->values[i]); k++) {
      vertex *node = &t->v[value_node(&p->values[i], k)], *value = &t->v[p->n_nodes + i];
      t->neighbours[node->first + node->n++] = p->n_nodes + i;
      t->neighbours[value->first + value->n++] = value_node(&p->values[i], k);
    }
}

/* Breadth first from one vertex of each part; false if an edge closes a ring (or is there twice). */
static bool order_all(tree *t) {
  uint32_t n = 0;
  bool *seen = hn_calloc(t->n, sizeof *seen), forest = seen != NULL;
  for (uint32_t r = 0; forest && r < t->n; r++) {
    if (seen[r]) continue;
    t->v[r].parent = HN_NONE;
    seen[r] = true;
    t->order[n++] = r;
    for (uint32_t at = n - 1; at < n && forest; at++) {
      const vertex *v = &t->v[t->order[at]];
      uint32_t to_parent = 0;
      for (uint32_t k = 0; k < v->n && forest; k++) {
        uint32_t next = t->neighbours[v->first + k];
        if (next == v->parent && !to_parent++) continue;
        forest = !seen[next];
        seen[next] = true;
        t->v[next].parent = t->order[at];
        t->order[n++] = next;
        if (n == t->n + 1) forest = false;
      }
    }
  }
  hn_free(seen);
  return forest;
}

static double copy_cost(const hn_part_value *v, uint32_t n_devices, uint8_t home, uint32_t readers) {
  double sum = 0;
  if (v->wanted_on_host) readers |= 1U << HN_HOST;
  readers &= ~(1U << home);
  for (uint32_t d = 1; d < n_devices; d++)
    if (readers & 1U << d) sum += v->seconds[d];
  return sum + (readers && home != HN_HOST ? v->seconds[home] : 0);
}

/* The least cost below a value with its parent node on device `up` (any device where it has none), and, if `choose`, the
   devices of its children that reach it. Readers matter as the set of devices they are on alone. */
static double solve_value(tree *t, uint32_t at, uint8_t up, bool choose) {
  const hn_part_problem *p = t->p;
  const vertex *vx = &t->v[at];
  const hn_part_value *v = &p->values[at - p->n_nodes];
  bool up_produces = vx->parent != HN_NONE && vx->parent == v->producer, has_up = vx->parent != HN_NONE;
  double best = INFINITY;
  uint32_t best_set = 0;
  uint8_t best_home = HN_HOST;
  for (uint8_t home = 0; home < p->n_devices; home++) {
    if (v->producer == HN_NONE && home != HN_HOST) break;
    if (up_produces && home != up) continue;
    double below = v->producer != HN_NONE && !up_produces ? t->v[v->producer].best[home] : 0;
    for (uint32_t set = 0; set < 1U << p->n_devices; set++) { /* readers may be on these devices */
      double sum = below + copy_cost(v, p->n_devices, home, set);
      if (has_up && !up_produces && !(set & 1U << up)) continue;
      for (uint32_t k = 0; k < v->n_readers && sum < best; k++) {
        double least = INFINITY;
        if (v->readers[k] == vx->parent) continue;
        for (uint32_t d = 0; d < p->n_devices; d++)
          if (set & 1U << d && t->v[v->readers[k]].best[d] < least) least = t->v[v->readers[k]].best[d];
        sum += least;
      }
      if (sum >= best) continue;
      best = sum;
      best_set = set;
      best_home = home;
    }
  }
  if (!choose) return best;
  if (v->producer != HN_NONE && !up_produces) t->v[v->producer].device = best_home;
  for (uint32_t k = 0; k < v->n_readers; k++) {
    vertex *r = &t->v[v->readers[k]];
    double least = INFINITY;
    if (v->readers[k] == vx->parent) continue;
    for (uint8_t d = 0; d < p->n_devices; d++)
      if (best_set & 1U << d && r->best[d] < least) least = r->best[d], r->device = d;
  }
  return best;
}

static void solve(tree *t) {
  const hn_part_problem *p = t->p;
  for (uint32_t i = t->n; i-- > 0;) {
    uint32_t at = t->order[i];
    vertex *v = &t->v[at];
    for (uint8_t d = 0; d < p->n_devices; d++) {
      v->best[d] = at < p->n_nodes ? p->cost[(size_t)at * p->n_devices + d] : solve_value(t, at, d, false);
      for (uint32_t k = 0; at < p->n_nodes && k < v->n; k++)
        if (t->neighbours[v->first + k] != v->parent) v->best[d] += t->v[t->neighbours[v->first + k]].best[d];
    }
  }
  for (uint32_t i = 0; i < t->n; i++) { /* from the roots down */
    vertex *v = &t->v[t->order[i]];
    if (t->order[i] >= p->n_nodes) {
      solve_value(t, t->order[i], v->parent == HN_NONE ? 0 : t->v[v->parent].device, true);
    } else if (v->parent == HN_NONE) {
      for (uint8_t d = 0; d < p->n_devices; d++)
        if (v->best[d] < v->best[v->device]) v->device = d;
    }
  }
}

hone_status hn_partition_tree(hone_context *cx, const hn_part_problem *p, uint8_t *of_node) {
  tree t = {.p = p, .n = p->n_nodes + p->n_values};
  size_t edges = 0;
  for (uint32_t i = 0; i < p->n_values; i++) edges += value_degree(&p->values[i]);
  if (edges >= t.n && t.n) return HONE_UNSUPPORTED; /* more than a forest has */
  t.v = hn_calloc(t.n, sizeof *t.v);
  t.neighbours = hn_calloc(2 * edges, sizeof *t.neighbours);
  t.order = hn_calloc((size_t)t.n + 1, sizeof *t.order);
  hone_status st = t.v && t.neighbours && t.order ? HONE_OK : hn_nomem(cx);
  if (!st) {
    link_all(&t);
    if (!order_all(&t)) st = HONE_UNSUPPORTED;
  }
  if (!st) {
    solve(&t);
    for (uint32_t i = 0; i < p->n_nodes; i++) of_node[i] = t.v[i].device;
  }
  hn_free(t.v);
  hn_free(t.neighbours);
  hn_free(t.order);
  return st;
}
