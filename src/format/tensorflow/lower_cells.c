/* lower_cells.c - recurrent cells that TensorFlow has as one operator, written out. */
#include "format/tensorflow/tf_lower.h"

static hn_id op1(tf_lower *x, hn_op op, hn_id a) { return hn_make1(&x->m, op, a); }
static hn_id op2(tf_lower *x, hn_op op, hn_id a, hn_id b) { return hn_make2(&x->m, op, a, b); }
static hn_id num(tf_lower *x, hn_id like, double v) { return hn_make_scalar(&x->m, hn_make_type(&x->m, like), v); }

/* A part of the last dimension: `part` of `of`. */
static hn_id part(tf_lower *x, hn_id v, int64_t size, int64_t at) { return hn_make_slice(&x->m, v, -1, at * size, (at + 1) * size, 1); }

static int64_t units(tf_lower *x, hn_id bias, int64_t of) {
  hn_shape s = hn_tf_shape_of(x, bias);
  if (!x->m.st && (s.rank != 1 || !hn_dim_fixed(s.d[0]) || s.d[0] % of)) hn_tf_fail(x, HONE_UNSUPPORTED, "the size of its bias is not known");
  return x->m.st ? 1 : s.d[0] / of;
}

typedef struct lstm {
  hn_id w, wci, wcf, wco, b; /* peepholes HN_NONE: not used */
  int64_t n;
  double forget, clip;
  bool new_order; /* BlockLSTMV2: input, forget, cell, output; else input, cell, forget, output */
} lstm;

/* i cs f o ci co h */
static void lstm_step(tf_lower *x, const lstm *p, hn_id in, hn_id cs, hn_id h, hn_id out[7]) {
  hn_id gates = op2(x, HN_Add, op2(x, HN_MatMul, hn_tf_concat(x, (hn_id[]){in, h}, 2, -1), p->w), p->b);
  hn_id i = part(x, gates, p->n, 0), ci = part(x, gates, p->n, p->new_order ? 2 : 1), f = part(x, gates, p->n, p->new_order ? 1 : 2),
        o = part(x, gates, p->n, 3);
  if (p->forget != 0) f = op2(x, HN_Add, f, num(x, f, p->forget));
  if (p->wci != HN_NONE) {
    i = op2(x, HN_Add, i, op2(x, HN_Mul, cs, p->wci));
    f = op2(x, HN_Add, f, op2(x, HN_Mul, cs, p->wcf));
  }
  i = op1(x, HN_Sigmoid, i);
  f = op1(x, HN_Sigmoid, f);
  ci = op1(x, HN_Tanh, ci);
  hn_id next = op2(x, HN_Add, op2(x, HN_Mul, ci, i), op2(x, HN_Mul, cs, f));
  if (p->clip > 0) next = op2(x, HN_Max, op2(x, HN_Min, next, num(x, next, p->clip)), num(x, next, -p->clip));
  if (p->wci != HN_NONE) o = op2(x, HN_Add, o, op2(x, HN_Mul, next, p->wco));
  o = op1(x, HN_Sigmoid, o);
  hn_id co = op1(x, HN_Tanh, next);
  const hn_id all[7] = {i, next, f, o, ci, co, op2(x, HN_Mul, co, o)};
  for (int k = 0; k < 7; k++) out[k] = all[k];
}

static lstm lstm_of(tf_lower *x, uint32_t w, double forget, double clip) {
  bool peephole = hn_tf_attr_b(x, "use_peephole", false);
  lstm p = {.w = hn_tf_in(x, w), .b = hn_tf_in(x, w + 4), .forget = forget, .clip = clip};
  p.wci = peephole ? hn_tf_in(x, w + 1) : HN_NONE;
  p.wcf = peephole ? hn_tf_in(x, w + 2) : HN_NONE;
  p.wco = peephole ? hn_tf_in(x, w + 3) : HN_NONE;
  p.n = units(x, p.b, 4);
  return p;
}

/* x, cs_prev, h_prev, w, wci, wcf, wco, b */
void hn_tf_lower_lstm_cell(tf_lower *x) {
  hn_id out[7];
  lstm p = lstm_of(x, 3, hn_tf_attr_f(x, "forget_bias", 1), hn_tf_attr_f(x, "cell_clip", 3));
  lstm_step(x, &p, hn_tf_in(x, 0), hn_tf_in(x, 1), hn_tf_in(x, 2), out);
  for (uint32_t k = 0; k < 7; k++) hn_tf_out(x, k, out[k]);
}

/* Is step t before the longest sequence's end? Constant where that is. */
static hn_id before_end(tf_lower *x, hn_id end, int64_t t) {
  const int64_t *p;
  uint32_t n;
  if (hn_tf_ints(x, end, &p, &n) && n == 1) return hn_tf_const_i(x, HONE_DTYPE_BOOL, t < p[0]);
  return op2(x, HN_Greater, end, hn_tf_const_i(x, HONE_DTYPE_I64, t));
}

/* seq_len_max, x [time, batch, in], cs_prev, h_prev, w, wci, wcf, wco, b: every step written out; those past the longest
   sequence give zeros. */
void hn_tf_lower_block_lstm(tf_lower *x) {
  enum { MOST_STEPS = 1024 };
  bool second = x->n->op[sizeof "BlockLSTM" - 1] != 0;
  lstm p = lstm_of(x, 4, second ? 0 : hn_tf_attr_f(x, "forget_bias", 1), hn_tf_attr_f(x, "cell_clip", second ? 0 : 3));
  hn_id v = hn_tf_in(x, 1), cs = hn_tf_in(x, 2), h = hn_tf_in(x, 3);
  hn_shape s = hn_tf_shape_of(x, v);
  p.new_order = second;
  if (!x->m.st && (s.rank != 3 || !hn_dim_fixed(s.d[0]) || s.d[0] < 1 || s.d[0] > MOST_STEPS))
    hn_tf_fail(x, HONE_UNSUPPORTED, "the number of its steps must be fixed, and at most %d", MOST_STEPS);
  if (x->m.st) return;
  uint32_t steps = (uint32_t)s.d[0], n;
  const int64_t *known;
  hn_id end = hn_tf_i64(x, hn_tf_in(x, 0));
  bool whole = hn_tf_ints(x, end, &known, &n) && n == 1 && known[0] >= steps;
  hn_id *all = hn_arena_alloc(x->s->im->arena, sizeof *all * 7 * steps);
  if (!all) x->m.st = hn_nomem(x->s->im->cx);
  for (uint32_t t = 0; t < steps && !x->m.st; t++) {
    hn_id out[7];
    lstm_step(x, &p, hn_tf_gather(x, v, hn_tf_const_i(x, HONE_DTYPE_I64, t), 0), cs, h, out);
    cs = out[1];
    h = out[6];
    hn_id runs = whole ? HN_NONE : before_end(x, end, t);
    for (uint32_t k = 0; k < 7; k++) all[k * steps + t] = hn_tf_unsqueeze(x, whole ? out[k] : hn_tf_where(x, runs, out[k], num(x, out[k], 0)), 0);
  }
  for (uint32_t k = 0; k < 7 && !x->m.st; k++) hn_tf_out(x, k, hn_tf_concat(x, all + k * steps, steps, 0));
}

/* x, h_prev, w_ru, w_c, b_ru, b_c -> r u c h */
void hn_tf_lower_gru_cell(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0), h = hn_tf_in(x, 1), b = hn_tf_in(x, 4);
  int64_t n = units(x, b, 2);
  hn_id ru = op1(x, HN_Sigmoid, op2(x, HN_Add, op2(x, HN_MatMul, hn_tf_concat(x, (hn_id[]){v, h}, 2, -1), hn_tf_in(x, 2)), b));
  hn_id r = part(x, ru, n, 0), u = part(x, ru, n, 1);
  hn_id both = hn_tf_concat(x, (hn_id[]){v, op2(x, HN_Mul, r, h)}, 2, -1);
  hn_id c = op1(x, HN_Tanh, op2(x, HN_Add, op2(x, HN_MatMul, both, hn_tf_in(x, 3)), hn_tf_in(x, 5)));
  hn_id next = op2(x, HN_Add, op2(x, HN_Mul, u, h), op2(x, HN_Mul, op2(x, HN_Sub, num(x, u, 1), u), c));
  hn_tf_out(x, 0, r);
  hn_tf_out(x, 1, u);
  hn_tf_out(x, 2, c);
  hn_tf_out(x, 3, next);
}
