/* fold_constants.c - computes what can be known now: nodes with constant inputs, and shape arithmetic whose result
   is fixed by the shapes, whatever the data. */
#include "base/checked.h"
#include "pass/pass.h"

/* Do only layers with weights read it, as those? They want them constant, whatever the size. */
static bool is_weight(const hn_graph *g, const hn_node *n) {
  const hn_value *v = n->n_out == 1 ? hn_value_at(g, n->out[0]) : NULL;
  for (uint32_t i = 0; v && i < v->n_users; i++) {
    const hn_node *user = hn_node_at(g, v->users[i]);
    bool weights = user->op == HN_Conv || user->op == HN_ConvTranspose || user->op == HN_Gemm || user->op == HN_MatMul;
    if (!weights || user->in[0] == n->out[0]) return false;
  }
  return v && v->n_users;
}

/* Results up to the limit are kept whatever they replace, larger ones where they are not much larger. */
static bool foldable(const hn_pass *p, const hn_graph *g, const hn_node *n) {
  if (n->dead || hn_op_is(n->op, HN_OP_RANDOM | HN_OP_CONTROL)) return false;
  if (n->op == HN_DequantizeLinear) return false; /* the integer form is the one to keep and to compute with */
  size_t in_bytes = 0, out_bytes = 0;
  for (uint32_t i = 0; i < n->n_in; i++) {
    const hn_tensor *t = hn_const(g, n->in[i]);
    if (n->in[i] == HN_NONE) continue;
    if (!t || !hn_add_size(in_bytes, t->bytes, &in_bytes)) return false;
  }
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (n->out[i] == HN_NONE) continue;
    const hn_value *v = hn_value_at(g, n->out[i]);
    int64_t count;
    size_t bytes = 0;
    if (v->dtype == HONE_DTYPE_STRING) return false;
    if (!hn_shape_count(&v->shape, &count)) bytes = in_bytes; /* such as NonZero */
    else if (!hn_dtype_bytes(v->dtype, (uint64_t)count, &bytes)) return false;
    if (!hn_add_size(out_bytes, bytes, &out_bytes)) return false;
  }
  return out_bytes <= p->fold_limit || out_bytes / 2 <= in_bytes || is_weight(g, n);
}

/* HONE_OK and *done false: the node stays and shows its fault, if any, when it runs. */
static hone_status fold_node(hn_pass *p, hn_graph *g, hn_id id, bool *done) {
  uint32_t n_out = hn_node_at(g, id)->n_out;
  hn_tensor **outs = hn_calloc(n_out, sizeof *outs);
  if (!outs) return hn_nomem(g->cx);
  hone_status st = p->eval(g, id, outs);
  *done = !st;
  for (uint32_t i = 0; i < n_out && !st; i++) {
    hn_id v = hn_node_at(g, id)->out[i];
    if (v != HN_NONE && outs[i]) hn_set_data(g, v, outs[i]);
    else hn_tensor_unref(outs[i]);
  }
  hn_free(outs);
  if (!st) hn_remove_node(g, id);
  return st == HONE_NOMEM ? st : HONE_OK;
}

static hone_status fold_shape_values(hn_graph *g, uint32_t *hits) {
  for (size_t i = 0; i < g->values.n; i++) {
    hn_value *v = &g->values.p[i];
    if (!v->sym || v->data || v->producer == HN_NONE || !hn_is_int(v->dtype) || v->shape.rank < 0 || v->shape.rank > 1)
      continue;
    if (!v->n_users && !hn_is_output(g, (hn_id)i)) continue;
    int64_t fixed[64];
    uint32_t n;
    if (!hn_ints_of(g, (hn_id)i, fixed, 64, &n) || (v->shape.rank == 0 && n != 1)) continue;
    hn_tensor *t;
    HN_TRY(hn_tensor_create(g->cx, v->dtype, v->shape.rank, &(int64_t){n}, &t));
    for (uint32_t k = 0; k < n; k++) hn_store_i64(t->dtype, t->data, k, fixed[k]);
    hn_set_data(g, (hn_id)i, t);
    (*hits)++;
  }
  return HONE_OK;
}

static hone_status fold_graph(hn_pass *p, hn_graph *g) {
  uint32_t shapes = 0, nodes = 0, n;
  hn_id *order;
  HN_TRY(fold_shape_values(g, &shapes));
  HN_TRY(hn_graph_order(g, &order, &n));
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < n && !st && p->eval; i++) {
    bool done = false;
    if (foldable(p, g, hn_node_at(g, order[i]))) st = fold_node(p, g, order[i], &done);
    nodes += done;
  }
  hn_free(order);
  HN_TRY(st);
  HN_TRY(hn_pass_note(p, "shape-arithmetic", "a number that the shapes fix", shapes, true));
  return hn_pass_note(p, "constant-inputs", "a layer all inputs of which are constant", nodes, true);
}

hone_status hn_pass_fold_constants(hn_pass *p, hn_graph *g);
hone_status hn_pass_fold_constants(hn_pass *p, hn_graph *g) { return hn_pass_each_graph(p, g, fold_graph); }
