/* spell_control.c - If, Loop and Scan as TensorFlow's dataflow: Switch and Merge, and frames of Enter, NextIteration and Exit. What
   is in a frame or on a side and reads nothing waits for its pivot, so that it belongs there. */
#include <string.h>

#include "format/tensorflow/spell.h"

typedef HN_VEC(const char *) names;

static const char *node(tg *t, const char *op, const char *name, hn_dtype type, const char *a, const char *b) {
  tg_node *n = tg_add(t, op, name);
  tg_input(t, n, a);
  tg_input(t, n, b);
  if (type != HONE_DTYPE_UNDEFINED) tg_type(t, n, "T", type);
  if (strcmp(op, "Merge") == 0) tg_int(t, n, "N", 2);
  return tg_out(t, n, 0);
}

static const char *output_1(tg *t, const char *name) { return name ? hn_arena_printf(t->arena, "%s:1", name) : NULL; }

/* ---- a nested graph in place */

typedef struct inner { /* what stands aside while it is written */
  const hn_graph *g;
  tg_value *values;
  const hn_node *at;
  size_t first;
  size_t n_consts;
} inner;

static void enter_graph(tg *t, const hn_graph *g, inner *kept) {
  *kept = (inner){t->g, t->values, t->at, t->nodes.n, t->consts.n};
  for (size_t i = 0; i < t->consts.n; i++) t->consts.p[i].outside++; /* of another frame */
  t->g = g;
  t->values = hn_arena_alloc(t->arena, sizeof *t->values * (g->values.n + 1));
  if (!t->values && !t->st) t->st = hn_nomem(t->cx);
}

/* Back to the graph around; sources that were written since wait for the pivot. */
static void leave_graph(tg *t, const inner *kept, const char *pivot) {
  for (size_t i = kept->first; i < t->nodes.n && !t->st; i++)
    if (!t->nodes.p[i]->n_input) tg_input(t, t->nodes.p[i], hn_arena_printf(t->arena, "^%s", pivot));
  t->g = kept->g;
  t->values = kept->values;
  t->at = kept->at;
  t->consts.n = kept->n_consts;
  for (size_t i = 0; i < t->consts.n; i++) t->consts.p[i].outside--;
}

static const hn_graph *graph_of(tg *t, const hn_node *n, const char *key) {
  const hn_graph *g = hn_attr_graph(n, key);
  if (!g) tg_refuse(t, "it has no %s", key);
  return g;
}

/* ---- If */

static void write_side(tg *t, const hn_node *n, const hn_graph *g, const char *pred, uint32_t port, names *out) {
  const char *sides = node(t, "Switch", NULL, HONE_DTYPE_BOOL, pred, pred);
  const char *pivot = node(t, "Identity", NULL, HONE_DTYPE_BOOL, port ? output_1(t, sides) : sides, NULL);
  inner kept;
  const char **in = hn_arena_alloc(t->arena, sizeof *in * (n->n_in + 1));
  if (!in && !t->st) t->st = hn_nomem(t->cx);
  for (uint32_t i = 1; i < n->n_in && !t->st; i++) {
    const char *gate = node(t, "Switch", NULL, tg_dtype(t, n->in[i]), tg_plain(t, n->in[i]), pred);
    in[i - 1] = port ? output_1(t, gate) : gate;
  }
  if (t->st) return;
  if (g->inputs.n != n->n_in - 1) {
    tg_refuse(t, "a branch takes %zu values; it is given %u", g->inputs.n, n->n_in - 1);
    return;
  }
  enter_graph(t, g, &kept);
  for (size_t i = 0; i < g->inputs.n && !t->st; i++) tg_set_plain(t, g->inputs.p[i], in[i]);
  if (!t->st) t->st = tg_write_nodes(t);
  for (size_t i = 0; i < g->outputs.n && !t->st; i++)
    if (!hn_push(out, tg_plain(t, g->outputs.p[i].value))) t->st = hn_nomem(t->cx);
  leave_graph(t, &kept, pivot);
}

void tg_spell_if(tg *t, const hn_node *n, const char *op) {
  const hn_graph *sides[2] = {graph_of(t, n, "else_branch"), graph_of(t, n, "then_branch")};
  names out[2] = {{0}, {0}};
  (void)op;
  if (t->st) return;
  const char *pred = tg_plain(t, n->in[0]);
  if (tg_shape_of(t, n->in[0])->rank != 0) {
    hn_shape none = hn_shape_of(0, NULL);
    pred = tg_reshape(t, HONE_DTYPE_BOOL, pred, &none, NULL);
  }
  for (uint32_t k = 0; k < 2; k++) write_side(t, n, sides[k], pred, k, &out[k]);
  for (uint32_t i = 0; i < n->n_out && !t->st; i++) {
    if (i >= out[0].n || i >= out[1].n) tg_refuse(t, "its branches give fewer values than it has outputs");
    else if (n->out[i] != HN_NONE) tg_set_plain(t, n->out[i], node(t, "Merge", NULL, tg_dtype(t, n->out[i]), out[0].p[i], out[1].p[i]));
  }
  hn_vec_free(&out[0]);
  hn_vec_free(&out[1]);
}

/* ---- loops */

typedef struct loop_variable {
  hn_dtype type;
  const char *first, *next, *merge, *split, *value, *last; /* value: in the body; next: name of what hands it on */
} loop_variable;

typedef struct loop {
  const hn_node *n;
  const hn_graph *body;
  const char *frame;
  HN_VEC(loop_variable) vars;   /* round, whether it goes on, states, contents of arrays */
  uint32_t states, slices, arrays; /* how many */
  uint32_t first_in;            /* of the node's inputs: the first state */
  const char **handles;         /* of arrays */
} loop;

static const char *enter(tg *t, const loop *l, hn_dtype type, const char *v, bool constant) {
  tg_node *n = tg_add(t, "Enter", NULL);
  tg_input(t, n, v);
  if (type == HONE_DTYPE_UNDEFINED) tg_resource_type(t, n, "T");
  else tg_type(t, n, "T", type);
  tg_text(t, n, "frame_name", l->frame);
  tg_bool(t, n, "is_constant", constant);
  return tg_out(t, n, 0);
}

static void add_variable(tg *t, loop *l, hn_dtype type, const char *first) {
  loop_variable v = {.type = type, .first = enter(t, l, type, first, false), .next = tg_free_name(t, hn_arena_printf(t->arena, "%s/NextIteration", l->frame))};
  v.merge = node(t, "Merge", NULL, type, v.first, v.next);
  if (!t->st && !hn_push(&l->vars, v)) t->st = hn_nomem(t->cx);
}

/* An array for one output of every round; its contents are a variable. */
static void add_array(tg *t, loop *l, uint32_t i, hn_dtype type) {
  const char *size = tg_number(t, 0);
  hn_shape unknown = hn_shape_unknown();
  tg_node *a = tg_add(t, "TensorArrayV3", NULL);
  tg_input(t, a, size);
  tg_type(t, a, "dtype", type);
  tg_bool(t, a, "dynamic_size", true);
  tg_bool(t, a, "clear_after_read", true);
  tg_shape(t, a, "element_shape", &unknown);
  l->handles[i] = tg_out(t, a, 0);
  add_variable(t, l, HONE_DTYPE_F32, tg_out(t, a, 1));
}

static void begin_rounds(tg *t, loop *l, const char *rounds) {
  const char *go_on = l->vars.p[1].merge;
  if (rounds) go_on = node(t, "LogicalAnd", NULL, HONE_DTYPE_UNDEFINED, node(t, "Less", NULL, HONE_DTYPE_I64, l->vars.p[0].merge, enter(t, l, HONE_DTYPE_I64, rounds, true)), go_on);
  const char *cond = node(t, "LoopCond", NULL, HONE_DTYPE_UNDEFINED, go_on, NULL);
  for (size_t i = 0; i < l->vars.n && !t->st; i++) {
    loop_variable *v = &l->vars.p[i];
    v->split = node(t, "Switch", NULL, v->type, v->merge, cond);
    v->last = node(t, "Exit", NULL, v->type, v->split, NULL);
    v->value = node(t, "Identity", NULL, v->type, output_1(t, v->split), NULL);
  }
}

/* Input `in` of the node at this round, along its first dimension. */
static const char *slice_of(tg *t, const loop *l, const char *v, hn_dtype type) {
  const char *axis = tg_number(t, 0);
  tg_node *n = tg_add(t, "GatherV2", NULL);
  tg_input(t, n, v);
  tg_input(t, n, l->vars.p[0].value);
  tg_input(t, n, axis);
  tg_type(t, n, "Tparams", type);
  tg_type(t, n, "Tindices", HONE_DTYPE_I64);
  tg_type(t, n, "Taxis", HONE_DTYPE_I32);
  tg_int(t, n, "batch_dims", 0);
  return tg_out(t, n, 0);
}

static void hand_on(tg *t, const loop_variable *v, const char *value) {
  tg_node *n = tg_add(t, "NextIteration", v->next);
  tg_input(t, n, value);
  tg_type(t, n, "T", v->type);
}

static void write_array(tg *t, const loop *l, uint32_t i, hn_dtype type, const char *handle, const char *value) {
  const loop_variable *flow = &l->vars.p[2 + l->states + i];
  tg_node *at = tg_add(t, "Cast", NULL), *n;
  tg_input(t, at, l->vars.p[0].value);
  tg_type(t, at, "SrcT", HONE_DTYPE_I64);
  tg_type(t, at, "DstT", HONE_DTYPE_I32);
  n = tg_add(t, "TensorArrayWriteV3", NULL);
  tg_input(t, n, handle);
  tg_input(t, n, tg_out(t, at, 0));
  tg_input(t, n, value);
  tg_input(t, n, flow->value);
  tg_type(t, n, "T", type);
  hand_on(t, flow, tg_out(t, n, 0));
}

/* The body between the variables; is_loop: it takes the round and whether it goes on first, and gives the latter. */
static void write_body(tg *t, loop *l, bool is_loop) {
  const hn_graph *b = l->body;
  const hn_node *n = l->n;
  uint32_t given = l->first_in + l->states + l->slices, captures = n->n_in - given, front = is_loop ? 2 : 0;
  const char **in = hn_arena_alloc(t->arena, sizeof *in * (n->n_in + 1)), **handles = hn_arena_alloc(t->arena, sizeof *handles * (l->arrays + 1));
  inner kept;
  if (!in || !handles) t->st = hn_nomem(t->cx);
  if (!t->st && (b->inputs.n != front + l->states + l->slices + captures || b->outputs.n != is_loop + (size_t)l->states + l->arrays)) tg_refuse(t, "its body takes or gives another number of values");
  for (uint32_t i = l->first_in + l->states; i < n->n_in && !t->st; i++) in[i] = enter(t, l, tg_dtype(t, n->in[i]), tg_plain(t, n->in[i]), true);
  for (uint32_t i = 0; i < l->arrays && !t->st; i++) handles[i] = enter(t, l, HONE_DTYPE_UNDEFINED, l->handles[i], true);
  if (t->st) return;
  enter_graph(t, b, &kept);
  for (uint32_t i = 0; i < front; i++) tg_set_plain(t, b->inputs.p[i], l->vars.p[i].value);
  for (uint32_t i = 0; i < l->states; i++) tg_set_plain(t, b->inputs.p[front + i], l->vars.p[2 + i].value);
  for (uint32_t i = 0; i < l->slices; i++) {
    hn_id to = b->inputs.p[front + l->states + i];
    tg_set_plain(t, to, slice_of(t, l, in[l->first_in + l->states + i], tg_dtype(t, to)));
  }
  for (uint32_t i = 0; i < captures; i++) tg_set_plain(t, b->inputs.p[front + l->states + l->slices + i], in[given + i]);
  if (!t->st) t->st = tg_write_nodes(t);
  const char *one = tg_scalar(t, HONE_DTYPE_I64, 1);
  hand_on(t, &l->vars.p[0], tg2(t, "AddV2", HONE_DTYPE_I64, l->vars.p[0].value, one));
  hand_on(t, &l->vars.p[1], is_loop ? tg_plain(t, b->outputs.p[0].value) : l->vars.p[1].value);
  for (uint32_t i = 0; i < l->states && !t->st; i++) hand_on(t, &l->vars.p[2 + i], tg_plain(t, b->outputs.p[(is_loop ? 1 : 0) + i].value));
  for (uint32_t i = 0; i < l->arrays && !t->st; i++) {
    hn_id v = b->outputs.p[(is_loop ? 1 : 0) + l->states + i].value;
    write_array(t, l, i, tg_dtype(t, v), handles[i], tg_plain(t, v));
  }
  leave_graph(t, &kept, l->vars.p[0].value);
}

static void set_outputs(tg *t, const loop *l) {
  for (uint32_t i = 0; i < l->states && !t->st; i++)
    if (i < l->n->n_out && l->n->out[i] != HN_NONE) tg_set_plain(t, l->n->out[i], l->vars.p[2 + i].last);
  for (uint32_t i = 0; i < l->arrays && !t->st; i++) {
    hn_id out = l->n->out[l->states + i];
    if (out == HN_NONE) continue;
    const char *flow = l->vars.p[2 + l->states + i].last, *zero = tg_number(t, 0), *one = tg_number(t, 1);
    hn_shape element = *tg_shape_of(t, out);
    if (element.rank > 0) {
      element.rank--;
      memmove(element.d, element.d + 1, sizeof *element.d * (size_t)element.rank);
    }
    tg_node *size = tg_add(t, "TensorArraySizeV3", NULL), *range = tg_add(t, "Range", NULL), *all = tg_add(t, "TensorArrayGatherV3", NULL);
    tg_input(t, size, l->handles[i]);
    tg_input(t, size, flow);
    tg_input(t, range, zero);
    tg_input(t, range, tg_out(t, size, 0));
    tg_input(t, range, one);
    tg_type(t, range, "Tidx", HONE_DTYPE_I32);
    tg_input(t, all, l->handles[i]);
    tg_input(t, all, tg_out(t, range, 0));
    tg_input(t, all, flow);
    tg_type(t, all, "dtype", tg_dtype(t, out));
    tg_shape(t, all, "element_shape", &element);
    tg_set_plain(t, out, tg_out(t, all, 0));
  }
}

static void write_loop(tg *t, loop *l, const char *rounds, const char *go_on, bool is_loop) {
  l->frame = tg_free_name(t, hn_arena_printf(t->arena, "%s/while", *l->n->name ? l->n->name : "loop"));
  l->handles = hn_arena_alloc(t->arena, sizeof *l->handles * (l->arrays + 1));
  if (!l->handles && !t->st) t->st = hn_nomem(t->cx);
  if (t->st) return;
  add_variable(t, l, HONE_DTYPE_I64, tg_scalar(t, HONE_DTYPE_I64, 0));
  add_variable(t, l, HONE_DTYPE_BOOL, go_on ? go_on : tg_scalar(t, HONE_DTYPE_BOOL, 1));
  for (uint32_t i = 0; i < l->states && !t->st; i++) add_variable(t, l, tg_dtype(t, l->n->in[l->first_in + i]), tg_plain(t, l->n->in[l->first_in + i]));
  for (uint32_t i = 0; i < l->arrays && !t->st; i++) add_array(t, l, i, tg_dtype(t, l->n->out[l->states + i]));
  if (!t->st) begin_rounds(t, l, rounds);
  if (!t->st) write_body(t, l, is_loop);
  if (!t->st) set_outputs(t, l);
}

static const char *scalar_of(tg *t, hn_id v) {
  hn_shape none = hn_shape_of(0, NULL);
  const char *x = tg_plain(t, v);
  return tg_shape_of(t, v)->rank == 0 ? x : tg_reshape(t, tg_dtype(t, v), x, &none, NULL);
}

void tg_spell_loop(tg *t, const hn_node *n, const char *op) {
  loop l = {.n = n, .body = graph_of(t, n, "body"), .first_in = 2};
  int64_t captures = hn_attr_i(n, "captures", 0), states = (int64_t)n->n_in - 2 - captures;
  (void)op;
  if (states < 0 || states > n->n_out) tg_refuse(t, "it is not whole");
  if (t->st) return;
  l.states = (uint32_t)states;
  l.arrays = n->n_out - l.states;
  const hn_tensor *most = hn_const(t->g, n->in[0]);
  bool endless = n->in[0] == HN_NONE || (most && most->count == 1 && hn_tensor_i(most, 0) == INT64_MAX);
  write_loop(t, &l, endless ? NULL : scalar_of(t, n->in[0]), n->in[1] == HN_NONE ? NULL : scalar_of(t, n->in[1]), true);
  hn_vec_free(&l.vars);
}

/* Forward, along first dimensions. */
static bool plain_scan(const hn_node *n) {
  static const char *const keys[] = {"scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"};
  for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
    const int64_t *v;
    uint32_t count = hn_attr_ints(n, keys[k], &v);
    for (uint32_t i = 0; i < count; i++)
      if (v[i]) return false;
  }
  return true;
}

void tg_spell_scan(tg *t, const hn_node *n, const char *op) {
  loop l = {.n = n, .body = graph_of(t, n, "body")};
  int64_t captures = hn_attr_i(n, "captures", 0), slices = hn_attr_i(n, "num_scan_inputs", 0), states = (int64_t)n->n_in - captures - slices;
  (void)op;
  if (!plain_scan(n)) tg_refuse(t, "scans along other than first dimensions, or backwards, have no spelling here");
  if (slices < 1 || states < 0 || states > n->n_out) tg_refuse(t, "it is not whole");
  if (t->st) return;
  l.states = (uint32_t)states, l.slices = (uint32_t)slices, l.arrays = n->n_out - l.states;
  hn_id over = n->in[states];
  const char *x = tg_plain(t, over), *zero = tg_number(t, 0);
  tg_node *shape = tg_add(t, "Shape", NULL), *steps = tg_add(t, "GatherV2", NULL);
  tg_input(t, shape, x);
  tg_type(t, shape, "T", tg_dtype(t, over));
  tg_type(t, shape, "out_type", HONE_DTYPE_I64);
  tg_input(t, steps, tg_out(t, shape, 0));
  tg_input(t, steps, zero);
  tg_input(t, steps, zero);
  tg_type(t, steps, "Tparams", HONE_DTYPE_I64);
  tg_type(t, steps, "Tindices", HONE_DTYPE_I32);
  tg_type(t, steps, "Taxis", HONE_DTYPE_I32);
  tg_int(t, steps, "batch_dims", 0);
  write_loop(t, &l, tg_out(t, steps, 0), NULL, false);
  hn_vec_free(&l.vars);
}
