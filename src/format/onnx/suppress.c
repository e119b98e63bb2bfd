/* suppress.c - suppression by lowered scores (a sigma, or scores as outputs), which ONNX's operator does not have, as a Loop: a round
   picks the box whose score is highest and lowers the scores of all others by how much they overlap it. */
#include "format/onnx/suppress.h"

#include <float.h>

#include "op/make.h"

typedef struct corners { /* of all boxes, or of one */
  hn_id v[5]; /* low, low, high, high, area */
} corners;

static hn_id number(hn_maker *m, double v) { return hn_make_scalar(m, HONE_DTYPE_F32, v); }

static hn_id column(hn_maker *m, hn_id boxes, int64_t i) {
  return hn_make_reshape(m, hn_make_slice(m, boxes, 1, i, i + 1, 1), (const int64_t[]){-1}, 1);
}

/* [n, 4] boxes by any two of their corners as lows, highs and areas. */
static corners split(hn_maker *m, hn_id boxes) {
  corners c;
  hn_id raw[4];
  for (int64_t i = 0; i < 4; i++) raw[i] = column(m, boxes, i);
  for (int i = 0; i < 4; i++) {
    hn_id pair[2] = {raw[i % 2], raw[i % 2 + 2]};
    c.v[i] = hn_make_done(m, hn_make_node(m, i < 2 ? HN_Min : HN_Max, pair, 2, 1));
  }
  c.v[4] = hn_make2(m, HN_Mul, hn_make2(m, HN_Sub, c.v[2], c.v[0]), hn_make2(m, HN_Sub, c.v[3], c.v[1]));
  return c;
}

static hn_id where(hn_maker *m, hn_id condition, hn_id yes, hn_id no) {
  return hn_make_done(m, hn_make_node(m, HN_Where, (hn_id[]){condition, yes, no}, 3, 1));
}

/* What two boxes share along an axis. */
static hn_id shared(hn_maker *m, const corners *a, const corners *b, int axis) {
  hn_id low = hn_make_done(m, hn_make_node(m, HN_Max, (hn_id[]){a->v[axis], b->v[axis]}, 2, 1));
  hn_id high = hn_make_done(m, hn_make_node(m, HN_Min, (hn_id[]){a->v[axis + 2], b->v[axis + 2]}, 2, 1));
  return hn_make_done(m, hn_make_node(m, HN_Max, (hn_id[]){hn_make2(m, HN_Sub, high, low), number(m, 0)}, 2, 1));
}

static hn_id overlaps(hn_maker *m, const corners *a, const corners *b) {
  hn_id both = hn_make2(m, HN_Mul, shared(m, a, b, 0), shared(m, a, b, 1)), zero = number(m, 0);
  hn_id all = hn_make2(m, HN_Sub, hn_make2(m, HN_Add, a->v[4], b->v[4]), both);
  hn_id real = hn_make2(m, HN_And, hn_make2(m, HN_Greater, a->v[4], zero), hn_make2(m, HN_Greater, b->v[4], zero));
  return where(m, real, hn_make2(m, HN_Div, both, where(m, real, all, number(m, 1))), zero);
}

/* Is the highest of these scores, if there is any, above the least? */
static hn_id goes_on(hn_maker *m, hn_id scores, hn_id least) {
  hn_id low = hn_make_reshape(m, number(m, -FLT_MAX), (const int64_t[]){1}, 1);
  hn_id node = hn_make_node(m, HN_Concat, (hn_id[]){scores, low}, 2, 1);
  if (!m->st) hn_set_i(m->g, node, "axis", 0);
  return hn_make2(m, HN_Greater, hn_make_reduce(m, HN_ReduceMax, hn_make_done(m, node), (const int64_t[]){0}, 1, false), least);
}

/* One round: scores in; whether another follows, the scores of the next, and the box that was picked and its score out. */
static void build_body(hn_maker *m, const hn_graph *outer, hn_id scores, const corners *boxes, double sigma) {
  hn_shape scalar = hn_shape_of(0, NULL);
  corners all, one;
  hn_graph_add_input(m->g, "round", HONE_DTYPE_I64, &scalar);
  hn_graph_add_input(m->g, "go_on", HONE_DTYPE_BOOL, &scalar);
  hn_id now = hn_graph_add_input(m->g, "scores", HONE_DTYPE_F32, &hn_value_at(outer, scores)->shape);
  for (int i = 0; i < 5; i++) {
    const hn_value *v = hn_value_at(outer, boxes->v[i]);
    all.v[i] = hn_graph_add_input(m->g, hn_fresh_name(m->g, "boxes"), v->dtype, &v->shape);
  }
  hn_id limit = hn_graph_add_input(m->g, "least", HONE_DTYPE_F32, &scalar);
  if (m->g->oom) m->st = hn_nomem(m->g->cx);
  hn_id node = hn_make_node(m, HN_ArgMax, &now, 1, 1);
  if (!m->st) hn_set_i(m->g, node, "axis", 0), hn_set_i(m->g, node, "keepdims", 0);
  hn_id best = hn_make_done(m, node), score = hn_make2(m, HN_Gather, now, best);
  for (int i = 0; i < 5; i++) one.v[i] = hn_make2(m, HN_Gather, all.v[i], best);
  hn_id o = overlaps(m, &all, &one), power = hn_make2(m, HN_Mul, hn_make2(m, HN_Mul, number(m, -0.5 / sigma), o), o);
  hn_id lowered = hn_make2(m, HN_Mul, now, hn_make1(m, HN_Exp, power));
  hn_id n = hn_make_reshape(m, hn_make1(m, HN_Shape, now), NULL, 0);
  hn_id steps[3] = {hn_make_scalar(m, HONE_DTYPE_I64, 0), n, hn_make_scalar(m, HONE_DTYPE_I64, 1)};
  hn_id picked = hn_make2(m, HN_Equal, hn_make_done(m, hn_make_node(m, HN_Range, steps, 3, 1)), best);
  hn_id next = where(m, picked, number(m, -FLT_MAX), lowered), again = goes_on(m, next, limit);
  if (m->st) return;
  hn_graph_add_output(m->g, "again", again);
  hn_graph_add_output(m->g, "next", next);
  hn_graph_add_output(m->g, "box", best);
  hn_graph_add_output(m->g, "score", score);
  if (m->g->oom) m->st = hn_nomem(m->g->cx);
}

/* The end of a chain is what the old value's name means. */
static void stand_for(hn_graph *g, hn_id old, hn_id now) {
  if (old == HN_NONE) return;
  hn_replace_uses(g, old, now);
  hn_value_give_name(g, old, now);
}

static hn_id scalar_of(hn_maker *m, const hn_node *n, uint32_t i, hn_dtype type, double otherwise) {
  if (hn_in(n, i) == HN_NONE) return hn_make_scalar(m, type, otherwise);
  return hn_make_reshape(m, hn_make_cast(m, n->in[i], type), NULL, 0);
}

static hone_status expand(hn_graph *g, hn_id id) {
  hn_node n = *hn_node_at(g, id);
  hn_maker m = {g, n.name, 0, HONE_OK}, body = {NULL, n.name, 0, HONE_OK};
  const hn_tensor *sigma = hn_const(g, hn_in(&n, 5));
  hn_shape s = hn_value_at(g, n.in[1])->shape;
  double width = sigma && sigma->count == 1 ? hn_tensor_f(sigma, 0) : 0;
  const char *why = !(width > 0)                                          ? "its sigma is not a positive constant"
                    : s.rank != 3 || s.d[0] != 1 || s.d[1] != 1           ? "it is not of one class of one image"
                    : hn_attr_i(&n, "center_point_box", 0)                ? "its boxes are given by their centers"
                                                                          : NULL;
  if (why) return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s' (NonMaxSuppression by lowered scores): ONNX has no operator for it, and %s, so it cannot be written as a loop; "
                          "write a SavedModel, a GraphDef or an engine", n.name, why);
  corners boxes = split(&m, hn_make_reshape(&m, hn_make_cast(&m, n.in[0], HONE_DTYPE_F32), (const int64_t[]){-1, 4}, 2));
  hn_id scores = hn_make_reshape(&m, hn_make_cast(&m, n.in[1], HONE_DTYPE_F32), (const int64_t[]){-1}, 1);
  hn_id most = scalar_of(&m, &n, 2, HONE_DTYPE_I64, 0), least = scalar_of(&m, &n, 4, HONE_DTYPE_F32, -FLT_MAX);
  hn_id in[9] = {most, goes_on(&m, scores, least), scores, boxes.v[0], boxes.v[1], boxes.v[2], boxes.v[3], boxes.v[4], least};
  HN_TRY(m.st);
  if (!(body.g = hn_graph_create_nested(g, n.name))) return hn_nomem(g->cx);
  build_body(&body, g, scores, &boxes, width);
  hn_id loop = body.st ? HN_NONE : hn_make_node(&m, HN_Loop, in, 9, 3);
  if (loop == HN_NONE) {
    hn_graph_destroy(body.g);
    return body.st ? body.st : m.st;
  }
  hn_set_i(g, loop, "captures", 6);
  hn_set_graph(g, loop, "body", body.g);
  hn_make_done(&m, loop);
  hn_id rows = hn_make2(&m, HN_Unsqueeze, hn_make_out(&m, loop, 1), hn_make_ints(&m, (const int64_t[]){1}, 1));
  rows = hn_make2(&m, HN_Pad, rows, hn_make_ints(&m, (const int64_t[]){0, 2, 0, 0}, 4)); /* image 0, class 0 */
  hn_id score = n.n_out > 1 ? hn_make_cast(&m, hn_make_out(&m, loop, 2), hn_make_type(&m, n.in[1])) : HN_NONE;
  HN_TRY(m.st);
  stand_for(g, n.out[0], rows);
  if (n.n_out > 1) stand_for(g, n.out[1], score);
  hn_remove_node(g, id);
  return HONE_OK;
}

hone_status hn_onnx_expand_suppression(hn_graph *g) {
  size_t n = g->nodes.n;
  for (size_t i = 0; i < n; i++) {
    const hn_node *node = hn_node_at(g, (hn_id)i);
    if (node->dead) continue;
    for (uint32_t k = 0; k < node->n_attr; k++)
      if (node->attr[k].type == HN_ATTR_GRAPH) HN_TRY(hn_onnx_expand_suppression(node->attr[k].v.graph));
    if (node->op == HN_NonMaxSuppression && (hn_in(node, 5) != HN_NONE || node->n_out > 1)) HN_TRY(expand(g, (hn_id)i));
  }
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}
