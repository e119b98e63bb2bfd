/* plan.c - walks the graph in order; for each node chooses a kernel, brings its inputs into the layouts it wants,
   and records who touches which block of memory when. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "device/cpu/move/strided_copy.h"
#include "op/infer.h"
#include "plan/builder.h"
#include "plan/fork.h"
#include "plan/schedule.h"

enum { MAX_TACTICS = 16 }; /* of one operator */

/* A kernel, and which of its ways to do a node. */
typedef struct tactic {
  const hn_kernel *kernel;
  uint32_t variant;
} tactic;

/* -------------------------------------------------------------------------------- choosing a kernel */

static bool inputs_fixed(const hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].present && t->in[i].dynamic) return false;
  return true;
}

static bool outputs_fixed(const hn_task *t) {
  for (uint32_t i = 0; i < t->n_out; i++)
    if (t->out[i].present && t->out[i].dynamic) return false;
  return true;
}

/* A value as the graph knows it. */
static hn_arg as_plain(const hn_graph *g, hn_id id) {
  const hn_value *v = hn_value_at(g, id);
  hn_arg a = {.present = true, .dynamic = !hn_shape_fixed(&v->shape) || !v->dtype, .dtype = v->dtype, .rank = v->shape.rank, .constant = v->data,
              .quant = v->quant};
  memcpy(a.dims, v->shape.d, sizeof a.dims);
  return a;
}

/* The layout in which a node is to be offered its images; false: as they lie. */
static bool brought_in(const hn_builder *b, const hn_node *n, hn_layout *l) {
  const char *at = b->o->untuned || !n->tactic ? NULL : strchr(n->tactic, '@');
  *l = b->o->bring ? (hn_layout)(b->o->bring - 1) : HN_LAYOUT_PLAIN;
  for (int k = 0; at && k < HN_LAYOUT_COUNT; k++)
    if (strcmp(at + 1, hn_layout_name((hn_layout)k)) == 0) return *l = (hn_layout)k, true;
  return b->o->bring != 0;
}

/* Input i of a step on the host that is not in the layout wanted is brought into it. */
static hone_status bring(hn_builder *b, hn_planned *s, uint32_t i, bool *brought) {
  uint32_t slot;
  hn_layout l;
  hn_id v = s->task.node->in[i];
  const hn_arg *a = &s->task.in[i];
  *brought = false;
  if (s->device != HN_HOST || !brought_in(b, s->task.node, &l)) return HONE_OK;
  if (a->dynamic || a->constant || a->rank < 3 || a->rank > 5 || (a->layout == l && !a->pitch) || hn_element_size(a->dtype) == 0) return HONE_OK;
  HN_TRY(hn_slot_in_layout(b, v, s->device, l, false, &slot));
  hn_slot_arg(b, slot, &s->task.in[i]);
  *brought = true;
  return HONE_OK;
}

/* As the kernel sees them before plan(): inputs as they lie, outputs plain. */
static hone_status describe(hn_builder *b, hn_planned *s) {
  hn_task *t = &s->task;
  const hn_node *n = t->node;
  for (uint32_t i = 0; i < t->n_in; i++) {
    t->in[i] = (hn_arg){.present = false};
    if (n->in[i] == HN_NONE) continue;
    uint32_t slot;
    HN_TRY(hn_slot_of(b, n->in[i], &slot));
    hn_slot_arg(b, slot, &t->in[i]);
    uint32_t group = b->group[n->in[i]], here = 0;
    for (uint32_t k = 0; k < n->n_in; k++) here += n->in[k] != HN_NONE && b->group[n->in[k]] == group;
    if (s->device != HN_HOST || b->p->slots.p[slot].device != HN_HOST) t->in[i].pitch = 0; /* to be moved first */
    bool brought;
    HN_TRY(bring(b, s, i, &brought));
    if (brought) continue;
    t->in[i].may_overwrite = b->p->slots.p[slot].kind == HN_SLOT_BLOCK && !b->p->slots.p[slot].pitch && !b->pinned[group] &&
                             here == 1 && b->reads[group] == 1;
  }
  for (uint32_t i = 0; i < t->n_out; i++) {
    t->out[i] = (hn_arg){.present = false};
    if (n->out[i] == HN_NONE) continue;
    t->out[i] = as_plain(b->g, n->out[i]);
    if (s->device == HN_HOST && !t->out[i].dynamic && hn_join_offer(b, n->out[i], &t->out[i]))
      for (uint32_t k = 0; k < t->n_in; k++) t->in[k].may_overwrite = false; /* its place is in the whole */
  }
  return HONE_OK;
}

static void want_plain(hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < t->n_out; i++) t->out[i].layout = HN_LAYOUT_PLAIN;
}

/* Plans a kernel, and after it the steps of the epilogue that it leaves. */
static hone_status try_tactic(hn_builder *b, tactic way, hn_planned *s) {
  hn_task *t = &s->task;
  const hn_node *n = t->node;
  const hn_kernel *k = way.kernel;
  t->kernel = k;
  t->variant = way.variant;
  s->tactic = k->name;
  if (way.variant) s->tactic = hn_arena_printf(b->p->arena, "%s#%u", k->name, way.variant + 1);
  if (!s->tactic) return hn_nomem(t->cx);
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

/* Is it what the node's tactic names? Behind an @ the tactic has a layout. */
static bool is_named(tactic way, const char *name) {
  size_t n = strlen(way.kernel->name);
  if (!way.variant) return hn_tactic_is(name, way.kernel->name);
  if (!name || strncmp(name, way.kernel->name, n) != 0) return false;
  char *end;
  return name[n] == '#' && strtoul(name + n + 1, &end, 10) == way.variant + 1 && (!*end || *end == '@');
}

static bool may_do(const hn_plan_options *o, const hn_kernel *k, const hn_task *t) {
  if (k->op != t->node->op || (o->only && o->only->op == k->op && o->only != k)) return false;
  if (!inputs_fixed(t) || (!k->counts && !outputs_fixed(t))) return false;
  return (!o->sources || o->sources & 1U << hn_kernel_origin(k)) && k->supports(t);
}

/* How the node may be done by fast kernels, best first: the way timing chose for it, then by falling priority from the
   round's on; those passed over come last. */
static uint32_t candidates(const hn_builder *b, const hn_task *t, tactic *list) {
  tactic by_priority[MAX_TACTICS];
  uint32_t n = 0, first = 0, filled = 0;
  if (b->o->reference) return 0;
  const hn_kernel *(*table)(uint32_t) = t->on && t->on->kind->kernel_at ? t->on->kind->kernel_at : hn_kernel_at;
  for (uint32_t i = 0; table(i) && n < MAX_TACTICS; i++) {
    const hn_kernel *k = table(i);
    if (!may_do(b->o, k, t)) continue;
    for (uint32_t v = 0; v == 0 || (v < k->variants && n < MAX_TACTICS); v++) {
      uint32_t at = n++;
      for (; at && by_priority[at - 1].kernel->priority < k->priority; at--) by_priority[at] = by_priority[at - 1];
      by_priority[at] = (tactic){k, v};
    }
  }
  if (!n) return 0;
  first = b->o->round < n ? b->o->round : n - 1;
  for (uint32_t i = 0; i < n && !b->o->untuned; i++)
    if (is_named(by_priority[i], t->node->tactic)) first = i;
  list[filled++] = by_priority[first];
  for (uint32_t i = first + 1; i < n; i++) list[filled++] = by_priority[i];
  for (uint32_t i = 0; i < first; i++) list[filled++] = by_priority[i];
  if (n > b->p->alternatives) b->p->alternatives = n;
  return n;
}

bool hn_plan_takes(const hn_plan_options *o, const hn_graph *g, hn_id node) {
  const hn_node *n = hn_node_at(g, node);
  hn_task t = {.cx = g->cx, .g = g, .node = n, .n_in = n->n_in, .n_out = n->n_out, .threads = o->threads, .device = o->device, .inplace = -1};
  hn_arg *args = hn_calloc(n->n_in + n->n_out, sizeof *args);
  bool any = false, named = false, by_name = false;
  if (!args || o->widen) {
    hn_free(args);
    return false;
  }
  t.in = args, t.out = args + n->n_in;
  for (uint32_t i = 0; i < n->n_in + n->n_out; i++) {
    hn_id v = i < n->n_in ? n->in[i] : n->out[i - n->n_in];
    if (v != HN_NONE) args[i] = as_plain(g, v);
  }
  for (uint32_t i = 0; hn_kernel_at(i); i++) {
    const hn_kernel *k = hn_kernel_at(i);
    bool can = may_do(o, k, &t), chosen = k->op == n->op && !o->untuned && is_named((tactic){k, 0}, n->tactic);
    any = any || can;
    named = named || chosen;
    by_name = by_name || (chosen && can);
  }
  hn_free(args);
  return named ? by_name : any;
}

/* What its device does not run stays on the CPU. */
static hone_status fall_back(hn_builder *b, hn_planned *s) {
  s->device = HN_HOST;
  s->task.on = NULL;
  return hn_push(&b->p->fallbacks, s->node) ? HONE_OK : hn_nomem(b->g->cx);
}

static hone_status choose_kernel(hn_builder *b, hn_planned *s) {
  hn_task *t = &s->task;
  tactic list[MAX_TACTICS];
  HN_TRY(describe(b, s));
  if (t->on && t->on->kind->supports && !t->on->kind->supports(t->on, t)) HN_TRY(fall_back(b, s));
  uint32_t n = candidates(b, t, list);
  for (uint32_t i = 0; i < n; i++) {
    hone_status st = try_tactic(b, list[i], s);
    if (!st) return HONE_OK;
    hn_step_abandon(s);
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
  hone_status st = try_tactic(b, (tactic){reference, 0}, s);
  if (st) hn_step_abandon(s);
  return st;
}

/* ------------------------------------------------------------------------------------------- nodes */

bool hn_tactic_is(const char *name, const char *kernel) {
  size_t n = strlen(kernel);
  return name && strncmp(name, kernel, n) == 0 && (!name[n] || name[n] == '@' || name[n] == ':');
}

bool hn_is_view_op(hn_op op) {
  return op == HN_Reshape || op == HN_Flatten || op == HN_Squeeze || op == HN_Unsqueeze || op == HN_Identity;
}

/* A Transpose that moves the channels first, or last: of a tensor as it lies, in the layout `have`, the same bytes are its output
   in another layout, once they lie as *from. */
static bool turns_channels(const hn_builder *b, const hn_node *n, hn_layout have, hn_layout *from, hn_layout *to) {
  const int64_t *perm = NULL;
  const hn_value *in = hn_value_at(b->g, n->in[0]);
  int32_t rank = in->shape.rank;
  if (n->op != HN_Transpose || b->o->placement || b->o->only || b->o->reference || in->data || in->quant || rank < 3 ||
      !hn_element_size(in->dtype) || hn_attr_ints(n, "perm", &perm) != (uint32_t)rank || perm[0] != 0)
    return false;
  bool first = perm[1] == rank - 1, last = perm[rank - 1] == 1;
  for (int32_t i = 2; i < rank; i++) {
    first = first && perm[i] == i - 1;
    last = last && perm[i - 1] == i;
  }
  last = last && (!first || have == HN_LAYOUT_NHWC);
  *from = last ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  *to = last ? HN_LAYOUT_PLAIN : HN_LAYOUT_NHWC;
  return first || last;
}

/* Same bytes, other dimensions: the output is a view of the input. */
static bool is_view(const hn_builder *b, const hn_node *n) {
  hn_layout from, to;
  bool op = hn_is_view_op(n->op) || turns_channels(b, n, HN_LAYOUT_PLAIN, &from, &to);
  if (!op || n->n_post || b->o->keep_all) return false;
  return hn_shape_fixed(&hn_value_at(b->g, n->out[0])->shape) && hn_shape_fixed(&hn_value_at(b->g, n->in[0])->shape) &&
         hn_value_at(b->g, n->out[0])->dtype;
}

static hone_status plan_view(hn_builder *b, const hn_node *n) {
  uint32_t from;
  hn_id out = n->out[0];
  const hn_value *v = hn_value_at(b->g, out);
  HN_TRY(hn_slot_of(b, n->in[0], &from)); /* a view lies where its input does */
  hn_layout as = HN_LAYOUT_PLAIN, to = HN_LAYOUT_PLAIN;
  bool turned = turns_channels(b, n, b->p->slots.p[from].layout, &as, &to);
  bool same = !turned && hn_shape_equal(&v->shape, &hn_value_at(b->g, n->in[0])->shape);
  if (!same) HN_TRY(hn_slot_in_layout(b, n->in[0], b->p->slots.p[from].device, as, false, &from));
  hn_slot_touch(b, from);
  hn_slot s = b->p->slots.p[from];
  if (turned) s.layout = to;
  s.rank = v->shape.rank;
  memcpy(s.dims, v->shape.d, sizeof s.dims);
  s.value = out;
  return hn_slot_add(b, &s, &b->p->value_slot[out]);
}

static hone_status plan_outputs(hn_builder *b, hn_planned *s) {
  hn_task *t = &s->task;
  const hn_node *n = t->node;
  for (uint32_t i = 0; i < t->n_out; i++) {
    s->out[i] = HN_NONE;
    hn_id v = n->out[i];
    if (v == HN_NONE) continue;
    if (i == 0 && t->inplace >= 0 && t->in[t->inplace].may_overwrite && !t->out[0].pitched) {
      hn_slot slot = b->p->slots.p[s->in[t->inplace]];
      slot.value = v;
      slot.layout = t->out[0].layout;
      slot.dtype = t->out[0].dtype;
      slot.rank = t->out[0].rank;
      memcpy(slot.dims, t->out[0].dims, sizeof slot.dims);
      HN_TRY(hn_slot_add(b, &slot, &s->out[0]));
    } else {
      HN_TRY(hn_join_output(b, v, &t->out[i], s->device, &s->out[i]));
    }
    b->p->value_slot[v] = s->out[i];
    if (b->pinned[b->group[v]]) hn_slot_keep(b, s->out[i]);
  }
  return HONE_OK;
}

static uint8_t device_of(const hn_builder *b, hn_id node) {
  const hn_placement *p = b->o->placement;
  return p && node < p->n_nodes ? p->of_node[node] : HN_HOST;
}

/* What a node gives is moved at once to every device that reads it, so that the copy overlaps with what follows. */
static hone_status move_ahead(hn_builder *b, const hn_node *n) {
  for (uint32_t i = 0; b->n_devices > 1 && i < n->n_out; i++) {
    const hn_value *v = n->out[i] == HN_NONE ? NULL : hn_value_at(b->g, n->out[i]);
    uint32_t moved;
    for (uint32_t k = 0; v && k < v->n_users; k++) {
      const hn_node *user = hn_node_at(b->g, v->users[k]);
      if (!user->dead && !is_view(b, user)) HN_TRY(hn_slot_on_device(b, n->out[i], device_of(b, v->users[k]), &moved));
    }
    if (v && hn_is_output(b->g, n->out[i])) HN_TRY(hn_slot_on_device(b, n->out[i], HN_HOST, &moved));
  }
  return HONE_OK;
}

static hone_status plan_node(hn_builder *b, hn_id id) {
  const hn_node *n = hn_node_at(b->g, id);
  bool done = false;
  hone_status st = hn_join_concat(b, id, &done);
  if (!st && !done) st = hn_join_cut(b, id, &done);
  if (!st && !done && is_view(b, n)) {
    st = plan_view(b, n);
  } else if (!st && !done) {
    hn_planned s;
    HN_TRY(hn_step_new(b, &s, id, device_of(b, id), n->n_in, n->n_out));
    HN_TRY(choose_kernel(b, &s));
    for (uint32_t i = 0; i < n->n_in && !st; i++) {
      s.in[i] = HN_NONE;
      if (n->in[i] == HN_NONE || s.task.in[i].unused) continue;
      st = hn_slot_in_layout(b, n->in[i], s.device, s.task.in[i].layout, s.task.in[i].pitched, &s.in[i]);
    }
    /* Reorders may have been appended meanwhile: what this step reads lives until this step. */
    for (uint32_t i = 0; i < n->n_in && !st; i++)
      if (s.in[i] != HN_NONE) hn_slot_touch(b, s.in[i]);
    if (!st) st = plan_outputs(b, &s);
    if (st) hn_step_abandon(&s);
    else st = hn_step_append(b, &s);
  }
  if (!st) st = move_ahead(b, n);
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i] != HN_NONE) b->reads[b->group[n->in[i]]]--;
  return st;
}


static uint32_t group_of(const hn_builder *b, uint32_t v) {
  while (b->group[v] != v) v = b->group[v];
  return v;
}

/* Groups of views, how often each will be read, and which must survive to the end. */
static void prepare_groups(hn_builder *b) {
  const hn_graph *g = b->g;
  for (uint32_t v = 0; v < g->values.n; v++) b->group[v] = v;
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    bool cut = !n->dead && hn_join_may_cut(b, (hn_id)i);
    for (uint32_t k = 0; (cut || (!n->dead && is_view(b, n))) && k < n->n_out; k++)
      b->group[group_of(b, n->out[k])] = group_of(b, n->in[0]);
  }
  for (uint32_t v = 0; v < g->values.n; v++)
    if (b->joins.part[v].join != HN_NONE) b->group[group_of(b, v)] = group_of(b, b->joins.list.p[b->joins.part[v].join].whole);
  for (uint32_t v = 0; v < g->values.n; v++) b->group[v] = group_of(b, v);
  for (uint32_t v = 0; v < g->values.n; v++) b->reads[b->group[v]] += g->values.p[v].n_users;
  for (size_t i = 0; i < g->outputs.n; i++) b->pinned[b->group[g->outputs.p[i].value]] = true;
  if (b->o->keep_all)
    for (uint32_t v = 0; v < g->values.n; v++) b->pinned[v] = true;
}

static hone_status plan_graph(hn_builder *b, const hn_id *order, uint32_t n) {
  hn_graph *g = b->g;
  for (uint32_t i = 0; i < g->inputs.n; i++) {
    hn_id v = g->inputs.p[i];
    const hn_value *val = hn_value_at(g, v);
    hn_slot s = {.kind = HN_SLOT_INPUT, .dtype = val->dtype, .rank = val->shape.rank, .value = v, .index = i};
    if (!hn_shape_fixed(&val->shape) || !hn_shape_count(&val->shape, &s.count))
      return hn_fail(g->cx, HONE_BAD_ARG, "input '%s' has no fixed shape: set one", val->name);
    memcpy(s.dims, val->shape.d, sizeof s.dims);
    HN_TRY(hn_slot_add(b, &s, &b->p->value_slot[v]));
    if (b->o->inputs_as && s.dtype == HONE_DTYPE_F32 && s.rank > 2 && s.rank < 6)
      HN_TRY(hn_slot_in_layout(b, v, HN_HOST, b->o->inputs_as, false, &b->p->value_slot[v]));
    if (b->o->gap && hn_element_size(s.dtype) && s.count) HN_TRY(hn_slot_spread(b, v, b->o->gap));
  }
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < n && !st; i++) {
    if (!b->planned[order[i]]) st = hn_plan_chain(b, order[i]);
    if (!st && !b->planned[order[i]]) st = plan_node(b, order[i]);
  }
  for (size_t i = 0; i < g->outputs.n && !st; i++) {
    st = hn_slot_in_layout(b, g->outputs.p[i].value, HN_HOST, HN_LAYOUT_PLAIN, false, &b->p->outputs[i]);
    if (!st) hn_slot_keep(b, b->p->outputs[i]);
  }
  return st;
}

hone_status hn_plan_create(hn_graph *g, const hn_plan_options *o, hn_plan **out) {
  hn_plan *p = hn_calloc(1, sizeof *p);
  if (!p) return hn_nomem(g->cx);
  size_t nv = g->values.n;
  hn_id *order = NULL;
  uint32_t n = 0;
  hn_builder b = {.p = p, .g = g, .o = o, .n_devices = o->placement ? o->placement->n : 1, .forks = hn_forks_wanted(g, o)};
  b.group = hn_calloc(nv, sizeof *b.group);
  b.reads = hn_calloc(nv, sizeof *b.reads);
  b.pinned = hn_calloc(nv, sizeof *b.pinned);
  b.converted = hn_calloc(nv * b.n_devices, sizeof *b.converted);
  b.planned = hn_calloc(g->nodes.n, sizeof *b.planned);
  b.passed = hn_calloc(g->nodes.n, sizeof *b.passed);
  p->g = g;
  p->arena = hn_arena_create();
  hone_status st = p->arena && b.group && b.reads && b.pinned && b.converted && b.planned && b.passed ? HONE_OK : hn_nomem(g->cx);
  if (!st) {
    p->outputs = hn_arena_alloc(p->arena, sizeof *p->outputs * g->outputs.n);
    p->value_slot = hn_arena_alloc(p->arena, sizeof *p->value_slot * nv);
    if (!p->outputs || !p->value_slot) st = hn_nomem(g->cx);
  }
  if (!st) {
    memset(p->value_slot, 0xff, sizeof *p->value_slot * nv);
    memset(b.converted, 0xff, sizeof *b.converted * nv * b.n_devices);
    st = hn_graph_order(g, &order, &n);
  }
  if (!st) st = hn_joins_find(&b, order, n);
  if (!st) {
    prepare_groups(&b);
    if (g->store) hn_store_lock(g->store); /* what kernels pack is there for others when it is whole */
    st = plan_graph(&b, order, n);
    if (g->store) hn_store_unlock(g->store);
  }
  if (!st) st = hn_forks_find(p, o);
  if (!st && b.n_devices > 1) st = hn_schedule_create(p, o->placement);
  else if (!st) st = hn_plan_memory(g->cx, p->blocks.p, p->blocks.n, &p->arena_bytes, &p->lower_bound);
  hn_free(order);
  p->joins = b.joins;
  hn_free(b.group);
  hn_free(b.reads);
  hn_free(b.pinned);
  hn_free(b.converted);
  hn_free(b.planned);
  hn_free(b.passed);
  if (st) {
    hn_plan_destroy(p);
    return st;
  }
  *out = p;
  return HONE_OK;
}

void hn_plan_destroy(hn_plan *p) {
  if (!p) return;
  for (size_t i = 0; i < p->steps.n; i++) hn_step_abandon(&p->steps.p[i]);
  hn_vec_free(&p->slots);
  hn_vec_free(&p->blocks);
  hn_vec_free(&p->steps);
  hn_vec_free(&p->forks);
  hn_vec_free(&p->fallbacks);
  hn_joins_free(&p->joins);
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

hone_arithmetic hn_planned_arithmetic(const hn_graph *g, const hn_planned *s) {
  hone_arithmetic a = HONE_ARITHMETIC_F32;
  if (s->task.node && !s->task.chain) return hn_node_arithmetic(g, s->task.node);
  for (uint32_t i = 0; i < s->task.n_chain && a == HONE_ARITHMETIC_F32; i++) a = hn_node_arithmetic(g, hn_node_at(g, s->task.chain[i]));
  return a;
}

uint64_t hn_planned_sum(const hn_graph *g, const hn_planned *s, uint64_t (*of)(const hn_graph *, const hn_node *, bool *),
                        bool *symbolic) {
  uint64_t sum = 0;
  if (s->task.node && !s->task.chain) return of(g, s->task.node, symbolic);
  for (uint32_t i = 0; i < s->task.n_chain; i++) sum += of(g, hn_node_at(g, s->task.chain[i]), symbolic);
  return sum;
}

