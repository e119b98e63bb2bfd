#include "format/tensorflow/tf_inline.h"

#include <stdio.h>
#include <string.h>

typedef struct inliner {
  tf_import *im;
  hn_arena *arena;
  const tf_node *call;
  tf_body *f;
  bool nomem;
} inliner;

static void *take(inliner *l, size_t size) {
  void *p = hn_arena_alloc(l->arena, size ? size : 1);
  if (!p) l->nomem = true;
  return p;
}

static const tf_attr *attr_of(const tf_node *n, const char *name) {
  for (size_t i = 0; i < n->n_attr; i++)
    if (strcmp(n->attr[i]->key, name) == 0) return n->attr[i]->value;
  return NULL;
}

/* What a function calls `text`, as the graph around calls it: an argument is what the call reads. */
static char *outside(inliner *l, const char *text) {
  tf_ref r;
  if (!hn_tf_find_ref(l->im, l->f, text, &r)) return NULL;
  if (r.node >= l->f->n) {
    uint32_t arg = r.node - l->f->n;
    const char *in = arg < hn_tf_data_inputs(l->call) ? l->call->input[arg] : NULL;
    if (!in || *text != '^') return (char *)(uintptr_t)in;
    return hn_arena_printf(l->arena, "^%.*s", (int)strcspn(in, ":"), in);
  }
  const char *name = l->f->nodes[r.node]->name;
  if (*text == '^') return hn_arena_printf(l->arena, "^%s/%s", l->call->name, name);
  return hn_arena_printf(l->arena, r.port ? "%s/%s:%u" : "%s/%s", l->call->name, name, r.port);
}

/* An attribute that the function leaves to its callers is the call's. */
static Tensorflow__AttrEntry *attribute(inliner *l, Tensorflow__AttrEntry *e) {
  if (!e->value || e->value->value_case != TENSORFLOW__ATTR_VALUE__VALUE_PLACEHOLDER) return e;
  const tf_attr *given = attr_of(l->call, e->value->placeholder);
  Tensorflow__AttrEntry *own = given ? take(l, sizeof *own) : NULL;
  if (!own) return e;
  *own = *e;
  own->value = (tf_attr *)(uintptr_t)given;
  return own;
}

static tf_node *copy_node(inliner *l, const tf_node *n) {
  tf_node *c = take(l, sizeof *c);
  if (!c) return NULL;
  *c = *n;
  c->name = hn_arena_printf(l->arena, "%s/%s", l->call->name, n->name);
  /* a source within the function begins when the call does: what the call waits for, it waits for */
  size_t own = hn_tf_data_inputs(l->call), waits = n->n_input ? 0 : l->call->n_input - own;
  c->input = take(l, sizeof *c->input * (n->n_input + waits));
  c->attr = take(l, sizeof *c->attr * n->n_attr);
  if (!c->name || l->nomem) return NULL;
  c->n_input = n->n_input + waits;
  for (size_t i = 0; i < n->n_input; i++)
    if (!(c->input[i] = outside(l, n->input[i]))) return NULL;
  for (size_t i = 0; i < waits; i++) c->input[n->n_input + i] = l->call->input[own + i];
  for (size_t i = 0; i < n->n_attr; i++) c->attr[i] = attribute(l, n->attr[i]);
  return c;
}

/* The types of the function's outputs. */
static tf_attr *output_types(inliner *l, size_t n) {
  const Tensorflow__OpDef *sig = l->f->function->signature;
  const tf_attr *said = attr_of(l->call, "Tout");
  tf_attr *a = take(l, sizeof *a);
  Tensorflow__AttrValue__ListValue *list = take(l, sizeof *list);
  if (!a || !list) return NULL;
  tensorflow__attr_value__init(a);
  tensorflow__attr_value__list_value__init(list);
  if (!(list->type = take(l, sizeof *list->type * n))) return NULL;
  bool known = said && said->value_case == TENSORFLOW__ATTR_VALUE__VALUE_LIST && said->list->n_type == n;
  for (size_t i = 0; i < n; i++) {
    list->type[list->n_type++] = known ? said->list->type[i] : sig->output_arg[i]->type;
    if (list->type[i] == TENSORFLOW__DATA_TYPE__DT_INVALID) return NULL;
  }
  a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_LIST;
  a->list = list;
  return a;
}

static tf_node *results(inliner *l) {
  const Tensorflow__FunctionDef *def = l->f->function;
  size_t n = def->signature->n_output_arg;
  tf_node *c = take(l, sizeof *c);
  Tensorflow__AttrEntry *e = take(l, sizeof *e), **list = take(l, sizeof *list);
  if (!c || !e || !list) return NULL;
  tensorflow__node_def__init(c);
  tensorflow__attr_entry__init(e);
  c->name = l->call->name;
  c->op = (char *)(uintptr_t)(n ? "IdentityN" : "NoOp");
  if (!(c->input = take(l, sizeof *c->input * (n + def->n_control_ret)))) return NULL;
  for (size_t i = 0; i < n; i++) {
    const char *from = NULL;
    for (size_t k = 0; k < def->n_ret; k++)
      if (strcmp(def->ret[k]->key, def->signature->output_arg[i]->name) == 0) from = def->ret[k]->value;
    if (!from || !(c->input[c->n_input++] = outside(l, from))) return NULL;
  }
  for (size_t i = 0; i < def->n_control_ret; i++) {
    char *from = hn_arena_printf(l->arena, "^%s", def->control_ret[i]->value);
    if (!from || !(c->input[c->n_input++] = outside(l, from))) return NULL;
  }
  if (!n) return c;
  e->key = (char *)(uintptr_t)"T";
  if (!(e->value = output_types(l, n))) return NULL;
  list[0] = e;
  c->attr = list;
  c->n_attr = 1;
  return c;
}

hone_status hn_tf_inline(tf_import *im, hn_arena *arena, uint32_t at, tf_node ***out, size_t *n_out, bool *done) {
  tf_node *call = im->main.nodes[at];
  bool plain = strcmp(call->op, "PartitionedCall") == 0 || strcmp(call->op, "StatefulPartitionedCall") == 0;
  const tf_attr *a = plain ? attr_of(call, "f") : NULL;
  tf_body *f = a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC ? hn_tf_function(im, a->func->name)
               : plain                                                    ? NULL
                                                                          : hn_tf_function(im, call->op);
  *done = false;
  if (!f || !f->function->signature || hn_tf_row(f->name)) return HONE_OK;
  inliner l = {.im = im, .arena = arena, .call = call, .f = f};
  size_t n = im->main.n - 1 + f->n + 1, k = 0;
  tf_node **list = take(&l, sizeof *list * n), *end = results(&l);
  bool whole = end != NULL;
  for (uint32_t i = 0; i < im->main.n && list; i++)
    if (i != at) list[k++] = im->main.nodes[i];
  for (uint32_t i = 0; i < f->n && list && whole; i++) whole = (list[k++] = copy_node(&l, f->nodes[i])) != NULL;
  if (l.nomem) return hn_nomem(im->cx);
  if (!whole) return HONE_OK;
  list[k++] = end;
  *out = list;
  *n_out = k;
  *done = true;
  return HONE_OK;
}
