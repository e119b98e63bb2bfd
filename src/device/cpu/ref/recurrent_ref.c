/* recurrent_ref.c - RNN, GRU and LSTM, one step of one sequence at a time, in double. Gate orders are ONNX's: LSTM
   i, o, f, c; GRU z, r, h. */
#include <math.h>
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "op/recurrent.h"
#include "op/scalar.h"

enum { MAX_GATES = 4 };

typedef struct recurrence {
  hn_exec *x;
  hn_op op;
  int64_t steps, batch, input, hidden, gates, directions;
  bool batch_first, linear_before_reset, input_forget, dynamic;
  double clip; /* 0: none */
  hn_gate act[2][HN_GATE_FUNCTIONS];
} recurrence;

static double get(const hn_view *v, int64_t i) { return hn_load_f64(v->dtype, v->data, (size_t)i); }

static bool given(const recurrence *r, uint32_t i) { return i < hn_xnode(r->x)->n_main && hn_xhas(r->x, i); }

static double activate(const recurrence *r, int d, int i, double v) {
  const hn_gate *a = &r->act[d][i];
  if (r->clip > 0) v = v < -r->clip ? -r->clip : v > r->clip ? r->clip : v;
  return a->op == HN_OP_NONE ? a->alpha * v + a->beta : hn_scalar_unary(a->op, v, a->alpha, a->beta);
}

static bool has_dims(const hn_view *v, int32_t rank, const int64_t *dims) {
  return v->rank == rank && memcmp(v->dims, dims, sizeof *dims * (size_t)rank) == 0;
}

static hone_status open_recurrence(hn_exec *x, recurrence *r) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0], *w = &x->in[1], *rec = &x->in[2];
  *r = (recurrence){.x = x, .op = n->op, .gates = hn_recurrent_gates(n->op)};
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  r->batch_first = hn_attr_i(n, "layout", 0) != 0;
  r->linear_before_reset = hn_attr_i(n, "linear_before_reset", 0) != 0;
  r->input_forget = hn_attr_i(n, "input_forget", 0) != 0;
  r->dynamic = hn_attr_i(n, "dynamic", 0) != 0;
  r->clip = hn_attr_f(n, "clip", 0);
  r->directions = hn_recurrent_directions(n);
  if (in->rank != 3 || w->rank != 3 || rec->rank != 3) return hn_xfail(x, HONE_BAD_GRAPH, "X, W and R must have 3 dimensions");
  r->steps = in->dims[r->batch_first];
  r->batch = in->dims[!r->batch_first];
  r->input = in->dims[2];
  r->hidden = rec->dims[2];
  int64_t d = r->directions, gh = r->gates * r->hidden, b = r->batch, h = r->hidden;
  bool fits = has_dims(w, 3, (int64_t[]){d, gh, r->input}) && has_dims(rec, 3, (int64_t[]){d, gh, h});
  if (given(r, 3)) fits = fits && has_dims(&x->in[3], 2, (int64_t[]){d, 2 * gh});
  if (given(r, 4)) fits = fits && x->in[4].count == b;
  for (uint32_t i = 5; i < 7; i++)
    if (given(r, i)) fits = fits && x->in[i].count == d * b * h && (i == 5 || r->op == HN_LSTM);
  if (given(r, 7)) fits = fits && has_dims(&x->in[7], 2, (int64_t[]){d, 3 * h});
  if (!fits) return hn_xfail(x, HONE_BAD_GRAPH, "its weights, biases or initial states do not fit its input");
  const char *bad;
  int length;
  if (!hn_recurrent_functions(n, r->act, &bad, &length)) return hn_xfail(x, HONE_UNSUPPORTED, "activation '%.*s' is not known", length, bad);
  return HONE_OK;
}

/* ---- one step */

/* A row as the weights meet it: rounded to 8 bits where the node says so. */
static void round_row(const recurrence *r, double *v, int64_t n) {
  float most = 0;
  for (int64_t k = 0; k < n; k++) most = fmaxf(most, fabsf((float)v[k]));
  float step = most > 0 ? most / 127.0f : 1;
  for (int64_t k = 0; k < n && r->dynamic; k++) v[k] = (double)rintf((float)v[k] / step) * (double)step;
}

/* pre[g * hidden + j] = x_t W + b_W (and h R + b_R where not kept apart in rec). */
static void gates_of(const recurrence *r, int64_t d, int64_t b, int64_t t, const double *state, double *pre, double *rec, double *row) {
  const hn_view *in = &r->x->in[0], *w = &r->x->in[1], *rw = &r->x->in[2];
  int64_t gh = r->gates * r->hidden;
  double *h = row + r->input;
  for (int64_t k = 0; k < r->input; k++) row[k] = get(in, (r->batch_first ? b * r->steps + t : t * r->batch + b) * r->input + k);
  memcpy(h, state, sizeof *h * (size_t)r->hidden);
  round_row(r, row, r->input);
  round_row(r, h, r->hidden);
  for (int64_t g = 0; g < gh; g++) {
    double sum = 0, again = 0;
    for (int64_t k = 0; k < r->input; k++) sum += row[k] * get(w, (d * gh + g) * r->input + k);
    for (int64_t k = 0; k < r->hidden; k++) again += h[k] * get(rw, (d * gh + g) * r->hidden + k);
    if (given(r, 3)) {
      sum += get(&r->x->in[3], d * 2 * gh + g);
      again += get(&r->x->in[3], d * 2 * gh + gh + g);
    }
    pre[g] = sum;
    rec[g] = again;
  }
}

static double peephole(const recurrence *r, int64_t d, int which, int64_t j, double c) {
  return given(r, 7) ? get(&r->x->in[7], (d * 3 + which) * r->hidden + j) * c : 0;
}

static void lstm_step(const recurrence *r, int64_t d, const double *pre, const double *rec, double *h, double *c) {
  int64_t n = r->hidden;
  int k = (int)d;
  for (int64_t j = 0; j < n; j++) {
    double i = activate(r, k, 0, pre[j] + rec[j] + peephole(r, d, 0, j, c[j]));
    double f = r->input_forget ? 1 - i : activate(r, k, 0, pre[2 * n + j] + rec[2 * n + j] + peephole(r, d, 2, j, c[j]));
    double cell = f * c[j] + i * activate(r, k, 1, pre[3 * n + j] + rec[3 * n + j]);
    double o = activate(r, k, 0, pre[n + j] + rec[n + j] + peephole(r, d, 1, j, cell));
    c[j] = cell;
    h[j] = o * activate(r, k, 2, cell);
  }
}

/* The candidate's recurrent part: of r * h by R, or r times (h by R) with linear_before_reset. */
static double gru_candidate(const recurrence *r, int64_t d, const double *reset, const double *rec, const double *reset_h, int64_t j) {
  int64_t n = r->hidden, gh = 3 * n;
  if (r->linear_before_reset) return reset[j] * rec[2 * n + j];
  double sum = given(r, 3) ? get(&r->x->in[3], d * 2 * gh + gh + 2 * n + j) : 0;
  for (int64_t k = 0; k < n; k++) sum += reset_h[k] * get(&r->x->in[2], (d * gh + 2 * n + j) * n + k);
  return sum;
}

static void gru_step(const recurrence *r, int64_t d, double *pre, const double *rec, double *h, double *next, double *reset_h) {
  int64_t n = r->hidden;
  int k = (int)d;
  for (int64_t j = 0; j < 2 * n; j++) pre[j] = activate(r, k, 0, pre[j] + rec[j]);
  for (int64_t j = 0; j < n; j++) reset_h[j] = pre[n + j] * h[j];
  round_row(r, reset_h, n);
  for (int64_t j = 0; j < n; j++) {
    double candidate = activate(r, k, 1, pre[2 * n + j] + gru_candidate(r, d, pre + n, rec, reset_h, j));
    next[j] = (1 - pre[j]) * candidate + pre[j] * h[j];
  }
  memcpy(h, next, sizeof *h * (size_t)n);
}

static void put(const recurrence *r, uint32_t o, int64_t at, const double *v) {
  if (hn_xwants(r->x, o)) hn_write_f64(r->x->out[o].dtype, r->x->out[o].data, at * r->hidden, 1, r->hidden, v);
}

/* A state's place: direction x batch x hidden, or batch first. */
static int64_t state_at(const recurrence *r, int64_t d, int64_t b) {
  return r->batch_first ? b * r->directions + d : d * r->batch + b;
}

static void run_sequence(const recurrence *r, int64_t d, int64_t b, double *work) {
  int64_t n = r->hidden, length = r->steps;
  double *h = work, *c = work + n, *pre = work + 2 * n, *rec = pre + MAX_GATES * n, *next = rec + MAX_GATES * n, *row = next + n;
  bool reverse = d == 1 || hn_streq(hn_attr_s(hn_xnode(r->x), "direction", "forward"), "reverse");
  if (given(r, 4)) length = hn_load_i64(r->x->in[4].dtype, r->x->in[4].data, (size_t)b);
  for (int64_t j = 0; j < n; j++) {
    h[j] = given(r, 5) ? get(&r->x->in[5], state_at(r, d, b) * n + j) : 0;
    c[j] = given(r, 6) ? get(&r->x->in[6], state_at(r, d, b) * n + j) : 0;
  }
  for (int64_t s = 0; s < length; s++) {
    int64_t t = reverse ? length - 1 - s : s;
    gates_of(r, d, b, t, h, pre, rec, row);
    if (r->op == HN_LSTM) lstm_step(r, d, pre, rec, h, c);
    else if (r->op == HN_GRU) gru_step(r, d, pre, rec, h, next, row);
    else
      for (int64_t j = 0; j < n; j++) h[j] = activate(r, (int)d, 0, pre[j] + rec[j]);
    put(r, 0, r->batch_first ? (b * r->steps + t) * r->directions + d : (t * r->directions + d) * r->batch + b, h);
  }
  put(r, 1, state_at(r, d, b), h);
  put(r, 2, state_at(r, d, b), c);
}

hone_status hk_recurrent_ref(hn_exec *x) {
  recurrence r;
  HN_TRY(open_recurrence(x, &r));
  hn_dtype t = x->in[0].dtype;
  int64_t d = r.directions, b = r.batch, h = r.hidden;
  for (int64_t i = 0; given(&r, 4) && i < b; i++) {
    int64_t length = hn_load_i64(x->in[4].dtype, x->in[4].data, (size_t)i);
    if (length < 0 || length > r.steps) return hn_xfail(x, HONE_BAD_GRAPH, "sequence length %lld of %lld", (long long)length, (long long)r.steps);
  }
  int64_t y[2][4] = {{r.steps, d, b, h}, {b, r.steps, d, h}}, last[2][3] = {{d, b, h}, {b, d, h}};
  for (uint32_t o = 0; o < x->n_out; o++) {
    if (!hn_xwants(x, o)) continue;
    HN_TRY(hn_xout(x, o, t, o ? 3 : 4, o ? last[r.batch_first] : y[r.batch_first]));
    memset(x->out[o].data, 0, (size_t)x->out[o].count * hone_dtype_size(t)); /* past a sequence's end */
  }
  double *work = hn_calloc((size_t)h * (4 + 2 * MAX_GATES) + (size_t)r.input + 1, sizeof *work);
  if (!work) return hn_nomem(x->cx);
  for (int64_t k = 0; k < d; k++)
    for (int64_t i = 0; i < b; i++) run_sequence(&r, k, i, work);
  hn_free(work);
  return HONE_OK;
}
