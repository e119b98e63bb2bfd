/* slots.c - where values lie: slots and the blocks they are in, and the steps that bring a value into another layout or onto
   another device. */
#include <string.h>

#include "plan/builder.h"

hone_status hn_slot_add(hn_builder *b, const hn_slot *s, uint32_t *out) {
  if (!hn_push(&b->p->slots, *s)) return hn_nomem(b->g->cx);
  *out = (uint32_t)b->p->slots.n - 1;
  return HONE_OK;
}

/* The slots of a value that was converted or moved, on one device. */
static uint32_t *copies_of(const hn_builder *b, hn_id v, uint8_t device) { return b->converted[(size_t)v * b->n_devices + device]; }

static hn_device *device_at(const hn_builder *b, uint8_t device) { return device ? b->o->placement->devices[device] : NULL; }

hone_status hn_block_add(hn_builder *b, size_t bytes, uint8_t device, uint32_t *out) {
  uint32_t now = (uint32_t)b->p->steps.n;
  hn_block block = {.bytes = bytes, .first = now, .last = now, .device = device};
  if (b->o->gap) block.first = 0, block.last = UINT32_MAX; /* so that tests can see what was written beside */
  if (!hn_push(&b->p->blocks, block)) return hn_nomem(b->g->cx);
  *out = (uint32_t)b->p->blocks.n - 1;
  return HONE_OK;
}

void hn_slot_touch(hn_builder *b, uint32_t slot) {
  const hn_slot *s = &b->p->slots.p[slot];
  hn_block *k = s->kind == HN_SLOT_BLOCK ? &b->p->blocks.p[s->index] : NULL;
  if (k && k->last < b->p->steps.n) k->last = (uint32_t)b->p->steps.n;
}

void hn_slot_keep(hn_builder *b, uint32_t slot) {
  const hn_slot *s = &b->p->slots.p[slot];
  if (s->kind == HN_SLOT_BLOCK) b->p->blocks.p[s->index].last = UINT32_MAX;
}

hone_status hn_slot_own(hn_builder *b, hn_id v, const hn_arg *a, uint8_t device, uint32_t *out) {
  const hn_value *val = hn_value_at(b->g, v);
  hn_slot s = {.layout = a->layout, .dtype = val->dtype, .rank = val->shape.rank, .value = v, .device = device};
  if (!hn_shape_fixed(&val->shape) || !val->dtype) {
    s.kind = HN_SLOT_DYNAMIC;
    s.index = b->p->n_dynamic++;
    s.rank = -1;
  } else {
    size_t bytes;
    memcpy(s.dims, val->shape.d, sizeof s.dims);
    if (!hn_shape_count(&val->shape, &s.count) || !hn_layout_bytes(a->layout, s.dtype, s.rank, s.dims, &bytes))
      return hn_fail(b->g->cx, HONE_BAD_GRAPH, "tensor '%s' is too large", val->name);
    int64_t run = hn_layout_run(a->layout, s.rank, s.dims);
    if (a->pitched && run) {
      s.pitch = a->pitch;
      bytes = bytes / (size_t)run * (size_t)a->pitch;
    }
    s.kind = HN_SLOT_BLOCK;
    HN_TRY(hn_block_add(b, bytes, device, &s.index));
  }
  return hn_slot_add(b, &s, out);
}

static hone_status constant_slot(hn_builder *b, hn_id v, uint32_t *out) {
  const hn_tensor *t = hn_value_at(b->g, v)->data;
  hn_slot s = {.kind = HN_SLOT_CONST, .dtype = t->dtype, .rank = t->rank, .count = t->count, .value = v,
               .constant = t};
  memcpy(s.dims, t->dims, sizeof s.dims);
  return hn_slot_add(b, &s, out);
}

hone_status hn_slot_of(hn_builder *b, hn_id v, uint32_t *out) {
  if (b->p->value_slot[v] == HN_NONE) {
    const hn_value *val = hn_value_at(b->g, v);
    if (!val->data)
      return hn_fail(b->g->cx, HONE_BAD_GRAPH, "tensor '%s' is used but nothing produces it", val->name);
    HN_TRY(constant_slot(b, v, &b->p->value_slot[v]));
  }
  *out = b->p->value_slot[v];
  return HONE_OK;
}

void hn_slot_arg(const hn_builder *b, uint32_t slot, hn_arg *a) {
  const hn_slot *s = &b->p->slots.p[slot];
  *a = (hn_arg){.present = true, .dynamic = s->kind == HN_SLOT_DYNAMIC, .dtype = s->dtype, .rank = s->rank,
                .layout = s->layout, .pitch = s->pitch, .pitch_in = s->layout,
                .constant = hn_value_at(b->g, s->value)->data, .quant = hn_value_at(b->g, s->value)->quant};
  memcpy(a->dims, s->dims, sizeof a->dims);
}

hone_status hn_step_new(hn_builder *b, hn_planned *s, hn_id node, uint8_t device, uint32_t n_in, uint32_t n_out) {
  hn_arena *a = b->p->arena;
  bool alone = b->forks && node != HN_NONE && hn_node_at(b->g, node)->fork;
  int threads = alone ? 1 : b->o->threads;
  *s = (hn_planned){.node = node, .scratch = HN_NONE, .device = device};
  s->task = (hn_task){.cx = b->g->cx, .g = b->g, .node = node == HN_NONE ? NULL : hn_node_at(b->g, node),
                      .n_in = n_in, .n_out = n_out, .threads = threads, .device = b->o->device, .inplace = -1,
                      .on = device_at(b, device)};
  s->task.in = hn_arena_alloc(a, sizeof(hn_arg) * n_in);
  s->task.out = hn_arena_alloc(a, sizeof(hn_arg) * n_out);
  s->in = hn_arena_alloc(a, sizeof(uint32_t) * n_in);
  s->out = hn_arena_alloc(a, sizeof(uint32_t) * n_out);
  return s->task.in && s->task.out && s->in && s->out ? HONE_OK : hn_nomem(b->g->cx);
}

void hn_step_abandon(hn_planned *s) {
  hn_task *t = &s->task;
  if (t->kernel && t->kernel->destroy) t->kernel->destroy(t);
  t->state = NULL;
  hn_task_unpack(t);
  hn_chain_destroy(s->tail);
  s->tail = NULL;
}

hone_status hn_step_append(hn_builder *b, hn_planned *s) {
  hone_status st = s->task.scratch ? hn_block_add(b, s->task.scratch, s->device, &s->scratch) : HONE_OK;
  if (!st && !hn_push(&b->p->steps, *s)) st = hn_nomem(b->g->cx);
  if (st) hn_step_abandon(s);
  else b->p->packed_bytes += s->task.packed;
  return st;
}

/* Do two layouts of these dimensions have the same bytes? Row-major and channels-last do with one channel or one pixel. */
static bool same_bytes(const hn_slot *s, hn_layout other) {
  int64_t pixels = 1;
  if (s->pitch || s->rank < 3 || s->layout > HN_LAYOUT_NHWC || other > HN_LAYOUT_NHWC) return false;
  for (int32_t i = 2; i < s->rank; i++) pixels *= s->dims[i];
  return pixels == 1 || s->dims[1] == 1;
}

/* A step that makes slot *to of value v, on a device as `want` says, from slot `have` by one kernel. */
static hone_status convert(hn_builder *b, hn_id v, uint32_t have, uint8_t device, const hn_arg *want, const hn_kernel *by, uint32_t *to) {
  hn_planned s;
  uint8_t from = b->p->slots.p[have].device;
  HN_TRY(hn_step_new(b, &s, HN_NONE, device ? device : from, 1, 1));
  s.task.on = device_at(b, device);
  s.task.from = device_at(b, from);
  hn_slot_arg(b, have, &s.task.in[0]);
  HN_TRY(hn_slot_own(b, v, want, device, to));
  hn_slot_arg(b, *to, &s.task.out[0]);
  s.task.kernel = by;
  HN_TRY(by->plan(&s.task));
  s.once = hn_value_at(b->g, v)->data != NULL;
  s.in[0] = have;
  s.out[0] = *to;
  hn_slot_touch(b, have);
  if (s.once) {
    hn_slot_keep(b, *to);
    b->p->blocks.p[b->p->slots.p[*to].index].first = 0;
  }
  HN_TRY(hn_step_append(b, &s));
  if (!want->pitched) copies_of(b, v, device)[want->layout] = *to;
  return HONE_OK;
}

/* The same values in another layout on one device, or without gaps. */
static hone_status reorder(hn_builder *b, hn_id v, uint32_t have, uint8_t device, hn_layout want, uint32_t *to) {
  const hn_device *d = device_at(b, device);
  const hn_slot *s = &b->p->slots.p[have];
  const hn_kernel *own = s->layout != want && d ? d->kind->reorder : NULL;
  return convert(b, v, have, device, &(hn_arg){.layout = want}, own ? own : hn_reorder_kernel(s->dtype, s->layout, want), to);
}

hone_status hn_slot_spread(hn_builder *b, hn_id v, int64_t gap) {
  uint32_t *slot = &b->p->value_slot[v];
  const hn_slot *s = &b->p->slots.p[*slot];
  hn_arg as = {.layout = s->layout, .pitch = hn_layout_run(s->layout, s->rank, s->dims) + gap, .pitched = true};
  return convert(b, v, *slot, HN_HOST, &as, hn_reorder_kernel(s->dtype, s->layout, s->layout), slot);
}

hone_status hn_slot_on_device(hn_builder *b, hn_id v, uint8_t device, uint32_t *out) {
  HN_TRY(hn_slot_of(b, v, out));
  hn_layout layout = b->p->slots.p[*out].layout;
  if (b->p->slots.p[*out].device == device) return HONE_OK;
  if (copies_of(b, v, device)[layout] != HN_NONE) {
    *out = copies_of(b, v, device)[layout];
    return HONE_OK;
  }
  if (device != HN_HOST) HN_TRY(hn_slot_in_layout(b, v, HN_HOST, layout, false, out));
  return convert(b, v, *out, device, &(hn_arg){.layout = layout}, &hn_transfer_kernel, out);
}

hone_status hn_slot_in_layout(hn_builder *b, hn_id v, uint8_t device, hn_layout want, bool pitched, uint32_t *out) {
  uint32_t have;
  if (pitched) return hn_slot_of(b, v, out);
  if (copies_of(b, v, device)[want] != HN_NONE) {
    *out = copies_of(b, v, device)[want];
    return HONE_OK;
  }
  HN_TRY(hn_slot_on_device(b, v, device, &have));
  hn_slot from = b->p->slots.p[have];
  if ((from.layout == want && !from.pitch) || from.kind == HN_SLOT_DYNAMIC) {
    *out = have;
    return HONE_OK;
  }
  if (same_bytes(&from, want)) {
    from.layout = want;
    HN_TRY(hn_slot_add(b, &from, out));
    copies_of(b, v, device)[want] = *out;
    return HONE_OK;
  }
  return reorder(b, v, have, device, want, out);
}
