#include "format/onnx/upgrade.h"

#include <string.h>

#include "op/infer.h"

typedef struct upgrade {
  const char *name; /* in the file */
  hn_op op;
  int64_t until;    /* below this opset the function is called; 0: always */
  hone_status (*fn)(hn_graph *g, hn_id node);
  hone_status (*outputs)(hn_graph *g, hn_id node, hn_id *outs); /* for those whose outputs come from more than one node */
} upgrade;

static hone_status done(hn_graph *g) { return g->oom ? hn_nomem(g->cx) : HONE_OK; }

/* Input i of the node becomes this constant; missing ones before it stay absent. */
static void give_input(hn_graph *g, hn_id node, uint32_t i, hn_tensor *t) {
  hn_id c = hn_graph_add_constant(g, NULL, t);
  while (hn_node_at(g, node)->n_main < i) hn_add_main_input(g, node, HN_NONE);
  if (hn_node_at(g, node)->n_main == i) hn_add_main_input(g, node, c);
  else hn_set_input(g, node, i, c);
}

static hone_status ints_to_input(hn_graph *g, hn_id node, const char *attr, uint32_t i) {
  const int64_t *v;
  uint32_t n = hn_attr_ints(hn_node_at(g, node), attr, &v);
  if (!hn_attr_find(hn_node_at(g, node), attr)) return HONE_OK;
  hn_tensor *t;
  HN_TRY(hn_tensor_ints(g->cx, n ? v : NULL, n, &t));
  give_input(g, node, i, t);
  hn_attr_remove(g, node, attr);
  return done(g);
}

static hone_status axes_to_input(hn_graph *g, hn_id node) { return ints_to_input(g, node, "axes", 1); }
static hone_status split_to_input(hn_graph *g, hn_id node) { return ints_to_input(g, node, "split", 1); }

static hone_status slice_to_inputs(hn_graph *g, hn_id node) {
  HN_TRY(ints_to_input(g, node, "starts", 1));
  HN_TRY(ints_to_input(g, node, "ends", 2));
  return ints_to_input(g, node, "axes", 3);
}

static hone_status pad_to_inputs(hn_graph *g, hn_id node) {
  double value = hn_attr_f(hn_node_at(g, node), "value", 0);
  hn_tensor *t;
  HN_TRY(ints_to_input(g, node, "pads", 1));
  HN_TRY(hn_tensor_scalar_f(g->cx, hn_value_at(g, hn_node_at(g, node)->in[0])->dtype, value, &t));
  give_input(g, node, 2, t);
  hn_attr_remove(g, node, "value");
  return done(g);
}

static hone_status clip_to_inputs(hn_graph *g, hn_id node) {
  static const char *const names[] = {"min", "max"};
  for (uint32_t i = 0; i < 2; i++) {
    const hn_attr *a = hn_attr_find(hn_node_at(g, node), names[i]);
    hn_tensor *t;
    if (!a) continue;
    HN_TRY(hn_tensor_scalar_f(g->cx, HONE_DTYPE_F32, a->v.f, &t));
    give_input(g, node, i + 1, t);
    hn_attr_remove(g, node, names[i]);
  }
  return done(g);
}

static hone_status top_k_to_input(hn_graph *g, hn_id node) {
  int64_t k = hn_attr_i(hn_node_at(g, node), "k", 0);
  hn_tensor *t;
  HN_TRY(hn_tensor_ints(g->cx, &k, 1, &t));
  give_input(g, node, 1, t);
  hn_attr_remove(g, node, "k");
  return done(g);
}

static hone_status batch_norm(hn_graph *g, hn_id node) {
  hn_node *n = hn_node_at(g, node);
  if (hn_attr_i(n, "training_mode", 0))
    return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s' (BatchNormalization) is in training mode: export the model for inference", n->name);
  if (!hn_attr_i(n, "spatial", 1))
    return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s' (BatchNormalization): spatial=0 is not supported", n->name);
  n->n_out = 1;
  hn_attr_remove(g, node, "momentum");
  hn_attr_remove(g, node, "training_mode");
  hn_attr_remove(g, node, "spatial");
  hn_attr_remove(g, node, "is_test");
  return done(g);
}

/* A node made on the way, inferred; HN_NONE: no memory or a fault, which infer has told. */
static hn_id helper(hn_graph *g, hn_op op, const hn_id *in, uint32_t n, hone_status *st) {
  if (*st) return HN_NONE;
  hn_id node = hn_graph_add_node(g, op, NULL, in, n, 1);
  *st = node == HN_NONE ? hn_nomem(g->cx) : HONE_OK;
  return *st ? HN_NONE : node;
}

static hn_id helper_value(hn_graph *g, hn_id node, hone_status *st) {
  if (!*st) *st = hn_infer_node(g, node);
  return *st ? HN_NONE : hn_node_at(g, node)->out[0];
}

/* Before opset 13 the normalization ran over all dimensions from axis (default 1) on, as over one. Where that is more
   than one dimension: flatten, normalize, and back to the shape there was. */
static hone_status softmax(hn_graph *g, hn_id node) {
  hn_id in = hn_node_at(g, node)->in[0];
  hn_op op = hn_node_at(g, node)->op;
  int64_t axis = hn_attr_i(hn_node_at(g, node), "axis", 1);
  int32_t rank = hn_value_at(g, in)->shape.rank, first;
  if (rank < 0)
    return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s' (%s) before opset 13 needs an input of known rank",
                   hn_node_at(g, node)->name, hn_op_name(op));
  if (!hn_axis(axis, rank, &first)) first = rank; /* the faulty axis is reported by inference */
  bool last = first >= rank - 1;
  for (int32_t i = first + 1; !last && i < rank; i++) {
    if (hn_value_at(g, in)->shape.d[i] != 1) break;
    last = i == rank - 1;
  }
  hn_set_i(g, node, "axis", axis);
  if (last) return done(g);
  hone_status st = HONE_OK;
  hn_id flat = helper(g, HN_Flatten, &in, 1, &st);
  if (!st) hn_set_i(g, flat, "axis", axis);
  hn_id flat_value = helper_value(g, flat, &st);
  hn_id norm = helper(g, op, &flat_value, 1, &st);
  if (!st) hn_set_i(g, norm, "axis", 1);
  hn_id norm_value = helper_value(g, norm, &st);
  hn_id shape_value = helper_value(g, helper(g, HN_Shape, &in, 1, &st), &st);
  if (st) return st;
  hn_node_at(g, node)->op = HN_Reshape;
  hn_attr_remove(g, node, "axis");
  hn_set_input(g, node, 0, norm_value);
  hn_add_main_input(g, node, shape_value);
  return done(g);
}

/* Before opset 7 broadcasting was asked for, and `axis` said where the smaller operand's dimensions begin. */
static hone_status old_broadcast(hn_graph *g, hn_id node) {
  const hn_node *n = hn_node_at(g, node);
  bool placed = hn_attr_i(n, "broadcast", 0) && hn_attr_find(n, "axis");
  int64_t axis = hn_attr_i(n, "axis", 0), ones[HN_MAX_RANK];
  hn_id b = hn_in(n, 1);
  int32_t ra = hn_value_at(g, n->in[0])->shape.rank, rb = b == HN_NONE ? -1 : hn_value_at(g, b)->shape.rank;
  hn_attr_remove(g, node, "broadcast");
  hn_attr_remove(g, node, "axis");
  if (!placed) return done(g);
  if (axis < 0) axis += ra;
  if (ra < 0 || rb < 0 || axis < 0 || axis + rb > ra)
    return hn_fail(g->cx, HONE_BAD_GRAPH, "node '%s' (%s): its second operand does not fit at axis %lld",
                   hn_node_at(g, node)->name, hn_op_name(hn_node_at(g, node)->op), (long long)axis);
  int32_t more = ra - rb - (int32_t)axis;
  for (int32_t i = 0; i < more; i++) ones[i] = rb + i;
  if (!more) return done(g);
  hn_tensor *t;
  hone_status st = hn_tensor_ints(g->cx, ones, (size_t)more, &t);
  if (st) return st;
  hn_id in[2] = {b, hn_graph_add_constant(g, NULL, t)};
  hn_id value = helper_value(g, helper(g, HN_Unsqueeze, in, 2, &st), &st);
  if (!st) hn_set_input(g, node, 1, value);
  return st ? st : done(g);
}

/* Before opset 7 the slopes of PRelu were one a channel. */
static hone_status prelu(hn_graph *g, hn_id node) {
  const hn_node *n = hn_node_at(g, node);
  int32_t rank = hn_value_at(g, n->in[0])->shape.rank;
  if (hn_in(n, 1) == HN_NONE || hn_value_at(g, n->in[1])->shape.rank != 1 || rank < 3) return HONE_OK;
  hn_set_i(g, node, "broadcast", 1);
  hn_set_i(g, node, "axis", 1);
  return old_broadcast(g, node);
}

static hone_status gemm(hn_graph *g, hn_id node) {
  hn_attr_remove(g, node, "broadcast");
  return done(g);
}

static hone_status concat(hn_graph *g, hn_id node) {
  if (!hn_attr_find(hn_node_at(g, node), "axis")) hn_set_i(g, node, "axis", 1);
  return done(g);
}

static hone_status reshape_to_input(hn_graph *g, hn_id node) { return ints_to_input(g, node, "shape", 1); }

/* Opset 17 has the axis as an attribute, by default the first after the batch. */
static hone_status dft(hn_graph *g, hn_id node) {
  hn_tensor *t;
  HN_TRY(hn_tensor_scalar_i(g->cx, HONE_DTYPE_I64, hn_attr_i(hn_node_at(g, node), "axis", 1), &t));
  give_input(g, node, 2, t);
  hn_attr_remove(g, node, "axis");
  return done(g);
}

/* Inference: the ratio and seed mean nothing, and the mask is true everywhere. */
static hone_status dropout(hn_graph *g, hn_id node, hn_id *outs) {
  hn_id in = hn_node_at(g, node)->in[0];
  bool mask = hn_node_at(g, node)->n_out > 1 && outs[1] != HN_NONE;
  hn_dtype t = HONE_DTYPE_BOOL;
  hn_tensor *yes;
  if (hn_node_at(g, node)->n_out > 1) hn_node_at(g, node)->n_out = 1;
  hn_drop_inputs(g, node, 1);
  hn_attr_remove(g, node, "ratio");
  hn_attr_remove(g, node, "is_test");
  hn_attr_remove(g, node, "seed");
  if (!mask) return done(g);
  hone_status st = HONE_OK;
  hn_id shape = helper_value(g, helper(g, HN_Shape, &in, 1, &st), &st);
  hn_id fill = helper(g, HN_ConstantOfShape, &shape, 1, &st);
  if (!st) st = hn_tensor_scalar_i(g->cx, t, 1, &yes);
  if (st) return st;
  hn_set_tensor(g, fill, "value", yes);
  hn_tensor_unref(yes);
  outs[1] = helper_value(g, fill, &st);
  return st ? st : done(g);
}

static hone_status upsample(hn_graph *g, hn_id node) {
  hn_id scales = hn_in(hn_node_at(g, node), 1);
  const char *mode = hn_attr_s(hn_node_at(g, node), "mode", "nearest");
  hn_tensor *t;
  if (scales == HN_NONE) { /* opset 7: an attribute */
    const double *v;
    uint32_t n = hn_attr_floats(hn_node_at(g, node), "scales", &v);
    HN_TRY(hn_tensor_create(g->cx, HONE_DTYPE_F32, 1, &(int64_t){n}, &t));
    for (uint32_t i = 0; i < n; i++) hn_store_f64(HONE_DTYPE_F32, t->data, i, v[i]);
    scales = hn_graph_add_constant(g, NULL, t);
    hn_attr_remove(g, node, "scales");
  }
  hn_drop_inputs(g, node, 1);
  hn_add_main_input(g, node, HN_NONE);
  hn_add_main_input(g, node, scales);
  if (strcmp(mode, "bilinear") == 0 || strcmp(mode, "trilinear") == 0) hn_set_s(g, node, "mode", "linear");
  hn_set_s(g, node, "coordinate_transformation_mode", "asymmetric");
  hn_set_s(g, node, "nearest_mode", "floor");
  return done(g);
}

static hone_status resize_10(hn_graph *g, hn_id node) {
  hn_id scales = hn_in(hn_node_at(g, node), 1);
  if (hn_node_at(g, node)->n_main > 2) return HONE_OK; /* opset 11 on: roi, scales, sizes */
  hn_drop_inputs(g, node, 1);
  hn_add_main_input(g, node, HN_NONE);
  hn_add_main_input(g, node, scales);
  hn_set_s(g, node, "coordinate_transformation_mode", "asymmetric");
  hn_set_s(g, node, "nearest_mode", "floor");
  return done(g);
}

/* Opset 20 names the modes without the number of dimensions. */
static hone_status grid_sample(hn_graph *g, hn_id node) {
  const char *mode = hn_attr_s(hn_node_at(g, node), "mode", "bilinear");
  if (hn_streq(mode, "bilinear")) hn_set_s(g, node, "mode", "linear");
  if (hn_streq(mode, "bicubic")) hn_set_s(g, node, "mode", "cubic");
  return done(g);
}

/* One row an operator that is not simply itself in every opset. Rows of one name: the first that applies. */
static const upgrade rows[] = {
    {"Add", HN_Add, 7, old_broadcast, NULL},
    {"And", HN_And, 7, old_broadcast, NULL},
    {"Div", HN_Div, 7, old_broadcast, NULL},
    {"Equal", HN_Equal, 7, old_broadcast, NULL},
    {"Greater", HN_Greater, 7, old_broadcast, NULL},
    {"Less", HN_Less, 7, old_broadcast, NULL},
    {"Mul", HN_Mul, 7, old_broadcast, NULL},
    {"Or", HN_Or, 7, old_broadcast, NULL},
    {"Pow", HN_Pow, 7, old_broadcast, NULL},
    {"Sub", HN_Sub, 7, old_broadcast, NULL},
    {"Xor", HN_Xor, 7, old_broadcast, NULL},
    {"BatchNormalization", HN_BatchNormalization, 0, batch_norm, NULL},
    {"Clip", HN_Clip, 11, clip_to_inputs, NULL},
    {"Concat", HN_Concat, 4, concat, NULL},
    {"DFT", HN_DFT, 20, dft, NULL},
    {"Dropout", HN_Identity, 0, NULL, dropout},
    {"Gemm", HN_Gemm, 7, gemm, NULL},
    {"GridSample", HN_GridSample, 20, grid_sample, NULL},
    {"Hardmax", HN_Hardmax, 13, softmax, NULL},
    {"LogSoftmax", HN_LogSoftmax, 13, softmax, NULL},
    {"PRelu", HN_PRelu, 7, prelu, NULL},
    {"Pad", HN_Pad, 11, pad_to_inputs, NULL},
    {"ReduceL1", HN_ReduceL1, 18, axes_to_input, NULL},
    {"ReduceL2", HN_ReduceL2, 18, axes_to_input, NULL},
    {"ReduceLogSum", HN_ReduceLogSum, 18, axes_to_input, NULL},
    {"ReduceLogSumExp", HN_ReduceLogSumExp, 18, axes_to_input, NULL},
    {"ReduceMax", HN_ReduceMax, 18, axes_to_input, NULL},
    {"ReduceMean", HN_ReduceMean, 18, axes_to_input, NULL},
    {"ReduceMin", HN_ReduceMin, 18, axes_to_input, NULL},
    {"ReduceProd", HN_ReduceProd, 18, axes_to_input, NULL},
    {"ReduceSum", HN_ReduceSum, 13, axes_to_input, NULL},
    {"ReduceSumSquare", HN_ReduceSumSquare, 18, axes_to_input, NULL},
    {"Reshape", HN_Reshape, 5, reshape_to_input, NULL},
    {"Resize", HN_Resize, 11, resize_10, NULL},
    {"Scatter", HN_ScatterElements, 0, NULL, NULL},
    {"Slice", HN_Slice, 10, slice_to_inputs, NULL},
    {"Softmax", HN_Softmax, 13, softmax, NULL},
    {"Split", HN_Split, 13, split_to_input, NULL},
    {"Squeeze", HN_Squeeze, 13, axes_to_input, NULL},
    {"TopK", HN_TopK, 10, top_k_to_input, NULL},
    {"Unsqueeze", HN_Unsqueeze, 13, axes_to_input, NULL},
    {"Upsample", HN_Resize, 0, upsample, NULL},
};

static const upgrade *row_of(const char *name, int64_t opset) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].name, name) == 0 && (!rows[i].until || opset < rows[i].until)) return &rows[i];
  return NULL;
}

hn_op hn_upgrade_op(const char *name, int64_t opset) {
  const upgrade *u = row_of(name, opset);
  return u ? u->op : hn_op_parse(name);
}

hone_status hn_upgrade_node(hn_graph *g, hn_id node, const char *name, int64_t opset, hn_id *outs) {
  const upgrade *u = row_of(name, opset);
  if (hn_in(hn_node_at(g, node), 0) == HN_NONE) return HONE_OK; /* inference will say what is missing */
  if (u && u->fn) HN_TRY(u->fn(g, node));
  return u && u->outputs ? u->outputs(g, node, outs) : HONE_OK;
}
