#include "format/tensorflow/tf_lower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CALLS = 64, MAX_PORTS = 1 << 16, MAX_READINGS = 512 };

/* ------------------------------------------------------------------------------------ names and references */

static bool is_control(const char *input) { return input[0] == '^'; }

uint32_t hn_tf_data_inputs(const tf_node *n) {
  uint32_t k = 0;
  while (k < n->n_input && !is_control(n->input[k])) k++;
  return k;
}

bool hn_tf_split_tensor(hn_arena *a, const char *text, const char **name, uint32_t *port) {
  if (*text == '^') text++;
  size_t length = strcspn(text, ":");
  *port = 0;
  if (text[length]) {
    char *end;
    unsigned long v = strtoul(text + length + 1, &end, 10);
    if (end == text + length + 1 || *end || v > MAX_PORTS) return false;
    *port = (uint32_t)v;
  }
  *name = hn_arena_strndup(a, text, length);
  return *name && length;
}

/* Number of the output that "name:arg:k" means, by the names of the operator's outputs or of the function's. */
static bool named_port(tf_import *im, const tf_node *n, const char *arg, size_t arg_size, uint32_t k, uint32_t *port) {
  const tf_row *row = hn_tf_row(n->op);
  const tf_body *f = row ? NULL : hn_tf_function(im, n->op);
  uint32_t i = 0;
  *port = k;
  if (f && f->function->signature)
    for (size_t o = 0; o < f->function->signature->n_output_arg; o++)
      if (strlen(f->function->signature->output_arg[o]->name) == arg_size &&
          memcmp(f->function->signature->output_arg[o]->name, arg, arg_size) == 0) {
        *port = (uint32_t)o + k;
        return true;
      }
  for (const char *p = row ? row->outputs : ""; *p; i++) {
    size_t size = strcspn(p, " ");
    if (size == arg_size && memcmp(p, arg, size) == 0) {
      *port = i + k;
      return true;
    }
    p += size + (p[size] == ' ');
  }
  return true; /* operators of one output need no names */
}

/* Within functions an input is "arg", "node:out:k" or (of old) "node:k"; in graphs "node" or "node:k". */
bool hn_tf_find_ref(tf_import *im, const tf_body *b, const char *text, tf_ref *ref) {
  if (*text == '^') text++;
  size_t length = strcspn(text, ":");
  char *name = hn_arena_strndup(im->arena, text, length);
  if (!name || !hn_map_get(&b->index, name, &ref->node)) return false;
  ref->port = 0;
  if (!text[length]) return true;
  const char *arg = text + length + 1, *number = strrchr(text, ':') + 1;
  char *end;
  unsigned long k = strtoul(number, &end, 10);
  if (end == number || *end || k > MAX_PORTS) return false;
  if (number == arg || ref->node >= b->n) ref->port = (uint32_t)k;
  else return named_port(im, b->nodes[ref->node], arg, (size_t)(number - 1 - arg), (uint32_t)k, &ref->port);
  return true;
}

hone_status hn_tf_node_error(const tf_scope *s, const tf_node *n, hone_status st, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return hn_fail(s->im->cx, st, "node '%s%s' (%s): %s", s->prefix, n->name, n->op, text);
}

hone_status hn_tf_input_ref(const tf_scope *s, const tf_node *n, size_t i, tf_ref *ref) {
  if (i < n->n_input && hn_tf_find_ref(s->im, s->body, n->input[i], ref)) return HONE_OK;
  if (i >= n->n_input) return hn_tf_node_error(s, n, HONE_BAD_GRAPH, "input %zu is missing", i);
  return hn_tf_node_error(s, n, HONE_BAD_GRAPH, "nothing produces its input '%s'", n->input[i]);
}

static hone_status open_body(tf_import *im, tf_body *b, const char *name, tf_node **nodes, size_t n,
                             const Tensorflow__FunctionDef *f) {
  *b = (tf_body){.name = name, .nodes = nodes, .n = (uint32_t)n, .function = f};
  if (n >= UINT32_MAX / 2) return hn_nomem(im->cx);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t taken;
    if (hn_map_get(&b->index, nodes[i]->name, &taken))
      return hn_fail(im->cx, HONE_BAD_GRAPH, "%s%stwo nodes are named '%s'", name, *name ? ": " : "", nodes[i]->name);
    if (!hn_map_put(&b->index, nodes[i]->name, i)) return hn_nomem(im->cx);
  }
  if (!f || !f->signature) return HONE_OK;
  b->n_args = (uint32_t)f->signature->n_input_arg;
  for (uint32_t i = 0; i < b->n_args; i++)
    if (!hn_map_put(&b->index, f->signature->input_arg[i]->name, b->n + i)) return hn_nomem(im->cx);
  return HONE_OK;
}

tf_body *hn_tf_function(tf_import *im, const char *name) {
  uint32_t i;
  return name && hn_map_get(&im->functions, name, &i) ? &im->library[i] : NULL;
}

/* --------------------------------------------------------------------------------------------- scopes */

hone_status hn_tf_scope_open(tf_scope *s) {
  s->made = hn_calloc((size_t)s->body->n + s->body->n_args + 1, sizeof *s->made);
  return s->made ? HONE_OK : hn_nomem(s->im->cx);
}

void hn_tf_scope_close(tf_scope *s) { hn_free(s->made); }

hone_status hn_tf_bind(tf_scope *s, uint32_t node, uint32_t port, tf_value v) {
  s->made[node].state = 2;
  return hn_tf_set(s, node, port, v);
}

hone_status hn_tf_set(tf_scope *s, uint32_t node, uint32_t port, tf_value v) {
  tf_made *m = &s->made[node];
  if (port >= m->n) {
    uint32_t n = port + 1;
    tf_value *more = hn_arena_alloc(s->im->arena, sizeof *more * n);
    if (!more) return hn_nomem(s->im->cx);
    if (m->n) memcpy(more, m->v, sizeof *more * m->n);
    m->v = more;
    m->n = n;
  }
  m->v[port] = v;
  return HONE_OK;
}

static const tf_value *made(const tf_scope *s, tf_ref r) {
  const tf_made *m = &s->made[r.node];
  return r.port < m->n && m->v[r.port].kind != TF_NOTHING ? &m->v[r.port] : NULL;
}

hn_id hn_tf_capture(tf_nest *n, hn_id outer) {
  const hn_value *v = hn_value_at(n->outer->g, outer);
  tf_capture c = {outer, HN_NONE};
  for (size_t i = 0; i < n->captures.n; i++)
    if (n->captures.p[i].outer == outer) return n->captures.p[i].inner;
  c.inner = v->data ? hn_graph_add_constant(n->g, v->name, hn_tensor_ref(v->data)) : hn_graph_add_input(n->g, v->name, v->dtype, &v->shape);
  if (c.inner == HN_NONE) return HN_NONE;
  if (v->sym) {
    hn_value *in = hn_value_at(n->g, c.inner);
    in->sym = hn_arena_memdup(n->g->arena, v->sym, sizeof *v->sym * v->n_sym);
    in->n_sym = in->sym ? v->n_sym : 0;
  }
  return hn_push(&n->captures, c) ? c.inner : HN_NONE;
}

hone_status hn_tf_captured(tf_nest *n, tf_value outer, tf_value *v) {
  *v = outer;
  if (outer.kind != TF_TENSOR && outer.kind != TF_LIST) return HONE_OK;
  v->id = hn_tf_capture(n, outer.id);
  return v->id == HN_NONE ? hn_nomem(n->g->cx) : HONE_OK;
}

hone_status hn_tf_needs(tf_scope *s, uint32_t node, tf_refs *out) {
  bool is_region = false;
  out->n = 0;
  if (node >= s->body->n) return HONE_OK;
  HN_TRY(hn_tf_region_needs(s, node, out, &is_region));
  if (is_region) return HONE_OK;
  const tf_node *n = s->body->nodes[node];
  uint32_t n_in = hn_tf_data_inputs(n);
  for (uint32_t i = 0; i < n_in; i++) {
    tf_ref r;
    HN_TRY(hn_tf_input_ref(s, n, i, &r));
    if (!hn_push(out, r)) return hn_nomem(s->im->cx);
  }
  return HONE_OK;
}

static hone_status lower_node(tf_scope *s, uint32_t node);

/* Makes a node and all it needs, deepest first. */
static hone_status make(tf_scope *s, uint32_t root) {
  HN_VEC(uint32_t) stack = {0};
  tf_refs needs = {0};
  hone_status st = hn_push(&stack, root) ? HONE_OK : hn_nomem(s->im->cx);
  while (!st && stack.n) {
    uint32_t at = stack.p[stack.n - 1];
    tf_made *m = &s->made[at];
    if (m->state == 2 || at >= s->body->n) {
      stack.n--;
      continue;
    }
    if (m->state == 1) { /* everything it asked for is there */
      stack.n--;
      st = lower_node(s, at);
      s->made[at].state = 2;
      continue;
    }
    m->state = 1;
    st = hn_tf_needs(s, at, &needs);
    for (size_t i = 0; i < needs.n && !st; i++) {
      uint32_t k = needs.p[i].node;
      if (k >= s->body->n || s->made[k].state == 2) continue;
      if (s->outer && !s->inside[k]) continue; /* asked for when it is read */
      if (s->made[k].state == 1)
        st = hn_tf_node_error(s, s->body->nodes[k], HONE_BAD_GRAPH, "it depends on itself: the graph has a cycle outside of loops");
      else if (!hn_push(&stack, k)) st = hn_nomem(s->im->cx);
    }
  }
  hn_vec_free(&stack);
  hn_vec_free(&needs);
  return st;
}

/* A feature that something reads becomes an input of the model, one for all parsers that have it. */
static hone_status read_feature(tf_scope *s, tf_ref r, tf_value *v) {
  tf_import *im = s->im;
  hn_graph *g = s->nest->g;
  tf_feature f = im->features.p[v->what];
  v->kind = TF_TENSOR;
  v->id = HN_NONE;
  for (size_t i = 0; i < g->inputs.n; i++) {
    const hn_value *known = hn_value_at(g, g->inputs.p[i]);
    if (strcmp(known->name, f.key) == 0 && known->dtype == f.dtype) v->id = g->inputs.p[i];
  }
  if (v->id == HN_NONE) {
    hn_log(im->cx, HONE_LOG_INFO, "a parser of tf.Example is left to the caller: the model takes its feature '%s' instead", f.key);
    v->id = hn_graph_add_input(g, f.key, f.dtype, &f.shape);
  }
  return v->id == HN_NONE ? hn_nomem(im->cx) : hn_tf_set(s, r.node, r.port, *v);
}

hone_status hn_tf_value(tf_scope *s, tf_ref r, tf_value *v) {
  const tf_value *have = made(s, r);
  if (!have && s->outer && (r.node >= s->body->n || !s->inside[r.node])) {
    tf_value outer;
    HN_TRY(hn_tf_value(s->outer, r, &outer));
    if (s->nest == s->outer->nest) *v = outer;
    else HN_TRY(hn_tf_captured(s->nest, outer, v));
    return hn_tf_set(s, r.node, r.port, *v);
  }
  if (!have) {
    HN_TRY(make(s, r.node));
    have = made(s, r);
  }
  if (!have)
    return r.node < s->body->n ? hn_tf_node_error(s, s->body->nodes[r.node], HONE_BAD_GRAPH, "it has no output %u", r.port)
                               : hn_fail(s->im->cx, HONE_BAD_GRAPH, "function '%s': an argument is missing", s->body->name);
  *v = *have;
  return v->kind == TF_FEATURE ? read_feature(s, r, v) : HONE_OK;
}

/* ---------------------------------------------------------------------------------------------- lowering */

hone_status hn_tf_constant_of(tf_scope *s, uint32_t variable, hn_id *id) {
  tf_import *im = s->im;
  tf_variable *v = &im->variables.p[variable];
  if (!v->data) {
    if (!im->variable_of)
      return hn_fail(im->cx, HONE_UNSUPPORTED, "'%s' is a variable, and there is no checkpoint with its value: give the SavedModel's "
                     "directory or the checkpoint's .meta, or freeze the graph", v->name);
    HN_TRY(im->variable_of(im->variable_user, v->node, &v->data));
  }
  *id = hn_graph_add_constant(s->nest->g, v->name, hn_tensor_ref(v->data));
  return *id == HN_NONE ? hn_nomem(im->cx) : HONE_OK;
}

/* The values and layers bear the names that TensorFlow gave them. */
static void name_result(tf_lower *x, size_t first_node, const char *name) {
  hn_graph *g = x->m.g;
  tf_made *m = &x->s->made[x->index];
  for (uint32_t i = 0; i < m->n; i++) {
    if (m->v[i].kind != TF_TENSOR) continue;
    hn_id producer = hn_producer(g, m->v[i].id);
    if (producer == HN_NONE || producer < first_node) continue;
    char port[16] = "";
    if (i) snprintf(port, sizeof port, ":%u", i);
    const char *full = hn_arena_printf(g->arena, "%s%s", name, port);
    if (full) hn_value_rename(g, m->v[i].id, full);
    if (!i && full) hn_node_at(g, producer)->name = full;
  }
}

static hone_status lower_node(tf_scope *s, uint32_t node) {
  const tf_node *n = s->body->nodes[node];
  const tf_row *row = hn_tf_row(n->op);
  tf_body *f = row ? NULL : hn_tf_function(s->im, n->op);
  if (!row && !f) return hn_tf_node_error(s, n, HONE_UNSUPPORTED, "operator %s is not supported", n->op);
  if (strcmp(n->op, "Exit") == 0 || strcmp(n->op, "RefExit") == 0) return hn_tf_lower_exit(s, node);
  if (strcmp(n->op, "Merge") == 0 || strcmp(n->op, "RefMerge") == 0) return hn_tf_lower_merge(s, node);
  uint32_t n_in = hn_tf_data_inputs(n);
  tf_value *in = hn_arena_alloc(s->im->arena, sizeof *in * (n_in + 1));
  if (!in) return hn_nomem(s->im->cx);
  for (uint32_t i = 0; i < n_in; i++) {
    tf_ref r;
    HN_TRY(hn_tf_input_ref(s, n, i, &r));
    HN_TRY(hn_tf_value(s, r, &in[i]));
  }
  const char *name = hn_arena_printf(s->im->arena, "%s%s", s->prefix, n->name);
  if (!name) return hn_nomem(s->im->cx);
  if (f) {
    uint32_t n_out = f->function->signature ? (uint32_t)f->function->signature->n_output_arg : 0;
    tf_value *out = hn_arena_alloc(s->im->arena, sizeof *out * (n_out + 1));
    if (!out) return hn_nomem(s->im->cx);
    HN_TRY(hn_tf_call(s, s->nest, f, n, name, in, n_in, out, n_out));
    for (uint32_t i = 0; i < n_out; i++) HN_TRY(hn_tf_set(s, node, i, out[i]));
    return HONE_OK;
  }
  size_t first = s->nest->g->nodes.n;
  tf_lower x = {.s = s, .m = {s->nest->g, name, 0, HONE_OK}, .n = n, .index = node, .op = row->to, .in = in, .n_in = n_in};
  row->lower(&x);
  if (!x.m.st && s->nest->g->oom) x.m.st = hn_nomem(s->im->cx);
  if (x.m.st) {
    const char *said = s->im->cx ? hone_context_error(s->im->cx) : "";
    char start[256];
    snprintf(start, sizeof start, "node '%.200s", name);
    return strncmp(said, start, strlen(start)) == 0 ? x.m.st : hn_fail_within(s->im->cx, x.m.st, "node '%s' (%s)", name, n->op);
  }
  name_result(&x, first, name);
  return HONE_OK;
}

hone_status hn_tf_call(tf_scope *s, tf_nest *nest, tf_body *f, const tf_node *call, const char *name, const tf_value *args,
                       uint32_t n_args, tf_value *out, uint32_t n_out) {
  tf_import *im = s->im;
  const Tensorflow__FunctionDef *def = f->function;
  if (s->depth >= MAX_CALLS)
    return hn_fail(im->cx, HONE_BAD_GRAPH, "function '%s': functions call one another more than %d deep, or in a circle", f->name, MAX_CALLS);
  if (!def->signature || n_args < f->n_args || n_out > def->signature->n_output_arg)
    return hn_fail(im->cx, HONE_BAD_GRAPH, "function '%s' takes %u arguments and gives %zu; the call '%s' gives %u and takes %u", f->name,
                   f->n_args, def->signature ? def->signature->n_output_arg : 0, name, n_args, n_out);
  f->read = true;
  const char *prefix = *name ? hn_arena_printf(im->arena, "%s/", name) : "";
  tf_scope body = {.im = im, .nest = nest, .body = f, .call = call, .prefix = prefix ? prefix : "", .depth = s->depth + 1};
  hone_status st = hn_tf_scope_open(&body);
  for (uint32_t i = 0; i < f->n_args && !st; i++) st = hn_tf_set(&body, f->n + i, 0, args[i]);
  for (uint32_t i = 0; i < n_out && !st; i++) {
    const char *arg = def->signature->output_arg[i]->name, *from = NULL;
    tf_ref r;
    for (size_t k = 0; k < def->n_ret; k++)
      if (strcmp(def->ret[k]->key, arg) == 0) from = def->ret[k]->value;
    if (!from || !hn_tf_find_ref(im, f, from, &r))
      st = hn_fail(im->cx, HONE_BAD_GRAPH, "function '%s': nothing produces its output '%s'", f->name, arg);
    else st = hn_tf_value(&body, r, &out[i]);
  }
  hn_tf_scope_close(&body);
  return st;
}

/* ---------------------------------------------------------------------- what is supported, all at once */

typedef struct missing {
  const char *op, *node;
  uint32_t count;
} missing;

typedef struct checker {
  tf_import *im;
  HN_VEC(missing) missing;
  const char *trouble; /* an operator that is missing; stays noted with the functions that need it */
  int depth;
} checker;

static hone_status check_body(checker *c, tf_body *b, const tf_ref *roots, size_t n_roots, const uint8_t *cut);

static hone_status check_function(checker *c, const tf_node *n, const char *name) {
  tf_body *f = hn_tf_function(c->im, name);
  if (!f) return hn_fail(c->im->cx, HONE_BAD_GRAPH, "node '%s' (%s): there is no function '%s' in the library", n->name, n->op, name);
  if (f->state == 2) {
    c->trouble = c->trouble ? c->trouble : f->trouble;
    return HONE_OK;
  }
  if (f->state == 1 || ++c->depth > MAX_CALLS)
    return hn_fail(c->im->cx, HONE_UNSUPPORTED, "function '%s' calls itself, which is not supported", name);
  f->state = 1;
  HN_VEC(tf_ref) roots = {0};
  hone_status st = HONE_OK;
  for (size_t i = 0; i < f->function->n_ret && !st; i++) {
    tf_ref r;
    if (hn_tf_find_ref(c->im, f, f->function->ret[i]->value, &r) && !hn_push(&roots, r)) st = hn_nomem(c->im->cx);
  }
  const char *before = c->trouble;
  c->trouble = NULL;
  if (!st) st = check_body(c, f, roots.p, roots.n, NULL);
  hn_vec_free(&roots);
  f->trouble = c->trouble;
  c->trouble = before ? before : c->trouble;
  f->state = 2;
  c->depth--;
  return st;
}

static hone_status check_node(checker *c, const tf_node *n) {
  const char *segment = NULL;
  if (!hn_tf_row(n->op)) {
    if (hn_tf_function(c->im, n->op)) return check_function(c, n, n->op);
    c->trouble = c->trouble ? c->trouble : n->op;
    for (size_t i = 0; i < c->missing.n; i++)
      if (strcmp(c->missing.p[i].op, n->op) == 0) {
        c->missing.p[i].count++;
        return HONE_OK;
      }
    missing m = {n->op, n->name, 1};
    return hn_push(&c->missing, m) ? HONE_OK : hn_nomem(c->im->cx);
  }
  for (size_t i = 0; i < n->n_attr; i++) {
    const tf_attr *a = n->attr[i]->value;
    if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC && *a->func->name && !segment) HN_TRY(check_function(c, n, a->func->name));
  }
  return HONE_OK;
}

/* Looks at every node that the roots need by their data. */
static hone_status check_body(checker *c, tf_body *b, const tf_ref *roots, size_t n_roots, const uint8_t *cut) {
  HN_VEC(uint32_t) stack = {0};
  uint8_t *seen = hn_calloc((size_t)b->n + 1, 1);
  hone_status st = seen ? HONE_OK : hn_nomem(c->im->cx);
  for (size_t i = 0; i < n_roots && !st; i++)
    if (roots[i].node < b->n && !hn_push(&stack, roots[i].node)) st = hn_nomem(c->im->cx);
  while (stack.n && !st) {
    uint32_t at = stack.p[--stack.n];
    if (seen[at] || (cut && cut[at])) continue;
    seen[at] = 1;
    const tf_node *n = b->nodes[at];
    st = check_node(c, n);
    for (uint32_t i = 0; i < hn_tf_data_inputs(n) && !st; i++) {
      tf_ref r;
      if (!hn_tf_find_ref(c->im, b, n->input[i], &r))
        st = hn_fail(c->im->cx, HONE_BAD_GRAPH, "node '%s' (%s): nothing produces its input '%s'", n->name, n->op, n->input[i]);
      else if (r.node < b->n && !hn_push(&stack, r.node)) st = hn_nomem(c->im->cx);
    }
  }
  hn_free(seen);
  hn_vec_free(&stack);
  return st;
}

hone_status hn_tf_missing(tf_import *im, const tf_node *n, const char **op) {
  checker c = {.im = im};
  hone_status st = check_node(&c, n);
  *op = c.trouble;
  hn_vec_free(&c.missing);
  return st;
}

static hone_status report_missing(const checker *c) {
  hn_str s = {0};
  for (size_t i = 0; i < c->missing.n; i++)
    hn_str_printf(&s, "%s%s (%u, first node '%s')", i ? ", " : "", c->missing.p[i].op, c->missing.p[i].count, c->missing.p[i].node);
  hone_status st = hn_fail(c->im->cx, HONE_UNSUPPORTED, "unsupported operators: %s", s.p ? s.p : "");
  hn_str_free(&s);
  return st;
}

/* -------------------------------------------------------------------------------------------- the whole */

static hone_status find_port(tf_import *im, const char *what, const tf_port *p, tf_ref *r) {
  const char *name;
  if (hn_tf_split_tensor(im->arena, p->tensor, &name, &r->port) && hn_map_get(&im->main.index, name, &r->node)) return HONE_OK;
  hn_str known = {0};
  uint32_t n = 0;
  for (uint32_t i = 0; i < im->main.n && n < 8; i++) {
    bool placeholder = strncmp(im->main.nodes[i]->op, "Placeholder", 11) == 0;
    if (placeholder == (*what == 'i')) hn_str_printf(&known, "%s%s", n++ ? ", " : "", im->main.nodes[i]->name);
  }
  hone_status st = hn_fail(im->cx, HONE_BAD_ARG, "the graph has no tensor '%s' for %s; it has %u nodes%s%s", p->tensor, what, im->main.n,
                           n ? ", among them " : "", known.p ? known.p : "");
  hn_str_free(&known);
  return st;
}

static hone_status add_input(tf_scope *s, const tf_port *p, tf_ref r) {
  static const char *const type_attrs[] = {"dtype", "T", "DstT", "out_type"};
  tf_import *im = s->im;
  const tf_node *n = im->main.nodes[r.node];
  hn_dtype type = p->dtype;
  hn_shape shape = hn_shape_unknown();
  for (size_t i = 0; !type && i < sizeof type_attrs / sizeof *type_attrs; i++) {
    const tf_attr *a = hn_tf_attr(s, n, type_attrs[i]);
    if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_TYPE) type = hn_tf_dtype((int)a->type);
  }
  if (!type) return hn_tf_node_error(s, n, HONE_UNSUPPORTED, "the element type of the input '%s' is not known", p->tensor);
  const tf_attr *a = hn_tf_attr(s, n, "shape"), *known = hn_tf_attr(s, n, "_output_shapes");
  bool old_scalar = im->graph->versions && im->graph->versions->producer < 24; /* then an empty shape says nothing */
  if (p->shape) HN_TRY(hn_tf_shape(im->cx, im->g->dims, p->shape, &shape));
  else if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_SHAPE && (a->shape->n_dim || !old_scalar))
    HN_TRY(hn_tf_shape(im->cx, im->g->dims, a->shape, &shape));
  else if (known && known->value_case == TENSORFLOW__ATTR_VALUE__VALUE_LIST && r.port < known->list->n_shape)
    HN_TRY(hn_tf_shape(im->cx, im->g->dims, known->list->shape[r.port], &shape));
  if (type == HONE_DTYPE_STRING) return hn_tf_bind(s, r.node, r.port, (tf_value){TF_STRING, HN_NONE, 0, NULL}); /* serialized examples, perhaps */
  hn_id id = hn_graph_add_input(im->g, p->key, type, &shape);
  if (id == HN_NONE) return hn_nomem(im->cx);
  return hn_tf_bind(s, r.node, r.port, (tf_value){TF_TENSOR, id, 0, NULL});
}

static hone_status add_output(tf_scope *s, const tf_port *p, tf_ref r) {
  tf_value v;
  HN_TRY(hn_tf_value(s, r, &v));
  if (v.kind == TF_VARIABLE) {
    v.kind = TF_TENSOR;
    HN_TRY(hn_tf_constant_of(s, v.what, &v.id));
  }
  if (v.kind != TF_TENSOR && v.kind != TF_LIST)
    return hn_fail(s->im->cx, HONE_UNSUPPORTED, "the output '%s' (%s) is not a tensor of numbers", p->key, p->tensor);
  hn_graph_add_output(s->im->g, p->key, v.id);
  return s->im->g->oom ? hn_nomem(s->im->cx) : HONE_OK;
}

static hone_status read_once(tf_import *im, const tf_port *in, const tf_ref *in_ref, size_t n_in, const tf_port *out,
                             const tf_ref *out_ref, size_t n_out) {
  tf_nest nest = {.g = im->g};
  tf_scope s = {.im = im, .nest = &nest, .body = &im->main, .prefix = ""};
  hone_status st = hn_tf_scope_open(&s);
  for (size_t i = 0; i < n_in && !st; i++) st = add_input(&s, &in[i], in_ref[i]);
  for (size_t i = 0; i < n_out && !st; i++) st = add_output(&s, &out[i], out_ref[i]);
  hn_tf_scope_close(&s);
  hn_vec_free(&nest.puts);
  return st;
}

static hone_status check(tf_import *im, const tf_ref *in, size_t n_in, const tf_ref *out, size_t n_out) {
  checker c = {.im = im};
  uint8_t *cut = hn_calloc((size_t)im->main.n + 1, 1);
  hone_status st = cut ? HONE_OK : hn_nomem(im->cx);
  for (size_t i = 0; i < n_in && !st; i++) cut[in[i].node] = 1;
  if (!st) st = check_body(&c, &im->main, out, n_out, cut);
  if (!st && c.missing.n) st = report_missing(&c);
  hn_vec_free(&c.missing);
  hn_free(cut);
  return st;
}

static hone_status open_library(tf_import *im) {
  const Tensorflow__FunctionDefLibrary *lib = im->graph->library;
  size_t n_functions = lib ? lib->n_function : 0;
  im->library = hn_arena_alloc(im->arena, sizeof *im->library * (n_functions + 1));
  if (!im->library) return hn_nomem(im->cx);
  HN_TRY(open_body(im, &im->main, "", im->graph->node, im->graph->n_node, NULL));
  for (size_t i = 0; i < n_functions; i++) {
    const Tensorflow__FunctionDef *f = lib->function[i];
    const char *name = f->signature ? f->signature->name : "";
    im->n_library++;
    HN_TRY(open_body(im, &im->library[i], name, f->node_def, f->n_node_def, f));
    if (!hn_map_put(&im->functions, name, (uint32_t)i)) return hn_nomem(im->cx);
  }
  return HONE_OK;
}

hone_status hn_tf_import_open(hone_context *cx, const Tensorflow__GraphDef *graph, tf_variable_fn variable_of, void *user, tf_import *im) {
  *im = (tf_import){.cx = cx, .graph = graph, .variable_of = variable_of, .variable_user = user, .arena = hn_arena_create()};
  hone_status st = im->arena ? open_library(im) : hn_nomem(cx);
  if (st) hn_tf_import_close(im);
  return st;
}

void hn_tf_import_close(tf_import *im) {
  for (size_t i = 0; i < im->variables.n; i++) hn_tensor_unref(im->variables.p[i].data);
  hn_map_free(&im->main.index);
  for (size_t i = 0; i < im->n_library; i++) hn_map_free(&im->library[i].index);
  hn_map_free(&im->functions);
  hn_vec_free(&im->variables);
  hn_vec_free(&im->lists);
  hn_vec_free(&im->features);
  hn_vec_free(&im->segments);
  hn_arena_destroy(im->arena);
  *im = (tf_import){0};
}

static void note_segments(const tf_import *im, hn_graph *g) {
  hn_str s = {0};
  for (size_t i = 0; i < im->segments.n; i++) hn_str_printf(&s, "%s%s", i ? ", " : "", im->segments.p[i]);
  if (s.n) hn_meta_set(g, "tf.trt_segments", s.p);
  hn_str_free(&s);
}

static hone_status read_whole(tf_import *im, const tf_port *in, size_t n_in, const tf_port *out, size_t n_out, hn_graph **result) {
  tf_ref *refs = hn_arena_alloc(im->arena, sizeof *refs * (n_in + n_out + 1));
  if (!refs) return hn_nomem(im->cx);
  for (size_t i = 0; i < n_in; i++) HN_TRY(find_port(im, "input", &in[i], &refs[i]));
  for (size_t i = 0; i < n_out; i++) HN_TRY(find_port(im, "output", &out[i], &refs[n_in + i]));
  HN_TRY(check(im, refs, n_in, refs + n_in, n_out));
  for (size_t i = 0; i < im->n_library; i++) im->library[i].read = false;
  for (int round = 0; round < MAX_READINGS; round++) {
    im->again = false;
    im->segments.n = 0;
    im->features.n = 0;
    if (!(im->g = hn_graph_create(im->cx, ""))) return hn_nomem(im->cx);
    hone_status st = read_once(im, in, refs, n_in, out, refs + n_in, n_out);
    if (!st && !im->again) st = hn_tf_check_state(im, refs, n_in, refs + n_in, n_out);
    if (!st && !im->again) {
      *result = im->g;
      return HONE_OK;
    }
    hn_graph_destroy(im->g);
    im->g = NULL;
    if (!im->again) return st;
  }
  return hn_fail(im->cx, HONE_UNSUPPORTED, "the shapes of the lists of tensors in the graph's loops cannot be found");
}

hone_status hn_tf_import_between(tf_import *im, const tf_port *in, size_t n_in, const tf_port *out, size_t n_out, hn_graph **result) {
  hn_graph *g = NULL;
  HN_TRY(read_whole(im, in, n_in, out, n_out, &g));
  note_segments(im, g);
  hn_remove_dead(g);
  hone_status st = hn_graph_verify(g);
  if (st) hn_graph_destroy(g);
  else *result = g;
  return st;
}

hone_status hn_tf_import(hone_context *cx, const Tensorflow__GraphDef *graph, const tf_port *in, size_t n_in,
                         const tf_port *out, size_t n_out, tf_variable_fn variable_of, void *user, hn_graph **result) {
  tf_import im;
  HN_TRY(hn_tf_import_open(cx, graph, variable_of, user, &im));
  hone_status st = hn_tf_import_between(&im, in, n_in, out, n_out, result);
  hn_tf_import_close(&im);
  return st;
}
