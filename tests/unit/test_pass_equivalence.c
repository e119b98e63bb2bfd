/* test_pass_equivalence.c - random graphs must compute the same before and after every pass, alone and all together,
   and stay legal. Everything runs on the reference kernels. */
#include <math.h>
#include <stdint.h>

#include "harness.h"
#include "op/infer.h"
#include "pass/pass.h"
#include "run/eval.h"
#include "run/program.h"

enum { GRAPHS = 2000, STEPS = 20, MAX_IO = 24 };

static uint32_t seed;
static uint32_t next(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}
static int64_t between(int64_t lo, int64_t hi) { return lo + next() % (uint32_t)(hi - lo + 1); }
static bool chance(int one_in) { return next() % (uint32_t)one_in == 0; }

typedef struct builder {
  hone_context *cx;
  hn_graph *g;
  hn_id pool[64]; /* values to build on */
  int n;
} builder;

static hn_shape shape(const builder *b, hn_id v) { return hn_value_at(b->g, v)->shape; }

static bool same_shape(const builder *b, hn_id x, hn_id y) {
  hn_shape s = shape(b, x), t = shape(b, y);
  return hn_shape_equal(&s, &t);
}

static hn_id constant(builder *b, int32_t rank, const int64_t *dims, double least) {
  hn_tensor *t;
  if (hn_tensor_create(b->cx, HONE_DTYPE_F32, rank, dims, &t)) abort();
  for (int64_t i = 0; i < t->count; i++) ((float *)t->data)[i] = (float)(least + (next() % 1000) / 500.0 - (least > 0 ? 0 : 1));
  return hn_graph_add_constant(b->g, NULL, t);
}

static hn_id scalar(builder *b, double v) {
  hn_tensor *t;
  if (hn_tensor_scalar_f(b->cx, HONE_DTYPE_F32, v, &t)) abort();
  return hn_graph_add_constant(b->g, NULL, t);
}

static hn_id ints(builder *b, const int64_t *v, size_t n) {
  hn_tensor *t;
  if (hn_tensor_ints(b->cx, v, n, &t)) abort();
  return hn_graph_add_constant(b->g, NULL, t);
}

static hn_id add(builder *b, hn_op op, const hn_id *in, uint32_t n) { return hn_graph_add_node(b->g, op, NULL, in, n, 1); }

/* Infers the node and gives its result; HN_NONE drops it (a window too large, say). */
static hn_id result(builder *b, hn_id node) {
  if (hn_infer_node(b->g, node)) {
    hn_remove_node(b->g, node);
    return HN_NONE;
  }
  return hn_node_at(b->g, node)->out[0];
}

static hn_id unary(builder *b, hn_id x) {
  static const hn_op ops[] = {HN_Relu, HN_Sigmoid, HN_Tanh, HN_HardSwish, HN_Identity, HN_Neg, HN_Abs, HN_LeakyRelu, HN_Softplus, HN_Erf};
  return result(b, add(b, ops[next() % 10], &x, 1));
}

/* Pieces of activations and normalizations as exporters spell them. */
static hn_id spelled(builder *b, hn_id x) {
  hn_id in[3] = {x, HN_NONE, HN_NONE};
  hn_shape s = shape(b, x);
  switch (next() % 7) {
    case 6: { /* queries, keys and values cut from one product, some rows of their attention */
      if (s.rank != 3) return HN_NONE;
      int64_t w[2] = {s.d[2], 12}, axis = 2, cut[4] = {0, 4, 8, 12}, row = 1;
      hn_id y = result(b, add(b, HN_MatMul, (hn_id[]){x, constant(b, 2, w, 0)}, 2)), part[3];
      y = result(b, add(b, HN_Add, (hn_id[]){y, constant(b, 1, &w[1], 0)}, 2));
      for (int i = 0; i < 3; i++)
        part[i] = result(b, add(b, HN_Slice, (hn_id[]){y, ints(b, &cut[i], 1), ints(b, &cut[i + 1], 1), ints(b, &axis, 1)}, 4));
      bool apart = chance(2); /* heads as a dimension of their own */
      for (int i = 0; i < 3 && apart; i++) {
        part[i] = result(b, add(b, HN_Reshape, (hn_id[]){part[i], ints(b, (int64_t[]){0, 0, 2, 2}, 4)}, 2));
        hn_id n = add(b, HN_Transpose, &part[i], 1);
        hn_set_ints(b->g, n, "perm", (int64_t[]){0, 2, 1, 3}, 4);
        part[i] = result(b, n);
      }
      hn_id a = add(b, HN_Attention, part, 3);
      hn_set_i(b->g, a, "q_num_heads", 2);
      hn_set_i(b->g, a, "kv_num_heads", 2);
      y = result(b, a);
      if (apart) {
        hn_id n = add(b, HN_Transpose, &y, 1);
        hn_set_ints(b->g, n, "perm", (int64_t[]){0, 2, 1, 3}, 4);
        y = result(b, add(b, HN_Reshape, (hn_id[]){result(b, n), ints(b, (int64_t[]){0, 0, 4}, 3)}, 2));
      }
      if (s.d[1] < 2 || chance(2)) return y;
      hn_id g = add(b, HN_Gather, (hn_id[]){y, ints(b, &row, 1)}, 2);
      hn_set_i(b->g, g, "axis", 1);
      return result(b, g);
    }
    case 5: { /* two products of one source with biases, as Q and K */
      hn_id y[2];
      for (int i = 0; i < 2; i++) {
        int64_t w[2] = {s.d[s.rank - 1], 3};
        y[i] = result(b, add(b, HN_MatMul, (hn_id[]){x, constant(b, 2, w, 0)}, 2));
        y[i] = result(b, add(b, HN_Add, (hn_id[]){y[i], constant(b, 1, &w[1], 0)}, 2));
      }
      return s.rank > 1 ? result(b, add(b, HN_Add, y, 2)) : HN_NONE;
    }
    case 0: /* x * sigmoid(x) */
      in[1] = result(b, add(b, HN_Sigmoid, &x, 1));
      return result(b, add(b, HN_Mul, in, 2));
    case 1: /* gelu */
      in[1] = scalar(b, 1.41421356237309504880);
      in[0] = result(b, add(b, HN_Div, in, 2));
      in[0] = result(b, add(b, HN_Erf, in, 1));
      in[1] = scalar(b, 1);
      in[0] = result(b, add(b, HN_Add, in, 2));
      in[1] = x;
      in[0] = result(b, add(b, HN_Mul, in, 2));
      in[1] = scalar(b, 0.5);
      return result(b, add(b, HN_Mul, in, 2));
    case 2: /* hard swish */
      in[1] = scalar(b, 3);
      in[0] = result(b, add(b, HN_Add, in, 2));
      in[1] = scalar(b, 0), in[2] = scalar(b, 6);
      in[0] = result(b, add(b, HN_Clip, in, 3));
      in[1] = x;
      in[0] = result(b, add(b, HN_Mul, in, 2));
      in[1] = scalar(b, 6);
      return result(b, add(b, HN_Div, in, 2));
    case 3: { /* layer normalization over the last dimension */
      int64_t last = -1, d = s.d[s.rank - 1];
      hn_id mean[2] = {x, ints(b, &last, 1)}, m = result(b, add(b, HN_ReduceMean, mean, 2));
      hn_id c = result(b, add(b, HN_Sub, (hn_id[]){x, m}, 2)), sq = result(b, add(b, HN_Mul, (hn_id[]){c, c}, 2));
      hn_id var = result(b, add(b, HN_ReduceMean, (hn_id[]){sq, mean[1]}, 2));
      hn_id e = result(b, add(b, HN_Add, (hn_id[]){var, scalar(b, 1e-3)}, 2)), root = result(b, add(b, HN_Sqrt, &e, 1));
      hn_id y = result(b, add(b, HN_Div, (hn_id[]){c, root}, 2));
      y = result(b, add(b, HN_Mul, (hn_id[]){y, constant(b, 1, &d, 0)}, 2));
      return result(b, add(b, HN_Add, (hn_id[]){y, constant(b, 1, &d, 0)}, 2));
    }
    default: { /* squeeze and excite */
      if (s.rank != 4) return HN_NONE;
      int64_t w[4] = {s.d[1], s.d[1], 1, 1};
      hn_id p = result(b, add(b, HN_GlobalAveragePool, &x, 1));
      p = result(b, add(b, HN_Conv, (hn_id[]){p, constant(b, 4, w, 0)}, 2));
      p = result(b, add(b, HN_HardSigmoid, &p, 1));
      return result(b, add(b, HN_Mul, (hn_id[]){x, p}, 2));
    }
  }
}

static hn_id binary(builder *b, hn_id x) {
  static const hn_op ops[] = {HN_Add, HN_Mul, HN_Sub, HN_Max, HN_Min, HN_Div};
  hn_shape s = shape(b, x);
  hn_op op = ops[next() % 6];
  hn_id y = b->pool[next() % (uint32_t)b->n];
  if (chance(2) || !same_shape(b, x, y)) {
    int64_t d[4];
    int32_t lead = (int32_t)between(0, s.rank);
    int kind = (int)between(0, 2);
    for (int32_t i = lead; i < s.rank; i++) d[i - lead] = kind == 0 ? 1 : kind == 1 && i != 1 ? 1 : s.d[i];
    y = constant(b, s.rank - lead, d, op == HN_Div ? 0.5 : 0);
  } else if (op == HN_Div) {
    op = HN_Add;
  }
  return result(b, add(b, op, chance(3) && op != HN_Div ? (hn_id[]){y, x} : (hn_id[]){x, y}, 2));
}

static hn_id conv(builder *b, hn_id x) {
  hn_shape s = shape(b, x);
  if (s.rank != 4) return HN_NONE;
  bool deep = chance(3), transposed = chance(6);
  int64_t co = deep ? s.d[1] : between(1, 4), k = between(1, 2) * 2 - 1, pads[4] = {k / 2, k / 2, k / 2, k / 2};
  int64_t w[4] = {deep ? co : co, deep ? 1 : s.d[1], k, k};
  if (transposed) w[0] = s.d[1], w[1] = deep ? 1 : co;
  hn_id in[3] = {x, constant(b, 4, w, 0), HN_NONE};
  bool bias = chance(2);
  if (bias) in[2] = constant(b, 1, &co, 0);
  hn_id n = add(b, transposed ? HN_ConvTranspose : HN_Conv, in, bias ? 3 : 2);
  if (deep) hn_set_i(b->g, n, "group", co);
  if (chance(2)) hn_set_ints(b->g, n, "pads", pads, 4);
  if (chance(4)) hn_set_ints(b->g, n, "strides", (int64_t[]){2, 2}, 2);
  return result(b, n);
}

static hn_id batch_norm(builder *b, hn_id x) {
  hn_shape s = shape(b, x);
  if (s.rank < 2) return HN_NONE;
  hn_id in[5] = {x};
  for (int i = 1; i < 5; i++) in[i] = constant(b, 1, &s.d[1], i == 4 ? 0.5 : 0);
  return result(b, add(b, HN_BatchNormalization, in, 5));
}

static hn_id product(builder *b, hn_id x) {
  hn_shape s = shape(b, x);
  int64_t w[2] = {s.d[s.rank - 1], between(1, 5)};
  hn_id in[3] = {x, constant(b, 2, w, 0), HN_NONE};
  if (s.rank == 2 && chance(2)) {
    in[2] = constant(b, 1, &w[1], 0);
    return result(b, add(b, HN_Gemm, in, 3));
  }
  return result(b, add(b, HN_MatMul, in, 2));
}

static hn_id move(builder *b, hn_id x) {
  hn_shape s = shape(b, x);
  int64_t v[8], total = 1;
  for (int32_t i = 0; i < s.rank; i++) total *= s.d[i];
  switch (next() % 8) {
    case 7: { /* some, or one that drops the dimension */
      int64_t axis = between(0, s.rank - 1), from[2] = {between(0, s.d[axis] - 1), between(0, s.d[axis] - 1)};
      hn_tensor *one;
      if (hn_tensor_create(b->cx, HONE_DTYPE_I64, 0, NULL, &one)) abort();
      *(int64_t *)one->data = from[0];
      bool drops = s.rank > 1 && chance(2);
      hn_id which = hn_graph_add_constant(b->g, NULL, one), n = add(b, HN_Gather, (hn_id[]){x, drops ? which : ints(b, from, 2)}, 2);
      hn_set_i(b->g, n, "axis", axis);
      return result(b, n);
    }
    case 0: { /* transpose */
      for (int32_t i = 0; i < s.rank; i++) v[i] = i;
      for (int32_t i = s.rank - 1; i > 0; i--) {
        int32_t k = (int32_t)between(0, i);
        int64_t t = v[i];
        v[i] = v[k], v[k] = t;
      }
      hn_id n = add(b, HN_Transpose, &x, 1);
      hn_set_ints(b->g, n, "perm", v, (size_t)s.rank);
      return result(b, n);
    }
    case 1: /* reshape */
      v[0] = chance(2) ? s.d[0] : 0, v[1] = -1;
      return total ? result(b, add(b, HN_Reshape, (hn_id[]){x, ints(b, v, s.rank > 1 ? 2 : 1)}, 2)) : HN_NONE;
    case 2: { /* pad */
      if (s.rank != 4) return HN_NONE;
      for (int i = 0; i < 8; i++) v[i] = i % 4 < 2 ? 0 : between(0, 1);
      return result(b, add(b, HN_Pad, (hn_id[]){x, ints(b, v, 8)}, 2));
    }
    case 3: { /* slice */
      int64_t from = between(0, 1), to = chance(2) ? INT64_MAX : 3, axis = between(0, s.rank - 1);
      return result(b, add(b, HN_Slice, (hn_id[]){x, ints(b, &from, 1), ints(b, &to, 1), ints(b, &axis, 1)}, 4));
    }
    case 4: { /* unsqueeze */
      int64_t axis = between(0, s.rank);
      return s.rank < 4 ? result(b, add(b, HN_Unsqueeze, (hn_id[]){x, ints(b, &axis, 1)}, 2)) : HN_NONE;
    }
    case 5: { /* concat with itself or another */
      hn_id n = add(b, HN_Concat, (hn_id[]){x, chance(2) ? x : b->pool[next() % (uint32_t)b->n]}, 2);
      hn_set_i(b->g, n, "axis", between(0, s.rank - 1));
      return result(b, n);
    }
    default: return result(b, add(b, HN_Flatten, &x, 1));
  }
}

static hn_id pool(builder *b, hn_id x) {
  if (shape(b, x).rank != 4) return HN_NONE;
  hn_id n = add(b, chance(2) ? HN_MaxPool : HN_AveragePool, &x, 1);
  hn_set_ints(b->g, n, "kernel_shape", (int64_t[]){2, 2}, 2);
  if (chance(2)) hn_set_ints(b->g, n, "pads", (int64_t[]){1, 0, 0, 1}, 4);
  if (hn_node_at(b->g, n)->op == HN_AveragePool && chance(2)) hn_set_i(b->g, n, "count_include_pad", 1);
  return result(b, n);
}

static hn_graph *random_graph(hone_context *cx) {
  builder b = {.cx = cx, .g = hn_graph_create(cx, "random")};
  if (!b.g) return NULL;
  for (int i = 0; i < 2; i++) {
    int64_t d[4] = {between(1, 2), between(2, 4), between(3, 6), between(3, 6)};
    hn_shape s = hn_shape_of(chance(3) ? 2 : chance(4) ? 3 : 4, d);
    b.pool[b.n++] = hn_graph_add_input(b.g, i ? "x1" : "x0", HONE_DTYPE_F32, &s);
  }
  for (int i = 0; i < STEPS; i++) {
    hn_id x = b.pool[chance(3) ? next() % (uint32_t)b.n : (uint32_t)b.n - 1], y = HN_NONE;
    hn_shape s = shape(&b, x);
    int64_t count;
    if (s.rank < 1 || !hn_shape_count(&s, &count) || count == 0 || count > 20000) continue;
    switch (next() % 8) {
      case 0: y = unary(&b, x); break;
      case 1: y = spelled(&b, x); break;
      case 2: y = binary(&b, x); break;
      case 3: y = conv(&b, x); break;
      case 4: y = batch_norm(&b, x); break;
      case 5: y = product(&b, x); break;
      case 6: y = move(&b, x); break;
      default: y = pool(&b, x); break;
    }
    if (y != HN_NONE && b.n < 64) b.pool[b.n++] = y;
  }
  hn_graph_add_output(b.g, "y", b.pool[b.n - 1]);
  if (chance(2)) hn_graph_add_output(b.g, "z", b.pool[next() % (uint32_t)b.n]);
  hn_remove_dead(b.g);
  return b.g;
}

/* ---- running */

typedef struct run {
  hn_program *p;
  hn_view out[MAX_IO];
} run;

static hone_status evaluate(const hn_graph *g, const hn_view *in, run *r) {
  hn_plan_options o = {.threads = 1, .reference = true};
  r->p = NULL;
  HN_TRY(hn_program_create(g, in, &o, &r->p));
  return hn_program_run(r->p, in, r->out);
}

static bool same(const hn_view *a, const hn_view *b) {
  if (a->rank != b->rank || memcmp(a->dims, b->dims, sizeof *a->dims * (size_t)a->rank) != 0) return false;
  for (int64_t i = 0; i < a->count; i++) {
    float x = ((const float *)a->data)[i], y = ((const float *)b->data)[i];
    if (isnan(x) != isnan(y) || isinf(x) != isinf(y)) return false;
    if (isfinite(x) && fabsf(x - y) > 2e-3f * (1 + fabsf(x))) return false;
  }
  return true;
}

static void complain(const hn_graph *before, const hn_graph *after, const char *what, uint32_t at) {
  char *a = NULL, *b = NULL;
  if (hn_graph_print(before, &a)) a = NULL;
  if (hn_graph_print(after, &b)) b = NULL;
  CHECK_MSG(false, "graph %u computes something else after %s\n%s\n%s", at, what, a ? a : "", b ? b : "");
  hn_free(a);
  hn_free(b);
}

static void try_passes(const hn_graph *g, const hn_view *in, const run *want, const char *passes, int level, uint32_t at) {
  hone_optimize_options o;
  hn_report report = {0};
  hn_graph *copy = hn_graph_clone(g);
  char what[64];
  run got;
  REQUIRE(copy);
  snprintf(what, sizeof what, "%s %d", passes ? passes : "level", level);
  hone_optimize_options_init(&o);
  o.passes = passes;
  o.level = level;
  o.verify = true;
  hone_status st = hn_passes_run(copy, &o, hn_eval_constant, &report);
  if (!st) st = evaluate(copy, in, &got);
  else got.p = NULL;
  CHECK_MSG(!st, "graph %u, %s: %s", at, what, hone_context_error(g->cx));
  for (size_t i = 0; i < g->outputs.n && !st; i++)
    if (!same(&want->out[i], &got.out[i])) {
      complain(g, copy, what, at);
      break;
    }
  hn_program_destroy(got.p);
  hn_report_free(&report);
  hn_graph_destroy(copy);
}

TEST(passes_keep_what_a_graph_computes) {
  for (uint32_t at = 0; at < GRAPHS && test_failures < 3; at++) {
    hone_context *cx;
    hn_view in[2];
    run want;
    const char *name, *doc;
    int32_t level;
    seed = at * 2654435761u + 17;
    REQUIRE(!hone_context_create(&cx));
    hn_graph *g = random_graph(cx);
    REQUIRE(g && g->inputs.n == 2);
    for (int i = 0; i < 2; i++) {
      const hn_value *v = hn_value_at(g, g->inputs.p[i]);
      in[i] = (hn_view){.dtype = HONE_DTYPE_F32, .rank = v->shape.rank, .count = 1};
      memcpy(in[i].dims, v->shape.d, sizeof in[i].dims);
      for (int32_t d = 0; d < v->shape.rank; d++) in[i].count *= v->shape.d[d];
      in[i].data = hn_malloc_aligned(sizeof(float) * (size_t)in[i].count);
      for (int64_t k = 0; k < in[i].count; k++) ((float *)in[i].data)[k] = (float)(next() % 2001) / 500.0f - 2.0f;
    }
    hone_status st = evaluate(g, in, &want);
    CHECK_MSG(!st, "graph %u: %s", at, hone_context_error(cx));
    for (uint32_t i = 0; !st && hn_pass_info(i, &name, &level, &doc); i++) try_passes(g, in, &want, name, 2, at);
    for (int l = 1; l <= 3 && !st; l++) try_passes(g, in, &want, NULL, l, at);
    hn_program_destroy(want.p);
    for (int i = 0; i < 2; i++) hn_free_aligned(in[i].data);
    hn_graph_destroy(g);
    hone_context_destroy(&cx);
  }
}

/* Equations of all kinds, of one, two and three tensors, whose products, sums and transposes must agree with the reference; those
   marked are left to it. */
TEST(lowered_einsum_keeps_what_a_graph_computes) {
  static const struct {
    const char *equation, *x, *y;
    bool stays;
  } cases[] = {
      {"bsh,hd->bsd", "2, 3, 4", "4, 5", false},         {"bhqd,bhkd->bhqk", "2, 3, 4, 5", "2, 3, 6, 5", false},
      {"btnh,bsnh->bnts", "2, 3, 4, 5", "2, 6, 4, 5", false}, {"bsd,dnh->bsnh", "2, 3, 4", "4, 5, 6", false},
      {"bsnh,nhd->bsd", "2, 3, 4, 5", "4, 5, 6", false}, {"ij,jk", "3, 4", "4, 5", false},
      {"ij,kj->ki", "3, 4", "5, 4", false},              {"i,i->", "7", "7", false},
      {"bij,bj->bi", "2, 3, 4", "2, 4", false},          {"...ij,...jk->...ik", "2, 3, 4, 5", "2, 3, 5, 2", false},
      {"abc,cd->dab", "2, 3, 4", "4, 5", false},         {"bac,bcde->bead", "2, 3, 4", "2, 4, 5, 2", false},
      {"abcd,bed->aec", "2, 3, 4, 5", "3, 6, 5", false}, {"nabc,nbd->nacd", "2, 3, 4, 5", "2, 4, 3", false},
      {"i,j->ij", "3", "4", false},                     {"iij,jk->ik", "3, 3, 4", "4, 5", true},
      {"ijl,jk->ik", "3, 4, 2", "4, 5", false},          {"bij,bij->bij", "2, 3, 4", "2, 3, 4", false},
      {"bhwc,wc->cbhw", "2, 3, 4, 5", "4, 5", false},    {"i,j->", "3", "4", false},
      {"ij,jk,kl->il", "3, 4", "4, 5; 5, 6", false},   {"bik,bjk,bk->bij", "2, 3, 4", "2, 5, 4; 2, 4", false},
      {"abx,cbx,dx->", "2, 3, 4", "5, 3, 4; 2, 4", false}, {"...i,...j,ijk->...k", "2, 3, 4", "2, 3, 5; 4, 5, 2", false},
      {"abc->ca", "2, 3, 4", NULL, false},               {"ij->", "3, 4", NULL, false},
      {"ii->i", "3, 3", NULL, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[512], second[128] = "", use[16] = "";
    hone_context *cx;
    hn_graph *g = NULL;
    hn_view in[3];
    run want = {0};
    REQUIRE(!hone_context_create(&cx));
    if (cases[i].y) {
      const char *third = strchr(cases[i].y, ';');
      int n = third ? (int)(third - cases[i].y) : (int)strlen(cases[i].y);
      size_t at = (size_t)snprintf(second, sizeof second, "  input %%y : f32[%.*s]\n", n, cases[i].y);
      if (third) snprintf(second + at, sizeof second - at, "  input %%w : f32[%s]\n", third + 2);
      strcpy(use, third ? ", %y, %w" : ", %y");
    }
    snprintf(text, sizeof text, "graph \"g\" {\n  input %%x : f32[%s]\n%s  %%z = Einsum(%%x%s) {equation=\"%s\"} : f32[*]  # e\n  output \"z\" = %%z\n}\n",
             cases[i].x, second, use, cases[i].equation);
    hone_status st = hn_graph_parse(cx, text, &g);
    if (!st) st = hn_infer_graph(g);
    CHECK_MSG(!st, "%s: %s", cases[i].equation, hone_context_error(cx));
    if (st) continue;
    seed = (uint32_t)i + 1;
    for (size_t k = 0; k < g->inputs.n; k++) {
      const hn_value *v = hn_value_at(g, g->inputs.p[k]);
      in[k] = (hn_view){.dtype = HONE_DTYPE_F32, .rank = v->shape.rank, .count = 1};
      memcpy(in[k].dims, v->shape.d, sizeof in[k].dims);
      for (int32_t d = 0; d < v->shape.rank; d++) in[k].count *= v->shape.d[d];
      in[k].data = hn_malloc_aligned(sizeof(float) * (size_t)in[k].count);
      for (int64_t e = 0; e < in[k].count; e++) ((float *)in[k].data)[e] = (float)(next() % 2001) / 500.0f - 2.0f;
    }
    CHECK(!evaluate(g, in, &want));
    try_passes(g, in, &want, "lower-einsum", 2, (uint32_t)i);
    hone_optimize_options o;
    hn_report report = {0};
    hone_optimize_options_init(&o);
    CHECK(!hn_passes_run(g, &o, hn_eval_constant, &report));
    bool stays = false;
    for (size_t k = 0; k < g->nodes.n; k++) stays = stays || (!g->nodes.p[k].dead && g->nodes.p[k].op == HN_Einsum);
    CHECK_MSG(stays == cases[i].stays, "%s: %s", cases[i].equation, stays ? "stays" : "does not stay");
    hn_report_free(&report);
    hn_program_destroy(want.p);
    for (size_t k = 0; k < g->inputs.n; k++) hn_free_aligned(in[k].data);
    hn_graph_destroy(g);
    hone_context_destroy(&cx);
  }
}

/* Operators spelled out compute what their references say, zeros and windows over edges included. */
TEST(operators_that_are_spelled_out_keep_what_they_compute) {
  static const struct {
    hn_op op;
    const char *result;
  } cases[] = {
      {HN_Mean, "Mean(%x, %y, %x) : f32[2, 3, 6, 6]"},
      {HN_Mean, "Mean(%x, %r) : f32[2, 3, 6, 6]"},
      {HN_CenterCropPad, "CenterCropPad(%x, %s) {axes=[2, 3]} : f32[2, 3, 9, 3]"},
      {HN_LpPool, "LpPool(%x) {kernel_shape=[3, 2] strides=[2, 1] pads=[1, 0, 1, 0] p=1} : f32[2, 3, 3, 5]"},
      {HN_LpPool, "LpPool(%x) {kernel_shape=[2, 2] dilations=[2, 2]} : f32[2, 3, 4, 4]"},
      {HN_LpNormalization, "LpNormalization(%z) {axis=1} : f32[2, 3, 6, 6]"},
      {HN_LpNormalization, "LpNormalization(%z) {axis=-1 p=1} : f32[2, 3, 6, 6]"},
      {HN_MeanVarianceNormalization, "MeanVarianceNormalization(%x) : f32[2, 3, 6, 6]"},
      {HN_MeanVarianceNormalization, "MeanVarianceNormalization(%x) {axes=[1, -1]} : f32[2, 3, 6, 6]"},
  };
  float x[216], y[216];
  for (int i = 0; i < 216; i++) {
    x[i] = (float)(next() % 2001) / 500.0f - 2.0f;
    y[i] = i % 7 ? (float)(next() % 2001) / 500.0f - 2.0f : 0;
  }
  hn_view in[2] = {{.data = x, .dtype = HONE_DTYPE_F32, .rank = 4, .dims = {2, 3, 6, 6}, .count = 216}, {0}};
  in[1] = in[0];
  in[1].data = y;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[1024];
    hone_context *cx;
    hn_graph *g = NULL;
    run want = {0};
    snprintf(text, sizeof text,
             "graph \"g\" {\n  input %%x : f32[2, 3, 6, 6]\n  input %%y : f32[2, 3, 6, 6]\n  const %%r : f32[3, 1, 1] = {1, -2, 3}\n"
             "  const %%s : i64[2] = {9, 3}\n  const %%k : f32[3, 1, 1] = {0, 1, 0}\n  %%z = Mul(%%y, %%k) : f32[2, 3, 6, 6]\n"
             "  %%o = %s\n  output \"o\" = %%o\n}\n", cases[i].result);
    REQUIRE(!hone_context_create(&cx));
    hone_status st = hn_graph_parse(cx, text, &g);
    if (!st) st = hn_infer_graph(g);
    CHECK_MSG(!st, "%s: %s", cases[i].result, hone_context_error(cx));
    if (!st) {
      CHECK(!evaluate(g, in, &want));
      try_passes(g, in, &want, "spell-out", 2, (uint32_t)i);
      hone_optimize_options o;
      hn_report report = {0};
      hone_optimize_options_init(&o);
      o.passes = "spell-out";
      CHECK(!hn_passes_run(g, &o, hn_eval_constant, &report));
      for (size_t k = 0; k < g->nodes.n; k++) CHECK_MSG(g->nodes.p[k].dead || g->nodes.p[k].op != cases[i].op, "%s stays", cases[i].result);
      hn_report_free(&report);
      hn_program_destroy(want.p);
    }
    hn_graph_destroy(g);
    hone_context_destroy(&cx);
  }
}

/* Branches and rounds put in place of If and Loop compute what the nodes did, which the reference kernels say. */
TEST(inlined_control_flow_keeps_what_a_graph_computes) {
  static const char text[] =
      "graph \"g\" {\n"
      "  input %x : f32[3]\n"
      "  const %n : i64[] = {3}\n"
      "  const %once : i64[] = {1}\n"
      "  const %go : bool[] = {1}\n"
      "  const %no : bool[] = {0}\n"
      "  %y, %all, %firsts = Loop(%n, %go, %x, %x) {captures=1 body=graph \"b\" {\n"
      "    input %i : i64[]\n"
      "    input %c : bool[]\n"
      "    input %a : f32[3]\n"
      "    input %b : f32[3]\n"
      "    %k = Cast(%i) {to=1} : f32[]\n"
      "    %d = Mul(%a, %b) : f32[3]\n"
      "    %e = Add(%d, %k) : f32[3]\n"
      "    output \"c\" = %c\n"
      "    output \"e\" = %e\n"
      "    output \"d\" = %d\n"
      "    output \"a\" = %a\n"
      "  }} : f32[3], f32[3, 3], f32[3, 3]  # rounds\n"
      "  %s, %t = Loop(%once, %go, %y) {captures=0 body=graph \"b\" {\n"
      "    input %i : i64[]\n"
      "    input %c : bool[]\n"
      "    input %a : f32[3]\n"
      "    const %limit : f32[] = {9}\n"
      "    %m = ReduceMax(%a) {keepdims=0} : f32[]\n"
      "    %on = Less(%m, %limit) : bool[]\n"
      "    %e = If(%on, %a) {captures=1 then_branch=graph \"t\" {\n"
      "      input %v : f32[3]\n"
      "      %w = Neg(%v) : f32[3]\n"
      "      output \"w\" = %w\n"
      "    } else_branch=graph \"e\" {\n"
      "      input %v : f32[3]\n"
      "      output \"v\" = %v\n"
      "    }} : f32[3]\n"
      "    output \"c\" = %on\n"
      "    output \"e\" = %e\n"
      "    output \"m\" = %m\n"
      "  }} : f32[3], f32[1]  # round\n"
      "  %u = If(%no, %s, %x) {captures=2 then_branch=graph \"t\" {\n"
      "    input %v : f32[3]\n"
      "    input %w : f32[3]\n"
      "    output \"w\" = %w\n"
      "  } else_branch=graph \"e\" {\n"
      "    input %v : f32[3]\n"
      "    input %w : f32[3]\n"
      "    %z = Sub(%w, %v) : f32[3]\n"
      "    output \"z\" = %z\n"
      "  }} : f32[3]  # branch\n"
      "  output \"u\" = %u\n"
      "  output \"all\" = %all\n"
      "  output \"firsts\" = %firsts\n"
      "  output \"t\" = %t\n"
      "}\n";
  hone_context *cx;
  hn_graph *g = NULL;
  float x[] = {0.5f, -1.25f, 2};
  hn_view in = {.data = x, .dtype = HONE_DTYPE_F32, .rank = 1, .dims = {3}, .count = 3};
  run want;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = hn_graph_parse(cx, text, &g);
  if (!st) st = hn_infer_graph(g);
  if (!st) st = evaluate(g, &in, &want);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (!st) {
    try_passes(g, &in, &want, "inline-control", 2, 0);
    try_passes(g, &in, &want, NULL, 2, 0);
    hone_optimize_options o;
    hn_report report = {0};
    hone_optimize_options_init(&o);
    CHECK(!hn_passes_run(g, &o, hn_eval_constant, &report));
    uint32_t left = 0; /* only the If whose condition depends on data stays */
    for (size_t i = 0; i < g->nodes.n; i++) left += !g->nodes.p[i].dead && hn_op_is(g->nodes.p[i].op, HN_OP_CONTROL);
    CHECK(left == 1);
    hn_report_free(&report);
    hn_program_destroy(want.p);
  }
  hn_graph_destroy(g);
  hone_context_destroy(&cx);
}

/* Layers as a ShuffleNet's: halves of a random selection of what is joined, one handed on, one worked on. */
static hn_id plain_conv(builder *b, hn_id x, int64_t out, int64_t side, bool deep) {
  int64_t c = shape(b, x).d[1], w[4] = {out, deep ? 1 : c, side, side}, pads[4] = {side / 2, side / 2, side / 2, side / 2};
  hn_id in[3] = {x, constant(b, 4, w, 0), constant(b, 1, &out, 0)};
  hn_id n = add(b, HN_Conv, in, chance(2) ? 3 : 2);
  hn_set_i(b->g, n, "group", deep ? c : 1);
  hn_set_ints(b->g, n, "pads", pads, 4);
  if (chance(2)) hn_add_post(b->g, n, HN_Relu, HN_NONE, false, 0, 0);
  return result(b, n);
}

static hn_id select_channels(builder *b, hn_id x, const int64_t *from, size_t n) {
  hn_id in[2] = {x, ints(b, from, n)}, node = add(b, HN_Gather, in, 2);
  hn_set_i(b->g, node, "axis", 1);
  return result(b, node);
}

static hn_id join_channels(builder *b, hn_id x, hn_id y) {
  hn_id node = add(b, HN_Concat, (hn_id[2]){x, y}, 2);
  hn_set_i(b->g, node, "axis", 1);
  return result(b, node);
}

static void shuffled(int64_t *v, int64_t n) {
  for (int64_t i = 0; i < n; i++) v[i] = i;
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t k = between(0, i), t = v[i];
    v[i] = v[k], v[k] = t;
  }
}

TEST(ordered_channels_keep_what_a_graph_computes) {
  uint32_t slices = 0, gathers = 0, before = 0;
  for (uint32_t at = 0; at < 200 && test_failures < 3; at++) {
    hone_context *cx;
    int64_t c = between(1, 5), d[4] = {between(1, 2), between(1, 4), 3, 4}, order[16];
    run want;
    seed = at * 2654435761u + 5;
    REQUIRE(!hone_context_create(&cx));
    builder b = {.cx = cx, .g = hn_graph_create(cx, "shuffles")};
    hn_shape s = hn_shape_of(4, d);
    hn_id x = hn_graph_add_input(b.g, "x", HONE_DTYPE_F32, &s), y = hn_graph_add_input(b.g, "y", HONE_DTYPE_F32, &s);
    hn_id joined = join_channels(&b, plain_conv(&b, x, c, 1, false), plain_conv(&b, y, c, 3, false));
    for (int64_t units = between(1, 4); units > 0; units--) {
      shuffled(order, 2 * c);
      hn_id on = select_channels(&b, joined, order, (size_t)c), work = select_channels(&b, joined, order + c, (size_t)c);
      if (chance(8)) hn_graph_add_output(b.g, hn_fresh_name(b.g, "z"), chance(2) ? joined : work);
      work = plain_conv(&b, work, c + between(0, 2), 1, false);
      if (chance(2)) work = plain_conv(&b, work, shape(&b, work).d[1], 3, true);
      joined = join_channels(&b, on, plain_conv(&b, work, c, 1, false));
    }
    shuffled(order, 2 * c);
    hn_id all = select_channels(&b, joined, order, (size_t)(2 * c));
    hn_graph_add_output(b.g, "a", plain_conv(&b, all, 3, 1, false));
    if (chance(2)) hn_graph_add_output(b.g, "b", plain_conv(&b, plain_conv(&b, all, 2 * c, 3, true), 2, 1, false));
    hn_view in[2];
    for (int i = 0; i < 2; i++) {
      in[i] = (hn_view){.dtype = HONE_DTYPE_F32, .rank = 4, .count = d[0] * d[1] * 12};
      memcpy(in[i].dims, d, sizeof d);
      in[i].data = hn_malloc_aligned(sizeof(float) * (size_t)in[i].count);
      for (int64_t k = 0; k < in[i].count; k++) ((float *)in[i].data)[k] = (float)(next() % 2001) / 500.0f - 2.0f;
    }
    hone_status st = evaluate(b.g, in, &want);
    CHECK_MSG(!st, "graph %u: %s", at, hone_context_error(cx));
    if (!st) try_passes(b.g, in, &want, "order-channels", 2, at);
    hone_optimize_options o;
    hn_report report = {0};
    hone_optimize_options_init(&o);
    o.passes = "order-channels,dead";
    for (size_t i = 0; i < b.g->nodes.n; i++) before += !b.g->nodes.p[i].dead && b.g->nodes.p[i].op == HN_Gather;
    CHECK(!hn_passes_run(b.g, &o, hn_eval_constant, &report));
    for (size_t i = 0; i < b.g->nodes.n; i++) {
      slices += !b.g->nodes.p[i].dead && b.g->nodes.p[i].op == HN_Slice;
      gathers += !b.g->nodes.p[i].dead && b.g->nodes.p[i].op == HN_Gather;
    }
    hn_report_free(&report);
    hn_program_destroy(want.p);
    for (int i = 0; i < 2; i++) hn_free_aligned(in[i].data);
    hn_graph_destroy(b.g);
    hone_context_destroy(&cx);
  }
  CHECK_MSG(slices > before / 4 && gathers < before / 2, "%u selections: %u left, %u slices", before, gathers, slices);
}
