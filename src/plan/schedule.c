#include "plan/schedule.h"

#include <string.h>

/* Bytes that a step touches: of a device's arena, or a whole buffer of dynamic shape. */
typedef struct touched {
  uint8_t device;
  bool dynamic, written;
  size_t begin, end; /* dynamic: its number twice */
} touched;

typedef HN_VEC(touched) touched_list;

static hone_status place_blocks(hn_plan *p, uint8_t device, size_t *total) {
  HN_VEC(hn_block) own = {0};
  size_t least;
  hone_status st = HONE_OK;
  for (size_t i = 0; i < p->blocks.n && !st; i++)
    if (p->blocks.p[i].device == device && !hn_push(&own, p->blocks.p[i])) st = hn_nomem(p->g->cx);
  if (!st) st = hn_plan_memory(p->g->cx, own.p, own.n, total, &least);
  for (size_t i = 0, k = 0; i < p->blocks.n && !st; i++)
    if (p->blocks.p[i].device == device) p->blocks.p[i] = own.p[k++];
  if (!st && device == HN_HOST) p->lower_bound = least;
  hn_vec_free(&own);
  return st;
}

static bool add_slot(touched_list *l, const hn_plan *p, uint32_t slot, bool written) {
  if (slot == HN_NONE) return true;
  const hn_slot *s = &p->slots.p[slot];
  touched t = {.device = s->device, .written = written};
  if (s->kind == HN_SLOT_DYNAMIC) {
    t.dynamic = true;
    t.begin = s->index;
    t.end = t.begin + 1;
  } else if (s->kind == HN_SLOT_BLOCK) {
    const hn_block *k = &p->blocks.p[s->index];
    t.begin = k->offset;
    t.end = k->offset + k->bytes;
  } else {
    return true; /* constants and inputs are only read */
  }
  return hn_push(l, t);
}

static bool list_touched(const hn_plan *p, const hn_planned *s, touched_list *l) {
  bool ok = true;
  l->n = 0;
  for (uint32_t i = 0; i < s->task.n_in && ok; i++) ok = add_slot(l, p, s->in[i], false);
  for (uint32_t i = 0; i < s->task.n_out && ok; i++) ok = add_slot(l, p, s->out[i], true);
  if (!ok || s->scratch == HN_NONE) return ok;
  const hn_block *k = &p->blocks.p[s->scratch];
  return hn_push(l, ((touched){.device = k->device, .written = true, .begin = k->offset, .end = k->offset + k->bytes}));
}

static bool conflict(const touched_list *a, const touched_list *b) {
  for (size_t i = 0; i < a->n; i++)
    for (size_t k = 0; k < b->n; k++) {
      const touched *x = &a->p[i], *y = &b->p[k];
      if ((x->written || y->written) && x->device == y->device && x->dynamic == y->dynamic && x->begin < y->end &&
          y->begin < x->end)
        return true;
    }
  return false;
}

/* Steps go to their device's lane of steps, or beside it if it has another one and they need nothing of what is last on the
   first but of what is last on the other, or nothing of either. */
static uint8_t lane_of(const hn_plan *p, const hn_schedule *c, const touched_list *lists, uint32_t step, const bool *side) {
  const hn_planned *s = &p->steps.p[step];
  if (hn_is_transfer(s)) return (uint8_t)hn_lane_of(s->device, s->task.on ? HN_LANE_IN : HN_LANE_OUT);
  uint32_t lane = hn_lane_of(s->device, HN_LANE_COMPUTE), beside = hn_lane_of(s->device, HN_LANE_SIDE), last = HN_NONE, other = HN_NONE;
  if (!s->device || !side[s->device] || s->once) return (uint8_t)lane;
  for (uint32_t i = step; i-- > 0 && (last == HN_NONE || other == HN_NONE);) {
    if (p->steps.p[i].once) continue;
    if (c->lane[i] == lane && last == HN_NONE) last = i;
    if (c->lane[i] == beside && other == HN_NONE) other = i;
  }
  if (last == HN_NONE || conflict(&lists[last], &lists[step])) return (uint8_t)lane;
  if (other != HN_NONE && conflict(&lists[other], &lists[step])) return (uint8_t)beside;
  return (uint8_t)(other == HN_NONE || other < last ? beside : lane); /* the one that was given work longer ago */
}

/* For every other lane, the last step before `step` that it must wait for. What is done once is over before anything goes on
   (run/timeline.c): in later runs it could not stand for the steps before it on its lane. */
static void find_waits(const hn_plan *p, hn_schedule *c, const touched_list *lists, uint32_t step) {
  uint32_t *waits = &c->waits[(size_t)step * c->n_lanes], found = 0;
  for (uint32_t i = step; i-- > 0 && found + 1 < c->n_lanes;) {
    if (p->steps.p[i].once || c->lane[i] == c->lane[step] || waits[c->lane[i]] != HN_NONE || !conflict(&lists[i], &lists[step])) continue;
    waits[c->lane[i]] = i;
    c->awaited[i] = true;
    found++;
  }
}

hone_status hn_schedule_create(hn_plan *p, const hn_placement *placement) {
  uint32_t n_devices = placement->n;
  bool side[HN_MAX_DEVICES] = {false};
  for (uint32_t d = 1; d < n_devices; d++) side[d] = placement->devices[d]->kind->side;
  size_t n = p->steps.n;
  hone_context *cx = p->g->cx;
  hn_schedule *c = hn_arena_alloc(p->arena, sizeof *c);
  if (!c) return hn_nomem(cx);
  c->n_lanes = hn_lane_of((uint8_t)n_devices, HN_LANE_COMPUTE);
  c->lane = hn_arena_alloc(p->arena, n * sizeof *c->lane);
  c->waits = hn_arena_alloc(p->arena, n * c->n_lanes * sizeof *c->waits);
  c->awaited = hn_arena_alloc(p->arena, n * sizeof *c->awaited);
  touched_list *lists = hn_calloc(n, sizeof *lists);
  hone_status st = c->lane && c->waits && c->awaited && lists ? HONE_OK : hn_nomem(cx);
  for (uint8_t d = 0; d < n_devices && !st; d++) st = place_blocks(p, d, d ? &p->device_bytes[d] : &p->arena_bytes);
  if (!st) memset(c->waits, 0xff, n * c->n_lanes * sizeof *c->waits);
  for (size_t i = 0; i < n && !st; i++) {
    if (!list_touched(p, &p->steps.p[i], &lists[i])) st = hn_nomem(cx);
    if (st) break;
    c->lane[i] = lane_of(p, c, lists, (uint32_t)i, side);
    find_waits(p, c, lists, (uint32_t)i);
  }
  for (size_t i = 0; lists && i < n; i++) hn_vec_free(&lists[i]);
  hn_free(lists);
  if (!st) p->schedule = c;
  return st;
}
