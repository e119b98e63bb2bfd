/* tf_state.c - updates of variables that only control inputs reach. TensorFlow runs them with the outputs; hone does not, so
   a model that has them is refused as one whose outputs read the update itself. Only an assignment of what is known from the
   start (constants, random numbers, a restored checkpoint) passes, with a warning: that is how graphs of version 1 initialize
   variables, which here have the values of the checkpoint already. */
#include <string.h>

#include "format/tensorflow/tf_lower.h"

typedef struct search {
  tf_import *im;
  const uint8_t *fed; /* nodes of the graph that the caller gives: nothing behind them runs */
  HN_VEC(tf_body *) bodies;
} search;

typedef HN_VEC(uint32_t) indices;

static hone_status add_body(search *s, const char *name, bool if_read) {
  tf_body *f = hn_tf_function(s->im, name);
  if (!f || f->searched || (if_read && !f->read)) return HONE_OK;
  f->searched = true;
  return hn_push(&s->bodies, f) ? HONE_OK : hn_nomem(s->im->cx);
}

static hone_status add_node(const search *s, const tf_body *b, const char *name, indices *to) {
  tf_ref r;
  if (!hn_tf_find_ref(s->im, b, name, &r) || (!b->function && r.node < b->n && s->fed[r.node])) return HONE_OK;
  return hn_push(to, r.node) ? HONE_OK : hn_nomem(s->im->cx);
}

static bool varies(const char *op) {
  return strncmp(op, "Placeholder", 11) == 0 || strncmp(op, "ReadVariable", 12) == 0 || strncmp(op, "Variable", 8) == 0 ||
         strcmp(op, "VarHandleOp") == 0;
}

/* Does the value that is assigned come from nothing that changes from run to run? */
static hone_status initializes(const search *s, const tf_body *b, const tf_node *n, bool *is) {
  indices stack = {0};
  uint8_t *seen = hn_calloc((size_t)b->n + 1, 1);
  hone_status st = seen ? HONE_OK : hn_nomem(s->im->cx);
  *is = (strcmp(n->op, "Assign") == 0 || strcmp(n->op, "AssignVariableOp") == 0) && hn_tf_data_inputs(n) == 2;
  if (!st && *is) st = hn_push(&stack, UINT32_MAX) ? HONE_OK : hn_nomem(s->im->cx);
  while (!st && *is && stack.n) {
    uint32_t at = stack.p[--stack.n];
    const tf_node *from = at == UINT32_MAX ? n : at < b->n ? b->nodes[at] : NULL;
    if (!from || varies(from->op) || (!b->function && from != n && s->fed[at])) *is = false;
    if (!*is || strstr(from->op, "Initialized") || (from != n && seen[at])) continue;
    if (from != n) seen[at] = 1;
    for (uint32_t i = from == n; i < hn_tf_data_inputs(from) && !st; i++) {
      tf_ref r;
      if (hn_tf_find_ref(s->im, b, from->input[i], &r) && !hn_push(&stack, r.node)) st = hn_nomem(s->im->cx);
    }
  }
  hn_vec_free(&stack);
  hn_free(seen);
  return st;
}

bool hn_tf_updates(const char *op) {
  const tf_row *row = hn_tf_row(op);
  return row && row->lower == hn_tf_lower_update;
}

static hone_status judge(const search *s, const tf_body *b, const tf_node *n) {
  const char *slash = *b->name ? "/" : "", *variable = hn_tf_data_inputs(n) ? n->input[0] : "";
  bool initial;
  if (!hn_tf_updates(n->op)) return HONE_OK;
  HN_TRY(initializes(s, b, n, &initial));
  if (!initial)
    return hn_fail(s->im->cx, HONE_UNSUPPORTED, "node '%s%s%s' (%s): it updates the variable '%s' whenever the outputs are computed; " HN_TF_STATELESS,
                   b->name, slash, n->name, n->op, variable);
  hn_log(s->im->cx, HONE_LOG_WARNING, "node '%s%s%s' (%s): the variable '%s' is not initialized anew: it has the value of the checkpoint", b->name,
         slash, n->name, n->op, variable);
  return HONE_OK;
}

/* First all that data reaches: where the body was read it was lowered and judged there, and a function that its nodes name and
   that was not read is a branch never taken. Then the rest that control inputs run. */
static hone_status search_body(search *s, const tf_body *b, indices *data, indices *control) {
  bool lowered = !b->function || b->read;
  uint8_t *seen = hn_calloc((size_t)b->n + 1, 1);
  hone_status st = seen ? HONE_OK : hn_nomem(s->im->cx);
  while (!st && (data->n || control->n)) {
    bool by_data = data->n != 0;
    uint32_t at = by_data ? data->p[--data->n] : control->p[--control->n];
    if (at >= b->n || seen[at]) continue;
    seen[at] = 1;
    const tf_node *n = b->nodes[at];
    bool known = by_data && lowered;
    if (!known) st = judge(s, b, n);
    if (!st) st = add_body(s, n->op, known);
    for (size_t i = 0; i < n->n_attr && !st; i++) {
      const tf_attr *a = n->attr[i]->value;
      if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC && a->func) st = add_body(s, a->func->name, known);
    }
    for (size_t i = 0; i < n->n_input && !st; i++)
      st = add_node(s, b, n->input[i], by_data && *n->input[i] != '^' ? data : control);
  }
  hn_free(seen);
  return st;
}

static hone_status search_all(search *s, const tf_ref *out, size_t n_out) {
  indices data = {0}, control = {0};
  hone_status st = HONE_OK;
  for (size_t i = 0; i < n_out && !st; i++)
    if (!s->fed[out[i].node] && !hn_push(&data, out[i].node)) st = hn_nomem(s->im->cx);
  if (!st) st = search_body(s, &s->im->main, &data, &control);
  while (!st && s->bodies.n) {
    const tf_body *b = s->bodies.p[--s->bodies.n];
    const Tensorflow__FunctionDef *f = b->function;
    data.n = control.n = 0;
    for (size_t i = 0; i < f->n_ret && !st; i++) st = add_node(s, b, f->ret[i]->value, &data);
    for (size_t i = 0; i < f->n_control_ret && !st; i++) st = add_node(s, b, f->control_ret[i]->value, &control);
    if (!st) st = search_body(s, b, &data, &control);
  }
  hn_vec_free(&data);
  hn_vec_free(&control);
  return st;
}

hone_status hn_tf_check_state(tf_import *im, const tf_ref *in, size_t n_in, const tf_ref *out, size_t n_out) {
  uint8_t *fed = hn_calloc((size_t)im->main.n + 1, 1);
  search s = {.im = im, .fed = fed};
  if (!fed) return hn_nomem(im->cx);
  for (size_t i = 0; i < n_in; i++) fed[in[i].node] = 1;
  for (size_t i = 0; i < im->n_library; i++) im->library[i].searched = false;
  hone_status st = search_all(&s, out, n_out);
  hn_vec_free(&s.bodies);
  hn_free(fed);
  return st;
}
