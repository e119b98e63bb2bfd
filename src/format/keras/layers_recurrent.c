/* layers_recurrent.c - SimpleRNN, GRU and LSTM, forward and both ways. Keras keeps gates side by side in columns, LSTM's
   in the order input, forget, cell, output; the IR in rows, LSTM's as input, output, forget, cell. */
#include <string.h>

#include "format/keras/layers.h"

typedef struct recurrent {
  hn_op op;
  int64_t units, gates, input;
  bool reset_after, sequences, states, backwards, zeros; /* zeros: of steps that do not count */
} recurrent;

static const int from_gate[3][4] = {{0}, {0, 1, 2}, {0, 3, 1, 2}}; /* our gate -> Keras' */

static const int *gate_order(hn_op op) { return from_gate[op == HN_LSTM ? 2 : op == HN_GRU ? 1 : 0]; }

static hone_status read_config(kr_call *c, const kr_layer *l, hn_op op, recurrent *r) {
  const hn_tensor *w = l->w[0], *u = l->w[1], *b = l->w[2];
  *r = (recurrent){.op = op, .gates = op == HN_LSTM ? 4 : op == HN_GRU ? 3 : 1, .units = kj_int(l->config, "units", -1),
                   .sequences = kj_bool(l->config, "return_sequences", false), .states = kj_bool(l->config, "return_state", false),
                   .backwards = kj_bool(l->config, "go_backwards", false), .zeros = kj_bool(l->config, "zero_output_for_mask", false)};
  bool cudnn = strncmp(l->kind, "CuDNN", 5) == 0; /* two biases, one behind the other */
  kr_begin_at_zero(c, l->config);
  if (kj_bool(l->config, "time_major", false)) return kr_fail(c, HONE_UNSUPPORTED, "time_major is not supported");
  if (kr_rank(c, c->in[0]) != 3) return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes 3", kr_rank(c, c->in[0]));
  r->input = kr_dim(c, c->in[0], 2);
  if (r->units < 1 || r->units > 1 << 24 || r->input < 1) return kr_fail(c, HONE_BAD_GRAPH, "its units or its input's features are not a fixed number");
  int64_t columns = r->units * r->gates, one[1] = {columns}, two[2] = {2, columns}, pair[1] = {2 * columns}, kernel[2] = {r->input, columns}, state[2] = {r->units, columns};
  kr_layer *own = c->l;
  c->l = (kr_layer *)(uintptr_t)l;
  hone_status st = kr_expect(c, 0, "kernel", 2, kernel);
  if (!st) st = kr_expect(c, 1, "recurrent_kernel", 2, state);
  r->reset_after = op == HN_GRU && (cudnn || kj_bool(l->config, "reset_after", b && b->rank == 2));
  if (!st && b) st = cudnn ? kr_expect(c, 2, "bias", 1, pair) : r->reset_after ? kr_expect(c, 2, "bias", 2, two) : kr_expect(c, 2, "bias", 1, one);
  c->l = own;
  return st || (w && u) ? st : kr_fail(c, HONE_BAD_GRAPH, "it has no kernels");
}

/* [rows, gates * units] as [1, gates * units, rows]. */
static hn_id gate_rows(kr_call *c, const recurrent *r, const hn_tensor *w) {
  int64_t rows = w->dims[0], columns = r->gates * r->units;
  hn_tensor *t = NULL;
  size_t size = hone_dtype_size(w->dtype), at = 0;
  if (!c->m.st) c->m.st = hn_tensor_create(c->k->cx, w->dtype, 3, (int64_t[]){1, columns, rows}, &t);
  for (int64_t g = 0; g < r->gates && !c->m.st; g++)
    for (int64_t j = 0; j < r->units; j++)
      for (int64_t i = 0; i < rows; i++, at++)
        memcpy((char *)t->data + at * size,
               (const char *)w->data + (size_t)(i * columns + gate_order(r->op)[g] * r->units + j) * size, size);
  return hn_make_constant(&c->m, t);
}

/* [1, 2 * gates * units]: of the input, then of the state (0 but for GRUs with reset_after, and cuDNN's layers). */
static hn_id gate_bias(kr_call *c, const recurrent *r, const hn_tensor *b) {
  int64_t columns = r->gates * r->units;
  hn_tensor *t = NULL;
  if (!b) return HN_NONE;
  if (!c->m.st) c->m.st = hn_tensor_create(c->k->cx, b->dtype, 2, (int64_t[]){1, 2 * columns}, &t);
  for (int half = 0; half < (b->count == 2 * columns ? 2 : 1) && !c->m.st; half++)
    for (int64_t g = 0; g < r->gates; g++)
      memcpy((char *)t->data + (size_t)(half * columns + g * r->units) * hone_dtype_size(b->dtype),
             (const char *)b->data + (size_t)(half * columns + gate_order(r->op)[g] * r->units) * hone_dtype_size(b->dtype),
             (size_t)r->units * hone_dtype_size(b->dtype));
  return hn_make_constant(&c->m, t);
}

/* ---- activations by the names ONNX has for them */

typedef struct functions {
  hn_str names;
  double alpha[3], beta[3];
  size_t n_alpha, n_beta;
} functions;

static hone_status add_function(kr_call *c, const json_t *spec, const char *otherwise, functions *f) {
  const json_t *inner = json_object_get(spec, "config");
  const char *name = json_is_string(spec) ? json_string_value(spec) : json_is_string(inner) ? json_string_value(inner) : spec && !json_is_null(spec) ? "?" : otherwise;
  static const struct {
    const char *name, *ours;
  } known[] = {{"tanh", "Tanh"}, {"sigmoid", "Sigmoid"}, {"relu", "Relu"}, {"softsign", "Softsign"}, {"softplus", "Softplus"}, {"hard_sigmoid", "HardSigmoid"}, {"linear", "Affine"}, {"elu", "Elu"}};
  const char *ours = NULL;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].name, name) == 0) ours = known[i].ours;
  if (!ours) return kr_fail(c, HONE_UNSUPPORTED, "activation '%s' is not supported within recurrent layers", name);
  hn_str_printf(&f->names, "%s%s", f->names.n ? "," : "", ours);
  bool hard = strcmp(ours, "HardSigmoid") == 0, affine = strcmp(ours, "Affine") == 0;
  if (hard || affine || strcmp(ours, "Elu") == 0) f->alpha[f->n_alpha++] = hard ? (c->k->v3 ? 1.0 / 6 : 0.2) : 1;
  if (hard || affine) f->beta[f->n_beta++] = hard ? 0.5 : 0;
  return f->names.failed ? hn_nomem(c->k->cx) : HONE_OK;
}

static hone_status set_functions(kr_call *c, const kr_layer *l, const recurrent *r, hn_id node) {
  functions f = {.n_alpha = 0};
  const json_t *act = json_object_get(l->config, "activation"), *gate = json_object_get(l->config, "recurrent_activation");
  hone_status st = HONE_OK;
  /* null is no activation, which is another thing than the default */
  if (json_is_null(act)) st = kr_fail(c, HONE_UNSUPPORTED, "activation null is spelled 'linear'");
  if (!st && r->op != HN_RNN) st = add_function(c, gate, "sigmoid", &f);
  if (!st) st = add_function(c, act, "tanh", &f);
  if (!st && r->op == HN_LSTM) st = add_function(c, act, "tanh", &f);
  if (!st) {
    hn_set_s(c->k->g, node, "activations", f.names.p);
    if (f.n_alpha) hn_set_floats(c->k->g, node, "activation_alpha", f.alpha, f.n_alpha);
    if (f.n_beta) hn_set_floats(c->k->g, node, "activation_beta", f.beta, f.n_beta);
  }
  hn_str_free(&f.names);
  return st;
}

/* ---- the layer */

typedef struct outputs { /* in Keras' layout: [batch, steps, units]; [batch, units] */
  hn_id sequence, state, cell;
} outputs;

static hn_id initial(kr_call *c, hn_id state) {
  return state == HN_NONE ? HN_NONE : hn_make2(&c->m, HN_Unsqueeze, state, hn_make_ints(&c->m, (int64_t[]){0}, 1));
}

static hn_id squeezed(kr_call *c, hn_id x, int64_t axis) { return hn_make2(&c->m, HN_Squeeze, x, hn_make_ints(&c->m, &axis, 1)); }

/* Steps that do not count are left out: those that do are moved to the front, and the layer told how many there are. */
typedef struct steps {
  hn_id mask, counted, length, front; /* [batch, steps], how many count up to each, int32 [batch], where each of the front comes from */
} steps;

static hn_id picked_steps(kr_call *c, hn_id x, hn_id index) {
  hn_id node = hn_make_node(&c->m, HN_GatherND, (hn_id[]){x, hn_make2(&c->m, HN_Unsqueeze, index, hn_make_ints(&c->m, (int64_t[]){2}, 1))}, 2, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "batch_dims", 1);
  return hn_make_done(&c->m, node);
}

static steps steps_that_count(kr_call *c, hn_id mask) {
  hn_id one = hn_make_cast(&c->m, mask, HONE_DTYPE_I64), n = kr_dims_of(c, mask, 1, 2), zero = hn_make_scalar(&c->m, HONE_DTYPE_I64, 0);
  hn_id axis = hn_make_scalar(&c->m, HONE_DTYPE_I64, 1), all = hn_make2(&c->m, HN_Squeeze, n, hn_make_ints(&c->m, (int64_t[]){0}, 1));
  steps s = {.mask = mask};
  s.counted = hn_make2(&c->m, HN_CumSum, one, axis);
  s.length = hn_make_cast(&c->m, hn_make_reduce(&c->m, HN_ReduceSum, one, (int64_t[]){1}, 1, false), HONE_DTYPE_I32);
  /* sorted by whether they count, then by time */
  hn_id time = hn_make_done(&c->m, hn_make_node(&c->m, HN_Range, (hn_id[]){zero, all, axis}, 3, 1));
  hn_id key = hn_make2(&c->m, HN_Sub, hn_make2(&c->m, HN_Mul, one, all), time);
  hn_id top = hn_make_node(&c->m, HN_TopK, (hn_id[]){key, n}, 2, 2);
  hn_make_done(&c->m, top);
  s.front = hn_make_out(&c->m, top, 1);
  return s;
}

/* The sequence with an output for every step again: where a step does not count, that of the one computed before, or 0. */
static hn_id spread_steps(kr_call *c, const recurrent *r, const steps *s, hn_id y) {
  hn_id one = hn_make_cast(&c->m, s->mask, HONE_DTYPE_I64), zero = hn_make_scalar(&c->m, HONE_DTYPE_I64, 0), least = hn_make_scalar(&c->m, HONE_DTYPE_I64, 1);
  hn_id at = hn_make2(&c->m, HN_Sub, s->counted, r->backwards ? one : least), there;
  if (r->backwards) {
    hn_id length = hn_make2(&c->m, HN_Unsqueeze, hn_make_cast(&c->m, s->length, HONE_DTYPE_I64), hn_make_ints(&c->m, (int64_t[]){1}, 1));
    there = hn_make2(&c->m, HN_Less, at, length);
  } else {
    there = hn_make2(&c->m, HN_GreaterOrEqual, at, zero);
  }
  hn_id last = hn_make2(&c->m, HN_Sub, kr_dims_of(c, s->mask, 1, 2), least);
  at = hn_make2(&c->m, HN_Max, hn_make2(&c->m, HN_Min, at, last), zero);
  if (r->zeros) there = hn_make2(&c->m, HN_And, there, s->mask);
  there = hn_make2(&c->m, HN_Unsqueeze, there, hn_make_ints(&c->m, (int64_t[]){2}, 1));
  hn_id in[3] = {there, picked_steps(c, y, at), hn_make_scalar(&c->m, hn_make_type(&c->m, y), 0)};
  return hn_make_done(&c->m, hn_make_node(&c->m, HN_Where, in, 3, 1));
}

/* The sequence comes in the order of the input's steps, also backwards. */
static hone_status recur(kr_call *c, const kr_layer *l, const recurrent *r, hn_id x, const hn_id *states, bool main, outputs *out) {
  hn_graph *g = c->k->g;
  hn_id mask = kr_mask(c, c->in[0]);
  steps s = {.length = HN_NONE};
  if (mask != HN_NONE) {
    s = steps_that_count(c, mask);
    x = picked_steps(c, x, s.front);
  }
  hn_id in[7] = {hn_make_transpose(&c->m, x, (int64_t[]){1, 0, 2}, 3), gate_rows(c, r, l->w[0]), gate_rows(c, r, l->w[1]),
                 gate_bias(c, r, l->w[2]), s.length, initial(c, states[0]), initial(c, states[1])};
  uint32_t n_in = in[6] != HN_NONE ? 7 : in[5] != HN_NONE ? 6 : in[4] != HN_NONE ? 5 : in[3] != HN_NONE ? 4 : 3, n_out = r->op == HN_LSTM ? 3 : 2;
  hn_id node = main ? kr_main(c, r->op, in, n_in, n_out) : hn_make_node(&c->m, r->op, in, n_in, n_out);
  if (c->m.st) return c->m.st;
  hn_set_i(g, node, "hidden_size", r->units);
  hn_set_s(g, node, "direction", r->backwards ? "reverse" : "forward");
  if (r->op == HN_GRU) hn_set_i(g, node, "linear_before_reset", r->reset_after);
  HN_TRY(set_functions(c, l, r, node));
  hn_id y = hn_make_done(&c->m, node), h = hn_make_out(&c->m, node, 1), cell = hn_make_out(&c->m, node, 2 - (n_out < 3));
  *out = (outputs){hn_make_transpose(&c->m, squeezed(c, y, 1), (int64_t[]){1, 0, 2}, 3), squeezed(c, h, 0), HN_NONE};
  if (r->op == HN_LSTM) out->cell = squeezed(c, cell, 0);
  if (mask != HN_NONE) out->sequence = spread_steps(c, r, &s, out->sequence);
  return c->m.st;
}

static hn_id reversed(kr_call *c, hn_id x) { return hn_make_slice(&c->m, x, 1, -1, INT64_MIN, -1); }

static void add_states(kr_call *c, const recurrent *r, const outputs *o) {
  if (!r->states) return;
  c->out[c->n_out++] = o->state;
  if (r->op == HN_LSTM) c->out[c->n_out++] = o->cell;
}

/* Initial states: inputs behind the first, or by keyword. */
static hone_status initial_states(kr_call *c, uint32_t n, hn_id *states) {
  uint32_t have = 0;
  for (uint32_t i = 0; i < n; i++) states[i] = HN_NONE;
  for (uint32_t i = 1; i < c->n_in && have < n; i++) states[have++] = c->in[i];
  for (uint32_t i = 0; i < c->n_named && have < n; i++)
    if (strcmp(c->named[i], "initial_state") == 0) states[have++] = c->named_value[i], c->heeded |= 1U << i;
  return !have || have == n ? HONE_OK : kr_fail(c, HONE_BAD_GRAPH, "it is given %u initial states; it takes %u", have, n);
}

hone_status kr_lower_recurrent(kr_call *c, int variant) {
  recurrent r;
  outputs o;
  hn_id states[2] = {HN_NONE, HN_NONE};
  HN_TRY(read_config(c, c->l, (hn_op)variant, &r));
  HN_TRY(initial_states(c, variant == HN_LSTM ? 2 : 1, states));
  HN_TRY(recur(c, c->l, &r, c->in[0], states, true, &o));
  if (r.sequences && r.backwards) o.sequence = reversed(c, o.sequence); /* Keras gives it in the order it was computed */
  HN_TRY(kr_result(c, r.sequences ? o.sequence : o.state));
  if (r.sequences) HN_TRY(kr_set_mask(c, c->out[0], kr_mask(c, c->in[0])));
  add_states(c, &r, &o);
  return HONE_OK;
}

hone_status kr_lower_bidirectional(kr_call *c, int variant) {
  recurrent r[2];
  outputs o[2];
  hn_id states[4];
  const char *mode = kj_text(c->config, "merge_mode", NULL);
  (void)variant;
  if (!c->l->child[0] || !c->l->child[1] || !c->l->child[0]->row || !c->l->child[1]->row || c->l->child[0]->row->lower != kr_lower_recurrent ||
      c->l->child[1]->row->lower != kr_lower_recurrent)
    return kr_fail(c, HONE_UNSUPPORTED, "it wraps something other than SimpleRNN, GRU or LSTM");
  uint32_t each = c->l->child[0]->row->variant == HN_LSTM ? 2 : 1;
  HN_TRY(initial_states(c, 2 * each, states));
  for (int i = 0; i < 2; i++) {
    const kr_layer *l = c->l->child[i];
    hn_id own[2] = {states[(uint32_t)i * each], each == 2 ? states[(uint32_t)i * each + 1] : HN_NONE};
    HN_TRY(read_config(c, l, (hn_op)l->row->variant, &r[i]));
    if (i) r[i].backwards = !r[0].backwards;
    HN_TRY(recur(c, l, &r[i], c->in[0], own, !i, &o[i]));
  }
  hn_id y[2] = {r[0].sequences ? o[0].sequence : o[0].state, r[0].sequences ? o[1].sequence : o[1].state}, merged;
  if (!mode) {
    c->out[0] = y[0], c->out[1] = y[1], c->n_out = 2;
  } else {
    hn_op op = hn_streq(mode, "sum") ? HN_Add : hn_streq(mode, "mul") ? HN_Mul : hn_streq(mode, "ave") ? HN_Mean : hn_streq(mode, "concat") ? HN_Concat : HN_OP_NONE;
    if (op == HN_OP_NONE) return kr_fail(c, HONE_UNSUPPORTED, "merge_mode '%s' is not known", mode);
    hn_id node = hn_make_node(&c->m, op, y, 2, 1);
    if (!c->m.st && op == HN_Concat) hn_set_i(c->k->g, node, "axis", -1);
    merged = hn_make_done(&c->m, node);
    HN_TRY(kr_result(c, merged));
  }
  for (uint32_t i = 0; i < c->n_out && r[0].sequences; i++) HN_TRY(kr_set_mask(c, c->out[i], kr_mask(c, c->in[0])));
  for (int i = 0; i < 2; i++) add_states(c, &r[i], &o[i]);
  return c->m.st;
}

/* The wrapped layer on every step: steps and batch become one dimension and part again. */
hone_status kr_lower_time_distributed(kr_call *c, int variant) {
  (void)variant;
  if (!c->l->child[0]) return kr_fail(c, HONE_BAD_FORMAT, "it wraps no layer");
  int32_t rank = kr_rank(c, c->in[0]);
  if (rank < 3) return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes three or more", rank);
  hn_id rest = kr_dims_of(c, c->in[0], 2, INT64_MAX), front = kr_dims_of(c, c->in[0], 0, 2);
  hn_id minus = hn_make_ints(&c->m, (int64_t[]){-1}, 1), in[2] = {minus, rest}, node = hn_make_node(&c->m, HN_Concat, in, 2, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", 0);
  hn_id x = hn_make2(&c->m, HN_Reshape, c->in[0], hn_make_done(&c->m, node));
  hn_id y = kr_call_child(c, c->l->child[0], x), back[2] = {front, kr_dims_of(c, y, 1, INT64_MAX)};
  node = hn_make_node(&c->m, HN_Concat, back, 2, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", 0);
  return kr_result(c, hn_make2(&c->m, HN_Reshape, y, hn_make_done(&c->m, node)));
}
