#include "plan/join.h"

#include <string.h>

#include "device/cpu/move/layout_strides.h"
#include "op/infer.h"
#include "plan/builder.h"

bool hn_part_place(hn_layout l, const hn_shape *whole, int64_t whole_pitch, const hn_shape *part, int32_t axis, int64_t at,
                   int64_t *offset, int64_t *pitch) {
  int64_t d[HN_ND_RANK], stride[HN_ND_RANK], block, outer = 1;
  if (l != HN_LAYOUT_PLAIN && whole->rank < 3) return false;
  int32_t n = hn_layout_dims(l, whole->rank, whole->d, d), a = hn_layout_axis(l, whole->rank, axis, &block);
  if (at % block || part->d[axis] % block) return false;
  int64_t between = whole_pitch ? whole_pitch : d[n - 1];
  hn_pitched_strides(n, d, between, stride);
  for (int32_t i = 0; i < a; i++) outer *= d[i];
  *offset = at / block * stride[a];
  *pitch = a < n - 1 ? whole_pitch : outer == 1 || part->d[axis] == between ? 0 : between;
  return outer == 1 || a == n - 1;
}

static bool fixed(const hn_value *v) {
  if (!hn_shape_fixed(&v->shape) || !hn_element_size(v->dtype)) return false;
  for (int32_t i = 0; i < v->shape.rank; i++)
    if (v->shape.d[i] < 1) return false;
  return true;
}

static bool on_host(const hn_builder *b, hn_id node) {
  const hn_placement *p = b->o->placement;
  return !p || (node < p->n_nodes && p->of_node[node] == HN_HOST);
}

static bool in_use(const hn_builder *b) { return !b->o->reference && !b->o->keep_all && !b->o->only && !b->o->copy_joins; }

/* A Concat, Split or Slice that may be done without; timing may have found it faster to copy. */
static bool may_vanish(const hn_builder *b, hn_id id, const char *copying) {
  const hn_node *n = hn_node_at(b->g, id);
  return in_use(b) && !n->n_post && n->n_in == n->n_main && on_host(b, id) && (b->o->untuned || !hn_tactic_is(n->tactic, copying));
}

/* ---------------------------------------------------------------------------------------- finding them */

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

static int64_t size_along(const hn_builder *b, hn_id v, int32_t axis) { return hn_value_at(b->g, v)->shape.d[axis]; }

static bool may_join(const hn_builder *b, hn_id id, int32_t *axis) {
  const hn_node *n = hn_node_at(b->g, id);
  if (n->op != HN_Concat || !may_vanish(b, id, "concat_move")) return false;
  const hn_value *whole = hn_value_at(b->g, n->out[0]);
  if (!fixed(whole) || !hn_axis(hn_attr_i(n, "axis", 0), whole->shape.rank, axis)) return false;
  for (uint32_t i = 0; i < n->n_in; i++) {
    const hn_value *v = hn_value_at(b->g, n->in[i]);
    if (!fixed(v) || v->dtype != whole->dtype) return false;
  }
  return true;
}

bool hn_concat_axis(const hn_graph *g, const hn_node *n, int32_t *axis) {
  return n->op == HN_Concat && hn_axis(hn_attr_i(n, "axis", 0), hn_value_at(g, n->out[0])->shape.rank, axis);
}

/* Are the inputs of a Concat neighbours in a whole already, in order? */
static bool is_inside(const hn_builder *b, const hn_node *n, int32_t axis) {
  const hn_part *part = b->joins.part, *first = &part[n->in[0]];
  if (first->join == HN_NONE || b->joins.list.p[first->join].axis != axis) return false;
  int64_t at = first->at;
  for (uint32_t i = 0; i < n->n_in; at += size_along(b, n->in[i++], axis))
    if (part[n->in[i]].join != first->join || part[n->in[i]].at != at) return false;
  return true;
}

static hone_status take_parts(hn_builder *b, const hn_node *n, int32_t axis) {
  hn_part *part = b->joins.part, *mine = &part[n->out[0]];
  if (mine->join == HN_NONE && is_inside(b, n, axis)) {
    *mine = (hn_part){part[n->in[0]].join, part[n->in[0]].at, false};
    return HONE_OK;
  }
  if (mine->join == HN_NONE) {
    if (!hn_push(&b->joins.list, ((hn_join){.whole = n->out[0], .axis = axis}))) return hn_nomem(b->g->cx);
    *mine = (hn_part){(uint32_t)b->joins.list.n - 1, 0, false};
  }
  hn_join *j = &b->joins.list.p[mine->join];
  if (j->axis != axis) return HONE_OK;
  int64_t at = mine->at;
  for (uint32_t i = 0; i < n->n_in; i++) {
    hn_part *p = &part[n->in[i]];
    int64_t size = size_along(b, n->in[i], axis);
    if (p->join == HN_NONE && hn_producer(b->g, n->in[i]) != HN_NONE) *p = (hn_part){mine->join, at, false};
    j->unit = common_divisor(size, j->unit);
    at += size;
  }
  return HONE_OK;
}

hone_status hn_joins_find(hn_builder *b, const hn_id *order, uint32_t n) {
  size_t values = b->g->values.n;
  int32_t axis;
  b->joins.part = hn_calloc(values, sizeof *b->joins.part);
  if (!b->joins.part) return hn_nomem(b->g->cx);
  for (size_t v = 0; v < values; v++) b->joins.part[v].join = HN_NONE;
  for (uint32_t i = n; i-- > 0;) /* the last first: the longest of those that prolong one another */
    if (may_join(b, order[i], &axis)) HN_TRY(take_parts(b, hn_node_at(b->g, order[i]), axis));
  return HONE_OK;
}

void hn_joins_free(hn_joins *j) {
  hn_vec_free(&j->list);
  hn_free(j->part);
}

/* ------------------------------------------------------------------------------------- writing in place */

/* The layout in which parts lie with gaps. */
static bool layout_with_gaps(int32_t rank, int32_t axis, hn_layout *l) {
  *l = axis == 1 && rank > 2 ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  return *l == HN_LAYOUT_NHWC || axis == rank - 1;
}

bool hn_join_offer(const hn_builder *b, hn_id v, hn_arg *a) {
  const hn_part *p = &b->joins.part[v];
  const hn_value *val = hn_value_at(b->g, v);
  int64_t offset, pitch;
  hn_layout l;
  if (b->o->gap && fixed(val) && (b->o->inputs_as == HN_LAYOUT_PLAIN || (b->o->inputs_as == HN_LAYOUT_NHWC && a->rank > 2))) {
    a->pitch_in = b->o->inputs_as;
    a->pitch = hn_layout_run(a->pitch_in, a->rank, a->dims) + b->o->gap;
  }
  if (p->join == HN_NONE) return false;
  const hn_join *j = &b->joins.list.p[p->join];
  if (j->whole == v) return false;
  if (!layout_with_gaps(a->rank, j->axis, &l) || (j->begun && j->layout != l)) return true;
  if (!hn_part_place(l, &hn_value_at(b->g, j->whole)->shape, 0, &val->shape, j->axis, p->at, &offset, &pitch)) return true;
  a->pitch = pitch;
  a->pitch_in = l;
  return true;
}

static bool may_have(const hn_graph *g, const hn_join *j, hn_layout l) {
  const hn_shape *whole = &hn_value_at(g, j->whole)->shape;
  int64_t block;
  if (l != HN_LAYOUT_PLAIN && whole->rank < 3) return false;
  hn_layout_axis(l, whole->rank, j->axis, &block);
  return j->unit % block == 0;
}

bool hn_join_lies(const hn_joins *joins, const hn_graph *g, hn_id v, hn_layout l, int64_t *pitch) {
  const hn_part *p = joins->part ? &joins->part[v] : NULL;
  int64_t offset, unused;
  if (!p || p->join == HN_NONE) return false;
  const hn_join *j = &joins->list.p[p->join];
  return may_have(g, j, l) && hn_part_place(l, &hn_value_at(g, j->whole)->shape, 0, &hn_value_at(g, v)->shape, j->axis, p->at, &offset,
                                            pitch ? pitch : &unused);
}

bool hn_join_belongs(const hn_joins *joins, const hn_graph *g, const hn_node *concat, uint32_t i) {
  const hn_part *whole = &joins->part[concat->out[0]], *p = &joins->part[concat->in[i]];
  if (whole->join == HN_NONE || p->join != whole->join) return false;
  int64_t at = whole->at;
  for (uint32_t k = 0; k < i; k++) at += hn_value_at(g, concat->in[k])->shape.d[joins->list.p[whole->join].axis];
  return p->at == at;
}

/* A whole gets its layout and its block with the first part that is made. */
static hone_status begin(hn_builder *b, hn_join *j, hn_layout l, bool *possible) {
  const hn_value *whole = hn_value_at(b->g, j->whole);
  size_t bytes;
  *possible = j->begun && j->layout == l;
  if (j->begun) return HONE_OK;
  if (!may_have(b->g, j, l) || !hn_layout_bytes(l, whole->dtype, whole->shape.rank, whole->shape.d, &bytes)) return HONE_OK;
  HN_TRY(hn_block_add(b, bytes, HN_HOST, &j->block));
  j->layout = l;
  *possible = j->begun = true;
  return HONE_OK;
}

/* A slot for v where the whole has it. */
static hone_status part_slot(hn_builder *b, hn_id v, int64_t offset, int64_t pitch, uint32_t *out) {
  const hn_join *j = &b->joins.list.p[b->joins.part[v].join];
  const hn_value *val = hn_value_at(b->g, v);
  hn_slot s = {.kind = HN_SLOT_BLOCK, .layout = j->layout, .dtype = val->dtype, .rank = val->shape.rank, .value = v,
               .index = j->block, .pitch = pitch, .offset = (size_t)offset * hn_element_size(val->dtype)};
  memcpy(s.dims, val->shape.d, sizeof s.dims);
  if (!hn_shape_count(&val->shape, &s.count)) return hn_fail(b->g->cx, HONE_BAD_GRAPH, "tensor '%s' is too large", val->name);
  HN_TRY(hn_slot_add(b, &s, out));
  hn_slot_touch(b, *out);
  return HONE_OK;
}

/* After a Concat has written its output there, its inputs lie there too. */
static void mark_inputs(hn_builder *b, hn_id v) {
  hn_part *part = b->joins.part;
  const hn_node *n = hn_node_at(b->g, hn_producer(b->g, v));
  int32_t axis = b->joins.list.p[part[v].join].axis, own;
  if (n->op != HN_Concat || !hn_axis(hn_attr_i(n, "axis", 0), hn_value_at(b->g, v)->shape.rank, &own) || own != axis) return;
  int64_t at = part[v].at;
  for (uint32_t i = 0; i < n->n_in; at += size_along(b, n->in[i++], axis))
    if (part[n->in[i]].join == part[v].join && part[n->in[i]].at == at) part[n->in[i]].placed = true;
}

hone_status hn_join_output(hn_builder *b, hn_id v, const hn_arg *a, uint8_t device, uint32_t *out) {
  hn_part *p = &b->joins.part[v];
  hn_join *j = p->join == HN_NONE ? NULL : &b->joins.list.p[p->join];
  int64_t offset, pitch;
  bool possible;
  if (!j || j->whole == v || device != HN_HOST || a->dynamic ||
      !hn_part_place(a->layout, &hn_value_at(b->g, j->whole)->shape, 0, &hn_value_at(b->g, v)->shape, j->axis, p->at, &offset, &pitch) ||
      (pitch && !a->pitched))
    return hn_slot_own(b, v, a, device, out);
  HN_TRY(begin(b, j, a->layout, &possible));
  if (!possible) return hn_slot_own(b, v, a, device, out);
  p->placed = true;
  mark_inputs(b, v);
  return part_slot(b, v, offset, pitch, out);
}

/* Copies the inputs of a Concat that are not in their places. */
static hone_status plan_rest(hn_builder *b, hn_id id, const bool *placed) {
  const hn_node *n = hn_node_at(b->g, id);
  hn_planned s;
  HN_TRY(hn_step_new(b, &s, id, HN_HOST, n->n_in, 1));
  s.out[0] = b->p->value_slot[n->out[0]];
  hn_slot_arg(b, s.out[0], &s.task.out[0]);
  for (uint32_t i = 0; i < n->n_in; i++) {
    uint32_t slot;
    HN_TRY(hn_slot_of(b, n->in[i], &slot));
    hn_slot_arg(b, slot, &s.task.in[i]);
    s.in[i] = HN_NONE;
    s.task.in[i].unused = s.task.in[i].placed = placed[i];
    if (placed[i]) s.task.in[i].layout = s.task.out[0].layout;
  }
  s.task.kernel = &hn_fill_kernel;
  hone_status st = s.task.kernel->plan(&s.task);
  for (uint32_t i = 0; i < n->n_in && !st; i++)
    if (!placed[i]) st = hn_slot_in_layout(b, n->in[i], HN_HOST, s.task.in[i].layout, s.task.in[i].pitched, &s.in[i]);
  for (uint32_t i = 0; i < n->n_in && !st; i++)
    if (!placed[i]) hn_slot_touch(b, s.in[i]);
  hn_slot_touch(b, s.out[0]);
  if (st) hn_step_abandon(&s);
  return st ? st : hn_step_append(b, &s);
}

hone_status hn_join_concat(hn_builder *b, hn_id id, bool *done) {
  const hn_node *n = hn_node_at(b->g, id);
  hn_id v = n->op == HN_Concat ? n->out[0] : HN_NONE;
  hn_part *part = b->joins.part, *p = v == HN_NONE ? NULL : &part[v];
  int64_t offset, pitch;
  int32_t axis;
  if (!p || p->join == HN_NONE || !b->joins.list.p[p->join].begun || !may_join(b, id, &axis)) return HONE_OK;
  const hn_join *j = &b->joins.list.p[p->join];
  if (j->axis != axis || !hn_part_place(j->layout, &hn_value_at(b->g, j->whole)->shape, 0, &hn_value_at(b->g, v)->shape, axis, p->at, &offset, &pitch))
    return HONE_OK;
  bool *placed = hn_arena_alloc(b->p->arena, n->n_in * sizeof *placed);
  if (!placed) return hn_nomem(b->g->cx);
  int64_t at = p->at;
  uint32_t there = 0;
  for (uint32_t i = 0; i < n->n_in; at += size_along(b, n->in[i++], axis)) {
    const hn_part *q = &part[n->in[i]];
    placed[i] = q->join == p->join && q->at == at && q->placed;
    there += placed[i];
  }
  if (!there) return HONE_OK;
  HN_TRY(part_slot(b, v, offset, pitch, &b->p->value_slot[v]));
  if (b->pinned[b->group[v]]) hn_slot_keep(b, b->p->value_slot[v]);
  if (there < n->n_in) HN_TRY(plan_rest(b, id, placed));
  p->placed = *done = true;
  mark_inputs(b, v);
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------- reading in place */

static bool constant_ints(const hn_graph *g, hn_id v, int64_t *to, uint32_t *n) {
  const hn_tensor *c = hn_const(g, v);
  if (!c || c->rank > 1 || c->count > HN_MAX_RANK || !hn_is_int(c->dtype)) return false;
  for (int64_t i = 0; i < c->count; i++) to[i] = hn_tensor_i(c, (size_t)i);
  *n = (uint32_t)c->count;
  return true;
}

/* The one axis that a Slice shortens, and where it begins there. */
static bool is_plain_slice(const hn_graph *g, const hn_node *n, int32_t *axis, int64_t *at) {
  const hn_shape *in = &hn_value_at(g, n->in[0])->shape, *out = &hn_value_at(g, n->out[0])->shape;
  int64_t starts[HN_MAX_RANK], axes[HN_MAX_RANK], steps[HN_MAX_RANK];
  uint32_t n_starts, n_axes = 0, n_steps = 0;
  bool some_axes = hn_in(n, 3) != HN_NONE, some_steps = hn_in(n, 4) != HN_NONE;
  int32_t shorter = -1, a;
  if (!constant_ints(g, hn_in(n, 1), starts, &n_starts) || (some_axes && (!constant_ints(g, hn_in(n, 3), axes, &n_axes) || n_axes != n_starts)) ||
      (some_steps && (!constant_ints(g, hn_in(n, 4), steps, &n_steps) || n_steps != n_starts)))
    return false;
  for (int32_t i = 0; i < in->rank; i++) {
    if (in->d[i] == out->d[i]) continue;
    if (shorter >= 0) return false;
    shorter = i;
  }
  if (shorter < 0) return false;
  *axis = shorter;
  *at = 0;
  for (uint32_t i = 0; i < n_starts; i++) {
    if ((some_steps && steps[i] != 1) || !hn_axis(some_axes ? axes[i] : i, in->rank, &a)) return false;
    if (a != shorter) continue;
    int64_t first = starts[i] < 0 ? starts[i] + in->d[a] : starts[i];
    *at = first < 0 ? 0 : first > in->d[a] ? in->d[a] : first;
  }
  return *at + out->d[shorter] <= in->d[shorter];
}

bool hn_is_cut(const hn_graph *g, const hn_node *n, uint32_t i, int32_t *axis, int64_t *at) {
  if ((n->op != HN_Split && n->op != HN_Slice) || i >= n->n_out || n->out[i] == HN_NONE || !fixed(hn_value_at(g, n->in[0]))) return false;
  for (uint32_t k = 0; k < n->n_out; k++)
    if (n->out[k] == HN_NONE || !fixed(hn_value_at(g, n->out[k]))) return false;
  if (n->op == HN_Slice) return is_plain_slice(g, n, axis, at);
  if (!hn_axis(hn_attr_i(n, "axis", 0), hn_value_at(g, n->in[0])->shape.rank, axis)) return false;
  *at = 0;
  for (uint32_t k = 0; k < i; k++) *at += hn_value_at(g, n->out[k])->shape.d[*axis];
  return true;
}

bool hn_join_may_cut(const hn_builder *b, hn_id id) {
  const hn_node *n = hn_node_at(b->g, id);
  int32_t axis;
  int64_t at;
  return hn_is_cut(b->g, n, 0, &axis, &at) && may_vanish(b, id, n->op == HN_Split ? "split_move" : "slice_move");
}

hone_status hn_join_cut(hn_builder *b, hn_id id, bool *done) {
  const hn_node *n = hn_node_at(b->g, id);
  uint32_t from;
  int32_t axis;
  int64_t at, offset, pitch;
  if (!hn_join_may_cut(b, id)) return HONE_OK;
  HN_TRY(hn_slot_of(b, n->in[0], &from));
  hn_slot whole = b->p->slots.p[from];
  if ((whole.kind != HN_SLOT_BLOCK && whole.kind != HN_SLOT_INPUT) || whole.device != HN_HOST) return HONE_OK;
  const hn_shape *shape = &hn_value_at(b->g, n->in[0])->shape;
  for (uint32_t i = 0; i < n->n_out; i++)
    if (!hn_is_cut(b->g, n, i, &axis, &at) ||
        !hn_part_place(whole.layout, shape, whole.pitch, &hn_value_at(b->g, n->out[i])->shape, axis, at, &offset, &pitch))
      return HONE_OK;
  for (uint32_t i = 0; i < n->n_out; i++) {
    const hn_value *v = hn_value_at(b->g, n->out[i]);
    hn_is_cut(b->g, n, i, &axis, &at);
    hn_part_place(whole.layout, shape, whole.pitch, &v->shape, axis, at, &offset, &pitch);
    hn_slot s = whole;
    s.value = n->out[i];
    s.pitch = pitch;
    s.offset += (size_t)offset * hn_element_size(s.dtype);
    memcpy(s.dims, v->shape.d, sizeof s.dims);
    if (!hn_shape_count(&v->shape, &s.count)) return hn_fail(b->g->cx, HONE_BAD_GRAPH, "tensor '%s' is too large", v->name);
    HN_TRY(hn_slot_add(b, &s, &b->p->value_slot[n->out[i]]));
  }
  hn_slot_touch(b, from);
  *done = true;
  return HONE_OK;
}
