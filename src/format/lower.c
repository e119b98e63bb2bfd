#include "format/lower.h"

#include <math.h>
#include <string.h>

#include "op/make.h"

/* ---- operators that older opsets do not have */

/* x/2 * (1 + erf(x / sqrt 2)), or its approximation by tanh. */
static hn_id gelu(hn_maker *m, hn_id x, bool approximate) {
  hn_dtype t = hn_make_type(m, x);
  hn_id inner;
  if (approximate) {
    hn_id cube = hn_make2(m, HN_Mul, hn_make2(m, HN_Mul, x, x), x);
    inner = hn_make2(m, HN_Add, x, hn_make2(m, HN_Mul, cube, hn_make_scalar(m, t, 0.044715)));
    inner = hn_make1(m, HN_Tanh, hn_make2(m, HN_Mul, inner, hn_make_scalar(m, t, 0.79788456080286535588)));
  } else {
    inner = hn_make1(m, HN_Erf, hn_make2(m, HN_Mul, x, hn_make_scalar(m, t, 0.70710678118654752440)));
  }
  hn_id half = hn_make2(m, HN_Mul, x, hn_make_scalar(m, t, 0.5));
  return hn_make2(m, HN_Mul, half, hn_make2(m, HN_Add, inner, hn_make_scalar(m, t, 1)));
}

static hn_id swish(hn_maker *m, hn_id x, double alpha) {
  hn_id scaled = alpha == 1 ? x : hn_make2(m, HN_Mul, x, hn_make_scalar(m, hn_make_type(m, x), alpha));
  return hn_make2(m, HN_Mul, x, hn_make1(m, HN_Sigmoid, scaled));
}

static hn_id rms_norm(hn_maker *m, const hn_node *n) {
  hn_id x = n->in[0];
  int32_t rank = hn_value_at(m->g, x)->shape.rank, first;
  int64_t axes[HN_MAX_RANK];
  if (rank < 0 || !hn_axis(hn_attr_i(n, "axis", -1), rank, &first)) return HN_NONE;
  for (int32_t i = first; i < rank; i++) axes[i - first] = i;
  hn_id mean = hn_make2(m, HN_ReduceMean, hn_make2(m, HN_Mul, x, x), hn_make_ints(m, axes, (size_t)(rank - first)));
  hn_id root = hn_make1(m, HN_Sqrt, hn_make2(m, HN_Add, mean, hn_make_scalar(m, hn_make_type(m, x), hn_attr_f(n, "epsilon", 1e-5))));
  return hn_make2(m, HN_Mul, hn_make2(m, HN_Div, x, root), n->in[1]);
}

static hn_id transpose(hn_maker *m, hn_id x, const int64_t *perm) {
  hn_id n = hn_make_node(m, HN_Transpose, &x, 1, 1);
  if (!m->st) hn_set_ints(m->g, n, "perm", perm, 4);
  return hn_make_done(m, n);
}

static const int64_t heads_first[] = {0, 2, 1, 3};

/* [batch, sequence, heads * size] as [batch, heads, sequence, size]. */
static hn_id with_heads(hn_maker *m, hn_id x, int64_t heads) {
  return transpose(m, hn_make2(m, HN_Reshape, x, hn_make_ints(m, (int64_t[]){0, 0, heads, -1}, 4)), heads_first);
}

/* softmax(Q K^T * scale + mask) V. HN_NONE for forms with more than that: they stay. */
static hn_id attention(hn_maker *m, const hn_node *n) {
  hn_shape q = hn_value_at(m->g, n->in[0])->shape, k = hn_value_at(m->g, n->in[1])->shape;
  hn_id mask = hn_in(n, 3), in[3] = {n->in[0], n->in[1], n->in[2]};
  for (uint32_t i = 4; i < n->n_main; i++)
    if (n->in[i] != HN_NONE) return HN_NONE;
  int64_t heads = q.rank == 3 ? hn_attr_i(n, "q_num_heads", 0) : 1, size = q.rank < 3 ? 0 : q.d[q.rank - 1];
  bool apart = q.rank == 4 && k.rank == 4 && q.d[1] == k.d[1];
  bool together = q.rank == 3 && k.rank == 3 && heads > 0 && heads == hn_attr_i(n, "kv_num_heads", 0);
  bool scaled = hn_attr_find(n, "scale") != NULL || (hn_dim_fixed(size) && size > 0);
  bool plain = n->n_out == 1 && (apart || together) && scaled && !hn_attr_i(n, "is_causal", 0) && hn_attr_f(n, "softcap", 0) == 0 &&
               (mask == HN_NONE || hn_make_type(m, mask) == hn_make_type(m, n->in[0]));
  if (!plain) return HN_NONE;
  for (int i = 0; i < 3 && together; i++) in[i] = with_heads(m, in[i], heads);
  double scale = hn_attr_f(n, "scale", 1 / sqrt((double)size / (double)heads));
  hn_id query = hn_make2(m, HN_Mul, in[0], hn_make_scalar(m, hn_make_type(m, n->in[0]), scale));
  hn_id scores = hn_make2(m, HN_MatMul, query, transpose(m, in[1], (int64_t[]){0, 1, 3, 2}));
  if (mask != HN_NONE) scores = hn_make2(m, HN_Add, scores, mask);
  hn_id weights = hn_make_node(m, HN_Softmax, &scores, 1, 1);
  if (!m->st) hn_set_i(m->g, weights, "axis", -1);
  hn_id y = hn_make2(m, HN_MatMul, hn_make_done(m, weights), in[2]);
  return together ? hn_make2(m, HN_Reshape, transpose(m, y, heads_first), hn_make_ints(m, (int64_t[]){0, 0, -1}, 3)) : y;
}

/* ---- epilogues */

static void set_floats(hn_maker *m, hn_id node, const hn_step *s) {
  const char *p = hn_op_info(s->op)->attrs; /* "alpha:f beta:f" */
  float v[2] = {s->alpha, s->beta};
  for (int k = 0; *p && k < 2 && !m->st;) {
    size_t len = strcspn(p, ":");
    char name[32];
    if (p[len] == ':' && p[len + 1] == 'f' && len < sizeof name) {
      memcpy(name, p, len);
      name[len] = 0;
      hn_set_f(m->g, node, name, (double)v[k++]);
    }
    p += strcspn(p, " ");
    p += *p == ' ';
  }
}

static hn_id step_node(hn_maker *m, const hn_step *s, hn_id x, hn_id operand) {
  if (operand != HN_NONE) return hn_make2(m, s->op, s->swapped ? operand : x, s->swapped ? x : operand);
  if (s->op == HN_Gelu) return gelu(m, x, s->alpha != 0);
  if (s->op == HN_Swish) return swish(m, x, (double)s->alpha);
  if (s->op == HN_Clip) {
    hn_dtype t = hn_make_type(m, x);
    hn_id in[3] = {x, hn_make_scalar(m, t, (double)s->alpha), hn_make_scalar(m, t, (double)s->beta)};
    return hn_make_done(m, hn_make_node(m, HN_Clip, in, 3, 1));
  }
  hn_id node = hn_make_node(m, s->op, &x, 1, 1);
  set_floats(m, node, s);
  return hn_make_done(m, node);
}

static hone_status expand_epilogue(hn_graph *g, hn_id id) {
  hn_maker m = {g, hn_node_at(g, id)->name, 0, HONE_OK};
  hn_node n = *hn_node_at(g, id);
  size_t first = g->nodes.n;
  hn_id out = n.out[0], x = out;
  hn_clear_post(g, id);
  for (uint32_t i = 0; i < n.n_post && !m.st; i++)
    x = step_node(&m, &n.post[i], x, n.post[i].operand == HN_NONE ? HN_NONE : n.in[n.post[i].operand]);
  if (m.st) return m.st;
  /* The chain's own nodes keep reading what they read: only the first reads `out`. */
  hn_id first_in[64][2];
  uint32_t n_first = 0;
  for (size_t i = first; i < g->nodes.n; i++)
    for (uint32_t k = 0; k < g->nodes.p[i].n_in && n_first < 64; k++)
      if (g->nodes.p[i].in[k] == out) first_in[n_first][0] = (hn_id)i, first_in[n_first++][1] = k;
  hn_replace_uses(g, out, x);
  hn_value_give_name(g, out, x); /* it is the end of the chain that the name means */
  for (uint32_t i = 0; i < n_first; i++) hn_set_input(g, first_in[i][0], first_in[i][1], out);
  return HONE_OK;
}

static hone_status decompose(hn_graph *g, hn_id id) {
  hn_node n = *hn_node_at(g, id);
  hn_maker m = {g, n.name, 0, HONE_OK};
  hn_id x = HN_NONE;
  switch (n.op) {
    case HN_Gelu: x = gelu(&m, n.in[0], hn_streq(hn_attr_s(&n, "approximate", "none"), "tanh")); break;
    case HN_Swish: x = swish(&m, n.in[0], hn_attr_f(&n, "alpha", 1)); break;
    case HN_RMSNormalization: x = rms_norm(&m, &n); break;
    case HN_Attention: x = attention(&m, &n); break;
    default: return HONE_OK;
  }
  if (m.st || x == HN_NONE) return m.st;
  hn_replace_uses(g, n.out[0], x);
  hn_remove_node(g, id);
  hn_value_give_name(g, n.out[0], x);
  return HONE_OK;
}

hone_status hn_lower(hn_graph *g) {
  size_t n = g->nodes.n; /* those made on the way need nothing more */
  for (size_t i = 0; i < n; i++) {
    if (hn_node_at(g, (hn_id)i)->dead) continue;
    if (hn_node_at(g, (hn_id)i)->n_post) HN_TRY(expand_epilogue(g, (hn_id)i));
    for (uint32_t k = 0; k < hn_node_at(g, (hn_id)i)->n_attr; k++)
      if (hn_node_at(g, (hn_id)i)->attr[k].type == HN_ATTR_GRAPH) HN_TRY(hn_lower(hn_node_at(g, (hn_id)i)->attr[k].v.graph));
    HN_TRY(decompose(g, (hn_id)i));
  }
  return g->oom ? hn_nomem(g->cx) : HONE_OK;
}
