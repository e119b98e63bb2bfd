/* recurrent_tile.c - RNN, GRU and LSTM: the inputs of all steps through the gates' weights as one matrix product, then step
   by step the state through the packed recurrent weights and the gates' functions over whole rows. */
#include <math.h>
#include <string.h>

#include "base/count.h"
#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/gemm/tile.h"
#include "device/cpu/quant/row_product.h"
#include "device/cpu/vec/float_runs.h"
#include "op/recurrent.h"

enum { X, W, R, BIAS, LENGTHS, INITIAL_H, INITIAL_C, PEEPHOLES, GRAIN = 1 << 18 /* products for which a thread pays */ };

/* GRU's candidate has recurrent weights apart from the other gates'. */
typedef struct recurrent {
  const hn_tile *tile;
  hn_op op;
  int directions;
  int64_t steps, batch, input, hidden, gates, joint; /* joint: gates whose recurrent products go together */
  bool batch_first, reverse, linear_before_reset, input_forget, lengths;
  bool dynamic;                          /* small weights, and rows rounded to bytes before they meet them */
  hn_row_product bytes[3];               /* dynamic: through W, joint gates through R, GRU's candidate through R */
  const char *small[3];                  /* the weights of these, direction by direction */
  float clip; /* 0: none */
  hn_gate function[2][HN_GATE_FUNCTIONS];
  const float *w, *r, *bias;             /* packed, each for all directions */
  size_t w_each, r_each, joint_packed, bias_each;
  const float *peepholes;
} recurrent;

static int64_t padded(const recurrent *s, int64_t n) { return (n + s->tile->cols - 1) / s->tile->cols * s->tile->cols; }
static bool given(const hn_task *t, uint32_t i) { return i < t->node->n_main && t->in[i].present; }

static bool same_dims(const hn_arg *a, int32_t rank, const int64_t *dims) {
  return a->rank == rank && memcmp(a->dims, dims, sizeof *dims * (size_t)rank) == 0;
}
static bool has_dims(const hn_arg *a, int32_t rank, const int64_t *dims) { return a->dtype == HONE_DTYPE_F32 && same_dims(a, rank, dims); }

/* Signed bytes with a scale for all, for each row of a gate in both directions, or in each (a block is a row). */
static bool small_weights(const hn_arg *a) {
  const hn_quant *q = a->quant;
  if (!a->constant || !q || q->zero) return false;
  if (q->block) return q->axis == 2 && q->block >= a->dims[2] && q->scales && q->scales->count == a->dims[0] * a->dims[1];
  return !q->scales || (q->axis == 1 && q->scales->count == a->dims[1]);
}

static bool describe(const hn_task *t, recurrent *s) {
  const hn_node *n = t->node;
  const char *bad;
  int length;
  *s = (recurrent){.op = n->op, .directions = hn_recurrent_directions(n), .gates = hn_recurrent_gates(n->op)};
  s->dynamic = hn_attr_i(n, "dynamic", 0) != 0;
  for (uint32_t i = 0; i < 3; i++)
    if (!given(t, i) || t->in[i].dtype != (i && s->dynamic ? HONE_DTYPE_I8 : HONE_DTYPE_F32) || t->in[i].rank != 3) return false;
  if (s->dynamic && (!small_weights(&t->in[W]) || !small_weights(&t->in[R]))) return false;
  s->batch_first = hn_attr_i(n, "layout", 0) != 0;
  s->reverse = hn_streq(hn_attr_s(n, "direction", "forward"), "reverse");
  s->linear_before_reset = hn_attr_i(n, "linear_before_reset", 0) != 0;
  s->input_forget = hn_attr_i(n, "input_forget", 0) != 0;
  s->clip = (float)hn_attr_f(n, "clip", 0);
  s->lengths = given(t, LENGTHS);
  s->steps = t->in[X].dims[s->batch_first];
  s->batch = t->in[X].dims[!s->batch_first];
  s->input = t->in[X].dims[2];
  s->hidden = t->in[R].dims[2];
  s->joint = n->op == HN_GRU ? 2 : s->gates;
  int64_t d = s->directions, gh = s->gates * s->hidden, state = d * s->batch * s->hidden;
  if (s->steps < 1 || s->batch < 1 || s->input < 1 || s->hidden < 1 || !t->in[W].constant || !t->in[R].constant) return false;
  if (!same_dims(&t->in[W], 3, (int64_t[]){d, gh, s->input}) || !same_dims(&t->in[R], 3, (int64_t[]){d, gh, s->hidden})) return false;
  if (given(t, BIAS) && (!t->in[BIAS].constant || !has_dims(&t->in[BIAS], 2, (int64_t[]){d, 2 * gh}))) return false;
  if (s->lengths && (t->in[LENGTHS].dtype != HONE_DTYPE_I32 || t->in[LENGTHS].rank != 1 || t->in[LENGTHS].dims[0] != s->batch)) return false;
  for (uint32_t i = INITIAL_H; i <= INITIAL_C; i++) {
    int64_t count = 1;
    if (!given(t, i)) continue;
    for (int32_t k = 0; k < t->in[i].rank; k++) count *= t->in[i].dims[k];
    if (t->in[i].dtype != HONE_DTYPE_F32 || count != state) return false;
  }
  if (given(t, PEEPHOLES) && (!t->in[PEEPHOLES].constant || !has_dims(&t->in[PEEPHOLES], 2, (int64_t[]){d, 3 * s->hidden}))) return false;
  return hn_recurrent_functions(n, s->function, &bad, &length);
}

bool recurrent_tile_supports(const hn_task *t) {
  recurrent s;
  return t->device && describe(t, &s);
}

/* Rows from..from + n of a gate, of all directions. */
static hone_status pack_small(hn_task *t, recurrent *s, uint32_t input, int product, int64_t from, int64_t n) {
  const hn_tensor *w = t->in[input].constant;
  hn_row_product *p = &s->bytes[product];
  int64_t rows = w->dims[1], k = w->dims[2], apart = t->in[input].quant->block ? rows : 0; /* scales of a direction */
  void *to;
  bool fill;
  HN_TRY(hn_row_product_open(t->cx, t->device, k, n, p));
  HN_TRY(hn_task_pack(t, hn_row_product_bytes(p) * (size_t)s->directions, (uint64_t)product, &to, &fill));
  for (int64_t d = 0; fill && d < s->directions; d++)
    hn_row_product_pack(p, (const int8_t *)w->data + (d * rows + from) * k, t->in[input].quant, d * apart + from, (char *)to + (size_t)d * hn_row_product_bytes(p));
  s->small[product] = to;
  t->in[input].unused = true;
  return HONE_OK;
}

static hone_status pack_all_small(hn_task *t, recurrent *s) {
  int64_t gh = s->gates * s->hidden, joint = s->joint * s->hidden;
  HN_TRY(pack_small(t, s, W, 0, 0, gh));
  HN_TRY(pack_small(t, s, R, 1, 0, joint));
  return gh > joint ? pack_small(t, s, R, 2, joint, gh - joint) : HONE_OK;
}

static hone_status pack(hn_task *t, recurrent *s) {
  int64_t gh = s->gates * s->hidden, h = s->hidden, joint = s->joint * h;
  bool fill_w = false, fill_r = false, fill_b;
  float *w = NULL, *r = NULL, *b;
  if (s->dynamic) HN_TRY(pack_all_small(t, s));
  s->w_each = hn_tile_packed(s->tile, s->input, gh);
  s->joint_packed = hn_tile_packed(s->tile, h, joint);
  s->r_each = s->joint_packed + hn_tile_packed(s->tile, h, gh - joint);
  s->bias_each = (size_t)(padded(s, gh) + padded(s, h)); /* of the inputs; of GRU's candidate before it is reset */
  size_t d = (size_t)s->directions;
  if (!s->dynamic) {
    HN_TRY(hn_task_pack(t, sizeof *w * s->w_each * d, 0, (void **)&w, &fill_w));
    HN_TRY(hn_task_pack(t, sizeof *r * s->r_each * d, 0, (void **)&r, &fill_r));
  }
  HN_TRY(hn_task_pack(t, sizeof *b * s->bias_each * d, 0, (void **)&b, &fill_b));
  const float *from_w = t->in[W].constant->data, *from_r = t->in[R].constant->data;
  const float *from_b = given(t, BIAS) ? t->in[BIAS].constant->data : NULL;
  bool apart = s->op == HN_GRU && s->linear_before_reset;
  for (size_t k = 0; k < d; k++) {
    float *bp = b + k * s->bias_each;
    if (fill_w) hn_tile_pack(s->tile, s->input, 0, s->input, gh, from_w + k * (size_t)(gh * s->input), 1, s->input, w + k * s->w_each);
    if (fill_r) {
      const float *rk = from_r + k * (size_t)(gh * h);
      float *rp = r + k * s->r_each;
      hn_tile_pack(s->tile, h, 0, h, joint, rk, 1, h, rp);
      hn_tile_pack(s->tile, h, 0, h, gh - joint, rk + joint * h, 1, h, rp + s->joint_packed);
    }
    if (!fill_b) continue;
    memset(bp, 0, sizeof *bp * s->bias_each);
    const float *bw = from_b ? from_b + k * (size_t)(2 * gh) : NULL;
    for (int64_t g = 0; bw && g < gh; g++) bp[g] = bw[g] + (apart && g >= joint ? 0 : bw[gh + g]);
    for (int64_t g = joint; bw && apart && g < gh; g++) bp[padded(s, gh) + g - joint] = bw[gh + g];
  }
  s->w = w, s->r = r, s->bias = b;
  t->in[W].unused = t->in[R].unused = true;
  if (from_b) t->in[BIAS].unused = true;
  if (given(t, PEEPHOLES)) {
    s->peepholes = t->in[PEEPHOLES].constant->data;
    t->in[PEEPHOLES].unused = true;
  }
  return HONE_OK;
}

hone_status recurrent_tile_plan(hn_task *t) {
  const hn_cpu *cpu = t->device;
  recurrent *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(t->cx);
  t->state = s;
  if (!describe(t, s)) return HONE_UNSUPPORTED;
  s->tile = hn_tile_for(cpu->isa);
  for (uint32_t i = 0; i < t->node->n_main; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < t->n_out; i++) t->out[i].layout = HN_LAYOUT_PLAIN;
  HN_TRY(pack(t, s));
  int64_t gh = s->gates * s->hidden, rows = s->batch;
  t->scratch = sizeof(float) * (size_t)((s->steps + 1) * rows * gh + (3 * rows + 1) * s->hidden);
  if (s->dynamic) { /* rows as bytes and their scales */
    int64_t inputs = s->steps * rows, bytes = hn_larger(inputs * hn_row_product_pitch(&s->bytes[0]), rows * hn_row_product_pitch(&s->bytes[1]));
    t->scratch += sizeof(float) * (size_t)inputs + (size_t)bytes;
  }
  return HONE_OK;
}

void recurrent_tile_destroy(hn_task *t) {
  recurrent *s = t->state;
  for (int i = 0; s && i < 3; i++) hn_row_product_close(&s->bytes[i]);
  hn_free(t->state);
  t->state = NULL;
}

/* c = start + a b + bias, b packed; the columns are shared out. */
typedef struct product {
  const hn_tile *tile;
  const float *a, *b, *start, *bias;
  float *c;
  int64_t rows, cols, k, lda, ldc, ld_start;
} product;

static void run_panels(void *arg, int64_t begin, int64_t end) {
  const product *p = arg;
  for (int64_t panel = begin; panel < end; panel++) {
    int64_t col = panel * p->tile->cols;
    hn_tile_job j = {.k = p->k, .lda = p->lda, .b = p->b + col * p->k, .ldc = p->ldc, .ld_start = p->ld_start,
                     .bias = p->bias ? p->bias + col : NULL, .lo = -INFINITY, .hi = INFINITY};
    for (int64_t row = 0; row < p->rows; row += p->tile->rows) {
      j.a = p->a + row * p->lda;
      j.c = p->c + row * p->ldc + col;
      j.start = p->start ? p->start + row * p->ld_start + col : NULL;
      p->tile->mul(&j, (int)hn_smaller(p->tile->rows, p->rows - row), (int)hn_smaller(p->tile->cols, p->cols - col));
    }
  }
}

static void multiply(product *p, int threads) {
  int64_t each = p->rows * p->k * p->tile->cols;
  hn_parallel_for(threads, (p->cols + p->tile->cols - 1) / p->tile->cols, GRAIN / each + 1, run_panels, p);
}

/* A direction while it runs. */
typedef struct walk {
  const recurrent *s;
  hn_exec *x;
  const hn_vec *vec;
  int d, threads;
  float *in;      /* steps x batch (or the other way round) x gates, from the inputs */
  float *gates;   /* of a step */
  float *h, *c, *next, *temp; /* rows of states; temp: one row */
  float *scales;  /* dynamic: of the rows at hand, and these as bytes */
  uint8_t *bytes;
} walk;

/* The product by W (which 0), by R for joint gates (1), or for GRU's candidate (2); dynamic or not. */
static void through(const walk *k, int which, product *p) {
  const recurrent *s = k->s;
  if (!s->dynamic) {
    multiply(p, k->threads);
    return;
  }
  hn_row_product b = s->bytes[which];
  hn_row_product_use(&b, s->small[which] + hn_row_product_bytes(&b) * (size_t)k->d);
  hn_row_product_round(&b, p->a, p->lda, p->rows, k->bytes, k->scales);
  hn_row_product_run(&b, k->bytes, k->scales, p->rows, p->start, p->ld_start, p->bias, p->c, p->ldc, k->threads);
}

static void activate(const walk *k, int function, float *v, int64_t n) {
  const hn_gate *f = &k->s->function[k->d][function];
  const hn_vec *vec = k->vec;
  if (k->s->clip > 0) vec->unary[HN_Clip](v, v, (size_t)n, -k->s->clip, k->s->clip);
  if (f->op != HN_OP_NONE) {
    vec->unary[f->op](v, v, (size_t)n, (float)f->alpha, (float)f->beta);
  } else {
    vec->right[HN_Mul](v, v, (float)f->alpha, (size_t)n);
    vec->right[HN_Add](v, v, (float)f->beta, (size_t)n);
  }
}

static void add_peephole(const walk *k, int which, float *gate, const float *c) {
  size_t n = (size_t)k->s->hidden;
  if (!k->s->peepholes) return;
  k->vec->binary[HN_Mul](k->temp, k->s->peepholes + (size_t)(k->d * 3 + which) * n, c, n);
  k->vec->binary[HN_Add](gate, gate, k->temp, n);
}

/* Gates i, o, f, c of one row into its states. */
static void lstm_row(const walk *k, float *gates, float *h, float *c) {
  const recurrent *s = k->s;
  const hn_vec *vec = k->vec;
  int64_t n = s->hidden;
  float *i = gates, *o = gates + n, *f = gates + 2 * n, *g = gates + 3 * n;
  add_peephole(k, 0, i, c);
  activate(k, 0, i, n);
  if (s->input_forget) {
    vec->left[HN_Sub](f, i, 1, (size_t)n);
  } else {
    add_peephole(k, 2, f, c);
    activate(k, 0, f, n);
  }
  activate(k, 1, g, n);
  vec->binary[HN_Mul](c, c, f, (size_t)n);
  vec->binary[HN_Mul](g, g, i, (size_t)n);
  vec->binary[HN_Add](c, c, g, (size_t)n);
  add_peephole(k, 1, o, c);
  activate(k, 0, o, n);
  memcpy(h, c, sizeof *h * (size_t)n);
  activate(k, 2, h, n);
  vec->binary[HN_Mul](h, h, o, (size_t)n);
}

/* h = candidate + z (h - candidate) */
static void gru_row(const walk *k, float *gates, float *h) {
  int64_t n = k->s->hidden;
  float *z = gates, *g = gates + 2 * n;
  activate(k, 1, g, n);
  k->vec->binary[HN_Sub](h, h, g, (size_t)n);
  k->vec->binary[HN_Mul](h, h, z, (size_t)n);
  k->vec->binary[HN_Add](h, h, g, (size_t)n);
}

/* GRU: z and r are there; the candidate from (r h) R, or r (h R). */
static void gru_candidates(const walk *k, int64_t row, int64_t rows, const float *start, int64_t ld_start) {
  const recurrent *s = k->s;
  int64_t n = s->hidden, gh = s->gates * n;
  float *g = k->gates + row * gh, *h = k->h + row * n, *next = k->next + row * n;
  const float *r = s->r + (size_t)k->d * s->r_each + s->joint_packed;
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < 2; j++) activate(k, 0, g + i * gh + j * n, n);
    if (!s->linear_before_reset) k->vec->binary[HN_Mul](next + i * n, h + i * n, g + i * gh + n, (size_t)n);
  }
  product p = {.tile = s->tile, .a = s->linear_before_reset ? h : next, .b = r, .c = g + 2 * n, .rows = rows, .cols = n, .k = n,
               .lda = n, .ldc = gh};
  if (s->linear_before_reset) p.bias = s->bias + (size_t)k->d * s->bias_each + padded(s, gh);
  else p.start = start + 2 * n, p.ld_start = ld_start;
  through(k, 2, &p);
  for (int64_t i = 0; i < rows && s->linear_before_reset; i++) {
    float *c = g + i * gh + 2 * n;
    k->vec->binary[HN_Mul](c, c, g + i * gh + n, (size_t)n);
    k->vec->binary[HN_Add](c, c, start + i * ld_start + 2 * n, (size_t)n);
  }
}

static bool wants(const hn_exec *x, uint32_t o) { return o < x->n_out && x->task->out[o].present; }

/* Step t of `rows` rows from `row` on. */
static void run_step(const walk *k, int64_t t, int64_t row, int64_t rows) {
  const recurrent *s = k->s;
  int64_t n = s->hidden, gh = s->gates * n, ld_start = s->batch_first ? s->steps * gh : gh;
  const float *start = k->in + (s->batch_first ? row * s->steps + t : t * s->batch + row) * gh;
  float *gates = k->gates + row * gh, *h = k->h + row * n;
  product p = {.tile = s->tile, .a = h, .b = s->r + (size_t)k->d * s->r_each, .start = start, .c = gates, .rows = rows, .cols = s->joint * n,
               .k = n, .lda = n, .ldc = gh, .ld_start = ld_start};
  through(k, 1, &p);
  if (s->op == HN_GRU) gru_candidates(k, row, rows, start, ld_start);
  for (int64_t i = 0; i < rows; i++) {
    float *hi = h + i * n, *gi = gates + i * gh;
    if (s->op == HN_LSTM) lstm_row(k, gi, hi, k->c + (row + i) * n);
    else if (s->op == HN_GRU) gru_row(k, gi, hi);
    else {
      memcpy(hi, gi, sizeof *hi * (size_t)n);
      activate(k, 0, hi, n);
    }
    if (!wants(k->x, 0)) continue;
    int64_t b = row + i, at = s->batch_first ? (b * s->steps + t) * s->directions + k->d : (t * s->directions + k->d) * s->batch + b;
    memcpy((float *)k->x->out[0].data + at * n, hi, sizeof *hi * (size_t)n);
  }
}

static float *state_at(const walk *k, const hn_view *v, int64_t b) {
  const recurrent *s = k->s;
  return (float *)v->data + (s->batch_first ? b * s->directions + k->d : k->d * s->batch + b) * s->hidden;
}

static void run_rows(const walk *k, int64_t row, int64_t rows, int64_t length) {
  bool back = k->d == 1 || k->s->reverse;
  for (int64_t i = 0; i < length; i++) run_step(k, back ? length - 1 - i : i, row, rows);
}

static void run_direction(walk *k) {
  const recurrent *s = k->s;
  hn_exec *x = k->x;
  int64_t n = s->hidden, gh = s->gates * n;
  size_t row = sizeof(float) * (size_t)n;
  product p = {.tile = s->tile, .a = x->in[X].data, .b = s->w + (size_t)k->d * s->w_each, .bias = s->bias + (size_t)k->d * s->bias_each,
               .c = k->in, .rows = s->steps * s->batch, .cols = gh, .k = s->input, .lda = s->input, .ldc = gh};
  through(k, 0, &p);
  for (int64_t b = 0; b < s->batch; b++) {
    if (hn_xhas(x, INITIAL_H)) memcpy(k->h + b * n, state_at(k, &x->in[INITIAL_H], b), row);
    else memset(k->h + b * n, 0, row);
    if (hn_xhas(x, INITIAL_C)) memcpy(k->c + b * n, state_at(k, &x->in[INITIAL_C], b), row);
    else memset(k->c + b * n, 0, row);
  }
  if (!s->lengths) run_rows(k, 0, s->batch, s->steps);
  else
    for (int64_t b = 0; b < s->batch; b++) run_rows(k, b, 1, ((const int32_t *)x->in[LENGTHS].data)[b]);
  for (int64_t b = 0; b < s->batch; b++) {
    if (wants(x, 1)) memcpy(state_at(k, &x->out[1], b), k->h + b * n, row);
    if (wants(x, 2)) memcpy(state_at(k, &x->out[2], b), k->c + b * n, row);
  }
}

hone_status recurrent_tile_run(hn_exec *x) {
  const recurrent *s = x->task->state;
  int64_t n = s->hidden, gh = s->gates * n;
  for (int64_t b = 0; s->lengths && b < s->batch; b++) {
    int32_t length = ((const int32_t *)x->in[LENGTHS].data)[b];
    if (length < 0 || length > s->steps) return hn_xfail(x, HONE_BAD_GRAPH, "sequence length %d of %lld", length, (long long)s->steps);
  }
  if (s->lengths && wants(x, 0)) memset(x->out[0].data, 0, sizeof(float) * (size_t)x->out[0].count); /* past a sequence's end */
  for (int d = 0; d < s->directions; d++) {
    walk k = {.s = s, .x = x, .vec = x->task->device->vec, .d = d, .threads = x->threads < 1 ? 1 : x->threads};
    k.in = x->scratch;
    k.gates = k.in + s->steps * s->batch * gh;
    k.h = k.gates + s->batch * gh;
    k.c = k.h + s->batch * n;
    k.next = k.c + s->batch * n;
    k.temp = k.next + s->batch * n;
    k.scales = k.temp + n;
    k.bytes = (uint8_t *)(k.scales + s->steps * s->batch);
    run_direction(&k);
  }
  return HONE_OK;
}
