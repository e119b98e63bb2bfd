/* spell_recurrent.c - RNN, GRU and LSTM, step by step: the number of steps must be fixed. */
#include <string.h>

#include "format/tensorflow/spell.h"

enum { MAX_STEPS = 2048 };

typedef struct cell { /* of one direction */
  hn_op op;
  hn_dtype type;
  int64_t hidden, gates;
  const char *w, *r, *b, *rb; /* [gates * hidden, inputs], [gates * hidden, hidden], biases or NULL */
  const char *rh, *rz;        /* GRU: the rows of r for the new state, and the others */
  bool before;                /* linear_before_reset */
  const char *act[3];
  double alpha[3], beta[3];
} cell;

/* Slices [from, to) of the rows of direction d. */
static const char *rows_of(tg *t, const hn_tensor *w, int64_t d, int64_t from, int64_t to) {
  hn_tensor *r = NULL;
  int64_t columns = w->rank == 3 ? w->dims[2] : 1, dims[2] = {to - from, columns};
  size_t size = hone_dtype_size(w->dtype);
  if (!t->st) t->st = hn_tensor_create(t->cx, w->dtype, w->rank == 3 ? 2 : 1, dims, &r);
  if (r) memcpy(r->data, (const char *)w->data + (size_t)((d * w->dims[1] + from) * columns) * size, r->bytes);
  return tg_const(t, r);
}

static const char *product(tg *t, hn_dtype type, const char *x, const char *w) {
  tg_node *node = tg_add(t, "MatMul", NULL);
  tg_input(t, node, x);
  tg_input(t, node, w);
  tg_type(t, node, "T", type);
  tg_bool(t, node, "transpose_a", false);
  tg_bool(t, node, "transpose_b", true);
  return tg_out(t, node, 0);
}

static const char *sum(tg *t, hn_dtype type, const char *a, const char *b) { return !a ? b : !b ? a : tg2(t, "AddV2", type, a, b); }
static const char *times(tg *t, hn_dtype type, const char *a, const char *b) { return tg2(t, "Mul", type, a, b); }

/* Columns [g * hidden, (g + n) * hidden). */
static const char *gate(tg *t, const cell *c, const char *x, int64_t g, int64_t n) {
  int64_t from[2] = {0, g * c->hidden}, to[2] = {0, (g + n) * c->hidden}, by[2] = {1, 1};
  const char *a = tg_numbers(t, from, 2), *b = tg_numbers(t, to, 2), *s = tg_numbers(t, by, 2);
  tg_node *node = tg_add(t, "StridedSlice", NULL);
  tg_input(t, node, x);
  tg_input(t, node, a);
  tg_input(t, node, b);
  tg_input(t, node, s);
  tg_type(t, node, "T", c->type);
  tg_type(t, node, "Index", HONE_DTYPE_I32);
  tg_int(t, node, "begin_mask", 1);
  tg_int(t, node, "end_mask", 1);
  return tg_out(t, node, 0);
}

static const char *activate(tg *t, const cell *c, int i, const char *x) {
  const char *name = c->act[i];
  bool hard = strcmp(name, "HardSigmoid") == 0;
  if (hard || strcmp(name, "Affine") == 0) {
    x = tg2(t, "AddV2", c->type, times(t, c->type, x, tg_scalar(t, c->type, c->alpha[i])), tg_scalar(t, c->type, c->beta[i]));
    return hard ? tg2(t, "Minimum", c->type, tg1(t, "Relu", c->type, x), tg_scalar(t, c->type, 1)) : x;
  }
  return tg1(t, name, c->type, x);
}

static const char *one_minus(tg *t, const cell *c, const char *x) { return tg2(t, "Sub", c->type, tg_scalar(t, c->type, 1), x); }

/* One step; h and cs are NULL for states of zeros. */
static void step(tg *t, const cell *c, const char *x, const char **h, const char **cs) {
  hn_dtype type = c->type;
  const char *wx = sum(t, type, product(t, type, x, c->w), c->b), *rh = c->op != HN_GRU && *h ? product(t, type, *h, c->r) : NULL;
  if (c->op == HN_RNN) {
    *h = activate(t, c, 0, sum(t, type, sum(t, type, wx, rh), c->rb));
  } else if (c->op == HN_LSTM) { /* i, o, f, c */
    const char *g = sum(t, type, sum(t, type, wx, rh), c->rb), *i = activate(t, c, 0, gate(t, c, g, 0, 1)), *o = activate(t, c, 0, gate(t, c, g, 1, 1));
    const char *fresh = times(t, type, i, activate(t, c, 1, gate(t, c, g, 3, 1)));
    *cs = *cs ? sum(t, type, times(t, type, activate(t, c, 0, gate(t, c, g, 2, 1)), *cs), fresh) : fresh;
    *h = times(t, type, o, activate(t, c, 2, *cs));
  } else { /* z, r, h; biases of the state for z and r are in b */
    const char *zr = sum(t, type, gate(t, c, wx, 0, 2), *h ? product(t, type, *h, c->rz) : NULL);
    const char *z = activate(t, c, 0, gate(t, c, zr, 0, 1)), *r = activate(t, c, 0, gate(t, c, zr, 1, 1)), *n = gate(t, c, wx, 2, 1), *inner;
    if (c->before) inner = sum(t, type, *h ? product(t, type, *h, c->rh) : NULL, c->rb), inner = inner ? times(t, type, r, inner) : NULL;
    else inner = sum(t, type, *h ? product(t, type, times(t, type, r, *h), c->rh) : NULL, c->rb);
    n = times(t, type, one_minus(t, c, z), activate(t, c, 1, sum(t, type, n, inner)));
    *h = *h ? sum(t, type, times(t, type, z, *h), n) : n;
  }
}

static bool read_cell(tg *t, const hn_node *n, int64_t d, cell *c) {
  const hn_tensor *w = hn_const(t->g, n->in[1]), *r = hn_const(t->g, n->in[2]), *b = hn_const(t->g, hn_in(n, 3));
  const char *names = hn_attr_s(n, "activations", "");
  int per = n->op == HN_LSTM ? 3 : n->op == HN_GRU ? 2 : 1;
  *c = (cell){.op = n->op, .type = tg_dtype(t, n->in[0]), .gates = n->op == HN_LSTM ? 4 : n->op == HN_GRU ? 3 : 1, .act = {"Sigmoid", "Tanh", "Tanh"}};
  if (n->op == HN_RNN) c->act[0] = "Tanh";
  if (!w || !r || w->rank != 3 || r->rank != 3 || (hn_in(n, 3) != HN_NONE && (!b || b->rank != 2))) {
    tg_refuse(t, "its weights are computed, not constant");
    return false;
  }
  if (hn_attr_i(n, "layout", 0) || hn_attr_f(n, "clip", 0) != 0 || hn_in(n, 7) != HN_NONE || hn_attr_i(n, "input_forget", 0)) {
    tg_refuse(t, "its layout, clip or peepholes have no spelling in TensorFlow");
    return false;
  }
  const double *alpha, *beta;
  uint32_t n_alpha = hn_attr_floats(n, "activation_alpha", &alpha), n_beta = hn_attr_floats(n, "activation_beta", &beta), a = 0;
  for (int64_t i = 0; *names && i < (d + 1) * per; i++, names += strcspn(names, ","), names += *names == ',') {
    static const char *const known[] = {"Sigmoid", "Tanh", "Relu", "Softsign", "Softplus", "HardSigmoid", "Affine"};
    size_t len = strcspn(names, ","), k = 0;
    while (k < 7 && (strlen(known[k]) != len || strncmp(known[k], names, len) != 0)) k++;
    if (k == 7) {
      tg_refuse(t, "activation '%.*s' has no spelling here", (int)len, names);
      return false;
    }
    int64_t at = i % per; /* of this direction, the last one seen */
    c->act[at] = known[k];
    if (k < 5) continue;
    c->alpha[at] = a < n_alpha ? alpha[a] : k == 5 ? 0.2 : 1;
    c->beta[at] = a < n_beta ? beta[a] : k == 5 ? 0.5 : 0;
    a++;
  }
  c->hidden = r->dims[2];
  int64_t all = c->gates * c->hidden;
  c->before = hn_attr_i(n, "linear_before_reset", 0) != 0;
  c->w = rows_of(t, w, d, 0, all);
  if (b) c->b = rows_of(t, b, d, 0, all);
  if (n->op == HN_GRU) {
    c->rz = rows_of(t, r, d, 0, 2 * c->hidden);
    c->rh = rows_of(t, r, d, 2 * c->hidden, all);
    if (b) { /* what the state adds to z and r may as well be added to the input */
      hn_tensor *both = NULL;
      if (!t->st) t->st = hn_tensor_create(t->cx, b->dtype, 1, &all, &both);
      for (int64_t i = 0; i < all && both; i++) {
        size_t at = (size_t)(d * 2 * all + i);
        hn_store_f64(b->dtype, both->data, (size_t)i, hn_tensor_f(b, at) + (i < 2 * c->hidden ? hn_tensor_f(b, at + (size_t)all) : 0));
      }
      c->b = tg_const(t, both);
      c->rb = rows_of(t, b, d, all + 2 * c->hidden, 2 * all);
    }
  } else {
    c->r = rows_of(t, r, d, 0, all);
    if (b) c->rb = rows_of(t, b, d, all, 2 * all);
  }
  return !t->st;
}

static const char *pack(tg *t, hn_dtype type, const char *const *v, int64_t n, int64_t axis) {
  tg_node *node = tg_add(t, "Pack", NULL);
  for (int64_t i = 0; i < n; i++) tg_input(t, node, v[i]);
  tg_int(t, node, "N", n);
  tg_type(t, node, "T", type);
  tg_int(t, node, "axis", axis);
  return tg_out(t, node, 0);
}

/* State d of [directions, batch, hidden]. */
static const char *initial(tg *t, const hn_node *n, uint32_t i, int64_t d, int64_t directions) {
  if (hn_in(n, i) == HN_NONE) return NULL;
  const char *x = tg_plain(t, n->in[i]);
  tg_node *node = tg_add(t, "Unpack", NULL);
  tg_input(t, node, x);
  tg_int(t, node, "num", directions);
  tg_type(t, node, "T", tg_dtype(t, n->in[i]));
  tg_int(t, node, "axis", 0);
  return tg_out(t, node, (uint32_t)d);
}

/* [batch, 1]: is step `at` within each sequence? NULL: all are whole. */
static const char *within(tg *t, const hn_node *n, int64_t at) {
  if (hn_in(n, 4) == HN_NONE) return NULL;
  hn_dtype type = tg_dtype(t, n->in[4]);
  const char *yes = tg2(t, "Greater", type, tg_plain(t, n->in[4]), tg_scalar(t, type, (double)at)), *axis = tg_number(t, 1);
  tg_node *wide = tg_add(t, "ExpandDims", NULL);
  tg_input(t, wide, yes);
  tg_input(t, wide, axis);
  tg_type(t, wide, "T", HONE_DTYPE_BOOL);
  tg_type(t, wide, "Tdim", HONE_DTYPE_I32);
  return tg_out(t, wide, 0);
}

/* `then` where the step is within the sequence, else `otherwise` (NULL: zeros). */
static const char *chosen(tg *t, hn_dtype type, const char *within, const char *then, const char *otherwise) {
  if (!within || !then) return then;
  if (!otherwise) otherwise = tg1(t, "ZerosLike", type, then);
  tg_node *node = tg_add(t, "SelectV2", NULL);
  tg_input(t, node, within);
  tg_input(t, node, then);
  tg_input(t, node, otherwise);
  tg_type(t, node, "T", type);
  return tg_out(t, node, 0);
}

void tg_spell_recurrent(tg *t, const hn_node *n, const char *op) {
  const hn_shape *in = tg_shape_of(t, n->in[0]);
  hn_dtype type = tg_dtype(t, n->in[0]);
  int64_t steps = in->rank == 3 ? in->d[0] : -1, directions = hn_streq(hn_attr_s(n, "direction", "forward"), "bidirectional") ? 2 : 1;
  (void)op;
  if (steps < 1 || steps > MAX_STEPS) {
    tg_refuse(t, "the number of its steps must be fixed (--shape) and at most %d", MAX_STEPS);
    return;
  }
  const char *x = tg_plain(t, n->in[0]), *ends[2][2] = {{NULL}}, **y = hn_arena_alloc(t->arena, sizeof *y * (size_t)(steps * directions));
  tg_node *parts = tg_add(t, "Unpack", NULL);
  tg_input(t, parts, x);
  tg_int(t, parts, "num", steps);
  tg_type(t, parts, "T", type);
  tg_int(t, parts, "axis", 0);
  for (int64_t d = 0; d < directions && y && !t->st; d++) {
    cell c;
    bool backwards = d == 1 || hn_streq(hn_attr_s(n, "direction", "forward"), "reverse");
    if (!read_cell(t, n, d, &c)) return;
    const char *h = initial(t, n, 5, d, directions), *cs = initial(t, n, 6, d, directions);
    for (int64_t s = 0; s < steps && !t->st; s++) {
      int64_t at = backwards ? steps - 1 - s : s;
      const char *before[2] = {h, cs}, *runs = within(t, n, at);
      step(t, &c, tg_out(t, parts, (uint32_t)at), &h, &cs);
      y[d * steps + at] = chosen(t, type, runs, h, NULL);
      h = chosen(t, type, runs, h, before[0]);
      cs = chosen(t, type, runs, cs, before[1]);
    }
    ends[d][0] = h;
    ends[d][1] = cs;
  }
  if (t->st || !y) return;
  const char *sequences[2], *h[2] = {ends[0][0], ends[1][0]}, *cs[2] = {ends[0][1], ends[1][1]};
  for (int64_t d = 0; d < directions; d++) sequences[d] = pack(t, type, y + d * steps, steps, 0);
  if (hn_out(n, 0) != HN_NONE) tg_set_plain(t, n->out[0], pack(t, type, sequences, directions, 1));
  if (hn_out(n, 1) != HN_NONE) tg_set_plain(t, n->out[1], pack(t, type, h, directions, 0));
  if (hn_out(n, 2) != HN_NONE) tg_set_plain(t, n->out[2], pack(t, type, cs, directions, 0));
}
