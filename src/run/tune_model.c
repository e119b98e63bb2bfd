#include "run/tune_model.h"

#include <math.h>
#include <string.h>

#include "device/cpu/move/strided_copy.h"

/* -------------------------------------------------------------------------------------------- choices */

static bool same_shape(const hn_tune_model *m, const hn_node *n) {
  return hn_shape_equal(&hn_value_at(m->g, n->out[0])->shape, &hn_value_at(m->g, n->in[0])->shape);
}

static const hn_join *join_of(const hn_tune_model *m, hn_id v, uint32_t *index) {
  *index = v == HN_NONE || !m->plan->joins.part ? HN_NONE : m->plan->joins.part[v].join;
  return *index == HN_NONE ? NULL : &m->plan->joins.list.p[*index];
}

/* The block that a Concat's output lies in if it is made in place. */
static const hn_join *block_of(const hn_tune_model *m, const hn_node *n, uint32_t *index) {
  const hn_join *j = n->op == HN_Concat ? join_of(m, n->out[0], index) : NULL;
  int32_t axis;
  return j && hn_concat_axis(m->g, n, &axis) && axis == j->axis ? j : NULL;
}

static hone_status add_choice(hn_tune_model *m, hn_id node, hn_choice c) {
  return hn_push(&m->layers[node].choices, c) ? HONE_OK : hn_nomem(m->g->cx);
}

static hone_status add_ways(hn_tune_model *m) {
  for (size_t i = 0; i < m->t->ways.n; i++) {
    const hn_way *w = &m->t->ways.p[i];
    if (isinf(hn_tuner_way_seconds(m->t, w))) continue;
    HN_TRY(add_choice(m, w->node, (hn_choice){.kind = HN_CHOICE_WAY, .way = w}));
    for (uint32_t k = 1; k < w->n_chain; k++)
      HN_TRY(add_choice(m, w->chain[k], (hn_choice){.kind = HN_CHOICE_INSIDE, .way = w, .at = k}));
  }
  return HONE_OK;
}

/* What a layer can be without a step. */
static hone_status add_free_choices(hn_tune_model *m, hn_id id) {
  const hn_node *n = hn_node_at(m->g, id);
  uint32_t index;
  int32_t axis;
  int64_t at;
  bool cut = hn_is_cut(m->g, n, 0, &axis, &at),
       image = n->n_in && n->in[0] != HN_NONE && hn_value_at(m->g, n->in[0])->shape.rank > 2;
  if (block_of(m, n, &index))
    for (int l = 0; l < HN_LAYOUT_COUNT; l++)
      if (hn_join_lies(&m->plan->joins, m->g, n->out[0], (hn_layout)l, NULL))
        HN_TRY(add_choice(m, id, (hn_choice){.kind = HN_CHOICE_JOINED, .layout = (hn_layout)l}));
  bool stepless = !m->layers[id].choices.n, as_it_lies = stepless && hn_is_view_op(n->op) && same_shape(m, n);
  for (int l = 0; l < (image ? HN_LAYOUT_COUNT : 1) && (cut || as_it_lies); l++)
    for (int gaps = 0; gaps < 2; gaps++)
      HN_TRY(add_choice(
          m, id, (hn_choice){.kind = cut ? HN_CHOICE_CUT : HN_CHOICE_SAME, .layout = (hn_layout)l, .gaps = gaps}));
  if (stepless && !cut && !as_it_lies && !m->layers[id].choices.n)
    HN_TRY(add_choice(m, id, (hn_choice){.kind = HN_CHOICE_VIEW}));
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- tensors */

static hone_status add_lying(hn_tune_model *m, hn_id v, hn_lying l) {
  hn_model_tensor *x = &m->tensors[v];
  for (size_t i = 0; i < x->lying.n; i++)
    if (x->lying.p[i].layout == l.layout && x->lying.p[i].gaps == l.gaps && x->lying.p[i].never == l.never)
      return HONE_OK;
  return hn_push(&x->lying, l) ? HONE_OK : hn_nomem(m->g->cx);
}

/* Does a tensor that is a part of a block lie in it, made in a layout by a step that can, or cannot, leave gaps? */
static bool placed(const hn_tune_model *m, hn_id v, hn_layout l, bool can_gap, bool *gaps) {
  int64_t pitch;
  *gaps = false;
  if (!hn_join_lies(&m->plan->joins, m->g, v, l, &pitch) || (pitch && !can_gap)) return false;
  *gaps = pitch != 0;
  return true;
}

/* How Split and Slice leave output i of what lies so; false: they cannot. */
static bool cut_lies(const hn_tune_model *m, const hn_node *n, uint32_t i, const hn_choice *c, bool *gaps) {
  int32_t axis;
  int64_t at, offset, pitch;
  const hn_shape *whole = &hn_value_at(m->g, n->in[0])->shape;
  int64_t run = hn_layout_run(c->layout, whole->rank, whole->d);
  if (!hn_is_cut(m->g, n, i, &axis, &at) ||
      !hn_part_place(c->layout, whole, c->gaps ? 2 * run : 0, &hn_value_at(m->g, n->out[i])->shape, axis, at, &offset,
                     &pitch))
    return false;
  *gaps = pitch != 0;
  return true;
}

/* How output i of a node comes to lie by a choice, in a block of layout `block` (HN_LAYOUT_COUNT: in none). false: it
 * cannot be. */
static bool leaves(const hn_tune_model *m, const hn_node *n, uint32_t i, const hn_choice *c, hn_layout block,
                   hn_lying *l) {
  *l = (hn_lying){.layout = HN_LAYOUT_PLAIN};
  bool gaps, last = c->way && (!c->way->n_chain || c->at + 1 == c->way->n_chain);
  int64_t pitch = 0;
  switch (c->kind) {
    case HN_CHOICE_WAY:
    case HN_CHOICE_INSIDE:
      l->never = !last;
      if (!last) return true;
      l->layout = c->way->out[i];
      l->gaps = l->layout == block && placed(m, n->out[i], block, i == 0 && c->way->gaps_out, &gaps) && gaps;
      return true;
    case HN_CHOICE_VIEW:
      return true;
    case HN_CHOICE_SAME:
      return *l = (hn_lying){c->layout, c->gaps, false}, true;
    case HN_CHOICE_CUT:
      if (!cut_lies(m, n, i, c, &gaps)) return false;
      return *l = (hn_lying){c->layout, gaps, false}, true;
    case HN_CHOICE_JOINED:
      if (c->layout != block || !hn_join_lies(&m->plan->joins, m->g, n->out[0], block, &pitch)) return false;
      return *l = (hn_lying){block, pitch != 0, false}, true;
  }
  return false;
}

/* What reading a tensor needs by a choice of its reader. */
typedef struct need {
  bool impossible; /* unless it never lies anywhere */
  bool as_it_lies; /* in this layout and with these gaps, not a copy */
  hn_layout layout;
  bool gaps; /* takes or, as it lies, has */
  bool never;
  double copy; /* seconds if it is not in its place in a block */
} need;

static bool satisfied(const hn_tensor_label *l, const need *x) {
  if (l->lying.never || x->never) return l->lying.never && x->never;
  if (x->as_it_lies) return l->lying.layout == x->layout && l->lying.gaps == x->gaps;
  if (l->also & 1U << x->layout) return true;
  return l->lying.layout == x->layout && (!l->lying.gaps || x->gaps);
}

/* The cost of a reader's choice with a tensor's label, over all its inputs that are this tensor. */
static double reading(const hn_tune_model *m, hn_id id, const hn_choice *c, hn_id v, const hn_tensor_label *l,
                      double copy) {
  const hn_node *n = hn_node_at(m->g, id);
  const hn_way *w = c->way;
  double cost = 0;
  switch (c->kind) {
    case HN_CHOICE_WAY:
      for (uint32_t i = 0; i < w->n_in; i++) {
        if (w->operands[i] != v || !w->in[i].reads) continue;
        /* a chain reads a row-major image only where it lies so */
        bool as = w->n_chain && !i && w->in[i].layout == HN_LAYOUT_PLAIN && l->lying.layout != HN_LAYOUT_PLAIN;
        if (as || !satisfied(l, &(need){.layout = w->in[i].layout, .gaps = w->in[i].gaps})) return INFINITY;
      }
      return 0;
    case HN_CHOICE_INSIDE:
      return hn_out(hn_node_at(m->g, w->chain[c->at - 1]), 0) == v && !l->lying.never ? (double)INFINITY : 0;
    case HN_CHOICE_VIEW:
      return satisfied(l, &(need){.layout = HN_LAYOUT_PLAIN}) ? 0 : (double)INFINITY;
    case HN_CHOICE_SAME:
    case HN_CHOICE_CUT:
      if (v != n->in[0]) return satisfied(l, &(need){.layout = HN_LAYOUT_PLAIN}) ? 0 : (double)INFINITY;
      return satisfied(l, &(need){.as_it_lies = true, .layout = c->layout, .gaps = c->gaps}) ? 0 : (double)INFINITY;
    case HN_CHOICE_JOINED:
      for (uint32_t i = 0; i < n->n_in; i++) {
        bool gaps, there = hn_join_belongs(&m->plan->joins, m->g, n, i) && placed(m, v, c->layout, true, &gaps);
        if (n->in[i] != v || (there && l->lying.layout == c->layout && l->lying.gaps == gaps && !l->lying.never))
          continue;
        if (!satisfied(l, &(need){.layout = c->layout, .gaps = true})) return INFINITY;
        cost += copy;
      }
      return cost;
  }
  return INFINITY;
}

static uint32_t wants(const hn_tune_model *m, hn_id id, const hn_choice *c, hn_id v) {
  uint32_t set = 0;
  if (c->kind == HN_CHOICE_VIEW) return 1U << HN_LAYOUT_PLAIN;
  if (c->kind == HN_CHOICE_JOINED) return 1U << c->layout;
  if (v != hn_node_at(m->g, id)->in[0] && c->kind != HN_CHOICE_WAY) return 1U << HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; c->kind == HN_CHOICE_WAY && i < c->way->n_in; i++)
    if (c->way->operands[i] == v && c->way->in[i].reads) set |= 1U << c->way->in[i].layout;
  return set;
}

/* Nodes that read a value: its users, and heads of chains whose last layer does. */
typedef HN_VEC(hn_id) id_list;

static hone_status add_once(const hn_tune_model *m, id_list *list, hn_id id) {
  for (size_t i = 0; i < list->n; i++)
    if (list->p[i] == id) return HONE_OK;
  return hn_push(list, id) ? HONE_OK : hn_nomem(m->g->cx);
}

static hone_status readers_of(const hn_tune_model *m, hn_id v, id_list *list) {
  const hn_value *val = hn_value_at(m->g, v);
  list->n = 0;
  for (uint32_t i = 0; i < val->n_users; i++)
    if (m->layers[val->users[i]].variable != HN_NONE) HN_TRY(add_once(m, list, val->users[i]));
  for (size_t i = 0; i < m->t->ways.n; i++) {
    const hn_way *w = &m->t->ways.p[i];
    for (uint32_t k = 1; k < w->n_in && w->n_chain; k++)
      if (w->operands[k] == v && w->in[k].reads && m->layers[w->node].variable != HN_NONE)
        HN_TRY(add_once(m, list, w->node));
  }
  return HONE_OK;
}

/* In which ways it may lie, and what may be asked for. */
static hone_status survey(hn_tune_model *m, hn_id v, const id_list *readers) {
  hn_model_tensor *x = &m->tensors[v];
  hn_id by = hn_producer(m->g, v);
  const hn_node *n = by == HN_NONE ? NULL : hn_node_at(m->g, by);
  hn_lying l;
  for (size_t k = 0; n && k < m->layers[by].choices.n; k++)
    for (uint32_t i = 0; i < n->n_out; i++)
      for (int block = 0; n->out[i] == v && block <= HN_LAYOUT_COUNT; block++)
        if (leaves(m, n, i, &m->layers[by].choices.p[k], (hn_layout)block, &l)) HN_TRY(add_lying(m, v, l));
  if (!n) HN_TRY(add_lying(m, v, (hn_lying){.layout = HN_LAYOUT_PLAIN}));
  if (hn_is_output(m->g, v)) x->wanted |= 1U << HN_LAYOUT_PLAIN;
  for (size_t r = 0; r < readers->n; r++)
    for (size_t k = 0; k < m->layers[readers->p[r]].choices.n; k++)
      x->wanted |= wants(m, readers->p[r], &m->layers[readers->p[r]].choices.p[k], v);
  return HONE_OK;
}

/* Row-major and channels last are the same bytes of one channel or one pixel. */
static bool same_bytes(const hn_value *v, const hn_lying *from, hn_layout to) {
  int64_t pixels = 1;
  if (from->gaps || v->shape.rank < 3 || from->layout > HN_LAYOUT_NHWC || to > HN_LAYOUT_NHWC) return false;
  for (int32_t i = 2; i < v->shape.rank; i++) pixels *= v->shape.d[i];
  return pixels == 1 || v->shape.d[1] == 1;
}

static hone_status price(hn_tune_model *m, hn_id v, const hn_tensor_label *l, double *cost) {
  const hn_value *val = hn_value_at(m->g, v);
  double seconds;
  *cost = 0;
  for (int to = 0; to < HN_LAYOUT_COUNT; to++) {
    if (!(l->also & 1U << to) || same_bytes(val, &l->lying, (hn_layout)to)) continue;
    HN_TRY(hn_tuner_reorder(m->t, val, l->lying.layout, l->lying.gaps, (hn_layout)to, false, &seconds));
    m->reorders += l->also == 1U << to; /* alone: once for each */
    *cost += seconds;
  }
  return HONE_OK;
}

static hone_status label_tensor(hn_tune_model *m, hn_id v) {
  hn_model_tensor *x = &m->tensors[v];
  double *cost, seconds;
  for (size_t i = 0; i < x->lying.n; i++) {
    const hn_lying *l = &x->lying.p[i];
    for (uint32_t also = 0; also < 1U << HN_LAYOUT_COUNT; also++) {
      bool needless = (also & ~x->wanted) || (also && l->never) || (!l->gaps && also & 1U << l->layout);
      if (!needless && !hn_push(&x->labels, ((hn_tensor_label){*l, also}))) return hn_nomem(m->g->cx);
    }
  }
  HN_TRY(hn_assign_variable(m->g->cx, &m->a, (uint32_t)x->labels.n, &x->variable));
  HN_TRY(hn_assign_factor(m->g->cx, &m->a, 1, &x->variable, &cost));
  for (size_t i = 0; i < x->labels.n; i++) {
    HN_TRY(price(m, v, &x->labels.p[i], &seconds));
    bool out = !hn_is_output(m->g, v) || satisfied(&x->labels.p[i], &(need){.layout = HN_LAYOUT_PLAIN});
    cost[i] = out ? seconds : (double)INFINITY;
  }
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- factors */

static hone_status tie_reader(hn_tune_model *m, hn_id reader, hn_id v) {
  const hn_model_layer *l = &m->layers[reader];
  const hn_model_tensor *x = &m->tensors[v];
  double *cost, copy[HN_LAYOUT_COUNT];
  HN_TRY(hn_assign_factor(m->g->cx, &m->a, 2, (uint32_t[]){l->variable, x->variable}, &cost));
  for (int k = 0; k < HN_LAYOUT_COUNT; k++) copy[k] = -1;
  for (size_t c = 0; c < l->choices.n; c++) {
    const hn_choice *choice = &l->choices.p[c];
    bool joined = choice->kind == HN_CHOICE_JOINED;
    if (joined && copy[choice->layout] < 0)
      HN_TRY(hn_tuner_reorder(m->t, hn_value_at(m->g, v), choice->layout, false, choice->layout, true,
                              &copy[choice->layout]));
    for (size_t i = 0; i < x->labels.n; i++)
      cost[c * x->labels.n + i] = reading(m, reader, choice, v, &x->labels.p[i], joined ? copy[choice->layout] : 0);
  }
  return HONE_OK;
}

/* A producer, the tensor, and the block it is a part of, if it is. */
static hone_status tie_producer(hn_tune_model *m, hn_id by, uint32_t out, hn_id v) {
  const hn_model_layer *l = &m->layers[by];
  const hn_model_tensor *x = &m->tensors[v];
  uint32_t index, blocks = join_of(m, v, &index) ? 1 + HN_LAYOUT_COUNT : 1;
  double *cost;
  hn_lying lies;
  HN_TRY(hn_assign_factor(m->g->cx, &m->a, blocks > 1 ? 3 : 2,
                          (uint32_t[]){l->variable, x->variable, blocks > 1 ? m->join[index] : 0}, &cost));
  for (size_t c = 0; c < l->choices.n; c++)
    for (uint32_t b = 0; b < blocks; b++) {
      bool can =
          leaves(m, hn_node_at(m->g, by), out, &l->choices.p[c], b ? (hn_layout)(b - 1) : HN_LAYOUT_COUNT, &lies);
      for (size_t i = 0; i < x->labels.n; i++) {
        const hn_lying *as = &x->labels.p[i].lying;
        bool fits = can && as->layout == lies.layout && as->gaps == lies.gaps && as->never == lies.never;
        cost[(c * x->labels.n + i) * blocks + b] = fits ? 0 : (double)INFINITY;
      }
    }
  return HONE_OK;
}

static bool in_chains(const hn_model_layer *l) {
  for (size_t i = 0; i < l->choices.n; i++)
    if (l->choices.p[i].kind == HN_CHOICE_INSIDE) return true;
  return false;
}

/* A layer is in a chain together with the one before. */
static hone_status tie_chains(hn_tune_model *m, hn_id first, hn_id second) {
  const hn_model_layer *a = &m->layers[first], *b = &m->layers[second];
  double *cost;
  if (!in_chains(b)) return HONE_OK;
  HN_TRY(hn_assign_factor(m->g->cx, &m->a, 2, (uint32_t[]){a->variable, b->variable}, &cost));
  for (size_t i = 0; i < a->choices.n; i++)
    for (size_t k = 0; k < b->choices.n; k++) {
      const hn_choice *x = &a->choices.p[i], *y = &b->choices.p[k];
      const hn_way *goes_on = x->way && x->at + 1 < x->way->n_chain ? x->way : NULL,
                   *went = y->kind == HN_CHOICE_INSIDE ? y->way : NULL;
      bool fits = goes_on == went && (!went || y->at == x->at + 1);
      cost[i * b->choices.n + k] = fits ? 0 : (double)INFINITY;
    }
  return HONE_OK;
}

/* Does a step of the layer begin a block that has no layout yet, and with which? */
static bool begins(const hn_tune_model *m, const hn_node *n, uint32_t out, const hn_choice *c, hn_layout *l) {
  bool gaps;
  if (!c->way || (c->way->n_chain && c->at + 1 != c->way->n_chain)) return false;
  *l = c->way->out[out];
  return placed(m, n->out[out], *l, out == 0 && c->way->gaps_out, &gaps);
}

static uint32_t next_state(const hn_tune_model *m, const hn_block_state *s, const hn_choice *c, uint32_t before) {
  hn_layout l;
  return before ? before : begins(m, hn_node_at(m->g, s->node), s->out, c, &l) ? 1U + l : 0;
}

static hone_status add_state(hn_tune_model *m, hn_block_state s) {
  HN_TRY(hn_assign_variable(m->g->cx, &m->a, 1 + HN_LAYOUT_COUNT, &s.variable));
  return hn_push(&m->states, s) ? HONE_OK : hn_nomem(m->g->cx);
}

/* As before, or what the layer begins. */
static hone_status step_block(hn_tune_model *m, uint32_t before) {
  enum { STATES = 1 + HN_LAYOUT_COUNT };
  const hn_block_state *s = &m->states.p[m->states.n - 1];
  const hn_model_layer *l = &m->layers[s->node];
  double *cost;
  HN_TRY(hn_assign_factor(m->g->cx, &m->a, 3, (uint32_t[]){l->variable, before, s->variable}, &cost));
  for (size_t c = 0; c < l->choices.n; c++)
    for (uint32_t x = 0; x < STATES; x++)
      for (uint32_t y = 0; y < STATES; y++)
        cost[(c * STATES + x) * STATES + y] = y == next_state(m, s, &l->choices.p[c], x) ? 0 : (double)INFINITY;
  return HONE_OK;
}

/* A Concat lies in its block in the block's layout, once the block has begun. */
static hone_status tie_joined(hn_tune_model *m, hn_id id, uint32_t block) {
  const hn_model_layer *l = &m->layers[id];
  double *cost;
  HN_TRY(hn_assign_factor(m->g->cx, &m->a, 2, (uint32_t[]){l->variable, block}, &cost));
  for (size_t c = 0; c < l->choices.n; c++)
    for (uint32_t b = 0; b <= HN_LAYOUT_COUNT; b++)
      if (l->choices.p[c].kind == HN_CHOICE_JOINED && b != 1U + l->choices.p[c].layout)
        cost[c * (1 + HN_LAYOUT_COUNT) + b] = INFINITY;
  return HONE_OK;
}

/* A block takes the layout in which the first of its parts that can lie in it is made: from none, part by part in the
   order of the layers, to what it ends with. */
static hone_status tie_block(hn_tune_model *m, const hn_id *order, uint32_t n, uint32_t join) {
  uint32_t now, index;
  double *cost;
  HN_TRY(add_state(m, (hn_block_state){.join = join, .node = HN_NONE}));
  now = m->states.p[m->states.n - 1].variable;
  HN_TRY(hn_assign_factor(m->g->cx, &m->a, 1, &now, &cost));
  for (uint32_t b = 1; b <= HN_LAYOUT_COUNT; b++) cost[b] = INFINITY;
  for (uint32_t k = 0; k < n; k++) {
    const hn_node *node = hn_node_at(m->g, order[k]);
    if (m->layers[order[k]].variable == HN_NONE) continue;
    if (block_of(m, node, &index) && index == join) HN_TRY(tie_joined(m, order[k], now));
    for (uint32_t i = 0; i < node->n_out; i++) {
      if (!join_of(m, node->out[i], &index) || index != join || m->plan->joins.list.p[join].whole == node->out[i])
        continue;
      HN_TRY(add_state(m, (hn_block_state){.join = join, .node = order[k], .out = i}));
      HN_TRY(step_block(m, now));
      now = m->states.p[m->states.n - 1].variable;
    }
  }
  HN_TRY(hn_assign_factor(m->g->cx, &m->a, 2, (uint32_t[]){now, m->join[join]}, &cost));
  for (uint32_t x = 0; x <= HN_LAYOUT_COUNT; x++)
    for (uint32_t y = 0; y <= HN_LAYOUT_COUNT; y++)
      if (x != y) cost[x * (1 + HN_LAYOUT_COUNT) + y] = INFINITY;
  return HONE_OK;
}

static hone_status add_layers(hn_tune_model *m, const hn_id *order, uint32_t n) {
  double *cost;
  HN_TRY(add_ways(m));
  for (uint32_t k = 0; k < n; k++) {
    hn_model_layer *l = &m->layers[order[k]];
    if (!hn_node_at(m->g, order[k])->n_out || hn_node_at(m->g, order[k])->out[0] == HN_NONE) continue;
    HN_TRY(add_free_choices(m, order[k]));
    HN_TRY(hn_assign_variable(m->g->cx, &m->a, (uint32_t)l->choices.n, &l->variable));
    HN_TRY(hn_assign_factor(m->g->cx, &m->a, 1, &l->variable, &cost));
    for (size_t c = 0; c < l->choices.n; c++)
      if (l->choices.p[c].kind == HN_CHOICE_WAY) cost[c] = hn_tuner_way_seconds(m->t, l->choices.p[c].way);
  }
  for (size_t j = 0; j < m->plan->joins.list.n; j++)
    HN_TRY(hn_assign_variable(m->g->cx, &m->a, 1 + HN_LAYOUT_COUNT, &m->join[j]));
  return HONE_OK;
}

static bool is_input(const hn_graph *g, hn_id v) {
  for (size_t i = 0; i < g->inputs.n; i++)
    if (g->inputs.p[i] == v) return true;
  return false;
}

static hone_status add_tensors(hn_tune_model *m) {
  id_list readers = {0};
  hone_status st = HONE_OK;
  for (hn_id v = 0; v < m->g->values.n && !st; v++) {
    hn_id by = hn_producer(m->g, v);
    if (hn_const(m->g, v) || (by == HN_NONE ? !is_input(m->g, v) : m->layers[by].variable == HN_NONE)) continue;
    st = readers_of(m, v, &readers);
    if (!st) st = survey(m, v, &readers);
    if (!st) st = label_tensor(m, v);
    for (size_t r = 0; r < readers.n && !st; r++) st = tie_reader(m, readers.p[r], v);
    for (uint32_t i = 0; by != HN_NONE && i < hn_node_at(m->g, by)->n_out && !st; i++)
      if (hn_node_at(m->g, by)->out[i] == v) st = tie_producer(m, by, i, v);
    for (size_t r = 0; by != HN_NONE && r < readers.n && !st; r++)
      if (hn_value_at(m->g, v)->n_users == 1 && hn_value_at(m->g, v)->users[0] == readers.p[r])
        st = tie_chains(m, by, readers.p[r]);
  }
  hn_vec_free(&readers);
  return st;
}

hone_status hn_tune_model_create(tuner *t, const hn_plan *plan, hn_tune_model *m) {
  hn_id *order = NULL;
  uint32_t n = 0;
  *m = (hn_tune_model){.t = t, .g = plan->g, .plan = plan};
  m->layers = hn_calloc(plan->g->nodes.n, sizeof *m->layers);
  m->tensors = hn_calloc(plan->g->values.n, sizeof *m->tensors);
  m->join = hn_calloc(plan->joins.list.n, sizeof *m->join);
  hone_status st = m->layers && m->tensors && m->join ? hn_assign_create(plan->g->cx, &m->a) : hn_nomem(plan->g->cx);
  for (size_t i = 0; i < plan->g->nodes.n && !st; i++) m->layers[i].variable = HN_NONE;
  for (size_t i = 0; i < plan->g->values.n && !st; i++) m->tensors[i].variable = HN_NONE;
  if (!st) st = hn_graph_order(plan->g, &order, &n);
  if (!st) st = add_layers(m, order, n);
  if (!st) st = add_tensors(m);
  for (uint32_t j = 0; j < plan->joins.list.n && !st; j++) st = tie_block(m, order, n, j);
  hn_free(order);
  return st;
}

void hn_tune_model_free(hn_tune_model *m) {
  for (size_t i = 0; m->layers && i < m->g->nodes.n; i++) hn_vec_free(&m->layers[i].choices);
  for (size_t i = 0; m->tensors && i < m->g->values.n; i++) {
    hn_vec_free(&m->tensors[i].lying);
    hn_vec_free(&m->tensors[i].labels);
  }
  hn_free(m->layers);
  hn_free(m->tensors);
  hn_free(m->join);
  hn_vec_free(&m->states);
  hn_assign_free(&m->a);
}

/* ------------------------------------------------------------------------------------------- reading */

static uint32_t find_choice(const hn_model_layer *l, hn_choice_kind kind, const hn_way *way, const hn_slot *lies) {
  for (uint32_t c = 0; c < l->choices.n; c++) {
    const hn_choice *x = &l->choices.p[c];
    if (x->kind != kind || x->way != way) continue;
    if (!lies || (x->layout == lies->layout && (kind == HN_CHOICE_JOINED || x->gaps == (lies->pitch != 0)))) return c;
  }
  return HN_NONE;
}

static const hn_slot *slot_at(const hn_plan *plan, hn_id v) {
  uint32_t s = v == HN_NONE ? HN_NONE : plan->value_slot[v];
  return s == HN_NONE ? NULL : &plan->slots.p[s];
}

static void set_choice(const hn_tune_model *m, hn_id id, uint32_t choice, uint32_t *label) {
  if (choice != HN_NONE && m->layers[id].variable != HN_NONE) label[m->layers[id].variable] = choice;
}

/* What has no step, or one that fills the rest of a Concat. */
static void read_free(const hn_tune_model *m, const hn_plan *plan, hn_id id, uint32_t *label) {
  const hn_node *n = hn_node_at(m->g, id);
  const hn_slot *in = n->n_in ? slot_at(plan, n->in[0]) : NULL, *out = n->n_out ? slot_at(plan, n->out[0]) : NULL;
  uint32_t index;
  if (m->layers[id].variable == HN_NONE || !out) return;
  set_choice(m, id, 0, label);
  set_choice(m, id, find_choice(&m->layers[id], HN_CHOICE_VIEW, NULL, NULL), label);
  if (in) set_choice(m, id, find_choice(&m->layers[id], HN_CHOICE_CUT, NULL, in), label);
  if (in) set_choice(m, id, find_choice(&m->layers[id], HN_CHOICE_SAME, NULL, in), label);
  if (block_of(m, n, &index)) set_choice(m, id, find_choice(&m->layers[id], HN_CHOICE_JOINED, NULL, out), label);
}

void hn_tune_model_read(hn_tune_model *m, const hn_plan *plan, uint32_t *label) {
  memset(label, 0, m->a.labels.n * sizeof *label);
  bool *done = hn_calloc(m->g->nodes.n, sizeof *done);
  for (size_t i = 0; done && i < plan->steps.n; i++) {
    const hn_planned *s = &plan->steps.p[i];
    const hn_way *w = s->node == HN_NONE ? NULL : hn_tuner_way(m->t, plan, s);
    if (!w) continue;
    done[s->node] = true;
    set_choice(m, s->node, find_choice(&m->layers[s->node], HN_CHOICE_WAY, w, NULL), label);
    for (uint32_t k = 1; k < w->n_chain; k++) {
      done[w->chain[k]] = true;
      set_choice(m, w->chain[k], find_choice(&m->layers[w->chain[k]], HN_CHOICE_INSIDE, w, NULL), label);
    }
  }
  for (hn_id id = 0; done && id < m->g->nodes.n; id++)
    if (!done[id] && !hn_node_at(m->g, id)->dead) read_free(m, plan, id, label);
  for (size_t k = 0; k < m->states.n; k++) { /* blocks and tensors follow from the layers */
    const hn_block_state *s = &m->states.p[k];
    if (s->node != HN_NONE)
      label[s->variable] =
          next_state(m, s, hn_tune_model_choice(m, s->node, label), label[m->states.p[k - 1].variable]);
    label[m->join[s->join]] = label[s->variable];
  }
  for (hn_id v = 0; v < m->g->values.n; v++)
    if (m->tensors[v].variable != HN_NONE)
      label[m->tensors[v].variable] = hn_assign_settle(&m->a, label, m->tensors[v].variable);
  hn_free(done);
}
