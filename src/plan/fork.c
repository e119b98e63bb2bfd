#include "plan/fork.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cpu/move/strided_copy.h"
#include "plan/schedule.h"

enum { WINDOW = HN_MAX_LANES }; /* the longest fork, in steps */

/* ------------------------------------------------------------------------------------ what needs what */

/* Where in its block a slot lies: bytes from begin to end of every period, or of the block if that is 0. */
typedef struct extent {
  size_t begin, end, period;
} extent;

static extent extent_of(const hn_slot *s) {
  size_t bytes = 0, unit = hn_element_size(s->dtype);
  if (!hn_layout_bytes(s->layout, s->dtype, s->rank, s->dims, &bytes)) return (extent){0, SIZE_MAX, 0};
  if (!s->pitch) return (extent){s->offset, s->offset + bytes, 0};
  size_t period = (size_t)s->pitch * unit, begin = s->offset % period;
  return (extent){begin, begin + (size_t)hn_layout_run(s->layout, s->rank, s->dims) * unit, period};
}

/* Parts of a whole that have no byte in common. */
static bool apart(const hn_slot *a, const hn_slot *b) {
  extent x = extent_of(a), y = extent_of(b);
  return x.period == y.period && (x.end <= y.begin || y.end <= x.begin);
}

static bool share_slot(const hn_plan *p, uint32_t a, uint32_t b) {
  const hn_slot *x = a == HN_NONE ? NULL : &p->slots.p[a], *y = b == HN_NONE ? NULL : &p->slots.p[b];
  return x && y && x->kind == HN_SLOT_BLOCK && y->kind == HN_SLOT_BLOCK && x->index == y->index && !apart(x, y);
}

/* Does a write where b reads or writes? */
static bool writes_into(const hn_plan *p, const hn_planned *a, const hn_planned *b) {
  for (uint32_t i = 0; i < a->task.n_out; i++) {
    for (uint32_t k = 0; k < b->task.n_in; k++)
      if (share_slot(p, a->out[i], b->in[k])) return true;
    for (uint32_t k = 0; k < b->task.n_out; k++)
      if (share_slot(p, a->out[i], b->out[k])) return true;
  }
  return false;
}

static bool dependent(const hn_plan *p, size_t a, size_t b) {
  const hn_planned *x = &p->steps.p[a], *y = &p->steps.p[b];
  return writes_into(p, x, y) || writes_into(p, y, x);
}

/* References may allocate and run nested graphs; oneDNN divides the work when a kernel is made, and has threads of its own. */
static bool may_fork(const hn_planned *s) {
  const hn_task *t = &s->task;
  if (s->once || s->device || !t->kernel->plan || hn_is_transfer(s) || hn_kernel_origin(t->kernel) == HN_ORIGIN_ONEDNN) return false;
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].dynamic) return false;
  for (uint32_t i = 0; i < t->n_out; i++)
    if (t->out[i].dynamic) return false;
  return true;
}

size_t hn_step_served(const hn_plan *p, size_t step) {
  while (step < p->steps.n && p->steps.p[step].node == HN_NONE) {
    if (p->steps.p[step].once) return p->steps.n;
    step++;
  }
  return step;
}

/* ------------------------------------------------------------------------------------------- choosing */

/* A stretch of steps from `first` on: which branch each is in, by the number within the stretch of the branch's first step. */
typedef struct stretch {
  size_t first, n;
  uint32_t branch[WINDOW];
  uint32_t thread[WINDOW]; /* of a branch, by the number of its first step */
} stretch;

/* One step more; branches that it needs become one with it. */
static void grow(const hn_plan *p, stretch *s) {
  uint32_t at = (uint32_t)s->n++;
  s->branch[at] = at;
  for (uint32_t i = 0; i < at; i++) {
    uint32_t from = s->branch[i], to = s->branch[at];
    if (from == to || !dependent(p, s->first + i, s->first + at)) continue;
    uint32_t low = from < to ? from : to, high = from < to ? to : from;
    for (uint32_t k = 0; k <= at; k++)
      if (s->branch[k] == high) s->branch[k] = low;
  }
}

/* Gives the branches to threads, the longest first to the one that has least to do; how long the busiest takes. */
static double pack(stretch *s, int threads, const double *alone) {
  double time[WINDOW] = {0}, load[WINDOW] = {0}, most = 0;
  uint32_t lanes = (uint32_t)(threads < WINDOW ? threads : WINDOW);
  for (size_t i = 0; i < s->n; i++) time[s->branch[i]] += alone[s->first + i];
  for (;;) {
    uint32_t longest = WINDOW, least = 0;
    for (uint32_t i = 0; i < s->n; i++)
      if (s->branch[i] == i && time[i] >= 0 && (longest == WINDOW || time[i] > time[longest])) longest = i;
    if (longest == WINDOW) return most;
    for (uint32_t k = 1; k < lanes; k++)
      if (load[k] < load[least]) least = k;
    s->thread[longest] = least;
    load[least] += time[longest];
    if (load[least] > most) most = load[least];
    time[longest] = -1;
  }
}

static bool is_fork(const stretch *s) {
  for (size_t i = 1; i < s->n; i++)
    if (s->branch[i] != s->branch[0]) return true;
  return false;
}

/* The steps up to `end` at best: the last of them are a fork of so many steps, 0: the last one is alone. */
typedef struct best {
  double seconds;
  size_t fork;
} best;

static void try_from(const hn_plan *p, size_t first, int threads, const double *alone, const double *together, best *to) {
  const double worth = 0.99;
  stretch s = {.first = first};
  double one_by_one = 0;
  if (p->steps.p[first].node == HN_NONE) return; /* a change of layout that several may read */
  for (size_t i = first; i < p->steps.n && s.n < WINDOW && may_fork(&p->steps.p[i]); i++) {
    grow(p, &s);
    one_by_one += together[i];
    if (!is_fork(&s)) continue;
    double seconds = pack(&s, threads, alone);
    if (seconds < worth * one_by_one && to[first].seconds + seconds < to[i + 1].seconds)
      to[i + 1] = (best){to[first].seconds + seconds, s.n};
  }
}

static void mark_fork(const hn_plan *p, size_t first, size_t n, int threads, const double *alone, uint32_t number, hn_mark *mark) {
  stretch s = {.first = first};
  while (s.n < n) grow(p, &s);
  pack(&s, threads, alone);
  for (size_t i = 0; i < n; i++) mark[first + i] = (hn_mark){number, s.thread[s.branch[i]]};
}

hone_status hn_forks_choose(const hn_plan *p, int threads, const double *alone, const double *together, hn_mark *mark) {
  size_t n = p->steps.n;
  best *to = hn_calloc(n + 1, sizeof *to);
  if (!to) return hn_nomem(p->g->cx);
  memset(mark, 0, n * sizeof *mark);
  for (size_t i = 1; i <= n; i++) to[i].seconds = 1e30;
  for (size_t i = 0; i < n; i++) {
    double next = to[i].seconds + together[i];
    if (next < to[i + 1].seconds) to[i + 1] = (best){next, 0};
    if (threads > 1) try_from(p, i, threads, alone, together, to);
  }
  uint32_t number = 0;
  for (size_t end = n; end > 0; end -= to[end].fork ? to[end].fork : 1) number += to[end].fork > 0;
  for (size_t end = n; end > 0; end -= to[end].fork ? to[end].fork : 1)
    if (to[end].fork) mark_fork(p, end - to[end].fork, to[end].fork, threads, alone, number--, mark);
  hn_free(to);
  return HONE_OK;
}

/* -------------------------------------------------------------------------------------------- finding */

static const char threads_key[] = "fork_threads";

bool hn_forks_wanted(const hn_graph *g, const hn_plan_options *o) {
  const char *found_with = hn_meta_get(g, threads_key);
  return o->forks == HN_FORKS_CHOSEN && !o->untuned && !o->reference && !o->keep_all && !o->placement && o->threads > 1 &&
         found_with && atoi(found_with) == o->threads;
}

void hn_forks_note(hn_graph *g, int threads) {
  char text[16];
  snprintf(text, sizeof text, "%d", threads);
  hn_meta_set(g, threads_key, text);
}

/* Side by side all branches must be free of the others, whatever the file says. */
static bool holds(const hn_plan *p, const hn_fork *f) {
  bool several = false;
  for (uint32_t i = 0; i < f->n; i++) {
    if (!may_fork(&p->steps.p[f->first + i])) return false;
    for (uint32_t k = 0; k < i; k++) {
      if (f->lane[i] == f->lane[k]) continue;
      several = true;
      if (dependent(p, f->first + i, f->first + k)) return false;
    }
  }
  return several;
}

static hone_status add_fork(hn_plan *p, size_t first, size_t n, const hn_mark *mark, int threads) {
  hn_fork f = {.first = (uint32_t)first, .n = (uint32_t)n, .lane = hn_arena_alloc(p->arena, n * sizeof *f.lane)};
  if (!f.lane) return hn_nomem(p->g->cx);
  for (size_t i = 0; i < n; i++) {
    if (mark[first + i].branch >= (uint32_t)threads) return HONE_OK;
    f.lane[i] = mark[first + i].branch;
    if (f.lane[i] >= f.lanes) f.lanes = f.lane[i] + 1;
  }
  if (n <= WINDOW && holds(p, &f) && !hn_push(&p->forks, f)) return hn_nomem(p->g->cx);
  return HONE_OK;
}

/* Branches come by at their own pace: what is alive at one moment of a fork may be so at any. */
static void widen(hn_plan *p) {
  for (size_t i = 0; i < p->forks.n; i++) {
    uint32_t first = p->forks.p[i].first, last = first + p->forks.p[i].n - 1;
    for (size_t k = 0; k < p->blocks.n; k++) {
      hn_block *b = &p->blocks.p[k];
      if (b->first > first && b->first <= last) b->first = first;
      if (b->last >= first && b->last < last) b->last = last;
    }
  }
}

static hone_status every_fork(const hn_plan *p, int threads, hn_mark *mark) {
  double *ones = hn_calloc(p->steps.n, sizeof *ones);
  if (!ones) return hn_nomem(p->g->cx);
  for (size_t i = 0; i < p->steps.n; i++) ones[i] = 1;
  hone_status st = hn_forks_choose(p, threads, ones, ones, mark);
  hn_free(ones);
  return st;
}

static void read_marks(const hn_plan *p, hn_mark *mark) {
  for (size_t i = 0; i < p->steps.n; i++) {
    size_t of = hn_step_served(p, i);
    const hn_node *n = of < p->steps.n ? hn_node_at(p->g, p->steps.p[of].node) : NULL;
    if (n) mark[i] = (hn_mark){n->fork, n->branch};
  }
}

hone_status hn_forks_find(hn_plan *p, const hn_plan_options *o) {
  bool chosen = hn_forks_wanted(p->g, o);
  if (!chosen && o->forks != HN_FORKS_ALL) return HONE_OK;
  hn_mark *mark = hn_calloc(p->steps.n, sizeof *mark);
  if (!mark) return hn_nomem(p->g->cx);
  hone_status st = HONE_OK;
  if (chosen) read_marks(p, mark);
  else st = every_fork(p, o->threads, mark);
  for (size_t i = 0, n = 1; i < p->steps.n && !st; i += n, n = 1) {
    if (!mark[i].fork || p->steps.p[i].node == HN_NONE) continue;
    while (i + n < p->steps.n && mark[i + n].fork == mark[i].fork) n++;
    st = add_fork(p, i, n, mark, o->threads);
  }
  if (!st) widen(p);
  hn_free(mark);
  return st;
}
