/* print.c - graphs as text, one line a value or node, in execution order. */
#include <string.h>

#include "ir/graph.h"

static void print_tensor(const hn_tensor *t, hn_str *s) {
  if (t->dtype == HONE_DTYPE_STRING || t->count > 16) {
    hn_str_printf(s, "digest:%016llx", t->dtype == HONE_DTYPE_STRING ? 0ULL : (unsigned long long)hn_tensor_hash((hn_tensor *)(uintptr_t)t));
    return;
  }
  hn_str_add(s, "{");
  for (size_t i = 0; i < (size_t)t->count; i++) {
    if (i) hn_str_add(s, ", ");
    if (hn_is_float(t->dtype)) hn_str_printf(s, "%.9g", hn_tensor_f(t, i));
    else hn_str_printf(s, "%lld", (long long)hn_tensor_i(t, i));
  }
  hn_str_add(s, "}");
}

static void print_type(const hn_graph *g, hn_dtype dtype, const hn_shape *shape, hn_str *s) {
  hn_str_printf(s, "%s[", hone_dtype_name(dtype));
  if (shape->rank < 0) hn_str_add(s, "*");
  for (int32_t i = 0; i < shape->rank; i++) hn_str_printf(s, "%s%s", i ? ", " : "", hn_dim_text(g->dims, shape->d[i]));
  hn_str_add(s, "]");
}

static void print_attr(const hn_attr *a, hn_str *s) {
  hn_str_printf(s, "%s=", a->name);
  switch (a->type) {
    case HN_ATTR_INT: hn_str_printf(s, "%lld", (long long)a->v.i); break;
    case HN_ATTR_FLOAT: hn_str_printf(s, "%.9g", a->v.f); break;
    case HN_ATTR_STRING: hn_str_printf(s, "\"%s\"", a->v.s); break;
    case HN_ATTR_INTS:
    case HN_ATTR_FLOATS:
      hn_str_add(s, "[");
      for (uint32_t i = 0; i < a->n; i++) {
        if (i) hn_str_add(s, ", ");
        if (a->type == HN_ATTR_INTS) hn_str_printf(s, "%lld", (long long)a->v.ints[i]);
        else hn_str_printf(s, "%.9g", a->v.floats[i]);
      }
      hn_str_add(s, "]");
      break;
    case HN_ATTR_TENSOR:
      hn_str_printf(s, "%s[", hone_dtype_name(a->v.tensor->dtype));
      for (int32_t i = 0; i < a->v.tensor->rank; i++) hn_str_printf(s, "%s%lld", i ? ", " : "", (long long)a->v.tensor->dims[i]);
      hn_str_add(s, "] ");
      print_tensor(a->v.tensor, s);
      break;
    case HN_ATTR_GRAPH: break;
  }
}

void hn_attrs_text(const hn_graph *g, const hn_node *n, hn_str *out) {
  (void)g;
  bool first = true;
  for (uint32_t i = 0; i < n->n_attr; i++) {
    if (n->attr[i].type == HN_ATTR_GRAPH) continue;
    if (!first) hn_str_add(out, " ");
    print_attr(&n->attr[i], out);
    first = false;
  }
}

static void indent(hn_str *s, int depth) {
  for (int i = 0; i < depth; i++) hn_str_add(s, "  ");
}

/* A name that holds what ends names is quoted. */
static void print_name(const char *name, hn_str *s) {
  bool plain = *name && !strpbrk(name, " \t\n\r,()[]{}\"");
  hn_str_printf(s, plain ? "%%%s" : "%%\"%s\"", name);
}

static void print_ref(const hn_graph *g, hn_id v, hn_str *s) {
  if (v == HN_NONE) hn_str_add(s, "_");
  else print_name(hn_value_at(g, v)->name, s);
}

static void print_graph(const hn_graph *g, const hn_id *order, uint32_t n, int depth, hn_str *s);

static void print_post(const hn_graph *g, const hn_node *n, hn_str *s) {
  if (!n->n_post) return;
  hn_str_add(s, " post [");
  for (uint32_t i = 0; i < n->n_post; i++) {
    const hn_step *p = &n->post[i];
    hn_str_printf(s, "%s%s", i ? ", " : "", hn_op_name(p->op));
    if (p->operand != HN_NONE) {
      hn_str_add(s, "(");
      if (!p->swapped) hn_str_add(s, ".,");
      print_ref(g, n->in[p->operand], s);
      if (p->swapped) hn_str_add(s, ",.");
      hn_str_add(s, ")");
    } else if (p->alpha != 0 || p->beta != 0) {
      hn_str_printf(s, "(%.9g, %.9g)", (double)p->alpha, (double)p->beta);
    }
  }
  hn_str_add(s, "]");
}

static void print_node(const hn_graph *g, const hn_node *n, int depth, hn_str *s) {
  indent(s, depth);
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (i) hn_str_add(s, ", ");
    print_ref(g, n->out[i], s);
  }
  hn_str_printf(s, "%s%s(", n->n_out ? " = " : "", hn_op_name(n->op));
  for (uint32_t i = 0; i < n->n_main; i++) {
    if (i) hn_str_add(s, ", ");
    print_ref(g, n->in[i], s);
  }
  hn_str_add(s, ")");
  if (n->n_attr) {
    hn_str_add(s, " {");
    hn_attrs_text(g, n, s);
    for (uint32_t i = 0; i < n->n_attr; i++) {
      if (n->attr[i].type != HN_ATTR_GRAPH) continue;
      const hn_graph *sub = n->attr[i].v.graph;
      hn_id *order;
      uint32_t count;
      hn_str_printf(s, " %s=", n->attr[i].name);
      if (hn_graph_order(sub, &order, &count)) continue;
      print_graph(sub, order, count, depth + 1, s);
      hn_free(order);
    }
    hn_str_add(s, "}");
  }
  print_post(g, n, s);
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (n->out[i] == HN_NONE) continue;
    const hn_value *v = hn_value_at(g, n->out[i]);
    hn_str_add(s, i ? ", " : " : ");
    print_type(g, v->dtype, &v->shape, s);
  }
  hn_str_printf(s, "  # %s\n", n->source ? n->source : n->name);
}

static void print_graph(const hn_graph *g, const hn_id *order, uint32_t n, int depth, hn_str *s) {
  hn_str_printf(s, "graph \"%s\" {\n", g->name);
  for (size_t i = 0; i < g->inputs.n; i++) {
    const hn_value *v = hn_value_at(g, g->inputs.p[i]);
    indent(s, depth + 1);
    hn_str_add(s, "input ");
    print_name(v->name, s);
    hn_str_add(s, " : ");
    print_type(g, v->dtype, &v->shape, s);
    hn_str_add(s, "\n");
  }
  for (size_t i = 0; i < g->values.n; i++) {
    const hn_value *v = &g->values.p[i];
    if (!v->data || (!v->n_users && !hn_is_output(g, (hn_id)i))) continue;
    indent(s, depth + 1);
    hn_str_add(s, "const ");
    print_name(v->name, s);
    hn_str_add(s, " : ");
    print_type(g, v->dtype, &v->shape, s);
    hn_str_add(s, " = ");
    print_tensor(v->data, s);
    hn_str_add(s, "\n");
  }
  for (uint32_t i = 0; i < n; i++) print_node(g, hn_node_at(g, order[i]), depth + 1, s);
  for (size_t i = 0; i < g->outputs.n; i++) {
    indent(s, depth + 1);
    hn_str_printf(s, "output \"%s\" = ", g->outputs.p[i].name);
    print_ref(g, g->outputs.p[i].value, s);
    hn_str_add(s, "\n");
  }
  indent(s, depth);
  hn_str_add(s, depth ? "}" : "}\n");
}

hone_status hn_graph_print(const hn_graph *g, char **text) {
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  hn_str s = {0};
  print_graph(g, order, n, 0, &s);
  hn_free(order);
  char *out = hn_str_take(&s);
  if (!out) return hn_nomem(g->cx);
  *text = out;
  return HONE_OK;
}
