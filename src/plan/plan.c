/* plan.c - walks the graph in order; for each node chooses a kernel, brings its inputs into the layouts it wants,
   and records who touches which block of memory when. */
#include "plan/plan.h"

#include <string.h>

#include "plan/schedule.h"

#include "base/str.h"
#include "base/vec.h"

enum { MAX_TACTICS = 16 }; /* kernels of one operator */

typedef struct builder {
  hn_plan *p;
  hn_graph *g;
  const hn_plan_options *o;
  uint32_t *group;     /* value -> group: values that are views of one another */
  uint32_t *reads;     /* group -> reads still to come */
  bool *pinned;        /* group -> a graph output or to be kept */
  bool *planned;       /* node -> part of a chain */
  uint32_t (*converted)[HN_LAYOUT_COUNT]; /* value, device -> slot in each layout, or HN_NONE: see copies_of() */
  uint32_t n_devices;
} builder;

static hone_status add_slot(builder *b, const hn_slot *s, uint32_t *out) {
  if (!hn_push(&b->p->slots, *s)) return hn_nomem(b->g->cx);
  *out = (uint32_t)b->p->slots.n - 1;
  return HONE_OK;
}

/* The slots of a value that was converted or moved, on one device. */
static uint32_t *copies_of(const builder *b, hn_id v, uint8_t device) { return b->converted[(size_t)v * b->n_devices + device]; }

static hn_device *device_at(const builder *b, uint8_t device) { return device ? b->o->placement->devices[device] : NULL; }

static hone_status add_block(builder *b, size_t bytes, uint8_t device, uint32_t *out) {
  uint32_t now = (uint32_t)b->p->steps.n;
  hn_block block = {.bytes = bytes, .first = now, .last = now, .device = device};
  if (!hn_push(&b->p->blocks, block)) return hn_nomem(b->g->cx);
  *out = (uint32_t)b->p->blocks.n - 1;
  return HONE_OK;
}

static void touch(builder *b, uint32_t slot) {
  const hn_slot *s = &b->p->slots.p[slot];
  hn_block *k = s->kind == HN_SLOT_BLOCK ? &b->p->blocks.p[s->index] : NULL;
  if (k && k->last < b->p->steps.n) k->last = (uint32_t)b->p->steps.n;
}

static void keep_to_end(builder *b, uint32_t slot) {
  const hn_slot *s = &b->p->slots.p[slot];
  if (s->kind == HN_SLOT_BLOCK) b->p->blocks.p[s->index].last = UINT32_MAX;
}

/* A slot for value v in a layout, with room of its own. */
static hone_status own_slot(builder *b, hn_id v, hn_layout layout, uint8_t device, uint32_t *out) {
  const hn_value *val = hn_value_at(b->g, v);
  hn_slot s = {.layout = layout, .dtype = val->dtype, .rank = val->shape.rank, .value = v, .device = device};
  if (!hn_shape_fixed(&val->shape) || !val->dtype) {
    s.kind = HN_SLOT_DYNAMIC;
    s.index = b->p->n_dynamic++;
    s.rank = -1;
  } else {
    size_t bytes;
    memcpy(s.dims, val->shape.d, sizeof s.dims);
    if (!hn_shape_count(&val->shape, &s.count) || !hn_layout_bytes(layout, s.dtype, s.rank, s.dims, &bytes))
      return hn_fail(b->g->cx, HONE_BAD_GRAPH, "tensor '%s' is too large", val->name);
    s.kind = HN_SLOT_BLOCK;
    HN_TRY(add_block(b, bytes, device, &s.index));
  }
  return add_slot(b, &s, out);
}

static hone_status constant_slot(builder *b, hn_id v, uint32_t *out) {
  const hn_tensor *t = hn_value_at(b->g, v)->data;
  hn_slot s = {.kind = HN_SLOT_CONST, .dtype = t->dtype, .rank = t->rank, .count = t->count, .value = v,
               .constant = t};
  memcpy(s.dims, t->dims, sizeof s.dims);
  return add_slot(b, &s, out);
}

/* The slot of a value in the layout its producer left it. */
static hone_status slot_of(builder *b, hn_id v, uint32_t *out) {
  if (b->p->value_slot[v] == HN_NONE) {
    const hn_value *val = hn_value_at(b->g, v);
    if (!val->data)
      return hn_fail(b->g->cx, HONE_BAD_GRAPH, "tensor '%s' is used but nothing produces it", val->name);
    HN_TRY(constant_slot(b, v, &b->p->value_slot[v]));
  }
  *out = b->p->value_slot[v];
  return HONE_OK;
}

static void fill_arg(builder *b, uint32_t slot, hn_arg *a) {
  const hn_slot *s = &b->p->slots.p[slot];
  *a = (hn_arg){.present = true, .dynamic = s->kind == HN_SLOT_DYNAMIC, .dtype = s->dtype, .rank = s->rank,
                .layout = s->layout, .constant = hn_value_at(b->g, s->value)->data, .quant = hn_value_at(b->g, s->value)->quant};
  memcpy(a->dims, s->dims, sizeof a->dims);
}

static hone_status new_step(builder *b, hn_planned *s, hn_id node, uint8_t device, uint32_t n_in, uint32_t n_out) {
  hn_arena *a = b->p->arena;
  *s = (hn_planned){.node = node, .scratch = HN_NONE, .device = device};
  s->task = (hn_task){.cx = b->g->cx, .g = b->g, .node = node == HN_NONE ? NULL : hn_node_at(b->g, node),
                      .n_in = n_in, .n_out = n_out, .threads = b->o->threads, .device = b->o->device, .inplace = -1,
                      .on = device_at(b, device)};
  s->task.in = hn_arena_alloc(a, sizeof(hn_arg) * n_in);
  s->task.out = hn_arena_alloc(a, sizeof(hn_arg) * n_out);
  s->in = hn_arena_alloc(a, sizeof(uint32_t) * n_in);
  s->out = hn_arena_alloc(a, sizeof(uint32_t) * n_out);
  return s->task.in && s->task.out && s->in && s->out ? HONE_OK : hn_nomem(b->g->cx);
}

static void abandon(hn_planned *s) {
  hn_task *t = &s->task;
  if (t->kernel && t->kernel->destroy) t->kernel->destroy(t);
  t->state = NULL;
  hn_task_unpack(t);
  hn_chain_destroy(s->tail);
  s->tail = NULL;
}

static hone_status append_step(builder *b, hn_planned *s) {
  hone_status st = s->task.scratch ? add_block(b, s->task.scratch, s->device, &s->scratch) : HONE_OK;
  if (!st && !hn_push(&b->p->steps, *s)) st = hn_nomem(b->g->cx);
  if (st) abandon(s);
  else b->p->packed_bytes += s->task.packed;
  return st;
}

/* Do two layouts of these dimensions have the same bytes? Row-major and channels-last do with one channel or one pixel. */
static bool same_bytes(const hn_slot *s, hn_layout other) {
  int64_t pixels = 1;
  if (s->rank < 3 || s->layout > HN_LAYOUT_NHWC || other > HN_LAYOUT_NHWC) return false;
  for (int32_t i = 2; i < s->rank; i++) pixels *= s->dims[i];
  return pixels == 1 || s->dims[1] == 1;
}

/* A step that makes slot *to of value v, on a device in a layout, from slot `have` by one kernel. */
static hone_status convert(builder *b, hn_id v, uint32_t have, uint8_t device, hn_layout want, const hn_kernel *by, uint32_t *to) {
  hn_planned s;
  uint8_t from = b->p->slots.p[have].device;
  HN_TRY(new_step(b, &s, HN_NONE, device ? device : from, 1, 1));
  s.task.on = device_at(b, device);
  s.task.from = device_at(b, from);
  fill_arg(b, have, &s.task.in[0]);
  HN_TRY(own_slot(b, v, want, device, to));
  fill_arg(b, *to, &s.task.out[0]);
  s.task.kernel = by;
  HN_TRY(by->plan(&s.task));
  s.once = hn_value_at(b->g, v)->data != NULL;
  s.in[0] = have;
  s.out[0] = *to;
  touch(b, have);
  if (s.once) {
    keep_to_end(b, *to);
    b->p->blocks.p[b->p->slots.p[*to].index].first = 0;
  }
  HN_TRY(append_step(b, &s));
  copies_of(b, v, device)[want] = *to;
  return HONE_OK;
}

/* The value on a device, in the layout its producer left it: there, moved before, or moved now, always by way of the CPU. */
static hone_status on_device(builder *b, hn_id v, uint8_t device, uint32_t *out) {
  HN_TRY(slot_of(b, v, out));
  hn_layout layout = b->p->slots.p[*out].layout;
  if (b->p->slots.p[*out].device == device) return HONE_OK;
  if (copies_of(b, v, device)[layout] != HN_NONE) {
    *out = copies_of(b, v, device)[layout];
    return HONE_OK;
  }
  if (device != HN_HOST) HN_TRY(on_device(b, v, HN_HOST, out));
  return convert(b, v, *out, device, layout, &hn_transfer_kernel, out);
}

/* The value on a device in a given layout: as it is, converted before, or converted now. */
static hone_status in_layout(builder *b, hn_id v, uint8_t device, hn_layout want, uint32_t *out) {
  uint32_t have;
  if (copies_of(b, v, device)[want] != HN_NONE) {
    *out = copies_of(b, v, device)[want];
    return HONE_OK;
  }
  HN_TRY(on_device(b, v, device, &have));
  hn_slot from = b->p->slots.p[have];
  if (from.layout == want || from.kind == HN_SLOT_DYNAMIC) {
    *out = have;
    return HONE_OK;
  }
  if (same_bytes(&from, want)) {
    from.layout = want;
    HN_TRY(add_slot(b, &from, out));
    copies_of(b, v, device)[want] = *out;
    return HONE_OK;
  }
  const hn_device *d = device_at(b, device);
  return convert(b, v, have, device, want, d && d->kind->reorder ? d->kind->reorder : &hn_reorder_kernel, out);
}

/* -------------------------------------------------------------------------------- choosing a kernel */

static bool all_fixed(const hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].present && t->in[i].dynamic) return false;
  for (uint32_t i = 0; i < t->n_out; i++)
    if (t->out[i].present && t->out[i].dynamic) return false;
  return true;
}

/* As the kernel sees them before plan(): inputs as they lie, outputs plain. */
static hone_status describe(builder *b, hn_planned *s) {
  hn_task *t = &s->task;
  const hn_node *n = t->node;
  for (uint32_t i = 0; i < t->n_in; i++) {
    t->in[i] = (hn_arg){.present = false};
    if (n->in[i] == HN_NONE) continue;
    uint32_t slot;
    HN_TRY(slot_of(b, n->in[i], &slot));
    fill_arg(b, slot, &t->in[i]);
    uint32_t group = b->group[n->in[i]], here = 0;
    for (uint32_t k = 0; k < n->n_in; k++) here += n->in[k] != HN_NONE && b->group[n->in[k]] == group;
    t->in[i].may_overwrite = b->p->slots.p[slot].kind == HN_SLOT_BLOCK && !b->pinned[group] &&
                             here == 1 && b->reads[group] == 1;
  }
  for (uint32_t i = 0; i < t->n_out; i++) {
    t->out[i] = (hn_arg){.present = false};
    if (n->out[i] == HN_NONE) continue;
    const hn_value *v = hn_value_at(b->g, n->out[i]);
    t->out[i] = (hn_arg){.present = true, .dynamic = !hn_shape_fixed(&v->shape) || !v->dtype, .dtype = v->dtype,
                         .rank = v->shape.rank, .quant = v->quant};
    memcpy(t->out[i].dims, v->shape.d, sizeof t->out[i].dims);
  }
  return HONE_OK;
}

static void want_plain(hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < t->n_out; i++) t->out[i].layout = HN_LAYOUT_PLAIN;
}

/* Plans a kernel, and after it the steps of the epilogue that it leaves. */
static hone_status try_kernel(const hn_kernel *k, hn_planned *s) {
  hn_task *t = &s->task;
  const hn_node *n = t->node;
  t->kernel = k;
  t->scratch = t->packed = 0;
  t->fused = 0;
  t->inplace = -1;
  if (k->plan) HN_TRY(k->plan(t));
  else want_plain(t);
  if (t->fused == n->n_post) return HONE_OK;
  if (t->on && t->on->kind->kernel_at)
    return t->on->kind->takes_epilogue && t->on->kind->takes_epilogue(t) ? HONE_OK : HONE_UNSUPPORTED;
  hone_status st = hn_chain_create(t, HN_NONE, n->post + t->fused, n->n_post - t->fused, &s->tail);
  return st == HONE_UNSUPPORTED && !k->plan ? HONE_OK : st; /* after a reference the references can do it */
}

/* The fast kernels that may do the node, best first: the one timing chose for it, then by falling priority from the
   round's on; those passed over come last. */
static uint32_t candidates(const builder *b, const hn_task *t, const hn_kernel **list) {
  const hn_kernel *by_priority[MAX_TACTICS];
  uint32_t n = 0, first = 0, filled = 0;
  if (b->o->reference || !all_fixed(t)) return 0;
  const hn_kernel *(*table)(uint32_t) = t->on && t->on->kind->kernel_at ? t->on->kind->kernel_at : hn_kernel_at;
  for (uint32_t i = 0; table(i) && n < MAX_TACTICS; i++) {
    const hn_kernel *k = table(i);
    if (k->op != t->node->op || (b->o->only && b->o->only->op == k->op && b->o->only != k)) continue;
    if (b->o->sources && !(b->o->sources & 1U << hn_kernel_origin(k))) continue;
    if (!k->supports(t)) continue;
    uint32_t at = n++;
    for (; at && by_priority[at - 1]->priority < k->priority; at--) by_priority[at] = by_priority[at - 1];
    by_priority[at] = k;
  }
  if (!n) return 0;
  first = b->o->round < n ? b->o->round : n - 1;
  for (uint32_t i = 0; i < n && !b->o->untuned; i++)
    if (hn_streq(by_priority[i]->name, t->node->tactic)) first = i;
  list[filled++] = by_priority[first];
  for (uint32_t i = first + 1; i < n; i++) list[filled++] = by_priority[i];
  for (uint32_t i = 0; i < first; i++) list[filled++] = by_priority[i];
  if (n > b->p->alternatives) b->p->alternatives = n;
  return n;
}

/* What its device does not run stays on the CPU. */
static hone_status fall_back(builder *b, hn_planned *s) {
  s->device = HN_HOST;
  s->task.on = NULL;
  return hn_push(&b->p->fallbacks, s->node) ? HONE_OK : hn_nomem(b->g->cx);
}

static hone_status choose_kernel(builder *b, hn_planned *s) {
  hn_task *t = &s->task;
  const hn_kernel *list[MAX_TACTICS];
  HN_TRY(describe(b, s));
  if (t->on && t->on->kind->supports && !t->on->kind->supports(t->on, t)) HN_TRY(fall_back(b, s));
  uint32_t n = candidates(b, t, list);
  for (uint32_t i = 0; i < n; i++) {
    hone_status st = try_kernel(list[i], s);
    if (!st) return HONE_OK;
    abandon(s);
    if (st != HONE_UNSUPPORTED) return st;
    HN_TRY(describe(b, s));
  }
  if (t->on && t->on->kind->kernel_at) { /* a device with kernels of its own, but none for this node */
    HN_TRY(fall_back(b, s));
    return choose_kernel(b, s);
  }
  const hn_kernel *reference = hn_takes_reals(t) ? &hn_reals_kernel : hn_kernel_ref(t->node->op);
  if (!reference)
    return hn_fail(b->g->cx, HONE_UNSUPPORTED, "node '%s': operator %s has no kernel in this build", t->node->name,
                   hn_op_name(t->node->op));
  hone_status st = try_kernel(reference, s);
  if (st) abandon(s);
  return st;
}

/* ------------------------------------------------------------------------------------------- nodes */

/* Same bytes, other dimensions: the output is a view of the input. */
static bool is_view(const builder *b, const hn_node *n) {
  bool op = n->op == HN_Reshape || n->op == HN_Flatten || n->op == HN_Squeeze || n->op == HN_Unsqueeze ||
            n->op == HN_Identity;
  if (!op || n->n_post || b->o->keep_all) return false;
  return hn_shape_fixed(&hn_value_at(b->g, n->out[0])->shape) && hn_shape_fixed(&hn_value_at(b->g, n->in[0])->shape) &&
         hn_value_at(b->g, n->out[0])->dtype;
}

static hone_status plan_view(builder *b, const hn_node *n) {
  uint32_t from;
  hn_id out = n->out[0];
  const hn_value *v = hn_value_at(b->g, out);
  bool same = hn_shape_equal(&v->shape, &hn_value_at(b->g, n->in[0])->shape);
  if (same) HN_TRY(slot_of(b, n->in[0], &from));
  else {
    HN_TRY(slot_of(b, n->in[0], &from)); /* a view lies where its input does */
    HN_TRY(in_layout(b, n->in[0], b->p->slots.p[from].device, HN_LAYOUT_PLAIN, &from));
  }
  touch(b, from);
  hn_slot s = b->p->slots.p[from];
  s.rank = v->shape.rank;
  memcpy(s.dims, v->shape.d, sizeof s.dims);
  s.value = out;
  return add_slot(b, &s, &b->p->value_slot[out]);
}

static hone_status plan_outputs(builder *b, hn_planned *s) {
  hn_task *t = &s->task;
  const hn_node *n = t->node;
  for (uint32_t i = 0; i < t->n_out; i++) {
    s->out[i] = HN_NONE;
    hn_id v = n->out[i];
    if (v == HN_NONE) continue;
    if (i == 0 && t->inplace >= 0 && t->in[t->inplace].may_overwrite) {
      hn_slot slot = b->p->slots.p[s->in[t->inplace]];
      slot.value = v;
      slot.layout = t->out[0].layout;
      slot.dtype = t->out[0].dtype;
      slot.rank = t->out[0].rank;
      memcpy(slot.dims, t->out[0].dims, sizeof slot.dims);
      HN_TRY(add_slot(b, &slot, &s->out[0]));
    } else {
      HN_TRY(own_slot(b, v, t->out[i].layout, s->device, &s->out[i]));
    }
    b->p->value_slot[v] = s->out[i];
    if (b->pinned[b->group[v]]) keep_to_end(b, s->out[i]);
  }
  return HONE_OK;
}

static uint8_t device_of(const builder *b, hn_id node) {
  const hn_placement *p = b->o->placement;
  return p && node < p->n_nodes ? p->of_node[node] : HN_HOST;
}

/* What a node gives is moved at once to every device that reads it, so that the copy overlaps with what follows. */
static hone_status move_ahead(builder *b, const hn_node *n) {
  for (uint32_t i = 0; b->n_devices > 1 && i < n->n_out; i++) {
    const hn_value *v = n->out[i] == HN_NONE ? NULL : hn_value_at(b->g, n->out[i]);
    uint32_t moved;
    for (uint32_t k = 0; v && k < v->n_users; k++) {
      const hn_node *user = hn_node_at(b->g, v->users[k]);
      if (!user->dead && !is_view(b, user)) HN_TRY(on_device(b, n->out[i], device_of(b, v->users[k]), &moved));
    }
    if (v && hn_is_output(b->g, n->out[i])) HN_TRY(on_device(b, n->out[i], HN_HOST, &moved));
  }
  return HONE_OK;
}

static hone_status plan_node(builder *b, hn_id id) {
  const hn_node *n = hn_node_at(b->g, id);
  hone_status st = HONE_OK;
  if (is_view(b, n)) {
    st = plan_view(b, n);
  } else {
    hn_planned s;
    HN_TRY(new_step(b, &s, id, device_of(b, id), n->n_in, n->n_out));
    HN_TRY(choose_kernel(b, &s));
    for (uint32_t i = 0; i < n->n_in && !st; i++) {
      s.in[i] = HN_NONE;
      if (n->in[i] == HN_NONE || s.task.in[i].unused) continue;
      st = in_layout(b, n->in[i], s.device, s.task.in[i].layout, &s.in[i]);
    }
    /* Reorders may have been appended meanwhile: what this step reads lives until this step. */
    for (uint32_t i = 0; i < n->n_in && !st; i++)
      if (s.in[i] != HN_NONE) touch(b, s.in[i]);
    if (!st) st = plan_outputs(b, &s);
    if (st) abandon(&s);
    else st = append_step(b, &s);
  }
  if (!st) st = move_ahead(b, n);
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i] != HN_NONE) b->reads[b->group[n->in[i]]]--;
  return st;
}

/* ------------------------------------------------------------------------------------------ chains */

/* Of the nodes from `id` on, each of which is all that reads the one before, as many as may run strip by strip. Operands
   from elsewhere, which must be there already, end a chain. */
static uint32_t find_chain(const builder *b, hn_id id, hn_id *chain) {
  const hn_graph *g = b->g;
  uint32_t n = 0, image;
  for (const hn_node *at = hn_node_at(g, id); n < HN_MAX_CHAIN; at = hn_node_at(g, id)) {
    if (n ? !hn_strips_continue(g, at) : !hn_strips_begin(g, at, &image)) break;
    bool ready = !b->planned[id];
    for (uint32_t i = at->n_main; i < at->n_in && ready; i++) ready = n && b->p->value_slot[at->in[i]] != HN_NONE;
    if (!ready) break;
    chain[n++] = id;
    const hn_value *v = hn_value_at(g, at->out[0]);
    if (at->n_in > at->n_main || v->n_users != 1 || b->pinned[b->group[at->out[0]]] || !hn_shape_fixed(&v->shape)) break;
    id = v->users[0];
    if (hn_in(hn_node_at(g, id), 0) != at->out[0]) break;
  }
  return n;
}

/* Whether a chain is to be run as one: as timing found, or where nothing was timed, if what lies between is large. */
static bool wants_strips(const builder *b, const hn_id *chain, uint32_t n) {
  enum { LARGE = 1 << 20 };
  const hn_node *head = hn_node_at(b->g, chain[0]);
  size_t bytes, most = 0;
  if (b->o->strips >= HN_STRIPS_THIN) return b->o->strips == HN_STRIPS_ALL || hn_strips_continue(b->g, head);
  if (b->o->strips == HN_STRIPS_NONE || (b->o->sources && !(b->o->sources & 1U << HN_ORIGIN_HONE))) return false;
  if (head->tactic && !b->o->untuned) return hn_streq(head->tactic, hn_strips_kernel.name);
  for (uint32_t i = 0; i + 1 < n; i++) {
    const hn_value *v = hn_value_at(b->g, hn_node_at(b->g, chain[i])->out[0]);
    if (hn_layout_bytes(HN_LAYOUT_PLAIN, v->dtype, v->shape.rank, v->shape.d, &bytes) && bytes > most) most = bytes;
  }
  return most >= LARGE;
}

/* Plans a chain that begins here as one step, if one does and is wanted. */
static hone_status plan_chain(builder *b, hn_id id) {
  hn_id chain[HN_MAX_CHAIN];
  hn_planned s;
  uint32_t length = b->o->reference || b->o->keep_all || b->o->only || b->o->placement ? 0 : find_chain(b, id, chain);
  if (length < 2 || !wants_strips(b, chain, length)) return HONE_OK;
  const hn_node *head = hn_node_at(b->g, id), *last = hn_node_at(b->g, chain[length - 1]);
  uint32_t image, gates = head->op == HN_Mul, n_in = 1 + gates + last->n_in - last->n_main;
  HN_TRY(new_step(b, &s, id, HN_HOST, n_in, 1));
  hn_id *operands = hn_arena_alloc(b->p->arena, sizeof *operands * n_in);
  s.task.chain = hn_arena_memdup(b->p->arena, chain, sizeof *chain * length);
  if (!operands || !s.task.chain) return hn_nomem(b->g->cx);
  hn_strips_begin(b->g, head, &image);
  operands[0] = head->in[image];
  if (gates) operands[1] = head->in[1 - image];
  memcpy(operands + 1 + gates, last->in + last->n_main, sizeof *operands * (n_in - 1 - gates));
  s.task.operands = operands;
  s.task.n_chain = length;
  s.task.kernel = &hn_strips_kernel;
  for (uint32_t i = 0; i < n_in; i++) {
    uint32_t slot;
    HN_TRY(slot_of(b, operands[i], &slot));
    fill_arg(b, slot, &s.task.in[i]);
    if (s.task.in[i].dynamic) return HONE_OK;
  }
  const hn_value *v = hn_value_at(b->g, last->out[0]);
  s.task.out[0] = (hn_arg){.present = true, .dtype = v->dtype, .rank = v->shape.rank};
  memcpy(s.task.out[0].dims, v->shape.d, sizeof s.task.out[0].dims);
  hone_status st = hn_strips_kernel.plan(&s.task);
  for (uint32_t i = 0; i < n_in && !st; i++) st = in_layout(b, operands[i], HN_HOST, s.task.in[i].layout, &s.in[i]);
  for (uint32_t i = 0; i < n_in && !st; i++) touch(b, s.in[i]);
  if (!st) st = own_slot(b, last->out[0], s.task.out[0].layout, HN_HOST, &s.out[0]);
  if (st) {
    abandon(&s);
    return st == HONE_UNSUPPORTED ? HONE_OK : st;
  }
  b->p->value_slot[last->out[0]] = s.out[0];
  if (b->pinned[b->group[last->out[0]]]) keep_to_end(b, s.out[0]);
  HN_TRY(append_step(b, &s));
  for (uint32_t i = 0; i < length; i++) {
    const hn_node *at = hn_node_at(b->g, chain[i]);
    b->planned[chain[i]] = true;
    for (uint32_t k = 0; k < at->n_in; k++)
      if (at->in[k] != HN_NONE) b->reads[b->group[at->in[k]]]--;
  }
  return HONE_OK;
}

static uint32_t group_of(const builder *b, uint32_t v) {
  while (b->group[v] != v) v = b->group[v];
  return v;
}

/* Groups of views, how often each will be read, and which must survive to the end. */
static void prepare_groups(builder *b) {
  const hn_graph *g = b->g;
  for (uint32_t v = 0; v < g->values.n; v++) b->group[v] = v;
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    if (!n->dead && is_view(b, n)) b->group[group_of(b, n->out[0])] = group_of(b, n->in[0]);
  }
  for (uint32_t v = 0; v < g->values.n; v++) b->group[v] = group_of(b, v);
  for (uint32_t v = 0; v < g->values.n; v++) b->reads[b->group[v]] += g->values.p[v].n_users;
  for (size_t i = 0; i < g->outputs.n; i++) b->pinned[b->group[g->outputs.p[i].value]] = true;
  if (b->o->keep_all)
    for (uint32_t v = 0; v < g->values.n; v++) b->pinned[v] = true;
}

static hone_status plan_graph(builder *b) {
  hn_graph *g = b->g;
  for (uint32_t i = 0; i < g->inputs.n; i++) {
    hn_id v = g->inputs.p[i];
    const hn_value *val = hn_value_at(g, v);
    hn_slot s = {.kind = HN_SLOT_INPUT, .dtype = val->dtype, .rank = val->shape.rank, .value = v, .index = i};
    if (!hn_shape_fixed(&val->shape) || !hn_shape_count(&val->shape, &s.count))
      return hn_fail(g->cx, HONE_BAD_ARG, "input '%s' has no fixed shape: set one", val->name);
    memcpy(s.dims, val->shape.d, sizeof s.dims);
    HN_TRY(add_slot(b, &s, &b->p->value_slot[v]));
    if (b->o->inputs_as && s.dtype == HONE_DTYPE_F32 && s.rank > 2 && s.rank < 6)
      HN_TRY(in_layout(b, v, HN_HOST, b->o->inputs_as, &b->p->value_slot[v]));
  }
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < n && !st; i++) {
    if (!b->planned[order[i]]) st = plan_chain(b, order[i]);
    if (!st && !b->planned[order[i]]) st = plan_node(b, order[i]);
  }
  hn_free(order);
  for (size_t i = 0; i < g->outputs.n && !st; i++) {
    st = in_layout(b, g->outputs.p[i].value, HN_HOST, HN_LAYOUT_PLAIN, &b->p->outputs[i]);
    if (!st) keep_to_end(b, b->p->outputs[i]);
  }
  return st;
}

hone_status hn_plan_create(hn_graph *g, const hn_plan_options *o, hn_plan **out) {
  hn_plan *p = hn_calloc(1, sizeof *p);
  if (!p) return hn_nomem(g->cx);
  size_t nv = g->values.n;
  builder b = {.p = p, .g = g, .o = o, .n_devices = o->placement ? o->placement->n : 1};
  b.group = hn_calloc(nv, sizeof *b.group);
  b.reads = hn_calloc(nv, sizeof *b.reads);
  b.pinned = hn_calloc(nv, sizeof *b.pinned);
  b.converted = hn_calloc(nv * b.n_devices, sizeof *b.converted);
  b.planned = hn_calloc(g->nodes.n, sizeof *b.planned);
  p->g = g;
  p->arena = hn_arena_create();
  hone_status st = p->arena && b.group && b.reads && b.pinned && b.converted && b.planned ? HONE_OK : hn_nomem(g->cx);
  if (!st) {
    p->outputs = hn_arena_alloc(p->arena, sizeof *p->outputs * g->outputs.n);
    p->value_slot = hn_arena_alloc(p->arena, sizeof *p->value_slot * nv);
    if (!p->outputs || !p->value_slot) st = hn_nomem(g->cx);
  }
  if (!st) {
    memset(p->value_slot, 0xff, sizeof *p->value_slot * nv);
    memset(b.converted, 0xff, sizeof *b.converted * nv * b.n_devices);
    prepare_groups(&b);
    if (g->store) hn_store_lock(g->store); /* what kernels pack is there for others when it is whole */
    st = plan_graph(&b);
    if (g->store) hn_store_unlock(g->store);
  }
  if (!st && b.n_devices > 1) st = hn_schedule_create(p, b.n_devices);
  else if (!st) st = hn_plan_memory(g->cx, p->blocks.p, p->blocks.n, &p->arena_bytes, &p->lower_bound);
  hn_free(b.group);
  hn_free(b.reads);
  hn_free(b.pinned);
  hn_free(b.converted);
  hn_free(b.planned);
  if (st) {
    hn_plan_destroy(p);
    return st;
  }
  *out = p;
  return HONE_OK;
}

void hn_plan_destroy(hn_plan *p) {
  if (!p) return;
  for (size_t i = 0; i < p->steps.n; i++) abandon(&p->steps.p[i]);
  hn_vec_free(&p->slots);
  hn_vec_free(&p->blocks);
  hn_vec_free(&p->steps);
  hn_vec_free(&p->fallbacks);
  hn_arena_destroy(p->arena);
  hn_free(p);
}

void hn_planned_kind(const hn_graph *g, const hn_planned *s, hn_str *out) {
  if (!s->task.node) hn_str_add(out, hn_is_transfer(s) ? "Transfer" : "Reorder");
  else if (!s->task.chain) hn_node_kind_text(s->task.node, out);
  for (uint32_t i = 0; i < s->task.n_chain; i++) {
    if (i) hn_str_add(out, ", ");
    hn_node_kind_text(hn_node_at(g, s->task.chain[i]), out);
  }
}

uint64_t hn_planned_sum(const hn_graph *g, const hn_planned *s, uint64_t (*of)(const hn_graph *, const hn_node *, bool *),
                        bool *symbolic) {
  uint64_t sum = 0;
  if (s->task.node && !s->task.chain) return of(g, s->task.node, symbolic);
  for (uint32_t i = 0; i < s->task.n_chain; i++) sum += of(g, hn_node_at(g, s->task.chain[i]), symbolic);
  return sum;
}
