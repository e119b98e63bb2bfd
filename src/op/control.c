/* control.c - inference of If, Loop and Scan: what goes into a nested graph is told to its inputs, the graph is
   inferred, and what comes out is told to the node's outputs. */
#include <string.h>

#include "op/infer.h"

/* Value `outer` of the node's graph becomes what is known of the nested graph's input k. */
static hone_status tell_input(hn_infer *x, hn_graph *sub, uint32_t k, hn_dtype t, hn_shape shape, hn_id same) {
  hn_value *v = hn_value_at(sub, sub->inputs.p[k]);
  if (v->dtype && t && v->dtype != t)
    return hn_ierror(x, "input '%s' of graph '%s' is declared %s but gets %s", v->name, sub->name, hone_dtype_name(v->dtype), hone_dtype_name(t));
  if (t) v->dtype = t;
  v->shape = shape;
  v->sym = NULL;
  v->n_sym = 0;
  const hn_value *o = same == HN_NONE ? NULL : hn_value_at(x->g, same);
  if (o && o->sym) {
    v->sym = hn_arena_memdup(sub->arena, o->sym, sizeof *o->sym * o->n_sym);
    v->n_sym = v->sym ? o->n_sym : 0;
  }
  return HONE_OK;
}

/* The captures are the last inputs of the node and of the graph. */
static hone_status tell_captures(hn_infer *x, hn_graph *sub, uint32_t formals) {
  const hn_node *n = hn_ino(x);
  uint32_t captures = (uint32_t)hn_attr_i(n, "captures", 0);
  if (captures > n->n_main || sub->inputs.n != formals + captures)
    return hn_ierror(x, "graph '%s' takes %zu inputs where %u and %u captured ones are given", sub->name, sub->inputs.n, formals, captures);
  for (uint32_t i = 0; i < captures; i++) {
    hn_id outer = hn_ino(x)->in[n->n_main - captures + i];
    if (outer == HN_NONE) return hn_ierror(x, "a captured input is missing");
    const hn_value *v = hn_value_at(x->g, outer);
    HN_TRY(tell_input(x, sub, formals + i, v->dtype, v->shape, outer));
  }
  return HONE_OK;
}

static hone_status infer_nested(hn_infer *x, hn_graph *sub) {
  hone_status st = hn_infer_again(sub);
  return st ? hn_fail_within(x->cx, st, "node '%s' (%s)", hn_ino(x)->name, hn_op_name(hn_ino(x)->op)) : HONE_OK;
}

/* What is true of both: dimensions that differ become unknown, ranks that differ an unknown shape. */
static hn_shape common(hn_dims *t, const hn_shape *a, const hn_shape *b) {
  hn_shape s = *a;
  if (a->rank < 0 || a->rank != b->rank) return hn_shape_unknown();
  for (int32_t i = 0; i < s.rank; i++)
    if (a->d[i] != b->d[i]) s.d[i] = hn_dim_unknown(t);
  return s;
}

static hone_status need_outputs(hn_infer *x, const hn_graph *sub, uint32_t least) {
  if (sub->outputs.n == least + hn_ino(x)->n_out) return HONE_OK;
  return hn_ierror(x, "graph '%s' gives %zu outputs; the node has %u", sub->name, sub->outputs.n, hn_ino(x)->n_out);
}

static const hn_value *output_of(const hn_graph *sub, uint32_t i) { return hn_value_at(sub, sub->outputs.p[i].value); }

hone_status hn_infer_if_(hn_infer *x);
hone_status hn_infer_if_(hn_infer *x) {
  static const char *const names[2] = {"then_branch", "else_branch"};
  hn_graph *branch[2];
  hone_status st[2];
  for (int k = 0; k < 2; k++) {
    branch[k] = hn_attr_graph(hn_ino(x), names[k]);
    if (!branch[k]) return hn_ierror(x, "has no graph '%s'", names[k]);
    HN_TRY(tell_captures(x, branch[k], 0));
    HN_TRY(need_outputs(x, branch[k], 0));
    st[k] = infer_nested(x, branch[k]);
    if (st[k] && st[k] != HONE_BAD_GRAPH) return st[k];
  }
  /* With the shapes at hand one branch may make no sense: then it is the other that will be taken. */
  if (st[0] && st[1]) return st[1];
  for (uint32_t i = 0; i < hn_ino(x)->n_out; i++) {
    const hn_value *a = output_of(branch[st[0] != HONE_OK], i), *b = output_of(branch[st[1] == HONE_OK], i);
    if (a->dtype && b->dtype && a->dtype != b->dtype)
      return hn_ierror(x, "output %u is %s in one branch and %s in the other", i, hone_dtype_name(a->dtype), hone_dtype_name(b->dtype));
    HN_TRY(hn_oset(x, i, a->dtype ? a->dtype : b->dtype, common(x->g->dims, &a->shape, &b->shape)));
  }
  return HONE_OK;
}

/* Carried values: the shape that holds for the first round and for all later ones. Found by trying: a dimension that a
   round changes becomes unknown, which can happen only so often. `first`: of the body's inputs and outputs. */
static hone_status settle_carried(hn_infer *x, hn_graph *body, uint32_t n, const hn_id *start, uint32_t first_in, uint32_t first_out) {
  for (uint32_t i = 0; i < n; i++) {
    hn_shape s = start[i] == HN_NONE ? hn_shape_unknown() : hn_value_at(x->g, start[i])->shape;
    HN_TRY(tell_input(x, body, first_in + i, start[i] == HN_NONE ? HONE_DTYPE_UNDEFINED : hn_value_at(x->g, start[i])->dtype, s, HN_NONE));
  }
  for (int round = 0; round < HN_MAX_RANK + 2; round++) {
    bool changed = false;
    HN_TRY(infer_nested(x, body));
    for (uint32_t i = 0; i < n; i++) {
      hn_value *in = hn_value_at(body, body->inputs.p[first_in + i]);
      hn_shape out = output_of(body, first_out + i)->shape, both = common(x->g->dims, &in->shape, &out);
      if (in->shape.rank < 0 || hn_shape_equal(&in->shape, &out)) continue;
      bool weaker = both.rank < 0;
      for (int32_t k = 0; k < both.rank; k++)
        weaker = weaker || (both.d[k] != in->shape.d[k] && !(hn_dim_is_symbol(x->g->dims, in->shape.d[k]) &&
                                                              hn_dim_anonymous(x->g->dims, in->shape.d[k])));
      if (!weaker) continue;
      in->shape = both;
      changed = true;
    }
    if (!changed) return HONE_OK;
  }
  for (uint32_t i = 0; i < n; i++) hn_value_at(body, body->inputs.p[first_in + i])->shape = hn_shape_unknown();
  return infer_nested(x, body);
}

static hone_status set_carried(hn_infer *x, const hn_graph *body, uint32_t n, uint32_t first_in, uint32_t first_out) {
  for (uint32_t i = 0; i < n; i++) {
    const hn_value *in = hn_value_at(body, body->inputs.p[first_in + i]), *out = output_of(body, first_out + i);
    HN_TRY(hn_oset(x, i, out->dtype ? out->dtype : in->dtype, common(x->g->dims, &in->shape, &out->shape)));
  }
  return HONE_OK;
}

hone_status hn_infer_loop(hn_infer *x);
hone_status hn_infer_loop(hn_infer *x) {
  const hn_node *n = hn_ino(x);
  hn_graph *body = hn_attr_graph(n, "body");
  uint32_t captures = (uint32_t)hn_attr_i(n, "captures", 0);
  if (!body) return hn_ierror(x, "has no graph 'body'");
  if (n->n_main < 2 + captures) return hn_ierror(x, "has %u inputs, %u of them captured", n->n_main, captures);
  uint32_t carried = n->n_main - 2 - captures;
  HN_TRY(tell_captures(x, body, 2 + carried));
  HN_TRY(need_outputs(x, body, 1));
  if (n->n_out < carried) return hn_ierror(x, "carries %u values and has %u outputs", carried, n->n_out);
  HN_TRY(tell_input(x, body, 0, HONE_DTYPE_I64, hn_shape_of(0, NULL), HN_NONE));
  HN_TRY(tell_input(x, body, 1, HONE_DTYPE_BOOL, hn_shape_of(0, NULL), HN_NONE));
  HN_TRY(settle_carried(x, body, carried, n->in + 2, 2, 1));
  HN_TRY(set_carried(x, body, carried, 2, 1));
  for (uint32_t i = carried; i < hn_ino(x)->n_out; i++) {
    const hn_value *v = output_of(body, 1 + i);
    hn_shape s = hn_shape_unknown();
    if (v->shape.rank >= 0 && v->shape.rank < HN_MAX_RANK) {
      s.rank = v->shape.rank + 1;
      s.d[0] = hn_dim_unknown(x->g->dims);
      memcpy(s.d + 1, v->shape.d, sizeof *s.d * (size_t)v->shape.rank);
    }
    HN_TRY(hn_oset(x, i, v->dtype, s));
  }
  return HONE_OK;
}

static int64_t listed(const hn_node *n, const char *name, uint32_t i) {
  const int64_t *v;
  return i < hn_attr_ints(n, name, &v) ? v[i] : 0;
}

hone_status hn_infer_scan(hn_infer *x);
hone_status hn_infer_scan(hn_infer *x) {
  const hn_node *n = hn_ino(x);
  hn_graph *body = hn_attr_graph(n, "body");
  int64_t scans = hn_attr_i(n, "num_scan_inputs", 0);
  uint32_t captures = (uint32_t)hn_attr_i(n, "captures", 0);
  if (!body) return hn_ierror(x, "has no graph 'body'");
  if (captures > n->n_main || scans < 1 || scans > n->n_main - captures) return hn_ierror(x, "num_scan_inputs is %lld", (long long)scans);
  uint32_t states = n->n_main - captures - (uint32_t)scans;
  hn_dim length = hn_dim_unknown(x->g->dims);
  HN_TRY(tell_captures(x, body, states + (uint32_t)scans));
  HN_TRY(need_outputs(x, body, 0));
  if (n->n_out < states) return hn_ierror(x, "carries %u values and has %u outputs", states, n->n_out);
  for (uint32_t i = 0; i < scans; i++) {
    hn_shape s = hn_ishape(x, states + i), slice = hn_shape_unknown();
    int32_t axis;
    if (s.rank >= 0) {
      if (!hn_axis(listed(n, "scan_input_axes", i), s.rank, &axis)) return hn_ierror(x, "an axis of scan input %u is out of range", i);
      if (hn_dim_fixed(length) && hn_dim_fixed(s.d[axis]) && length != s.d[axis]) return hn_ierror(x, "scan inputs differ in length");
      if (!hn_dim_fixed(length)) length = s.d[axis];
      slice = s;
      slice.rank--;
      memmove(slice.d + axis, slice.d + axis + 1, sizeof *slice.d * (size_t)(s.rank - axis - 1));
    }
    HN_TRY(tell_input(x, body, states + i, hn_idtype(x, states + i), slice, HN_NONE));
  }
  HN_TRY(settle_carried(x, body, states, n->in, 0, 0));
  HN_TRY(set_carried(x, body, states, 0, 0));
  for (uint32_t i = states; i < hn_ino(x)->n_out; i++) {
    const hn_value *v = output_of(body, i);
    hn_shape s = hn_shape_unknown();
    int32_t axis;
    if (v->shape.rank >= 0 && v->shape.rank < HN_MAX_RANK) {
      if (!hn_axis(listed(hn_ino(x), "scan_output_axes", i - states), v->shape.rank + 1, &axis))
        return hn_ierror(x, "an axis of scan output %u is out of range", i - states);
      s.rank = v->shape.rank + 1;
      for (int32_t k = 0, from = 0; k < s.rank; k++) s.d[k] = k == axis ? length : v->shape.d[from++];
    }
    HN_TRY(hn_oset(x, i, v->dtype, s));
  }
  return HONE_OK;
}
