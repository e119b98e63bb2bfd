/* lower_state.c - where values come from: constants, inputs, variables, random numbers, parsed examples. */
#include <string.h>

#include "format/tensorflow/tf_lower.h"

void hn_tf_lower_const(tf_lower *x) {
  const tf_attr *a = hn_tf_attr(x->s, x->n, "value");
  hn_tensor *t = NULL;
  if (!a || a->value_case != TENSORFLOW__ATTR_VALUE__VALUE_TENSOR) {
    hn_tf_fail(x, HONE_BAD_GRAPH, "it has no value");
    return;
  }
  if (a->tensor->dtype == TENSORFLOW__DATA_TYPE__DT_STRING) {
    hn_tf_out_value(x, 0, (tf_value){TF_STRING, HN_NONE, 0, a->tensor});
    return;
  }
  if ((x->m.st = hn_tf_tensor(x->s->im->cx, x->m.name, a->tensor, &t))) return;
  hn_tf_out(x, 0, hn_graph_add_constant(x->m.g, x->m.name, t));
}

void hn_tf_lower_identity(tf_lower *x) {
  for (uint32_t i = 0; i < x->n_in; i++) {
    tf_value v = x->in[i];
    hn_tf_out_value(x, i, v);
  }
  if (!x->n_in) hn_tf_fail(x, HONE_BAD_GRAPH, "it has no input");
}

void hn_tf_lower_switch(tf_lower *x) {
  if (x->n_in != 2) hn_tf_fail(x, HONE_BAD_GRAPH, "it has %u inputs; 2 are needed", x->n_in);
  for (uint32_t i = 0; i < 2 && !x->m.st; i++) hn_tf_out_value(x, i, x->in[0]);
}

void hn_tf_lower_not_run(tf_lower *x) { hn_tf_fail(x, HONE_UNSUPPORTED, "it gives no value that can be read"); }

void hn_tf_lower_placeholder(tf_lower *x) {
  const tf_attr *a = hn_tf_attr(x->s, x->n, "dtype");
  if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_TYPE && a->type == TENSORFLOW__DATA_TYPE__DT_STRING) {
    hn_tf_out_value(x, 0, (tf_value){TF_STRING, HN_NONE, 0, NULL}); /* serialized examples, perhaps */
    return;
  }
  hn_tf_fail(x, HONE_BAD_ARG, "it must be fed but is not among the inputs that were given");
}

/* ---- variables */

void hn_tf_lower_variable(tf_lower *x) {
  tf_import *im = x->s->im;
  uint32_t i = 0;
  while (i < im->variables.n && im->variables.p[i].node != x->n) i++;
  if (i == im->variables.n) {
    tf_variable v = {x->n->name, x->n, NULL};
    if (!hn_push(&im->variables, v)) x->m.st = hn_nomem(im->cx);
  }
  hn_tf_out_value(x, 0, (tf_value){TF_VARIABLE, HN_NONE, i, NULL});
}

void hn_tf_lower_read_variable(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0);
  hn_tf_out(x, 0, v);
}

void hn_tf_lower_is_initialized(tf_lower *x) { hn_tf_out(x, 0, hn_tf_const_i(x, HONE_DTYPE_BOOL, 1)); }

void hn_tf_lower_update(tf_lower *x) {
  const char *name = x->n_in && x->in[0].kind == TF_VARIABLE ? x->s->im->variables.p[x->in[0].what].name : "";
  hn_tf_fail(x, HONE_UNSUPPORTED, "it updates the variable '%s'; " HN_TF_STATELESS, name);
}

/* ---- random numbers */

void hn_tf_lower_random(tf_lower *x) {
  hn_dtype type = hn_tf_attr_type(x, "dtype");
  hn_id zeros = hn_make2(&x->m, HN_Expand, hn_make_scalar(&x->m, type ? type : HONE_DTYPE_F32, 0), hn_tf_i64(x, hn_tf_in(x, 0)));
  hn_id node = hn_make_node(&x->m, x->op, &zeros, 1, 1);
  int64_t seed = hn_tf_attr_i(x, "seed", 0) * 31 + hn_tf_attr_i(x, "seed2", 0);
  if (!x->m.st && seed) hn_set_f(x->m.g, node, "seed", (double)(seed % 16777216));
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

/* ---- tf.Example: the parser is cut off, and the features are inputs of the model */

static const char *string_at(tf_lower *x, uint32_t input, size_t i) {
  const Tensorflow__TensorProto *t = input < x->n_in && x->in[input].kind == TF_STRING ? x->in[input].strings : NULL;
  if (!t || i >= t->n_string_val) return NULL;
  return hn_arena_strndup(x->s->im->arena, (const char *)t->string_val[i].data, t->string_val[i].len);
}

static void out_feature(tf_lower *x, uint32_t port, const char *key, hn_dtype type, const Tensorflow__TensorShapeProto *p, bool batched) {
  tf_import *im = x->s->im;
  hn_shape one = hn_shape_unknown();
  tf_feature f = {.key = key, .dtype = type};
  if (p) x->m.st = hn_tf_shape(im->cx, im->g->dims, p, &one);
  if (!x->m.st && (one.rank < 0 || one.rank >= HN_MAX_RANK)) hn_tf_fail(x, HONE_UNSUPPORTED, "the shape of feature '%s' is not known", key);
  if (x->m.st) return;
  if (batched) f.shape.d[f.shape.rank++] = hn_dim_symbol(im->g->dims, "batch");
  for (int32_t i = 0; i < one.rank; i++) f.shape.d[f.shape.rank++] = one.d[i];
  if (!hn_push(&im->features, f)) x->m.st = hn_nomem(im->cx);
  hn_tf_out_value(x, port, (tf_value){TF_FEATURE, HN_NONE, (uint32_t)im->features.n - 1, NULL});
}

void hn_tf_lower_parse_example(tf_lower *x) {
  bool single = strcmp(x->n->op, "ParseSingleExample") == 0, second = strcmp(x->n->op, "ParseExampleV2") == 0;
  const tf_attr *types = hn_tf_attr(x->s, x->n, "Tdense"), *shapes = hn_tf_attr(x->s, x->n, "dense_shapes");
  const tf_attr *keys = single ? hn_tf_attr(x->s, x->n, "dense_keys") : NULL;
  uint32_t n_sparse = (uint32_t)hn_tf_attr_i(x, second || single ? "num_sparse" : "Nsparse", 0);
  size_t n = types && types->value_case == TENSORFLOW__ATTR_VALUE__VALUE_LIST ? types->list->n_type : 0;
  if (x->s->im->parsers_stay) hn_tf_fail(x, HONE_UNSUPPORTED, "it parses serialized examples");
  if (x->s->nest->outer) hn_tf_fail(x, HONE_UNSUPPORTED, "examples are parsed within a loop or condition");
  if (!shapes || shapes->value_case != TENSORFLOW__ATTR_VALUE__VALUE_LIST || shapes->list->n_shape < n)
    hn_tf_fail(x, HONE_UNSUPPORTED, "the shapes of its features are not given");
  for (size_t i = 0; i < n && !x->m.st; i++) {
    const char *key;
    if (single) key = keys && i < keys->list->n_s ? hn_arena_strndup(x->s->im->arena, (const char *)keys->list->s[i].data, keys->list->s[i].len) : NULL;
    else key = second ? string_at(x, 3, i) : string_at(x, 2 + n_sparse + (uint32_t)i, 0);
    hn_dtype type = hn_tf_dtype((int)types->list->type[i]);
    if (!key) hn_tf_fail(x, HONE_UNSUPPORTED, "the names of its features are not constant");
    else if (type == HONE_DTYPE_STRING) hn_tf_out_value(x, 3 * n_sparse + (uint32_t)i, (tf_value){TF_STRING, HN_NONE, 0, NULL});
    else out_feature(x, 3 * n_sparse + (uint32_t)i, key, type, shapes->list->shape[i], !single);
  }
}
