#include "format/onnx/upgrade.h"

#include <string.h>

typedef struct upgrade {
  const char *name; /* in the file */
  hn_op op;
  int64_t until;    /* below this opset the function is called; 0: always */
  hone_status (*fn)(hn_graph *g, hn_id node);
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

/* Inference: the ratio and seed mean nothing; the mask would be all true. */
static hone_status dropout(hn_graph *g, hn_id node) {
  hn_node *n = hn_node_at(g, node);
  if (n->n_out > 1 && n->out[1] != HN_NONE)
    n->n_out = 1; /* the mask's value stays unproduced: whoever reads it gets "nothing produces" */
  hn_drop_inputs(g, node, 1);
  hn_attr_remove(g, node, "ratio");
  hn_attr_remove(g, node, "seed");
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

/* Before opset 13 the normalization ran over all dimensions from axis (default 1) on: the same as now where axis is
   the last one. */
static hone_status softmax(hn_graph *g, hn_id node) {
  hn_node *n = hn_node_at(g, node);
  int64_t axis = hn_attr_i(n, "axis", 1);
  int32_t rank = hn_value_at(g, n->in[0])->shape.rank;
  bool last = rank >= 0 && (axis == rank - 1 || axis == -1);
  for (int32_t i = (int32_t)axis + 1; !last && axis >= 0 && i < rank; i++) {
    if (hn_value_at(g, n->in[0])->shape.d[i] != 1) break;
    last = i == rank - 1;
  }
  if (!last)
    return hn_fail(g->cx, HONE_UNSUPPORTED, "node '%s' (%s): axis %lld before opset 13 with more dimensions after it is not supported",
                   n->name, hn_op_name(n->op), (long long)axis);
  hn_set_i(g, node, "axis", axis);
  return done(g);
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

/* One row an operator that is not simply itself in every opset. Rows of one name: the first that applies. */
static const upgrade rows[] = {
    {"BatchNormalization", HN_BatchNormalization, 0, batch_norm},
    {"Clip", HN_Clip, 11, clip_to_inputs},
    {"Dropout", HN_Identity, 0, dropout},
    {"Hardmax", HN_Hardmax, 13, softmax},
    {"LogSoftmax", HN_LogSoftmax, 13, softmax},
    {"Pad", HN_Pad, 11, pad_to_inputs},
    {"ReduceL1", HN_ReduceL1, 18, axes_to_input},
    {"ReduceL2", HN_ReduceL2, 18, axes_to_input},
    {"ReduceLogSum", HN_ReduceLogSum, 18, axes_to_input},
    {"ReduceLogSumExp", HN_ReduceLogSumExp, 18, axes_to_input},
    {"ReduceMax", HN_ReduceMax, 18, axes_to_input},
    {"ReduceMean", HN_ReduceMean, 18, axes_to_input},
    {"ReduceMin", HN_ReduceMin, 18, axes_to_input},
    {"ReduceProd", HN_ReduceProd, 18, axes_to_input},
    {"ReduceSum", HN_ReduceSum, 13, axes_to_input},
    {"ReduceSumSquare", HN_ReduceSumSquare, 18, axes_to_input},
    {"Resize", HN_Resize, 11, resize_10},
    {"Scatter", HN_ScatterElements, 0, NULL},
    {"Slice", HN_Slice, 10, slice_to_inputs},
    {"Softmax", HN_Softmax, 13, softmax},
    {"Split", HN_Split, 13, split_to_input},
    {"Squeeze", HN_Squeeze, 13, axes_to_input},
    {"TopK", HN_TopK, 10, top_k_to_input},
    {"Unsqueeze", HN_Unsqueeze, 13, axes_to_input},
    {"Upsample", HN_Resize, 0, upsample},
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

hone_status hn_upgrade_node(hn_graph *g, hn_id node, const char *name, int64_t opset) {
  const upgrade *u = row_of(name, opset);
  return u && u->fn ? u->fn(g, node) : HONE_OK;
}
